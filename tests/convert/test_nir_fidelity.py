"""What a network learnt comes in with it: no silent change, ranges and bits by the data, the
framework's own reading.
"""

import contextlib
import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from scmrl.core import reference
from scmrl.system.errors import DataError, GraphError

nir = pytest.importorskip("nir", reason="nir is not installed")
pytest.importorskip("h5py", reason="h5py is not installed")

from scmrl.convert.nir.importer import import_graph, import_nir, network, run
from scmrl.convert.nir.importer.compensation import compensated
from scmrl.convert.nir.importer.floats.convention import convention_of
from scmrl.convert.nir.importer.floats.maps import Chain, compose, conv
from scmrl.convert.nir.importer.runs.integers import Runner

DT = 1e-4


def chain(*nodes, shape):
    names = ["input", *(f"n{i}" for i in range(len(nodes))), "output"]
    ends = nir.Input(np.array(shape)), nir.Output(np.array([1]))
    return graph(dict(zip(names, [ends[0], *nodes, ends[1]])), list(pairwise(names)))


def graph(nodes, edges):
    return nir.NIRGraph(nodes, edges, type_check=False)


def lif(n, beta=0.9, threshold=1.0, scaled=True):
    one = np.ones(n)
    r = one / (1 - beta) if scaled else one
    return nir.LIF(one * DT / (1 - beta), r, 0 * one, threshold * one, 0 * one)


def neurons_if(*shape, threshold=1.0, r=1.0):
    return nir.IF(np.full(shape, r), np.full(shape, threshold), np.zeros(shape))


def weights(*shape, gain=1.0, seed=3):
    random = np.random.default_rng(seed)
    scale = gain / np.sqrt(np.prod(shape[1:]))
    return ((random.normal(size=shape) + 0.3) * scale).astype(np.float32)


def balanced(*shape):
    """Weights that add up to the same for every neuron, so that each is the loudest at times."""
    random = np.random.default_rng(4).normal(size=shape)
    return ((random - random.mean(1, keepdims=True)) * 0.7 + 0.15).astype(np.float32)


def spikes(*shape, rate=0.4, seed=1):
    return (np.random.default_rng(seed).random(shape) < rate).astype(np.uint8)


def conv2d(weight, padding=0):
    return nir.Conv2d(None, weight, 1, padding, 1, 1, np.zeros(len(weight), np.float32))


def pool(kind=nir.SumPool2d):
    return kind(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))


# --- nothing silent -------------------------------------------------------------------------------


def test_two_nodes_of_one_name_are_refused():
    inner = graph(
        {"in": nir.Input(np.array([3])), "n1": lif(3), "out": nir.Output(np.array([3]))},
        [("in", "n1"), ("n1", "out")],
    )
    nodes = {"input": nir.Input(np.array([3])), "s": inner, "s.n1": lif(3)}
    nodes["output"] = nir.Output(np.array([3]))
    edges = [("input", "s.n1"), ("s.n1", "s"), ("s", "output")]
    with pytest.raises(GraphError, match="s.n1: two nodes have this name"):
        network(graph(nodes, edges))


def test_a_subgraph_of_two_inputs_is_told_which():
    inner = graph(
        {
            "a": nir.Input(np.array([3])),
            "b": nir.Input(np.array([3])),
            "n": lif(3),
            "out": nir.Output(np.array([3])),
        },
        [("a", "n"), ("b", "n"), ("n", "out")],
    )
    nodes = {"x": nir.Input(np.array([3])), "y": nir.Input(np.array([3])), "s": inner}
    nodes["output"] = nir.Output(np.array([3]))
    named = [("x", "s.a"), ("y", "s.b"), ("s", "output")]
    found = network(graph(nodes, named), dt=DT)
    assert {r.source for r in found.routes if r.target == "s.n"} == {"x", "y"}
    with pytest.raises(GraphError, match="s: an edge must say which door"):
        network(graph(nodes, [("x", "s"), ("y", "s.b"), ("s", "output")]))


def test_a_delay_without_any_step_asks_for_one():
    nodes = chain(nir.Linear(np.eye(3)), nir.Delay(np.full(3, 3e-3)), neurons_if(3), shape=(3,))
    with pytest.raises(GraphError, match="n1: a delay in seconds needs the step"):
        network(nodes)
    assert [r.delay for r in network(nodes, dt=1e-3).incoming("n2")] == [3]


