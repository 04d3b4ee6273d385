"""What an import takes as data, and what its settings may be: the last that fits, the first that
does not.
"""

import numpy as np
import pytest

from scmrl.convert.nir import importer
from scmrl.convert.nir.importer import encoding, samples
from scmrl.convert.nir.importer.floats.convention import CONVENTIONS
from scmrl.convert.nir.importer.floats.network import Network, Neurons
from scmrl.system.errors import DataError, UsageError


def network(*inputs, spiking=("a", "b")):
    neurons = [Neurons(name, shape, "input") for name, shape in inputs]
    neurons += [Neurons(name, (2, 3), "spiking") for name in spiking]
    neurons.append(Neurons("z", (2,), "integrator"))
    return Network(tuple(neurons), (), {}, "z", 1.0, CONVENTIONS["nir"])


ONE, TWO = network(("x", (2, 3))), network(("u", (2, 3)), ("v", (4,)))


def test_no_data_is_none_and_one_array_is_for_the_one_input():
    assert samples.by_input(ONE, None) is None
    x = np.arange(24).reshape(2, 2, 6)
    for given in (x, {"x": x}):
        assert np.array_equal(samples.by_input(ONE, given)["x"], x.reshape(2, 2, 2, 3))
    with pytest.raises(DataError, match="must hold every input"):
        samples.by_input(network(("u", (2, 3)), ("v", (6,))), x)


@pytest.mark.parametrize(
    "given, said",
    [
        ({"u": np.zeros((2, 3, 6))}, "must hold every input"),
        ({"u": np.zeros((2, 3, 6)), "w": np.zeros((2, 3, 4))}, "must hold every input"),
        ({"u": np.zeros((2, 3, 6)), "v": np.zeros((2, 4, 4))}, "differ in samples or steps"),
        ({"u": np.zeros((2, 3, 6)), "v": np.zeros((1, 3, 4))}, "differ in samples or steps"),
        ({"u": np.zeros((2, 3, 5)), "v": np.zeros((2, 3, 4))}, "u: .*wrong shape or type"),
        ({"u": np.zeros((0, 3, 6)), "v": np.zeros((0, 3, 4))}, "u: .*wrong shape or type"),
        ({"u": np.zeros(6), "v": np.zeros((2, 3, 4))}, "u: .*wrong shape or type"),
        ({"u": np.full((2, 3, 6), "a"), "v": np.zeros((2, 3, 4))}, "u: .*wrong shape or type"),
        ({"u": np.full((2, 3, 6), np.nan), "v": np.zeros((2, 3, 4))}, "u: .*not finite"),
        ({"u": np.zeros((2, 3, 6)), "v": np.full((2, 3, 4), np.inf)}, "v: .*not finite"),
    ],
)
def test_data_that_do_not_fit_are_refused(given, said):
    with pytest.raises(DataError, match=said):
        samples.by_input(TWO, given)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, bool, np.float32])
def test_data_of_every_kind_of_number(kind):
    x = np.ones((1, 1, 2, 3), kind)
    assert samples.by_input(ONE, x)["x"].dtype == kind


def test_where_there_are_no_data_spikes_are_made_up():
    found = samples.stand_in(network(("u", (20, 30)), ("v", (4,))), 5)
    assert {name: x.shape for name, x in found.items()} == {"u": (8, 5, 20, 30), "v": (8, 5, 4)}
    assert set(np.unique(found["u"])) == {0, 1} and 0.48 < found["u"].mean() < 0.52
    assert samples.STEPS == 32


@pytest.mark.parametrize(
    "arrays, said",
    [
        ({"c": np.zeros((2, 3, 6))}, "golden: c: no spiking node.*a, b, classes"),
        ({"z": np.zeros((2, 3, 2))}, "golden: z: no spiking node"),
        ({"a": np.zeros((2, 4, 6))}, "golden: a: .*wrong shape or type"),
        ({"a": np.zeros((3, 3, 6))}, "golden: a: .*wrong shape or type"),
        ({"a": np.zeros((2, 3, 5))}, "golden: a: .*wrong shape or type"),
        ({"a": np.full((2, 3, 6), "x")}, "golden: a: .*wrong shape or type"),
        ({"classes": np.zeros(3, int)}, "golden: classes: classes must be integers"),
        ({"classes": np.zeros(2)}, "golden: classes: classes must be integers"),
        ({"classes": np.zeros((2, 1), int)}, "golden: classes: classes must be integers"),
    ],
)
def test_golden_results_that_do_not_fit_are_refused(arrays, said):
    with pytest.raises(DataError, match=said):
        samples.golden(ONE, arrays, (2, 3))


