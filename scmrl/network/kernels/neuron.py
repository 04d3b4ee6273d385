"""The hardware-aware LIF neuron of training: the chip's integers forward, a surrogate backward.

Forward (exactly `scmrl.core.fixed_point` with du = 4095, that is u = a << 6):

    v[t] = sat24( trunc(v[t-1] * (4096 - dv) / 4096) + wrap24(64 a[t]) + bias )
    s[t] = v[t] > 64 vth;   v[t] = 0 where s[t]

Backward: the distance to threshold before the reset, x = (v - 64 vth) / (64 scale), goes through
SuperSpike's surrogate derivative (Zenke & Ganguli 2018, as in norse); the membrane of the step
before is a constant, as in S-CMRL (He et al. 2025, arXiv 2502.12488), so that credit is local in
time:  ds[t]/da[t] = slope / (slope |x| + 1)^2 / scale.

On a CPU all steps are one kernel on rows of channels (`scmrl.network.kernels.rows`), forward and
backward, and the batch norm of a layer in training is part of it; elsewhere the same in torch
operations, with norse's threshold.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from norse.torch.functional.threshold import threshold
from torch import Tensor

from ...core.fixed_point import CURRENT_SHIFT, DECAY_ONE, STATE_MAX
from . import rows, stepping
from .integers import UNIT, kept, plus, saturated, times, wrapped

i32 = np.int32
f32 = np.float32
EXACT = 1 << 24  # beyond it float32 has no exact integers
LIVE_VTH = 4096  # resolution of the drive while batch norm is live
LIVE_LIMIT = 30.0  # |drive| in thresholds, keeps 64 a inside 24 bits
SURROGATE = "super"  # SuperSpike (Zenke & Ganguli 2018): 1 / (|slope x| + 1)^2
Values = int | np.ndarray  # one, or one a channel
SLOPE = 2.0  # in 1 / threshold; goes into x, since norse 1.1 ignores the method's alpha


@numba.njit(inline="always")
def _charged(
    v: i32, y: f32, scale: f32, shift: f32, bias: i32, limit: f32, fine: f32, keep: i32
) -> i32:
    """v[t] before the reset, of int32 v[t-1]."""
    a = i32(np.rint(min(max(y * scale + shift, -limit), limit) * fine))
    u = wrapped(times(a, i32(UNIT)))
    return saturated(plus(plus(kept(v, keep), u), bias))


@numba.njit(parallel=True, cache=True)
def _scan(
    y: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    bias: np.ndarray,
    limit: f32,
    fine: f32,
    keep: Any,
    theta: Any,
    steps: int,
) -> np.ndarray:
    """y [T or 1, n], channels [C] -> spikes [steps, n]."""
    scale, shift, bias = rows.tile(scale), rows.tile(shift), rows.tile(bias)
    keep, theta = rows.spread(keep), rows.spread(theta)
    n, length, repeat = y.shape[1], len(scale), y.shape[0] == 1
    spikes = np.empty((steps, n), np.float32)
    one, zero, rest = np.float32(1), np.float32(0), i32(0)
    for block in numba.prange((n + length - 1) // length):
        first, last = block * length, min(block * length + length, n)
        v = np.zeros(length, np.int32)
        for t in range(steps):
            drive, out = y[0 if repeat else t, first:last], spikes[t, first:last]
            for i in range(last - first):
                left, bar = rows.at(keep, i), rows.at(theta, i)
                x = _charged(v[i], drive[i], scale[i], shift[i], bias[i], limit, fine, left)
                out[i] = one if x > bar else zero
                v[i] = rest if x > bar else x
    return spikes


# error_model: a division that may raise is not vectorised.
@numba.njit(parallel=True, cache=True, error_model="numpy")
def _scan_back(
    grad: np.ndarray,
    y: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    bias: np.ndarray,
    mean: np.ndarray,
    limit: f32,
    fine: f32,
    keep: Any,
    theta: Any,
    width: Any,
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """dL/da summed over the steps that share a y [T or 1, n] (zero beyond the limit), and its sums
    and those of dL/da (y - mean), by chunk and place in a block.
    """
    scale, shift, bias, mean = rows.tile(scale), rows.tile(shift), rows.tile(bias), rows.tile(mean)
    keep, theta = rows.spread(keep), rows.spread(theta)
    narrow, gain = rows.spread(f32(1) / width), rows.spread(f32(UNIT) / width)
    n, length, once = y.shape[1], len(scale), y.shape[0] == 1 and steps > 1
    out = np.empty_like(y)
    sums = np.zeros((2, rows.CHUNKS, length), np.float64)
    one, zero, rest = np.float32(1), np.float32(0), i32(0)
    blocks = (n + length - 1) // length
    for chunk in numba.prange(rows.CHUNKS):
        v, g = np.empty(length, np.int32), np.empty(length, np.float32)
        total, moment = sums[0, chunk], sums[1, chunk]
        for block in range(blocks * chunk // rows.CHUNKS, blocks * (chunk + 1) // rows.CHUNKS):
            first, last = block * length, min(block * length + length, n)
            v[:] = rest
            for t in range(steps):
                row = 0 if once else t
                drive, given, mine = y[row, first:last], grad[t, first:last], out[row, first:last]
                for i in range(last - first):
                    left, bar = rows.at(keep, i), rows.at(theta, i)
                    x = _charged(v[i], drive[i], scale[i], shift[i], bias[i], limit, fine, left)
                    v[i] = rest if x > bar else x
                    d = abs(np.float32(i32(x - bar)) * rows.at(narrow, i)) + one
                    inside = abs(drive[i] * scale[i] + shift[i]) <= limit
                    g[i] = given[i] * rows.at(gain, i) / (d * d) if inside else zero
                for i in range(last - first):
                    mine[i] = mine[i] + g[i] if once and t > 0 else g[i]
                for i in range(last - first):
                    total[i] += g[i]
                for i in range(last - first):
                    moment[i] += g[i] * (drive[i] - mean[i])
    return out, sums


class _Spikes(torch.autograd.Function):
    """Spikes [steps, M, C] of integer rows a [T or 1, M, C] and bias [C]."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, bias: Tensor, steps: int, dv: Values, vth: Values, width: Any
    ) -> Tensor:
        channels = a.shape[2]
        ctx.flat, ctx.shape, ctx.width = rows.flat(a), a.shape, _each(width, f32)
        one, zero = np.ones(channels, f32), np.zeros(channels, f32)
        ctx.channels = one, zero, bias.detach().round().to(torch.int32).numpy()
        ctx.numbers, ctx.steps = _numbers(EXACT, 1, dv, vth), steps
        spikes = _scan(ctx.flat, *ctx.channels, *ctx.numbers, steps)
        return torch.from_numpy(spikes).view(steps, *a.shape[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        more = *ctx.channels, ctx.channels[1], *ctx.numbers, ctx.width, ctx.steps
        out, sums = _scan_back(rows.flat(grad), ctx.flat, *more)
        of_bias = torch.from_numpy(rows.by_channel(sums, ctx.shape[2])[0] / UNIT).float()
        return torch.from_numpy(out).view(ctx.shape), of_bias, *(None,) * 4


class _NormSpikes(torch.autograd.Function):
    """Spikes [steps, M, C] of rows y [T or 1, M, C]: a = round(clip(norm(y), limit) fine)."""

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        gamma: Tensor,
        beta: Tensor,
        running_mean: Tensor,
        running_variance: Tensor,
        steps: int,
        dv: Values,
        limit: float,
        fine: int,
    ) -> Tensor:
        ctx.flat, ctx.shape, ctx.steps = rows.flat(y), y.shape, steps
        norm = gamma, beta, running_mean, running_variance
        places = len(y) * y.shape[1]
        scale, shift, mean, ctx.inverse = rows.observe(ctx.flat.reshape(-1), norm, places)
        ctx.channels = scale, shift, np.zeros(len(scale), i32), mean
        ctx.numbers, ctx.fine = _numbers(limit, fine, dv, fine), fine
        spikes = _scan(ctx.flat, *ctx.channels[:3], *ctx.numbers, steps)
        return torch.from_numpy(spikes).view(steps, *y.shape[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scale, _, _, mean = ctx.channels
        width = f32(UNIT * ctx.fine / SLOPE)
        more = *ctx.channels, *ctx.numbers, width, ctx.steps
        out, sums = _scan_back(rows.flat(grad), ctx.flat, *more)
        y = ctx.flat.reshape(-1)
        gradients = rows.norm_back(out.reshape(-1), y, sums, scale, mean, ctx.inverse, ctx.fine)
        own = torch.from_numpy(out).view(ctx.shape)
        return own, *map(torch.from_numpy, gradients), *(None,) * 6


def _each(values: Any, kind: type) -> Any:
    """One number for all, or one a channel [C], as a kernel takes it."""
    if isinstance(values, np.ndarray) and values.ndim:
        return np.ascontiguousarray(values, kind)
    return kind(values)


def _numbers(limit: float, fine: int, dv: Values, vth: Values) -> tuple[Any, ...]:
    keep, theta = DECAY_ONE - dv, vth << CURRENT_SHIFT
    return f32(limit), f32(fine), _each(keep, i32), _each(theta, i32)


def _scan_torch(a: Tensor, bias: Tensor, steps: int, dv: Values, theta: Values) -> Tensor:
    """v[t] - theta before the reset [steps, B*C, P], of a [T or 1, B*C, P], int64 bias [C]."""

    def spread(values: Values | Tensor) -> Tensor:
        each = torch.as_tensor(values, device=a.device, dtype=torch.int64).reshape(-1)
        return each.expand(len(bias)).view(-1, 1).repeat(a.shape[1] // len(bias), 1)

    drive = stepping.wrapped(a.round().to(torch.int64) * UNIT) + spread(bias)
    limit = spread(theta)
    keep, v, out = DECAY_ONE - spread(dv), torch.zeros_like(drive[0]), []
    for t in range(steps):
        product = v * keep
        leaked = product.sign() * (product.abs() >> 12)
        v = (leaked + drive[0 if len(drive) == 1 else t]).clamp(-STATE_MAX, STATE_MAX)
        out.append(v - limit)
        v = v.masked_fill(v > limit, 0)
    return torch.stack(out).float()


class _Membrane(torch.autograd.Function):
    """x = membrane / width; backward dx/da = 64 / width, dx/dbias = 1 / width, state constant."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, bias: Tensor, steps: int, dv: Values, vth: Values, width: Any
    ) -> Tensor:
        each = torch.as_tensor(width, device=a.device, dtype=a.dtype).reshape(-1)
        ctx.once, ctx.width = a.shape[0] == 1 and steps > 1, each.view(-1, *(1,) * (a.dim() - 3))
        flat = a.detach().reshape(a.shape[0], a.shape[1] * a.shape[2], -1)
        biases = bias.detach().round().to(torch.int64)
        out = _scan_torch(flat, biases, steps, dv, np.asarray(vth) << CURRENT_SHIFT)
        return out.view(steps, *a.shape[1:]).div_(ctx.width)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.once:
            grad = grad.sum(0, keepdim=True)
        grad = grad / ctx.width
        others = [d for d in range(grad.dim()) if d != 2]
        return grad * UNIT, grad.sum(others) if ctx.needs_input_grad[1] else None, *(None,) * 4


def lif(
    a: Tensor,
    bias: Tensor,
    *,
    steps: int,
    dv: Values,
    vth: Values,
    scale: float | None = None,
    surrogate: str = SURROGATE,
) -> Tensor:
    """Spikes float32 {0, 1} [steps, B, C, ...] of one population.

    a [T or 1, B, C, ...] integers in synaptic units, bias [C] in membrane units; dv and vth one
    integer, or int64 [C]; `scale` is the width of the surrogate in synaptic units (default: the
    threshold), `surrogate` norse's name of it.
    """
    width = UNIT * (np.maximum(vth, 1) if scale is None else np.asarray(scale)) / SLOPE
    if rows.fused(a) and surrogate == SURROGATE:
        spikes = _Spikes.apply(rows.of(a), bias, steps, dv, vth, width)
        return rows.back(spikes, a.shape[1], a.shape[3:])
    return threshold(_Membrane.apply(a, bias, steps, dv, vth, width), surrogate, alpha=1.0)


def norm_lif(
    y: Tensor,
    gamma: Tensor,
    beta: Tensor,
    running: tuple[Tensor, Tensor],
    *,
    steps: int,
    dv: Values,
    limit: float = LIVE_LIMIT,
    fine: int = LIVE_VTH,
) -> Tensor:
    """Spikes [steps, B, C, ...] of y [T or 1, B, C, ...] after batch norm by the batch's moments,
    clipped to +-limit thresholds and rounded to 1 / `fine` of the threshold; `running` mean and
    variance [C] follow the batch's.
    """
    if rows.fused(y):
        flat = rows.of(y)
        spikes = _NormSpikes.apply(flat, gamma, beta, *running, steps, dv, limit, fine)
        return rows.back(spikes, y.shape[1], y.shape[3:])
    normal = rows.batch_norm(y, gamma, beta, running)
    a = stepping.rounded(normal.clamp(-limit, limit) * fine)
    return lif(a, a.new_zeros(a.shape[2]), steps=steps, dv=dv, vth=fine)
