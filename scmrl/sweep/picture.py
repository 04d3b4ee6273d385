"""Pictures of a sweep: accuracy against energy with its Pareto front, and accuracy along each
axis.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.report import drawing
from ..core.report.drawing import LIGHT
from ..core.report.report import Figure
from .space import Axis
from .trials import Trial

SIZE = (6.0, 4.0)


def draw(axes: Sequence[Axis], rows: Sequence[Trial], out: Path, chip: str) -> list[Path]:
    """Write OUT/pareto.svg (where energy is an objective) and OUT/AXIS.svg for every axis of
    numbers; their paths.

    On an axis with several trials per value (seeds, say) the line is the mean, the bar one standard
    deviation.
    """
    done = [row for row in rows if row.validation_accuracy is not None]
    if not done:
        return []
    figures = {"pareto": Figure("", lambda sheet: _pareto(sheet, done, chip), SIZE)} if chip else {}
    for axis in axes:
        if axis.key != "train.seed" and all(
            isinstance(row.parameters[axis.key], (int, float)) for row in done
        ):
            figures[axis.key] = Figure("", lambda sheet, axis=axis: _along(sheet, axis, done), SIZE)
    return [drawing.save(out / f"{name}.svg", each, kind=None) for name, each in figures.items()]


def _accuracy(rows: Sequence[Trial]) -> list[float]:
    return [100 * row.validation_accuracy for row in rows]


def _axis(sheet: Any, label: str) -> Any:
    axis = sheet.subplots()
    axis.set(xlabel=label, ylabel="validation accuracy, %")
    return axis


def _pareto(sheet: Any, rows: Sequence[Trial], chip: str) -> None:
    axis = _axis(sheet, f"core dynamic energy per inference on {chip}, uJ (estimate)")
    axis.scatter([r.energy_uj for r in rows], _accuracy(rows), s=24, color=LIGHT["faint"])
    front = sorted((r for r in rows if r.pareto), key=lambda r: r.energy_uj)
    label = "Pareto front (trial number)"
    axis.plot([r.energy_uj for r in front], _accuracy(front), "o-", color=LIGHT["red"], label=label)
    for r, accuracy in zip(front, _accuracy(front)):
        place = {"xytext": (4, -11), "textcoords": "offset points"}
        axis.annotate(str(r.number), (r.energy_uj, accuracy), **place)
    axis.legend()


def _along(sheet: Any, along: Axis, rows: Sequence[Trial]) -> None:
    axis = _axis(sheet, along.key)
    groups: dict[float, list[Trial]] = {}
    for row in sorted(rows, key=lambda row: row.parameters[along.key]):
        groups.setdefault(row.parameters[along.key], []).append(row)
    accuracies = list(map(_accuracy, groups.values()))
    for value, group in zip(groups, accuracies):
        axis.scatter([value] * len(group), group, s=18, color=LIGHT["faint"])
    if max(map(len, accuracies)) > 1:
        mean = [statistics.mean(group) for group in accuracies]
        spread = [statistics.stdev(group) if len(group) > 1 else 0.0 for group in accuracies]
        axis.errorbar(list(groups), mean, spread, color=LIGHT["ink"], capsize=3, marker="o")
    if along.log:
        drawing.logarithmic(axis)
