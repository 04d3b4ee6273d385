"""How a stream is shown: one JSON object a line, a live picture on a terminal, or a line a
decision.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from ...core.report.text import figure
from ...system.errors import MissingDependency
from .run import ENERGY, Moment

BAR, DECISIONS = 30, 6


def json_line(moment: Moment) -> None:
    """A step or decision as one line of JSON on standard output."""
    print(json.dumps(moment.to_json()), flush=True)


def line(moment: Moment) -> None:
    """A line for each decision, where the output is no terminal."""
    if moment.ends:
        print(f"{verdict(moment)}; {brief(moment)}", flush=True)


class Live:
    """Membranes of the classes as bars, counts and energy so far, and the last decisions, in
    place.
    """

    def __init__(self, classes: tuple[str, ...]):
        try:
            from rich.live import Live as RichLive
        except ModuleNotFoundError:
            raise MissingDependency(
                "rich", enables="the live view (--json works without it)"
            ) from None
        self._classes, self._last = classes, deque(maxlen=DECISIONS)
        self._live = RichLive(refresh_per_second=10, transient=False)

    def __enter__(self) -> Live:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(*error)

    def __call__(self, moment: Moment) -> None:
        if moment.ends:
            self._last.append(verdict(moment))
        self._live.update(self._picture(moment))

    def _picture(self, moment: Moment):
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


def view(
    classes: tuple[str, ...], as_json: bool
) -> AbstractContextManager[Callable[[Moment], None]]:
    """What shows each moment, as suits the output."""
    if as_json:
        return nullcontext(json_line)
    return Live(classes) if sys.stdout.isatty() else nullcontext(line)
