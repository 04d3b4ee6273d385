"""The hardware-aware LIF neuron of training: the chip's integers forward, a surrogate gradient backward.

Forward (exactly `scmrl.fixed_point` with du = 4095, that is u = a << 6):

    v[t] = sat24( trunc(v[t-1] * (4096 - dv) / 4096) + 64 a[t] + bias );   s[t] = v[t] > 64 vth;   v[t] = 0 where s[t]

Backward: the distance to threshold before the reset, x = (v - 64 vth) / (64 scale), goes through norse's functional
threshold with its surrogate derivative; the membrane of the step before is a constant, as in S-CMRL (He et al. 2025,
arXiv 2502.12488), so that credit is local in time:  ds[t]/da[t] = surrogate(x[t]) / scale.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from norse.torch.functional.threshold import threshold

from ..fixed_point import CURRENT_SHIFT, DECAY_ONE, STATE_MAX

UNIT = 1 << CURRENT_SHIFT               # a synaptic sum of 1 in membrane units
SURROGATE = "super"                     # SuperSpike (Zenke & Ganguli 2018): 1 / (|slope x| + 1)^2
SLOPE = 2.0                             # in 1 / threshold; goes into x, since norse 1.1 ignores the method's alpha


@numba.njit(parallel=True, cache=True)
def _scan_kernel(a, bias, steps, dv, theta):       # a [T or 1, B*C, P], bias [C] -> v - theta [steps, B*C, P]
    rows, places = a.shape[1], a.shape[2]
    out = np.empty((steps, rows, places), np.float32)
    repeat = a.shape[0] == 1
    keep = DECAY_ONE - dv
    for row in numba.prange(rows):
        b = bias[row % bias.shape[0]]
        for place in range(places):
            v = np.int64(0)
            for t in range(steps):
                product = v * keep
                leaked = product >> 12 if product >= 0 else -((-product) >> 12)
                drive = np.int64(a[0 if repeat else t, row, place]) * UNIT
                v = min(max(leaked + drive + b, -STATE_MAX), STATE_MAX)
                out[t, row, place] = v - theta
                if v > theta:
                    v = np.int64(0)
    return out


def _scan_torch(a: torch.Tensor, bias: torch.Tensor, steps: int, dv: int, theta: int) -> torch.Tensor:
    """The same scan in torch operations, for devices without the compiled kernel."""
    drive = a.round().to(torch.int64) * UNIT + bias.view(1, -1, 1).repeat(1, a.shape[1] // len(bias), 1)
    v, out = torch.zeros_like(drive[0]), []
    for t in range(steps):
        product = v * (DECAY_ONE - dv)
        leaked = product.sign() * (product.abs() >> 12)
        v = (leaked + drive[0 if len(drive) == 1 else t]).clamp(-STATE_MAX, STATE_MAX)
        out.append(v - theta)
        v = v.masked_fill(v > theta, 0)
    return torch.stack(out).float()


def membrane(a: torch.Tensor, bias: torch.Tensor, *, steps: int, dv: int, vth: int) -> torch.Tensor:
    """Membrane minus threshold before the reset: float32 [steps, B, C, ...] in membrane units.

    a [T or 1, B, C, ...] holds integers (one step stands for a constant drive), bias int64 [C] in membrane units.
    """
    flat = a.detach().reshape(a.shape[0], a.shape[1] * a.shape[2], -1)
    theta = vth << CURRENT_SHIFT
    if a.device.type == "cpu":
        out = torch.from_numpy(_scan_kernel(flat.numpy(), bias.numpy(), steps, dv, theta))
    else:
        out = _scan_torch(flat, bias, steps, dv, theta)
    return out.view(steps, *a.shape[1:])


class _Membrane(torch.autograd.Function):
    """x = membrane / width forward; dx/da = 64 / width, dx/dbias = 1 / width backward (state taken as constant)."""

    @staticmethod
    def forward(ctx, a, bias, steps, dv, vth, width):
        ctx.once, ctx.width = a.shape[0] == 1 and steps > 1, width
        return membrane(a, bias.detach().round().to(torch.int64), steps=steps, dv=dv, vth=vth).div_(width)

    @staticmethod
    def backward(ctx, grad):
        if ctx.once:
            grad = grad.sum(0, keepdim=True)
        grad = grad / ctx.width
        others = [d for d in range(grad.dim()) if d != 2]
        return grad * UNIT, grad.sum(others) if ctx.needs_input_grad[1] else None, None, None, None, None


def lif(a: torch.Tensor, bias: torch.Tensor, *, steps: int, dv: int, vth: int,
        scale: float | None = None) -> torch.Tensor:
    """Spikes float32 {0, 1} [steps, B, C, ...] of one population.

    a [T or 1, B, C, ...] integers in synaptic units, bias [C] in membrane units; `scale` is the width of the surrogate
    in synaptic units (default: the threshold).
    """
    width = UNIT * (scale if scale is not None else max(vth, 1)) / SLOPE
    return threshold(_Membrane.apply(a, bias, steps, dv, vth, width), SURROGATE, alpha=1.0)
