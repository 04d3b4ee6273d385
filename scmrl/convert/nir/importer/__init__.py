"""NIR -> bundle: any network of NIR's spiking and linear nodes, as integers.

    file.read        HDF5 -> nir graph, safely
    reading.network  nir graph -> neurons and linear maps in floats (`neurons`, `linear`, `maps`)
    network.run      interprets those, under a framework's convention
    quantise         those -> populations and synapses, with the pieces of `rounding`

`import_graph` joins them and reports what quantisation changed; `import_nir` is that of a file, for
`scmrl import`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from ....core.activity import check_labels
from ....core.bundle import Bundle
from ....core.graph import Graph
from ....core.reference import run as run_integers
from ....core.samples import only_x, read_samples
from ....data.features.values import ValueEncoding, ValueScale
from ....system import targets
from ....system.errors import DataError, UsageError
from .file import READ_LIMIT_BYTES, read
from .maps import Shape
from .network import CONVENTIONS, Convention, Network, convention_of, run
from .quantise import quantise
from .reading import network
from .report import ImportReport, compared
from .rounding import graph_shape

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

Calibration = np.ndarray | dict[str, np.ndarray] | None
DEFAULT_STEPS = 32
STAND_IN_SAMPLES = 8  # random spikes, where there is no calibration data


def import_graph(
    nir_graph: object,
    *,
    dt: float | None = None,
    steps: int | None = None,
    calibration: Calibration = None,
    weight_bits: int = 8,
    input_bits: int = 8,
    reset: str | None = None,
    convention: str | Convention = "nir",
) -> tuple[Graph, ImportReport]:
    """The integer graph of a NIR graph, and what quantisation changed.

    `dt` in seconds (None: chosen, and said in the report). `calibration`: values [S, T, *shape], by
    input name where there are several; it sets the ranges, the inputs' bits and `steps` (its T).
    Without it inputs are spikes. `reset`: "zero" or "subtract" in place of the convention's. Raises
    `GraphError` naming the node that is not supported or not expressible, `DataError` for
    calibration data of the wrong shape.
    """
    floats = network(nir_graph, dt=dt, convention=convention_of(convention, reset))
    graph, report, _ = _import(floats, _given(floats, calibration), steps, weight_bits, input_bits)
    return graph, report


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
    input_bits: int = 8,
    force: bool = False,
    limit: int = READ_LIMIT_BYTES,
) -> tuple[Bundle, ImportReport]:
    """Read a NIR file, turn it into integers, and write the bundle to `out` (None: nowhere); it
    holds the calibration samples (or random spikes) and their labels.

    `samples`: `x` [S, T, ...] or an array per input, and optionally labels `y` [S], in a dict or an
    npz file; without labels the classes of the float network stand for them, and the bundle says
    so. `force` replaces a bundle that is there. The rest as for `import_graph`; raises BundleError
    for what is no NIR file, UsageError for what may not be written.

    >>> bundle, report = scmrl.import_nir("net.nir", out="runs/imported", samples="data.npz")
    >>> bundle.graph.steps, report.bundle == bundle.hash
    (4, True)
    """
    if out is not None:
        targets.check(Path(out), "bundle", force=force)
    floats = network(read(file, limit), dt=dt, convention=convention_of(convention, reset))
    where = "samples: y" if isinstance(samples, Mapping) else f"{samples}: y"
    arrays, y = (None, None) if samples is None else _calibration(floats, samples, where)
    given = _given(floats, arrays)
    if given is not None and y is not None and y.shape != (len(next(iter(given.values()))),):
        raise DataError("labels must be one for each sample", where=where, value=y.shape)
    graph, report, (inputs, classes) = _import(floats, given, steps, weight_bits, input_bits, y)
    labels = classes if y is None else check_labels(graph, y, len(classes), where=where)
    training = {
        "imported": str(Path(file).name),
        "format": "nir",
        "dt": floats.dt,
        "convention": floats.convention.name,
        "reset": floats.convention.reset,
        "labels": "given" if y is not None else "classes of the float network",
    }
    metrics = {"class_agreement": report.class_agreement, "import_samples": report.samples}
    scales = {i["name"]: ValueScale(i["step"], i["zero"], i["bits"]) for i in report.inputs}
    bundle = Bundle(
        graph,
        inputs,
        labels,
        frontend=ValueEncoding(scales).to_dict(),
        metrics=metrics,
        training=training,
        origin=report.origin,
    )
    if out is not None:
        bundle.save(Path(out))
    return bundle, replace(report, bundle=bundle.hash)


def _calibration(
    floats: Network, given: str | Path | Mapping[str, np.ndarray], where: str
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Calibration values by input name and their labels int64 [S], from an npz or as given."""
    arrays, labels = read_samples(given, [n.name for n in floats.inputs])
    if labels is None:
        return arrays, None
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        value = f"{labels.dtype} {labels.shape}"
        raise DataError("labels must be integers [S]", where=where, value=value)
    return arrays, labels.astype(np.int64)


