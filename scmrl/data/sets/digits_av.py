"""digits-av: real handwritten digits and spoken digits that travel with the package.

Written: the 1,797 scans of 8x8 pixels in scikit-learn, split once: 36 of each digit test, the rest
train. Spoken: synthesised once by scripts/make_digits_av.py, a clip for every pair; no voice speaks
in both splits.
"""

from __future__ import annotations

import json
from importlib import resources

import numpy as np

from ...system.dependencies import require
from ...system.errors import UsageError
from ..features.pairs import SIDE, Pairs, stream, unit_window

NAME = "digits-av"
CLASSES = 10
TEST_PER_DIGIT = 36
SPLIT_SEED = 20250218


def load(split: str, data_dir: None = None, seed: int = 0, steps: int = 0) -> Pairs:
    """1,437 train or 360 test pairs, sorted by digit; `seed` decides which clip goes with which
    image; still frames, so `steps` does not matter.

    Raises UsageError for an unknown split, a negative seed, a data_dir; MissingDependency.
    """
    if data_dir is not None:
        what = f"{NAME} is part of the package and reads no folder"
        raise UsageError(what, value=data_dir, fix="leave data_dir out")
    random = stream(seed, split)
    scan, label = scans(split)
    speech, spoken = recordings(split)
    drawn = [random.permutation(np.flatnonzero(spoken == digit)) for digit in range(CLASSES)]
    clip = np.concatenate([rows[: np.sum(label == digit)] for digit, rows in enumerate(drawn)])
    return Pairs(
        waveform=np.stack([unit_window(speech[i]) for i in clip]),
        image=enlarge(scan),
        label=label,
        row=np.arange(len(label)),
        split=split,
        name=NAME,
        classes=CLASSES,
    )


def scans(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The scans of a split, uint8 [S, 8, 8], and their labels, int64 [S], sorted by digit."""
    digits = require("sklearn.datasets", NAME).load_digits()
    random = np.random.default_rng(SPLIT_SEED)
    of_digit = [np.flatnonzero(digits.target == digit) for digit in range(CLASSES)]
    shuffled = list(map(random.permutation, of_digit))
    part = slice(None, TEST_PER_DIGIT) if split == "test" else slice(TEST_PER_DIGIT, None)
    chosen = np.concatenate([np.sort(rows[part]) for rows in shuffled])
    grey = np.round(digits.images[chosen] * (255 / 16)).astype(np.uint8)
    return grey, digits.target[chosen].astype(np.int64)


def recordings(split: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Every clip of a split, float32 [n] at 8 kHz, and what it says, int64 [clips]."""
    soundfile = require("soundfile", NAME)
    assets = resources.files(__package__) / "assets"
    rows = json.loads((assets / "digits_av.json").read_text())[split]
    with (assets / f"digits_av_{split}.flac").open("rb") as file:
        samples, _ = soundfile.read(file, dtype="float32")
    clips = [samples[row["start"] : row["stop"]] for row in rows]
    return clips, np.array([row["label"] for row in rows])


def enlarge(scan: np.ndarray) -> np.ndarray:
    """uint8 [S, 8, 8] -> float32 [S, 28, 28] in [0, 1], by bilinear interpolation."""
    Image = require("PIL.Image", NAME)
    size, how = (SIDE, SIDE), Image.Resampling.BILINEAR
    large = [np.asarray(Image.fromarray(s).resize(size, how)) for s in scan]
    return np.stack(large).astype(np.float32) / 255
