"""Graphs: what each synapse means, what is refused and in which words, and the way to disk and
back.
"""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
from conformance.graphs import GRAPHS, random_graph
from hypothesis import given
from hypothesis import strategies as st

from scmrl.convert.netx.lowering import lower as netx_lower
from scmrl.convert.nir.lowering import lower
from scmrl.core import reference
from scmrl.core.comparison import compare
from scmrl.core.convolution import Convolution
from scmrl.core.graph import (
    SYNAPSES,
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
)
from scmrl.core.graph_tables import from_tables, to_tables
from scmrl.deploy.counts.counts import count
from scmrl.deploy.counts.updates import count_updates
from scmrl.deploy.placement.placement import place
from scmrl.deploy.registry import open_backend
from scmrl.hw_profiles import profile
from scmrl.hw_profiles.limits import check
from scmrl.system.errors import GraphError, MissingDependency


def matrix(synapse, source, target):
    """A synapse's coordinates as a dense matrix; repeated coordinates add."""
    dense = np.zeros((np.prod(target), np.prod(source)), np.int64)
    np.add.at(
        dense, synapse.coordinates(source, target)[:2], synapse.coordinates(source, target)[2]
    )
    return dense


@pytest.mark.parametrize("name", GRAPHS)
def test_coordinates_are_the_same_map_as_apply(name):
    graph, _ = GRAPHS[name]()
    for synapse in graph.synapses:
        source, target = graph[synapse.source].shape, graph[synapse.target].shape
        s = np.random.default_rng(3).integers(0, 64, (2, *source))
        assert np.array_equal(
            synapse.apply(s, target).reshape(2, -1),
            s.reshape(2, -1) @ matrix(synapse, source, target).T,
        ), synapse.name
        assert (synapse.coordinates(source, target)[2] != 0).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_coordinates_are_the_same_map_in_random_graphs(seed):
    graph, _ = random_graph(seed)
    for synapse in graph.synapses:
        source, target = graph[synapse.source].shape, graph[synapse.target].shape
        s = np.random.default_rng(seed).integers(0, 2, (1, *source))
        assert np.array_equal(
            synapse.apply(s, target).ravel(), matrix(synapse, source, target) @ s.ravel()
        )


