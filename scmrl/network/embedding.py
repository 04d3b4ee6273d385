"""Spiking patch embedding: stages of convolution, batch norm and LIF that halve the image, then a
positional branch.

    strided:         x_i = LIF(BN(Conv3x3 stride 2 (x_{i-1})))                  x_0 = input
    deep, shallow:   y_i = LIF(BN(Conv3x3(x_{i-1})));   x_i = OR over 3x3 windows, stride 2, of y_i
    all:             r   = LIF(BN(Conv3x3(x_n)));       output x_n and r, read together by what
                     follows (x + r)

strided and deep: four stages C/8, C/4, C/2, C (image / 16); shallow: two stages C/2, C (image / 4).
deep and shallow are those of He et al. 2025, arXiv 2502.12488 (SPS, ShallowSPS); their max-pool of
spikes is an OR, so it is a memoryless population on the chip. The stride does without: a spike
reaches a quarter of the neurons, and no OR multiplies the rates (docs/results.md: more accurate at
a third of the synaptic operations). A chain has no r.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..hw_profiles.precision import Precision
from .layers import SpikingLayer
from .pooling import pool

STAGES = {
    "strided": (8, 4, 2, 1),
    "deep": (8, 4, 2, 1),
    "shallow": (2, 1),
}  # divisors of the embedding width
SPARSE_GAMMA = 0.5  # before an OR the drive starts at half a threshold: 3 % of the neurons fire


class PatchEmbedding(nn.Module):
    """[T or 1, B, C_in, H, W] integers -> {population: spikes}: all stages; the tokens x are those
    of `tokens`; with `branches` there is `position` (r).
    """

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
        stage = {"gamma": SPARSE_GAMMA} if self.pooled else {"stride": 2}
        self.stages = nn.ModuleList(
            SpikingLayer(a, b, kernel=3, dv=dv, precision=precision, **stage)
            for a, b in zip(channels, channels[1:])
        )
        self.position = None
        if branches:
            gamma = SPARSE_GAMMA if self.pooled else 1.0
            self.position = SpikingLayer(
                width, width, kernel=3, dv=dv, precision=precision, gamma=gamma
            )

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
