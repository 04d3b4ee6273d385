"""A network as Lava runs it: a few merged processes, their synapses and their schedule. numpy only.

    source --Sparse--> LIFReset --Sparse--> LIFReset ... --> readout

Every synapse takes one hardware step, so a population at depth d is at its own step t in hardware
step n*T + t + d of sample n. Populations whose depths are equal modulo T reset at the same moments
and share one LIFReset process; what skips levels waits in relays (neurons of the next processes)
or, in a chip's layout, in delays of synapses, an input in a copy that starts later.
`scmrl.convert.lava.lowering` makes this from a graph, `export` writes it;
`scmrl.deploy.backends.lava.lava` runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ...core.fixed_point import DECAY_ONE, STATE_MAX, THRESHOLD_MAX, WEIGHT_BITS, signed
from ...core.graph import NO_CURRENT_MEMORY, Graph
from ...core.graph_tables import entry_of
from ...core.schema import Table, Text
from ...system.dependencies import install
from ...system.errors import BundleError, GraphError
from ...system.reading import read_arrays, read_json, sha256
from ...system.storage import put_arrays, put_json

SCHEMA = 1
LAVA_VERSION = "0.10.0"  # the last release: Lava is archived
LAVA_INSTALL = install("lava-nc")
SOURCE = "source"  # the process that replays the inputs
NEVER = THRESHOLD_MAX + 1  # a threshold above every 24-bit membrane: NEVER << 6 > 2^23 - 1
FULL_LEAK = DECAY_ONE  # dv of a neuron without memory
MANTISSA = signed(WEIGHT_BITS)  # Lava's mixed-sign weights: 2*q in -256..254
LONGEST_DELAY = 63  # of Lava's DelaySparse: six bits
BELONGS_TO = ("graph.json", "tensors.npz")

HASHES = Table({name: Text() for name in ("network.npz", *BELONGS_TO)})

NEURON_RANGES = {  # what Lava's process models store without loss
    "vth": (0, STATE_MAX),
    "du": (-1, NO_CURRENT_MEMORY),
    "dv": (0, DECAY_ONE),
    "bias_mant": (-(1 << 15), (1 << 15) - 1),
    "bias_exp": (0, 15),
}


@dataclass(frozen=True)
class Place:
    """Where a population is: neurons `start` .. `start + count` of `process`; step t is hardware
    step t + `depth`.

    An input may have several places; there step t holds the value of step t - `delay` (zero before
    the sample). So may a population that is cut: its neurons then follow one another.
    """

    population: str
    process: str
    start: int
    count: int
    depth: int
    delay: int = 0


@dataclass(frozen=True)
class Neurons:
    """One LIFReset process: LIF parameters int [n]; state clears where (hardware step - `phase`) %
    T == 0.
    """

    name: str
    phase: int
    vth: np.ndarray
    du: np.ndarray
    dv: np.ndarray
    bias_mant: np.ndarray
    bias_exp: np.ndarray

    @property
    def count(self) -> int:
        return len(self.vth)


@dataclass(frozen=True)
class Weights:
    """One Sparse process: mantissa << exponent, in CSR form; rows are the target's neurons.

    `message_bits` is 1 for spikes, 8 or 16 for graded inputs; what arrives waits `delay` steps.
    """

    source: str
    target: str
    exponent: int
    message_bits: int
    indptr: np.ndarray
    indices: np.ndarray
    mantissa: np.ndarray
    delay: int = 0

    @property
    def name(self) -> str:
        exponent = f"<<{self.exponent}" if self.exponent else ""
        return f"{self.source}->{self.target}{exponent}" + (f"+{self.delay}" if self.delay else "")


@dataclass(frozen=True)
class LavaNetwork:
    """Processes and schedule for samples of `steps` steps.

    `pipelined`: samples stream back to back. Otherwise (delays between populations, which would
    carry spikes from one sample into the next) every sample needs a network of its own. `readout`
    is the process whose membrane is read. `relays` counts the neurons that only pass a spike on.
    """

    steps: int
    pipelined: bool
    relays: int
    readout: str | None
    inputs: tuple[Place, ...]
    places: tuple[Place, ...]
    neurons: tuple[Neurons, ...]
    weights: tuple[Weights, ...]

    @property
    def depth(self) -> int:
        """Latency: hardware steps from an input to the deepest population."""
        return max((p.depth for p in self.places), default=0)

    @property
    def source_count(self) -> int:
        return sum(p.count for p in self.inputs)

    @property
    def recorded(self) -> tuple[str, ...]:
        """Neuron processes whose spikes are recorded: all that fire."""
        return tuple(n.name for n in self.neurons if n.name != self.readout)

    @property
    def processes(self) -> int:
        """Lava processes: the source, neurons, weights, and a recorder for each process of
        neurons.
        """
        return 1 + 2 * len(self.neurons) + len(self.weights)

    @property
    def count(self) -> int:
        """Neurons, relays included."""
        return sum(n.count for n in self.neurons)

    @property
    def nonzeros(self) -> int:
        return sum(len(w.mantissa) for w in self.weights)

    def hardware_steps(self, samples: int) -> int:
        """Steps that `samples` samples take in one run."""
        return samples * self.steps + self.depth

    def holds(self, graph: Graph) -> bool:
        """Whether every population of `graph` has its place, and every place its population."""
        sizes = {p.name: p.neurons for p in graph.populations}
        own = {p.name: p.neurons for p in graph.populations if p.kind != "input"}
        placed: dict[str, int] = {}
        for p in self.places:
            placed[p.population] = placed.get(p.population, 0) + p.count
        return placed == own and all(sizes.get(p.population) == p.count for p in self.inputs)

    def check(self) -> LavaNetwork:
        """Raise `GraphError` on anything that Lava would hang on, wrap or get wrong: types, ranges,
        names.
        """
        counts = {SOURCE: self.source_count} | {n.name: n.count for n in self.neurons}
        if len(counts) != 1 + len(self.neurons):
            raise GraphError("names of Lava processes repeat", value=[n.name for n in self.neurons])
        _range("steps", self.steps, 1, 1 << 30, "schedule")
        if self.readout is not None and self.readout not in counts:
            raise GraphError("the readout is no process", where="schedule", value=self.readout)
        for n in self.neurons:
            _check_neurons(n, self.steps)
        for w in self.weights:
            _check_weights(w, counts)
        for place in (*self.inputs, *self.places):
            _check_place(place, counts)
        return self


def _range(what: str, value: object, low: int, high: int, where: str) -> None:
    """Integer (or integer array) `value` within low..high."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise GraphError(f"{what} must be an integer", where=where, value=array.dtype)
    if array.size and not (low <= array.min() and array.max() <= high):
        raise GraphError(
            f"{what} is out of range for Lava",
            where=where,
            limit=f"{low}..{high}",
            value=f"{array.min()}..{array.max()}" if array.ndim else int(array),
        )


