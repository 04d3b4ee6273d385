"""urbansound8k-av: ten kinds of street sound, each clip with a picture (Guo et al. 2024).

    data_dir/UrbanSound8K-AV/Dataset_v3_vision/CLASS/x.jpg
    data_dir/UrbanSound8K-AV/Dataset_v3_sound/CLASS/x.wav

The published split gives the first 70 % of every class to training, in the order in which the file
system lists them. Here that order is the sorted one of the names, the same everywhere. Slices of
one recording (the number before the first dash of an UrbanSound8K name) can be in both parts of it,
as published; validation shares none with training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..features.pairs import Pairs, stream
from .folders import counted, encoded, files, partnered, root_of, some

NAME = "urbansound8k-av"
CLASSES = 10
SOUND, VISION = "Dataset_v3_sound", "Dataset_v3_vision"
TRAIN_TENTHS = 7
HOLDS = f"UrbanSound8K-AV/{SOUND}/CLASS/*.wav and UrbanSound8K-AV/{VISION}/CLASS/*.jpg"


def load(split: str, data_dir: str | Path | None, seed: int = 0, steps: int = 0) -> Pairs:
    """The split by name. Raises DataError naming classes and files missing or damaged."""
    stream(seed, split)
    folder, faults = root_of(data_dir, NAME, "UrbanSound8K-AV", HOLDS), list[str]()
    sounds, pictures, labels, recordings = [], [], [], []
    for label, kind in enumerate(_kinds(folder, faults)):
        heard = files(folder / SOUND / kind, ".wav", faults)
        seen = files(folder / VISION / kind, ".jpg", faults)
        stems = part(partnered(heard, seen, folder / "*" / kind, faults), split)
        if not stems:
            faults.append(f"{folder}: no {split} clip of {kind}")
        sounds += [heard[s] for s in stems]
        pictures += [seen[s] for s in stems]
        recordings += [s.split("-")[0] for s in stems]
        labels += [label] * len(stems)
    framed = encoded(sounds, pictures, folder, faults)
    return Pairs(
        label=np.array(labels, np.int64),
        row=np.arange(len(labels)),
        split=split,
        name=NAME,
        classes=CLASSES,
        group=np.unique(recordings, return_inverse=True)[1],
        framed=framed,
    )


def part(stems: list[str], split: str) -> list[str]:
    """The first 70 % of sorted names for training, the rest for the test."""
    border = len(stems) * TRAIN_TENTHS // 10
    return stems[:border] if split == "train" else stems[border:]


def _kinds(folder: Path, faults: list[str]) -> list[str]:
    """The classes, sorted: folders of either half, of which there are ten, in both."""
    found: set[str] = set()
    for half in (SOUND, VISION):
        place = folder / half
        there = {p.name for p in place.iterdir() if p.is_dir()} if place.is_dir() else set()
        if not there:
            faults.append(f"{place}: no class folders")
        found |= there
    kinds = sorted(found)
    if kinds:
        counted(len(kinds), CLASSES, f"classes ({some(kinds)})", folder, faults)
    return kinds
