"""What a NIR export holds, that its numbers are the graph's, and that peers give the same
spikes.
"""

import dataclasses
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conformance.graphs import GRAPHS, JOINED, random_graph
from conformance.refusals import DIFFERS, REFUSALS
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ROOT

from scmrl.core import reference
from scmrl.core.bundle import Bundle, load
from scmrl.core.graph import Conv2d, Dense, Graph, OneToOne, Population, Window
from scmrl.system.errors import BackendError, BundleError, GraphError, MissingDependency
from scmrl.system.reading import sha256

nir = pytest.importorskip("nir", reason="nir is not installed")
pytest.importorskip("h5py", reason="h5py is not installed")

from scmrl.convert.nir.effect import Sums, convolve, measure
from scmrl.convert.nir.export import export
from scmrl.convert.nir.kernels import image_shape
from scmrl.convert.nir.lowering import (
    DT,
    INPUT,
    InputLayout,
    is_exact,
    lower,
    node_name,
    output_meaning,
)
from scmrl.core.comparison import compare
from scmrl.deploy.backends import peers

PEERS = {"norse": peers.Norse, "snntorch": peers.SnnTorch, "spikingjelly": peers.SpikingJelly}
DELAYED = [name for name, limit in REFUSALS["norse"].items() if "refuse a delay" in limit]
EXPRESSIBLE = sorted(set(GRAPHS) - set(REFUSALS["norse"]))


def bundle_of(graph: Graph, inputs: dict) -> Bundle:
    return Bundle(graph, inputs, np.zeros(len(next(iter(inputs.values()))), np.int64))


def without_delays(graph: Graph) -> Graph:
    """The same graph with what NIR can say only."""
    populations = tuple(
        dataclasses.replace(p, du=4095) if p.bias.any() else p for p in graph.populations
    )
    synapses = tuple(dataclasses.replace(s, delay=0) for s in graph.synapses)
    return dataclasses.replace(graph, populations=populations, synapses=synapses).check()


def rounding_graph() -> Graph:
    """y: v[t] = 3/4 v[t-1] + 17, threshold 64: rounding delays its first spike. z repeats y."""
    return Graph(
        (
            Population("x", (1,), "input"),
            Population("y", (1,), vth=1, dv=1024, bias_mant=17),
            Population("z", (1,), memoryless=True),
            Population("out", (1,), "readout"),
        ),
        (OneToOne("x", "y", 1), OneToOne("y", "z", 1), OneToOne("z", "out", 1)),
        steps=20,
    ).check()


def rounding_run() -> tuple:
    graph = rounding_graph()
    inputs = {"x": np.zeros((2, 20, 1), np.uint8)}
    exact = reference.run(graph, inputs)
    return measure(graph, lower(graph), inputs, exact)


@pytest.fixture
def exported(small_bundle, tmp_path) -> Path:
    export(small_bundle, tmp_path / "nir")
    return tmp_path / "nir"


# ---- the file ------------------------------------------------------------------------------------


def test_export_is_a_bundle_with_one_input_one_output_and_portable_nodes(exported, small_bundle):
    network = nir.read(exported / "nir" / "model.nir")
    assert load(exported).graph.order() is not None
    kinds = [type(node).__name__ for node in network.nodes.values()]
    assert set(kinds) == {"Input", "Conv2d", "CubaLIF", "Flatten", "Output"}
    assert kinds.count("Input") == kinds.count("Output") == kinds.count("Flatten") == 1
    for node in network.nodes.values():
        if isinstance(node, nir.Conv2d):
            assert node.groups == 1 and node.weight.shape[2] == node.weight.shape[3]
            assert (node.weight == np.rint(node.weight)).all()
        if isinstance(node, nir.Flatten):
            assert (node.start_dim, node.end_dim) == (-3, -1)
    assert list(network.nodes[INPUT].input_type["input"]) == [2, 8, 8]
    assert list(network.output_type["output"]) == [4]


def test_thresholds_lie_between_two_values_of_the_state(exported, small_bundle):
    network = nir.read(exported / "nir" / "model.nir")
    for p in small_bundle.graph.of_kind("lif"):
        threshold = network.nodes[node_name(p.name)].v_threshold
        assert ((p.vth < threshold) & (threshold < p.vth + 1 / 64)).all()


