"""The readout: integer synapses into membranes that never fire.

    v[t] = (4096 - dv) / 4096 v[t-1] + wrap24(64 sum over signals of W_q s[t]) + bias   (du = 4095)

dv 0 adds up over all steps, as the mean over time does; above 0 it leaks. One float weight a
signal, shared by its gains; all share one scale, W_q = round(W gain scale), scale = 127 / max |W
gain|.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ...core.fixed_point import DECAY_ONE, STATE_MAX
from ...core.graph import Population
from ...core.synapse import Shape
from ...hw_profiles.precision import Precision
from ...system.errors import UsageError
from ..kernels import stepping
from ..kernels.integers import UNIT
from ..kernels.stepping import rounded
from .layer import quantise_bias
from .lowering import Lowering, whole
from .maps import Map
from .node import Gains, Key, Node, Shapes, State, Terms, gains_of
from .signal import Signal
from .weights import Weights, magnitude

SMALL = 0.1  # deviation of the first weights over 1 / sqrt(fan-in)


class Readout(Node):
    """Forward gives the integer membrane [T, B, K] as float."""

    signals = (1, None)
    reads_out = True

    def __init__(self, linear: Map | Sequence[Map], dv: int = 0):
        super().__init__()
        if not 0 <= dv <= DECAY_ONE:
            raise UsageError("dv must be a whole number", value=dv, limit=f"0..{DECAY_ONE}")
        self.weights, self.dv = Weights(linear), dv

    def outline(self, known: Mapping[int, Shape]) -> Shape:
        shape = self.weights.outline(known)
        if len(shape) != 1:
            what = "a readout has one neuron a class"
            raise UsageError(what, value=shape, fix="read through Dense or Pooled")
        return shape

    def build(self, shapes: Shapes, precision: Precision) -> None:
        self.weights.build(shapes, SMALL, together=False)
        self.precision, self.bias = precision, nn.Parameter(torch.zeros(self.shape))

    def fold(self, gains: Gains) -> tuple[list[dict[Key, Tensor]], Tensor, int, float]:
        """(of each signal {gain: integer weight}, bias mantissa [K], bias exponent, scale)."""
        largest = max(
            float(w.detach().abs().max()) * max(abs(magnitude(g)) for g in by_gain.values())
            for w, by_gain in zip(self.weights.weight, gains)
        )
        scale = self.precision.weight_max / max(largest, 1e-9)
        weights = [
            {key: rounded(w * (gain * scale)) for key, gain in by_gain.items()}
            for w, by_gain in zip(self.weights.weight, gains)
        ]
        return weights, *quantise_bias(self.bias * (scale * UNIT), self.precision), scale

    def forward(self, signals: list[Terms], steps: int) -> Tensor:
        return self.advance(signals, steps, {})

    def advance(self, signals: list[Terms], steps: int, state: State) -> Tensor:
        weights, mantissa, exponent, self.scale = self.fold(gains_of(signals))
        drive = self.weights.drive(signals, weights)
        charge = stepping.wrapped(drive * UNIT) + mantissa * float(1 << exponent)
        charge = charge.expand(steps, *charge.shape[1:]) if len(charge) == 1 else charge
        membrane = []
        for step in charge:
            v = self._kept(state["v"]) + step if state else step
            state["v"] = v.clamp(-STATE_MAX, STATE_MAX)
            membrane.append(state["v"])
        return torch.stack(membrane)

    def _kept(self, v: Tensor) -> Tensor:
        if not self.dv:
            return v
        keep = torch.tensor(float(DECAY_ONE - self.dv), dtype=torch.float64)
        return stepping.decayed(v.double(), keep).to(v.dtype)

    def logits(self, membrane: Tensor) -> Tensor:
        """[B, K] of the membrane [T, B, K]: at the last step, in `unit`s."""
        return membrane[-1] / self.unit(len(membrane))

    def unit(self, steps: int) -> float:
        """Membrane of a drive of 1, in units of the weights, in each of the steps: after those."""
        kept = (DECAY_ONE - self.dv) / DECAY_ONE
        return UNIT * self.scale * sum(kept**t for t in range(steps))

    def lower(self, name: str, signals: Sequence[Signal], into: Lowering) -> None:
        weights, mantissa, exponent, _ = self.fold(into.gains(signals))
        bias = whole(mantissa.detach().numpy()).astype(np.int16)
        population = Population(
            name, self.shape, "readout", dv=self.dv, bias_mant=bias, bias_exp=exponent
        )
        into.add(population)
        self.weights.connect(name, signals, weights, into)
