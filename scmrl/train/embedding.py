"""Spiking patch embedding: stages of convolution, batch norm, LIF and max-pool, then a positional branch.

    x_0 = input;   y_i = LIF(BN(Conv3x3(x_{i-1})));   x_i = OR over 3x3 windows, stride 2, of y_i
    r   = LIF(BN(Conv3x3(x_n)));                      output x_n and r, read together by what follows (x + r)

deep: four stages C/8, C/4, C/2, C (image / 16); shallow: two stages C/2, C (image / 4). He et al. 2025,
arXiv 2502.12488 (SPS, ShallowSPS). A chain has no r. The max-pool of spikes is an OR, so it is a
memoryless population on the chip.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ..hw_profiles.precision import Precision
from .layers import SpikingLayer

STAGES = {"deep": (8, 4, 2, 1), "shallow": (2, 1)}      # divisors of the embedding width
SPARSE_GAMMA = 0.5                      # the drive starts at half a threshold: 3 % of the neurons fire, not 10 %
POOL = {"kernel": 3, "stride": 2, "padding": 1}


class PatchEmbedding(nn.Module):
    """[T or 1, B, C_in, H, W] integers -> {population: spikes}: `pool{n}` (the tokens x) and, with `branches`,
    `position` (r).
    """

    def __init__(self, channels_in: int, width: int, depth: str, *, dv: int, precision: Precision,
                 branches: bool = True):
        super().__init__()
        channels = [channels_in, *(width // divisor for divisor in STAGES[depth])]

        def layer(before: int, after: int) -> SpikingLayer:
            return SpikingLayer(before, after, kernel=3, dv=dv, precision=precision, gamma=SPARSE_GAMMA)

        self.stages = nn.ModuleList(layer(a, b) for a, b in zip(channels, channels[1:]))
        self.position = layer(width, width) if branches else None

    def forward(self, x: Tensor, steps: int) -> dict[str, Tensor]:
        spikes = {}
        for i, stage in enumerate(self.stages, 1):
            spikes[f"stage{i}"] = y = stage({1.0: x}, steps)
            pooled = F.max_pool2d(y.flatten(0, 1), POOL["kernel"], POOL["stride"], POOL["padding"])
            spikes[f"pool{i}"] = x = pooled.view(*y.shape[:2], *pooled.shape[1:])
        if self.position is not None:
            spikes["position"] = self.position({1.0: x}, steps)
        return spikes
