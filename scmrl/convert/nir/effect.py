"""What float neurons make of an exported NIR graph, measured: the rounding and borders that NIR
cannot say.

Every node computes in float32, as the peer simulators do (numpy only):

    Conv2d     y = bias + sum over taps of w . x
    CubaLIF    u[t] = (1 - dt / tau_syn) u[t-1] + dt / tau_syn * w_in * a[t]
               v[t] = (1 - dt / tau_mem) v[t-1] + dt / tau_mem * r * u[t]
               s[t] = v[t] > v_threshold;       v[t] = 0 where s[t]

Two runs tell where a difference comes from. In one, each population hears the float spikes of those
before it, as in a peer; in the other it hears the exact spikes, so that what differs is its own
doing. The second also replays the integer rule on the exported convolutions' sums: the proof that
the file holds the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.activity import Activity, predictions
from ...core.convolution import Convolution
from ...core.graph import Graph, Population
from ...system.errors import GraphError
from .lowering import DT, INPUT, READOUT, InputLayout, is_exact, node_name, replay

CHUNK = 16  # samples at a time: a convolution copies its input once a tap


@dataclass(frozen=True)
class Effect:
    """One population on the measured samples; counts are of neuron-steps, values are spikes or
    readout membranes.

    `exact`: no rounding and no border can occur, whatever it hears. `differ`: values unlike the
    exact ones. `own`: those that differ though all it hears is exact. `rounded`: steps in which the
    integer rule dropped the remainder of a decay. `borders`: wraps and clips of 24 bits.
    """

    name: str
    exact: bool
    compared: int
    differ: int
    own: int
    rounded: int
    borders: int

    @property
    def agreement(self) -> float:
        return 1 - self.differ / self.compared

    @property
    def cause(self) -> str:
        """Why values differ."""
        if not self.differ:
            return "none differ"
        if not self.own:
            return "inherited"
        own = "rounding" if self.rounded else "24-bit borders"
        if self.rounded and self.borders:
            own = "rounding and 24-bit borders"
        return own if self.own >= self.differ else f"{own}, and inherited"


def measure(
    graph: Graph, network: Any, inputs: dict[str, np.ndarray], exact: Activity
) -> tuple[list[Effect], Activity]:
    """Effects per population in the graph's order, and the float network's own `Activity`.

    `network` is the exported `nir.NIRGraph`, `exact` the reference on `inputs` {name: int [S, T,
    *shape]}. The reader of the Output is taken to add up by the integer rule. Raises `GraphError`
    where the network is not the graph.
    """
    samples = len(next(iter(inputs.values())))
    measured = [p for p in graph.order() if p.kind != "input"]
    values = {p.name: np.empty_like(exact.values(p.name)) for p in measured}
    counts = {p.name: np.zeros(3, np.int64) for p in measured}
    for start in range(0, samples, CHUNK):
        part = slice(start, start + CHUNK)
        wanted = {p.name: exact.values(p.name)[part] for p in measured}
        chunk = _Chunk(graph, network, {name: x[part] for name, x in inputs.items()})
        chunk.run(wanted, {name: v[part] for name, v in values.items()}, counts)
    effects = []
    for p in measured:
        differ = int(np.count_nonzero(values[p.name] != exact.values(p.name)))
        effects.append(
            Effect(
                p.name,
                is_exact(p, graph),
                values[p.name].size,
                differ,
                *(int(n) for n in counts[p.name]),
            )
        )
    return effects, Activity(
        {p.name: values[p.name] for p in graph.of_kind("lif")},
        {p.name: values[p.name] for p in graph.of_kind("readout")},
        backend="float32",
        version=f"dt {DT:g} s",
    )


def same_class(graph: Graph, exact: Activity, other: Activity) -> int:
    """Samples that both runs give the same class."""
    return int(np.count_nonzero(predictions(graph, exact) == predictions(graph, other)))


class Sums:
    """What arrives at a node of the exported graph, given the values of its Input and its
    populations.
    """

    def __init__(self, network: Any):
        self.nodes = network.nodes
        self.into: dict[str, list[str]] = {}
        for source, target in network.edges:
            self.into.setdefault(target, []).append(source)

    def __call__(self, name: str, values: dict[str, np.ndarray]) -> np.ndarray:
        """float32 [B, C, H, W] that arrives at node `name`, of values [B, C, H, W] by node."""
        parts = np.stack([self._value(source, values) for source in self.into[name]])
        return parts.sum(0, np.float32)

    def _value(self, name: str, values: dict[str, np.ndarray]) -> np.ndarray:
        return values[name] if name in values else convolve(self(name, values), self.nodes[name])


def convolve(x: np.ndarray, node: Any) -> np.ndarray:
    """Cross-correlation of float32 [B, C, H, W] with a Conv2d node."""
    form = Convolution(node.weight, node.stride, node.padding)
    return form.apply(x) + node.bias[:, None, None]


def fire(a: np.ndarray, node: Any) -> np.ndarray:
    """Spikes float32 [S, T, C, H, W] of a CubaLIF node on sums of that shape."""
    syn, mem = ((DT / tau).astype(np.float32) for tau in (node.tau_syn, node.tau_mem))
    w_in, r, threshold = (x.astype(np.float32) for x in (node.w_in, node.r, node.v_threshold))
    u, v, s = np.zeros_like(a[:, 0]), np.zeros_like(a[:, 0]), np.zeros_like(a)
    for t in range(a.shape[1]):
        u = (1 - syn) * u + syn * (w_in * a[:, t])
        v = (1 - mem) * v + mem * (r * u)
        s[:, t] = v > threshold
        v = np.where(s[:, t] > 0, np.float32(0), v)
    return s


class _Chunk:
    """Some samples in both runs: `chain` hears float spikes, `truth` the exact ones. Time is folded
    into the batch, since no synapse has a delay.
    """

    def __init__(self, graph: Graph, network: Any, inputs: dict[str, np.ndarray]):
        self.graph, self.sums = graph, Sums(network)
        x = InputLayout.of(graph).join(inputs)
        self.shape = x.shape[:2]
        self.truth, self.chain = {INPUT: self._fold(x)}, {INPUT: self._fold(x)}

    def _fold(self, values: np.ndarray) -> np.ndarray:
        return values.reshape(-1, *values.shape[2:])

    def _heard(self, node: str, values: dict[str, np.ndarray]) -> np.ndarray:
        sums = self.sums(node, values)
        return sums.reshape(*self.shape, *sums.shape[1:])

    def run(self, exact: dict, values: dict, counts: dict) -> None:
        """Fill `values` of the float network by population; add (own, rounded, borders) to
        `counts`.
        """
        for p in self.graph.order():
            if p.kind == "lif":
                node = node_name(p.name)
                clean, heard = self._heard(node, self.truth), self._heard(node, self.chain)
                self._check(p, clean, exact, counts)
                wanted, got = exact[p.name].reshape(clean.shape), fire(heard, self.sums.nodes[node])
                counts[p.name][0] += np.count_nonzero(fire(clean, self.sums.nodes[node]) != wanted)
                values[p.name][:] = got.reshape(values[p.name].shape)
                self.truth[node], self.chain[node] = (
                    self._fold(wanted.astype(np.float32)),
                    self._fold(got),
                )
        for p in self.graph.of_kind("readout"):  # last: what leads nowhere is tied to it
            self._check(p, self._heard(READOUT, self.truth), exact, counts)
            values[p.name][:] = replay(p, self._heard(READOUT, self.chain))[0]

    def _check(self, p: Population, clean: np.ndarray, exact: dict, counts: dict) -> None:
        """Hold the exported sums to the reference's values, and count roundings and borders."""
        out, rounded, borders = replay(p, clean)
        if (out != exact[p.name]).any():
            raise GraphError(
                "the NIR graph does not give this population its synaptic sums",
                where=p.name,
                fix="report this with the bundle",
            )
        counts[p.name][1:] += (rounded, borders)
