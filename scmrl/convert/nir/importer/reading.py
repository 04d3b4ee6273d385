"""Reading a NIR graph into a `Network`: nodes, shapes, routes, recurrences, order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ....system.errors import GraphError
from .maps import Conv, Diagonal, Map, Matrix, Shape, compose, conv, identity
from .network import Convention, Network, Neurons, Route, convention_of

MAX_NEURONS = 1 << 22  # of one node
MAX_PATHS = 4096  # linear routes through the whole graph
MAX_DELAYS = 64  # different delays in one Delay node

NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")
INTEGRATORS = ("I", "LI", "CubaLI")
LINEAR = (
    "Affine",
    "Linear",
    "Conv1d",
    "Conv2d",
    "SumPool2d",
    "AvgPool2d",
    "Flatten",
    "Scale",
    "Delay",
)
# of their input
RANKS = {"Affine": 1, "Linear": 1, "Conv1d": 2, "Conv2d": 3, "SumPool2d": 3, "AvgPool2d": 3}
SUPPORTED = ("Input", "Output", *LINEAR, *NEURONS, "NIRGraph")


def network(
    graph: object, *, dt: float | None = None, convention: Convention | str = "nir"
) -> Network:
    """A NIR graph as a `Network`. dt in seconds; None: from metadata, r or the time constants, said
    in the notes.

    Raises `GraphError` naming the node for what is not supported.
    """
    return _Reading(graph, convention_of(convention), dt).network()


def choose_dt(graph: object, nodes: dict[str, object]) -> tuple[float, str]:
    """A step in seconds and why: metadata, then r = tau / dt, then the time constants."""
    metadata = getattr(graph, "metadata", None)
    if isinstance(metadata, dict) and "dt" in metadata:
        return _positive(metadata["dt"], "dt in the metadata"), "from the file's metadata"
    kinds = {name: type(node).__name__ for name, node in nodes.items()}
    taus = {
        name: np.ravel(getattr(node, "tau_mem", getattr(node, "tau", None))).astype(float)
        for name, node in nodes.items()
        if kinds[name] in ("LI", "LIF", "CubaLI", "CubaLIF")
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = [np.ravel(taus[name] / np.ravel(nodes[name].r).astype(float)) for name in taus]
        ratios += [
            1 / np.ravel(node.r).astype(float)
            for name, node in nodes.items()
            if kinds[name] == "IF"
        ]
    ratio = np.concatenate(ratios) if ratios else np.ones(1)
    scaled = any(
        np.any(np.ravel(nodes[name].r) > 1)
        for name in nodes
        if kinds[name] in NEURONS and hasattr(nodes[name], "r")
    )
    if scaled and np.all(ratio > 0) and np.allclose(ratio, ratio[0], rtol=0.01):
        return float(ratio[0]), "from r = tau / dt of the neurons"
    if not taus:
        return 1.0, "nothing in the graph depends on it"
    smallest = min(float(tau.min()) for tau in taus.values())
    if smallest >= 1.0:
        return 1.0, "time constants of a second and more are taken as steps"
    return min(
        1e-4, smallest
    ), "as NIR importers usually take it; give dt where another was trained with"


def _positive(value: object, what: str) -> float:
    try:
        number = float(np.asarray(value).reshape(()))
    except (TypeError, ValueError):
        number = float("nan")
    if not (np.isfinite(number) and number > 0):
        raise GraphError(f"{what} must be a positive number of seconds", value=value)
    return number


class _Reading:
    """Builds a `Network`: flat nodes, shapes, routes, order."""

    def __init__(self, graph: object, convention: Convention, dt: float | None):
        self.convention, self.notes = convention, []
        self.nodes: dict[str, object] = {}
        self.edges: list[tuple[str, str]] = []
        self._flatten(graph, "", True)
        for name in self.nodes:
            if self.kind(name) not in (*SUPPORTED, "Identity"):
                raise GraphError(
                    "node type is not supported",
                    where=name,
                    value=self.kind(name),
                    fix=f"supported: {', '.join(SUPPORTED)}",
                )
        self.dt, why = (
            choose_dt(graph, self.nodes) if dt is None else (_positive(dt, "dt"), "as given")
        )
        self.notes.append(f"dt = {self.dt:g} s ({why})")
        self.next = {name: [b for a, b in self.edges if a == name] for name in self.nodes}
        self.shapes = self._shapes()
        self.maps: dict[str, Map | None] = {}

    def kind(self, name: str) -> str:
        node = self.nodes[name]
        return node if isinstance(node, str) else type(node).__name__

    def _flatten(self, graph: object, prefix: str, top: bool) -> None:
        """Nodes and edges without subgraphs; the Input and Output of a subgraph become
        identities.
        """
        if type(graph).__name__ != "NIRGraph":
            raise GraphError("not a NIR graph", value=type(graph).__name__)
        ends: dict[str, tuple[str, str]] = {}
        for name, node in graph.nodes.items():
            full, kind = f"{prefix}{name}", type(node).__name__
            if kind == "NIRGraph":
                doors = [
                    [
                        f"{full}.{inner}"
                        for inner, n in node.nodes.items()
                        if type(n).__name__ == door
                    ]
                    for door in ("Input", "Output")
                ]
                if any(len(door) != 1 for door in doors):
                    raise GraphError(
                        "a subgraph needs one Input and one Output",
                        where=full,
                        value=[len(door) for door in doors],
                    )
                ends[name] = doors[0][0], doors[1][0]
                self._flatten(node, f"{full}.", False)
            else:
                ends[name] = full, full
                self.nodes[full] = node if top or kind not in ("Input", "Output") else "Identity"
        for a, b in graph.edges:
            if a not in ends or b not in ends:
                raise GraphError(
                    "edge to an unknown node", where=prefix or "graph", value=f"{a} -> {b}"
                )
            if (
                top
                and self.kind(ends[b][0]) == "Input"
                or top
                and self.kind(ends[a][1]) == "Output"
            ):
                raise GraphError(
                    "an Input takes no edges, an Output gives none", where=f"{a} -> {b}"
                )
            if (ends[a][1], ends[b][0]) in self.edges:
                raise GraphError("edge occurs twice", where=prefix or "graph", value=f"{a} -> {b}")
            self.edges.append((ends[a][1], ends[b][0]))

    def _shapes(self) -> dict[str, tuple[Shape, Shape]]:
        """Input and output shape of every node that an Input reaches."""
        waiting = [name for name in self.nodes if self.kind(name) == "Input"]
        if not waiting:
            raise GraphError("the graph has no Input")
        shapes = {}
        for name in waiting:
            shape = self._without_batch(
                name, _shape(self.nodes[name].input_type.get("input"), name)
            )
            shapes[name] = shape, shape
        for name in waiting:
            for target in self.next[name]:
                if target not in shapes:
                    shape = shapes[name][1]
                    shapes[target] = shape, self._output_shape(target, shape)
                    waiting.append(target)
                elif int(np.prod(shapes[target][0])) != int(np.prod(shapes[name][1])):
                    raise GraphError(
                        "edge joins different shapes",
                        where=f"{name} -> {target}",
                        limit=shapes[target][0],
                        value=shapes[name][1],
                    )
        lost = [name for name in self.nodes if name not in shapes]
        if lost:
            self.notes.append(f"left out, no Input reaches them: {', '.join(lost)}")
            self.nodes = {name: node for name, node in self.nodes.items() if name in shapes}
            self.edges = [(a, b) for a, b in self.edges if a in shapes and b in shapes]
            self.next = {name: [b for b in self.next[name] if b in shapes] for name in self.nodes}
        return shapes

    def _without_batch(self, name: str, shape: Shape) -> Shape:
        """Exporters leave the sample's batch axis on the Input: leading ones beyond what the next
        node takes.
        """
        ranks = {
            RANKS[self.kind(target)] for target in self.next[name] if self.kind(target) in RANKS
        }
        extra = len(shape) - ranks.pop() if len(ranks) == 1 else 0
        if extra <= 0 or shape[:extra] != (1,) * extra:
            return shape
        self.notes.append(f"{name}: {extra} leading axis of 1 taken for the batch")
        return shape[extra:]

    def _output_shape(self, name: str, shape: Shape) -> Shape:
        if self.kind(name) == "Flatten":
            return _flattened(shape, self.nodes[name], name)
        if self.kind(name) in ("Conv1d", "Conv2d", "SumPool2d", "AvgPool2d", "Affine", "Linear"):
            target = _linear(self.kind(name), self.nodes[name], name, shape).target
            shape = (target[0], target[2]) if self.kind(name) == "Conv1d" else target
        if np.prod(shape, dtype=float) > MAX_NEURONS:
            raise GraphError(
                "node is too large", where=name, limit=f"{MAX_NEURONS} values", value=shape
            )
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
        neurons = {name: self._neurons(name) for name in self.nodes if self.kind(name) in ends}
        routes, constants = [], {}
        for name, source in neurons.items():
            for target, m, delay in self._walk(name) if name != outputs[0] else ():
                m = m or identity(name, source.shape, neurons[target].shape)
                routes.append(Route(name, target, m, delay))
        for name in self.nodes:
            bias = self._constant(name)
            if bias is not None:
                for target, m, _ in self._walk(name):
                    reached = bias if m is None else m.apply(bias[None])[0]
                    constants[target] = constants.get(target, 0.0) + reached.reshape(
                        neurons[target].shape
                    )
        readout, neurons, routes = self._readout(outputs[0], neurons, routes, constants)
        neurons = dict(sorted(neurons.items(), key=lambda item: item[1].kind != "input"))
        routes = _with_feedback(list(neurons), routes)
        for r in routes:
            if r.feedback:
                loop = (
                    ""
                    if r.source == r.target
                    else "; Lava refuses loops of fewer delays than synapses"
                )
                self.notes.append(
                    f"{r.source} -> {r.target} closes a cycle: it takes one step{loop}"
                )
        order = _order(list(neurons), routes)
        return Network(
            tuple(neurons[name] for name in order),
            tuple(routes),
            constants,
            readout,
            self.dt,
            self.convention,
            tuple(self.notes),
        )

    def _walk(self, start: str) -> Iterator[tuple[str, Map | None, int]]:
        """Every linear route from a node to the next neurons: (target, map or None for identity,
        delay).
        """
        waiting: list[tuple[str, Map | None, int, frozenset]] = [
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
                joined = step if m is None else m if step is None else compose(step, m)
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
                self.maps[name] = _linear(kind, node, name, shape)
            return [(self.maps[name], 0)]
        steps = (
            np.rint(_parameter(node.delay, shape, name, "delay") / self.dt).astype(np.int64).ravel()
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

    def _constant(self, name: str) -> np.ndarray | None:
        """The bias of a linear node, of the node's output shape."""
        bias = getattr(self.nodes[name], "bias", None)
        if self.kind(name) not in ("Affine", "Conv1d", "Conv2d") or bias is None:
            return None
        shape = self.shapes[name][1]
        bias = _numbers(bias, name, "bias")
        if bias.size not in (1, shape[0]):
            raise GraphError("bias does not fit", where=name, limit=shape[0], value=bias.shape)
        full = np.broadcast_to(bias.reshape(-1, *(1,) * (len(shape) - 1)), shape)
        return full if full.any() else None

    def _neurons(self, name: str) -> Neurons:
        kind, shape = self.kind(name), self.shapes[name][0]
        if kind == "Input":
            return Neurons(name, shape, "input")
        if kind == "Output":
            return Neurons(name, shape, "integrator", beta=1.0)  # counts what arrives
        return _neurons(kind, self.nodes[name], name, shape, self.dt, self.convention)

    def _readout(
        self, output: str, neurons: dict[str, Neurons], routes: list[Route], constants: dict
    ) -> tuple:
        """The integrator that feeds the Output alone is the readout; else the Output adds up what
        arrives.
        """
        incoming = [r for r in routes if r.target == output]
        integrators = [name for name in neurons if self.kind(name) in INTEGRATORS]
        for name in integrators:
            leaving = [r for r in routes if r.source == name]
            alone = [(r.target, r.delay) for r in leaving] == [(output, 0)] and len(incoming) == 1
            if not (
                alone
                and isinstance(leaving[0].map, Diagonal)
                and np.all(leaving[0].map.scale == 1)
                and output not in constants
            ):
                raise GraphError(
                    "an integrator's analog value can only be the network's output",
                    where=name,
                    value=self.kind(name),
                    fix="make it a spiking neuron, or the last node",
                )
        if not incoming:
            raise GraphError("nothing reaches the Output", where=output)
        if not integrators:
            self.notes.append(
                f"'{output}' adds up over time what reaches it, so that classes exist"
            )
            return output, neurons, routes
        return (
            integrators[0],
            {k: n for k, n in neurons.items() if k != output},
            [r for r in routes if r not in incoming],
        )


