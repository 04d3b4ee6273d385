"""Pairs of a spoken and a written symbol, which every dataset yields, and the random streams behind them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ..errors import DataError, UsageError

SPLITS = ("train", "test")
SAMPLE_RATE = 8000      # Hz
WINDOW = 8000           # samples: one second
SIDE = 28               # pixels


@dataclass(frozen=True, eq=False)
class Pairs:
    """S recordings, S images and their common labels.

    waveform: float32 [S, 8000], one second at 8 kHz, speech at unit RMS followed by zeros
    image:    float32 [S, 28, 28] in [0, 1], light strokes on black
    label:    int64 [S], 0 <= label < classes
    row:      int64 [S], place of each pair in its full split; keeps its noise the same in every subset
    split:    "train" or "test";  name: of the dataset

    Raises DataError where the arrays do not fit together.
    """

    waveform: np.ndarray
    image: np.ndarray
    label: np.ndarray
    row: np.ndarray
    split: str
    name: str
    classes: int

    def __post_init__(self):
        samples = len(self.label)
        shapes = {"waveform": (samples, WINDOW), "image": (samples, SIDE, SIDE), "label": (samples,),
                  "row": (samples,)}
        for field, shape in shapes.items():
            if getattr(self, field).shape != shape:
                raise DataError("wrong shape", where=f"{self.name}.{field}", limit=shape,
                                value=getattr(self, field).shape)

    def __len__(self) -> int:
        return len(self.label)

    def take(self, indices: np.ndarray) -> Pairs:
        """The pairs at `indices` (integers or booleans), in that order."""
        return dataclasses.replace(self, waveform=self.waveform[indices], image=self.image[indices],
                                   label=self.label[indices], row=self.row[indices])


def unit_window(samples: np.ndarray, where: object = None) -> np.ndarray:
    """The first second of `samples` [n], at 8 kHz, at unit RMS and zero-padded: float32 [8000].

    Raises DataError, naming `where` they came from, for silent samples, which no factor brings to unit RMS.
    """
    spoken = samples[:WINDOW].astype(np.float64)
    rms = np.sqrt(np.mean(spoken**2)) if len(spoken) else 0.0
    if not np.isfinite(rms) or rms == 0:
        raise DataError("the recording is silent in its first second, or not finite", where=where)
    window = np.zeros(WINDOW, np.float32)
    window[:len(spoken)] = spoken / rms
    return window


def stream(seed: int, split: str, *path: int) -> np.random.Generator:
    """The random stream of (seed, split, *path): the same on every run, independent of every other path's.

    Raises UsageError for a negative seed or an unknown split.
    """
    if split not in SPLITS:
        raise UsageError("unknown split", limit=" or ".join(SPLITS), value=split)
    if seed < 0:
        raise UsageError("a seed is not negative", value=seed)
    return np.random.default_rng(np.random.SeedSequence([seed, SPLITS.index(split)], spawn_key=path))
