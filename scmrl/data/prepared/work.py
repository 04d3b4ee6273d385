"""What preparing a published data set is made of.

    plan    of a download: the units of work, and what is missing before any work
    unit    a function that makes whole files of some files of the download, and their rows
    row     a table of JSON types: a clip, or a file of many recordings

Rows keep the order of their units' names, whatever order they were made in.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...system.errors import DataError
from ...system.reading import opened

Row = dict[str, Any]
STUB = b"version https://git-lfs"
STUB_BYTES = 1024  # a stub is shorter


@dataclass(frozen=True)
class Made:
    """What a unit gave. files: {name: bytes}; rows: what is known only once they are made;
    left_out: what of the download is not in them and why; notes: what is odd in it.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unit:
    """make: "module:function" of (*arguments) -> `Made`; sources: files that it reads, whose sizes
    and times say whether it is to be made anew; row: what is known of its rows before.
    """

    name: str
    make: str
    arguments: tuple[Any, ...]
    sources: tuple[Path, ...]
    row: Row = field(default_factory=dict)

    def stamp(self) -> str:
        """A hash of the names, sizes and times of the sources."""
        digest = hashlib.sha256()
        for path in self.sources:
            state = os.stat(path)
            digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:32]


@dataclass(frozen=True)
class Plan:
    """expected: samples that are published, by part (a row's "split"; one part named "clips" where
    the set has no parts). settings: JSON types, what the files depend on besides the download.
    """

    units: tuple[Unit, ...]
    expected: dict[str, int]
    settings: Row
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What a preparation may be told. test_list: a text, one name of a test clip a line."""

    seed: int = 0
    test_list: Path | None = None


def inside(source: Path, *holds: str) -> Path:
    """The folder `source`, or the one folder in it, that holds all of these names; `DataError`
    where none does.
    """
    if not source.is_dir():
        raise DataError("no such folder", where=source, fix="name the folder of the download")
    folders = [source, *sorted(p for p in source.iterdir() if p.is_dir())]
    for folder in folders:
        if all((folder / name).exists() for name in holds):
            return folder
    packed = (".zip", ".gz", ".tar", ".tgz", ".7z", ".rar")
    archives = sorted(p.name for p in source.iterdir() if p.suffix.lower() in packed)
    fix = f"unpack {', '.join(archives[:3])} there" if archives else "is this the download?"
    raise DataError("the download is not there", where=source, limit=", ".join(holds), fix=fix)


def stub(path: Path) -> bool:
    """Whether a file is a stub of Git LFS: three lines of text in the place of the recording."""
    if path.stat().st_size >= STUB_BYTES:
        return False
    with opened(path, STUB_BYTES, error=DataError) as file:
        return bool(file.read(len(STUB)) == STUB)
