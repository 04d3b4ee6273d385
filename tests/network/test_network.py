"""What is said of a network: names, cycles, what is not there; the place in the user's file."""

import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("norse", reason="training needs norse")

from scmrl.network.network import Network
from scmrl.network.nodes import Dense, Input, Layer, Readout, after
from scmrl.system.errors import UsageError


def test_any_name_is_a_name():
    """Those of torch's own containers, and pairs that differ in a dot."""
    names = ("keys", "values", "a.b", "a/b", "a/_b", "type")
    net = Network(2)
    x = net.add("items", Input((3,)))
    net.gain("pop", 0.5)
    for name in names:
        x = net.add(name, Layer(Dense(3)), x)
    net.add("readout", Readout(Dense(2)), x.gained("pop"))
    assert [p.name for p in net.graph().populations] == ["items", *names, "readout"]


def said(build) -> str:
    net = Network(2)
    x = net.add("x", Input((3,)))
    with pytest.raises(UsageError) as refused:
        build(net, x)
        net.finish()
    return str(refused.value)


@pytest.mark.parametrize(
    "build, words",
    [
        (lambda net, x: net.add("x", Layer(Dense(2)), x), "two nodes have this name"),
        (lambda net, x: net.add("h", Readout(Dense(2)), after("hh")), "reads a node that is not"),
        (
            lambda net, x: [
                net.add("a", Layer(Dense(2)), x, after("b", 0)),
                net.add("readout", Readout(Dense(2)), net.add("b", Layer(Dense(2)), after("a", 0))),
            ],
            "nodes form a cycle without delay",
        ),
        (lambda net, x: net.add("h", Layer(Dense(2)), x), "a network has one readout"),
    ],
)
def test_what_cannot_be_is_one_line(build, words):
    line = said(build)
    assert words in line and "\n" not in line
