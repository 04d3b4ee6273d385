"""Linear maps from spikes to the sums that neurons take in: forward in torch, and as synapses.

    Dense     a = W flat(x)                     all neurons of the source to all of the target
    Shared    a[:, n] = W x[:, n]               one W for all positions n
    Pooled    a = W sum over n of x[:, n]       one W for all positions, without positions then
    Conv2d    a = W * x                         torch's cross-correlation; Conv1d: on (C, 1, L)

A map has no weights: the node that reads through it holds them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...core import graph
from ...core.synapse import Shape, Synapse
from ...system.errors import UsageError
from ..kernels import rows


@dataclass(frozen=True)
class Map:
    """A map to `outputs` channels or neurons. Weights are [outputs, ...]; axis 1 goes over the
    channels of the source (`Dense`: its neurons, channel by channel).
    """

    outputs: int

    def __post_init__(self) -> None:
        if self.outputs < 1:
            raise UsageError("a map needs an output", value=self.outputs, limit=">= 1")

    def weight(self, source: Shape) -> Shape:
        """The shape of the weight for a source."""
        return (self.outputs, source[0])

    def target(self, source: Shape) -> Shape:
        """The shape of what comes out. Raises `UsageError` where the map does not fit."""
        return (self.outputs, *source[1:])

    def features(self, x: Tensor) -> Tensor:
        """What of x [T, B, *source] the weights are applied to: the part without weights."""
        return x

    def joinable(self) -> bool:
        """Whether `joined` holds."""
        return True

    def joined(self, features: list[Tensor]) -> Tensor:
        """Features side by side: the map of them with weights side by side (axis 1) is the sum."""
        return torch.cat(features, 2)

    def apply(self, features: Tensor, weight: Tensor) -> Tensor:
        """[T, B, *target]."""
        raise NotImplementedError

    def columns(self, source: Shape) -> int:
        """How many columns of the weight (axis 1) belong to one channel of the source."""
        return 1

    def ungrouped(self, weight: np.ndarray) -> tuple[Map, np.ndarray]:
        """The same map with a weight whose axis 1 goes over all channels of the source."""
        return self, weight

    def synapse(
        self, source: str, target: str, weight: np.ndarray, shape: Shape, delay: int
    ) -> Synapse:
        """The map with integers, from a source of `shape`."""
        raise NotImplementedError


class Dense(Map):
    """All neurons of the source to `outputs` neurons."""

    def weight(self, source: Shape) -> Shape:
        return (self.outputs, math.prod(source))

    def target(self, source: Shape) -> Shape:
        return (self.outputs,)

    def columns(self, source: Shape) -> int:
        return math.prod(source[1:])

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(2)

    def apply(self, features: Tensor, weight: Tensor) -> Tensor:
        return F.linear(features, weight)

    def synapse(
        self, source: str, target: str, weight: np.ndarray, shape: Shape, delay: int
    ) -> Synapse:
        return graph.Dense(source, target, weight, delay=delay)


class Shared(Map):
    """Channels to `outputs` channels, the same at every position."""

    def joined(self, features: list[Tensor]) -> Tensor:
        side_by_side = torch.cat(list(map(rows.of, features)), 2)
        return rows.back(side_by_side, features[0].shape[1], features[0].shape[3:])

    def apply(self, features: Tensor, weight: Tensor) -> Tensor:
        out = F.linear(rows.of(features), weight)
        return rows.back(out, features.shape[1], features.shape[3:])

    def synapse(
        self, source: str, target: str, weight: np.ndarray, shape: Shape, delay: int
    ) -> Synapse:
        return graph.Pointwise(source, target, weight, delay=delay)


class Pooled(Map):
    """Channels, summed over their positions, to `outputs` neurons."""

    def target(self, source: Shape) -> Shape:
        return (self.outputs,)

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(3).sum(3) if x.dim() > 3 else x

    def apply(self, features: Tensor, weight: Tensor) -> Tensor:
        return features @ weight.T

    def synapse(
        self, source: str, target: str, weight: np.ndarray, shape: Shape, delay: int
    ) -> Synapse:
        everywhere = np.repeat(weight, math.prod(shape[1:]), axis=1)
        return graph.Dense(source, target, everywhere, delay=delay)


Pair = int | tuple[int, int]


def pair(value: Pair, name: str, low: int) -> tuple[int, int]:
    """One or two numbers as two. Raises `UsageError`."""
    both = (value, value) if isinstance(value, int) else tuple(value)
    if len(both) != 2 or not all(isinstance(n, int) and n >= low for n in both):
        raise UsageError(f"{name} must be one or two whole numbers", value=value, limit=f">= {low}")
    return both


@dataclass(frozen=True)
class Conv2d(Map):
    """A convolution on (C, H, W). `padding` None: kernel // 2, which keeps the size."""

    kernel: Pair = 3
    stride: Pair = 1
    padding: Pair | None = None
    dilation: Pair = 1
    groups: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kernel", "stride", "dilation"):
            pair(getattr(self, name), name, 1)
        if self.groups < 1 or self.outputs % self.groups:
            what = "output channels must be a multiple of the groups"
            raise UsageError(what, value=self.groups, limit=self.outputs)

    @property
    def _geometry(self) -> tuple[tuple[int, int], ...]:
        """(kernel, stride, padding, dilation)."""
        kernel, stride = pair(self.kernel, "kernel", 1), pair(self.stride, "stride", 1)
        dilation = pair(self.dilation, "dilation", 1)
        wide = (dilation[0] * (kernel[0] // 2), dilation[1] * (kernel[1] // 2))
        padding = wide if self.padding is None else pair(self.padding, "padding", 0)
        return kernel, stride, padding, dilation

    def weight(self, source: Shape) -> Shape:
        return (self.outputs, source[0] // self.groups, *self._geometry[0])

    def target(self, source: Shape) -> Shape:
        if len(source) != 3 or source[0] % self.groups:
            limit = f"(C, H, W), C a multiple of {self.groups}"
            raise UsageError("a convolution does not fit", value=source, limit=limit)
        sides = [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(source[1:], *self._geometry)
        ]
        if min(sides) < 1:
            raise UsageError("the kernel is larger than its padded input", value=source)
        return (self.outputs, *sides)

    def joinable(self) -> bool:
        return self.groups == 1

    def apply(self, features: Tensor, weight: Tensor) -> Tensor:
        _, stride, padding, dilation = self._geometry
        frames = rows.frames(features)
        out = F.conv2d(frames, weight, None, stride, padding, dilation, self.groups)
        return out.unflatten(0, features.shape[:2])

    def ungrouped(self, weight: np.ndarray) -> tuple[Map, np.ndarray]:
        out = np.zeros((len(weight), self.groups, *weight.shape[1:]), weight.dtype)
        group = np.arange(len(weight)) * self.groups // len(weight)
        out[np.arange(len(weight)), group] = weight
        return replace(self, groups=1), out.reshape(len(weight), -1, *weight.shape[2:])

    def synapse(
        self, source: str, target: str, weight: np.ndarray, shape: Shape, delay: int
    ) -> Synapse:
        (kh, kw), stride, padding, (dh, dw) = self._geometry
        size = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
        taps = np.zeros((*weight.shape[:2], *size), weight.dtype)
        taps[:, :, ::dh, ::dw] = weight
        return graph.Conv2d(source, target, taps, stride, padding, self.groups, delay=delay)


def Conv1d(
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    padding: int | None = None,
    dilation: int = 1,
    groups: int = 1,
) -> Conv2d:
    """A convolution over the last axis of (C, 1, L)."""
    around = dilation * (kernel // 2) if padding is None else padding
    return Conv2d(outputs, (1, kernel), (1, stride), (0, around), (1, dilation), groups)
