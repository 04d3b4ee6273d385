"""NIR -> bundle: any network of NIR's spiking and linear nodes, as integers.

    file.read        HDF5 -> nir graph, safely
    reading.network  nir graph -> neurons and linear maps in floats
    network.run      interprets those, under a framework's convention
    quantise         those -> populations and synapses

`import_graph` joins them and reports what quantisation changed; `import_nir` is that of a file, for
`scmrl import`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ....core.activity import Spikes, check_labels, predictions
from ....core.bundle import Bundle
from ....core.graph import Graph
from ....core.reference import run as run_integers
from ....system import targets
from ....system.errors import DataError, UsageError
from ....system.reading import read_arrays
from .file import READ_LIMIT_BYTES, read
from .network import CONVENTIONS, Convention, FloatRun, Network, convention_of, run
from .quantise import InputScale, graph_shape, quantise
from .reading import network
from .report import ImportReport, PopulationChange

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

DEFAULT_STEPS = 32
STAND_IN_SAMPLES = 8  # random spikes, where there is no calibration data


def import_graph(
    nir_graph: object,
    *,
    dt: float | None = None,
    steps: int | None = None,
    calibration: np.ndarray | dict[str, np.ndarray] | None = None,
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
    arrays, labels = _calibration(samples) if samples is not None else (None, None)
    place = "samples" if isinstance(samples, Mapping) else samples
    given = _given(floats, arrays)
    if (
        given is not None
        and labels is not None
        and labels.shape != (len(next(iter(given.values()))),)
    ):
        raise DataError(
            "labels must be one for each sample", where=f"{place}: y", value=labels.shape
        )
    graph, report, (inputs, classes) = _import(
        floats, given, steps, weight_bits, input_bits, labels
    )
    if labels is not None:
        labels = check_labels(graph, labels, len(classes), where=f"{place}: y")
    training = {
        "imported": str(Path(file).name),
        "format": "nir",
        "dt": floats.dt,
        "convention": floats.convention.name,
        "reset": floats.convention.reset,
        "labels": "given" if labels is not None else "classes of the float network",
        "inputs": {i["name"]: i for i in report.inputs},
    }
    metrics = {"class_agreement": report.class_agreement, "import_samples": report.samples}
    bundle = Bundle(
        graph,
        inputs,
        classes if labels is None else labels,
        None,
        metrics=metrics,
        training=training,
        origin=report.origin,
    )
    if out is not None:
        bundle.save(Path(out))
    return bundle, replace(report, bundle=bundle.hash)


def _calibration(
    given: str | Path | Mapping[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    here = isinstance(given, Mapping)
    arrays = dict(given) if here else read_arrays(Path(given), error=DataError)
    labels = arrays.pop("y", None)
    labels = labels if labels is None else np.asarray(labels)
    if labels is not None and (labels.ndim != 1 or labels.dtype.kind not in "iu"):
        raise DataError(
            "labels must be integers [S]",
            where="samples: y" if here else f"{given}: y",
            value=f"{labels.dtype} {labels.shape}",
        )
    return arrays, labels if labels is None else labels.astype(np.int64)


def _given(floats: Network, calibration) -> dict[str, np.ndarray] | None:
    """Calibration by input name, float [S, T, *shape]. Raises `DataError`."""
    if calibration is None:
        return None
    wanted = {n.name: n.shape for n in floats.inputs}
    if not isinstance(calibration, dict) or (set(calibration) == {"x"} and len(wanted) == 1):
        x = calibration["x"] if isinstance(calibration, dict) else calibration
        calibration = dict.fromkeys(wanted, x) if len(wanted) == 1 else {}
    if set(calibration) != set(wanted):
        raise DataError(
            "calibration data must hold every input",
            value=sorted(calibration),
            limit=sorted(wanted),
        )
    arrays = {}
    for name, shape in wanted.items():
        x = np.asarray(calibration[name])
        fits = (
            x.ndim >= 2 and min(x.shape) >= 1 and int(np.prod(x.shape[2:])) == int(np.prod(shape))
        )
        if x.dtype.kind not in "fiub" or not fits:
            raise DataError(
                "calibration data has the wrong shape or type",
                where=name,
                limit=f"[S, T, {', '.join(map(str, shape))}]",
                value=f"{x.dtype} {list(x.shape)}",
            )
        arrays[name] = x.astype(float).reshape(*x.shape[:2], *shape)
        if not np.isfinite(arrays[name]).all():
            raise DataError("calibration data is not finite", where=name)
    if len({x.shape[:2] for x in arrays.values()}) > 1:
        raise DataError(
            "inputs differ in samples or steps",
            value={k: list(x.shape[:2]) for k, x in arrays.items()},
        )
    return arrays


def _import(
    floats: Network,
    given: dict[str, np.ndarray] | None,
    steps: int | None,
    weight_bits: int,
    input_bits: int,
    labels: np.ndarray | None = None,
) -> tuple[Graph, ImportReport, tuple]:
    if steps is not None and steps < 1:
        raise UsageError("at least one step is needed", where="steps", value=steps)
    if not 1 <= input_bits <= 16:
        raise UsageError("inputs have 1 to 16 bits", where="input_bits", value=input_bits)
    given = (
        given
        if given is None or steps is None
        else {name: x[:, :steps] for name, x in given.items()}
    )
    data = given or _stand_in(floats, steps or DEFAULT_STEPS)
    steps = steps or next(iter(data.values())).shape[1]
    scales = {
        name: InputScale.of(x, input_bits) if given else InputScale() for name, x in data.items()
    }
    observed = run(floats, data)
    graph, scaled, notes = quantise(
        floats, scales, observed if given else None, steps=steps, weight_bits=weight_bits
    )
    inputs = {
        name: scales[name].encode(x).reshape(*x.shape[:2], *graph_shape(floats[name].shape))
        for name, x in data.items()
    }
    return graph, *_report(
        floats,
        graph,
        scales,
        scaled,
        (*floats.notes, *notes),
        observed,
        inputs,
        bool(given),
        labels,
    )


def _stand_in(floats: Network, steps: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        n.name: (random.random((STAND_IN_SAMPLES, steps, *n.shape)) < 0.5).astype(float)
        for n in floats.inputs
    }


def _report(
    floats: Network,
    graph: Graph,
    scales: dict[str, InputScale],
    scaled: tuple,
    notes: tuple[str, ...],
    observed: FloatRun,
    inputs: dict[str, np.ndarray],
    calibrated: bool,
    labels: np.ndarray | None,
) -> tuple:
    activity = run_integers(graph, inputs)
    wanted, found = observed.classes(floats), predictions(graph, activity)
    changes, total = [], Spikes()
    for s in scaled:
        p = graph[s.name]
        float_spikes = (
            observed.values[s.name].reshape(activity.values(s.name).shape) if p.fires else None
        )
        int_spikes = activity.spikes[s.name] if p.fires else None
        spikes = Spikes.of(float_spikes, int_spikes) if p.fires else Spikes()
        total += spikes
        changes.append(
            PopulationChange(
                s.name,
                p.kind,
                p.shape,
                s.scale,
                p.vth,
                float(np.mean(floats[s.name].alpha)),
                s.alpha,
                float(np.mean(floats[s.name].beta)),
                s.beta,
                s.weight_error,
                *(None,) * 3
                if not p.fires
                else (
                    float((float_spikes == int_spikes).mean()),
                    float(float_spikes.mean()),
                    float(int_spikes.mean()),
                ),
                overflow=activity.overflow[s.name],
                recall=spikes.recall,
                precision=spikes.precision,
            )
        )
    correct = (
        (None, None)
        if labels is None
        else (int((wanted == labels).sum()), int((found == labels).sum()))
    )
    report = ImportReport(
        dt=floats.dt,
        steps=graph.steps,
        convention=floats.convention.name,
        reset=floats.convention.reset,
        calibrated=calibrated,
        samples=len(wanted),
        class_agreement=float((wanted == found).mean()),
        spike_recall=total.recall,
        spike_precision=total.precision,
        correct_float=correct[0],
        correct_integer=correct[1],
        populations=tuple(changes),
        inputs=tuple(
            {"name": name, "step": s.step, "zero": s.zero, "bits": s.bits}
            for name, s in scales.items()
        ),
        notes=notes,
    )
    return report, (inputs, wanted)
