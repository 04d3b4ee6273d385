"""Directories for the time of a run, which a killed run leaves and the next one removes.

Each is scmrl-WHAT-* in the system's temporary directory, held by a lock that the system lets go of
when its owner ends (`lock`). So what a dead process left can be told from what a live one uses, and
from what is no concern of ours.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from . import lock

PREFIX = "scmrl-"
YOUNG_S = 60.0  # a directory that its owner may be about to lock


@contextlib.contextmanager
def directory(what: str) -> Iterator[Path]:
    """A directory for `what`, gone at the end of the block. What dead processes left goes first."""
    reclaim()
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{what}-"))
    try:
        with lock.hold(path, what):
            try:
                yield path
            finally:
                _empty(path)
    finally:
        with contextlib.suppress(OSError):
            path.rmdir()


def _empty(path: Path) -> None:
    """Remove everything but the lock: without one nothing is removed but an empty directory."""
    for entry in list(os.scandir(path)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        elif entry.name != lock.NAME:
            os.unlink(entry.path)


def place() -> Path:
    """Where they are made."""
    return Path(tempfile.gettempdir())


def reclaim() -> list[Path]:
    """Remove the directories that killed processes of this user left; returns which."""
    found = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(place()):
            if entry.name.startswith(PREFIX) and _left(Path(entry.path)):
                shutil.rmtree(entry.path, ignore_errors=True)
                found.append(Path(entry.path))
    return sorted(found)


def _left(path: Path) -> bool:
    """Whether it is a directory of ours whose owner has ended."""
    try:
        info = path.lstat()
        if not stat.S_ISDIR(info.st_mode) or (hasattr(os, "getuid") and info.st_uid != os.getuid()):
            return False
        if not (path / lock.NAME).is_file():
            return not any(path.iterdir()) and time.time() - info.st_mtime > YOUNG_S
        return lock.left(path)
    except OSError:
        return False
