"""Recordings of events or spikes, many a file: an npz that holds one after the other.

start    int64 [n + 1]      recording i has the events start[i] .. start[i + 1]
label    int64 [n]          group: int64 [n], who or what was recorded; -1: not known
t, ..    [start[n]]         the fields of an event: time, and where
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core.report.progress import each
from ...system.errors import DataError
from ...system.reading import read_arrays
from .index import Index
from .work import Row

ARRAYS_BYTES = 1 << 30  # what a file of recordings may unpack to
EACH = 500  # recordings of a file


@dataclass
class Shelf:
    """Recordings on their way into a file."""

    label: list[int] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    events: list[dict[str, np.ndarray]] = field(default_factory=list)

    def add(self, label: int, events: dict[str, np.ndarray], group: int = -1) -> None:
        """Another recording: arrays of one length, under the same names in every one."""
        self.label.append(label)
        self.group.append(group)
        self.events.append(events)

    def file(self) -> bytes:
        """The npz."""
        lengths = [len(events["t"]) for events in self.events]
        arrays = {n: np.concatenate([e[n] for e in self.events]) for n in self.events[0]}
        out = io.BytesIO()
        tables: dict[str, Any] = {
            "start": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            "label": np.array(self.label, np.int64),
            "group": np.array(self.group, np.int64),
        }
        np.savez_compressed(out, **tables, **arrays)  # type: ignore[arg-type]
        return out.getvalue()


@dataclass(frozen=True)
class Recording:
    """One recording of a file."""

    label: int
    group: int
    events: dict[str, np.ndarray]


def recordings(index: Index, rows: list[Row], what: str) -> Iterator[Recording]:
    """Every recording of the files of `rows`, in order. Raises DataError for a damaged file."""
    for row in each(rows, what):
        path = index.folder / row["file"]
        arrays = read_arrays(path, ARRAYS_BYTES, error=DataError)
        if not {"start", "label", "group", "t"} <= set(arrays):
            raise DataError("not a file of recordings", where=path, fix="prepare it again")
        start, label, group = (arrays.pop(name) for name in ("start", "label", "group"))
        for i, (begin, end) in enumerate(zip(start, start[1:])):
            events = {name: x[begin:end] for name, x in arrays.items()}
            yield Recording(int(label[i]), int(group[i]), events)
