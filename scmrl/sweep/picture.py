"""Pictures of a sweep: accuracy against energy with its Pareto front, and accuracy along each
axis.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
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
    figures = {"pareto": Figure("", partial(_pareto, rows=done, chip=chip), SIZE)} if chip else {}
    for axis in axes:
        if axis.key != "train.seed" and all(
            isinstance(row.parameters[axis.key], (int, float)) for row in done
        ):
            figures[axis.key] = Figure("", partial(_along, along=axis, rows=done), SIZE)
    return [drawing.save(out / f"{name}.svg", each, kind=None) for name, each in figures.items()]


def _accuracy(rows: Sequence[Trial]) -> list[float]:
    known = (row.validation_accuracy for row in rows)
    return [100 * accuracy for accuracy in known if accuracy is not None]


def _axis(sheet: Any, label: str) -> Any:
    axis = sheet.subplots()
    axis.set(xlabel=label, ylabel="validation accuracy, %")
    return axis


def _pareto(sheet: Any, rows: Sequence[Trial], chip: str) -> None:
    axis = _axis(sheet, f"core dynamic energy per inference on {chip}, uJ (estimate, alone)")
    axis.scatter([r.energy_uj for r in rows], _accuracy(rows), s=24, color=LIGHT["faint"])
    front = sorted((r for r in rows if r.pareto), key=lambda r: r.energy_uj or 0.0)
    label = "Pareto front (trial number)"
    axis.plot([r.energy_uj for r in front], _accuracy(front), "o-", color=LIGHT["red"], label=label)
    for r, accuracy in zip(front, _accuracy(front)):
        place = {"xytext": (4, -11), "textcoords": "offset points"}
        axis.annotate(str(r.number), (r.energy_uj, accuracy), **place)
    axis.legend()


def _along(sheet: Any, along: Axis, rows: Sequence[Trial]) -> None:
    axis = _axis(sheet, along.key)
    found: dict[float, list[Trial]] = {}
    for row in rows:
        at = row.parameters[along.key]
        if isinstance(at, (int, float)):
            found.setdefault(at, []).append(row)
    groups = {at: found[at] for at in sorted(found)}
    accuracies = list(map(_accuracy, groups.values()))
    for value, group in zip(groups, accuracies):
        axis.scatter([value] * len(group), group, s=18, color=LIGHT["faint"])
    if max(map(len, accuracies)) > 1:
        mean = [statistics.mean(group) for group in accuracies]
        spread = [statistics.stdev(group) if len(group) > 1 else 0.0 for group in accuracies]
        axis.errorbar(list(groups), mean, spread, color=LIGHT["ink"], capsize=3, marker="o")
    if along.log:
        drawing.logarithmic(axis)
