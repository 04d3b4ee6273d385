"""The float LIF neuron of S-CMRL, all steps in one fused kernel.

    v[t] = (v[t-1] + I[t]) / 2;    s[t] = v[t] >= 1;    v[t] = 0 where s[t]                  tau = 2, threshold 1
    ds[t]/dI[t] = 1/2 g(v[t] - 1),   g(x) = 4 sigma(4 x) (1 - sigma(4 x));     ds[t]/dI[t'] = 0 for t' /= t

He et al. 2025 (arXiv 2502.12488) detach the membrane of the step before, so credit is local in time, and the threshold
is 1 in every layer: a threshold of 0.5 that the published code asks for in its attention reaches no neuron.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

ALPHA = 4.0


@numba.njit(parallel=True, cache=True, fastmath=False)
def _scan(current, steps):                          # [T or 1, n] -> spikes and slopes [steps, n]
    n = current.shape[1]
    spikes = np.empty((steps, n), np.float32)
    slope = np.empty((steps, n), np.float32)
    repeat = current.shape[0] == 1
    half, one, four = np.float32(0.5), np.float32(1.0), np.float32(4.0)
    for block in numba.prange((n + 4095) // 4096):
        first, last = block * 4096, min(block * 4096 + 4096, n)
        v = np.zeros(last - first, np.float32)
        for t in range(steps):
            row = 0 if repeat else t
            for i in range(first, last):
                x = half * (v[i - first] + current[row, i])
                y = one / (one + np.exp(-four * (x - one)))
                slope[t, i] = half * four * y * (one - y)
                fired = x >= one
                spikes[t, i] = one if fired else np.float32(0.0)
                v[i - first] = np.float32(0.0) if fired else x
    return spikes, slope


def lif_loop(current: Tensor, steps: int) -> Tensor:
    """The same neuron step by step in torch operations: the definition, and what runs without the fused kernel."""
    v, spikes = torch.zeros_like(current[0]), []
    for t in range(steps):
        v = 0.5 * (v.detach() + current[0 if len(current) == 1 else t])
        s = _Step.apply(v)
        v = v * (1 - s.detach())
        spikes.append(s)
    return torch.stack(spikes)


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return (v >= 1).to(v.dtype)

    @staticmethod
    def backward(ctx, grad):
        (v,) = ctx.saved_tensors
        y = torch.sigmoid(ALPHA * (v - 1))
        return grad * ALPHA * y * (1 - y)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx, current, steps):
        spikes, slope = _scan(current.detach().reshape(len(current), -1).numpy(), steps)
        shape = (steps, *current.shape[1:])
        ctx.save_for_backward(torch.from_numpy(slope).view(shape))
        ctx.once = len(current) == 1 and steps > 1
        return torch.from_numpy(spikes).view(shape)

    @staticmethod
    def backward(ctx, grad):
        (slope,) = ctx.saved_tensors
        grad = grad * slope
        return (grad.sum(0, keepdim=True) if ctx.once else grad), None


def lif(current: Tensor, steps: int) -> Tensor:
    """Spikes {0, 1} [steps, ...] for currents [T or 1, ...]; one step stands for a constant current."""
    if current.device.type == "cpu" and current.dtype == torch.float32:
        return _Fused.apply(current, steps)
    return lif_loop(current, steps)