@pytest.mark.parametrize("vth", [0, 1, (1 << 14) + 1, (1 << 15) + 1, (1 << 16) + 1, (1 << 17) - 1])
def test_thresholds_lie_there_in_single_precision_too(vth):
    graph = Graph(
        (Population("x", (1,), "input"), Population("y", (1,), vth=vth)), (OneToOne("x", "y", 1),)
    )
    threshold = lower(graph).nodes[node_name("y")].v_threshold.astype(np.float32)
    assert vth < threshold[0, 0, 0] < np.float32(vth + 1 / 64)


def test_metadata_hold_the_integers_and_where_they_come_from(exported, small_bundle):
    table = json.loads(nir.read(exported / "nir" / "model.nir").metadata["json"])
    rows = {row["name"]: row for row in table["populations"]}
    for p in small_bundle.graph.populations:
        if p.kind != "input":
            row = rows[p.name]
            assert (row["vth"], row["du"], row["dv"], row["memoryless"]) == (
                p.vth,
                p.du,
                p.dv,
                p.memoryless,
            )
    hashes = json.loads((exported / "bundle.json").read_text())["sha256"]
    assert table["sha256"] == {name: hashes[name] for name in ("graph.json", "tensors.npz")}
    assert table["dt_s"] == DT and table["inputs"]["first"] == {"audio": 0, "visual": 1}


def test_a_parameter_of_each_neuron_is_in_the_nodes_and_in_the_metadata():
    graph, _ = GRAPHS["parameters_by_pixel"]()
    network = lower(graph)
    y, node = graph["y"], network.nodes[node_name("y")]
    assert np.array_equal(np.floor(node.v_threshold), y.vth)
    assert np.array_equal(np.rint(4096 * DT / node.tau_syn), y.du + 1)
    leaks = np.rint(4096 * DT / node.tau_mem).astype(int)
    assert np.array_equal(leaks, y.per_neuron(y.dv))
    rows = {row["name"]: row for row in json.loads(network.metadata["json"])["populations"]}
    assert rows["y"]["vth"] == y.vth.tolist() and rows["z"]["dv"] == [
        [[0]],
        [[10]],
        [[100]],
        [[1000]],
    ]
    leaky = dataclasses.replace(graph["out"], dv=np.array([0, 2048]))
    graph = dataclasses.replace(graph, populations=(*graph.populations[:-1], leaky))
    assert "v = (0.5 to 1, by neuron) * v + output" in output_meaning(graph)


@pytest.mark.parametrize("name", ["du", "dv"])
def test_a_population_is_exact_where_each_of_its_neurons_is(name):
    def exact(first, second):
        y = Population("y", (2,), vth=3, **{name: np.array([first, second])})
        parts = Population("x", (1,), "input"), y
        graph = Graph(parts, (Dense("x", "y", np.ones((2, 1), int)),), steps=8).check()
        return is_exact(graph["y"], graph)

    keeps = {"du": 4095, "dv": 0}[name]
    assert exact(keeps, keeps) and not exact(keeps, 1234) and not exact(1234, keeps)


def test_a_neuron_alone_may_have_a_bias_on_a_current_without_memory():
    def graph(bias):
        y = Population("y", (2,), vth=3, du=np.array([4095, 7]), bias_mant=np.array(bias))
        return Graph((Population("x", (1,), "input"), y), (Dense("x", "y", np.ones((2, 1), int)),))

    lower(graph([64, 0]))
    with pytest.raises(GraphError, match="y: a bias on a current with memory.*got du = 7"):
        lower(graph([0, 64]))


def test_recordings_are_the_reference_on_the_exported_nodes(exported, small_bundle):
    recorded = nir.read_data(exported / "nir" / "spikes.nir").nodes
    network = nir.read(exported / "nir" / "model.nir")
    exact = reference.run(small_bundle.graph, small_bundle.inputs)
    for name, spikes in exact.spikes.items():
        grid = recorded[node_name(name)].observables["spikes"]
        assert grid.dt == DT and grid.data.dtype == bool
        np.testing.assert_array_equal(grid.data, spikes.reshape(*spikes.shape[:2], -1))
        assert grid.n_neurons == np.prod(network.nodes[node_name(name)].output_type["output"])
    membrane = recorded["readout"].observables["membrane"].data * 64
    np.testing.assert_array_equal(membrane, exact.membrane["readout"])
    joined = recorded[INPUT].observables["values"].data
    audio = small_bundle.inputs["audio"]
    np.testing.assert_array_equal(joined[:, :, :64], audio.reshape(*audio.shape[:2], -1))


def test_same_bundle_gives_the_same_graph(small_bundle):
    first, second = lower(small_bundle.graph), lower(small_bundle.graph)
    assert first.edges == second.edges and list(first.nodes) == list(second.nodes)


