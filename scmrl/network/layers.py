"""A spiking layer that is the chip's: synapses, batch norm folded in, int8 weights, LIF neurons.

With batch norm folded, W' = W gamma / sigma and b' = beta - mu gamma / sigma, and for a drive that
fires above 1:

    vth = floor(127 / max(|W'| gain))     integer threshold, one per population
    W_q = round(W' gain vth)              int8, for every gain of the fan-in (1, a residual's alpha)
    b_q = round(b' vth 64 / 2^e) 2^e      bias in membrane units: 13-bit mantissa, 3-bit exponent e

Training goes through two phases. While batch norm is *live* it normalises with the statistics of
the batch and the drive is rounded to 1/4096 of the threshold; evaluation always runs the folded
integers. Then the norm is *folded* for good: weights, thresholds and biases are rounded in every
forward pass, gradients pass straight through the rounding. Batch norm folding inside
quantisation-aware training: Jacob et al. 2018, arXiv 1712.05877, section 3.2.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.fixed_point import STATE_MAX
from ..hw_profiles.precision import Precision
from ..system.errors import ScmrlError
from . import rows
from .neuron import UNIT, lif, norm_lif


@dataclass(frozen=True)
class Folded:
    """Integers of a layer: one weight per gain, threshold, bias mantissa [C] and exponent."""

    weights: dict[float, Tensor]
    vth: int
    bias_mant: Tensor
    bias_exp: int

    @property
    def bias(self) -> Tensor:
        return self.bias_mant * float(1 << self.bias_exp)


def added(parts: Iterable[Tensor]) -> Tensor:
    """The sum of one or more tensors."""
    return reduce(operator.add, parts)


def round_through(x: Tensor) -> Tensor:
    """round(x) whose gradient is that of x (straight-through estimator, Bengio et al. 2013)."""
    return x + (x.round() - x).detach()


def quantise_bias(bias: Tensor, precision: Precision) -> tuple[Tensor, int]:
    """Bias in membrane units -> (mantissa, shared exponent: the smallest that fits)."""
    largest, most = float(bias.detach().abs().max()), precision.bias_mant_max
    exponent = precision.bias_exp_min
    while exponent < precision.bias_exp_max and round(largest / (1 << exponent)) > most:
        exponent += 1
    return round_through(bias / (1 << exponent)).clamp(-most, most), exponent


class SpikingLayer(nn.Module):
    """Synapses (convolution of size `kernel` and `stride`, or 1 for a map shared by all positions),
    batch norm and LIF.

    `gamma` and `beta` are where the norm's scale and offset start, in thresholds: they set how much
    the layer fires. forward(fan_in, steps): fan_in {gain: spikes [T or 1, B, C_in, ...]} -> spikes
    [T, B, C_out, ...].
    """

    mean: Tensor  # of the batches, running
    variance: Tensor

    def __init__(
        self,
        channels_in: int,
        channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        dv: int,
        precision: Precision,
        gamma: float = 1.0,
        beta: float = 0.0,
    ):
        super().__init__()
        shape = (channels, channels_in) if kernel == 1 else (channels, channels_in, kernel, kernel)
        drawn = nn.init.kaiming_normal_(torch.empty(shape), nonlinearity="linear")
        self.weight = nn.Parameter(drawn)
        self.gamma = nn.Parameter(torch.full((channels,), gamma))
        self.beta = nn.Parameter(torch.full((channels,), beta))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.kernel, self.stride, self.dv, self.precision = kernel, stride, dv, precision
        self.norm_live = True

    def synapses(self, x: Tensor, weight: Tensor) -> Tensor:
        """Linear map of [T, B, C_in, ...] by an unfolded or integer weight."""
        if self.kernel == 1:
            return rows.back(F.linear(rows.of(x), weight), x.shape[1], x.shape[3:])
        out = F.conv2d(x.flatten(0, 1), weight, stride=self.stride, padding=self.kernel // 2)
        return out.unflatten(0, x.shape[:2])

    def fold(self, gains: tuple[float, ...]) -> Folded:
        """The layer's integers (floats, straight-through gradients) for a fan-in of these gains."""
        scale = self.gamma / torch.sqrt(self.variance + rows.EPSILON)
        folded = self.weight * scale.view(-1, *(1,) * (self.weight.dim() - 1))
        largest = float(folded.detach().abs().max()) * max(abs(gain) for gain in gains)
        vth = int(min(self.precision.weight_max / max(largest, 1e-9), self.precision.vth_max))
        if vth < 1:
            raise ScmrlError(
                "folded weights are too large for an integer threshold",
                value=f"|W| = {largest:.0f}",
                limit=self.precision.weight_max,
                fix="lower the learning rate",
            )
        bias = (self.beta - self.mean * scale) * (vth * UNIT)
        weights = {gain: round_through(folded * (gain * vth)) for gain in gains}
        return Folded(weights, vth, *quantise_bias(bias, self.precision))

    def forward(self, fan_in: dict[float, Tensor], steps: int) -> Tensor:
        if self.training and self.norm_live:
            x = added(spikes if gain == 1 else gain * spikes for gain, spikes in fan_in.items())
            y, running = self.synapses(x, self.weight), (self.mean, self.variance)
            return norm_lif(y, self.gamma, self.beta, running, steps=steps, dv=self.dv)
        folded = self.fold(tuple(fan_in))
        a = added(self.synapses(spikes, folded.weights[gain]) for gain, spikes in fan_in.items())
        return lif(a, folded.bias, steps=steps, dv=self.dv, vth=folded.vth)


