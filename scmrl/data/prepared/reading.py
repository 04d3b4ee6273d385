"""Prepared data sets as the rows that training reads."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ...system.errors import DataError, quoted
from ..features.pairs import Pairs, stream
from .index import Index

# Data set -> which preparations hold it, and "module:function" of pairs(index, name, split, steps).
HELD = {
    "crema-d": (("crema-d",), "scmrl.data.prepared.clip_rows:crema_d"),
    "crema-d-speakers": (("crema-d", "crema-d-audio"), "scmrl.data.prepared.clip_rows:by_speaker"),
    "crema-d-audio": (("crema-d", "crema-d-audio"), "scmrl.data.prepared.clip_rows:crema_d_audio"),
    "ave": (("ave",), "scmrl.data.prepared.clip_rows:ave"),
    "urbansound8k-av": (("urbansound8k-av",), "scmrl.data.prepared.clip_rows:urbansound8k_av"),
    "n-mnist": (("n-mnist",), "scmrl.data.prepared.event_rows:n_mnist"),
    "mnistdvs-ntidigits": (
        ("mnistdvs-ntidigits",),
        "scmrl.data.prepared.event_rows:filmed_and_spoken",
    ),
    "shd": (("shd",), "scmrl.data.prepared.event_rows:spoken"),
    "ssc": (("ssc",), "scmrl.data.prepared.event_rows:spoken"),
}


def held(name: str, split: str, data_dir: str | Path | None, steps: int) -> Pairs | None:
    """The `split` of a data set, where `data_dir` is a prepared one; None where it is not.

    Raises DataError where another set was prepared there, or what is there is not whole.
    """
    index = Index.find(data_dir)
    if index is None:
        return None
    stream(0, split)  # refuses an unknown one
    preparations, place = HELD.get(name, ((), ""))
    if index.dataset not in preparations:
        what, where = f"{index.dataset} was prepared there, not {name}", quoted(index.folder)
        raise DataError(what, where=where, fix=_how(name) or "name the folder of that set")
    index.check()
    module, attribute = place.split(":")
    pairs: Pairs = getattr(import_module(module), attribute)(index, name, split, steps)
    return pairs


def prepared_only(split: str, data_dir: str | Path | None, seed: int, steps: int) -> Pairs:
    """What a data set that is read only where it was prepared has to say of another folder."""
    stream(seed, split)
    what = "this data set is read from the folder that it was prepared into"
    fix = "scmrl data prepare NAME --from DOWNLOAD --out DIR, then --data-dir DIR"
    raise DataError(what, where=data_dir if data_dir is not None else "data_dir", fix=fix)


def _how(name: str) -> str:
    """How a data set is prepared, "" where it is not."""
    preparations, _ = HELD.get(name, ((), ""))
    if not preparations:
        return ""
    return f"scmrl data prepare {preparations[0]} --from DOWNLOAD --out DIR, then --data-dir DIR"
