"""Energy and latency of one inference on a chip: exact counts times the coefficients of a hardware
profile.

    core dynamic = synops * e_synop(format) + active * e_active + inactive * e_inactive
                 + spikes * e_spike_out + messages * (e_spike + e_axon_out) + hops * e_hop
    core static  = power of a used core * cores * latency       (of a chip * chips, where no core's is known)
    chip fixed   = power that is always on * chips * latency
    host         = host power of a chip * chips * latency
    latency      = (T + depth) * step           a population at depth d runs d steps behind the
                 input
    interval     = T * step                     between samples that follow each other through the
                 pipeline

The energies are kept apart, since on small networks static and host power hide the rest. All are
estimates; the profile says on what evidence, and each comes with a range. What nobody has published
is None, never 0; `not_published` names it, and there is then no total. Nor is there one where the
chip does not hold the network. Where the energies of a chip hold all its power (`all_in`), no power
is added. Sources: the terms, Davies et al. 2018 (doi 10.1109/MM.2018.112130359) and Boyle et al.
2025 (doi 10.1109/TCAD.2025.3537971); the numbers, the profiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ...core.graph import Graph
from ...hw_profiles.limits import Violation
from ...hw_profiles.profile import Profile
from ...system.errors import DataError
from ..counts.counts import PopulationCount, is_graded
from ..placement.fit import Fit, fit, judged
from ..placement.placement import Placement
from ..placement.traffic import Traffic, traffic
from .latency import Busiest, Step, step
from .operations import Operations, operations, priced, total, unpriced

US_TO_S = 1e-6
US_TO_MS = 1e-3
NJ_TO_UJ = 1e-3  # mW times us is nJ
ENDS = ("low", "value", "high")  # of a quantity's range
POWERS = ("core_static_uj", "chip_fixed_uj", "host_uj")
WHOLE = "core dynamic"
KIND_WORDS = {"synapses": "synops", "updates": "updates", "messages": "messages", "hops": "hops"}
NOT_PLACED = "no placement was asked for"
Range = tuple[float, float] | None
Ends = dict[str, float | None]  # by `ENDS`

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


@dataclass(frozen=True)
class LayerEnergy:
    """Share of one population per inference; its cores, and the work of its busiest core in a mean
    step.
    """

    name: str
    spikes: float
    synops: float
    updates: float
    active: float
    messages: float
    hops: float | None
    core_dynamic_uj: float | None
    kinds: dict[str, float] | None  # the parts of it, by `operations.KINDS`
    cores: int | None
    work_us_per_step: float | None


@dataclass(frozen=True)
class EnergyEstimate:
    """Per inference: energies in uJ, times in us, their ranges (low, high), and what they rest on.

    `fits`: whether the chip holds the network, None where the profile has no limits; `violations`
    are the limits that it breaks, `broken` their names, `unplaced` says why it was not placed.
    `known` says what `core_dynamic_uj` holds: all of it, or the kinds of operation that have a
    price.
    """

    profile: str
    title: str
    chip: str
    steps: int  # T
    depth: int  # steps that the last population runs behind the input
    cores: int | None
    chips: int | None
    system: str | None  # the smallest that has the cores
    unplaced: str | None
    fits: bool | None
    broken: tuple[str, ...]
    violations: tuple[Violation, ...]
    barriers: int  # steps of the whole chip: T + depth
    messages: float
    hops: float | None
    busiest: Busiest | None
    bound_us_per_step: float | None  # without the floor
    us_per_step: float | None
    bottleneck: str | None  # what sets the step
    core_dynamic_uj: float | None
    core_static_uj: float | None
    chip_fixed_uj: float | None
    host_uj: float | None
    total_uj: float | None
    known: tuple[str, ...]
    latency_us: float | None  # of one sample alone
    interval_us: float | None  # between samples in the pipeline
    energy_delay_uj_ms: float | None  # total energy * latency
    samples_per_s: tuple[float, float] | None  # one at a time; one after the other in the pipeline
    kinds: dict[str, float] | None  # the parts of the core dynamic energy, by `operations.KINDS`
    ranges: dict[str, Range]  # of the energies and times
    coefficient_range: Range  # of the core dynamic energy by its coefficients' ranges alone
    not_published: tuple[str, ...]
    basis: str
    assumptions: tuple[str, ...]
    coefficients: dict  # Quantity by 'section.name'
    layers: tuple[LayerEnergy, ...]

    @property
    def latency_ms(self) -> float | None:
        return None if self.latency_us is None else US_TO_MS * self.latency_us

    @property
    def latency_ms_range(self) -> Range:
        ends = self.ranges["latency_us"]
        return ends and (US_TO_MS * ends[0], US_TO_MS * ends[1])

    @property
    def part(self) -> str:
        """What `core_dynamic_uj` is: core dynamic, or the kinds of operation that have a price
        "only".
        """
        return (
            WHOLE
            if self.known == (WHOLE,)
            else f"{', '.join(self.known)} only"
            if self.known
            else ""
        )

    def where(self) -> dict[str, float]:
        """Shares of the total by part, or, where there is none, of the core dynamic energy by
        kind.
        """
        parts = {KIND_WORDS[kind]: uj for kind, uj in (self.kinds or {}).items()}
        if self.total_uj:
            parts = {
                WHOLE: self.core_dynamic_uj,
                "static": self.core_static_uj,
                "fixed": self.chip_fixed_uj,
                "host": self.host_uj,
            }
        whole = sum(uj or 0.0 for uj in parts.values())
        return {name: uj / whole for name, uj in parts.items() if uj and whole}

    def to_json(self) -> dict:
        return asdict(self) | {
            "kind": "estimate",
            "latency_ms": self.latency_ms,
            "latency_ms_range": self.latency_ms_range,
            "where": self.where(),
            "part": self.part,
        }


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
    return _sum(
        priced(profile, Operations(synops, active, inactive, spikes, messages, hops_ew, hops_ns))
    )


def on_chip(
    graph: Graph,
    counts: Sequence[PopulationCount],
    fired: Mapping[str, np.ndarray],
    profile: Profile,
) -> EnergyEstimate:
    """`estimate` of a network placed on the chip, where the chip can hold it; `fired` as for
    `traffic`.
    """
    found = fit(graph, profile)
    flow = found.placement and traffic(graph, found.placement, fired)
    return estimate(graph, counts, profile, found.placement, flow, fit=found)


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
    fit = fit or judged(graph, profile, placement, unplaced=None if placement else NOT_PLACED)
    done = operations(graph, counts, profile, placement, traffic)
    steps, depth = counts[0].steps, max(graph.depths().values())
    every, neurons = total(done.values()), {c.name: c.neurons for c in counts}
    timed = {
        end: (
            None
            if placement is None
            else step(profile, placement, traffic, done, neurons, steps, end)
        )
        for end in ENDS
    }
    mean: Step | None = timed["value"]
    us = {end: t and t.us for end, t in timed.items()}
    missing = _not_published(profile, every)
    parts = _parts(
        profile, every, placement, us, steps, depth, whole=fit.fits is not False and not missing
    )
    alone, apart = (parts[name]["value"] for name in ("latency_us", "interval_us"))
    return EnergyEstimate(
        profile.name,
        profile.title,
        profile.chip,
        steps,
        depth,
        placement and len(placement.cores),
        placement and placement.chips,
        placement and placement.system,
        fit.unplaced,
        fit.fits,
        tuple(dict.fromkeys(violation.rule for violation in fit.violations)),
        fit.violations,
        steps + depth,
        every.messages,
        _hops(every, traffic),
        mean and mean.busiest,
        mean and mean.bound_us,
        us["value"],
        mean and mean.bottleneck,
        **{name: part["value"] for name, part in parts.items()},
        known=_known(profile, every),
        samples_per_s=(1 / (US_TO_S * alone), 1 / (US_TO_S * apart)) if alone else None,
        kinds=priced(profile, every),
        ranges={name: _range(part) for name, part in parts.items()},
        coefficient_range=_coefficient_range(profile, every),
        not_published=missing,
        basis=_basis(profile),
        assumptions=_assumptions(graph, profile, placement),
        coefficients=profile.quantities(),
        layers=tuple(_layer(c, done[c.name], profile, placement, traffic, mean) for c in counts),
    )


def _layer(
    count: PopulationCount,
    done: Operations,
    profile: Profile,
    placement: Placement | None,
    traffic: Traffic | None,
    mean: Step | None,
) -> LayerEnergy:
    kinds = priced(profile, done)
    cores = None if placement is None else [core.index for core in placement.of(count.name)]
    work = None if mean is None or mean.work is None or not cores else float(mean.work[cores].max())
    return LayerEnergy(
        count.name,
        count.spikes_per_inference,
        count.synops_per_inference,
        done.active + done.inactive,
        done.active,
        done.messages,
        _hops(done, traffic),
        _sum(kinds),
        kinds,
        None if cores is None else len(cores),
        work,
    )


def _parts(
    profile: Profile,
    done: Operations,
    placement: Placement | None,
    us_per_step: Ends,
    steps: int,
    depth: int,
    *,
    whole: bool,
) -> dict[str, Ends]:
    """The energies and times of an estimate by end; with a total where the parts are the
    `whole`.
    """
    latency, interval = (
        {end: None if us is None else us * n for end, us in us_per_step.items()}
        for n in (steps + depth, steps)
    )
    power = {} if profile.energy_basis == "all_in" else profile.power
    cores, chips = (None, None) if placement is None else (len(placement.cores), placement.chips)
    static = ("core_static", cores) if "core_static" in power else ("chip_static", chips)

    def energy(name: str, number: int | None, end: str) -> float | None:
        known = name in power and number is not None and latency[end] is not None
        return NJ_TO_UJ * getattr(power[name], end) * number * latency[end] if known else None

    parts = {"core_dynamic_uj": _dynamic(profile, done)} | {
        field: {end: energy(*of, end) for end in ENDS}
        for field, of in zip(POWERS, (static, ("chip_fixed", chips), ("host", chips)))
    }
    all_ = {end: _together(parts, end) if whole else None for end in ENDS}
    delay = {
        end: None if None in (all_[end], latency[end]) else US_TO_MS * all_[end] * latency[end]
        for end in ENDS
    }
    return parts | {
        "total_uj": all_,
        "latency_us": latency,
        "interval_us": interval,
        "energy_delay_uj_ms": delay,
    }


def _dynamic(profile: Profile, done: Operations) -> Ends:
    """Where the profile has evidence, what an estimate stood for in published cases: value / (1 +
    error); else the coefficients' own ranges.
    """
    value, error = _sum(priced(profile, done)), profile.error
    if value is None or not error:
        low, high = _coefficient_range(profile, done) or (None, None)
        return {"low": low, "value": value, "high": high}
    return {
        "low": value / (1 + error["core_dynamic_high"].value),
        "value": value,
        "high": value / (1 + error["core_dynamic_low"].value),
    }


def _coefficient_range(profile: Profile, done: Operations) -> Range:
    low, high = (_sum(priced(profile, done, end)) for end in ("low", "high"))
    return None if low == high else (low, high)


def _together(parts: dict[str, Ends], end: str) -> float:
    """All energies that are known."""
    return sum(
        part["value"] if part[end] is None else part[end]
        for part in parts.values()
        if part["value"] is not None
    )


def _known(profile: Profile, done: Operations) -> tuple[str, ...]:
    """What the core dynamic energy holds: all of it, or those of its kinds that are priced; () for
    nothing.
    """
    kinds = priced(profile, done)
    if kinds is None:
        return ()
    if not unpriced(profile, done):
        return (WHOLE,)
    return tuple(KIND_WORDS[kind] for kind, uj in kinds.items() if uj or kind == "synapses")


def _not_published(profile: Profile, done: Operations) -> tuple[str, ...]:
    """Terms of the total for which the profile has no number."""
    if profile.energy_basis == "all_in":
        return unpriced(profile, done)
    static = {"core_static", "chip_static", "chip_fixed"} & profile.power.keys()
    there = {
        "static power": static,
        "host power": "host" in profile.power,
        "time of a step": {"synop", "step_floor"} & profile.time.keys(),
    }
    return (*unpriced(profile, done), *(name for name, known in there.items() if not known))


def _hops(done: Operations, traffic: Traffic | None) -> float | None:
    return None if traffic is None or traffic.hops_ew is None else done.hops_ew + done.hops_ns


def _assumptions(graph: Graph, profile: Profile, placement: Placement | None) -> tuple[str, ...]:
    lines = (ACTIVE, *(PLACED if placement else (UNPLACED,)), INJECTED)
    if not any(map(is_graded, graph.populations)):
        return lines
    width = profile.limits.get("input_bits")
    return (*lines, GRADED_WITHOUT if width is not None and width.value == 1 else GRADED)


def _sum(parts: Mapping[str, float] | None) -> float | None:
    return None if parts is None else sum(parts.values())


def _range(part: Ends) -> Range:
    return (
        None if part["low"] is None or part["low"] == part["high"] else (part["low"], part["high"])
    )


def _basis(profile: Profile) -> str:
    if not profile.error:
        return profile.basis
    low, high = (profile.error[f"core_dynamic_{end}"] for end in ("low", "high"))
    evidence = low.source if low.source == high.source else f"{low.source}; {high.source}"
    return (
        f"{profile.basis} Core dynamic estimates read {100 * low.value:+g}..{100 * high.value:+g} %"
        f" of measurements ({evidence})."
    )
