"""A model on a whole split of a dataset: the accuracy that training reports, from the integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core.activity import check_labels, predictions
from ..core.bundle import Bundle
from ..core.samples import HELD_OUT, OTHER, TRAINING, TRUE, Origin, fingerprint
from ..data import FrontEnd, load, own
from ..data.features import tasks
from ..data.features.corruption import corruption
from ..data.features.values import encoding_of, in_steps
from ..data.own.tested import encoded as encoded_own
from ..data.own.tested import trained_and_tested
from ..data.references import is_own, portable
from ..data.remembered import data_dir_of, dataset_of
from ..system.errors import DataError, UsageError
from .backends.backend import Progress
from .counts.counts import count
from .registry import open_backend
from .reports.evaluate import EvaluateReport, evaluate_report
from .running import Model, opened

CHUNK = 256  # samples that the whole-set evaluation holds at once


def dataset_samples(
    bundle: Bundle, dataset: str | None, data_dir: str | Path | None, split: str
) -> tuple[dict, np.ndarray, str]:
    """Encoded samples {input: integers [S, *shape], over time [S, T, *shape]} and labels of a
    dataset, corrupted and related as the model was trained.
    """
    name = dataset or bundle.training.get("dataset")
    if not isinstance(name, str):
        raise UsageError(
            "the model does not say which dataset it was trained on", fix="give --dataset"
        )
    if is_own(name):
        return own_samples(bundle, name, split)
    hard, task = bool(bundle.training.get("hard")), bundle.training.get("task", "name")
    noise = corruption(hard, bundle.training.get("spoil", "all"))
    pairs = load(name, split=split, data_dir=data_dir, steps=bundle.graph.steps)
    tasks.check_classes(task, pairs, bundle.graph)
    encoded = FrontEnd.from_dict(bundle.frontend).encode_pairs(noise.apply(pairs, 0))
    wanted = [p.name for p in bundle.graph.of_kind("input")]
    missing = sorted(set(wanted) - set(encoded))
    if missing:
        raise DataError("the dataset lacks a modality of the model", where=name, value=missing)
    encoded, labels, _ = tasks.pose(
        task, {n: encoded[n] for n in wanted}, pairs.label, tasks.fixed()
    )
    words = [name, *(["--hard"] if hard else []), *([f"task {task}"] if task != "name" else [])]
    return encoded, labels, f"{' '.join(words)}, {split} split"


def own_samples(
    bundle: Bundle, where: str, split: str
) -> tuple[dict[str, np.ndarray], np.ndarray, str]:
    """As `dataset_samples`, of data of the user's own, cut into parts and encoded as the model's
    were.
    """
    graph, encoding = bundle.graph, encoding_of(bundle)
    if encoding is None:
        what, fix = "the model takes recordings, no values", "give the name of a built-in dataset"
        raise UsageError(what, where=where, fix=fix)
    how = {"sound": "mel", "side": 0, "time": False, "test": 0.2} | bundle.training.get("data", {})
    side, time = how["side"] or None, how["time"] or None
    data = own.load(where, steps=graph.steps, sound=how["sound"], side=side, time=time)
    if data.classes != graph.class_names:
        what, value = "the classes are not those of the model", ", ".join(data.classes) or "none"
        raise DataError(what, where=where, limit=", ".join(graph.class_names), value=value)
    trained, tested = trained_and_tested(data, how["test"])
    part = tested if split == "test" else trained
    inputs = encoded_own(part, encoding)
    missing = sorted({p.name for p in graph.of_kind("input")} - set(inputs))
    if missing:
        raise DataError("the data lack an input of the model", where=where, value=missing)
    wanted = {p.name: inputs[p.name] for p in graph.of_kind("input")}
    return wanted, part.y, f"{portable(where)}, {split} part"


def over_steps(x: np.ndarray, steps: int) -> np.ndarray:
    """[S, T, C, H, W] of frames: those of [S, C, H, W] stand still for all steps."""
    return np.broadcast_to(x[:, None], (len(x), steps, *x.shape[1:])) if x.ndim == 4 else x


def _tested_by_training(
    bundle: Bundle, encoded: dict[str, np.ndarray], labels: np.ndarray, data_dir: str | Path | None
) -> bool:
    """Whether these are the very samples of training's test. A bundle of scmrl 0.1 does not hold
    their hash: there, as many samples from the place that training would look in are taken for the
    same.
    """
    metrics = bundle.metrics
    if "test_sha256" in metrics:
        return metrics["test_sha256"] == fingerprint(encoded, labels)
    return data_dir is None and metrics.get("test_samples", len(labels)) == len(labels)


def evaluate(
    model: Model,
    *,
    dataset: str | None = None,
    split: str = "test",
    data_dir: str | Path | None = None,
    silence: str | None = None,
    progress: Progress | None = None,
) -> EvaluateReport:
    """Run a whole `split` ("train" or "test") of the dataset that the model was trained on, or of
    another one, on the simulator, chunk by chunk, with the front-end stored in the model.

    Its recordings lie in `data_dir`, or where the run remembers them. `silence` cuts the
    populations of that name pattern off, to see what they contribute. `progress` is called with
    (samples done, samples in all). Raises as `scmrl.deploy.jobs`, DataError for recordings that are
    missing or damaged too.

    >>> report = scmrl.evaluate("runs/a")
    >>> report.equals_training, report.accuracy == report.correct / report.samples
    (True, True)
    """
    bundle, name = opened(model)
    graph = bundle.graph.silenced(silence) if silence else bundle.graph
    if "targets" in bundle.training:
        what = "a regression answers with numbers, and evaluate shows classes"
        raise UsageError(what, where=name, fix="its test_r2 is in bundle.json")
    trained_on = bundle.training.get("dataset")
    if not data_dir and not isinstance(model, Bundle):
        data_dir = data_dir_of(model, dataset, trained_on)
    if dataset is None and isinstance(trained_on, str) and is_own(trained_on):
        dataset = dataset_of(None if isinstance(model, Bundle) else model, trained_on)
    encoded, labels, which = dataset_samples(bundle, dataset, data_dir, split)
    check_labels(graph, labels, len(labels), where=which)
    steps, found, parts, weights = graph.steps, [], [], []
    with open_backend("simulator", graph) as simulator:
        for start in range(0, len(labels), CHUNK):
            frames = {name: x[start : start + CHUNK] for name, x in encoded.items()}
            inputs = {name: in_steps(x, graph[name], steps) for name, x in frames.items()}
            activity = simulator.run(inputs)
            found.append(predictions(graph, activity))
            parts.append(count(graph, inputs, activity))
            weights.append(len(found[-1]))
            if progress:
                progress(start + weights[-1], len(labels))
    native = dataset is None or trained_on in (dataset, portable(dataset))
    same = (
        native
        and split == "test"
        and not silence
        and _tested_by_training(bundle, encoded, labels, data_dir)
    )
    origin = Origin(OTHER if not native else HELD_OUT if split == "test" else TRAINING, TRUE)
    report = evaluate_report(
        graph,
        labels,
        np.concatenate(found),
        parts,
        weights,
        model=name,
        selection=which + (f", {silence} silenced" if silence else ""),
        version=activity.version,
        origin=origin,
        training_correct=bundle.metrics.get("test_correct") if same else None,
    )
    return replace(report, bundle=bundle.hash)
