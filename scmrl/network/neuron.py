"""The hardware-aware LIF neuron of training: the chip's integers forward, a surrogate gradient
backward.

Forward (exactly `scmrl.core.fixed_point` with du = 4095, that is u = a << 6):

    v[t] = sat24( trunc(v[t-1] * (4096 - dv) / 4096) + 64 a[t] + bias );   s[t] = v[t] > 64 vth;   v[t] = 0 where s[t]

Backward: the distance to threshold before the reset, x = (v - 64 vth) / (64 scale), goes through
SuperSpike's surrogate derivative (Zenke & Ganguli 2018, as in norse); the membrane of the step
before is a constant, as in S-CMRL (He et al. 2025, arXiv 2502.12488), so that credit is local in
time:  ds[t]/da[t] = slope / (slope |x| + 1)^2 / scale.

On a CPU all steps are one kernel on rows of channels (`scmrl.network.rows`), forward and backward,
and the batch norm of a layer in training is part of it; elsewhere the same in torch operations,
with norse's threshold.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from norse.torch.functional.threshold import threshold
from torch.nn import functional as F

from ..core.fixed_point import CURRENT_SHIFT, DECAY_ONE, STATE_MAX
from . import rows

UNIT = 1 << CURRENT_SHIFT  # a synaptic sum of 1 in membrane units
i32 = np.int32
EXACT = 1 << 24  # beyond it float32 has no exact integers
SURROGATE = "super"  # SuperSpike (Zenke & Ganguli 2018): 1 / (|slope x| + 1)^2
SLOPE = 2.0  # in 1 / threshold; goes into x, since norse 1.1 ignores the method's alpha


@numba.njit(inline="always")
def _charged(v, y, scale, shift, bias, limit, fine, keep):
    """v[t] before the reset, of int32 v[t-1]: v (4096 - dv) in two halves, so that no product
    leaves 32 bits.

    Every step of it is held to 32 bits (numba would go on in 64), so that sixteen run at a time.
    """
    a = i32(np.rint(min(max(y * scale + shift, -limit), limit) * fine))
    size = i32(abs(v))
    leaked = i32(
        i32(i32(size >> i32(12)) * keep) + i32(i32(i32(size & i32(4095)) * keep) >> i32(12))
    )
    x = i32(i32((leaked if v >= i32(0) else i32(-leaked)) + i32(a * i32(UNIT))) + bias)
    x = i32(STATE_MAX) if x > i32(STATE_MAX) else x
    return i32(-STATE_MAX) if x < i32(-STATE_MAX) else x


@numba.njit(parallel=True, cache=True)
def _scan(
    y, scale, shift, bias, limit, fine, keep, theta, steps
):  # y [T or 1, n], channels [C] -> [steps, n]
    scale, shift, bias = rows.tile(scale), rows.tile(shift), rows.tile(bias)
    n, length, repeat = y.shape[1], len(scale), y.shape[0] == 1
    spikes = np.empty((steps, n), np.float32)
    one, zero, rest = np.float32(1), np.float32(0), i32(0)
    for block in numba.prange((n + length - 1) // length):
        first, last = block * length, min(block * length + length, n)
        v = np.zeros(length, np.int32)
        for t in range(steps):
            drive, out = y[0 if repeat else t, first:last], spikes[t, first:last]
            for i in range(last - first):
                x = _charged(v[i], drive[i], scale[i], shift[i], bias[i], limit, fine, keep)
                out[i] = one if x > theta else zero
                v[i] = rest if x > theta else x
    return spikes


@numba.njit(
    parallel=True, cache=True, error_model="numpy"
)  # a division that may raise is not vectorised
def _scan_back(grad, y, scale, shift, bias, mean, limit, fine, keep, theta, width, steps):
    """dL/da summed over the steps that share a y [T or 1, n] (zero beyond the limit), and its sums
    and those of dL/da (y - mean), by chunk and place in a block.
    """
    scale, shift, bias, mean = rows.tile(scale), rows.tile(shift), rows.tile(bias), rows.tile(mean)
    n, length, once = y.shape[1], len(scale), y.shape[0] == 1 and steps > 1
    out = np.empty_like(y)
    sums = np.zeros((2, rows.CHUNKS, length), np.float64)
    one, zero, rest = np.float32(1), np.float32(0), i32(0)
    narrow, gain = one / width, np.float32(UNIT) / width
    blocks = (n + length - 1) // length
    for chunk in numba.prange(rows.CHUNKS):
        v, g = np.empty(length, np.int32), np.empty(length, np.float32)
        total, moment = sums[0, chunk], sums[1, chunk]
        for block in range(blocks * chunk // rows.CHUNKS, blocks * (chunk + 1) // rows.CHUNKS):
            first, last = block * length, min(block * length + length, n)
            v[:] = rest
            for t in range(steps):
                row = 0 if once else t
                drive, given, kept = y[row, first:last], grad[t, first:last], out[row, first:last]
                for i in range(last - first):
                    x = _charged(v[i], drive[i], scale[i], shift[i], bias[i], limit, fine, keep)
                    v[i] = rest if x > theta else x
                    d = abs(np.float32(i32(x - theta)) * narrow) + one
                    inside = abs(drive[i] * scale[i] + shift[i]) <= limit
                    g[i] = given[i] * gain / (d * d) if inside else zero
                for i in range(last - first):
                    kept[i] = kept[i] + g[i] if once and t > 0 else g[i]
                for i in range(last - first):
                    total[i] += g[i]
                for i in range(last - first):
                    moment[i] += g[i] * (drive[i] - mean[i])
    return out, sums


class _Spikes(torch.autograd.Function):
    """Spikes [steps, M, C] of integer rows a [T or 1, M, C] and bias [C]."""

    @staticmethod
    def forward(ctx, a, bias, steps, dv, vth, width):
        ctx.flat, ctx.shape, ctx.width = (
            a.detach().reshape(len(a), -1).numpy(),
            a.shape,
            np.float32(width),
        )
        one, zero = np.ones(a.shape[2], np.float32), np.zeros(a.shape[2], np.float32)
        ctx.channels = one, zero, bias.detach().round().to(torch.int32).numpy()
        ctx.numbers, ctx.steps = _numbers(EXACT, 1, dv, vth), steps
        return torch.from_numpy(_scan(ctx.flat, *ctx.channels, *ctx.numbers, steps)).view(
            steps, *a.shape[1:]
        )

    @staticmethod
    def backward(ctx, grad):
        flat, zero = grad.contiguous().view(ctx.steps, -1).numpy(), ctx.channels[1]
        out, sums = _scan_back(
            flat, ctx.flat, *ctx.channels, zero, *ctx.numbers, ctx.width, ctx.steps
        )
        of_bias = torch.from_numpy(rows.by_channel(sums, ctx.shape[2])[0] / UNIT).float()
        return torch.from_numpy(out).view(ctx.shape), of_bias, *(None,) * 4


class _NormSpikes(torch.autograd.Function):
    """Spikes [steps, M, C] of rows y [T or 1, M, C]: a = round(clip(normalised y, limit) * fine),
    threshold `fine`.
    """

    @staticmethod
    def forward(ctx, y, gamma, beta, running_mean, running_variance, steps, dv, limit, fine):
        ctx.flat, ctx.shape, ctx.steps = y.detach().reshape(len(y), -1).numpy(), y.shape, steps
        channels = (x.detach().numpy() for x in (gamma, beta, running_mean, running_variance))
        scale, shift, mean, ctx.inverse = rows.observe(
            ctx.flat.reshape(-1), *channels, len(y) * y.shape[1]
        )
        ctx.channels = scale, shift, np.zeros(len(scale), np.int32), mean
        ctx.numbers, ctx.fine = _numbers(limit, fine, dv, fine), fine
        return torch.from_numpy(_scan(ctx.flat, *ctx.channels[:3], *ctx.numbers, steps)).view(
            steps, *y.shape[1:]
        )

    @staticmethod
    def backward(ctx, grad):
        flat, width = (
            grad.contiguous().view(ctx.steps, -1).numpy(),
            np.float32(UNIT * ctx.fine / SLOPE),
        )
        out, sums = _scan_back(flat, ctx.flat, *ctx.channels, *ctx.numbers, width, ctx.steps)
        scale, _, _, mean = ctx.channels
        gradients = rows.norm_back(
            out.reshape(-1), ctx.flat.reshape(-1), sums, scale, mean, ctx.inverse, ctx.fine
        )
        return (
            torch.from_numpy(out).view(ctx.shape),
            *map(torch.from_numpy, gradients),
            *(None,) * 6,
        )


def _numbers(limit: float, fine: int, dv: int, vth: int) -> tuple:
    return (
        np.float32(limit),
        np.float32(fine),
        np.int32(DECAY_ONE - dv),
        np.int32(vth << CURRENT_SHIFT),
    )


def _scan_torch(
    a: torch.Tensor, bias: torch.Tensor, steps: int, dv: int, theta: int
) -> torch.Tensor:
    """v[t] - theta before the reset, float32 [steps, B*C, P], of a [T or 1, B*C, P] and bias int64
    [C].
    """
    drive = a.round().to(torch.int64) * UNIT + bias.view(1, -1, 1).repeat(
        1, a.shape[1] // len(bias), 1
    )
    v, out = torch.zeros_like(drive[0]), []
    for t in range(steps):
        product = v * (DECAY_ONE - dv)
        leaked = product.sign() * (product.abs() >> 12)
        v = (leaked + drive[0 if len(drive) == 1 else t]).clamp(-STATE_MAX, STATE_MAX)
        out.append(v - theta)
        v = v.masked_fill(v > theta, 0)
    return torch.stack(out).float()


class _Membrane(torch.autograd.Function):
    """x = membrane / width forward; dx/da = 64 / width, dx/dbias = 1 / width backward (state taken
    as constant).
    """

    @staticmethod
    def forward(ctx, a, bias, steps, dv, vth, width):
        ctx.once, ctx.width = a.shape[0] == 1 and steps > 1, width
        flat = a.detach().reshape(a.shape[0], a.shape[1] * a.shape[2], -1)
        out = _scan_torch(
            flat, bias.detach().round().to(torch.int64), steps, dv, vth << CURRENT_SHIFT
        )
        return out.view(steps, *a.shape[1:]).div_(width)

    @staticmethod
    def backward(ctx, grad):
        if ctx.once:
            grad = grad.sum(0, keepdim=True)
        grad = grad / ctx.width
        others = [d for d in range(grad.dim()) if d != 2]
        return (
            grad * UNIT,
            grad.sum(others) if ctx.needs_input_grad[1] else None,
            None,
            None,
            None,
            None,
        )


def lif(
    a: torch.Tensor,
    bias: torch.Tensor,
    *,
    steps: int,
    dv: int,
    vth: int,
    scale: float | None = None,
) -> torch.Tensor:
    """Spikes float32 {0, 1} [steps, B, C, ...] of one population.

    a [T or 1, B, C, ...] integers in synaptic units, bias [C] in membrane units; `scale` is the
    width of the surrogate in synaptic units (default: the threshold).
    """
    width = UNIT * (scale if scale is not None else max(vth, 1)) / SLOPE
    if rows.fused(a):
        spikes = _Spikes.apply(rows.of(a), bias, steps, dv, vth, width)
        return rows.back(spikes, a.shape[1], a.shape[3:])
    return threshold(_Membrane.apply(a, bias, steps, dv, vth, width), SURROGATE, alpha=1.0)


def norm_lif(
    y: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    running: tuple[torch.Tensor, torch.Tensor],
    *,
    steps: int,
    dv: int,
    limit: float,
    fine: int,
) -> torch.Tensor:
    """Spikes [steps, B, C, ...] of y [T or 1, B, C, ...] after batch norm by the batch's moments,
    clipped to +-limit thresholds and rounded to 1 / `fine` of the threshold; `running` mean and
    variance [C] follow the batch's.
    """
    if rows.fused(y):
        flat = rows.of(y)
        spikes = _NormSpikes.apply(flat, gamma, beta, *running, steps, dv, limit, fine)
        return rows.back(spikes, y.shape[1], y.shape[3:])
    normal = F.batch_norm(
        y.flatten(0, 1), *running, gamma, beta, True, rows.MOMENTUM, rows.EPSILON
    ).view(y.shape)
    a = normal.clamp(-limit, limit) * fine
    a = a + (a.round() - a).detach()
    return lif(a, a.new_zeros(a.shape[2]), steps=steps, dv=dv, vth=fine)
