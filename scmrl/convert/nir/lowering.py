"""A graph in the Neuromorphic Intermediate Representation (NIR), in the form that its importers run
alike.

    tau_syn u' = -u + w_in a;   tau_mem v' = -v + r u;   s = v > v_threshold;   v = 0 where s
                                                                                          (CubaLIF)

By forward Euler of step DT, with tau_syn = DT * 4096 / (du + 1), tau_mem = DT * 4096 / dv, w_in =
tau_syn / DT and r = tau_mem / DT, this is a population's own equation without its rounding and its
borders, in units of one synaptic weight (64 membrane units):

    u[t] = u[t-1] * (4096 - (du+1)) / 4096 + a[t]
    v[t] = v[t-1] * (4096 - dv) / 4096 + u[t];             s[t] = v[t] > vth + OFF_LATTICE

Input, Conv2d, CubaLIF, Flatten and Output are all it takes: importers drop or refuse much of the
rest.

- The inputs are one Input: stacked on the channel axis where H and W agree, else flattened to (N,
  1, 1).
- A synapse is one or two Conv2d (`scmrl.convert.nir.kernels`); a population adds up what arrives.
- A bias b is the convolution's, b / 64; where it differs between positions a node that is always 1
  gives it.
- The Output is the synaptic sum of the readout, its bias included, at every step, and the reader
  adds up as the equations say, without the threshold: no integrator of NIR runs in all importers.
- Without a readout the Output is the spikes of all populations that lead nowhere, one after the
  other.

Sources: the NIR paper (Pedersen et al. 2024) and package nir 1.0.8. Which forms agree was measured
on norse 1.1.0, snntorch 1.0.0 and spikingjelly 2.0.0 (benchmarks/peers.py).
"""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ...core.fixed_point import CURRENT_SHIFT, DECAY_ONE, STATE_MAX, decay, lif_step
from ...core.graph import NO_CURRENT_MEMORY, PER_NEURON, Graph, Population, Synapse
from ...system.errors import GraphError, MissingDependency
from ..frame.neurons import require_no_joins, require_reset_to_zero
from .kernels import Image, Kernel, gather, image_shape, kernels, spread

DT = 1e-4  # seconds a step; snntorch's importer takes no other
UNIT = 1 << CURRENT_SHIFT  # membrane units in a synaptic weight of 1
NO_LEAK = 1 << 26  # tau / DT of a state that keeps all: 1 - 2**-26 is 1 in float32
# Between two values of the integer state, so that > and >= agree. Above the middle, since rounding
# toward zero makes a firing state smaller than its float; no dyadic fraction, since float states
# take those.
OFF_LATTICE = 0.5**0.5 / UNIT
MODEL, EFFECT = "nir/model.nir", "nir/effect.json"  # of an export; EFFECT has the hashes of HASHED
HASHED = ("graph.json", "tensors.npz", MODEL)
INPUT, READOUT, OUTPUT, ONE = "input", "readout", "output", "one"


def load_nir() -> ModuleType:
    """The nir package. Raises `MissingDependency`."""
    try:
        return importlib.import_module("nir")
    except ImportError:
        raise MissingDependency("nir", enables="the NIR export and its simulators") from None


def node_name(population: str) -> str:
    """Name of a firing population's CubaLIF: an identifier, since importers make an attribute of
    it.
    """
    return "lif_" + re.sub(r"\W", "_", population)


def lower(graph: Graph, provenance: dict[str, Any] | None = None) -> Any:
    """`graph` as a `nir.NIRGraph`; its metadata hold the integers and `provenance` as one JSON
    string.

    Raises `GraphError` for what has no exact form that importers run: delays, a bias on a current
    with memory, a matrix beyond `kernels.MATRIX_LIMIT`. `MissingDependency` without nir.
    """
    _refuse(graph.check())
    return _Lowering(graph).network(provenance or {})


