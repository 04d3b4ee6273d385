"""A synapse as C computes it: the loop of its kind, and its weights in their storage width.

Weights lie so that what one spike adds lies side by side: [source][target channel]. Shared weights
stay shared. To give a kind a loop of its own: a function here, listed in `KINDS`, and a macro of
the name that it returns in synapses.c.j2; any other kind becomes a list of connections.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core.graph import (
    Broadcast,
    Conv2d,
    Dense,
    OneToOne,
    Pointwise,
    SumTokens,
    Synapse,
    Window,
)
from ...core.synapse import Shape
from .neurons import Neurons
from .words import Table, integers, order, places, said

EVENTS = ("dense", "pointwise", "convolution", "connections")  # loops that follow single spikes
Form = tuple[str, list[Table], dict[str, Any]]  # loop, tables, and what its template asks for


@dataclass(frozen=True)
class Map:
    """A synapse prepared for the templates: `loop` is a macro of synapses.c.j2, `facts` what it
    asks for; `gain` the power of two beyond what its population's `unit` says.
    """

    synapse: Synapse
    source: Neurons
    target: Neurons
    loop: str
    tables: list[Table]
    gain: int
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return said(self.synapse.name)

    @property
    def kind(self) -> str:
        return type(self.synapse).__name__

    @property
    def values(self) -> str:
        """Where the values of its source are."""
        return self.source.held(int(self.synapse.delay))

    @property
    def graded(self) -> bool:
        """Whether a weight is multiplied by what comes, and not only added."""
        return self.source.population.largest > 1 or self.gain > 1

    @property
    def follows_events(self) -> bool:
        """Whether what is not zero in its source is listed, and that alone added."""
        return self.loop in EVENTS

    @property
    def parts(self) -> int:
        """How many parts of its source are listed apart: positions, or all as one."""
        return 1 if self.loop in ("dense", "connections") else self.positions

    @property
    def channels(self) -> int:
        return self.source.population.shape[0]

    @property
    def positions(self) -> int:
        return math.prod(self.source.population.shape[1:])


def prepare(synapse: Synapse, source: Neurons, target: Neurons, word: str) -> Map:
    """A synapse of a legal graph; `word` is its name in C."""
    shapes = source.population.shape, target.population.shape
    form = _nothing if not np.any(synapse.weight) else KINDS.get(type(synapse), _connections)
    loop, tables, facts = form(synapse, *shapes, word)
    gain = (64 << int(synapse.exponent)) // target.unit
    return Map(synapse, source, target, loop, tables, gain, facts)


def _nothing(synapse: Synapse, source: Shape, target: Shape, word: str) -> Form:
    return "nothing", [], {}


def _weights(synapse: Synapse) -> np.ndarray:
    return np.asarray(synapse.weight, np.int64)


def _dense(synapse: Dense, source: Shape, target: Shape, word: str) -> Form:
    weight = np.empty((math.prod(source), math.prod(target)), np.int64)
    weight[np.ix_(order(source), order(target))] = _weights(synapse).T
    return "dense", [integers(f"weight_{word}", weight)], {}


def _pointwise(synapse: Pointwise, source: Shape, target: Shape, word: str) -> Form:
    return "pointwise", [integers(f"weight_{word}", _weights(synapse).T)], {}


def _conv(synapse: Conv2d, source: Shape, target: Shape, word: str) -> Form:
    """Weights [kh][kw][C_in][C_out of the group]: the pixels that a row of the kernel sees lie side
    by side, and so do their weights.
    """
    outs, (ins, kh, kw) = target[0] // synapse.groups, synapse.weight.shape[1:]
    grouped = _weights(synapse).reshape(synapse.groups, outs, ins, kh, kw)
    weight = grouped.transpose(3, 4, 0, 2, 1)
    facts = _geometry(synapse, (kh, kw), source, target)
    facts |= {"outs": outs, "ins": ins, "groups": synapse.groups}
    return "convolution", [integers(f"weight_{word}", weight)], facts


def _window(synapse: Window, source: Shape, target: Shape, word: str) -> Form:
    return "window", [], _geometry(synapse, synapse.kernel, source, target)


def _geometry(
    synapse: Conv2d | Window, kernel: tuple[int, int], source: Shape, target: Shape
) -> dict[str, Any]:
    return {
        "kernel": kernel,
        "stride": synapse.stride,
        "padding": synapse.padding,
        "from_size": source[1:],
        "to_size": target[1:],
    }


def _one_to_one(synapse: OneToOne, source: Shape, target: Shape, word: str) -> Form:
    """Neuron to neuron where both lie alike; channels last, shapes that differ do not."""
    if np.array_equal(order(source), order(target)):
        return "one_to_one", [], {}
    return _connections(synapse, source, target, word)


def _sum_tokens(synapse: SumTokens, source: Shape, target: Shape, word: str) -> Form:
    return "sum_tokens", [], {}


def _broadcast(synapse: Broadcast, source: Shape, target: Shape, word: str) -> Form:
    return "broadcast", [], {"to_positions": math.prod(target[1:])}


def _connections(synapse: Synapse, source: Shape, target: Shape, word: str) -> Form:
    """Any synapse, connection by connection, those of a source neuron in a row."""
    rows, columns, weight = synapse.coordinates(source, target)
    to, come = order(target)[rows], order(source)[columns]
    ranks = np.lexsort((to, come))
    first = np.searchsorted(come[ranks], np.arange(math.prod(source) + 1))
    tables = [
        integers(f"weight_{word}", weight[ranks]),
        places(f"target_{word}", to[ranks]),
        places(f"first_{word}", first),
    ]
    return "connections", tables, {}


KINDS: dict[type[Synapse], Callable[..., Form]] = {
    Dense: _dense,
    Pointwise: _pointwise,
    Conv2d: _conv,
    Window: _window,
    OneToOne: _one_to_one,
    SumTokens: _sum_tokens,
    Broadcast: _broadcast,
}