class Readout(nn.Module):
    """Accumulating readout: integer synapses from any number of sources into a membrane that never
    fires.

        v[t] = v[t-1] + 64 sum_sources W_q s[t] + bias          (dv = 0, du = 4095)

    One float weight [K, F] per fan-in group, shared by the group's gains; all groups share one
    scale, W_q = round(W gain scale) with scale = 127 / max |W gain|. forward takes features [T, B,
    F] (spikes, or their sums over positions) and returns logits [B, K] (membrane at the last step
    over scale and steps) and the integer membrane [T, B, K].
    """

    def __init__(self, features: dict[str, int], classes: int, *, precision: Precision):
        super().__init__()
        drawn = {n: torch.randn(classes, f) * (0.1 / f**0.5) for n, f in features.items()}
        self.weights = nn.ParameterDict({name: nn.Parameter(w) for name, w in drawn.items()})
        self.bias = nn.Parameter(torch.zeros(classes))
        self.precision = precision

    def fold(
        self, gains: dict[str, tuple[float, ...]]
    ) -> tuple[dict[str, dict[float, Tensor]], Tensor, int, float]:
        """({group: {gain: integer weight}}, bias mantissa [K], bias exponent, scale)."""
        largest = max(
            float(w.detach().abs().max()) * max(abs(g) for g in gains[name])
            for name, w in self.weights.items()
        )
        scale = self.precision.weight_max / max(largest, 1e-9)
        weights = {
            name: {gain: round_through(w * (gain * scale)) for gain in gains[name]}
            for name, w in self.weights.items()
        }
        mantissa, exponent = quantise_bias(self.bias * (scale * UNIT), self.precision)
        return weights, mantissa, exponent, scale

    def forward(self, fan_in: dict[str, dict[float, Tensor]], steps: int) -> tuple[Tensor, Tensor]:
        gains = {name: tuple(groups) for name, groups in fan_in.items()}
        weights, mantissa, exponent, scale = self.fold(gains)
        drive = added(  # [T, B, K]
            feature @ weights[name][gain].T
            for name, groups in fan_in.items()
            for gain, feature in groups.items()
        )
        charge = drive * UNIT + mantissa * float(1 << exponent)
        membrane = [charge[0].clamp(-STATE_MAX, STATE_MAX)]
        for step in charge[1:]:
            membrane.append((membrane[-1] + step).clamp(-STATE_MAX, STATE_MAX))
        logits = membrane[-1] / (UNIT * scale * steps)
        return logits, torch.stack(membrane).detach()
