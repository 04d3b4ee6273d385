"""A graph as ONNX: every population and synapse in plain standard operators, exact integers
throughout.

For every population, at step t (`scmrl.core.fixed_point`; `trunc` and Cast round toward zero):

    i = sum over synapses of (weight << exponent + 6) . s_source[t - delay]    float32: Conv, Gemm, MatMul
    u = wrap24( trunc(u * (4095 - du) / 4096) + i )                            int32: float64 product, Cast
    v = sat24 ( trunc(v * (4096 - dv) / 4096) + u + bias )
    s = v > (vth << 6);   v = Where(s, 0, v)

Why float32 sums are exact: a legal graph holds every |sum| below 2^24
(`fixed_point.ACTIVATION_LIMIT`), which is float32's integer range, whatever the order of the
additions; the shift by 6 only changes the exponent. A product of a state below 2^31 and a 12-bit
decay has less than 53 bits. A current that one wrap cannot bring back into 24 bits is held as
int64. What cannot happen (a wrap, a clip, a state that is cleared) is not written.

Weights are stored in the fewest bytes (int8 in most models) and become float32 once, when a runtime
loads the file: a third of the size for the same speed. The integer kernels ConvInteger and
MatMulInteger are no alternative: the first is several times slower in onnxruntime, and both may
saturate for graded inputs on processors without VNNI.

Names, as in a bundle's samples: `x/<input>` uint8 or uint16, `s/<population>` uint8, `v/<readout>`
int32. The step model has the states besides: `u_in/`, `v_in/` and `past_in/<population>` (delay
line [S, D, *shape]: entry d - 1 is the value d steps ago), and the same with `_out`. State starts
at zero. The sequence model is a Scan of the same step over the axis T of [S, T, *shape], from state
zero.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ... import __version__
from ...core.bundle import Bundle
from ...core.fixed_point import CURRENT_SHIFT, DECAY_ONE, STATE_LIMIT, STATE_MAX
from ...core.graph import (
    NO_CURRENT_MEMORY,
    Broadcast,
    Conv2d,
    Dense,
    Graph,
    OneToOne,
    Pointwise,
    Population,
    SumTokens,
    Synapse,
    Window,
    require_no_joins,
)
from ...core.graph_tables import to_tables
from ...system.dependencies import install
from ...system.errors import BundleError, GraphError, MissingDependency
from ...system.reading import read_bytes, sha256

OPSET, IR = 21, 10
BELONGS_TO = ("graph.json", "tensors.npz")
ONNX_INSTALL = f"{install('onnx')} 'onnxruntime>=1.19'"
Ports = dict[
    str, tuple[type, tuple[int, ...]]
]  # by name: numpy type, shape of one sample (and step)
SLACK_BYTES = 1 << 20  # by how much a file may be longer than its graph's and still be read


def library():
    """The onnx package; raises `MissingDependency`."""
    try:
        import onnx
    except ImportError:
        raise MissingDependency("onnx", enables="writing and checking ONNX models") from None
    return onnx


class Nodes:
    """Nodes and constants of one model. Nodes go to the model itself, or to a Scan's body while in
    `body`.

    Constants belong to the model: a body reads them from outside, so that they are prepared once.
    """

    def __init__(self, onnx):
        self.onnx = onnx
        self.nodes: list = []
        self.outer = self.nodes  # of the model itself
        self.constants: dict[tuple, object] = {}
        self.prefix = ""  # of the names in the current scope
        self.batch = ""  # a value whose first axis is S
        self._count = 0

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes) -> str:
        """Append a node with one output; returns the output's name."""
        self._count += 1
        out = out or f"{self.prefix}n/{self._count}_{kind}"
        self.nodes.append(
            self.onnx.helper.make_node(kind, inputs, [out], name=f"node/{out}", **attributes)
        )
        return out

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What is appended here belongs to the model itself."""
        inner, self.nodes = self.nodes, self.outer
        try:
            yield
        finally:
            self.nodes = inner

    @contextmanager
    def body(self, prefix: str) -> Iterator[list]:
        """What is appended here belongs to a subgraph, whose list of nodes is given."""
        before = self.nodes, self.prefix, self.batch
        self.nodes, self.prefix = [], prefix
        try:
            yield self.nodes
        finally:
            self.nodes, self.prefix, self.batch = before

    def constant(self, value: np.ndarray, name: str | None = None) -> str:
        """An initialiser; equal ones without a name of their own are stored once."""
        value = np.asarray(value)
        key = (name, value.dtype.str, value.shape, value.tobytes())
        if key not in self.constants:
            self.constants[key] = self.onnx.numpy_helper.from_array(
                value, name or f"c/{len(self.constants)}"
            )
        return self.constants[key].name

    def cast(self, x: str, dtype: type, out: str | None = None) -> str:
        return self.op("Cast", x, to=self.element(dtype), out=out)

    def element(self, dtype: type) -> int:
        """ONNX's number of a numpy type."""
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def ports(self, table: Ports, *axes: str) -> list:
        """A graph's inputs or outputs, with free axes in front of each shape."""
        make = self.onnx.helper.make_tensor_value_info
        return [
            make(self.prefix + name, self.element(dtype), (*axes, *shape))
            for name, (dtype, shape) in table.items()
        ]

    def scan(self, body, inputs: list[str], outputs: list[str], scanned: int, stacked: int) -> None:
        """Run `body` for every entry of axis 1 (T) of the last inputs; stack the last outputs along
        it.
        """
        self.nodes.append(
            self.onnx.helper.make_node(
                "Scan",
                inputs,
                outputs,
                name="steps",
                body=body,
                num_scan_inputs=scanned,
                scan_input_axes=[1] * scanned,
                scan_output_axes=[1] * stacked,
            )
        )

    def model(self, name: str, inputs: list, outputs: list, metadata: dict[str, str]) -> bytes:
        """The checked model, in the same bytes for the same graph."""
        helper = self.onnx.helper
        model = helper.make_model(
            helper.make_graph(self.nodes, name, inputs, outputs, list(self.constants.values())),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR,
            producer_name="scmrl",
            producer_version=__version__,
        )
        helper.set_model_props(model, metadata)
        self.onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)

    def reshape(self, x: str, old: tuple[int, ...], new: tuple[int, ...]) -> str:
        """[S, *old] as [S, *new]."""
        if tuple(old) == tuple(new):
            return x
        return self.op("Reshape", x, self.constant(np.array([0, *new], np.int64)))

    def zeros(self, shape: tuple[int, ...], dtype: type, out: str | None = None) -> str:
        """[S, *shape] of zeros."""
        samples = self.op("Shape", self.batch, start=0, end=1)
        size = self.op("Concat", samples, self.constant(np.array(shape, np.int64)), axis=0)
        zero = self.onnx.numpy_helper.from_array(np.zeros(1, dtype))
        return self.op("ConstantOfShape", size, value=zero, out=out)


