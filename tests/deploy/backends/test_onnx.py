"""ONNX exports and backends: equal to the reference in every bit, portable, and never led astray by
a file.

`python tests/deploy/backends/test_onnx.py N` fuzzes the reader with N files.
"""

import dataclasses
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from conformance.equality import assert_equal_in_every_bit, assert_equals_the_reference
from conformance.graphs import (
    GRAPHS,
    case,
    graph,
    random_inputs,
    source,
    weights,
)
from conformance.graphs.extreme import extreme_neurons
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scmrl.convert.onnx import model as onnx_graph
from scmrl.core import reference
from scmrl.core.bundle import Bundle, load
from scmrl.core.graph import Dense, Graph, OneToOne, Population, SumTokens
from scmrl.system.errors import BackendError, BundleError, GraphError, MissingDependency

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from scmrl.convert.onnx.export import export
from scmrl.deploy.backends import onnx as backends
from scmrl.deploy.backends.onnx import OnnxRuntime, OnnxRuntimeStep

BACKENDS = [OnnxRuntime, OnnxRuntimeStep]
MODELS = [onnx_graph.sequence_model, onnx_graph.step_model]
both_backends = pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)


# ---- the same bits -------------------------------------------------------------------------------


@both_backends
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=extreme_neurons())
def test_extreme_neurons(backend, drawn):
    network, inputs = drawn
    try:
        network.check()
    except GraphError:  # a sum or a bias beyond 2^24: not legal, and refused
        with pytest.raises(GraphError, match="y: (synaptic sum|bias is beyond)"):
            backend(network)
        return
    assert_equals_the_reference(backend(network), inputs)


@both_backends
def test_samples_and_steps_are_free(backend):
    network, _ = GRAPHS["recurrent_over_two_layers"]()
    opened = backend(network)
    for samples, steps in ((1, 1), (7, 4), (2, 30)):
        inputs = random_inputs(dataclasses.replace(network, steps=steps), samples)
        assert_equals_the_reference(opened, inputs)


@both_backends
def test_chunks_of_samples_do_not_meet(backend, small_bundle, monkeypatch):
    monkeypatch.setattr(backends, "CHUNK_BYTES", 1)
    seen = []
    got = backend(small_bundle.graph).run(
        small_bundle.inputs, progress=lambda *count: seen.append(count)
    )
    assert_equal_in_every_bit(small_bundle.graph, small_bundle.trained, got)
    assert seen == [(i, 6) for i in range(1, 7)]


def test_onnx_own_interpreter_gives_the_same_step():
    """A second runtime, without onnxruntime: onnx's reference implementation of the standard
    operators.
    """
    from onnx.reference import ReferenceEvaluator

    for name in (
        "current_and_membrane_memory",
        "current_wraps_down",
        "conv_grouped",
        "pool_of_odd_size",
        "delayed_cross_links",
        "gate_by_broadcast",
        "mask_with_slow_leak",
        "bias_per_channel",
    ):
        network, inputs = GRAPHS[name]()
        model = onnx.load_model_from_string(onnx_graph.step_model(network))
        run, want = ReferenceEvaluator(model), reference.run(network, inputs)
        given = onnx_graph.given(network)
        state = {
            port.name: np.zeros(
                (3, *(d.dim_value for d in port.type.tensor_type.shape.dim[1:])),
                onnx.helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type),
            )
            for port in model.graph.input
            if port.name not in given
        }
        samples = len(next(iter(inputs.values())))
        state = {key: value[:samples] for key, value in state.items()}
        for t in range(network.steps):
            x = {
                f"x/{key}": value[:, t].astype(given[f"x/{key}"][0])
                for key, value in inputs.items()
            }
            found = dict(zip(run.output_names, run.run(None, x | state)))
            state = {key: found[onnx_graph.after(key)] for key in state}
            for key in onnx_graph.values(network):
                np.testing.assert_array_equal(
                    found[key], want.values(key[2:])[:, t], err_msg=f"{name} {key}"
                )


# ---- the files -----------------------------------------------------------------------------------


