"""What a node of a NIR file becomes: the recurrence of every kind of neuron under every convention,
by the equations in words; and what a number, a pair, a shape may be, to the last one.
"""

from types import SimpleNamespace as Node

import numpy as np
import pytest

from scmrl.convert.nir.importer.floats import convention as conventions
from scmrl.convert.nir.importer.floats.convention import CONVENTIONS, convention_of, readings
from scmrl.convert.nir.importer.floats.cycles import with_feedback, within
from scmrl.convert.nir.importer.floats.linear import linear
from scmrl.convert.nir.importer.floats.maps import Diagonal
from scmrl.convert.nir.importer.floats.network import Network, Neurons, Route
from scmrl.convert.nir.importer.floats.neurons import INTEGRATORS, NEURONS, neurons
from scmrl.convert.nir.importer.floats.parameters import (
    MAX_NEURONS,
    flattened,
    numbers,
    padding,
    pair,
    parameter,
    positive,
    shape_of,
)
from scmrl.convert.nir.importer.floats.step import choose
from scmrl.system.errors import GraphError, UsageError

DT = 1e-3
SHAPE = (3,)
FULL = {
    "tau": np.array([2e-3, 5e-3, 1e-2]),
    "tau_mem": np.array([3e-3, 4e-3, 8e-3]),
    "tau_syn": np.array([2e-3, 6e-3, 7e-3]),
    "r": np.array([2.0, 3.0, 0.5]),
    "w_in": np.array([0.5, 1.5, 2.0]),
    "v_leak": np.array([0.1, -0.2, 0.3]),
    "v_reset": np.array([0.25, 0.0, -0.5]),
    "v_threshold": np.array([1.0, 2.0, 0.75]),
    "threshold": np.array([0.5, 1.0, 1.5]),
}


def expected(kind, name, node):
    """(alpha, beta, gain, bias, threshold) as each framework makes a step, straight from the
    equations: NIR's by Euler; norse without r; sinabs exactly, its input whole; the reset potential
    is the origin where the framework reads one.
    """
    one, nought = np.ones(SHAPE), np.zeros(SHAPE)
    if kind == "Threshold":
        return 0.0, 0.0, 1.0, 0.0, node["threshold"]
    resistance = name in ("nir", "snntorch", "spikingjelly")
    exact = name == "sinabs"
    origin = node["v_reset"] if name in ("nir", "spikingjelly") else nought
    origin = nought if kind in INTEGRATORS else origin
    threshold = nought if kind in INTEGRATORS else node["v_threshold"] - origin
    if kind in ("I", "IF"):
        return nought, one, node["r"] * DT if resistance else one, nought, threshold
    cuba = kind.startswith("Cuba")
    part = DT / node["tau_mem" if cuba else "tau"]
    beta, gain = (np.exp(-part), one) if exact else (1 - part, part)
    if (resistance or cuba) and not exact:
        gain = gain * node["r"]
    alpha = nought
    if cuba:
        part = DT / node["tau_syn"]
        alpha, taken = (np.exp(-part), one) if exact else (1 - part, part)
        gain = gain * node["w_in"] * taken
    return alpha, beta, gain, (1 - beta) * (node["v_leak"] - origin), threshold


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("kind", NEURONS)
def test_a_neuron_is_its_equation_in_the_steps_of_its_framework(kind, name):
    node = dict(FULL)
    if kind.startswith("Cuba") and name == "norse":
        node["v_leak"] = np.zeros(SHAPE)
    found = neurons(kind, Node(**node), "n", SHAPE, DT, CONVENTIONS[name])
    parts = (found.alpha, found.beta, found.gain, found.bias, found.threshold)
    for got, right in zip(parts, expected(kind, name, node)):
        assert np.allclose(got, right, rtol=1e-12, atol=0)
    assert (found.name, found.shape) == ("n", SHAPE)
    assert found.kind == ("integrator" if kind in INTEGRATORS else "spiking")
    assert found.inclusive == (name in ("spikingjelly", "sinabs"))
    fires = kind not in (*INTEGRATORS, "Threshold")
    assert found.reset == ("subtract" if name == "sinabs" and fires else "zero")
    assert found.several == (name == "sinabs" and fires and kind != "CubaLIF")
    assert found.floor is False


