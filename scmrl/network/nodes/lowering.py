"""Where nodes put their populations and synapses. numpy only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...core.fixed_point import CURRENT_SHIFT
from ...core.graph import Dense, Graph, OneToOne, Population, Synapse
from ...core.synapse import Shape, seven_bit_parts, single
from ...system.errors import ScmrlError
from .signal import Signal, Source

ALWAYS = "always"  # the population that fires at every step, for constants


def whole(values: np.ndarray) -> np.ndarray:
    """int64 of whole numbers in float; raises where training's value is not one."""
    out = np.rint(values).astype(np.int64)
    if not np.array_equal(out, values):
        what = "a frozen value is not an integer; this is a defect of scmrl"
        raise ScmrlError(what, value=float(abs(out - values).max()))
    return out


def by_channel(values: np.ndarray, shape: Shape) -> np.ndarray:
    """[C] (or one number, or all of `shape`) so that it broadcasts to `shape`."""
    return values.reshape(-1, *(1,) * (len(shape) - 1)) if values.ndim == 1 else values


class Lowering:
    """Populations and synapses in the order in which nodes add them."""

    def __init__(
        self,
        steps: int,
        shapes: Mapping[str, Shape],
        trained: Mapping[str, float],
        delays: Mapping[str, np.ndarray],
    ):
        """`shapes`: of all nodes; `trained`: the gains that have a name; `delays`: the delays that
        have one, int64 [C].
        """
        self.steps, self.shapes, self.trained, self.delays = steps, shapes, trained, delays
        self.populations: dict[str, Population] = {}
        self.synapses: list[Synapse] = []

    def add(self, population: Population) -> None:
        self.populations[population.name] = population

    def gains(self, signals: Sequence[Signal]) -> list[dict[float | str, Any]]:
        """The gains that occur in each signal."""
        found: list[dict[float | str, Any]] = []
        for signal in signals:
            keys = (s.gain for s in signal.sources)
            found.append({k: self.trained[k] if isinstance(k, str) else k for k in keys})
        return found

    def delayed(
        self, s: Source, weight: np.ndarray, columns: int
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(delay, weight) of a source: one, but for trained delays, where each delay has the
        channels that have it. `columns` of the weight belong to a channel.
        """
        if isinstance(s.delay, int):
            yield s.delay, weight
            return
        steps = np.repeat(self.delays[s.delay], columns)
        for delay in np.unique(steps):
            chosen = (steps == delay).reshape(1, -1, *(1,) * (weight.ndim - 2))
            yield int(delay), np.where(chosen, weight, 0).astype(weight.dtype)

    def connect(self, synapse: Synapse) -> None:
        self.synapses.append(synapse)

    def feed(self, target: str, values: np.ndarray, delay: int = 0) -> None:
        """A constant at every step from `delay` on, integers of the target's shape."""
        for mantissa, exponent in seven_bit_parts(values):
            if ALWAYS not in self.populations:
                unit = Population(
                    ALWAYS, (1,), memoryless=True, bias_mant=1, bias_exp=CURRENT_SHIFT
                )
                self.add(unit)
            weight = mantissa.reshape(-1, 1).astype(np.int16)
            self.connect(Dense(ALWAYS, target, weight, exponent=exponent, delay=delay))

    def back(self, name: str, values: np.ndarray) -> None:
        """Each neuron's own spike comes back one step later with its value (of its shape)."""
        for mantissa, exponent in seven_bit_parts(values):
            alike = single(mantissa)
            if isinstance(alike, int):
                self.connect(OneToOne(name, name, alike, exponent=exponent, delay=1))
            else:
                weight = np.diag(mantissa.ravel()).astype(np.int16)
                self.connect(Dense(name, name, weight, exponent=exponent, delay=1))

    def graph(self, classes: tuple[str, ...]) -> Graph:
        """The checked graph."""
        populations = tuple(self.populations.values())
        return Graph(populations, tuple(self.synapses), self.steps, classes).check()