def _shape(shape: object, name: str) -> Shape:
    try:
        sizes = tuple(int(n) for n in np.ravel(shape))
    except (TypeError, ValueError):
        sizes = ()
    if not sizes or min(sizes) < 1 or np.prod(sizes, dtype=float) > MAX_NEURONS:
        raise GraphError(
            "node has no usable shape", where=name, value=shape, limit=f"1..{MAX_NEURONS} values"
        )
    return sizes


def _flattened(shape: Shape, node: object, name: str) -> Shape:
    """The shape after a Flatten; NIR has no batch axis, but start 0 and 1 both occur for the first
    axis.
    """
    rank = len(shape)
    start, end = int(np.ravel(node.start_dim)[0]), int(np.ravel(node.end_dim)[0])
    start, end = (start + rank if start < 0 else start), (end + rank if end < 0 else end)
    if not 0 <= start <= end < rank:
        return (int(np.prod(shape)),)
    return (*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :])


def _numbers(value: object, name: str, what: str) -> np.ndarray:
    """A parameter as finite float64; accepts tensors."""
    try:
        array = np.asarray(
            value.detach().cpu().numpy() if hasattr(value, "detach") else value, np.float64
        )
    except (TypeError, ValueError):
        raise GraphError(
            f"{what} is not a number", where=name, value=type(value).__name__
        ) from None
    if not np.isfinite(array).all():
        raise GraphError(f"{what} is not finite", where=name)
    return array


