"""How far a mean over samples may lie from that over all that could have come: its standard error.

    x_g    = mean of a group of n_g samples, drawn at random         w_g = n_g / n
    SE^2   = sum_g w_g^2 (x_g - x)^2 / (1 - sum_g w_g^2)             x = sum_g w_g x_g
    needed = n (SE / (0.01 x))^2                                     samples for an error of 1 %

Batch means: at most `GROUPS` groups, each put through the same pricing as the whole, so that what
is no sum over samples (the busiest core, a floor) has an error as well. Up to `GROUPS` samples a
group is one sample, and SE = s / sqrt(n). For a mean over samples SE^2 is right on average whatever
the groups; of twenty groups it is known to a sixth of itself. It is of the samples alone: that they
are drawn from what will be met nobody knows, and constants and model have errors of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.activity import Activity
from ...core.report.text import figure

GROUPS = 20
SEED = 0  # of the groups
SHARE = 0.01  # of a mean: the error that `needed` asks for
ROUNDING = 1e-12  # of a mean: an error below is that of floating point


@dataclass(frozen=True)
class OverSamples:
    """The standard error of a mean over `samples` in `groups`, in the mean's own unit; `share` of
    the mean, and the samples `needed` for 1 % (None where the mean is 0).
    """

    samples: int
    groups: int
    error: float
    share: float | None
    needed: int | None


def groups(samples: int) -> list[np.ndarray]:
    """The numbers of the samples of each group, in order; sizes differ by one at most."""
    drawn = np.random.default_rng(SEED).permutation(samples)
    return [np.sort(part) for part in np.array_split(drawn, min(samples, GROUPS))]


def over_samples(means: Sequence[float], sizes: Sequence[int]) -> OverSamples | None:
    """Of groups with those means and numbers of samples; None for a single group."""
    if len(means) < 2:
        return None
    n = sum(sizes)
    weights = [size / n for size in sizes]
    mean = math.fsum(w * x for w, x in zip(weights, means))
    squares = math.fsum((w * (x - mean)) ** 2 for w, x in zip(weights, means))
    return _error(n, len(means), mean, squares / (1 - math.fsum(w * w for w in weights)))


def _error(samples: int, parts: int, mean: float, square: float) -> OverSamples:
    """Of a mean whose standard error has that square."""
    error = math.sqrt(square)
    error = error if error > ROUNDING * abs(mean) else 0.0
    share = abs(error / mean) if mean else None
    needed = None if share is None else max(1, math.ceil(samples * (share / SHARE) ** 2))
    return OverSamples(samples, parts, error, share, needed)


@dataclass(frozen=True)
class Moments:
    """Mean of `n` numbers and the sum of their squares about it, a number at a time (Welford 1962,
    doi 10.1080/00401706.1962.10490022).
    """

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def __add__(self, x: float) -> Moments:
        n, off = self.n + 1, x - self.mean
        mean = self.mean + off / n
        return Moments(n, mean, self.squares + off * (x - mean))

    @property
    def over_samples(self) -> OverSamples | None:
        """Each number a sample; None for fewer than two."""
        n = self.n
        return None if n < 2 else _error(n, n, self.mean, self.squares / (n * (n - 1)))


def of_each(
    tables: Sequence[Mapping[str, float | None]], sizes: Sequence[int]
) -> dict[str, OverSamples]:
    """`over_samples` of each name that has a value in every group; {} for a single group."""
    found = {}
    for name in tables[0] if tables else ():
        values = [table[name] for table in tables]
        known = [x for x in values if x is not None]
        error = over_samples(known, sizes) if len(known) == len(values) else None
        if error is not None:
            found[name] = error
    return found


def part_of(
    inputs: Mapping[str, np.ndarray], activity: Activity, samples: np.ndarray
) -> tuple[dict[str, np.ndarray], Activity]:
    """Inputs and activity of some samples of a run."""
    given, spikes, membrane = (
        {name: values[samples] for name, values in of.items()}
        for of in (inputs, activity.spikes, activity.membrane)
    )
    return given, replace(activity, spikes=spikes, membrane=membrane)


def plus_minus(of: OverSamples | None) -> str:
    """A standard error in words; one sample does not tell it."""
    return "one sample" if of is None else f"± {figure(of.error)}"
