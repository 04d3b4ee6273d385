"""A model on a whole split of a dataset: the accuracy that training reports, from the integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core.activity import check_labels, predictions
from ..core.bundle import Bundle
from ..core.samples import HELD_OUT, OTHER, TRAINING, TRUE, Origin, fingerprint
from ..data import FrontEnd, load
from ..data.features import tasks
from ..data.features.corruption import corruption
from ..data.features.values import encoding_of, in_steps
from ..data.remembered import data_dir_of, dataset_of
from ..system.errors import DataError, UsageError
from .backends.backend import Progress
from .counts.counts import count
from .own import own_samples
from .registry import open_backend
from .reports.evaluate import EvaluateReport, evaluate_report
from .running import Model, opened

CHUNK = 256  # samples that the whole-set evaluation holds at once


def dataset_samples(
    bundle: Bundle, dataset: str | None, data_dir: str | Path | None, split: str
) -> tuple[dict, np.ndarray, str]:
    """Encoded samples {input: uint8 [S, C, H, W], over time [S, T, C, H, W]} and labels of a
    dataset, corrupted and related as the model was trained.
    """
    name = dataset or bundle.training.get("dataset")
    if not isinstance(name, str):
        raise UsageError(
            "the model does not say which dataset it was trained on", fix="give --dataset"
        )
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
        task, {n: encoded[n] for n in wanted}, pairs.label, tasks.fixed(), bundle.graph.steps
    )
    words = [name, *(["--hard"] if hard else []), *([f"task {task}"] if task != "name" else [])]
    return encoded, labels, f"{' '.join(words)}, {split} split"


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


def _samples(
    model: Model, bundle: Bundle, dataset: str | None, data_dir: str | Path | None, split: str
) -> tuple[dict, np.ndarray, str, Origin]:
    """`dataset_samples` or, for a model that takes values, `own_samples`; and their origin."""
    encoding, trained_on = encoding_of(bundle), bundle.training.get("dataset")
    if encoding is not None:
        if data_dir is not None:
            fix = "give the path of the data as --dataset"
            raise UsageError("the user's own data lie at their path", where="--data-dir", fix=fix)
        if dataset is None and isinstance(trained_on, str) and not isinstance(model, Bundle):
            dataset = dataset_of(model, trained_on)
        found = own_samples(bundle, encoding, dataset, split)
        return found.inputs, found.labels, found.which, found.origin
    if not data_dir and not isinstance(model, Bundle):
        data_dir = data_dir_of(model, dataset, trained_on)
    encoded, labels, which = dataset_samples(bundle, dataset, data_dir, split)
    own = dataset in (None, trained_on)
    origin = Origin(OTHER if not own else HELD_OUT if split == "test" else TRAINING, TRUE)
    return encoded, labels, which, origin


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
    another one, on the simulator, chunk by chunk, with the front-end stored in the model. `dataset`
    is a name or, for a model that takes values, data as for `scmrl.data.own.load`.

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
    encoded, labels, which, origin = _samples(model, bundle, dataset, data_dir, split)
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
    same = (
        origin.samples == HELD_OUT
        and not silence
        and _tested_by_training(bundle, encoded, labels, data_dir)
    )
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
