"""Neurons as a graph has them: its integers learn, in its own units, and nothing else changes.

    a[t] = sum over synapses of (W_q << exponent) s[t - delay] + constants - R s[t - 1]
    W_q = clip(round(W)),  |W_q| <= top          bias = clip(round(b)) << exponent

Thresholds, decays, exponents and delays stay what they are, so that before any training the network
is the graph, in every bit. R is what a reset by subtraction takes off through a synapse: a constant
in backward, as every reset is.

Populations of thresholds theta, 2 theta, ... that all hear the same hold one state: a neuron that
fires several times in a step. They are one node, whose spikes are counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from norse.torch.functional.threshold import threshold
from torch import Tensor, nn

from ...core.fixed_point import BIAS_MANTISSA_BITS, DECAY_ONE
from ...core.graph import Population
from ...core.synapse import Shape, Synapse, narrowed, single
from ...hw_profiles.precision import Precision
from ..kernels import stepping
from ..kernels.integers import UNIT
from ..kernels.neuron import SLOPE, SURROGATE
from ..kernels.through import Constants, through
from .held import Held
from .lowering import Lowering, whole
from .node import Gains, Node, Shapes, State, Step, Terms
from .signal import Signal

CONSTANT_TOP = 63 << 7  # what two synapses of 7 bits bring


@dataclass(frozen=True)
class Parts:
    """What a graph says of a node.

    populations: one, or those of one state, by their thresholds
    synapses:    for each signal those from all populations of its source to all of this node, of
                 equal weights
    constants:   int64 [*shape] in synaptic units, by the step from which they arrive
    back:        R int64 [*shape], or None; `returning`: its synapses
    """

    populations: tuple[Population, ...]
    synapses: tuple[tuple[Synapse, ...], ...]
    constants: Mapping[int, np.ndarray]
    back: np.ndarray | None = None
    returning: tuple[Synapse, ...] = ()


class Given(Node):
    """Spiking neurons or the readout of a graph. Weights of synapses that have an array of them
    learn, and biases and constants that are there.
    """

    signals = (0, None)
    scale: Tensor  # of a readout: membrane units of a logit

    def __init__(self, parts: Parts):
        super().__init__()
        self.parts, first = parts, parts.populations[0]
        self.shape, self.fires, self.reads_out = first.shape, first.fires, not first.fires
        self.maps = nn.ModuleList()
        self.bias = _Learnt(first.per_neuron(first.bias_mant), 1 << (BIAS_MANTISSA_BITS - 1))
        fixed = dict(parts.constants)
        self.constant = _Learnt(fixed.pop(0, np.zeros(self.shape, np.int64)), CONSTANT_TOP)
        self.later = {d: torch.from_numpy(c.astype(np.float64)) for d, c in fixed.items()}
        self.register_buffer("scale", torch.ones(()))

    def outline(self, known: Mapping[int, Shape]) -> Shape:
        return self.shape

    def build(self, shapes: Shapes, precision: Precision) -> None:
        for (source,), same in zip(shapes, self.parts.synapses):
            self.maps.append(Held(same[0], source, self.shape))

    def _drive(self, signals: list[Terms]) -> Tensor | None:
        """Sums float64 [T or 1, B, *shape] of what synapses bring."""
        brought = [m(terms[0].x) for m, terms in zip(self.maps, signals) if terms]
        return torch.stack([x.double() for x in brought]).sum(0) if brought else None

    def forward(self, signals: list[Terms], steps: int) -> Tensor:
        return self.advance(signals, steps, {})

    def advance(self, signals: list[Terms], steps: int, state: State) -> Tensor:
        drive = self._drive(signals)
        a = torch.zeros(1, 1, *self.shape, dtype=torch.float64) if drive is None else drive
        if a.device.type != "cpu":
            run = self._start(a[0], state)
            return torch.cat([run(a[t if len(a) > 1 else 0]) for t in range(steps)])
        a = a + self.constant()
        if self.later:
            past = int(state["t"]) if state else 0
            a = a.expand(steps, *a.shape[1:])
            for delay, value in self.later.items():
                arrived = torch.zeros(steps, dtype=torch.float64)
                arrived[max(0, delay - past) :] = 1
                a = a + arrived.view(-1, 1, *(1,) * len(self.shape)) * value
            state["t"] = torch.tensor(past + steps)
        bias = (self.bias() * (1 << self.parts.populations[0].bias_exp)).expand(self.shape)
        flat = a.flatten(2)
        before = state["uvn"] if "uvn" in state else flat.new_zeros(3, *flat.shape[1:])
        out, state["uvn"] = through(flat, bias.flatten(), self._constants, steps, before)
        return out.view(*out.shape[:2], *self.shape)

    @cached_property
    def _constants(self) -> Constants:
        """What the kernel takes."""
        first, n = self.parts.populations[0], self._numbers()

        def each(x: Any) -> np.ndarray:
            values = np.broadcast_to(np.asarray(x), self.shape).ravel()
            return np.ascontiguousarray(values)

        widths, thetas = self._thresholds() if self.fires else ([torch.ones(())], [])
        rising = [each(theta.numpy()).astype(np.int64) for theta in thetas]
        back = np.zeros(1, np.int64) if self.parts.back is None else self.parts.back
        return Constants(
            each(n.keep_u.numpy()).astype(np.int64),
            each(n.keep_v.numpy()).astype(np.int64),
            np.stack(rising) if rising else np.zeros((0, 1), np.int64),
            each(back),
            each(widths[0].numpy()),
            first.subtracts,
            bool(first.memoryless),
        )

    def begin(self, outside: list[Terms], gains: Gains, steps: int, state: State) -> Step:
        known, at, run = self._drive(outside), 0, None

        def step(inside: list[Terms]) -> Tensor:
            nonlocal at, run
            parts = [] if known is None else [known[at if len(known) > 1 else 0]]
            more = self._drive(inside)
            a = torch.stack(parts + ([] if more is None else [more[0]])).sum(0)
            run = run or self._start(a, state)
            at += 1
            return run(a)

        return step

    def _start(self, like: Tensor, state: State) -> Callable[[Tensor], Tensor]:
        """A function from the sums [B, *shape] of a step to the spikes (counts, or a readout's
        membrane) [1, B, *shape]; `state` goes on with it.
        """
        numbers, constant = self._numbers(), self.constant()
        widths, thetas = self._thresholds()
        back = None if self.parts.back is None else torch.from_numpy(self.parts.back).double()
        if not state:
            state["u"], state["v"] = stepping.rest(like)
            state["n"], state["t"] = torch.zeros_like(state["u"]), torch.tensor(0)
        memoryless = self.parts.populations[0].memoryless
        now = int(state["t"])

        def step(a: Tensor) -> Tensor:
            nonlocal now
            for delay, value in {0: constant, **self.later}.items():
                a = a + value if now >= delay else a
            now += 1
            state["t"] = torch.tensor(now)
            a = a if back is None else a - back * state["n"]
            before = stepping.rest(a) if memoryless else (state["u"], state["v"])
            u, v = stepping.charged(before, a, numbers)
            if not self.fires:
                state["u"], state["v"] = u, v
                return v.float()[None]
            spikes = sum(
                threshold((v - theta) / width, SURROGATE, 1.0)
                for theta, width in zip(thetas, widths)
            )
            state["n"] = spikes.detach()
            first = (state["n"] > 0).double()
            kept = v - thetas[0] * first if numbers.subtract else v * (1 - first)
            state["u"], state["v"] = u, kept
            return spikes.float()[None]

        return step

    def _numbers(self) -> stepping.Numbers:
        first = self.parts.populations[0]
        du, dv = (torch.as_tensor(x, dtype=torch.float64) for x in first.decays)
        one = torch.ones((), dtype=torch.float64)
        bias = self.bias() * (1 << first.bias_exp)
        keep = DECAY_ONE - (du + 1), DECAY_ONE - dv
        return stepping.Numbers(*keep, one, bias, one, first.subtracts, SURROGATE)

    def _thresholds(self) -> tuple[list[Tensor], list[Tensor]]:
        """(widths of the surrogate, thresholds) of the populations, in membrane units."""
        vth = [torch.as_tensor(p.vth, dtype=torch.float64) for p in self.parts.populations]
        step = vth[0].clamp(min=1) if len(vth) < 2 else (vth[1] - vth[0]).clamp(min=1)
        return [step * (UNIT / SLOPE) for _ in vth], [x * UNIT for x in vth]

    def spikes(self, name: str, values: Tensor) -> dict[str, Tensor]:
        if len(self.parts.populations) == 1:
            return {name: values}
        return {p.name: (values > k).float() for k, p in enumerate(self.parts.populations)}

    def logits(self, membrane: Tensor) -> Tensor:
        """[B, K] of the membrane [T, B, K] of a readout."""
        return membrane[-1].flatten(1) / self.scale

    def lower(self, name: str, signals: Sequence[Signal], into: Lowering) -> None:
        bias = whole(self.bias().detach().numpy())
        bias = np.broadcast_to(bias, self.shape)
        for p in self.parts.populations:
            into.add(replace(p, bias_mant=single(bias)))
        for m, same in zip(self.maps, self.parts.synapses):
            weight = cast(Held, m).whole()
            for s in same:
                into.connect(s if weight is None else replace(s, weight=weight))
        for s in self.parts.returning:
            into.connect(s)
        learnt = np.broadcast_to(whole(self.constant().detach().numpy()), self.shape)
        for p in self.parts.populations:
            for delay, values in {**self.parts.constants, 0: learnt}.items():
                into.feed(p.name, values, delay)


class _Learnt(nn.Module):
    """Integers of a population, one a channel where they are given so, that learn unless all are
    zero; held as a share of `top`.
    """

    def __init__(self, values: np.ndarray, top: int):
        super().__init__()
        values = narrowed(np.asarray(values, np.int64))
        largest = int(np.abs(values).max(initial=0))
        self.top, self.unit = max(top, largest), float(max(1, 2 * largest))
        start = torch.from_numpy(values / self.unit)
        if largest:
            self.values = nn.Parameter(start)
        else:
            self.register_buffer("values", start)

    def forward(self) -> Tensor:
        x = self.values * self.unit
        return stepping.rounded(x).clamp(-self.top, self.top)
