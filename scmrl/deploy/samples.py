"""What a model is run on: samples that it holds, or samples of the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.activity import Activity, check_inputs, check_labels
from ..core.bundle import Bundle
from ..core.samples import GIVEN, NONE, TRUE, Origin, read_samples
from ..system.errors import UsageError

Given = Mapping[str, np.ndarray] | str | Path  # {input: integers [S, T, ...]}, or an npz of them


@dataclass(frozen=True)
class Samples:
    """Inputs {name: int [S, T, *shape]}, labels int64 [S] or None, training's spikes for them or
    None, which they are in words, and where they come from.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray | None
    trained: Activity | None
    selection: str
    origin: Origin


def choose(
    bundle: Bundle,
    wanted: int | None,
    given: Given | None = None,
    labels: np.ndarray | None = None,
) -> Samples:
    """The first `wanted` (None: all) samples of the bundle, or of those that are `given`: `x`
    [S, T, ...] or an array per input, and optionally labels, in the file as `y` [S].

    Raises UsageError for more samples than there are, DataError for what does not fit the inputs.
    """
    if wanted is not None and wanted < 1:
        raise UsageError("at least one sample is needed", where="--samples", value=wanted)
    if given is not None:
        return _given(bundle, wanted, given, labels)
    if labels is not None:
        raise UsageError("labels without samples", where="labels", fix="give inputs too")
    available = bundle.samples
    if wanted is not None and wanted > available:
        raise UsageError(
            "more samples than the model holds",
            where="--samples",
            limit=available,
            value=wanted,
            fix="give other samples with --input, or train with a larger held_out",
        )
    n = wanted or available
    trained = bundle.trained and Activity(
        {name: s[:n] for name, s in bundle.trained.spikes.items()},
        {name: v[:n] for name, v in bundle.trained.membrane.items()},
        bundle.trained.backend,
        bundle.trained.version,
    )
    return Samples(
        {name: x[:n] for name, x in bundle.inputs.items()},
        None if bundle.origin.labels == NONE else bundle.labels[:n],
        trained,
        f"{bundle.origin.adjective} samples 1 to {n} of {available}",
        bundle.origin,
    )


def _given(bundle: Bundle, wanted: int | None, given: Given, labels: np.ndarray | None) -> Samples:
    file = None if isinstance(given, Mapping) else Path(given)
    arrays, with_them = read_samples(given, [p.name for p in bundle.graph.of_kind("input")])
    labels = with_them if labels is None else np.asarray(labels)
    inputs = check_inputs(bundle.graph, arrays)
    there = len(next(iter(inputs.values())))
    if wanted is not None and wanted > there:
        raise UsageError(
            "more samples than the file holds", where="--samples", limit=there, value=wanted
        )
    total = wanted or there
    inputs = {name: x[:total] for name, x in inputs.items()}
    if labels is not None:
        where = "labels" if file is None else f"{file}: y"
        labels = check_labels(bundle.graph, labels, there, where=where)[:total]
    return Samples(
        inputs,
        labels,
        None,
        f"given samples 1 to {total} of {there if file is None else file.name}",
        Origin(GIVEN, NONE if labels is None else TRUE),
    )