def is_exact(p: Population, graph: Graph) -> bool:
    """Whether no state of `p` can be rounded or reach a 24-bit border within the graph's steps.

    Then float neurons give the same spikes as long as what they hear is the same. A state begins as
    a multiple of 2**e; each decay by an odd number of 2**-n takes n from e, and rounds once e is
    below 0.
    """
    steps = 1 if p.memoryless else graph.steps
    keeps = DECAY_ONE - np.stack([p.per_neuron(by).ravel() for by in (p.du + 1, p.dv)])
    keeps = np.unique(keeps, axis=1)  # [2, neurons that differ]
    largest = graph.worst_activation(p.name) * UNIT + int(np.abs(p.bias).max())
    fading = sum((keeps / DECAY_ONE) ** t for t in range(steps))  # a state adds up its past
    e = min(CURRENT_SHIFT, int(_trailing_zeros(np.bitwise_or.reduce(np.abs(p.bias), axis=None))))
    n = np.maximum(0, 12 - _trailing_zeros(keeps)).sum(0)
    return bool(np.all((largest * np.prod(fading, 0) <= STATE_MAX) & (n * (steps - 1) <= e)))


def _trailing_zeros(numbers: np.ndarray) -> np.ndarray:
    """The largest e for which 2**e divides a number; zero is divided by all that matter here."""
    return np.where(numbers == 0, 64, np.frexp(numbers & -numbers)[1] - 1)


