"""The integers of an input: range and bits, chosen by what the first layers make of them.

Few bits round the input, many starve the weights: a sum of inputs of b bits must fit the chip's
message, so every bit of an input is one less for the weights. An outlier does the same. So the
range (the calibration's, or the part of it within a percentile) and the bits are those of the
smallest error of the currents that the first layers hear, both roundings together,

    error = mean over samples and neurons of  min(|I_integer / vth - I_float / theta|, 1) ** 2
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ....data.features.values import ValueScale
from ....system.errors import GraphError
from .equation import Equation, Scaling, equation
from .floats.network import Network
from .quantise import Builder
from .rounding import whole_threshold
from .runs.interpreter import run

BITS = range(1, 13)  # tried
USUAL_BITS = 8
PERCENTILES = (100.0, 99.9, 99.0)  # of the values that are not 0
COUNTS = 15  # whole numbers up to here need no choice
BETTER = 0.7  # a smaller range must bring the error below this part of the whole range's
SAMPLES, FRAMES = 16, 256  # that a choice is measured on


@dataclass(frozen=True)
class Encodings:
    """The scale of each input, and of those that are clipped the range [low, high]."""

    scales: dict[str, ValueScale]
    clipped: dict[str, tuple[float, float]]
    notes: tuple[str, ...] = ()

    def held(self, data: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The data within the ranges."""
        return {
            name: np.clip(x, *self.clipped[name]) if name in self.clipped else x
            for name, x in data.items()
        }


def choose(
    network: Network, data: Mapping[str, np.ndarray], weight_bits: int, bits: int | None
) -> Encodings:
    """An encoding for each input of calibration data {name: [S, T, *shape]}; `bits` where they are
    given.
    """
    scales = {name: ValueScale.of(x, bits or USUAL_BITS) for name, x in data.items()}
    chosen = Encodings(scales, {})
    for name, x in data.items():
        whole = _whole(x)
        if whole and float(np.abs(x).max()) <= COUNTS:
            continue
        widths = (bits,) if bits else (USUAL_BITS,) if whole else tuple(BITS)
        chosen = _choice(network, data, name, chosen, widths, weight_bits)
    return chosen


def _whole(x: np.ndarray) -> bool:
    return x.dtype.kind in "iub" or np.array_equal(x, np.rint(x))


def _choice(
    network: Network,
    data: Mapping[str, np.ndarray],
    name: str,
    chosen: Encodings,
    widths: tuple[int, ...],
    weight_bits: int,
) -> Encodings:
    """The encodings with that of one input chosen."""
    best, lowest, share = chosen, np.inf, 100.0
    tried: dict[int, float] = {}
    for percentile in PERCENTILES:
        held = _range(data[name], percentile)
        clipped = chosen.clipped if percentile == 100 else {**chosen.clipped, name: held}
        measure = _Measure(network, data, Encodings(chosen.scales, clipped), name, weight_bits)
        errors = {b: measure(ValueScale.of(np.clip(data[name], *held), b)) for b in widths}
        width = min(errors, key=lambda b: (errors[b], b))
        if errors[width] < (lowest if percentile == 100 else BETTER * lowest):
            scale = ValueScale.of(np.clip(data[name], *held), width)
            best = Encodings({**chosen.scales, name: scale}, clipped, chosen.notes)
            lowest, share, tried = errors[width], percentile, errors
    notes = list(chosen.notes)
    if len(widths) > 1 and np.isfinite(lowest):
        table = ", ".join(
            f"{b}: {100 * np.sqrt(tried[b]):.2g}" for b in sorted(tried) if b % 2 == 0
        )
        notes.append(
            f"{name}: {best.scales[name].bits} bits, chosen by the error of the first layer's "
            f"currents, in % of the threshold, by bits: {table}"
        )
    if share < 100:
        low, high = best.clipped[name]
        out = float(np.mean((data[name] < low) | (data[name] > high)))
        notes.append(
            f"{name}: range {low:g}..{high:g} holds {share:g} % of its values that are not 0; the "
            f"{100 * out:.2g} % beyond, up to {float(np.abs(data[name]).max()):g}, are clipped"
        )
    return replace(best, notes=tuple(notes))


def _range(x: np.ndarray, percentile: float) -> tuple[float, float]:
    """[low, high] of the values within a percentile, 0 included."""
    used = x[x != 0]
    if not used.size:
        return 0.0, 0.0
    low, high = np.percentile(used, [100 - percentile, percentile])
    return min(0.0, float(low)), max(0.0, float(high))


class _Measure:
    """The error of the currents into the populations that hear one input, by its scale."""

    def __init__(
        self,
        network: Network,
        data: Mapping[str, np.ndarray],
        encodings: Encodings,
        name: str,
        weight_bits: int,
    ):
        self.network, self.name, self.weight_bits = network, name, weight_bits
        self.scales = encodings.scales
        few = np.linspace(0, len(data[name]) - 1, min(SAMPLES, len(data[name]))).astype(int)
        sample = {key: x[np.unique(few)] for key, x in data.items()}
        self.steps = sample[name].shape[1]
        self.peaks = run(network, encodings.held(sample)).peaks
        x = data[name].reshape(-1, *data[name].shape[2:])
        random = np.random.default_rng(0)
        self.frames = x[random.permutation(len(x))[:FRAMES]].astype(float)
        self.near = [
            n for n in network.neurons if any(r.source == name for r in network.incoming(n.name))
        ]

    def __call__(self, scale: ValueScale) -> float:
        """Infinite where the weights keep no bits."""
        scales = {**self.scales, self.name: scale}
        builder = Builder(self.network, scales, self.peaks, self.steps, self.weight_bits, {})
        try:
            errors = [self._error(builder, scale, n.name) for n in self.near]
        except GraphError:
            return float("inf")
        return float(np.mean(errors)) if errors else float("inf")

    def _error(self, builder: Builder, scale: ValueScale, name: str) -> float:
        n = self.network[name]
        e = equation(self.network, n, builder.inputs, builder.tops)
        scaling = Scaling(e, self.peaks, self.steps, builder.top, [])
        found = scaling.scale()
        q = scale.encode(self.frames).astype(np.int64) - scale.zero
        total = np.zeros((len(q), *n.shape))
        wanted = np.zeros((len(q), *n.shape))
        for r, m in zip(e.routes, e.maps):
            if r.source != self.name:
                continue
            wanted += m.apply(self.frames / scale.step).reshape(total.shape)
            total += builder.rounded_map(m, found).apply(q).reshape(total.shape)
        reference = self._unit(e)
        vth = np.maximum(whole_threshold(e.threshold * found, n), 0.5) if e.threshold.any() else 0
        unit = np.where(e.threshold > 0, vth, reference * found)
        theta = np.where(e.threshold > 0, e.threshold, reference)
        error = np.minimum(np.abs(total / unit - wanted / theta), 1.0)
        return float(np.mean(error**2))

    def _unit(self, e: Equation) -> np.ndarray:
        """What a current is compared with where there is no threshold: the largest state."""
        peak = np.maximum.reduce([p * e.ratio for p in self.peaks[e.neurons.name]])
        return np.maximum(peak, 1e-12)