def test_a_delay_that_is_no_whole_step_is_said_with_its_effect():
    nodes = chain(nir.Delay(np.full(3, 2.5 * DT)), lif(3), shape=(3,))
    assert any("2.5 becomes 2" in note and "0.5 steps" in note for note in network(nodes).notes)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_a_bias_before_a_delay_arrives_late(reset):
    nodes = chain(
        nir.Affine(np.zeros((2, 2)), np.full(2, 2.0)),
        nir.Delay(np.full(2, 8 * DT)),
        lif(2),
        shape=(2,),
    )
    integers, _ = import_graph(nodes, calibration=spikes(2, 20, 2), dt=DT, reset=reset)
    fired = reference.run(integers, {"input": spikes(2, 20, 2)}).spikes["n2"]
    assert not fired[:, :8].any() and fired[:, 8].all()


def test_a_negative_input_may_be_delayed():
    nodes = chain(nir.Delay(np.full(4, 3 * DT)), nir.Linear(weights(5, 4)), lif(5), shape=(4,))
    x = np.random.default_rng(0).normal(size=(6, 30, 4))
    _, report = import_graph(nodes, calibration=x, dt=DT, weight_bits=12)
    assert report.inputs[0]["zero"] > 0 and report.populations[0].agreement > 0.98


def test_a_loop_that_lava_refuses_is_a_warning():
    nodes = {"input": nir.Input(np.array([3])), "a": lif(3), "b": lif(3)}
    nodes |= {"w": nir.Linear(weights(3, 3)), "output": nir.Output(np.array([3]))}
    edges = [("input", "a"), ("a", "w"), ("w", "b"), ("b", "a"), ("b", "output")]
    (warning,) = network(graph(nodes, edges)).warnings
    assert "2 synapses and 1 step of delay" in warning and "Lava and chips refuse it" in warning


def test_a_guessed_step_that_forgets_all_is_a_warning():
    nodes = chain(nir.Linear(weights(3, 3)), lif(3, beta=0.0, scaled=False), shape=(3,))
    assert any("keeps nothing" in w for w in network(nodes).warnings)
    assert not network(nodes, dt=DT / 10).warnings


def test_norse_multiplies_time_constants_by_its_step():
    nodes = chain(nir.Linear(weights(3, 3)), lif(3, beta=0.0, scaled=False), shape=(3,))
    nodes.nodes["n1"].tau = np.full(3, 1e-5)  # 10 ms, as its exporter writes it
    found = network(nodes, convention="norse")
    assert np.allclose(found["n1"].beta, 0.9) and not found.warnings


def test_a_membrane_that_is_read_by_a_layer_says_so():
    one = np.ones(3)
    nodes = chain(nir.LI(one * 1e-3, one, 0 * one), nir.Linear(weights(2, 3)), lif(2), shape=(3,))
    with pytest.raises(GraphError, match="n0: a membrane can be .* read by n2"):
        network(nodes)


def test_a_threshold_beyond_reach_makes_a_readout():
    last = lif(4, threshold=1e9)
    nodes = chain(nir.Linear(weights(8, 5)), lif(8), nir.Linear(weights(4, 8)), last, shape=(5,))
    integers, report = import_graph(nodes, calibration=spikes(20, 30, 5), dt=DT)
    assert integers.readout.name == "n3" and report.class_agreement >= 0.9


def test_inputs_may_be_named_x_and_y(tmp_path):
    nodes = {"x": nir.Input(np.array([3])), "y": nir.Input(np.array([2]))}
    nodes |= {"a": nir.Linear(weights(4, 3)), "b": nir.Linear(weights(4, 2)), "n": lif(4)}
    nodes["output"] = nir.Output(np.array([4]))
    edges = [("x", "a"), ("y", "b"), ("a", "n"), ("b", "n"), ("n", "output")]
    nir.write(tmp_path / "net.nir", graph(nodes, edges))
    samples = {"x": spikes(4, 9, 3), "y": spikes(4, 9, 2), "labels": np.array([0, 1, 2, 3])}
    bundle, report = import_nir(tmp_path / "net.nir", samples=samples)
    assert bundle.labels.tolist() == [0, 1, 2, 3] and report.correct_float is not None


