"""How a report says things: the only place that turns a number into text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

UNKNOWN = "-"  # in place of a number that is not known


def figure(x: float | None) -> str:
    """A number in four significant digits, integers in full, never with an exponent; '-' for
    None.
    """
    if x is None:
        return UNKNOWN
    if not math.isfinite(x):
        return str(x)
    if x == int(x):
        return f"{int(x):,}"
    return f"{x:,.{max(0, 3 - math.floor(math.log10(abs(x))))}f}"


def whole(x: float | None) -> str:
    """The nearest integer, for counts that are means."""
    return figure(None if x is None else round(x))


def percent(x: float | None) -> str:
    return UNKNOWN if x is None else f"{100 * x:.2f} %"


def share(x: float | None) -> str:
    """A share close to one, with as many digits as tell it from one."""
    return UNKNOWN if x is None else f"{100 * x:.5f} %"


def change(x: float | None) -> str:
    """A difference with its sign."""
    return ("+" if x and x > 0 else "") + figure(x)


def span(ends: tuple[float, float] | None, show: Callable[[float], str] = figure) -> str:
    return UNKNOWN if ends is None else f"{show(ends[0])} .. {show(ends[1])}"


def shape(lengths: Sequence[int]) -> str:
    return "x".join(map(str, lengths))


def value(x: object) -> str:
    """A setting: yes or no, a number as `figure` has it, anything else by its own words."""
    if isinstance(x, bool):
        return "yes" if x else "no"
    return figure(x) if x is None or isinstance(x, (int, float)) else str(x)


def made_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings of a training, alone or in sections, as facts: all of them in a line, and the
    seed.
    """
    sections = {key: part for key, part in settings.items() if isinstance(part, Mapping)}
    alone = [f"{key} = {value(x)}" for key, x in settings.items() if key not in sections]
    inner = [
        f"{section}.{key} = {value(x)}"
        for section, part in sections.items()
        for key, x in part.items()
    ]
    seed = sections.get("train", {}).get("seed")
    return {"settings": ", ".join(alone + inner)} | ({} if seed is None else {"seed": str(seed)})


def first(items: Sequence[object], shown: int = 3) -> str:
    """The first few, and how many more there are."""
    return ", ".join(map(str, items[:shown])) + (
        f" and {len(items) - shown:,} more" if len(items) > shown else ""
    )


def source(model: str, bundle: str) -> str:
    """Which network a report speaks of: where it lies, and the beginning of its hash."""
    return f"{model} (bundle {bundle[:12]})" if bundle else model
