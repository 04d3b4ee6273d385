"""What a setting is: its default, its meaning and its range, said once, beside each other.

    width: int = setting(64, "channels C of the tokens", low=8, high=1 << 20)

`checked` holds a value to it before any work begins; `scmrl config` lists it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ..system.errors import UsageError, nearest

T = TypeVar("T")
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


def setting(
    default: T,
    meaning: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
) -> T:
    """A field of a settings dataclass, with what `Setting` says of it."""
    said = Setting(meaning, low, high, above, choices)
    return cast(T, dataclasses.field(default=default, metadata={"setting": said}))


def of(field: dataclasses.Field[Any]) -> Setting | None:
    return field.metadata.get("setting")


def checked(name: str, value: object, default: object, wanted: Setting) -> object:
    """`value` in the type of the default and within the range of `wanted`; raises UsageError."""
    value = _typed(name, value, default)
    if wanted.choices and value not in wanted.choices:
        word, known = HINTS.get(str(value).split(":")[0]), wanted.choices
        fix = f"write {name}={word}" if word in known else nearest(str(value), known)
        raise UsageError("unknown choice", where=name, value=value, fix=fix)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not wanted.allows(value):
        finite = isinstance(value, int) or math.isfinite(value)
        what, limit = "out of range" if finite else "not a finite number", wanted.range
        raise UsageError(what, where=name, limit=limit or "a finite number", value=shown(value))
    return value


def _typed(name: str, value: object, default: object) -> object:
    wanted = type(default)
    if wanted is tuple:
        if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
            return tuple(value)
        given = value.split(",") if isinstance(value, str) else ["audio"]
        written = ", ".join('"' + word.strip(" []'\"") + '"' for word in given)
        fix = f"write {name}=[{written}], in a shell '{name}=[{written}]'"
        raise UsageError("expected a list of words", where=name, value=shown(value), fix=fix)
    if wanted is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise UsageError("not a finite number", where=name, value=shown(value)) from None
    if type(value) is not wanted:
        found = f"{type(value).__name__} {shown(value)}"
        raise UsageError("wrong type", where=name, limit=WORDS[wanted], value=found)
    return value


WORDS: dict[type, str] = {
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
