"""mnistdvs-ntidigits: digits before an event camera, spoken ones through a silicon cochlea: spikes.

    data_dir/DVS/MNIST_DVS/**/mnist_{digit}_scale04_{number}.aedat    1,000 of each digit (unpacked)
    data_dir/DVS/**/n-tidigits.hdf5                    {train,test}_{labels,addresses,timestamps}

    visual  binary [T, 2, 28, 28]  did the pixel see an event of that polarity in that step? the
                                   middle 28 of 128 pixels, upright; polarity 1 became brighter
    audio   binary [T, 1, 28, 28]  did the channel spike in that step? 64 as 8x8, pixels repeated

As published: each digit's camera recordings are shuffled, 500 train and 500 test; the cochlea's
train and test parts are repeated or cut to 500 of each digit; both are paired by position. Unlike
there, 'o' is zero and 'z' is left out. The shuffle is drawn from a fixed stream, so the split is
the same everywhere. A step is a T-th of each recording's own duration. The published size, 28, cuts
off some 10 % of the events at this scale (19 % in the worst step); 34 pixels would lose 4.6 %.
Camera: Serrano-Gotarredona and Linares-Barranco 2015, 10.3389/fnins.2015.00481; cochlea: Anumula et
al. 2018, 10.3389/fnins.2018.00023. Published frames hold counts and are resized bilinearly; the
network here takes spikes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ...core.report.progress import each
from ...system.dependencies import require
from ...system.errors import DataError
from ...system.reading import regular
from ..features.pairs import Pairs, stream
from ..formats.aedat import SENSOR_SIDE, read_aedat
from .folders import refuse, root_of, some

NAME = "mnistdvs-ntidigits"
CLASSES = 10
SIDE = 28  # pixels
CHANNELS = 64
SPIKES = 1 << 20  # of a spoken recording at most
LABELS = 1 << 17  # of a part at most
RECORDED = 1000  # camera recordings of a digit at one scale
PER_SPLIT = 500
SCALE = "04"
FILMED = re.compile(rf"mnist_(\d)_scale{SCALE}_(\d+)")
SPOKEN = ("o", *"123456789")
COCHLEA_FILE = "n-tidigits.hdf5"
DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError)  # what h5py makes of it
HOLDS = f"DVS/MNIST_DVS/**/mnist_*_scale{SCALE}_*.aedat and DVS/**/{COCHLEA_FILE}"


def load(split: str, data_dir: str | Path | None, seed: int = 0, steps: int = 16) -> Pairs:
    """Pairs of a split in frames of `steps`. Raises DataError naming what is missing or damaged."""
    stream(seed, split)
    folder, faults = root_of(data_dir, NAME, "DVS", HOLDS), list[str]()
    filmed = _filmed(folder / "MNIST_DVS", faults)
    # tonic makes a folder for it
    cochlea_file = min(folder.rglob(COCHLEA_FILE), default=folder / COCHLEA_FILE)
    spoken = _spoken(cochlea_file, split, steps, faults)
    refuse(faults, folder)
    seen, heard, labels, groups = [], [], [], []
    for digit in range(CLASSES):
        shuffled = np.random.default_rng((0, digit)).permutation(len(filmed[digit]))
        half = shuffled[:PER_SPLIT] if split == "train" else shuffled[PER_SPLIT : 2 * PER_SPLIT]
        takes = np.arange(len(half)) % len(spoken[digit])
        for row, take in each([*zip(half, takes)], f"reading {split} recordings of {digit}"):
            try:
                seen.append(camera_frames(read_aedat(filmed[digit][row]), steps))
            except DataError as error:
                faults.append(str(error))
            heard.append(spoken[digit][take])
            groups.append(digit * RECORDED + take)
        labels += [digit] * len(half)
    refuse(faults, folder)
    return Pairs(
        label=np.array(labels, np.int64),
        row=np.arange(len(labels)),
        split=split,
        name=NAME,
        classes=CLASSES,
        group=np.array(groups, np.int64),
        recorded={"audio": np.array(heard), "visual": np.array(seen)},
    )


def camera_frames(events: np.ndarray, steps: int) -> np.ndarray:
    """Binary uint8 [steps, 2, 28, 28] of a recording's events: the middle of the sensor."""
    border = (SENSOR_SIDE - SIDE) // 2
    x, y = events["x"] - border, events["y"] - border
    seen = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    out = np.zeros((steps, 2, SIDE, SIDE), np.uint8)
    out[step_of(events["t"], steps)[seen], events["p"][seen], y[seen], x[seen]] = 1
    return out


def cochlea_frames(times: np.ndarray, channels: np.ndarray, steps: int) -> np.ndarray:
    """Binary uint8 [steps, 1, 28, 28] of spikes at `times` in `channels` (0..63)."""
    fired = np.zeros((steps, CHANNELS), np.uint8)
    fired[step_of(times - times.min(), steps), channels] = 1
    near = np.arange(SIDE) * 8 // SIDE
    return fired.reshape(steps, 1, 8, 8)[:, :, near[:, None], near]


