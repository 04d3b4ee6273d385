"""The arithmetic of 2-d convolutions, of any numbers, and the synapses whose map is a rule on
channels and positions. numpy only.

    y[o, h, w] = sum over c, i, j of  weight[o, c, i, j] . x[first(o) + c, row(h, i), column(w, j)]
    row(h, i) = h * stride - padding + i,  and column alike

as torch's cross-correlation: x is 0 in the padding, and output channel o reads the input channels
of its own group alone, from first(o) on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..system.errors import GraphError
from ..system.reading import check_bound
from .synapse import (
    NEURONS,
    Box,
    Coordinates,
    Measure,
    Shape,
    Synapse,
    Uniform,
    nonzero,
    slices,
    whole,
)


@dataclass(frozen=True)
class Convolution:
    """Weight [C_out, C_in / groups, kh, kw] on images (C_in, H, W)."""

    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1

    @property
    def kernel(self) -> tuple[int, int]:
        """(kh, kw)."""
        height, width = self.weight.shape[2:]
        return height, width

    def target(self, source: Shape, where: str = "") -> Shape:
        """(C_out, H', W') of a source; raises `GraphError` where the padded source is too large."""
        padded = source[0] * math.prod(n + 2 * p for n, p in zip(source[1:], self.padding))
        check_bound(
            "padded source is too large",
            padded,
            NEURONS,
            where=where,
            error=GraphError,
            unit="values",
        )
        geometry = zip(source[1:], self.padding, self.kernel, self.stride)
        return (len(self.weight), *((n + 2 * p - k) // s + 1 for n, p, k, s in geometry))

    def _taps(self, x: np.ndarray, target: Shape) -> Iterator[tuple[int, int, np.ndarray]]:
        """Kernel positions (i, j) with the padded pixels [..., H', W'] that each one reads."""
        (sh, sw), (_, height, width) = self.stride, target
        for i, j in np.ndindex(*self.kernel):
            patch = x[..., i : i + sh * height : sh, j : j + sw * width : sw]
            yield i, j, patch[..., :height, :width]

    def _pad(self, x: np.ndarray) -> np.ndarray:
        (ph, pw) = self.padding
        return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """x [B, C_in, H, W] -> y [B, C_out, H', W'], tap by tap, in the numbers' common type."""
        target = self.target(x.shape[1:])
        padded = self._pad(x)
        padded = padded.reshape(len(x), self.groups, -1, *padded.shape[2:])
        weight = self.weight.reshape(self.groups, -1, *self.weight.shape[1:])
        out = np.zeros((len(x), *weight.shape[:2], *target[1:]), np.result_type(x, weight))
        for i, j, patch in self._taps(padded, target):
            flat = patch.reshape(*patch.shape[:3], -1)
            out += np.matmul(weight[None, :, :, :, i, j], flat).reshape(out.shape)
        return out.reshape(len(x), *target)

    def ungrouped(self) -> np.ndarray:
        """The weight without groups, zeros written out: [C_out, C_in, kh, kw]."""
        outs, ins = len(self.weight) // self.groups, self.weight.shape[1]
        full = np.zeros((len(self.weight), ins * self.groups, *self.kernel), self.weight.dtype)
        for g in range(self.groups):
            own = slice(g * outs, (g + 1) * outs)
            full[own, g * ins : (g + 1) * ins] = self.weight[own]
        return full

    def coordinates(self, source: Shape) -> Coordinates:
        """The map as (rows, columns, weights) over the flattened target and source; no zeros."""
        target = self.target(source)
        outs, ins = target[0] // self.groups, source[0] // self.groups
        number = self._pad(np.arange(1, np.prod(source) + 1).reshape(1, *source))[0] - 1
        place = np.arange(np.prod(target)).reshape(target)
        parts = []
        for i, j, patch in self._taps(number, target):  # the number is -1 in the padding
            for o in range(target[0]):
                first = (o // outs) * ins
                column = patch[first : first + ins]  # [ins, H', W']
                row = np.broadcast_to(place[o], column.shape)
                w = np.broadcast_to(self.weight[o, :, i, j][:, None, None], column.shape)
                inside = (column >= 0) & (w != 0)
                parts.append((row[inside], column[inside], w[inside]))
        rows, columns, weights = (np.concatenate(part) for part in zip(*parts))
        return rows, columns, weights.astype(np.int64)

    def channels(self, low: int, high: int, source: Shape) -> tuple[slice, list[int]]:
        """The source channels that the output channels low..high-1 read, and where among these
        outputs each group begins.
        """
        outs, ins = len(self.weight) // self.groups, source[0] // self.groups
        first, last = low // outs, (high - 1) // outs
        starts = [max(0, group * outs - low) for group in range(first, last + 1)]
        return slice(first * ins, (last + 1) * ins), starts

    def _reach(self, axis: int, tap: int, size: int, start: int, stop: int) -> tuple[int, int]:
        """The outputs first..last-1 of start..stop-1 along an axis whose tap reads a pixel that is
        not padding.
        """
        stride, padding = self.stride[axis], self.padding[axis]
        first = max(start, -(-(padding - tap) // stride))
        last = min(stop, (size - 1 + padding - tap) // stride + 1)
        return first, max(first, last)

    def _reads(
        self, axis: int, size: int, span: tuple[int, int], read: tuple[int, int]
    ) -> np.ndarray:
        """1 where an output of the span reads a pixel of `read` through a tap: float [taps,
        pixels].
        """
        stride, padding = self.stride[axis], self.padding[axis]
        reads = np.zeros((self.kernel[axis], read[1] - read[0]))
        for tap in range(len(reads)):
            first, last = self._reach(axis, tap, size, *span)
            reads[tap, np.arange(first, last) * stride - padding + tap - read[0]] = 1
        return reads

    def arrivals(self, source: Shape, box: Box) -> tuple[Box, np.ndarray]:
        """As `Synapse.arrivals`."""
        (low, high), *spans = box
        channels, starts = self.channels(low, high, source)
        fans = np.add.reduceat(self.weight[low:high] != 0, starts, axis=0, dtype=np.int64)
        fans = fans.reshape(-1, *fans.shape[2:])  # [C_in of the box, kh, kw]
        geometry = zip(spans, self.stride, self.padding, self.kernel, source[1:])
        ends = [(max(0, a * s - p), min(n, (b - 1) * s - p + k)) for (a, b), s, p, k, n in geometry]
        read = [(a, max(a, b)) for a, b in ends]
        rows, columns = (
            self._reads(axis, source[1 + axis], spans[axis], read[axis]) for axis in (0, 1)
        )
        counts = np.rint(rows.T @ fans @ columns)  # exact: a float holds integers up to 2^53
        return ((channels.start, channels.stop), *read), counts.astype(np.int64)

    def per_target(self, source: Shape, measure: Measure) -> np.ndarray:
        """As `Synapse.per_target`."""
        target = self.target(source)
        taps = measure(self.weight.astype(np.int64)).sum(1)  # [C_out, kh, kw]
        totals = np.zeros(target, np.int64)
        for i, j in np.ndindex(*taps.shape[1:]):
            rows, columns = (
                slice(*self._reach(axis, tap, source[1 + axis], 0, target[1 + axis]))
                for axis, tap in enumerate((i, j))
            )
            totals[:, rows, columns] += taps[:, i, j][:, None, None]
        return totals.ravel()


def _spread(values: np.ndarray, positions: Sequence[int]) -> np.ndarray:
    """One value a channel, at all positions: int64 [C, *positions]."""
    column = values.reshape(-1, *(1,) * len(positions))
    return np.broadcast_to(column, (len(values), *positions)).astype(np.int64)


@dataclass(frozen=True)
class Pointwise(Synapse):
    """One dense map [C_out, C_in] shared by all positions: (C_in, ...) -> (C_out, ...)."""

    weight: np.ndarray
    shared = True

    def output_shape(self, source: Shape, target: Shape) -> Shape:
        if self.weight.ndim != 2 or self.weight.shape[1] != source[0]:
            raise GraphError(
                "pointwise weight does not fit",
                where=self.name,
                value=self.weight.shape,
                limit=source,
            )
        return (self.weight.shape[0], *source[1:])

    def count(self, source: Shape, target: Shape) -> int:
        return self.weight.size * math.prod(source[1:])

    def apply(self, s: np.ndarray, target: Shape) -> np.ndarray:
        sums: np.ndarray = np.matmul(self.integers(), s.reshape(*s.shape[:2], -1))
        return sums.reshape(len(s), *target)

    def coordinates(self, source: Shape, target: Shape) -> Coordinates:
        n = int(np.prod(source[1:]))
        o, c, position = (axis.ravel() for axis in np.indices((target[0], source[0], n)))
        return nonzero(o * n + position, c * n + position, self.integers()[o, c])

    def convolution(self, source: Shape, target: Shape) -> Convolution:
        return Convolution(self.weight[:, :, None, None])

    def arrivals(self, source: Shape, target: Shape, box: Box) -> tuple[Box, np.ndarray]:
        counts = np.count_nonzero(self.weight[slice(*box[0])], axis=0)  # [C_in]
        return (whole(source)[0], *box[1:]), _spread(counts, [b - a for a, b in box[1:]])

    def per_target(self, source: Shape, target: Shape, measure: Measure) -> np.ndarray:
        return _spread(measure(self.integers()).sum(1), target[1:]).ravel()


@dataclass(frozen=True)
class _Sliding(Synapse, abstract=True):
    """All that `Convolution` says of its `convolution`."""

    shared = True

    def convolution(self, source: Shape, target: Shape = ()) -> Convolution:
        raise NotImplementedError

    def output_shape(self, source: Shape, target: Shape) -> Shape:
        form = self.convolution(source)
        shape = form.weight.shape
        fits = len(shape) == 4 and min(shape) > 0 and len(source) == 3
        if not fits or source[0] != shape[1] * form.groups or shape[0] % form.groups:
            raise GraphError(
                "conv2d weight does not fit", where=self.name, value=shape, limit=source
            )
        return form.target(source, self.name)

    def count(self, source: Shape, target: Shape) -> int:
        weight = self.convolution(source).weight
        return math.prod(weight.shape[1:]) * math.prod(target)

    def apply(self, s: np.ndarray, target: Shape) -> np.ndarray:
        return self.convolution(s.shape[1:]).apply(s)

    def coordinates(self, source: Shape, target: Shape) -> Coordinates:
        return self.convolution(source).coordinates(source)

    def arrivals(self, source: Shape, target: Shape, box: Box) -> tuple[Box, np.ndarray]:
        return self.convolution(source).arrivals(source, box)

    def per_target(self, source: Shape, target: Shape, measure: Measure) -> np.ndarray:
        return self.convolution(source).per_target(source, measure)


@dataclass(frozen=True)
class Conv2d(_Sliding):
    """2-d cross-correlation as in torch: weight [C_out, C_in / groups, kh, kw] on a source (C_in,
    H, W).
    """

    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1

    def convolution(self, source: Shape, target: Shape = ()) -> Convolution:
        return Convolution(self.weight, self.stride, self.padding, self.groups)


@dataclass(frozen=True)
class Window(_Sliding):
    """Sum over a sliding window within each channel (C, H, W), one weight for all. With vth 0:
    max-pool of spikes.
    """

    weight: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def convolution(self, source: Shape, target: Shape = ()) -> Convolution:
        weight = np.broadcast_to(np.int64(self.weight), (source[0], 1, *self.kernel))
        return Convolution(weight, self.stride, self.padding, source[0])


@dataclass(frozen=True)
class OneToOne(Uniform):
    """Neuron i to neuron i; the shapes may differ, the counts may not."""

    def output_shape(self, source: Shape, target: Shape) -> Shape:
        if math.prod(source) != math.prod(target):
            raise GraphError(
                "one-to-one needs equal counts", where=self.name, value=source, limit=target
            )
        return target

    def count(self, source: Shape, target: Shape) -> int:
        return math.prod(source)

    def apply(self, s: np.ndarray, target: Shape) -> np.ndarray:
        return self.weight * s.reshape(len(s), *target)

    def coordinates(self, source: Shape, target: Shape) -> Coordinates:
        i = np.arange(np.prod(source))
        return nonzero(i, i, np.full(i.shape, self.weight))

    def convolution(self, source: Shape, target: Shape) -> Convolution | None:
        if tuple(source) != tuple(target):
            return None
        return Convolution(np.full((source[0], 1, 1, 1), self.weight), groups=source[0])

    def arrivals(self, source: Shape, target: Shape, box: Box) -> tuple[Box, np.ndarray]:
        if tuple(source) == tuple(target):
            return box, self.ones(box)
        counts = np.zeros(target, np.int64)
        counts[slices(box)] = self.weight != 0
        return whole(source), counts.reshape(source)


@dataclass(frozen=True)
class SumTokens(Uniform):
    """Sum over all positions of a channel: (C, ...) -> (C,)."""

    def output_shape(self, source: Shape, target: Shape) -> Shape:
        return (source[0],)

    def count(self, source: Shape, target: Shape) -> int:
        return math.prod(source)

    def apply(self, s: np.ndarray, target: Shape) -> np.ndarray:
        sums: np.ndarray = s.reshape(*s.shape[:2], -1).sum(2)
        return self.weight * sums

    def coordinates(self, source: Shape, target: Shape) -> Coordinates:
        i = np.arange(np.prod(source))
        return nonzero(i // int(np.prod(source[1:])), i, np.full(i.shape, self.weight))

    def arrivals(self, source: Shape, target: Shape, box: Box) -> tuple[Box, np.ndarray]:
        region = (box[0], *whole(source)[1:])
        return region, self.ones(region)


@dataclass(frozen=True)
class Broadcast(Uniform):
    """One neuron per channel to all positions of that channel: (C,) -> (C, ...)."""

    def output_shape(self, source: Shape, target: Shape) -> Shape:
        if len(source) != 1 or target[0] != source[0]:
            raise GraphError(
                "broadcast needs one source neuron per target channel",
                where=self.name,
                value=source,
                limit=target,
            )
        return target

    def count(self, source: Shape, target: Shape) -> int:
        return math.prod(target)

    def apply(self, s: np.ndarray, target: Shape) -> np.ndarray:
        column = self.weight * s.reshape(len(s), target[0], *(1,) * (len(target) - 1))
        return np.broadcast_to(column, (len(s), *target))

    def coordinates(self, source: Shape, target: Shape) -> Coordinates:
        i = np.arange(np.prod(target))
        return nonzero(i, i // int(np.prod(target[1:])), np.full(i.shape, self.weight))

    def arrivals(self, source: Shape, target: Shape, box: Box) -> tuple[Box, np.ndarray]:
        return box[:1], self.ones(box[:1]) * math.prod(b - a for a, b in box[1:])
