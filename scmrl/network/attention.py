"""Binary spike attention across modalities: that of S-CMRL, made of LIF populations alone.

For modality x attending to modality y, per step t, channel c and token n, all values spikes:

    q_s = LIF(W x)    q_t = LIF(W x)    k = LIF(W y)    v = LIF(W y)
    kv  = k AND v
    m_s[c] = [ sum_n kv[c, n] > theta_s ]      spatial mask: this step, over the tokens of y
    m_t[c] = LIF(sum_n kv[c, n]) > theta_t     temporal mask: the past of y, a slow leak, causal
    a_s = q_s AND m_s      a_t = q_t AND m_t   gates x's own tokens
    z = LIF(W_s a_s + W_t a_t)                 complementary feature; the residual is x + alpha z

Linear in tokens, causal, any number of modalities (one pair of masks for each other modality, all
gated features fan into z). Replaces the spatio-temporal attention of He et al. 2025 (arXiv
2502.12488, CCSSA), which multiplies counts and averages over future steps. AND is a product of
spikes in training and a threshold-1 population on the chip.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..core.fixed_point import DECAY_ONE
from ..hw_profiles.precision import Precision
from . import rows
from .layers import SpikingLayer
from .neuron import lif

FORGET_ALL = DECAY_ONE  # dv of a memoryless population
ALIVE_BETA = 0.5  # batch-norm offset of q, k and v: AND needs partners that fire


class BinaryAttention(nn.Module):
    """One modality attending to `others`. forward gives {population: spikes [T, B, C, ...]}."""

    key: Any  # ModuleDict {other: SpikingLayer}, as value
    value: Any

    def __init__(
        self,
        width: int,
        others: tuple[str, ...],
        *,
        dv: int,
        slow_dv: int,
        spatial_vth: int,
        temporal_vth: int,
        precision: Precision,
    ):
        super().__init__()
        self.others, self.slow_dv = others, slow_dv
        self.spatial_vth, self.temporal_vth = spatial_vth, temporal_vth

        def layer(channels_in: int = width, beta: float = ALIVE_BETA) -> SpikingLayer:
            return SpikingLayer(channels_in, width, dv=dv, precision=precision, beta=beta)

        self.query_spatial, self.query_temporal = layer(), layer()
        self.key = nn.ModuleDict({other: layer() for other in others})
        self.value = nn.ModuleDict({other: layer() for other in others})
        self.complement = layer(2 * len(others) * width, beta=0.0)

    def forward(self, own: Tensor, other: dict[str, Tensor], steps: int) -> dict[str, Tensor]:
        """own [T, B, C, ...] tokens of x, other {modality: tokens of y}."""
        spikes = {
            "query_spatial": self.query_spatial({1.0: own}, steps),
            "query_temporal": self.query_temporal({1.0: own}, steps),
        }
        gated = []
        for name in self.others:
            key = self.key[name]({1.0: other[name]}, steps)
            value = self.value[name]({1.0: other[name]}, steps)
            both = key * value
            count = both.flatten(3).sum(3)  # [T, B, C]
            still = count.new_zeros(count.shape[2])
            spatial = lif(count, still, steps=steps, dv=FORGET_ALL, vth=self.spatial_vth, scale=1)
            temporal = lif(
                count, still, steps=steps, dv=self.slow_dv, vth=self.temporal_vth, scale=1
            )
            over_tokens = (*count.shape, *(1,) * (own.dim() - 3))
            gate_s = spikes["query_spatial"] * spatial.view(over_tokens)
            gate_t = spikes["query_temporal"] * temporal.view(over_tokens)
            gated += [gate_s, gate_t]
            found = {"key": key, "value": value, "both": both}
            found |= {"mask_spatial": spatial, "mask_temporal": temporal}
            found |= {"gate_spatial": gate_s, "gate_temporal": gate_t}
            spikes |= {f"{name}.{kind}": s for kind, s in found.items()}
        joined = torch.cat([rows.of(gate) for gate in gated], 2)
        gates = rows.back(joined, own.shape[1], own.shape[3:])
        spikes["complement"] = self.complement({1.0: gates}, steps)
        return spikes
