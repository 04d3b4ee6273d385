"""What a model is run on: samples that it holds, or samples of the user.

Where a model has an encoding of values (`data.features.values`), it takes values, as floats or
whole numbers, and encodes them. Integers are ambiguous:

    step 1, zero 0      the two are the same
    step 1              unsigned ones are its own, encoded already; signed ones are values
    another step        its own, where all are within its bits; else values, where at most 1 % of
                        them lie beyond the scale; else refused

What they were taken for is said in the selection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.activity import Activity, check_inputs, check_labels
from ..core.bundle import Bundle
from ..core.report.text import percent
from ..core.samples import GIVEN, NONE, TRUE, Origin, read_samples
from ..data.features.values import (
    ValueEncoding,
    ValueScale,
    encoding_of,
    in_steps,
    numbers,
)
from ..system.errors import DataError, UsageError

# {input: integers [S, T, ...], or values where the model has a scale for them}, or an npz of them
Given = Mapping[str, np.ndarray] | str | Path

CLIPPED = 0.01  # of integers beyond a scale, at most: more are on another one


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
    arrays, how = as_integers(bundle, arrays)
    if encoding_of(bundle) is not None:
        shapes = {p.name: p for p in bundle.graph.of_kind("input")}
        steps = bundle.graph.steps
        arrays |= {n: in_steps(x, shapes[n], steps) for n, x in arrays.items() if n in shapes}
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
        f"given samples 1 to {total} of {there if file is None else file.name}{how}",
        Origin(GIVEN, NONE if labels is None else TRUE),
    )


def as_integers(
    bundle: Bundle, arrays: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], str]:
    """Arrays of the inputs' integers, and in words what became of them: values are encoded where
    the model has a scale for them, all else is as it was.

    Raises DataError for values that are not finite, and integers beyond the input's range.
    """
    encoding = encoding_of(bundle)
    scales = {} if encoding is None else encoding.scales
    inputs = {p.name for p in bundle.graph.of_kind("input")}
    given = {n: numbers(x, n) for n, x in arrays.items() if n in inputs & scales.keys()}
    if encoding is None or not given:
        return dict(arrays), ""
    values = {name: x for name, x in given.items() if _are_values(name, scales[name], x)}
    return {**arrays, **encoding.encode(values)}, _how(encoding, given, values)


def _are_values(name: str, scale: ValueScale, x: np.ndarray) -> bool:
    """Whether an array of an input holds values, to be encoded, or the model's own integers.

    Raises DataError for integers that can be neither.
    """
    if x.dtype.kind == "f" or not x.size:
        return True
    if scale.step == 1:
        return x.dtype.kind == "i" and scale.zero != 0
    if 0 <= x.min() <= x.max() <= scale.largest:
        return False
    if scale.beyond(x) <= CLIPPED * x.size:
        return True
    raise DataError(
        "integers are neither the model's own nor on its scale",
        where=name,
        limit=f"0..{scale.largest}, or {scale.low:.4g}..{scale.high:.4g}",
        value=f"{int(x.min())}..{int(x.max())}",
        fix="give values in the unit that the scale was fitted on, or as floats",
    )


def _how(
    encoding: ValueEncoding, given: Mapping[str, np.ndarray], values: Mapping[str, np.ndarray]
) -> str:
    """What was encoded and what was not; nothing where that makes no difference."""
    words, beyond = "", sum(encoding.scales[name].beyond(x) for name, x in values.items())
    if values:
        kind = "floats" if all(x.dtype.kind == "f" for x in values.values()) else "values"
        words += f", {kind} encoded by the model's scale"
    if beyond:
        part = beyond / sum(x.size for x in values.values())
        words += f", {percent(part)} of them beyond it and clipped"
    own = [encoding.scales[name] for name in given.keys() - values.keys()]
    if any(scale.step != 1 or scale.zero for scale in own):
        words += ", integers taken as encoded already"
    return words
