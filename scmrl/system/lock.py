"""One owner of a directory: of two processes that would write the same run the second is refused.

    with lock.hold(run, "training"): ...        UsageError, naming the process that works there

The owner keeps `scmrl.lock` in the directory locked (flock) for as long as it lives: the system
lets go of it however the process ends, so nothing has to be guessed about a dead one. What the file
says (who, where, since when) is for people. It is gone after the end; after a kill the next owner
takes it over. Where a file system cannot lock, what the file says decides: its owner is dead when
no process has that number and that time of start.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .errors import ScmrlError, UsageError, quoted

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

WHOLE = ("pid", "started")  # what of an owner is a whole number; all else is text

NAME = "scmrl.lock"
BUSY = "works in this directory"  # how a refusal is told from other errors
LONGEST = 1 << 14  # bytes of such a file
SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no links, no pipes
CANNOT_LOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
PATIENCE_S = 1.0  # an owner that is just ending, or just writing who it is
RACES = 100  # with owners that end, in one attempt: counted, for on a loaded machine time runs out
_held: dict[int, Path] = {}  # descriptors of this process


@dataclass(frozen=True)
class Owner:
    """Who works in a directory. `boot` tells one run of a machine from the next, `started` (clock
    ticks since the boot) one process from another that was given the same number later."""

    what: str
    pid: int
    command: str
    host: str
    since: str
    boot: str
    started: int

    @staticmethod
    def here(what: str) -> Owner:
        command = shlex.join(["scmrl" if i == 0 else word for i, word in enumerate(sys.argv)])
        return Owner(
            what,
            os.getpid(),
            command[: LONGEST // 16],
            socket.gethostname(),
            time.strftime("%Y-%m-%d %H:%M:%S"),
            _boot(),
            _started(os.getpid()),
        )

    @property
    def elsewhere(self) -> bool:
        """On another machine, of whose processes nothing is known here."""
        return self.host != socket.gethostname() and self.boot != _boot()

    @property
    def alive(self) -> bool:
        """Whether its process runs; where nothing can be known, it does."""
        if self.elsewhere or os.name != "posix":
            return True
        return self.boot == _boot() and runs(self.pid) and _started(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.what}, process {self.pid} on {self.host} since {self.since}: {self.command}"


@contextlib.contextmanager
def hold(directory: Path, what: str) -> Iterator[None]:
    """Own `directory` (made where it is missing) for the block, which does `what` in it.

    Raises UsageError where another process, or another part of this one, owns it.
    """
    directory = Path(directory)
    made = not directory.exists()
    descriptor = _claim(directory, Owner.here(what))
    _held[descriptor] = directory
    try:
        yield
    finally:
        _held.pop(descriptor, None)
        with contextlib.suppress(OSError):  # while locked: nobody finds it without an owner
            if _same(descriptor, directory / NAME):
                (directory / NAME).unlink()
        os.close(descriptor)
        if made:
            with contextlib.suppress(OSError):  # nothing was written into it
                directory.rmdir()


def owner(directory: Path) -> Owner | None:
    """Who owns the directory now, or None."""
    path = Path(directory) / NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | SAFELY)
    except OSError:
        return None
    try:
        found = _read(descriptor)
        if found is None or found.elsewhere:
            return found
        locked = _lock(descriptor, exclusive=False)
        return found if locked is False or (locked is None and found.alive) else None
    finally:
        os.close(descriptor)


def left(directory: Path) -> bool:
    """Whether a dead process left its lock in the directory."""
    try:
        descriptor = os.open(Path(directory) / NAME, os.O_RDONLY | SAFELY)
    except OSError:
        return False
    try:
        return _read(descriptor) is not None and owner(directory) is None
    finally:
        os.close(descriptor)


def _claim(directory: Path, me: Owner) -> int:
    """The descriptor of the directory's lock, which is ours."""
    path, end = directory / NAME, time.monotonic() + PATIENCE_S
    vanished = 0
    while True:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | SAFELY, 0o666)
        except OSError as error:
            # Its owner removed the directory just now; where that is so every time, it is no race.
            vanished += 1
            if isinstance(error, (FileNotFoundError, FileExistsError)) and vanished < RACES:
                time.sleep(0.001)
                continue
            raise ScmrlError("cannot write", where=path, value=error.strerror) from None
        ours = False
        try:
            text = os.pread(descriptor, LONGEST, 0)
            found = _parsed(text)
            if text and found is None:
                raise UsageError("not a lock of scmrl", where=path, fix="move this file away")
            ours = _take(descriptor, path, me)
        finally:
            if not ours:
                os.close(descriptor)
        if ours:
            return descriptor
        if time.monotonic() > end:
            raise _refusal(directory, found)
        time.sleep(0.02)


def _take(descriptor: int, path: Path, me: Owner) -> bool:
    """Whether the open file became ours; it then says so."""
    locked = _lock(descriptor, exclusive=True)
    if locked is False or not _same(descriptor, path):  # its owner ended in between
        return False
    last = _read(descriptor)
    if last is not None and last.elsewhere:
        raise _refusal(path.parent, last)
    if locked is None and last is not None and last.alive:
        return False
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, (json.dumps(asdict(me), indent=1) + "\n").encode(), 0)
    if locked is None:  # of two that write now, the later one stays
        time.sleep(PATIENCE_S / 4)
        return _read(descriptor) == me
    return True


def _lock(descriptor: int, *, exclusive: bool) -> bool | None:
    """Lock the open file: whether that went, None where the file system cannot."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in CANNOT_LOCK:
            return None
        raise
    return True


def _refusal(directory: Path, found: Owner | None) -> UsageError:
    if found is None:
        return UsageError(f"another process {BUSY}", where=directory, fix="wait for its end")
    who = "a process of another machine" if found.elsewhere else "another process"
    fix = f"wait for its end, or stop it with: kill {found.pid}"
    if found.elsewhere:
        fix = f"wait for its end; where it died there, remove {quoted(directory / NAME)}"
    return UsageError(f"{who} {BUSY}", where=directory, value=found, fix=fix)


def _read(descriptor: int) -> Owner | None:
    return _parsed(os.pread(descriptor, LONGEST, 0))


def _parsed(text: bytes) -> Owner | None:
    """What the file says, if it is one of ours."""
    try:
        table = json.loads(text)
        if set(table) != {f.name for f in fields(Owner)}:
            return None
        typed: dict[str, Any] = {
            name: (int if name in WHOLE else str)(value) for name, value in table.items()
        }
        return Owner(**typed)
    except (ValueError, TypeError, RecursionError, OverflowError):
        return None


def _same(descriptor: int, path: Path) -> bool:
    try:
        there, ours = os.stat(path, follow_symlinks=False), os.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def runs(pid: int) -> bool:
    """Whether a process of this machine runs; one that ended and only waits to be reaped not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _status(pid)[:1] not in (["Z"], ["X"])


def _started(pid: int) -> int:
    """Clock ticks from the boot to the start of a process, 0 where the system does not say."""
    try:
        return int(_status(pid)[19])
    except (ValueError, IndexError):
        return 0


def _status(pid: int) -> list[str]:
    """What Linux says of a process, from its state on (proc(5), field 3); nothing elsewhere."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _forked() -> None:
    """A child that was forked does not own what its parent does: the lock ends with the parent."""
    for descriptor in list(_held):
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
