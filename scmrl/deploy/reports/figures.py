"""Figures of a run: its network, its spikes, its classes, and where its work and energy go.

A population is a row, in the graph's order. `run_picture` is what `--picture` draws, `run_figures`
what a page shows beside its report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...core.activity import Activity, predictions
from ...core.graph import Graph, Population
from ...core.report import drawing
from ...core.report.drawing import KINDS, LIGHT, bare, hover, legend, shaded
from ...core.report.report import Figure
from ...core.report.text import figure, percent, shape
from ...core.samples import NETWORK, Origin
from ...system.errors import DataError, UsageError, visible
from ..counts.counts import PopulationCount
from ..energy.energy import EnergyEstimate
from .estimates import chips_figure, kinds_of, ranked

ROW = 0.5  # height of a population, inches
RASTER, BARS, NAMES = 7.5, 3.0, 1.6  # widths, inches
HALF = 0.43  # of a row that is drawn on either side of its middle
LINES = 60  # of a population; more neurons share them
DETAILED = 3  # chips with a bar of their own in every population
MATRIX = 40  # classes that a matrix is drawn for
NODE, GAP = (1.5, 0.3), (0.1, 0.28)  # of the network, inches


# What a page shows of a run.


def run_figures(
    graph: Graph,
    inputs: Mapping[str, np.ndarray],
    activity: Activity,
    labels: np.ndarray | None = None,
    origin: Origin = Origin(),
) -> Iterator[Figure]:
    """Classes, network, and the spikes of the first sample by population."""
    if labels is not None and graph.readout is not None:
        k = graph.readout.neurons
        matrix, inside = np.zeros((k, k), int), (labels >= 0) & (labels < k)
        np.add.at(matrix, (labels[inside], predictions(graph, activity)[inside]), 1)
        yield from confusion(matrix, graph.class_names, origin)
    fired = {name: float(np.mean(s != 0)) for name, s in activity.spikes.items() if s.size}
    yield network(graph, {name: fired[name] for name in graph.depths() if name in fired})
    for p in graph.populations:
        values = (inputs if p.kind == "input" else activity.spikes).get(p.name)
        if values is not None and len(values):
            yield _raster(p, values[0])


def confusion(
    matrix: np.ndarray, classes: Sequence[str], origin: Origin = Origin()
) -> Iterator[Figure]:
    """Counts [K, K]: rows are the labels, columns the answers; nothing for very many classes."""
    if len(matrix) > MATRIX:
        return
    labels = "classes of the float network" if origin.labels == NETWORK else "labels"
    side = 1.2 + 0.32 * len(matrix)
    yield Figure(
        f"Classes: {figure(int(matrix.sum()))} samples; rows are {labels}, columns answers",
        lambda sheet: _draw_matrix(sheet.subplots(), matrix, classes),
        (side, side),
    )


def _draw_matrix(axis: Any, matrix: np.ndarray, classes: Sequence[str]) -> None:
    of_label = np.maximum(matrix.sum(1), 1)
    for (i, k), n in np.ndenumerate(matrix):
        words = f"{classes[i]} answered as {classes[k]}: {n}"
        shaded(axis, (k - 0.47, i - 0.47), (0.94, 0.94), n / of_label[i], words)
        if n:
            axis.text(k, i, figure(int(n)), ha="center", va="center")
    names = list(map(drawing.name, classes))
    axis.set_yticks(range(len(names)), names)
    axis.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 3 else 0)
    axis.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axis.set(xlabel="answer", ylabel="label")
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.xaxis.set_label_position("top")
    axis.spines[:].set_visible(False)


def network(graph: Graph, rates: Mapping[str, float]) -> Figure:
    """Populations in rows by depth, columns by their first name, synapses as lines."""
    depth = graph.depths()
    lines: dict[int, list[str]] = {}
    for p in sorted(graph.populations, key=lambda p: p.name.split(".")[0]):
        lines.setdefault(depth[p.name], []).append(p.name)
    widest, step = max(map(len, lines.values())), (NODE[0] + GAP[0], NODE[1] + GAP[1])
    place = {
        name: ((widest - len(names)) / 2 * step[0] + i * step[0], d * step[1])
        for d, names in lines.items()
        for i, name in enumerate(names)
    }
    size = (widest * step[0], (max(lines) + 1) * step[1])
    return Figure(
        "Network: populations by depth, inputs at the top; the stronger, the higher the firing"
        " rate; lines are synapses, red ones cross from one modality to another",
        lambda sheet: _draw_network(bare(sheet, *size), graph, rates, place),
        size,
    )


def _draw_network(
    axis: Any,
    graph: Graph,
    rates: Mapping[str, float],
    place: Mapping[str, tuple[float, float]],
) -> None:
    bend = np.linspace(0, 1, 13)
    for s in graph.synapses:
        (x, y), (to_x, to_y) = place[s.source], place[s.target]
        y += NODE[1]
        across = s.source.split(".")[0] != s.target.split(".")[0]
        axis.plot(
            NODE[0] / 2 + x + (to_x - x) * bend**2 * (3 - 2 * bend),
            y + (to_y - y) * bend,
            color=LIGHT["red" if across else "faint"],
            linewidth=1.0 + 0.4 * across,
            zorder=0,
        )
    top, edges = max([*rates.values(), 1e-9]), {"input": "green", "readout": "magenta"}
    for name, corner in place.items():
        p, rate = graph[name], rates.get(name, 0.0)
        words = f"{name}: {shape(p.shape)} {p.kind}, {figure(rate)} spikes a neuron and step"
        axis.barh(corner[1], *NODE, left=corner[0], align="edge", color=LIGHT["paper"])
        shaded(axis, corner, NODE, rate / top, words, edge=edges.get(p.kind, "faint"))
        short = visible(name if len(name) <= 22 else "..." + name[-20:])
        axis.text(corner[0] + 0.05, corner[1] + NODE[1] / 2, short, va="center", clip_on=True)


def _raster(p: Population, values: np.ndarray) -> Figure:
    """Values [T, ...] of one population and sample."""
    steps = len(values)

    def draw(sheet: Any) -> None:
        axis = sheet.add_axes((0.02, 0.16, 0.96, 0.82))
        _draw_values(axis, 0, _of_one(p, values), "blue")
        axis.set(xlim=(-0.5, steps - 0.5), ylim=(0.45, -0.45), yticks=[])
        axis.set_xticks(range(0, steps, max(1, steps // 8)))
        axis.set_xticklabels([str(t + 1) for t in range(0, steps, max(1, steps // 8))])
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)

    return Figure(f"{p.name}: {figure(p.neurons)} neurons", draw, (2.6, 1.1), p.name)


# What --picture draws.


def run_picture(
    graph: Graph,
    inputs: Mapping[str, np.ndarray],
    activity: Activity,
    sample: int,
    counts: Sequence[PopulationCount],
    energy: Sequence[EnergyEstimate],
) -> list[Figure]:
    """The spikes of one sample and, row by row beside them, the bars of the mean inference; below
    them the chips, where there are more than have bars.
    """
    samples = len(next(iter((activity.spikes | activity.membrane).values())))
    if not 0 <= sample < samples:
        raise UsageError("no such sample", value=sample, limit=f"0..{samples - 1}")
    by_name = {count.name: count for count in counts}
    rows = [by_name[p.name] for p in graph.populations if p.name in by_name]
    if len(rows) < len(graph.populations):
        raise DataError(
            "the counts are of another graph", limit=len(graph.populations), value=len(rows)
        )
    priced = [e for e in energy if e.core_dynamic_uj is not None]
    widths = [RASTER] + [BARS] * (2 + bool(priced))

    def draw(sheet: Any) -> None:
        axes = _rows(sheet, graph, widths)
        _draw_run(axes[0], graph, inputs, activity, sample)
        _bars(axes[1], [c.spikes_per_inference for c in rows], "spikes per inference", "grey")
        ops = [c.synops_per_inference for c in rows]
        _bars(axes[2], ops, "synaptic operations per inference", KINDS["synops"])
        if priced:
            _draw_kinds(sheet, axes[3], rows, priced)

    ran = f"{activity.backend} {activity.version}, spikes of sample {sample}"
    size = sum(widths) + NAMES, len(rows) * ROW + 1.4
    chips = [chips_figure(priced)] if len(priced) > DETAILED else []
    return [Figure(f"{ran}, bars: mean of all samples", draw, size), *chips]


def _rows(sheet: Any, graph: Graph, widths: Sequence[float]) -> Sequence[Any]:
    """An axis of each width, with a row for each population."""
    rows = graph.populations
    axes = sheet.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
    for axis in axes:
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.spines["left"].set_visible(False)
        axis.tick_params(axis="y", length=0)
    names = [f"{drawing.name(p.name)}\n{shape(p.shape)} {p.kind}" for p in rows]
    axes[0].set_yticks(range(len(rows)), names)
    return axes


def _of_one(p: Population, values: np.ndarray) -> np.ndarray:
    """Values [T, ...] of one sample as [T, N] in 0..1."""
    flat = np.asarray(values).reshape(len(values), -1)
    return flat / ((1 << p.bits) - 1) if p.kind == "input" else flat != 0


def _draw_run(
    axis: Any,
    graph: Graph,
    inputs: Mapping[str, np.ndarray],
    activity: Activity,
    sample: int,
) -> None:
    steps = next(iter((activity.spikes | activity.membrane).values())).shape[1]
    for row, p in enumerate(graph.populations):
        if p.kind == "readout":
            membrane = activity.membrane[p.name][sample].reshape(steps, -1)
            _draw_membranes(axis, row, membrane, graph, int(predictions(graph, activity)[sample]))
            continue
        given = p.kind == "input"
        values = (inputs if given else activity.spikes)[p.name][sample]
        _draw_values(axis, row, _of_one(p, values), "ink" if given else "blue")
    axis.set_xlim(-0.5, steps - 0.5)
    axis.set_aspect("auto")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlabel("time (steps)")
    axis.set_title("spikes (stronger: more of the neurons in a line), inputs, readout membranes")


def _draw_values(axis: Any, row: int, values: np.ndarray, colour: str) -> None:
    """Values 0..1 [T, N] as an image in a row: time to the right, neurons down."""
    steps, neurons = values.shape
    lines = min(neurons, LINES)
    edges = np.arange(lines) * neurons // lines
    sharing = np.diff(np.append(edges, neurons))[:, None]
    image = np.zeros((lines, steps, 4))
    image[..., :3] = [int(LIGHT[colour][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    image[..., 3] = np.sqrt(np.add.reduceat(values.T.astype(float), edges, axis=0) / sharing)
    extent = (-0.5, steps - 0.5, row + HALF, row - HALF)
    axis.barh(row, steps, 2 * HALF, left=-0.5, color=LIGHT["soft"], zorder=0)
    axis.imshow(image, aspect="auto", interpolation="none", extent=extent, zorder=1)


def _draw_membranes(axis: Any, row: int, membrane: np.ndarray, graph: Graph, winner: int) -> None:
    """Membranes [T, K] as lines in a row, upwards; the class that wins is coloured and named."""
    low, high = int(membrane.min()), int(membrane.max())
    height = row + HALF - 2 * HALF * (membrane - low) / max(1, high - low)
    for k in np.argsort(np.arange(membrane.shape[1]) == winner, kind="stable"):
        style = {"linewidth": 1.2, "marker": ".", "markersize": 4, "zorder": 2 + (k == winner)}
        axis.plot(height[:, k], color=LIGHT["magenta" if k == winner else "faint"], **style)
    axis.annotate(
        drawing.name(graph.class_names[winner]) if graph.classes else f"class {winner}",
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        color=LIGHT["magenta"],
    )


def _bars(axis: Any, values: Sequence[float], label: str, colour: str) -> None:
    """A bar a row, with its number."""
    bars = axis.barh(range(len(values)), values, 1.5 * HALF, color=LIGHT[colour])
    axis.bar_label(bars, [figure(value) for value in values], padding=3)
    _finish(axis, max(values, default=0), label)


def _finish(axis: Any, largest: float, label: str) -> None:
    axis.set(xlim=(0, 1.3 * largest or 1), xlabel=label)
    axis.ticklabel_format(axis="x", style="plain", useOffset=False)
    axis.xaxis.get_major_locator().set_params(nbins=4)


def _draw_kinds(
    sheet: Any, axis: Any, rows: Sequence[PopulationCount], energy: Sequence[EnergyEstimate]
) -> None:
    """Core dynamic energy of every population, stacked by kind of operation, a bar a chip; chips of
    the same energies share one. Of very many chips the first, its name above.
    """
    energies: dict[tuple[float | None, ...], list[EnergyEstimate]] = {}
    for e in energy if len(energy) <= DETAILED else ranked(energy)[:1]:
        energies.setdefault(tuple(layer.core_dynamic_uj for layer in e.populations), []).append(e)
    thickness, used, largest = 2 * HALF / len(energies), set(), 0.0
    for i, (first, *_) in enumerate(energies.values()):
        layers = {layer.name: layer for layer in first.populations}
        for row, c in enumerate(rows):
            left, y = 0.0, row - HALF + (i + 0.5) * thickness
            for kind, uj in kinds_of(layers[c.name]).items():
                colour = LIGHT[KINDS[kind]]
                (bar,) = axis.barh(y, uj, 0.9 * thickness, left=left, color=colour)
                hover(bar, f"{c.name}, {kind}: {figure(uj)} uJ, {first.profile}")
                used.add(kind)
                left += uj
            share = left / first.core_dynamic_uj if first.core_dynamic_uj else 0.0
            text = f" {figure(left)}" + (f" ({percent(share)})" if len(energies) == 1 else "")
            axis.text(left, y, text, va="center", fontsize=min(8.0, 0.6 * 72 * ROW * thickness))
            largest = max(largest, left)
    _finish(axis, largest, "core dynamic energy, estimate (uJ per inference)")
    titles = (" = ".join(e.title for e in same) for same in energies.values())
    axis.set_title("\n".join(titles), loc="right")
    legend(sheet, [kind for kind in KINDS if kind in used])
