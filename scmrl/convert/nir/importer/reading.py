"""Reading a NIR graph into a `Network`: nodes, shapes, routes, recurrences, order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ....core.graph import longest_paths
from ....system.errors import GraphError
from .linear import LINEAR, RANKS, linear
from .maps import Diagonal, Map, Shape, compose, identity
from .network import Convention, Network, Neurons, Route, convention_of
from .neurons import INTEGRATORS, NEURONS, choose_dt, neurons
from .parameters import MAX_NEURONS, flattened, numbers, parameter, positive, shape_of

MAX_PATHS = 4096  # linear routes through the whole graph
MAX_DELAYS = 64  # different delays in one Delay node
SUPPORTED = ("Input", "Output", *LINEAR, *NEURONS, "NIRGraph")


def network(
    graph: Any, *, dt: float | None = None, convention: Convention | str = "nir"
) -> Network:
    """A NIR graph as a `Network`. dt in seconds; None: from metadata, r or the time constants, said
    in the notes.

    Raises `GraphError` naming the node for what is not supported.
    """
    return _Reading(graph, convention_of(convention), dt).network()


class _Flat:
    """The nodes of a graph by full name, and its edges, without subgraphs: the Input and the Output
    of a subgraph become identities.
    """

    def __init__(self, graph: Any):
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self._add(graph, "", top=True)

    def kind(self, name: str) -> str:
        node = self.nodes[name]
        return node if isinstance(node, str) else type(node).__name__

    def _add(self, graph: Any, prefix: str, *, top: bool) -> None:
        if type(graph).__name__ != "NIRGraph":
            raise GraphError("not a NIR graph", value=type(graph).__name__)
        doors: dict[str, tuple[str, str]] = {}  # where edges to a node end, and from it begin
        for name, node in graph.nodes.items():
            full, kind = f"{prefix}{name}", type(node).__name__
            if kind == "NIRGraph":
                doors[name] = self._doors(node, full)
                self._add(node, f"{full}.", top=False)
            else:
                doors[name] = full, full
                self.nodes[full] = node if top or kind not in ("Input", "Output") else "Identity"
        for a, b in graph.edges:
            if a not in doors or b not in doors:
                where = prefix or "graph"
                raise GraphError("edge to an unknown node", where=where, value=f"{a} -> {b}")
            start, end = doors[a][1], doors[b][0]
            if top and (self.kind(end) == "Input" or self.kind(start) == "Output"):
                raise GraphError(
                    "an Input takes no edges, an Output gives none", where=f"{a} -> {b}"
                )
            if (start, end) in self.edges:
                raise GraphError("edge occurs twice", where=prefix or "graph", value=f"{a} -> {b}")
            self.edges.append((start, end))

    @staticmethod
    def _doors(graph: Any, full: str) -> tuple[str, str]:
        """The one Input and the one Output of a subgraph."""
        kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
        ins, outs = (
            [f"{full}.{name}" for name, kind in kinds.items() if kind == door]
            for door in ("Input", "Output")
        )
        if len(ins) != 1 or len(outs) != 1:
            raise GraphError(
                "a subgraph needs one Input and one Output",
                where=full,
                value=[len(ins), len(outs)],
            )
        return ins[0], outs[0]


class _Reading:
    """Builds a `Network` of a flat graph: shapes, routes, order."""

    def __init__(self, graph: Any, convention: Convention, dt: float | None):
        flat = _Flat(graph)
        self.convention, self.kind = convention, flat.kind
        self.nodes, self.edges = flat.nodes, flat.edges
        for name in self.nodes:
            if self.kind(name) not in (*SUPPORTED, "Identity"):
                raise GraphError(
                    "node type is not supported",
                    where=name,
                    value=self.kind(name),
                    fix=f"supported: {', '.join(SUPPORTED)}",
                )
        given = None if dt is None else (positive(dt, "dt"), "as given")
        self.dt, why = given or choose_dt(graph, self.nodes)
        self.notes = [f"dt = {self.dt:g} s ({why})"]
        self.next = {name: [b for a, b in self.edges if a == name] for name in self.nodes}
        self.shapes = self._shapes()
        self.maps: dict[str, Map] = {}

    def _shapes(self) -> dict[str, tuple[Shape, Shape]]:
        """Input and output shape of every node that an Input reaches."""
        waiting = [name for name in self.nodes if self.kind(name) == "Input"]
        if not waiting:
            raise GraphError("the graph has no Input")
        shapes: dict[str, tuple[Shape, Shape]] = {}
        for name in waiting:
            shape = shape_of(self.nodes[name].input_type.get("input"), name)
            shapes[name] = (self._without_batch(name, shape),) * 2
        for name in waiting:
            shape = shapes[name][1]
            for target in self.next[name]:
                if target not in shapes:
                    shapes[target] = shape, self._output_shape(target, shape)
                    waiting.append(target)
                elif prod(shapes[target][0]) != prod(shape):
                    raise GraphError(
                        "edge joins different shapes",
                        where=f"{name} -> {target}",
                        limit=shapes[target][0],
                        value=shape,
                    )
        lost = [name for name in self.nodes if name not in shapes]
        if lost:
            self.notes.append(f"left out, no Input reaches them: {', '.join(lost)}")
            self.nodes = {name: node for name, node in self.nodes.items() if name in shapes}
            self.next = {name: [b for b in self.next[name] if b in shapes] for name in self.nodes}
        return shapes

    def _without_batch(self, name: str, shape: Shape) -> Shape:
        """Exporters leave the sample's batch axis on the Input: leading ones beyond what the next
        node takes.
        """
        ranks = {RANKS[kind] for kind in map(self.kind, self.next[name]) if kind in RANKS}
        extra = len(shape) - ranks.pop() if len(ranks) == 1 else 0
        if extra <= 0 or shape[:extra] != (1,) * extra:
            return shape
        self.notes.append(f"{name}: {extra} leading axis of 1 taken for the batch")
        return shape[extra:]

    def _output_shape(self, name: str, shape: Shape) -> Shape:
        kind, node = self.kind(name), self.nodes[name]
        if kind == "Flatten":
            return flattened(shape, node, name)
        if kind in RANKS:
            target = linear(kind, node, name, shape).target
            shape = (target[0], target[2]) if kind == "Conv1d" else target
        if prod(shape) > MAX_NEURONS:
            limit = f"{MAX_NEURONS} values"
            raise GraphError("node is too large", where=name, limit=limit, value=shape)
        return shape

    def network(self) -> Network:
        outputs = [name for name in self.nodes if self.kind(name) == "Output"]
        if len(outputs) != 1:
            raise GraphError(
                "the graph needs exactly one Output",
                value=outputs,
                fix="join the outputs, or cut the graph: one readout holds the classes",
            )
        ends = ("Input", "Output", *NEURONS)
        found = {name: self._neurons(name) for name in self.nodes if self.kind(name) in ends}
        routes = [
            Route(name, target, m or identity(name, n.shape, found[target].shape), delay)
            for name, n in found.items()
            if name != outputs[0]
            for target, m, delay in self._walk(name)
        ]
        constants = self._constants(found)
        readout, routes = self._readout(outputs[0], routes, constants)
        kept = [n for n in found.values() if n.name != outputs[0] or n.name == readout]
        kept.sort(key=lambda n: n.kind != "input")
        routes = _with_feedback([n.name for n in kept], routes)
        for r in routes:
            if r.feedback:
                far = "; Lava refuses loops of fewer delays than synapses"
                loop = "" if r.source == r.target else far
                self.notes.append(
                    f"{r.source} -> {r.target} closes a cycle: it takes one step{loop}"
                )
        arrows = [(r.source, r.target) for r in routes if r.delay == 0]
        depth = longest_paths([n.name for n in kept], arrows)
        order = sorted(kept, key=lambda n: depth[n.name])
        texts = tuple(self.notes)
        return Network(
            tuple(order), tuple(routes), constants, readout, self.dt, self.convention, texts
        )

    def _neurons(self, name: str) -> Neurons:
        kind, shape = self.kind(name), self.shapes[name][0]
        if kind == "Input":
            return Neurons(name, shape, "input")
        if kind == "Output":
            return Neurons(name, shape, "integrator", beta=1.0)  # counts what arrives
        return neurons(kind, self.nodes[name], name, shape, self.dt, self.convention)

    def _walk(self, start: str) -> Iterator[tuple[str, Map | None, int]]:
        """Every linear route from a node to the next neurons: (target, map or None for identity,
        delay).
        """
        waiting: list[tuple[str, Map | None, int, frozenset[str]]] = [
            (target, None, 0, frozenset()) for target in reversed(self.next[start])
        ]
        found = 0
        while waiting:
            name, m, delay, passed = waiting.pop()
            found += 1
            if found > MAX_PATHS:
                raise GraphError("too many linear routes", where=start, limit=MAX_PATHS)
            if name in passed:
                raise GraphError(
                    "linear nodes form a cycle without a neuron",
                    where=name,
                    fix="put a neuron or nothing into the cycle",
                )
            if self.kind(name) in (*NEURONS, "Output"):
                yield name, m, delay
                continue
            for step, late in self._linear_parts(name):
                joined = compose(step, m) if step and m else step or m
                waiting += [
                    (target, joined, delay + late, passed | {name})
                    for target in reversed(self.next[name])
                ]

    def _linear_parts(self, name: str) -> list[tuple[Map | None, int]]:
        """The maps of a linear node, each with its delay in steps: one, but for a Delay with
        several values.
        """
        kind, node, shape = self.kind(name), self.nodes[name], self.shapes[name][0]
        if kind in ("Identity", "Flatten"):
            return [(None, 0)]
        if kind != "Delay":
            if name not in self.maps:
                self.maps[name] = linear(kind, node, name, shape)
            return [(self.maps[name], 0)]
        delay = parameter(node.delay, shape, name, "delay")
        steps = np.rint(delay / self.dt).astype(np.int64).ravel()
        values = np.unique(steps)
        if values[0] < 0 or values[-1] >= 1 << 16 or len(values) > MAX_DELAYS:
            raise GraphError(
                "delays cannot be expressed",
                where=name,
                value=f"{values[0]}..{values[-1]} steps",
                limit=f"0..65535 steps, {MAX_DELAYS} different ones",
            )
        if len(values) == 1:
            return [(None, int(values[0]))]
        return [(Diagonal(name, shape, shape, (steps == d).astype(float)), int(d)) for d in values]

    def _constants(self, found: dict[str, Neurons]) -> dict[str, np.ndarray]:
        """What the biases of linear nodes bring to the neurons behind them, at every step."""
        constants: dict[str, np.ndarray] = {}
        for name in self.nodes:
            bias = self._bias(name)
            if bias is None:
                continue
            for target, m, _ in self._walk(name):
                reached = bias if m is None else m.apply(bias[None])[0]
                reached = reached.reshape(found[target].shape)
                constants[target] = constants.get(target, 0.0) + reached
        return constants

    def _bias(self, name: str) -> np.ndarray | None:
        """The bias of a linear node, of the node's output shape."""
        bias = getattr(self.nodes[name], "bias", None)
        if self.kind(name) not in ("Affine", "Conv1d", "Conv2d") or bias is None:
            return None
        shape, bias = self.shapes[name][1], numbers(bias, name, "bias")
        if bias.size not in (1, shape[0]):
            raise GraphError("bias does not fit", where=name, limit=shape[0], value=bias.shape)
        full = np.broadcast_to(bias.reshape(-1, *(1,) * (len(shape) - 1)), shape)
        return full if full.any() else None

    def _readout(
        self, output: str, routes: list[Route], constants: dict[str, np.ndarray]
    ) -> tuple[str, list[Route]]:
        """The integrator that feeds the Output alone is the readout; else the Output adds up what
        arrives. And the routes without those to an Output that is not needed.
        """
        incoming = [r for r in routes if r.target == output]
        integrators = [name for name in self.nodes if self.kind(name) in INTEGRATORS]
        for name in integrators:
            leaving = [r for r in routes if r.source == name]
            alone = [(r.target, r.delay) for r in leaving] == [(output, 0)] and len(incoming) == 1
            m = leaving[0].map if alone and output not in constants else None
            if not isinstance(m, Diagonal) or np.any(m.scale != 1):
                raise GraphError(
                    "an integrator's analog value can only be the network's output",
                    where=name,
                    value=self.kind(name),
                    fix="make it a spiking neuron, or the last node",
                )
        if not incoming:
            raise GraphError("nothing reaches the Output", where=output)
        if integrators:
            return integrators[0], [r for r in routes if r.target != output]
        self.notes.append(f"'{output}' adds up over time what reaches it, so that classes exist")
        return output, routes


def _with_feedback(names: list[str], routes: list[Route]) -> list[Route]:
    """Depth first from the inputs in edge order: an undelayed route back to an ancestor takes one
    step.
    """
    leaving = {
        name: [i for i, r in enumerate(routes) if r.source == name and r.delay == 0]
        for name in names
    }
    open_, done, back = set(), set(), set()
    for start in names:
        stack = [(start, iter(leaving[start]))] if start not in done else []
        open_.update([start] if stack else [])
        while stack:
            name, rest = stack[-1]
            i = next(rest, None)
            if i is None:
                stack.pop()
                open_.discard(name)
                done.add(name)
            elif routes[i].target in open_:
                back.add(i)
            elif routes[i].target not in done:
                open_.add(routes[i].target)
                stack.append((routes[i].target, iter(leaving[routes[i].target])))
    return [replace(r, delay=1, feedback=True) if i in back else r for i, r in enumerate(routes)]
