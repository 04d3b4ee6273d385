"""The waist of scmrl: a network as populations and synapses, integers only. numpy only.

A *population* is a set of neurons of one shape with one set of LIF parameters; an *input* is a
population whose values are given, a *readout* one that integrates and never fires. A *synapse* is
an integer linear map from one population to another; its weights are `mantissa << exponent`. Their
meaning over time is defined by `scmrl.core.reference`.

Shape letters everywhere: T steps, S samples, B batch, C channels, N tokens, H, W image, K classes,
M modalities. The first axis of a population is the channel axis.

To add a kind of synapse: subclass `Synapse`, give it `output_shape`, `apply` (the definition) and
`coordinates` (the same map as a sparse matrix), and list it in `SYNAPSES`; `arrivals` and
`per_target` may have closed forms.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..system.errors import GraphError, UsageError, nearest, visible
from ..system.reading import check_bound
from .fixed_point import ACTIVATION_LIMIT, STATE_LIMIT

KINDS = ("input", "lif", "readout")
NO_CURRENT_MEMORY = 4095  # du = 4095: u = a << 6
ROWS = 1 << 24  # weights of a dense synapse that are looked at together
NEURONS = 1 << 21  # of a graph, and of one population with its padding
WEIGHTS = 1 << 28  # of all synapses, shared ones counted at every place
VALUES = 1 << 27  # neurons x steps: what one sample gives
PARTS = 20_000  # populations and synapses, those written down

Box = tuple[tuple[int, int], ...]  # (start, stop) along each axis of a population


@dataclass(frozen=True)
class Population:
    """Neurons of one `shape` with one set of integer LIF parameters (see `scmrl.core.fixed_point` for
    the equation).

    `memoryless` clears u and v before every step. `bias` is `bias_mant << bias_exp`, in membrane
    units (a synaptic sum of 1 is 64 membrane units); `bias_mant` is an int or an integer array that
    broadcasts to `shape`. `bits` is the width of an input's values: 1 for spikes, more for unsigned
    graded values below 2**bits. `adds` joins two compartments, as Loihi's ADD does: the name of a
    population of the same shape whose membrane of this step, after its own update and reset, is
    added to this one's, in membrane units.
    """

    name: str
    shape: tuple[int, ...]
    kind: str = "lif"
    vth: int = 0
    du: int = NO_CURRENT_MEMORY
    dv: int = 0
    bias_mant: int | np.ndarray = 0
    bias_exp: int = 0
    memoryless: bool = False
    bits: int = 1
    adds: str = ""

    @property
    def neurons(self) -> int:
        return math.prod(self.shape)

    @property
    def fires(self) -> bool:
        return self.kind == "lif"

    @property
    def bias(self) -> np.ndarray:
        """Bias in membrane units, int64, of the population's shape."""
        mantissa = np.broadcast_to(np.asarray(self.bias_mant, np.int64), self.shape)
        return mantissa << self.bias_exp


def _integer_array(weight: object, where: str) -> np.ndarray:
    array = np.asarray(weight)
    if array.dtype.kind not in "iu":
        raise GraphError("weights must be integers", where=where, value=array.dtype)
    return array.astype(np.int64)


