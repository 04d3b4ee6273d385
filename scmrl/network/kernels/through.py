"""`stepping`'s neuron at all steps in one kernel, with gradients through time.

    u[t] = wrap24( trunc(u[t-1] keep_u / 4096) + 64 (a[t] - back n[t-1]) )
    v[t] = sat24 ( trunc(v[t-1] keep_v / 4096) + u[t] + bias )
    n[t] = sum over k of  v[t] > theta_k;      where n: v = 0, or v = v - theta_1

Backward, with h the sum over k of  1 / (|v - theta_k| / width + 1)^2 / width  (SuperSpike, Zenke &
Ganguli 2018); truncation, reset and what is fed back are constants:

    dv[t] = dn[t] h[t] + keep_v / 4096 kept[t] dv[t+1]         kept: 0 where a reset was to zero
    du[t] = dv[t] + keep_u / 4096 du[t+1];      da[t] = 64 du[t],   dbias = sum of dv

One thread: what is tuned is small, and threads would wait for each other longer than they work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from ...core.fixed_point import DECAY_ONE, STATE_LIMIT, STATE_MAX
from .integers import UNIT


@dataclass(frozen=True)
class Constants:
    """Of N neurons, int64 [N]; `thetas` [K, N] of the times that a neuron fires in a step, rising;
    none: it never does, and its membrane is what comes out. `width` float64 [N], of the surrogate.
    """

    keep_u: np.ndarray
    keep_v: np.ndarray
    thetas: np.ndarray
    back: np.ndarray
    width: np.ndarray
    subtract: bool
    memoryless: bool

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.keep_u, self.keep_v, self.thetas, self.back


@numba.njit(inline="always")
def _kept(x: int, keep: int) -> int:
    """x keep / 4096, toward zero."""
    size = (abs(x) * keep) // DECAY_ONE
    return size if x >= 0 else -size


@numba.njit(cache=True)
def _forward(
    a: np.ndarray,
    bias: np.ndarray,
    keep_u: np.ndarray,
    keep_v: np.ndarray,
    thetas: np.ndarray,
    back: np.ndarray,
    subtract: bool,
    memoryless: bool,
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """a float64 [T or 1, B, N], bias int64 [N] -> n (or v) float32, v before the reset int32, both
    [steps, B, N].
    """
    batch, neurons = a.shape[1], a.shape[2]
    out = np.empty((steps, batch, neurons), np.float32)
    membrane = np.empty((steps, batch, neurons), np.int32)
    once, times = len(a) == 1, len(thetas)
    for b in range(batch):
        u, v = np.zeros(neurons, np.int64), np.zeros(neurons, np.int64)
        fired = np.zeros(neurons, np.int64)
        for t in range(steps):
            drive = a[0 if once else t, b]
            for i in range(neurons):
                if memoryless:
                    u[i] = v[i] = 0
                x = _kept(u[i], keep_u[i]) + UNIT * (
                    np.int64(np.rint(drive[i])) - back[i] * fired[i]
                )
                if x > STATE_LIMIT:
                    x -= 2 * STATE_LIMIT
                elif x <= -STATE_LIMIT:
                    x += 2 * STATE_LIMIT
                y = _kept(v[i], keep_v[i]) + x + bias[i]
                y = min(max(y, -STATE_MAX), STATE_MAX)
                count = 0
                for k in range(times):
                    if y > thetas[k, i]:
                        count += 1
                membrane[t, b, i] = y
                out[t, b, i] = count if times else y
                u[i], fired[i] = x, count
                if count:
                    y = y - thetas[0, i] if subtract else 0
                v[i] = y
    return out, membrane


@numba.njit(cache=True, error_model="numpy")
def _backward(
    grad: np.ndarray,
    membrane: np.ndarray,
    keep_u: np.ndarray,
    keep_v: np.ndarray,
    thetas: np.ndarray,
    width: np.ndarray,
    subtract: bool,
    memoryless: bool,
    once: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """grad float32 [T, B, N] of n (or v) -> da float64 [T or 1, B, N], dbias float64 [B, N]."""
    steps, batch, neurons = grad.shape
    da = np.zeros((1 if once else steps, batch, neurons))
    dbias = np.zeros((batch, neurons))
    times = len(thetas)
    for b in range(batch):
        du, dv = np.zeros(neurons), np.zeros(neurons)
        for step in range(steps):
            t = steps - 1 - step
            for i in range(neurons):
                v, g = membrane[t, b, i], np.float64(grad[t, b, i])
                h = 0.0
                for k in range(times):
                    d = abs(v - thetas[k, i]) / width[i] + 1.0
                    h += 1.0 / (d * d * width[i])
                fired = times > 0 and v > thetas[0, i]
                later = dv[i] * keep_v[i] / DECAY_ONE if not (fired and not subtract) else 0.0
                x = g * h if times else g
                now = x if memoryless else x + later
                if abs(v) >= STATE_MAX:
                    now = 0.0
                du[i] = now if memoryless else now + du[i] * keep_u[i] / DECAY_ONE
                dv[i] = now
                da[0 if once else t, b, i] += UNIT * du[i]
                dbias[b, i] += now
    return da, dbias


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, bias: Tensor, constants: Constants, steps: int) -> Tensor:
        given = np.ascontiguousarray(a.detach().numpy())
        whole = np.rint(bias.detach().numpy()).astype(np.int64)
        c = constants
        out, ctx.membrane = _forward(given, whole, *c.arrays, c.subtract, c.memoryless, steps)
        ctx.constants, ctx.once = constants, len(a) == 1
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        c: Constants = ctx.constants
        given = np.ascontiguousarray(grad.numpy())
        numbers = (c.keep_u, c.keep_v, c.thetas, c.width, c.subtract, c.memoryless, ctx.once)
        da, dbias = _backward(given, ctx.membrane, *numbers)
        return torch.from_numpy(da), torch.from_numpy(dbias.sum(0)), None, None


def through(a: Tensor, bias: Tensor, constants: Constants, steps: int) -> Tensor:
    """n (or membranes) float32 [steps, B, N] of sums a float64 [T or 1, B, N]; bias float64 [N], in
    membrane units.
    """
    out: Tensor = _Through.apply(a, bias, constants, steps)
    return out
