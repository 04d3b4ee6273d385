"""The trials of a sweep: as the database has them, and as they are told, best first."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..system.storage import whole_file
from .sampling import Past, Settings

LONGEST = 300  # characters of a reason
FIGURES = (
    "validation_accuracy",
    "energy_uj",
    "energy_error_uj",
    "synops_per_inference",
    "seconds",
)


@dataclass(frozen=True)
class Record:
    """A trial of the database: `values` of the objectives where it is complete, and `notes`."""

    number: int
    state: str  # running, complete or fail
    settings: Settings
    values: tuple[float, ...] = ()
    notes: dict[str, object] = field(default_factory=dict)

    @property
    def past(self) -> Past:
        return Past(self.state, self.settings, self.values)

    def figure(self, name: str) -> float | None:
        value = self.notes.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        return float(value) if math.isfinite(value) else None

    def count(self, name: str) -> int:
        value = self.notes.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0

    def text(self, name: str) -> str:
        value = self.notes.get(name)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Trial:
    """A trial: its settings, its figures, and whether no other trial is better in both."""

    number: int
    state: str  # complete, fail or running
    parameters: dict[str, object]
    validation_accuracy: float | None
    energy_uj: float | None
    synops_per_inference: float | None
    seconds: float | None
    pareto: bool
    why: str
    retries: int = 0
    energy_error_uj: float | None = None  # standard error over the samples


def pareto(records: Sequence[Record], directions: Sequence[str]) -> set[int]:
    """Numbers of the complete trials that none beats: as good everywhere, better somewhere."""
    signs = [1 if direction == "maximize" else -1 for direction in directions]
    points = {
        r.number: tuple(sign * value for sign, value in zip(signs, r.values))
        for r in records
        if r.state == "complete"
    }

    def beats(other: tuple[float, ...], point: tuple[float, ...]) -> bool:
        return other != point and all(o >= p for o, p in zip(other, point))

    every = points.values()
    return {n for n, point in points.items() if not any(beats(other, point) for other in every)}


def table(records: Sequence[Record], directions: Sequence[str]) -> list[Trial]:
    """All trials, best validation accuracy first, failed ones last."""
    front = pareto(records, directions)
    rows = [
        Trial(
            r.number,
            r.state,
            r.settings,
            r.values[0] if r.values else None,
            r.figure("energy_uj"),
            r.figure("synops_per_inference"),
            r.figure("seconds"),
            r.number in front,
            r.text("why")[:LONGEST],
            r.count("retries"),
            r.figure("energy_error_uj"),
        )
        for r in records
    ]
    # One without an accuracy comes after the last with one.
    return sorted(
        rows, key=lambda t: (t.validation_accuracy is None, -(t.validation_accuracy or 0), t.number)
    )


def write_csv(path: Path, keys: Sequence[str], rows: Sequence[Trial]) -> None:
    """The trials with the values of their axes, a line each."""
    figures = (*FIGURES, "pareto", "retries", "why")
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "state", *keys, *figures])
        for row in rows:
            values = [row.parameters.get(key) for key in keys]
            found = [getattr(row, name) for name in figures]
            writer.writerow([row.number, row.state, *values, *found])
