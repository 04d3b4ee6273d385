"""Published measurements, and what this package's coefficients make of the published counts behind
them.

    complete   every count that the estimate needs is public       range: what scmrl prints for such
               a value
    bounded    a count is not public but lies between two limits   range: the estimates at those
               limits
    floor      only a part of the work is public                   range: upwards from the energy of
               that part
    fitted     the measurement went into the coefficient itself    shown, never counted as evidence

What scmrl prints for a core dynamic energy E is E / (1 + error_high) .. E / (1 + error_low), the
errors being the profile's. No coefficient was changed for a case; the rows of `published.toml` say
of every figure that goes in where it is from.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...hw_profiles import profile as profiles
from ...hw_profiles.profile import Profile
from ...system.reading import read_toml
from ..energy.energy import dynamic_uj, priced_uj
from .lsnn import IMAGES, Run

KINDS = ("complete", "bounded", "floor", "fitted")
Ends = tuple[float, float]
Estimate = tuple[float, float | None]  # no upper end: only a part of the work is known
DAVIES, SANAFE, LOIHI_2 = "loihi1", "loihi1-sanafe", "loihi2"
CORE = "core dynamic energy"
FORMATS = {"synops": "", "sparse": "sparse", "dense": "dense", "conv": "conv"}
UPDATES = ("active", "inactive")
UJ = {"uJ": 1.0, "uW": 1.0, "mW": 1e-3}  # of operations: of a run, or of a second (uJ/s is uW)

Coefficients = Callable[[str], Profile]  # by the name of a profile
Factors = Sequence[float | str]  # of a product: numbers, names of figures, limits of the profile


# ---- rows of published.toml: what was measured, the figures behind it, where they are from -------


@functools.cache
def table(name: str) -> dict[str, str]:
    """A table of texts: `sources`, `not_computable`, `cores_not_public`."""
    return _file()[name]


def rows(name: str) -> list[dict]:
    """The rows of `case`, `lsnn`, `step` or `network`; `source` is the text of the source.

    What `each` lists becomes rows of their own, with all that is said beside it; figures are added.
    """
    found = []
    for row in _file()[name]:
        shared = {key: value for key, value in row.items() if key != "each"}
        for own in row.get("each", [{}]):
            figures = shared.get("figures", {}) | own.get("figures", {})
            found.append(shared | own | ({"figures": figures} if figures else {}))
    return [row | {"source": table("sources")[row["source"]]} for row in found]


@functools.cache
def _file() -> dict:
    return read_toml(Path(__file__).with_name("published.toml"))


NOT_COMPUTABLE = table("not_computable")


# ---- a case --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """A published figure that an estimate takes, `kind` as in the profiles; ends where it is a
    range.
    """

    name: str
    value: float | Ends
    unit: str
    kind: str
    source: str

    @property
    def low(self) -> float:
        return self.value[0] if isinstance(self.value, tuple) else self.value

    @property
    def high(self) -> float:
        return self.value[1] if isinstance(self.value, tuple) else self.value


@dataclass(frozen=True)
class Case:
    """Estimate against measurement, both in `unit`. `high` ends are None where there is none.

    `network` names what cases share: two measurements of one network are not independent of each
    other.
    """

    name: str
    network: str
    chip: str
    quantity: str
    unit: str
    profile: str
    kind: str
    estimate: Estimate
    range: tuple[float | None, float | None]
    measured: float
    measured_by: str
    missing: str
    figures: tuple[Figure, ...]

    @property
    def error(self) -> Estimate:
        """Estimate over measurement, minus one, of both ends."""
        low, high = self.estimate
        return low / self.measured - 1, None if high is None else high / self.measured - 1

    @property
    def counts(self) -> bool:
        """Whether the case is evidence: it has a range, and the coefficients do not come from
        it.
        """
        return self.kind != "fitted" and self.range[0] is not None

    @property
    def inside(self) -> bool | None:
        """Whether the range contains the measurement; None where there is no range."""
        low, high = self.range
        return (
            None
            if low is None
            else low <= self.measured and (high is None or self.measured <= high)
        )


def printed(profile: Profile, estimate: Estimate) -> tuple[float | None, float | None]:
    """The measurements that scmrl says an estimate stands for."""
    if not profile.error:
        return None, None
    (low, high), error = estimate, profile.error
    return (
        low / (1 + error["core_dynamic_high"].value),
        None if high is None else high / (1 + error["core_dynamic_low"].value),
    )


def published(coefficients: Coefficients = profiles.load) -> tuple[Case, ...]:
    """Every case that needs no data beside the table."""
    return tuple(_case(coefficients, **row) for row in rows("case"))


def makes_the_band(case: Case) -> bool:
    """Whether the case is one that the range of core dynamic energies was read off."""
    return case.kind == "complete" and case.quantity == CORE and case.profile in (DAVIES, LOIHI_2)


def leave_one_out(cases: Iterable[Case], *, by_network: bool) -> dict[str, tuple[Ends, bool]]:
    """For each core dynamic measurement of the default coefficients: the range it would have been
    given by the errors of the others alone, and whether that contains it. `by_network` leaves out
    its network's other measurement too.
    """
    tested = [c for c in cases if makes_the_band(c)]
    found = {}
    for case in tested:
        same = "network" if by_network else "name"
        others = [c for c in tested if getattr(c, same) != getattr(case, same)]
        least, most = case.estimate
        if others and most is not None:
            low = min(c.error[0] for c in others)
            high = max(top for c in others if (top := c.error[1]) is not None)
            ends = least / (1 + high), most / (1 + low)
            found[case.name] = ends, ends[0] <= case.measured <= ends[1]
    return found


# ---- a row of the table --------------------------------------------------------------------------


def _case(
    load: Coefficients,
    name: str,
    network: str,
    kind: str,
    source: str,
    measured: float | Factors,
    by: str,
    missing: str,
    figures: dict,
    *,
    chip: str = "Loihi 1",
    quantity: str = CORE,
    unit: str = "uJ",
    profile: str = DAVIES,
    low: dict | None = None,
    high: dict | None = None,
    both: dict | None = None,
) -> Case:
    """The case of a row: `low` and `high` are the work at each end, `both` that of one value."""
    found = {
        key: _figure(key, source, **(given if isinstance(given, dict) else {"value": given}))
        for key, given in figures.items()
    }
    coefficients = load(profile)

    def at(work: dict, end: str) -> float:
        return _value(coefficients, work, found, end, unit)

    if both:
        ends: Estimate = (at(both, "value"),) * 2
    else:
        ends = at(low or {}, "low"), None if high is None else at(high, "high")
    span: tuple[float | None, float | None]
    if kind in ("bounded", "floor"):
        span = ends
    elif both and not set(both) - coefficients.power.keys():  # powers alone: the profile's range
        span = at(both, "low"), at(both, "high")
    else:
        span = printed(coefficients, ends)
    words: dict[str, object] = {key: f"{q.value:g}" for key, q in coefficients.power.items()}
    words |= {key: f.value for key, f in found.items()} | {"network": network, "source": source}
    return Case(
        name.format(**words),
        network,
        chip,
        quantity,
        unit,
        profile,
        kind,
        ends,
        span,
        measured if isinstance(measured, (int, float)) else _product(measured, found, "value"),
        by.format(**words),
        missing.format(**words),
        tuple(found.values()),
    )


def _figure(
    name: str,
    case_source: str,
    *,
    value: float | list[float],
    unit: str = "",
    kind: str = "published",
    source: str = "{source}",
) -> Figure:
    ends = (value[0], value[1]) if isinstance(value, list) else value
    return Figure(name, ends, unit, kind, source.format(source=case_source))


def _value(profile: Profile, work: dict, figures: dict[str, Figure], end: str, unit: str) -> float:
    """formula + operations * energies + ms * number * powers, ms only where energy is asked."""
    known = {name: quantity.value for name, quantity in profile.limits.items()} | figures
    value = sum(_product(factors, known, end) for factors in work.get("formula", ()))
    done = {key: _product(work[key], known, end) for key in (*FORMATS, *UPDATES) if key in work}
    power = sum(
        getattr(profile.power[key], end) * _product(factors, known, end)
        for key, factors in work.items()
        if key not in done and key != "formula"
    )
    ms = getattr(figures["latency"], end) if "latency" in figures else 1
    if done:
        synops = {FORMATS[key]: done.pop(key) for key in FORMATS if key in done}
        uj = dynamic_uj(profile, synops=synops, **done)
        value += UJ[unit] * priced_uj(profile, uj)
    return value + ms * power


def _product(factors: Factors, known: Mapping[str, Figure | float], end: str) -> float:
    def number(factor: float | str) -> float:
        found = known[factor] if isinstance(factor, str) else factor
        return getattr(found, end) if isinstance(found, Figure) else found

    return math.prod(map(number, factors))


# ---- the LSNN, counted here ----------------------------------------------------------------------


def lsnn(run: Run, coefficients: Coefficients = profiles.load) -> tuple[Case, ...]:
    """The LSNN, counted by this package, against both published measurements, for both coefficient
    sets.
    """
    counts = {
        "whole": (run.total_synops, run.updates, run.nonzero),
        "copy": (
            run.total_synops - run.synops["host->relay"],
            run.updates_recurrent,
            run.nonzero_recurrent,
        ),
    }
    return tuple(
        _lsnn(coefficients(profile), run, *counts[row["counts"]], row)
        for row in rows("lsnn")
        for profile in (DAVIES, SANAFE)
    )


def _lsnn(
    coefficients: Profile, run: Run, synops: float, updates: float, active: float, row: dict
) -> Case:
    """The estimate: from no update active to all; the range: that of the count which scmrl
    makes.
    """
    least, most, found = (
        _lsnn_uj(coefficients, synops, updates, each, run.messages) for each in (0, updates, active)
    )
    counted = {
        "synaptic operations": synops,
        "neuron updates": updates,
        "of them with non-zero state or input": active,
        "messages": run.messages,
    }
    return Case(
        row["name"],
        "LSNN",
        "Loihi 1",
        CORE,
        "uJ",
        coefficients.name,
        "complete",
        (least, most),
        printed(coefficients, (found, found)),
        row["measured"],
        row["by"].format(source=row["source"]),
        "which neuron updates Davies et al. call active",
        tuple(
            Figure(name, n, "", "measured", f"counted by scmrl, {IMAGES} images, a mean")
            for name, n in counted.items()
        ),
    )


def _lsnn_uj(
    profile: Profile, synops: float, updates: float, active: float, messages: float
) -> float:
    uj = dynamic_uj(
        profile,
        synops={"sparse": synops},
        active=active,
        inactive=updates - active,
        spikes=messages,
    )
    return priced_uj(profile, uj)


def lsnn_readings(run: Run) -> dict[str, dict[str, float]]:
    """Energy of the LSNN in uJ by coefficient set and by what 'active' means: its widest
    uncertainty.
    """
    readings = {
        "none": 0.0,
        "receiving a spike": run.receiving,
        "non-zero state or input": run.nonzero,
        "all": float(run.updates),
    }
    return {
        name: {
            text: _lsnn_uj(profiles.load(name), run.total_synops, run.updates, active, run.messages)
            for text, active in readings.items()
        }
        for name in (DAVIES, SANAFE)
    }
