"""Whether two runs agree in every spike and every readout membrane, at every sample and step. numpy
only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from ..system.errors import DataError, MismatchError
from .activity import Activity, Spikes
from .graph import Graph


@dataclass(frozen=True)
class Difference:
    """The first value of a population that differs, by sample, step and neuron (its index in the
    shape).
    """

    population: str
    sample: int
    step: int
    neuron: tuple[int, ...]
    expected: int
    got: int

    def __str__(self) -> str:
        return (
            f"{self.population}: sample {self.sample}, step {self.step}, neuron"
            f" {list(self.neuron)}: expected {self.expected}, got {self.got}"
        )


@dataclass(frozen=True)
class PopulationMatch:
    """How many of the `compared` values (samples x steps x neurons) of a population differ, and the
    first.
    """

    name: str
    compared: int
    mismatches: int
    first: Difference | None
    spikes: Spikes = Spikes()


@final  # never false: `comparison and comparison.first` is that or None
@dataclass(frozen=True)
class Comparison:
    """The match of every population in the graph's order: what comes first is nearest to the
    cause.
    """

    expected: str  # backend
    got: str
    populations: tuple[PopulationMatch, ...]

    @property
    def mismatches(self) -> int:
        return sum(match.mismatches for match in self.populations)

    @property
    def compared(self) -> int:
        return sum(match.compared for match in self.populations)

    @property
    def spikes(self) -> Spikes:
        return sum((match.spikes for match in self.populations), Spikes())

    @property
    def bit_exact(self) -> bool:
        """Every value was equal, and there was at least one."""
        return self.compared > 0 and self.mismatches == 0

    @property
    def first(self) -> Difference | None:
        return next((match.first for match in self.populations if match.first), None)

    def require(self) -> None:
        """Raise `MismatchError` where the runs are not equal in every bit."""
        if self.bit_exact:
            return
        if self.first is None:
            raise MismatchError(f"nothing of {self.got} could be compared with {self.expected}")
        size = f"{self.mismatches} of {self.compared} values"
        raise MismatchError(
            f"{self.got} differs from {self.expected} in {size}",
            value=f"first at {self.first}",
            fix="report this with the bundle: backends must agree in every bit",
        )


def compare(graph: Graph, expected: Activity, got: Activity) -> Comparison:
    """Compare two runs of `graph` on the same samples. Raises `DataError` where one lacks values or
    steps.
    """
    matches = tuple(
        _match(p.name, p.kind == "lif", expected, got) for p in graph.order() if p.kind != "input"
    )
    return Comparison(expected.backend, got.backend, matches)


def _match(name: str, fires: bool, expected: Activity, got: Activity) -> PopulationMatch:
    wanted, found = (_values(name, activity) for activity in (expected, got))
    if wanted.shape != found.shape:
        raise DataError(
            f"{got.backend} and {expected.backend} differ in shape",
            where=name,
            limit=list(wanted.shape),
            value=list(found.shape),
            fix="compare runs of the same samples and steps",
        )
    different = wanted != found
    count = int(np.count_nonzero(different))
    spikes = Spikes.of(wanted, found) if fires else Spikes()
    if count == 0:
        return PopulationMatch(name, wanted.size, 0, None, spikes)
    at = tuple(int(i) for i in np.unravel_index(int(different.argmax()), different.shape))
    first = Difference(name, at[0], at[1], at[2:], int(wanted[at]), int(found[at]))
    return PopulationMatch(name, wanted.size, count, first, spikes)


def _values(name: str, activity: Activity) -> np.ndarray:
    try:
        return activity.values(name)
    except KeyError:
        raise DataError(
            f"{activity.backend} gave no values of this population", where=name
        ) from None
