"""Prepared clips as spectrograms and pictures: rows of CREMA-D, AVE and UrbanSound8K-AV.

Spectrograms have nothing where the recording's own rate leaves nothing (`encoders.band_limited`).
"""

from __future__ import annotations

import numpy as np

from ...system.errors import DataError, quoted
from ..features.encoders import band_limited, encode_all, rgb
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
    modalities: tuple[str, ...] | list[str] = ("audio", "visual"),
) -> Pairs:
    """Rows of clips. Raises DataError where there is none, or one is damaged."""
    if not rows:
        there = ", ".join(f"{n} {part}" for part, n in index.counts().items())
        raise DataError(f"no {split} clip of {name}", where=quoted(index.folder), value=there)
    encoders = {"audio": band_limited, "visual": rgb}
    faults: list[str] = []
    framed = {
        m: encode_all(encoders[m], [index.folder / row[m] for row in rows], faults)
        for m in modalities
    }
    refuse(faults, index.folder)
    return Pairs(
        label=np.array([row["label"] for row in rows], np.int64),
        row=np.arange(len(rows)),
        split=split,
        name=name,
        classes=classes,
        group=group,
        framed=framed,
    )
