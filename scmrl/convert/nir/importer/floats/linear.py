"""NIR's linear nodes as maps."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .....system.errors import GraphError
from .maps import Conv, Diagonal, Map, Matrix, Shape, conv
from .parameters import MAX_NEURONS, numbers, padding, pair, parameter

LINEAR = (
    *("Affine", "Linear", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d"),
    *("Flatten", "Scale", "Delay"),
)
# axes of their input
RANKS = {"Affine": 1, "Linear": 1, "Conv1d": 2, "Conv2d": 3, "SumPool2d": 3, "AvgPool2d": 3}


def linear(kind: str, node: Any, name: str, shape: Shape) -> Map:
    """The map of a linear node on an input of `shape`."""
    if kind == "Scale":
        scale = parameter(node.scale, shape, name, "scale")
        return Diagonal(name, shape, shape, scale.ravel().copy())
    if kind in ("SumPool2d", "AvgPool2d"):
        return _pool(kind, node, name, shape)
    weight = numbers(node.weight, name, "weight")
    if kind in ("Affine", "Linear"):
        if weight.ndim != 2 or weight.shape[1] != prod(shape):
            raise GraphError(
                "weight does not fit its input", where=name, limit=shape, value=weight.shape
            )
        return Matrix(name, shape, (weight.shape[0],), weight)
    return _convolution(kind, node, name, shape, weight)


def _convolution(kind: str, node: Any, name: str, shape: Shape, weight: np.ndarray) -> Conv:
    if weight.ndim != RANKS[kind] + 1 or len(shape) != RANKS[kind] or weight.size == 0:
        raise GraphError(
            "convolution does not fit its input", where=name, limit=shape, value=weight.shape
        )
    stride, dilation = pair(node.stride, name, "stride"), pair(node.dilation, name, "dilation")
    around, groups = padding(node.padding, name), pair(node.groups, name, "groups")[0]
    if min(*stride, *dilation, groups) < 1:
        raise GraphError("stride, dilation and groups are at least 1", where=name)
    if kind == "Conv1d":  # as an image of one row
        shape, weight = (shape[0], 1, shape[1]), weight[:, :, None]
        stride, dilation = (1, stride[0]), (1, dilation[0])
        around = around if isinstance(around, str) else (0, around[0])
    return conv(name, shape, weight, stride, around, dilation, groups)


def _pool(kind: str, node: Any, name: str, shape: Shape) -> Conv:
    kernel = pair(node.kernel_size, name, "kernel_size")
    stride = pair(node.stride, name, "stride")
    if len(shape) != 3 or min(*kernel, *stride) < 1 or prod(kernel) * shape[0] > MAX_NEURONS:
        raise GraphError("pooling does not fit its input", where=name, limit=shape, value=kernel)
    one = 1.0 if kind == "SumPool2d" else 1.0 / (kernel[0] * kernel[1])
    weight = np.full((shape[0], 1, *kernel), one)
    return conv(name, shape, weight, stride, pair(node.padding, name, "padding"), groups=shape[0])
