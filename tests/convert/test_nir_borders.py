"""Where an import stands at a border: the last value that is taken, and what stands in the report
then.
"""

import numpy as np
import pytest
from test_nir_import import (
    RANDOM,
    chain,
    conv2d,
    mixed,
    neurons_cuba,
    neurons_if,
    patterns,
    shown,
    spiking,
    top_group,
    weights,
)

from scmrl.core import reference
from scmrl.core.activity import predictions
from scmrl.system.errors import BundleError, GraphError

nir = pytest.importorskip("nir", reason="nir is not installed")
h5py = pytest.importorskip("h5py", reason="h5py is not installed")

from scmrl.convert.nir.importer import import_graph, network, read, run
from scmrl.convert.nir.importer.floats.convention import convention_of
from scmrl.convert.nir.importer.floats.maps import Conv, compose, conv


@pytest.mark.parametrize("kept, du", [(1 - 2.0**-14, -1), (1 - 2.0**-12, 0)])
def test_a_current_that_never_fades_is_outside_what_every_backend_holds(kept, du):
    x, _ = patterns((4,), samples=4)
    graph = chain(nir.Linear(weights(3, 4)), neurons_cuba(3, alpha=kept), shape=(4,))
    integers, report = import_graph(graph, calibration=x, dt=1e-4)
    assert integers["n1"].du == du
    assert any("n1: du" in note for note in report.notes) == (du < 0)


@pytest.mark.parametrize("length, refused", [(1024, False), (1025, True)])
def test_a_string_among_others_has_at_most_1024_characters(tmp_path, length, refused):
    f, node = top_group(tmp_path / "a.nir")
    words = np.array(["x", "y" * length], object)
    node.create_dataset("edges", data=words, dtype=h5py.string_dtype())
    f.close()
    with pytest.raises(BundleError) as caught:
        read(tmp_path / "a.nir")
    assert ("string is too long" in str(caught.value)) == refused


def test_a_word_where_a_number_is_meant_names_its_node():
    with pytest.raises(GraphError, match="n0: tau is not a number .got str."):
        import_graph(chain(mixed(tau="slow"), shape=(3,)), dt=1e-4)


@pytest.mark.parametrize("padding", [-1, (1, -1), (1 << 16) + 1, 0.5])
def test_a_padding_is_one_or_two_whole_numbers_from_zero(padding):
    graph = chain(
        conv2d(np.ones((1, 1, 3, 3)), padding=padding), neurons_if(1, 3, 3), shape=(1, 3, 3)
    )
    with pytest.raises(GraphError, match="padding must be one or two whole numbers"):
        import_graph(graph, dt=1e-4)


def test_an_integrator_that_sums_much_stays_within_24_bits():
    """A hundred inputs at all of 200 steps: weights of eight bits would sum to 22 bits and more."""
    x = np.ones((2, 200, 100))
    x[0, :, 50:] = x[1, :, :50] = 0
    weight = np.random.default_rng(RANDOM).uniform(0.6, 1.0, (2, 100))
    weight[0, 50:] = weight[1, :50] = 0.1
    integers, report = import_graph(chain(nir.Linear(weight), shape=(100,)), calibration=x, dt=1e-4)
    activity = reference.run(integers, {"input": x.astype(np.uint8)})
    assert sum(activity.overflow.values()) == 0 and report.class_agreement == 1.0
    assert predictions(integers, activity).tolist() == [0, 1]


def test_a_population_that_nothing_reaches_has_no_error_of_weights():
    x, _ = patterns((4,), samples=4)
    graph = chain(
        nir.Affine(np.zeros((3, 4)), np.full(3, 2.0)),
        neurons_if(3),
        nir.Linear(weights(2, 3)),
        shape=(4,),
    )
    _, report = import_graph(graph, calibration=x, dt=1e-4)
    assert spiking(report)[0].weight_error == 0.0


def test_a_reset_said_at_run_time_is_the_same_word():
    x, _ = patterns((4,), samples=4)
    graph = chain(nir.Linear(weights(3, 4)), neurons_if(3), shape=(4,))
    report = import_graph(graph, calibration=x, dt=1e-4, reset="".join(["ze", "ro"]))[1]
    assert "reset to zero" in shown(report)


def test_what_is_left_above_the_threshold_fires_again():
    """By subtraction: one input of 3.5 thresholds fires in three steps."""
    graph = chain(nir.Linear(np.array([[7.0]])), neurons_if(1, threshold=2.0), shape=(1,))
    subtracting = convention_of("spikingjelly", "subtract")
    floats = network(graph, convention=subtracting, dt=1.0)
    x = np.zeros((1, 6, 1))
    x[0, 0] = 1
    assert run(floats, {"input": x}).values["n1"].ravel().tolist() == [1, 1, 1, 0, 0, 0]


def test_padding_that_meets_padding_stays_a_convolution():
    """Windows of two in steps of two: the one before the first lies wholly in the padding."""
    first = conv("a", (1, 4, 4), np.ones((1, 1, 2, 2)), (2, 2), (0, 0))
    second = conv("b", first.target, np.ones((1, 1, 3, 3)), (1, 1), (1, 1))
    one = compose(second, first)
    assert isinstance(one, Conv)
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    assert np.array_equal(one.apply(x), second.apply(first.apply(x)))


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_a_compressed_weight_is_read(tmp_path, compression):
    graph = chain(nir.Linear(weights(3, 4)), neurons_if(3), shape=(4,))
    nir.write(tmp_path / "a.nir", graph)
    with h5py.File(tmp_path / "a.nir", "a") as f:
        place = "node/nodes/n0/weight"
        weight = f[place][()]
        del f[place]
        f.create_dataset(place, data=weight, compression=compression, shuffle=True, fletcher32=True)
    assert np.array_equal(read(tmp_path / "a.nir").nodes["n0"].weight, weight)


@pytest.mark.parametrize("shape, taken", [((4,), False), ((1, 4), True), ((2, 4), None)])
def test_a_leading_axis_of_one_is_the_batch_and_no_other(shape, taken):
    graph = chain(nir.Linear(weights(3, 4)), neurons_if(3), shape=shape)
    if taken is None:
        with pytest.raises(GraphError, match="n0: weight does not fit"):
            import_graph(graph, dt=1e-4)
        return
    integers, report = import_graph(graph, dt=1e-4)
    assert integers["input"].shape == (4,)
    assert any("leading axis" in note for note in report.notes) == taken


def test_the_order_of_the_nodes_in_a_file_is_no_order_of_the_network():
    """Three layers that pass a spike on within its step, listed from the last to the first."""
    layers = [n for _ in range(3) for n in (nir.Linear(np.eye(2)), neurons_if(2, threshold=0.5))]
    graph = chain(*layers, shape=(2,))
    turned = nir.NIRGraph(
        dict(reversed(graph.nodes.items())), list(reversed(graph.edges)), type_check=False
    )
    x, _ = patterns((2,), samples=2)
    for told in (graph, turned):
        floats = network(told, dt=1e-4, convention="norse")
        assert np.array_equal(run(floats, {"input": x}).values["n5"], x)
        integers, _ = import_graph(told, calibration=x, dt=1e-4, convention="norse")
        assert np.array_equal(
            reference.run(integers, {"input": x.astype(np.uint8)}).spikes["n5"], x
        )
