"""Reports on a terminal, by rich: colours there only, plain text in a pipe.

What others wrote is shown with its control characters written out (`errors.visible`). Nothing is
cut at any width: words wrap, and a table that is too wide stands as several, each with the first
column.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn, TextIO

from ...system.errors import MissingDependency, shown, visible
from .report import Block, Facts, Report, Table

PIPE_WIDTH = 80  # columns where the output is no terminal
GAP = 2  # columns between two columns of a table
WORDS = 16  # columns that a column of words gets before a table is split


def show(report: Report, file: TextIO | None = None, *, layers: bool = False) -> None:
    """Print a report to `file` (standard output), with the tables by population if `layers`."""
    console = _console(file or sys.stdout)
    last: Block = report.headline()
    _print(console, last)
    for block in filter(None, (*report.details(), *(report.layers() if layers else ()))):
        if isinstance(last, (Mapping, Table)) and not isinstance(block, Table):
            console.print()  # a table brings its own
        _print(console, block)
        last = block


def _console(file: TextIO) -> Any:
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        raise MissingDependency(
            "rich", enables="tables on the terminal (--json works without it)"
        ) from None
    width = shutil.get_terminal_size((PIPE_WIDTH, 24)).columns

    class Terminal(Console):
        def on_broken_pipe(self) -> NoReturn:
            """In place of rich's own answer, exit code 1."""
            raise BrokenPipeError

    return Terminal(file=file, width=width, markup=False, emoji=False, highlight=False)


def _print(console: Any, block: Block) -> None:
    """Print at the width of the terminal, or wider where a number would be cut; the terminal wraps
    that. Facts and notes keep to the width: a path that is longer goes on in the next line.
    """
    if isinstance(block, Mapping):
        console.print(_facts(block), soft_wrap=False, crop=False)
    elif isinstance(block, Table):
        terminal = console.width
        least = [_least(block, i) for i in range(len(block.heads))]
        console.width = max(terminal, least[0] + GAP + max(least[1:], default=0))
        for columns in _split(least, console.width):
            console.print()
            console.print(_part(block, columns), soft_wrap=False, crop=False)
        console.width = terminal
    else:
        text = shown(str(block))
        terminal = console.width
        console.width = max(terminal, *map(len, text.split()), 1)
        console.print(text, soft_wrap=False, crop=False)
        console.width = terminal


def _facts(facts: Facts) -> Any:
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in facts.items():
        grid.add_row(visible(name), shown(text))
    return grid


def _split(least: Sequence[int], width: int) -> Iterator[list[int]]:
    """Columns of each part of a table, so that every part is whole in `width`; the first column
    leads each.
    """
    part, used = [0], least[0]
    for i in range(1, len(least)):
        if len(part) > 1 and used + GAP + least[i] > width:
            yield part
            part, used = [0], least[0]
        part.append(i)
        used += GAP + least[i]
    yield part


def _least(table: Table, i: int) -> int:
    """What a column needs: names and numbers all of it, words a part."""
    column = (table.heads[i], *(row[i] for row in table.rows), *table.footer[i : i + 1])
    widest = max(len(line) for cell in column for line in cell.split("\n"))
    return min(widest, WORDS) if _wraps(table, i) else widest


def _wraps(table: Table, i: int) -> bool:
    return i > 0 and table.heads[i] in table.words


def _part(table: Table, columns: Sequence[int]) -> Any:
    from rich import box
    from rich.table import Table as Grid

    grid = Grid(
        title=table.caption or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),
        show_footer=bool(table.footer),
        footer_style="bold",
    )
    for i in columns:
        grid.add_column(
            table.heads[i],
            table.footer[i] if table.footer else "",
            justify="left" if table.heads[i] in table.words else "right",
            no_wrap=not _wraps(table, i),
            min_width=_least(table, i),
            overflow="fold",
        )
    for row in table.rows:
        grid.add_row(*(row[i] for i in columns))
    return grid
