"""Layers compiled by numba: event-driven synapses, LIF in one pass. Imported only where numba is
installed.

    for every active source neuron j and each of its segments:
        a[target : target + length] += x_j * weight[start : start + length]
    then lif_step (scmrl.core.fixed_point), in int32 where the layer's bounds prove that it fits

Spikes are rare, so this touches a few per cent of what a matrix product would. Values are kept
channels last, [S, T, positions, C]: the weights into all channels of a position then lie side by
side, and add as vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
from numpy.typing import DTypeLike

from ....core.fixed_point import CURRENT_SHIFT, DECAY_BITS, DECAY_ONE, STATE_LIMIT, STATE_MAX
from ....core.graph import Conv2d, Dense, Graph, Pointwise, Population, Synapse
from ....core.synapse import Shape
from .layer import PreparedLayer, State

Function = TypeVar("Function", bound=Callable[..., object])
# Of every piece its source neuron, first target, first weight and length; and the weights.
Pieces = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]

THREADED = True  # the kernels run without Python's lock


def pack(x: np.ndarray) -> np.ndarray:
    """Values [S, T, C, *positions] -> [S, T, neurons], channels last."""
    number = np.uint8 if x.dtype.itemsize == 1 else np.int32
    return np.ascontiguousarray(np.moveaxis(x, 2, -1), number).reshape(*x.shape[:2], -1)


def unpack(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of `pack`, as a view: nothing is copied."""
    return np.moveaxis(values.reshape(*values.shape[:2], *shape[1:], shape[0]), -1, 2)


def _places(shape: tuple[int, ...]) -> np.ndarray:
    """Where each neuron of the graph's order is, channels last: int64 [neurons]."""
    last = np.arange(np.prod(shape)).reshape(*shape[1:], shape[0])
    return np.moveaxis(last, -1, 0).ravel()


class Segments(NamedTuple):
    """Those of source neuron j are first[j] : first[j + 1]; each adds `length` weights from
    `start`.
    """

    first: np.ndarray  # int64 [sources + 1]
    target: np.ndarray  # int32 [segments]
    start: np.ndarray  # int32 [segments]
    length: np.ndarray  # int32 [segments]
    weight: np.ndarray  # int32 or int64, exponent applied; shared by segments where it can be


def segments(synapse: Synapse, source: Shape, target: Shape, number: DTypeLike) -> Segments:
    """The segments of a synapse; weights that all positions share are stored once."""
    j, place, start, length, weight = PIECES.get(type(synapse), _pieces)(synapse, source, target)
    order = np.lexsort((place, j))
    j, place, start, length = (array[order] for array in (j, place, start, length))
    joins = (
        (j[1:] == j[:-1])
        & (place[1:] == (place + length)[:-1])
        & (start[1:] == (start + length)[:-1])
    )
    heads = np.flatnonzero(np.concatenate([[True], ~joins])[: len(j)])
    length = np.add.reduceat(length, heads) if len(heads) else length
    first = np.searchsorted(j[heads], np.arange(np.prod(source) + 1))
    return Segments(
        first,
        place[heads].astype(np.int32),
        start[heads].astype(np.int32),
        length.astype(np.int32),
        (weight << synapse.exponent).astype(number),
    )


def _pieces(synapse: Synapse, source: Shape, target: Shape) -> Pieces:
    """Any synapse, weight by weight, from its coordinates."""
    rows, columns, weight = synapse.coordinates(source, target)
    j, place = _places(source)[columns], _places(target)[rows]
    order = np.lexsort((place, j))
    return j[order], place[order], np.arange(len(j)), np.ones(len(j), np.int64), weight[order]


def _dense_pieces(synapse: Dense, source: Shape, target: Shape) -> Pieces:
    """One piece a source: its whole column."""
    targets, sources = synapse.weight.shape
    weight = np.empty((sources, targets), np.int64)
    weight[np.ix_(_places(source), _places(target))] = synapse.weight.T
    j = np.arange(sources)
    return (
        j,
        np.zeros_like(j),
        j * targets,
        np.full_like(j, targets),
        weight.ravel(),
    )


