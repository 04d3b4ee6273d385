"""A synapse as the core carries it out: loops over rows, columns and words that begin where a table
says for each source position.

    target = first_target + row * row_to + column * column_to + word
    weight = first_weight + channel * each + row * row_weight + column * column_weight + word

Engine by engine (`lanewise`) each engine hears itself alone, the word is the source's own, and a
channel is a group. Weights that all places share lie there once. A kind without a form here is
carried out as all-to-all, zeros written out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ...core.convolution import Convolution
from ...core.fixed_point import signed
from ...core.graph import Broadcast, Conv2d, Dense, OneToOne, Pointwise, SumTokens, Synapse, Window
from ...core.synapse import Shape, seven_bit_parts
from ...system.errors import GraphError
from .memories import LARGEST, WEIGHT

Numbers = int | np.ndarray
Places = np.ndarray  # int64 [positions, 4]: first target, first weight, columns, rows


@dataclass(frozen=True)
class Form:
    """Weights int64 [words, P] and the loops over them; `run` words lie side by side."""

    places: Places
    weights: np.ndarray
    each: int = 0
    run: int = 1
    column_to: int = 0
    column_weight: int = 0
    row_to: int = 0
    row_weight: int = 0
    lanewise: bool = False


def groups(shape: Shape, engines: int) -> int:
    """Words of a position."""
    return -(-shape[0] // engines)


def positions(shape: Shape) -> int:
    return math.prod(shape[1:])


def words(shape: Shape, engines: int) -> int:
    """Words of a population."""
    return groups(shape, engines) * positions(shape)


def by_engine(values: np.ndarray, engines: int, padding: int = 0) -> np.ndarray:
    """Channels [..., C] as words [..., groups, P]; engines without a channel get `padding`."""
    lacking = -values.shape[-1] % engines
    spread = [(0, 0)] * (values.ndim - 1) + [(0, lacking)]
    padded = np.pad(values, spread, constant_values=padding)
    return padded.reshape(*values.shape[:-1], -1, engines)


def form(synapse: Synapse, source: Shape, target: Shape, engines: int) -> Form:
    """The form of a synapse of a legal graph. Raises `GraphError` where it is too large."""
    return KINDS.get(type(synapse), _all_to_all)(synapse, source, target, engines)


def parts(found: Form) -> Iterator[tuple[np.ndarray, int]]:
    """Its weights as (int8 [words, P], shift): one, or several where they take more than 8 bits."""
    lowest, highest = signed(WEIGHT)
    if found.weights.min(initial=0) >= lowest and found.weights.max(initial=0) <= highest:
        every = [(found.weights, 0)] if found.weights.any() else []
    else:
        every = seven_bit_parts(found.weights)
    for mantissas, shift in every:
        yield mantissas.astype(np.int8), shift


def _places(target: Numbers, weight: Numbers, columns: Numbers = 1, rows: Numbers = 1) -> Places:
    """One a position; what is the same at all of them is one number."""
    each = np.broadcast_arrays(*np.atleast_1d(target, weight, columns, rows))
    return np.stack(each, 1).astype(np.int64)


def _matrix(weight: np.ndarray, source: Shape, target: Shape, engines: int) -> Form:
    """All-to-all, weight [targets, sources] in the graph's order."""
    channels, from_positions = source[0], positions(source)
    w = weight.reshape(target[0], positions(target), channels, from_positions)
    found = by_engine(w.transpose(3, 2, 1, 0), engines).reshape(-1, engines)
    run = words(target, engines)
    at = np.arange(from_positions) * channels * run
    return Form(_places(0, at), found, each=run, run=run)


def _dense(synapse: Dense, source: Shape, target: Shape, engines: int) -> Form:
    return _matrix(synapse.integers(), source, target, engines)


def _all_to_all(synapse: Synapse, source: Shape, target: Shape, engines: int) -> Form:
    needed = math.prod(source) * words(target, engines)
    if needed > LARGEST["weights"]:
        raise GraphError(
            f"a {type(synapse).__name__} synapse becomes all-to-all in the core, which has no room",
            where=synapse.name,
            limit=f"{LARGEST['weights']:,} words",
            value=f"{needed:,}",
            fix="use the target or backend c",
        )
    rows, columns, values = synapse.coordinates(source, target)
    weight = np.zeros((math.prod(target), math.prod(source)), np.int64)
    weight[rows, columns] = values
    return _matrix(weight, source, target, engines)


