"""A readout that tells places apart: by position, and by time through delays."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("norse", reason="training needs norse")

from scmrl.network.model import SCMRL
from scmrl.network.settings import ModelConfig
from scmrl.train.loss import token_rates
from scmrl.train.published.model import AudioVisualSpikformer

SHAPES = {"audio": (1, 32, 32), "visual": (1, 32, 32)}


def read_by_hand(net, spikes, features):
    """Membranes [B, K] after the last step: `features` of all that fired, times integer weights."""
    signals, readout = net.reads["readout"], net.node("readout")
    gains = [{s.gain: s.gain for s in signal.sources} for signal in signals]
    weights, mantissa, exponent, _ = readout.fold(gains)
    total = mantissa.detach().numpy() * (1 << exponent) * net.config.steps
    for signal, by_gain in zip(signals, weights):
        for s in signal.sources:
            x = spikes[s.node].numpy()
            x = x[: len(x) - s.delay]
            total = total + 64 * features(x) @ by_gain[s.gain].detach().numpy().T
    return total


@pytest.mark.parametrize(
    "axis, features, signals",
    [
        ("", lambda x: x.sum((0, 3, 4)), 2),
        ("space", lambda x: x.sum(0).reshape(x.shape[1], -1), 2),
        ("time", lambda x: x.sum((0, 3, 4)), 8),
    ],
)
def test_readout_reads_all_together_by_position_or_up_to_a_time(axis, features, signals):
    torch.manual_seed(1)
    net = SCMRL(ModelConfig(width=16, steps=8), SHAPES, 4, axis=axis)
    for layer in net.layers():
        layer.gamma.data.fill_(2.0)
    x = {m: torch.randint(0, 40, (8, 3, *shape)).float() for m, shape in SHAPES.items()}
    for _ in range(3):
        net.train()(x)
    with torch.no_grad():
        out = net.eval()(x)
    by_hand = read_by_hand(net, out.spikes, features)
    assert np.array_equal(by_hand, out.membrane[-1].numpy()) and by_hand.any()
    assert len(net.reads["readout"]) == signals
    delays = sorted({s.delay for s in net.sources("readout")})
    assert delays == ([0, 2, 4, 6] if axis == "time" else [0])


def test_published_head_tells_places_apart():
    """A change of order of positions, or of steps, changes what only their order tells."""
    torch.manual_seed(2)
    config = ModelConfig(width=16, steps=4, attention="late-float", embedding="deep")
    features = torch.rand(4, 3, 16, 4)
    for axis, turned in (("space", features.flip(3)), ("time", features.flip(0))):
        net, plain = (AudioVisualSpikformer(config, SHAPES, 4, False, a) for a in (axis, ""))
        told = [net._head(0, {"audio": x, "visual": x}) for x in (features, turned)]
        assert not torch.allclose(*told)
        alike = [plain._head(0, {"audio": x, "visual": x}) for x in (features, turned)]
        torch.testing.assert_close(*alike)
        assert net.heads[0].in_features == 4 * plain.heads[0].in_features


def test_rates_of_parts_are_those_of_their_tokens():
    tokens = torch.rand(8, 2, 3, 4, 6)
    whole, places, times = (
        token_rates(tokens),
        *(token_rates(tokens, axis, 4) for axis in ("space", "time")),
    )
    assert whole.shape == (2, 3, 1) and places.shape == times.shape == (2, 3, 4)
    torch.testing.assert_close(whole[..., 0], tokens.mean((0, 3, 4)))
    for p in range(4):
        rows, columns = slice(p // 2 * 2, p // 2 * 2 + 2), slice(p % 2 * 3, p % 2 * 3 + 3)
        torch.testing.assert_close(places[..., p], tokens[..., rows, columns].mean((0, 3, 4)))
        torch.testing.assert_close(times[..., p], tokens[2 * p : 2 * p + 2].mean((0, 3, 4)))
