"""Pictures of a run: spikes of every population over time; its spikes, synaptic operations and
energy.

One row a population, in the graph's order, the same in all pictures; PNG, SVG or PDF by the file's
ending.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...core.activity import Activity, predictions
from ...core.graph import Graph, Population
from ...system.errors import DataError, MissingDependency, UsageError
from ...system.storage import write_figure
from ...system.targets import check_ending
from ..counts.counts import PopulationCount
from ..energy.energy import EnergyEstimate
from .report import figure as number

DPI = 150
ROW = 0.5  # height of a population, inches
MARGINS = 1.6  # title, axis and legend above and below the rows, inches
RASTER_WIDTH, BARS_WIDTH = 7.5, 3.4  # inches
HALF = 0.43  # of a row that is drawn on either side of its middle
PIXELS = 60  # rows of pixels in a population; more neurons share them
INK, PAPER, GREY = "#22303c", "#f3f5f7", "#b3bcc4"
SPIKES, SYNOPS, MEMBRANE = "#1f6f8b", "#e08e45", "#b5179e"
ENERGIES = ("#3d5a80", "#e07a5f", "#81b29a", "#8d6a9f")


def spike_raster(
    graph: Graph,
    activity: Activity,
    sample: int,
    path: Path,
    *,
    inputs: dict[str, np.ndarray] | None = None,
) -> None:
    """Draw one sample over its steps: spikes, values of the `inputs` if given, membranes of the
    readout.
    """
    _check_sample(activity, sample)
    populations = [p for p in graph.populations if p.kind != "input" or inputs]
    with _page(path, len(populations), [RASTER_WIDTH]) as (page, axes):
        _draw_raster(axes[0], graph, populations, activity, sample, inputs or {})
        _label_rows(axes[0], populations)
        _headline(page, f"{_ran(activity)}, sample {sample}")


def layer_bars(
    counts: Sequence[PopulationCount],
    energy: Sequence[EnergyEstimate],
    path: Path,
    *,
    title: str = "mean inference",
) -> None:
    """Draw spikes, synaptic operations and core dynamic energy (a bar a profile) of every
    population.
    """
    with _page(path, len(counts), [BARS_WIDTH] * (2 + bool(energy))) as (page, axes):
        _draw_bars(page, axes, counts, energy)
        _label_rows(axes[0], counts)
        _headline(page, title)


def report_picture(
    graph: Graph,
    inputs: dict[str, np.ndarray],
    activity: Activity,
    sample: int,
    counts: Sequence[PopulationCount],
    energy: Sequence[EnergyEstimate],
    path: Path,
) -> None:
    """Draw the spikes of one sample and, row by row beside them, the bars of the mean inference."""
    _check_sample(activity, sample)
    populations = graph.populations
    by_name = {count.name: count for count in counts}
    ordered = [by_name[p.name] for p in populations if p.name in by_name]
    if len(ordered) < len(populations):
        raise DataError(
            "the counts are of another graph", limit=len(populations), value=len(ordered)
        )
    with _page(path, len(populations), [RASTER_WIDTH] + [BARS_WIDTH] * (2 + bool(energy))) as (
        page,
        axes,
    ):
        _draw_raster(axes[0], graph, populations, activity, sample, inputs)
        _draw_bars(page, axes[1:], ordered, energy)
        _label_rows(axes[0], populations)
        _headline(page, f"{_ran(activity)}, spikes of sample {sample}, bars: mean of all samples")


def _headline(page, text: str) -> None:
    page.suptitle(text, color=INK, fontsize=11, fontweight="bold")


def _ran(activity: Activity) -> str:
    return f"{activity.backend} {activity.version}"


def _check_sample(activity: Activity, sample: int) -> None:
    samples = len(next(iter((activity.spikes | activity.membrane).values())))
    if not 0 <= sample < samples:
        raise UsageError("no such sample", value=sample, limit=f"0..{samples - 1}")


@contextlib.contextmanager
def _page(path: Path, rows: int, widths: Sequence[float]) -> Iterator[tuple]:
    """A figure with `rows` rows and a column of that width (inches) each, written to `path` at the
    end.
    """
    with drawing(path, (sum(widths) + 1.6, rows * ROW + MARGINS)) as page:
        axes = page.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
        for axis in axes:
            axis.set_ylim(rows - 0.5, -0.5)
            axis.spines[["top", "right", "left"]].set_visible(False)
            axis.tick_params(axis="y", length=0)
            for row in range(1, rows):
                axis.axhline(row - 0.5, color=PAPER, linewidth=1, zorder=0)
        yield page, axes


@contextlib.contextmanager
def drawing(path: Path, size: tuple[float, float]) -> Iterator:
    """An empty figure of that size (inches) in our style, written to `path` at the end."""
    path = Path(path)
    check_ending(path, "picture")
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingDependency("matplotlib", enables="pictures") from None
    style = {
        "font.size": 8,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "svg.hashsalt": "scmrl",
        "text.parse_math": False,
    }
    with matplotlib.rc_context(style):
        page = Figure(figsize=size, layout="constrained", facecolor="white")
        yield page
        write_figure(path, page, DPI)


def _label_rows(axis, populations: Sequence[Population | PopulationCount]) -> None:
    axis.set_yticks(
        range(len(populations)),
        [f"{p.name}\n{'x'.join(map(str, p.shape))} {p.kind}" for p in populations],
    )


def _draw_raster(
    axis,
    graph: Graph,
    populations: Sequence[Population],
    activity: Activity,
    sample: int,
    inputs: dict[str, np.ndarray],
) -> None:
    steps = next(iter((activity.spikes | activity.membrane).values())).shape[1]
    for row, p in enumerate(populations):
        if p.kind == "readout":
            winner = int(predictions(graph, activity)[sample])
            _draw_membranes(
                axis, row, activity.membrane[p.name][sample].reshape(steps, -1), graph, winner
            )
        elif p.kind == "lif":
            _draw_values(axis, row, activity.spikes[p.name][sample].reshape(steps, -1), SPIKES)
        elif p.name in inputs:
            _draw_values(
                axis, row, inputs[p.name][sample].reshape(steps, -1) / ((1 << p.bits) - 1), INK
            )
    axis.set_xlim(-0.5, steps - 0.5)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("time (steps)")
    axis.set_title(
        "spikes (darker: more of the neurons in a line), inputs, readout membranes", fontsize=8
    )


def _draw_values(axis, row: int, values: np.ndarray, colour: str) -> None:
    """Values 0..1 [T, neurons] as an image in a row: time to the right, neurons down."""
    from matplotlib.colors import LinearSegmentedColormap

    steps, neurons = values.shape
    lines = min(neurons, PIXELS)
    edges = np.arange(lines) * neurons // lines
    sharing = np.diff(np.append(edges, neurons))[:, None]
    mean = np.add.reduceat(values.T.astype(float), edges, axis=0) / sharing
    axis.imshow(
        np.sqrt(mean),
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
        zorder=1,
        cmap=LinearSegmentedColormap.from_list("row", [PAPER, colour]),
        extent=(-0.5, steps - 0.5, row + HALF, row - HALF),
    )


def _draw_membranes(axis, row: int, membrane: np.ndarray, graph: Graph, winner: int) -> None:
    """Membranes [T, K] as lines in a row, upwards; the class that wins is coloured and named."""
    low, high = int(membrane.min()), int(membrane.max())
    height = row + HALF - 2 * HALF * (membrane - low) / max(1, high - low)
    for k in np.argsort(np.arange(membrane.shape[1]) == winner, kind="stable"):
        axis.plot(
            height[:, k],
            color=MEMBRANE if k == winner else GREY,
            linewidth=1.2,
            marker=".",
            markersize=4,
            zorder=2 + (k == winner),
        )
    name = graph.class_names[winner] if graph.classes else f"class {winner}"
    axis.annotate(
        f"{name}",
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        ha="left",
        color=MEMBRANE,
    )


def _draw_bars(
    page, axes, counts: Sequence[PopulationCount], energy: Sequence[EnergyEstimate]
) -> None:
    _bars(axes[0], [[c.spikes_per_inference for c in counts]], (SPIKES,), "spikes per inference")
    _bars(
        axes[1],
        [[c.synops_per_inference for c in counts]],
        (SYNOPS,),
        "synaptic operations per inference",
    )
    if not energy:
        return
    titles: dict[tuple[float, ...], str] = {}  # profiles of the same coefficients share a bar
    for e in energy:
        layers = {layer.name: layer.core_dynamic_uj for layer in e.populations}
        series = tuple(layers[c.name] for c in counts)
        titles[series] = f"{titles[series]} = {e.title}" if series in titles else e.title
    handles = _bars(
        axes[2], list(titles), ENERGIES, "core dynamic energy, estimate (uJ per inference)"
    )
    page.legend(
        handles, list(titles.values()), loc="outside lower right", ncols=len(titles), frameon=False
    )


def _bars(axis, series: Sequence[Sequence[float]], colours: Sequence[str], label: str) -> list:
    """A group of bars a row, one bar a series, each with its number; returns the bars for a
    legend.
    """
    thickness = 2 * HALF / len(series)
    handles = []
    for i, values in enumerate(series):
        places = np.arange(len(values)) - HALF + (i + 0.5) * thickness
        bars = axis.barh(places, values, 0.9 * thickness, color=colours[i % len(colours)])
        axis.bar_label(
            bars,
            [number(value) for value in values],
            padding=3,
            fontsize=8 if len(series) == 1 else 6,
        )
        handles.append(bars)
    axis.set_xlim(0, 1.3 * max((max(values, default=0) for values in series), default=0) or 1)
    axis.set_xlabel(label)
    axis.set_title(label, fontsize=8)
    axis.ticklabel_format(axis="x", style="plain", useOffset=False)
    axis.xaxis.get_major_locator().set_params(nbins=4)
    return handles