def _parameter(value: object, shape: Shape, name: str, what: str) -> np.ndarray:
    """A neuron parameter of `shape`: one value for all, one a channel, or one each."""
    array = _numbers(value, name, what)
    if array.size == 1:
        return np.full(shape, float(array.ravel()[0]))
    if array.size == int(np.prod(shape)):
        return array.reshape(shape)
    if array.size == shape[0]:
        return np.broadcast_to(array.reshape(-1, *(1,) * (len(shape) - 1)), shape)
    raise GraphError(f"{what} does not fit the neurons", where=name, limit=shape, value=array.shape)


def _pair(value: object, name: str, what: str) -> tuple[int, int]:
    array = _numbers(value, name, what).ravel()
    whole = array.size in (1, 2) and np.all(array == np.rint(array))
    if not whole or array.min() < 0 or array.max() > 1 << 16:
        raise GraphError(f"{what} must be one or two whole numbers", where=name, value=value)
    return int(array[0]), int(array[-1])


def _padding(value: object, name: str) -> str | tuple[int, int]:
    text = value.decode() if isinstance(value, bytes) else value
    if isinstance(text, str):
        if text not in ("same", "valid"):
            raise GraphError("padding must be 'same', 'valid' or numbers", where=name, value=text)
        return text
    return _pair(value, name, "padding")


