"""A spiking layer that is the chip's: maps, batch norm folded in, int8 weights, LIF neurons.

With batch norm folded, W' = W gamma / sigma and b' = beta - mu gamma / sigma, and for a drive that
fires above 1:

    vth = floor(127 / max(|W'| gain))     integer threshold, of the population or of each channel
    W_q = round(W' gain vth)              int8, for every gain of the signal (1, a residual's alpha)
    b_q = round(b' vth 64 / 2^e) 2^e      bias in membrane units: 13-bit mantissa, 3-bit exponent e

Training goes through two phases. While batch norm is *live* it normalises with the statistics of
the batch and the drive is rounded to 1/4096 of the threshold; evaluation always runs the folded
integers. Then the norm is *folded* for good: weights, thresholds and biases are rounded in every
forward pass, gradients pass straight through the rounding. Batch norm folding inside
quantisation-aware training: Jacob et al. 2018, arXiv 1712.05877, section 3.2.

Each signal has a weight of its own, so several signals are a concatenation. What comes back on a
cycle, and the layer's own spikes, stay outside the norm: their weights are in thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.fixed_point import CURRENT_SHIFT
from ...core.graph import Dense as DenseSynapse
from ...core.synapse import Shape, single
from ...hw_profiles.precision import Precision
from ...system.errors import ScmrlError, UsageError, nearest
from ..kernels import neuron, rows
from ..kernels.integers import UNIT
from ..kernels.neuron import LIVE_LIMIT, LIVE_VTH
from ..kernels.stepping import rounded
from .lowering import Lowering, whole
from .maps import Map
from .neurons import LIF, STANDARD, Constant, Neurons
from .node import ONE, Gains, Key, Node, Shapes, State, Step, Terms, gains_of
from .signal import Signal
from .weights import Weights, added, applied, largest, magnitude, scaled

RECURRENCES = ("", "full", "one-to-one")


@dataclass(frozen=True)
class Folded:
    """Integers of a layer: of each signal one weight per gain; the weight of its own spikes; the
    threshold, one integer or int64 [C]; bias mantissa [C] and exponent.
    """

    weights: list[dict[Key, Tensor]]
    own: Tensor | None
    vth: Constant
    bias_mant: Tensor
    bias_exp: int

    @property
    def bias(self) -> Tensor:
        return self.bias_mant * float(1 << self.bias_exp)


def quantise_bias(bias: Tensor, precision: Precision) -> tuple[Tensor, int]:
    """Bias in membrane units -> (mantissa, shared exponent: the smallest that fits)."""
    largest, most = float(bias.detach().abs().max()), precision.bias_mant_max
    exponent = precision.bias_exp_min
    while exponent < precision.bias_exp_max and round(largest / (1 << exponent)) > most:
        exponent += 1
    return rounded(bias / (1 << exponent)).clamp(-most, most), exponent


class Layer(Node):
    """Map, batch norm (unless `norm` is false) and LIF neurons.

    `gamma` and `beta` are where the norm's scale and offset start, in thresholds: they set how much
    the layer fires; without a norm beta is the bias, and gamma scales the first weights.
    `recurrent`: "full" or "one-to-one", its own spikes one step later.
    """

    signals = (1, None)
    mean: Tensor  # of the batches, running
    variance: Tensor

    def __init__(
        self,
        linear: Map | Sequence[Map],
        neuron: LIF = STANDARD,
        *,
        norm: bool = True,
        recurrent: str = "",
        gamma: float = 1.0,
        beta: float = 0.0,
    ):
        super().__init__()
        if recurrent not in RECURRENCES:
            fix = nearest(recurrent, RECURRENCES)
            raise UsageError("unknown recurrence", value=recurrent, fix=fix)
        if norm and "threshold" in neuron.trained:
            what = "with a norm the threshold learns already: its gamma and beta are that"
            raise UsageError(what, value="trained threshold", fix="leave it out, or norm=False")
        self.weights, self.kind, self.recurrent = Weights(linear), neuron, recurrent
        self.start, self.norm, self.norm_live = (gamma, beta), norm, norm
        self.loops = recurrent != ""
        self.direct: frozenset[int] = frozenset()  # signals that come back on a cycle

    def outline(self, known: Mapping[int, Shape]) -> Shape:
        return self.weights.outline(known)

    def build(self, shapes: Shapes, precision: Precision) -> None:
        gamma, beta = self.start
        self.weights.build(shapes, 1.0 if self.norm else gamma)
        channels, neurons = self.shape[0], math.prod(self.shape)
        late = self.kind.reset == "late"  # its bias comes through synapses: whole sums
        self.precision = replace(precision, bias_exp_min=CURRENT_SHIFT) if late else precision
        if self.norm:
            self.gamma = nn.Parameter(torch.full((channels,), gamma))
            self.register_buffer("mean", torch.zeros(channels))
            self.register_buffer("variance", torch.ones(channels))
        self.beta = nn.Parameter(torch.full((channels,), beta))
        if "threshold" in self.kind.trained:
            count = 1 if self.kind.per == "population" else channels
            self.threshold = nn.Parameter(torch.ones(count))
        if self.recurrent:
            full = self.recurrent == "full"
            size = (neurons, neurons) if full else self.shape
            self.own = nn.Parameter(torch.randn(size) * (0.5 / (neurons**0.5 if full else 1)))
        self.neurons = Neurons(self.kind, self.shape)

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Running mean and variance of the norm."""
        return self.mean, self.variance

    @property
    def live(self) -> bool:
        """Whether the norm is that of the batch."""
        return self.training and self.norm_live

    def _in_thresholds(self) -> tuple[list[Tensor], Tensor | None, Tensor]:
        """Float weights of the signals and of its own spikes, and the offset [C], so that the
        layer fires above 1.
        """
        floats = list(self.weights.weight)
        if self.norm:  # what comes back is outside of it
            scale = self.gamma / torch.sqrt(self.variance + rows.EPSILON)
            weights = [w if i in self.direct else scaled(w, scale) for i, w in enumerate(floats)]
            own = self.own if self.recurrent else None
            return weights, own, self.beta - self.mean * scale
        one = torch.ones_like(self.beta)
        scale = one / (self.threshold.clamp(min=1e-3) if hasattr(self, "threshold") else one)
        weights = [scaled(w, scale) for w in floats]
        return weights, scaled(self.own, scale) if self.recurrent else None, self.beta * scale

    def fold(self, gains: Gains) -> Folded:
        """The layer's integers (floats, straight-through gradients) for signals of these gains."""
        weights, own, offset = self._in_thresholds()
        vth = self._vth(weights, gains, own)
        fine = float(vth) if isinstance(vth, int) else torch.from_numpy(vth).to(offset.dtype)

        def integers(w: Tensor, gain: float | Tensor) -> Tensor:
            by = fine * gain
            one = isinstance(by, float) or by.dim() == 0
            return rounded(w * by if one else scaled(w, torch.as_tensor(by)))

        return Folded(
            [
                {key: integers(w, gain) for key, gain in by_gain.items()}
                for w, by_gain in zip(weights, gains)
            ],
            None if own is None else integers(own, 1.0),
            vth,
            *quantise_bias(offset * (fine * UNIT), self.precision),
        )

    def _vth(self, weights: list[Tensor], gains: Gains, own: Tensor | None) -> Constant:
        """Thresholds so that the largest weight is the largest integer."""
        channels = 1 if self.kind.scales == "population" else len(self.beta)
        tops = [
            largest(w, channels) * max(abs(magnitude(g)) for g in by_gain.values())
            for w, by_gain in zip(weights, gains)
        ]
        tops += [] if own is None else [largest(own, channels)]
        top = reduce(np.maximum, tops) if channels > 1 else max(tops)
        vth = np.minimum(self.precision.weight_max / np.maximum(top, 1e-9), self.precision.vth_max)
        if np.min(vth) < 1:
            raise ScmrlError(
                "folded weights are too large for an integer threshold",
                value=f"|W| = {np.max(top):.0f}",
                limit=self.precision.weight_max,
                fix="lower the learning rate",
            )
        return single(vth.astype(np.int64)) if channels > 1 else int(vth)

    def forward(self, signals: list[Terms], steps: int) -> Tensor:
        if self.live and self.neurons.fused and self.kind.surrogate == neuron.SURROGATE:
            y = self._normed(signals)
            return neuron.norm_lif(
                y, self.gamma, self.beta, self.moments, steps=steps, dv=self.neurons.dv
            )
        return self.neurons(*self._charge(signals), steps)

    def advance(self, signals: list[Terms], steps: int, state: State) -> Tensor:
        return self.neurons.advance(*self._charge(signals), steps, state)

    def _charge(self, signals: list[Terms]) -> tuple[Tensor, Tensor, Constant]:
        """Sums, bias and threshold, as the neurons take them."""
        if self.live:
            return self._live(self._normed(signals)), torch.zeros_like(self.beta), LIVE_VTH
        folded = self.fold(gains_of(signals))
        return self.weights.drive(signals, folded.weights), folded.bias, folded.vth

    def _normed(self, signals: list[Terms]) -> Tensor:
        """What the norm takes in: the drive by the float weights."""
        parts = []
        for i, (terms, weight) in enumerate(zip(signals, self.weights.weight)):
            if terms:
                linear = self.weights.map(i)
                louder = (linear.features(t.x if t.gain is ONE else t.gain * t.x) for t in terms)
                parts.append((linear, added(louder), weight))
        return applied(parts)

    def _live(self, y: Tensor) -> Tensor:
        """Normed by the batch, clipped, in 1 / 4096 of the threshold."""
        normal = rows.batch_norm(y, self.gamma, self.beta, self.moments)
        return rounded(normal.clamp(-LIVE_LIMIT, LIVE_LIMIT) * LIVE_VTH)

    def _live_folded(self, gains: Gains) -> Folded:
        """While the norm is live: the weights of what comes back, in 1 / 4096 of the threshold."""
        weights, own, _ = self._in_thresholds()
        return Folded(
            [
                {key: rounded(w * (gain * LIVE_VTH)) for key, gain in by_gain.items()}
                for w, by_gain in zip(weights, gains)
            ],
            None if own is None else rounded(own * LIVE_VTH),
            LIVE_VTH,
            torch.zeros_like(self.beta),
            0,
        )

    def begin(self, outside: list[Terms], gains: Gains, steps: int, state: State) -> Step:
        """The drive of what is outside the cycle at once; what is inside, and its own spikes, step
        by step.
        """
        if self.live:
            folded = self._live_folded(gains)
            known = self._live(self._normed(outside)) if any(outside) else None
        else:
            folded = self.fold(gains)
            known = self.weights.drive(outside, folded.weights) if any(outside) else None
        counter = iter(range(steps))
        run: Callable[[Tensor], Tensor] | None = None

        def step(inside: list[Terms]) -> Tensor:
            nonlocal run
            at = next(counter)
            parts = [] if known is None else [known[at if len(known) > 1 else 0]]
            parts += [self.weights.drive(inside, folded.weights)[0]] if any(inside) else []
            if state and folded.own is not None:
                parts.append(self._returned(state["s"], folded.own))
            a = added(parts)
            run = run or self.neurons.begin(a, folded.bias, folded.vth, None, state)
            return run(a)

        return step

    def _returned(self, spikes: Tensor, own: Tensor) -> Tensor:
        """What its own spikes [B, *shape] of the step before bring."""
        if self.recurrent == "one-to-one":
            return spikes * own
        return F.linear(spikes.flatten(1), own).view(spikes.shape)

    def lower(self, name: str, signals: Sequence[Signal], into: Lowering) -> None:
        folded = self.fold(into.gains(signals))
        mantissa = whole(folded.bias_mant.detach().numpy())
        self.neurons.lower(name, folded.vth, (mantissa, folded.bias_exp), into)
        self.weights.connect(name, signals, folded.weights, into)
        if folded.own is not None:
            integers = whole(folded.own.detach().numpy())
            if self.recurrent == "one-to-one":
                into.back(name, integers)
            else:
                into.connect(DenseSynapse(name, name, integers.astype(np.int16), delay=1))