# ---- synapses: s float32 [S, *source] -> (weight << exponent + 6) . s float32 [S, *target] -------


def _scale(synapse: Synapse) -> np.float32:
    return np.float32(1 << int(synapse.exponent) + CURRENT_SHIFT)


def _weight(n: Nodes, synapse: Synapse, weight: np.ndarray) -> str:
    """A weight array, stored small and made float32 outside of all steps."""
    low, high = weight.min(), weight.max()
    dtype = next(
        t
        for t in (np.int8, np.int16, np.int32)
        if np.iinfo(t).min <= low and high <= np.iinfo(t).max
    )
    with n.outside():
        stored = n.constant(weight.astype(dtype), f"w/{len(n.constants)}/{synapse.name}")
        return n.op("Mul", n.cast(stored, np.float32), n.constant(_scale(synapse)))


def _scaled(n: Nodes, synapse: Synapse, x: str) -> str:
    """x times the one weight of a synapse."""
    return n.op("Mul", x, n.constant(np.float32(synapse.weight) * _scale(synapse)))


def _dense(n: Nodes, synapse: Dense, s: str, source: tuple, target: tuple) -> str:
    flat = n.reshape(s, source, (int(np.prod(source)),))
    out = n.op("Gemm", flat, _weight(n, synapse, synapse.weight), transB=1)
    return n.reshape(out, (int(np.prod(target)),), target)


