"""The float weights of a node, one for each signal that it reads, and the maps they belong to."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn

from ...core.synapse import Shape
from ...system.errors import UsageError
from .lowering import Lowering, whole
from .maps import Map
from .node import Key, Shapes, Terms
from .signal import Signal


def added(parts: Iterable[Tensor]) -> Tensor:
    """The sum of one or more tensors."""
    return reduce(operator.add, parts)


def joined(terms: Terms, linear: Map) -> dict[Key, Tensor]:
    """The features of the sources of each gain are one sum: synapses are linear."""
    sums: dict[Key, Tensor] = {}
    for term in terms:
        x = linear.features(term.x)
        sums[term.key] = sums[term.key] + x if term.key in sums else x
    return sums


def applied(parts: list[tuple[Map, Tensor, Tensor]]) -> Tensor:
    """The sum of maps of features with weights; those of one map are one product."""
    linear, first, _ = parts[0]
    frames = first.shape[:2] + first.shape[3:]
    alike = all(m is linear and x.shape[:2] + x.shape[3:] == frames for m, x, _ in parts)
    if len(parts) > 1 and alike and linear.joinable():
        x = linear.joined([x for _, x, _ in parts])
        return linear.apply(x, torch.cat([weight for _, _, weight in parts], 1))
    return added(m.apply(x, weight) for m, x, weight in parts)


class Weights(nn.Module):
    """One float weight a signal, drawn for the whole fan-in, and the map it belongs to: one for
    all signals, or one for each.
    """

    def __init__(self, linear: Map | Sequence[Map]):
        super().__init__()
        self.given = linear
        self.weight = nn.ParameterList()

    def map(self, signal: int) -> Map:
        return self.given if isinstance(self.given, Map) else self.given[signal]

    def outline(self, known: Mapping[int, Shape]) -> Shape:
        """The shape of what comes out, from the sources of some signals."""
        signal, shape = next(iter(known.items()))
        if not isinstance(self.given, Map) and not signal < len(self.given):
            what = "a map for each signal, or one for all"
            raise UsageError(what, value=len(self.given), limit=signal + 1)
        return self.map(signal).target(shape)

    def build(self, shapes: Shapes, gain: float, *, together: bool = True) -> None:
        """Weights of a deviation gain / sqrt(fan-in), of all signals together or of each."""
        if not isinstance(self.given, Map) and len(self.given) != len(shapes):
            what = "a map for each signal, or one for all"
            raise UsageError(what, value=len(self.given), limit=len(shapes))
        targets, sizes = set(), []
        for i, signal in enumerate(shapes):
            targets |= {self.map(i).target(shape) for shape in signal}
            sizes.append({self.map(i).weight(shape) for shape in signal})
        if len(targets) != 1:
            fix = "give each signal a map of its own: Layer([Conv2d(8, stride=2), Conv2d(8)])"
            raise UsageError("what it reads differs in shape", value=sorted(targets), fix=fix)
        if any(len(size) != 1 for size in sizes):
            raise UsageError("sources of one signal differ in channels", value=shapes)
        wanted = [size.pop() for size in sizes]
        fans = [math.prod(size[1:]) for size in wanted]
        self.weight.extend(
            nn.Parameter(torch.randn(size) * (gain / (sum(fans) if together else fan) ** 0.5))
            for size, fan in zip(wanted, fans)
        )

    def drive(self, signals: list[Terms], weights: Sequence[dict[Key, Tensor]]) -> Tensor:
        """The sum over all sources, of which there is one at least."""
        parts = [
            (self.map(i), x, weights[i][key])
            for i, terms in enumerate(signals)
            for key, x in joined(terms, self.map(i)).items()
        ]
        return applied(parts)

    def connect(
        self,
        name: str,
        signals: Sequence[Signal],
        weights: Sequence[dict[Key, Tensor]],
        into: Lowering,
    ) -> None:
        """The synapses of all sources, with integer weights by gain."""
        for i, (signal, by_gain) in enumerate(zip(signals, weights)):
            for s in signal.sources:
                linear, shape = self.map(i), into.shapes[s.node]
                weight = whole(by_gain[s.gain].detach().numpy()).astype(np.int16)
                columns = linear.columns(shape)
                if s.part is not None or isinstance(s.delay, str):  # differs by channel
                    linear, weight = linear.ungrouped(weight)
                for delay, part in into.delayed(s, weight, columns):
                    if s.part is not None:
                        part = placed(part, s.part, shape[0], columns)
                    into.connect(linear.synapse(s.node, name, part, shape, delay))


def placed(weight: np.ndarray, part: tuple[int, int], channels: int, columns: int) -> np.ndarray:
    """The weight of some channels among zeros for the others; `columns` of it belong to each."""
    out = np.zeros((len(weight), channels * columns, *weight.shape[2:]), weight.dtype)
    out[:, part[0] * columns : part[1] * columns] = weight
    return out


def scaled(weight: Tensor, by: Tensor) -> Tensor:
    """A weight [C or neurons, ...] times one number, or one a channel [C]."""
    if len(by) in (1, len(weight)):
        return weight * by.view(-1, *(1,) * (weight.dim() - 1))
    return (weight.reshape(len(by), -1) * by[:, None]).view(weight.shape)


def magnitude(gain: float | Tensor) -> float:
    """A gain as a number."""
    return float(gain.detach()) if isinstance(gain, Tensor) else gain


def largest(weight: Tensor, channels: int) -> float | np.ndarray:
    """The largest magnitude into each channel, float64 [C]; of one alone, or into all, a number."""
    size = weight.detach().abs()
    if channels == 1:
        return float(size.max())
    return size.reshape(channels, -1).amax(1).cpu().double().numpy()