def step_of(t: np.ndarray, steps: int) -> np.ndarray:
    """The step of every time t >= 0, of equal steps from 0 to the last one."""
    return np.minimum(t * steps / max(t.max(), 1e-12), steps - 1).astype(np.int64)


def _filmed(folder: Path, faults: list[str]) -> dict[int, list[Path]]:
    """The camera recordings of each digit in the order of their numbers."""
    found: dict[int, dict[int, Path]] = {digit: {} for digit in range(CLASSES)}
    if not folder.is_dir():
        faults.append(f"{folder}: no such folder")
        return {}
    for path in sorted(folder.rglob("*.aedat")):
        match = FILMED.fullmatch(path.stem)
        if not match:
            continue
        there, number = found[int(match[1])], int(match[2])
        if number in there:
            other = there[number].relative_to(folder)
            faults.append(f"{path}: {other} is the same recording; keep one of them")
        there[number] = path
    zipped = sorted(path.name for path in folder.rglob("*.zip"))
    for digit, there in found.items():
        if len(there) != RECORDED:
            hint = f" (not unpacked: {some(zipped)})" if zipped else ""
            named = f"recordings mnist_{digit}_scale{SCALE}_*.aedat"
            faults.append(f"{folder}: {len(there)} {named} of {RECORDED}{hint}")
    return {digit: [there[number] for number in sorted(there)] for digit, there in found.items()}


def _spoken(path: Path, split: str, steps: int, faults: list[str]) -> dict[int, list[np.ndarray]]:
    """Frames of the single-digit recordings of a part by digit, at most 500 of each, in order."""
    spoken = cochlea_recordings(path, split, SPOKEN, faults)
    return {
        digit: [cochlea_frames(times, channels, steps) for channels, times in takes]
        for digit, takes in spoken.items()
    }


def cochlea_recordings(
    path: Path, split: str, words: tuple[str, ...], faults: list[str]
) -> dict[int, list[tuple[np.ndarray, np.ndarray]]]:
    """(channels int64 [n], times float64 [n] in s) of the recordings of one word in a part, by the
    place of the word among `words`, at most 500 of each, in order; what is wrong goes to `faults`.
    """
    h5py = require("h5py", "N-TIDIGITS")
    if not path.is_file():
        faults.append(f"{path}: no such file")
        return {}
    spoken: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {d: [] for d in range(CLASSES)}
    try:
        with h5py.File(regular(path, None, error=DataError), "r") as file:
            for name in _names(file, split, path, faults):
                word = name.rsplit("-", 1)[-1]
                if word not in words or len(spoken[words.index(word)]) >= PER_SPLIT:
                    continue
                found = _recording(file, split, name, path, faults)
                if found is not None:
                    spoken[words.index(word)].append(found)
    except DAMAGE as error:
        why = " ".join(str(error).split())[:80]
        faults.append(f"{path}: damaged or truncated HDF5 file ({why})")
        return {}
    silent = [words[digit] for digit, takes in spoken.items() if not takes]
    if silent and not faults:
        faults.append(f"{path}: no {split} recording of {', '.join(silent)}")
    return spoken


def _names(file: Any, split: str, path: Path, faults: list[str]) -> list[str]:
    """The recordings of a part: gender-speaker-take-word."""
    keys = [f"{split}_{kind}" for kind in ("labels", "addresses", "timestamps")]
    if absent := [key for key in keys if key not in file]:
        faults.append(f"{path}: no {', '.join(absent)}")
        return []
    labels = file[f"{split}_labels"]
    if len(getattr(labels, "shape", ())) != 1 or labels.size > LABELS:
        faults.append(f"{path}: {split}_labels is not a list of at most {LABELS} names")
        return []
    texts = labels[()]
    return [x.decode("utf-8", "replace") if isinstance(x, bytes) else str(x) for x in texts]


def _recording(
    file: Any, split: str, name: str, path: Path, faults: list[str]
) -> tuple[np.ndarray, np.ndarray] | None:
    parts = [file.get(f"{split}_{kind}/{name}") for kind in ("addresses", "timestamps")]
    if None in parts:
        faults.append(f"{path}: {name} is in {split}_labels but has no addresses or timestamps")
        return None
    if not all(map(_is_list, parts)):
        faults.append(f"{path}: {name} is not a list of at most {SPIKES} spikes")
        return None
    channels, times = np.asarray(parts[0]), np.asarray(parts[1], np.float64)
    paired = len(times) and len(times) == len(channels)
    if not paired or not 0 <= channels.min() <= channels.max() < CHANNELS:
        found = f"{len(channels)} addresses, {len(times)} timestamps, or a channel past 63"
        faults.append(f"{path}: {name} has {found}")
        return None
    if not np.isfinite(times).all():
        faults.append(f"{path}: {name} has a timestamp that is not finite")
        return None
    return channels.astype(np.int64), times


def _is_list(part: Any) -> bool:
    flat = len(getattr(part, "shape", ())) == 1
    return flat and part.size <= SPIKES and part.dtype.kind in "iuf"