def _conv2d(n: Nodes, synapse: Conv2d, s: str, source: tuple, target: tuple) -> str:
    return n.op(
        "Conv",
        s,
        _weight(n, synapse, synapse.weight),
        kernel_shape=synapse.weight.shape[2:],
        strides=synapse.stride,
        pads=[*synapse.padding, *synapse.padding],
        group=synapse.groups,
    )


def _pointwise(n: Nodes, synapse: Pointwise, s: str, source: tuple, target: tuple) -> str:
    tokens = int(np.prod(source[1:]))
    flat = n.reshape(s, source, (source[0], tokens))
    return n.reshape(
        n.op("MatMul", _weight(n, synapse, synapse.weight), flat), (target[0], tokens), target
    )


def _one_to_one(n: Nodes, synapse: OneToOne, s: str, source: tuple, target: tuple) -> str:
    return n.reshape(_scaled(n, synapse, s), source, target)


def _sum_tokens(n: Nodes, synapse: SumTokens, s: str, source: tuple, target: tuple) -> str:
    flat = n.reshape(s, source, (source[0], int(np.prod(source[1:]))))
    return _scaled(
        n, synapse, n.op("ReduceSum", flat, n.constant(np.array([2], np.int64)), keepdims=0)
    )


def _broadcast(n: Nodes, synapse: Broadcast, s: str, source: tuple, target: tuple) -> str:
    spread = n.reshape(_scaled(n, synapse, s), source, (*source, *(1,) * (len(target) - 1)))
    return n.op("Expand", spread, n.constant(np.array([1, *target], np.int64)))


def _window(n: Nodes, synapse: Window, s: str, source: tuple, target: tuple) -> str:
    weight = np.full((source[0], 1, *synapse.kernel), synapse.weight, np.int64)
    each = Conv2d(
        synapse.source,
        synapse.target,
        weight,
        synapse.stride,
        synapse.padding,
        groups=source[0],
        exponent=synapse.exponent,
    )
    return _conv2d(n, each, s, source, target)


SYNAPSES = {
    Dense: _dense,
    Conv2d: _conv2d,
    Pointwise: _pointwise,
    OneToOne: _one_to_one,
    SumTokens: _sum_tokens,
    Broadcast: _broadcast,
    Window: _window,
}


# ---- populations ---------------------------------------------------------------------------------


class Range:
    """How far a population's states go: which are kept, which need 64 bits, which can cross a
    border.
    """

    def __init__(self, graph: Graph, p: Population):
        worst = graph.worst_activation(p.name) << CURRENT_SHIFT
        self.keeps_u = not p.memoryless and p.du != NO_CURRENT_MEMORY
        self.keeps_v = not p.memoryless and p.dv != DECAY_ONE
        bounded = (
            not self.keeps_u or worst <= 2 * STATE_LIMIT
        )  # then one wrap brings u back into 24 bits
        self.u = np.int32 if bounded else np.int64
        u_free = worst + self.keeps_u * STATE_LIMIT
        bias = max(abs(int(p.bias.min())), abs(int(p.bias.max())))
        v_free = u_free + bias + self.keeps_v * STATE_LIMIT
        self.v_free = np.int32 if bounded and v_free < 1 << 31 else np.int64
        self.wraps = u_free >= STATE_LIMIT
        self.clips = v_free > STATE_MAX