@given(
    groups=st.integers(1, 2),
    ins=st.integers(1, 2),
    outs=st.integers(1, 2),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    size=st.tuples(st.integers(3, 5), st.integers(3, 5)),
    seed=st.integers(0, 1000),
)
def test_convolution_by_explicit_loops(groups, ins, outs, kernel, stride, padding, size, seed):
    random = np.random.default_rng(seed)
    w = random.integers(-128, 128, (groups * outs, ins, *kernel))
    x = random.integers(0, 64, (groups * ins, *size))
    synapse = Conv2d("x", "y", w, stride, padding, groups)
    target = synapse.output_shape(x.shape, ())
    got = synapse.apply(x[None], target)[0]
    for o, row, column in itertools.product(*map(range, target)):
        total = 0
        for c, i, j in itertools.product(range(ins), *map(range, kernel)):
            y, z = row * stride[0] - padding[0] + i, column * stride[1] - padding[1] + j
            if 0 <= y < size[0] and 0 <= z < size[1]:
                total += int(w[o, c, i, j]) * int(x[(o // outs) * ins + c, y, z])
        assert got[o, row, column] == total


def test_structured_synapses_by_hand():
    s = np.array([[[1, 0, 1], [0, 1, 0]]])  # one sample, C = 2, N = 3
    assert SumTokens("x", "y", 5).apply(s, (2,)).tolist() == [[10, 5]]
    assert Broadcast("x", "y", 3).apply(np.array([[1, 0]]), (2, 3)).tolist() == [
        [[3, 3, 3], [0, 0, 0]]
    ]
    assert OneToOne("x", "y", -2).apply(s, (3, 2)).tolist() == [[[-2, 0], [-2, 0], [-2, 0]]]
    assert Pointwise("x", "y", np.array([[1, 10]])).apply(s, (1, 3)).tolist() == [[[1, 10, 1]]]
    window = Window("x", "y", 1, (1, 2), (1, 1))
    assert window.apply(s[:, :, None], (2, 1, 2)).tolist() == [[[[1, 1]], [[1, 1]]]]


def test_fan_out_and_worst_activation_by_enumeration():
    graph, _ = GRAPHS["two_inputs_of_different_shapes"]()
    for synapse in graph.synapses:
        dense = matrix(synapse, graph[synapse.source].shape, graph[synapse.target].shape)
        assert np.array_equal(graph.fan_out(synapse), (dense != 0).sum(0))
    image, sound = (matrix(s, graph[s.source].shape, (5,)) for s in graph.synapses)
    assert graph.worst_activation("y") == (15 * abs(image).sum(1) + abs(sound).sum(1)).max()


@pytest.mark.parametrize("name", GRAPHS)
def test_order_puts_sources_first(name):
    graph, _ = GRAPHS[name]()
    rank = {p.name: i for i, p in enumerate(graph.order())}
    depth = graph.depths()
    for synapse in graph.synapses:
        if synapse.delay == 0:
            assert rank[synapse.source] < rank[synapse.target]
            assert depth[synapse.target] > depth[synapse.source]


@pytest.mark.parametrize("name", GRAPHS)
def test_tables_bring_back_the_same_graph(name):
    graph, _ = GRAPHS[name]()
    again = from_tables(*to_tables(graph))
    assert repr(again) == repr(graph) and to_tables(again)[0] == to_tables(graph)[0]


# ---- names of synapses, and a new kind ----------------------------------------------------------


def test_every_synapse_has_a_name_of_its_own():
    pairs = (Dense("x", "y", ONES), Dense("x", "y", ONES, label="own"), Dense("x", "y", ONES))
    graph = Graph((X, Y), (*pairs, Dense("x", "y", ONES, delay=1)), 2).check()
    assert [s.name for s in graph.synapses] == ["x->y", "own", "x->y#3", "x->y#4"]
    assert [s.name for s in graph.incoming("y")] == [s.name for s in graph.synapses]
    assert dataclasses.replace(pairs[0], target="z").name == "x->z"
    fewer = dataclasses.replace(graph, synapses=graph.synapses[2:]).check()
    assert [s.name for s in fewer.synapses] == ["x->y#3", "x->y#4"]
    assert [s.name for s in from_tables(*to_tables(fewer)).synapses] == ["x->y#3", "x->y#4"]


@pytest.fixture
def mirrored():
    """A kind of synapse that the package does not know: neuron i to neuron n - 1 - i."""

    @dataclasses.dataclass(frozen=True)
    class Mirror(Synapse):
        weight: int

        def output_shape(self, source, target):
            return tuple(source)

        def count(self, source, target):
            return int(np.prod(source))

        def apply(self, s, target):
            return self.weight * s.reshape(len(s), -1)[:, ::-1].reshape(len(s), *target)

        def coordinates(self, source, target):
            i = np.arange(np.prod(source))
            return i[::-1], i, np.full(i.shape, self.weight)

    yield Mirror
    del SYNAPSES["Mirror"]


def test_a_new_kind_needs_its_own_class_alone(mirrored):
    graph = Graph(
        (
            Population("x", (2, 3), "input", bits=3),
            Population("y", (2, 3), vth=9, dv=900),
            Population("z", (2, 3), "readout", dv=100),
        ),
        (mirrored("x", "y", 3, exponent=1), mirrored("y", "z", -5)),
        6,
    ).check()
    inputs = {"x": np.random.default_rng(0).integers(0, 8, (2, 6, 2, 3)).astype(np.uint8)}
    expected = reference.run(graph, inputs)
    assert expected.spikes["y"].any() and not expected.spikes["y"].all()
    assert repr(from_tables(*to_tables(graph))) == repr(graph)
    for backend in ("simulator", "c", "lava-inprocess", "onnx", "onnx-step"):
        try:
            with open_backend(backend, graph) as opened:
                compare(graph, expected, opened.run(inputs)).require()
        except MissingDependency as missing:
            pytest.skip(str(missing))
    assert lower(graph).nodes
    counts = count(graph, inputs, expected, count_updates(graph, inputs, expected))
    assert counts[1].synops_per_inference == np.count_nonzero(inputs["x"]) / 2
    for chip in ("loihi1", "loihi2"):
        assert len(place(graph, profile.load(chip)).cores) == 2
        check(graph, profile.load(chip))
    with pytest.raises(GraphError, match="netx does not hold a Mirror synapse"):
        netx_lower(graph)


# ---- what is refused -----------------------------------------------------------------------------

X = Population("x", (4,), "input")
Y = Population("y", (3,))
ONES = np.ones((3, 4), int)


def refused(match, *parts, steps=1):
    populations = tuple(part for part in parts if isinstance(part, Population))
    with pytest.raises(GraphError, match=match):
        Graph(
            populations, tuple(part for part in parts if not isinstance(part, Population)), steps
        ).check()


@pytest.mark.parametrize(
    "field, value",
    [
        ("vth", 1.5),
        ("vth", -1),
        ("vth", True),
        ("vth", 1 << 23),
        ("du", -2),
        ("du", 4096),
        ("dv", 4097),
        ("dv", -1),
        ("bias_exp", 16),
        ("memoryless", 1),
        ("kind", "LIF"),
        ("shape", ()),
        ("shape", (0,)),
    ],
)
def test_a_wrong_parameter_names_the_population(field, value):
    refused(
        f"^y.*{field if field not in ('kind', 'shape') else ''}",
        X,
        Population("y", **{"shape": (3,), field: value}),
    )


@pytest.mark.parametrize(
    "name, low, high", [("vth", 0, (1 << 23) - 1), ("du", -1, 4095), ("dv", 0, 4096)]
)
def test_an_array_of_a_parameter_is_held_in_every_element(name, low, high):
    for kind in (np.int16, np.int64) if low < 0 else (np.uint16, np.int64):
        array = np.array([low, low, min(high, np.iinfo(kind).max)], kind)
        held = getattr(Graph((X, Population("y", (3,), **{name: array})), ()).check()["y"], name)
        assert held.dtype == np.int64 and np.array_equal(held, array)
    for wrong in (low - 1, high + 1):
        match = rf"^y: {name} is out of range \(limit {low}..{high}, got {wrong}\)"
        refused(match, X, Population("y", (3,), **{name: np.array([low, wrong, high])}))
    shapes = r"limit \(3, 2\), got \(3,\)"
    refused(
        rf"^y: {name} does not fit the population \({shapes}",
        X,
        Population("y", (3, 2), **{name: np.array([low, low, high])}),
    )
    for array in (np.ones(3), np.ones(3, bool), np.array(["1"]), [low, high, high]):
        refused(rf"^y: {name} must be", X, Population("y", (3,), **{name: array}))


def test_one_value_a_channel_is_that_of_its_neurons():
    p = Population("y", (2, 3), vth=np.array([[7], [9]], np.uint8), dv=np.arange(3), du=5)
    assert p.per_neuron(p.vth).tolist() == [[7] * 3, [9] * 3]
    assert p.per_neuron(p.dv).tolist() == [[0, 1, 2]] * 2
    assert p.decays[0] == 5 and dataclasses.replace(p, memoryless=True).decays == (4095, 4096)
    assert (p.vth << 6).tolist() == [[448], [576]]  # nothing wraps at the width it came in


def test_an_unknown_reset_names_the_nearest():
    refused(
        "^y: unknown reset.*got substract.*did you mean 'subtract'",
        X,
        Population("y", (3,), reset="substract"),
    )


def test_files_say_arrays_by_name_and_the_reset_where_it_is_not_zero():
    graph, _ = GRAPHS["subtract_by_neuron"]()
    table, arrays = to_tables(graph)
    x, y, _ = table["populations"]
    assert "reset" not in x and y["reset"] == "subtract" and x["dv"] == 0
    assert y["du"] == {"array": "population/y.du"}
    assert arrays["population/y.du"].tolist() == [-1, 4095, 4095, 2000, 4095]
    with pytest.raises(GraphError, match="populations.1.reset: unknown word"):
        from_tables(*edited("populations", 1, "reset", "none"))
    with pytest.raises(GraphError, match="populations.1.dv.*array is missing.*got gone"):
        from_tables(*edited("populations", 1, "dv", {"array": "gone"}))


@pytest.mark.parametrize(
    "options, match",
    [
        ({"delay": -1}, "delay"),
        ({"delay": 1.5}, "delay"),
        ({"exponent": -1}, "exponent"),
        ({"exponent": 24}, "exponent"),
        ({"exponent": True}, "exponent"),
    ],
)
def test_a_wrong_synapse_option_names_the_synapse(options, match):
    refused(f"^x->y: {match}", X, Y, Dense("x", "y", ONES, **options))


@pytest.mark.parametrize(
    "weight, match",
    [
        (ONES * 1.0, "integers"),
        (ONES[:, :3], "does not fit"),
        (ONES * 2**24, "32-bit"),
        (ONES * 2**62, "32-bit"),
        (ONES * 2**22, "32-bit"),
    ],
)
def test_a_wrong_weight_names_the_place(weight, match):
    refused(f"^(x->)?y: .*{match}", X, Y, Dense("x", "y", weight))


def test_a_sum_beyond_64_bits_is_refused():
    refused(
        "32-bit",
        Population("x", (4,), "input", bits=16),
        Y,
        Dense("x", "y", ONES * (2**24 - 1), exponent=23),
    )


@pytest.mark.parametrize(
    "options", [{"stride": (0, 1)}, {"stride": (1.5, 1)}, {"padding": (-1, 0)}, {"groups": 0}]
)
def test_a_wrong_geometry_names_the_synapse(options):
    refused(
        "^x->y",
        Population("x", (1, 3, 3), "input"),
        Population("y", (1, 1, 1)),
        Conv2d("x", "y", np.ones((1, 1, 3, 3), int), **options),
    )


@pytest.mark.parametrize("steps", [0, 1 << 31, 1.5])
def test_steps_are_counted_in_31_bits(steps):
    with pytest.raises(GraphError, match="^graph: steps"):
        Graph((X, Y), (Dense("x", "y", ONES),), steps).check()


def test_a_convolution_moves_by_one_pixel_and_pads_nothing_unless_told():
    form = Convolution(np.ones((1, 1, 3, 3), int))
    assert form.target((1, 5, 7)) == (1, 3, 5)
    x = np.arange(9).reshape(1, 1, 3, 3)
    assert form.apply(x).tolist() == [[[[36]]]]


def test_structure_that_has_no_meaning_is_refused():
    z = Population("z", (2,), "readout")
    refused("population names repeat", X, Y, Y)
    same = [Dense("x", "y", ONES, label="map") for _ in range(2)]
    refused("synapse names repeat .*map", X, Y, *same)
    refused("synapse's label must be printable", X, Y, Dense("x", "y", ONES, label="a\nb"))
    refused("no input", Y)
    refused("more than one readout", X, z, Population("z2", (2,), "readout"))
    refused("q: no such population", X, Y, Dense("q", "y", ONES))
    refused("takes no synapses", X, Population("x2", (3,), "input"), Dense("x", "x2", ONES))
    refused("does not fire", X, z, Y, Dense("z", "y", np.ones((3, 2), int)))
    refused("steps", X, Y, steps=0)
    refused("steps", X, Y, steps=2.5)
    refused("bias", X, Population("y", (3,), bias_mant=np.arange(4)))
    refused(
        "differ in shape",
        Population("x", (2, 3), "input"),
        Population("y", (3,)),
        SumTokens("x", "y", 1),
    )
    refused("equal counts", X, Y, OneToOne("x", "y", 1))
    refused("broadcast needs", X, Population("y", (3, 4)), Broadcast("x", "y", 1))


def test_a_cycle_without_delay_is_named():
    refused(
        "^a, b: .*cycle.*delay",
        X,
        Population("a", (4,)),
        Population("b", (4,)),
        OneToOne("x", "a", 1),
        OneToOne("a", "b", 1),
        OneToOne("b", "a", 1),
    )


def test_a_join_that_has_no_meaning_is_refused():
    a, b = Population("a", (4,), adds="b"), Population("b", (4,))
    refused("^c: no such population", X, dataclasses.replace(a, adds="c"))
    refused("^a: an input has no membrane", X, dataclasses.replace(a, adds="x"))
    refused("^x: an input adds no membrane", dataclasses.replace(X, adds="b"), b)
    refused("^a: joined populations differ in shape", X, a, dataclasses.replace(b, shape=(2, 2)))
    refused("^a: adds must be the name", X, dataclasses.replace(a, adds=3))
    refused("^a: .*cycle", X, dataclasses.replace(a, adds="a"))
    refused("^a, b: .*joins form a cycle", X, a, b, OneToOne("a", "b", 1))
    Graph((X, a, b), (OneToOne("x", "a", 1), OneToOne("a", "b", 1, delay=1)), 2).check()


def test_a_joined_population_comes_after_the_one_that_it_adds():
    graph, _ = GRAPHS["joined_chain"]()
    names = [p.name for p in graph.order()]
    assert names.index("a") < names.index("b") < names.index("c") and graph.depths()["c"] == 3


def test_files_of_graphs_without_joins_are_as_they_were():
    table, _ = to_tables(GRAPHS["recurrent"]()[0])
    assert all("adds" not in entry for entry in table["populations"])
    joined = to_tables(GRAPHS["readout_of_a_firing_population"]()[0])
    assert from_tables(*joined)["potential"].adds == "y"


def test_names_are_looked_up_with_a_hint():
    graph = Graph((X, Y), (Dense("x", "y", ONES),))
    with pytest.raises(GraphError, match="did you mean"):
        Graph((Population("visual.conv", (3,)), X), ())["visual.con"]
    assert graph["y"] is Y and graph.readout is None


def tables():
    graph = Graph(
        (
            Population("x", (1, 4, 4), "input"),
            Population("y", (2, 4, 4)),
            Population("p", (2, 2, 2)),
        ),
        (
            Conv2d("x", "y", np.ones((2, 1, 3, 3), int), padding=(1, 1)),
            Window("y", "p", 1, (3, 3), (2, 2), (1, 1)),
        ),
        2,
    )
    return copy.deepcopy(to_tables(graph.check()))


def edited(part, index, key, value):
    table, arrays = tables()
    table[part][index][key] = value
    return table, arrays


DAMAGE = [
    ("synapses", 0, key, value)
    for key, value in (
        ("stride", [0, 1]),
        ("stride", 1),
        ("stride", "ab"),
        ("padding", [-1, -1]),
        ("kind", "Conv3d"),
        ("weight", [1, 2]),
        ("weight", {"array": "gone"}),
        ("source", 5),
        ("delay", "a"),
        ("wieght", 1),
    )
]
DAMAGE += [
    ("synapses", 1, key, value)
    for key, value in (
        ("kernel", [3]),
        ("kernel", None),
        ("weight", 1.5),
        ("weight", 10**40),
        ("weight", None),
    )
]
DAMAGE += [
    ("populations", 1, key, value)
    for key, value in (
        ("shape", 5),
        ("shape", ["a"]),
        ("shape", [10**12, 10**12, 1]),
        ("name", None),
        ("kind", 3),
        ("vth", None),
        ("vth", "5"),
        ("bias_mant", 10**30),
        ("memoryless", "no"),
        ("treshold", 3),
    )
]


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_a_damaged_table_is_a_graph_error(damage):
    with pytest.raises(GraphError):
        from_tables(*edited(*damage))


def test_an_unknown_key_is_named_with_the_nearest():
    with pytest.raises(GraphError, match="treshold.*known: .*vth"):
        from_tables(*edited("populations", 1, "treshold", 3))
    with pytest.raises(GraphError, match="did you mean 'weight'"):
        from_tables(*edited("synapses", 0, "wieght", 3))
