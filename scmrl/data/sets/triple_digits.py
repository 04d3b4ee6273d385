"""triple-digits: a spoken digit, an image of it and an event recording of another writing of it.

    audio   8 kHz speech (FSDD)    visual   28x28 (MNIST)    event   [T, 2, 32, 32] (N-MNIST)

N-MNIST filmed MNIST: the images that the recordings at hand show are never used, so no image and
recording of a row show the same writing. Test images are MNIST's test images, test recordings those
of `nmnist`. Rows with the same event recording are one group.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..features.pairs import Pairs, stream
from ..formats import nmnist
from . import av_mnist
from .folders import folder_of, refuse
from .nmnist_fsdd import match

NAME = "triple-digits"
CLASSES = 10
PER_TAKE = {"train": 1, "test": 5}
FILMED = {"train": 1000, "test": 100}  # first images of MNIST's halves, which N-MNIST filmed


def load(split: str, data_dir: str | Path | None, seed: int = 0, steps: int = 4) -> Pairs:
    """Triples of a split. Raises DataError naming what is missing or damaged."""
    random = stream(seed, split)
    folder = folder_of(data_dir, NAME, "fsdd/recordings/*.wav, mnist/*.gz and nmnist/*.bs2")
    faults: list[str] = []
    waveform, spoken = av_mnist.recordings(folder, split, faults)
    image, written = av_mnist.images(folder, split, faults)
    filmed, digit = nmnist.recordings(folder, split, steps, faults)
    refuse(faults, folder)
    take, event = match(spoken, digit, PER_TAKE[split], random)
    label = spoken[take]
    order = np.argsort(label, kind="stable")  # `draw` gives images digit by digit
    free = np.arange(FILMED[split], len(written))
    drawn = np.empty(len(take), np.int64)
    drawn[order] = free[av_mnist.draw(written[free], np.bincount(label, minlength=CLASSES), random)]
    return Pairs(
        waveform=waveform[take],
        image=image[drawn].astype(np.float32) / 255,
        label=label,
        row=np.arange(len(take)),
        split=split,
        name=NAME,
        classes=CLASSES,
        group=event,
        recorded={"event": filmed[event]},
    )
