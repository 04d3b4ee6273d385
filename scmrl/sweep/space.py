"""The axes of a sweep: which settings vary, and over what.

model.alpha=0.0..2.0            a range; whole numbers at both ends make it a range of integers
train.lr=1e-4..1e-2:log         on a logarithmic scale
model.steps=2,4,6               a list of values, as in TOML
limits.weight_bits=4,6,8        a limit of the chip: training gets a profile with that limit
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..system.errors import UsageError

EXAMPLE = "for example model.alpha=0.0..2.0, train.lr=1e-4..1e-2:log or model.steps=2,4,6"
KEY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
LARGEST = 2**53  # a database keeps numbers as doubles: exact up to here
LONGEST = 200  # characters of a word
MOST_CHOICES, MOST_COMBINATIONS = 1000, 100_000


@dataclass(frozen=True)
class Axis:
    """One setting: a range (low, high) of floats or integers, or the list `choices`."""

    key: str
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    choices: tuple = ()

    @property
    def whole(self) -> bool:
        """Whether this is a range of integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def size(self) -> int | None:
        """How many values there are; None in a range of floats."""
        if self.choices:
            return len(self.choices)
        return self.high - self.low + 1 if self.whole else None

    @property
    def values(self) -> Sequence:
        """All values of an axis that has a size."""
        return self.choices or range(self.low, self.high + 1)

    def holds(self, value: object) -> bool:
        """Whether `value` lies on the axis."""
        if self.choices:
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        kind = int if self.whole else float
        return type(value) is kind and self.low <= value <= self.high

    def distribution(self):
        """The axis in Optuna's words."""
        from optuna import distributions

        if self.choices:
            return distributions.CategoricalDistribution(self.choices)
        kind = distributions.IntDistribution if self.whole else distributions.FloatDistribution
        return kind(self.low, self.high, log=self.log)

    def text(self) -> str:
        if self.choices:
            return ",".join(map(literal, self.choices))
        return f"{self.low}..{self.high}{':log' if self.log else ''}"


def literal(value: object) -> str:
    """A value of an axis as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def parse(text: str) -> Axis:
    """KEY=LOW..HIGH[:log] or KEY=A,B,C. Raises `UsageError` naming the axis."""
    key, separator, values = text.partition("=")
    if not separator or not KEY.fullmatch(key) or not values or not text.isprintable():
        raise UsageError("expected key=values", where="--space", value=text, fix=EXAMPLE)
    return _range(key, values) if ".." in values else _list(key, values)


def _list(key: str, values: str) -> Axis:
    from ..train.config import parse_value

    words = values.split(",")
    if len(words) > MOST_CHOICES:
        raise UsageError(
            "too many values", where=f"--space {key}", limit=MOST_CHOICES, value=len(words)
        )
    choices = tuple(parse_value(word.strip()) for word in words)
    for choice, word in zip(choices, words):
        named = isinstance(choice, str) and 0 < len(choice) <= LONGEST and not _numeral(word)
        if not (_number(choice) or isinstance(choice, bool) or named):
            raise UsageError(
                "a value is a finite number, a word, true or false",
                where=f"--space {key}",
                limit=f"numbers up to {LARGEST}, words of {LONGEST} characters",
                value=values[:LONGEST],
                fix=EXAMPLE,
            )
    if len(set(choices)) < len(choices):
        raise UsageError("a value is listed twice", where=f"--space {key}", value=values)
    return Axis(key, choices=choices)


def _range(key: str, values: str) -> Axis:
    from ..train.config import parse_value

    span, _, scale = values.partition(":")
    low, high = (parse_value(end.strip()) for end in span.split("..", 1))
    if scale not in ("", "log") or not _number(low) or not _number(high):
        raise UsageError(
            "not a range of finite numbers",
            where=f"--space {key}",
            limit=f"up to {LARGEST}",
            value=values,
            fix=EXAMPLE,
        )
    if not low < high or (scale == "log" and low <= 0):
        raise UsageError(
            "a range goes up, and on a logarithmic scale starts above 0",
            where=f"--space {key}",
            value=values,
        )
    return Axis(key, low, high, scale == "log")


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST


def _numeral(word: str) -> bool:
    """Whether this reads as a number, as nan and 1e999 do, which TOML or the size of a double
    forbid.
    """
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
            raise UsageError(
                "an axis is given twice",
                where=f"--space {axis.key}",
                value=texts[i],
                fix="list all its values in one",
            )
    return axes


def combinations(axes: Sequence[Axis]) -> int | None:
    """How many different trials there are; None where an axis is a range of floats."""
    sizes = [axis.size for axis in axes]
    return None if None in sizes else math.prod(sizes)


def grid(axes: Sequence[Axis]) -> list[dict[str, object]]:
    """All combinations of the listed values, the last axis fastest. Raises `UsageError` for a
    range.
    """
    for axis in axes:
        if not axis.choices:
            raise UsageError(
                "a grid needs lists of values",
                where=f"--space {axis.key}",
                value=axis.text(),
                fix=f"give {axis.key}=A,B,C, or leave --grid out",
            )
    count = combinations(axes)
    if count > MOST_COMBINATIONS:
        raise UsageError(
            "the grid has too many combinations",
            where="--grid",
            limit=MOST_COMBINATIONS,
            value=count,
            fix="leave --grid out and say --trials",
        )
    return [
        dict(zip([axis.key for axis in axes], values))
        for values in itertools.product(*(axis.choices for axis in axes))
    ]