@pytest.fixture
def exported(small_bundle, tmp_path):
    export(small_bundle, tmp_path / "out")
    return tmp_path / "out"


def test_export_is_a_bundle_with_two_models(small_bundle, tmp_path):
    summary = export(small_bundle, tmp_path / "out")
    assert load(tmp_path / "out").samples == small_bundle.samples
    assert {f["name"]: f["bytes"] for f in summary["files"]} == {
        name: (tmp_path / "out" / name).stat().st_size
        for name in ("onnx/model.seq.onnx", "onnx/model.step.onnx")
    }
    assert {p["name"]: p["label"] for p in summary["populations"]} == {
        p.name: "exact" for p in small_bundle.graph.populations if p.kind != "input"
    }
    assert all(
        p["worst_activation"] < summary["exact_below"] == 2**24 for p in summary["populations"]
    )
    json.dumps(summary)


@pytest.mark.parametrize("file", ["model.seq.onnx", "model.step.onnx"])
def test_models_are_standard_onnx(exported, file):
    model = onnx.load(exported / "onnx" / file)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [
        ("", 21)
    ] and model.ir_version == 10
    assert not model.functions
    free = ["S", "T"] if "seq" in file else ["S"]
    for port in (*model.graph.input, *model.graph.output):
        dims = port.type.tensor_type.shape.dim
        assert [d.dim_param for d in dims[: len(free)]] == free, port.name
        assert all(d.dim_value > 0 for d in dims[len(free) :])


def test_every_population_is_an_output_and_every_state_has_its_name(exported, small_bundle):
    models = {
        kind: onnx.load(exported / "onnx" / f"model.{kind}.onnx").graph for kind in ("seq", "step")
    }
    spiking = {f"s/{p.name}" for p in small_bundle.graph.of_kind("lif")}
    assert {p.name for p in models["seq"].output} == spiking | {"v/readout"}
    assert {p.name for p in models["seq"].input} == {"x/audio", "x/visual"}
    remembered = {"audio.conv", "visual.conv", "readout"}  # the others are memoryless
    taken, given_back = ({f"{state}/{p}" for p in remembered} for state in ("v_in", "v_out"))
    assert {p.name for p in models["step"].input} == {"x/audio", "x/visual"} | taken
    assert {p.name for p in models["step"].output} == spiking | {"v/readout"} | given_back
    network, _ = GRAPHS["recurrent_over_two_layers"]()
    names = {
        p.name for p in onnx.load_model_from_string(onnx_graph.step_model(network)).graph.input
    }
    assert {"past_in/b"} == {name for name in names if name.startswith("past")}


@pytest.mark.parametrize("file", ["model.seq.onnx", "model.step.onnx"])
def test_metadata_say_what_the_model_is(exported, small_bundle, file):
    import onnxruntime

    session = onnxruntime.InferenceSession(exported / "onnx" / file)
    told = {
        key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()
    }
    assert told["classes"] == ["a", "b", "c", "d"] and told["steps"] == 3 and told["frontend"] == {}
    assert told["sha256"] == {
        name: hashlib.sha256((exported / name).read_bytes()).hexdigest()
        for name in ("graph.json", "tensors.npz")
    }
    conv = next(p for p in told["populations"] if p["name"] == "audio.conv")
    assert (conv["vth"], conv["dv"], conv["bias_exp"]) == (4000, 2048, 6)
    assert conv["bias_mant"] == [[[50]], [[-20]], [[0]]]
    assert told["scmrl"]


def test_metadata_say_arrays_as_lists(small_bundle, tmp_path):
    def own(p):
        more = {"dv": np.arange(p.neurons).reshape(p.shape), "reset": "subtract"}
        return dataclasses.replace(p, **more) if p.kind == "lif" else p

    graph = small_bundle.graph
    graph = dataclasses.replace(graph, populations=tuple(map(own, graph.populations)))
    export(dataclasses.replace(small_bundle, graph=graph, trained=None), tmp_path / "onnx")
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "onnx" / "model.step.onnx")
    told = json.loads(session.get_modelmeta().custom_metadata_map["populations"])
    p = next(p for p in told if p["name"] == "audio.conv")
    assert p["dv"] == graph["audio.conv"].dv.tolist() and p["reset"] == "subtract"


