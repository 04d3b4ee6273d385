"""A population as the core updates it: its parameters as words, and the state that it keeps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.fixed_point import (
    CURRENT_SHIFT,
    DECAY_ONE,
    EVERY_STATE_FITS,
    STATE_MAX,
    signed,
)
from ...core.graph import Graph, Population
from ...system.errors import GraphError
from .memories import WIDEST
from .synapses import by_engine, groups, positions, words


@dataclass(frozen=True)
class Neurons:
    """A population prepared for the schedule; `levels` [words, P, 2] are (threshold, bias),
    `decays` [words, P, 2] (keep_v, keep_u): of all, of each group, or of each word.
    """

    population: Population
    engines: int
    keeps_u: bool
    keeps_v: bool
    levels: np.ndarray
    decays: np.ndarray

    @property
    def name(self) -> str:
        return self.population.name

    @property
    def groups(self) -> int:
        return groups(self.population.shape, self.engines)

    @property
    def positions(self) -> int:
        return positions(self.population.shape)

    @property
    def words(self) -> int:
        return words(self.population.shape, self.engines)

    def by(self, table: np.ndarray) -> str:
        """What has a word of its own in `levels` or `decays`."""
        return "all" if len(table) == 1 else "group" if len(table) < self.words else "word"


def prepare(graph: Graph, p: Population, engines: int) -> Neurons:
    """A population of a legal graph. Raises `GraphError` where it is beyond the core's integers."""
    du, dv = (p.per_neuron(x) for x in p.decays)
    keeps_u = bool(np.any(DECAY_ONE - 1 - du))
    worst = graph.worst_activation(p.name)
    if keeps_u and worst > EVERY_STATE_FITS:
        raise GraphError(
            "a current with memory can leave the core's 24 bits",
            where=p.name,
            limit=f"a synaptic sum of {EVERY_STATE_FITS}",
            value=worst,
            fix="use the target or backend c, or smaller weights",
        )
    for what, value in (
        ("position", positions(p.shape)),
        ("group", groups(p.shape, engines)),
    ):
        if value >= 1 << WIDEST[what]:
            raise GraphError(
                f"more {what}s than the core counts",
                where=p.name,
                limit=(1 << WIDEST[what]) - 1,
                value=value,
                fix="use the target or backend c",
            )
    lowest, highest = signed(WIDEST["bias"])
    threshold = np.minimum(p.per_neuron(p.vth) << CURRENT_SHIFT, STATE_MAX)
    bias = np.clip(p.bias, lowest + 1, highest)  # beyond it any membrane saturates
    shown = p.kind == "readout" or any(other.adds == p.name for other in graph.populations)
    return Neurons(
        p,
        engines,
        keeps_u,
        shown or bool(np.any(DECAY_ONE - dv)),
        _table([(threshold, STATE_MAX), (bias, 0)], engines),
        _table([(DECAY_ONE - dv, None), (DECAY_ONE - 1 - du, None)], engines),
    )


def _table(parameters: list[tuple[np.ndarray, int | None]], engines: int) -> np.ndarray:
    """Parameters of a population's shape as words, as few as say the same: int64 [words, P, n];
    engines without a channel get the number beside each, or their word's first.
    """
    each = []
    for values, padding in parameters:
        last = np.moveaxis(values.reshape(len(values), -1), 0, -1)  # [positions, C]
        found = by_engine(last, engines, 0 if padding is None else padding)
        if padding is None and (lacking := -last.shape[-1] % engines):
            found = found.copy()
            found[:, -1, engines - lacking :] = found[:, -1, :1]
        each.append(found)
    table = np.stack(each, -1)  # [positions, groups, P, n]
    if np.all(table == table[:1]):
        table = table[:1]
        if np.all(table == table[:, :1]):
            table = table[:, :1]
    return np.ascontiguousarray(table.reshape(-1, engines, len(parameters)))
