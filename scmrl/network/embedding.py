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

from .network import Network
from .nodes.counting import Pool
from .nodes.layer import Layer
from .nodes.maps import Conv2d
from .nodes.neurons import LIF
from .nodes.signal import Signal
from .settings import ModelConfig

# Divisors of the embedding width.
STAGES = {"strided": (8, 4, 2, 1), "deep": (8, 4, 2, 1), "shallow": (2, 1)}
SPARSE_GAMMA = 0.5  # before an OR the drive starts at half a threshold: 3 % of the neurons fire


def embed(net: Network, m: str, x: Signal, config: ModelConfig) -> Signal:
    """Adds the stages of modality m to its input; gives the tokens x_n (+ r with branches)."""
    pooled = config.embedding != "strided"
    gamma, stride = (SPARSE_GAMMA, 1) if pooled else (1.0, 2)

    def layer(name: str, channels: int, source: Signal, stride: int = 1) -> Signal:
        map_, neuron = Conv2d(channels, stride=stride), LIF(dv=config.dv)
        return net.add(f"{m}.{name}", Layer(map_, neuron, gamma=gamma), source)

    for i, divisor in enumerate(STAGES[config.embedding], 1):
        x = layer(f"stage{i}", config.width // divisor, x, stride)
        if pooled:
            x = net.add(f"{m}.pool{i}", Pool(), x)
    return x + layer("position", config.width, x) if config.branches else x
