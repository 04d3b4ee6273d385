"""Trained delays: each channel's spikes so many steps later, whole steps forward.

    y[t, c] = x[t - round(d_c), c]
    dL/dd_c = sum over t of dL/dy[t, c] . d/dd (x * g)[t - d_c],   g a Gaussian of `WIDTH` steps

The spikes are smoothed for the derivative alone: a binary train has none (Shrestha & Orchard 2018,
SLAYER, take that of the postsynaptic potential).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

WIDTH = 1.5  # steps


def later(x: Tensor, steps: int) -> Tensor:
    """x [T, ...] `steps` later; nothing before."""
    if not steps:
        return x
    kept = x[: max(0, len(x) - steps)]
    return torch.cat([x.new_zeros(len(x) - len(kept), *x.shape[1:]), kept])


def _shifted(x: Tensor, steps: Tensor) -> Tensor:
    """x [T, B, C, ...] by whole steps [C]."""
    time = torch.arange(len(x), device=x.device)[:, None] - steps[None]  # [T, C]
    shape = (len(x), 1, x.shape[2], *(1,) * (x.dim() - 3))
    index, inside = time.clamp(min=0).view(shape), (time >= 0).view(shape)
    return x.gather(0, index.expand_as(x)) * inside


class _Delayed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, delays: Tensor) -> Tensor:
        ctx.save_for_backward(x, delays)
        return _shifted(x, delays.round().long())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, delays = ctx.saved_tensors
        steps = delays.round().long()
        back = _shifted(grad.flip(0), steps).flip(0) if ctx.needs_input_grad[0] else None
        reach = int(4 * WIDTH)
        k = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
        bell = torch.exp(-0.5 * (k / WIDTH) ** 2)
        slope = k / WIDTH**2 * bell / bell.sum()  # d/dd of g(t - d) at t = -k
        smooth = torch.zeros_like(x)  # d/dd of (x * g)(t - d)
        for shift, w in zip(k.tolist(), slope.tolist()):
            smooth += w * _placed(x, int(shift))
        change = _shifted(smooth, steps) * grad
        return back, change.sum([i for i in range(x.dim()) if i != 2])


def _placed(x: Tensor, shift: int) -> Tensor:
    """x [T, ...] by `shift` steps later, earlier where it is negative."""
    if shift >= 0:
        return later(x, shift)
    return F.pad(x[-shift:].movedim(0, -1), (0, min(-shift, len(x)))).movedim(-1, 0)


def delayed(x: Tensor, delays: Tensor) -> Tensor:
    """Spikes x [T, B, C, ...], those of channel c later by round(delays[c]) steps."""
    out: Tensor = _Delayed.apply(x, delays)
    return out
