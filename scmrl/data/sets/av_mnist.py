"""av-mnist: human recordings of the Free Spoken Digit Dataset, each with MNIST images of its digit.

    data_dir/fsdd/recordings/{digit}_{speaker}_{take}.wav       takes 0-4 test, 5 and later train
    data_dir/mnist/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz

Recordings go in the order of (digit, speaker, take); images are drawn without replacement per
digit, those of the train split from MNIST's training set, those of the test split from its test
set.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ...system.errors import DataError, UsageError
from ..features.pairs import SAMPLE_RATE, SIDE, Pairs, stream, unit_window
from ..formats.idx import read_idx
from ..formats.sound import read_sound
from .folders import folder_of, refuse

NAME = "av-mnist"
CLASSES = 10
TEST_TAKES = range(5)
IMAGES_PER_RECORDING = {"train": 1, "test": 5}
MNIST_FILES = {"train": "train", "test": "t10k"}
RECORDING = re.compile(r"([0-9])_([^_]+)_([0-9]+)")


def load(
    split: str,
    data_dir: str | Path | None,
    seed: int = 0,
    steps: int = 0,
    images_per_recording: int | None = None,
) -> Pairs:
    """All recordings of a split, each paired with `images_per_recording` images (by default 1
    train, 5 test); still frames, so `steps` does not matter.

    Raises DataError that names the files that are missing, corrupt or truncated (the first ten, and
    how many) or the digit with too few images; UsageError for an unknown split, a negative seed or
    no images.
    """
    random = stream(seed, split)
    repeats = IMAGES_PER_RECORDING[split] if images_per_recording is None else images_per_recording
    if repeats < 1:
        raise UsageError("images_per_recording is at least 1", value=repeats)
    folder = folder_of(data_dir, NAME, "fsdd/recordings/*.wav and mnist/*.gz")
    faults: list[str] = []
    waveform, spoken = recordings(folder, split, faults)
    image, written = images(folder, split, faults)
    refuse(faults, folder)
    speech = np.repeat(np.arange(len(spoken)), repeats)
    label = spoken[speech]
    drawn = draw(written, np.bincount(label, minlength=CLASSES), random)
    return Pairs(
        waveform=waveform[speech],
        image=image[drawn].astype(np.float32) / 255,
        label=label,
        row=np.arange(len(label)),
        split=split,
        name=NAME,
        classes=CLASSES,
    )


def recordings(data_dir: Path, split: str, faults: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The takes of a split, sorted: float32 [S, 8000] and int64 [S]; faults go to `faults`."""
    folder = data_dir / "fsdd" / "recordings"
    takes = []
    for path in sorted(folder.glob("*.wav")):
        match = RECORDING.fullmatch(path.stem)
        if not match:
            faults.append(f"{path}: not named digit_speaker_take.wav")
        elif (int(match[3]) in TEST_TAKES) == (split == "test"):
            takes.append((int(match[1]), match[2], int(match[3]), path))
    absent = set(range(CLASSES)) - {take[0] for take in takes}
    if absent:
        faults.append(f"{folder}: no {split} recording of {', '.join(map(str, sorted(absent)))}")
    takes.sort()
    windows = [_gather(_one_second, path, faults) for *_, path in takes]
    sound = [window for window in windows if window is not None]
    return np.array(sound, np.float32), np.array([take[0] for take in takes], np.int64)


def images(data_dir: Path, split: str, faults: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's half for a split: uint8 [N, 28, 28] and uint8 [N]; what is wrong goes to `faults`."""
    stem = data_dir / "mnist" / MNIST_FILES[split]
    image_path = Path(f"{stem}-images-idx3-ubyte.gz")
    label_path = Path(f"{stem}-labels-idx1-ubyte.gz")
    image = _gather(partial(read_idx, axes=3), image_path, faults)
    label = _gather(partial(read_idx, axes=1), label_path, faults)
    if image is not None and image.shape[1:] != (SIDE, SIDE):
        faults.append(f"{image_path}: images of {image.shape[1:]}, not {SIDE}x{SIDE}")
    if label is not None and label.size and label.max() >= CLASSES:
        faults.append(f"{label_path}: a label of {label.max()}")
    if image is None or label is None:  # the fault is told
        return np.empty((0, SIDE, SIDE), np.uint8), np.empty(0, np.uint8)
    if len(image) != len(label):
        faults.append(f"{label_path}: {len(label)} labels for {len(image)} images")
    return image, label


def draw(label: np.ndarray, wanted: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Rows of `label`, sorted by digit: `wanted`[d] different ones of digit d, or DataError."""
    drawn = []
    for digit, count in enumerate(wanted):
        rows = np.flatnonzero(label == digit)
        if len(rows) < count:
            raise DataError(
                f"too few MNIST images of {digit}",
                limit=f"{count} needed",
                value=len(rows),
                fix="use fewer images per recording",
            )
        drawn.append(random.choice(rows, count, replace=False))
    return np.concatenate(drawn)


def _one_second(path: Path) -> np.ndarray:
    samples, rate = read_sound(path)
    if rate != SAMPLE_RATE:
        limit, value = f"{SAMPLE_RATE} Hz", f"{rate} Hz"
        raise DataError("wrong sample rate", where=path, limit=limit, value=value)
    return unit_window(samples, where=path)


def _gather(read: Callable[[Path], np.ndarray], path: Path, faults: list[str]) -> np.ndarray | None:
    """What `read` makes of `path`, or None and one more entry in `faults`."""
    try:
        return read(path)
    except DataError as error:
        faults.append(str(error))
        return None
