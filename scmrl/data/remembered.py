"""Where the recordings of a run, or its own data, lie: both are remembered in RUN/config.toml."""

from __future__ import annotations

from pathlib import Path

from ..core import zoo
from ..system.errors import DataError, ScmrlError, quoted
from ..system.reading import read_toml
from .references import portable


def data_dir_of(model: str | Path, dataset: str | None, trained_on: object) -> str | None:
    """The remembered folder of a run, its bundle or an export in it; None where there is none, or
    where another dataset is asked for. Raises DataError where the folder has gone.
    """
    if dataset is not None and dataset != trained_on:
        return None
    for place in _around(model):
        found = _read(place / "config.toml").get("data_dir")
        if isinstance(found, str) and found:
            if not Path(found).is_dir():
                raise DataError(
                    "the recordings that this was trained on are not there",
                    where=quoted(found),
                    fix="give --data-dir DIR, where they are now",
                )
            return found
    return None


def dataset_of(model: str | Path, trained_on: str) -> str | None:
    """The file or folder of that name that a run, its bundle or an export in it was trained on;
    None where none says it, or a function made the data: code is run where its user names it.
    """
    for place in _around(model):
        found = _read(place / "config.toml").get("dataset")
        if isinstance(found, str) and portable(found) == trained_on and Path(found).exists():
            return found
    return None


def _around(model: str | Path) -> tuple[Path, ...]:
    """Where the settings of a run lie: in it, or above its bundle or export. A model of the zoo has
    none.
    """
    if zoo.place(model) is not None:
        return ()
    return Path(model), Path(model).absolute().parent


def _read(path: Path) -> dict:
    try:
        return read_toml(path)
    except ScmrlError:  # none there, or not ours
        return {}