def test_same_bundle_same_bytes(exported, small_bundle, tmp_path):
    export(small_bundle, tmp_path / "again")
    for file in ("onnx/model.seq.onnx", "onnx/model.step.onnx"):
        assert (exported / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


@pytest.mark.parametrize(
    "low, high, stored",
    [(-128, 127, "INT8"), (-128, 128, "INT16"), (-32768, 5, "INT16"), (-5, 40000, "INT32")],
)
def test_weights_are_stored_in_the_fewest_bytes(low, high, stored):
    network = graph(source(2), Population("y", (1,)), Dense("x", "y", np.array([[low, high]])))
    for build in MODELS:
        model = onnx.load_model_from_string(build(network))
        (weight,) = (t for t in model.graph.initializer if t.name.startswith("w/"))
        assert onnx.TensorProto.DataType.Name(weight.data_type) == stored


def test_readme_runs_as_written_with_onnxruntime_alone(exported, small_bundle):
    text = (exported / "README.txt").read_text(encoding="utf-8")
    shown = text.split("With onnxruntime alone:")[1].split("With scmrl")[0]
    program = "\n".join([*(line[4:] for line in shown.splitlines()), "np.savez('out.npz', **out)"])
    subprocess.run([sys.executable, "-c", program], cwd=exported, check=True, timeout=60)
    out = np.load(exported / "out.npz")
    for p in small_bundle.graph.of_kind("lif"):
        np.testing.assert_array_equal(out[f"s/{p.name}"], small_bundle.trained.spikes[p.name])
    np.testing.assert_array_equal(out["v/readout"], small_bundle.trained.membrane["readout"])


def test_failed_export_leaves_nothing(tmp_path):
    bad = Graph(
        (source(2), Population("y", (1,))), (Dense("x", "y", np.array([[1 << 23, 1 << 23]])),)
    )
    with pytest.raises(GraphError, match="y: (synaptic sum|bias is beyond)"):
        export(
            Bundle(bad, {"x": np.zeros((1, 1, 2), np.uint8)}, np.zeros(1, np.int64)),
            tmp_path / "out",
        )
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_text_are_refused_in_one_line():
    populations = Population("\ud800", (1,), "input"), Population("y", (1,))
    network = Graph(populations, (OneToOne("\ud800", "y", 1),))
    with pytest.raises(GraphError, match="printable"):
        onnx_graph.step_model(network)


@pytest.mark.parametrize("name", ["v_in/y", "t/x/x", "a b/ü", "y/n/1_Conv"])
def test_any_text_is_a_name(name):
    network, inputs = case(
        source(4),
        Population("y", (3,), vth=30),
        Population(name, (3,), vth=1, dv=7),
        Dense("x", "y", weights(3, 4)),
        OneToOne("y", name, 2),
        OneToOne(name, "y", -3, delay=2),
    )
    for backend in BACKENDS:
        assert_equals_the_reference(backend(network), inputs)


# ---- the backends on an export -------------------------------------------------------------------


@both_backends
def test_export_runs_from_its_file(exported, small_bundle, backend):
    assert backend.exported(exported) and not backend.exported(exported / "onnx")
    with backend.from_export(exported) as opened:
        assert_equal_in_every_bit(
            small_bundle.graph, small_bundle.trained, opened.run(small_bundle.inputs)
        )


def damaged(data: bytes, how: str) -> bytes:
    model = onnx.load_model_from_string(data)
    if how == "truncated":
        return data[:-40]
    if how == "empty":
        return b""
    if how == "long":
        return data + bytes(2 << 20)
    if how == "foreign":
        return onnx_graph.sequence_model(GRAPHS["both"]()[0])
    if how == "hash":
        next(e for e in model.metadata_props if e.key == "sha256").value = '{"graph.json": "0"}'
    if how == "external":
        tensor = model.graph.initializer[0]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../../etc/passwd")
    if how == "weight":
        tensor = next(t for t in model.graph.initializer if t.name.startswith("w/"))
        tensor.raw_data = bytes([tensor.raw_data[0] ^ 1]) + tensor.raw_data[1:]
    if how == "huge":
        model.graph.initializer[0].dims[:] = [1 << 40]
    return model.SerializeToString()


@both_backends
@pytest.mark.parametrize(
    "how, match",
    [
        ("truncated", "corrupt|changed"),
        ("empty", "not"),
        ("long", "too large"),
        ("foreign", "not written by scmrl"),
        ("hash", "another graph"),
        ("external", "external data"),
        ("weight", "changed"),
        ("huge", "changed"),
    ],
)
def test_damaged_files_are_refused_in_one_line(exported, backend, how, match):
    path = exported / backend.file
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(BundleError, match=match) as refusal:
        backend.from_export(exported)
    assert Path(backend.file).name in str(refusal.value) and "\n" not in str(refusal.value)


@both_backends
def test_a_missing_file_is_one_line(exported, backend):
    (exported / backend.file).unlink()
    assert not backend.exported(exported)
    with pytest.raises(BundleError, match="cannot read"):
        backend.from_export(exported)


@both_backends
def test_model_of_another_graph_is_refused(backend):
    with pytest.raises(BundleError, match="another graph"):
        backend(GRAPHS["both"]()[0], model=backend.build(GRAPHS["readout_only"]()[0]))


@both_backends
def test_what_the_runtime_refuses_is_one_line(backend):
    with pytest.raises(BackendError, match="onnxruntime failed") as refusal:
        backend(GRAPHS["both"]()[0], model=b"no model")
    assert "\n" not in str(refusal.value)


@both_backends
def test_a_run_is_stopped_at_its_deadline(backend):
    network, _ = GRAPHS["recurrent"]()
    inputs = {"x": np.ones((1, 400_000, 5), np.uint8)}
    with pytest.raises(BackendError, match="past its deadline"):
        backend(network, deadline_s=0.1).run(inputs)


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_a_missing_library_is_named(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        MissingDependency, match=f"{library} is not installed.*pip install '{library}>="
    ):
        OnnxRuntime(GRAPHS["both"]()[0])


# ---- hostile files -------------------------------------------------------------------------------

EXPECTED = onnx_graph.sequence_model(
    graph(
        source(3, 2),
        Population("y", (3, 2), vth=9),
        Population("m", (3,), "readout"),
        Dense("x", "y", weights(6, 6)),
        SumTokens("y", "m", 2, delay=1),
    ),
    {"scmrl": '"0"', "sha256": "{}"},
)


@st.composite
def files(draw):
    """The right file with bytes changed, removed, repeated or put in; or bytes of any kind."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=400))
    data = bytearray(EXPECTED)
    for _ in range(draw(st.integers(1, 4))):
        at, size = draw(st.integers(0, max(len(data) - 1, 0))), draw(st.integers(1, 200))
        change = draw(st.sampled_from(["flip", "set", "cut", "truncate", "insert", "repeat"]))
        if change == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "set" and data:
            data[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
        elif change == "cut":
            del data[at : at + size]
        elif change == "truncate":
            del data[at:]
        elif change == "insert":
            data[at:at] = draw(st.one_of(st.binary(max_size=20), st.just(b"\xff" * 9 + b"\x7f")))
        elif change == "repeat":
            data[at:at] = data[at : at + size]
    return bytes(data)


def refuses(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        Path(file.name).write_bytes(data)
        if data == EXPECTED:
            assert onnx_graph.read(Path(file.name), EXPECTED) == EXPECTED
            return
        with pytest.raises(BundleError) as refusal:
            onnx_graph.read(Path(file.name), EXPECTED)
        assert "\n" not in str(refusal.value)


@settings(max_examples=300)
@given(data=files())
def test_any_other_file_is_refused(data):
    refuses(data)


if __name__ == "__main__":
    import resource

    settings(
        max_examples=int(sys.argv[1]),
        derandomize=False,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )(given(data=files())(refuses))()
    print(
        f"{sys.argv[1]} files refused; peak"
        f" {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB"
    )