def _check_neurons(n: Neurons, steps: int) -> None:
    _range("phase", n.phase, 0, steps - 1, n.name)
    for name, (low, high) in NEURON_RANGES.items():
        array = getattr(n, name)
        if not isinstance(array, np.ndarray) or array.shape != (n.count,):
            raise GraphError(
                f"{name} must be an array with one value a neuron", where=n.name, limit=n.count
            )
        _range(name, array, low, high, n.name)


def _check_weights(w: Weights, counts: dict[str, int]) -> None:
    if w.source not in counts or w.target not in counts or w.target == SOURCE:
        raise GraphError("weights between unknown processes", where=w.name)
    _range("mantissa", w.mantissa, *MANTISSA, w.name)
    _range("exponent", w.exponent, 0, 24, w.name)
    _range("message_bits", w.message_bits, 1, 16, w.name)
    _range("delay", w.delay, 0, LONGEST_DELAY if w.source != SOURCE else 0, w.name)
    _range("indices", w.indices, 0, counts[w.source] - 1, w.name)
    _range("indptr", w.indptr, 0, len(w.mantissa), w.name)
    if (
        len(w.indptr) != counts[w.target] + 1
        or w.indptr[0] != 0
        or w.indptr[-1] != len(w.mantissa)
        or np.any(np.diff(w.indptr) < 0)
        or len(w.indices) != len(w.mantissa)
    ):
        raise GraphError("not a CSR matrix of the processes' sizes", where=w.name)


def _check_place(place: Place, counts: dict[str, int]) -> None:
    if place.process not in counts:
        raise GraphError(
            "population in an unknown process", where=place.population, value=place.process
        )
    for name in ("start", "count", "depth", "delay"):
        _range(name, getattr(place, name), 0, 1 << 31, place.population)
    if place.start + place.count > counts[place.process]:
        raise GraphError(
            "population ends beyond its process",
            where=place.population,
            limit=counts[place.process],
            value=place.start + place.count,
        )


def write(network: LavaNetwork, directory: Path, belongs_to: Path) -> None:
    """network.json and network.npz into `directory`, with the hashes of the graph's files in
    `belongs_to`.
    """
    directory.mkdir(exist_ok=True)
    table: dict[str, Any] = {"schema": SCHEMA}
    arrays: dict[str, np.ndarray] = {}
    for field in fields(network):
        value = getattr(network, field.name)
        if isinstance(value, tuple):
            value = [entry_of(part, f"{field.name}/{i}", arrays) for i, part in enumerate(value)]
        table[field.name] = value
    put_arrays(directory / "network.npz", arrays)
    table["sha256"] = {"network.npz": sha256(directory / "network.npz")} | {
        name: sha256(belongs_to / name) for name in BELONGS_TO
    }
    put_json(directory / "network.json", table)


def _part(kind: type, entry: dict, arrays: dict[str, np.ndarray]) -> Place | Neurons | Weights:
    return kind(**{k: arrays[v["array"]] if isinstance(v, dict) else v for k, v in entry.items()})


def read(directory: Path, belongs_to: Path) -> LavaNetwork:
    """The network that `write` wrote; raises `BundleError` where it is corrupt or of another
    graph.
    """
    table = read_json(directory / "network.json")
    if table.pop("schema", None) != SCHEMA:
        raise BundleError(
            "lowered network has another schema",
            where=directory,
            limit=SCHEMA,
            fix="export the model again",
        )
    hashes = table.pop("sha256", None)
    HASHES.check(hashes, f"{directory / 'network.json'}: sha256", BundleError)
    for name, path in (("network.npz", directory), *((name, belongs_to) for name in BELONGS_TO)):
        if not (path / name).is_file() or sha256(path / name) != hashes[name]:
            raise BundleError(
                "lowered network does not belong to this file",
                where=path / name,
                fix="export the model again",
            )
    arrays = read_arrays(directory / "network.npz")
    kinds = {"inputs": Place, "places": Place, "neurons": Neurons, "weights": Weights}
    try:
        for name, kind in kinds.items():
            table[name] = tuple(_part(kind, entry, arrays) for entry in table[name])
        return LavaNetwork(**table).check()
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise BundleError(
            "not a lowered network",
            where=directory,
            value=f"{type(error).__name__} {error}",
            fix="export the model again",
        ) from None
    except GraphError as error:
        raise error.at(directory, BundleError) from None
