"""N-MNIST as its publisher gives it: Train/DIGIT/NNNNN.bin, Test/DIGIT/NNNNN.bin (see `events`).

60,000 and 10,000 recordings of 5 bytes an event, Orchard et al. 2015, doi 10.3389/fnins.2015.00437.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...system.errors import DataError
from ..formats.aedat import read_aedat
from ..formats.events import read_bs2
from ..prepared.recordings import EACH, Shelf
from ..prepared.work import Asked, Made, Plan, Row, Unit, inside

PUBLISHED = {"train": 60_000, "test": 10_000}
MAKE = "scmrl.data.prepare.n_mnist:camera_file"
READERS = {".bin": read_bs2, ".bs2": read_bs2, ".aedat": read_aedat}


def plan(source: Path, asked: Asked) -> Plan:
    """Files of at most 500 recordings of a digit. Raises DataError where there is no download."""
    folder = inside(source, "Train")
    units: list[Unit] = []
    left_out: list[str] = []
    for split, half in (("train", "Train"), ("test", "Test")):
        for digit in range(10):
            paths = sorted((folder / half / str(digit)).glob("*.bin"))
            if not paths:
                left_out.append(f"{half}/{digit}: no *.bin")
            units += shelves(f"{split}-{digit}", paths, digit, {"split": split})
    return Plan(tuple(units), dict(PUBLISHED), {}, tuple(left_out))


def shelves(name: str, paths: list[Path], label: int, row: Row) -> list[Unit]:
    """Units of at most 500 camera recordings of one label."""
    parts = [paths[i : i + EACH] for i in range(0, len(paths), EACH)]
    names = [f"{name}-{k:03d}" for k in range(len(parts))]
    return [
        Unit(n, MAKE, (f"visual/{n}.npz", list(map(str, part)), label), tuple(part), row)
        for n, part in zip(names, parts)
    ]


def camera_file(file: str, paths: list[str], label: int) -> Made:
    """A unit of camera recordings; those that cannot be read are left out."""
    shelf, left_out = Shelf(), list[str]()
    for path in map(Path, paths):
        try:
            events = READERS[path.suffix](path)
        except DataError as error:
            left_out.append(f"{path.parent.name}/{path.name}: {error}")
            continue
        fields = {"t": np.uint32, "x": np.uint8, "y": np.uint8, "p": np.uint8}
        shelf.add(label, {name: events[name].astype(kind) for name, kind in fields.items()})
    if not shelf.label:
        return Made(left_out=tuple(left_out))
    row = {"file": file, "count": len(shelf.label)}
    return Made({file: shelf.file()}, (row,), tuple(left_out))
