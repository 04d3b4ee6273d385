"""Energy and latency of one inference on a chip: exact counts times the coefficients of a hardware
profile.

    core dynamic = synops * e_synop(format) + active * e_active + inactive * e_inactive
                 + spikes * e_spike_out + messages * (e_spike + e_axon_out) + hops * e_hop
    core static  = power of a used core * cores * latency       (of a chip * chips, where no core's
                 is known)
    chip fixed   = power that is always on * chips * latency
    host         = host power of a chip * chips * latency
    latency      = (T + depth) * step           a population at depth d runs d steps behind the
                 input
    interval     = T * step                     between samples that follow each other through the
                 pipeline; the latency where delays carry spikes over, and each sample runs alone

What is priced is the network that the chip runs (`placement.layout`): its waits and relays, its
depth. Relays are counted as what they repeat (`relays`).

The energies are kept apart, since on small networks static and host power hide the rest. All are
estimates; the profile says on what evidence, and each comes with a range. What nobody has published
is None, never 0; `not_published` names it, and there is then no total. Nor is there one where the
chip does not hold the network. Where the energies of a chip hold all its power (`all_in`), no power
is added. Sources: the terms, Davies et al. 2018 (doi 10.1109/MM.2018.112130359) and Boyle et al.
2025 (doi 10.1109/TCAD.2025.3537971); the numbers, the profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...convert.frame.pipeline import at_once
from ...core.graph import Graph
from ...hw_profiles.profile import Profile
from ...system.errors import DataError
from ..counts.counts import PopulationCount, is_graded
from ..placement.cores import Placement
from ..placement.fit import Fit, fit, judged
from ..placement.traffic import Traffic, traffic
from .latency import Step, step
from .operations import Operations, operations, priced, total
from .relays import fired_by_relays, with_relays
from .result import KIND_WORDS, EnergyEstimate, PopulationEnergy
from .terms import (
    ENDS,
    POWERS,
    Ends,
    apart,
    coefficient_range,
    known,
    not_published,
    span,
    summed,
    terms,
)

__all__ = [  # what other rooms use of this one
    "KIND_WORDS",
    "POWERS",
    "EnergyEstimate",
    "PopulationEnergy",
    "dynamic_uj",
    "estimate",
    "on_chip",
    "priced_uj",
]

US_TO_S = 1e-6
NOT_PLACED = "no placement was asked for"
ACTIVE = (
    "an update is active where a message arrives, or where bias or state is not zero (SANA-FE's"
    " rule)"
)
INJECTED = "what the host injects and reads is counted and not priced: no energy of it is published"
PLACED = (
    (
        "cores: populations share none and stand in the order of the network (`scmrl place` finds a"
        " better one)"
    ),
    (
        "latency: from mean counts; a link passes a message in the time of a hop; never below the"
        " floor of a step, whose range covers how much the host takes part"
    ),
    "static and host power: of the cores and chips used, while one inference runs alone",
)
UNPLACED = "where it is not placed: one message a spike, no hops, no static energy and no latency"
GRADED = "a graded input value counts as one spike message where it is not zero"
GRADED_WITHOUT = (
    f"{GRADED}: this chip has no graded spikes, the network would need spike-coded inputs there"
)


def dynamic_uj(
    profile: Profile,
    *,
    synops: float | Mapping[str, float],
    active: float = 0.0,
    inactive: float = 0.0,
    spikes: float = 0.0,
    messages: float | None = None,
    hops_ew: float = 0.0,
    hops_ns: float = 0.0,
) -> float | None:
    """Core dynamic energy in uJ of that many operations; None where the profile prices none.

    `synops`: a number, or by storage format (dense, sparse, conv; graded: multiplications).
    `messages`: one to each spike where not given.
    """
    synops = synops if isinstance(synops, Mapping) else {"": synops}
    messages = spikes if messages is None else messages
    done = Operations(synops, active, inactive, spikes, messages, hops_ew, hops_ns)
    return summed(priced(profile, done))


def priced_uj(profile: Profile, uj: float | None) -> float:
    """`dynamic_uj` where it has to be there. Raises `DataError` for a profile that prices none."""
    if uj is None:
        raise DataError("the profile has no energy of a synaptic operation", where=profile.name)
    return uj


def on_chip(
    graph: Graph,
    counts: Sequence[PopulationCount],
    fired: Mapping[str, np.ndarray],
    profile: Profile,
    found: Fit | None = None,
) -> EnergyEstimate:
    """`estimate` of what the chip runs of a network, placed on it, where the chip can hold it;
    `fired` as for `traffic`, `found` what `fit` says of the two, where that is known.
    """
    found = found or fit(graph, profile)
    line, placement = found.line, found.placement
    flow = placement and traffic(line.graph, placement, fired_by_relays(line, fired))
    every = with_relays(line, counts)
    return estimate(line.graph, every, profile, placement, flow, fit=found)


def estimate(
    graph: Graph,
    counts: Sequence[PopulationCount],
    profile: Profile,
    placement: Placement | None = None,
    traffic: Traffic | None = None,
    *,
    fit: Fit | None = None,
) -> EnergyEstimate:
    """Energy and latency of one inference of `graph` with those mean counts, active updates among
    them.

    A placement comes with its traffic; `fit` is what found it, or says why there is none. Raises
    `DataError` for counts whose active updates were not followed.
    """
    if not counts:
        raise DataError("there are no counts to estimate energy from")
    fit = fit or judged(at_once(graph), profile, placement, unplaced=_why_not(placement))
    done = operations(graph, counts, profile, placement, traffic)
    steps, depth, every = counts[0].steps, fit.line.latency, total(done.values())
    timed = _timed(profile, placement, traffic, done, counts)
    mean, missing = timed["value"], not_published(profile, every)
    us, whole = {end: t and t.us for end, t in timed.items()}, fit.fits is not False and not missing
    taken = (steps + depth, steps if fit.line.streams else steps + depth)
    found = terms(profile, every, placement, us, taken, whole=whole)
    ranges = apart(profile, every, found)
    return EnergyEstimate(
        profile=profile.name,
        title=profile.title,
        chip=profile.chip,
        network=fit.layout(),
        steps=steps,
        depth=depth,
        cores=placement and len(placement.cores),
        chips=placement and placement.chips,
        system=placement and placement.system,
        unplaced=fit.unplaced,
        fits=fit.fits,
        broken=tuple(dict.fromkeys(violation.rule for violation in fit.violations)),
        violations=fit.violations,
        barriers=steps + depth,
        messages=every.messages,
        hops=_hops(every, traffic),
        busiest=mean and mean.busiest,
        bound_us_per_step=mean and mean.bound_us,
        us_per_step=us["value"],
        bottleneck=mean and mean.bottleneck,
        **{name: part["value"] for name, part in found.items()},
        known=known(profile, every),
        samples_per_s=_rates(found),
        kinds=priced(profile, every),
        ranges={name: span(part) for name, part in found.items()},
        coefficient_range=coefficient_range(profile, every),
        constants=ranges["constants"],
        model=ranges["model"],
        not_published=missing,
        basis=_basis(profile),
        assumptions=_assumptions(graph, profile, placement),
        coefficients=profile.quantities(),
        board_static_uj=_of_the_board(profile, placement, found["core_static_uj"]["value"]),
        over_samples={},
        populations=tuple(
            _population(c, done[c.name], profile, placement, traffic, mean) for c in counts
        ),
    )


def _rates(found: Mapping[str, Ends]) -> tuple[float, float] | None:
    """Samples a second: one at a time; one after the other in the pipeline."""
    alone, after = (found[name]["value"] for name in ("latency_us", "interval_us"))
    return (1 / (US_TO_S * alone), 1 / (US_TO_S * after)) if alone and after else None


def _of_the_board(
    profile: Profile, placement: Placement | None, static: float | None
) -> float | None:
    """Static energy of the smallest system that has the cores, all its chips on."""
    if placement is None or placement.system is None or static is None:
        return None
    if "core_static" in profile.power:
        return None  # of the used cores: nobody has measured the others
    return static * profile.systems[placement.system]["chips"].value / placement.chips


def _why_not(placement: Placement | None) -> str | None:
    return None if placement else NOT_PLACED


def _timed(
    profile: Profile,
    placement: Placement | None,
    traffic: Traffic | None,
    done: Mapping[str, Operations],
    counts: Sequence[PopulationCount],
) -> dict[str, Step | None]:
    """A mean step at each end of the ranges of the profile's times; None without a placement."""
    if placement is None or traffic is None:
        return dict.fromkeys(ENDS)
    neurons, steps = {c.name: c.neurons for c in counts}, counts[0].steps
    return {end: step(profile, placement, traffic, done, neurons, steps, end) for end in ENDS}