def _linear(kind: str, node: object, name: str, shape: Shape) -> Map:
    """The map of a linear node on an input of `shape`."""
    if kind == "Scale":
        return Diagonal(
            name, shape, shape, _parameter(node.scale, shape, name, "scale").ravel().copy()
        )
    if kind in ("SumPool2d", "AvgPool2d"):
        return _pool(kind, node, name, shape)
    weight = _numbers(node.weight, name, "weight")
    if kind in ("Affine", "Linear"):
        if weight.ndim != 2 or weight.shape[1] != int(np.prod(shape)):
            raise GraphError(
                "weight does not fit its input", where=name, limit=shape, value=weight.shape
            )
        return Matrix(name, shape, (weight.shape[0],), weight)
    rank = 2 if kind == "Conv1d" else 3
    if weight.ndim != rank + 1 or len(shape) != rank or weight.size == 0:
        raise GraphError(
            "convolution does not fit its input", where=name, limit=shape, value=weight.shape
        )
    stride, dilation = _pair(node.stride, name, "stride"), _pair(node.dilation, name, "dilation")
    padding, groups = _padding(node.padding, name), _pair(node.groups, name, "groups")[0]
    if min(*stride, *dilation, groups) < 1:
        raise GraphError("stride, dilation and groups are at least 1", where=name)
    if kind == "Conv1d":  # as an image of one row
        shape, weight = (shape[0], 1, shape[1]), weight[:, :, None]
        stride, dilation = (1, stride[0]), (1, dilation[0])
        padding = padding if isinstance(padding, str) else (0, padding[0])
    return conv(name, shape, weight, stride, padding, dilation, groups)


