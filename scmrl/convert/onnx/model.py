"""A graph as ONNX: every population and synapse in plain standard operators, exact integers
throughout.

For every population, at step t (`scmrl.core.fixed_point`; `trunc` and Cast round toward zero):

    i = sum over synapses of (weight << exponent + 6) . s_source[t - delay]    `operators`
    u, v, s from i                                                             `neurons`

Why float32 sums are exact: a legal graph holds every |sum| below 2^24
(`fixed_point.ACTIVATION_LIMIT`), which is float32's integer range, whatever the order of the
additions; the shift by 6 only changes the exponent.

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
from ...core.graph import PER_NEURON, Graph, Population
from ...core.graph_tables import to_tables
from ...system.errors import BundleError, GraphError
from ...system.reading import read_bytes, sha256
from ..frame.neurons import require_no_joins
from .neurons import Range, fire
from .nodes import Nodes, Ports, library
from .operators import deliver

BELONGS_TO = ("graph.json", "tensors.npz")
SLACK_BYTES = 1 << 20  # by how much a file may be longer than its graph's and still be read


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
    spikes: Ports = {f"s/{p.name}": (np.uint8, tuple(p.shape)) for p in graph.of_kind("lif")}
    membranes: Ports = {f"v/{p.name}": (np.int32, tuple(p.shape)) for p in graph.of_kind("readout")}
    return spikes | membranes


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
            deliver(n, s, source(s.source, s.delay), graph[s.source].shape, p.shape)
            for s in graph.incoming(p.name)
        ]
        if not sums:
            sums = [n.zeros(p.shape, np.float32)]
        total = n.op("Sum", *sums) if len(sums) > 1 else sums[0]
        spikes = fire(n, p, ranges[p.name], total)
        if spikes is not None:  # nothing listens to a readout
            now[p.name, 0] = spikes
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
        for name in ("bias_mant", *PER_NEURON):
            entry[name] = np.asarray(getattr(p, name)).tolist()
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