@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF", "LI", "Threshold"])
def test_what_a_convention_may_say_besides(kind):
    late = convention_of("snntorch", "subtract")
    clamped = readings(CONVENTIONS["sinabs"], None)[1]
    found = neurons(kind, Node(**FULL), "n", SHAPE, DT, late)
    fires = kind not in ("LI", "Threshold")
    assert found.reset == ("late" if fires else "zero") and found.subtract == fires
    assert neurons(kind, Node(**FULL), "n", SHAPE, DT, clamped).floor == (kind == "IF")
    with pytest.raises(UsageError, match="no such reset"):
        convention_of("nir", "subtrakt")
    with pytest.raises(UsageError, match="no such convention.*norse"):
        convention_of("norze")


def test_readings_are_the_convention_and_what_its_files_may_mean_besides():
    def said(name, reset=None):
        return [(c.reset, c.several, c.floor) for c in readings(convention_of(name, reset), reset)]

    assert said("nir") == [("zero", False, False)]
    assert said("snntorch") == [("zero", False, False), ("subtract", False, False)]
    assert said("snntorch", "zero") == [("zero", False, False)]
    assert said("sinabs") == [
        ("subtract", True, False),
        ("subtract", True, True),
        ("subtract", False, False),
    ]
    assert len(said("sinabs", "zero")) == 3
    assert [c.words for c in readings(CONVENTIONS["sinabs"], None)] == [
        "by subtraction, several spikes a step",
        "by subtraction, several spikes a step, membrane held above -threshold",
        "by subtraction",
    ]
    assert [c.words for c in readings(CONVENTIONS["snntorch"], None)] == [
        "to zero",
        "by subtraction, one step later",
    ]
    assert {c.step for c in CONVENTIONS.values()} == {None, 1e-3}
    assert conventions.CONVENTIONS["norse"].step == 1e-3


def test_norse_adds_an_input_of_weight_one_whole():
    node = {**FULL, "v_leak": np.zeros(SHAPE), "w_in": np.ones(SHAPE)}
    found = neurons("CubaLIF", Node(**node), "n", SHAPE, DT, CONVENTIONS["norse"])
    assert np.allclose(found.gain, DT / node["tau_mem"] * node["r"], rtol=1e-12)
    node["v_leak"] = np.array([0.0, 0.1, 0.0])
    with pytest.raises(GraphError, match="n: norse adds v_leak to the current too"):
        neurons("CubaLIF", Node(**node), "n", SHAPE, DT, CONVENTIONS["norse"])


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("tau", [DT, DT * (1 - 1e-7), DT * 0.999, 0.0, -DT])
def test_a_time_constant_is_at_least_a_step_where_steps_are_eulers(name, tau):
    """sinabs takes any above zero; snntorch's trained decays are held to 0..1."""
    node = Node(**{**FULL, "tau": np.array([tau, 1.0, 1.0])})
    taken = tau >= DT * (1 - 1e-6) or (name == "sinabs" and tau > 0)
    if taken or (name == "snntorch" and tau):
        found = neurons("LIF", node, "n", SHAPE, DT, CONVENTIONS[name])
        low = float(np.asarray(found.beta)[0])
        if name == "sinabs":
            assert np.isclose(low, np.exp(-DT / tau))
        else:
            assert low == pytest.approx(np.clip(1 - DT / tau, 0, 1), abs=1e-6) and 0 <= low <= 1
    else:
        with pytest.raises(GraphError, match=r"n\.tau: time constant is shorter.*limit 0\.001 s"):
            neurons("LIF", node, "n", SHAPE, DT, CONVENTIONS[name])