def _decay(n: Nodes, x: str, keep: int, dtype: type) -> str:
    """trunc(x * keep / 4096)."""
    if keep == DECAY_ONE:
        return x
    if dtype is np.int64:
        return n.op(
            "Div", n.op("Mul", x, n.constant(np.int64(keep))), n.constant(np.int64(DECAY_ONE))
        )
    return n.cast(
        n.op("Mul", n.cast(x, np.float64), n.constant(np.float64(keep / DECAY_ONE))), dtype
    )


def _wrap(n: Nodes, u: str, dtype: type) -> str:
    """One wrap of the 24-bit current, as `fixed_point.wrap`."""
    border, turn = dtype(STATE_LIMIT), n.constant(dtype(2 * STATE_LIMIT))
    u = n.op("Where", n.op("Greater", u, n.constant(border)), n.op("Sub", u, turn), u)
    return n.op("Where", n.op("LessOrEqual", u, n.constant(-border)), n.op("Add", u, turn), u)


def _saturate(n: Nodes, v: str, dtype: type) -> str:
    """Clip to 24 bits. In 64 bits by comparison: Clip, Min and Max of int64 are wrong from 2^31 on
    in onnxruntime (1.31 and before; its pull request 32475).
    """
    low, high = n.constant(dtype(-STATE_MAX)), n.constant(dtype(STATE_MAX))
    if dtype is np.int32:
        return n.op("Clip", v, low, high)
    v = n.op("Where", n.op("Greater", v, high), high, v)
    return n.op("Where", n.op("Less", v, low), low, v)


def _current(n: Nodes, p: Population, reach: Range, i: str) -> str:
    """The new current u of a population, from its synaptic sum i (float32)."""
    u = n.cast(i, reach.u)
    if reach.keeps_u:
        before = _decay(n, f"{n.prefix}u_in/{p.name}", NO_CURRENT_MEMORY - int(p.du), reach.u)
        u = n.op("Add", before, u)
    if reach.wraps:
        u = _wrap(n, u, reach.u)
    return n.op("Identity", u, out=f"{n.prefix}u_out/{p.name}") if reach.keeps_u else u


def _membrane(n: Nodes, p: Population, reach: Range, u: str) -> str:
    """The new membrane before reset, int32, from the current u."""
    terms = [u if reach.u is reach.v_free else n.cast(u, reach.v_free)]
    if reach.keeps_v:
        before = _decay(n, f"{n.prefix}v_in/{p.name}", DECAY_ONE - int(p.dv), np.int32)
        terms.append(before if reach.v_free is np.int32 else n.cast(before, reach.v_free))
    bias = np.asarray(p.bias_mant, np.int64) << p.bias_exp
    if bias.any():
        terms.append(n.constant(bias.astype(reach.v_free)))
    v = terms[0]
    for term in terms[1:]:
        v = n.op("Add", v, term)
    if reach.clips:
        v = _saturate(n, v, reach.v_free)
    return v if reach.v_free is np.int32 else n.cast(v, np.int32)


def _neurons(n: Nodes, p: Population, reach: Range, i: str) -> str | None:
    """One step of a population: writes outputs and states; returns its spikes float32, None for a
    readout.
    """
    v = _membrane(n, p, reach, _current(n, p, reach, i))
    kept = f"{n.prefix}v_out/{p.name}" if reach.keeps_v else None
    if not p.fires:
        if kept:
            n.op("Identity", v, out=kept)
        n.op("Identity", v, out=f"{n.prefix}v/{p.name}")
        return None
    s = n.op("Greater", v, n.constant(np.int32(int(p.vth) << CURRENT_SHIFT)))
    if kept:
        n.op("Where", s, n.constant(np.int32(0)), v, out=kept)
    n.cast(s, np.uint8, out=f"{n.prefix}s/{p.name}")
    return n.cast(s, np.float32)


# ---- one step, and the models --------------------------------------------------------------------


def _value_type(p: Population) -> type:
    return np.uint16 if p.kind == "input" and p.bits > 8 else np.uint8


