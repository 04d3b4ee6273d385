"""Where the recordings of a run, or its own data, lie: both are remembered in RUN/config.toml."""

from __future__ import annotations

from pathlib import Path

from ..system.errors import DataError, ScmrlError, UsageError, quoted
from ..system.reading import read_toml
from .references import portable


def data_dir_of(model: str | Path, dataset: str | None, trained_on: object) -> str | None:
    """The remembered folder of a run, its bundle or an export in it; None where there is none, or
    where another dataset is asked for. Raises DataError where the folder has gone.
    """
    if dataset is not None and dataset != trained_on:
        return None
    for place in (Path(model), Path(model).absolute().parent):
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


def dataset_of(model: str | Path | None, trained_on: str) -> str:
    """Where the own data of that name lie, by the run, its bundle or an export in it (None: a model
    that lies nowhere). Raises UsageError where none says it.
    """
    for place in () if model is None else (Path(model), Path(model).absolute().parent):
        found = _read(place / "config.toml").get("dataset")
        if isinstance(found, str) and portable(found) == trained_on:
            return found
    what, fix = "the model does not say where its data lie", "give --dataset, the path to them"
    raise UsageError(what, value=trained_on, fix=fix)


def _read(path: Path) -> dict:
    try:
        return read_toml(path)
    except ScmrlError:  # none there, or not ours
        return {}