@pytest.mark.parametrize(
    "value, shape, found",
    [
        (2.0, (2, 3), np.full((2, 3), 2.0)),
        ([[7.0]], (2, 3), np.full((2, 3), 7.0)),
        ([1.0, 2.0], (2, 3), [[1, 1, 1], [2, 2, 2]]),
        ([1.0, 2.0], (2, 1, 2), [[[1, 1]], [[2, 2]]]),
        (np.arange(6.0), (2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.arange(3.0), (3,), [0, 1, 2]),
        ([1.0, 2.0, 3.0], (2, 3), None),
        ([], (2, 3), None),
    ],
)
def test_a_parameter_is_one_for_all_or_one_a_channel_or_one_each(value, shape, found):
    if found is None:
        with pytest.raises(GraphError, match="n: v does not fit the neurons"):
            parameter(value, shape, "n", "v")
    else:
        got = parameter(value, shape, "n", "v")
        assert got.shape == shape and np.array_equal(got, found)


@pytest.mark.parametrize(
    "value, found",
    [
        (2, (2, 2)),
        ((1, 2), (1, 2)),
        ([0, 3], (0, 3)),
        (1 << 16, (1 << 16,) * 2),
        (2.0, (2, 2)),
        ((1 << 16) + 1, None),
        (-1, None),
        ((0, -1), None),
        (0.5, None),
        ((1, 1.5), None),
        ((1, 2, 3), None),
        ((), None),
    ],
)
def test_a_pair_is_one_or_two_whole_numbers_from_0_to_65536(value, found):
    if found is None:
        with pytest.raises(GraphError, match="n: stride must be one or two whole numbers"):
            pair(value, "n", "stride")
    else:
        assert pair(value, "n", "stride") == found


@pytest.mark.parametrize("value", ["same", b"same", "valid", b"valid"])
def test_padding_in_words(value):
    assert padding(value, "n") == (value if isinstance(value, str) else value.decode())
    assert padding((1, 2), "n") == (1, 2)
    with pytest.raises(GraphError, match="n: padding must be 'same', 'valid' or numbers"):
        padding("full", "n")


@pytest.mark.parametrize(
    "value, found",
    [
        (5, (5,)),
        ((2, 3), (2, 3)),
        ([1, 1, 1], (1, 1, 1)),
        ((MAX_NEURONS, 1), (MAX_NEURONS, 1)),
        ((MAX_NEURONS, 2), None),
        (MAX_NEURONS + 1, None),
        ((2, 0), None),
        ((), None),
        (None, None),
        (("a",), None),
    ],
)
def test_a_shape_has_an_axis_and_none_is_empty(value, found):
    if found is None:
        with pytest.raises(GraphError, match=f"n: node has no usable shape.*1..{MAX_NEURONS}"):
            shape_of(value, "n")
    else:
        assert shape_of(value, "n") == found


@pytest.mark.parametrize(
    "start, end, found",
    [
        (0, -1, (24,)),
        (1, -1, (2, 12)),
        (0, 1, (6, 4)),
        (1, 1, (2, 3, 4)),
        (-2, -1, (2, 12)),
        (2, 2, (2, 3, 4)),
        (1, 3, (24,)),  # axes that count the batch
        (2, 1, (24,)),
        (-4, -1, (24,)),
    ],
)
def test_what_a_flatten_leaves(start, end, found):
    node = Node(start_dim=np.array([start]), end_dim=end)
    assert flattened((2, 3, 4), node, "n") == found


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "x", [1.0, 2.0], None])
def test_seconds_are_a_positive_number(value):
    with pytest.raises(GraphError, match="dt must be a positive number of seconds"):
        positive(value, "dt")
    assert positive([[1e-9]], "dt") == 1e-9


@pytest.mark.parametrize("value, said", [("a", "not a number"), ([np.inf], "not finite")])
def test_numbers_are_finite(value, said):
    with pytest.raises(GraphError, match=f"n: w is {said}"):
        numbers(value, "n", "w")
    assert numbers([1, 2], "n", "w").dtype == np.float64


