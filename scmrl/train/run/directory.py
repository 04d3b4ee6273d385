"""A run directory: what belongs to a run, and what becomes of an old one.

    config.toml     the settings as they were used, with the folder of the recordings
    network.py      a copy of the file of an own network
    checkpoints/    last.ckpt, best.ckpt           logs/       metrics.csv, TensorBoard events
    bundle/         the frozen model (metrics.json where it is a float model), at the very end

The rule of `--force`: what scmrl wrote of the old run moves to `replaced/`, where it can be used as
before; it is removed once the new run is finished, and not earlier. A crash in between leaves both.
A run that was never finished is not kept: a finished one in `replaced/` outlives any number of
them. Other files stay where they are; exports and reports of the old model are told by its hash.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ...system import storage, targets
from ...system.errors import UsageError
from ...system.storage import whole_file
from ..config import Config, to_toml

CONFIG, REPLACED = "config.toml", "replaced"
RESULTS = ("bundle", "metrics.json")  # what a finished run has, one or the other
PARTS = (*RESULTS, "checkpoints", "logs", "network.py", "start", CONFIG)  # the last makes a run
LOGGED = ("*.ckpt", "metrics.csv", "hparams.yaml", "events.out.tfevents.*")
OWN = (*LOGGED, targets.MANIFEST, *targets.BUNDLE_FILES)


def prepare(run: Path, *, resume: bool, force: bool) -> None:
    """Make `run` ready to be trained in; raises UsageError where that would lose something."""
    there = run / CONFIG
    if resume:
        if not there.is_file():
            fix = "train without --resume"
            raise UsageError("nothing to resume", where=run, limit=CONFIG, fix=fix)
    elif there.exists() and not force:
        fix = "give --resume, --force or another --out"
        raise UsageError("a run is there already", where=run, fix=fix)
    elif there.exists():
        replace(run)
    elif others := [name for name in targets.listed(run) if name != REPLACED]:
        what, fix = "not empty, and no run of scmrl", "give another --out"
        raise UsageError(what, where=run, value=others[0], fix=fix)
    for folder in (run, run / "checkpoints", run / "logs"):
        storage.clear(folder)


def replace(run: Path) -> None:
    """Move a finished run to RUN/replaced, remove an unfinished one; not others' files."""
    finished = any((run / name).exists() for name in RESULTS)
    old = run / REPLACED
    if not finished:
        for path in parts(run):
            _remove(path)
        return
    if old.exists():
        for path in parts(old):
            _remove(path)
    old.mkdir(exist_ok=True)
    for path in parts(run):
        os.replace(path, old / path.name)


def forget_replaced(run: Path) -> None:
    """The new run is finished: the old one goes."""
    old = run / REPLACED
    if not old.is_dir():
        return
    for path in parts(old):
        _remove(path)
    with contextlib.suppress(OSError):  # somebody put a file there: it stays
        old.rmdir()


def parts(run: Path) -> list[Path]:
    """What scmrl's training wrote in a run directory, config.toml last."""
    return [run / name for name in PARTS if os.path.lexists(run / name)]


def _remove(path: Path) -> None:
    """Remove a part of a run; files of others in it, and the folders that hold them, stay."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    for inner in list(path.iterdir()):
        if inner.is_file() and any(inner.match(pattern) for pattern in OWN):
            inner.unlink()
    with contextlib.suppress(OSError):
        path.rmdir()


def write_config(run: Path, config: Config) -> None:
    with whole_file(run / CONFIG) as temporary:
        temporary.write_text(to_toml(config), encoding="utf-8")
