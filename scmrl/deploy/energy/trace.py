"""What every population of a lowered graph sends and computes, hardware step by hardware step.

    own step       hardware step - depth            a sample takes 0 .. T - 1 of each population
    alone          hardware steps 0 .. T + depth - 1 of a chip that starts at rest
        fill       own steps below 0: no input has come; a neuron with a bias works all the same,
                   and what it fires is sent, until its state clears at own step 0
        drain      own steps from T on: no input; state clears at own step `window`
    streamed       hardware step s * window + h: population p is at own step (h - depth) mod window
                   of the sample whose turn it is there
    a message      is sent, received and added up in the step in which its neuron fires; it waits in
                   the accumulators of its target, or in relays, which pass it on. Messages of an
                   input leave the host one step before they are due at their target

Spikes of a sample's own steps are those of the run, whichever backend made them; all state follows
from them (`counts.updates`). Fill and drain of networks that stream do not depend on the sample.
Where delays carry spikes over, biases are off until a population's sample begins, as the Lava
backends do it, and the drain is each sample's own. Nothing of a graph that runs at once has depth:
its T steps are all there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...convert.frame.pipeline import Pipeline
from ...core.activity import Activity, check_inputs
from ...core.graph import Graph
from ..counts.updates import UpdateCounter, Updates
from .modes import ALONE

SCRATCH_BYTES = 32 << 20
Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Rows:
    """A row a step, one array below the other: what each neuron sent (0: nothing) and whether its
    update was active, [rows, neurons].
    """

    sent: tuple[np.ndarray, ...]
    active: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Trace:
    """`rows` of every population of `line`: `span` own steps of each sample, then `depth` steps of
    the fill and as many of the drain, and one in which nothing happens. Means are over the `chosen`
    samples.
    """

    graph: Graph  # that `line` was made of
    line: Pipeline
    samples: int
    steps: int
    window: int
    span: int
    rows: dict[str, Rows]
    chosen: np.ndarray  # numbers of samples

    def of(self, samples: np.ndarray) -> Trace:
        """The same run, of which some samples are asked for."""
        return replace(self, chosen=samples)

    @property
    def depth(self) -> int:
        return self.line.latency

    @property
    def silent(self) -> int:
        """The row in which nothing happens."""
        return self.samples * self.span + 2 * self.depth

    def hardware_steps(self, mode: str) -> int:
        """Steps of one sample, all of which are charged."""
        return self.steps + self.depth if mode == ALONE else self.window

    def at(self, mode: str, late: int, last: int | None = None) -> np.ndarray:
        """The row of what runs `late` steps behind the input, int [samples, hardware steps];
        `last`: own steps from there on are silent.
        """
        sample, step = np.ogrid[: self.samples, : self.hardware_steps(mode)]
        own = step - late
        if mode != ALONE:
            turn, own = np.divmod(sample * self.window + own, self.window)
            sample = turn % self.samples
        first = self.samples * self.span + self.depth  # of the drain
        row = np.where(own < self.span, sample * self.span + own, first + own - self.span)
        row = np.where(own < 0, np.where(own < -self.depth, self.silent, first + own), row)
        return row if last is None else np.where((own < 0) | (own >= last), self.silent, row)

    def carries(self, index: int) -> tuple[str, int, int | None]:
        """What a synapse of `line.graph` carries: the population, how late, and its last step."""
        s = self.line.graph.synapses[index]
        if self.depth and self.line.graph[s.source].kind != "input":
            return s.source, self.line.depth[s.source], None
        delay = self.graph.synapses[index].delay
        return s.source, max(self.line.depth[s.target] - 1, 0) + delay, self.window - delay

    def mean_sent(self, name: str, at: np.ndarray) -> np.ndarray:
        """Messages of each neuron in a sample, float [neurons]."""
        times = np.bincount(at[self.chosen].ravel(), minlength=self.silent + 1)
        found, start = np.zeros(self.line.graph[name].neurons), 0
        for part in self.rows[name].sent:
            used = np.flatnonzero(times[start : start + len(part)])
            for rows, x in blocks([part[used]]):
                found += times[start + used[rows]] @ x
            start += len(part)
        return found / len(self.chosen)

    def mean_active(self, name: str, at: np.ndarray) -> float:
        """Active updates of a population in a sample."""
        each = np.concatenate([np.count_nonzero(x, axis=1) for x in self.rows[name].active])
        return float(each[at[self.chosen]].sum() / len(self.chosen))


def blocks(parts: Sequence[np.ndarray]) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of arrays that stand one below the other, few enough at once to be turned into
    floats.
    """
    start = 0
    for part in parts:
        most = max(1, SCRATCH_BYTES // (8 * max(part.shape[1], 1)))
        for i in range(0, len(part), most):
            block = part[i : i + most]
            yield slice(start + i, start + i + len(block)), block.astype(float)
        start += len(part)


class Work:
    """What a network did on `inputs` {name: [S, T, *shape]}, to be traced on chips."""

    def __init__(self, graph: Graph, inputs: dict[str, np.ndarray], activity: Activity):
        self.graph, self.inputs = graph, check_inputs(graph, inputs)
        self.fired = {p.name: activity.spikes[p.name] for p in graph.of_kind("lif")}
        self.samples, self.steps = next(iter(self.inputs.values())).shape[:2]
        self._at_rest = dict.fromkeys((p.name for p in graph.populations), 0)
        self._known: dict[object, _Run] = {}

    @property
    def updates(self) -> dict[str, Updates]:
        """Of the samples' own steps, summed."""
        return self._windows(self.steps).updates

    @property
    def active(self) -> dict[str, np.ndarray]:
        """Active updates of the samples' own steps by population, int [samples]."""
        return {n: np.count_nonzero(x, (1, 2)) for n, x in self._windows(self.steps).active.items()}

    def trace(self, line: Pipeline, window: int) -> Trace:
        """The run as `line` runs on a chip that clears state every `window` steps."""
        if line.latency and not line.streams:
            span, rows = self.steps + line.latency, self._carried(line, window)
        else:
            span, rows = window, self._streamed(line, window)
        rows |= {name: Rows(rows[of].sent, rows[of].sent) for name, of in line.relays.items()}
        every = np.arange(self.samples)
        return Trace(self.graph, line, self.samples, self.steps, window, span, rows, every)

    def _windows(self, window: int) -> _Run:
        """The samples from zero state, populations side by side."""
        return self._run(self._at_rest, window, window, self.inputs, self.fired, streams=True)

    def _streamed(self, line: Pipeline, window: int) -> dict[str, Rows]:
        own, depth, rows = self._windows(window), line.depth, {}
        zeros = {name: np.zeros_like(x[:1]) for name, x in self.inputs.items()}
        idle = own
        if line.latency:
            idle = self._run(depth, window, window + line.latency, zeros, {}, streams=True)
        for p in self.graph.populations:
            if p.kind == "input":
                rows[p.name] = self._given(p.name, window, line.latency)
                continue
            around = (-line.latency, 0), (window, window + line.latency)
            parts = [
                [_own(x[p.name], depth[p.name], *ends)[0] for ends in around]
                for x in (idle.sent, idle.active)
            ]
            nothing = np.zeros((1, p.neurons), bool)
            rows[p.name] = Rows(
                (_flat(own.sent[p.name]), *parts[0], nothing),
                (_flat(own.active[p.name]), *parts[1], nothing),
            )
        return rows

    def _carried(self, line: Pipeline, window: int) -> dict[str, Rows]:
        span, rows = self.steps + line.latency, {}
        run = self._run(line.depth, window, span, self.inputs, self.fired, streams=False)
        for p in self.graph.populations:
            if p.kind == "input":
                rows[p.name] = self._given(p.name, span, line.latency)
                continue
            nothing = np.zeros((2 * line.latency + 1, p.neurons), bool)
            sent, active = (
                _flat(_own(x[p.name], line.depth[p.name], 0, span)) for x in (run.sent, run.active)
            )
            rows[p.name] = Rows((sent, nothing), (active, nothing))
        return rows

    def _given(self, name: str, span: int, depth: int) -> Rows:
        x = self.inputs[name].reshape(self.samples, self.steps, -1) != 0
        later = np.zeros((self.samples, span - self.steps, x.shape[2]), bool)
        nothing = np.zeros((2 * depth + 1, x.shape[2]), bool)
        return Rows((_flat(np.concatenate([x, later], 1)), nothing), ())

    def _run(
        self,
        depth: dict[str, int],
        window: int,
        steps: int,
        inputs: Values,
        fired: Values,
        *,
        streams: bool,
    ) -> _Run:
        depth = {p.name: depth[p.name] for p in self.graph.populations}  # relays repeat
        key = (tuple(depth.items()), window, steps, len(fired), streams)
        if key not in self._known:
            self._known[key] = _run(
                self.graph, depth, window, steps, inputs, fired, streams=streams
            )
        return self._known[key]


@dataclass(frozen=True)
class _Run:
    """Of every population but the inputs: [samples, hardware steps, neurons], 0 and 1; `updates`
    summed over the steps that were given.
    """

    sent: dict[str, np.ndarray]
    active: dict[str, np.ndarray]
    updates: dict[str, Updates]


def _run(
    graph: Graph,
    depth: dict[str, int],
    window: int,
    steps: int,
    inputs: Values,
    fired: Values,
    *,
    streams: bool,
) -> _Run:
    """Hardware steps from a chip at rest; firing populations send `fired` as far as it goes."""
    hardware, inputs = _in_hardware(graph, depth, window, inputs)
    counter = UpdateCounter(hardware)
    own = [p for p in graph.populations if p.kind != "input"]
    samples, given = next(iter(inputs.values())).shape[:2]
    known = fired if steps == given and not any(depth.values()) else {}
    active = {p.name: np.zeros((samples, steps, p.neurons), bool) for p in own}
    sent = {name: np.zeros_like(x) for name, x in active.items() if name not in known}
    sent |= {name: x.reshape(samples, steps, -1) for name, x in known.items()}
    updates = {p.name: Updates() for p in own}
    zeros = {name: np.zeros_like(x[:, 0]) for name, x in inputs.items()}
    for start in range(0, samples, counter.chunk):
        part = slice(start, min(start + counter.chunk, samples))
        counter.clear(part.stop - start)
        for h in range(steps):
            now = {
                name: (x[:, h] if h < given else zeros[name])[part] for name, x in inputs.items()
            }
            now |= {
                name: x[part, h - depth[name]]
                for name, x in fired.items()
                if 0 <= h - depth[name] < given
            }
            for p in own:
                if (h - depth[p.name]) % window == 0:
                    counter.forget(p.name)
            idle = () if streams else [p.name for p in own if h < depth[p.name]]
            for name, more in counter.step(now, idle).items():
                updates[name] += more if h < given else Updates()
            for p in own:
                active[p.name][part, h] = counter.active[p.name]
                if p.fires and p.name not in known:
                    sent[p.name][part, h] = counter.sent(p.name) != 0
    return _Run(sent, active, updates)


def _in_hardware(
    graph: Graph, depth: dict[str, int], window: int, inputs: Values
) -> tuple[Graph, Values]:
    """The graph with the hops of its synapses as their delays: `depth` of the target minus that of
    the source, and the delay. What would reach its target beyond the window is not sent, so delayed
    synapses read inputs of their own.
    """
    populations, synapses, given = list(graph.populations), [], dict(inputs)
    for s in graph.synapses:
        source, hops = s.source, depth[s.target] - depth[s.source] + s.delay
        if s.delay and source in inputs:
            source = f"{source}\n{s.delay}"  # which is nobody's name: they are printable
            if source not in given:
                populations.append(replace(graph[s.source], name=source))
                given[source] = inputs[s.source].copy()
                given[source][:, max(0, window - s.delay) :] = 0
        synapses.append(replace(s, source=source, delay=hops))
    return replace(graph, populations=tuple(populations), synapses=tuple(synapses)), given


def _own(x: np.ndarray, depth: int, first: int, stop: int) -> np.ndarray:
    """Own steps first .. stop - 1 of a population's hardware steps [samples, steps, neurons];
    nothing where the run has none.
    """
    out = np.zeros((x.shape[0], stop - first, x.shape[2]), x.dtype)
    low, high = max(first + depth, 0), min(stop + depth, x.shape[1])
    if low < high:
        out[:, low - depth - first : high - depth - first] = x[:, low:high]
    return out


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[2])
