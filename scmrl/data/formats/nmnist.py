"""The N-MNIST half of a dataset: event-camera recordings of a split, by digit.

    data_dir/nmnist/{id}.bs2, train1K.txt, test100.txt              columns: sample, class
    data_dir/nmnist/{Train,Test}/DIGIT/NNNNN.bin                    as published

Number NNNNN of a published half shows MNIST's image of that number, as id NNNNN of the first list
and 60000 + NNNNN of the second one do (each in a recording of its own). The first 1,000 and 100 are
read, as many as the lists name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...core.report.progress import each
from ...system.errors import DataError
from ...system.reading import LIST_BYTES, read_text
from .events import frames, read_bs2

INDEX = {"train": "train1K.txt", "test": "test100.txt"}
HALVES = {"train": ("Train", 1000), "test": ("Test", 100)}  # as published, and how many are read
DURATION_US = 300_000
TEST_LEAST = 5  # test recordings of a digit


Row = tuple[Path, int]  # file, class


def recordings(
    data_dir: Path, split: str, steps: int, faults: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Event counts uint8 [N, steps, 2, 32, 32] and digits int64 [N] of the recordings that are
    there.

    A damaged file goes to `faults`. The published set comes in parts: recordings that the index
    lists and the folder lacks are left out. A digit with fewer than five test recordings takes the
    last of its training ones, which training then does without.
    """
    folder = Path(data_dir) / "nmnist"
    published = (folder / HALVES["train"][0]).is_dir()
    there = {name: _published(folder, *half) for name, half in HALVES.items()}
    if not published:
        there = {
            name: [row for row in _index(folder / file, faults) if row[0].exists()]
            for name, file in INDEX.items()
        }
    if not there[split] and not faults:
        named = HALVES[split][0] if published else INDEX[split]
        faults.append(f"{folder}: no recording of {named} is there")
    there = _completed(there["train"], there["test"])
    made, kept = [], []
    for path, digit in each(there[split], f"reading {split} recordings"):
        try:
            made.append(frames(read_bs2(path), steps, duration_us=DURATION_US, bits=8))
            kept.append(digit)
        except DataError as error:
            faults.append(str(error))
    return np.array(made, np.uint8), np.array(kept, np.int64)


def _completed(train: list[Row], test: list[Row]) -> dict[str, list[Row]]:
    """Both splits, each digit with `TEST_LEAST` test recordings where so many can be spared."""
    moved: list[Row] = []
    for digit in range(10):
        short = TEST_LEAST - sum(d == digit for _, d in test)
        spare = [row for row in train if row[1] == digit]
        if 0 < short < len(spare):
            moved += spare[-short:]
    return {"train": [row for row in train if row not in moved], "test": [*test, *moved]}


def _published(folder: Path, half: str, most: int) -> list[Row]:
    """The first recordings of a half by number, in the order of their numbers."""
    found = [
        (int(path.stem), path, digit)
        for digit in range(10)
        for path in (folder / half / str(digit)).glob("*.bin")
        if path.stem.isdecimal()
    ]
    return [(path, digit) for number, path, digit in sorted(found) if number <= most]


def _index(path: Path, faults: list[str]) -> list[Row]:
    try:
        lines = read_text(path, LIST_BYTES, error=DataError).splitlines()
    except DataError as error:
        faults.append(str(error))
        return []
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) > 9:
            faults.append(f"{path}: line {number} is not 'sample class'")
            return rows
        rows.append((path.parent / f"{int(words[0])}.bs2", int(words[1])))
    return rows
