"""Rows of channels, the layout of the fused neurons: [T, B, positions, C], channels side by side.

Pooling, convolution and batch norm then work on whole vectors of channels, and a map shared by all
positions is one matrix product. Tensors keep their logical shape [T, B, C, ...]; `of` gives the
rows (a view, where memory already is in that order) and `back` the tensor. Kernels walk over blocks
of whole rows, with what belongs to a channel repeated to the length of a block (`tile`), and sum in
`CHUNKS` parts whatever the number of threads: the same numbers with any.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from torch import Tensor
from torch.nn import functional as F

from . import processes

EPSILON, MOMENTUM = 1e-5, 0.1  # of every batch norm
CHUNKS = 8
BLOCK = 512  # numbers in a block, about: what a kernel holds of it stays in the first cache


def fused(x: Tensor) -> bool:
    """Whether the kernels take this tensor."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def of(x: Tensor) -> Tensor:
    """[T, B, C, ...] -> [T, B * positions, C]."""
    return x.movedim(2, -1).reshape(x.shape[0], -1, x.shape[2])


def back(rows: Tensor, batch: int, positions: tuple[int, ...]) -> Tensor:
    """[T, B * positions, C] -> [T, B, C, *positions], a view."""
    return rows.view(rows.shape[0], batch, *positions, rows.shape[2]).movedim(-1, 2)


def frames(x: Tensor) -> Tensor:
    """[T, B, C, H, W] -> [T * B, C, H, W] in memory as rows, which is how torch convolves fastest
    and what the neurons take in.
    """
    return x.flatten(0, 1).movedim(1, -1).contiguous().movedim(-1, 1)


def flat(x: Tensor) -> np.ndarray:
    """The numbers of [T, ...], as [T, n]."""
    return x.detach().contiguous().view(x.shape[0], -1).numpy()


