"""An integer graph without joins on many samples, as `core.reference` defines it and in every bit
its equal.

Sums are products of floats, exact since their size is bounded (`Graph.worst_activation`); blocks of
steps run at once where no synapse closes a cycle; samples run a few at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .....core.activity import Activity, check_inputs
from .....core.fixed_point import lif_step
from .....core.graph import Graph, Population, Synapse
from ..floats.products import convolve
from .interpreter import BLOCK, VALUES

FLOAT32 = 1 << 24  # integers below it are exact in 32 bits
Sums = Callable[[np.ndarray], np.ndarray]  # x [B, *source] -> integers as floats [B, targets]


class Runner:
    """The products of a graph, prepared once."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.order = [p for p in graph.order() if p.kind != "input"]
        place = {p.name: i for i, p in enumerate(graph.order())}
        self.recurrent = any(place[s.source] >= place[s.target] for s in graph.synapses)
        self.into = {
            p.name: [(s, self._sums(s)) for s in graph.incoming(p.name)] for p in self.order
        }

    def _sums(self, s: Synapse) -> Sums:
        source, target = self.graph[s.source], self.graph[s.target]
        exact = self.graph.worst_activation(s.target) < FLOAT32
        return products(s, source.shape, target.shape, np.float32 if exact else np.float64)

    def chunks(self, inputs: dict[str, np.ndarray]) -> Iterator[tuple[slice, Activity]]:
        """Activities of some samples at a time, with the samples they are."""
        samples, steps = next(iter(inputs.values())).shape[:2]
        neurons = sum(p.neurons for p in self.graph.populations)
        size = max(1, VALUES // (steps * neurons))
        for start in range(0, samples, size):
            part = slice(start, min(start + size, samples))
            yield part, self.run({name: x[part] for name, x in inputs.items()})

    def run(self, inputs: dict[str, np.ndarray]) -> Activity:
        """As `reference.run`, without its times."""
        inputs = check_inputs(self.graph, inputs)
        samples, steps = next(iter(inputs.values())).shape[:2]
        values: dict[str, np.ndarray] = {
            p.name: np.zeros((samples, steps, *p.shape), np.uint8 if p.fires else np.int64)
            for p in self.order
        } | inputs
        state = {p.name: np.zeros((2, samples, *p.shape), np.int64) for p in self.order}
        overflow = {p.name: 0 for p in self.order}
        largest = max(p.neurons for p in self.graph.populations)
        block = 1 if self.recurrent else max(1, BLOCK // (samples * largest))
        for start in range(0, steps, block):
            for p in self.order:
                sums = self._arriving(p, values, start, min(start + block, steps))
                for i in range(sums.shape[1]):
                    overflow[p.name] += self._step(p, state, sums[:, i], values, start + i)
        return Activity(
            spikes={p.name: values[p.name] for p in self.graph.of_kind("lif")},
            membrane={p.name: values[p.name] for p in self.graph.of_kind("readout")},
            backend="reference",
            version="in blocks",
            overflow=overflow,
        )

    def _arriving(
        self, p: Population, values: dict[str, np.ndarray], start: int, stop: int
    ) -> np.ndarray:
        """a of the steps start..stop-1, int64 [S, steps, *shape]."""
        samples = len(values[p.name])
        total = np.zeros((samples, stop - start, *p.shape), np.int64)
        for s, sums in self.into[p.name]:
            first = max(start, s.delay)
            if first >= stop:
                continue
            x = values[s.source][:, first - s.delay : stop - s.delay]
            y = sums(x.reshape(-1, *x.shape[2:])).astype(np.int64) << s.exponent
            total[:, first - start :] += y.reshape(samples, stop - first, *p.shape)
        return total

    def _step(
        self,
        p: Population,
        state: dict[str, np.ndarray],
        a: np.ndarray,
        values: dict[str, np.ndarray],
        t: int,
    ) -> int:
        """One step of a population; how often it reached a border."""
        if p.memoryless:
            state[p.name][:] = 0
        u, v = state[p.name]
        reset = {"reset": p.reset} if hasattr(p, "reset") else {}
        u, v, s, border = lif_step(
            u, v, a, du=p.du, dv=p.dv, vth=p.vth, bias=p.bias, fires=p.fires, **reset
        )
        state[p.name][0], state[p.name][1] = u, v
        values[p.name][:, t] = s if p.fires else v
        return border


def products(s: Synapse, source: tuple[int, ...], target: tuple[int, ...], number: type) -> Sums:
    """The sums of a synapse, its exponent not applied, in floats of a type that holds them
    exactly.
    """
    form = s.convolution(source, target) if len(source) == len(target) == 3 else None
    if form is not None:
        return lambda x: convolve(form, x, number)
    if s.all_to_all:
        weight: np.ndarray = np.ascontiguousarray(s.integers().T, number)
        return lambda x: x.reshape(len(x), -1).astype(number) @ weight
    return _by_events(s, source, target)


def _by_events(s: Synapse, source: tuple[int, ...], target: tuple[int, ...]) -> Sums:
    """Any synapse: the weights of the source neurons that are not silent."""
    rows, columns, weights = s.coordinates(source, target)
    order = np.argsort(columns, kind="stable")
    rows, weights = rows[order], weights[order].astype(float)
    first = np.searchsorted(columns[order], np.arange(int(np.prod(source)) + 1))
    targets = int(np.prod(target))

    def sums(x: np.ndarray) -> np.ndarray:
        out = np.zeros((len(x), targets))
        for total, frame in zip(out, x.reshape(len(x), -1)):
            active = np.flatnonzero(frame)
            counts = first[active + 1] - first[active]
            starts = np.repeat(first[active] - np.cumsum(counts) + counts, counts)
            places = starts + np.arange(len(starts))
            values = weights[places] * np.repeat(frame[active].astype(float), counts)
            total += np.bincount(rows[places], values, minlength=targets)
        return out

    return sums
