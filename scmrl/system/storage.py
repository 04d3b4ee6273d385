"""Writing that is never half done: what is written appears whole, or not at all.

    .scmrl-1a2b3c4d5e6f/new/NAME        written here, beside its place, then flushed to the disk
    NAME                                takes that name in one step; then the directory is flushed
    .scmrl-1a2b3c4d5e6f/old/NAME        the former copy, where a system cannot exchange two names

The hidden directory is owned by its process (`scmrl.lock`) and goes with it. What a killed process
left behind is removed by the next write beside it, after an old copy without a successor was put
back (`clear`). A directory that is replaced takes along what strangers put into it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import io
import json
import os
import re
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from .. import __version__
from . import lock, targets
from .errors import ScmrlError, UsageError
from .reading import sha256

if TYPE_CHECKING:
    import numpy as np

STAGE = re.compile(re.escape(targets.LEFTOVER) + "[0-9a-f]{12}")
STAGED = {"new", "old", lock.NAME}
HERE = -100  # AT_FDCWD: names are relative to the current directory
SWAP = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
CANNOT_SWAP = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}


@contextlib.contextmanager
def whole_file(path: Path, kind: str | None = None) -> Iterator[Path]:
    """An empty file that takes the name `path` only when the block ends without an error.

    `kind` (of `targets.MARKS`): raises `UsageError` where something else stands there by then.
    None is for files inside scmrl's own directories. Raises `ScmrlError` where nothing can be
    written. Permissions are those of the file that is replaced, or those of the umask.
    """
    place = targets.real(path)
    with _stage(place, path) as stage:
        new = stage / "new" / place.name
        new.touch()
        yield new
        if kind is not None:
            targets.check(path, kind, force=True)
        _keep_mode(place, new)
        sync(new)
        os.replace(new, place)
        sync(place.parent)


@contextlib.contextmanager
def whole_directory(path: Path, kind: str) -> Iterator[Path]:
    """An empty directory that takes the name `path` only when the block ends without an error.

    `kind` (of `targets.DIRECTORIES`): a former one is replaced as a whole, strangers' files in it
    go along; raises `UsageError` where something else stands there. Raises `ScmrlError` where
    nothing can be written.
    """
    targets.check(path, kind, force=True)
    place = targets.real(path)
    with _stage(place, path) as stage:
        new = stage / "new" / place.name
        new.mkdir()
        yield new
        _seal(new, kind)
        targets.check(path, kind, force=True)
        _take_along(place, new)
        _keep_mode(place, new)
        _sync_all(new)
        if not place.is_dir() or not os.listdir(place):
            os.rename(new, place)
            sync(place.parent)
            return
        old = _replace(new, place, stage / "old")
        sync(place.parent)
        _take_along(old, place, again=True)


@contextlib.contextmanager
def filling(directory: Path) -> Iterator[Callable[[str, bytes, str | None], None]]:
    """A function put(name, data, former) that makes whole files within `directory`, one by one.

    A file that is there with those very bytes stays; one whose hash is `former` (as scmrl wrote it)
    is replaced; any other is a stranger's: `UsageError`. Raises `ScmrlError` where nothing can be
    written.
    """
    with _stage(directory / "file", directory) as stage:

        def put(name: str, data: bytes, former: str | None) -> None:
            place, new = directory / name, stage / "new" / "file"
            if os.path.lexists(place):
                there = sha256(place, error=ScmrlError)
                if there == hashlib.sha256(data).hexdigest():
                    return
                if there != former:
                    what, fix = "a file is there that scmrl did not write", "move it away"
                    raise UsageError(what, where=place, fix=fix)
            _make_parents(place.parent)
            new.write_bytes(data)
            sync(new)
            os.replace(new, place)
            sync(place.parent)

        yield put


@contextlib.contextmanager
def _stage(place: Path, path: Path) -> Iterator[Path]:
    """A hidden directory beside `place`, owned by this process; errors name the user's `path`."""
    stage = place.parent / f"{targets.LEFTOVER}{uuid.uuid4().hex[:12]}"
    try:
        _make_parents(place.parent)
        clear(place.parent)
        stage.mkdir(mode=0o700)
        with lock.hold(stage, "writing"):
            (stage / "new").mkdir()
            yield stage
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        fix = "free some space or choose another place"
        raise ScmrlError("cannot write", where=path, value=why, fix=fix) from None
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def clear(directory: Path) -> None:
    """Remove what killed writes left in `directory`, and put back an old copy without successor."""
    try:
        left = [entry for entry in os.scandir(directory) if STAGE.fullmatch(entry.name)]
        stages = [entry for entry in left if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for entry in stages:
        stage = Path(entry.path)
        with contextlib.suppress(OSError, ScmrlError):  # another's, or another was faster
            if lock.owner(stage) is None and set(os.listdir(stage)) <= STAGED:
                with lock.hold(stage, "clearing up"):
                    _put_back(stage / "old", directory)
                    shutil.rmtree(stage, ignore_errors=True)


def _put_back(old: Path, directory: Path) -> None:
    for name in os.listdir(old) if old.is_dir() else ():
        if not os.path.lexists(directory / name):
            os.rename(old / name, directory / name)
            sync(directory)


def _replace(new: Path, place: Path, aside: Path) -> Path:
    """Give `new` the name of the directory `place`; returns where the former one is then."""
    if exchange(new, place):
        return new
    aside.mkdir()
    old = aside / place.name
    os.rename(place, old)
    try:
        os.rename(new, place)
    except OSError:
        os.rename(old, place)
        raise
    return old


def exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where the system cannot. Raises `OSError`."""
    names = os.fsencode(one), os.fsencode(other)
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        failed = libc.renamex_np(*names, SWAP)
    elif hasattr(libc, "renameat2"):
        failed = libc.renameat2(HERE, names[0], HERE, names[1], SWAP)
    else:
        return False
    if failed and ctypes.get_errno() not in CANNOT_SWAP:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))
    return not failed


def _take_along(source: Path, target: Path, *, again: bool = False) -> None:
    """Give `target` what strangers put into `source`, by hard links: both are whole at all times.

    `again`: what came or changed since the first time.
    """
    for name in targets.strangers(source):
        if not again and os.path.lexists(target / name):
            what = "not written by scmrl, and a file of scmrl needs its name"
            raise UsageError(what, where=source / name, fix="move it away")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        _merge(source / name, target / name)


def _merge(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        if made := not target.exists():
            target.mkdir()
        for name in os.listdir(source):
            _merge(source / name, target / name)
        if made:
            shutil.copystat(source, target)
    elif not os.path.lexists(target):
        _link_file(source, target)
    elif not os.path.samestat(os.lstat(source), os.lstat(target)):
        os.replace(source, target)


def _link_file(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file system has none."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def _keep_mode(place: Path, new: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.chmod(new, stat.S_IMODE(os.stat(place).st_mode))


def _seal(directory: Path, kind: str) -> None:
    """Write the manifest, by which scmrl knows its own files again."""
    found = sorted(path for path in directory.rglob("*") if path.is_file())
    files = {path.relative_to(directory).as_posix(): sha256(path) for path in found}
    text = json.dumps({"scmrl": __version__, "kind": kind, "files": files}, indent=1)
    (directory / targets.MANIFEST).write_text(text + "\n", encoding="utf-8")


def _sync_all(directory: Path) -> None:
    """Flush scmrl's own files of a directory, and every directory in it."""
    for name in targets.own(directory):
        sync(directory / name)
    for folder, _, _ in os.walk(directory, topdown=False):
        sync(Path(folder))


def sync(path: Path) -> None:
    """Flush a file or a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (error.errno == errno.EINVAL and path.is_dir()):  # some file systems cannot
            raise
    finally:
        os.close(descriptor)


def _make_parents(directory: Path) -> None:
    """Make a directory with those above it, each durable in the one that holds it."""
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)


def write_json(path: Path, table: object, kind: str | None = None) -> None:
    """Write a table whole; `kind` as in `whole_file`."""
    with whole_file(path, kind) as temporary:
        put_json(temporary, table)


def put_json(path: Path, table: object) -> None:
    """Write a table into what becomes whole as a whole: a `whole_file` or `whole_directory`."""
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def put_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz into what becomes whole as a whole."""
    import numpy as np

    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


class Figure(Protocol):
    """What of a matplotlib figure is used here."""

    def savefig(self, fname: Any, **options: Any) -> None: ...


def write_figure(path: Path, figure: Figure, dpi: float, kind: str | None = "picture") -> None:
    """Write a matplotlib figure whole, with scmrl's mark in it; `kind` as in `whole_file`.

    It is put together in memory: on a full disk matplotlib fails in ways that are no OSError.
    """
    memory = io.BytesIO()
    figure.savefig(memory, format=path.suffix[1:].lower(), dpi=dpi, metadata=targets.metadata(path))
    with whole_file(path, kind) as file:
        file.write_bytes(memory.getbuffer())


def put_hdf5(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write the HDF5 file that `fill` makes in memory: a full disk would end the process."""
    file = io.BytesIO()
    fill(file)
    path.write_bytes(file.getbuffer())
