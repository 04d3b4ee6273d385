"""Pictures of a sweep: accuracy against energy with its Pareto front, and accuracy along each
axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..system.errors import MissingDependency
from ..system.storage import write_figure
from .space import Axis
from .trials import Trial

INK, FRONT, GREY = "#22303c", "#d1495b", "#8fa3b0"


def draw(axes: Sequence[Axis], rows: Sequence[Trial], out: Path, chip: str) -> list[Path]:
    """Write OUT/pareto.svg (where energy is an objective) and OUT/AXIS.svg for every axis of
    numbers; their paths.

    On an axis with several trials per value (seeds, say) the line is the mean, the bar one standard
    deviation.
    """
    done = [row for row in rows if row.validation_accuracy is not None]
    if not done:
        return []
    written = [_pareto(done, out / "pareto.svg", chip)] if chip else []
    for axis in axes:
        if axis.key != "train.seed" and all(
            isinstance(row.parameters[axis.key], (int, float)) for row in done
        ):
            written.append(_along(axis, done, out / f"{axis.key}.svg"))
    return written


def _figure():
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise MissingDependency("matplotlib", enables="pictures") from None
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "scmrl"  # the same picture for the same figures
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel("validation accuracy, %")
    return pyplot, figure, axes


def _save(pyplot, figure, path: Path) -> Path:
    write_figure(path, figure, 100, kind=None)
    pyplot.close(figure)
    return path


def _pareto(rows: Sequence[Trial], path: Path, chip: str) -> Path:
    pyplot, figure, axes = _figure()
    axes.scatter(
        [r.energy_uj for r in rows], [100 * r.validation_accuracy for r in rows], s=24, color=GREY
    )
    front = sorted((r for r in rows if r.pareto), key=lambda r: r.energy_uj)
    axes.plot(
        [r.energy_uj for r in front],
        [100 * r.validation_accuracy for r in front],
        "o-",
        color=FRONT,
        label="Pareto front (trial number)",
    )
    for r in front:
        axes.annotate(
            str(r.number),
            (r.energy_uj, 100 * r.validation_accuracy),
            xytext=(4, -11),
            textcoords="offset points",
            fontsize=8,
            color=INK,
        )
    axes.set_xlabel(f"core dynamic energy per inference on {chip}, uJ (estimate)")
    axes.legend(frameon=False)
    return _save(pyplot, figure, path)


def _along(axis: Axis, rows: Sequence[Trial], path: Path) -> Path:
    import statistics

    pyplot, figure, axes = _figure()
    values = sorted({row.parameters[axis.key] for row in rows})
    groups = [
        [100 * r.validation_accuracy for r in rows if r.parameters[axis.key] == value]
        for value in values
    ]
    axes.scatter(
        [v for v, group in zip(values, groups) for _ in group], sum(groups, []), s=18, color=GREY
    )
    if max(map(len, groups)) > 1:
        axes.errorbar(
            values,
            [statistics.mean(g) for g in groups],
            [statistics.stdev(g) if len(g) > 1 else 0.0 for g in groups],
            color=INK,
            capsize=3,
            marker="o",
        )
    if axis.log:
        axes.set_xscale("log")
    axes.set_xlabel(axis.key)
    return _save(pyplot, figure, path)
