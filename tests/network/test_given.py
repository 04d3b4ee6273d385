"""A graph as a network: before training it is the graph, and so it is after it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scmrl.core import reference
from scmrl.core.graph import (
    Conv2d,
    Dense,
    Graph,
    OneToOne,
    Pointwise,
    Population,
    Sparse,
)
from scmrl.network.given import network_of
from scmrl.network.nodes.given import Given, Parts
from scmrl.system.errors import GraphError

KINDS = {
    "current": ({"du": 2000, "dv": 700}, None, (50,)),
    "leak by neuron": ({"du": 4095, "dv": np.arange(6) * 600}, None, (50,)),
    "several spikes": ({"du": 300, "dv": 4096}, 40, (50, 90, 130)),
    "no leak": ({"du": -1, "dv": 4096}, 50, (50,)),
    "subtract": ({"du": 1000, "dv": 500, "reset": "subtract"}, None, (60,)),
    "memoryless": ({"memoryless": True}, None, (60,)),
    "readout": ({"du": 4095, "dv": 20, "kind": "readout"}, None, (0,)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kernel_is_the_stepped_neuron_with_its_gradients(kind):
    fields, back, thresholds = KINDS[kind]
    populations = tuple(
        Population("n", (6,), vth=vth, bias_mant=3, bias_exp=2, **fields) for vth in thresholds
    )
    constants = {0: np.full(6, 4), 2: np.full(6, 3)}
    taken = None if back is None else np.full(6, back)
    node = Given(Parts(populations, (), constants, taken))
    torch.manual_seed(0)
    a = torch.randint(-30, 60, (12, 5, 6)).double().requires_grad_()
    weight = torch.randn(12, 5, 6)
    node._drive = lambda signals: a
    fast = node.forward([], 12)
    run = node._start(a[0], {})
    stepped = torch.cat([run(a[t]) for t in range(12)])
    assert torch.equal(fast, stepped)
    assert (
        float(fast.detach().max()) == len(thresholds) - (kind == "several spikes")
        or kind == "readout"
    )
    learn = [a, node.bias.values, node.constant.values]
    grads = [torch.autograd.grad((x * weight).sum(), learn) for x in (fast, stepped)]
    for one, two in zip(*grads):
        assert float(two.abs().sum()) > 0
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)


def graph() -> Graph:
    """Every kind of synapse, delays, a loop, constants, a subtraction by a synapse, and one neuron
    of two populations that fires twice in a step.
    """
    random = np.random.default_rng(3)

    def w(*shape):
        return random.integers(-60, 90, shape).astype(np.int16)

    held = {"du": 200, "dv": 4096}
    places = np.array([0, 1, 3]), np.array([2, 0, 5])
    return Graph(
        (
            Population("x", (2, 4, 4), "input", bits=2),
            Population("conv", (3, 4, 4), vth=120, dv=900, bias_mant=9, bias_exp=3),
            Population("point", (2, 4, 4), vth=60, du=1500, dv=400),
            Population("held", (5,), vth=200, **held),
            Population("held@2", (5,), vth=420, **held),
            Population("loop", (4,), vth=np.array([80, 90, 100, 110]), dv=300, reset="subtract"),
            Population("always", (1,), memoryless=True, bias_mant=1, bias_exp=6),
            Population("out", (3,), "readout"),
        ),
        (
            Conv2d("x", "conv", w(3, 2, 3, 3), padding=(1, 1)),
            Pointwise("conv", "point", w(2, 3), delay=2),
            Dense("point", "held", (flat := w(5, 32))),
            Dense("point", "held@2", flat),
            *(
                OneToOne(a, b, -100, exponent=1, delay=1)
                for a in ("held", "held@2")
                for b in ("held", "held@2")
            ),
            *(Dense("always", b, np.full((5, 1), 7, np.int16)) for b in ("held", "held@2")),
            Dense("always", "loop", np.full((4, 1), 5, np.int16), delay=3),
            *(
                Dense(a, "loop", np.array(5 * [[30, -20, 50, 60]], np.int16).T)
                for a in ("held", "held@2")
            ),
            Dense("loop", "loop", w(4, 4), delay=1),
            Sparse(
                "loop",
                "conv",
                np.array([9, 8, 7], np.int16),
                places[1].copy()[[1, 0, 2]],
                places[0][[1, 0, 2]],
                delay=1,
            ),
            Dense("loop", "out", w(3, 4), exponent=1),
            *(Dense(a, "out", np.full((3, 5), 3, np.int16)) for a in ("held", "held@2")),
        ),
        steps=15,
    ).check()


def spikes_of(net, inputs):
    x = {name: torch.from_numpy(v.astype(np.float32)).transpose(0, 1) for name, v in inputs.items()}
    with torch.no_grad():
        return net.eval()(x)


def same(net, g, inputs):
    out, wanted = spikes_of(net, inputs), reference.run(g, inputs)
    got = {name: s.transpose(0, 1).numpy() for name, s in out.spikes.items()}
    assert set(got) | {"always"} == set(wanted.spikes)
    for name, s in got.items():
        assert np.array_equal(s, wanted.spikes[name]), name
    assert np.array_equal(out.membrane.transpose(0, 1).numpy(), wanted.membrane["out"])
    return {name: float(s.mean()) for name, s in got.items()}


def test_a_graph_is_itself_before_training_and_after_it():
    g = graph()
    inputs = {"x": np.random.default_rng(0).integers(0, 4, (6, 15, 2, 4, 4)).astype(np.uint8)}
    net = network_of(g)
    rates = same(net, g, inputs)
    assert all(0.02 < rate < 0.98 for rate in rates.values()), rates
    assert rates["held@2"] < rates["held"]
    frozen = net.graph()
    same(net, frozen, inputs)
    for p in g.populations:
        assert np.array_equal(frozen[p.name].bias, p.bias)
    optimizer = torch.optim.Adam(net.train().parameters(), 0.02)
    x = {"x": torch.from_numpy(inputs["x"].astype(np.float32)).transpose(0, 1)}
    net.node("out").scale.fill_(1e4)
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(net(x).logits, torch.arange(6) % 3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tuned = net.graph()
    same(net, tuned, inputs)
    assert [s.name for s in tuned.synapses if s.name in {q.name for q in g.synapses}]
    before = {s.name: s.integers() for s in g.synapses}
    changed = {s.name for s in tuned.synapses if not np.array_equal(before[s.name], s.integers())}
    learnt = {"x->conv", "conv->point", "point->held", "loop->loop", "loop->conv", "loop->out"}
    assert learnt <= changed and "held->held" not in changed


def test_what_cannot_be_trained_is_refused():
    g = Graph((Population("x", (2,), "input"), Population("n", (2,))), (OneToOne("x", "n", 1),))
    with pytest.raises(GraphError, match="readout"):
        network_of(g)
    joined = (
        Population("n", (2,), adds="m"),
        Population("m", (2,)),
        Population("v", (2,), "readout"),
    )
    more = OneToOne("x", "m", 1), OneToOne("n", "v", 1)
    with pytest.raises(GraphError, match=r"n: a join.*\(got m\)|join"):
        network_of(Graph((g.populations[0], *joined), more).check())
