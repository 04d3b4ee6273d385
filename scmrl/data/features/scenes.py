"""Search: a scene of four digits in one modality, one of them in the other. Where, or when?

    where    visual scene: four images in a frame, two by two, each halved; audio says one of them
    when     audio scene: four spoken digits, each a quarter of the steps; visual shows one of them

Four different digits in random order, one of them sought, at a place drawn by itself: the sought
one alone says nothing of its place, and a scene does not say which of its digits is sought. So
neither modality alone tells anything, and what does must keep places (or times) apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...system.errors import DataError

PARTS = 4
SIDE = 2  # parts on each side of a frame


@dataclass(frozen=True)
class Scene:
    """Which modality holds the scene, and whether its parts lie in space or in time."""

    modality: str
    axis: str  # "space", "time"
    names: tuple[str, ...]  # of the parts


SCENES = {
    "where": Scene("visual", "space", ("top left", "top right", "bottom left", "bottom right")),
    "when": Scene("audio", "time", ("first", "second", "third", "fourth")),
}


def search(digit: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(rows [S, PARTS], place [S]): the rows whose samples make the scene of each sample, that of
    its own digit (any row of that digit) at `place`; digits int64 [S]. Raises DataError for fewer
    digits than parts.
    """
    known = np.unique(digit)
    if len(known) < PARTS:
        what = "a scene shows different digits, and there are too few"
        raise DataError(what, where="task", limit=f"{PARTS} or more", value=len(known))
    drawn = random.random((len(digit), len(known)))
    drawn[known == digit[:, None]] = np.inf
    shown = known[np.argsort(drawn, 1)[:, :PARTS]]
    place = random.integers(0, PARTS, len(digit))
    shown[np.arange(len(digit)), place] = digit
    rows = np.empty_like(shown)
    for d in known:
        where = shown == d
        rows[where] = random.choice(np.flatnonzero(digit == d), where.sum())
    return rows, place


def scene(kind: Scene, encoded: dict[str, np.ndarray], rows: np.ndarray, steps: int) -> np.ndarray:
    """The scenes of frames [S, C, H, W] that `rows` [S, PARTS] name: [S, C, H, W] in space, over
    `steps` [S, T, C, H, W] in time. Raises DataError where that does not go.
    """
    if kind.modality not in encoded or len(encoded) != 2:
        what, limit = "a search takes two modalities, one with the scene", kind.modality
        raise DataError(what, where="task", limit=limit, value=list(encoded))
    x = encoded[kind.modality]
    if x.ndim != 4 or (kind.axis == "space" and (x.shape[2] % SIDE or x.shape[3] % SIDE)):
        what, limit = "a scene is made of still frames, of even sides", "[S, C, H, W]"
        raise DataError(what, where=kind.modality, limit=limit, value=list(x.shape))
    if kind.axis == "space":
        return tiled(halved(x)[rows])
    if steps % PARTS:
        what, limit = "the steps are cut into equal parts", f"a multiple of {PARTS}"
        raise DataError(what, where="model.steps", limit=limit, value=steps)
    return x[rows.repeat(steps // PARTS, 1)]


def halved(x: np.ndarray) -> np.ndarray:
    """The rounded mean of every four pixels: uint8 [S, C, H, W] -> [S, C, H / 2, W / 2]."""
    samples, channels, height, width = x.shape
    fours = x.reshape(samples, channels, height // SIDE, SIDE, width // SIDE, SIDE)
    return ((fours.sum((3, 5), dtype=np.uint16) + SIDE) // SIDE**2).astype(np.uint8)


def tiled(parts: np.ndarray) -> np.ndarray:
    """Parts [S, PARTS, C, h, w], row by row, as frames [S, C, SIDE h, SIDE w]."""
    samples, _, channels, height, width = parts.shape
    grid = parts.reshape(samples, SIDE, SIDE, channels, height, width)
    return grid.transpose(0, 3, 1, 4, 2, 5).reshape(samples, channels, SIDE * height, SIDE * width)
