"""`scmrl data check`: what of a dataset is there, what is missing or damaged, and what its samples
look like.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.report import drawing
from ..core.report.report import Block, Figure, Report, columns
from ..core.report.text import figure, percent, shape
from ..system.errors import DataError
from . import load
from .features.pairs import SPLITS, Pairs
from .prepared.index import Index
from .sets.folders import some

COLUMNS = 6  # samples in the picture


@dataclass(frozen=True)
class Modality:
    """One modality of a split. shape: of a sample; density: part of its values that is not zero
    (events: spikes).
    """

    name: str
    kind: str  # waveform, image, frames, events
    shape: tuple[int, ...]
    dtype: str
    low: float
    high: float
    density: float


@dataclass(frozen=True)
class Split:
    """A split that was read whole, or what is wrong with it. classes: samples of each class."""

    name: str
    samples: int = 0
    groups: int = 0
    classes: tuple[int, ...] = ()
    modalities: tuple[Modality, ...] = ()
    seconds: float = 0.0
    fault: str = ""


@dataclass(frozen=True)
class DataReport(Report):
    """Both splits of a dataset."""

    command = "data check"
    dataset: str
    data_dir: str
    splits: tuple[Split, ...]
    picture: str = ""

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(split.fault for split in self.splits if split.fault)

    def headline(self) -> dict[str, str]:
        return {
            "found": "; ".join(
                f"{s.name} {'damaged or incomplete' if s.fault else figure(s.samples)}"
                for s in self.splits
            ),
            "dataset": self.dataset,
            "folder": self.data_dir
            or ("not given (--data-dir)" if self.faults else "none needed: embedded"),
            **{f"{s.name} fault": s.fault for s in self.splits if s.fault},
        }

    def details(self) -> Iterator[Block]:
        whole = [split for split in self.splits if not split.fault]
        for split in whole:
            yield {
                f"{split.name} classes": ", ".join(map(figure, split.classes)),
                f"{split.name} groups": figure(split.groups),
                f"{split.name} read in": f"{split.seconds:.1f} s",
            }
        every = [(s.name, m) for s in whole for m in s.modalities]
        cells = {
            "split": lambda of: of[0],
            "modality": lambda of: of[1].name,
            "kind": lambda of: of[1].kind,
            "sample": lambda of: shape(of[1].shape),
            "type": lambda of: of[1].dtype,
            "lowest": lambda of: figure(of[1].low),
            "highest": lambda of: figure(of[1].high),
            "not zero": lambda of: percent(of[1].density),
        }
        yield columns(every, cells, words=list(cells)[:5])
        if self.picture:
            yield f"picture: {self.picture}"


def check(name: str, data_dir: str | Path | None, picture: Path | None = None) -> DataReport:
    """Read both splits of a dataset and describe them; what cannot be read is a fault of its split,
    not an error.

    Raises UsageError for an unknown dataset, MissingDependency where a library that reads it is
    absent.
    """
    splits, shown = [], None
    changed = _changed(data_dir)
    for split in SPLITS:
        started = time.monotonic()
        try:
            pairs = load(name, split=split, data_dir=data_dir)
            if changed:
                raise changed
        except DataError as error:
            splits.append(Split(split, fault=str(error)))
            continue
        splits.append(_described(pairs, time.monotonic() - started))
        shown = shown or pairs.take(_examples(pairs.label))
    if picture is not None and shown is not None:
        draw(shown, picture)
    drawn = str(picture) if picture is not None and shown is not None else ""
    return DataReport(name, "" if data_dir is None else str(data_dir), tuple(splits), drawn)


def _changed(data_dir: str | Path | None) -> DataError | None:
    """What to say where a prepared data set holds other bytes than were prepared."""
    try:
        index = Index.find(data_dir)
        names = [] if index is None else index.changed()
    except DataError as error:
        return error
    if not names:
        return None
    what = f"not the bytes that were prepared: {some(names)}"
    return DataError(what, where=data_dir, fix="move them away and prepare it again")


def _described(pairs: Pairs, seconds: float) -> Split:
    return Split(
        pairs.split,
        len(pairs),
        len(np.unique(pairs.group)),
        tuple(np.bincount(pairs.label, minlength=pairs.classes).tolist()),
        tuple(_modality(kind, name, x) for kind, name, x in _arrays(pairs)),
        seconds,
    )


def _modality(kind: str, name: str, x: np.ndarray) -> Modality:
    return Modality(
        name,
        kind,
        x.shape[1:],
        str(x.dtype),
        float(x.min(initial=np.inf, where=x > -np.inf)) if x.dtype.kind == "f" else float(x.min()),
        float(x.max()),
        np.count_nonzero(x) / max(x.size, 1),
    )


def _arrays(pairs: Pairs) -> list[tuple[str, str, np.ndarray]]:
    """(kind, modality, array) of everything the rows hold."""
    single = [("waveform", "audio", pairs.waveform), ("image", "visual", pairs.image)]
    return (
        [(kind, name, x) for kind, name, x in single if x is not None]
        + [("frames", name, x) for name, x in pairs.framed.items()]
        + [("events", name, x) for name, x in pairs.recorded.items()]
    )


def _examples(label: np.ndarray) -> np.ndarray:
    """The first row of each class, as many as the picture has columns."""
    return np.unique(label, return_index=True)[1][:COLUMNS]


def draw(pairs: Pairs, path: Path) -> None:
    """One row for each modality, one column for each sample, to an SVG, PNG or PDF file."""
    arrays = _arrays(pairs)

    def samples(sheet: Any) -> None:
        grid = sheet.subplots(len(arrays), len(pairs), squeeze=False)
        for (kind, name, x), row in zip(arrays, grid):
            for sample, label, axes in zip(x, pairs.label, row):
                _draw_sample(kind, sample, axes)
                axes.set(xticks=[], yticks=[], title=f"class {label}")
            row[0].set_ylabel(f"{name}\n{kind}")

    drawing.save(path, Figure("", samples, (1.6 * len(pairs) + 0.6, 1.7 * len(arrays))))


def _draw_sample(kind: str, x: np.ndarray, axes: Any) -> None:
    if kind == "waveform":
        axes.plot(x, linewidth=0.4, color=drawing.LIGHT["ink"])
    elif kind == "image":
        axes.imshow(x, cmap="gray", vmin=0, vmax=1)
    elif kind == "events":  # how often each pixel fired, over all steps and polarities
        axes.imshow(x.sum((0, 1)), cmap="gray")
    elif len(x) == 3:
        axes.imshow(x.transpose(1, 2, 0))
    else:
        axes.imshow(x[0], cmap="magma", aspect="auto", origin="lower")
