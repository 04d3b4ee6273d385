"""Samples of the user's own, checked: equal numbers of them, finite, labels that are classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.samples import BESIDE
from ...system.errors import DataError, nearest
from ..features.values import as_array, numbers
from .parts import PARTS, parted

CLASSES = 100_000  # at most


@dataclass(frozen=True, eq=False)
class OwnData:
    """S samples with a label or targets each.

    inputs:  {input: numbers [S, ...], or [S, T, ...] where `time`}, integers or floats
    y:       int64 [S], a class each, or float64 [S, K], targets of a regression
    classes: names of the classes (default: their numbers); empty for a regression
    part:    "train", "validation" or "test" of each sample [S], or None: parts are made
    group:   [S]: samples of one group never part, or None
    time:    whether the second axis of every input is time
    name:    of the data, in reports

    Raises DataError where these make no sense or do not fit together.
    """

    inputs: dict[str, np.ndarray]
    y: np.ndarray
    classes: tuple[str, ...] = ()
    part: np.ndarray | None = None
    group: np.ndarray | None = None
    time: bool = False
    name: str = "own data"

    def __post_init__(self) -> None:
        if not isinstance(self.inputs, Mapping) or not self.inputs:
            raise DataError(
                "there is no input", where="inputs", fix="give x, or an array per input"
            )
        inputs = {str(n): _input(x, str(n), self.time) for n, x in self.inputs.items()}
        sizes = {name: x.shape[: 1 + self.time] for name, x in inputs.items()}
        if len(set(sizes.values())) > 1:
            what = "inputs differ in samples or steps" if self.time else "inputs differ in samples"
            raise DataError(what, value={name: list(size) for name, size in sizes.items()})
        samples = len(next(iter(inputs.values())))
        y, classes = _labels(self.y, self.classes, samples)
        part = None if self.part is None else _column(self.part, "part", samples)
        if part is not None and (odd := sorted(set(part.tolist()) - set(PARTS))):
            what, limit = "a sample's part is none", ", ".join(PARTS)
            raise DataError(what, where="part", limit=limit, value=odd[0])
        group = None if self.group is None else _column(self.group, "group", samples)
        checked = {"inputs": inputs, "y": y, "classes": classes, "part": part, "group": group}
        for field, value in (checked | {"time": bool(self.time)}).items():
            object.__setattr__(self, field, value)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def regression(self) -> bool:
        """Whether `y` are targets, not classes."""
        return self.y.dtype.kind == "f"

    @property
    def steps(self) -> int:
        """T of samples over time, or 1."""
        return next(iter(self.inputs.values())).shape[1] if self.time else 1

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """{input: its shape at one step}; one number a step is a shape of (1,)."""
        return {name: x.shape[1 + self.time :] or (1,) for name, x in self.inputs.items()}

    def take(self, rows: np.ndarray) -> OwnData:
        """The samples at `rows` (integers or booleans), in that order."""
        return dataclasses.replace(
            self,
            inputs={name: x[rows] for name, x in self.inputs.items()},
            y=self.y[rows],
            part=None if self.part is None else self.part[rows],
            group=None if self.group is None else self.group[rows],
        )

    def over_time(self, time: bool | None) -> OwnData:
        """The same, said to be over time or not (None: as it is)."""
        return self if time is None else dataclasses.replace(self, time=time)

    def filled(self) -> OwnData:
        """Itself. Raises DataError where there is no sample."""
        if not len(self):
            raise DataError("there are no samples")
        return self

    def split(
        self, seed: int = 0, validation: float = 0.1, test: float = 0.2
    ) -> dict[str, OwnData]:
        """{"train", "validation", "test"}: the parts that are given, and what of validation and
        test is not given held out of the training samples: that share of them, drawn by `seed`,
        from every class alike, whole groups. A share of 0 gives an empty part.

        Raises UsageError for shares that leave nothing, DataError where a group stands in two
        parts, or a class is missing in training.
        """
        labels = np.zeros(len(self), np.int64) if self.regression else self.y
        shares = {"test": test, "validation": validation}
        part = parted(labels, self.part, self.group, shares, seed, self.classes)
        whole = dataclasses.replace(self, part=part)
        return {name: whole.take(part == name) for name in PARTS}


def of_arrays(
    arrays: Mapping[str, Any], name: str, time: bool | None = None, labelled: bool = True
) -> OwnData:
    """From a dict of the keys of an npz (`data.own`); where labels may be missing they are 0.
    Raises DataError.
    """
    beside = ("y", *BESIDE)
    inputs = {key: x for key, x in arrays.items() if key not in beside}
    if "y" not in arrays and not labelled and inputs:
        count = len(as_array(next(iter(inputs.values())), next(iter(inputs))))
        arrays = {**arrays, "y": np.zeros(count, np.int64)}
    if "y" not in arrays:
        fix = nearest("y", map(str, arrays)) if arrays else "give x and y"
        raise DataError("there are no labels: key y is missing", fix=fix)
    said = as_array(arrays.get("time", False), "time")
    if said.shape != () or said.item() not in (False, True):
        raise DataError("true or false", where="time", value=said)
    classes = _column(arrays.get("classes", np.empty(0, "U1")), "classes")
    return OwnData(
        inputs,
        arrays["y"],
        tuple(map(str, classes)),
        arrays.get("part"),
        arrays.get("group"),
        bool(said) if time is None else time,
        name,
    )


def _input(values: Any, name: str, time: bool) -> np.ndarray:
    """One input: numbers [S, ...] or [S, T, ...], at least one a sample."""
    x = numbers(values, name)
    x = x.astype(np.uint8) if x.dtype.kind == "b" else x
    least, form = (2, "[S, T, ...]") if time else (1, "[S, ...]")
    if x.ndim < least or 0 in x.shape[1:]:
        raise DataError("wrong shape", where=name, limit=form, value=list(x.shape))
    return x


def _labels(
    values: Any, names: tuple[str, ...], samples: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(classes int64 [S] and their names, or targets float64 [S, K] and none)."""
    y = numbers(values, "y")
    if y.dtype.kind == "f":
        y = y[:, None] if y.ndim == 1 else y
        if y.ndim != 2 or not y.shape[1] or len(y) != samples:
            raise _unequal("y", f"[{samples}] or [{samples}, K]", y)
        if names:
            fix = "give integers as classes"
            raise DataError("targets have no classes", where="classes", value=list(names), fix=fix)
        return y.astype(np.float64), ()
    if y.shape != (samples,):
        raise _unequal("y", f"[{samples}]", y)
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise DataError("two classes of one name", where="classes", value=twice)
    low, high = (int(y.min()), int(y.max())) if samples else (0, -1)
    most = len(names) or CLASSES
    if low < 0 or high >= most:
        limit, value = f"0..{most - 1}", f"{low}..{high}"
        raise DataError("labels are no classes", where="y", limit=limit, value=value)
    return y.astype(np.int64), names or tuple(map(str, range(high + 1)))


def _column(values: Any, name: str, samples: int | None = None) -> np.ndarray:
    """Texts or integers [S], or as many as there are."""
    column = as_array(values, name)
    if column.dtype.kind not in "Uiu":
        raise DataError("texts or integers", where=name, value=column.dtype)
    if column.ndim != 1 or samples not in (None, len(column)):
        raise _unequal(name, f"[{samples}]", column)
    return column


def _unequal(name: str, form: str, x: np.ndarray) -> DataError:
    return DataError("not one for each sample", where=name, limit=form, value=list(x.shape))
