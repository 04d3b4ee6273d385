"""Figures of a page as inline SVG: network, spike raster, stacked bars, confusion matrix, core map,
curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ....core.graph import Graph
from .document import escape

COLOURS = ("a", "b", "c", "d", "e", "f")  # of the style sheet; told apart by the colour-blind
RASTER_ROWS = 48  # rows of a raster; more neurons share them
NODE_WIDTH, NODE_HEIGHT, GAP_X, GAP_Y = 112, 22, 8, 20
LEVELS = 4  # of darkness in a raster


def svg(width: float, height: float, body: str, label: str, full: bool = False) -> str:
    return (
        f'<svg{" class=full" if full else ""} role="img" aria-label="{escape(label)}"'
        f' width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f}'
        f' {height:.0f}">{body}</svg>'
    )


def shade(share: float) -> str:
    """A colour of the accent's hue, stronger with the share 0..1."""
    return f"color-mix(in srgb,var(--accent) {100 * min(max(share, 0), 1):.0f}%,var(--soft))"


def network(graph: Graph, rates: Mapping[str, float]) -> str:
    """Populations in rows by depth, columns by their first name, synapses as lines; fill is the
    firing rate.
    """
    depth = graph.depths()
    lines_of: dict[int, list[str]] = {}
    for p in sorted(graph.populations, key=lambda p: p.name.split(".")[0]):
        lines_of.setdefault(depth[p.name], []).append(p.name)
    place, widest = {}, max(map(len, lines_of.values()))
    for d, names in lines_of.items():
        left = (widest - len(names)) / 2
        for column, name in enumerate(names):
            place[name] = ((left + column) * (NODE_WIDTH + GAP_X), d * (NODE_HEIGHT + GAP_Y))
    width = widest * (NODE_WIDTH + GAP_X)
    height = (max(lines_of) + 1) * (NODE_HEIGHT + GAP_Y) - GAP_Y + 2
    lines = []
    for s in graph.synapses:
        (x1, y1), (x2, y2) = place[s.source], place[s.target]
        crossing = s.source.split(".")[0] != s.target.split(".")[0]
        a, b, c, d = x1 + NODE_WIDTH / 2, y1 + NODE_HEIGHT, x2 + NODE_WIDTH / 2, y2
        bend = max(abs(d - b) / 2, 8)
        colour = "var(--warm)" if crossing else "var(--f)"
        lines.append(
            f'<path d="M{a:.0f} {b:.0f}C{a:.0f} {b + bend:.0f} {c:.0f} {d - bend:.0f} {c:.0f}'
            f' {d:.0f}" fill="none" stroke="{colour}" stroke-width="{1.4 if crossing else 1}"'
            ' opacity=".6"/>'
        )
    top_rate = max([*rates.values(), 1e-9])
    nodes = []
    for name, (x, y) in place.items():
        p, rate = graph[name], rates.get(name)
        words = f"{name}: {'x'.join(map(str, p.shape))} {p.kind}" + (
            f", {rate:.4f} spikes a neuron and step" if rate else ""
        )
        edge = {"input": "var(--c)", "readout": "var(--e)"}.get(p.kind, "var(--f)")
        short = name if len(name) <= 19 else "…" + name[-18:]
        ink = "var(--paper)" if (rate or 0) > 0.6 * top_rate else "var(--ink)"
        nodes.append(
            f'<g><title>{escape(words)}</title><rect x="{x:.0f}" y="{y + 1:.0f}"'
            f' width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="4"'
            f' fill="{shade((rate or 0) / top_rate)}" stroke="{edge}"/><text x="{x + 5:.0f}"'
            f' y="{y + 16:.0f}" style="font-size:10px;fill:{ink}">{escape(short)}</text></g>'
        )
    return svg(
        width,
        height,
        "".join(lines + nodes),
        f"network of {len(graph.populations)} populations",
        full=widest > 12,
    )


