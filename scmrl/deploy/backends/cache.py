"""What backends compiled, kept by what it was made from.

    $XDG_CACHE_HOME/scmrl/KIND/NAME

A file appears whole or not at all, so several processes may make the same; the ones that were not
used for longest go. Where there is no place for a cache, every process makes it anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from ...system import temporary
from ...system.errors import BackendError, ScmrlError
from ...system.storage import whole_file

Opened = TypeVar("Opened")


def place(kind: str) -> Path:
    """Where files of a kind are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "scmrl" / kind


def key(texts: Iterable[str]) -> str:
    """A name for what is made from these texts."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)} {text}".encode())
    return digest.hexdigest()


def opened(
    path: Path, make: Callable[[Path], None], use: Callable[[Path], Opened], keep: int
) -> Opened:
    """What `use` gives of the file at `path`, which `make` writes where it is not there, or where
    `use` raises `OSError`; `keep` files of its ending stay. `use` may be given a file that is gone
    as soon as it returns. Raises what `make` raises.
    """
    for _ in range(2):  # another process may remove it in between
        with contextlib.suppress(OSError):
            found = use(path)
            with contextlib.suppress(OSError):  # a cache that may only be read
                os.utime(path)
            return found
        try:
            with whole_file(path) as new:
                make(new)
        except BackendError:
            raise
        except ScmrlError:  # nowhere to keep it
            break
        _forget(path, keep)
    with temporary.directory(path.parent.name) as directory:
        make(directory / path.name)
        return use(directory / path.name)


def _forget(path: Path, keep: int) -> None:
    """Remove what was not used for longest."""
    with contextlib.suppress(OSError):
        files = path.parent.glob(f"*{path.suffix}")
        made = sorted(files, key=lambda file: file.stat().st_mtime)
        for old in made[:-keep]:
            old.unlink(missing_ok=True)