def _delays(graph: Graph) -> dict[str, int]:
    """The longest delay that leaves each population with a delayed synapse."""
    delays = {
        p.name: max((s.delay for s in graph.outgoing(p.name)), default=0) for p in graph.populations
    }
    return {name: delay for name, delay in delays.items() if delay}


def given(graph: Graph) -> Ports:
    """What a model takes."""
    return {f"x/{p.name}": (_value_type(p), tuple(p.shape)) for p in graph.of_kind("input")}


def values(graph: Graph) -> Ports:
    """What a model gives."""
    return {f"s/{p.name}": (np.uint8, tuple(p.shape)) for p in graph.of_kind("lif")} | {
        f"v/{p.name}": (np.int32, tuple(p.shape)) for p in graph.of_kind("readout")
    }


def _states(graph: Graph, ranges: dict[str, Range]) -> Ports:
    """What a step takes from the step before."""
    shapes = {p.name: tuple(p.shape) for p in graph.populations}
    u = {f"u_in/{name}": (reach.u, shapes[name]) for name, reach in ranges.items() if reach.keeps_u}
    v = {
        f"v_in/{name}": (np.int32, shapes[name]) for name, reach in ranges.items() if reach.keeps_v
    }
    past = {
        f"past_in/{name}": (_value_type(graph[name]), (delay, *shapes[name]))
        for name, delay in _delays(graph).items()
    }
    return u | v | past


def after(state: str) -> str:
    """The name under which a step gives a state that it takes as `state`."""
    return state.replace("_in/", "_out/", 1)


def _ranges(graph: Graph) -> dict[str, Range]:
    return {p.name: Range(graph, p) for p in graph.populations if p.kind != "input"}


def _step(n: Nodes, graph: Graph, ranges: dict[str, Range]) -> tuple[list, list]:
    """Write the nodes of one step, zero delays forward; returns its inputs and outputs, states
    first.
    """
    n.batch = f"{n.prefix}x/{graph.of_kind('input')[0].name}"
    now: dict[tuple[str, int], str] = {}  # float32 values, by population and delay

    def source(name: str, delay: int) -> str:
        if (name, delay) not in now:
            entry = n.constant(np.int64(delay - 1))
            now[name, delay] = n.cast(
                n.op("Gather", f"{n.prefix}past_in/{name}", entry, axis=1), np.float32
            )
        return now[name, delay]

    for p in graph.order():
        if p.kind == "input":
            now[p.name, 0] = n.cast(f"{n.prefix}x/{p.name}", np.float32)
            continue
        sums = [
            SYNAPSES[type(s)](n, s, source(s.source, s.delay), graph[s.source].shape, p.shape)
            for s in graph.incoming(p.name)
        ]
        total = (
            n.op("Sum", *sums)
            if len(sums) > 1
            else sums[0]
            if sums
            else n.zeros(p.shape, np.float32)
        )
        now[p.name, 0] = _neurons(n, p, ranges[p.name], total)
    for name, delay in _delays(graph).items():
        _remember(n, graph[name], delay)
    first = _states(graph, ranges)
    last = {after(name): port for name, port in first.items()}
    return n.ports(first | given(graph), "S"), n.ports(last | values(graph), "S")


def _remember(n: Nodes, p: Population, delay: int) -> None:
    """Shift the delay line of a population by one step."""
    axis, out = n.constant(np.array([1], np.int64)), f"{n.prefix}past_out/{p.name}"
    kind = "x" if p.kind == "input" else "s"
    newest = n.op("Unsqueeze", f"{n.prefix}{kind}/{p.name}", axis, out=out if delay == 1 else None)
    if delay > 1:
        start, stop = (n.constant(np.array([i], np.int64)) for i in (0, delay - 1))
        older = n.op("Slice", f"{n.prefix}past_in/{p.name}", start, stop, axis)
        n.op("Concat", newest, older, axis=1, out=out)