def raster(spikes: np.ndarray, label: str, width: int = 240) -> str:
    """Spikes [T, N] of one sample: steps to the right, neurons down; the darker, the more of a
    row's neurons fire.
    """
    steps, neurons = spikes.shape
    rows = min(neurons, RASTER_ROWS)
    edges = np.linspace(0, neurons, rows + 1).astype(int)
    share = np.add.reduceat((spikes != 0).astype(float), edges[:-1], axis=1) / np.diff(edges)
    level = np.ceil(np.sqrt(share) * LEVELS).astype(int)  # 0 none .. LEVELS all
    cell, tall = width / steps, max(1.5, min(6.0, 96 / rows))
    paths = []
    for k in range(1, LEVELS + 1):
        marks = "".join(
            f"M{t * cell:.1f} {row * tall:.1f}h{cell - 0.8:.1f}v{tall:.1f}h-{cell - 0.8:.1f}z"
            for t, row in zip(*np.nonzero(level == k))
        )
        if marks:
            paths.append(f'<path d="{marks}" fill="var(--a)" opacity="{k / LEVELS:.2f}"/>')
    height = rows * tall
    every = max(1, steps // 8)
    ticks = "".join(
        f'<text x="{(t + 0.5) * cell:.1f}" y="{height + 12:.1f}" text-anchor="middle" '
        f'style="font-size:9px">{t + 1}</text>'
        for t in range(0, steps, every)
    )
    frame = f'<rect width="{width}" height="{height:.1f}" fill="var(--soft)"/>'
    return svg(width, height + 15, f"{frame}{''.join(paths)}{ticks}", label)


def stacked_bars(
    rows: Sequence[tuple[str, Mapping[str, float]]], unit: str, label: str, width: int = 620
) -> str:
    """Horizontal bars, one a row, made of parts {kind: value}, with a legend."""
    kinds = list(dict.fromkeys(kind for _, parts in rows for kind, value in parts.items() if value))
    largest = max((sum(parts.values()) for _, parts in rows), default=0)
    if not largest:
        return ""
    left, step = 210, 18
    scale = (width - left - 80) / largest
    body = []
    for i, (name, parts) in enumerate(rows):
        x, y = float(left), 24 + i * step
        body.append(
            f'<text x="{left - 6}" y="{y + 11}" text-anchor="end">'
            f"{escape(name if len(name) < 34 else '…' + name[-32:])}</text>"
        )
        for kind, value in parts.items():
            if value:
                body.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{max(value * scale, 0.5):.1f}" height="13" '
                    f'fill="var(--{COLOURS[kinds.index(kind) % 6]})">'
                    f"<title>{escape(f'{name}, {kind}: {value:.4g} {unit}')}</title></rect>"
                )
                x += value * scale
        body.append(f'<text x="{x + 4:.1f}" y="{y + 11}">{sum(parts.values()):.4g}</text>')
    legend, x = [], 0
    for i, kind in enumerate(kinds):
        legend.append(
            f'<rect x="{x}" y="3" width="10" height="10" fill="var(--{COLOURS[i % 6]})"/>'
            f'<text x="{x + 14}" y="12">{escape(kind)}</text>'
        )
        x += 26 + 7 * len(kind)
    return svg(
        max(width, x), 28 + len(rows) * step, "".join(legend + body), label, full=len(kinds) > 5
    )


def confusion(matrix: np.ndarray, classes: Sequence[str], cell: int = 26) -> str:
    """Counts [K, K]: rows are the labels, columns the answers."""
    k, margin = len(matrix), 44
    body = [
        f'<text x="{margin + k * cell / 2}" y="10" text-anchor="middle">answer</text>',
        (
            f'<text x="10" y="{margin + k * cell / 2}" text-anchor="middle" '
            f'transform="rotate(-90 10 {margin + k * cell / 2})">label</text>'
        ),
    ]
    totals = np.maximum(matrix.sum(1), 1)
    for i in range(k):
        for text, x, y, anchor in (
            (classes[i], margin - 5, margin + i * cell + 17, "end"),
            (classes[i], margin + i * cell + cell / 2, margin - 6, "middle"),
        ):
            body.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text[:6])}</text>')
        for j in range(k):
            part = matrix[i, j] / totals[i]
            ink = "var(--paper)" if part > 0.6 else "var(--ink)"
            body.append(
                f"<g><title>{escape(f'{classes[i]} answered as {classes[j]}: {matrix[i, j]}')}</title>"
                f'<rect x="{margin + j * cell}" y="{margin + i * cell}" width="{cell - 1}" '
                f'height="{cell - 1}" fill="{shade(part)}"/>'
                + (
                    f'<text x="{margin + j * cell + cell / 2}" y="{margin + i * cell + 17}" '
                    f'text-anchor="middle" style="fill:{ink}">{matrix[i, j]}</text>'
                    if matrix[i, j]
                    else ""
                )
                + "</g>"
            )
    return svg(margin + k * cell + 2, margin + k * cell + 2, "".join(body), "confusion matrix")


