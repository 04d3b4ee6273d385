"""netx -> bundle: a network of lava-dl, as the integers that it is.

hdf5.read         HDF5 -> groups, safely
layers.layers     groups -> layers, every dataset known or refused by name
reading.graph_of  layers -> the graph, exact
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from ...core.activity import check_labels
from ...core.bundle import Bundle
from ...core.reference import run
from ...core.samples import GIVEN, MADE_UP, NONE, TRUE, Origin, read_samples
from ...system import targets
from ...system.errors import DataError, UsageError
from ..frame.hdf5 import READ_LIMIT_BYTES, read
from .layers import layers
from .reading import INPUT, graph_of
from .report import NetxReport, rows

Samples = Mapping[str, np.ndarray] | str | Path | None
DEFAULT_STEPS = 32
STAND_IN_SAMPLES = 8  # random spikes, where there are no samples
RUN_VALUES = 1 << 25  # samples x steps x neurons that are run for rates: 8 bytes each
BITS = 16  # of an input's values


def import_netx(
    file: str | Path,
    *,
    out: str | Path | None = None,
    samples: Samples = None,
    steps: int | None = None,
    force: bool = False,
    limit: int = READ_LIMIT_BYTES,
) -> tuple[Bundle, NetxReport]:
    """Read a netx file of lava-dl, and write the bundle to `out` (None: nowhere); it holds the
    samples, or random spikes.

    `samples`: `x` [S, T, ...] of whole numbers from 0 on and optionally labels `y` [S], in a dict
    or an npz file; they set the width of the input, and `steps` (T). `force` replaces a bundle that
    is there. Raises `BundleError` for what is no netx file, `GraphError` naming the layer and the
    dataset that are not taken, `DataError` for samples that do not fit, `UsageError` for what may
    not be written.

    >>> bundle, report = import_netx("exports/netx/netx/model.net", steps=4)
    >>> bundle.graph.steps, bundle.graph.of_kind("input")[0].name
    (4, 'input')
    """
    if out is not None:
        targets.check(Path(out), "bundle", force=force)
    if steps is not None and steps < 1:
        raise UsageError("at least one step is needed", where="steps", value=steps)
    found = layers(read(file, "netx", limit=limit), file)
    x, y = (None, None) if samples is None else _samples(samples, steps)
    bits = 1 if x is None else max(1, int(x.max()).bit_length())
    steps = steps or (DEFAULT_STEPS if x is None else x.shape[1])
    graph, notes = graph_of(found, steps, bits, None if x is None else x.shape[2:])
    shape = graph[INPUT].shape
    x = _stand_in(steps, shape) if x is None else _fitting(x, shape)
    where = "samples: y" if samples is None or isinstance(samples, Mapping) else f"{samples}: y"
    labels = (
        np.zeros(len(x), np.int64) if y is None else check_labels(graph, y, len(x), where=where)
    )
    origin = Origin(MADE_UP if samples is None else GIVEN, NONE if y is None else TRUE)
    training = {"imported": Path(file).name, "format": "netx"}
    bundle = Bundle(graph, {INPUT: x}, labels, training=training, origin=origin)
    report = _report(bundle, Path(file).name, len(found), notes)
    if out is not None:
        bundle.save(Path(out))
    return bundle, replace(report, bundle=bundle.hash)


def _samples(given: Samples, steps: int | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Values uint8 or uint16 [S, T, ...], and labels [S] where there are some. Raises
    `DataError`.
    """
    arrays, labels = read_samples(given or {}, [INPUT])
    if set(arrays) != {INPUT}:
        raise DataError(
            "samples must hold the one input", value=sorted(arrays), limit="x, or input"
        )
    x = np.asarray(arrays[INPUT])
    if x.dtype.kind not in "fiub" or x.ndim < 3 or min(x.shape) < 1:
        raise DataError(
            "samples have the wrong shape or type",
            where="x",
            limit="[S, T, ...]",
            value=f"{x.dtype} {list(x.shape)}",
        )
    if steps is not None and steps > x.shape[1]:
        raise UsageError("samples are shorter", where="steps", limit=x.shape[1], value=steps)
    x = x[:, :steps]
    low, high = float(x.min()), float(x.max())
    whole = x.dtype.kind != "f" or bool((x == np.trunc(x)).all())
    if not (whole and 0 <= low <= high < 1 << BITS):
        raise DataError(
            "netx takes whole numbers from 0 on",
            where="x",
            limit=f"0..{(1 << BITS) - 1}",
            value=f"{low:g}..{high:g}",
        )
    return x.astype(np.uint8 if high < 256 else np.uint16), labels


def _fitting(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Values as [S, T, *shape]."""
    if prod(x.shape[2:]) != prod(shape):
        limit = f"[S, T, {', '.join(map(str, shape))}]"
        raise DataError("samples do not fit the input", where="x", limit=limit, value=list(x.shape))
    return x.reshape(*x.shape[:2], *shape)


def _stand_in(steps: int, shape: tuple[int, ...]) -> np.ndarray:
    """Random spikes."""
    random = np.random.default_rng(0)
    return (random.random((STAND_IN_SAMPLES, steps, *shape)) < 0.5).astype(np.uint8)


def _report(bundle: Bundle, file: str, number: int, notes: tuple[str, ...]) -> NetxReport:
    """Rates and overflow of the first samples, as many as fit the bound on what is run."""
    graph, x = bundle.graph, bundle.inputs[INPUT]
    each = x.shape[1] * sum(p.neurons for p in graph.populations)
    ran = min(len(x), STAND_IN_SAMPLES, max(1, RUN_VALUES // each))
    populations = rows(graph, run(graph, {INPUT: x[:ran]}))
    return NetxReport(
        "netx",
        file,
        graph.steps,
        number,
        neurons=sum(p.neurons for p in graph.populations if p.kind != "input"),
        synapses=sum(p.weights for p in populations),
        bits=graph[INPUT].bits,
        samples=len(x),
        ran=ran,
        origin=bundle.origin,
        populations=populations,
        notes=notes,
    )
