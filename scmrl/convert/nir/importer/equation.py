"""The equation of a node in units that integers will hold, and the scale that they have.

With a scale L a weight W g becomes the integer round(L W g) = mantissa << exponent, the threshold
theta becomes vth = L theta, and a bias b becomes round(64 L b) membrane units: each neuron's
equation times its own L, which changes nothing. L is the largest scale whose states stay inside 24
bits, and, where all weights are multiples of one step, a multiple of it, so that they become
integers without loss. Where there is no such step every channel of spiking neurons has an L of its
own, and uses all bits of its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ....core.fixed_point import ACTIVATION_LIMIT, CURRENT_SHIFT, STATE_MAX
from ....data.features.values import ValueScale
from ....system.errors import GraphError
from .floats.maps import Conv, Map
from .floats.network import Constants, Network, Neurons, Route
from .rounding import bound, lattice, thresholds, widths

MARGIN = 2.0  # headroom of the state range over what was observed
COARSEST_VTH = 8  # from here on the scale is lowered so that vth is whole
TINY = 1e-30

Peaks = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Equation:
    """The equation of a node, every neuron's times `ratio` [*shape]: that of a map whose channels
    share their weights is uniform in each channel. `threshold`, `bias` and the `constants` in I are
    float64 [*shape]; `maps` are per integer step of the source, of which `tops` are the largest.
    """

    neurons: Neurons
    routes: tuple[Route, ...]
    maps: tuple[Map, ...]
    tops: tuple[int, ...]
    ratio: np.ndarray
    threshold: np.ndarray
    bias: np.ndarray
    constants: Constants

    @property
    def subtracts(self) -> bool:
        """Whether a spike is taken off through a synapse."""
        return self.neurons.subtract and not np.any(self.neurons.alpha)

    @property
    def steady(self) -> np.ndarray:
        """What constants bring at every step, at most: [*shape]."""
        return np.abs(self.bias) + sum(
            (np.abs(c) for c in self.constants.values()), np.zeros(self.neurons.shape)
        )

    @property
    def worst(self) -> np.ndarray:
        """The largest sum that one step can bring: [*shape]."""
        shape = self.neurons.shape
        bounds = (bound(m, top).reshape(shape) for m, top in zip(self.maps, self.tops))
        return sum(bounds, self.steady)


def equation(
    network: Network, n: Neurons, inputs: Mapping[str, ValueScale], tops: Mapping[str, int]
) -> Equation:
    """That of one node. `tops`: the largest integer that a source sends in a step. Raises
    `GraphError` for a threshold that cannot be.
    """
    threshold, bias = thresholds(n)
    routes = network.incoming(n.name)
    gain = np.broadcast_to(np.asarray(n.gain, float), n.shape)
    shared = n.kind == "spiking" and any(isinstance(r.map, Conv) for r in routes)
    ratio = _ratio(gain, shared)
    factor = gain * ratio
    steps = [inputs[r.source].step if r.source in inputs else 1.0 for r in routes]
    maps = [r.map.rows_scaled((factor * s).reshape(r.map.target)) for r, s in zip(routes, steps)]
    constants = {d: factor * c for d, c in network.constants.get(n.name, {}).items()}
    sent = tuple(tops[r.source] for r in routes)
    theta, b = threshold * ratio, bias * ratio
    return Equation(n, routes, tuple(maps), sent, ratio, theta, b, constants)


def _ratio(gain: np.ndarray, shared: bool) -> np.ndarray:
    """1, but where the neurons of a channel with shared weights differ in their gain."""
    channel = gain.reshape(len(gain), -1)
    if not shared or np.all(channel == channel[:, :1]) or gain.min() <= 0:
        return np.ones(gain.shape)
    return (channel[:, :1] / channel).reshape(gain.shape)


def by_channel(values: np.ndarray) -> np.ndarray:
    """The largest value of each channel, at all its places."""
    flat = values.reshape(len(values), -1)
    return np.broadcast_to(flat.max(1, keepdims=True), flat.shape).reshape(values.shape)


class Scaling:
    """Chooses the scale of one equation. `peaks`: the largest states of a run on calibration data,
    or None; `notes` takes what is to be said.
    """

    def __init__(self, e: Equation, peaks: Peaks | None, steps: int, top: int, notes: list[str]):
        self.e, self.peaks, self.steps, self.top, self.notes = e, peaks, steps, top, notes
        shape = e.neurons.shape
        parts = [_largest_by_channel(m, shape) for m in e.maps]
        self.largest = np.max(parts, axis=0) if parts else np.zeros(shape)

    def scale(self) -> np.ndarray:
        """L [*shape], uniform in each channel. Raises `GraphError` where nothing is left of the
        weights.
        """
        e, largest = self.e, float(self.largest.max())
        threshold = float(e.threshold.max())
        if largest == 0:
            return np.full(e.neurons.shape, max(1.0, 1024.0 / max(threshold, 1.0)))
        limits = by_channel(1 / self._limits()) ** -1
        step = lattice([m.values() for m in e.maps], largest, self.top)
        if step or e.neurons.kind != "spiking":  # membranes of a readout are compared
            scale = np.full(e.neurons.shape, self._shared(float(limits.min()), largest, step))
        else:
            scale = self._own(limits)
        if not step:
            vth = scale * by_channel(e.threshold)
            whole = np.floor(vth) / np.maximum(by_channel(e.threshold), TINY)
            scale = np.where(vth >= COARSEST_VTH, whole, scale)
        if float((scale * self.largest).max()) < 1:
            raise GraphError(
                "range of the inputs leaves no bits for the weights",
                where=e.neurons.name,
                limit=">= 1",
                value=f"largest weight {float((scale * self.largest).max()):.2g}",
                fix="use fewer input bits or smaller inputs",
            )
        return scale

    def _shared(self, limit: float, largest: float, step: int) -> float:
        """One L for all, on the weights' own step where they have one."""
        e, n = self.e, self.e.neurons
        integers = step and not e.steady.any() and _whole(n.alpha) and _whole(n.beta)
        if integers and step / largest <= limit:
            return step / largest  # a finer scale gains nothing
        top = self.top // step * step if step else self.top
        room = limit * largest / top
        if room >= 1:
            return top * 2.0 ** min(widths().exponent, int(np.log2(room))) / largest
        if step:
            return max(1, int(limit * largest / step)) * step / largest
        return limit

    def _own(self, limits: np.ndarray) -> np.ndarray:
        """An L for each channel, of one exponent: all bits, as far as the limits allow."""
        used = self.largest > 0
        largest = np.where(used, self.largest, self.largest.max())
        room = (limits * largest / self.top)[used]
        exponent = int(np.clip(np.floor(np.log2(np.percentile(room, 10))), 0, widths().exponent))
        return np.minimum(self.top * 2.0**exponent / largest, limits)

    def _limits(self) -> np.ndarray:
        """The L [*shape] at which the first of thresholds, sums, biases and states leaves its
        range.
        """
        e, n = self.e, self.e.neurons
        worst, steady = e.worst, e.steady
        bias_max = widths().bias_mantissa << widths().exponent >> CURRENT_SHIFT
        limits = np.minimum.reduce(
            [
                widths().vth / np.maximum(e.threshold, TINY),
                ACTIVATION_LIMIT / 2 / np.maximum(worst, TINY),
                bias_max / np.maximum(steady, TINY),
                self._state_limits(worst),
            ]
        )
        if e.subtracts or np.any(n.alpha) or any(e.constants):  # what goes through synapses
            wide = np.maximum(steady, e.threshold if e.subtracts else 0.0)
            limits = np.minimum(limits, widths().pair / np.maximum(wide, TINY))
        return limits

    def _state_limits(self, worst: np.ndarray) -> np.ndarray:
        """L at which 24 bits are full: of the observed states with a margin, or of the worst
        case.
        """
        e, n, room = self.e, self.e.neurons, STATE_MAX / (1 << CURRENT_SHIFT)
        if self.peaks is not None:
            peak = np.maximum.reduce([p * e.ratio for p in self.peaks[n.name]])
            return room / (MARGIN * np.maximum.reduce([peak, e.threshold, np.full(n.shape, TINY)]))
        growth = np.ones(n.shape)
        for kept in (n.alpha, n.beta):
            growth = growth * np.minimum(self.steps, 1 / np.maximum(1 - np.asarray(kept), TINY))
        peak = np.maximum(worst * growth, np.maximum(e.threshold, TINY))
        if np.all(room / peak * self.largest.max() >= self.top):
            return room / peak
        self.notes.append(f"{n.name}: the 24-bit state may overflow: there is no calibration data")
        return room / np.maximum(MARGIN * MARGIN * e.threshold, np.maximum(worst, TINY))


def _largest_by_channel(m: Map, shape: tuple[int, ...]) -> np.ndarray:
    """The largest |weight| into each channel, [*shape]."""
    if isinstance(m, Conv):
        rows = np.abs(m.weight).reshape(len(m.weight), -1).max(1)
        rows = np.repeat(rows, m.target[1] * m.target[2])
    else:
        rows = m.row_peaks()
    return by_channel(rows.reshape(shape))


def _whole(kept: np.ndarray | float) -> bool:
    return bool(np.all((np.asarray(kept) == 0) | (np.asarray(kept) == 1)))