# --- pooling --------------------------------------------------------------------------------------


def test_a_pool_before_a_linear_layer_is_no_dense_matrix():
    nodes = chain(
        conv2d(weights(24, 2, 3, 3), padding=1),
        neurons_if(24, 32, 32),
        pool(nir.AvgPool2d),
        nir.Flatten({"input": np.array([24, 16, 16])}, 0, -1),
        nir.Linear(weights(10, 24 * 256)),
        neurons_if(10),
        shape=(2, 32, 32),
    )
    found = network(nodes, dt=1.0)  # the pool as a matrix would have 6144 x 24576 entries
    (route,) = found.incoming("n5")
    x = spikes(2, 24, 32, 32)
    pooled = x.reshape(2, 24, 16, 2, 16, 2).mean((3, 5)).reshape(2, -1)
    assert np.allclose(route.map.apply(x), pooled @ nodes.nodes["n4"].weight.T)


def test_a_pool_of_odd_size_before_a_padded_convolution_is_exact():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    first, second = weights(3, 3, 2, 2), weights(4, 3, 3, 3, seed=4)
    one = conv("a", (3, 17, 15), np.ones((3, 1, 2, 2)), (2, 2), (0, 0), groups=3)
    both = compose(conv("b", one.target, second, (1, 1), (1, 1)), one)
    assert isinstance(both, Chain)
    x = spikes(2, 3, 17, 15).astype(float)
    pooled = torch.nn.functional.avg_pool2d(torch.tensor(x), 2) * 4
    expected = torch.nn.functional.conv2d(pooled, torch.tensor(second).double(), padding=1).numpy()
    rows, columns, values = both.coordinates()
    sparse = np.zeros((2, expected[0].size))
    for i in range(2):
        np.add.at(sparse[i], rows, values * x[i].ravel()[columns])
    assert np.allclose(both.apply(x), expected) and np.allclose(sparse, expected.reshape(2, -1))
    nodes = chain(
        neurons_if(3, 17, 15, threshold=0.5), pool(), conv2d(second, 1), shape=(3, 17, 15)
    )
    nodes.nodes["n3"] = neurons_if(4, 8, 7, threshold=2.0)
    nodes.edges = [*nodes.edges[:-1], ("n2", "n3"), ("n3", "output")]
    integers, report = import_graph(nodes, calibration=spikes(4, 10, 3, 17, 15), dt=1.0)
    assert "Sparse" in [type(s).__name__ for s in integers.synapses]
    assert report.populations[1].agreement > 0.97 and first.size


# --- ranges, bits, rounding -----------------------------------------------------------------------


def test_one_outlier_does_not_take_the_range():
    x = np.random.default_rng(0).random((6, 40, 6))
    x[2, 3, 1] = 1e6
    _, report = import_graph(
        chain(nir.Linear(weights(5, 6, gain=0.5)), lif(5), shape=(6,)), calibration=x, dt=DT
    )
    assert report.populations[0].agreement > 0.95 and not report.wrong
    assert any("are clipped" in note for note in report.notes)


def test_integers_that_are_another_network_are_wrong(tmp_path, scmrl, monkeypatch):
    """Said first, written all the same, and the exit code is 1."""
    nodes = chain(nir.Linear(weights(6, 12)), lif(6), shape=(12,))
    nir.write(tmp_path / "net.nir", nodes)
    np.savez(tmp_path / "x.npz", x=spikes(20, 30, 12))
    _, report = import_nir(tmp_path / "net.nir", samples=tmp_path / "x.npz")
    assert not report.wrong and "WARNING" not in report.headline()
    lost = replace(report.populations[0], vth=0, recall=0.1)
    assert "17" in replace(report, class_agreement=0.17).headline()["WARNING"]
    assert "n1 rounds to zero" in replace(report, populations=(lost,)).wrong
    monkeypatch.setattr("scmrl.convert.nir.importer.report.FEW", 1.1)
    arguments = ["--calibrate", tmp_path / "x.npz", "--out", tmp_path / "out"]
    code, out, err = scmrl("import", tmp_path / "net.nir", *arguments)
    assert code == 1 and "WARNING" in out and "are not the network" in err
    assert (tmp_path / "out" / "bundle.json").exists()


