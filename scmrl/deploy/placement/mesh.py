"""The mesh of a chip: tiles of a few cores each in columns and rows, XY routing, chips side by
side.

    hops E-W = |column - column'|     hops N-S = |row - row'|     first along the row, then along
                                      the column

Chips lie in a near-square grid and their meshes continue each other: how the boards of a system
really are wired is not public, so hops between chips are a model; the borders crossed are counted
apart. Source: Lines et al. 2018 (doi 10.1109/ASYNC.2018.00018) for Loihi 1's 8 x 4 routers of four
cores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...hw_profiles.profile import Profile

Slots = np.ndarray | int


@dataclass(frozen=True)
class Mesh:
    """Tiles `columns` x `rows` of `cores_per_tile` cores on each of `chips`; a network may use
    `cores` a chip.

    A *slot* is the place of a core: chip by chip, tile by tile along the rows. `cost_ew` and
    `cost_ns` weigh the hops (the profile's energies in pJ, else 1).
    """

    columns: int
    rows: int
    cores_per_tile: int
    cores: int
    chips: int
    cost_ew: float = 1.0
    cost_ns: float = 1.0

    @property
    def chip_columns(self) -> int:
        return math.isqrt(max(self.chips - 1, 0)) + 1

    def chip(self, slots: Slots) -> np.ndarray:
        """Chip of each slot."""
        return np.asarray(slots) // self.cores

    def tile(self, slots: Slots) -> tuple[np.ndarray, np.ndarray]:
        """Column and row of each slot's tile within its chip."""
        tile = np.asarray(slots) % self.cores // self.cores_per_tile
        return tile % self.columns, tile // self.columns

    def place(self, slots: Slots) -> tuple[np.ndarray, np.ndarray]:
        """Column and row of each slot's tile in the grid of all chips."""
        column, row = self.tile(slots)
        chip = self.chip(slots)
        return (
            column + chip % self.chip_columns * self.columns,
            row + chip // self.chip_columns * self.rows,
        )

    def hops(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hops E-W and N-S between slots."""
        (ax, ay), (bx, by) = self.place(a), self.place(b)
        return np.abs(ax - bx), np.abs(ay - by)

    def crossings(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Borders between chips on the way between slots."""
        a, b, n = self.chip(a), self.chip(b), self.chip_columns
        return np.abs(a % n - b % n) + np.abs(a // n - b // n)

    def cost(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Weighted hops of one message between slots."""
        ew, ns = self.hops(a, b)
        return ew * self.cost_ew + ns * self.cost_ns

    def links(self, a: np.ndarray, b: np.ndarray, messages: np.ndarray) -> dict[str, np.ndarray]:
        """Messages over each link of the grid by direction, [rows, columns, ...] of the tile it
        leaves; `messages`: [pairs of slots, ...].
        """
        (ax, ay), (bx, by) = self.place(a), self.place(b)
        shape = (self.rows * -(-self.chips // self.chip_columns), self.columns * self.chip_columns)
        return {
            "east": _spans(shape, ay, ax, bx, messages, 1),
            "west": _spans(shape, ay, bx + 1, ax + 1, messages, 1),
            "south": _spans(shape, bx, ay, by, messages, 0),
            "north": _spans(shape, bx, by + 1, ay + 1, messages, 0),
        }


def _spans(
    shape: tuple[int, int],
    line: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
    messages: np.ndarray,
    axis: int,
) -> np.ndarray:
    """Sum of the messages over the tiles start..stop-1 of a line; nothing where start is not before
    stop.
    """
    ends = np.zeros((shape[0] + 1, shape[1] + 1, *messages.shape[1:]))
    ahead = stop > start
    for edge, sign in ((start, 1), (stop, -1)):
        where = (line[ahead], edge[ahead]) if axis else (edge[ahead], line[ahead])
        np.add.at(ends, where, sign * messages[ahead])
    return ends.cumsum(axis)[: shape[0], : shape[1]]


def mesh_of(profile: Profile, chips: int) -> Mesh | None:
    """The mesh of that many chips; None where the profile tells none."""
    limits = {name: int(quantity.value) for name, quantity in profile.limits.items()}
    names = ("mesh_columns", "mesh_rows", "cores_per_tile", "cores")
    if not set(names) <= limits.keys():
        return None
    hops = [profile.energy[name].value for name in ("hop_ew", "hop_ns") if name in profile.energy]
    columns, rows, per_tile, cores = (limits[name] for name in names)
    return Mesh(columns, rows, per_tile, cores, chips, *(hops if len(hops) == 2 else ()))
