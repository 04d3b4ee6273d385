"""A graph step by step: state is kept between calls, and every step's spikes are there at once.

    with window = T:  state clears before steps 0, T, 2T, ...   samples back to back, each as in a
                      batch
    with window None: state is never cleared                    one sample without end

Equal to `scmrl.core.reference` in every bit: window k to its sample k, or the first T steps of an
endless stream to a sample of T steps. The arithmetic is the simulator's; of the past only what
delays reach back to is kept.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ...core.activity import check_inputs
from ...core.graph import Graph, Population
from ...hw_profiles.profile import Profile
from ...system.errors import UsageError
from ..backends.simulator.simulator import layer_module
from ..counts.counts import is_graded
from ..counts.updates import UpdateCounter
from ..energy.energy import dynamic_uj, priced_uj

Values = dict[str, np.ndarray]  # by population: spikes uint8 [*shape], the readout's membrane int64


def check_window(window: int | None) -> None:
    """Raise `UsageError` for a window that holds no step."""
    if window is not None and window < 1:
        raise UsageError(
            "a window takes at least a step", where="window", limit=">= 1", value=window
        )


class Stream:
    """The simulator, one step at a time. `step` number `t` is the next; `lag` steps late come its
    values (0).

    `compiled`: numba's kernels (True), numpy (False), or what is there (None). Raises `UsageError`
    for a window below one step, `MissingDependency` where compiled kernels are asked for and numba
    is not there.
    """

    backend = "simulator"
    lag = 0

    def __init__(self, graph: Graph, *, window: int | None = None, compiled: bool | None = None):
        check_window(window)
        started = time.perf_counter()
        self.graph, self.window = graph, window
        modules, self.version = layer_module(compiled)
        self._pack, self._unpack = modules.pack, modules.unpack
        self._layers = [modules.Layer(graph, p) for p in graph.order() if p.kind != "input"]
        self._past = max(
            (s.delay for s in graph.synapses), default=0
        )  # steps kept beside the current
        self.reset()
        self.step({p.name: np.zeros(p.shape, np.uint8) for p in graph.of_kind("input")})  # compiles
        self.reset()
        self.startup_s = time.perf_counter() - started

    def reset(self) -> None:
        """Zero state, as before the first step."""
        self.t = 0
        self._clear()

    def _clear(self) -> None:
        columns = self._past + 1
        self._values: Values = {
            p.name: np.zeros((1, columns, p.neurons), _number(p)) for p in self.graph.populations
        }
        self._states = {layer.population.name: layer.state(1) for layer in self._layers}

    def step(self, inputs: Values) -> Values:
        """One step: inputs {name: integer [*shape]} -> the values of every other population.

        Raises `DataError` for inputs that are not the graph's.
        """
        given = check_inputs(
            self.graph, {name: np.asarray(x)[None, None] for name, x in inputs.items()}
        )
        if self.window and self.t and self.t % self.window == 0:
            self._clear()
        now = self._past
        for values in self._values.values():
            values[:, :now] = values[:, 1:]
        for name, x in given.items():
            self._values[name][:, now:] = self._pack(x)
        for layer in self._layers:
            layer.advance(self._values, self._states, now, now + 1, False)
        self.t += 1
        return {
            p.name: self._unpack(self._values[p.name][:, now:], p.shape)[0, 0].copy()
            for p in self.graph.populations
            if p.kind != "input"
        }

    def run(self, frames: Iterable[Values]) -> Iterator[Values]:
        """`step` for each of the frames."""
        for inputs in frames:
            yield self.step(inputs)


def _number(population: Population) -> type:
    if population.kind == "readout":
        return np.int64
    return np.uint8 if population.bits <= 8 else np.int32


@dataclass(frozen=True)
class Tally:
    """What happened since some moment: spikes of neurons, synaptic operations, core dynamic uJ by
    profile.
    """

    steps: int
    spikes: int
    synops: int
    core_dynamic_uj: dict[str, float]

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.steps + other.steps,
            self.spikes + other.spikes,
            self.synops + other.synops,
            {name: uj + other.core_dynamic_uj[name] for name, uj in self.core_dynamic_uj.items()},
        )


class Meter:
    """Counts each step as `scmrl.deploy.counts.counts` and `updates` count a run: over a window,
    the same numbers.

    The energies are estimates: these counts times the coefficients of a profile, one message to
    each spike and no way on the mesh, since the network is not placed
    (`scmrl.deploy.energy.energy`).
    """

    def __init__(self, graph: Graph, profiles: list[Profile], *, window: int | None = None):
        check_window(window)
        self.graph, self.profiles, self.window = graph, profiles, window
        self._neurons = sum(p.neurons for p in graph.populations if p.kind != "input")
        self._updates = UpdateCounter(graph)
        self._fan_out = _fan_out(graph)
        longest = max((delay for _, delay in self._fan_out), default=0)
        self._sent: deque[dict[str, np.ndarray]] = deque(maxlen=longest + 1)
        self._t = 0

    @property
    def nothing(self) -> Tally:
        return Tally(0, 0, 0, {profile.name: 0.0 for profile in self.profiles})

    def step(self, inputs: Values, values: Values) -> Tally:
        """What one step did."""
        if self.window and self._t % self.window == 0:
            self._sent.clear()
            self._updates.clear()
        self._t += 1
        sent = {p.name: np.asarray(inputs[p.name]) for p in self.graph.of_kind("input")}
        sent |= {p.name: values[p.name] for p in self.graph.of_kind("lif")}
        spikes = sum(int(np.count_nonzero(sent[p.name])) for p in self.graph.of_kind("lif"))
        updates = self._updates.step({name: x[None] for name, x in sent.items()})
        active = sum(of.active for of in updates.values())
        synops = self._operations({name: x.ravel() != 0 for name, x in sent.items()})
        uj = {
            profile.name: priced_uj(
                profile,
                dynamic_uj(
                    profile,
                    synops=synops,
                    active=active,
                    inactive=self._neurons - active,
                    spikes=spikes,
                ),
            )
            for profile in self.profiles
        }
        return Tally(1, spikes, sum(synops.values()), uj)

    def _operations(self, sent: dict[str, np.ndarray]) -> dict[str, int]:
        """Synaptic operations of a step, those of graded values apart."""
        self._sent.append(sent)
        synops = {"": 0, "graded": 0}
        for (source, delay), fan_out in self._fan_out.items():
            if delay < len(self._sent):
                form = "graded" if is_graded(self.graph[source]) else ""
                synops[form] += int(fan_out[self._sent[-1 - delay][source]].sum())
        return synops


def _fan_out(graph: Graph) -> dict[tuple[str, int], np.ndarray]:
    """Non-zero weights leaving each neuron, by source and delay."""
    out: dict[tuple[str, int], np.ndarray] = {}
    for synapse in graph.synapses:
        key = (synapse.source, synapse.delay)
        out[key] = out.get(key, 0) + graph.fan_out(synapse)
    return out