def test_an_analog_input_gives_bits_to_the_weights():
    x = np.repeat(np.random.default_rng(0).random((20, 1, 64)), 25, 1)
    nodes = chain(nir.Linear(weights(32, 64, gain=0.3)), lif(32), shape=(64,))
    chosen, eight = (
        import_graph(nodes, calibration=x, dt=DT, input_bits=bits)[1] for bits in (None, 8)
    )
    assert chosen.inputs[0]["bits"] < 8 == eight.inputs[0]["bits"]
    assert chosen.populations[0].recall > eight.populations[0].recall
    assert any("bits, chosen by" in note for note in chosen.notes)


def test_compensated_rounding_errs_less_on_its_data():
    random = np.random.default_rng(0)
    x = random.random((400, 5)) @ random.random((5, 40))  # correlated sources
    weight = random.normal(size=(30, 40)) * 20
    plain, better = np.rint(weight), compensated(weight, x.T @ x / 400, 127)
    errors = [np.square(x @ (q - weight).T).mean() for q in (plain, better)]
    assert errors[1] < errors[0] / 10 and np.array_equal(better, np.rint(better))


def test_time_constants_and_gains_differ_by_neuron():
    node = lif(20)
    node.tau = np.linspace(4, 20, 20) * DT
    node.r = node.tau / DT
    nodes = chain(nir.Linear(weights(20, 12)), node, shape=(12,))
    integers, report = import_graph(nodes, calibration=spikes(16, 24, 12))
    assert len(np.unique(integers["n1"].dv)) == 20 and report.populations[0].agreement > 0.98


# --- the framework's own --------------------------------------------------------------------------


def test_golden_results_are_what_agreement_means():
    nodes = chain(nir.Linear(weights(6, 12)), lif(6), shape=(12,))
    x = spikes(20, 30, 12)
    own = run(network(nodes, dt=DT), {"input": x})
    golden = {"n1": own.values["n1"], "classes": own.classes(network(nodes, dt=DT))}
    _, report = import_graph(nodes, calibration=x, dt=DT, golden=golden)
    assert report.golden.reading == 1.0 and report.golden.classes == report.class_agreement
    assert report.golden.recall == report.spike_recall and "framework" in report.headline()
    with pytest.raises(DataError, match="n7: no spiking node"):
        import_graph(nodes, calibration=x, dt=DT, golden={"n7": own.values["n1"]})


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_golden_results_tell_which_reset(reset):
    nodes = chain(nir.Linear(weights(6, 12, gain=1.5)), lif(6), shape=(12,))
    x = spikes(20, 30, 12)
    true = network(nodes, dt=DT, convention=convention_of("snntorch", reset))
    golden = {"n1": run(true, {"input": x}).values["n1"]}
    _, report = import_graph(nodes, calibration=x, dt=DT, convention="snntorch", golden=golden)
    assert report.reset == reset and report.golden.reading == 1.0
    assert any("assumed" in note for note in report.notes)


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_labels_tell_which_reset_or_a_warning_says_that_they_do_not(reset):
    nodes = chain(
        nir.Linear(weights(24, 12, gain=2.0)),
        lif(24),
        nir.Linear(balanced(4, 24)),
        lif(4),
        shape=(12,),
    )
    x = spikes(60, 30, 12)
    true = run(network(nodes, dt=DT, convention=convention_of("snntorch", reset)), {"input": x})
    classes = true.values["n3"].sum(1).argmax(1)
    _, report = import_graph(nodes, calibration=x, labels=classes, dt=DT, convention="snntorch")
    assert report.reset == reset and not any("hardly tell" in text for text in report.warnings)
    blind = np.random.default_rng(0).integers(0, 4, len(x))
    _, report = import_graph(nodes, calibration=x, labels=blind, dt=DT, convention="snntorch")
    assert report.reset == "zero" and any("hardly tell" in text for text in report.warnings)


