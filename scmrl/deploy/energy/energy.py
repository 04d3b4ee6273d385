"""Energy and latency of one inference on a chip, in one of two modes (`modes`): exact counts times
the coefficients of a hardware profile.

    core dynamic = synops * e_synop(format) + active * e_active + inactive * e_inactive
                 + spikes * e_spike_out + messages * (e_spike + e_axon_out) + hops * e_hop
    core static  = power of a used core * cores * interval      (of a chip * chips, where no core's
                 is known)
    chip fixed   = power that is always on * chips * interval
    host         = host power of a chip * chips * interval
    latency      from a sample's first hardware step to its answer, T + depth steps later
    interval     alone: the latency; streamed: from sample to sample

What is priced is the network that the chip runs (`placement.layout`): its waits and relays, its
depth, its fill and drain (`trace`); every term is of the same hardware steps, those of the mode.

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

from ...core.graph import Graph, Population
from ...hw_profiles.profile import Profile
from ...system.errors import DataError
from ..counts.counts import PopulationCount, is_graded
from ..placement.cores import Placement
from ..placement.fit import Fit, fit
from ..placement.layout import Layout, window
from ..placement.traffic import traffic
from .latency import Times, times
from .loads import Loads, loads
from .modes import ALONE, STREAMED, require
from .operations import Fans, Operations, fan_outs, fired, forms, operations, priced, total
from .result import KIND_WORDS, EnergyEstimate, PopulationEnergy
from .terms import (
    ENDS,
    POWERS,
    apart,
    coefficient_range,
    known,
    not_published,
    span,
    summed,
    terms,
)
from .trace import Trace, Work

__all__ = [  # what other rooms use of this one
    "KIND_WORDS",
    "POWERS",
    "EnergyEstimate",
    "PopulationEnergy",
    "dynamic_uj",
    "estimate",
    "estimates",
    "on_chip",
    "priced_uj",
    "unplaced_uj",
]

US_TO_S = 1e-6
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
        "latency: step by step, the units of a core side by side; a link passes a message in the"
        " time of a hop; never below the floor of a step, whose range covers how much the host"
        " takes part"
    ),
)
CHARGED = {
    ALONE: (
        "alone: the T + depth steps of one sample, in which every neuron is updated; what biases do"
        " before and after it is counted; power of the cores and chips used, over those steps"
    ),
    STREAMED: (
        "streamed: the steps from sample to sample of a full pipeline, samples in the order given,"
        " round and round; power of the cores and chips used, over those steps"
    ),
}
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


def unplaced_uj(graph: Graph, counts: Sequence[PopulationCount], profile: Profile) -> float | None:
    """Core dynamic energy in uJ of the samples' own steps, nothing placed: one message a spike, no
    hops, no fill and drain. Raises `DataError` for counts whose active updates were not followed.
    """
    formats = dict(zip((s.name for s in graph.synapses), forms(graph, profile, None)))
    synops: dict[str, float] = {}
    for c in counts:
        for synapse, n in zip(graph.incoming(c.name), c.synops_by_synapse):
            form = formats[synapse.name]
            synops[form] = synops.get(form, 0.0) + n
    own = [c for c in counts if c.kind != "input"]
    active = sum(_active(c) for c in own)
    return dynamic_uj(
        profile,
        synops=synops,
        active=active,
        inactive=sum(c.updates_per_inference for c in own) - active,
        spikes=sum(c.spikes_per_inference for c in own),
    )


def _active(count: PopulationCount) -> float:
    if count.active_per_inference is None:
        raise DataError(
            "the active updates were not counted",
            where=count.name,
            fix="give `count` the updates of the run (scmrl.deploy.counts.updates)",
        )
    return count.active_per_inference


def priced_uj(profile: Profile, uj: float | None) -> float:
    """`dynamic_uj` where it has to be there. Raises `DataError` for a profile that prices none."""
    if uj is None:
        raise DataError("the profile has no energy of a synaptic operation", where=profile.name)
    return uj


def on_chip(
    work: Work, profile: Profile, mode: str = ALONE, found: Fit | None = None
) -> EnergyEstimate:
    """`estimate` of what the chip runs of a network, placed on it, where the chip can hold it."""
    return estimate(work, found or fit(work.graph, profile), mode)


def estimate(work: Work, found: Fit, mode: str = ALONE) -> EnergyEstimate:
    """Energy and latency of one inference of what a chip runs of a network, in a mode, on the
    placement that `found` has.

    Raises `UsageError` for an unknown mode, `GraphError` where samples cannot be streamed.
    """
    return estimates(work, found, mode, [np.arange(work.samples)])[0]


def estimates(
    work: Work, found: Fit, mode: str, groups: Sequence[np.ndarray]
) -> list[EnergyEstimate]:
    """`estimate` of each of some groups of samples, given by their numbers; what every core does
    is counted once. Streamed, a sample keeps its neighbours.
    """
    require(work.graph, mode)
    profile, placement, line = found.profile, found.placement, found.line
    trace = work.trace(line, window(work.steps, profile))
    formats = forms(line.graph, profile, placement)
    load, network = placement and loads(trace, placement, mode, formats), found.layout()
    fans = fan_outs(line.graph, placement)
    return [_estimate(trace.of(each), found, network, mode, formats, fans, load) for each in groups]


def _estimate(
    trace: Trace,
    found: Fit,
    network: Layout | None,
    mode: str,
    formats: tuple[str, ...],
    fans: Sequence[Fans],
    load: Loads | None,
) -> EnergyEstimate:
    profile, placement, line = found.profile, found.placement, found.line
    flow = placement and traffic(line.graph, placement, fired(trace, mode))
    done = operations(trace, mode, formats, fans, placement, flow)
    every, timed = total(done.values()), _timed(profile, placement, trace, mode, load)
    mean, missing = timed["value"], not_published(profile, every)
    parts = terms(profile, every, placement, timed, whole=found.fits is not False and not missing)
    ranges, interval = apart(profile, every, parts), parts["interval_us"]["value"]
    return EnergyEstimate(
        profile=profile.name,
        title=profile.title,
        chip=profile.chip,
        mode=mode,
        network=network,
        steps=trace.steps,
        depth=trace.depth,
        cores=placement and len(placement.cores),
        chips=placement and placement.chips,
        system=placement and placement.system,
        unplaced=found.unplaced,
        fits=found.fits,
        broken=tuple(dict.fromkeys(violation.rule for violation in found.violations)),
        violations=found.violations,
        barriers=trace.hardware_steps(mode),
        messages=every.messages,
        hops=None if flow is None or flow.hops_ew is None else every.hops_ew + every.hops_ns,
        busiest=mean and mean.busiest,
        bound_us_per_step=mean and mean.bound_us,
        us_per_step=mean and mean.us,
        bottleneck=mean and mean.bottleneck,
        **{name: part["value"] for name, part in parts.items()},
        known=known(profile, every),
        samples_per_s=1 / (US_TO_S * interval) if interval else None,
        kinds=priced(profile, every),
        ranges={name: span(part) for name, part in parts.items()},
        coefficient_range=coefficient_range(profile, every),
        constants=ranges["constants"],
        model=ranges["model"],
        not_published=missing,
        basis=_basis(profile),
        assumptions=_assumptions(line.graph, profile, placement, mode),
        coefficients=profile.quantities(),
        board_static_uj=_of_the_board(profile, placement, parts["core_static_uj"]["value"]),
        over_samples={},
        populations=tuple(
            _population(p, done[p.name], found, mean) for p in line.graph.populations
        ),
    )


def _of_the_board(
    profile: Profile, placement: Placement | None, static: float | None
) -> float | None:
    """Static energy of the smallest system that has the cores, all its chips on."""
    if placement is None or placement.system is None or static is None:
        return None
    if "core_static" in profile.power:
        return None  # of the used cores: nobody has measured the others
    return static * profile.systems[placement.system]["chips"].value / placement.chips


def _timed(
    profile: Profile,
    placement: Placement | None,
    trace: Trace,
    mode: str,
    load: Loads | None,
) -> dict[str, Times | None]:
    """Times at each end of the ranges of the profile's; None without a placement."""
    if placement is None or load is None:
        return dict.fromkeys(ENDS)
    answer, chosen = trace.steps + trace.depth, trace.chosen
    return {end: times(profile, placement, load, mode, answer, chosen, end) for end in ENDS}


def _population(
    p: Population, done: Operations, found: Fit, mean: Times | None
) -> PopulationEnergy:
    placement, kinds = found.placement, priced(found.profile, done)
    cores = None if placement is None else [core.index for core in placement.of(p.name)]
    work = None if mean is None or mean.work is None or not cores else float(mean.work[cores].max())
    meshed = placement is not None and placement.mesh is not None
    return PopulationEnergy(
        p.name,
        done.fired,
        done.counted,
        done.active + done.inactive,
        done.active,
        done.messages,
        done.hops_ew + done.hops_ns if meshed else None,
        summed(kinds),
        kinds,
        None if cores is None else len(cores),
        work,
    )


def _assumptions(
    graph: Graph, profile: Profile, placement: Placement | None, mode: str
) -> tuple[str, ...]:
    lines = (CHARGED[mode], ACTIVE, *(PLACED if placement else (UNPLACED,)), INJECTED)
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
