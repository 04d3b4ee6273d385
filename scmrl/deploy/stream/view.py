"""How a stream is shown: a JSON object a line, a live picture, or a line a decision."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from ...core.report.text import figure
from ...system.dependencies import require
from .run import ENERGY, Moment

if TYPE_CHECKING:
    from rich.console import Group

BAR, DECISIONS = 30, 6


Show = Callable[[Moment], None]


def as_json(moment: Moment) -> None:
    """Every step and decision as one line of JSON on standard output."""
    print(json.dumps(moment.to_json()), flush=True)


def as_lines(moment: Moment) -> None:
    """A line for each decision, where the output is no terminal."""
    if moment.ends:
        print(f"{verdict(moment)}; {brief(moment)}", flush=True)


class Live(AbstractContextManager[Show]):
    """Membranes of the classes as bars, counts and energy so far, the last decisions; in place."""

    def __init__(self, classes: tuple[str, ...]):
        rich = require("rich.live", "the live view (--json works without it)")
        self._classes, self._last = classes, deque[str](maxlen=DECISIONS)
        self._live = rich.Live(refresh_per_second=10, transient=False)

    def __enter__(self) -> Show:
        self._live.__enter__()
        return self.show

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(*error)

    def show(self, moment: Moment) -> None:
        if moment.ends:
            self._last.append(verdict(moment))
        self._live.update(self._picture(moment))

    def _picture(self, moment: Moment) -> Group:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        top = max((abs(v) for v in moment.membrane), default=0) or 1
        for i, v in enumerate(moment.membrane):
            name = self._classes[i] if i < len(self._classes) else str(i)
            style = "bold" if name == moment.leading else "dim"
            table.add_row(name, "█" * round(BAR * max(v, 0) / top), str(v), style=style)
        return Group(table, *(Text(line) for line in (counts(moment), ENERGY, *self._last)))


def counts(moment: Moment) -> str:
    energy = ", ".join(f"{figure(uj)} uJ {chip}" for chip, uj in moment.core_dynamic_uj.items())
    return (
        f"window {moment.window}, step {moment.step}: {moment.spikes} spikes, {moment.synops}"
        f" synaptic operations, {energy} (estimate)"
    )


def brief(moment: Moment) -> str:
    """The counts of a window, so that a line holds its decision too."""
    chip, uj = next(iter(moment.core_dynamic_uj.items()), ("", None))
    return f"{moment.spikes:,} spikes" + (
        "" if uj is None else f", {figure(uj)} uJ {chip} (estimate)"
    )


def verdict(moment: Moment) -> str:
    when = f"window {moment.window}" if moment.time_s is None else f"{moment.time_s:6.2f} s"
    return f"{when}  {moment.leading}, ahead by {moment.margin}"


def view(classes: tuple[str, ...], json_lines: bool) -> AbstractContextManager[Show]:
    """The view that suits the output."""
    if json_lines:
        return nullcontext(as_json)
    return Live(classes) if sys.stdout.isatty() else nullcontext(as_lines)