def _heard(size: int, to_size: int, kernel: int, stride: int, padding: int) -> list[list[int]]:
    """For each pixel along an axis: how many taps see it, the first, and the output it is for; the
    next are `stride` taps on, one output back.
    """
    found = []
    for pixel in range(size):
        taps = [
            (tap, (pixel + padding - tap) // stride)
            for tap in range((pixel + padding) % stride, kernel, stride)
            if 0 <= pixel + padding - tap <= (to_size - 1) * stride
        ]
        found.append([len(taps), *(taps[0] if taps else (0, 0))])
    return found


def _sliding(convolution: Convolution, source: Shape, target: Shape, engines: int) -> Form:
    """Weights [kh][kw][C_in][groups of C_out], or [kh][kw][groups] where each channel is alone."""
    (kh, kw), (sh, sw) = convolution.kernel, convolution.stride
    lanewise = convolution.groups == source[0] == target[0]
    if lanewise:
        found = by_engine(convolution.weight[:, 0].transpose(1, 2, 0), engines)
    else:
        found = by_engine(convolution.ungrouped().transpose(2, 3, 1, 0), engines)
    to_groups = groups(target, engines)
    run = 1 if lanewise else to_groups
    tap = math.prod(found.shape[2:-1])  # words of a tap
    height, width = (
        np.array(_heard(*sizes))
        for sizes in zip(source[1:], target[1:], (kh, kw), (sh, sw), convolution.padding)
    )
    (rows, top, h), (columns, left, q) = (
        np.moveaxis(np.broadcast_to(axis, (*source[1:], 3)), -1, 0).reshape(3, -1)
        for axis in (height[:, None], width[None])
    )
    return Form(
        _places((h * target[2] + q) * to_groups, (top * kw + left) * tap, columns, rows),
        found.reshape(-1, engines),
        each=run,
        run=run,
        column_to=-to_groups,
        column_weight=sw * tap,
        row_to=-target[2] * to_groups,
        row_weight=sh * kw * tap,
        lanewise=lanewise,
    )


def _conv(synapse: Conv2d, source: Shape, target: Shape, engines: int) -> Form:
    return _sliding(synapse.convolution(source), source, target, engines)


def _pointwise(synapse: Pointwise, source: Shape, target: Shape, engines: int) -> Form:
    n = positions(source)
    convolution = Convolution(synapse.integers()[:, :, None, None])
    return _sliding(convolution, (source[0], n, 1), (target[0], n, 1), engines)


def _one(synapse: Synapse, engines: int, places: Places, **loops: int) -> Form:
    """One weight for all connections, engine by engine."""
    weight = np.full((1, engines), synapse.integers())
    return Form(places, weight, lanewise=True, **loops)


def _window(synapse: Window, source: Shape, target: Shape, engines: int) -> Form:
    found = _sliding(synapse.convolution(source), source, target, engines)
    places = found.places * np.array([1, 0, 1, 1])
    return _one(synapse, engines, places, column_to=found.column_to, row_to=found.row_to)


def _one_to_one(synapse: OneToOne, source: Shape, target: Shape, engines: int) -> Form:
    if source[0] != target[0]:
        return _all_to_all(synapse, source, target, engines)
    at = np.arange(positions(source)) * groups(source, engines)
    return _one(synapse, engines, _places(at, 0))


def _sum_tokens(synapse: SumTokens, source: Shape, target: Shape, engines: int) -> Form:
    return _one(synapse, engines, _places(np.zeros(positions(source)), 0))


def _broadcast(synapse: Broadcast, source: Shape, target: Shape, engines: int) -> Form:
    places = _places(0, 0, positions(target))
    return _one(synapse, engines, places, column_to=groups(target, engines))


KINDS: dict[type[Synapse], Callable[..., Form]] = {
    Dense: _dense,
    Conv2d: _conv,
    Pointwise: _pointwise,
    Window: _window,
    OneToOne: _one_to_one,
    SumTokens: _sum_tokens,
    Broadcast: _broadcast,
}