def test_exports_without_torch(model, tmp_path):
    program = f"""
import sys
sys.modules["torch"] = None
from scmrl.core.bundle import load
from scmrl.convert.nir.export import export
export(load({str(model)!r}), __import__("pathlib").Path({str(tmp_path / "out")!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "nir" / "model.nir").is_file()


def test_without_nir_the_error_says_how_to_install_it(small_bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(MissingDependency, match="pip install"):
        export(small_bundle, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", DELAYED)
def test_delays_are_refused_by_name_and_leave_nothing(name, tmp_path):
    graph, inputs = GRAPHS[name]()
    with pytest.raises(GraphError, match="->.*delay"):
        export(bundle_of(graph, inputs), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(JOINED))
def test_joined_compartments_are_refused_by_name(name):
    with pytest.raises(
        GraphError, match="NIR has no form for joined compartments .*adds the membrane of"
    ):
        lower(GRAPHS[name]()[0])


def test_bias_on_a_current_with_memory_is_refused():
    def graph(**parameters):
        y = Population("y", (1,), vth=1, bias_mant=5, **parameters)
        return Graph((Population("x", (1,), "input"), y), (OneToOne("x", "y", 1),), steps=3).check()

    with pytest.raises(GraphError, match="y: a bias on a current with memory"):
        lower(graph(du=100))
    lower(graph(du=100, memoryless=True))
    lower(graph())


def test_map_too_large_for_a_dense_kernel_is_refused_not_written():
    graph = Graph(
        (Population("x", (1, 128, 128), "input"), Population("y", (128, 128))),
        (OneToOne("x", "y", 1),),
    )
    with pytest.raises(GraphError, match="x->y.*too large"):
        lower(graph)


def test_names_that_become_equal_are_refused():
    graph = Graph(
        (Population("x", (1,), "input"), Population("a.b", (1,)), Population("a_b", (1,))),
        (OneToOne("x", "a.b", 1), OneToOne("a.b", "a_b", 1)),
    )
    with pytest.raises(GraphError, match="a.b: population name"):
        lower(graph)


# ---- lowering keeps every number -----------------------------------------------------------------


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_exported_sums_are_the_graphs_and_float_neurons_give_its_spikes(name):
    """`measure` replays the integer rule on the exported convolutions' sums and raises where they
    differ.
    """
    graph, inputs = GRAPHS[name]()
    effects, floats = measure(graph, lower(graph), inputs, reference.run(graph, inputs))
    assert (sum(e.differ for e in effects) > 0) == (name in DIFFERS["norse"])
    if graph.readout is not None:
        np.testing.assert_array_equal(
            floats.values(graph.readout.name),
            reference.run(graph, inputs).values(graph.readout.name),
        )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_population_called_exact_never_differs_by_itself(seed):
    graph, inputs = random_graph(seed)
    graph = without_delays(graph)
    effects, _ = measure(graph, lower(graph), inputs, reference.run(graph, inputs))
    assert [e.name for e in effects if e.exact and (e.own or e.rounded or e.borders)] == []


def test_wrong_weights_in_the_file_are_found():
    graph, inputs = GRAPHS["conv_grouped"]()
    network = lower(graph)
    next(node for node in network.nodes.values() if isinstance(node, nir.Conv2d)).weight[0] += 90
    with pytest.raises(GraphError, match="y: the NIR graph does not give"):
        measure(graph, network, inputs, reference.run(graph, inputs))


@pytest.mark.parametrize(
    "synapse, source, target",
    [
        (Conv2d("x", "y", np.arange(-4, 5).reshape(1, 1, 3, 3)), (1, 5, 6), (1, 3, 4)),
        (Conv2d("x", "y", np.arange(6).reshape(1, 1, 2, 3), padding=(1, 1)), (1, 4, 4), (1, 5, 4)),
        (Window("x", "y", 3, (3, 1), (2, 2), (1, 0)), (2, 5, 6), (2, 3, 3)),
        (Dense("x", "y", np.arange(-30, 30).reshape(10, 6)), (6,), (2, 5)),
        (Dense("x", "y", np.arange(-30, 30).reshape(10, 6)), (1, 2, 3), (1, 5, 2)),
        (OneToOne("x", "y", 7, exponent=2), (2, 3, 2), (4, 3)),
    ],
)
def test_every_map_is_its_convolutions(synapse, source, target):
    graph = Graph(
        (Population("x", source, "input", bits=4), Population("y", target)), (synapse,)
    ).check()
    network = lower(graph)
    x = np.random.default_rng(0).integers(0, 16, (3, *source))
    layout = InputLayout.of(graph)
    found = Sums(network)(node_name("y"), {INPUT: layout.join({"x": x[:, None]})[:, 0]})
    wanted = synapse.apply(x, target) << synapse.exponent
    np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


@pytest.mark.parametrize(
    "parameters, said",
    [
        ({}, "v = 1 * v + output"),
        ({"dv": 1024}, "v = 0.75 * v + output"),
        ({"memoryless": True}, "v = 0 * v + output"),
        ({"du": 2047}, "u = 0.5 * u + output, v = 1 * v + u"),
    ],
)
def test_metadata_say_how_the_reader_adds_up(parameters, said):
    graph = Graph(
        (Population("x", (1,), "input"), Population("out", (2,), "readout", **parameters)),
        (Dense("x", "out", np.ones((2, 1), int)),),
    ).check()
    assert said in json.loads(lower(graph).metadata["json"])["output"]


def test_inputs_of_one_size_are_stacked_and_others_flattened():
    def layout(*shapes):
        populations = tuple(Population(f"x{i}", shape, "input") for i, shape in enumerate(shapes))
        return InputLayout.of(Graph((*populations, Population("y", (1,))), ()))

    assert layout((1, 4, 4), (3, 4, 4)).shape == (4, 4, 4)
    assert layout((1, 4, 4), (7,)).shape == (23, 1, 1)
    assert layout((2, 16), (1, 4, 4)).first == {"x0": 0, "x1": 2}
    assert image_shape((5, 12)) == (5, 3, 4)


def test_convolution_equals_torchs():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    random = np.random.default_rng(0)
    weight, bias = (
        random.integers(-9, 9, (4, 3, 3, 3)).astype(np.float32),
        np.arange(4, dtype=np.float32),
    )
    node = nir.Conv2d((7, 6), weight, (2, 1), (1, 2), (1, 1), 1, bias)
    x = random.integers(0, 5, (2, 3, 7, 6)).astype(np.float32)
    wanted = torch.nn.functional.conv2d(
        *map(torch.from_numpy, (x, weight, bias)), stride=(2, 1), padding=(1, 2)
    )
    np.testing.assert_array_equal(convolve(x, node), wanted.numpy())


# ---- the measured effect -------------------------------------------------------------------------


def test_effect_of_rounding_is_measured_where_it_happens_and_where_it_goes():
    (y, z, out), _ = rounding_run()
    assert y.own == y.differ > 0 and y.rounded > 0 and not y.exact
    assert z.differ > 0 and z.own == 0 and z.exact
    assert (y.cause, z.cause, out.cause) == ("rounding", "inherited", "inherited")


def test_effect_of_borders_is_named():
    graph, inputs = GRAPHS["current_wraps_by_memory"]()
    (effect, *_), _ = measure(graph, lower(graph), inputs, reference.run(graph, inputs))
    assert effect.borders > 0 and "24-bit borders" in effect.cause
    assert effect.agreement < 1 and not effect.exact


@pytest.mark.parametrize(
    "parameters, steps, expected",
    [
        ({"dv": 0}, 9, True),
        ({"dv": 4096}, 9, True),
        ({"dv": 1000, "memoryless": True}, 9, True),
        ({"dv": 2048}, 7, True),
        ({"dv": 2048}, 8, False),  # six halvings of a multiple of 64
        ({"dv": 2048, "bias_mant": 8}, 4, True),
        ({"dv": 2048, "bias_mant": 8}, 5, False),
        ({"dv": 1000}, 2, False),
        ({"dv": 1000}, 1, True),
        ({"dv": 0, "bias_mant": 1 << 22}, 3, False),
    ],
)
def test_exact_means_no_rounding_and_no_border_within_the_steps(parameters, steps, expected):
    graph = Graph(
        (Population("x", (1,), "input"), Population("y", (1,), vth=50, **parameters)),
        (OneToOne("x", "y", 3),),
        steps=steps,
    ).check()
    assert is_exact(graph["y"], graph) is expected


def test_summary_has_every_population_and_what_was_lost(small_bundle, tmp_path):
    summary = export(small_bundle, tmp_path / "out")
    json.dumps(summary)
    assert [row["name"] for row in summary["populations"]] == [
        p.name for p in small_bundle.graph.order() if p.kind != "input"
    ]
    assert [row["name"] for row in summary["populations"] if row["label"] == "approximate"] == [
        "visual.conv"
    ]
    assert summary["not_expressed"] and summary["same_class"] == summary["samples"] == 6
    text = (tmp_path / "out" / "README.txt").read_text()
    assert "audio 0 to 0; visual 1 to 1" in text and "rounding of decays" in text


# ---- peer simulators -----------------------------------------------------------------------------


@pytest.fixture(params=PEERS)
def peer(request):
    for library in ("torch", "nirtorch", request.param):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    return PEERS[request.param]


def test_peer_runs_the_exported_file_to_the_same_spikes(peer, exported, small_bundle):
    assert peer.exported(exported) and not peer.exported(exported / "nir")
    with peer.from_export(exported) as opened:
        activity = opened.run(small_bundle.inputs)
    compare(small_bundle.graph, small_bundle.trained, activity).require()
    assert activity.backend == peer.name and not peer.exact


def test_peer_differs_from_the_reference_just_as_the_measured_effect_says(peer):
    graph, inputs = rounding_graph(), {"x": np.zeros((2, 20, 1), np.uint8)}
    effects, floats = rounding_run()
    with peer(graph) as opened:
        activity = opened.run(inputs)
    compare(graph, floats, activity).require()
    matches = compare(graph, reference.run(graph, inputs), activity).populations
    assert {e.name: e.differ for e in effects} == {m.name: m.mismatches for m in matches}


def test_every_sample_starts_from_rest_whatever_the_batch(
    peer, exported, small_bundle, monkeypatch
):
    monkeypatch.setattr(peers, "BATCH", 2)
    done = []
    with peer.from_export(exported) as opened:
        for _ in range(2):
            activity = opened.run(small_bundle.inputs, progress=lambda *count: done.append(count))
            compare(small_bundle.graph, small_bundle.trained, activity).require()
    assert done == [(2, 6), (4, 6), (6, 6)] * 2


def test_peer_past_its_deadline_is_stopped(peer, exported, small_bundle):
    opened = peer.from_export(exported, deadline_s=1e-9)
    with pytest.raises(BackendError, match="deadline"):
        opened.run(small_bundle.inputs)


@pytest.mark.parametrize("library", [*PEERS, "torch"])
def test_missing_peer_is_named_with_its_install(library, exported, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependency, match=f"{library} is not installed.*install"):
        PEERS.get(library, peers.Norse).from_export(exported)


def claim_terabytes(path: Path) -> None:
    import h5py

    with h5py.File(path, "a") as file:
        file.create_dataset(
            "node/nodes/input/bomb", (1 << 38,), "f4", chunks=(1 << 20,), compression="gzip"
        )


def link_elsewhere(path: Path) -> None:
    import h5py

    with h5py.File(path, "a") as file:
        file["node/nodes/input/far"] = h5py.ExternalLink("/dev/zero", "/")


def turn_in_circles(path: Path) -> None:
    import h5py

    with h5py.File(path, "a") as file:
        file["node/nodes/input/again"] = file["node"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"not HDF5"),
        lambda path: path.write_bytes(path.read_bytes()[:3000]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"lif_", b"fil_", 1)),
        lambda path: path.unlink(),
    ],
)
def test_damaged_file_is_refused_before_hdf5_can_crash_on_it(damage, exported):
    damage(exported / "nir" / "model.nir")
    with pytest.raises(BundleError, match="model.nir: is corrupt"):
        peers.read(exported)


@pytest.mark.parametrize(
    "craft",
    [
        claim_terabytes,
        link_elsewhere,
        turn_in_circles,
        lambda path: path.write_bytes(b"not HDF5"),
        lambda path: nir.write(path, nir.Linear(np.ones((2, 2)))),
    ],
)
def test_crafted_file_is_refused_in_one_line(craft, exported):
    craft(exported / "nir" / "model.nir")
    table = json.loads((exported / "nir" / "effect.json").read_text())
    table["sha256"]["nir/model.nir"] = sha256(exported / "nir" / "model.nir")
    (exported / "nir" / "effect.json").write_text(json.dumps(table))
    with pytest.raises((BundleError, BackendError), match="model.nir|norse") as refusal:
        peers.Norse(load(exported).graph, network=peers.read(exported))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("files", [["model.nir"], ["model.nir", "effect.json"]])
def test_files_of_another_model_are_refused(files, exported, tmp_path):
    graph, inputs = GRAPHS["both"]()
    export(bundle_of(graph, inputs), tmp_path / "other")
    for name in files:
        shutil.copy(tmp_path / "other" / "nir" / name, exported / "nir" / name)
    with pytest.raises(BundleError, match="of another model"):
        peers.read(exported)
