"""A prepared data set: a directory of scmrl's with an index of its rows.

    manifest.json   {"scmrl", "kind": "dataset", "files": {name: sha256}}
    dataset.json    {"dataset", "settings", "partial", "expected", "left_out", "notes", "units"}
                    unit: {"stamp", "files": {name: [sha256, bytes]}, "row", "rows", ...}

Files come one by one, each whole; both tables are written anew every few seconds and at the end, so
a preparation that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ... import __version__
from ...system import storage, targets
from ...system.errors import DataError, UsageError, quoted
from ...system.reading import read_json, sha256
from .work import Made, Plan, Row, Unit

INDEX, KIND = "dataset.json", "dataset"
SCHEMA = 1
EVERY_S = 5.0  # between two writings of the tables
Put = Callable[[str, bytes, "str | None"], None]


@dataclass
class Index:
    """The tables of a prepared data set at `folder`."""

    folder: Path
    dataset: str
    settings: Row
    partial: bool = False
    expected: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    units: dict[str, Row] = field(default_factory=dict)
    _written: float = 0.0

    @classmethod
    def find(cls, folder: str | Path | None) -> Index | None:
        """That of a folder, None where it is no prepared data set. Raises DataError for a damaged
        one.
        """
        if folder is None or not (Path(folder) / INDEX).is_file():
            return None
        path = Path(folder) / INDEX
        table = read_json(path, error=DataError)
        if table.pop("schema", None) != SCHEMA:
            what, fix = "prepared by another version of scmrl", "prepare it anew"
            raise DataError(what, where=path, limit=f"schema {SCHEMA}", fix=fix)
        table.pop("scmrl", None)
        kinds = {"dataset": str, "settings": dict, "partial": bool, "expected": dict}
        kinds |= {"left_out": list, "notes": list, "units": dict}
        for key, kind in kinds.items():
            if not isinstance(table.get(key), kind):
                raise DataError(f"no {key}", where=path, fix="prepare it anew")
        if unknown := sorted(set(table) - set(kinds)):
            raise DataError("unknown keys", where=path, value=", ".join(unknown))
        return cls(Path(folder), **table)

    @classmethod
    def begun(cls, folder: Path, dataset: str, settings: Row | None) -> Index:
        """The index to fill, with what is there of the same preparation (None: of any settings);
        `UsageError` where another one is there.
        """
        found = cls.find(folder) if targets.kind_of(folder) == KIND else None
        if found is None:
            return cls(folder, dataset, settings or {})
        if found.dataset != dataset or settings not in (None, found.settings):
            said = f"{found.dataset} {json.dumps(found.settings)}"
            what = "another prepared dataset is there already, and is never replaced"
            raise UsageError(what, where=folder, value=said, fix=targets.ELSEWHERE)
        return found

    def has(self, unit: Unit) -> bool:
        """Whether a unit's files are there and its sources are as they were."""
        made = self.units.get(unit.name)
        return made is not None and made["stamp"] == unit.stamp() and not self.absent(made)

    def absent(self, made: Row) -> list[str]:
        """Files of a unit that are not there in their length."""
        places = {name: self.folder / name for name in made["files"]}
        return [
            name
            for name, (_, size) in made["files"].items()
            if not places[name].is_file() or places[name].stat().st_size != size
        ]

    def add(self, unit: Unit, made: Made, put: Put) -> None:
        """Keep what a unit gave; the tables follow in a while."""
        former = self.units.get(unit.name, {"files": {}})["files"]
        for name, data in made.files.items():
            put(name, data, former.get(name, [None])[0])
        self.units[unit.name] = {
            "stamp": unit.stamp(),
            "files": {n: [hashlib.sha256(x).hexdigest(), len(x)] for n, x in made.files.items()},
            "row": unit.row,
            "rows": list(made.rows),
            "left_out": list(made.left_out),
            "notes": list(made.notes),
        }
        if time.monotonic() - self._written > EVERY_S:
            self.write()

    def take(self, plan: Plan, partial: bool) -> None:
        """What a plan says of the whole."""
        self.expected, self.partial = dict(plan.expected), partial
        self.left_out, self.notes = list(plan.left_out), list(plan.notes)
        for unit in plan.units:
            if unit.name in self.units:
                self.units[unit.name]["row"] = unit.row

    def write(self) -> None:
        """Both tables, the manifest last."""
        names = ("dataset", "settings", "partial", "expected", "left_out", "notes")
        table: dict[str, Any] = {"schema": SCHEMA, "scmrl": __version__}
        table |= {name: getattr(self, name) for name in names}
        units = {name: self.units[name] for name in sorted(self.units)}
        storage.write_json(self.folder / INDEX, table | {"units": units})
        files = {INDEX: sha256(self.folder / INDEX)}
        files |= {n: digest for unit in units.values() for n, (digest, _) in unit["files"].items()}
        manifest = {"scmrl": __version__, "kind": KIND, "files": files}
        storage.write_json(self.folder / targets.MANIFEST, manifest)
        self._written = time.monotonic()

    @property
    def rows(self) -> list[Row]:
        """Of all units, in the order of their names."""
        made = (self.units[name] for name in sorted(self.units))
        return [unit["row"] | row for unit in made for row in unit["rows"]]

    def counts(self) -> dict[str, int]:
        """Samples of each part that are there."""
        found: Counter[str] = Counter()
        for row in self.rows:
            found[row.get("split") or "clips"] += row.get("count", 1)
        return {part: found[part] for part in self.expected}

    @property
    def missing(self) -> int:
        """Samples that are published and not there."""
        there = self.counts()
        return sum(max(0, n - there[part]) for part, n in self.expected.items())

    def gone(self) -> list[str]:
        """What of the download is not in it and why."""
        made = (line for name in sorted(self.units) for line in self.units[name]["left_out"])
        return [*self.left_out, *made]

    def odd(self) -> list[str]:
        """What is odd in the download, and in it all the same."""
        made = (line for name in sorted(self.units) for line in self.units[name]["notes"])
        return [*self.notes, *made]

    def check(self) -> None:
        """Raise DataError where it is not whole and was not prepared with --partial."""
        if self.missing and not self.partial:
            raise DataError(
                f"{self.missing} of {sum(self.expected.values())} samples are not there",
                where=self.folder,
                fix="prepare it again: what is missing then, or with --partial",
            )
        lost = [name for unit in self.units.values() for name in self.absent(unit)]
        if lost:
            what = f"{len(lost)} prepared files are missing or cut off"
            raise DataError(what, where=self.folder / lost[0], fix="prepare it again")

    def changed(self) -> list[str]:
        """Files whose bytes are not those that were prepared."""
        files = (item for unit in self.units.values() for item in unit["files"].items())
        return [
            name
            for name, (digest, _) in files
            if sha256(self.folder / name, error=DataError) != digest
        ]

    def said(self) -> str:
        """How to prepare it again."""
        return f"scmrl data prepare {self.dataset} --from DOWNLOAD --out {quoted(self.folder)}"