@pytest.mark.parametrize("kind, each", [("SumPool2d", 1.0), ("AvgPool2d", 1 / 6)])
def test_a_pool_is_a_convolution_of_each_channel_alone(kind, each):
    node = Node(kernel_size=(2, 3), stride=(1, 2), padding=(0, 1))
    found = linear(kind, node, "n", (2, 4, 5))
    assert found.groups == 2 and found.weight.shape == (2, 1, 2, 3)
    assert np.allclose(found.weight, each) and found.target == (2, 3, 3)
    assert (found.stride, found.padding) == ((1, 2), (0, 1))
    for wrong in ({"kernel_size": (0, 1)}, {"stride": (1, 0)}):
        with pytest.raises(GraphError, match="n: pooling does not fit"):
            linear(kind, Node(**{**vars(node), **wrong}), "n", (2, 4, 5))
    with pytest.raises(GraphError, match="n: pooling does not fit"):
        linear(kind, node, "n", (4, 5))


def test_what_a_linear_node_reads():
    weight = np.arange(6.0).reshape(2, 3)
    for kind in ("Linear", "Affine"):
        found = linear(kind, Node(weight=weight), "n", (3, 1))
        assert (found.source, found.target) == ((3, 1), (2,)) and found.weight is not None
        for wrong in (weight.T, weight.ravel(), weight[None]):
            with pytest.raises(GraphError, match="n: weight does not fit its input"):
                linear(kind, Node(weight=wrong), "n", (3, 1))
    found = linear("Scale", Node(scale=np.array([2.0, 3.0])), "n", (2, 2))
    assert isinstance(found, Diagonal) and found.scale.tolist() == [2, 2, 3, 3]


@pytest.mark.parametrize("one", ["stride", "dilation", "groups"])
def test_a_convolution_over_time_is_one_over_an_image_of_one_row(one):
    node = Node(weight=np.ones((2, 2, 3)), stride=2, dilation=2, padding=1, groups=1)
    found = linear("Conv1d", node, "n", (2, 9))
    assert (found.source, found.target) == ((2, 1, 9), (2, 1, 4))
    assert (found.stride, found.padding) == ((1, 2), (0, 1))
    assert found.weight.shape == (2, 2, 1, 5) and found.weight[0, 0, 0].tolist() == [1, 0, 1, 0, 1]
    with pytest.raises(GraphError, match="n: stride, dilation and groups are at least 1"):
        linear("Conv1d", Node(**{**vars(node), one: 0}), "n", (2, 9))
    for weight, shape in ((np.ones((2, 2)), (2, 9)), (node.weight, (2, 9, 1))):
        with pytest.raises(GraphError, match="n: convolution does not fit its input"):
            linear("Conv1d", Node(**{**vars(node), "weight": weight}), "n", shape)


class LIF(Node):
    pass


class IF(Node):
    pass


class Delay(Node):
    pass


def lif(tau, r=1.0):
    return LIF(tau=np.asarray(tau), r=np.broadcast_to(r, np.shape(tau)))


