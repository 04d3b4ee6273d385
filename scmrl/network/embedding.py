"""Spiking patch embedding: stages (convolution, batch norm, LIF) that halve the image; a branch.

    strided:         x_i = LIF(BN(Conv3x3 stride 2 (x_{i-1})))                  x_0 = input
    deep, shallow:   y_i = LIF(BN(Conv3x3(x_{i-1})));   x_i = OR over 3x3 windows, stride 2, of y_i
    all:             r   = LIF(BN(Conv3x3(x_n))), the position;     what follows reads x_n + r

strided and deep: four stages C/8, C/4, C/2, C (image / 16); shallow: two stages C/2, C (image / 4).
deep and shallow are those of He et al. 2025, arXiv 2502.12488 (SPS, ShallowSPS); their max-pool of
spikes is an OR, so it is a memoryless population on the chip. The stride does without: a spike
reaches a quarter of the neurons, and no OR multiplies the rates (docs/results.md: more accurate at
a third of the synaptic operations). A chain has no r.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from ..hw_profiles.precision import Precision
from .layers import SpikingLayer
from .pooling import pool

# Divisors of the embedding width.
STAGES = {"strided": (8, 4, 2, 1), "deep": (8, 4, 2, 1), "shallow": (2, 1)}
SPARSE_GAMMA = 0.5  # before an OR the drive starts at half a threshold: 3 % of the neurons fire


class PatchEmbedding(nn.Module):
    """[T or 1, B, C_in, H, W] integers -> {population: spikes}: all stages; the tokens x are those
    of `tokens`; with `branches` there is `position` (r).
    """

    stages: Any  # ModuleList of SpikingLayer

    def __init__(
        self,
        channels_in: int,
        width: int,
        form: str,
        *,
        dv: int,
        precision: Precision,
        branches: bool = True,
    ):
        super().__init__()
        channels = [channels_in, *(width // divisor for divisor in STAGES[form])]
        self.pooled = form != "strided"
        gamma = SPARSE_GAMMA if self.pooled else 1.0
        layer = partial(SpikingLayer, kernel=3, dv=dv, precision=precision, gamma=gamma)
        stride = 1 if self.pooled else 2
        self.stages = nn.ModuleList(
            layer(a, b, stride=stride) for a, b in zip(channels, channels[1:])
        )
        self.position = layer(width, width) if branches else None

    @property
    def tokens(self) -> str:
        """Name of the population whose spikes are the tokens."""
        return f"{'pool' if self.pooled else 'stage'}{len(self.stages)}"

    def forward(self, x: Tensor, steps: int) -> dict[str, Tensor]:
        spikes = {}
        for i, stage in enumerate(self.stages, 1):
            spikes[f"stage{i}"] = x = stage({1.0: x}, steps)
            if self.pooled:
                spikes[f"pool{i}"] = x = pool(x)
        if self.position is not None:
            spikes["position"] = self.position({1.0: x}, steps)
        return spikes
