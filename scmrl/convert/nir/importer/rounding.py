"""The pieces of quantisation, without a network around them: one decay and one threshold a
population, steps on which weights lie, mantissas and exponents. numpy only.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ....core.fixed_point import BIAS_EXPONENT_MAX
from ....core.synapse import single
from ....hw_profiles import profile
from ....hw_profiles.precision import Precision
from ....system.errors import GraphError
from .floats.maps import Conv, Map, Shape
from .floats.network import Neurons

LATTICE_TOLERANCE = 1e-4  # of a step: float32 weights of 7 bits are this near


class Widths(NamedTuple):
    """The largest integers of a chip."""

    vth: int
    bias_mantissa: int
    exponent: int  # of weights

    @property
    def pair(self) -> int:
        """What two 8-bit mantissas hold, of the exponents 0 and the largest."""
        return 63 << self.exponent


@functools.cache
def widths() -> Widths:
    """Those of Loihi 2, for which imports are made; whether another chip takes the graph is told by
    its own limits (`hw_profiles.limits`).
    """
    chip = profile.load("loihi2")
    precision = Precision.of(chip)
    exponent = int(chip.limits["weight_exponent"].value)
    return Widths(precision.vth_max, precision.bias_mant_max, exponent)


@dataclass(frozen=True)
class Scaled:
    """What became of one node: the mean scale L, the mean decays that integers hold, the error of
    the weights, and the populations that its spikes of one step come from.
    """

    name: str
    scale: float
    alpha: float
    beta: float
    weight_error: float  # rms of the rounding over rms of the weights
    populations: tuple[str, ...]


def graph_shape(shape: Shape) -> Shape:
    """(C, L) is held as (C, 1, L), so that a convolution over L is one."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def thresholds(n: Neurons) -> tuple[np.ndarray, np.ndarray]:
    """(threshold, bias) [*shape] of a node; of neurons without memory a threshold may be a bias."""
    threshold = np.broadcast_to(np.asarray(n.threshold, float), n.shape)
    bias = np.broadcast_to(np.asarray(n.bias, float), n.shape)
    if n.kind != "spiking" or np.all(threshold == 0):
        return np.zeros(n.shape), bias
    if np.all(threshold > 0):
        return threshold, bias
    if not np.any(n.alpha) and not np.any(n.beta):  # no memory: the threshold is a bias
        return np.zeros(n.shape), bias - threshold
    raise GraphError(
        "a threshold at or below rest cannot be expressed",
        where=n.name,
        value=float(threshold.min()),
        limit="> 0",
    )


def whole_threshold(scaled: np.ndarray, n: Neurons, several: int = 1) -> np.ndarray:
    """vth so that v > vth where the float neuron fires, for the spike number `several` of a step;
    states lie on whole steps where nothing leaks.
    """
    scaled = scaled * several
    above, at = np.floor(scaled * (1 + 1e-6)), np.ceil(scaled * (1 - 1e-6)) - 1
    return np.maximum(at if n.inclusive else above, 0).astype(np.int64)


def bound(m: Map, top: int) -> np.ndarray:
    """Upper bound of |M s| [targets] for sources up to `top`; of a convolution, away from its
    borders.
    """
    if isinstance(m, Conv):
        sums = np.abs(m.weight).reshape(m.target[0], -1).sum(1)
        return np.repeat(sums, m.target[1] * m.target[2]) * top
    return m.row_sums(np.abs) * top


def lattice(weights: list[np.ndarray], largest: float, top: int) -> int:
    """The smallest m <= top for which every weight is a multiple of largest / m, or 0."""
    values = np.unique(np.concatenate([np.unique(np.abs(w)) for w in weights])) / largest
    if len(values) > 4 * top:
        return 0
    for m in range(1, top + 1):
        if np.abs(values * m - np.rint(values * m)).max() < LATTICE_TOLERANCE:
            return m
    return 0


def whole_units(units: np.ndarray, name: str) -> np.ndarray:
    """Rounded to integers, where an exponent can be found for them at all."""
    rounded, limit = np.rint(units), widths().bias_mantissa << BIAS_EXPONENT_MAX
    if not np.all(np.abs(rounded) <= limit):
        raise GraphError(
            "bias is too large", where=name, limit=limit, value=float(np.abs(rounded).max())
        )
    return rounded.astype(np.int64)


def mantissa_and_exponent(units: np.ndarray) -> tuple[int | np.ndarray, int]:
    """units = mantissa << exponent with the smallest exponent that fits; the mantissa is
    rounded.
    """
    largest = int(np.abs(units).max())
    exponent = 0
    while round(largest / (1 << exponent)) > widths().bias_mantissa:
        exponent += 1
    return single(np.rint(units / (1 << exponent)).astype(np.int64)), exponent


def relative_rms(parts: list[tuple[float, float]]) -> float:
    """The root of summed squared errors over summed squared weights."""
    error, weights = sum(p[0] for p in parts), sum(p[1] for p in parts)
    return float(np.sqrt(error / weights)) if weights else 0.0
