"""A graph as lava-dl's netx stores networks: an HDF5 file of one layer after the other. numpy; h5py
on use.

    layer/0   input:          shape (C, H, W)
    layer/i   conv or dense:  weight, bias, delay and neuron/{type, iDecay, vDecay, vThMant}

netx builds a synapse process and a LIF from each layer i and joins it to layer i - 1: it holds
chains. Its LIF is a population's own equation with

    du = iDecay - 1      dv = vDecay      vth = vThMant      bias = 64 bias[i]

and netx resets every layer at the beginning of its sample. What is expressed here is exact, the
rest is refused. Measured on lava-dl 0.6.0, file lib/dl/netx/hdf5.py.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from ...core.fixed_point import (
    CURRENT_SHIFT,
    DECAY_ONE,
    STATE_LIMIT,
)
from ...core.graph import (
    NO_CURRENT_MEMORY,
    Dense,
    Graph,
    Pointwise,
    Population,
    Synapse,
)
from ...hw_profiles import profile
from ...hw_profiles.precision import Precision
from ...system.dependencies import install
from ...system.errors import BundleError, GraphError, MissingDependency
from ...system.reading import regular
from ...system.storage import put_hdf5
from ..frame.neurons import require_no_joins, require_one_value, require_reset_to_zero
from ..lava.network import MANTISSA, NEVER

MODEL = "netx/model.net"  # in an export
LAVA_DL_VERSION = "0.6.0"  # the last release
LAVA_DL_INSTALL = install("lava-dl")
ALMOST_NO_MEMORY = DECAY_ONE - 1  # dv: leaves v / 4096, rounded to zero
EXPORT_AGAIN = "export the model again"
INSTEAD = "use --target lava, which holds any graph"


@dataclass(frozen=True)
class NetxNetwork:
    """Populations in the order of the chain, the input first, and the file's datasets by path.

    `pipelined`: samples may follow each other without a gap. `bits`: width of the input's values.
    """

    populations: tuple[str, ...]
    datasets: dict[str, np.ndarray]
    pipelined: bool
    bits: int


@functools.cache
def _chip() -> tuple[int, int]:
    """The largest bias mantissa and the longest delay of Loihi 2, for which netx files are written:
    netx stores biases of exponent 6, and clips longer delays without a word.
    """
    chip = profile.load("loihi2")
    return Precision.of(chip).bias_mant_max, int(chip.limits["delay_steps"].value)


def lower(graph: Graph) -> NetxNetwork:
    """The graph as a netx file. Raises `GraphError`, naming the node, on what netx does not hold
    exactly.
    """
    require_no_joins(graph.check(), "netx")
    require_reset_to_zero(graph, "netx")
    require_one_value(graph.populations, "netx")
    chain = _chain(graph)
    first = graph[chain[0].source]
    datasets = {"layer/0/type": _text("input"), "layer/0/shape": np.array(first.shape)}
    flat = len(first.shape) == 1
    number = 1
    for synapse in chain:
        source, target = graph[synapse.source], graph[synapse.target]
        layer = _synapse(synapse, source, target)
        if layer["type"] == _text("conv") and flat:
            raise _refused("a convolution after a dense layer", synapse.name)
        if layer["type"] == _text("dense") and not flat:
            datasets[f"layer/{number}/type"] = _text("flatten")
            number, flat = number + 1, True
        layer |= _neurons(target, graph.worst_activation(target.name), flat)
        datasets |= {f"layer/{number}/{name}": value for name, value in layer.items()}
        number += 1
    _check_delays(graph, chain)
    return NetxNetwork(
        (first.name, *(s.target for s in chain)),
        datasets,
        pipelined=not any(s.delay for s in chain),
        bits=first.bits,
    )


def _refused(
    what: str, where: str, *, limit: object = None, value: object = None, fix: str = INSTEAD
) -> GraphError:
    return GraphError(f"netx does not hold {what}", where=where, limit=limit, value=value, fix=fix)


def _chain(graph: Graph) -> list[Synapse]:
    """The synapses in order, one from each population to the next."""
    inputs = graph.of_kind("input")
    if len(inputs) > 1:
        raise _refused(
            "several inputs", ", ".join(p.name for p in inputs), limit=1, value=len(inputs)
        )
    chain: list[Synapse] = []
    at = inputs[0].name
    while graph.outgoing(at):
        if len(graph.outgoing(at)) > 1:
            raise _refused(
                "branches",
                at,
                limit="one synapse",
                value=", ".join(s.name for s in graph.outgoing(at)),
            )
        chain += graph.outgoing(at)
        at = chain[-1].target
        if len(graph.incoming(at)) > 1:
            raise _refused(
                "a population with several synapses",
                at,
                limit="one synapse",
                value=", ".join(s.name for s in graph.incoming(at)),
            )
    apart = {p.name for p in graph.populations} - {inputs[0].name, *(s.target for s in chain)}
    if apart or not chain:
        raise _refused("populations that the input does not reach", ", ".join(sorted(apart)) or at)
    return chain


def _text(word: str) -> np.ndarray:
    return np.array(word.encode("ascii"))


def _synapse(s: Synapse, source: Population, target: Population) -> dict[str, np.ndarray]:
    """Datasets of the synapse: a convolution where the source is an image, else a matrix."""
    if isinstance(s, Dense) or (isinstance(s, Pointwise) and len(source.shape) == 1):
        layer = {
            "type": _text("dense"),
            "shape": np.array([target.neurons]),
            "weight": _weight(s, s.weight),
        }
        _check_dense_weight(layer["weight"], s.name)
        return layer | ({"delay": np.array(s.delay)} if s.delay else {})
    image = s.shared and len(source.shape) == 3
    form = s.convolution(source.shape, target.shape) if image else None
    if form is None:
        raise _refused(
            f"a {type(s).__name__} synapse from {len(source.shape)} axes",
            s.name,
            limit="Dense, or Conv2d, Window and Pointwise on (C, H, W)",
        )
    if s.delay:
        raise _refused("a delayed convolution", s.name, limit=0, value=s.delay)
    return {
        "type": _text("conv"),
        "shape": np.array(target.shape),
        "weight": _weight(s, form.weight),
        "stride": np.array(form.stride),
        "padding": np.array(form.padding),
        "dilation": np.array([1, 1]),
        "groups": np.array(form.groups),
    }


def _weight(s: Synapse, weight: np.ndarray) -> np.ndarray:
    """Mantissas with the exponent multiplied in: netx has none."""
    whole = weight.astype(np.int64) << s.exponent
    low, high = MANTISSA
    if whole.min() < low or whole.max() > high:
        raise _refused(
            "weights of more than 8 bits",
            s.name,
            limit=f"{low}..{high}",
            value=f"{whole.min()}..{whole.max()}",
        )
    return whole.astype(np.int16)


def _check_dense_weight(weight: np.ndarray, where: str) -> None:
    """netx scales a matrix up to the full 8 bits, by 2^k. Two matrices do not survive that.

    Of zeros alone, k is infinite; with no weight above zero, magnitudes end at 255, below 2^k |min|
    = 256.
    """
    least = int(weight.min())
    if not weight.any():
        raise _refused("a dense synapse whose weights are all zero", where)
    if weight.max() <= 0 and -least & (-least - 1) == 0:
        raise _refused(
            "a dense synapse without positive weights whose lowest is a power of two",
            where,
            value=least,
            fix=f"make one weight {least + 1} or {least - 1}, or {INSTEAD}",
        )


def _neurons(p: Population, activation: int, flat: bool) -> dict[str, np.ndarray]:
    """Datasets of the population, flattened behind a dense synapse. `activation` bounds its
    synaptic sum.
    """
    _check_sum(p, activation)
    vth, du, dv = (int(np.max(values)) for values in (p.vth, p.du, p.dv))  # one value each
    layer = {
        "neuron/type": _text("CUBA"),
        "neuron/vThMant": vth if p.fires else NEVER,
        "neuron/iDecay": du + 1,
        "neuron/vDecay": dv,
    }
    if p.memoryless:
        _check_memoryless(p, activation)
        layer |= {"neuron/iDecay": DECAY_ONE, "neuron/vDecay": ALMOST_NO_MEMORY}
    if p.bias.any():
        layer["bias"] = _bias(p, flat)
    return {name: np.asarray(value) for name, value in layer.items()}


def _check_sum(p: Population, activation: int) -> None:
    """Lava's convolution wraps at 24 bits, its LIF at 32; current memory piles up what one wrap
    leaves.
    """
    forgets = bool(np.all(p.decays[0] == NO_CURRENT_MEMORY))
    limit = STATE_LIMIT - 1 if forgets else 2 * STATE_LIMIT >> CURRENT_SHIFT
    if activation > limit:
        raise _refused("so large a synaptic sum", p.name, limit=limit, value=activation)


def _check_memoryless(p: Population, activation: int) -> None:
    """A membrane below 4096 is forgotten by dv = 4095: v * 1 / 4096 rounds to zero."""
    worst = (activation << CURRENT_SHIFT) + int(np.abs(p.bias).max())
    if worst >= DECAY_ONE:
        raise _refused(
            "a memoryless population whose membrane can reach 4096",
            p.name,
            limit=DECAY_ONE - 1,
            value=worst,
        )


def _bias(p: Population, flat: bool) -> np.ndarray:
    """Biases in synaptic units: one a neuron (images in Lava's order W, H, C) or [C] for an
    image.
    """
    where, bias = p.name, p.bias
    mantissa = bias >> CURRENT_SHIFT
    if (mantissa << CURRENT_SHIFT != bias).any():
        odd = int(bias[mantissa << CURRENT_SHIFT != bias][0])
        raise _refused(
            "a bias between multiples of 64 membrane units",
            where,
            value=odd,
            fix=f"train with model.bias_exp_min = {CURRENT_SHIFT}, or {INSTEAD}",
        )
    top = _chip()[0]
    if mantissa.min() < -top - 1 or mantissa.max() > top:
        raise _refused(
            "a bias of more than 13 bits",
            where,
            limit=f"{-top - 1}..{top} times 64",
            value=f"{mantissa.min()}..{mantissa.max()}",
        )
    if flat:
        return mantissa.ravel()
    if (mantissa == mantissa[:, :1, :1]).all():
        return mantissa[:, 0, 0]
    return mantissa.transpose()


def _check_delays(graph: Graph, chain: list[Synapse]) -> None:
    """A delayed synapse would carry what a bias makes fire before the sample begins into the
    sample.
    """
    biased = None
    for s in chain:
        if s.delay > _chip()[1]:
            raise _refused("such a delay", s.name, limit=_chip()[1], value=s.delay)
        if s.delay and biased:
            raise _refused("a delay after a population with a bias", s.name, value=biased)
        biased = s.target if graph[s.target].bias.any() else biased


def load_h5py() -> ModuleType:
    """The h5py package. Raises `MissingDependency`."""
    try:
        return importlib.import_module("h5py")
    except ImportError:
        raise MissingDependency("h5py", enables="netx files") from None


def write(network: NetxNetwork, path: Path) -> None:
    """Write the HDF5 file. Raises `MissingDependency`."""
    h5py = load_h5py()

    def fill(memory: BinaryIO) -> None:
        with h5py.File(memory, "w") as file:
            for name, value in network.datasets.items():
                file[name] = value

    put_hdf5(path, fill)


def check_file(network: NetxNetwork, path: Path) -> None:
    """Raise `BundleError` unless the file holds exactly the datasets of `network`, and nothing
    else.

    What passes is safe to hand to netx, which trusts its file: no links, no other layers, types or
    sizes.
    """
    h5py = load_h5py()
    try:
        with h5py.File(regular(path, None), "r") as file:
            wrong = _first_difference(h5py, file, network.datasets, "")
    except Exception as error:
        raise BundleError(
            "not a readable HDF5 file", where=path, value=error, fix=EXPORT_AGAIN
        ) from None
    if wrong is not None:
        raise BundleError(
            "netx file is not this model's", where=path, value=wrong, fix=EXPORT_AGAIN
        )


def _first_difference(
    h5py: ModuleType, group: Any, datasets: dict[str, np.ndarray], prefix: str
) -> str | None:
    """Path of the first name below `group` that is missing, too much, a link, or other than in
    `datasets`.
    """
    expected = {
        path.removeprefix(prefix).split("/")[0] for path in datasets if path.startswith(prefix)
    }
    for name in sorted(expected | set(group)):
        path = prefix + name
        if name not in expected or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            return path
        if path in datasets:
            if not _same(group[name], datasets[path]):
                return path
        elif not isinstance(group[name], h5py.Group):
            return path
        elif (deeper := _first_difference(h5py, group[name], datasets, f"{path}/")) is not None:
            return deeper
    return None


def _same(item: Any, value: np.ndarray) -> bool:
    same_kind = getattr(item, "shape", None) == value.shape and item.dtype == value.dtype
    return same_kind and np.array_equal(item[()], value)
