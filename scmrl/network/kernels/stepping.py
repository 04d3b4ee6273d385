"""The neuron one step at a time, in float64 that holds the chip's integers exactly; gradients go
through time.

    u[t] = wrap24( trunc(u[t-1] keep_u / 4096) + 64 a[t] )
    v[t] = sat24 ( trunc(v[t-1] keep_v / 4096) + u[t] + bias )
    s[t] = v[t] > theta;      where s: v = 0, or v = v - theta           (scmrl.core.fixed_point)

Backward, truncation counts as nothing, the decays pass u and v on, the spike has a surrogate of
norse, and the reset is a constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from norse.torch.functional.threshold import threshold
from torch import Tensor

from ...core.fixed_point import DECAY_ONE, STATE_LIMIT, STATE_MAX
from .integers import UNIT


@dataclass(frozen=True)
class Numbers:
    """Of a population, float64 that broadcasts to [B, *shape]: what the states keep of 4096, the
    threshold and the bias in membrane units, the width of the surrogate in membrane units.
    """

    keep_u: Tensor
    keep_v: Tensor
    theta: Tensor
    bias: Tensor
    width: Tensor
    subtract: bool
    surrogate: str


State = tuple[Tensor, Tensor]


def through(x: Tensor, whole: Tensor) -> Tensor:
    """`whole` with the gradient of x (straight-through estimator, Bengio et al. 2013)."""
    return x + (whole - x).detach()


def rounded(x: Tensor) -> Tensor:
    """round(x) with the gradient of x."""
    return through(x, x.round())


def decayed(x: Tensor, keep: Tensor) -> Tensor:
    """x keep / 4096, toward zero."""
    y = x * keep / DECAY_ONE
    return through(y, y.trunc())


def wrapped(u: Tensor) -> Tensor:
    """As `core.fixed_point.wrap`."""
    turn = 2 * STATE_LIMIT
    return u + turn * ((u <= -STATE_LIMIT).to(u.dtype) - (u > STATE_LIMIT).to(u.dtype))


def charged(state: State, a: Tensor, n: Numbers) -> State:
    """(u, v) of this step before the reset, of a sum a [B, *shape]."""
    u = wrapped(decayed(state[0], n.keep_u) + UNIT * a.to(torch.float64))
    v = (decayed(state[1], n.keep_v) + u + n.bias).clamp(-STATE_MAX, STATE_MAX)
    return u, v


def lif_step(state: State, a: Tensor, n: Numbers) -> tuple[Tensor, State]:
    """(spikes float32 [B, *shape], state) after one step."""
    u, v = charged(state, a, n)
    spikes = threshold((v - n.theta) / n.width, n.surrogate, 1.0)
    fired = spikes.detach()
    kept = v - n.theta * fired if n.subtract else v * (1 - fired)
    return spikes.float(), (u, kept)


def rest(a: Tensor) -> State:
    """The state before the first step, for sums like a [B, *shape]."""
    zero = torch.zeros(a.shape, dtype=torch.float64, device=a.device)
    return zero, zero
