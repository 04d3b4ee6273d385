"""Two saved reports side by side: every number that both have, what changed and by how much, most
changed first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ....core.report.report import Report
from ....core.report.report import first as named
from ....core.report.report import table as block
from ....system.errors import DataError
from ....system.reading import read_json
from .document import document, facts, section, table
from .figures import stacked_bars
from .pages import number

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
SKIPPED = ("coefficients", "map", "seconds", "startup_s", "shape", "samples")
Numbers = dict[str, float]


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


@dataclass(frozen=True)
class ComparisonReport(Report):
    """`head`: the figures that people ask for first; `changes`: all others that differ, most
    changed first.
    """

    command = "compare"
    first: str
    second: str
    reports: str  # the command that made both
    head: tuple[dict, ...]
    changes: tuple[dict, ...]
    equal: int  # numbers that are the same in both
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    bundles: tuple[str | None, str | None]  # the hashes of what they speak of, where they say so

    @property
    def networks(self) -> str:
        """Whether both speak of one network with its samples."""
        if not all(self.bundles):  # an empty one is that of a report made without a bundle
            return "not known whether of one bundle: a report does not say which"
        one, other = (bundle[:12] for bundle in self.bundles)
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
        for row in [row for row in self.head if row["difference"]][:FIRST]:
            name, one, other, difference, ratio = _cells(row)
            lines[name] = f"{one} -> {other} ({difference}, {ratio})"
        return lines

    def details(self) -> Iterator[object]:
        yield {"first": self.first, "second": self.second}
        heads = ("figure", "first", "second", "difference", "ratio")
        for title, rows in (("", self.head), ("changed most", self.changes[:SHOWN])):
            if rows:
                yield block(
                    (title or heads[0], *heads[1:]),
                    [_cells(row) for row in rows],
                    words=(title or heads[0],),
                )
        if len(self.changes) > SHOWN:
            yield f"{len(self.changes) - SHOWN} more with --json"
        for name, names in (("first", self.only_first), ("second", self.only_second)):
            if names:
                yield f"only in the {name}: {named(names, 10)}"

    def page(self) -> str:
        """The comparison as an HTML page."""
        heads = ("figure", "first", "second", "difference", "ratio")
        rows = [[_cells(row) for row in part] for part in (self.head, self.changes)]
        return document(
            f"scmrl compare: {self.reports}",
            section(
                "Summary",
                facts(
                    [
                        ("first", self.first),
                        ("second", self.second),
                        ("bundles", self.networks),
                        ("numbers", f"{self.equal} equal, {len(self.changes)} others differ"),
                    ]
                ),
                _bars(self.head),
                table(heads, rows[0], caption="What is asked for first"),
            ),
            section(
                "All that changed", table(heads, rows[1], caption="Most changed first", named=True)
            ),
        )


def _bars(head: tuple[dict, ...]) -> str:
    """Both reports' figures as a share of the larger of the two."""
    rows = []
    for row in head:
        larger = max(abs(row["first"]), abs(row["second"])) / 100
        if larger:
            rows += [
                (
                    row["name"] if side == "first" else "",
                    {f"{side} (% of the larger)": abs(row[side]) / larger},
                )
                for side in ("first", "second")
            ]
    return stacked_bars(rows, "%", "The figures of both reports, in % of the larger of the two")


def _cells(row: dict) -> tuple[str, ...]:
    return (
        row["name"],
        number(row["first"]),
        number(row["second"]),
        ("+" if row["difference"] > 0 else "") + number(row["difference"]),
        "-" if row["ratio"] is None else f"{row['ratio']:.3g}x",
    )


def compare(first: Path, second: Path) -> ComparisonReport:
    """Compare two JSON reports of one command (from `--json`, or those that `scmrl demo` leaves).

    Raises `DataError` for a file that is no report and for reports of different commands.
    """
    reports = []
    for path in (first, second):
        report = read_json(path, error=DataError)
        if not isinstance(report.get("command"), str):
            raise DataError(
                "not a report of scmrl", where=path, fix="give files that --json printed"
            )
        reports.append(report)
    if reports[0]["command"] != reports[1]["command"]:
        raise DataError(
            "the reports are of different commands",
            where=f"{first}, {second}",
            value=", ".join(r["command"] for r in reports),
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
        reports[0]["command"],
        tuple(map(_row, head)),
        tuple(map(_row, rest)),
        sum(not c.difference for c in changes),
        tuple(sorted(a.keys() - b.keys())),
        tuple(sorted(b.keys() - a.keys())),
        (_bundle(reports[0]), _bundle(reports[1])),
    )


def _bundle(report: dict) -> str | None:
    made_from = report.get("bundle")
    return made_from if isinstance(made_from, str) else None


def _row(change: Change) -> dict:
    return {
        "name": change.name,
        "first": change.first,
        "second": change.second,
        "difference": change.difference,
        "ratio": change.ratio,
    }


def _numbers(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a report with its place; rows of a list are known by their name."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, (int, float)):
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            if key not in SKIPPED:
                yield from _numbers(part, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for i, part in enumerate(value):
            name = (
                next(
                    (
                        str(part[key])
                        for key in ("name", "backend", "profile", "target")
                        if key in part
                    ),
                    str(i),
                )
                if isinstance(part, dict)
                else str(i)
            )
            yield from _numbers(part, f"{path}.{name}")
