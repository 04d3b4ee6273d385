"""nmnist-fsdd: spoken digits through a spiking cochlea, written ones before an event camera.

    audio    spikes [T, 1, 32, 32]   FSDD takes (5 and later train, 0-4 test), see `cochlea`
    visual   events [T, 2, 32, 32]   N-MNIST recordings, see `events`

Every train take goes with one recording of the same digit, every test take with up to five. Rows
with the same event recording are one group: validation shares neither takes nor event recordings
with training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..features.pairs import Pairs, stream
from ..formats import nmnist
from . import av_mnist
from .folders import folder_of, refuse

NAME = "nmnist-fsdd"
CLASSES = 10
PER_TAKE = {"train": 1, "test": 5}


def load(split: str, data_dir: str | Path | None, seed: int = 0, steps: int = 8) -> Pairs:
    """Pairs of a split, `steps` frames. Raises DataError naming what is missing or damaged."""
    random = stream(seed, split)
    folder = folder_of(data_dir, NAME, "fsdd/recordings/*.wav and nmnist/*.bs2")
    faults: list[str] = []
    waveform, spoken = av_mnist.recordings(folder, split, faults)
    written, digit = nmnist.recordings(folder, split, steps, faults)
    refuse(faults, folder)
    take, event = match(spoken, digit, PER_TAKE[split], random)
    return Pairs(
        waveform=waveform[take],
        cochlea_steps=steps,
        recorded={"visual": written[event]},
        label=spoken[take],
        row=np.arange(len(take)),
        group=event,
        split=split,
        name=NAME,
        classes=CLASSES,
    )


def match(
    spoken: np.ndarray, digit: np.ndarray, per_take: int, random: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Rows (take, event recording) of the same digit: each take with `per_take` different
    recordings, or all there are; every recording is used about equally often.
    """
    takes, events = [], []
    for d in np.unique(spoken):
        rows, queue = np.flatnonzero(digit == d), list[int]()
        for take in np.flatnonzero(spoken == d):
            count = min(per_take, len(rows))
            while len(queue) < count:
                queue += [r for r in random.permutation(rows) if r not in queue]
            takes += [take] * count
            events += queue[:count]
            del queue[:count]
    return np.array(takes, np.int64), np.array(events, np.int64)
