"""What can be chosen of a network, with its meaning and its range."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.fixed_point import DECAY_ONE, THRESHOLD_MAX
from .setting import setting

# Attentions of the published, float model and its baselines (train/published): not for a chip.
CCSSA = ("ccssa", "ccssa-released", "ccssa-spatial", "ccssa-temporal")
FLOAT = (*CCSSA, "weight-attention", "sca", "cmci", "late-float")


@dataclass(frozen=True)
class ModelConfig:
    """The network: width C, T steps; decays are 12-bit integers, thresholds counts of spikes."""

    modalities: tuple[str, ...] = setting(
        ("audio", "visual"), "senses, the first one keeps its samples"
    )
    width: int = setting(64, "channels C of the tokens, a multiple of 8", low=8, high=1 << 24)
    steps: int = setting(4, "time steps T of a sample", low=1, high=1 << 20)
    embedding: str = setting(
        "strided",
        "strided and deep (max-pool): image / 16; shallow: image / 4",
        choices=("strided", "deep", "shallow"),
    )
    attention: str = setting(
        "binary",
        "binary; none: late fusion; joint: one MLP over all tokens, side by side; broadcast: own"
        " tokens beside the others', pooled; all others as published, in float, not for a chip",
        choices=("binary", "none", "joint", "broadcast", *FLOAT),
    )
    fusion: str = setting(
        "concat", "concat: one head per modality; add: one head for all", choices=("concat", "add")
    )
    alpha: float = setting(
        0.5, "weight of the complementary feature in the residual", low=0, high=100
    )
    mlp_ratio: int = setting(2, "hidden channels of the MLP over C", low=1, high=1024)
    dv: int = setting(
        2048, "membrane leak: v keeps (4096 - dv) / 4096 per step", low=0, high=DECAY_ONE - 1
    )
    slow_dv: int = setting(512, "membrane leak of the temporal mask", low=0, high=DECAY_ONE - 1)
    spatial_vth: int = setting(
        0, "spatial mask: more than this many tokens now", low=0, high=THRESHOLD_MAX
    )
    temporal_vth: int = setting(
        1, "temporal mask: more than this many tokens, leaking", low=0, high=THRESHOLD_MAX
    )
    branches: bool = setting(
        True, "false: a chain, where a layer reads only the one before; one modality"
    )
    bias_exp_min: int = setting(
        0, "biases are multiples of 2^this membrane units; netx files need 6", low=0, high=7
    )
