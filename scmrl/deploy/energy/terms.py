"""The terms of an estimate, each at the low end, the value and the high end of what it rests on.

core dynamic   where the profile has evidence: value / (1 + error) of published cases,
               else the ranges of its coefficients
power terms    power (mW) * number of cores or chips * interval of the mode (us)
total          all energies that are known; none where one is not, or the chip does not fit;
               its range as that of core dynamic, where the profile has such errors of totals
"""

from __future__ import annotations

from collections.abc import Mapping

from ...hw_profiles.profile import Profile
from ..placement.cores import Placement
from .latency import Times
from .operations import Operations, priced, unpriced
from .result import KIND_WORDS, US_TO_MS, WHOLE, Range

NJ_TO_UJ = 1e-3  # mW times us is nJ
ENDS = ("low", "value", "high")  # of a quantity's range
POWERS = ("core_static_uj", "chip_fixed_uj", "host_uj")
APART = ("core_dynamic_uj", *POWERS, "total_uj", "latency_us", "interval_us")
Ends = dict[str, float | None]  # by `ENDS`


def terms(
    profile: Profile,
    done: Operations,
    placement: Placement | None,
    times: Mapping[str, Times | None],
    *,
    whole: bool,
) -> dict[str, Ends]:
    """The energies and times of an estimate by end; with a total where the parts are the `whole`.
    Power is drawn over the interval of the mode, in which its operations are done.
    """
    latency = {end: t and t.latency_us for end, t in times.items()}
    interval = {end: t and t.interval_us for end, t in times.items()}
    energies = {"core_dynamic_uj": _dynamic(profile, done)}
    energies |= _of_power(profile, placement, interval)
    total: Ends = {end: _together(energies, end) if whole else None for end in ENDS}
    total |= _against(profile, "total", total["value"])
    delay = {
        end: None
        if (uj := total[end]) is None or (us := latency[end]) is None
        else US_TO_MS * uj * us
        for end in ENDS
    }
    found = {"latency_us": latency, "interval_us": interval, "energy_delay_uj_ms": delay}
    return energies | {"total_uj": total} | found


def _of_power(profile: Profile, placement: Placement | None, us: Ends) -> dict[str, Ends]:
    """Static, fixed and host energy; where energies hold all power (`all_in`) none is added."""
    power = {} if profile.energy_basis == "all_in" else profile.power
    cores, chips = (None, None) if placement is None else (len(placement.cores), placement.chips)
    static = ("core_static", cores) if "core_static" in power else ("chip_static", chips)

    def energy(name: str, number: int | None, end: str) -> float | None:
        if name not in power or number is None or (time := us[end]) is None:
            return None
        return NJ_TO_UJ * getattr(power[name], end) * number * time

    of = (static, ("chip_fixed", chips), ("host", chips))
    return {term: {end: energy(*each, end) for end in ENDS} for term, each in zip(POWERS, of)}


def _dynamic(profile: Profile, done: Operations) -> Ends:
    value = summed(priced(profile, done))
    low, high = coefficient_range(profile, done) or (None, None)
    return {"low": low, "value": value, "high": high} | _against(profile, "core_dynamic", value)


def _against(profile: Profile, name: str, value: float | None) -> dict[str, float]:
    """The ends that errors of estimates against measurements give a value; none where the profile
    has no such errors.
    """
    if value is None or f"{name}_low" not in profile.error:
        return {}
    low, high = (profile.error[f"{name}_{end}"].value for end in ("high", "low"))
    return {"low": value / (1 + low), "high": value / (1 + high)}


def _together(energies: dict[str, Ends], end: str) -> float:
    each = (part["value"] if part[end] is None else part[end] for part in energies.values())
    return sum(uj for uj in each if uj is not None)


def apart(
    profile: Profile, done: Operations, found: dict[str, Ends]
) -> dict[str, dict[str, Range]]:
    """Ranges of `terms` by what makes them: the `constants` of the profile, each somewhere in its
    own range, and the `model`, whose estimates were held against measurements. Neither holds the
    other.
    """
    low, high = coefficient_range(profile, done) or (None, None)
    dynamic = found["core_dynamic_uj"]
    fixed = {name: _fixed(part) for name, part in found.items()}
    constants = found | {"core_dynamic_uj": dynamic | {"low": low, "high": high}}
    model = fixed | ({"core_dynamic_uj": dynamic} if profile.error else {})
    total = found["total_uj"]["value"]
    if total is not None:
        for parts in (constants, model):
            energies = {name: parts[name] for name in ("core_dynamic_uj", *POWERS)}
            parts["total_uj"] = {end: _together(energies, end) for end in ENDS}
        model["total_uj"] |= _against(profile, "total", total)
    return {
        "constants": {name: span(constants[name]) for name in APART},
        "model": {name: span(model[name]) for name in APART},
    }


def _fixed(part: Ends) -> Ends:
    """A term at its value."""
    return dict.fromkeys(ENDS, part["value"])


def coefficient_range(profile: Profile, done: Operations) -> Range:
    """Core dynamic energy at both ends of the coefficients' ranges; None where they have none."""
    return span({end: summed(priced(profile, done, end)) for end in ENDS})


def span(part: Ends) -> Range:
    """The range of a term; None where it has none."""
    low, high = part["low"], part["high"]
    return None if low is None or high is None or low == high else (low, high)


def summed(kinds: dict[str, float] | None) -> float | None:
    return None if kinds is None else sum(kinds.values())


def known(profile: Profile, done: Operations) -> tuple[str, ...]:
    """What the core dynamic energy holds: all of it, or those of its kinds that are priced; () for
    nothing.
    """
    kinds = priced(profile, done)
    if kinds is None:
        return ()
    if not unpriced(profile, done):
        return (WHOLE,)
    return tuple(KIND_WORDS[kind] for kind, uj in kinds.items() if uj or kind == "synapses")


def not_published(profile: Profile, done: Operations) -> tuple[str, ...]:
    """Terms of the total for which the profile has no number."""
    if profile.energy_basis == "all_in":
        return unpriced(profile, done)
    static = {"core_static", "chip_static", "chip_fixed"} & profile.power.keys()
    there = {
        "static power": static,
        "host power": "host" in profile.power,
        "time of a step": {"synop", "step_floor"} & profile.time.keys(),
    }
    return (*unpriced(profile, done), *(name for name, is_there in there.items() if not is_there))
