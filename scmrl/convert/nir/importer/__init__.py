"""NIR -> bundle: any network of NIR's spiking and linear nodes, as integers.

    file.read              HDF5 -> nir graph, safely
    floats.reading         nir graph -> neurons and linear maps, under a framework's convention
    runs.interpreter       interprets those
    choice                 which reading of the file it is, where the file does not say
    encoding               the inputs' range and bits
    quantise               neurons and maps -> populations and synapses (`equation`, `rounding`)
    comparison, report     both on the same samples, and what that changed

`import_graph` joins them and reports what quantisation changed; `import_nir` is that of a file, for
`scmrl import`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ....core.activity import check_labels
from ....core.bundle import Bundle
from ....core.graph import Graph
from ....data.features.values import ValueEncoding, ValueScale
from ....system import targets
from ....system.errors import DataError, GraphError, UsageError
from . import choice, encoding
from .comparison import Observed, compare, observe
from .compensation import Moments
from .encoding import Encodings
from .file import READ_LIMIT_BYTES, read
from .floats.convention import CONVENTIONS, Convention, convention_of, readings
from .floats.network import Network
from .floats.reading import network
from .quantise import quantise
from .report import ImportReport, compared
from .rounding import graph_shape
from .runs.interpreter import run
from .samples import STEPS, Calibration, by_input, calibration, golden, stand_in

__all__ = [
    "CONVENTIONS",
    "Convention",
    "ImportReport",
    "Network",
    "import_graph",
    "import_nir",
    "network",
    "read",
    "run",
]

FLOOR_AGREEMENT = 0.9  # of classes, where a floor of the membrane is left out


@dataclass(frozen=True)
class _Settings:
    """How to read and how to quantise."""

    steps: int | None
    dt: float | None
    reset: str | None
    convention: str | Convention
    weight_bits: int
    input_bits: int | None

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise UsageError("at least one step is needed", where="steps", value=self.steps)
        if self.input_bits is not None and not 1 <= self.input_bits <= 16:
            raise UsageError("inputs have 1 to 16 bits", where="input_bits", value=self.input_bits)

    @property
    def first(self) -> Convention:
        """The convention as it is read without further evidence."""
        return convention_of(self.convention, self.reset)


@dataclass(frozen=True)
class _Imported:
    """All that an import makes."""

    graph: Graph
    report: ImportReport
    network: Network
    inputs: dict[str, np.ndarray]
    classes: np.ndarray


def import_graph(
    nir_graph: object,
    *,
    dt: float | None = None,
    steps: int | None = None,
    calibration: Calibration = None,
    weight_bits: int = 8,
    input_bits: int | None = None,
    reset: str | None = None,
    convention: str | Convention = "nir",
    labels: np.ndarray | None = None,
    golden: Mapping[str, np.ndarray] | None = None,
) -> tuple[Graph, ImportReport]:
    """The integer graph of a NIR graph, and what quantisation changed.

    `dt` in seconds (None: chosen, and said in the report). `calibration`: values [S, T, *shape], by
    input name where there are several; it sets the ranges, the inputs' bits and `steps` (its T).
    Without it inputs are spikes. `input_bits` None: chosen by the error of the first layer's
    currents. `reset`: "zero" or "subtract" in place of the convention's. `labels` int64 [S] and
    `golden`, the framework's own spikes by node or its `classes`, on the calibration samples, tell
    between readings of what NIR does not say. Raises `GraphError` naming the node that is not
    supported or not expressible, `DataError` for data of the wrong shape.
    """
    settings = _Settings(steps, dt, reset, convention, weight_bits, input_bits)
    first = network(nir_graph, dt=dt, convention=settings.first)
    made = _import(nir_graph, first, by_input(first, calibration), settings, labels, golden)
    return made.graph, made.report


def import_nir(
    file: str | Path,
    *,
    out: str | Path | None = None,
    samples: str | Path | Mapping[str, np.ndarray] | None = None,
    steps: int | None = None,
    dt: float | None = None,
    reset: str | None = None,
    convention: str = "nir",
    weight_bits: int = 8,
    input_bits: int | None = None,
    golden: str | Path | Mapping[str, np.ndarray] | None = None,
    force: bool = False,
    limit: int = READ_LIMIT_BYTES,
) -> tuple[Bundle, ImportReport]:
    """Read a NIR file, turn it into integers, and write the bundle to `out` (None: nowhere); it
    holds the calibration samples (or random spikes) and their labels.

    `samples`: `x` [S, T, ...] or an array per input, and optionally labels `y` [S], in a dict or an
    npz file; without labels the classes of the float network stand for them, and the bundle says
    so. An input may be named y: labels are `labels` then. `golden`: as for `import_graph`, or an
    npz of it. `force` replaces a bundle that is there. The rest as for `import_graph`; raises
    BundleError for what is no NIR file, UsageError for what may not be written.

    >>> bundle, report = scmrl.import_nir("net.nir", out="runs/imported", samples="data.npz")
    >>> bundle.graph.steps, report.bundle == bundle.hash
    (4, True)
    """
    if out is not None:
        targets.check(Path(out), "bundle", force=force)
    settings = _Settings(steps, dt, reset, convention, weight_bits, input_bits)
    nir_graph = read(file, limit)
    first = network(nir_graph, dt=dt, convention=settings.first)
    where = "samples: y" if isinstance(samples, Mapping) else f"{samples}: y"
    arrays, y = (None, None) if samples is None else calibration(first, samples, where)
    given = by_input(first, arrays)
    if given is not None and y is not None and y.shape != (len(next(iter(given.values()))),):
        raise DataError("labels must be one for each sample", where=where, value=y.shape)
    made = _import(nir_graph, first, given, settings, y, golden)
    labels = made.classes if y is None else check_labels(made.graph, y, len(y), where=where)
    report, convention_ = made.report, made.network.convention
    training = {
        "imported": str(Path(file).name),
        "format": "nir",
        "dt": made.network.dt,
        "convention": convention_.name,
        "reset": convention_.reset,
        "floor": convention_.floor,
        "labels": "given" if y is not None else "classes of the float network",
    }
    metrics = {"class_agreement": report.class_agreement, "import_samples": report.samples}
    scales = {i["name"]: ValueScale(i["step"], i["zero"], i["bits"]) for i in report.inputs}
    bundle = Bundle(
        made.graph,
        made.inputs,
        labels,
        frontend=ValueEncoding(scales).to_dict(),
        metrics=metrics,
        training=training,
        origin=report.origin,
    )
    if out is not None:
        bundle.save(Path(out), Path(file))
    return bundle, replace(report, bundle=bundle.hash)


def _import(
    nir_graph: Any,
    first: Network,
    given: dict[str, np.ndarray] | None,
    settings: _Settings,
    labels: np.ndarray | None,
    own: str | Path | Mapping[str, np.ndarray] | None,
) -> _Imported:
    """The float network on the samples, its integers, and the comparison of both."""
    data = _data(first, given, settings)
    samples, steps = next(iter(data.values())).shape[:2]
    if given is None and own is not None:
        raise UsageError("golden results need the samples that they are of", fix="give samples")
    truth = golden(first, own, (samples, steps))
    conventions = readings(settings.first, settings.reset)
    chosen = choice.choose(nir_graph, first, conventions, data, labels, truth)
    floats, observed = chosen.network, chosen.observed
    encodings = _encodings(floats, data, given is not None, settings)
    peaks = None if given is None else observed.peaks
    if peaks is not None and encodings.clipped:
        peaks = observe(floats, encodings.held(data)).peaks
    moments = None if given is None else _moments(floats, observed, encodings, data)
    graph, scaled, notes = quantise(
        floats,
        encodings.scales,
        peaks,
        steps=settings.steps or steps,
        weight_bits=settings.weight_bits,
        most=observed.most,
        moments=moments,
    )
    inputs = {
        name: encodings.scales[name]
        .encode(x)
        .reshape(*x.shape[:2], *graph_shape(floats[name].shape))
        for name, x in data.items()
    }
    found = compare(floats, observed, graph, inputs, scaled, truth)
    report = replace(
        compared(floats, observed, graph, found, scaled, labels, truth),
        calibrated=given is not None,
        inputs=tuple(
            {"name": name, "step": s.step, "zero": s.zero, "bits": s.bits}
            for name, s in encodings.scales.items()
        ),
        notes=(*floats.notes, *encodings.notes, *notes),
        warnings=floats.warnings,
    )
    if floats.convention.floor:
        report = _without_floor(floats, report)
    return _Imported(graph, report, floats, inputs, observed.classes)


def _without_floor(floats: Network, report: ImportReport) -> ImportReport:
    """Integers have no floor at -threshold: its loss as a warning. Raises `GraphError` where it is
    large.
    """
    names = ", ".join(n.name for n in floats.neurons if n.floor)
    loss = f"classes agree on {100 * report.class_agreement:.1f} % of {report.samples} samples"
    if report.class_agreement < FLOOR_AGREEMENT:
        raise GraphError(
            "membranes held above -threshold (min_v_mem) cannot be expressed",
            where=names,
            value=loss,
            limit=f"{100 * FLOOR_AGREEMENT:g} %",
            fix="train with min_v_mem=None",
        )
    text = f"{names}: the framework holds membranes above -threshold, integers do not: {loss}"
    return replace(report, warnings=(*report.warnings, text))


def _data(
    floats: Network, given: dict[str, np.ndarray] | None, settings: _Settings
) -> dict[str, np.ndarray]:
    """The samples that are run."""
    if given is None:
        return stand_in(floats, settings.steps or STEPS)
    return {name: x[:, : settings.steps] for name, x in given.items()}


def _encodings(
    floats: Network, data: dict[str, np.ndarray], calibrated: bool, settings: _Settings
) -> Encodings:
    if not calibrated:
        return Encodings({name: ValueScale() for name in data}, {})
    return encoding.choose(floats, data, settings.weight_bits, settings.input_bits)


def _moments(
    floats: Network, observed: Observed, encodings: Encodings, data: dict[str, np.ndarray]
) -> Moments:
    """Of inputs as they are encoded, of other nodes as they fired."""

    def frames(name: str, i: int) -> np.ndarray:
        if name not in data:
            return observed.sample(name, i)
        scale = encodings.scales[name]
        return scale.encode(data[name][i]).astype(float) - scale.zero

    return Moments(floats, frames, len(next(iter(data.values()))))
