"""What an attention is judged against: the plain ways to relate modalities, in the same shell.

For tokens x and their positional branch r of each modality m, per step t and token n, all spikes:

    joint       h = LIF(sum over m of W_m x_m + V_m r_m)      all side by side at each position,
                one LIF(U h)                                  mlp_ratio C neurons a modality
    broadcast   p[c] = OR_n x_o[c, n],  s[c] = OR_n r_o[c, n]     what another one o shows at all
                h = LIF(W (x + r) + sum over o of V_o (p + s))    mlp_ratio C neurons
                z = LIF(U h)                                  the residual is x + alpha z

joint is all there is before the readout, broadcast an attention. With the default mlp_ratio both
have the parameters of binary attention, within 2 % (tests/network/test_baselines.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from ..core import graph
from ..core.synapse import Shape, Synapse
from ..system.errors import UsageError
from .network import Network
from .nodes.counting import Mask
from .nodes.layer import Layer
from .nodes.maps import Map, Shared
from .nodes.neurons import LIF
from .nodes.signal import Signal
from .settings import ModelConfig


def joint(net: Network, tokens: Mapping[str, Signal], config: ModelConfig) -> Signal:
    """Adds the layers over the tokens [C, N] of all modalities; gives `joint.out`. Raises
    `UsageError` where the tokens of two lie at other positions.
    """
    places = {m: positions(net, x) for m, x in tokens.items()}
    if len(set(places.values())) > 1:
        found = ", ".join(f"{m} {'x'.join(map(str, place))}" for m, place in places.items())
        what = "joint needs the tokens of all modalities at the same positions"
        fix = "--set model.attention=broadcast or binary takes any"
        raise UsageError(what, where="model.attention", value=found, fix=fix)
    neuron = LIF(dv=config.dv)
    hidden = Layer(Shared(config.mlp_ratio * config.width * len(tokens)), neuron)
    h = net.add("joint.hidden", hidden, *(part for x in tokens.values() for part in parts(x)))
    return net.add("joint.out", Layer(Shared(config.width), neuron), h)


def broadcast(
    net: Network, at: str, own: Signal, others: Mapping[str, Signal], config: ModelConfig
) -> Signal:
    """Adds what the tokens `own` [C, N] become beside those of `others`, pooled; gives z, as
    `at`.complement.
    """
    neuron, channels = LIF(dv=config.dv), config.mlp_ratio * config.width
    shown = []
    for tokens in others.values():
        pooled = [net.add(f"{at}.{x.sources[0].node}.any", Mask(), x) for x in parts(tokens)]
        shown.append(sum(pooled[1:], pooled[0]))
    everywhere = Everywhere(channels, positions(net, own))
    hidden = Layer([Shared(channels), *(everywhere for _ in shown)], neuron)
    h = net.add(f"{at}.hidden", hidden, own, *shown)
    return net.add(f"{at}.complement", Layer(Shared(config.width), neuron), h)


def parts(tokens: Signal) -> list[Signal]:
    """x, and r where there are branches."""
    return [Signal((source,)) for source in tokens.sources]


def positions(net: Network, tokens: Signal) -> Shape:
    """Where the tokens of a modality lie: (H, W)."""
    return net.node(tokens.sources[0].node).shape[1:]


@dataclass(frozen=True)
class Everywhere(Map):
    """a[:, n] = W p: the neurons of p, one a channel, to `outputs` channels at all positions n."""

    positions: Shape

    def target(self, source: Shape) -> Shape:
        return (self.outputs, *self.positions)

    def apply(self, features: Tensor, weight: Tensor) -> Tensor:
        once = F.linear(features, weight)
        return once.reshape(*once.shape, *(1,) * len(self.positions))

    def synapse(
        self, source: str, target: str, weight: np.ndarray, shape: Shape, delay: int
    ) -> Synapse:
        repeated = np.repeat(weight, int(np.prod(self.positions)), axis=0)
        return graph.Dense(source, target, repeated, delay=delay)
