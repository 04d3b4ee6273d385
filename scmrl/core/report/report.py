"""What every report is made of: the answer first, then what else is short, then the tables by
population.

    headline    at most ten lines at 80 columns: the answer
    details     short facts, tables and remarks
    layers      the tables by population, on request (`--layers`)

A report is a dataclass. To add one: subclass `Report`, name its `command`, give it the fields of
its JSON, and write the three. A block is a dict of facts, a `table`, or a line of text.

What others wrote is shown with its control characters written out (`errors.visible`). Nothing is
cut at any width: words wrap, and a table that is too wide stands as several, each with the first
column.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, NoReturn, TextIO

from ...system.errors import MissingDependency, shown, visible

PIPE_WIDTH = 80  # columns where the output is no terminal
UNLIMITED = 10_000  # columns; to measure what a block needs
GAP = 2  # columns between two columns of a table
WORDS = 16  # columns that a column of words gets before a table is split
HEADLINE = 10  # lines


class Report:
    """A dataclass that can be shown and dumped."""

    command: ClassVar[str]

    def to_json(self) -> dict:
        """The report as a dict of JSON types, `command` first."""
        return {"command": self.command} | asdict(self)

    def headline(self) -> dict[str, str]:
        """The answer, as facts that take at most ten lines at 80 columns; the most important
        first.
        """
        raise NotImplementedError

    def details(self) -> Iterator[object]:
        """What else is short."""
        return iter(())

    def layers(self) -> Iterator[object]:
        """The tables by population."""
        return iter(())

    @property
    def has_layers(self) -> bool:
        return next(self.layers(), None) is not None

    def show(self, file: TextIO | None = None, *, layers: bool = False) -> None:
        """Print to `file` (standard output), with the tables by population if `layers`; colours on
        a terminal only.
        """
        console = _console(file or sys.stdout)
        last: object = self.headline()
        _print(console, last)
        for block in filter(None, (*self.details(), *(self.layers() if layers else ()))):
            if isinstance(last, (Mapping, Table)) and not isinstance(
                block, Table
            ):  # a table brings its own
                console.print()
            _print(console, block)
            last = block


def source(model: str, bundle: str) -> str:
    """Which network a report speaks of: where it lies, and the beginning of its hash."""
    return f"{model} (bundle {bundle[:12]})" if bundle else model


@dataclass(frozen=True)
class Table:
    """Rows of cells under `heads`. The columns in `words` hold words, which may wrap; the others
    numbers, which may not; so the first column's names.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[str]
    footer: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.rows)

    def __rich_console__(self, console, options) -> Iterator[object]:
        for columns in self._split(options.max_width):
            yield ""
            yield self._part(columns)

    def __rich_measure__(self, console, options):
        from rich.measure import Measurement

        least = [self._least(i) for i in range(len(self.heads))]
        return Measurement(least[0] + GAP + max(least[1:], default=0), max(options.max_width, 1))

    def _split(self, width: int) -> Iterator[list[int]]:
        """Columns of each part, so that every part is whole in `width`; the first column leads
        each.
        """
        part, used = [0], self._least(0)
        for i in range(1, len(self.heads)):
            if len(part) > 1 and used + GAP + self._least(i) > width:
                yield part
                part, used = [0], self._least(0)
            part.append(i)
            used += GAP + self._least(i)
        yield part

    def _widest(self, i: int) -> int:
        column = (self.heads[i], *(row[i] for row in self.rows), *self.footer[i : i + 1])
        return max(len(line) for cell in column for line in cell.split("\n"))

    def _least(self, i: int) -> int:
        """What a column needs: names and numbers all of it, words a part."""
        return min(self._widest(i), WORDS) if self._wraps(i) else self._widest(i)

    def _wraps(self, i: int) -> bool:
        return i > 0 and self.heads[i] in self.words

    def _part(self, columns: Sequence[int]):
        from rich import box
        from rich.table import Table as Grid

        grid = Grid(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, GAP - 1, 0, 0),
            show_footer=bool(self.footer),
            footer_style="bold",
        )
        for i in columns:
            grid.add_column(
                self.heads[i],
                self.footer[i] if self.footer else "",
                justify="left" if self.heads[i] in self.words else "right",
                no_wrap=not self._wraps(i),
                min_width=self._least(i),
                overflow="fold",
            )
        for row in self.rows:
            grid.add_row(*(row[i] for i in columns))
        return grid


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    words: Iterable[str] = (),
    footer: Sequence[str] = (),
) -> Table:
    """A block of `rows` under `heads`; see `Table`."""
    return Table(
        tuple(map(shown, heads)),
        tuple(tuple(map(shown, row)) for row in rows),
        frozenset(map(shown, words)),
        tuple(map(shown, footer)),
    )


def first(items: Sequence[object], shown: int = 3) -> str:
    """The first few, and how many more there are."""
    return ", ".join(map(str, items[:shown])) + (
        f" and {len(items) - shown:,} more" if len(items) > shown else ""
    )


def dead_warning(dead: Sequence[str], firing: int) -> dict[str, str]:
    """That `dead` of the `firing` populations never fire, as a fact; nothing where all do."""
    if not dead:
        return {}
    which = (
        "no population fires at all: nothing here says anything about the network"
        if len(dead) == firing
        else f"{len(dead)} of {firing} populations never fire: {first(dead, 2)}"
    )
    return {"WARNING": which}


# Numbers.


def figure(x: float | None) -> str:
    """A number in four significant digits, integers in full, never with an exponent; '-' for
    None.
    """
    if x is None:
        return "-"
    if not math.isfinite(x):
        return str(x)
    if x == int(x):
        return f"{int(x):,}"
    return f"{x:,.{max(0, 3 - math.floor(math.log10(abs(x))))}f}"


def percent(x: float | None) -> str:
    return "-" if x is None else f"{100 * x:.2f} %"


def share(x: float | None) -> str:
    """A share close to one, with as many digits as tell it from one."""
    return "-" if x is None else f"{100 * x:.5f} %"


def span(ends: tuple[float, float] | None, show: Callable[[float], str] = figure) -> str:
    return "-" if ends is None else f"{show(ends[0])} .. {show(ends[1])}"


# The terminal.


def _console(file: TextIO):
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        raise MissingDependency(
            "rich", enables="tables on the terminal (--json works without it)"
        ) from None
    width = shutil.get_terminal_size((PIPE_WIDTH, 24)).columns
    console = Console(file=file, width=width, markup=False, emoji=False, highlight=False)
    console.on_broken_pipe = _pipe_closed
    return console


def _pipe_closed() -> NoReturn:
    """In place of rich's own answer, exit code 1."""
    raise BrokenPipeError


def _print(console, block: object) -> None:
    """Print at the width of the terminal, or wider where a number would be cut; the terminal wraps
    that. Facts keep to the width: a path that is longer goes on in the next line.
    """
    from rich.measure import Measurement

    if not block:
        return
    if isinstance(block, Mapping):
        console.print(_facts(block), soft_wrap=False, crop=False)
        return
    part = shown(block) if isinstance(block, str) else block
    needed = Measurement.get(console, console.options.update(max_width=UNLIMITED), part).minimum
    terminal, console.width = console.width, max(console.width, needed)
    console.print(part, soft_wrap=False, crop=False)
    console.width = terminal


def _facts(facts: Mapping[str, str]):
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in facts.items():
        grid.add_row(visible(name), shown(text))
    return grid
