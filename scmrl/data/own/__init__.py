"""Data of the user's own: an npz, a folder of class folders, or what a function of his returns.

    data = load("mine.npz")                 x or an array per input, y, and the keys below
    data = load("recordings", steps=20)     CLASS/FILE, or PART/CLASS/FILE, see `folders`
    data = load("my_data.py:load")          OwnData, or a dict of the keys of an npz
    parts = data.split(seed=0, validation=0.1, test=0.2)        {"train", "validation", "test"}

    key        is
    x          numbers [S, ...], over time [S, T, ...]; or an array by the name of each input
    y          integers [S]: classes from 0; floats [S] or [S, K]: targets of a regression
    classes    texts [K]: the names of the classes (default: their numbers)
    group      integers or texts [S]: samples of one group (a speaker, a session) never part
    part       texts [S]: "train", "validation" or "test" (default: parts are made, see `split`)
    time       true where the second axis is time (default: false)

Every other key is an input. What a function returns may be lists or tensors of the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...system import usercode
from ...system.errors import DataError, ScmrlError, UsageError
from ...system.reading import NUMBERS, TEXTS, read_arrays
from . import folders
from .owndata import OwnData, of_arrays

__all__ = ["OwnData", "load"]

STEPS = 16  # of an event recording


def load(
    where: str | Path,
    *,
    steps: int = STEPS,
    sound: str = "mel",
    side: int | None = None,
    time: bool | None = None,
    labelled: bool = True,
) -> OwnData:
    """The data at `where`: an npz, a folder, or "file.py:function" or "module:function".

    Of a folder: `steps` frames of an event recording or of the cochlea; `sound` is "mel" or
    "cochlea"; `side` in pixels is what pictures are cut and scaled to, and events cut to. `time`
    says that the second axis is time, or is not, whatever the data say (None: as they say). Not
    `labelled`: labels may be missing, and are 0 then. Raises
    UsageError where there is nothing of the kind or the function raises, DataError for data that
    make no sense; one line each, naming the file, or the line of the user's own.
    """
    path, text = Path(where), str(where)
    if path.is_dir():
        return folders.read(path, steps=steps, sound=sound, side=side).over_time(time)
    if path.is_file() or path.suffix == ".npz":
        arrays = read_arrays(path, kinds=NUMBERS + TEXTS, error=DataError)
        return _made(arrays, path.stem, text, time, labelled)
    if ":" not in text:
        fix = "give an npz, a folder of class folders, or FILE.py:NAME or MODULE:NAME"
        raise UsageError("no such data", where=text, fix=fix)
    function = usercode.load(text, "a function that makes data")
    made = usercode.call(function, what=text.rpartition(":")[2])
    place = f"{usercode.place(function)}: {text.rpartition(':')[2]}"
    return _made(made, text, place, time, labelled)


def _made(made: object, name: str, where: str, time: bool | None, labelled: bool) -> OwnData:
    """What a file holds or a function returned, checked; errors name `where` it is from."""
    try:
        if isinstance(made, OwnData):
            return made.over_time(time).filled()
        if isinstance(made, Mapping):
            return of_arrays(made, name, time, labelled).filled()
    except ScmrlError as error:
        raise error.at(where, DataError) from None
    kind = "nothing" if made is None else type(made).__name__
    limit = "OwnData, or a dict with x and y"
    raise DataError("a function that makes data returns them", where=where, limit=limit, value=kind)
