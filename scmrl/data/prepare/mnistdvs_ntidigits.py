"""MNIST-DVS and N-TIDIGITS as their publishers give them, in any folders.

    mnist_{digit}_scale04_{number}.aedat     digits before an event camera, 1 to 1,000 of each
    n-tidigits.hdf5                          spoken ones through a silicon cochlea

As published: 500 camera recordings of each digit train and 500 test, by a fixed shuffle of their
numbers; of the cochlea's parts the single digits 'z', '1' .. '9', at most 500 of each. A number
that is there twice (grabbed_data0 and processed_data0 use the same names) is refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...system.errors import DataError
from ..prepared.recordings import Shelf
from ..prepared.work import Asked, Made, Plan, Unit
from ..sets import mnistdvs_ntidigits as digits
from ..sets.folders import refuse
from .n_mnist import shelves

WORDS = ("z", *"123456789")
MAKE = "scmrl.data.prepare.mnistdvs_ntidigits:cochlea_file"


def plan(source: Path, asked: Asked) -> Plan:
    """Raises DataError where the download is not there, or a recording is there twice."""
    filmed, left_out = _filmed(source)
    cochlea = sorted(source.rglob(digits.COCHLEA_FILE))
    if not any(filmed.values()) or len(cochlea) != 1:
        named = f"mnist_DIGIT_scale{digits.SCALE}_NUMBER.aedat and one {digits.COCHLEA_FILE}"
        value = f"{sum(map(len, filmed.values()))} and {len(cochlea)}"
        fix = "unpack MNIST_DVS and put the cochlea's file beside it"
        what = "the download is not there"
        raise DataError(what, where=source, limit=named, value=value, fix=fix)
    units: list[Unit] = []
    for digit, there in filmed.items():
        order = np.random.default_rng((0, digit)).permutation(digits.RECORDED) + 1
        halves = order[: digits.PER_SPLIT], order[digits.PER_SPLIT : 2 * digits.PER_SPLIT]
        for split, numbers in zip(("train", "test"), halves):
            paths = [there[n] for n in numbers.tolist() if n in there]
            units += shelves(f"{split}-{digit}", paths, digit, {"split": split})
    for split in ("train", "test"):
        arguments = (f"audio/{split}.npz", str(cochlea[0]), split)
        row = {"part": split}
        units.append(Unit(f"cochlea-{split}", MAKE, arguments, (cochlea[0],), row))
    each = digits.CLASSES * digits.PER_SPLIT
    return Plan(tuple(units), {"train": each, "test": each}, {}, tuple(left_out))


def cochlea_file(file: str, path: str, split: str) -> Made:
    """The unit of the spoken half of a part."""
    faults: list[str] = []
    spoken = digits.cochlea_recordings(Path(path), split, WORDS, faults)
    shelf = Shelf()
    for digit, takes in spoken.items():
        for channels, times in takes:
            shelf.add(digit, {"t": times, "x": channels.astype(np.uint8)})
    if not shelf.label:
        return Made(left_out=tuple(faults))
    return Made({file: shelf.file()}, ({"file": file, "count": len(shelf.label)},), tuple(faults))


def _filmed(source: Path) -> tuple[dict[int, dict[int, Path]], list[str]]:
    """{digit: {number: file}}, and names with other numbers. DataError for a number twice."""
    found: dict[int, dict[int, Path]] = {digit: {} for digit in range(digits.CLASSES)}
    left_out, twice = list[str](), list[str]()
    for path in sorted(source.rglob("*.aedat")):
        match = digits.FILMED.fullmatch(path.stem)
        if not match:
            continue
        there, number = found[int(match[1])], int(match[2])
        if not 1 <= number <= digits.RECORDED:
            left_out.append(f"{path.name}: numbers go from 1 to {digits.RECORDED}")
        elif number in there:
            other = there[number].relative_to(source)
            twice.append(f"{path.relative_to(source)} and {other} have the same name; keep one")
        else:
            there[number] = path
    refuse(twice, source)
    return found, left_out
