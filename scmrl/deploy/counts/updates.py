"""Neuron updates that have something to do, counted exactly by following the state of every neuron.

    active     a message arrives, or the bias or an added membrane is not 0, or state that the
               step takes over is not 0: u where du < 4095, v where dv < 4096, neither in a
               memoryless population
    receiving  a message arrives through a weight that is not 0
    changed    the stored membrane (after the reset) differs from that before the step; at the first
               all do

in neuron-steps; every other update is inactive. `active` is the rule of SANA-FE (Boyle et al. 2025,
doi 10.1109/TCAD.2025.3537971), and our reading of "inactive" in Davies et al. 2018, who do not
define it. `changed` is NeuroBench's membrane updates (Yik et al., arXiv 2304.04640).

The state is a function of known spikes: each population is stepped on what its sources really sent,
whichever backend ran them. Where that backend is not bit-exact, the state is that of the integer
network.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ...core.activity import Activity, check_inputs
from ...core.graph import Graph, Population, Synapse
from ..backends.backend import Progress
from ..backends.simulator.matmul import PRODUCTS, Layer, Product

CHUNK_BYTES = 32 << 20  # scratch of the samples that are followed side by side


@dataclass(frozen=True)
class Updates:
    """Neuron-steps of one population: see the module."""

    active: int = 0
    receiving: int = 0
    changed: int = 0

    def __add__(self, other: Updates) -> Updates:
        return Updates(
            self.active + other.active,
            self.receiving + other.receiving,
            self.changed + other.changed,
        )


class UpdateCounter:
    """The state of all neurons, a step at a time."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._layers = [Layer(graph, p) for p in graph.order() if p.kind != "input"]
        self._arrivals = {
            layer.population.name: [(s, _arrivals(graph, s)) for s in layer.synapses]
            for layer in self._layers
        }
        self._past = max((s.delay for s in graph.synapses), default=0)
        self.active: dict[str, np.ndarray] = {}  # of the last step: bool [samples, neurons]
        self.clear()

    def clear(self, samples: int = 1) -> None:
        """Zero state, as at the start of that many samples side by side."""
        self._first, self.samples = True, samples
        self._sent: dict[str, np.ndarray] = {
            p.name: np.zeros((samples, self._past + 1, p.neurons), _number(p))
            for p in self.graph.populations
        }
        self._states = {layer.population.name: layer.state(samples) for layer in self._layers}

    def forget(self, name: str) -> None:
        """Zero state of one population."""
        for state in self._states[name]:
            state[:] = 0

    def sent(self, name: str) -> np.ndarray:
        """What a population sent in the last step: [samples, neurons]."""
        return self._sent[name][:, self._past]

    @property
    def chunk(self) -> int:
        """Samples side by side whose scratch memory stays small."""
        return max(1, CHUNK_BYTES // max(layer.bytes_per_step() for layer in self._layers))

    def step(
        self, sent: Mapping[str, np.ndarray], idle: Collection[str] = ()
    ) -> dict[str, Updates]:
        """Updates of one step in which inputs and firing populations sent {name: [samples,
        *shape]}; a firing one that is not given sends what its own state says. The `idle` are not
        computed and send nothing.
        """
        now = self._past
        for values in self._sent.values():
            values[:, :now] = values[:, 1:]
        for p in self.graph.of_kind("input"):
            self._sent[p.name][:, now] = sent[p.name].reshape(self.samples, -1)
        updates = {}
        for layer in self._layers:
            p = layer.population
            if p.name in idle:
                self._sent[p.name][:, now] = 0
                self.active[p.name] = np.zeros((self.samples, p.neurons), bool)
                continue
            updates[p.name] = self._update(layer)
            # what it really sent, should a float backend have decided otherwise
            if p.fires and p.name in sent:
                self._sent[p.name][:, now] = sent[p.name].reshape(self.samples, -1)
        self._first = False
        return updates

    def _update(self, layer: Layer) -> Updates:
        p, (u, v) = layer.population, self._states[layer.population.name]
        arrived, before = self._arrived(p), v.copy()
        active = arrived | (p.bias.ravel() != 0)
        if p.adds:
            active |= self._states[p.adds][1] != 0
        for state, keep in ((u, layer.keep_u), (v, layer.keep_v)):
            active |= (state != 0) & (keep != 0)
        layer.advance(self._sent, self._states, self._past, self._past + 1, False)
        changed = v.size if self._first else np.count_nonzero(self._states[p.name][1] != before)
        self.active[p.name] = active
        return Updates(int(np.count_nonzero(active)), int(np.count_nonzero(arrived)), int(changed))

    def _arrived(self, p: Population) -> np.ndarray:
        """Which neurons a message reaches in this step: bool [samples, neurons]."""
        arrived = np.zeros((self.samples, p.neurons), bool)
        for synapse, product in self._arrivals[p.name]:
            messages = self._sent[synapse.source][:, self._past - synapse.delay] != 0
            if messages.any():
                arrived |= product(messages.astype(np.uint8)) > 0
        return arrived


def count_updates(
    graph: Graph,
    inputs: dict[str, np.ndarray],
    activity: Activity,
    *,
    progress: Progress | None = None,
) -> dict[str, Updates]:
    """Updates over all samples and steps of a run on inputs {name: [S, T, *shape]}; an input has
    none.
    """
    inputs = check_inputs(graph, inputs)
    sent = inputs | {p.name: activity.spikes[p.name] for p in graph.of_kind("lif")}
    samples, steps = next(iter(inputs.values())).shape[:2]
    totals = {p.name: Updates() for p in graph.populations if p.kind != "input"}
    counter = UpdateCounter(graph)
    for start in range(0, samples, counter.chunk):
        chunk = slice(start, min(start + counter.chunk, samples))
        counter.clear(chunk.stop - start)
        for t in range(steps):
            step = counter.step({name: values[chunk, t] for name, values in sent.items()})
            totals = {name: total + step[name] for name, total in totals.items()}
        if progress:
            progress(chunk.stop, samples)
    return totals


def _arrivals(graph: Graph, synapse: Synapse) -> Product:
    """How many messages reach each target neuron: the synapse with all its weights 1."""
    ones = replace(synapse.mapped(lambda w: (w != 0).astype(np.int8)), exponent=0)
    kind = PRODUCTS.get(type(synapse), Product)
    return kind(ones, graph[synapse.source].shape, graph[synapse.target].shape)


def _number(p: Population) -> type:
    if p.kind == "readout":
        return np.int64
    return np.uint8 if p.fires or p.bits <= 8 else np.int32