def _pointwise_pieces(synapse: Pointwise, source: Shape, target: Shape) -> Pieces:
    """One piece a source: the column of its channel, to its position."""
    position, channel = (axis.ravel() for axis in np.indices((int(np.prod(source[1:])), source[0])))
    j = np.arange(len(position))
    length = np.full_like(j, target[0])
    return j, position * target[0], channel * target[0], length, _integers(synapse).T.ravel()


def _conv_pieces(synapse: Conv2d, source: Shape, target: Shape) -> Pieces:
    """One piece a source and kernel position; mirrored in x, so that the pieces of a kernel row
    join.
    """
    outs, (ins, kh, kw) = target[0] // synapse.groups, synapse.weight.shape[1:]
    grouped = _integers(synapse).reshape(synapse.groups, outs, ins, kh, kw)
    weight = grouped[..., ::-1].transpose(0, 2, 3, 4, 1)  # [groups, ins, kh, kw mirrored, outs]
    c, y, x, i, k = (axis.ravel() for axis in np.indices((*source, kh, kw)))
    row, row_left = np.divmod(y + synapse.padding[0] - i, synapse.stride[0])
    column, column_left = np.divmod(x + synapse.padding[1] - (kw - 1 - k), synapse.stride[1])
    inside = (
        (row_left == 0)
        & (column_left == 0)
        & (row >= 0)
        & (row < target[1])
        & (column >= 0)
        & (column < target[2])
    )
    c, y, x, i, k, row, column = (array[inside] for array in (c, y, x, i, k, row, column))
    return (
        (y * source[2] + x) * source[0] + c,
        (row * target[2] + column) * target[0] + (c // ins) * outs,
        ((c * kh + i) * kw + k) * outs,
        np.full_like(c, outs),
        weight.ravel(),
    )


def _integers(synapse: Synapse) -> np.ndarray:
    return np.asarray(synapse.weight, np.int64)


PIECES: dict[type[Synapse], Callable[..., Pieces]] = {
    Dense: _dense_pieces,
    Pointwise: _pointwise_pieces,
    Conv2d: _conv_pieces,
}


class Layer(PreparedLayer):
    def __init__(self, graph: Graph, population: Population):
        super().__init__(graph, population)
        self.number = np.int32 if self.fits_24_bits else np.int64
        self.tables = [
            segments(synapse, self.sources[synapse.source].shape, population.shape, self.number)
            for synapse in self.synapses
        ]
        self.bias = self.flat(self.bias).astype(self.number)
        parameters = self.keep_u, self.keep_v, self.threshold
        if any(isinstance(values, np.ndarray) for values in parameters):
            self.keep_u, self.keep_v, self.threshold = (
                np.broadcast_to(values, population.neurons).astype(self.number)
                for values in parameters
            )

    @staticmethod
    def flat(values: np.ndarray) -> np.ndarray:
        return np.moveaxis(values, 0, -1).ravel()

    def bytes_per_step(self) -> int:
        return 8 * self.population.neurons

    def state(self, samples: int) -> State:
        shape = (samples, self.population.neurons)
        return np.zeros(shape, self.number), np.zeros(shape, self.number)

    def advance(
        self,
        values: dict[str, np.ndarray],
        states: dict[str, State],
        first: int,
        last: int,
        held: bool,
    ) -> int:
        p, out = self.population, values[self.population.name]
        computed = first + 1 if held else last
        a = np.zeros((len(out), computed - first, p.neurons), self.number)
        for synapse, table in zip(self.synapses, self.tables):
            add_events(a, values[synapse.source], *table, first, computed, synapse.delay)
        return lif(
            a,
            *states[p.name],
            self.offset(states, self.number),
            out,
            first,
            last,
            self.keep_u,
            self.keep_v,
            self.threshold,
            self.subtracts,
            p.fires,
        )


def compiled(function: Function) -> Function:
    """numba's compiler, with its cache on disk where there is a place for it. Runs without Python's
    lock.
    """
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no directory to cache in: compiled anew in every process
        return numba.njit(nogil=True)(function)


@compiled
def add_events(
    a: np.ndarray,
    values: np.ndarray,
    first_of: np.ndarray,
    target: np.ndarray,
    start: np.ndarray,
    length: np.ndarray,
    weight: np.ndarray,
    first: int,
    last: int,
    delay: int,
) -> None:
    """Add the sums of one synapse for steps first..last-1 to a [S, steps, targets]."""
    samples, _, sources = values.shape
    for s in range(samples):
        for t in range(max(first, delay), last):
            x = values[s, t - delay]
            row = a[s, t - first]
            for j in range(sources):
                value = np.int32(x[j])
                if value == 0:
                    continue
                for k in range(first_of[j], first_of[j + 1]):
                    # Unsigned: no index can count from the end, and so the loop runs in vectors.
                    to, come = np.uint32(target[k]), np.uint32(start[k])
                    for i in range(np.uint32(length[k])):
                        row[to + i] += weight[come + i] * value


@numba.extending.register_jitable
def decay(x: Any, keep: Any, word: Any) -> Any:
    """x * keep / 4096 toward zero, in two halves, neither of which leaves the width of x."""
    size = word(abs(x))
    low = word(word(size & (DECAY_ONE - 1)) * keep) >> DECAY_BITS
    kept = word(word(size >> DECAY_BITS) * keep + low)
    return kept if x >= 0 else word(-kept)


def of(values: Any, i: int) -> Any:
    """A parameter of neuron i: `values` is an array, or one number for all, which stays in a
    register.
    """
    return values[i] if isinstance(values, np.ndarray) else values


@numba.extending.overload(of, strict=False)
def _of(values: Any, i: Any) -> Callable[[Any, Any], Any]:
    if isinstance(values, numba.types.Array):
        return lambda values, i: values[i]
    return lambda values, i: values


@compiled
def lif(
    a: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    bias: np.ndarray,
    out: np.ndarray,
    first: int,
    last: int,
    keep_u: int | np.ndarray,
    keep_v: int | np.ndarray,
    threshold: int | np.ndarray,
    subtracts: bool,
    fires: bool,
) -> int:
    """`lif_step` for steps first..last-1: a [S, steps or 1, N]; u, v [S, N] in place; spikes or v
    to out.

    bias [1 or S, N]; keep_u, keep_v and threshold are three numbers, or three arrays [N]. `word`
    brings results back to the type of the state: numba's integers grow, and wide ones are slower.
    """
    word = u.dtype.type
    overflow = 0
    for s in range(len(out)):
        current, membrane, offset = u[s], v[s], bias[min(s, len(bias) - 1)]
        for t in range(first, last):
            row, spikes = a[s, min(t - first, a.shape[1] - 1)], out[s, t]
            for i in range(len(row)):
                u_free = decay(current[i], word(of(keep_u, i)), word)
                u_free = word(u_free + word(row[i] << CURRENT_SHIFT))
                u_new = word(u_free - 2 * STATE_LIMIT) if u_free > STATE_LIMIT else u_free
                u_new = word(u_new + 2 * STATE_LIMIT) if u_new <= -STATE_LIMIT else u_new
                v_free = decay(membrane[i], word(of(keep_v, i)), word)
                v_free = word(v_free + u_new + offset[i])
                v_new = word(min(max(v_free, word(-STATE_MAX)), word(STATE_MAX)))
                overflow += (u_new != u_free) | (v_new != v_free)
                fired = fires and v_new > of(threshold, i)
                spikes[i] = fired if fires else v_new
                current[i] = u_new
                left = word(v_new - of(threshold, i)) if subtracts else word(0)
                membrane[i] = left if fired else v_new
    return overflow
