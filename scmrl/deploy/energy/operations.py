"""What a network does in one sample on a chip, and what a profile's coefficients make of it.

    synaptic operations by the format in which the chip stores them, neuron updates active
    and inactive, spikes, messages (a spike to each core that listens) and the hops of their way

Spikes, synaptic operations and updates are exact counts of the hardware steps of a mode (`trace`),
messages and hops exact counts on a placement (`traffic`). Without a placement a spike is one
message, and formats are unknown. Where a format stores zero weights, a message walks them too: that
is charged, and is no synaptic operation of the counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from ...core.graph import Graph, Population, Synapse, slices
from ...core.synapse import Box, Shape
from ...hw_profiles.profile import Profile
from ..counts.counts import is_graded, with_zeros
from ..placement.cores import Placement
from ..placement.traffic import PopulationTraffic, Traffic
from .trace import Trace

PJ_TO_UJ = 1e-6
WALKED = ("dense", "conv")  # formats that store zeros, so that every message meets them
Fans = tuple[np.ndarray, np.ndarray]  # as of `fan_outs`
KINDS = ("synapses", "updates", "messages", "hops")


@dataclass(frozen=True)
class Operations:
    """Means per inference. `synops` by storage format: dense, sparse, conv, graded
    (multiplications), ""; with the zeros that a format stores, without them they are `counted`.
    """

    synops: Mapping[str, float]
    active: float = 0.0
    inactive: float = 0.0
    spikes: float = 0.0  # of neurons on the chip
    messages: float = 0.0  # each to one core
    hops_ew: float = 0.0
    hops_ns: float = 0.0
    fired: float = 0.0  # messages of a population, of an input too, whoever pays for them
    counted: float = 0.0  # synaptic operations

    def __add__(self, other: Operations) -> Operations:
        synops = {
            form: self.synops.get(form, 0.0) + other.synops.get(form, 0.0)
            for form in (*self.synops, *other.synops)
        }
        return Operations(
            synops, *(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)[1:])
        )


def forms(graph: Graph, profile: Profile, placement: Placement | None) -> tuple[str, ...]:
    """How each synapse is stored, and so priced: by its format on the chip, "graded" where it
    multiplies and the chip has a price of that, "" where nothing is placed.
    """
    stored = ("",) * len(graph.synapses) if placement is None else placement.formats
    multiplied = "synop_graded" in profile.energy
    return tuple(
        "graded" if multiplied and is_graded(graph[s.source]) else form
        for s, form in zip(graph.synapses, stored)
    )


def operations(
    trace: Trace,
    mode: str,
    formats: Sequence[str],
    fans: Sequence[Fans],
    placement: Placement | None,
    traffic: Traffic | None,
) -> dict[str, Operations]:
    """Operations of every population in a sample, synaptic ones where they arrive; `formats` of
    `forms`, `fans` of `fan_outs`. Messages that the host injects are none of the chip's.
    """
    graph = trace.line.graph
    sent = {} if traffic is None else {p.name: p for p in traffic.populations}
    arriving, counted = _arriving(trace, mode, formats, fans)
    return {
        p.name: Operations(
            arriving.get(p.name, {}),
            *_updates(trace, mode, p),
            *_sent(trace, mode, p, sent.get(p.name), placement),
            counted.get(p.name, 0.0),
        )
        for p in graph.populations
    }


def fired(trace: Trace, mode: str) -> dict[str, np.ndarray]:
    """Messages of each neuron in a sample, float [neurons], by population; fill and drain
    included.
    """
    depth = trace.line.depth
    return {
        p.name: trace.mean_sent(p.name, trace.at(mode, depth[p.name]))
        for p in trace.line.graph.populations
        if p.kind != "readout"
    }


def arrivals(
    synapse: Synapse, form: str, shapes: tuple[Shape, Shape], box: Box
) -> tuple[Box, np.ndarray]:
    """`Synapse.arrivals` in a box of the target, as a message meets them that is stored in `form`:
    with the zeros of its list, where it has one.
    """
    region, counts = synapse.arrivals(*shapes, box)
    if form in WALKED:
        counts = np.where(counts > 0, with_zeros(synapse).arrivals(*shapes, box)[1], 0)
    return region, counts


def fan_outs(graph: Graph, placement: Placement | None) -> list[Fans]:
    """Of every synapse what a message of each source neuron meets, and its weights alone."""
    return [(_met(graph, i, placement), graph.fan_out(s)) for i, s in enumerate(graph.synapses)]


def _met(graph: Graph, i: int, placement: Placement | None) -> np.ndarray:
    """What a message of each source neuron meets through synapse `i`, on all cores together."""
    synapse = graph.synapses[i]
    if placement is None or placement.formats[i] not in WALKED:
        return graph.fan_out(synapse)
    shapes = graph[synapse.source].shape, graph[synapse.target].shape
    found = np.zeros(shapes[0])
    for core in placement.of(synapse.target):
        for piece in core.pieces:
            if piece.population == synapse.target:
                region, counts = arrivals(synapse, placement.formats[i], shapes, piece.box)
                found[slices(region)] += counts
    return found.ravel()


def _arriving(
    trace: Trace, mode: str, formats: Sequence[str], fans: Sequence[Fans]
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Synaptic operations by target and format, and by target without the zeros."""
    graph = trace.line.graph
    found: dict[str, dict[str, float]] = {}
    counted: dict[str, float] = {}
    known: dict[tuple, np.ndarray] = {}
    for i, synapse in enumerate(graph.synapses):
        source = trace.carries(i)
        if source not in known:
            known[source] = trace.mean_sent(source[0], trace.at(mode, *source[1:]))
        synops = found.setdefault(synapse.target, {})
        n, real = (float(known[source] @ fan) for fan in fans[i])
        synops[formats[i]] = synops.get(formats[i], 0.0) + n
        counted[synapse.target] = counted.get(synapse.target, 0.0) + real
    return found, counted


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


def _updates(trace: Trace, mode: str, p: Population) -> tuple[float, float]:
    """Active and inactive, of all hardware steps; an input is not computed."""
    if p.kind == "input":
        return 0.0, 0.0
    active = trace.mean_active(p.name, trace.at(mode, trace.line.depth[p.name]))
    return active, p.neurons * trace.hardware_steps(mode) - active


def _sent(
    trace: Trace,
    mode: str,
    p: Population,
    sent: PopulationTraffic | None,
    placement: Placement | None,
) -> tuple[float, float, float, float, float]:
    """Spikes of neurons, messages, hops E-W and N-S, and what it fires."""
    injected = p.kind == "input"
    fired = 0.0
    if p.kind != "readout":
        fired = float(trace.mean_sent(p.name, trace.at(mode, trace.line.depth[p.name])).sum())
    if injected and (placement is None or not placement.inputs):
        return 0.0, 0.0, 0.0, 0.0, fired
    spikes = 0.0 if injected else fired
    if sent is None:
        return spikes, spikes, 0.0, 0.0, fired
    return spikes, sent.messages, sent.hops_ew or 0.0, sent.hops_ns or 0.0, fired
