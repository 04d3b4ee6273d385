"""Total energies on Loihi 2, each against an estimate that knows nothing of its source: what the
range of a total is made of.

    total   = operations * energies + (static + fixed) * time
    time    = steps * max(floor, barrier + operations of the busiest core * time of one)
    ratio   = measured / estimate, at both ends of the counts that are not public
    range   = estimate * least ratio .. estimate * largest ratio, over the sources

Without a source its constants are those of the others: what was read in a source itself, else what
is quoted of one, else what was there before (`OLDER`): the host power of Loihi 1, Intel's time of
an operation. Static power is the geometric mean of the others', fixed power and floor are those of
idle networks. `timed`: the same with the time that was measured.

Of n sources that are like the next one, the range of their ratios holds it with probability
(n - 1) / (n + 1): with three, one time in two.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...hw_profiles import profile as profiles
from ...hw_profiles.profile import Profile
from ..energy.energy import dynamic_uj, priced_uj
from .cases import LOIHI_2, Ends, rows
from .predictions import CORE, TOTAL, Outcome, estimated

NS_TO_US = NJ_TO_UJ = 1e-3
OLDER_FIXED_MW = 23.0  # the host power of a chip of Loihi 1
OLDER_SYNOP_NS = 0.7  # 3.5 ns of Loihi 1, five times as fast by Intel's technology brief


@dataclass(frozen=True)
class Source:
    """A row of `total` in `published.toml`; `total_uj` None where only the power is a source."""

    name: str
    source: str
    static_mw: float
    primary: bool = False
    idle: bool = False
    steps: Ends = (0.0, 0.0)
    synops: Ends = (0.0, 0.0)
    updates: Ends = (0.0, 0.0)
    busiest: float = 0.0
    us: float | None = None
    total_uj: float | None = None

    @property
    def fixed_mw(self) -> float:
        """All power but the static, where nothing else is going on."""
        assert self.us is not None and self.total_uj is not None
        return self.total_uj / self.us / NJ_TO_UJ - self.static_mw

    @property
    def us_per_step(self) -> Ends:
        assert self.us is not None
        return self.us / self.steps[1], self.us / self.steps[0]


@dataclass(frozen=True)
class Constants:
    """What some sources give: powers in mW, times in us and ns; `floor_us` as [least, most]."""

    static_mw: float
    fixed_mw: float
    floor_us: Ends
    synop_ns: float


@dataclass(frozen=True)
class LeftOutTotal:
    """A source against the estimate without it, uJ; `ratio`: measured over estimate."""

    name: str
    source: str
    constants: Constants
    measured: float
    estimate: Ends
    timed: Ends

    @property
    def ratio(self) -> Ends:
        return self.measured / self.estimate[1], self.measured / self.estimate[0]

    @property
    def timed_ratio(self) -> Ends:
        return self.measured / self.timed[1], self.measured / self.timed[0]


@functools.cache
def sources() -> tuple[Source, ...]:
    """The rows of `total`."""
    fields: list[dict[str, Any]] = [
        {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}
        for row in rows("total")
    ]
    return tuple(Source(**row) for row in fields)


def constants(known: Sequence[Source]) -> Constants:
    """What those sources give."""
    primary = [s for s in known if s.primary]
    idle = [s for s in known if s.idle]
    static = [math.log(s.static_mw) for s in primary or known]
    free = idle or [s for s in known if s.us is not None and not _by_work(s)]
    floors = [end for s in free for end in s.us_per_step]
    return Constants(
        math.exp(sum(static) / len(static)),
        sum(s.fixed_mw for s in idle) / len(idle) if idle else OLDER_FIXED_MW,
        (min(floors), max(floors)),
        min(
            (s.us_per_step[0] / s.busiest / NS_TO_US for s in known if _by_work(s)),
            default=OLDER_SYNOP_NS,
        ),
    )


def _by_work(source: Source) -> bool:
    """Whether the work of the busiest core, and no floor, set the step."""
    return (
        source.us is not None
        and NS_TO_US * source.busiest * OLDER_SYNOP_NS > source.us_per_step[1] / 2
    )


def left_out(profile: Profile | None = None) -> tuple[LeftOutTotal, ...]:
    """Each source whose total is known, left out."""
    chip = profile or profiles.load(LOIHI_2)
    return tuple(_without(s, chip) for s in sources() if s.total_uj is not None)


def _without(source: Source, profile: Profile) -> LeftOutTotal:
    found = constants([s for s in sources() if s is not source])
    assert source.us is not None and source.total_uj is not None
    work = NS_TO_US * (profile.time["barrier"].value + source.busiest * found.synop_ns)
    us = [n * max(floor, work) for n, floor in zip(source.steps, found.floor_us)]
    done = _operations(source, profile)
    power = found.static_mw + found.fixed_mw
    return LeftOutTotal(
        source.name,
        source.source,
        found,
        source.total_uj,
        (done[0] + NJ_TO_UJ * power * us[0], done[1] + NJ_TO_UJ * power * us[1]),
        (done[0] + NJ_TO_UJ * power * source.us, done[1] + NJ_TO_UJ * power * source.us),
    )


def _operations(source: Source, profile: Profile) -> Ends:
    """Energy of the operations: no update active, and all."""
    least, most = (
        priced_uj(profile, dynamic_uj(profile, synops=synops, **{kind: updates}))
        for synops, updates, kind in zip(source.synops, source.updates, ("inactive", "active"))
    )
    return least, most


@dataclass(frozen=True)
class Totals:
    """What the sources' ratios come to. `blind`: shares of blind networks, whatever their chip,
    whose measured energy over today's estimate lies in the range, and in the timed one.
    """

    each: tuple[LeftOutTotal, ...]
    range: Ends
    timed: Ends
    expected: float
    networks: int  # blind ones with an energy
    chips: tuple[str, ...]  # theirs
    blind: float
    blind_timed: float


def totals(outcomes: Sequence[Outcome]) -> Totals:
    """Every source left out, and what their range makes of the blind measurements."""
    each = left_out()
    ranges = range_of(each), range_of(each, timed=True)
    found: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    energies = [o for o in outcomes if o.blind and o.quantity in (CORE, TOTAL)]
    for o in energies:
        ratio = o.measured / estimated(o.prediction)[o.quantity][1]
        within, timed = (low <= ratio <= high for low, high in ranges)
        found[o.prediction.network].append((within, timed))
    shares = [[sum(column) / len(rows) for column in zip(*rows)] for rows in found.values()]
    means = [sum(column) / len(shares) for column in zip(*shares)] or [0.0, 0.0]
    chips = tuple(dict.fromkeys(o.prediction.chip for o in energies))
    return Totals(each, *ranges, expected(each), len(found), chips, *means)


def range_of(found: Sequence[LeftOutTotal], *, timed: bool = False) -> Ends:
    """Least and largest ratio of measurement to estimate."""
    each = [row.timed_ratio if timed else row.ratio for row in found]
    return min(low for low, _ in each), max(high for _, high in each)


def width(ends: Ends) -> float:
    """How many times as high as low."""
    return ends[1] / ends[0]


def expected(found: Sequence[LeftOutTotal]) -> float:
    """Probability that the range of so many ratios holds one more that is like them."""
    return (len(found) - 1) / (len(found) + 1)
