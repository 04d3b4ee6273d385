"""Graph -> Lava network: depths, relays, merged processes, 8-bit weights. Exact or refused. numpy
only.

A synapse of logical delay k from a population at depth d_s to one at depth d_t has to take

    hops = d_t - d_s + k >= 1

hardware steps, one for the synapse itself and one for every relay before it. Depths are the
smallest that allow it.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ...core.fixed_point import CURRENT_SHIFT, DECAY_ONE, STATE_LIMIT
from ...core.graph import NO_CURRENT_MEMORY, Graph, Population, Synapse
from ...system.errors import GraphError
from ..frame.neurons import require_no_joins, require_reset_to_zero
from .network import (
    MANTISSA,
    NEURON_RANGES,
    NEVER,
    SOURCE,
    LavaNetwork,
    Neurons,
    Place,
    Weights,
)

READOUT = "readout"


def lower(graph: Graph, steps: int | None = None, *, merged: bool = True) -> LavaNetwork:
    """The graph as a `LavaNetwork` for samples of `steps` steps (default: the graph's own).

    `merged`: populations that reset together share a process, which a simulator runs faster;
    otherwise each population, and each of its relays, is a process of its own, as a chip takes it.

    Raises `GraphError`, naming the node, on what Lava cannot hold: a loop with fewer delays than
    synapses, a bias mantissa that Lava stores in 16 bits, a current beyond its 32, joined
    compartments. Weights of any width are exact: wider ones are split into 8-bit parts.
    """
    require_no_joins(graph.check(), "Lava's LIF")
    require_reset_to_zero(graph, "Lava's LIF")
    steps = graph.steps if steps is None else steps
    layout = _Layout(graph, steps, hardware_depths(graph), merged)
    for population in graph.order():
        if population.kind != "input":
            _check_32_bits(population, graph.worst_activation(population.name), steps)
            layout.add_population(population)
    matrices = layout.matrices()
    neurons = layout.neurons()
    weights = tuple(
        part
        for (source, target), entries in matrices.items()
        for part in _weights(source, target, entries, layout)
    )
    weights = reaching_all({n.name: n.count for n in neurons}, weights)
    pipelined = all(s.delay == 0 or graph[s.source].kind == "input" for s in graph.synapses)
    return LavaNetwork(
        steps=steps,
        pipelined=pipelined,
        relays=layout.relays,
        readout=READOUT if graph.readout else None,
        inputs=tuple(layout.inputs.values()),
        places=tuple(layout.places.values()),
        neurons=neurons,
        weights=weights,
    ).check()


def _check_32_bits(p: Population, activation: int, steps: int) -> None:
    """Lava adds in int32, the definition in exact integers: refuse where u + v + bias could differ.

    A step adds |a| << 6 to u and its one wrap takes 2^24 off again, so u grows by the excess in
    every step of a sample.
    """
    jump = activation << CURRENT_SHIFT
    forgets = np.all(p.decays[0] == NO_CURRENT_MEMORY)
    held = 0 if forgets else STATE_LIMIT + steps * max(0, jump - 2 * STATE_LIMIT)
    worst = held + jump + STATE_LIMIT + int(np.abs(p.bias).max())
    if worst >= 1 << 31:
        raise GraphError(
            "current and bias can leave Lava's 32 bits",
            where=p.name,
            limit=(1 << 31) - 1,
            value=worst,
            fix="use smaller weights, fan-in or bias",
        )


def hardware_depths(graph: Graph) -> dict[str, int]:
    """Hardware step in which each population sees its logical step 0: the least with all hops >= 1.

    The source delays inputs by itself, so their synapses count as undelayed.
    """
    depth = {p.name: 0 for p in graph.populations}
    inputs = {p.name for p in graph.of_kind("input")}
    cause: dict[str, Synapse] = {}

    def earliest(s: Synapse) -> int:
        return 1 if s.source in inputs else depth[s.source] + 1 - s.delay

    for _ in range(len(depth) + 1):
        late = [s for s in graph.synapses if depth[s.target] < earliest(s)]
        if not late:
            return depth
        for s in late:
            if depth[s.target] < earliest(s):
                depth[s.target], cause[s.target] = earliest(s), s
    loop = _loop(cause, late[0].target)
    raise GraphError(
        "loop is too fast for Lava, where every synapse takes one step",
        where=" -> ".join([loop[0].source, *(s.target for s in loop)]),
        limit=f"a total delay of {len(loop)} or more",
        value=sum(s.delay for s in loop),
        fix="give the loop one step of delay per synapse",
    )


def _loop(cause: dict[str, Synapse], name: str) -> list[Synapse]:
    """The cycle that is reached by following causes back from `name`."""
    for _ in cause:
        name = cause[name].source
    loop, at = [cause[name]], cause[name].source
    while at != name:
        loop.append(cause[at])
        at = cause[at].source
    return loop[::-1]


class _Layout:
    """Hands out neurons of the merged processes, and remembers where everything is."""

    def __init__(self, graph: Graph, steps: int, depth: dict[str, int], merged: bool):
        self.graph, self.steps, self.depth, self.merged = graph, steps, depth, merged
        self.places: dict[str, Place] = {}
        self.inputs: dict[tuple[str, int, int], Place] = {}
        # a population and its relays, one depth after another
        self.chains: dict[str, list[Place]] = {}
        self.relays = 0
        self._size: dict[str, int] = defaultdict(int)
        self._phase: dict[str, int] = {}
        self._parts: dict[str, list[dict[str, np.ndarray]]] = defaultdict(list)

    def hops(self, synapse: Synapse) -> int:
        return self.depth[synapse.target] - self.depth[synapse.source] + synapse.delay

    def add_population(self, p: Population) -> None:
        """Neurons for `p`, and for the relays that its longest-waiting synapse needs."""
        d = self.depth[p.name]
        home = self._allocate(p.name, p.neurons, d, READOUT if p.kind == "readout" else None)
        self._parts[home.process].append(_parameters(p))
        self.places[p.name], self.chains[p.name] = home, [home]
        for i in range(1, max((self.hops(s) for s in self.graph.outgoing(p.name)), default=1)):
            relay = self._allocate(p.name, p.neurons, d + i)
            forgetful = _lif(p.neurons, vth=0, du=NO_CURRENT_MEMORY, dv=DECAY_ONE)
            self._parts[relay.process].append(forgetful)
            self.chains[p.name].append(relay)
            self.relays += p.neurons

    def _allocate(self, name: str, count: int, depth: int, process: str | None = None) -> Place:
        phase = depth % self.steps
        # a relay: how many steps later than its population
        own = f"{name}@{depth - self.depth[name]}"
        process = process or (f"phase{phase}" if self.merged else own)
        self._phase[process] = phase
        place = Place(name, process, self._size[process], count, depth)
        self._size[process] += count
        return place

    def source_of(self, synapse: Synapse) -> Place:
        """The place one hardware step before the target: an input's copy, the population or its
        relay.
        """
        if self.graph[synapse.source].kind != "input":
            return self.chains[synapse.source][self.hops(synapse) - 1]
        return self._input(synapse.source, self.depth[synapse.target] - 1, synapse.delay)

    def _input(self, name: str, depth: int, delay: int) -> Place:
        key = (name, depth, delay)
        if key not in self.inputs:
            start = sum(p.count for p in self.inputs.values())
            self.inputs[key] = Place(name, SOURCE, start, self.graph[name].neurons, depth, delay)
        return self.inputs[key]

    def matrices(self) -> dict[tuple[str, str], dict[int, list[tuple[np.ndarray, ...]]]]:
        """(rows, columns, mantissas) by source process, target process and exponent."""
        out: dict = defaultdict(lambda: defaultdict(list))
        for s in self.graph.synapses:
            source, target = self.source_of(s), self.places[s.target]
            rows, columns, weights = s.coordinates(
                self.graph[s.source].shape, self.graph[s.target].shape
            )
            exponent, mantissa = _fold(weights, s.exponent)
            out[source.process, target.process][exponent].append(
                (rows + target.start, columns + source.start, mantissa)
            )
        for chain in self.chains.values():
            for source, relay in zip(chain, chain[1:]):
                i = np.arange(relay.count)
                one_to_one = (i + relay.start, i + source.start, np.ones_like(i))
                out[source.process, relay.process][0].append(one_to_one)
        if not self.inputs:
            self._input(self.graph.of_kind("input")[0].name, 0, 0)
        return out

    def neurons(self) -> tuple[Neurons, ...]:
        return tuple(
            Neurons(
                name,
                self._phase[name],
                **{key: np.concatenate([part[key] for part in parts]) for key in NEURON_RANGES},
            )
            for name, parts in sorted(self._parts.items())
        )

    def size(self, process: str) -> int:
        return (
            sum(p.count for p in self.inputs.values()) if process == SOURCE else self._size[process]
        )

    def message_bits(self, source: str, target: str) -> int:
        """1 for spikes; graded inputs travel in 8 or 16 bits."""
        if source != SOURCE:
            return 1
        bits = max(
            self.graph[s.source].bits
            for s in self.graph.synapses
            if self.graph[s.source].kind == "input" and self.places[s.target].process == target
        )
        return next(width for width in (1, 8, 16) if bits <= width)


def _parameters(p: Population) -> dict[str, np.ndarray]:
    """LIF parameters of a population, one value a neuron."""
    mantissa = p.per_neuron(p.bias_mant)
    low, high = NEURON_RANGES["bias_mant"]
    if mantissa.min() < low or mantissa.max() > high:
        raise GraphError(
            "bias mantissa does not fit Lava's 16 bits",
            where=p.name,
            limit=f"{low}..{high}",
            value=f"{mantissa.min()}..{mantissa.max()}",
            fix="use a smaller mantissa and a larger bias_exp",
        )
    du, dv = p.decays
    values = {"vth": p.vth if p.fires else NEVER, "du": du, "dv": dv, "bias_exp": p.bias_exp}
    arrays = {name: p.per_neuron(value).ravel() for name, value in values.items()}
    return _lif(p.neurons, bias_mant=mantissa.ravel(), **arrays)


def _lif(count: int, **values: int | np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.full(count, values.get(name, 0), np.int32) for name in NEURON_RANGES}


def _fold(weights: np.ndarray, exponent: int) -> tuple[int, np.ndarray]:
    """(0, weights << exponent) where that fits a mantissa, so that most synapses share one
    process.
    """
    whole = weights << exponent
    if whole.size == 0 or (MANTISSA[0] <= whole.min() and whole.max() <= MANTISSA[1]):
        return 0, whole
    return exponent, weights


def _weights(source: str, target: str, entries: dict[int, list], layout: _Layout) -> list[Weights]:
    """One matrix per exponent; what does not fit 8 bits after summing duplicates goes on to
    exponent + 8.
    """
    waiting = {exponent: list(parts) for exponent, parts in entries.items()}
    out = []
    while waiting:
        exponent = min(waiting)
        rows, columns, total = _summed(waiting.pop(exponent), layout.size(source))
        low = (total + 128) % 256 - 128
        high = (total - low) >> 8
        if high.any():
            keep = high != 0
            waiting.setdefault(exponent + 8, []).append((rows[keep], columns[keep], high[keep]))
        if low.any():
            keep = low != 0
            out.append(_csr(source, target, exponent, layout, rows[keep], columns[keep], low[keep]))
    return out


def _summed(
    parts: list[tuple[np.ndarray, ...]], width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates in row order, duplicates added up."""
    rows, columns, weights = (np.concatenate(part) for part in zip(*parts))
    key, where = np.unique(rows.astype(np.int64) * width + columns, return_inverse=True)
    total = np.zeros(len(key), np.int64)
    np.add.at(total, where, weights)
    return key // width, key % width, total


def _csr(
    source: str,
    target: str,
    exponent: int,
    layout: _Layout,
    rows: np.ndarray,
    columns: np.ndarray,
    mantissa: np.ndarray,
) -> Weights:
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=layout.size(target)))])
    return Weights(
        source,
        target,
        exponent,
        layout.message_bits(source, target),
        indptr.astype(np.int32),
        columns.astype(np.int32),
        mantissa.astype(np.int16),
    )


def reaching_all(sizes: dict[str, int], weights: tuple[Weights, ...]) -> tuple[Weights, ...]:
    """`weights`, and empty ones to what no weights join to the source; `sizes` of the processes."""
    empty = tuple(_no_weights(name, sizes[name]) for name in _unreached(sizes, weights))
    return weights + empty


def _unreached(sizes: dict[str, int], weights: tuple[Weights, ...]) -> list[str]:
    """One process of each part that no weights join to the source; Lava would not find it, nor run
    it.
    """
    group = {name: name for name in (SOURCE, *sizes)}

    def root(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for w in weights:
        group[root(w.source)] = root(w.target)
    lone: dict[str, str] = {}
    for name in sizes:
        lone.setdefault(root(name), name)
    lone.pop(root(SOURCE), None)
    return list(lone.values())


def _no_weights(target: str, count: int) -> Weights:
    empty = np.zeros(0, np.int32)
    return Weights(
        SOURCE, target, 0, 1, np.zeros(count + 1, np.int32), empty, empty.astype(np.int16)
    )