def test_golden_results_are_by_node_or_the_classes():
    nothing = samples.golden(ONE, None, (2, 3))
    assert not nothing and nothing.spikes == {} and nothing.classes is None
    x, classes = np.ones((2, 3, 6)), np.array([1, 0], np.uint8)
    found = samples.golden(ONE, {"a": x, "classes": classes}, (2, 3))
    assert found and found.spikes["a"].shape == (2, 3, 2, 3) and found.classes is classes
    assert samples.golden(ONE, {"classes": classes}, (2, 3)).spikes == {}
    named = network(("x", (2, 3)), spiking=("classes",))  # a node may have that name
    found = samples.golden(named, {"classes": x}, (2, 3))
    assert found.classes is None and found.spikes["classes"].shape == (2, 3, 2, 3)


@pytest.mark.parametrize(
    "labels", [np.array([0.5, 1.0]), np.zeros((2, 1), int), np.array(["a", "b"])]
)
def test_labels_are_integers_one_a_sample(labels):
    given = {"x": np.zeros((2, 3, 6)), "y": labels}
    with pytest.raises(DataError, match="."):
        samples.calibration(ONE, given, "here")
    arrays, found = samples.calibration(ONE, given | {"y": np.array([1, 0], np.uint8)}, "here")
    assert set(arrays) == {"x"} and found.dtype == np.int64 and found.tolist() == [1, 0]
    assert samples.calibration(ONE, {"x": given["x"]}, "here")[1] is None


@pytest.mark.parametrize(
    "name, low, high", [("input_bits", 1, 16), ("weight_bits", 2, 16), ("steps", 1, None)]
)
def test_the_ends_of_an_imports_settings(name, low, high):
    nir = pytest.importorskip("nir", reason="nir is not installed")
    from test_nir_fidelity import DT, chain, lif, spikes, weights

    graph = chain(nir.Linear(weights(3, 4, gain=2.0)), lif(3), shape=(4,))
    data = {} if name == "steps" else {"calibration": spikes(3, 5, 4)}
    for value in [low] + ([high] if high else []):
        importer.import_graph(graph, dt=DT, **data, **{name: value})
    for value in [low - 1] + ([high + 1] if high else []):
        with pytest.raises(UsageError, match=f"{name}.*{value}"):
            importer.import_graph(graph, dt=DT, **data, **{name: value})


@pytest.mark.parametrize(
    "x, percentile, found",
    [
        ([0.0, 0.0], 100, (0, 0)),
        ([0.0, 5.0, 3.0], 100, (0, 5)),
        ([0.0, -5.0, 3.0], 100, (-5, 3)),
        ([-5.0, -2.0], 100, (-5, 0)),
        ([0.0] * 50 + list(range(1, 102)), 99, (0, 100)),  # of those that are not 0
        (list(range(-50, 51)), 99, (-49.01, 49.01)),
    ],
)
def test_a_range_holds_a_percentile_of_what_is_not_0_and_0(x, percentile, found):
    low, high = encoding._range(np.array(x, float), percentile)
    assert (low, high) == pytest.approx(found, abs=1e-9)


def test_values_beyond_a_range_are_held_to_it():
    x = {"u": np.array([-3.0, 1.0, 9.0]), "v": np.array([-3.0, 9.0])}
    held = encoding.Encodings({}, {"u": (-1.0, 2.0)}).held(x)
    assert held["u"].tolist() == [-1, 1, 2] and held["v"] is x["v"]


@pytest.mark.parametrize(
    "x, whole",
    [(np.array([1, 2]), True), (np.array([True]), True), (np.array([1.0, -2.0]), True),
     (np.array([1.0, 0.5]), False)],
)  # fmt: skip
def test_whole_numbers(x, whole):
    assert encoding._whole(x) == whole
