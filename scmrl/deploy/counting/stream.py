"""What a tensor carries, told by its numbers and not by its name.

    silent      only zeros
    spikes      zeros and one magnitude a, of either sign: a belongs to the weights, and what is
                left is to add or not to add
    integers    whole multiples k a of one magnitude, k up to `LEVELS`: sums of spikes, mean pooling
                of spikes, images of 8 bits
    values      anything else

A stream is judged over all its calls together: what adds spikes at one step and twos at another
carries integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .found import INTEGERS, SILENT, SPIKES, VALUES

LEVELS = 255  # multiples that still count as integers: 8 bits
PROBE = 4096  # numbers of a tensor that are looked at first
CLOSE = 1e-6  # of the largest: float32's rounding of a multiple


@dataclass(frozen=True)
class Seen:
    """Numbers of a stream: how many, how many are not zero, the magnitude `unit` of which all are
    multiples (0 where all are zero, None where there is none), and the largest magnitude.
    """

    numbers: int = 0
    nonzero: int = 0
    unit: float | None = 0.0
    top: float = 0.0

    @property
    def kind(self) -> str:
        """What it carries, of `found.KINDS`."""
        if self.unit is None:
            return VALUES
        if not self.nonzero:
            return SILENT
        return SPIKES if self.largest == 1 else INTEGERS

    @property
    def largest(self) -> int | None:
        """The largest multiple of the unit; None for values."""
        return None if self.unit is None else round(self.top / self.unit) if self.unit else 0

    @property
    def rate(self) -> float:
        """The share that is not zero."""
        return self.nonzero / self.numbers if self.numbers else 0.0

    def __add__(self, other: Seen) -> Seen:
        top = max(self.top, other.top)
        unit = common([self.unit, other.unit], top)
        return Seen(self.numbers + other.numbers, self.nonzero + other.nonzero, unit, top)


def look(x: torch.Tensor) -> Seen:
    """What one tensor carries."""
    nonzero = int(torch.count_nonzero(x))
    if not nonzero:
        return Seen(x.numel())
    if x.dtype == torch.bool:
        return Seen(x.numel(), nonzero, 1.0, 1.0)
    size = x.detach().abs().double().flatten()
    size = size[size != 0]
    top = float(size.max())
    if not math.isfinite(top) or _levels(size[:: max(1, len(size) // PROBE)]) is None:
        return Seen(x.numel(), nonzero, None, top)
    levels = _levels(size)
    unit = None if levels is None else common(levels, top)
    return Seen(x.numel(), nonzero, unit, top)


def _levels(size: torch.Tensor) -> list[float] | None:
    """The different magnitudes; None where there are too many."""
    levels = torch.unique(size)
    return None if len(levels) > LEVELS else [float(level) for level in levels]


def common(sizes: list[float | None] | list[float], top: float) -> float | None:
    """The magnitude of which all `sizes` are multiples, by Euclid's rule within `CLOSE` of `top`;
    None where it is below top / `LEVELS`.
    """
    unit, slack = 0.0, CLOSE * top
    for size in sizes:
        if size is None:
            return None
        while size > slack:
            left = math.fmod(unit, size)
            left = 0.0 if min(left, size - left) <= slack else left
            unit, size = size, left
        if unit * LEVELS < top - slack * LEVELS and unit:
            return None
    return unit
