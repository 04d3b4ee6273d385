"""The float LIF neuron on a GPU: all steps in one Triton kernel, as `lif` on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


@triton.jit
def _forward(
    current: Any, spikes: Any, n: Any, steps: Any, repeat: Any, block: tl.constexpr
) -> None:
    place = tl.program_id(0) * block + tl.arange(0, block)
    inside = place < n
    v = tl.zeros([block], tl.float32)
    for t in range(steps):
        row = t * (1 - repeat)
        x = 0.5 * (v + tl.load(current + row * n + place, mask=inside, other=0.0))
        fired = x >= 1.0
        tl.store(spikes + t * n + place, fired.to(tl.float32), mask=inside)
        v = tl.where(fired, 0.0, x)


@triton.jit
def _backward(
    grad: Any, current: Any, out: Any, n: Any, steps: Any, repeat: Any, block: tl.constexpr
) -> None:
    place = tl.program_id(0) * block + tl.arange(0, block)
    inside = place < n
    v = tl.zeros([block], tl.float32)
    total = tl.zeros([block], tl.float32)
    for t in range(steps):
        row = t * (1 - repeat)
        x = 0.5 * (v + tl.load(current + row * n + place, mask=inside, other=0.0))
        y = 1.0 / (1.0 + tl.exp(-4.0 * (x - 1.0)))
        g = tl.load(grad + t * n + place, mask=inside, other=0.0) * 2.0 * y * (1.0 - y)
        total = total * repeat + g
        tl.store(out + row * n + place, total, mask=inside)
        v = tl.where(x >= 1.0, 0.0, x)


class Spikes(torch.autograd.Function):
    """Spikes [steps, ...] of currents [T or 1, ...]."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, steps: int) -> Tensor:
        current = current.contiguous()
        spikes = current.new_empty(steps, *current.shape[1:])
        ctx.save_for_backward(current)
        ctx.sizes = current[0].numel(), steps, int(len(current) == 1)
        _forward[(triton.cdiv(ctx.sizes[0], BLOCK),)](current, spikes, *ctx.sizes, block=BLOCK)
        return spikes

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (current,) = ctx.saved_tensors
        out = torch.empty_like(current)
        _backward[(triton.cdiv(ctx.sizes[0], BLOCK),)](
            grad.contiguous(), current, out, *ctx.sizes, block=BLOCK
        )
        return out, None
