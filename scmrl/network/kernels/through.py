"""`stepping`'s neuron at all steps in one kernel, with gradients through time.

    u[t] = wrap24( trunc(u[t-1] keep_u / 4096) + 64 (a[t] - back n[t-1]) )
    v[t] = sat24 ( trunc(v[t-1] keep_v / 4096) + u[t] + bias )
    n[t] = sum over k of  v[t] > theta_k;      where n: v = 0, or v = v - theta_1

Backward, with h the sum over k of  1 / (|v - theta_k| / width + 1)^2 / width  (SuperSpike, Zenke &
Ganguli 2018); truncation, reset and what is fed back are constants:

    dv[t] = dn[t] h[t] + keep_v / 4096 kept[t] dv[t+1]         kept: 0 where a reset was to zero
    du[t] = dv[t] + keep_u / 4096 du[t+1];      da[t] = 64 du[t],   dbias = sum of dv

A state [3, B, N] is u, v after the reset, and n, of the step before the first or of the last one:
from the latter another call goes on. What flows back for it is keep_u du and keep_v dv of the step
that takes it in.

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
    state: np.ndarray,
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """a float64 [T or 1, B, N], bias int64 [N] -> n (or v) float32, v before the reset int32, both
    [steps, B, N]; `state` int64 [3, B, N] goes on with them, in place.
    """
    batch, neurons = a.shape[1], a.shape[2]
    out = np.empty((steps, batch, neurons), np.float32)
    membrane = np.empty((steps, batch, neurons), np.int32)
    once, times = len(a) == 1, len(thetas)
    for b in range(batch):
        u, v, fired = state[0, b], state[1, b], state[2, b]
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
    back: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """grad float32 [T, B, N] of n (or v) -> da float64 [T or 1, B, N], dbias float64 [B, N];
    `back` float64 [3, B, N], of the state after the steps, becomes that of the state before them.
    """
    steps, batch, neurons = grad.shape
    da = np.zeros((1 if once else steps, batch, neurons))
    dbias = np.zeros((batch, neurons))
    times = len(thetas)
    for b in range(batch):
        du, dv = back[0, b], back[1, b]
        for step in range(steps):
            t = steps - 1 - step
            for i in range(neurons):
                v, g = membrane[t, b, i], np.float64(grad[t, b, i])
                h = 0.0
                for k in range(times):
                    d = abs(v - thetas[k, i]) / width[i] + 1.0
                    h += 1.0 / (d * d * width[i])
                fired = times > 0 and v > thetas[0, i]
                later = dv[i] if not (fired and not subtract) else 0.0
                x = g * h if times else g
                now = x if memoryless else x + later
                if abs(v) >= STATE_MAX:
                    now = 0.0
                total = now if memoryless else now + du[i]
                da[0 if once else t, b, i] += UNIT * total
                dbias[b, i] += now
                du[i], dv[i] = total * keep_u[i] / DECAY_ONE, now * keep_v[i] / DECAY_ONE
    return da, dbias


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: Tensor, bias: Tensor, state: Tensor, constants: Constants, steps: int
    ) -> tuple[Tensor, Tensor]:
        given = np.ascontiguousarray(a.detach().numpy())
        whole = np.rint(bias.detach().numpy()).astype(np.int64)
        c = constants
        end = state.detach().numpy().astype(np.int64)
        more = c.subtract, c.memoryless, end, steps
        out, ctx.membrane = _forward(given, whole, *c.arrays, *more)
        ctx.constants, ctx.once = constants, len(a) == 1
        return torch.from_numpy(out), torch.from_numpy(end.astype(np.float64))

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_after: Tensor) -> tuple[Tensor | None, ...]:
        c: Constants = ctx.constants
        given, back = np.ascontiguousarray(grad.numpy()), grad_after.numpy().copy()
        numbers = (c.keep_u, c.keep_v, c.thetas, c.width, c.subtract, c.memoryless, ctx.once)
        da, dbias = _backward(given, ctx.membrane, *numbers, back)
        gradients = torch.from_numpy(da), torch.from_numpy(dbias.sum(0)), torch.from_numpy(back)
        return *gradients, None, None


def through(
    a: Tensor, bias: Tensor, constants: Constants, steps: int, state: Tensor
) -> tuple[Tensor, Tensor]:
    """n (or membranes) float32 [steps, B, N] of sums a float64 [T or 1, B, N], and the state
    float64 [3, B, N] after them; bias float64 [N], in membrane units.
    """
    out: tuple[Tensor, Tensor] = _Through.apply(a, bias, state, constants, steps)
    return out
