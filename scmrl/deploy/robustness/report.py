"""What a robustness study found, for the terminal, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...core.report.report import Report, percent, source, table
from ...core.samples import HELD_OUT, TRUE, Origin
from ...system.errors import MissingDependency
from ...system.storage import write_figure
from ...system.targets import check_ending
from .study import UNITS, Point

WORST = 6  # kinds of disturbance in the headline
INK, LINE, GREY = "#22303c", "#1f6f8b", "#8fa3b0"


@dataclass(frozen=True)
class RobustnessReport(Report):
    """Accuracy of the integer model at every level of every perturbation."""

    command = "robustness"
    model: str
    data: str
    samples: int
    repeats: int
    classes: int
    points: tuple[Point, ...]
    bundle: str = ""  # the hash of what ran
    origin: Origin = Origin(HELD_OUT, TRUE)  # the test split

    @property
    def clean(self) -> float:
        return next(p.accuracy for p in self.points if p.kind == "clean")

    def headline(self) -> dict[str, str]:
        lines = {
            "accuracy": f"{percent(self.clean)} undisturbed; chance {percent(1 / self.classes)}"
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

    def details(self) -> Iterator[object]:
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


def _level(point: Point) -> str:
    if isinstance(point.level, str):
        return point.level
    return f"{point.level:g} {UNITS.get(point.kind, 'dB')}"


def picture(report: RobustnessReport, path: Path) -> None:
    """One panel per perturbation: accuracy over its level, a band of one standard deviation, chance
    and clean.
    """
    check_ending(path, "picture")
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise MissingDependency("matplotlib", enables="pictures") from None
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "scmrl"
    from matplotlib import pyplot

    kinds = list(dict.fromkeys(p.kind for p in report.points if p.kind != "clean"))
    columns = min(4, len(kinds))
    figure, axes = pyplot.subplots(
        -(-len(kinds) // columns),
        columns,
        figsize=(3.1 * columns, 2.9 * -(-len(kinds) // columns)),
        layout="constrained",
        squeeze=False,
        sharey=True,
    )
    for ax in axes.flat[len(kinds) :]:
        ax.set_axis_off()
    for kind, ax in zip(kinds, axes.flat):
        _panel(ax, report, kind, [p for p in report.points if p.kind == kind])
    for row in axes:
        row[0].set_ylabel("accuracy, %")
    figure.suptitle(
        f"{report.data}: integer model, {report.samples} samples", fontsize=10, color=INK
    )
    write_figure(path, figure, 150)
    pyplot.close(figure)


def _panel(ax, report: RobustnessReport, kind: str, points: list[Point]) -> None:
    mean, spread = [100 * p.accuracy for p in points], [100 * p.spread for p in points]
    ax.axhline(100 * report.clean, color=GREY, linewidth=1)
    ax.axhline(100 / report.classes, color=GREY, linewidth=1, linestyle=":")
    if kind == "missing":
        ax.bar([p.level for p in points], mean, color=LINE, width=0.5)
    else:
        x = [p.level for p in points]
        ax.errorbar(x, mean, spread, color=LINE, marker="o", markersize=4, capsize=2)
        if kind in UNITS:
            ax.set_xscale("log")
        else:
            ax.invert_xaxis()  # to the right it gets worse, as in the other panels
    ax.set_ylim(0, 103)
    ax.set_title(kind, fontsize=10, color=INK)
    ax.set_xlabel(UNITS.get(kind, "dB"), fontsize=9)
    ax.spines[["top", "right"]].set_visible(False)