@pytest.mark.filterwarnings("ignore")
def test_snntorch_subtracts_a_step_later():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    snn = pytest.importorskip("snntorch", reason="snntorch is not installed")
    weight, x = weights(8, 12, gain=2.0), spikes(4, 40, 12)
    cell, mem, out = snn.Leaky(beta=0.9, threshold=1.0), torch.zeros(4, 8), []
    with contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        for t in range(40):
            spk, mem = cell(torch.tensor(x[:, t] @ weight.T).float(), mem)
            out.append(spk.numpy())
    nodes = chain(nir.Linear(weight), lif(8), shape=(12,))
    net = network(nodes, dt=DT, convention=convention_of("snntorch", "subtract"))
    assert np.array_equal(run(net, {"input": x}).values["n1"], np.stack(out, 1))
    _, report = import_graph(
        nodes, calibration=x, dt=DT, convention="snntorch", reset="subtract", weight_bits=14
    )
    assert report.populations[0].agreement > 0.99


@pytest.mark.filterwarnings("ignore")
def test_sinabs_fires_several_times_in_a_step():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    layers = pytest.importorskip("sinabs.layers", reason="sinabs is not installed")
    weight, x = weights(8, 12, gain=3.0), spikes(4, 40, 12)
    with torch.no_grad():
        out = layers.IAF()(torch.tensor(x @ weight.T).float()).numpy()
    assert out.max() > 1
    nodes = chain(nir.Linear(weight), neurons_if(8), shape=(12,))
    net = network(nodes, dt=1.0, convention="sinabs")
    assert (run(net, {"input": x}).values["n1"] == out).mean() > 0.999
    integers, report = import_graph(nodes, calibration=x, convention="sinabs", weight_bits=14)
    assert len(integers.of_kind("lif")) == out.max() and report.populations[0].agreement > 0.99


@pytest.mark.filterwarnings("ignore")
def test_a_cell_of_norse_adds_its_input_whole():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    norse = pytest.importorskip("norse.torch", reason="norse is not installed")
    weight, x = weights(8, 12, gain=2.0), spikes(4, 40, 12)
    cell, state, out = norse.LIFCell(norse.LIFParameters(v_th=torch.tensor(0.5))), None, []
    model = norse.SequentialState(torch.nn.Linear(12, 8, bias=False), cell)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(weight))
        for t in range(40):
            spk, state = model(torch.tensor(x[:, t]).float(), state)
            out.append(spk.numpy())
    exported = norse.to_nir(model, torch.zeros(1, 12))
    net = network(exported, convention="norse")
    (spiking,) = [n.name for n in net.neurons if n.kind == "spiking"]
    got = run(net, {net.inputs[0].name: x.reshape(4, 40, *net.inputs[0].shape)}).values[spiking]
    assert np.array_equal(got.reshape(4, 40, 8), np.stack(out, 1)) and got.any()


# --- the integers on many samples -----------------------------------------------------------------


@pytest.mark.parametrize("recurrent", [False, True])
def test_blocks_of_steps_equal_the_reference(recurrent, monkeypatch):
    monkeypatch.setattr("scmrl.convert.nir.importer.runs.integers.BLOCK", 1 << 11)
    monkeypatch.setattr("scmrl.convert.nir.importer.runs.integers.VALUES", 1 << 14)
    nodes = {
        "input": nir.Input(np.array([2, 9, 9])),
        "c": conv2d(weights(3, 2, 3, 3, gain=2.0), 1),
        "a": neurons_if(3, 9, 9, r=1 / DT),
        "p": pool(),
        "d": conv2d(weights(4, 3, 3, 3, gain=2.0), 1),
        "b": neurons_if(4, 4, 4, r=1 / DT),
        "l": nir.Linear(weights(5, 64, gain=2.0)),
        "z": lif(5),
        "output": nir.Output(np.array([5])),
    }
    edges = [*pairwise(["input", "c", "a", "p", "d", "b", "l", "z", "output"])]
    if recurrent:
        nodes["w"] = nir.Linear(weights(5, 5))
        edges += [("z", "w"), ("w", "z")]
    x = spikes(6, 12, 2, 9, 9)
    integers, _ = import_graph(graph(nodes, edges), calibration=x, dt=DT)
    expected = reference.run(integers, {"input": x})
    for part, got in Runner(integers).chunks({"input": x}):
        for p in integers.populations[1:]:
            assert np.array_equal(got.values(p.name), expected.values(p.name)[part]), p.name
    assert expected.spikes["z"].any()
