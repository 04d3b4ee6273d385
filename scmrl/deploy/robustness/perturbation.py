"""Faults of an integer model, each exact on every backend. numpy only.

    bit flips     each of a stored weight's 8 bits, probability p    w' = signed8(w XOR mask)
    dead neurons  a fraction of the LIF neurons never fires          bias' = -(2^23 - 1)
    spike loss    a spike reaches nobody, with probability p         s' = s AND NOT Bernoulli(p)
    spike jitter  a spike comes one step late, with probability p; after the last step it is lost

Bit flips and dead neurons give another graph. Loss and jitter happen between populations: each
population is run by itself on the disturbed spikes of its sources, which is the graph itself where
nothing is disturbed. Masks, gates and max-pools have one weight for all their synapses, fixed in
the wiring: no bit of theirs is stored per synapse.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from ...convert.frame.neurons import require_no_joins
from ...core.activity import Activity
from ...core.fixed_point import STATE_MAX
from ...core.graph import Graph, Population
from ...system.errors import GraphError, UsageError
from ..registry import open_backend

WEIGHT_BITS = 8
Disturbance = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def check_share(share: float, what: str) -> None:
    if not 0 <= share <= 1:
        raise UsageError("a probability lies between 0 and 1", where=what, value=share)


def flip_bits(graph: Graph, rate: float, random: np.random.Generator) -> Graph:
    """`graph`, stored weight bits flipped with probability `rate`; weights are signed bytes."""
    check_share(rate, "bit flips")
    synapses = []
    for synapse in graph.synapses:
        stored = synapse.weight  # a number is fixed in the wiring
        if isinstance(stored, np.ndarray):
            weight = np.asarray(stored, np.int64)
            if (most := int(np.abs(weight).max(initial=0))) > 127:
                what = "weights are wider than a byte"
                raise GraphError(what, where=synapse.name, limit=127, value=most)
            flips = random.random((WEIGHT_BITS, *weight.shape)) < rate
            mask = np.packbits(flips, axis=0, bitorder="little")[0]
            flipped = (weight.astype(np.uint8) ^ mask).view(np.int8).astype(np.int16)
            synapse = dataclasses.replace(synapse, weight=flipped)  # type: ignore[call-arg]
        synapses.append(synapse)
    return dataclasses.replace(graph, synapses=tuple(synapses))


def kill_neurons(graph: Graph, share: float, random: np.random.Generator) -> Graph:
    """`graph` with a random `share` of each LIF population held far below its threshold."""
    check_share(share, "dead neurons")
    require_no_joins(graph, "a fault")

    def killed(p: Population) -> Population:
        dead = random.random(p.shape) < share
        if p.kind != "lif" or not dead.any():
            return p
        worst = graph.worst_activation(p.name) << 6
        if worst > STATE_MAX + (int(np.min(p.vth)) << 6):
            what = "inputs can lift this population over any bias; dead neurons cannot be expressed"
            raise GraphError(what, where=p.name, limit=STATE_MAX, value=worst)
        floor, alive = -(STATE_MAX >> p.bias_exp), np.asarray(p.bias_mant, np.int64)
        mantissa = np.where(dead, floor, np.broadcast_to(alive, p.shape))
        return dataclasses.replace(p, bias_mant=mantissa.astype(np.int32))

    return dataclasses.replace(graph, populations=tuple(killed(p) for p in graph.populations))


def lose_spikes(rate: float) -> Disturbance:
    check_share(rate, "spike loss")
    return lambda s, random: s * (random.random(s.shape) >= rate)


def delay_spikes(rate: float) -> Disturbance:
    """Late spikes join what is there in the next step: two spikes of a neuron in a step are one."""
    check_share(rate, "spike jitter")

    def disturb(s: np.ndarray, random: np.random.Generator) -> np.ndarray:
        late = (s > 0) & (random.random(s.shape) < rate)
        out = np.where(late, 0, s)
        out[:, 1:] |= late[:, :-1].astype(s.dtype)
        return out

    return disturb


def run_disturbed(
    graph: Graph, inputs: dict[str, np.ndarray], disturb: Disturbance, random: np.random.Generator
) -> Activity:
    """Run a feed-forward `graph` on the simulator, each population's spikes disturbed on their way.

    Inputs {name: int [S, T, *shape]} arrive as they are. Raises `GraphError` for a recurrent graph.
    """
    require_no_joins(graph, "a fault")
    if delayed := [s.name for s in graph.synapses if s.delay]:
        what = "delayed synapses: spikes are disturbed in feed-forward graphs only"
        raise GraphError(what, where=delayed[0])
    sent, spikes, membrane = dict(inputs), {}, {}
    for p in graph.order():
        if p.kind == "input":
            continue
        values = _alone(graph, p, sent)
        if p.fires:
            spikes[p.name] = values
            sent[p.name] = disturb(values, random)
        else:
            membrane[p.name] = values
    return Activity(spikes, membrane, "simulator", "disturbed")


def _alone(graph: Graph, p: Population, sent: dict[str, np.ndarray]) -> np.ndarray:
    """Values of population `p` where its sources are inputs with the values `sent`."""
    sources = {s.source for s in graph.incoming(p.name)}
    if not sources:
        samples, steps = next(iter(sent.values())).shape[:2]
        alone = Graph((Population("nothing", (1,), "input"), p), (), graph.steps)
        sent = {"nothing": np.zeros((samples, steps, 1), np.uint8)}
    else:
        as_inputs = tuple(
            q if q.kind == "input" else Population(q.name, q.shape, "input")
            for q in graph.populations
            if q.name in sources
        )
        alone = Graph((*as_inputs, p), graph.incoming(p.name), graph.steps)
    with open_backend("simulator", alone) as simulator:
        return simulator.run({q.name: sent[q.name] for q in alone.of_kind("input")}).values(p.name)
