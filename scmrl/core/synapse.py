"""Synapses: integer linear maps from one population to another, a kind each. numpy only.

    a_target[t] += (weight << exponent) . s_source[t - delay]

A synapse has a name, unique in its graph: its label, or "source->target". `Graph` labels the second
of the same ends "source->target#2". What is kept by synapse is kept by name.

To add a kind: subclass `Synapse` here. It needs its map (`output_shape`, `count`, `apply`, and
`coordinates`, the same map as a sparse matrix) and, where it has fields of its own, their ranges in
`RANGES`; `arrivals`, `per_target` and `convolution` may have closed forms. Files, the reference,
the simulator, Lava, NIR, ONNX, chip limits, counts and placement then take it by that general form.
Files that name kinds, because they do some faster or as an operator of their own, are

    deploy/backends/simulator/kernels.py, matmul.py    products of their own
    convert/onnx/operators.py                          an operator of ONNX in place of a matrix
    convert/netx/lowering.py                           the layers that netx has
    convert/c/synapses.py                              a loop of C in place of a list of connections
    convert/verilog/synapses.py                        loops of the core in place of all-to-all

Lava has one form for all kinds; NIR's and netx's convolutions come from `convolution`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..system.errors import GraphError
from .fixed_point import ACTIVATION_LIMIT

if TYPE_CHECKING:
    from .convolution import Convolution

Shape = tuple[int, ...]
Box = tuple[tuple[int, int], ...]  # (start, stop) along each axis of a population
Measure = Callable[[np.ndarray], np.ndarray]
Coordinates = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, columns, weights

NEURONS = 1 << 21  # of a graph, and of one population with its padding
ROWS = 1 << 24  # weights of a dense synapse that are looked at together
RANGES = (  # of a synapse's integers, and of each of a pair
    ("delay", 0, (1 << 16) - 1),
    ("exponent", 0, 23),
    ("stride", 1, (1 << 16) - 1),
    ("padding", 0, (1 << 16) - 1),
    ("kernel", 1, (1 << 16) - 1),
    ("groups", 1, (1 << 16) - 1),
)
SYNAPSES: dict[str, type[Synapse]] = {}  # every kind, by its name in files


def integer_array(values: object, where: str) -> np.ndarray:
    """As int64; raises `GraphError` where they are no integers."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise GraphError("weights must be integers", where=where, value=array.dtype)
    return array.astype(np.int64)


