"""What is installed and what is missing, and its installation; what the machine has room for; what
killed runs left, removed here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import memory, temporary
from .dependencies import EXTRAS, LIBRARIES, PIP, PYTHON, TORCH, Library, members
from .errors import ScmrlError, UsageError, nearest

SHARED = Path("/dev/shm")
TORCH_VARIABLE = "SCMRL_TORCH"  # another version or build of torch, as in scripts/setup.sh


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


def install(extra: str, tell: Callable[[str], None], ask: Callable[[str], bool] | None) -> None:
    """Install what an extra lacks into this environment with pip, each command told before it runs.

    `ask`: whether to begin; None asks nothing. Raises `UsageError` for an unknown extra,
    `ScmrlError` where pip fails, is not there, or would bring a CUDA build that nobody named.
    """
    if extra not in EXTRAS:
        raise UsageError(
            "no such extra", where="--install", value=extra, fix=nearest(extra, EXTRAS)
        )
    commands = _commands(extra)
    for command in commands:
        tell(f"to run: {command}")
    if not commands:
        tell(f"nothing is missing for {extra}")
    elif ask and not sys.stdin.isatty():
        raise UsageError("there is nobody to ask", where="--install", fix="give --yes")
    elif ask and not ask(f"Run this in {sys.prefix}?"):
        return
    for command in commands:
        if TORCH in command and TORCH_VARIABLE not in os.environ:
            _refuse_cuda(command)
        tell(f"running: {command}")
        _pip(shlex.split(command)[1:])
    importlib.invalidate_caches()


def _commands(extra: str) -> list[str]:
    """The commands that bring what is missing: torch, then what pip gets right, then the rest."""
    lacking = [each for each in members(extra) if _examined(each).state != "installed"]
    plain = [shlex.quote(each.name + each.versions) for each in lacking if not each.command]
    own = [part for each in lacking if each.command for part in each.command.split("; ")]
    first = [f"{PIP} {_torch()}" for command in own if TORCH in command]
    rest = [
        command
        for command in own
        if TORCH not in command
        and not any(set(command.split()) < set(other.split()) for other in own)
    ]
    return [*first, *([f"{PIP} {' '.join(plain)}"] if plain else []), *rest]


def _torch() -> str:
    """The torch to install: scmrl's, or the build that the user names."""
    return os.environ.get(TORCH_VARIABLE, TORCH)


def _refuse_cuda(command: str) -> None:
    """Of the one name torch, some indexes have a build of several GB for GPUs."""
    report = _pip([*shlex.split(command)[1:], "--quiet", "--dry-run", "--report", "-"], shown=False)
    names = [each["metadata"]["name"] for each in json.loads(report)["install"]]
    if cuda := [name for name in names if re.match(r"nvidia|cuda|triton", name)]:
        raise ScmrlError(
            "this would install a CUDA build, several GB, that nobody asked for",
            where=TORCH,
            value=", ".join(cuda[:3]),
            fix=f"name a build: {TORCH_VARIABLE}={TORCH}+cpu, with pip configured for an index that"
            f" has it, or {TORCH_VARIABLE}={TORCH} for this one",
        )


def _pip(arguments: list[str], *, shown: bool = True) -> str:
    """Run pip in this environment; what it prints goes to standard error where `shown`."""
    if importlib.util.find_spec("pip") is None:
        raise ScmrlError("there is no pip", where=sys.prefix, fix="python -m ensurepip")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    output = 2 if shown else subprocess.PIPE
    done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise ScmrlError(
            "pip failed",
            where=shlex.join(arguments),
            value=f"exit code {done.returncode}",
            fix=said[-1] if said else "run it by hand to see why",
        )
    return done.stdout or ""


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
