"""Prepared clips as spectrograms and pictures: rows of CREMA-D, AVE and UrbanSound8K-AV.

Spectrograms have nothing where the recording's own rate leaves nothing (`encoders.band_limited`).
Training pictures of one size are kept whole besides, 256 pixels high or wide: 0.25 MB each.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...system.errors import DataError, quoted
from ...system.reading import opened
from ..features.encoders import band_limited, encode_all, middle, rgb, whole
from ..features.pairs import Pairs
from ..sets import ave as ave_set
from ..sets import urbansound8k_av as urbansound
from ..sets.crema_d import CLASSES
from ..sets.folders import refuse
from .index import Index
from .work import Row

TEST_EVERY = 10  # of the actors, by their numbers: 1010, 1020, ..


def crema_d(index: Index, name: str, split: str, steps: int) -> Pairs:
    """The published split; every clip a group of its own, as there."""
    return _published(index, name, split, ("audio", "visual"))


def crema_d_audio(index: Index, name: str, split: str, steps: int) -> Pairs:
    """The sounds of the published split."""
    return _published(index, name, split, ("audio",))


def by_speaker(index: Index, name: str, split: str, steps: int) -> Pairs:
    """Every tenth actor tests, by number, whoever else is there; an actor's clips are one group."""
    tested = split == "test"
    rows = [row for row in index.rows if (row["speaker"] % TEST_EVERY == 0) == tested]
    speakers = np.array([row["speaker"] for row in rows], np.int64)
    modalities = [m for m in ("audio", "visual") if rows and m in rows[0]]
    return clips(index, name, split, rows, len(CLASSES), speakers, modalities)


def ave(index: Index, name: str, split: str, steps: int) -> Pairs:
    """Rows of the lists; those of one video are one group."""
    return _grouped(index, name, split, ave_set.CLASSES, "video")


def urbansound8k_av(index: Index, name: str, split: str, steps: int) -> Pairs:
    """The split by name; slices of one recording are one group."""
    return _grouped(index, name, split, urbansound.CLASSES, "recording")


def _grouped(index: Index, name: str, split: str, classes: int, group: str) -> Pairs:
    rows = [row for row in index.rows if row["split"] == split]
    groups = np.unique([row[group] for row in rows], return_inverse=True)[1]
    return clips(index, name, split, rows, classes, groups)


def _published(index: Index, name: str, split: str, modalities: tuple[str, ...]) -> Pairs:
    rows = index.rows
    if rows and "split" not in rows[0]:
        fix = f"{index.said()} --test-list FILE, or train on crema-d-speakers"
        what = "the list of the published test clips was not at hand"
        raise DataError(what, where=quoted(index.folder), fix=fix)
    rows = [row for row in rows if row["split"] == split]
    return clips(index, name, split, rows, len(CLASSES), np.arange(len(rows)), modalities)


def clips(
    index: Index,
    name: str,
    split: str,
    rows: list[Row],
    classes: int,
    group: np.ndarray,
    modalities: Sequence[str] = ("audio", "visual"),
) -> Pairs:
    """Rows of clips. Raises DataError where there is none, or one is damaged."""
    if not rows:
        there = ", ".join(f"{n} {part}" for part, n in index.counts().items())
        raise DataError(f"no {split} clip of {name}", where=quoted(index.folder), value=there)
    places = {m: [index.folder / row[m] for row in rows] for m in modalities}
    faults: list[str] = []
    framed, entire = dict[str, np.ndarray](), dict[str, np.ndarray]()
    if "audio" in places:
        framed["audio"] = encode_all(band_limited, places["audio"], faults)
    if "visual" in places and split == "train" and _of_one_size(places["visual"]):
        entire["visual"] = encode_all(whole, places["visual"], faults)
        framed["visual"] = middle(entire["visual"])
    elif "visual" in places:
        framed["visual"] = encode_all(rgb, places["visual"], faults)
    refuse(faults, index.folder)
    return Pairs(
        label=np.array([row["label"] for row in rows], np.int64),
        row=np.arange(len(rows)),
        split=split,
        name=name,
        classes=classes,
        group=group,
        framed=framed,
        whole=entire,
    )


def _of_one_size(paths: list[Path]) -> bool:
    """Whether PNG files of scmrl's own are all of one size: by bytes 16 to 24 of each."""
    sizes = set()
    for path in paths:
        with opened(path, None, error=DataError) as file:
            sizes.add(file.read(24)[16:])
    return len(sizes) == 1
