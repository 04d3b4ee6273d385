"""Linear maps between neurons, and how two of them become one. Floats, numpy only.

    Diagonal   y = scale * x                 elementwise; the shapes may differ, not the numbers
    Conv       y = cross-correlation         as torch's, dilation written out as zeros
    Matrix     y = W x                       over the flattened shapes
    Chain      y = last(...(first(x)))       what has no shorter form; its weights are few

`compose(second, first)` is exact and makes no larger matrix than the result: two convolutions
become one where the padding of the second meets padding alone, else a chain. What runs before a
matrix is applied to its rows, by the adjoint: M^T y, which every map has.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .....core.convolution import Convolution
from .....system.errors import GraphError
from .products import convolve, deconvolve

Shape = tuple[int, ...]
Coordinates = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, columns, weights
MAX_ENTRIES = 1 << 25  # of one matrix or kernel: 256 MB of floats
ROWS = 1 << 22  # values of a chain's rows that are looked at together


def check_size(entries: int, where: str) -> None:
    """Refuse a map of more entries than fit in memory."""
    if entries > MAX_ENTRIES:
        raise GraphError(
            "linear map is too large",
            where=where,
            limit=f"{MAX_ENTRIES} weights",
            value=entries,
            fix="put a neuron between the linear nodes, or use smaller layers",
        )


@dataclass(frozen=True)
class Map:
    """From neurons of shape `source` to neurons of shape `target`; `name` for messages."""

    name: str
    source: Shape
    target: Shape

    def apply(self, x: np.ndarray) -> np.ndarray:
        """x float [S, ...] -> float [S, *target]; the axes of x may be the source's in any
        grouping.
        """
        raise NotImplementedError

    def rows_scaled(self, factor: np.ndarray) -> Map:
        """This map with output i multiplied by factor[i]; factor broadcasts to `target`."""
        raise NotImplementedError

    def values(self) -> np.ndarray:
        """The weights as stored, for scales and ranges."""
        raise NotImplementedError

    def row_sums(self, measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Sum of measure(w) over the weights w into each target, [targets]; 0 at 0."""
        rows, _, weights = self.coordinates()
        return np.bincount(rows, measure(weights), minlength=math.prod(self.target))

    def row_peaks(self) -> np.ndarray:
        """The largest |weight| into each target, [targets]."""
        rows, _, weights = self.coordinates()
        peaks = np.zeros(math.prod(self.target))
        np.maximum.at(peaks, rows, np.abs(weights))
        return peaks

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """M^T y: float [R, ...] over the targets -> float [R, sources]. A row of the map for each
        target's own unit vector.
        """
        raise NotImplementedError

    def coordinates(self) -> Coordinates:
        """The same map as (rows, columns, weights) over the flattened shapes, by rows, no zeros."""
        targets, parts = math.prod(self.target), []
        step = max(1, ROWS // math.prod(self.source))
        for start in range(0, targets, step):
            unit = np.zeros((min(step, targets - start), targets))
            unit[np.arange(len(unit)), start + np.arange(len(unit))] = 1
            block = self.adjoint(unit)
            rows, columns = np.nonzero(block)
            parts.append((rows + start, columns, block[rows, columns]))
            check_size(sum(len(rows) for rows, _, _ in parts), self.name)
        rows, columns, weights = (np.concatenate(part) for part in zip(*parts))
        return rows, columns, weights


@dataclass(frozen=True)
class Diagonal(Map):
    scale: np.ndarray  # [neurons]

    def apply(self, x: np.ndarray) -> np.ndarray:
        return (x.reshape(len(x), -1) * self.scale).reshape(len(x), *self.target)

    def rows_scaled(self, factor: np.ndarray) -> Diagonal:
        return replace(self, scale=self.scale * np.broadcast_to(factor, self.target).ravel())

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        return y.reshape(len(y), -1) * self.scale

    def coordinates(self) -> Coordinates:
        places = np.flatnonzero(self.scale)
        return places, places, self.scale[places]

    def values(self) -> np.ndarray:
        return self.scale


@dataclass(frozen=True)
class Matrix(Map):
    weight: np.ndarray  # [targets, sources]

    def apply(self, x: np.ndarray) -> np.ndarray:
        return (x.reshape(len(x), -1) @ self.weight.T).reshape(len(x), *self.target)

    def rows_scaled(self, factor: np.ndarray) -> Matrix:
        return replace(
            self, weight=self.weight * np.broadcast_to(factor, self.target).reshape(-1, 1)
        )

    def values(self) -> np.ndarray:
        return self.weight

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        return y.reshape(len(y), -1) @ self.weight

    def coordinates(self) -> Coordinates:
        rows, columns = np.nonzero(self.weight)
        return rows, columns, self.weight[rows, columns]

    def row_sums(self, measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        sums: np.ndarray = measure(self.weight).sum(1)
        return sums

    def row_peaks(self) -> np.ndarray:
        peaks: np.ndarray = np.abs(self.weight).max(1, initial=0)
        return peaks


@dataclass(frozen=True)
class Conv(Map):
    """Source (C_in, H, W), target (C_out, H', W'); weight [C_out, C_in / groups, kh, kw]."""

    weight: np.ndarray
    stride: tuple[int, int]
    padding: tuple[int, int]
    groups: int = 1

    @property
    def form(self) -> Convolution:
        return Convolution(self.weight, self.stride, self.padding, self.groups)

    def apply(self, x: np.ndarray) -> np.ndarray:
        return convolve(self.form, x.reshape(len(x), *self.source))

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        back = deconvolve(self.form, y.reshape(len(y), *self.target), self.source)
        return back.reshape(len(y), -1)

    def rows_scaled(self, factor: np.ndarray) -> Map:
        factor = np.broadcast_to(factor, self.target).reshape(self.target[0], -1)
        if np.all(factor == factor[:, :1]):
            return replace(self, weight=self.weight * factor[:, 0].reshape(-1, 1, 1, 1))
        last = Diagonal(self.name, self.target, self.target, factor.ravel())
        return Chain(self.name, self.source, self.target, (self, last))

    def values(self) -> np.ndarray:
        return self.weight

    def ungrouped(self) -> np.ndarray:
        """The kernel without groups, zeros written out: [C_out, C_in, kh, kw]."""
        check_size(self.weight.size * self.groups, self.name)
        return self.form.ungrouped()


@dataclass(frozen=True)
class Chain(Map):
    """Maps one after the other, the first one first."""

    parts: tuple[Map, ...]

    def apply(self, x: np.ndarray) -> np.ndarray:
        for part in self.parts:
            x = part.apply(x)
        return x.reshape(len(x), *self.target)

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        for part in reversed(self.parts):
            y = part.adjoint(y)
        return y

    def rows_scaled(self, factor: np.ndarray) -> Chain:
        last, factor = self.parts[-1], np.broadcast_to(factor, self.target)
        scaled = replace(
            self, parts=(*self.parts[:-1], last.rows_scaled(factor.reshape(last.target)))
        )
        rows, columns, weights = self._coordinates
        scaled.__dict__["_coordinates"] = rows, columns, weights * factor.ravel()[rows]
        return scaled

    @functools.cached_property
    def _coordinates(self) -> Coordinates:
        return super().coordinates()

    def coordinates(self) -> Coordinates:
        return self._coordinates

    def values(self) -> np.ndarray:
        return self._coordinates[2]


def identity(name: str, source: Shape, target: Shape) -> Diagonal:
    return Diagonal(name, source, target, np.ones(int(np.prod(source))))


def conv(
    name: str,
    source: Shape,
    weight: np.ndarray,
    stride: tuple[int, int],
    padding: str | tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Conv:
    """A convolution on source (C, H, W). `padding` is a pair or 'same' or 'valid'. Raises
    `GraphError`.
    """
    size = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:])]
    check_size(int(np.prod(weight.shape[:2])) * size[0] * size[1], name)
    kernel = np.zeros((*weight.shape[:2], *size))
    kernel[:, :, :: dilation[0], :: dilation[1]] = weight
    if padding == "valid":
        padding = (0, 0)
    elif isinstance(padding, str):  # "same"
        if stride != (1, 1):
            raise GraphError("padding 'same' needs stride 1", where=name, value=stride)
        # torch pads the far side more: a leading zero tap
        odd = [(k - 1) % 2 for k in size]
        kernel = np.pad(kernel, ((0, 0), (0, 0), (odd[0], 0), (odd[1], 0)))
        padding = ((kernel.shape[2] - 1) // 2, (kernel.shape[3] - 1) // 2)
    if source[0] != kernel.shape[1] * groups or kernel.shape[0] % groups:
        raise GraphError(
            "convolution does not fit its input", where=name, limit=source, value=weight.shape
        )
    if any(k > n + 2 * p for k, n, p in zip(kernel.shape[2:], source[1:], padding)):
        raise GraphError(
            "kernel is larger than its padded input", where=name, limit=source, value=tuple(size)
        )
    sizes = [
        (n + 2 * p - k) // s + 1
        for n, p, k, s in zip(source[1:], padding, kernel.shape[2:], stride)
    ]
    return Conv(name, source, (kernel.shape[0], *sizes), kernel, stride, padding, groups)


def compose(second: Map, first: Map) -> Map:
    """The one map `second(first(x))`; the shapes between need to agree in number only."""
    name = f"{first.name}, {second.name}"
    if isinstance(second, Diagonal):
        scaled = first.rows_scaled(second.scale.reshape(first.target))
        return replace(scaled, name=name)
    if isinstance(second, Matrix):
        check_size(len(second.weight) * math.prod(first.source), name)
        return Matrix(name, first.source, second.target, first.adjoint(second.weight))
    if isinstance(first, Matrix):
        check_size(first.weight.shape[1] * math.prod(second.target), name)
        columns = second.apply(first.weight.T).reshape(first.weight.shape[1], -1)
        return Matrix(name, first.source, second.target, np.ascontiguousarray(columns.T))
    if isinstance(first, Diagonal) and isinstance(second, Conv):
        channel = first.scale.reshape(second.source[0], -1)
        if np.all(channel == channel[:, :1]):
            weight = second.ungrouped() * channel[:, 0].reshape(1, -1, 1, 1)
            if np.ptp(channel) == 0:  # keeps its groups
                return replace(second, name=name, weight=second.weight * channel[0, 0])
            return replace(second, name=name, weight=weight, groups=1)
    if (
        isinstance(first, Conv)
        and isinstance(second, Conv)
        and first.target == second.source
        and all(_padding_meets_padding(first, second, axis) for axis in (0, 1))
    ):
        return _one_conv(second, first, name)
    before = first.parts if isinstance(first, Chain) else (first,)
    return Chain(name, first.source, second.target, (*before, second))


def _padding_meets_padding(first: Conv, second: Conv, axis: int) -> bool:
    """Whether what `second` reads as padding would, as a window of `first`, read padding alone."""
    if second.padding[axis] == 0:
        return True
    kernel, stride, pad = first.weight.shape[2 + axis], first.stride[axis], first.padding[axis]
    before = kernel - 1 - stride - pad  # last row that position -1 reads
    after = first.target[1 + axis] * stride - pad  # first row that position H' reads
    return before < 0 and after >= first.source[1 + axis]


def _one_conv(second: Conv, first: Conv, name: str) -> Conv:
    """K[o, c, i, j] = sum_m,a,b W2[o, m, a, b] W1[m, c, i - a s, j - b s];  stride s1 s2, padding
    p1 + p2 s1.
    """
    one, two = first.ungrouped(), second.ungrouped()
    (sh, sw), (kh, kw) = first.stride, one.shape[2:]
    size = (kh + (two.shape[2] - 1) * sh, kw + (two.shape[3] - 1) * sw)
    check_size(two.shape[0] * one.shape[1] * size[0] * size[1], name)
    kernel = np.zeros((two.shape[0], one.shape[1], *size))
    for a, b in np.ndindex(*two.shape[2:]):
        kernel[:, :, a * sh : a * sh + kh, b * sw : b * sw + kw] += np.tensordot(
            two[:, :, a, b], one, 1
        )
    (p, q), (r, s), (ph, pw) = second.stride, second.padding, first.padding
    stride, padding = (sh * p, sw * q), (ph + r * sh, pw + s * sw)
    return Conv(name, first.source, second.target, kernel, stride, padding)
