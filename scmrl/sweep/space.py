"""The axes of a sweep: which settings vary, and over what.

model.alpha=0.0..2.0            a range; whole numbers at both ends make it a range of integers
train.lr=1e-4..1e-2:log         on a logarithmic scale
model.steps=2,4,6               a list of values, as in TOML
limits.weight_bits=4,6,8        a limit of the chip: training gets a profile with that limit
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from ..system.errors import UsageError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

EXAMPLE = "for example model.alpha=0.0..2.0, train.lr=1e-4..1e-2:log or model.steps=2,4,6"
KEY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
LARGEST = 2**53  # a database keeps numbers as doubles: exact up to here
LONGEST = 200  # characters of a word
MOST_CHOICES, MOST_COMBINATIONS = 1000, 100_000


@dataclass(frozen=True)
class Axis:
    """One setting: a range (low, high) of floats or integers, or the list `choices`."""

    key: str
    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether this is a range of integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def size(self) -> int | None:
        """How many values there are; None in a range of floats."""
        if self.choices:
            return len(self.choices)
        return int(self.high - self.low) + 1 if self.whole else None

    @property
    def values(self) -> Sequence[Any]:
        """All values of an axis that has a size."""
        return self.choices or range(int(self.low), int(self.high) + 1)

    def holds(self, value: object) -> bool:
        """Whether `value` lies on the axis."""
        if self.choices:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        whole = type(value) is int and self.whole or type(value) is float and not self.whole
        return whole and isinstance(value, (int, float)) and self.low <= value <= self.high

    def distribution(self) -> BaseDistribution:
        """The axis in Optuna's words."""
        from optuna import distributions

        if self.choices:
            return distributions.CategoricalDistribution(self.choices)
        kind: Any = distributions.IntDistribution if self.whole else distributions.FloatDistribution
        return kind(self.low, self.high, log=self.log)

    def text(self) -> str:
        from ..train.config import literal

        if self.choices:
            return ",".join(map(literal, self.choices))
        return f"{self.low}..{self.high}{':log' if self.log else ''}"


def parse(text: str) -> Axis:
    """KEY=LOW..HIGH[:log] or KEY=A,B,C. Raises `UsageError` naming the axis."""
    key, separator, values = text.partition("=")
    if not separator or not KEY.fullmatch(key) or not values or not text.isprintable():
        raise UsageError("expected key=values", where="--space", value=text, fix=EXAMPLE)
    return _range(key, values) if ".." in values else _list(key, values)


def _list(key: str, values: str) -> Axis:
    from ..train.config import parse_value

    words, where = values.split(","), f"--space {key}"
    if len(words) > MOST_CHOICES:
        raise UsageError("too many values", where=where, limit=MOST_CHOICES, value=len(words))
    choices = tuple(parse_value(word.strip()) for word in words)
    for choice, word in zip(choices, words):
        named = isinstance(choice, str) and 0 < len(choice) <= LONGEST and not _numeral(word)
        if not (_number(choice) or isinstance(choice, bool) or named):
            what = "a value is a finite number, a word, true or false"
            limit = f"numbers up to {LARGEST}, words of {LONGEST} characters"
            raise UsageError(what, where=where, limit=limit, value=values[:LONGEST], fix=EXAMPLE)
    if len(set(choices)) < len(choices):
        raise UsageError("a value is listed twice", where=where, value=values)
    return Axis(key, choices=choices)


def _range(key: str, values: str) -> Axis:
    from ..train.config import parse_value

    (span, _, scale), where = values.partition(":"), f"--space {key}"
    low, high = (parse_value(end.strip()) for end in span.split("..", 1))
    if scale not in ("", "log") or not _number(low) or not _number(high):
        what, limit = "not a range of finite numbers", f"up to {LARGEST}"
        raise UsageError(what, where=where, limit=limit, value=values, fix=EXAMPLE)
    if not low < high or (scale == "log" and low <= 0):
        what = "a range goes up, and on a logarithmic scale starts above 0"
        raise UsageError(what, where=where, value=values)
    return Axis(key, low, high, scale == "log")


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST


def _numeral(word: str) -> bool:
    """Whether this reads as a number, as nan and 1e999 do, which no axis takes."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def parse_all(texts: Sequence[str]) -> tuple[Axis, ...]:
    """The axes of a sweep, each key once."""
    axes = tuple(map(parse, texts))
    for i, axis in enumerate(axes):
        if any(axis.key == other.key for other in axes[:i]):
            where, fix = f"--space {axis.key}", "list all its values in one"
            raise UsageError("an axis is given twice", where=where, value=texts[i], fix=fix)
    return axes


def combinations(axes: Sequence[Axis]) -> int | None:
    """How many different trials there are; None where an axis is a range of floats."""
    sizes = [axis.size for axis in axes if axis.size is not None]
    return math.prod(sizes) if len(sizes) == len(axes) else None


def grid(axes: Sequence[Axis]) -> list[dict[str, object]]:
    """All combinations of listed values, the last axis fastest. Raises `UsageError` for a range."""
    for axis in axes:
        if not axis.choices:
            where, fix = f"--space {axis.key}", f"give {axis.key}=A,B,C, or leave --grid out"
            raise UsageError(
                "a grid needs lists of values", where=where, value=axis.text(), fix=fix
            )
    keys, count = [axis.key for axis in axes], math.prod(len(axis.choices) for axis in axes)
    if count > MOST_COMBINATIONS:
        what, fix = "the grid has too many combinations", "leave --grid out and say --trials"
        raise UsageError(what, where="--grid", limit=MOST_COMBINATIONS, value=count, fix=fix)
    return [dict(zip(keys, x)) for x in itertools.product(*(axis.choices for axis in axes))]
