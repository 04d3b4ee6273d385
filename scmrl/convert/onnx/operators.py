"""Synapses as ONNX: s float32 [S, *source] -> (weight << exponent + 6) . s float32 [S, *target].

Convolutions, matrices and sums are the operators that ONNX has for them; any other kind is the
matrix of its coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from ...core.fixed_point import CURRENT_SHIFT
from ...core.graph import Broadcast, Conv2d, Dense, OneToOne, Pointwise, SumTokens, Synapse, Window
from ...core.synapse import Shape
from .nodes import Nodes


def deliver(n: Nodes, synapse: Synapse, s: str, source: Shape, target: Shape) -> str:
    """What a synapse brings from the values `s` of its source."""
    return OPERATORS.get(type(synapse), _matrix)(n, synapse, s, source, target)


def _scale(synapse: Synapse) -> np.float32:
    return np.float32(1 << int(synapse.exponent) + CURRENT_SHIFT)


def _weight(n: Nodes, synapse: Synapse, weight: np.ndarray) -> str:
    """A weight array, stored small and made float32 outside of all steps."""
    low, high = weight.min(), weight.max()
    kinds = (np.int8, np.int16, np.int32)
    dtype = next(t for t in kinds if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
    with n.outside():
        stored = n.constant(weight.astype(dtype), f"w/{len(n.constants)}/{synapse.ends}")
        return n.op("Mul", n.cast(stored, np.float32), n.constant(_scale(synapse)))


def _scaled(n: Nodes, synapse: Synapse, x: str) -> str:
    """x times the one weight of a synapse."""
    return n.op("Mul", x, n.constant(np.float32(synapse.weight) * _scale(synapse)))


def _product(
    n: Nodes, synapse: Synapse, matrix: np.ndarray, s: str, source: Shape, target: Shape
) -> str:
    """matrix [targets, sources] times the flattened source."""
    flat = n.reshape(s, source, (prod(source),))
    out = n.op("Gemm", flat, _weight(n, synapse, matrix), transB=1)
    return n.reshape(out, (prod(target),), target)


def _dense(n: Nodes, synapse: Dense, s: str, source: Shape, target: Shape) -> str:
    return _product(n, synapse, synapse.weight, s, source, target)


def _matrix(n: Nodes, synapse: Synapse, s: str, source: Shape, target: Shape) -> str:
    rows, columns, weights = synapse.coordinates(source, target)
    matrix = np.zeros((prod(target), prod(source)), np.int64)
    np.add.at(matrix, (rows, columns), weights)
    return _product(n, synapse, matrix, s, source, target)


def _convolution(n: Nodes, synapse: Conv2d | Window, s: str, source: Shape, target: Shape) -> str:
    form = synapse.convolution(source)
    return n.op(
        "Conv",
        s,
        _weight(n, synapse, form.weight),
        kernel_shape=form.kernel,
        strides=form.stride,
        pads=[*form.padding, *form.padding],
        group=form.groups,
    )


def _pointwise(n: Nodes, synapse: Pointwise, s: str, source: Shape, target: Shape) -> str:
    tokens = prod(source[1:])
    flat = n.reshape(s, source, (source[0], tokens))
    out = n.op("MatMul", _weight(n, synapse, synapse.weight), flat)
    return n.reshape(out, (target[0], tokens), target)


def _one_to_one(n: Nodes, synapse: OneToOne, s: str, source: Shape, target: Shape) -> str:
    return n.reshape(_scaled(n, synapse, s), source, target)


def _sum_tokens(n: Nodes, synapse: SumTokens, s: str, source: Shape, target: Shape) -> str:
    flat = n.reshape(s, source, (source[0], prod(source[1:])))
    axis = n.constant(np.array([2], np.int64))
    return _scaled(n, synapse, n.op("ReduceSum", flat, axis, keepdims=0))


def _broadcast(n: Nodes, synapse: Broadcast, s: str, source: Shape, target: Shape) -> str:
    spread = n.reshape(_scaled(n, synapse, s), source, (*source, *(1,) * (len(target) - 1)))
    return n.op("Expand", spread, n.constant(np.array([1, *target], np.int64)))


OPERATORS: dict[type[Synapse], Callable[..., str]] = {
    Dense: _dense,
    Conv2d: _convolution,
    Window: _convolution,
    Pointwise: _pointwise,
    OneToOne: _one_to_one,
    SumTokens: _sum_tokens,
    Broadcast: _broadcast,
}
