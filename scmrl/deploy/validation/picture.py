"""A picture of the validation: estimates against measurements, with their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.report import drawing
from ...core.report.drawing import LIGHT
from ...core.report.report import Figure
from .cases import Case
from .report import KIND_TEXTS, OWN, ValidationReport, label

GREY, INSIDE, OUTSIDE = LIGHT["faint"], LIGHT["blue"], LIGHT["red"]
MARKS = {"complete": "o", "bounded": "s", "floor": "^"}
ENDLESS = 30.0  # times the measurement: how far a range without an end is drawn


def draw(report: ValidationReport, path: Path) -> None:
    """Left: energies in uJ, estimate against measurement. Right: every case over its measurement.
    Logarithmic; bars are the ranges, arrows those without an upper end."""
    shown = [c for c in report.cases if c.kind != "fitted" and c.profile in OWN]

    def both(sheet: Any) -> None:
        plane, rows = sheet.subplots(1, 2, width_ratios=(1, 1.1))
        _draw_plane(plane, shown)
        _draw_rows(rows, shown)

    drawing.save(path, Figure("", both, (10.5, 0.22 * len(shown) + 1.2)))


def _draw_plane(axis: Any, shown: Sequence[Case]) -> None:
    for number, c in enumerate(shown, 1):
        if c.unit == "uJ":
            _draw_case(axis, c, c.measured, 1.0)
            axis.annotate(
                str(number),
                (c.measured, _middle(c)),
                xytext=(4, -8),
                textcoords="offset points",
                fontsize=6,
            )
    axis.set(xscale="log", yscale="log", xlabel="measured, uJ", ylabel="estimate, uJ")
    span = axis.get_xlim()
    axis.plot(span, span, color=GREY, linewidth=1, zorder=0)
    for kind, mark in MARKS.items():
        axis.plot([], [], mark, color=INSIDE, markersize=4, label=KIND_TEXTS[kind])
    axis.plot([], [], "o", color=OUTSIDE, markersize=4, label="measurement outside the range")
    axis.legend(frameon=False, loc="upper left")
    for side in (axis.xaxis, axis.yaxis):
        side.set_ticks([1, 100, 10_000, 1_000_000])
        side.set_major_formatter("{x:,.0f}")


def _draw_rows(axis: Any, shown: Sequence[Case]) -> None:
    for row, c in enumerate(shown):
        _draw_case(axis, c, row, c.measured, flat=True)
    axis.axvline(1, color=GREY, linewidth=1, zorder=0)
    axis.set(xscale="log", ylim=(len(shown) - 0.5, -0.5), xlabel="estimate over measurement")
    axis.set_yticks(
        range(len(shown)), [f"{label(c)}  {number}" for number, c in enumerate(shown, 1)]
    )
    axis.xaxis.set_major_formatter("{x:g}")


def _middle(c: Case) -> float:
    low, high = c.estimate
    return low if high is None else (low * high) ** 0.5


def _draw_case(axis: Any, c: Case, at: float, unit: float, *, flat: bool = False) -> None:
    """Estimate and range of a case in multiples of `unit`, at a position of the other axis."""
    colour = OUTSIDE if c.inside is False else INSIDE
    low, high = c.range
    if low is None:
        low, high = c.estimate
    ends = [low / unit, (high or max(low, c.measured) * (ENDLESS if flat else 3)) / unit]
    points: list[tuple[list[float], list[float], str | None]] = [
        ([at, at], ends, None),
        ([at], [_middle(c) / unit], MARKS[c.kind]),
    ]
    if high is None:
        points.append(([at], ends[1:], ">" if flat else "^"))
    for x, y, mark in points:
        axis.plot(
            *((y, x) if flat else (x, y)), color=colour, linewidth=1, marker=mark, markersize=4
        )