def _given(floats: Network, calibration: Calibration) -> dict[str, np.ndarray] | None:
    """Calibration by input name, float [S, T, *shape]. Raises `DataError`."""
    if calibration is None:
        return None
    wanted = {n.name: n.shape for n in floats.inputs}
    if not isinstance(calibration, dict):
        calibration = {"x": calibration}
    if only_x(calibration, list(wanted)):
        calibration = dict.fromkeys(wanted, calibration["x"])
    if set(calibration) != set(wanted):
        raise DataError(
            "calibration data must hold every input",
            value=sorted(calibration),
            limit=sorted(wanted),
        )
    arrays = {name: _values(name, calibration[name], shape) for name, shape in wanted.items()}
    sizes = {name: list(x.shape[:2]) for name, x in arrays.items()}
    if len(set(map(tuple, sizes.values()))) > 1:
        raise DataError("inputs differ in samples or steps", value=sizes)
    return arrays


def _values(name: str, values: np.ndarray, shape: Shape) -> np.ndarray:
    """The calibration of one input, float [S, T, *shape]."""
    x = np.asarray(values)
    fits = x.ndim >= 2 and min(x.shape) >= 1 and prod(x.shape[2:]) == prod(shape)
    if x.dtype.kind not in "fiub" or not fits:
        raise DataError(
            "calibration data has the wrong shape or type",
            where=name,
            limit=f"[S, T, {', '.join(map(str, shape))}]",
            value=f"{x.dtype} {list(x.shape)}",
        )
    x = x.astype(float).reshape(*x.shape[:2], *shape)
    if not np.isfinite(x).all():
        raise DataError("calibration data is not finite", where=name)
    return x


def _import(
    floats: Network,
    given: dict[str, np.ndarray] | None,
    steps: int | None,
    weight_bits: int,
    input_bits: int,
    labels: np.ndarray | None = None,
) -> tuple[Graph, ImportReport, tuple[dict[str, np.ndarray], np.ndarray]]:
    """The graph, the report, and the integer inputs with the classes of the float network."""
    if steps is not None and steps < 1:
        raise UsageError("at least one step is needed", where="steps", value=steps)
    if not 1 <= input_bits <= 16:
        raise UsageError("inputs have 1 to 16 bits", where="input_bits", value=input_bits)
    if given is None:
        data = _stand_in(floats, steps or DEFAULT_STEPS)
        scales = {name: ValueScale() for name in data}
    else:
        data = {name: x[:, :steps] for name, x in given.items()}
        scales = {name: ValueScale.of(x, input_bits) for name, x in data.items()}
    steps = steps or next(iter(data.values())).shape[1]
    observed = run(floats, data)
    graph, scaled, notes = quantise(
        floats, scales, observed if given else None, steps=steps, weight_bits=weight_bits
    )
    inputs = {
        name: scales[name].encode(x).reshape(*x.shape[:2], *graph_shape(floats[name].shape))
        for name, x in data.items()
    }
    report = compared(floats, observed, graph, run_integers(graph, inputs), scaled, labels)
    report = replace(
        report,
        calibrated=bool(given),
        inputs=tuple(
            {"name": name, "step": s.step, "zero": s.zero, "bits": s.bits}
            for name, s in scales.items()
        ),
        notes=(*floats.notes, *notes),
    )
    return graph, report, (inputs, observed.classes(floats))


def _stand_in(floats: Network, steps: int) -> dict[str, np.ndarray]:
    """Random spikes."""
    random = np.random.default_rng(0)
    return {
        n.name: (random.random((STAND_IN_SAMPLES, steps, *n.shape)) < 0.5).astype(float)
        for n in floats.inputs
    }
