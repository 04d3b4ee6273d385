"""Who hears whom: the cores of neurons, the neurons that a core hears, output axons.

axons out   one for each neuron and destination core; Loihi 1: two where the destination shares
            its weights, one more to another chip; Loihi 2: one for each neuron and destination
            population, or, where that shares its weights, for each position (the logs fit
            nothing more)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ...core.graph import Box, Graph, Synapse, slices
from .boxes import union, within
from .cores import Piece
from .synapse_memory import SynapseMemory

Owners = dict[str, np.ndarray]


def owners(graph: Graph, groups: Sequence[Sequence[Piece]]) -> Owners:
    """The core of every neuron, int [*shape], of the populations that are placed."""
    owner: Owners = {}
    for core, group in enumerate(groups):
        for piece in group:
            cores = owner.setdefault(
                piece.population, np.full(graph[piece.population].shape, -1, np.int32)
            )
            cores[slices(piece.box)] = core
    return owner


def listeners(
    graph: Graph, group: Sequence[Piece]
) -> Iterator[tuple[str, Box, np.ndarray, np.ndarray]]:
    """The source neurons that a core hears: source, a box of it, and in that box the masks of those
    that reach the core through a shared synapse, and of all that reach it.
    """
    found: dict[str, list[tuple[Synapse, Box, np.ndarray]]] = {}
    for piece in group:
        for synapse in graph.incoming(piece.population):
            shapes = graph[synapse.source].shape, graph[piece.population].shape
            region, counts = synapse.arrivals(*shapes, piece.box)
            found.setdefault(synapse.source, []).append((synapse, region, counts > 0))
    for source, heard in found.items():
        region, mask = union([(box, part) for _, box, part in heard])
        shared = np.zeros(mask.shape, bool)
        for synapse, box, part in heard:
            if synapse.shared:
                shared[slices(within(box, region))] |= part
        yield source, region, shared, mask


def axons_out(graph: Graph, memory: SynapseMemory, groups: list[list[Piece]]) -> np.ndarray:
    """Output axons of each core, where core i stands in slot i."""
    owner = owners(graph, groups)
    if memory.mapping == "loihi2":
        return _to_populations(graph, memory, owner, len(groups))
    per_chip, loihi1 = memory.limits["cores"], memory.mapping == "loihi1"
    total = np.zeros(len(groups), np.int64)
    for core, group in enumerate(groups):
        for source, region, shared, mask in listeners(graph, group):
            if source in owner:
                own = owner[source][slices(region)]
                shared = shared & (not memory.expanded)
                each = 1 + shared + (own // per_chip != core // per_chip) if loihi1 else 1
                taken = np.bincount(own.ravel(), (mask * each).ravel(), len(groups))
                total += taken.astype(np.int64)
    return total


def _to_populations(graph: Graph, memory: SynapseMemory, owner: Owners, cores: int) -> np.ndarray:
    """Loihi 2: an entry for each destination population and neuron, or position where all is
    shared.
    """
    total = np.zeros(cores, np.int64)
    placed = (s for s in graph.synapses if s.source in owner and s.target in owner)
    for source, target in dict.fromkeys((s.source, s.target) for s in placed):
        own, shape = owner[source], graph[target].shape
        between = [s for s in graph.incoming(target) if s.source == source]
        reach = [s.fan_out(own.shape, shape).reshape(own.shape) > 0 for s in between]
        reached = np.logical_or.reduce(reach)
        if all(map(memory.shares, between)):
            positions = math.prod(own.shape[1:])
            position = np.arange(positions).reshape(own.shape[1:])
            taken = np.unique((own.astype(np.int64) * positions + position)[reached])
            total += np.bincount(taken // positions, minlength=cores)
        else:
            total += np.bincount(own[reached], minlength=cores)
    return total
