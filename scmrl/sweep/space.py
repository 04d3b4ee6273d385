"""The axes of a sweep: which settings vary, and over what.

    model.alpha=0.0..2.0            a range; whole numbers at both ends make it a range of integers
    train.lr=1e-4..1e-2:log         on a logarithmic scale
    model.steps=2,4,6               a list of values, as in TOML
    limits.weight_bits=4,6,8        a limit of the chip: training gets a profile with that limit
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from ..errors import UsageError

EXAMPLE = "for example model.alpha=0.0..2.0, train.lr=1e-4..1e-2:log or model.steps=2,4,6"


@dataclass(frozen=True)
class Axis:
    """One setting: a range (low, high) of floats or integers, or the list `choices`."""

    key: str
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    choices: tuple = ()

    def suggest(self, trial) -> object:
        """The value of this axis in an Optuna trial."""
        if self.choices:
            return trial.suggest_categorical(self.key, self.choices)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.key, self.low, self.high, log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, log=self.log)

    def text(self) -> str:
        if self.choices:
            return ",".join(map(str, self.choices))
        return f"{self.low}..{self.high}{':log' if self.log else ''}"


def parse(text: str) -> Axis:
    """KEY=LOW..HIGH[:log] or KEY=A,B,C. Raises `UsageError` naming the axis."""
    from ..train.config import parse_value
    key, separator, values = text.partition("=")
    if not separator or not key or not values:
        raise UsageError("expected key=values", where="--space", value=text, fix=EXAMPLE)
    if ".." not in values:
        choices = tuple(parse_value(word.strip()) for word in values.split(","))
        if len(set(choices)) < len(choices):
            raise UsageError("a value is listed twice", where=f"--space {key}", value=values)
        return Axis(key, choices=choices)
    span, _, scale = values.partition(":")
    ends = [parse_value(end.strip()) for end in span.split("..", 1)]
    if scale not in ("", "log") or any(isinstance(end, bool) or not isinstance(end, (int, float)) for end in ends):
        raise UsageError("not a range of numbers", where=f"--space {key}", value=values, fix=EXAMPLE)
    low, high = ends
    if not low < high or (scale == "log" and low <= 0):
        raise UsageError("a range goes up, and on a logarithmic scale starts above 0", where=f"--space {key}",
                         value=values)
    return Axis(key, low, high, scale == "log")


def grid(axes: tuple[Axis, ...]) -> list[dict[str, object]]:
    """All combinations of the listed values, the last axis fastest. Raises `UsageError` for a range."""
    for axis in axes:
        if not axis.choices:
            raise UsageError("a grid needs lists of values", where=f"--space {axis.key}", value=axis.text(),
                             fix=f"give {axis.key}=A,B,C, or leave --grid out")
    return [dict(zip([axis.key for axis in axes], values))
            for values in itertools.product(*(axis.choices for axis in axes))]
