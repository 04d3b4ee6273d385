"""Energy and time of one inference on a chip: exact counts times the coefficients of a hardware profile.

    core dynamic = synops * e_synop + active * e_active + inactive * e_inactive + spikes * e_spike
    step         = max(barrier + busiest core's work, floor of a step)
    latency      = (T + depth) * step                a population at depth d runs d steps behind the input
    core static  = power of a used core * cores * latency
    host         = host power of a chip * chips * latency

The four are kept apart, since on small networks static and host power hide the rest. All are estimates; the
profile says on what evidence, and each comes with a range. Where a profile has no such coefficient the result
is None. Source of the terms: Davies et al. 2018 (doi 10.1109/MM.2018.112130359); of numbers: the profiles.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from ..errors import DataError
from ..graph import Graph
from ..hw_profiles.profile import Profile, Quantity
from .counts import PopulationCount

PJ_TO_UJ = 1e-6
NS_TO_US = 1e-3
NJ_TO_UJ = 1e-3                             # mW times us is nJ
ENDS = ("low", "value", "high")             # of a quantity's range
Range = tuple[float, float] | None

ASSUMPTIONS = (
    "a neuron that fires makes an active update, every other neuron-step an inactive one",
    "a spike is one message within its tile; hops between tiles and chips are not counted",
    "cores: populations share none, synapses are stored one by one without index or header, inputs take "
    "none; a lower bound of what a placement needs",
    "latency: from mean counts, evenly over a population's cores, never below the floor of a step; its range "
    "covers how much the host takes part",
    "static power counts used cores only; input and output transfers are not counted",
)
GRADED = "a graded input value counts as one spike message where it is not zero"
GRADED_WITHOUT = f"{GRADED}: this chip has no graded spikes, the network would need spike-coded inputs there"


@dataclass(frozen=True)
class LayerEnergy:
    """Share of one population per inference; its cores, and the mean work of one of them in a step."""

    name: str
    spikes: float
    synops: float
    updates: float
    core_dynamic_uj: float
    cores: int | None
    work_us_per_step: float | None


@dataclass(frozen=True)
class EnergyEstimate:
    """Per inference: energies in uJ, latency in us, their ranges (low, high), and what they rest on."""

    profile: str
    title: str
    chip: str
    steps: int                              # T
    depth: int                              # steps that the last population runs behind the input
    cores: int | None
    chips: int | None
    us_per_step: float | None
    core_dynamic_uj: float
    core_static_uj: float | None
    host_uj: float | None
    total_uj: float
    latency_us: float | None
    ranges: dict[str, Range]                # of the five fields above
    basis: str
    assumptions: tuple[str, ...]
    coefficients: dict[str, Quantity]
    layers: tuple[LayerEnergy, ...]

    def to_json(self) -> dict:
        return asdict(self) | {"kind": "estimate"}


def dynamic_uj(profile: Profile, *, synops: float, active: float, inactive: float, spikes: float,
               graded: bool = False) -> float:
    """Core dynamic energy in uJ of that many synaptic operations, neuron updates and spikes.

    `graded` synaptic operations multiply; they cost `synop_graded` where the profile tells them apart.
    """
    e = {name: quantity.value for name, quantity in profile.energy.items()}
    per_synop = e.get("synop_graded", e["synop"]) if graded else e["synop"]
    return PJ_TO_UJ * (synops * per_synop + active * e["neuron_active"] + inactive * e["neuron_inactive"]
                   + spikes * e.get("spike", 0.0))


def estimate(graph: Graph, counts: list[PopulationCount], profile: Profile) -> EnergyEstimate:
    """Energy and latency of one inference of `graph` with those mean counts."""
    if not counts:
        raise DataError("there are no counts to estimate energy from")
    cores = _cores(graph, profile)
    layers = tuple(_layer(graph, count, cores.get(count.name), profile) for count in counts)
    steps, depth = counts[0].steps, max(graph.depths().values())
    used = sum(cores.values()) if cores else None
    fewest = _fewest_cores(graph, profile) if cores else None
    chips = math.ceil(used / profile.limits["cores"].value) if cores else None
    step = {end: _step_us(counts, cores, profile, end) for end in ENDS}
    latency = {end: None if us is None else us * (steps + depth) for end, us in step.items()}
    powered = {"low": fewest, "value": used, "high": used}
    core = profile.power.get("core_static")
    static = {end: _static_uj(core, end, powered[end], latency[end]) for end in ENDS}
    host = {end: _static_uj(profile.power.get("host"), end, chips, latency[end]) for end in ENDS}
    dynamic = _dynamic_range(profile, sum(layer.core_dynamic_uj for layer in layers))
    parts = {"core_dynamic_uj": dynamic, "core_static_uj": static, "host_uj": host, "latency_us": latency}
    parts["total_uj"] = {end: sum(part[end] or 0.0 for part in (dynamic, static, host)) for end in ENDS}
    if dynamic["low"] is None:
        parts["total_uj"] |= {"low": None, "high": None}
    return EnergyEstimate(
        profile.name, profile.title, profile.chip, steps, depth, used, chips, step["value"],
        **{name: part["value"] for name, part in parts.items()},
        ranges={name: _range(part) for name, part in parts.items()}, basis=_basis(profile),
        assumptions=_assumptions(graph, profile), coefficients=profile.quantities(), layers=layers)


def _layer(graph: Graph, count: PopulationCount, cores: int | None, profile: Profile) -> LayerEnergy:
    active, inactive = _updates(count)
    dynamic = dynamic_uj(profile, synops=count.synops_per_inference, active=active, inactive=inactive,
                         spikes=count.spikes_per_inference, graded=_is_graded(graph, count.name))
    return LayerEnergy(count.name, count.spikes_per_inference, count.synops_per_inference, active + inactive,
                       dynamic, cores, _work_us(count, cores, profile, "value"))


def _updates(count: PopulationCount) -> tuple[float, float]:
    """Neuron updates of one inference, active and inactive; an input is not computed."""
    if count.kind == "input":
        return 0.0, 0.0
    active = count.spikes_per_inference if count.kind == "lif" else 0.0
    return active, count.updates_per_inference - active


def _is_graded(graph: Graph, name: str) -> bool:
    """Whether a population takes graded values; then all its synaptic operations count as multiplications."""
    sources = [graph[synapse.source] for synapse in graph.incoming(name)]
    return any(source.kind == "input" and source.bits > 1 for source in sources)


def _cores(graph: Graph, profile: Profile) -> dict[str, int]:
    """Cores that each population's neurons and weights need at least; empty where a limit is unknown."""
    limits = profile.limits
    if not {"cores", "neurons_per_core", "synapse_memory_per_core", "weight_bits"} <= limits.keys():
        return {}
    cores = {p.name: _cores_for(p.neurons, _stored_bits(graph, p.name, profile), profile)
             for p in graph.populations if p.kind != "input"}
    return cores | {p.name: 0 for p in graph.of_kind("input")}


