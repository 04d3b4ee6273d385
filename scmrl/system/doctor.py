"""What is installed, what is missing, what there is room for; removes what killed runs left."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from . import memory, temporary
from .dependencies import LIBRARIES, PYTHON, Library

SHARED = Path("/dev/shm")


@dataclass(frozen=True)
class Component:
    """A library, its `state` (installed, too old, too new, untested, missing), the versions that
    scmrl takes, what it is for and the command or way to get it.
    """

    name: str
    version: str | None
    state: str
    enables: str
    install: str
    versions: str = ""


@dataclass(frozen=True)
class Room:
    """Bytes that are free, None where not known: memory, /dev/shm, temporary files."""

    memory: int | None
    shared_memory: int | None
    temporary: int | None


def examine() -> list[Component]:
    """Python and every library that scmrl can use, in the order of `LIBRARIES`."""
    return [_python(), *(_examined(library) for library in LIBRARIES)]


def room() -> Room:
    """What is free now."""
    return Room(memory.available(), _free(SHARED), _free(temporary.place()))


def leftovers() -> tuple[str, ...]:
    """What killed runs of this user left in the temporary directory; it is gone now."""
    return tuple(str(path) for path in temporary.reclaim())


def _free(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


def _python() -> Component:
    oldest, newest = (".".join(map(str, version)) for version in PYTHON)
    here = sys.version_info[:2]
    state = "too old" if here < PYTHON[0] else "untested" if here > PYTHON[1] else "installed"
    use, versions = f"use Python {oldest} to {newest}", f">={oldest},<={newest}"
    return Component("python", platform.python_version(), state, "everything", use, versions)


def _examined(library: Library) -> Component:
    version = next(filter(None, map(_version, (library.name, *library.others))), None)
    state = "missing" if version is None else _state(version, library.versions)
    return Component(
        library.name, version, state, library.enables, library.install, library.versions
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _state(version: str, admitted: str) -> str:
    """Where a version stands to what is admitted: '>=2.4', '>=2.4,<3' or '==0.10.0'."""
    here = _release(version)
    for operator, bound in re.findall(r"(>=|==|<)([0-9.]+)", admitted):
        limit = _release(bound)
        if operator != "<" and here < limit:
            return "too old"
        if (operator == "<" and here >= limit) or (operator == "==" and here > limit):
            return "too new"
    return "installed"


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, without zeros at the end: '2.13.0+cpu' is (2, 13)."""
    leading = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in leading.group().split(".")] if leading else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
