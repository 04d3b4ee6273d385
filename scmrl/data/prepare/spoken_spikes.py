"""SHD and SSC, spoken digits and words as spikes of 700 channels (Cramer et al. 2020).

    {shd_train,shd_test,ssc_train,ssc_valid,ssc_test}.h5
        spikes/times [n] of [spikes], in s;  spikes/units [n] of [spikes], 0..699
        labels [n];  extra/speaker [n], where there is one

ssc_valid trains (training holds its own validation out). doi 10.1109/TNNLS.2020.3044364.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...system.dependencies import require
from ...system.errors import DataError, one_line
from ...system.reading import regular
from ..prepared.event_rows import SPOKEN_CHANNELS, SPOKEN_CLASSES
from ..prepared.recordings import EACH, Shelf
from ..prepared.work import Asked, Made, Plan, Unit, inside

FILES = {
    "shd": {"shd_train": ("train", 8156), "shd_test": ("test", 2264)},
    "ssc": {
        "ssc_train": ("train", 75466),
        "ssc_valid": ("train", 9981),
        "ssc_test": ("test", 20382),
    },
}
SPIKES = 1 << 20  # of a recording at most
SECONDS = 3600.0
RECORDINGS = 1 << 20  # of a file at most
MAKE = "scmrl.data.prepare.spoken_spikes:spoken_file"


def plan_shd(source: Path, asked: Asked) -> Plan:
    """20 spoken digits, German and English. Raises DataError where there is no whole download."""
    return _plan("shd", source)


def plan_ssc(source: Path, asked: Asked) -> Plan:
    """35 spoken commands. DataError as `plan_shd`."""
    return _plan("ssc", source)


def _plan(name: str, source: Path) -> Plan:
    require("h5py", "SHD and SSC")
    files = FILES[name]
    folder = inside(source, *(f"{stem}.h5" for stem in files))
    units: list[Unit] = []
    expected: dict[str, int] = {}
    for stem, (split, count) in files.items():
        path = folder / f"{stem}.h5"
        with _opened(path) as file:
            there = _length(file, path)
        expected[split] = expected.get(split, 0) + count
        for k, begin in enumerate(range(0, there, EACH)):
            file_name = f"audio/{stem}-{k:03d}.npz"
            arguments = (file_name, str(path), begin, min(begin + EACH, there), name)
            units.append(Unit(f"{stem}-{k:03d}", MAKE, arguments, (path,), {"split": split}))
    return Plan(tuple(units), expected, {})


def spoken_file(file_name: str, path: str, begin: int, end: int, name: str) -> Made:
    """A unit of recordings `begin` to `end`; those that make no sense are left out."""
    shelf, left_out, notes = Shelf(), list[str](), list[str]()
    place = Path(path)
    with _opened(place) as file:
        try:
            times, units = file["spikes/times"], file["spikes/units"]
            labels = np.asarray(file["labels"][begin:end]).astype(np.int64)
            known = "extra/speaker" in file
            speakers = file["extra/speaker"][begin:end] if known else np.full(end - begin, -1)
            for i in range(begin, end):
                t, x = np.asarray(times[i], np.float32), np.asarray(units[i])
                label, which = int(labels[i - begin]), f"{place.name}: recording {i}"
                if why := _wrong(t, x, label, name):
                    left_out.append(f"{which}: {why}")
                    continue
                if not len(t):
                    notes.append(f"{which}: no spikes")
                events: dict[str, np.ndarray] = {"t": t, "x": x.astype(np.uint16)}
                shelf.add(label, events, int(speakers[i - begin]))
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError) as error:
            why = one_line(str(error), 80)
            left_out.append(f"{place.name}: damaged from recording {begin} on ({why})")
    if not shelf.label:
        return Made(left_out=tuple(left_out))
    row = {"file": file_name, "count": len(shelf.label)}
    return Made({file_name: shelf.file()}, (row,), tuple(left_out), tuple(notes))


def _wrong(t: np.ndarray, x: np.ndarray, label: int, name: str) -> str:
    """What makes no sense in a recording, or nothing."""
    if len(t) != len(x) or len(t) > SPIKES:
        return f"{len(t)} times of {len(x)} channels"
    if not 0 <= label < SPOKEN_CLASSES[name]:
        return f"label {label} of {SPOKEN_CLASSES[name]}"
    if len(x) and not (x.dtype.kind in "iu" and 0 <= x.min() <= x.max() < SPOKEN_CHANNELS):
        return f"a channel outside 0..{SPOKEN_CHANNELS - 1}"
    if len(t) and not (np.isfinite(t).all() and 0 <= t.min() <= t.max() < SECONDS):
        return "a time that is not finite, or negative"
    return ""


def _opened(path: Path) -> Any:
    h5py = require("h5py", "SHD and SSC")
    try:
        return h5py.File(regular(path, None, error=DataError), "r")
    except OSError as error:
        what = f"damaged or truncated HDF5 file ({one_line(str(error), 80)})"
        raise DataError(what, where=path, fix="fetch the file again") from None


def _length(file: Any, path: Path) -> int:
    """How many recordings a file has, or DataError."""
    names = ("labels", "spikes/times", "spikes/units")
    if absent := [name for name in names if name not in file]:
        raise DataError(f"no {', '.join(absent)}", where=path, fix="is this the published file?")
    lengths = {len(file[name]) for name in names}
    if len(lengths) > 1 or max(lengths) > RECORDINGS:
        raise DataError("labels and spikes are not of one length", where=path, value=lengths)
    return lengths.pop()
