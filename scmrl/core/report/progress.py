"""Progress of long work: one line on a terminal's standard error with count, rate and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import click

from ...system.errors import one_line

Item = TypeVar("Item")
EVERY = 0.2  # seconds between two lines
_shown = False  # a library keeps silent; the command line turns it on


def show() -> None:
    """From here on `each` speaks."""
    global _shown
    _shown = True


def say(line: str) -> None:
    """A line on standard error about something odd in the data, where the command line listens."""
    if _shown:
        click.echo(one_line(line), err=True)


def clock(seconds: float) -> str:
    """Minutes and seconds: 3:07."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Progress:
    """One line on a terminal's standard error with count, rate and time left; silent where it is
    not a terminal.
    """

    def __init__(self, what: str):
        self.what, self.started, self.live = what, time.monotonic(), sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        if not self.live:
            return
        rate = done / max(time.monotonic() - self.started, 1e-9)
        left = (total - done) / rate if rate else 0
        click.echo(
            f"\r\033[K{self.what} {done}/{total}  {rate:.1f}/s  {left:.0f} s left",
            err=True,
            nl=done >= total,
        )


def each(items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items in order, with progress where it is shown."""
    progress, last = Progress(what) if _shown else None, 0.0
    for done, item in enumerate(items):
        if progress and time.monotonic() - last >= EVERY:
            progress(done, len(items))
            last = time.monotonic()
        yield item
    if progress and len(items):
        progress(len(items), len(items))


def meter(what: str, total: int) -> Callable[[], None]:
    """A function to call for every one that is done, with progress where it is shown."""
    progress, state = Progress(what) if _shown else None, [0, 0.0]

    def count() -> None:
        state[0] += 1
        if progress and (time.monotonic() - state[1] >= EVERY or state[0] == total):
            progress(int(state[0]), total)
            state[1] = time.monotonic()

    return count
