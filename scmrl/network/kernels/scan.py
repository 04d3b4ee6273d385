"""All steps of neurons of any kind in one kernel, forward and backward: what `stepping` computes
step by step.

Forward: u and v of a block of neurons are int32 that never leave the first cache. Backward: they
are computed once more, block by block, and the gradients sweep back in time:

    gv[t] = ds[t] surrogate((v[t] - theta) / width) / width + keep_v / 4096 gv[t+1]
    gu[t] = gv[t] + keep_u / 4096 gu[t+1];      da[t] = 64 gu[t]
    dkeep_v = sum gv[t] v[t-1] / 4096;          dkeep_u = sum gu[t] u[t-1] / 4096

gv is 0 where v is saturated; a reset to zero lets no gv[t+1] through, one by subtraction all; with
gradients local in time nothing comes from t+1.

A state [3, ...] is u, v after the reset, and s, of the step before the first or of the last one:
from the latter another call goes on. What flows back for it is gu and gv of the step that takes it
in; the call that gave it multiplies by leak and reset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from ...core.fixed_point import DECAY_ONE, STATE_MAX
from . import rows
from .integers import UNIT, kept, plus, saturated, times, wrapped
from .stepping import Numbers

SURROGATES = ("super", "triangle", "tanh", "heavi_erfc", "circ")  # those of norse, by number
SUPER, TRIANGLE, TANH, ERFC = range(4)
PER_NEURON = ("keep_u", "keep_v", "theta", "bias")
BLOCK = 2048  # numbers in a block: a row of it is a page or two, which is what memory likes
i32 = np.int32
f32 = np.float32
Flags = tuple[bool, bool, bool, int]  # subtract, late, local, surrogate


@numba.njit(cache=True, error_model="numpy")
def _slopes(
    v: np.ndarray, theta: np.ndarray, narrow: np.ndarray, surrogate: int, out: np.ndarray
) -> None:
    """ds/dv by the surrogate, of a row; one loop for each, so that sixteen run at a time."""
    one = f32(1)
    for i in range(len(v)):
        out[i] = abs(f32(plus(v[i], i32(-theta[i]))) * narrow[i])
    if surrogate == SUPER:
        for i in range(len(v)):
            out[i] = one / ((out[i] + one) * (out[i] + one))
    elif surrogate == TRIANGLE:
        for i in range(len(v)):
            out[i] = max(one - out[i], f32(0))
    elif surrogate == TANH:
        for i in range(len(v)):
            y = f32(math.tanh(out[i]))
            out[i] = one - y * y
    elif surrogate == ERFC:
        for i in range(len(v)):
            out[i] = f32(2 / math.sqrt(math.pi)) * f32(math.exp(-out[i] * out[i]))
    else:
        for i in range(len(v)):
            y = one + out[i] * out[i]
            out[i] = one / (y * f32(math.sqrt(y)))
    for i in range(len(v)):
        out[i] = out[i] * narrow[i]


@numba.njit(inline="always")
def _charged(u: i32, a: f32, keep: i32, extra: i32) -> i32:
    """u[t] of u[t-1]."""
    drive = plus(times(i32(np.rint(a)), i32(UNIT)), extra)
    return wrapped(plus(kept(u, keep), drive))


@numba.njit(inline="always")
def _after(v: i32, theta: i32, subtract: bool) -> i32:
    """v[t] after the reset."""
    left = plus(v, i32(-theta)) if subtract else i32(0)
    return left if v > theta else v


@numba.njit(parallel=True, cache=True)
def _forward(
    a: np.ndarray, facts: np.ndarray, flags: Flags, state: np.ndarray, spikes: np.ndarray
) -> None:
    """a [T or 1, n], facts int32 [4, C] in the order of `PER_NEURON` -> spikes [steps, n]; `state`
    int32 [3, n] goes on with them, in place.
    """
    keep_u, keep_v = rows.tile(facts[0], BLOCK), rows.tile(facts[1], BLOCK)
    theta, bias = rows.tile(facts[2], BLOCK), rows.tile(facts[3], BLOCK)
    subtract, late = flags[0], flags[1]
    (steps, n), length, once = spikes.shape, len(theta), a.shape[0] == 1
    for block in numba.prange((n + length - 1) // length):
        first, last = block * length, min(block * length + length, n)
        u, v = state[0, first:last].copy(), state[1, first:last].copy()
        fired = state[2, first:last].copy()
        for t in range(steps):
            drive, out = a[0 if once else t, first:last], spikes[t, first:last]
            if late:
                for i in range(last - first):
                    extra = plus(bias[i], times(i32(-theta[i]), fired[i]))
                    u[i] = _charged(u[i], drive[i], keep_u[i], extra)
                    fired[i] = i32(1) if saturated(u[i]) > theta[i] else i32(0)
                    out[i] = f32(fired[i])
            else:
                for i in range(last - first):
                    u[i] = _charged(u[i], drive[i], keep_u[i], i32(0))
                    x = saturated(plus(plus(kept(v[i], keep_v[i]), u[i]), bias[i]))
                    out[i] = f32(1) if x > theta[i] else f32(0)
                    v[i] = _after(x, theta[i], subtract)
        for i in range(last - first):
            state[0, first + i], state[1, first + i], state[2, first + i] = u[i], v[i], fired[i]


@numba.njit(cache=True)
def _states(
    a: np.ndarray,
    facts: tuple[np.ndarray, ...],
    flags: Flags,
    state: np.ndarray,
    us: np.ndarray,
    vs: np.ndarray,
) -> None:
    """v before the reset of all steps of a block, into vs int32 [T, length], and u into us, unless
    that is empty; `state` int32 [3, block] is what they begin with.
    """
    keep_u, keep_v, theta, bias = facts
    subtract, late = flags[0], flags[1]
    once, zero = a.shape[0] == 1, i32(0)
    u, v, fired = state[0].copy(), state[1].copy(), state[2].copy()
    for t in range(len(vs)):
        drive, here = a[0 if once else t], vs[t]
        if late:
            for i in range(len(drive)):
                extra = plus(bias[i], times(i32(-theta[i]), fired[i]))
                u[i] = _charged(u[i], drive[i], keep_u[i], extra)
                here[i] = saturated(u[i])
                fired[i] = i32(1) if here[i] > theta[i] else zero
        else:
            for i in range(len(drive)):
                u[i] = _charged(u[i], drive[i], keep_u[i], zero)
                here[i] = saturated(plus(plus(kept(v[i], keep_v[i]), u[i]), bias[i]))
                left = plus(here[i], i32(-theta[i])) if subtract else zero
                v[i] = left if here[i] > theta[i] else here[i]
        if len(us):
            for i in range(len(drive)):
                us[t, i] = u[i]


@numba.njit(cache=True)
def _sweep(
    g: np.ndarray,
    gu: np.ndarray,
    gv: np.ndarray,
    v: np.ndarray,
    facts: tuple[np.ndarray, ...],
    flags: Flags,
) -> None:
    """One step back in time: gu and gv of t from those of t+1, with g = dL/dv by the spike."""
    pass_u, pass_v, theta = facts
    subtract, local, zero, most = flags[0], flags[2], f32(0), i32(STATE_MAX)
    if local:
        for i in range(len(v)):
            gv[i] = g[i] if abs(v[i]) < most else zero
            gu[i] = gv[i]
        return
    if subtract:
        for i in range(len(v)):
            gv[i] = gv[i] * pass_v[i]
    else:
        for i in range(len(v)):
            gv[i] = gv[i] * pass_v[i] if v[i] <= theta[i] else zero
    for i in range(len(v)):
        gv[i] = g[i] + gv[i] if abs(v[i]) < most else zero
        gu[i] = gv[i] + gu[i] * pass_u[i]


# error_model: a division that may raise is not vectorised.
@numba.njit(parallel=True, cache=True, error_model="numpy")
def _backward(
    grad: np.ndarray,
    a: np.ndarray,
    facts: np.ndarray,
    width: np.ndarray,
    flags: Flags,
    state: np.ndarray,
    back: np.ndarray,
    learns: bool,
    out: np.ndarray,
) -> np.ndarray:
    """dL/da into `out`, summed over the steps that share one; returns the sums of dL/dkeep_u,
    dL/dkeep_v and dL/dbias by chunk and place in a block, 0 but for the last unless one `learns`.
    `state` int32 [3, n] is what the steps begin with; `back` float32 [3, n], gu and gv of the step
    after the last, becomes those of the first.
    """
    keep_u, keep_v = rows.tile(facts[0], BLOCK), rows.tile(facts[1], BLOCK)
    theta, bias, narrow = (
        rows.tile(facts[2], BLOCK),
        rows.tile(facts[3], BLOCK),
        rows.tile(f32(1) / width, BLOCK),
    )
    subtract, late, _, surrogate = flags
    (steps, n), length, once = grad.shape, len(theta), a.shape[0] == 1
    sums = np.zeros((3, rows.CHUNKS, length), np.float64)
    part, blocks = f32(1 / DECAY_ONE), (n + length - 1) // length
    pass_u, pass_v = keep_u.astype(np.float32) * part, keep_v.astype(np.float32) * part
    for chunk in numba.prange(rows.CHUNKS):
        us = np.empty((steps if learns else 0, length), np.int32)
        vs = np.empty((steps, length), np.int32)
        gu, gv, g = np.empty(length, f32), np.empty(length, f32), np.empty(length, f32)
        of_u, of_v, of_bias = sums[0, chunk], sums[1, chunk], sums[2, chunk]
        for block in range(blocks * chunk // rows.CHUNKS, blocks * (chunk + 1) // rows.CHUNKS):
            first, last = block * length, min(block * length + length, n)
            begin = state[:, first:last]
            _states(a[:, first:last], (keep_u, keep_v, theta, bias), flags, begin, us, vs)
            gu[: last - first], gv[: last - first] = back[0, first:last], back[1, first:last]
            if once:
                out[0, first:last] = f32(0)
            for t in range(steps - 1, -1, -1):
                given, mine = grad[t, first:last], out[0 if once else t, first:last]
                v, h = vs[t, : last - first], g[: last - first]
                _slopes(v, theta, narrow, surrogate, h)
                for i in range(len(v)):
                    h[i] = h[i] * given[i]
                _sweep(h, gu, gv, v, (pass_u, pass_v, theta), flags)
                if once:
                    for i in range(len(v)):
                        mine[i] = mine[i] + gu[i] * f32(UNIT)
                else:
                    for i in range(len(v)):
                        mine[i] = gu[i] * f32(UNIT)
                from_ = gu if late else gv
                for i in range(len(v)):
                    of_bias[i] += from_[i]
                if learns and t > 0:
                    u, before = us[t - 1], vs[t - 1]
                    for i in range(len(v)):
                        of_u[i] += gu[i] * f32(u[i]) * part
                        of_v[i] += gv[i] * f32(_after(before[i], theta[i], subtract)) * part
            for i in range(last - first):
                of_u[i] += gu[i] * f32(begin[0, i]) * part
                of_v[i] += gv[i] * f32(begin[1, i]) * part
                back[0, first + i], back[1, first + i] = gu[i], gv[i]
    return sums


@dataclass(frozen=True)
class Kind:
    """What a population's neurons do: the reset, and how gradients go."""

    subtract: bool
    late: bool
    local: bool
    surrogate: str

    @property
    def flags(self) -> Flags:
        return self.subtract, self.late, self.local, SURROGATES.index(self.surrogate)


