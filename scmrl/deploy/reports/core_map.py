"""A picture of the chips: every core where it stands, coloured by what binds it and by how busy it
is.

Tiles of cores in columns and rows, chips side by side as in `mesh`; the numbers in the cores name
the populations in the list beside them, "3+" where a core holds more of them.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ...core.graph import Graph
from ...system.errors import UsageError
from ..placement.mesh import Mesh
from ..placement.placement import Placement
from ..placement.traffic import Traffic
from .picture import GREY, INK, PAPER, drawing
from .report import figure as number

CORE = 0.24  # inches
TILE_GAP, CHIP_GAP = 0.25, 1.5  # in cores
LISTED = 64  # populations in the list
NUMBERED = 4  # chips whose cores are numbered
MAPS = {"utilisation": "YlGnBu", "activity": "YlOrRd"}


def core_map(
    graph: Graph, placement: Placement, path: Path, *, traffic: Traffic | None = None
) -> None:
    """Draw the cores of a placement by utilisation and, with `traffic`, by synaptic operations per
    step.

    Raises `UsageError` where the chip has no mesh or the file's ending is none of a picture's.
    """
    mesh = placement.mesh
    if mesh is None:
        raise UsageError(
            "nothing tells where the cores of this chip lie, so there is no map",
            where=placement.profile,
        )
    panels = {
        "utilisation": (
            "largest share of a core's limits (%)",
            [100 * max(core.utilisation().values()) for core in placement.cores],
            100.0,
        )
    }
    if traffic is not None:
        busy = traffic.synops / graph.steps
        panels["activity"] = ("synaptic operations a step", busy, float(busy.max(initial=0)) or 1.0)
    names = list(
        dict.fromkeys(piece.population for core in placement.cores for piece in core.pieces)
    )
    width, height = _extent(mesh)
    across = width > 1.2 * height  # wide maps go below each other, tall ones side by side
    rows, columns = (len(panels), 1) if across else (1, len(panels))
    listed = _listed(names, placement)
    size = (
        columns * (width * CORE + 1.2) + 3.4,
        max(rows * (height * CORE + 0.9), 0.145 * len(listed) + 0.6) + 0.5,
    )
    with drawing(path, size) as page:
        axes = page.subplots(rows, columns, squeeze=False).ravel()
        for axis, (kind, (label, values, top)) in zip(axes, panels.items()):
            colours = _draw(
                axis, placement, mesh, names, np.asarray(values, float), top, MAPS[kind]
            )
            page.colorbar(colours, ax=axis, label=label, fraction=0.05, pad=0.01, shrink=0.85)
        _legend(page, listed)
        busiest = (
            ""
            if traffic is None or traffic.hops_ew is None
            else (f", {number(round(traffic.hops_ew + traffic.hops_ns))} hops an inference")
        )
        page.suptitle(
            f"{placement.chip}: {len(placement.cores):,} cores on {placement.chips:,} "
            f"chip{'s' * (placement.chips > 1)}{busiest}",
            color=INK,
            fontsize=11,
            fontweight="bold",
            x=0.01,
            ha="left",
        )


def _side(mesh: Mesh) -> tuple[int, int]:
    """Cores across and down a tile."""
    across = math.isqrt(max(mesh.cores_per_tile - 1, 0)) + 1
    return across, -(-mesh.cores_per_tile // across)


def _extent(mesh: Mesh) -> tuple[float, float]:
    """Width and height of all chips, in cores."""
    across, down = _side(mesh)
    rows = -(-mesh.chips // mesh.chip_columns)
    return (
        mesh.chip_columns * (mesh.columns * (across + TILE_GAP) + CHIP_GAP),
        rows * (mesh.rows * (down + TILE_GAP) + CHIP_GAP),
    )


def _corner(mesh: Mesh, slot: int) -> tuple[float, float]:
    """Upper left corner of the core in a slot."""
    across, down = _side(mesh)
    column, row = (int(x) for x in mesh.place(slot))
    inside = slot % mesh.cores % mesh.cores_per_tile
    chip = slot // mesh.cores
    return (
        column * (across + TILE_GAP) + chip % mesh.chip_columns * CHIP_GAP + inside % across,
        row * (down + TILE_GAP) + chip // mesh.chip_columns * CHIP_GAP + inside // across,
    )


def _draw(
    axis,
    placement: Placement,
    mesh: Mesh,
    names: list[str],
    values: np.ndarray,
    top: float,
    colours: str,
):
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    def squares(slots, **style):
        patches = [Rectangle(_corner(mesh, int(slot)), 0.92, 0.92) for slot in slots]
        return axis.add_collection(PatchCollection(patches, **style))

    used = [core.slot for core in placement.cores]
    squares(
        sorted(set(range(mesh.chips * mesh.cores)) - set(used)), facecolor=PAPER, edgecolor="none"
    )
    drawn = squares(used, cmap=colours, edgecolor=GREY, linewidth=0.4)
    drawn.set_array(values)
    drawn.set_clim(0, top)
    if mesh.chips <= NUMBERED:
        for core, value in zip(placement.cores, values):
            x, y = _corner(mesh, core.slot)
            held = list(dict.fromkeys(piece.population for piece in core.pieces))
            axis.text(
                x + 0.46,
                y + 0.48,
                f"{names.index(held[0]) + 1}{'+' * (len(held) > 1)}",
                ha="center",
                va="center",
                fontsize=6,
                color="white" if value > 0.6 * top else INK,
            )
    width, height = _extent(mesh)
    axis.set_xlim(-0.3, width - CHIP_GAP + 0.3)
    axis.set_ylim(height - CHIP_GAP + 0.3, -0.3)
    axis.set_aspect("equal")
    axis.axis("off")
    return drawn


def _listed(names: list[str], placement: Placement) -> list[str]:
    lines = [
        f"{i + 1}  {name}: {number(len(placement.of(name)))}"
        for i, name in enumerate(names[:LISTED])
    ]
    more = [f"and {len(names) - LISTED} more"] if len(names) > LISTED else []
    return ["population: cores", *lines, *more]


def _legend(page, lines: list[str]) -> None:
    from matplotlib.lines import Line2D

    legend = page.legend(
        [Line2D([], [], linestyle="none") for _ in lines],
        lines,
        loc="outside right upper",
        frameon=False,
        fontsize=7,
        handlelength=0,
        handletextpad=0,
        labelspacing=0.25,
    )
    legend.get_texts()[0].set_fontweight("bold")
