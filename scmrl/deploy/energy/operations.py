"""What a network does in one inference on a chip, and what a profile's coefficients make of it.

    synaptic operations by the format in which the chip stores them, neuron updates active
    and inactive, spikes, messages (a spike to each core that listens) and the hops of their way

Spikes, synaptic operations and updates are exact counts of a run (`counts`), messages and hops
exact counts on a placement (`traffic`). Without a placement a spike is one message, and formats are
unknown. Where a format stores zero weights, a message walks them too: that is charged, and is no
synaptic operation of the counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from ...core.graph import Graph, Synapse
from ...hw_profiles.profile import Profile
from ...system.errors import DataError
from ..counts.counts import PopulationCount, is_graded
from ..placement.cores import Placement
from ..placement.traffic import PopulationTraffic, Traffic

PJ_TO_UJ = 1e-6
WALKED = ("dense", "conv")  # formats that store zeros, so that every message meets them
KINDS = ("synapses", "updates", "messages", "hops")


@dataclass(frozen=True)
class Operations:
    """Means per inference. `synops` by storage format: dense, sparse, conv, graded
    (multiplications), "".
    """

    synops: Mapping[str, float]
    active: float = 0.0
    inactive: float = 0.0
    spikes: float = 0.0  # of neurons on the chip
    messages: float = 0.0  # each to one core
    hops_ew: float = 0.0
    hops_ns: float = 0.0

    def __add__(self, other: Operations) -> Operations:
        synops = {
            form: self.synops.get(form, 0.0) + other.synops.get(form, 0.0)
            for form in (*self.synops, *other.synops)
        }
        return Operations(
            synops, *(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)[1:])
        )


def operations(
    graph: Graph,
    counts: Sequence[PopulationCount],
    profile: Profile,
    placement: Placement | None,
    traffic: Traffic | None,
) -> dict[str, Operations]:
    """Operations of every population, synaptic ones where they arrive. Messages that the host
    injects are none of the chip's. Raises `DataError` for counts whose active updates were not
    followed.
    """
    sent = {} if traffic is None else {p.name: p for p in traffic.populations}
    forms = (
        {}
        if placement is None
        else {s.name: form for s, form in zip(graph.synapses, placement.formats)}
    )

    def form(synapse: Synapse) -> str:
        graded = is_graded(graph[synapse.source]) and "synop_graded" in profile.energy
        return "graded" if graded else forms.get(synapse.name, "")

    found = {}
    for count in counts:
        synops: dict[str, float] = {}
        arrived = (count.synops_by_synapse, count.walked_by_synapse)
        for synapse, done, walked in zip(graph.incoming(count.name), *arrived, strict=True):
            n = walked if forms.get(synapse.name) in WALKED else done
            synops[form(synapse)] = synops.get(form(synapse), 0.0) + n
        found[count.name] = Operations(
            synops, *_updates(count), *_sent(count, sent.get(count.name), placement)
        )
    return found


def total(each: Iterable[Operations]) -> Operations:
    """Of all populations together."""
    return sum(each, Operations({}))


def priced(profile: Profile, done: Operations, end: str = "value") -> dict[str, float] | None:
    """Energy of operations by `KINDS`, uJ, at one end (low, value, high) of the coefficients'
    ranges.

    What a profile does not price is left out; None where it prices no synaptic operation.
    """
    if "synop" not in profile.energy:
        return None
    e = {name: getattr(quantity, end) for name, quantity in profile.energy.items()}
    pj = (
        sum(n * e.get(f"synop_{form}", e["synop"]) for form, n in done.synops.items()),
        done.active * e.get("neuron_active", 0.0) + done.inactive * e.get("neuron_inactive", 0.0),
        done.spikes * e.get("spike_out", 0.0)
        + done.messages * (e.get("spike", 0.0) + e.get("axon_out", 0.0)),
        done.hops_ew * e.get("hop_ew", 0.0) + done.hops_ns * e.get("hop_ns", 0.0),
    )
    return {kind: PJ_TO_UJ * value for kind, value in zip(KINDS, pj)}


def unpriced(profile: Profile, done: Operations) -> tuple[str, ...]:
    """Operations that were done and of which the profile has no energy."""
    e = profile.energy
    if "synop" not in e:
        return ("energy of an operation",)
    asked = {
        "neuron_active": done.active,
        "neuron_inactive": done.inactive,
        "hop_ew": done.hops_ew,
        "hop_ns": done.hops_ns,
    }
    missing = [f"energy of {name}" for name, n in asked.items() if n and name not in e]
    message = (
        ["energy of a message"] if done.messages and not {"spike", "axon_out"} & e.keys() else []
    )
    return (*missing, *message)


def _updates(count: PopulationCount) -> tuple[float, float]:
    """Active and inactive; an input is not computed."""
    if count.kind == "input":
        return 0.0, 0.0
    if count.active_per_inference is None:
        raise DataError(
            "the active updates were not counted",
            where=count.name,
            fix="give `count` the updates of the run (scmrl.deploy.counts.updates)",
        )
    return count.active_per_inference, count.updates_per_inference - count.active_per_inference


def _sent(
    count: PopulationCount, sent: PopulationTraffic | None, placement: Placement | None
) -> tuple[float, float, float, float]:
    """Spikes of neurons, messages, hops E-W and N-S."""
    injected = count.kind == "input"
    if injected and (placement is None or not placement.inputs):
        return 0.0, 0.0, 0.0, 0.0
    spikes = 0.0 if injected else count.spikes_per_inference
    if sent is None:
        return spikes, spikes, 0.0, 0.0
    return spikes, sent.messages, sent.hops_ew or 0.0, sent.hops_ns or 0.0
