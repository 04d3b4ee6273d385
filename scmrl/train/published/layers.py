"""Blocks of the published model: a spiking layer, patch embedding, attention over tokens or steps, MLP.

Tensors are [T, B, C, H, W] in the embedding and [T, B, C, N] after it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .lif import lif

HEADS = 16
GAIN = 0.25                             # of attention, whatever the size of a head
POOL = {"kernel_size": 3, "stride": 2, "padding": 1}
STAGES = {"deep": (8, 4, 2, 1), "shallow": (2, 1)}


class Layer(nn.Module):
    """LIF(BN(W x)): W a convolution of size `kernel`, or a map shared by all tokens (kernel 1)."""

    def __init__(self, channels_in: int, channels: int, kernel: int = 1, bias: bool = False):
        super().__init__()
        make, norm = (nn.Conv1d, nn.BatchNorm1d) if kernel == 1 else (nn.Conv2d, nn.BatchNorm2d)
        self.synapses = make(channels_in, channels, kernel, padding=kernel // 2, bias=bias)
        self.norm = norm(channels)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        drive = self.norm(self.synapses(x.flatten(0, 1)))
        return lif(drive.view(*x.shape[:2], *drive.shape[1:]), steps)


class PatchEmbedding(nn.Module):
    """Stages of Conv3x3, BN, LIF, max-pool 3x3 stride 2; then x + LIF(BN(Conv3x3 x)), in {0, 1, 2}: [T, B, C, N]."""

    def __init__(self, channels_in: int, width: int, form: str):
        super().__init__()
        channels = [channels_in, *(width // divisor for divisor in STAGES[form])]
        self.stages = nn.ModuleList(Layer(a, b, 3) for a, b in zip(channels, channels[1:]))
        self.position = Layer(width, width, 3)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        for stage in self.stages:
            y = stage(x, steps)
            pooled = F.max_pool2d(y.flatten(0, 1), **POOL)
            x = pooled.view(*y.shape[:2], *pooled.shape[1:])
        return (x + self.position(x, steps)).flatten(3)


class Attention(nn.Module):
    """LIF(BN(W LIF(1/4 (q k^T) v))) over tokens (each step by itself) or over steps (each token by itself).

    query [T, B, C, N] of one modality, source [T, B, C, N] of the other (or the same); no softmax, so the product is
    taken as q (k^T v), linear in tokens.
    """

    def __init__(self, width: int, over: str):
        super().__init__()
        self.over = over
        self.query, self.key, self.value = (Layer(width, width) for _ in range(3))
        self.project = Layer(width, width)
        self.counter = None             # `cost.Counter`, while it counts

    def _heads(self, x: Tensor) -> Tensor:
        """[T, B, C, N] -> [..., attended axis, d]."""
        split = x.unflatten(2, (HEADS, -1))                              # T B h d N
        return split.permute(0, 1, 2, 4, 3) if self.over == "space" else split.permute(4, 1, 2, 0, 3)

    def forward(self, own: Tensor, source: Tensor) -> Tensor:
        steps = len(own)
        q, k, v = (self._heads(layer(x, steps))
                   for layer, x in ((self.query, own), (self.key, source), (self.value, source)))
        if self.counter is not None:
            self.counter.attention(q, k, v)
        out = GAIN * (q @ (k.transpose(-1, -2) @ v))
        back = out.permute(0, 1, 2, 4, 3) if self.over == "space" else out.permute(3, 1, 2, 4, 0)
        return self.project(lif(back.flatten(2, 3), steps), steps)


class MLP(nn.Module):
    """x + LIF(BN(W2 LIF(BN(W1 x)))), C -> 4 C -> C, with biases."""

    def __init__(self, width: int):
        super().__init__()
        self.hidden, self.out = Layer(width, 4 * width, bias=True), Layer(4 * width, width, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(self.hidden(x, len(x)), len(x))
