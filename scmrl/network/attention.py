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
2502.12488, CCSSA), which multiplies counts and averages over future steps.
"""

from __future__ import annotations

from collections.abc import Mapping

from .network import Network
from .nodes.counting import And, Mask
from .nodes.layer import Layer
from .nodes.maps import Shared
from .nodes.neurons import LIF
from .nodes.signal import Signal
from .settings import ModelConfig

ALIVE_BETA = 0.5  # batch-norm offset of q, k and v: AND needs partners that fire


def binary(
    net: Network, at: str, own: Signal, others: Mapping[str, Signal], config: ModelConfig
) -> Signal:
    """Adds the attention of the tokens `own` [C, N] to those of `others`; gives z, as
    `at`.complement.
    """
    neuron = LIF(dv=config.dv)

    def layer(name: str, *tokens: Signal, beta: float = ALIVE_BETA) -> Signal:
        return net.add(f"{at}.{name}", Layer(Shared(config.width), neuron, beta=beta), *tokens)

    query_s, query_t = layer("query_spatial", own), layer("query_temporal", own)
    gates = []
    for other, tokens in others.items():
        key, value = layer(f"{other}.key", tokens), layer(f"{other}.value", tokens)
        both = net.add(f"{at}.{other}.both", And(), key, value)
        slow = LIF(dv=config.slow_dv)
        spatial = net.add(f"{at}.{other}.mask_spatial", Mask(config.spatial_vth), both)
        temporal = net.add(f"{at}.{other}.mask_temporal", Mask(config.temporal_vth, slow), both)
        gates += [
            net.add(f"{at}.{other}.gate_spatial", And(), query_s, spatial),
            net.add(f"{at}.{other}.gate_temporal", And(), query_t, temporal),
        ]
    return layer("complement", *gates, beta=0.0)