def _population(
    count: PopulationCount,
    done: Operations,
    profile: Profile,
    placement: Placement | None,
    traffic: Traffic | None,
    mean: Step | None,
) -> PopulationEnergy:
    kinds = priced(profile, done)
    cores = None if placement is None else [core.index for core in placement.of(count.name)]
    work = None if mean is None or mean.work is None or not cores else float(mean.work[cores].max())
    return PopulationEnergy(
        count.name,
        count.spikes_per_inference,
        count.synops_per_inference,
        done.active + done.inactive,
        done.active,
        done.messages,
        _hops(done, traffic),
        summed(kinds),
        kinds,
        None if cores is None else len(cores),
        work,
    )


def _hops(done: Operations, traffic: Traffic | None) -> float | None:
    return None if traffic is None or traffic.hops_ew is None else done.hops_ew + done.hops_ns


def _assumptions(graph: Graph, profile: Profile, placement: Placement | None) -> tuple[str, ...]:
    lines = (ACTIVE, *(PLACED if placement else (UNPLACED,)), INJECTED)
    if not any(map(is_graded, graph.populations)):
        return lines
    width = profile.limits.get("input_bits")
    return (*lines, GRADED_WITHOUT if width is not None and width.value == 1 else GRADED)


def _basis(profile: Profile) -> str:
    if not profile.error:
        return profile.basis
    words = {
        "core_dynamic": "Core dynamic estimates read",
        "total": "Totals read",
        "total_timed": "With the time of a step known they read",
    }
    return " ".join([profile.basis, *(_evidence(profile, *item) for item in words.items())]).strip()


def _evidence(profile: Profile, name: str, words: str) -> str:
    """How far estimates of a kind were off, and of what; nothing where that is not known."""
    if f"{name}_low" not in profile.error:
        return ""
    low, high = (profile.error[f"{name}_{end}"] for end in ("low", "high"))
    evidence = low.source if low.source == high.source else f"{low.source}; {high.source}"
    return f"{words} {100 * low.value:+g}..{100 * high.value:+g} % of measurements ({evidence})."
