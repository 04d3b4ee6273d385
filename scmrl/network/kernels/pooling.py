"""Max-pool of spikes, 3 x 3 with stride 2 and a border of 1: a window fires if any place does.

    s[o] = max of x over the window;    the gradient goes to its first place, row by row, of that

As torch's, also in a silent window, whose gradient goes to its first place. On a CPU a kernel works
on rows of channels (`rows`): it ranks the places of a window in one byte, (spike, row, column), and
takes the largest.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from . import rows

FUSED = (3, 3), (2, 2), (1, 1)  # kernel, stride, padding that have a kernel of their own
FIRED = 16  # rank = 16 spike + 4 (2 - row) + (2 - column), -1 or less outside


@numba.njit(parallel=True, cache=True)
def _pool(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    """x [frames, H, W, C] -> spikes [frames, H/2, W/2, C]; `places` become their ranks & 15."""
    (frames, height, width, channels), (_, lines, columns, _) = x.shape, places.shape
    spikes = np.empty(places.shape, np.float32)
    for frame in numba.prange(frames):
        rank = np.empty((width + 2) * channels, np.int8)  # of a row's places, with its borders
        inner = rank[channels:-channels]
        for row in range(lines):
            rank[:] = np.int8(-8)
            for k in range(3):
                above = 2 * row - 1 + k
                if 0 <= above < height:
                    line = x[frame, above].reshape(-1)
                    for i in range(len(line)):
                        place = (FIRED if line[i] > 0 else 0) + 4 * (2 - k)
                        inner[i] = max(inner[i], np.int8(place))
            for column in range(columns):
                out, kept = spikes[frame, row, column], places[frame, row, column]
                window = rank[2 * column * channels : (2 * column + 3) * channels]
                for c in range(channels):
                    left, middle = np.int8(window[c] + 2), np.int8(window[channels + c] + 1)
                    best = max(left, middle, window[2 * channels + c])
                    out[c] = np.float32(1) if best >= FIRED else np.float32(0)
                    kept[c] = best & 15
    return spikes


@numba.njit(parallel=True, cache=True)
def _pool_back(grad: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """grad, places [frames, H/2, W/2, C] -> out [frames, H, W, C]."""
    frames, lines, columns, channels = grad.shape
    for frame in numba.prange(frames):
        out[frame] = np.float32(0)
        for row in range(lines):
            for column in range(columns):
                for c in range(channels):
                    place = places[frame, row, column, c]
                    y, x = 2 * row + 1 - (place >> 2), 2 * column + 1 - (place & 3)
                    out[frame, y, x, c] += grad[frame, row, column, c]


class _Pool(torch.autograd.Function):
    """Spikes [frames, H, W, C] -> [frames, H/2, W/2, C]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        frames, height, width, channels = ctx.shape = x.shape
        ctx.places = np.empty((frames, (height + 1) // 2, (width + 1) // 2, channels), np.int8)
        return torch.from_numpy(_pool(x.detach().contiguous().numpy(), ctx.places))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        out = np.empty(ctx.shape, np.float32)
        _pool_back(grad.contiguous().numpy(), ctx.places, out)
        return torch.from_numpy(out)


def pool(
    spikes: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Whether any spike {0, 1} of a window is one: [T, B, C, H, W] -> [T, B, C, H', W']."""
    frames = spikes.flatten(0, 1)
    if rows.fused(spikes) and (kernel, stride, padding) == FUSED:
        out = _Pool.apply(frames.movedim(1, -1)).movedim(-1, 1)
    else:
        around = padding[1], padding[1], padding[0], padding[0]
        out = F.max_pool2d(F.pad(frames, around), kernel, stride)
    return out.unflatten(0, spikes.shape[:2])
