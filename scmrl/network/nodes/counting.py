"""Nodes without weights, made of counts of spikes: AND, masks over tokens, pooling.

And    s = a AND b                           two unit synapses, threshold 1; one neuron a
       channel is spread over the positions of the other: a gate
Mask   s[c] = LIF(sum over n of x[c, n]) > vth       of this step alone, or of a leaking past
Pool   s[o] = LIF(sum over the window of x) > vth    vth 0 without memory: any of them (OR)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from ...core.fixed_point import THRESHOLD_MAX
from ...core.graph import Broadcast, OneToOne, Population, SumTokens, Synapse, Window
from ...core.synapse import Shape
from ...hw_profiles.precision import Precision
from ...system.errors import UsageError
from ..kernels.pooling import pool
from ..kernels.stepping import rounded
from .lowering import Lowering
from .maps import Pair, pair
from .neurons import LIF, Neurons
from .node import Gains, Node, Shapes, State, Step, Terms
from .signal import Signal, Source

AND_VTH = 1  # of unit weights: fires above 1 (both)
FORGETFUL = LIF(memoryless=True)


def alone(signals: Sequence[Signal]) -> list[tuple[str, int]]:
    """(node, delay) of signals of one source each (`plain`)."""
    sources: list[Source] = [s for signal in signals for s in signal.sources]
    return [(s.node, s.delay) for s in sources if isinstance(s.delay, int)]


class And(Node):
    """Both of two spike trains; a train of one neuron a channel gates all positions."""

    signals = (2, 2)
    stateless = True

    def outline(self, known: Mapping[int, Shape]) -> Shape:
        return max(known.values(), key=len)

    def build(self, shapes: Shapes, precision: Precision) -> None:
        (a,), (b,) = shapes
        small, large = sorted((a, b), key=len)
        if small not in (large, large[:1]):
            raise UsageError("an AND joins equal shapes, or one neuron a channel", value=[a, b])

    def forward(self, signals: list[Terms], steps: int) -> Tensor:
        (a,), (b,) = signals
        rank = 2 + len(self.shape)
        one, other = (x.view(*x.shape, *(1,) * (rank - x.dim())) for x in (a.x, b.x))
        both = one * other
        return both.expand(steps, *both.shape[1:]) if len(both) == 1 else both

    def lower(self, name: str, signals: Sequence[Signal], into: Lowering) -> None:
        into.add(Population(name, self.shape, vth=AND_VTH, memoryless=True))
        for source, delay in alone(signals):
            kind = OneToOne if into.shapes[source] == self.shape else Broadcast
            into.connect(kind(source, name, 1, delay=delay))


class Counting(Node):
    """LIF neurons over counts of spikes: fire above `vth` of them, the surrogate one spike wide."""

    def __init__(self, vth: int, neuron: LIF):
        super().__init__()
        if not 0 <= vth <= THRESHOLD_MAX:
            limit = f"0..{THRESHOLD_MAX}"
            raise UsageError("a threshold is a count of spikes", value=vth, limit=limit)
        if neuron.reset == "late":
            raise UsageError("counts are not reset late", value=neuron.reset, fix="zero, subtract")
        self.vth, self.kind = vth, neuron

    def counted(self, source: Shape) -> Shape:
        """The shape of the counts of a source."""
        raise NotImplementedError

    def count(self, x: Tensor) -> Tensor:
        """x [T or 1, B, *source] -> [T or 1, B, *shape]."""
        raise NotImplementedError

    def synapse(self, source: str, target: str, delay: int) -> Synapse:
        raise NotImplementedError

    def outline(self, known: Mapping[int, Shape]) -> Shape:
        return self.counted(known[0])

    def build(self, shapes: Shapes, precision: Precision) -> None:
        self.neurons = Neurons(self.kind, self.shape)

    def forward(self, signals: list[Terms], steps: int) -> Tensor:
        ((term,),) = signals
        counts = self.count(term.x)
        still = counts.new_zeros(self.shape[0])
        return self.neurons(counts, still, self.vth, steps, scale=1)

    def advance(self, signals: list[Terms], steps: int, state: State) -> Tensor:
        if self.kind.memoryless:
            return self(signals, steps)
        ((term,),) = signals
        counts = self.count(term.x)
        still = counts.new_zeros(self.shape[0])
        return self.neurons.advance(counts, still, self.vth, steps, state, scale=1)

    def begin(self, outside: list[Terms], gains: Gains, steps: int, state: State) -> Step:
        if self.kind.memoryless:
            return super().begin(outside, gains, steps, state)
        run: Callable[[Tensor], Tensor] | None = None

        def step(inside: list[Terms]) -> Tensor:
            nonlocal run
            ((term,),) = inside
            counts = self.count(term.x)[0]
            still = counts.new_zeros(self.shape[0])
            run = run or self.neurons.begin(counts, still, self.vth, 1, state)
            return run(counts)

        return step

    def lower(self, name: str, signals: Sequence[Signal], into: Lowering) -> None:
        self.neurons.lower(name, self.vth, (np.zeros(1, np.int64), 0), into)
        ((source, delay),) = alone(signals)
        into.connect(self.synapse(source, name, delay))


class Mask(Counting):
    """One neuron a channel over all its positions: of this step alone, or with the memory of
    `neuron`.
    """

    def __init__(self, vth: int = 0, neuron: LIF = FORGETFUL):
        super().__init__(vth, neuron)

    def counted(self, source: Shape) -> Shape:
        return source[:1]

    def count(self, x: Tensor) -> Tensor:
        return x.flatten(3).sum(3) if x.dim() > 3 else x

    def synapse(self, source: str, target: str, delay: int) -> Synapse:
        return SumTokens(source, target, 1, delay=delay)


class Pool(Counting):
    """A window of spikes on (C, H, W); by default any of them within 3 x 3, stride 2 (an OR: the
    max-pool of spikes), with another `vth` or memory a sum.
    """

    def __init__(
        self,
        kernel: Pair = 3,
        stride: Pair = 2,
        padding: Pair = 1,
        vth: int = 0,
        neuron: LIF = FORGETFUL,
    ):
        super().__init__(vth, neuron)
        self.window = (
            pair(kernel, "kernel", 1),
            pair(stride, "stride", 1),
            pair(padding, "padding", 0),
        )

    def counted(self, source: Shape) -> Shape:
        return Window("", "", 1, *self.window).output_shape(source, ())

    def count(self, x: Tensor) -> Tensor:
        kernel, stride, padding = self.window
        frames = F.avg_pool2d(x.flatten(0, 1), kernel, stride, padding) * math.prod(kernel)
        return rounded(frames).unflatten(0, x.shape[:2])

    def forward(self, signals: list[Terms], steps: int) -> Tensor:
        if self.vth or not self.kind.memoryless:
            return super().forward(signals, steps)
        ((term,),) = signals
        spikes = pool(term.x, *self.window)
        return spikes.expand(steps, *spikes.shape[1:]) if len(spikes) == 1 else spikes

    def synapse(self, source: str, target: str, delay: int) -> Synapse:
        return Window(source, target, 1, *self.window, delay=delay)
