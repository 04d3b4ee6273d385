"""Two saved reports side by side: every number that both have, what changed and by how much, most
changed first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...system.errors import DataError
from ...system.reading import read_json
from . import drawing
from .report import SCHEMA_VERSION, Block, Figure, Report, Table, table
from .text import change, figure
from .text import first as named

SHOWN = 30
FIRST = 6  # figures in the headline
HEAD = (
    "accuracy",
    "spikes_per_inference",
    "synops_per_inference",
    "core_dynamic_uj",
    "core_static_uj",
    "total_uj",
    "latency_us",
    "energy_delay_uj_ms",
    "cores",
    "chips",
    "neurons",
    "mismatches",
    "test_accuracy",
)
SKIPPED = ("coefficients", "map", "seconds", "startup_s", "shape", "samples", "schema_version")
NAMES = ("name", "backend", "profile", "target")  # what a row of a list is known by


@dataclass(frozen=True)
class Change:
    """One number of both reports. `ratio` is second / first, None where the first is 0."""

    name: str
    first: float
    second: float

    @property
    def difference(self) -> float:
        return self.second - self.first

    @property
    def ratio(self) -> float | None:
        return self.second / self.first if self.first else None

    @property
    def weight(self) -> float:
        """How much changed: share of the larger of the two."""
        return abs(self.difference) / max(abs(self.first), abs(self.second), 1e-30)

    def row(self) -> dict[str, Any]:
        """As it stands in the report."""
        names = ("name", "first", "second", "difference", "ratio")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class ComparisonReport(Report):
    """`head`: the figures that people ask for first; `changes`: all others that differ, most
    changed first.
    """

    command = "compare"
    first: str
    second: str
    reports: str  # the command that made both
    head: tuple[dict[str, Any], ...]
    changes: tuple[dict[str, Any], ...]
    equal: int  # numbers that are the same in both
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    bundles: tuple[str | None, str | None]  # the hashes of what they speak of, where they say so
    modes: tuple[str | None, str | None] = (None, None)  # of their estimates, if any

    @property
    def networks(self) -> str:
        """Whether both speak of one network with its samples."""
        if not all(self.bundles):  # an empty one is that of a report made without a bundle
            return "not known whether of one bundle: a report does not say which"
        one, other = (bundle[:12] for bundle in self.bundles if bundle)
        return (
            f"both of bundle {one}" if one == other else f"of different bundles: {one} and {other}"
        )

    def headline(self) -> dict[str, str]:
        lines = {
            "reports": (
                f"{self.reports}: {self.equal} numbers equal, {len(self.changes)} others differ"
            ),
            "bundles": self.networks,
        }
        if len(set(self.modes)) > 1:
            one, other = (mode or "of no named mode" for mode in self.modes)
            lines["modes"] = f"{one} and {other}: the estimates are of other steps of a chip"
        for row in [row for row in self.head if row["difference"]][:FIRST]:
            name, one, other, difference, ratio = _cells(row)
            lines[name] = f"{one} -> {other} ({difference}, {ratio})"
        return lines

    def details(self) -> Iterator[Block]:
        yield {"first": self.first, "second": self.second}
        yield _table("figure", self.head)
        yield _table("changed most", self.changes[:SHOWN])
        if len(self.changes) > SHOWN:
            yield f"{len(self.changes) - SHOWN} more with --json"
        for name, names in (("first", self.only_first), ("second", self.only_second)):
            if names:
                yield f"only in the {name}: {named(names, 10)}"

    def figures(self) -> Iterator[Figure]:
        rows = [row for row in self.head if row["first"] or row["second"]]
        if rows:
            yield Figure(
                "The figures of both reports, as a share of the larger of the two: above the first,"
                " below the second",
                lambda sheet: _draw(sheet, rows),
                (4.2, 0.48 * len(rows) + 0.5),  # a phone is as wide
            )

    def appendix(self) -> Iterator[Block]:
        if len(self.changes) > SHOWN:
            yield _table("all that changed", self.changes)


def _table(title: str, rows: Sequence[dict[str, Any]]) -> Table:
    heads = (title, "first", "second", "difference", "ratio")
    return table(heads, map(_cells, rows), words=heads[:1])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["name"],
        figure(row["first"]),
        figure(row["second"]),
        change(row["difference"]),
        "-" if row["ratio"] is None else f"{figure(row['ratio'])}x",
    )


def _draw(sheet: Any, rows: Sequence[dict[str, Any]]) -> None:
    axis = sheet.subplots()
    axis.spines["left"].set_visible(False)
    for y, row in enumerate(rows):
        axis.text(0, y - 0.5, drawing.name(row["name"]), va="top")
        larger = max(abs(row["first"]), abs(row["second"])) / 100
        for side, colour, at in (("first", "faint", y), ("second", "blue", y + 0.26)):
            part = abs(row[side]) / larger
            (bar,) = axis.barh(at, part, 0.24, color=drawing.LIGHT[colour])
            drawing.hover(bar, f"{row['name']}, {side} (% of the larger): {figure(part)} %")
            drawing.behind(axis, part, at, figure(row[side]))
    axis.set_yticks([])
    axis.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 118), xlabel="% of the larger")


def compare(first: Path, second: Path) -> ComparisonReport:
    """Compare two JSON reports of one command (from `--json`, or those that `scmrl demo` leaves).

    Raises `DataError` for a file that is no report, for one of a version to come, and for reports
    of different commands.
    """
    reports = [_read(path) for path in (first, second)]
    commands = [report["command"] for report in reports]
    if commands[0] != commands[1]:
        raise DataError(
            "the reports are of different commands",
            where=f"{first}, {second}",
            value=", ".join(commands),
        )
    a, b = (dict(_numbers(report)) for report in reports)
    changes = [Change(name, a[name], b[name]) for name in a if name in b]
    head = [
        c
        for c in changes
        if c.name.split(".")[-1] in HEAD and "populations" not in c.name and "layers" not in c.name
    ]
    rest = sorted((c for c in changes if c not in head and c.difference), key=lambda c: -c.weight)
    return ComparisonReport(
        str(first),
        str(second),
        commands[0],
        tuple(c.row() for c in head),
        tuple(c.row() for c in rest),
        sum(not c.difference for c in changes),
        tuple(sorted(a.keys() - b.keys())),
        tuple(sorted(b.keys() - a.keys())),
        (_text(reports[0], "bundle"), _text(reports[1], "bundle")),
        (_text(reports[0], "mode"), _text(reports[1], "mode")),
    )


def _read(path: Path) -> dict[str, Any]:
    report = read_json(path, error=DataError)
    if not isinstance(report.get("command"), str):
        raise DataError("not a report of scmrl", where=path, fix="give files that --json printed")
    version = report.get("schema_version", 1)  # scmrl 0.1 and 0.2 wrote none
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise DataError(
            "a report of an unknown version",
            where=f"{path}: schema_version",
            limit=f"1..{SCHEMA_VERSION}",
            value=version,
            fix="compare with the scmrl that wrote it",
        )
    return report


def _text(report: dict[str, Any], key: str) -> str | None:
    value = report.get(key)
    return value if isinstance(value, str) else None


def _numbers(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a report with its place; rows of a list are known by their name."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            if key not in SKIPPED:
                yield from _numbers(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for i, part in enumerate(value):
            keys = [key for key in NAMES if isinstance(part, dict) and key in part]
            yield from _numbers(part, f"{path}.{part[keys[0]] if keys else i}")
