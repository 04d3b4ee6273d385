"""Blocks of the published model: spiking layer, patch embedding, attention (tokens or steps), MLP.

Tensors are [T, B, C, H, W] in the embedding and [T, B, C, N] after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...network.kernels import rows
from ...network.kernels.pooling import FUSED, pool
from .lif import lif, norm_lif

if TYPE_CHECKING:
    from .cost import Counter

HEADS = 16
GAIN = 0.25  # of attention, whatever the size of a head
STAGES = {"deep": (8, 4, 2, 1), "shallow": (2, 1)}


class Layer(nn.Module):
    """LIF(BN(W x)): W a convolution of size `kernel`, or a map shared by all tokens (kernel 1)."""

    def __init__(self, channels_in: int, channels: int, kernel: int = 1, bias: bool = False):
        super().__init__()
        make: Any  # Conv1d or Conv2d
        norm: type[nn.BatchNorm1d | nn.BatchNorm2d]
        make, norm = (nn.Conv1d, nn.BatchNorm1d) if kernel == 1 else (nn.Conv2d, nn.BatchNorm2d)
        self.synapses = make(channels_in, channels, kernel, padding=kernel // 2, bias=bias)
        self.norm = norm(channels)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        if self.synapses.kernel_size[0] == 1:
            y = F.linear(rows.of(x), self.synapses.weight[:, :, 0], self.synapses.bias)
        else:
            y = rows.of(self.synapses(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
        return rows.back(norm_lif(y, self.norm, steps), x.shape[1], x.shape[3:])


class PatchEmbedding(nn.Module):
    """Stages of Conv3x3, BN, LIF, max-pool; x + LIF(BN(Conv3x3 x)) in {0, 1, 2}: [T, B, C, N]."""

    def __init__(self, channels_in: int, width: int, form: str):
        super().__init__()
        channels = [channels_in, *(width // divisor for divisor in STAGES[form])]
        self.stages = nn.ModuleList(Layer(a, b, 3) for a, b in zip(channels, channels[1:]))
        self.position = Layer(width, width, 3)

    def forward(self, x: Tensor, steps: int) -> Tensor:
        for stage in self.stages:
            x = pool(stage(x, steps), *FUSED)
        return (x + self.position(x, steps)).flatten(3)


def grid_of(shape: tuple[int, ...], form: str) -> tuple[int, int]:
    """Rows and columns of tokens of an input (C, H, W): each pooling halves, rounded up."""
    shrink = 2 ** len(STAGES[form])
    return -(-shape[1] // shrink), -(-shape[2] // shrink)


class Attention(nn.Module):
    """LIF(BN(W LIF(1/4 (q k^T) v))) over tokens, step by step, or over steps, token by token.

    query [T, B, C, N] of one modality, source [T, B, C, N] of the other (or the same).
    """

    def __init__(self, width: int, over: str):
        super().__init__()
        self.over = over
        self.query, self.key, self.value = (Layer(width, width) for _ in range(3))
        self.project = Layer(width, width)
        self.counter: Counter | None = None  # while it counts

    def _heads(self, x: Tensor) -> Tensor:
        """[T, B, C, N] -> [..., attended axis, d]."""
        split = x.unflatten(2, (HEADS, -1))  # T B h d N
        return split.permute((0, 1, 2, 4, 3) if self.over == "space" else (1, 4, 2, 0, 3))

    def _joined(self, heads: Tensor) -> Tensor:
        """The inverse of `_heads`, as rows [T, B * N, C]."""
        split = heads.permute((0, 1, 3, 2, 4) if self.over == "space" else (3, 0, 1, 2, 4))
        return split.flatten(3).flatten(1, 2)

    def forward(self, own: Tensor, source: Tensor) -> Tensor:
        steps = len(own)
        layers = ((self.query, own), (self.key, source), (self.value, source))
        q, k, v = (self._heads(layer(x, steps)) for layer, x in layers)
        spikes = lif(self._joined(GAIN * self.weighted(q, k, v)), steps)
        if self.counter is not None:
            self.counter.spikes += float(spikes.sum(dtype=torch.float64))
        return self.project(rows.back(spikes, own.shape[1], own.shape[3:]), steps)

    def weighted(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q k^T v of [..., N, d]."""
        if self.counter is not None:
            self.counter.attention(q, k, v)
        return product(q, k, v)


def product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q k^T v of [..., N, d]: without a softmax the shorter order gives the same counts."""
    tokens, size = q.shape[-2:]
    return q @ (k.transpose(-1, -2) @ v) if tokens >= size else (q @ k.transpose(-1, -2)) @ v


class MLP(nn.Module):
    """x + LIF(BN(W2 LIF(BN(W1 x)))), C -> 4 C -> C, with biases."""

    def __init__(self, width: int):
        super().__init__()
        self.hidden = Layer(width, 4 * width, bias=True)
        self.out = Layer(4 * width, width, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(self.hidden(x, len(x)), len(x))
