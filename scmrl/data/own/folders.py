"""A folder of class folders: every file a sample, its folder the class.

    DIR/CLASS/FILE          DIR/PART/CLASS/FILE with PART train, validation or test
    CLASS/GROUP/FILE        a folder within a class: samples of one group (a speaker) never part

All files are of one kind, known by their suffix:

    sound   .wav .flac          the first second at 8 kHz and unit RMS, shorter ones padded with
                                zeros; "mel": log-mel power, floats [1, 32, 32] (`frontend`);
                                "cochlea": spikes of the first 0.64 s, [T, 1, 32, 32] (`cochlea`)
    picture .png .jpg .jpeg     uint8 [1, H, W] where all are grey, else [3, H, W]; all of one size,
                                or the middle square of each scaled to `side` pixels
    array   .npy                numbers as they are, all of one shape; [T, ...] where `time` is said
    events  .bs2 .aedat         counts uint8 [T, 2, H, W] in T equal steps of each recording; all of
                                the camera's pixels (34x34 of .bs2, 128x128 of .aedat), or the
                                middle `side`

Classes are in the order of their names. Names that begin with a dot are passed over; any other file
is refused: nothing is left out in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.report.progress import each
from ...system.errors import DataError
from ...system.reading import ARRAYS_BYTES, check_bound
from ..sets.folders import refuse
from .owndata import OwnData
from .parts import PARTS
from .readers import KINDS, Reader, reader

INPUT = "x"


@dataclass(frozen=True)
class _File:
    """A sample's file and where it lies."""

    path: Path
    part: str
    label: str
    group: str


def read(folder: Path, *, steps: int, sound: str, side: int | None) -> OwnData:
    """The samples of a folder. Raises DataError naming the files that are missing, damaged or of
    another kind or shape, UsageError for settings out of range.
    """
    files = list(_files(folder))
    classes = sorted({file.label for file in files})
    if len(classes) < 2:
        limit, fix = "2 class folders at least", "put each class's files into a folder of its name"
        raise DataError("too few classes", where=folder, limit=limit, value=len(classes), fix=fix)
    kind = _kind(files, folder)
    read, over_time = reader(kind, steps=steps, sound=sound, side=side)
    grouped = any(file.group for file in files)
    return OwnData(
        {INPUT: _values(files, read, folder)},
        np.array([classes.index(file.label) for file in files], np.int64),
        tuple(classes),
        np.array([file.part for file in files]) if files[0].part else None,
        np.array([file.group or str(file.path) for file in files]) if grouped else None,
        over_time,
        folder.resolve().name,
    )


def _files(folder: Path) -> Iterator[_File]:
    """All files, sorted; parts where the folders are named so."""
    there = _entries(folder)
    names = {path.name for path in there}
    in_parts = PARTS[0] in names and names <= set(PARTS)
    for root in there if in_parts else [folder]:
        part = root.name if in_parts else ""
        for place in _entries(root):
            if not place.is_dir():
                fix = "put it into the folder of its class"
                raise DataError("a file beside the class folders", where=place, fix=fix)
            found = list(_within(place, part))
            if not found:
                raise DataError("a class folder without a file", where=place)
            yield from found


def _within(place: Path, part: str) -> Iterator[_File]:
    """The files of a class, and those of the groups in it."""
    for path in _entries(place):
        if not path.is_dir():
            yield _File(path, part, place.name, "")
            continue
        for inner in _entries(path):
            if inner.is_dir():
                fix = "a class folder holds files, or folders of groups"
                raise DataError("a folder within a group", where=inner, fix=fix)
            yield _File(inner, part, place.name, path.name)


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, without hidden names."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as reason:
        raise DataError("cannot read", where=folder, value=reason.strerror or reason) from None


def _kind(files: list[_File], folder: Path) -> str:
    """The one kind that all files are of."""
    first: dict[str, Path] = {}
    for file in files:
        kind = KINDS.get(file.path.suffix.lower())
        if kind is None:
            limit = " ".join(KINDS)
            raise DataError("no kind of file that is read", where=file.path, limit=limit)
        first.setdefault(kind, file.path)
    if len(first) > 1:
        named = ", ".join(f"{kind} {path.relative_to(folder)}" for kind, path in first.items())
        fix = "keep one kind, or give module:function that reads both"
        raise DataError("files of several kinds", where=folder, value=named, fix=fix)
    return next(iter(first))


def _values(files: list[_File], read: Reader, folder: Path) -> np.ndarray:
    """Every file's values [S, ...]; the faults of all are said together."""
    faults: list[str] = []
    made: list[np.ndarray] = []
    for file in each(files, "reading files"):
        try:
            x = read(file.path)
        except DataError as error:
            faults.append(str(error))
            continue
        if not made:
            what = "the samples of the folder are too much"
            check_bound(what, x.nbytes * len(files), ARRAYS_BYTES, where=folder, error=DataError)
        elif _extent(x) != _extent(made[0]):
            shapes = f"{list(x.shape)}, the first one {list(made[0].shape)}"
            fix = "; give a side" if x.dtype == np.uint8 and x.ndim == 3 else ""
            faults.append(f"{file.path}: of another length or shape, {shapes}{fix}")
        made.append(x)
    refuse(faults, folder)
    whole = max(x.shape for x in made)  # colours, where some are grey
    return np.stack([np.broadcast_to(x, whole) for x in made])


def _extent(x: np.ndarray) -> tuple[int, ...]:
    """The shape that all files share: grey and coloured pictures go together."""
    return x.shape[1:] if x.dtype == np.uint8 and x.ndim == 3 and len(x) in (1, 3) else x.shape
