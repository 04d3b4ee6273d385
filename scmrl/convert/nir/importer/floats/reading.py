"""Reading a NIR graph into a `Network`: nodes, shapes, routes, recurrences, order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from .....core.graph import longest_paths
from .....system.errors import GraphError
from .convention import Convention, convention_of
from .cycles import with_feedback, within
from .flat import Flat
from .linear import LINEAR, RANKS, linear
from .maps import Diagonal, Map, Shape, compose, identity
from .network import Constants, Network, Neurons, Route
from .neurons import NEURONS, neurons
from .parameters import MAX_NEURONS, flattened, numbers, parameter, positive, shape_of
from .step import Step, choose

MAX_PATHS = 4096  # linear routes through the whole graph
MAX_DELAYS = 64  # different delays in one Delay node
LONGEST, LARGEST = 1000, 10.0  # steps and input values that a threshold beyond reach withstands
BEYOND = 1e3  # and a smaller one is a neuron that happens not to fire
SUPPORTED = ("Input", "Output", *LINEAR, *NEURONS, "NIRGraph")


def network(
    graph: Any, *, dt: float | None = None, convention: Convention | str = "nir"
) -> Network:
    """A NIR graph as a `Network`. dt in seconds; None: from metadata, r or the time constants, said
    in the notes.

    Raises `GraphError` naming the node for what is not supported.
    """
    return _Reading(graph, convention_of(convention), dt).network()


class _Reading:
    """Builds a `Network` of a flat graph: shapes, routes, order."""

    def __init__(self, graph: Any, convention: Convention, dt: float | None):
        flat = Flat(graph)
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
        self.step = (
            choose(graph, self.nodes, convention)
            if dt is None
            else Step(positive(dt, "dt"), "as given")
        )
        self.dt = self.step.seconds
        self.notes, self.warnings = [f"dt = {self.dt:g} s ({self.step.why})"], list[str]()
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
        output = self._output()
        ends = ("Input", "Output", *NEURONS)
        found = {name: self._neurons(name) for name in self.nodes if self.kind(name) in ends}
        routes = [
            Route(name, target, m or identity(name, n.shape, found[target].shape), delay)
            for name, n in found.items()
            if name != output
            for target, m, delay in self._walk(name)
        ]
        constants = self._constants(found)
        readout, routes = self._readout(output, routes, constants, found)
        kept = [n for n in found.values() if n.name != output or n.name == readout]
        kept.sort(key=lambda n: n.kind != "input")
        routes = with_feedback([n.name for n in kept], routes)
        self._say_loops(routes)
        arrows = [(r.source, r.target) for r in routes if r.delay == 0]
        order = tuple(found[name] for name in longest_paths([n.name for n in kept], arrows))
        return Network(
            order,
            tuple(routes),
            constants,
            readout,
            self.dt,
            self.convention,
            tuple(dict.fromkeys(self.notes)),
            tuple(self.warnings),
        )

    def _output(self) -> str:
        """The one Output."""
        outputs = [name for name in self.nodes if self.kind(name) == "Output"]
        if len(outputs) == 1:
            return outputs[0]
        raise GraphError(
            "the graph needs exactly one Output: classes are read from one population",
            value=outputs,
            fix="join the outputs, or cut the graph at one of them",
        )

    def _say_loops(self, routes: list[Route]) -> None:
        """What closes a cycle; and which cycles Lava and chips, where a synapse takes a step,
        cannot hold.
        """
        names = {end for r in routes for end in (r.source, r.target)}
        for r in routes:
            if not r.feedback:
                continue
            self.notes.append(f"{r.source} -> {r.target} closes a cycle: it takes one step")
            inner = [(q.source, q.target) for q in routes if q.delay == 0]
            inner = within(inner, r.target, r.source)
            synapses = longest_paths(sorted(names), inner)[r.source] + 1 if inner else 1
            if synapses > r.delay:
                self.warnings.append(
                    f"the loop over {r.target} and {r.source} has {synapses} synapses and "
                    f"{r.delay} step of delay: the simulator runs it, Lava and chips refuse it; "
                    f"for them put a Delay of {(synapses - r.delay) * self.dt:g} s or more into it"
                )

    def _neurons(self, name: str) -> Neurons:
        kind, shape = self.kind(name), self.shapes[name][0]
        if kind == "Input":
            return Neurons(name, shape, "input")
        if kind == "Output":
            return Neurons(name, shape, "integrator", beta=1.0)  # counts what arrives
        found = neurons(kind, self.nodes[name], name, shape, self.dt, self.convention)
        if self.step.guessed and "L" in kind:
            states = {"current": found.alpha} if kind.startswith("Cuba") else {}
            for what, kept in {**states, "membrane": found.beta}.items():
                if not np.all(kept):
                    self.warnings.append(
                        f"{name}: its {what} keeps nothing from step to step, by a dt that was "
                        "guessed; give the dt that the network was trained with (--dt)"
                    )
        return found

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
        exact = parameter(node.delay, shape, name, "delay").ravel() / self.dt
        steps = np.rint(exact).astype(np.int64)
        off = float(np.abs(steps - exact).max())
        if off > 1e-3:
            at = int(np.abs(steps - exact).argmax())
            self.notes.append(
                f"{name}: delays are whole steps: {exact[at]:.4g} becomes {steps[at]}; spikes come "
                f"up to {off:.2g} steps ({off * self.dt:g} s) early or late"
            )
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

    def _constants(self, found: dict[str, Neurons]) -> dict[str, Constants]:
        """What the biases of linear nodes bring to the neurons behind them, from the step on at
        which it has passed the delays between.
        """
        constants: dict[str, Constants] = {}
        for name in self.nodes:
            bias = self._bias(name)
            if bias is None:
                continue
            for target, m, delay in self._walk(name):
                reached = bias if m is None else m.apply(bias[None])[0]
                own = constants.setdefault(target, {})
                own[delay] = own.get(delay, 0.0) + reached.reshape(found[target].shape)
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
        self,
        output: str,
        routes: list[Route],
        constants: dict[str, Constants],
        found: dict[str, Neurons],
    ) -> tuple[str, list[Route]]:
        """The integrator that feeds the Output alone is the readout; else the Output adds up what
        arrives. And the routes without those to an Output that is not needed.
        """
        incoming = [r for r in routes if r.target == output]
        if not incoming:
            raise GraphError("nothing reaches the Output", where=output)
        alone = len(incoming) == 1 and output not in constants and _is_identity(incoming[0])
        first = incoming[0].source
        leaving = [r for r in routes if r.source == first]
        if alone and len(leaving) == 1 and _never_fires(found[first], routes, constants):
            self.notes.append(
                f"{first}: its threshold is beyond reach, so it never fires: its membrane is the "
                "output"
            )
            found[first] = replace(found[first], kind="integrator", threshold=0.0, reset="zero")
        for n in found.values():
            if n.kind == "integrator" and n.name != output:
                self._only_readout(n, [r for r in routes if r.source == n.name], output, alone)
        if found[first].kind == "integrator":
            return first, [r for r in routes if r.target != output]
        self.notes.append(f"'{output}' adds up over time what reaches it, so that classes exist")
        return output, routes

    def _only_readout(self, n: Neurons, leaving: list[Route], output: str, alone: bool) -> None:
        """Raise `GraphError` where an integrator's membrane goes anywhere but to the Output."""
        readers = ", ".join(r.target for r in leaving) or "nothing"
        if alone and readers == output:
            return
        raise GraphError(
            "a membrane can be the network's output and nothing else: synapses carry spikes",
            where=n.name,
            value=f"{self.kind(n.name)}, read by {readers}",
            fix="make it a spiking neuron, or the last node before the only Output",
        )


def _is_identity(r: Route) -> bool:
    return isinstance(r.map, Diagonal) and bool(np.all(r.map.scale == 1)) and r.delay == 0


def _never_fires(n: Neurons, routes: list[Route], constants: dict[str, Constants]) -> bool:
    """Whether inputs of `LARGEST` at every one of `LONGEST` steps leave it below its threshold."""
    if n.kind != "spiking" or np.min(n.threshold) < BEYOND:
        return False
    into = [r.map for r in routes if r.target == n.name and r.source != n.name]
    worst = sum(float(np.abs(m.values()).max(initial=0)) * math.prod(m.source) for m in into)
    worst += sum(float(np.abs(c).max()) for c in constants.get(n.name, {}).values())
    growth = 1.0
    for kept in (n.alpha, n.beta):
        growth *= min(LONGEST, 1 / max(1 - float(np.max(kept)), 1 / LONGEST))
    reach = growth * (LARGEST * worst * np.abs(n.gain) + np.abs(n.bias))
    return bool(np.all(reach < n.threshold))
