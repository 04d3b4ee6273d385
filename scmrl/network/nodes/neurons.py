"""Spiking neurons of a node: their constants, which of them are trained, and how they run.

u[t] = (4096 - (du+1)) / 4096 u[t-1] + a[t]          memory of the current, none at du 4095
v[t] = (4096 - dv) / 4096 v[t-1] + u[t] + bias       memory of the membrane
s[t] = v[t] > theta

reset "zero"       v = 0 where s
reset "subtract"   v = v - theta where s
reset "late"       u[t] = (4096 - (dv)) / 4096 u[t-1] + a[t] - theta s[t-1],  v = u: the
                   subtraction comes one step later, as snntorch does it; for du 4095 alone.
                   On the chip the membrane is held in u, and each spike comes back by a synapse
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.fixed_point import CURRENT_SHIFT, DECAY_ONE
from ...core.graph import NO_CURRENT_MEMORY, Population
from ...core.synapse import Shape, single
from ...system.errors import UsageError, nearest
from ..kernels import neuron, rows, stepping
from ..kernels.integers import UNIT
from ..kernels.neuron import SLOPE, SURROGATE
from ..kernels.scan import SURROGATES, Kind, scan
from .lowering import Lowering, by_channel, whole
from .node import State

RESETS = ("zero", "subtract", "late")
GRADIENTS = ("local", "time")
PER = ("population", "channel", "neuron")
SCALES = ("population", "channel")
TRAINED = ("du", "dv", "threshold")
Constant = int | np.ndarray


@dataclass(frozen=True)
class LIF:
    """Constants of a population: du and dv of 4096, one integer or an array that broadcasts to the
    shape; `trained` names those of du, dv and threshold that learn, one `per` population, channel
    or neuron. `scales`: one threshold for the population, or one a channel, so that each channel's
    weights use all their bits. `gradient`: "local" in time (He et al. 2025), or through "time".
    `surrogate`: norse's name. `memoryless`: nothing is kept from one step to the next.
    """

    dv: Constant = 2048
    du: Constant = NO_CURRENT_MEMORY
    reset: str = "zero"
    trained: tuple[str, ...] = ()
    per: str = "channel"
    scales: str = "population"
    gradient: str = "local"
    surrogate: str = SURROGATE
    memoryless: bool = False

    def __post_init__(self) -> None:
        for name, word, known in (
            ("reset", self.reset, RESETS),
            ("per", self.per, PER),
            ("scales", self.scales, SCALES),
            ("surrogate", self.surrogate, SURROGATES),
            ("gradient", self.gradient, GRADIENTS),
            *(("trained", each, TRAINED) for each in self.trained),
        ):
            if word not in known:
                raise UsageError(f"unknown {name}", value=word, fix=nearest(word, known))
        for name, most in (("du", NO_CURRENT_MEMORY), ("dv", DECAY_ONE)):
            values = np.asarray(getattr(self, name))
            if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > most:
                what = f"{name} must be whole numbers"
                raise UsageError(what, value=getattr(self, name), limit=f"0..{most}")
        if self.reset == "late" and (np.any(self.du != NO_CURRENT_MEMORY) or self.memoryless):
            what = "a late subtraction needs the current's memory for the membrane"
            raise UsageError(what, value=self.du, fix="leave du out, or reset to zero")
        still = {"du", "dv"} if self.memoryless else {"du"} if self.reset == "late" else set()
        if still & set(self.trained):
            what = "nothing is kept by it, so it cannot be trained"
            raise UsageError(what, value=sorted(still & set(self.trained)), fix="leave it out")


STANDARD = LIF()


class Neurons(nn.Module):
    """Neurons of a shape. `forward`, `advance` and `begin` take sums a in synaptic units, the
    threshold and the bias that belong to them.
    """

    def __init__(self, kind: LIF, shape: Shape):
        super().__init__()
        du, dv = _fitted("du", kind.du, shape), _fitted("dv", kind.dv, shape)
        self.kind, self.shape = replace(kind, du=du, dv=dv), shape
        # of the fused kernel: one integer, or int64 [C]
        self.dv = DECAY_ONE if kind.memoryless else single(np.asarray(dv).reshape(-1))
        self.leaks = nn.ParameterDict()
        for name in kind.trained:
            if name != "threshold":
                self.leaks[name] = nn.Parameter(self._raw(getattr(self.kind, name)))
        self.fused = self._plain()

    def _raw(self, value: Constant) -> Tensor:
        """The parameter r of a trained decay: 4096 sigmoid(r)."""
        sizes = {"population": (1,), "channel": self.shape[:1], "neuron": self.shape}
        share = np.clip(
            np.broadcast_to(np.asarray(value, float), self.shape) / DECAY_ONE, 1e-3, 0.999
        )
        wanted = sizes[self.kind.per]
        first = share.reshape(*wanted, -1)[..., 0] if wanted != (1,) else share.ravel()[:1]
        return torch.logit(torch.from_numpy(np.ascontiguousarray(first))).float()

    def decay(self, name: str) -> Tensor | Constant:
        """du or dv as whole numbers: trained ones a tensor, with a gradient past the rounding."""
        if name not in self.leaks:
            return getattr(self.kind, name)
        top = NO_CURRENT_MEMORY if name == "du" else DECAY_ONE - 1
        free = DECAY_ONE * torch.sigmoid(self.leaks[name])
        return stepping.rounded(free).clamp(0, top)

    def _plain(self) -> bool:
        """Whether all steps run in one kernel: no current memory, reset to zero, gradients local in
        time.
        """
        kind = self.kind
        alone = isinstance(kind.du, int) and kind.du == NO_CURRENT_MEMORY
        plain = alone and kind.reset == "zero" and kind.gradient == "local" and not self.leaks
        each = (self.shape[0], *(1,) * (len(self.shape) - 1))
        return plain and np.shape(kind.dv) in ((), each)

    def forward(
        self, a: Tensor, bias: Tensor, vth: Constant, steps: int, scale: float | None = None
    ) -> Tensor:
        """Spikes [T, B, *shape] of sums a [T or 1, B, *shape]; bias [C] in membrane units; vth one
        integer or [C]; `scale`: the width of the surrogate, in synaptic units.
        """
        if self.fused:
            more: dict[str, Any] = {"scale": scale, "surrogate": self.kind.surrogate}
            return neuron.lif(a, bias, steps=steps, dv=self.dv, vth=vth, **more)
        return self.advance(a, bias, vth, steps, {}, scale)

    def advance(
        self,
        a: Tensor,
        bias: Tensor,
        vth: Constant,
        steps: int,
        state: State,
        scale: float | None = None,
    ) -> Tensor:
        """As `forward`, from the state of the steps before; `state` becomes that after these."""
        if rows.fused(a):
            kind = self.kind
            subtract, late = kind.reset == "subtract", kind.reset == "late"
            way = Kind(subtract, late, kind.gradient == "local", kind.surrogate)
            numbers = self._numbers(bias, vth, scale)
            spikes, state["uvs"] = scan(a, numbers, way, steps, state.get("uvs"))
            return spikes
        step = self.begin(a[0], bias, vth, scale, state)
        return torch.cat([step(a[t if len(a) > 1 else 0]) for t in range(steps)])

    def begin(
        self, like: Tensor, bias: Tensor, vth: Constant, scale: float | None, state: State
    ) -> Callable[[Tensor], Tensor]:
        """A function from the sums [B, *shape] of one step to its spikes [1, B, *shape]; `state`
        goes on with it.
        """
        n = self._numbers(bias, vth, scale)
        late, local = self.kind.reset == "late", self.kind.gradient == "local"
        silent = replace(n, bias=torch.zeros_like(n.bias))  # a late one's bias comes with the sums
        if not state:
            state["u"], state["v"] = stepping.rest(like)
            state["s"] = torch.zeros_like(like)

        def step(a: Tensor) -> Tensor:
            u, v = state["u"], state["v"]
            fed = a + (n.bias - n.theta * state["s"].detach()) / UNIT if late else a
            before = (u.detach(), v.detach()) if local else (u, v)
            spikes, (state["u"], state["v"]) = stepping.lif_step(before, fed, silent if late else n)
            state["s"] = spikes
            return spikes[None]

        return step

    def _numbers(self, bias: Tensor, vth: Constant, scale: float | None) -> stepping.Numbers:
        rank = len(self.shape)

        def each(values: Any) -> Tensor:
            x = torch.as_tensor(values, dtype=torch.float64)
            return x.view(-1, *(1,) * (rank - 1)) if x.dim() == 1 else x

        du, dv = (each(self.decay(name)) for name in ("du", "dv"))
        theta, reset = each(vth) * UNIT, self.kind.reset
        width = UNIT * each(np.maximum(vth, 1) if scale is None else scale) / SLOPE
        keep_u, keep_v, offset = DECAY_ONE - (du + 1), DECAY_ONE - dv, each(bias)
        if self.kind.memoryless:
            keep_u, keep_v = torch.zeros_like(keep_u), torch.zeros_like(keep_v)
        if reset == "late":  # the membrane is u
            keep_u, keep_v = keep_v, torch.zeros_like(keep_v)
        more = reset == "subtract", self.kind.surrogate
        return stepping.Numbers(keep_u, keep_v, theta, offset, width, *more)

    def lower(self, name: str, vth: Constant, bias: tuple[np.ndarray, int], into: Lowering) -> None:
        """The population; `bias`: mantissa [C] (or of the shape) and exponent."""
        mantissa, exponent = bias
        du, dv = (self._whole(self.decay(word)) for word in ("du", "dv"))
        theta = self._whole(vth)
        if self.kind.reset == "late":
            into.add(Population(name, self.shape, vth=theta, du=dv - 1, dv=DECAY_ONE))
            into.back(name, -np.broadcast_to(np.asarray(theta), self.shape))
            units = by_channel(mantissa, self.shape) << exponent
            into.feed(name, np.broadcast_to(units >> CURRENT_SHIFT, self.shape))
            return
        kept = {"memoryless": True} if self.kind.memoryless else {"du": du, "dv": dv}
        population = Population(
            name,
            self.shape,
            vth=theta,
            bias_mant=by_channel(mantissa, self.shape).astype(np.int16),
            bias_exp=exponent,
            reset=self.kind.reset,
            **kept,
        )
        into.add(population)

    def _whole(self, values: Tensor | Constant) -> Constant:
        array = values.detach().numpy() if isinstance(values, Tensor) else np.asarray(values)
        return single(by_channel(whole(array), self.shape))


def _fitted(name: str, value: Constant, shape: Shape) -> Constant:
    """An array that broadcasts to the shape; [C] is one a channel. Raises `UsageError`."""
    if isinstance(value, (int, np.integer)):
        return int(value)
    array = by_channel(value, shape)
    try:
        np.broadcast_to(array, shape)
    except ValueError:
        limit = f"one, ({shape[0]},) or what broadcasts to {shape}"
        raise UsageError(f"{name} does not fit", value=value.shape, limit=limit) from None
    return array
