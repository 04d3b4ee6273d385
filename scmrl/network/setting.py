"""What a setting is: its default, its meaning and its range, said once, beside each other.

    width: int = setting(64, "channels C of the tokens", low=8, high=1 << 20)

`checked` holds a value to it before any work begins; `scmrl config` lists it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from ..system.errors import UsageError, nearest

HINTS = {"cuda": "gpu"}  # what people write for a choice


@dataclass(frozen=True)
class Setting:
    """Numbers lie between `low` and `high`, or above `above`; words are one of `choices`."""

    meaning: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def range(self) -> str:
        """In words, empty where anything goes."""
        if self.choices:
            return ", ".join(self.choices)
        low, high = (None if x is None else f"{x:.10g}" for x in (self.low, self.high))
        if self.above is not None:
            return f"above {self.above:g}" + (f", to {high}" if high else "")
        if high is None:
            return f"{low} or more" if low else ""
        return f"{low}..{high}"

    def allows(self, value: float) -> bool:
        """Whether a number is finite and in the range."""
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
        )


def setting(default: object, meaning: str, **bounds) -> object:
    """A field of a settings dataclass; `bounds` are those of `Setting`."""
    return dataclasses.field(default=default, metadata={"setting": Setting(meaning, **bounds)})


def of(field: dataclasses.Field) -> Setting | None:
    return field.metadata.get("setting")


def checked(name: str, value: object, field: dataclasses.Field) -> object:
    """`value` in the type of the field's default and within its range; raises UsageError."""
    value, wanted = _typed(name, value, field.default), of(field)
    if wanted.choices and value not in wanted.choices:
        word = HINTS.get(str(value).split(":")[0])
        fix = (
            f"write {name}={word}"
            if word in wanted.choices
            else nearest(str(value), wanted.choices)
        )
        raise UsageError("unknown choice", where=name, value=value, fix=fix)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not wanted.allows(value):
        finite = isinstance(value, int) or math.isfinite(value)
        raise UsageError(
            "out of range" if finite else "not a finite number",
            where=name,
            limit=wanted.range or "a finite number",
            value=shown(value),
        )
    return value


def _typed(name: str, value: object, default: object) -> object:
    wanted = type(default)
    if wanted is tuple:
        if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
            return tuple(value)
        words = (
            [word.strip(" []'\"") for word in value.split(",")]
            if isinstance(value, str)
            else ["audio"]
        )
        written = ", ".join(f'"{word}"' for word in words)
        raise UsageError(
            "expected a list of words",
            where=name,
            value=shown(value),
            fix=f"write {name}=[{written}], in a shell '{name}=[{written}]'",
        )
    if wanted is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise UsageError("not a finite number", where=name, value=shown(value)) from None
    if type(value) is not wanted:
        raise UsageError(
            "wrong type",
            where=name,
            limit=WORDS[wanted],
            value=f"{type(value).__name__} {shown(value)}",
        )
    return value


WORDS = {
    int: "int, a whole number",
    float: "float, a number",
    bool: "bool, true or false",
    str: "str, a word",
}


def shown(value: object) -> str:
    """A value in an error line: never longer than a line takes."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a whole number of {value.bit_length()} bits"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
