"""Scores of the ranges against the measurements, and what wrong coefficients would score.

Of a range l..u that is to hold its measurement x with probability 1 - alpha, on natural logarithms,
since errors are factors (interval score, Gneiting & Raftery 2007, doi 10.1198/016214506000001437,
equation 43; less is better):

    S = (ln u - ln l) + 2/alpha * max(0, ln l - ln x) + 2/alpha * max(0, ln x - ln u)

A score of 2.3 is a range ten times as high as low that holds its measurement. Ranges with two ends
alone; the mean is over the measurements of a network first, then over networks, so that a network
which was measured five times counts once.

    blind       predicted before the measurement was looked up
    refitted    every other measurement that is no source of what it is held against
    the band's  the range was read off these: inside by construction

Wrong coefficients are those of the profiles times a factor. Where the estimator is not the one that
made a prediction, "today" is a recomputation and no prediction any more.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...hw_profiles import profile as profiles
from ...hw_profiles.profile import Profile
from ...hw_profiles.quantities import Quantities, Quantity
from . import cases
from .cases import Case, Coefficients
from .lsnn import Run
from .predictions import CHIP, LATENCY, STEP, WHOLE, Interval, Outcome, estimated
from .step_time import StepTime, step_times

GOAL = 0.8  # share of ranges that are to contain their measurement: 1 - alpha
FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)
AS_PREDICTED, TODAY = "as predicted", "today"
SYNOP, REREAD = "the energy of a synaptic operation", "the same, the band read again"
ENERGIES, ALL = "every energy", "every energy, time and power"
WRONG = (SYNOP, REREAD, ENERGIES, ALL)
BLIND, CHIPS, REFITTED, BAND = "blind", "blind, whole chips charged", "refitted", "the band's own"
ENERGY, TIME = "energy and power", "time of a step"


@dataclass(frozen=True)
class Ranged:
    """A measurement and the range with two ends that it is held against; `group` of BLIND, CHIPS,
    REFITTED and BAND, `kind` ENERGY or TIME.
    """

    group: str
    kind: str
    network: str
    low: float
    high: float
    measured: float

    @property
    def inside(self) -> bool:
        return self.low <= self.measured <= self.high

    @property
    def score(self) -> float:
        low, high, x = (math.log(number) for number in (self.low, self.high, self.measured))
        return high - low + 2 / (1 - GOAL) * (max(0.0, low - x) + max(0.0, x - high))


@dataclass(frozen=True)
class Score:
    """Means over the networks of a group, for coefficients times a factor; `coefficients` is one of
    AS_PREDICTED and TODAY (factor 1), or of WRONG.
    """

    group: str
    kind: str
    coefficients: str
    factor: float
    networks: int
    measurements: int
    coverage: float
    interval_score: float


def scores(run: Run | None, outcomes: Sequence[Outcome]) -> tuple[Score, ...]:
    """Every group and kind: as predicted, today, and with wrong coefficients. Without the LSNN the
    band cannot be read again.
    """
    found = _means(_blind(outcomes), AS_PREDICTED, 1.0)
    found += _means(_ranged(run, outcomes, _profile), TODAY, 1.0)
    for which in WRONG:
        if which == REREAD and run is None:
            continue
        for factor in FACTORS:
            found += _means(_ranged(run, outcomes, _changed(which, factor, run)), which, factor)
    return tuple(found)


def _means(ranged: Iterable[Ranged], coefficients: str, factor: float) -> list[Score]:
    """A score for each group and kind."""
    groups: dict[tuple[str, str], list[Ranged]] = defaultdict(list)
    for one in ranged:
        groups[one.group, one.kind].append(one)
    return [
        Score(
            *key,
            coefficients,
            factor,
            len({one.network for one in group}),
            len(group),
            _mean(group, [one.inside for one in group]),
            _mean(group, [one.score for one in group]),
        )
        for key, group in groups.items()
    ]


def _mean(group: Sequence[Ranged], values: Sequence[float]) -> float:
    networks: dict[str, list[float]] = defaultdict(list)
    for one, value in zip(group, values):
        networks[one.network].append(value)
    means = [sum(each) / len(each) for each in networks.values()]
    return sum(means) / len(means)


# ---- what is held against a measurement ----------------------------------------------------------


def _ranged(run: Run | None, outcomes: Sequence[Outcome], load: Coefficients) -> list[Ranged]:
    """Every measurement with the range that those coefficients give today."""
    table = (*(cases.lsnn(run, load) if run else ()), *cases.published(load))
    found = [_of_case(c) for c in table if _is_scored(c)]
    found += [_of_step(t) for t in step_times(run, load) if not t.fitted]
    return found + _blind(outcomes, load)


def _blind(outcomes: Iterable[Outcome], load: Coefficients | None = None) -> list[Ranged]:
    """The outcomes with their predictions, or with what the estimator makes of the rows today."""
    ranged = []
    for o in outcomes:
        row = o.prediction
        ends = o.interval if load is None else estimated(row, load(row.profile))[o.quantity]
        group = CHIPS if o.quantity in (CHIP, WHOLE) else BLIND if o.blind else REFITTED
        kind = TIME if o.quantity in (STEP, LATENCY) else ENERGY
        ranged.append(Ranged(group, kind, row.network, *_ends(ends), o.measured))
    return ranged


def _ends(interval: Interval) -> tuple[float, float]:
    return interval[0], interval[2]


def _is_scored(case: Case) -> bool:
    """With the coefficients that a user gets, a range with two ends, and evidence."""
    return case.counts and case.range[1] is not None and case.profile != cases.SANAFE


def _of_case(case: Case) -> Ranged:
    low, high = case.range
    assert low is not None and high is not None
    group = BAND if cases.makes_the_band(case) else REFITTED
    return Ranged(group, ENERGY, case.network, low, high, case.measured)


def _of_step(step: StepTime) -> Ranged:
    return Ranged(REFITTED, TIME, step.network, *step.printed_us, step.measured_us)


# ---- wrong coefficients --------------------------------------------------------------------------


def _changed(which: str, factor: float, run: Run | None) -> Coefficients:
    """The profiles by name with some coefficients times a factor."""

    @functools.cache
    def load(name: str) -> Profile:
        return _scaled(_profile(name), which, factor)

    if which != REREAD or run is None:
        return load
    low, high = band((*cases.lsnn(run, load), *cases.published(load)))

    @functools.cache
    def reread(name: str) -> Profile:
        profile = load(name)
        if "core_dynamic_low" not in profile.error:
            return profile
        ends = {"core_dynamic_low": low, "core_dynamic_high": high}
        error = {
            key: dataclasses.replace(profile.error[key], value=end) for key, end in ends.items()
        }
        return dataclasses.replace(profile, error=profile.error | error)

    return reread


def band(table: Iterable[Case]) -> tuple[float, float]:
    """Lowest and highest error of the cases that the range of core dynamic energies is read off."""
    errors = [e for c in table if cases.makes_the_band(c) for e in c.error if e is not None]
    return min(errors), max(errors)


@functools.cache
def _profile(name: str) -> Profile:
    return profiles.load(name)


def _scaled(profile: Profile, which: str, factor: float) -> Profile:
    def times(quantities: Quantities, start: str = "") -> Quantities:
        return {
            key: _times(q, factor) if key.startswith(start) else q for key, q in quantities.items()
        }

    if which in (SYNOP, REREAD):
        return dataclasses.replace(profile, energy=times(profile.energy, "synop"))
    changed = dataclasses.replace(profile, energy=times(profile.energy))
    if which == ALL:
        power, time = times(profile.power), times(profile.time)
        changed = dataclasses.replace(changed, power=power, time=time)
    return changed


def _times(quantity: Quantity, factor: float) -> Quantity:
    ends = quantity.range and (quantity.range[0] * factor, quantity.range[1] * factor)
    return dataclasses.replace(quantity, value=quantity.value * factor, range=ends)
