"""What a LIF's constants may be; what they are refused for."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("norse", reason="training needs norse")

import numpy as np

from scmrl.network.network import Network
from scmrl.network.nodes.layer import Layer
from scmrl.network.nodes.maps import Shared
from scmrl.network.nodes.neurons import LIF, Neurons
from scmrl.network.nodes.node import Input
from scmrl.system.errors import UsageError


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"surrogate": "supper"}, "unknown surrogate"),
        ({"scales": "neuron"}, "unknown scales"),
        ({"reset": "hard"}, "unknown reset"),
        ({"trained": ("vth",)}, "unknown trained"),
        ({"dv": 4097}, "dv must be whole numbers"),
        ({"dv": np.array([0.5])}, "dv must be whole numbers"),
        ({"du": 4000, "reset": "late"}, "a late subtraction needs the current's memory"),
        ({"memoryless": True, "trained": ("dv",)}, "cannot be trained"),
        ({"reset": "late", "trained": ("du",)}, "cannot be trained"),
    ],
)
def test_constants_without_meaning_are_refused(wrong, said):
    with pytest.raises(UsageError, match=said):
        LIF(**wrong)


def test_an_array_that_does_not_fit_is_refused_with_the_place():
    net = Network(steps=2)
    x = net.add("x", Input((2, 3)))
    with pytest.raises(UsageError, match=r"test_neurons\.py:\d+: h: dv does not fit"):
        net.add("h", Layer(Shared(4), LIF(np.arange(5))), x)


@pytest.mark.parametrize("trained", [(), ("dv",)])
def test_an_array_of_channels_is_one_a_channel(trained):
    """Also where the last axis is as long: numpy alone would put it there."""
    dv = np.array([100, 2000, 4000])
    neurons = Neurons(LIF(dv, trained=trained), (3, 3))
    a, bias = torch.full((6, 1, 3, 3), 30.0), torch.zeros(3)
    spikes = neurons(a, bias, 64, 6)
    assert torch.equal(spikes, spikes[..., :1].expand(6, 1, 3, 3))
    assert len({tuple(spikes[:, 0, c, 0].tolist()) for c in range(3)}) > 1
