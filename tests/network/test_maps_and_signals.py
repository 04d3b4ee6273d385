"""Maps of layers at their borders: shape, floats and integers agree; and what a network is refused
for, with the place, the limit and the value.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("norse", reason="training needs norse")

import numpy as np

from scmrl.network.network import Network
from scmrl.network.nodes import And, Dense, Input, Layer, Readout, after
from scmrl.network.nodes.maps import Conv1d, Conv2d, pair
from scmrl.system.errors import UsageError

RNG = np.random.default_rng(4)
GEOMETRY = [
    {},
    {"kernel": 1},
    {"kernel": (3, 2), "stride": (2, 1)},
    {"kernel": 3, "padding": 0, "dilation": (2, 1)},
    {"kernel": (2, 3), "padding": (0, 2), "stride": (1, 3)},
    {"kernel": 3, "dilation": (1, 3)},
    {"kernel": 3, "groups": 2},
    {"kernel": (1, 5), "groups": 2, "stride": 2, "padding": (1, 2), "dilation": (1, 2)},
]


@pytest.mark.parametrize("how", GEOMETRY, ids=str)
def test_a_convolution_in_floats_is_its_synapse(how):
    m, source = Conv2d(4, **how), (6, 9, 11)
    weight = RNG.integers(-5, 6, m.weight(source))
    x = RNG.integers(0, 2, (2, 3, *source))
    y = m.apply(torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(weight).float())
    assert tuple(y.shape) == (2, 3, *m.target(source))
    synapse = m.synapse("x", "n", weight, source, 3)
    assert (synapse.source, synapse.target, synapse.delay) == ("x", "n", 3)
    whole = synapse.apply(x.reshape(6, *source), m.target(source))
    assert np.array_equal(whole.reshape(y.shape), y.numpy())
    wide, full = m.ungrouped(weight)
    assert wide.groups == 1 and full.shape == wide.weight(source)
    alike = wide.apply(torch.as_tensor(x).float(), torch.as_tensor(full).float())
    assert torch.equal(alike, y) and m.joinable() == (m.groups == 1)
    if how.get("padding") is None and m.stride == 1 and np.all(np.array(m.kernel) % 2):
        assert m.target(source)[1:] == source[1:]


@pytest.mark.parametrize("how", [{}, {"kernel": 5, "stride": 2}, {"padding": 0, "dilation": 3}])
def test_a_convolution_of_one_axis_is_torchs(how):
    m, length = Conv1d(4, **how), 17
    kernel, dilation = how.get("kernel", 3), how.get("dilation", 1)
    weight = RNG.integers(-5, 6, m.weight((2, 1, length)))
    x = torch.as_tensor(RNG.integers(0, 2, (2, 3, 2, 1, length))).float()
    wanted = torch.nn.functional.conv1d(
        x.flatten(0, 1)[:, :, 0],
        torch.as_tensor(weight[:, :, 0]).float(),
        None,
        how.get("stride", 1),
        how.get("padding", dilation * (kernel // 2)),
        dilation,
    )
    y = m.apply(x, torch.as_tensor(weight).float())
    assert torch.equal(y[:, :, :, 0].flatten(0, 1), wanted)
    assert m.target((2, 1, length)) == (4, 1, wanted.shape[-1])


@pytest.mark.parametrize(
    "value, low, found",
    [(3, 1, (3, 3)), ((1, 2), 1, (1, 2)), ([0, 5], 0, (0, 5)), (0, 1, None), ((1, 0), 1, None),
     ((1, 2, 3), 1, None), ((1, 2.0), 1, None), (-1, 0, None)],
)  # fmt: skip
def test_a_pair(value, low, found):
    if found:
        assert pair(value, "stride", low) == found
    else:
        with pytest.raises(UsageError, match=f"stride must be one or two.*limit >= {low}"):
            pair(value, "stride", low)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: Conv2d(4, kernel=0), "kernel must be"),
        (lambda: Conv2d(4, stride=0), "stride must be"),
        (lambda: Conv2d(4, dilation=0), "dilation must be"),
        (lambda: Conv2d(4, padding=-1).target((1, 5, 5)), "padding must be"),
        (lambda: Conv2d(4, groups=3), "multiple of the groups"),
        (lambda: Conv2d(4, groups=0), "multiple of the groups"),
        (lambda: Conv2d(4, groups=2).target((3, 5, 5)), r"does not fit.*C a multiple of 2"),
        (lambda: Conv2d(4).target((3, 5)), "does not fit"),
        (lambda: Conv2d(4, kernel=6, padding=0).target((1, 5, 6)), "larger than its padded"),
        (lambda: Conv2d(4, kernel=6, padding=0).target((1, 6, 5)), "larger than its padded"),
        (lambda: Input(()), "needs a shape"),
        (lambda: Input((3, 0)), "needs a shape"),
        (lambda: Input((3, 1.0)), "needs a shape"),
        (lambda: Input((3,), 0), "1 to 16 bits.*got 0"),
        (lambda: Input((3,), 17), "1 to 16 bits.*got 17"),
    ],
)
def test_what_a_map_or_an_input_is_refused_for(make, said):
    with pytest.raises(UsageError, match=said):
        make()


def test_the_last_that_is_taken():
    assert Conv2d(4, kernel=6, padding=0).target((1, 6, 6)) == (4, 1, 1)
    assert Input((1,), 1).bits == 1 and Input((1,), 16).bits == 16
    assert Conv2d(4, groups=4).target((4, 3, 3)) == (4, 3, 3)


def network():
    net = Network(3)
    return net, net.add("x", Input((3, 4, 4)))


def refusals():
    yield lambda net, x: net.add("", Layer(Dense(2)), x), "a node needs a name of its own"
    yield lambda net, x: net.add("a\nb", Layer(Dense(2)), x), "a node needs a name of its own"
    yield lambda net, x: net.add(3, Layer(Dense(2)), x), "a node needs a name of its own"
    yield lambda net, x: net.add("h", Dense(2), x), "a node is an Input.*got Dense"
    yield lambda net, x: net.add("h", Layer(Dense(2)), "x"), "a node reads signals.*after"
    yield lambda net, x: net.add("h", And(), x), "And reads another number.*limit 2, got 1"
    yield lambda net, x: net.add("h", And(), x, x, x), "And reads another number.*limit 2, got 3"
    yield lambda net, x: net.add("h", Input((2,)), x), "Input reads another number.*limit 0, got 1"
    yield lambda net, x: net.add("h", Layer(Dense(2))), "Layer reads .*limit 1 or more, got 0"
    yield lambda net, x: net.node("y"), "no such node.*got y"
    yield lambda net, x: net.add("h", Layer(Dense(2)), x.gained("g")), "h: no such gain.*got g"
    yield lambda net, x: net.add("h", Layer(Dense(2)), x.delayed("d")), "h: no such delays.*got d"


@pytest.mark.parametrize("build, said", list(refusals()))
def test_a_node_that_does_not_fit_is_refused_by_name(build, said):
    net, x = network()
    with pytest.raises(UsageError, match=said):
        build(net, x)


def test_what_a_network_is_made_of():
    net, x = network()
    h = net.add("h", Layer(Dense(2)), x)
    with pytest.raises(UsageError, match="a network has one readout"):
        _ = net.readout
    net.add("out", Readout(Dense(2)), h)
    assert net.readout == "out" and list(net.inputs) == ["x"]
    assert net.finish() == (("x",), ("h",), ("out",))
    assert net.parameters_total == sum(p.numel() for p in net.parameters())
    net.add("again", Readout(Dense(2)), h)
    with pytest.raises(UsageError, match="a network has one readout"):
        net.finish()
    empty = Network(3)
    with pytest.raises(UsageError, match="a network has an input"):
        empty.finish()


def test_nothing_reads_a_readout_and_every_node_is_reached():
    net, x = network()
    out = net.add("out", Readout(Dense(2)), x)
    net.add("h", Layer(Dense(2)), out)
    with pytest.raises(UsageError, match="h: a readout does not fire.*got out"):
        net.finish()
    net, x = network()
    net.add("a", Layer(Dense(2)), after("b"))
    net.add("b", Layer(Dense(2)), after("a"))
    net.add("out", Readout(Dense(2)), x)
    with pytest.raises(UsageError, match="a: no input reaches this node"):
        net.finish()


def test_trained_delays_are_one_a_channel():
    net, x = network()
    assert net.delay("d", 3, 5) == "d" and net.most["d"] == 5
    assert [len(p) for p in net.delays.values()] == [3]
    net.add("h", Layer(Dense(2)), x.delayed("d"))
    net.delay("e", 2, 5)
    with pytest.raises(UsageError, match="e: a delay for each channel.*limit 3, got 2"):
        net.add("g", Layer(Dense(2)), x.delayed("e"))


def test_a_gain_is_what_it_starts_from():
    net, _ = network()
    assert net.gain("g", 0.25) == "g" and net.gained == ["g"]
    assert [p.item() for p in net.gains.values()] == [0.25]
