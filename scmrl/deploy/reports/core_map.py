"""A picture of the chips: every core where it stands, stronger the fuller and the busier it
is.

Tiles of cores in columns and rows, chips side by side as in `mesh`; the numbers in the cores name
the populations in the list beside them, "3+" where a core holds more of them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.report import drawing
from ...core.report.drawing import bare, shaded
from ...core.report.report import Figure
from ...core.report.text import figure, percent, whole
from ...system.errors import UsageError
from ..placement.mesh import Mesh
from ..placement.placement import WORDS, Core, Placement
from ..placement.traffic import Traffic

CORE, LINE, LIST = 0.24, 0.145, 2.9  # inches: a core, a line of the list, its width
TILE_GAP, CHIP_GAP = 0.25, 1.5  # in cores
LISTED = 64  # populations in the list
NUMBERED = 4  # chips whose cores are numbered


def core_map(steps: int, placement: Placement, traffic: Traffic | None = None) -> Figure:
    """The cores of a placement by utilisation and, with `traffic`, by synaptic operations per step,
    of the `steps` that the traffic is of.

    Raises `UsageError` where the chip has no mesh.
    """
    mesh = placement.mesh
    if mesh is None:
        raise UsageError(
            "nothing tells where the cores of this chip lie, so there is no map",
            where=placement.profile,
        )
    panels = shares(steps, placement, traffic)
    names = list(
        dict.fromkeys(piece.population for core in placement.cores for piece in core.pieces)
    )
    listed = _listed(names, placement)
    width, height = _extent(mesh)
    across = width > 1.2 * height  # wide maps go below each other, tall ones side by side
    rows, columns = (len(panels), 1) if across else (1, len(panels))

    size = (
        columns * (width * CORE + 0.4),
        max(rows * (height * CORE + 0.5), LINE * len(listed) + 0.3),
    )

    def draw(sheet: Any) -> None:
        left, right = sheet.subfigures(1, 2, width_ratios=(size[0], LIST))
        axes = left.subplots(rows, columns, squeeze=False).ravel()
        for axis, (label, values) in zip(axes, panels.items()):
            _draw(axis, placement, mesh, names, values)
            axis.set_title(label, loc="left")
        lines = bare(right, LIST, size[1])
        for i, text in enumerate(listed):
            lines.text(0, LINE * (i + 1), text, fontsize=7, fontweight="normal" if i else "bold")

    chips = f"{figure(placement.chips)} chip{'s' * (placement.chips > 1)}"
    hops = (
        ""
        if traffic is None or traffic.hops is None
        else f", {whole(traffic.hops)} hops an inference"
    )
    return Figure(
        f"{placement.chip}: {figure(len(placement.cores))} cores on {chips}{hops}",
        draw,
        (size[0] + LIST, size[1]),
    )


def shares(
    steps: int, placement: Placement, traffic: Traffic | None = None
) -> dict[str, np.ndarray]:
    """By the words of a panel what each core is filled with, 0..1: by the limit that it uses most,
    and by its operations as a share of those of the busiest.
    """
    used = np.array([max(core.utilisation().values()) for core in placement.cores])
    panels = {"cores by utilisation: largest share of a core's limits": used}
    if traffic is not None:
        busy = traffic.synops / steps
        top = float(busy.max(initial=0)) or 1.0
        panels[f"cores by activity: strongest {figure(top)} synaptic operations a step"] = (
            busy / top
        )
    return panels


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
    axis: Any, placement: Placement, mesh: Mesh, names: list[str], values: np.ndarray
) -> None:
    used = {core.slot for core in placement.cores}
    for slot in set(range(mesh.chips * mesh.cores)) - used if mesh.chips <= NUMBERED else ():
        shaded(axis, _corner(mesh, slot), (0.92, 0.92), 0.0, "unused")
    for core, value in zip(placement.cores, values):
        x, y = _corner(mesh, core.slot)
        shaded(axis, (x, y), (0.92, 0.92), value, _words(core), edge="faint")
        if mesh.chips <= NUMBERED:
            held = list(dict.fromkeys(piece.population for piece in core.pieces))
            number = f"{names.index(held[0]) + 1}{'+' * (len(held) > 1)}"
            axis.text(x + 0.46, y + 0.48, number, ha="center", va="center", fontsize=6)
    width, height = _extent(mesh)
    axis.set(xlim=(-0.3, width - CHIP_GAP + 0.3), ylim=(height - CHIP_GAP + 0.3, -0.3))
    axis.set_aspect("equal", anchor="NW")
    axis.axis("off")


def _words(core: Core) -> str:
    held = ", ".join(dict.fromkeys(piece.population for piece in core.pieces))
    used = f"{WORDS[core.binding]} at {percent(max(core.utilisation().values()))}"
    return f"core {core.index}: {held}; {figure(core.neurons)} neurons, {used}"


def _listed(names: list[str], placement: Placement) -> list[str]:
    lines = [
        f"{i + 1}  {drawing.name(name)}: {figure(len(placement.of(name)))}"
        for i, name in enumerate(names[:LISTED])
    ]
    more = [f"and {figure(len(names) - LISTED)} more"] if len(names) > LISTED else []
    return ["population: cores", *lines, *more]