def step_model(graph: Graph, metadata: dict[str, str] | None = None) -> bytes:
    """The streaming step: (states _in, x/) -> (states _out, s/, v/), all [S, *shape] with S free.

    Raises `GraphError` where the graph is not legal, `MissingDependency` without onnx.
    """
    with _legal(graph) as n:
        inputs, outputs = _step(n, graph, _ranges(graph))
        return n.model("step", inputs, outputs, metadata or {})


def sequence_model(graph: Graph, metadata: dict[str, str] | None = None) -> bytes:
    """Whole samples from state zero: x/ [S, T, *shape] -> s/, v/ [S, T, *shape], S and T free.

    Raises as `step_model`.
    """
    with _legal(graph) as n:
        ranges, taken, gives = _ranges(graph), given(graph), values(graph)
        states = _states(graph, ranges)
        with n.body("t/") as nodes:
            inputs, outputs = _step(n, graph, ranges)
        body = n.onnx.helper.make_graph(nodes, "step", inputs, outputs)
        n.batch = next(iter(taken))
        for name, (dtype, shape) in states.items():
            n.zeros(shape, dtype, out=name)
        n.scan(body, [*states, *taken], [*map(after, states), *gives], len(taken), len(gives))
        return n.model(
            "sequence", n.ports(taken, "S", "T"), n.ports(gives, "S", "T"), metadata or {}
        )


@contextmanager
def _legal(graph: Graph) -> Iterator[Nodes]:
    """Nodes for a legal graph: its sums are exact in float32 because it is one."""
    onnx = library()
    require_no_joins(graph.check(), "the ONNX export")
    try:
        yield Nodes(onnx)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise GraphError("graph has no ONNX form", value=str(error)) from None


# ---- beside a bundle -----------------------------------------------------------------------------


def metadata(bundle: Bundle, directory: Path) -> dict[str, str]:
    """What a model says of itself, each entry JSON: version, steps, classes, front-end, the hashes
    of the bundle's files in `directory`, and the integer parameters of every population.
    """
    populations = to_tables(bundle.graph)[0]["populations"]
    for entry, p in zip(populations, bundle.graph.populations):
        entry["bias_mant"] = np.asarray(p.bias_mant).tolist()
    facts = {
        "scmrl": __version__,
        "steps": bundle.graph.steps,
        "classes": list(bundle.graph.classes),
        "frontend": bundle.frontend,
        "sha256": {name: sha256(directory / name) for name in BELONGS_TO},
        "populations": populations,
    }
    return {key: json.dumps(value) for key, value in facts.items()}


def read(path: Path, expected: bytes) -> bytes:
    """The file at `path` where it is `expected`, byte for byte: no runtime is given anything else.

    Raises `BundleError` saying what is wrong: missing, too long, corrupt, external data, another
    graph's or version's.
    """
    data = read_bytes(path, len(expected) + SLACK_BYTES)
    if data == expected:
        return data
    raise BundleError(_difference(data, expected), where=path, fix="export the model again")


def _difference(data: bytes, expected: bytes) -> str:
    """Why a file is not the expected model, as far as it tells."""
    onnx = library()
    from google.protobuf.message import DecodeError

    try:
        found, mine = (onnx.ModelProto.FromString(model) for model in (data, expected))
        said, facts = (
            {entry.key: entry.value for entry in model.metadata_props} for model in (found, mine)
        )
    except (DecodeError, ValueError):
        return "not an ONNX model: corrupt or truncated"
    if any(tensor.external_data or tensor.data_location for tensor in found.graph.initializer):
        return "model refers to external data"
    if said.get("scmrl") != facts.get("scmrl"):
        return f"model was not written by scmrl {__version__}"
    if said.get("sha256") != facts.get("sha256"):
        return "model belongs to another graph: the hashes in it are not this bundle's"
    return "model is corrupt or was changed: it is not what this graph exports"
