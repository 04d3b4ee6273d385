"""Who runs a trial, written beside it in the database: a trial whose worker is dead is taken over,
and no other.

A worker on this machine is dead when its process is gone. Of one elsewhere nothing can be asked; it
counts up a number beside its trials every `BEAT_S`, and is dead when that stood still for `GRACE_S`
of the clock here. A worker that could not write for as long stops by itself.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict, dataclass, fields, replace

from ..system.lock import WHOLE, Owner, runs
from .trials import Record

BEAT_S, GRACE_S = 20.0, 120.0


@dataclass(frozen=True)
class Claim:
    """A worker: its process, and the space of process numbers (a container's) it lives in."""

    owner: Owner
    space: str

    @staticmethod
    def here() -> Claim:
        # a command may hold a password
        return Claim(replace(Owner.here("sweep"), command=""), _space())

    @staticmethod
    def of(record: Record) -> Claim | None:
        """The claim beside a trial; None where nobody has it, or what is there says nothing."""
        table = record.notes.get("owner")
        names = {f.name: (int if f.name in WHOLE else str) for f in fields(Owner)}
        if not isinstance(table, dict) or set(table) != {*names, "space"}:
            return _of_0_1(record)
        values = {name: table[name] for name in names}
        if any(type(values[name]) is not kind for name, kind in names.items()) or values["pid"] < 1:
            return None
        return Claim(Owner(**values), str(table["space"]))

    def note(self) -> dict[str, object]:
        return {**asdict(self.owner), "space": self.space}

    @property
    def near(self) -> bool:
        """Whether its process can be asked for from here."""
        here, place = Claim.here(), (self.owner.host, self.owner.boot, self.space)
        return place == (here.owner.host, here.owner.boot, here.space)


class Watch:
    """Which running trials have lost their worker."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[object, float]] = {}

    def abandoned(self, record: Record, now: float | None = None) -> bool:
        """Whether nobody runs the trial any more. `now`: seconds of a clock that never jumps."""
        claim = Claim.of(record)
        if claim is None:
            return True
        if claim.near:
            return not claim.owner.alive
        now = time.monotonic() if now is None else now
        sign = (claim, record.notes.get("beat"))
        last, since = self.seen.get(record.number, (None, now))
        if last != sign:
            self.seen[record.number] = sign, now
            return False
        return now - since > GRACE_S


def _of_0_1(record: Record) -> Claim | None:
    """The claim of version 0.1.0, HOST:PROCESS: without a time of start, never counted up."""
    host, _, process = record.text("worker").rpartition(":")
    if not host or not process.isdecimal() or len(process) > 9 or int(process) < 1:
        return None
    pid = int(process)
    claim = Claim(replace(Claim.here().owner, host=host, pid=pid), "0.1.0")
    ended = host == socket.gethostname() and (pid == os.getpid() or not runs(pid))
    return None if ended else claim


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