def core_map(cores: Sequence[dict], value: str, label: str, cell: int = 20) -> str:
    """Cores of the map of a `PlacementReport`, four a tile, chips side by side; fill is the share
    or activity `value`.
    """

    def amount(core: dict) -> float:
        return (
            max(core["utilisation"].values()) if value == "utilisation" else core.get(value) or 0.0
        )

    largest = 1.0 if value == "utilisation" else max([amount(core) for core in cores] + [1e-9])
    chips = sorted({core["chip"] for core in cores})
    columns = max(core["tile"][0] for core in cores) + 1
    lines = max(core["tile"][1] for core in cores) + 1
    tile, seen, body = 2 * cell + 6, {}, []
    for core in cores:
        spot = (core["chip"], *core["tile"])
        k = seen[spot] = seen.get(spot, -1) + 1
        x = (
            chips.index(core["chip"]) * (columns * tile + 20)
            + core["tile"][0] * tile
            + (k % 2) * cell
        )
        y = 16 + core["tile"][1] * tile + (k // 2) * cell
        who = ", ".join(dict.fromkeys(piece["population"] for piece in core["pieces"]))
        words = (
            f"core {core['core']}: {who}; {core['neurons']} neurons, {core['binding']} at "
            f"{100 * max(core['utilisation'].values()):.0f} %"
        )
        if core.get("synops_per_step") is not None:
            words += f", {core['synops_per_step']:,.0f} synops a step"
        body.append(
            f'<rect x="{x}" y="{y}" width="{cell - 2}" height="{cell - 2}" '
            f'fill="{shade(amount(core) / largest)}" stroke="var(--line)">'
            f"<title>{escape(words)}</title></rect>"
        )
    empty = "".join(
        f'<rect x="{c * (columns * tile + 20) + i * tile + k % 2 * cell}" '
        f'y="{16 + j * tile + k // 2 * cell}" '
        f'width="{cell - 2}" height="{cell - 2}" fill="none" stroke="var(--line)"/>'
        for c in range(len(chips))
        for i in range(columns)
        for j in range(lines)
        for k in range(4)
    )
    names = empty + "".join(
        f'<text x="{i * (columns * tile + 20)}" y="11">chip {chip}</text>'
        for i, chip in enumerate(chips)
    )
    return svg(
        len(chips) * (columns * tile + 20),
        20 + lines * tile,
        names + "".join(body),
        label,
        full=len(chips) > 2,
    )


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    label: str,
    unit: str,
    width: int = 420,
    height: int = 200,
) -> str:
    """Lines {name: [(x, y)]} on common axes."""
    points = [p for line in series.values() for p in line]
    if len(points) < 2:
        return ""
    (x0, x1), (y0, y1) = ((min(v), max(v)) for v in zip(*points))
    y0 = min(y0, 0.0)
    w, h, left, top = width - 60, height - 50, 48, 22
    body = [
        f'<line x1="{left}" y1="{top + h}" x2="{left + w}" y2="{top + h}" stroke="var(--line)"/>'
    ]
    for part in (0, 0.5, 1):
        y = y0 + part * (y1 - y0)
        body.append(
            f'<text x="{left - 5}" y="{top + h - part * h + 4:.1f}"'
            f' text-anchor="end">{y:.3g}</text>'
        )
    body.append(
        f'<text x="{left}" y="{height - 10}">{x0:g}</text>'
        f'<text x="{left + w}" y="{height - 10}" text-anchor="end">{x1:g} epochs</text>'
    )
    for i, (name, line) in enumerate(series.items()):
        path = " ".join(
            f"{left + w * (x - x0) / max(x1 - x0, 1e-9):.1f},"
            f"{top + h - h * (y - y0) / max(y1 - y0, 1e-9):.1f}"
            for x, y in line
        )
        body.append(
            f'<polyline points="{path}" fill="none" stroke="var(--{COLOURS[i % 6]})"'
            f' stroke-width="2"/><text x="{left + i * 150}" y="12"'
            f' style="fill:var(--{COLOURS[i % 6]})">{escape(name)}</text>'
        )
    return svg(width, height, "".join(body), f"{label} {unit}")