@dataclass(frozen=True)
class InputLayout:
    """The one Input, of `shape`: input m lies in it from channel `first[m]` on, as an image
    `images[m]`.
    """

    shape: Image
    first: dict[str, int]
    images: dict[str, Image]

    @classmethod
    def of(cls, graph: Graph) -> InputLayout:
        images = {p.name: image_shape(p.shape) for p in graph.of_kind("input")}
        if len({image[1:] for image in images.values()}) > 1:
            images = {p.name: (p.neurons, 1, 1) for p in graph.of_kind("input")}
        first, channels = {}, 0
        for name, image in images.items():
            first[name] = channels
            channels += image[0]
        return cls((channels, *next(iter(images.values()))[1:]), first, images)

    def join(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Inputs {name: [S, T, *shape]} as one float32 [S, T, C, H, W]."""
        parts = [
            inputs[name].reshape(*inputs[name].shape[:2], *image)
            for name, image in self.images.items()
        ]
        return np.concatenate(parts, 2).astype(np.float32)


def replay(p: Population, sums: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The integer rule on exported sums, float [S, T, ...] with the bias: what a reader of the
    Output does.

    Returns spikes, or a readout's membranes, int64 [S, T, *shape], and the neuron-steps that
    rounded a decay and that reached a 24-bit border.
    """
    sums = sums.reshape(*sums.shape[:2], *p.shape)
    a = np.rint(sums - p.bias / UNIT).astype(np.int64)
    u, v, out = np.zeros_like(a[:, 0]), np.zeros_like(a[:, 0]), np.zeros_like(a)
    rounded = borders = 0
    for t in range(a.shape[1]):
        if p.memoryless:
            u, v = np.zeros_like(u), np.zeros_like(v)
        rounded += int(np.count_nonzero(_remainder(u, p.du + 1) | _remainder(v, p.dv)))
        u, v, s, border = lif_step(
            u, v, a[:, t], du=p.du, dv=p.dv, vth=p.vth, bias=p.bias, fires=p.fires
        )
        out[:, t] = s if p.fires else v
        borders += border
    return out, rounded, borders


def _remainder(state: np.ndarray, by: int | np.ndarray) -> np.ndarray:
    """Where state * (4096 - by) / 4096 has to be rounded."""
    return decay(state, by) * DECAY_ONE != state * (DECAY_ONE - by)


def output_meaning(graph: Graph) -> str:
    """What the Output gives at one step, and what the reader does with it, in words."""
    if graph.readout is None:
        return "spikes of the populations that lead nowhere"
    p = graph.readout
    du, dv = p.decays
    keep_u, keep_v = (_share(DECAY_ONE - by) for by in (du + 1, dv))
    rule = f"v = {keep_v} * v + output"
    if np.any(du != NO_CURRENT_MEMORY):
        rule = f"u = {keep_u} * u + output, v = {keep_v} * v + u"
    return (
        f"the readout's synaptic sum of one step; the reader adds up, {rule}, and the largest v"
        " after the last step is the class"
    )


def _share(keep: int | np.ndarray) -> str:
    """Of 4096, as a number; as words where the neurons differ."""
    values = np.unique(keep) / DECAY_ONE
    if len(values) == 1:
        return f"{values[0]:g}"
    return f"({values[0]:g} to {values[-1]:g}, by neuron)"


def _refuse(graph: Graph) -> None:
    require_no_joins(graph, "NIR")
    require_reset_to_zero(graph, "NIR's CubaLIF")
    names = [node_name(p.name) for p in graph.populations]
    for p, name in zip(graph.populations, names):
        if names.count(name) > 1:
            raise GraphError(
                "population name is another's once signs are underscores",
                where=p.name,
                fix="rename it",
            )
        du = p.per_neuron(p.decays[0])
        held = du[(p.bias != 0) & (du != NO_CURRENT_MEMORY)]
        if p.kind != "input" and held.size:
            raise GraphError(
                "a bias on a current with memory has no form that importers of NIR run",
                where=p.name,
                limit=f"du = {NO_CURRENT_MEMORY}, or no bias",
                value=f"du = {held[0]}",
                fix="use the target onnx or lava",
            )
    for synapse in graph.synapses:
        if synapse.delay:
            raise GraphError(
                "importers of NIR drop or refuse a delay",
                where=synapse.name,
                limit="delay 0",
                value=synapse.delay,
                fix="use the target onnx or lava",
            )
    if len(graph.populations) == len(graph.of_kind("input")):
        raise GraphError("a graph of inputs alone has nothing to export")


class _Lowering:
    """The nodes and edges of one graph."""

    def __init__(self, graph: Graph):
        self.nir, self.graph = load_nir(), graph
        self.layout = InputLayout.of(graph)
        self.images = {p.name: image_shape(p.shape) for p in graph.populations} | self.layout.images
        self.nodes: dict = {}
        self.edges: list[tuple[str, str]] = []

    def network(self, provenance: dict[str, Any]) -> Any:
        self.nodes[INPUT] = self.nir.Input({"input": np.array(self.layout.shape)})
        for p in self.graph.order():
            if p.kind == "lif":
                self.nodes[node_name(p.name)] = self._neurons(p)
        for p in self.graph.order():
            if p.kind != "input":
                self._fan_in(p)
        self._output()
        table = json.dumps(self._metadata() | provenance)
        return self.nir.NIRGraph(self.nodes, self.edges, metadata={"json": table})

    def _neurons(self, p: Population) -> Any:
        du, dv = (p.per_neuron(by) for by in p.decays)
        syn, mem = (np.where(by, DECAY_ONE / np.maximum(by, 1), NO_LEAK) for by in (du + 1, dv))
        values = {
            "tau_syn": DT * syn,
            "w_in": syn,
            "tau_mem": DT * mem,
            "r": mem,
            "v_leak": 0.0,
            "v_reset": 0.0,
            "v_threshold": p.per_neuron(p.vth) + OFF_LATTICE,
        }
        image = self.images[p.name]
        arrays = {key: np.full(p.shape, x).reshape(image) for key, x in values.items()}
        return self.nir.CubaLIF(**arrays, metadata={"population": p.name})

    def _fan_in(self, p: Population) -> None:
        """All synapses into a population and its bias, which the first of them carries where it
        can.
        """
        node = READOUT if p.kind == "readout" else node_name(p.name)
        bias = (p.bias / UNIT).astype(np.float32).reshape(self.images[p.name])
        incoming = self.graph.incoming(p.name)
        if incoming and (bias == bias[:, :1, :1]).all():
            biases = [bias[:, 0, 0], *([None] * (len(incoming) - 1))]
        else:
            biases = [None] * len(incoming)
            chain = [spread(bias.reshape(-1, 1), self.images[p.name])]
            self._chain(self._one(), (1, 1, 1), chain, node, f"bias_{node}")
        for synapse, carried in zip(incoming, biases):
            self._synapse(synapse, node, carried)

    def _synapse(self, synapse: Synapse, node: str, bias: np.ndarray | None) -> None:
        source, target = self.graph[synapse.source], self.graph[synapse.target]
        start, image = node_name(source.name), self.images[source.name]
        chain = kernels(synapse, source, target, image)
        if source.kind == "input":
            start, image = INPUT, self.layout.shape
            chain[0] = chain[0].of_channels(self.layout.first[source.name], image[0])
        stem = re.sub(r"\W", "_", f"conv_{synapse.source}_to_{synapse.target}")
        self._chain(start, image, chain, node, stem, bias)

    def _chain(
        self,
        start: str,
        image: Image,
        chain: list[Kernel],
        end: str,
        stem: str,
        bias: np.ndarray | None = None,
    ) -> None:
        """start -> convolutions in a row, from `image` on -> end; the bias is the last one's."""
        for kernel in chain:
            last = kernel is chain[-1]
            name = self._free(stem if last else f"{stem}_gather")
            node = self._conv(kernel, image, bias if last else None)
            self.nodes[name] = node
            self.edges.append((start, name))
            start, image = name, image_shape(node.output_type["output"])
        self.edges.append((start, end))

    def _conv(self, kernel: Kernel, image: Image, bias: np.ndarray | None) -> Any:
        bias = np.zeros(len(kernel.weight), np.float32) if bias is None else bias
        return self.nir.Conv2d(
            input_shape=tuple(image[1:]),
            weight=kernel.weight,
            stride=kernel.stride,
            padding=kernel.padding,
            dilation=(1, 1),
            groups=1,
            bias=bias,
        )

    def _free(self, name: str) -> str:
        """`name`, numbered where it is taken: two synapses may join the same populations."""
        free, number = name, 2
        while free in self.nodes:
            free, number = f"{name}_{number}", number + 1
        return free

    def _one(self) -> str:
        """A node that gives 1 at every step: a convolution of zeros with a bias."""
        if ONE not in self.nodes:
            channels, height, width = self.layout.shape
            kernel = Kernel(np.zeros((1, channels, 1, 1), np.float32), (max(height, width),) * 2)
            self.nodes[ONE] = self._conv(kernel, self.layout.shape, np.ones(1, np.float32))
            self.edges.append((INPUT, ONE))
        return ONE

    def _output(self) -> None:
        """The Output is the readout, or what leads nowhere; all that leads nowhere has to lead to
        it.
        """
        leaves = [p for p in self.graph.of_kind("lif") if not self.graph.outgoing(p.name)]
        readout = self.graph.readout
        if readout is None:
            image, rows = (
                (sum(p.neurons for p in leaves), 1, 1),
                np.cumsum([0, *(p.neurons for p in leaves)]),
            )
            places = [np.eye(image[0], p.neurons, -first) for p, first in zip(leaves, rows)]
            chains = [[gather(place, self.images[p.name])] for p, place in zip(leaves, places)]
        else:
            image = self.images[readout.name]
            chains = [
                [
                    gather(np.zeros((1, p.neurons)), self.images[p.name]),
                    spread(np.zeros((readout.neurons, 1)), image),
                ]
                for p in leaves
            ]
        for p, chain in zip(leaves, chains):
            self._chain(
                node_name(p.name), self.images[p.name], chain, READOUT, f"end_{node_name(p.name)}"
            )
        size = int(np.prod(image))
        self.nodes[READOUT] = self.nir.Flatten({"input": np.array(image)}, start_dim=-3, end_dim=-1)
        self.nodes[OUTPUT] = self.nir.Output({"output": np.array([size])})
        self.edges.append((READOUT, OUTPUT))

    def _metadata(self) -> dict:
        """What NIR has no words for: the integers, the layout of the Input, how to read the
        Output.
        """
        graph = self.graph
        populations = [
            {
                "name": p.name,
                "node": READOUT if p.kind == "readout" else node_name(p.name),
                "kind": p.kind,
                "shape": list(p.shape),
                **{name: np.asarray(getattr(p, name)).tolist() for name in PER_NEURON},
                "memoryless": bool(p.memoryless),
                "exact": is_exact(p, graph),
            }
            for p in graph.order()
            if p.kind != "input"
        ]
        return {
            "dt_s": DT,
            "steps": graph.steps,
            "classes": list(graph.classes),
            "membrane_units_per_weight": UNIT,
            "threshold_minus_vth": OFF_LATTICE,
            "inputs": asdict(self.layout),
            "populations": populations,
            "output": output_meaning(graph),
        }
