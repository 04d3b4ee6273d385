"""Numbers, lists and files on the command line, checked before any work."""

from __future__ import annotations

import math
from pathlib import Path

import click

from .system.errors import ScmrlError, UsageError

LARGEST_SEED = 2**32 - 1


class Positive(click.ParamType):
    """A finite number above zero."""

    name = "float"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = click.FLOAT.convert(value, param, ctx)
        if not (math.isfinite(number) and number > 0):
            self.fail(f"{value} is not a finite number above 0", param, ctx)
        return number


class Source(click.Path):
    """A file to read: a device or a pipe is refused, with `error`, before any library is loaded."""

    def __init__(self, error: type[ScmrlError]):
        super().__init__(path_type=Path)
        self.error = error

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        from .system.reading import refuse_special

        path = super().convert(value, param, ctx)
        refuse_special(path, error=self.error)
        return path


COUNT = click.IntRange(1, 2**31 - 1)
SEED = click.IntRange(0, LARGEST_SEED)


def listed(names: str, option: str) -> list[str]:
    """The words of a comma-separated list, each once. Raises `UsageError` where there is none."""
    words = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not words:
        raise UsageError(
            "a name is needed",
            where=option,
            value=repr(names),
            fix="give one, or several with commas",
        )
    return words
