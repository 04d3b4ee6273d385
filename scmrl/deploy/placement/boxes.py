"""Boxes of neurons: a range along each axis of a population. An *extent* is the size of a box by
axis.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from ...core.graph import Box, slices

Extent = tuple[int, ...]


def neurons_in(box: Box) -> int:
    return math.prod(stop - start for start, stop in box)


def first(extent: Extent) -> Box:
    """The first box of that extent."""
    return tuple((0, size) for size in extent)


def grid(shape: Extent, extent: Extent) -> list[Box]:
    """Boxes of that extent that cover a shape; the last along an axis may be smaller."""
    ranges = [
        [(start, min(start + size, n)) for start in range(0, n, size)]
        for n, size in zip(shape, extent)
    ]
    return list(itertools.product(*ranges))


def number(shape: Extent, extent: Extent) -> int:
    """How many boxes of that extent cover a shape."""
    return math.prod(-(-n // size) for n, size in zip(shape, extent))


def chunk(shape: Extent, neurons: int) -> Extent:
    """The largest extent of at most that many neurons that follow each other in memory."""
    extent = []
    for n in reversed(shape):
        extent.append(min(n, max(1, neurons)))
        neurons = neurons // n if neurons >= n else 1
    return tuple(reversed(extent))


def parts(n: int) -> list[int]:
    """The sizes of equal parts of n, the largest first."""
    return sorted({-(-n // count) for count in range(1, n + 1)}, reverse=True)


def halvings(n: int) -> Iterator[int]:
    """n, n / 2, n / 4, ... rounded up, down to 1."""
    while n > 1:
        yield n
        n = -(-n // 2)
    yield 1


def halved(extent: Extent) -> Extent | None:
    """The extent with its last axis that can be halved; channels never; None where nothing is
    left.
    """
    for axis in range(len(extent) - 1, 0, -1):
        if extent[axis] > 1:
            return (*extent[:axis], -(-extent[axis] // 2), *extent[axis + 1 :])
    return None


def within(box: Box, region: Box) -> Box:
    """A box by its place in a region that holds it."""
    return tuple((start - low, stop - low) for (start, stop), (low, _) in zip(box, region))


def union(masks: list[tuple[Box, np.ndarray]]) -> tuple[Box, np.ndarray]:
    """The smallest box that holds all masks, and the neurons that any of them has."""
    if len(masks) == 1:
        return masks[0]
    region = tuple(
        (min(start for start, _ in axis), max(stop for _, stop in axis))
        for axis in zip(*(box for box, _ in masks))
    )
    merged = np.zeros([stop - start for start, stop in region], bool)
    for box, mask in masks:
        merged[slices(within(box, region))] |= mask
    return region, merged