def _fewest_cores(graph: Graph, profile: Profile) -> int:
    """Cores where populations share them: the least number that holds all neurons and weights."""
    names = [p.name for p in graph.populations if p.kind != "input"]
    return _cores_for(sum(graph[name].neurons for name in names),
                      sum(_stored_bits(graph, name, profile) for name in names), profile)


def _cores_for(neurons: int, bits: int, profile: Profile) -> int:
    return max(math.ceil(neurons / profile.limits["neurons_per_core"].value),
               math.ceil(bits / profile.limits["synapse_memory_per_core"].value))


def _stored_bits(graph: Graph, name: str, profile: Profile) -> int:
    """Bits of all non-zero weights into a population, each stored by itself."""
    synapses = sum(int(graph.fan_out(synapse).sum()) for synapse in graph.incoming(name))
    return synapses * int(profile.limits["weight_bits"].value)


def _work_us(count: PopulationCount, cores: int | None, profile: Profile, end: str) -> float | None:
    """Mean work of one core of a population in one step, us: a core does updates and synapses one by one."""
    if not cores or not {"synop", "neuron_active", "neuron_inactive"} <= profile.time.keys():
        return None
    ns = {name: getattr(quantity, end) for name, quantity in profile.time.items()}
    active, inactive = _updates(count)
    total = (count.synops_per_inference * ns["synop"] + active * ns["neuron_active"]
             + inactive * ns["neuron_inactive"] + count.spikes_per_inference * ns.get("spike", 0.0))
    return NS_TO_US * total / (count.steps * cores)


def _step_us(counts: list[PopulationCount], cores: dict[str, int], profile: Profile,
             end: str) -> float | None:
    """Time of one step, us, at one end of the ranges of the profile's times."""
    work = [us for us in (_work_us(c, cores.get(c.name), profile, end) for c in counts) if us is not None]
    if not work:
        return None
    barrier, floor = (getattr(profile.time[name], end) if name in profile.time else 0.0
                      for name in ("barrier", "step_floor"))
    return max(NS_TO_US * barrier + max(work), floor)


def _static_uj(power: Quantity | None, end: str, number: int | None,
               latency_us: float | None) -> float | None:
    if power is None or number is None or latency_us is None:
        return None
    return NJ_TO_UJ * getattr(power, end) * number * latency_us


def _dynamic_range(profile: Profile, value: float) -> dict[str, float | None]:
    """The measurements that an estimate of `value` stood for in published cases: value / (1 + error)."""
    if not profile.error:
        return {"low": None, "value": value, "high": None}
    return {"low": value / (1 + profile.error["core_dynamic_high"].value), "value": value,
            "high": value / (1 + profile.error["core_dynamic_low"].value)}


def _range(part: dict[str, float | None]) -> Range:
    return None if part["low"] is None else (part["low"], part["high"])


def _basis(profile: Profile) -> str:
    if not profile.error:
        return profile.basis
    low, high = (profile.error[f"core_dynamic_{end}"] for end in ("low", "high"))
    evidence = low.source if low.source == high.source else f"{low.source}; {high.source}"
    return (f"{profile.basis} Core dynamic estimates read {100 * low.value:+g}..{100 * high.value:+g} % of "
            f"measurements ({evidence}).")


def _assumptions(graph: Graph, profile: Profile) -> tuple[str, ...]:
    if all(p.bits == 1 for p in graph.of_kind("input")):
        return ASSUMPTIONS
    width = profile.limits.get("input_bits")
    return (*ASSUMPTIONS, GRADED_WITHOUT if width is not None and width.value == 1 else GRADED)