def check_integer(name: str, value: object, low: int, high: int, where: str) -> None:
    """Raise `GraphError` where a value is no integer from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise GraphError(f"{name} must be an integer", where=where, value=value)
    if not low <= value <= high:
        raise GraphError(
            f"{name} is out of range", where=where, limit=f"{low}..{high}", value=value
        )


def check_integers(
    name: str, values: object, low: int, high: int, shape: Shape, where: str
) -> None:
    """`check_integer`, or that for every element of an array, which must broadcast to `shape`."""
    if not isinstance(values, np.ndarray):
        return check_integer(name, values, low, high, where)
    if values.dtype.kind not in "iu":
        raise GraphError(f"{name} must be integers", where=where, value=values.dtype)
    check_broadcast(name, values, shape, where)
    for worst in (values.min(), values.max()):
        check_integer(name, worst, low, high, where)


def check_broadcast(name: str, values: np.ndarray, shape: Shape, where: str) -> None:
    """Raise `GraphError` where an array does not broadcast to `shape`."""
    try:
        np.broadcast_to(values, shape)
    except ValueError:
        raise GraphError(
            f"{name} does not fit the population", where=where, limit=shape, value=values.shape
        ) from None


def single(values: np.ndarray) -> int | np.ndarray:
    """One integer where all are equal."""
    return int(values.flat[0]) if np.all(values == values.flat[0]) else values


def narrowed(values: np.ndarray) -> np.ndarray:
    """[C, ...] as one value a channel, [C, 1, ...], where its neurons have the same."""
    flat = values.reshape(len(values), -1)
    if np.any(flat != flat[:, :1]):
        return values
    return flat[:, 0].reshape(-1, *(1,) * (values.ndim - 1))


def seven_bit_parts(value: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """value = sum of (mantissa << exponent), exactly, of 7-bit mantissas: what weights of 8 bits
    bring together.
    """
    parts, exponent, value = [], 0, np.asarray(value, np.int64)
    while value.any():
        low = (value + 64) % 128 - 64
        if low.any():
            parts.append((low, exponent))
        value, exponent = (value - low) >> 7, exponent + 7
    return parts


def whole(shape: Shape) -> Box:
    """The box of all neurons of a shape."""
    return tuple((0, int(n)) for n in shape)


def slices(box: Box) -> tuple[slice, ...]:
    """A box as an index."""
    return tuple(slice(start, stop) for start, stop in box)


def nonzero(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> Coordinates:
    """Coordinates without those of weight zero."""
    keep = weights != 0
    return rows[keep], columns[keep], weights[keep]


@dataclass(frozen=True)
class Synapse:
    """The map of one kind between populations of the shapes `source` and `target`.

    `weight` is an integer array, or one integer for all connections. `shared`: all positions of a
    channel use one copy of the weights. `all_to_all`: every source neuron reaches every target
    neuron through a weight of its own.
    """

    source: str
    target: str
    weight: np.ndarray | int
    exponent: int = field(default=0, kw_only=True)
    delay: int = field(default=0, kw_only=True)
    label: str = field(default="", kw_only=True)

    shared: ClassVar[bool] = False
    all_to_all: ClassVar[bool] = False

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        if not abstract:
            SYNAPSES[cls.__name__] = cls

    @property
    def ends(self) -> str:
        return f"{self.source}->{self.target}"

    @property
    def name(self) -> str:
        return self.label or self.ends

    @property
    def weighted(self) -> bool:
        """Whether it has weights of its own, as a layer has, and not one for all connections."""
        return isinstance(self.weight, np.ndarray)

    def integers(self) -> np.ndarray:
        """The weights, int64; raises `GraphError` where they are no integers."""
        return integer_array(self.weight, self.name)

    def rows(self) -> np.ndarray:
        """The weights of each target neuron, or of each target channel where its neurons share
        them: [targets or channels or 1, weights], a view.
        """
        weight = np.atleast_1d(np.asarray(self.weight))
        return weight.reshape(len(weight), -1)

    def mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Synapse:
        """The same synapse with its weights changed."""
        weight = change(np.asarray(self.weight))
        return replace(self, weight=weight if self.weighted else int(weight))

    def output_shape(self, source: Shape, target: Shape) -> Shape:
        """Shape this synapse gives on a source of that shape, given the target's (needed where it
        sets the size). Raises `GraphError` where the weights do not fit.
        """
        raise NotImplementedError

    def count(self, source: Shape, target: Shape) -> int:
        """How many weights there are, zeros included, shared ones at every place; nothing is
        allocated for it.
        """
        raise NotImplementedError

    def apply(self, s: np.ndarray, target: Shape) -> np.ndarray:
        """Definition: s int64 [S, *source] -> exact sums int64 [S, *target], exponent not yet
        applied.
        """
        raise NotImplementedError

    def coordinates(self, source: Shape, target: Shape) -> Coordinates:
        """The same map as (rows, columns, weights) int64 over the flattened target and source; no
        zero weights.
        """
        raise NotImplementedError

    def convolution(self, source: Shape, target: Shape) -> Convolution | None:
        """The same map as a convolution on the source as an image, where it is one. A kernel of one
        pixel fits any shape: positions in a row are an image of any height.
        """
        return None

    def arrivals(self, source: Shape, target: Shape, box: Box) -> tuple[Box, np.ndarray]:
        """How many non-zero weights each source neuron has into the `box` of the target: a box of
        the source, and int64 of its shape; source neurons outside it have none.
        """
        rows, columns, _ = self.coordinates(source, target)
        inside = np.zeros(target, bool)
        inside[slices(box)] = True
        counts = np.bincount(columns[inside.ravel()[rows]], minlength=int(np.prod(source)))
        return whole(source), counts.reshape(source)

    def fan_out(self, source: Shape, target: Shape) -> np.ndarray:
        """Non-zero weights leaving each source neuron: int64 [neurons of the source]."""
        box, counts = self.arrivals(source, target, whole(target))
        out = np.zeros(source, np.int64)
        out[slices(box)] = counts
        return out.ravel()

    def per_target(self, source: Shape, target: Shape, measure: Measure) -> np.ndarray:
        """Sum of `measure(w)` over the weights w into each target neuron, int64 [neurons of the
        target]; a measure is 0 at 0. `np.abs` gives the largest sum that spikes can make.
        """
        rows, _, weights = self.coordinates(source, target)
        totals = np.bincount(rows, measure(weights), minlength=int(np.prod(target)))
        return totals.astype(np.int64)  # exact: a float holds integers up to 2^53

    def fan_in(self, source: Shape, target: Shape) -> np.ndarray:
        """Non-zero weights into each target neuron: int64 [neurons of the target]."""
        return self.per_target(source, target, lambda w: w != 0)

    def check(self, source: Shape, target: Shape) -> None:
        """Raise `GraphError` where a field has no meaning, or the map does not fit the shapes."""
        if not isinstance(self.label, str) or not self.label.isprintable():
            raise GraphError("a synapse's label must be printable text", value=ascii(self.label))
        for name, low, high in RANGES:
            for number in np.atleast_1d(np.array(getattr(self, name, low), object)):
                check_integer(name, number, low, high, self.name)
        weight = np.asarray(self.weight)
        integer_array(weight[:0] if weight.ndim else weight, self.name)  # its type, without a copy
        largest = max(abs(int(weight.min())), abs(int(weight.max()))) if weight.size else 0
        if largest >= ACTIVATION_LIMIT:
            raise GraphError(
                "weight can leave the 32-bit message",
                where=self.name,
                limit=ACTIVATION_LIMIT - 1,
                value=largest,
            )
        got = tuple(self.output_shape(source, target))
        if got != tuple(target):
            raise GraphError(
                "synapse and target differ in shape", where=self.name, limit=target, value=got
            )


def derived_names(synapses: Sequence[Synapse]) -> list[str]:
    """The names of synapses without a label: "a->b", and "a->b#2" for the second such."""
    seen: Counter[str] = Counter()
    names = []
    for s in synapses:
        seen[s.ends] += 1
        names.append(s.ends if seen[s.ends] == 1 else f"{s.ends}#{seen[s.ends]}")
    return names


@dataclass(frozen=True)
class Dense(Synapse):
    """All-to-all: weight [targets, sources] over flattened populations."""

    weight: np.ndarray
    all_to_all = True

    def output_shape(self, source: Shape, target: Shape) -> Shape:
        wanted = (math.prod(target), math.prod(source))
        if self.weight.shape != wanted:
            raise GraphError(
                "dense weight does not fit", where=self.name, value=self.weight.shape, limit=wanted
            )
        return target

    def count(self, source: Shape, target: Shape) -> int:
        return self.weight.size

    def apply(self, s: np.ndarray, target: Shape) -> np.ndarray:
        sums: np.ndarray = s.reshape(len(s), -1) @ self.integers().T
        return sums.reshape(len(s), *target)

    def coordinates(self, source: Shape, target: Shape) -> Coordinates:
        weight = self.integers()
        rows, columns = np.nonzero(weight)
        return rows, columns, weight[rows, columns]

    def _blocks(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Some rows at a time, so that a large weight is never expanded as a whole."""
        step = max(1, ROWS // max(1, self.weight.shape[1]))
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            yield block, self.weight[block]

    def arrivals(self, source: Shape, target: Shape, box: Box) -> tuple[Box, np.ndarray]:
        rows = np.arange(np.prod(target)).reshape(target)[slices(box)].ravel()
        counts = np.zeros(self.weight.shape[1], np.int64)
        for _, weight in self._blocks(rows):
            counts += np.count_nonzero(weight, axis=0)
        return whole(source), counts.reshape(source)

    def per_target(self, source: Shape, target: Shape, measure: Measure) -> np.ndarray:
        totals = np.zeros(len(self.weight), np.int64)
        for rows, weight in self._blocks(np.arange(len(totals))):
            totals[rows] = measure(integer_array(weight, self.name)).sum(1)
        return totals


@dataclass(frozen=True)
class Sparse(Synapse):
    """Single connections: weight [n] from the source neuron `sources` [n] to the target neuron
    `targets` [n], over flattened populations, ordered by target and source, none twice.
    """

    weight: np.ndarray
    targets: np.ndarray
    sources: np.ndarray

    def rows(self) -> np.ndarray:
        return np.asarray(self.weight).reshape(1, -1)

    def output_shape(self, source: Shape, target: Shape) -> Shape:
        ends = {"targets": (self.targets, target), "sources": (self.sources, source)}
        for name, (places, shape) in ends.items():
            integer_array(places, f"{self.name}.{name}")
            size = math.prod(shape)
            if places.shape != self.weight.shape or places.ndim != 1 or not places.size:
                raise GraphError(
                    "single connections need lists of one length", where=f"{self.name}.{name}"
                )
            if places.min() < 0 or places.max() >= size:
                what = "a connection ends outside the population"
                raise GraphError(what, where=f"{self.name}.{name}", limit=f"0..{size - 1}")
        order = self.targets.astype(np.int64) * math.prod(source) + self.sources
        if np.any(np.diff(order) <= 0):
            what = "connections are not in order, or one is there twice"
            raise GraphError(what, where=self.name)
        return target

    def count(self, source: Shape, target: Shape) -> int:
        return self.weight.size

    def apply(self, s: np.ndarray, target: Shape) -> np.ndarray:
        out = np.zeros((len(s), math.prod(target)), np.int64)
        rows, starts = np.unique(self.targets, return_index=True)
        for sums, x in zip(out, s.reshape(len(s), -1)):
            sums[rows] = np.add.reduceat(x[self.sources] * self.integers(), starts)
        return out.reshape(len(s), *target)

    def coordinates(self, source: Shape, target: Shape) -> Coordinates:
        return nonzero(*(x.astype(np.int64) for x in (self.targets, self.sources, self.weight)))


@dataclass(frozen=True)
class Uniform(Synapse, abstract=True):
    """One weight for all connections; every target neuron has as many as any other."""

    weight: int

    def per_target(self, source: Shape, target: Shape, measure: Measure) -> np.ndarray:
        neurons = math.prod(target)
        each = self.count(source, target) // neurons
        return np.full(neurons, int(measure(self.integers())) * each, np.int64)

    def ones(self, box: Box) -> np.ndarray:
        """One connection, or none of weight 0, for each neuron of a box."""
        return np.full([b - a for a, b in box], int(self.weight != 0), np.int64)