def _pool(kind: str, node: object, name: str, shape: Shape) -> Conv:
    kernel, stride = (
        _pair(node.kernel_size, name, "kernel_size"),
        _pair(node.stride, name, "stride"),
    )
    if len(shape) != 3 or min(*kernel, *stride) < 1 or np.prod(kernel) * shape[0] > MAX_NEURONS:
        raise GraphError("pooling does not fit its input", where=name, limit=shape, value=kernel)
    one = 1.0 if kind == "SumPool2d" else 1.0 / (kernel[0] * kernel[1])
    return conv(
        name,
        shape,
        np.full((shape[0], 1, *kernel), one),
        stride,
        _pair(node.padding, name, "padding"),
        groups=shape[0],
    )


def _neurons(kind: str, node: object, name: str, shape: Shape, dt: float, c: Convention) -> Neurons:
    """The recurrence of a neuron node under a convention.

    Euler:  beta = 1 - dt / tau,  g = r dt / tau,  b = v_leak dt / tau;   IF: beta = 1, g = r dt
    Cuba:   alpha = 1 - dt / tau_syn,  g = r dt / tau_mem . w_in dt / tau_syn
    """

    def get(what: str) -> np.ndarray:
        return _parameter(getattr(node, what), shape, name, what)

    def tau(what: str) -> np.ndarray:
        value = get(what)
        if value.min() <= 0 or (not c.exponential and value.min() < dt * (1 - 1e-6)):
            raise GraphError(
                "time constant is shorter than a step",
                where=f"{name}.{what}",
                limit=f"{dt:g} s",
                value=f"{value.min():g} s",
                fix="give a smaller dt",
            )
        return value

    def part(value: np.ndarray) -> np.ndarray:
        return np.minimum(dt / value, 1.0)

    spiking = kind not in INTEGRATORS
    if kind == "Threshold":
        return Neurons(name, shape, "spiking", threshold=get("threshold"), inclusive=c.inclusive)
    alpha, leak = np.zeros(shape), np.zeros(shape)
    if kind in ("I", "IF"):
        beta, gain = np.ones(shape), get("r") * dt if c.resistance else np.ones(shape)
    else:
        memory = tau("tau_mem" if kind.startswith("Cuba") else "tau")
        leak = get("v_leak")
        if c.exponential:
            beta, gain = np.exp(-dt / memory), np.ones(shape)
        else:
            beta, gain = 1 - part(memory), part(memory)
            gain = gain * get("r") if c.resistance or kind.startswith("Cuba") else gain
    if kind.startswith("Cuba"):
        if c.name == "norse" and leak.any():
            raise GraphError(
                "norse adds v_leak to the current too, which cannot be expressed",
                where=name,
                fix="set v_leak to 0, or choose another convention",
            )
        synapse = tau("tau_syn")
        alpha = np.exp(-dt / synapse) if c.exponential else 1 - part(synapse)
        gain = gain * get("w_in") * (1.0 if c.exponential else part(synapse))
    rest = get("v_reset") if spiking and c.v_reset else np.zeros(shape)
    threshold = get("v_threshold") - rest if spiking else np.zeros(shape)
    return Neurons(
        name,
        shape,
        "spiking" if spiking else "integrator",
        alpha,
        beta,
        gain,
        (1 - beta) * (leak - rest),
        threshold,
        c.inclusive,
        spiking and c.reset == "subtract",
    )


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


def _order(names: list[str], routes: list[Route]) -> list[str]:
    """Sources before targets along undelayed routes."""
    waiting = {name: sum(r.delay == 0 for r in routes if r.target == name) for name in names}
    ready = [name for name in names if waiting[name] == 0]
    for name in ready:
        for r in routes:
            if r.source == name and r.delay == 0:
                waiting[r.target] -= 1
                if waiting[r.target] == 0:
                    ready.append(r.target)
    return ready
