"""A network that runs in chunks of steps is the network: spikes in every bit, gradients up to
rounding (in how much less memory: tests/test_benchmarks.py).
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("numba", reason="training needs numba")
pytest.importorskip("norse", reason="training needs norse")

from drawn_networks import drawn

from scmrl.network import nodes
from scmrl.network.network import Network
from scmrl.network.running import Carried, values
from scmrl.system.errors import UsageError

CHUNKS = (1, 3, 7)


def in_pieces(net: Network, given: dict, steps: int, size: int) -> dict:
    """Every node's values, chunk by chunk."""
    carried, found = Carried(), {}
    for first in range(0, steps, size):
        length = min(size, steps - first)
        part = {n: x[first : first + size] if len(x) > 1 else x for n, x in given.items()}
        for name, x in values(net, part, length, carried).items():
            found.setdefault(name, []).append(x.expand(length, *x.shape[1:]))
    return {name: torch.cat(parts) for name, parts in found.items()}


def inputs_of(network) -> tuple[dict, int]:
    steps = max(len(x) for x in network.inputs.values())
    return network.inputs, network.net.steps if steps == 1 else steps


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_random_networks_give_the_same_spikes(first):
    for seed in range(first, first + 20):
        net = drawn(seed).net
        given, steps = inputs_of(drawn(seed))
        with torch.no_grad():
            wanted = values(net, given, steps)
            found = in_pieces(net, given, steps, CHUNKS[seed % 3])
        for name, x in wanted.items():
            assert torch.equal(found[name], x.expand_as(found[name])), (seed, name)


def gradients(net: Network, given: dict) -> dict:
    net.zero_grad()
    out = net.train()(given)
    labels = torch.arange(len(out.logits)) % 3
    loss = torch.nn.functional.cross_entropy(out.logits, labels)
    rates = [x.mean((0, *range(2, x.dim()))) for x in out.spikes.values()]
    (loss + sum((rate**2).sum() for rate in rates)).backward()
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("first", range(0, 100, 20))
def test_random_networks_have_the_same_gradients(first, monkeypatch):
    for seed in range(first, first + 20):
        net = drawn(seed).net
        given, steps = inputs_of(drawn(seed))
        wanted = gradients(net, given)
        monkeypatch.setattr(net, "checkpoint_steps", CHUNKS[seed % 3])
        found = gradients(net, given)
        monkeypatch.undo()
        net.eval()
        assert found.keys() == wanted.keys()
        for name, x in wanted.items():
            if not name.startswith("delays."):  # the bell that makes them ends with the chunk
                error = float((found[name] - x).abs().max())
                assert error <= 2e-4 * float(x.abs().max()) + 1e-7, (seed, name)


def small(steps: int, *, norm: bool = True, layer: type = nodes.Layer) -> Network:
    torch.manual_seed(3)
    net = Network(steps)
    x = net.add("x", nodes.Input((6,)))
    h = net.add("hidden", layer(nodes.Dense(20), nodes.LIF(400, gradient="time"), norm=norm), x)
    net.add("readout", nodes.Readout(nodes.Dense(3)), h)
    return net


def events(steps: int, batch: int = 8) -> dict:
    return {"x": (torch.rand(steps, batch, 6) < 0.3).float()}


def test_running_moments_follow_once_a_batch_by_the_mean_of_the_chunks():
    """Chunks that are alike move them as one that is all: they are seen once, though a chunk is
    computed twice.
    """
    once, given = small(30), events(10)
    whole = small(30)
    three = {"x": given["x"].repeat(3, 1, 1)}
    once.checkpoint_steps = 10
    for net in (once, whole):
        net.train()(three).logits.sum().backward()
    (seen,), (wanted,) = once.layers(), whole.layers()
    torch.testing.assert_close(seen.mean, wanted.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen.variance, wanted.variance, rtol=1e-2, atol=1e-3)
    assert float(wanted.mean.abs().max()) > 1e-3


def test_recorded_is_every_spike_and_forward_its_mean():
    net, given = small(50).eval(), events(50)
    whole = net(given)
    net.checkpoint_steps = 7
    recorded, chunked = net.recorded(given), net(given)
    assert torch.equal(recorded.spikes["hidden"].float(), whole.spikes["hidden"])
    assert torch.equal(recorded.membrane, whole.membrane)
    assert torch.equal(chunked.membrane, whole.membrane)
    torch.testing.assert_close(
        chunked.spikes["hidden"], whole.spikes["hidden"].mean(0, keepdim=True)
    )
    assert 0 < float(recorded.spikes["hidden"].float().mean()) < 1


def test_a_node_that_does_not_go_on_is_named():
    class Forgetting(nodes.Node):
        """Fires with what it reads."""

        def outline(self, known):
            return known[0]

        def forward(self, signals, steps):
            return signals[0][0].x

    net = Network(20)
    x = net.add("x", nodes.Input((6,)))
    h = net.add("same", Forgetting(), x)
    net.add("readout", nodes.Readout(nodes.Dense(3)), h)
    net.checkpoint_steps = 5
    with pytest.raises(UsageError, match="same: Forgetting does not say how it goes on"):
        net.eval()(events(20))
    Forgetting.stateless = True
    assert len(net(events(20)).membrane) == 20