class _Scan(torch.autograd.Function):
    """Spikes [steps, M, C] of rows a [T or 1, M, C], and the state [3, M, C] after them; keep_u,
    keep_v, theta, bias [C] whole.
    """

    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        keep_u: Tensor,
        keep_v: Tensor,
        theta: Tensor,
        bias: Tensor,
        width: Tensor,
        state: Tensor | None,
        kind: Kind,
        steps: int,
    ) -> tuple[Tensor, Tensor]:
        facts = torch.stack([keep_u, keep_v, theta, bias]).detach().round()
        ctx.facts, ctx.width = facts.to(torch.int32).numpy(), width.detach().float().numpy()
        ctx.flat, ctx.shape, ctx.kind = rows.flat(a), a.shape, kind
        shape = (3, *a.shape[1:])
        begin = torch.zeros(shape, dtype=torch.int32) if state is None else state.detach().int()
        ctx.begin, end = rows.flat(begin), rows.flat(begin).copy()
        # NumPy's own memory is that of huge pages: a kernel's would be cleared page by page.
        spikes = np.empty((steps, ctx.flat.shape[1]), np.float32)
        _forward(ctx.flat, ctx.facts, kind.flags, end, spikes)
        after = torch.from_numpy(end.astype(np.float32)).view(shape)
        return torch.from_numpy(spikes).view(steps, *a.shape[1:]), after

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_after: Tensor) -> tuple[Tensor | None, ...]:
        learns = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        back = rows.flat(grad_after).copy()
        more = ctx.width, ctx.kind.flags, ctx.begin, back, learns
        out = np.empty_like(ctx.flat)
        sums = _backward(rows.flat(grad), ctx.flat, ctx.facts, *more, out)
        totals = torch.from_numpy(sums.sum(1).reshape(3, -1, len(ctx.width)).sum(1))
        own, before = torch.from_numpy(out), torch.from_numpy(back)
        of_state = before.view_as(grad_after) if ctx.needs_input_grad[6] else None
        return own.view(ctx.shape), *totals[:2], None, totals[2], None, of_state, None, None


