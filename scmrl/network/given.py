"""The network of a graph: every graph without joins can be trained on, whoever made it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

import numpy as np

from ..core.fixed_point import CURRENT_SHIFT, DECAY_ONE
from ..core.graph import Graph, Population
from ..core.synapse import Synapse
from ..system.errors import GraphError
from .network import Network
from .nodes.given import Given, Parts
from .nodes.node import Input
from .nodes.signal import after


def network_of(graph: Graph) -> Network:
    """The graph as a network whose weights, biases and constants learn on its own integers; before
    any training it is the graph, in every bit. Raises `GraphError` for a graph with joins or
    without a readout.
    """
    for p in graph.populations:
        if p.adds:
            what = "a join of two compartments cannot be trained"
            raise GraphError(what, where=p.name, value=p.adds)
    if graph.readout is None:
        raise GraphError("a graph without a readout has nothing to train for")
    return _Reading(graph).network()


class _Reading:
    """Populations of one state are one node, under the name of the first."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.constant = {p.name for p in graph.populations if _constant(p, graph)}
        self.groups = self._groups()
        self.node = {p.name: group[0].name for group in self.groups for p in group}

    def network(self) -> Network:
        net = Network(self.graph.steps)
        for group in self.groups:
            first = group[0]
            if first.kind == "input":
                net.add(first.name, Input(first.shape, first.bits))
        for group in self.groups:
            if group[0].kind != "input":
                parts = self._parts(group)
                signals = [
                    after(self.node[same[0].source], same[0].delay) for same in parts.synapses
                ]
                net.add(group[0].name, Given(parts), *signals)
        return net

    def _groups(self) -> list[tuple[Population, ...]]:
        """The populations, those together that hold one state and that all others hear alike."""
        alike: dict[object, list[Population]] = {}
        for p in self.graph.populations:
            if p.name not in self.constant:
                alike.setdefault(self._heard(p), []).append(p)
        groups = []
        for members in alike.values():
            members.sort(key=lambda p: int(np.max(p.vth)))
            if len({self._said(p) for p in members}) == 1 and _ascend(members):
                groups.append(tuple(members))
            else:
                groups += [(p,) for p in members]
        place = {p.name: i for i, p in enumerate(self.graph.populations)}
        return sorted(groups, key=lambda group: place[group[0].name])

    def _heard(self, p: Population) -> object:
        """What makes the state of a population: equal where it is the same at all times."""
        if p.kind != "lif" or p.memoryless or not np.all(np.asarray(p.dv) == DECAY_ONE):
            return p.name  # its spikes change its state
        own = (p.shape, _bytes(p.per_neuron(p.du)), _bytes(p.bias))
        return own, _counted((s.source, *_form(s)) for s in self.graph.incoming(p.name))

    def _said(self, p: Population) -> object:
        return _counted((s.target, *_form(s)) for s in self.graph.outgoing(p.name))

    def _parts(self, group: tuple[Population, ...]) -> Parts:
        first, constants = group[0], dict[int, np.ndarray]()
        learnt: dict[object, list[Synapse]] = {}
        own: list[Synapse] = []
        for p in group:
            count: Counter[object] = Counter()
            for s in self.graph.incoming(p.name):
                if s.source in self.constant:
                    if p is first:
                        brought = self._brought(s, first)
                        constants[s.delay] = constants.get(s.delay, 0) + brought
                elif (
                    self.node[s.source] == first.name
                    and s.delay == 1
                    and _own(s, first, self.graph)
                ):
                    own.append(s)
                else:
                    key = (self.node[s.source], *_form(s))
                    count[key, s.source] += 1
                    learnt.setdefault((key, count[key, s.source]), []).append(s)
        back = self._back(own, first)
        if back is None:
            learnt |= {(s.name,): [s] for s in own}
            own = []
        synapses = tuple(map(tuple, learnt.values()))
        return Parts(group, synapses, constants, back, tuple(own))

    def _brought(self, s: Synapse, target: Population) -> np.ndarray:
        source = self.graph[s.source]
        ones = np.ones((1, *source.shape), np.int64)
        return s.apply(ones, target.shape)[0] << np.int64(s.exponent)

    def _back(self, own: list[Synapse], first: Population) -> np.ndarray | None:
        """What each own spike takes off one step later, where it takes off something everywhere."""
        total = np.zeros(first.shape, np.int64)
        for s in own:
            if s.source == first.name and s.target == first.name:
                total += self._brought(s, first)
        held = np.all(np.asarray(first.dv) == DECAY_ONE) and not first.memoryless
        return -total if own and held and np.all(total < 0) else None


def _constant(p: Population, graph: Graph) -> bool:
    """Whether it fires at every step, whatever the input is."""
    still = p.kind == "lif" and p.memoryless and not graph.incoming(p.name)
    return still and bool(np.all(p.bias > p.per_neuron(p.vth) << CURRENT_SHIFT))


def _own(s: Synapse, p: Population, graph: Graph) -> bool:
    """Whether it goes from each neuron to the same neuron."""
    rows, columns, _ = s.coordinates(graph[s.source].shape, p.shape)
    return bool(np.array_equal(rows, columns))


def _form(s: Synapse) -> tuple[object, ...]:
    """All of a synapse but its ends and its label."""
    ends = ("source", "target", "label")
    said = (getattr(s, f.name) for f in dataclasses.fields(s) if f.name not in ends)
    return (type(s).__name__, *(_bytes(x) if isinstance(x, np.ndarray) else x for x in said))


def _bytes(x: np.ndarray) -> tuple[object, ...]:
    return x.shape, np.ascontiguousarray(x, np.int64).tobytes()


def _counted(said: Iterable[tuple[object, ...]]) -> frozenset[tuple[object, int]]:
    return frozenset(Counter(said).items())


def _ascend(members: list[Population]) -> bool:
    """Whether each threshold is at least the one before, at every neuron."""
    vth = [p.per_neuron(p.vth) for p in members]
    return all(bool(np.all(a <= b)) for a, b in zip(vth, vth[1:]))
