"""What a robustness study found, for the terminal, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.report import drawing
from ...core.report.drawing import LIGHT
from ...core.report.report import Block, Figure, Report, table
from ...core.report.text import figure, percent, source
from ...core.samples import HELD_OUT, TRUE, Origin
from .study import UNITS, Point

WORST = 6  # kinds of disturbance in the headline
COLUMNS = 4  # of panels


@dataclass(frozen=True)
class RobustnessReport(Report):
    """Accuracy of the integer model at every level of every perturbation."""

    command = "robustness"
    model: str
    data: str
    samples: int
    repeats: int
    class_count: int
    points: tuple[Point, ...]
    bundle: str = ""  # the hash of what ran
    origin: Origin = Origin(HELD_OUT, TRUE)  # the test split

    @property
    def clean(self) -> float:
        return next(p.accuracy for p in self.points if p.kind == "clean")

    def headline(self) -> dict[str, str]:
        lines = {
            "accuracy": f"{percent(self.clean)} undisturbed; chance {percent(1 / self.class_count)}"
        }
        worst: dict[str, Point] = {}
        for p in self.points:
            if p.kind != "clean" and (p.kind not in worst or p.accuracy < worst[p.kind].accuracy):
                worst[p.kind] = p
        for p in sorted(worst.values(), key=lambda p: p.accuracy)[:WORST]:
            lines[p.kind] = f"down to {percent(p.accuracy)} at {_level(p)}"
        return lines | {
            "data": f"{self.data}: {self.samples} samples",
            "figures": f"mean ± standard deviation over {self.repeats} draws, integer model",
        }

    def details(self) -> Iterator[Block]:
        yield {"model": source(self.model, self.bundle)}
        for kind in dict.fromkeys(p.kind for p in self.points if p.kind != "clean"):
            rows = [
                (
                    _level(p),
                    f"{percent(p.accuracy)}"
                    + (f" ± {100 * p.spread:.2f}" if p.repeats > 1 else ""),
                    f"{100 * (p.accuracy - self.clean):+.2f}",
                )
                for p in self.points
                if p.kind == kind
            ]
            yield table((kind, "accuracy", "change"), rows, words=(kind,))

    def figures(self) -> Iterator[Figure]:
        kinds = list(dict.fromkeys(p.kind for p in self.points if p.kind != "clean"))
        rows = -(-len(kinds) // COLUMNS)
        yield Figure(
            f"{self.data}: accuracy of the integer model, {figure(self.samples)} samples; lines:"
            " undisturbed, and chance",
            lambda sheet: _draw(sheet, self, kinds),
            (3.1 * min(COLUMNS, len(kinds)), 2.9 * rows),
        )


def _level(point: Point) -> str:
    if isinstance(point.level, str):
        return point.level
    return f"{figure(point.level)} {UNITS.get(point.kind, 'dB')}"


def picture(report: RobustnessReport, path: Path) -> None:
    """Write the figure of a report to a file."""
    drawing.save(path, *report.figures())


def _draw(sheet: Any, report: RobustnessReport, kinds: Sequence[str]) -> None:
    """One panel per perturbation: accuracy over its level, a band of one standard deviation, chance
    and clean.
    """
    columns = min(COLUMNS, len(kinds))
    axes = sheet.subplots(-(-len(kinds) // columns), columns, squeeze=False, sharey=True)
    for ax in axes.flat[len(kinds) :]:
        ax.set_axis_off()
    for kind, ax in zip(kinds, axes.flat):
        _panel(ax, report, kind, [p for p in report.points if p.kind == kind])
    for row in axes:
        row[0].set_ylabel("accuracy, %")


def _panel(ax: Any, report: RobustnessReport, kind: str, points: list[Point]) -> None:
    mean, spread = [100 * p.accuracy for p in points], [100 * p.spread for p in points]
    ax.axhline(100 * report.clean, color=LIGHT["faint"], linewidth=1)
    ax.axhline(100 / report.class_count, color=LIGHT["faint"], linewidth=1, linestyle=":")
    if kind == "missing":
        ax.bar([p.level for p in points], mean, color=LIGHT["blue"], width=0.5)
    else:
        x = [p.level for p in points]
        ax.errorbar(x, mean, spread, color=LIGHT["blue"], marker="o", markersize=4, capsize=2)
        if kind in UNITS:
            drawing.logarithmic(ax)
        else:
            ax.invert_xaxis()  # to the right it gets worse, as in the other panels
    ax.set_ylim(0, 103)
    ax.set_title(kind, fontsize=10)
    ax.set_xlabel(UNITS.get(kind, "dB"))