def scan(
    a: Tensor, n: Numbers, kind: Kind, steps: int, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Spikes float32 [steps, B, *shape] of sums a float32 [T or 1, B, *shape], and the state
    float32 [3, B, *shape] after them; gradients to a, to `n.keep_u`, `n.keep_v` and `n.bias`, and
    to the state that they begin with (None: at rest).
    """
    values = [getattr(n, name) for name in (*PER_NEURON, "width")]
    shape = a.shape[2:]
    if all(of_channels(x, shape) for x in values):
        facts = [x.reshape(-1).expand(shape[0]) for x in values]
        begin = None if state is None else rows.of(state)
        spikes, after = _Scan.apply(rows.of(a), *facts, begin, kind, steps)
        positions = tuple(shape[1:])
        return rows.back(spikes, a.shape[1], positions), rows.back(after, a.shape[1], positions)
    facts = [x.broadcast_to(shape).reshape(-1) for x in values]  # neurons as channels
    begin = None if state is None else state.flatten(2)
    spikes, after = _Scan.apply(a.flatten(2), *facts, begin, kind, steps)
    return spikes.view(steps, *a.shape[1:]), after.view(3, *a.shape[1:])


def of_channels(x: Tensor, shape: torch.Size) -> bool:
    """Whether values are one, or one a channel of `shape`."""
    return x.numel() == 1 or x.shape == (shape[0], *(1,) * (len(shape) - 1))
