"""The float LIF neuron of S-CMRL, with the batch norm before it, all steps in one fused kernel.

    I[t] = gamma (y[t] - mean) / sqrt(variance + eps) + beta    over steps, batch, places; optional
    v[t] = (v[t-1] + I[t]) / 2;    s[t] = v[t] >= 1;    v[t] = 0 where s[t]    tau = 2, threshold 1
    ds[t]/dI[t] = 1/2 g(v[t] - 1),   g(x) = 4 sigma(4 x) (1 - sigma(4 x));     no other derivative

He et al. 2025 (arXiv 2502.12488) detach the membrane of the step before, so credit is local in
time, and the threshold is 1 in every layer: a threshold of 0.5 that the published code asks for in
its attention reaches no neuron.

The kernels work on rows of channels (`scmrl.network.kernels.rows`) and keep no membrane for
the backward pass: it is a few additions to compute again, and memory is what the plain loop waits
for.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, cast

import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...network.kernels import rows
from ...network.kernels.rows import exp_of_minus

ALPHA = 4.0


@numba.njit(parallel=True, cache=True)
def _scan(y: np.ndarray, scale: np.ndarray, shift: np.ndarray, steps: int) -> np.ndarray:
    """y [T or 1, n], scale and shift [C] -> spikes [steps, n]."""
    scale, shift = rows.tile(scale), rows.tile(shift)
    n, length, repeat = y.shape[1], len(scale), y.shape[0] == 1
    spikes = np.empty((steps, n), np.float32)
    half, one, zero = np.float32(0.5), np.float32(1), np.float32(0)
    for block in numba.prange((n + length - 1) // length):
        first, last = block * length, min(block * length + length, n)
        v = np.zeros(length, np.float32)
        for t in range(steps):
            drive, out = y[0 if repeat else t, first:last], spikes[t, first:last]
            for i in range(last - first):
                x = half * (v[i] + (drive[i] * scale[i] + shift[i]))
                out[i] = one if x >= one else zero
                v[i] = zero if x >= one else x
    return spikes


# error_model: a division that may raise is not vectorised.
@numba.njit(parallel=True, cache=True, error_model="numpy")
def _scan_back(
    grad: np.ndarray,
    y: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    mean: np.ndarray,
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """dL/dI summed over the steps that share a y [T or 1, n], and its sums and those of dL/dI (y -
    mean), by chunk and place in a block.
    """
    scale, shift, mean = rows.tile(scale), rows.tile(shift), rows.tile(mean)
    n, length, once = y.shape[1], len(scale), y.shape[0] == 1 and steps > 1
    out = np.empty_like(y)
    sums = np.zeros((2, rows.CHUNKS, length), np.float64)
    zero, half, one = np.float32(0), np.float32(0.5), np.float32(1)
    two, four = np.float32(2), np.float32(4)
    blocks = (n + length - 1) // length
    for chunk in numba.prange(rows.CHUNKS):
        v, g = np.empty(length, np.float32), np.empty(length, np.float32)
        total, moment = sums[0, chunk], sums[1, chunk]
        for block in range(blocks * chunk // rows.CHUNKS, blocks * (chunk + 1) // rows.CHUNKS):
            first, last = block * length, min(block * length + length, n)
            v[:] = zero
            for t in range(steps):
                row = 0 if once else t
                drive, given, kept = y[row, first:last], grad[t, first:last], out[row, first:last]
                for i in range(last - first):
                    x = half * (v[i] + (drive[i] * scale[i] + shift[i]))
                    v[i] = zero if x >= one else x
                    e = exp_of_minus(four * abs(x - one))
                    g[i] = given[i] * (two * e / ((one + e) * (one + e)))
                for i in range(last - first):
                    kept[i] = kept[i] + g[i] if once and t > 0 else g[i]
                for i in range(last - first):
                    total[i] += g[i]
                for i in range(last - first):
                    moment[i] += g[i] * (drive[i] - mean[i])
    return out, sums


class _Spikes(torch.autograd.Function):
    """Spikes [steps, n] of currents [T or 1, n]."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, steps: int) -> Tensor:
        ctx.flat, ctx.steps = current.detach().numpy(), steps
        return torch.from_numpy(_scan(ctx.flat, *_SAME, steps))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        out, _ = _scan_back(grad.contiguous().numpy(), ctx.flat, *_SAME, _SAME[1], ctx.steps)
        return torch.from_numpy(out), None


_SAME = np.ones(1, np.float32), np.zeros(1, np.float32)  # scale and shift of what is not normalised


class _NormSpikes(torch.autograd.Function):
    """Spikes [steps, M, C] of rows y [T or 1, M, C], normalised over T and M."""

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        gamma: Tensor,
        beta: Tensor,
        running_mean: Tensor,
        running_variance: Tensor,
        steps: int,
    ) -> Tensor:
        ctx.flat, ctx.shape, ctx.steps = rows.flat(y), y.shape, steps
        norm, places = (gamma, beta, running_mean, running_variance), steps * y.shape[1]
        scale, shift, mean, ctx.inverse = rows.observe(ctx.flat.reshape(-1), norm, places)
        ctx.channels = scale, shift, mean
        return torch.from_numpy(_scan(ctx.flat, scale, shift, steps)).view(steps, *y.shape[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        out, sums = _scan_back(rows.flat(grad), ctx.flat, *ctx.channels, ctx.steps)
        (scale, _, mean), y = ctx.channels, ctx.flat.reshape(-1)
        gradients = rows.norm_back(out.reshape(-1), y, sums, scale, mean, ctx.inverse, 1)
        own = torch.from_numpy(out).view(ctx.shape)
        return own, *map(torch.from_numpy, gradients), *(None,) * 3


def lif_loop(current: Tensor, steps: int) -> Tensor:
    """The same neuron step by step in torch operations: the definition."""
    v, spikes = torch.zeros_like(current[0]), []
    for t in range(steps):
        v = 0.5 * (v.detach() + current[0 if len(current) == 1 else t])
        s = _Step.apply(v)
        v = v * (1 - s.detach())
        spikes.append(s)
    return torch.stack(spikes)


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        return (v >= 1).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (v,) = ctx.saved_tensors
        y = torch.sigmoid(ALPHA * (v - 1))
        return grad * ALPHA * y * (1 - y)


def lif(current: Tensor, steps: int) -> Tensor:
    """Spikes {0, 1} [steps, ...] for currents [T or 1, ...]; one step is a constant current."""
    if current.is_cuda and current.dtype == torch.float32 and find_spec("triton"):
        from .lif_triton import Spikes

        return Spikes.apply(current, steps)
    if not rows.fused(current):
        return lif_loop(current, steps)
    return _Spikes.apply(current.reshape(len(current), -1), steps).view(steps, *current.shape[1:])


def norm_lif(y: Tensor, norm: nn.BatchNorm1d | nn.BatchNorm2d, steps: int) -> Tensor:
    """Spikes [steps, M, C] of rows y [T or 1, M, C] after batch norm, whose moments follow."""
    learnt = norm.weight, norm.bias
    running = cast("tuple[Tensor, Tensor]", (norm.running_mean, norm.running_var))
    if norm.training and rows.fused(y):
        return _NormSpikes.apply(y, *learnt, *running, steps)
    if norm.training:
        return lif(rows.batch_norm(y, *learnt, running), steps)
    normal = F.batch_norm(y.flatten(0, 1), *running, *learnt, False, eps=rows.EPSILON)
    return lif(normal.view(y.shape), steps)
