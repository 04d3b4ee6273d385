"""Prepared recordings as frames of T steps: rows of N-MNIST, MNIST-DVS with N-TIDIGITS, SHD, SSC.

    n-mnist             visual  counts [T, 2, 32, 32]   step = T t / 0.3 s
    shd, ssc            audio   counts [T, 1, 28, 28]   step = T t / 1.4 s (shd), 1 s (ssc)
                                channel c of 700 at row c // 28, column c mod 28; the rest is empty
    mnistdvs-ntidigits  as `sets.mnistdvs_ntidigits`, with 'z' for zero, as published

What comes later belongs to the last step.
"""

from __future__ import annotations

import numpy as np

from ...system.errors import DataError, quoted
from ..features.pairs import Pairs
from ..formats.events import frames
from ..formats.nmnist import DURATION_US
from ..sets import mnistdvs_ntidigits as digits
from .index import Index
from .recordings import Recording, recordings
from .work import Row

SPOKEN_CLASSES = {"shd": 20, "ssc": 35}
SPOKEN_SECONDS = {"shd": 1.4, "ssc": 1.0}
SPOKEN_SIDE, SPOKEN_CHANNELS = 28, 700


def n_mnist(index: Index, name: str, split: str, steps: int) -> Pairs:
    """Event recordings of written digits; each a group of its own."""
    rows = _part(index, split, name)
    made = np.zeros((_count(rows), steps, 2, 32, 32), np.uint8)
    labels = np.zeros(len(made), np.int64)
    for i, found in enumerate(recordings(index, rows, f"reading {split} recordings")):
        made[i] = frames(_events(found), steps, duration_us=DURATION_US, bits=8)
        labels[i] = found.label
    return _pairs(index, split, labels, {"visual": made}, 10)


def spoken(index: Index, name: str, split: str, steps: int) -> Pairs:
    """Spikes of spoken words; a speaker's are one group where the speaker is known."""
    rows = _part(index, split, name)
    made = np.zeros((_count(rows), steps, 1, SPOKEN_SIDE, SPOKEN_SIDE), np.uint8)
    labels, groups = (np.zeros(len(made), np.int64) for _ in range(2))
    for i, found in enumerate(recordings(index, rows, f"reading {split} recordings")):
        seconds = SPOKEN_SECONDS[name]
        made[i, :, 0] = spoken_frames(found.events["t"], found.events["x"], steps, seconds)
        labels[i], groups[i] = found.label, found.group
    group = np.arange(len(labels)) if (groups < 0).any() else groups
    return _pairs(index, split, labels, {"audio": made}, SPOKEN_CLASSES[name], group)


def spoken_frames(t: np.ndarray, x: np.ndarray, steps: int, seconds: float) -> np.ndarray:
    """Counts uint8 [steps, 28, 28] of spikes at times `t` [n] in s in channels `x` [n] of 700."""
    step = np.minimum((t.astype(float) * steps / seconds).astype(np.int64), steps - 1)
    out = np.zeros((steps, SPOKEN_SIDE**2), np.int64)
    np.add.at(out, (step, x.astype(np.int64)), 1)
    return np.minimum(out, 255).astype(np.uint8).reshape(steps, SPOKEN_SIDE, SPOKEN_SIDE)


def filmed_and_spoken(index: Index, name: str, split: str, steps: int) -> Pairs:
    """A digit's camera recordings with its spoken ones, in turn; a spoken one's are one group."""
    what = f"reading {split} recordings"
    heard: dict[int, list[np.ndarray]] = {digit: [] for digit in range(digits.CLASSES)}
    rows = [r for r in index.rows if r.get("part") == split]
    for said in recordings(index, rows, what):
        frame = digits.cochlea_frames(said.events["t"], said.events["x"].astype(np.int64), steps)
        heard[said.label].append(frame)
    seen, audio, labels, groups = [], [], list[int](), list[int]()
    for found in recordings(index, _part(index, split, name), what):
        takes, digit = heard[found.label], found.label
        if not takes:
            raise DataError(f"no {split} sound of {digit}", where=quoted(index.folder))
        take = labels.count(digit) % len(takes)
        seen.append(digits.camera_frames(_events(found), steps))
        audio.append(takes[take])
        labels.append(digit)
        groups.append(digit * digits.RECORDED + take)
    recorded = {"audio": np.array(audio), "visual": np.array(seen)}
    label, group = (np.array(x, np.int64) for x in (labels, groups))
    return _pairs(index, split, label, recorded, digits.CLASSES, group)


def _part(index: Index, split: str, name: str) -> list[Row]:
    rows = [row for row in index.rows if row.get("split") == split]
    if not _count(rows):
        there = ", ".join(f"{n} {part}" for part, n in index.counts().items())
        what = f"no {split} recording of {name}"
        raise DataError(what, where=quoted(index.folder), value=there)
    return rows


def _count(rows: list[Row]) -> int:
    return sum(row["count"] for row in rows)


def _events(found: Recording) -> np.ndarray:
    """As the readers of camera recordings give them."""
    names = ("t", "x", "y", "p")
    out = np.empty(len(found.events["t"]), [(n, np.uint8 if n == "p" else np.int64) for n in names])
    for name in names:
        out[name] = found.events[name]
    return out


def _pairs(
    index: Index,
    split: str,
    label: np.ndarray,
    recorded: dict[str, np.ndarray],
    classes: int,
    group: np.ndarray | None = None,
) -> Pairs:
    row = np.arange(len(label))
    group = row if group is None else group
    return Pairs(label, row, split, index.dataset, classes, group=group, recorded=recorded)