@pytest.mark.parametrize(
    "nodes, name, metadata, found",
    [
        ({}, "nir", {"dt": 2e-3}, (2e-3, "metadata", False)),
        ({"a": lif([1e-2])}, "nir", {"dt": 2e-3}, (2e-3, "metadata", False)),
        ({}, "nir", {}, (1.0, "nothing in the graph", False)),
        ({"a": lif([1e-2, 2e-2], [100.0, 200.0])}, "nir", {}, (1e-4, "r = tau / dt", False)),
        ({"a": lif([1e-2, 2e-2], [100.0, 100.0])}, "nir", {}, (1e-4, "usually", True)),
        ({"a": lif([1e-2, 2e-2], [100.0, -200.0])}, "nir", {}, (1e-4, "usually", True)),
        ({"a": lif([1e-2], [1.0])}, "nir", {}, (1e-4, "usually", True)),
        ({"a": lif([1e-2], [5.0]), "b": IF(r=np.array([500.0]))}, "nir", {}, (2e-3, "r =", False)),
        ({"a": lif([1e-2], [5.0]), "b": IF(r=np.array([50.0]))}, "nir", {}, (1e-4, "usual", True)),
        ({"a": lif([5e-5])}, "nir", {}, (5e-5, "usually", True)),
        ({"a": lif([1.0, 3.0])}, "nir", {}, (1.0, "taken as steps", True)),
        ({"a": lif([0.99, 3.0])}, "nir", {}, (1e-4, "usually", True)),
        ({"a": lif([1e-3])}, "norse", {}, (1e-3, "framework's own", False)),
        ({"a": lif([0.9e-3])}, "norse", {}, (1e-6, "multiplied", False)),
        ({"d": Delay(delay=np.zeros(2))}, "nir", {}, (1.0, "nothing in the graph", False)),
    ],
)
def test_the_step_where_nobody_names_it(nodes, name, metadata, found):
    step = choose(Node(metadata=metadata), nodes, CONVENTIONS[name])
    assert step.seconds == pytest.approx(found[0], rel=1e-9)
    assert found[1] in step.why and step.guessed == found[2]


def test_a_delay_has_no_step_of_its_own():
    with pytest.raises(GraphError, match="d: a delay in seconds needs the step.*0.5 s"):
        choose(Node(metadata={}), {"d": Delay(delay=np.array([0.0, 0.5]))}, CONVENTIONS["nir"])
    with pytest.raises(GraphError, match="dt in the metadata must be a positive"):
        choose(Node(metadata={"dt": -1}), {}, CONVENTIONS["nir"])


def routes(*arrows):
    one = Diagonal("m", (1,), (1,), np.ones(1))
    return [Route(a, b, one, delay) for a, b, delay in arrows]


@pytest.mark.parametrize(
    "arrows, back",
    [
        ([("x", "a", 0), ("a", "b", 0), ("b", "c", 0)], []),
        ([("x", "a", 0), ("a", "b", 0), ("b", "a", 0)], [2]),
        ([("x", "a", 0), ("a", "b", 0), ("b", "a", 1)], []),
        ([("x", "a", 0), ("a", "a", 0), ("a", "c", 0)], [1]),
        ([("x", "a", 0), ("x", "b", 0), ("a", "c", 0), ("b", "c", 0)], []),
        ([("x", "a", 0), ("a", "b", 0), ("b", "c", 0), ("c", "a", 0), ("c", "b", 0)], [3, 4]),
        ([("x", "a", 0), ("b", "c", 0), ("c", "b", 0)], [2]),
    ],
)
def test_what_leads_back_to_an_ancestor_takes_one_step(arrows, back):
    given = routes(*arrows)
    found = with_feedback(["x", "a", "b", "c"], given)
    assert [i for i, r in enumerate(found) if r.feedback] == back
    for i, (before, after) in enumerate(zip(given, found)):
        assert after.delay == (1 if i in back else before.delay)


def test_arrows_on_the_way_between_two():
    arrows = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("x", "b"), ("b", "y")]
    assert within(arrows, "a", "c") == [("a", "b"), ("b", "c"), ("a", "c")]
    assert within(arrows, "c", "a") == [] and within(arrows, "a", "a") == []


def test_a_network_tells_its_parts_by_name():
    parts = Neurons("x", (1,), "input"), Neurons("a", (1,), "spiking"), Neurons("z", (1,), "input")
    into = routes(("x", "a", 0), ("a", "z", 0), ("z", "a", 0))
    network = Network(parts, tuple(into), {}, "a", DT, CONVENTIONS["nir"], ("one",))
    assert network["a"] is parts[1] and network.inputs == (parts[0], parts[2])
    assert network.incoming("a") == (into[0], into[2])
    assert network.noted("two", "three").notes == ("one", "two", "three")