@numba.njit(cache=True)
def tile(values: np.ndarray, block: int = BLOCK) -> np.ndarray:
    """Values of the channels [C], repeated to the length of a block."""
    repeats = max(1, block // len(values))
    out = np.empty(repeats * len(values), values.dtype)
    for i in range(repeats):
        out[i * len(values) : (i + 1) * len(values)] = values
    return out


def spread(values: Any) -> Any:
    """In kernels: values of the channels `tile`d, one number for all as it is."""
    return tile(values) if isinstance(values, np.ndarray) else values


@overload(spread)
def _spread(values: Any) -> Any:
    def of_channels(values: Any) -> Any:
        return tile(values)

    def alone(values: Any) -> Any:
        return values

    return of_channels if isinstance(values, types.Array) else alone


def at(values: Any, i: int) -> Any:
    """In kernels: the value at place i of a block. One number stays in a register."""
    return values[i] if isinstance(values, np.ndarray) else values


@overload(at, inline="always")
def _at(values: Any, i: int) -> Any:
    def of_channels(values: Any, i: int) -> Any:
        return values[i]

    def alone(values: Any, i: int) -> Any:
        return values

    return of_channels if isinstance(values, types.Array) else alone


@intrinsic
def _bits_as_float(typing: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@numba.njit(inline="always")
def exp_of_minus(x: np.float32) -> np.float32:
    """exp(-x) in float32 for x >= 0, to 1e-7 of its value, in operations that run sixteen at once.

    -x = r - n log 2, |r| <= log(2) / 2; exp r by its Taylor series, times 2^-n made from its bits.
    """
    x = min(x, np.float32(80))
    n = np.int32(x * np.float32(1.4426950408889634) + np.float32(0.5))
    f = np.float32(n)
    r = (f * np.float32(0.693359375) - x) - f * np.float32(2.12194440e-4)  # log 2 in two parts
    p = np.float32(1 / 5040)
    p = p * r + np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + np.float32(1 / 2)
    p = p * r + np.float32(1)
    p = p * r + np.float32(1)
    return p * _bits_as_float((np.int32(127) - n) << np.int32(23))


@numba.njit(parallel=True, cache=True)
def _sums(y: np.ndarray, length: int) -> np.ndarray:
    """Sums of y [n] and y^2 by chunk and place in a block."""
    n = len(y)
    blocks = (n + length - 1) // length
    sums = np.zeros((2, CHUNKS, length), np.float64)
    for chunk in numba.prange(CHUNKS):
        total, square = sums[0, chunk], sums[1, chunk]
        for block in range(blocks * chunk // CHUNKS, blocks * (chunk + 1) // CHUNKS):
            part = y[block * length : min(block * length + length, n)]
            for i in range(len(part)):
                x = np.float64(part[i])
                total[i] += x
                square[i] += x * x
    return sums


@numba.njit(cache=True)
def by_channel(sums: np.ndarray, channels: int) -> np.ndarray:
    """[2, chunks, block] -> float64 [2, C]."""
    totals = np.zeros((2, channels))
    for which in range(2):
        for chunk in range(sums.shape[1]):
            for i in range(sums.shape[2]):
                totals[which, i % channels] += sums[which, chunk, i]
    return totals


def observe(y: np.ndarray, norm: tuple[Tensor, ...], count: int) -> tuple[np.ndarray, ...]:
    """Batch norm of rows y [n] by their own moments, as float32 [C]: scale, shift, mean, 1 /
    sqrt(variance + epsilon). Of `norm`, gamma, beta, running mean and variance [C], the last two
    follow in place, the variance unbiased for `count` values of each channel.
    """
    channels, arrays = len(norm[0]), [x.detach().numpy() for x in norm]
    totals = by_channel(_sums(y, channels * max(1, BLOCK // channels)), channels)
    parts = processes.sum_over(totals)
    return _observed(totals, parts * len(y) // channels, *arrays, parts * count)


@numba.njit(cache=True, error_model="numpy")
def _observed(
    totals: np.ndarray,
    n: int,
    gamma: np.ndarray,
    beta: np.ndarray,
    running_mean: np.ndarray,
    running_variance: np.ndarray,
    count: int,
) -> tuple[np.ndarray, ...]:
    channels = len(gamma)
    scale, shift = np.empty(channels, np.float32), np.empty(channels, np.float32)
    middle, inverse = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for c in range(channels):
        mean = totals[0, c] / n
        variance = max(totals[1, c] / n - mean * mean, 0.0)
        middle[c], inverse[c] = mean, 1 / np.sqrt(variance + EPSILON)
        scale[c] = gamma[c] * inverse[c]
        shift[c] = beta[c] - middle[c] * scale[c]
        unbiased = variance * count / max(count - 1, 1)
        running_mean[c] += np.float32(MOMENTUM) * (middle[c] - running_mean[c])
        running_variance[c] += np.float32(MOMENTUM) * (np.float32(unbiased) - running_variance[c])
    return scale, shift, middle, inverse


def batch_norm(y: Tensor, gamma: Tensor, beta: Tensor, running: tuple[Tensor, Tensor]) -> Tensor:
    """Batch norm of y [T, B, C, ...] by its own moments, in torch's operations; the running mean
    and variance [C] follow in place. Several processes take the moments of all their parts.
    """
    if processes.world() == 1:
        flat = F.batch_norm(y.flatten(0, 1), *running, gamma, beta, True, MOMENTUM, EPSILON)
        return flat.view(y.shape)
    others, each = [d for d in range(y.dim()) if d != 2], (-1, *(1,) * (y.dim() - 3))
    wide, count = y.double(), y.numel() // y.shape[2]
    own = wide.sum(others), (wide * wide).sum(others), wide.new_full(gamma.shape, count)
    total, square, n = processes.summed(torch.stack(own))
    mean = total / n
    variance = (square / n - mean * mean).clamp(min=0)
    with torch.no_grad():
        for x, seen in zip(running, (mean, variance * n / (n - 1).clamp(min=1))):
            x += MOMENTUM * (seen.to(x.dtype) - x)
    scale = gamma / torch.sqrt(variance + EPSILON)
    return ((wide - mean.view(each)) * scale.view(each) + beta.view(each)).to(y.dtype)


@numba.njit(parallel=True, cache=True)
def _norm_back(
    grad: np.ndarray,
    y: np.ndarray,
    gain: np.ndarray,
    mean: np.ndarray,
    level: np.ndarray,
    slope: np.ndarray,
) -> None:
    gain, mean, level, slope = tile(gain), tile(mean), tile(level), tile(slope)
    n, length = len(y), len(gain)
    for block in numba.prange((n + length - 1) // length):
        first, last = block * length, min(block * length + length, n)
        g, given = grad[first:last], y[first:last]
        for i in range(last - first):
            g[i] = gain[i] * (g[i] - level[i] - (given[i] - mean[i]) * slope[i])


def norm_back(
    grad: np.ndarray,
    y: np.ndarray,
    sums: np.ndarray,
    scale: np.ndarray,
    mean: np.ndarray,
    inverse: np.ndarray,
    fine: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Turns grad [n], dL/da of a = fine I, I = scale (y - mean) + beta, into dL/dy in place;
    returns dL/dgamma and dL/dbeta float32 [C]. sums: those of grad and of grad (y - mean), by chunk
    and place in a block.

    dL/dy = fine scale (grad - sum grad / n - (y - mean) inverse^2 sum grad (y - mean) / n)
    n rows of y
    """
    own = by_channel(sums, len(scale))
    totals = own.copy()
    n = processes.sum_over(totals) * len(y) // len(scale)
    level, slope = (totals / n).astype(np.float32)
    _norm_back(grad, y, np.float32(fine) * scale, mean, level, slope * inverse * inverse)
    return (fine * own[1] * inverse).astype(np.float32), (fine * own[0]).astype(np.float32)
