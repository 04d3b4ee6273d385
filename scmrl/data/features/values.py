"""Values of any kind as the integers that enter a network, each input on a scale of its own.

    q = clip(round(x / step) + zero, 0, 2^bits - 1)

Whole numbers that fit stay as they are: step 1, spikes are one bit. Of others the range [low, high]
is spread over `bits` bits, step = (high - low) / (2^bits - 1). It goes from the 0.1 to the 99.9 %
percentile of all values of the training part, over time too, so that an outlier costs the others no
resolution. Where some values are 0 (silence, padding) the percentiles are those of the rest, and
the range holds 0, which becomes an integer exactly.

An encoding is fitted once, on the training part, stored in the bundle and applied by every command.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...core.bundle import Bundle
from ...core.graph import Population
from ...system.errors import DataError, UsageError, nearest

KIND = "values"  # of a bundle's front-end
PERCENTILES = (0.1, 99.9)
BITS = 16  # at most
LARGEST = 1 << 48  # of |zero|: what float64 adds exactly to any x / step


@dataclass(frozen=True)
class ValueScale:
    """A graded input: integer q = round(x / step) + zero, of `bits` bits. Spikes and counts have
    step 1.
    """

    step: float = 1.0
    zero: int = 0
    bits: int = 1

    def encode(self, x: np.ndarray) -> np.ndarray:
        """float [...] -> uint8 or uint16 [...]; values beyond the range are clipped."""
        q = np.clip(np.rint(np.asarray(x, float) / self.step) + self.zero, 0, self.largest)
        return q.astype(np.uint8 if self.bits <= 8 else np.uint16)

    @property
    def largest(self) -> int:
        """Of the integers."""
        return (1 << self.bits) - 1

    @property
    def low(self) -> float:
        """The value that becomes 0; smaller ones do too."""
        return -self.zero * self.step

    @property
    def high(self) -> float:
        """The value that becomes the largest integer; larger ones do too."""
        return (self.largest - self.zero) * self.step

    def beyond(self, x: np.ndarray) -> int:
        """How many values are clipped."""
        q = np.rint(np.asarray(x, float) / self.step) + self.zero
        return int(((q < 0) | (q > self.largest)).sum())

    @classmethod
    def of(cls, x: np.ndarray, bits: int) -> ValueScale:
        """From calibration values: whole numbers as they are, others over their range in `bits`
        bits.
        """
        low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
        span = high - low
        if span <= (1 << 16) - 1 and np.array_equal(x, np.rint(x)):
            return cls(1.0, int(-low), max(1, int(span).bit_length()))
        step = span / ((1 << bits) - 1)
        return cls(step, round(-low / step), bits)

    @classmethod
    def fit(cls, x: np.ndarray, bits: int, where: object = None) -> ValueScale:
        """From the values of a training part [S, ...]: whole numbers that fit into `bits` bits as
        they are, others between their percentiles. Raises DataError where all are alike.
        """
        low, high = min(0, x.min()), max(0, x.max())
        if float(high) - float(low) < 1 << bits and np.array_equal(x, np.rint(x)):
            return cls.of(x, bits)
        seen = np.asarray(x[x != 0] if np.any(x == 0) else x, float)
        first, last = (float(value) for value in np.percentile(seen, PERCENTILES))
        if seen.size < x.size:
            first, last = min(first, 0.0), max(last, 0.0)
        if first == last:  # nearly all are alike: the few others make the range
            first, last = float(seen.min()), float(seen.max())
        step = (last - first) / ((1 << bits) - 1)
        if not (step > 0 and math.isfinite(step) and abs(first / step) < LARGEST):
            value = f"{first:.6g}..{last:.6g}"
            raise DataError("all values are alike: there is no range", where=where, value=value)
        return cls(step, round(-first / step), bits)

    @classmethod
    def from_dict(cls, settings: object, where: str) -> ValueScale:
        """The scale of step, zero and bits. Raises DataError naming what is wrong."""
        table: Mapping[str, Any] = settings if isinstance(settings, Mapping) else {}
        scale = cls(*(table.get(key, math.nan) for key in ("step", "zero", "bits")))
        rules = (
            type(scale.step) in (int, float) and 0 < scale.step < math.inf,
            type(scale.zero) is int and abs(scale.zero) <= LARGEST,
            type(scale.bits) is int and 1 <= scale.bits <= BITS,
        )
        if all(rules):
            return scale
        limit = f"step > 0, zero an integer, 1 to {BITS} bits"
        raise DataError("not the scale of an input", where=where, limit=limit, value=settings)


@dataclass(frozen=True)
class ValueEncoding:
    """The scale of every input."""

    scales: dict[str, ValueScale]

    @classmethod
    def fit(cls, inputs: Mapping[str, np.ndarray], bits: int = 8) -> ValueEncoding:
        """The scales of a training part {input: numbers [S, ...]}. Raises UsageError for `bits`
        outside 1 to 16, DataError for values that are no finite numbers or all alike.
        """
        if not 1 <= bits <= BITS:
            limit = f"1 to {BITS}"
            raise UsageError("an input has bits", where="input_bits", limit=limit, value=bits)
        arrays = {name: numbers(x, name) for name, x in inputs.items()}
        for name, x in arrays.items():
            if not x.size:
                raise DataError("no values to fit a scale on", where=name, value=x.shape)
        return cls({name: ValueScale.fit(x, bits, name) for name, x in arrays.items()})

    @property
    def bits(self) -> dict[str, int]:
        """Width of every input's integers."""
        return {name: scale.bits for name, scale in self.scales.items()}

    def encode(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """{input: uint8 or uint16 of its shape} of values; those beyond the range are clipped.

        Raises DataError for an input without a scale, values that are no finite numbers, and
        fractions where the scale is of whole numbers.
        """
        encoded = {}
        for name, values in inputs.items():
            if name not in self.scales:
                fix = nearest(name, self.scales)
                raise DataError("the model has no scale for this input", where=name, fix=fix)
            x, scale = numbers(values, name), self.scales[name]
            if scale.step == 1 and x.dtype.kind == "f" and not np.array_equal(x, np.rint(x)):
                odd = float(x[x != np.rint(x)].flat[0])
                what = "the input takes whole numbers, as its scale was fitted on"
                raise DataError(what, where=name, value=f"{odd:.6g}")
            encoded[name] = scale.encode(x)
        return encoded

    def to_dict(self) -> dict[str, Any]:
        """As a bundle holds it."""
        return {"kind": KIND, "inputs": {name: asdict(s) for name, s in self.scales.items()}}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> ValueEncoding:
        """The encoding of `to_dict`. Raises DataError naming what is wrong."""
        unknown = sorted(set(settings) - {"kind", "inputs"})
        inputs = settings.get("inputs")
        if unknown or settings.get("kind") != KIND or not isinstance(inputs, Mapping):
            value = unknown or settings.get("kind")
            raise DataError("not an encoding of values", where="front-end", value=value)
        where = "front-end.inputs"
        return cls({n: ValueScale.from_dict(s, f"{where}.{n}") for n, s in inputs.items()})


def encoding_of(bundle: Bundle) -> ValueEncoding | None:
    """The encoding that a model has; None where it has another front-end or none. Imports of
    scmrl 0.1 hold it in their training settings.
    """
    if bundle.frontend.get("kind") == KIND:
        return ValueEncoding.from_dict(bundle.frontend)
    old = bundle.training.get("inputs")
    if bundle.frontend or not old or not isinstance(old, Mapping):
        return None
    return ValueEncoding.from_dict({"kind": KIND, "inputs": old})


def numbers(x: Any, where: object) -> np.ndarray:
    """`x` as an array of finite numbers. Raises DataError for texts, objects, complex numbers, NaN
    and infinities.
    """
    array = as_array(x, where)
    if array.dtype.kind not in "biuf":
        raise DataError("not an array of numbers", where=where, value=array.dtype)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        value = f"{array[first]} at {list(first)}, {bad} such values"
        raise DataError("values must be finite", where=where, value=value)
    return array


def as_array(x: Any, where: object) -> np.ndarray:
    """`x` as an array of any kind. Raises DataError for ragged lists, and tensors of a device."""
    try:
        return np.asarray(x)
    except (TypeError, ValueError, RuntimeError, OverflowError) as reason:
        raise DataError("not an array", where=where, value=str(reason)) from None


def in_steps(x: np.ndarray, p: Population, steps: int) -> np.ndarray:
    """`x` as an input takes it, [S, T, *shape]: what is given without time, [S, *shape], stands
    still for all steps. Axes may be joined or of length one, as long as they hold as many values;
    what fits neither way is left as it is, to be refused.
    """
    one, moving = math.prod(x.shape[1:]), math.prod(x.shape[2:]) == p.neurons and x.ndim > 1
    if x.shape[1:] == tuple(p.shape) or (one == p.neurons and not moving):
        still = x.reshape(len(x), 1, *p.shape)
        return np.broadcast_to(still, (len(x), steps, *p.shape))
    return x.reshape(*x.shape[:2], *p.shape) if moving else x
