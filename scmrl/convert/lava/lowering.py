"""Graph -> Lava network: depths, waits, merged processes, 8-bit weights. Exact or refused. numpy
only.

Depths, delays and relays are those of `convert.frame.pipeline`. Two layouts: a chip's, which
`energy` and `place` price and the Loihi backends run, with a process for each population and delays
of synapses; and the merged one, for Lava's simulator alone, whose cost grows with its processes and
which builds a delayed matrix anew in every step: there all waiting is done by relays.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ...core.fixed_point import CURRENT_SHIFT, STATE_LIMIT
from ...core.graph import NO_CURRENT_MEMORY, Graph, Population
from ...system.errors import GraphError
from ..frame.neurons import require_no_joins, require_reset_to_zero
from ..frame.pipeline import Pipeline, pipeline
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
Between = tuple[str, str, int]  # source process, target process, steps that its synapses wait


def lower(graph: Graph, steps: int | None = None, on_chip: Pipeline | None = None) -> LavaNetwork:
    """The graph as a `LavaNetwork` for samples of `steps` steps (default: the graph's own).

    `on_chip`: the graph's pipeline on a chip, whose layout it then is, each population and each
    relay a process of its own. Otherwise populations that reset together share a process, which a
    simulator runs faster.

    Raises `GraphError`, naming the node, on what Lava cannot hold: a loop with fewer delays than
    synapses, a bias mantissa that Lava stores in 16 bits, a current beyond its 32, joined
    compartments. Weights of any width are exact: wider ones are split into 8-bit parts.
    """
    require_no_joins(graph.check(), "Lava's LIF")
    require_reset_to_zero(graph, "Lava's LIF")
    steps = graph.steps if steps is None else steps
    line = on_chip or pipeline(graph)
    layout = _Layout(graph, steps, line, merged=on_chip is None)
    own = [p for p in graph.order() if p.kind != "input"]
    for population in own:
        _check_32_bits(population, graph.worst_activation(population.name), steps)
        layout.place(population)
    for relay in line.relays:
        layout.place(line.graph[relay])
    matrices = layout.matrices()
    neurons = layout.neurons()
    weights = tuple(
        part for between, entries in matrices.items() for part in _weights(between, entries, layout)
    )
    weights = reaching_all({n.name: n.count for n in neurons}, weights)
    return LavaNetwork(
        steps=steps,
        pipelined=line.streams,
        relays=sum(line.graph[name].neurons for name in line.relays),
        readout=READOUT if graph.readout else None,
        inputs=tuple(layout.inputs.values()),
        places=tuple(layout.places[p.name] for p in own),
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


class _Layout:
    """Hands out neurons of the processes, and remembers where everything is."""

    def __init__(self, graph: Graph, steps: int, line: Pipeline, merged: bool):
        self.graph, self.steps, self.line, self.merged = graph, steps, line, merged
        self.places: dict[str, Place] = {}  # of relays too
        self.inputs: dict[tuple[str, int, int], Place] = {}
        self._size: dict[str, int] = defaultdict(int)
        self._phase: dict[str, int] = {}
        self._parts: dict[str, list[dict[str, np.ndarray]]] = defaultdict(list)

    def place(self, p: Population) -> None:
        """Neurons for a population or relay."""
        depth = self.line.depth[p.name]
        phase = depth % self.steps
        own = p.name if p.name in self.line.relays else f"{p.name}@0"
        own = READOUT if p.kind == "readout" else own
        process = f"phase{phase}" if self.merged and own != READOUT else own
        self._phase[process] = phase
        self.places[p.name] = Place(p.name, process, self._size[process], p.neurons, depth)
        self._size[process] += p.neurons
        self._parts[process].append(_parameters(p))

    def _input(self, name: str, depth: int, delay: int) -> Place:
        """The copy of an input that starts at `depth`."""
        key = (name, depth, delay)
        if key not in self.inputs:
            start = sum(p.count for p in self.inputs.values())
            self.inputs[key] = Place(name, SOURCE, start, self.graph[name].neurons, depth, delay)
        return self.inputs[key]

    def matrices(self) -> dict[Between, dict[int, list[tuple[np.ndarray, ...]]]]:
        """(rows, columns, mantissas) by source process, target process and wait, and exponent."""
        out: dict = defaultdict(lambda: defaultdict(list))
        laid_out = self.line.graph
        for i, s in enumerate(laid_out.synapses):
            if laid_out[s.source].kind == "input":
                due = self.line.depth[s.target] - 1
                source = self._input(s.source, due, self.graph.synapses[i].delay)
            else:
                source = self.places[s.source]
            target = self.places[s.target]
            rows, columns, weights = s.coordinates(
                laid_out[s.source].shape, laid_out[s.target].shape
            )
            exponent, mantissa = _fold(weights, s.exponent)
            out[source.process, target.process, s.delay][exponent].append(
                (rows + target.start, columns + source.start, mantissa)
            )
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


def _weights(between: Between, entries: dict[int, list], layout: _Layout) -> list[Weights]:
    """One matrix per exponent; what does not fit 8 bits after summing duplicates goes on to
    exponent + 8.
    """
    source = between[0]
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
            out.append(_csr(between, exponent, layout, rows[keep], columns[keep], low[keep]))
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
    between: Between,
    exponent: int,
    layout: _Layout,
    rows: np.ndarray,
    columns: np.ndarray,
    mantissa: np.ndarray,
) -> Weights:
    source, target, delay = between
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=layout.size(target)))])
    return Weights(
        source,
        target,
        exponent,
        layout.message_bits(source, target),
        indptr.astype(np.int32),
        columns.astype(np.int32),
        mantissa.astype(np.int16),
        delay,
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
