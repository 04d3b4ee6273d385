"""What every report is made of: the answer first, then what else is short, then the tables by
population.

    headline    at most ten lines at 80 columns: the answer
    details     short facts, tables and notes
    figures     drawings, on a page
    layers      the tables by population; on a terminal on request (`--layers`)
    appendix    tables that only a page has room for

A report is a dataclass. To add one: subclass `Report`, name its `command`, give it the fields of
its JSON, and write what it has of the five. Each is made of blocks, built once and shown alike on
the terminal (`terminal`) and on a page (`html`):

    Facts       names and their texts, a dict
    Table       rows of cells under heads
    Note        a line of text, a str
    Figure      a caption and a function that draws

The JSON of a report begins with `command` and `schema_version`. A minor version of scmrl may add
keys, commands and rows, and may change any text in words. It keeps `schema_version`, every key, the
type that a key has (one place has one type in all reports), its unit and its meaning. What breaks
that raises `schema_version` by one; reports of scmrl 0.1 and 0.2 bear none and count as version 1,
which `scmrl compare` still reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TextIO

from ...system.errors import shown
from .text import first

SCHEMA_VERSION = 2
HEADLINE = 10  # lines


@dataclass(frozen=True)
class Table:
    """Rows of cells under `heads`. The columns in `words` hold words, which may wrap; the others
    numbers, which may not; so the first column's names.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[str]
    footer: tuple[str, ...]
    caption: str

    def __bool__(self) -> bool:
        return bool(self.rows)


@dataclass(frozen=True)
class Figure:
    """A drawing: `draw` puts it on an empty matplotlib figure of `size` inches. `name`: of the
    population that it shows, where there is one for each.
    """

    caption: str
    draw: Callable[[Any], None]
    size: tuple[float, float] = (6.0, 3.0)
    name: str = ""


Facts = Mapping[str, str]
Note = str
Block = Facts | Table | Note | Figure


@dataclass(frozen=True)
class Report:
    """A dataclass that can be shown and dumped."""

    command: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """The report as a dict of JSON types, `command` and `schema_version` first."""
        return self.begun() | asdict(self)

    def begun(self) -> dict[str, Any]:
        """What the JSON of every report begins with."""
        return {"command": self.command, "schema_version": SCHEMA_VERSION}

    def headline(self) -> dict[str, str]:
        """The answer, as facts that take at most ten lines at 80 columns; the most important
        first.
        """
        raise NotImplementedError

    def details(self) -> Iterator[Block]:
        """What else is short."""
        return iter(())

    def figures(self) -> Iterator[Figure]:
        """What the report can draw of itself."""
        return iter(())

    def layers(self) -> Iterator[Block]:
        """The tables by population."""
        return iter(())

    def appendix(self) -> Iterator[Block]:
        """What is too long for a terminal: the sources of numbers, every core, every decision."""
        return iter(())

    def provenance(self) -> Facts:
        """What it was made of, as far as the report knows; on a page."""
        return {}

    @property
    def has_layers(self) -> bool:
        return next(self.layers(), None) is not None

    def show(self, file: TextIO | None = None, *, layers: bool = False) -> None:
        """Print to `file` (standard output), with the tables by population if `layers`."""
        from . import terminal

        terminal.show(self, file, layers=layers)


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    words: Iterable[str] = (),
    footer: Sequence[str] = (),
    caption: str = "",
) -> Table:
    """A block of `rows` under `heads`; see `Table`. Control characters are written out."""
    return Table(
        tuple(map(shown, heads)),
        tuple(tuple(map(shown, row)) for row in rows),
        frozenset(map(shown, words)),
        tuple(map(shown, footer)),
        caption,
    )


def columns(
    items: Iterable[Any],
    cells: Mapping[str, Callable[[Any], str]],
    *,
    words: Iterable[str] = (),
    footer: Sequence[str] = (),
    caption: str = "",
) -> Table:
    """A `table` with a row for each item; `cells` says under each head what stands there."""
    rows = [[cell(item) for cell in cells.values()] for item in items]
    return table(tuple(cells), rows, words=words, footer=footer, caption=caption)


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
