"""What an import is calibrated and compared on: values by input, labels, and the framework's own
results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np

from ....core.samples import only_x, read_samples
from ....system.errors import DataError
from ....system.reading import read_arrays
from .floats.maps import Shape
from .floats.network import Network

Calibration = np.ndarray | dict[str, np.ndarray] | None
STEPS = 32  # of a sample, where there is no calibration data
STAND_IN_SAMPLES = 8  # random spikes, where there is no calibration data
CLASSES = "classes"


@dataclass(frozen=True)
class Golden:
    """The framework's own results on the samples: spikes [S, T, *shape] by node, classes [S]."""

    spikes: dict[str, np.ndarray] = field(default_factory=dict)
    classes: np.ndarray | None = None

    def __bool__(self) -> bool:
        return bool(self.spikes) or self.classes is not None


def calibration(
    floats: Network, given: str | Path | Mapping[str, np.ndarray], where: str
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Calibration values by input name and their labels int64 [S], from an npz or as given. Labels
    are `y`; where an input has that name, `labels`.
    """
    arrays, labels = read_samples(given, [n.name for n in floats.inputs])
    if labels is None:
        return arrays, None
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        value = f"{labels.dtype} {labels.shape}"
        raise DataError("labels must be integers [S]", where=where, value=value)
    return arrays, labels.astype(np.int64)


def by_input(floats: Network, values: Calibration) -> dict[str, np.ndarray] | None:
    """Calibration by input name, [S, T, *shape]. Raises `DataError`."""
    if values is None:
        return None
    wanted = {n.name: n.shape for n in floats.inputs}
    if not isinstance(values, dict):
        values = {"x": values}
    if only_x(values, list(wanted)):
        values = dict.fromkeys(wanted, values["x"])
    if set(values) != set(wanted):
        raise DataError(
            "calibration data must hold every input", value=sorted(values), limit=sorted(wanted)
        )
    arrays = {name: _values(name, values[name], shape) for name, shape in wanted.items()}
    sizes = {name: list(x.shape[:2]) for name, x in arrays.items()}
    if len(set(map(tuple, sizes.values()))) > 1:
        raise DataError("inputs differ in samples or steps", value=sizes)
    return arrays


def _values(name: str, values: np.ndarray, shape: Shape) -> np.ndarray:
    """The calibration of one input, [S, T, *shape]."""
    x = np.asarray(values)
    fits = x.ndim >= 2 and min(x.shape) >= 1 and prod(x.shape[2:]) == prod(shape)
    if x.dtype.kind not in "fiub" or not fits:
        raise DataError(
            "calibration data has the wrong shape or type",
            where=name,
            limit=f"[S, T, {', '.join(map(str, shape))}]",
            value=f"{x.dtype} {list(x.shape)}",
        )
    x = x.reshape(*x.shape[:2], *shape)
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise DataError("calibration data is not finite", where=name)
    return x


def stand_in(floats: Network, steps: int) -> dict[str, np.ndarray]:
    """Random spikes."""
    random = np.random.default_rng(0)
    return {
        n.name: (random.random((STAND_IN_SAMPLES, steps, *n.shape)) < 0.5).astype(np.uint8)
        for n in floats.inputs
    }


def golden(
    floats: Network, given: str | Path | Mapping[str, np.ndarray] | None, size: tuple[int, int]
) -> Golden:
    """The framework's own results, from an npz or as given: arrays by node name, or `classes`.
    `size`: samples and steps. Raises `DataError`.
    """
    if given is None:
        return Golden()
    where = "golden" if isinstance(given, Mapping) else str(given)
    arrays = (
        dict(given) if isinstance(given, Mapping) else read_arrays(Path(given), error=DataError)
    )
    spiking = {n.name: n for n in floats.neurons if n.kind == "spiking"}
    classes = None if CLASSES in spiking else arrays.pop(CLASSES, None)
    if classes is not None and (classes.shape != size[:1] or classes.dtype.kind not in "iu"):
        raise DataError(
            "classes must be integers, one for each sample",
            where=f"{where}: {CLASSES}",
            limit=list(size[:1]),
            value=f"{classes.dtype} {list(classes.shape)}",
        )
    spikes = {}
    for name, x in arrays.items():
        if name not in spiking:
            raise DataError(
                "no spiking node has this name",
                where=f"{where}: {name}",
                fix=f"name one of {', '.join([*spiking, CLASSES])}",
            )
        shape = spiking[name].shape
        if x.shape[:2] != size or prod(x.shape[2:]) != prod(shape) or x.dtype.kind not in "fiub":
            raise DataError(
                "golden spikes have the wrong shape or type",
                where=f"{where}: {name}",
                limit=[*size, *shape],
                value=f"{x.dtype} {list(x.shape)}",
            )
        spikes[name] = x.reshape(*size, *shape)
    return Golden(spikes, classes)
