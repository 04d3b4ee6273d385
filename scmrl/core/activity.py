"""What a backend hands back: the spikes of every population and the membrane of the readout. numpy
only.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..system.errors import DataError, ScmrlError
from ..system.reading import check_bound
from .graph import Graph, Population

RUN_VALUES = 1 << 30  # samples x steps x neurons of one run: a byte each


@dataclass(frozen=True)
class Measurement:
    """What Lava's profiler measured on a board, per inference, in the fields of an energy estimate.

    Powers in W, energies in uJ, times in us; None where it was not asked for or not delivered. The
    chip runs samples back to back: an inference is one window of `window` steps, its latency that
    of a mean step times T + depth.
    """

    chip: str
    board: str
    versions: str
    steps: int  # T
    window: int
    depth: int
    measured_steps: int
    us_per_step: float | None = None
    latency_us: float | None = None  # (T + depth) steps
    core_dynamic_uj: float | None = None
    core_static_uj: float | None = None
    total_uj: float | None = None
    mode: str = "streamed"  # of the estimates that go beside it
    power_w: dict[str, float] | None = (
        None  # total, static, dynamic, and the rails vdd, vddm, vddio
    )
    cores: int | None = None
    synops: float | None = None
    updates: float | None = None
    basis: str = (
        "measured by Lava's profiler: power and time in runs of their own, inputs sent by the host "
        "at every step, nothing read back; power of all chips of the board"
    )

    def facts(self) -> dict[str, str]:
        """What was measured, in words."""
        names = (
            "us_per_step",
            "latency_us",
            "core_dynamic_uj",
            "core_static_uj",
            "total_uj",
            "cores",
            "synops",
            "updates",
        )
        shown = {name: getattr(self, name) for name in names}
        shown |= {f"power {name} W": watts for name, watts in (self.power_w or {}).items()}
        values = ", ".join(
            f"{name} {value:.4g}" for name, value in shown.items() if value is not None
        )
        return {
            "MEASURED": (
                f"{values}; per inference, {self.mode}, on {self.board},"
                f" {self.measured_steps} steps"
            ),
            "how": self.basis,
        }

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"kind": "measured"}


@dataclass(frozen=True)
class Activity:
    """Spikes uint8 [S, T, *shape] of every firing population, membranes int64 [S, T, *shape] of the
    readout.

    `overflow` counts, per population, the neuron-steps in which a 24-bit border was reached (None:
    not observed). `seconds` is the run itself, `startup_s` what it took to get there;
    `measured` what the chip's own instruments say.
    """

    spikes: dict[str, np.ndarray]
    membrane: dict[str, np.ndarray]
    backend: str
    version: str
    overflow: dict[str, int] | None = None
    seconds: float = 0.0
    startup_s: float = 0.0
    notes: tuple[str, ...] = field(default=())
    measured: Measurement | None = None

    def values(self, name: str) -> np.ndarray:
        """Spikes, or the membrane of a readout: what has to agree between backends."""
        return self.membrane[name] if name in self.membrane else self.spikes[name]


def predictions(graph: Graph, activity: Activity) -> np.ndarray:
    """Class of each sample int64 [S]: the readout neuron with the highest membrane at the last
    step, first wins.
    """
    if graph.readout is None:
        raise DataError("the graph has no readout, so samples have no class")
    final = activity.membrane[graph.readout.name][:, -1]
    classes: np.ndarray = final.reshape(len(final), -1).argmax(1)
    return classes


def check_inputs(graph: Graph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inputs by population name, each integer [S, T, *shape] within the population's bits, S >= 1
    equal for all.

    Returns them in the graph's order. Raises `DataError` naming the input, the limit and the value.
    """
    wanted = {p.name: p for p in graph.of_kind("input")}
    for name in inputs:
        if name not in wanted:
            fix = f"the network takes: {', '.join(wanted)}"
            raise DataError("no such input", where=name, fix=fix)
    for name, p in wanted.items():
        if name not in inputs:
            raise DataError("input is missing", where=name, fix=f"give an array [S, T, {p.shape}]")
    checked = {name: _checked(p, np.asarray(inputs[name])) for name, p in wanted.items()}
    sizes = {name: list(x.shape[:2]) for name, x in checked.items()}
    if len(set(map(tuple, sizes.values()))) > 1:
        raise DataError("inputs differ in samples or steps", value=sizes)
    check_bound(
        "too much to run at once; give fewer samples (--samples)",
        math.prod(next(iter(sizes.values()))) * sum(p.neurons for p in graph.populations),
        RUN_VALUES,
        where="inputs",
        error=DataError,
        unit="samples x steps x neurons",
    )
    return checked


def _checked(p: Population, x: np.ndarray) -> np.ndarray:
    """The values of one input."""
    if x.dtype.kind not in "iub":
        raise DataError("input must be integers", where=p.name, value=x.dtype)
    if x.shape[2:] != tuple(p.shape) or 0 in x.shape[:2]:
        raise DataError(
            "input has the wrong shape",
            where=p.name,
            limit=f"[S, T, {', '.join(map(str, p.shape))}]",
            value=list(x.shape),
        )
    if x.min() < 0 or x.max() > p.largest:
        raise DataError(
            "input value out of range",
            where=p.name,
            limit=f"0..{p.largest}",
            value=f"{int(x.min())}..{int(x.max())}",
        )
    return x


def check_labels(
    graph: Graph,
    labels: np.ndarray,
    samples: int,
    *,
    where: object,
    error: type[ScmrlError] = DataError,
) -> np.ndarray:
    """Labels int64 [S] of `samples` samples, each one of the readout's neurons. Raises `error`."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != samples:
        raise error(
            "labels must be integers, one for each sample",
            where=where,
            limit=f"[{samples}]",
            value=f"{labels.dtype} {list(labels.shape)}",
        )
    if graph.readout is not None and samples:
        low, high, top = int(labels.min()), int(labels.max()), graph.readout.neurons - 1
        if low < 0 or high > top:
            what, value = "labels are not classes of this network", f"{low}..{high}"
            raise error(what, where=where, limit=f"0..{top}", value=value)
    return labels.astype(np.int64)


@dataclass(frozen=True)
class Spikes:
    """How many spikes were expected, came, and came where they were expected. At low rates nearly
    all values are equal whatever the spikes do: these say what the spikes do.
    """

    expected: int = 0
    got: int = 0
    both: int = 0

    def __add__(self, other: Spikes) -> Spikes:
        return Spikes(self.expected + other.expected, self.got + other.got, self.both + other.both)

    @staticmethod
    def of(expected: np.ndarray, got: np.ndarray) -> Spikes:
        """Of two equally shaped arrays of spikes."""
        one, other = expected != 0, got != 0
        return Spikes(int(one.sum()), int(other.sum()), int((one & other).sum()))

    @property
    def recall(self) -> float | None:
        """Share of the expected spikes that came; None where none was expected."""
        return self.both / self.expected if self.expected else None

    @property
    def precision(self) -> float | None:
        """Share of the spikes that were expected; None where none came."""
        return self.both / self.got if self.got else None
