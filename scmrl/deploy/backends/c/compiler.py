"""The system's C compiler, and shared objects that it made, kept by what they were made from.

$XDG_CACHE_HOME/scmrl/c/KEY.so      KEY: sha256 of the source, the flags, and what the compiler
                                    says of itself and of this processor (`..cache`)
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ....convert.frame.tools import said
from ....system import temporary
from ....system.errors import BackendError, MissingDependency
from .. import cache

NAMES = ("cc", "gcc", "clang")
FLAGS = ("-std=c99", "-fPIC", "-shared", "-fvisibility=hidden")
NATIVE = "-march=native"  # integers: every instruction set gives the same bits
KEPT = 64  # shared objects
SECONDS = 600  # of one compilation


@dataclass(frozen=True)
class Compiler:
    """The compiler at `path`: the first line of what it says of itself, its flags, and all that it
    defines before any source, which tells the system and the instruction sets.
    """

    path: str
    version: str
    flags: tuple[str, ...]
    macros: str

    def load(self, sources: Mapping[str, str], main: str) -> ctypes.PyDLL:
        """The shared object of the file `main` among `sources`, from the cache or compiled.

        Raises `BackendError` where the compiler fails.
        """
        place = cache.place("c") / f"{self._key(sources, main)}.so"
        return cache.opened(
            place,
            lambda new: self._compile(sources, main, new),
            lambda path: ctypes.PyDLL(str(path)),
            KEPT,
        )

    def _key(self, sources: Mapping[str, str], main: str) -> str:
        said = (main, self.version, *self.flags, self.macros)
        return cache.key((*said, *(word for item in sorted(sources.items()) for word in item)))

    def _compile(self, sources: Mapping[str, str], main: str, out: Path) -> None:
        with temporary.directory("c") as directory:
            for name, text in sources.items():
                (directory / name).write_text(text, encoding="utf-8")
            _run(self.path, *self.flags, "-o", str(out), str(directory / main))


def find(level: str) -> Compiler:
    """The compiler of the environment's CC, or the system's, at optimisation `level`. Raises
    `MissingDependency`.
    """
    asked = os.environ.get("CC", "")
    for name in (asked,) if asked else NAMES:
        if path := shutil.which(name):
            return _examined(path, level)
    raise MissingDependency(
        asked or "a C compiler (cc)",
        enables="the backend c",
        install="your system's package of gcc or clang, or name yours: CC=/path/to/cc",
    )


@functools.cache
def _examined(path: str, level: str) -> Compiler:
    """With the flags of this processor, where the compiler knows them."""
    version = (_run(path, "--version").splitlines() or [path])[0]
    ask = ("-dM", "-E", "-x", "c", os.devnull)
    flags: tuple[str, ...] = (level, *FLAGS)
    try:
        return Compiler(path, version, (*flags, NATIVE), _run(path, NATIVE, *ask))
    except BackendError:
        return Compiler(path, version, flags, _run(path, *ask))


def _run(path: str, *arguments: str) -> str:
    return said([path, *arguments], SECONDS, name="the C compiler", where=path)