@dataclass(frozen=True)
class Synapse:
    """Integer linear map from `source` to `target`: a[t] += (weight << exponent) . s_source[t -
    delay].
    """

    source: str
    target: str
    exponent: int = field(default=0, kw_only=True)
    delay: int = field(default=0, kw_only=True)

    @property
    def name(self) -> str:
        return f"{self.source}->{self.target}"

    def output_shape(self, source: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
        """Shape this synapse gives on a source of that shape, given the target's (needed where it
        sets the size).
        """
        raise NotImplementedError

    def count(self, source: tuple[int, ...], target: tuple[int, ...]) -> int:
        """How many weights there are, zeros included, shared ones at every place; nothing is
        allocated for it.
        """
        raise NotImplementedError

    def apply(self, s: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
        """Definition: s int64 [S, *source] -> exact sums int64 [S, *target], exponent not yet
        applied.
        """
        raise NotImplementedError

    def coordinates(
        self, source: tuple[int, ...], target: tuple[int, ...]
    ) -> tuple[np.ndarray, ...]:
        """The same map as (rows, columns, weights) int64 over the flattened target and source; no
        zero weights.
        """
        raise NotImplementedError

    def arrivals(
        self, source: tuple[int, ...], target: tuple[int, ...], box: Box
    ) -> tuple[Box, np.ndarray]:
        """How many non-zero weights each source neuron has into the `box` of the target: a box of
        the source, and int64 of its shape; source neurons outside it have none.
        """
        rows, columns, _ = self.coordinates(source, target)
        inside = np.zeros(target, bool)
        inside[slices(box)] = True
        counts = np.bincount(columns[inside.ravel()[rows]], minlength=int(np.prod(source)))
        return whole(source), counts.reshape(source)

    def fan_out(self, source: tuple[int, ...], target: tuple[int, ...]) -> np.ndarray:
        """Non-zero weights leaving each source neuron: int64 [neurons of the source]."""
        box, counts = self.arrivals(source, target, whole(target))
        out = np.zeros(source, np.int64)
        out[slices(box)] = counts
        return out.ravel()

    def per_target(
        self,
        source: tuple[int, ...],
        target: tuple[int, ...],
        measure: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        """Sum of `measure(w)` over the weights w into each target neuron, int64 [neurons of the
        target]; a measure is 0 at 0. `np.abs` gives the largest sum that spikes can make.
        """
        rows, _, weights = self.coordinates(source, target)
        totals = np.bincount(rows, measure(weights), minlength=int(np.prod(target)))
        return totals.astype(np.int64)  # exact: a float holds integers up to 2^53

    def fan_in(self, source: tuple[int, ...], target: tuple[int, ...]) -> np.ndarray:
        """Non-zero weights into each target neuron: int64 [neurons of the target]."""
        return self.per_target(source, target, lambda w: w != 0)


def whole(shape: tuple[int, ...]) -> Box:
    """The box of all neurons of a shape."""
    return tuple((0, int(n)) for n in shape)


def slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(start, stop) for start, stop in box)


def _spread(values: np.ndarray, positions: tuple[int, ...]) -> np.ndarray:
    """One value a channel, at all positions: int64 [C, *positions]."""
    return np.broadcast_to(
        values.reshape(-1, *(1,) * len(positions)), (len(values), *positions)
    ).astype(np.int64)


def _nonzero(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    keep = weights != 0
    return rows[keep], columns[keep], weights[keep]


@dataclass(frozen=True)
class Dense(Synapse):
    """All-to-all: weight [targets, sources] over flattened populations."""

    weight: np.ndarray

    def output_shape(self, source, target):
        if self.weight.shape != (math.prod(target), math.prod(source)):
            raise GraphError(
                "dense weight does not fit",
                where=self.name,
                value=self.weight.shape,
                limit=(math.prod(target), math.prod(source)),
            )
        return target

    def count(self, source, target):
        return self.weight.size

    def apply(self, s, target):
        flat = s.reshape(len(s), -1) @ _integer_array(self.weight, self.name).T
        return flat.reshape(len(s), *target)

    def coordinates(self, source, target):
        weight = _integer_array(self.weight, self.name)
        rows, columns = np.nonzero(weight)
        return rows, columns, weight[rows, columns]

    def _blocks(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Some rows at a time, so that a large weight is never expanded as a whole."""
        step = max(1, ROWS // max(1, self.weight.shape[1]))
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            yield block, self.weight[block]

    def arrivals(self, source, target, box):
        rows = np.arange(np.prod(target)).reshape(target)[slices(box)].ravel()
        counts = np.zeros(self.weight.shape[1], np.int64)
        for _, weight in self._blocks(rows):
            counts += np.count_nonzero(weight, axis=0)
        return whole(source), counts.reshape(source)

    def per_target(self, source, target, measure):
        totals = np.zeros(len(self.weight), np.int64)
        for rows, weight in self._blocks(np.arange(len(totals))):
            totals[rows] = measure(_integer_array(weight, self.name)).sum(1)
        return totals


@dataclass(frozen=True)
class Conv2d(Synapse):
    """2-d cross-correlation as in torch: weight [C_out, C_in / groups, kh, kw] on a source (C_in,
    H, W).
    """

    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1

    def _size(self, source: tuple[int, ...]) -> tuple[int, int]:
        kernel = self.weight.shape[2:]
        padded = source[0] * math.prod(n + 2 * p for n, p in zip(source[1:], self.padding))
        check_bound(
            "padded source is too large",
            padded,
            NEURONS,
            where=self.name,
            error=GraphError,
            unit="values",
        )
        return tuple(
            (n + 2 * p - k) // s + 1
            for n, p, k, s in zip(source[1:], self.padding, kernel, self.stride)
        )

    def output_shape(self, source, target):
        shape = self.weight.shape
        if (
            len(shape) != 4
            or min(shape) < 1
            or len(source) != 3
            or source[0] != shape[1] * self.groups
            or shape[0] % self.groups
        ):
            raise GraphError(
                "conv2d weight does not fit", where=self.name, value=shape, limit=source
            )
        return (shape[0], *self._size(source))

    def count(self, source, target):
        return self.weight.size * math.prod(target[1:])

    def _taps(self, source: tuple[int, ...]) -> Iterator[tuple[int, int, slice, slice]]:
        """Kernel positions (i, j) with the padded rows and columns each one reads."""
        (height, width), (sh, sw) = self._size(source), self.stride
        for i, j in np.ndindex(*self.weight.shape[2:]):
            yield i, j, slice(i, i + sh * height, sh), slice(j, j + sw * width, sw)

    def _pad(self, s: np.ndarray) -> np.ndarray:
        (ph, pw) = self.padding
        return np.pad(s, ((0, 0), (0, 0), (ph, ph), (pw, pw)))

    def apply(self, s, target):
        weight, padded = _integer_array(self.weight, self.name), self._pad(s)
        out = np.zeros((len(s), *target), np.int64)
        ins, outs = s.shape[1] // self.groups, target[0] // self.groups
        for i, j, rows, columns in self._taps(s.shape[1:]):
            patch = padded[:, :, rows, columns][:, :, : target[1], : target[2]]
            for g in range(self.groups):
                w = weight[g * outs : (g + 1) * outs, :, i, j]
                out[:, g * outs : (g + 1) * outs] += np.einsum(
                    "oc,schw->sohw", w, patch[:, g * ins : (g + 1) * ins]
                )
        return out

    def coordinates(self, source, target):
        weight = _integer_array(self.weight, self.name)
        number = (
            self._pad(np.arange(1, np.prod(source) + 1).reshape(1, *source))[0] - 1
        )  # -1 in the padding
        outs, ins = target[0] // self.groups, source[0] // self.groups
        place = np.arange(np.prod(target)).reshape(target)
        parts = []
        for i, j, rows, columns in self._taps(source):
            patch = number[:, rows, columns][:, : target[1], : target[2]]
            for o in range(target[0]):
                first = (o // outs) * ins
                column = patch[first : first + ins]  # [ins, H, W]
                row = np.broadcast_to(place[o], column.shape)
                w = np.broadcast_to(weight[o, :, i, j][:, None, None], column.shape)
                inside = (column >= 0) & (w != 0)
                parts.append((row[inside], column[inside], w[inside]))
        return tuple(np.concatenate(part) for part in zip(*parts))

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
        reads = np.zeros((self.weight.shape[2 + axis], read[1] - read[0]))
        for tap in range(len(reads)):
            first, last = self._reach(axis, tap, size, *span)
            reads[tap, np.arange(first, last) * stride - padding + tap - read[0]] = 1
        return reads

    def arrivals(self, source, target, box):
        (low, high), *spans = box
        outs, ins = target[0] // self.groups, source[0] // self.groups
        first, last = low // outs, (high - 1) // outs
        starts = [max(0, group * outs - low) for group in range(first, last + 1)]
        fans = np.add.reduceat(self.weight[low:high] != 0, starts, axis=0, dtype=np.int64)
        fans = fans.reshape(-1, *fans.shape[2:])  # [C_in of the box, kh, kw]
        read = tuple(
            (max(0, a * s - p), min(n, (b - 1) * s - p + k))
            for (a, b), s, p, k, n in zip(
                spans, self.stride, self.padding, fans.shape[1:], source[1:]
            )
        )
        read = tuple((a, max(a, b)) for a, b in read)
        rows, columns = (
            self._reads(axis, source[1 + axis], spans[axis], read[axis]) for axis in (0, 1)
        )
        counts = np.rint(rows.T @ fans @ columns).astype(
            np.int64
        )  # exact: a float holds integers up to 2^53
        return ((first * ins, (last + 1) * ins), *read), counts

    def per_target(self, source, target, measure):
        taps = measure(_integer_array(self.weight, self.name)).sum(1)  # [C_out, kh, kw]
        totals = np.zeros(target, np.int64)
        for i, j in np.ndindex(*taps.shape[1:]):
            rows, columns = (
                slice(*self._reach(axis, tap, source[1 + axis], 0, target[1 + axis]))
                for axis, tap in enumerate((i, j))
            )
            totals[:, rows, columns] += taps[:, i, j][:, None, None]
        return totals.ravel()


@dataclass(frozen=True)
class Pointwise(Synapse):
    """One dense map [C_out, C_in] shared by all positions: (C_in, ...) -> (C_out, ...)."""

    weight: np.ndarray

    def output_shape(self, source, target):
        if self.weight.ndim != 2 or self.weight.shape[1] != source[0]:
            raise GraphError(
                "pointwise weight does not fit",
                where=self.name,
                value=self.weight.shape,
                limit=source,
            )
        return (self.weight.shape[0], *source[1:])

    def count(self, source, target):
        return self.weight.size * math.prod(source[1:])

    def apply(self, s, target):
        flat = s.reshape(len(s), s.shape[1], -1)
        return np.einsum("oc,scn->son", _integer_array(self.weight, self.name), flat).reshape(
            len(s), *target
        )

    def coordinates(self, source, target):
        n = int(np.prod(source[1:]))
        o, c, position = (axis.ravel() for axis in np.indices((target[0], source[0], n)))
        return _nonzero(
            o * n + position, c * n + position, _integer_array(self.weight, self.name)[o, c]
        )

    def arrivals(self, source, target, box):
        counts = np.count_nonzero(self.weight[slice(*box[0])], axis=0)  # [C_in]
        return (whole(source)[0], *box[1:]), _spread(counts, [b - a for a, b in box[1:]])

    def per_target(self, source, target, measure):
        return _spread(measure(_integer_array(self.weight, self.name)).sum(1), target[1:]).ravel()


@dataclass(frozen=True)
class OneToOne(Synapse):
    """Neuron i to neuron i, one weight for all; the shapes may differ, the counts may not."""

    weight: int

    def output_shape(self, source, target):
        if math.prod(source) != math.prod(target):
            raise GraphError(
                "one-to-one needs equal counts", where=self.name, value=source, limit=target
            )
        return target

    def count(self, source, target):
        return math.prod(source)

    def apply(self, s, target):
        return self.weight * s.reshape(len(s), *target)

    def coordinates(self, source, target):
        i = np.arange(np.prod(source))
        return _nonzero(i, i, np.full(i.shape, self.weight))

    def arrivals(self, source, target, box):
        if tuple(source) == tuple(target):
            return box, np.full([b - a for a, b in box], int(self.weight != 0), np.int64)
        counts = np.zeros(target, np.int64)
        counts[slices(box)] = self.weight != 0
        return whole(source), counts.reshape(source)

    def per_target(self, source, target, measure):
        return np.full(int(np.prod(target)), measure(np.int64(self.weight)), np.int64)


@dataclass(frozen=True)
class SumTokens(Synapse):
    """Sum over all positions of a channel: (C, ...) -> (C,), one weight for all."""

    weight: int

    def output_shape(self, source, target):
        return (source[0],)

    def count(self, source, target):
        return math.prod(source)

    def apply(self, s, target):
        return self.weight * s.reshape(len(s), s.shape[1], -1).sum(2)

    def coordinates(self, source, target):
        i = np.arange(np.prod(source))
        return _nonzero(i // int(np.prod(source[1:])), i, np.full(i.shape, self.weight))

    def arrivals(self, source, target, box):
        region = (box[0], *whole(source)[1:])
        return region, np.full([b - a for a, b in region], int(self.weight != 0), np.int64)

    def per_target(self, source, target, measure):
        total = int(measure(np.int64(self.weight))) * int(np.prod(source[1:]))
        return np.full(int(np.prod(target)), total, np.int64)


@dataclass(frozen=True)
class Broadcast(Synapse):
    """One neuron per channel to all positions of that channel: (C,) -> (C, ...), one weight for
    all.
    """

    weight: int

    def output_shape(self, source, target):
        if len(source) != 1 or target[0] != source[0]:
            raise GraphError(
                "broadcast needs one source neuron per target channel",
                where=self.name,
                value=source,
                limit=target,
            )
        return target

    def count(self, source, target):
        return math.prod(target)

    def apply(self, s, target):
        return np.broadcast_to(
            self.weight * s.reshape(len(s), target[0], *(1,) * (len(target) - 1)), (len(s), *target)
        )

    def coordinates(self, source, target):
        i = np.arange(np.prod(target))
        return _nonzero(i, i // int(np.prod(target[1:])), np.full(i.shape, self.weight))

    def arrivals(self, source, target, box):
        fan = int(self.weight != 0) * int(np.prod([b - a for a, b in box[1:]]))
        return box[:1], np.full(box[0][1] - box[0][0], fan, np.int64)

    def per_target(self, source, target, measure):
        return np.full(int(np.prod(target)), measure(np.int64(self.weight)), np.int64)


@dataclass(frozen=True)
class Window(Synapse):
    """Sum over a sliding window within each channel (C, H, W), one weight for all. With vth 0:
    max-pool of spikes.
    """

    weight: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def _conv(self, channels: int) -> Conv2d:
        weight = np.broadcast_to(np.int64(self.weight), (channels, 1, *self.kernel))
        return Conv2d(self.source, self.target, weight, self.stride, self.padding, groups=channels)

    def output_shape(self, source, target):
        return self._conv(source[0]).output_shape(source, target)

    def count(self, source, target):
        return math.prod(self.kernel) * math.prod(target)

    def apply(self, s, target):
        return self._conv(s.shape[1]).apply(s, target)

    def coordinates(self, source, target):
        return self._conv(source[0]).coordinates(source, target)

    def arrivals(self, source, target, box):
        return self._conv(source[0]).arrivals(source, target, box)

    def per_target(self, source, target, measure):
        return self._conv(source[0]).per_target(source, target, measure)


SYNAPSES = {
    kind.__name__: kind
    for kind in (Dense, Conv2d, Pointwise, OneToOne, SumTokens, Broadcast, Window)
}


def _grouped(pairs: Iterable[tuple[str, object]]) -> dict[str, tuple]:
    groups: dict[str, list] = {}
    for name, part in pairs:
        groups.setdefault(name, []).append(part)
    return {name: tuple(parts) for name, parts in groups.items()}


@dataclass(frozen=True)
class Graph:
    """Populations by name and the synapses between them. `classes` names the readout's neurons, if
    it has names.
    """

    populations: tuple[Population, ...]
    synapses: tuple[Synapse, ...]
    steps: int = 1
    classes: tuple[str, ...] = ()

    @functools.cached_property
    def _named(self) -> dict[str, Population]:
        return {p.name: p for p in reversed(self.populations)}

    @functools.cached_property
    def _into(self) -> dict[str, tuple[Synapse, ...]]:
        return _grouped((s.target, s) for s in self.synapses)

    @functools.cached_property
    def _from(self) -> dict[str, tuple[Synapse, ...]]:
        return _grouped((s.source, s) for s in self.synapses)

    @functools.cached_property
    def _joined(self) -> dict[str, tuple[str, ...]]:
        return _grouped((p.adds, p.name) for p in self.populations if p.adds)

    def __getitem__(self, name: str) -> Population:
        if name in self._named:
            return self._named[name]
        raise GraphError(
            "no such population", where=name, fix=nearest(name, [p.name for p in self.populations])
        )

    def of_kind(self, kind: str) -> tuple[Population, ...]:
        return tuple(p for p in self.populations if p.kind == kind)

    @property
    def class_names(self) -> tuple[str, ...]:
        """`classes` as they can be shown, their control characters written out; numbers where they
        have no names.
        """
        numbers = map(str, range(self.readout.neurons if self.readout else 0))
        return tuple(visible(name, 80) for name in self.classes) or tuple(numbers)

    @property
    def readout(self) -> Population | None:
        readouts = self.of_kind("readout")
        return readouts[0] if readouts else None

    def incoming(self, name: str) -> tuple[Synapse, ...]:
        return self._into.get(name, ())

    def outgoing(self, name: str) -> tuple[Synapse, ...]:
        return self._from.get(name, ())

    def joined_to(self, name: str) -> tuple[str, ...]:
        """Populations that add the membrane of this one."""
        return self._joined.get(name, ())

    def order(self) -> tuple[Population, ...]:
        """Populations so that every zero-delay synapse and every join goes forward. Raises where
        those form a cycle.
        """
        depth = self.depths()
        rank = {p.name: i for i, p in enumerate(self.populations)}
        return tuple(sorted(self.populations, key=lambda p: (depth[p.name], rank[p.name])))

    def depths(self) -> dict[str, int]:
        """Longest path in zero-delay synapses and joins from any source population to each
        population.
        """
        waiting = {
            p.name: sum(s.delay == 0 for s in self.incoming(p.name)) + bool(p.adds)
            for p in self.populations
        }
        depth = dict.fromkeys(waiting, 0)
        ready = [name for name, count in waiting.items() if count == 0]
        for name in ready:
            for target in (
                *(s.target for s in self.outgoing(name) if s.delay == 0),
                *self.joined_to(name),
            ):
                depth[target] = max(depth[target], depth[name] + 1)
                waiting[target] -= 1
                if waiting[target] == 0:
                    ready.append(target)
        if len(ready) < len(waiting):
            stuck = sorted(set(waiting) - set(ready))
            raise GraphError(
                "synapses of zero delay and joins form a cycle",
                where=", ".join(stuck),
                fix="give one of them a delay of at least 1 step",
            )
        return depth

    def silenced(self, pattern: str) -> Graph:
        """The graph without the synapses that leave the populations whose name matches `pattern` (a
        shell pattern).

        Shows what they contribute: with "*.attention.complement" it is the network at alpha = 0.
        """
        names = fnmatch.filter([p.name for p in self.populations], pattern)
        if not names:
            raise UsageError(
                "no population matches",
                value=pattern,
                fix=nearest(pattern, [p.name for p in self.populations]),
            )
        return dataclasses.replace(
            self, synapses=tuple(s for s in self.synapses if s.source not in names)
        )

    def fan_out(self, synapse: Synapse) -> np.ndarray:
        """Non-zero weights leaving each neuron of the source: int64 [neurons of the source]."""
        return synapse.fan_out(self[synapse.source].shape, self[synapse.target].shape)

    def worst_activation(self, name: str) -> int:
        """Upper bound of |a| in population `name`: every source active at its largest value."""
        target = self[name]
        bound = np.zeros(target.neurons)  # exact up to 2^53, far above the limit it is held to
        for synapse in self.incoming(name):
            source = self[synapse.source]
            largest = (1 << source.bits) - 1 if source.kind == "input" else 1
            sums = synapse.per_target(source.shape, target.shape, np.abs).astype(float)
            bound += sums * (largest << int(synapse.exponent))
        return int(bound.max(initial=0))

    def _check_neurons(self) -> None:
        for p in self.populations:
            for n in p.shape:
                _check_integer("shape", n, 1, (1 << 31) - 1, p.name)
        neurons = sum(p.neurons for p in self.populations)
        largest = max(self.populations, key=lambda p: p.neurons).name
        check_bound(
            "graph has too many neurons",
            neurons,
            NEURONS,
            where=f"graph, most of them {largest}",
            error=GraphError,
            unit="neurons",
        )
        check_bound(
            "graph has too many neurons for its steps",
            neurons * self.steps,
            VALUES,
            where="graph",
            error=GraphError,
            unit="neurons x steps",
        )

    def check(self) -> Graph:
        """Raise `GraphError` where the graph has no meaning, or is larger than its bounds, before
        anything of its size is allocated; chip limits are the profile's (`hw_profiles.limits`).
        """
        check_bound(
            "graph has too many parts",
            len(self.populations) + len(self.synapses),
            PARTS,
            where="graph",
            error=GraphError,
            unit="populations and synapses",
        )
        names = [p.name for p in self.populations if isinstance(p.name, str)]
        if len(set(names)) != len(names):
            raise GraphError(
                "population names repeat", value=sorted({n for n in names if names.count(n) > 1})
            )
        if not self.of_kind("input"):
            raise GraphError("the graph has no input population")
        if len(self.of_kind("readout")) > 1:
            raise GraphError(
                "the graph has more than one readout",
                value=[p.name for p in self.of_kind("readout")],
            )
        _check_integer("steps", self.steps, 1, (1 << 31) - 1, "graph")
        self._check_neurons()
        for population in self.populations:
            _check_population(population, self)
        for synapse in self.synapses:
            _check_synapse(synapse, self)
        weights = sum(s.count(self[s.source].shape, self[s.target].shape) for s in self.synapses)
        check_bound(
            "graph has too many synapses",
            weights,
            WEIGHTS,
            where="graph",
            error=GraphError,
            unit="synapses",
        )
        _check_classes(self)
        self.depths()
        for population in self.populations:
            worst = self.worst_activation(population.name)
            if worst >= ACTIVATION_LIMIT:
                raise GraphError(
                    "synaptic sum can leave the 32-bit message",
                    where=population.name,
                    limit=ACTIVATION_LIMIT - 1,
                    value=worst,
                    fix="use smaller weights or fan-in",
                )
        return self


POPULATION_RANGES = (
    ("vth", 0, (1 << 23) - 1),
    ("du", -1, 4095),
    ("dv", 0, 4096),
    ("bias_exp", 0, 15),
    ("bits", 1, 16),
)
SYNAPSE_RANGES = (
    ("delay", 0, (1 << 16) - 1),
    ("exponent", 0, 23),
    ("stride", 1, (1 << 16) - 1),
    ("padding", 0, (1 << 16) - 1),
    ("kernel", 1, (1 << 16) - 1),
    ("groups", 1, (1 << 16) - 1),
)


def _check_integer(name: str, value: object, low: int, high: int, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise GraphError(f"{name} must be an integer", where=where, value=value)
    if not low <= value <= high:
        raise GraphError(
            f"{name} is out of range", where=where, limit=f"{low}..{high}", value=value
        )


def _check_population(p: Population, graph: Graph) -> None:
    if not isinstance(p.name, str) or not p.name.isprintable() or not p.name:
        raise GraphError("a population's name must be printable text", value=ascii(p.name))
    if p.kind not in KINDS:
        raise GraphError(
            "unknown kind of population", where=p.name, value=p.kind, fix=nearest(p.kind, KINDS)
        )
    if not p.shape:
        raise GraphError("a population needs at least one neuron", where=p.name, value=p.shape)
    for name, low, high in POPULATION_RANGES:
        _check_integer(name, getattr(p, name), low, high, p.name)
    if not isinstance(p.memoryless, (bool, np.bool_)):
        raise GraphError("memoryless must be true or false", where=p.name, value=p.memoryless)
    mantissa = _integer_array(p.bias_mant, f"{p.name}.bias_mant")
    try:
        np.broadcast_to(mantissa, p.shape)
    except ValueError:
        raise GraphError(
            "bias does not fit the population", where=p.name, limit=p.shape, value=mantissa.shape
        ) from None
    if np.abs(mantissa.astype(float)).max(initial=0) > STATE_LIMIT:
        raise GraphError(
            "bias is beyond the 24-bit state",
            where=p.name,
            limit=STATE_LIMIT,
            value=int(np.abs(mantissa.astype(float)).max()),
        )
    if p.kind == "input" and graph.incoming(p.name):
        raise GraphError("an input takes no synapses", where=p.name)
    _check_join(p, graph)


def _check_classes(graph: Graph) -> None:
    """Names of the readout's neurons: all of them or none."""
    readout = graph.readout
    for i, name in enumerate(graph.classes):
        if not isinstance(name, str):
            raise GraphError(
                "a class's name must be text",
                where=f"classes.{i}",
                value=f"{type(name).__name__} {name!r}",
            )
    if graph.classes and len(graph.classes) != (readout.neurons if readout else 0):
        raise GraphError(
            "classes and readout neurons differ in number",
            where="classes",
            limit=readout.neurons if readout else "no readout",
            value=len(graph.classes),
        )


def _check_join(p: Population, graph: Graph) -> None:
    if not isinstance(p.adds, str):
        raise GraphError("adds must be the name of a population", where=p.name, value=p.adds)
    if not p.adds:
        return
    if p.kind == "input":
        raise GraphError("an input adds no membrane", where=p.name, value=p.adds)
    added = graph[p.adds]
    if added.kind == "input":
        raise GraphError("an input has no membrane to add", where=p.name, value=p.adds)
    if tuple(added.shape) != tuple(p.shape):
        raise GraphError(
            "joined populations differ in shape", where=p.name, limit=p.shape, value=added.shape
        )


def require_no_joins(graph: Graph, target: str) -> None:
    """Raise `GraphError` where a population adds another's membrane, which `target` has no form
    for.
    """
    for p in graph.populations:
        if p.adds:
            raise GraphError(
                f"{target} has no form for joined compartments",
                where=p.name,
                value=f"adds the membrane of {p.adds}",
                fix="run it on the simulator or the reference",
            )


def _check_synapse(s: Synapse, graph: Graph) -> None:
    source, target = graph[s.source], graph[s.target]
    if source.kind == "readout":
        raise GraphError("a readout does not fire and has no outgoing synapses", where=s.name)
    for name, low, high in SYNAPSE_RANGES:
        for number in np.atleast_1d(np.array(getattr(s, name, low), object)):
            _check_integer(name, number, low, high, s.name)
    weight = np.asarray(s.weight)
    _integer_array(weight[:0] if weight.ndim else weight, s.name)  # its type, without a copy
    largest = max(abs(int(weight.min())), abs(int(weight.max()))) if weight.size else 0
    if largest >= ACTIVATION_LIMIT:
        raise GraphError(
            "weight can leave the 32-bit message",
            where=s.name,
            limit=ACTIVATION_LIMIT - 1,
            value=largest,
        )
    got = s.output_shape(source.shape, target.shape)
    if tuple(got) != tuple(target.shape):
        raise GraphError(
            "synapse and target differ in shape", where=s.name, limit=target.shape, value=tuple(got)
        )
