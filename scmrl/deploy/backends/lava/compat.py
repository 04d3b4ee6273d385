"""Lava imported on Python 3.10 to 3.13, once, and only when a Lava backend asks for it.

lava-nc 0.10.0 (the last release) was written for Python 3.10. Three things need care:

1. `var_model.py` has instances of an unhashable dataclass as field defaults, refused since Python
  3.11. That
   one module is compiled from a corrected copy of its source; nothing on disk changes.
2. `multiprocessing.py` sets the start method to fork at import, which raises where it is already
  set.
3. Its channels have names in the file system, which outlive a killed run (`lava_channels`).

Lava's other troubles with numpy 2 are in reshaping ports and in the Conv process; scmrl uses
neither.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import logging
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

from ....convert.lava.network import LAVA_INSTALL, LAVA_VERSION
from ....system.errors import BackendError, MissingDependency
from . import channels

NEEDS = ("numpy", "scipy", "networkx", "asteval")


def load() -> str:
    """Import Lava; returns its version. Raises `MissingDependency`, or `BackendError` where it
    cannot run.
    """
    for name in NEEDS:
        try:
            importlib.import_module(name)
        except ImportError:
            raise MissingDependency(name, enables="the Lava backends") from None
    method = multiprocessing.get_start_method(allow_none=True)
    if method not in (None, "fork"):
        raise BackendError(
            "Lava needs the start method 'fork' of multiprocessing",
            where="lava",
            value=method,
            fix="run it in a process that sets no other",
        )
    try:
        with _corrected_source(), _fork_is_set():
            importlib.import_module("lava.magma.compiler.var_model")
            importlib.import_module("lava.magma.runtime.message_infrastructure.multiprocessing")
            importlib.import_module("lava.magma.runtime.runtime")
        channels.install()
        version = importlib.metadata.version("lava-nc")
    except ImportError:
        raise MissingDependency("lava-nc", enables="the Lava backends") from None
    if version != LAVA_VERSION:
        raise BackendError(
            "this version of lava-nc is not supported",
            where="lava",
            limit=LAVA_VERSION,
            value=version,
            fix=LAVA_INSTALL,
        )
    return version


class _HashableEncoder(importlib.machinery.SourceFileLoader):
    """Loads a module with its `ByteEncoder` dataclass made hashable; goes past the cached byte
    code.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path).decode("utf-8")
        hashable = "@dataclass(unsafe_hash=True)\nclass ByteEncoder"
        source = source.replace("@dataclass\nclass ByteEncoder", hashable)
        code: CodeType = compile(source, path, "exec", dont_inherit=True)
        return code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds var_model.py as usual and hands it to the correcting loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "lava.magma.compiler.var_model":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin:
            spec.loader = _HashableEncoder(fullname, spec.origin)
        return spec


@contextlib.contextmanager
def _corrected_source() -> Iterator[None]:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextlib.contextmanager
def _fork_is_set() -> Iterator[None]:
    """Fork as the start method before Lava's import, and its own attempt to set it ignored."""
    if multiprocessing.get_start_method(allow_none=True) is None:
        multiprocessing.set_start_method("fork")
    original = multiprocessing.set_start_method

    def ignored(method: str | None = None, force: bool = False) -> None: ...

    multiprocessing.set_start_method = ignored
    try:
        yield
    finally:
        multiprocessing.set_start_method = original


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Undo what Lava keeps for ever: processes and variables in its registries, and its log
    handlers.
    """
    from lava.magma.core.process.process import ProcessServer
    from lava.magma.core.process.variable import VarServer

    registries = (ProcessServer().processes, VarServer().vars)
    logs = (logging.getLogger(), logging.getLogger("lava.magma.compiler.compiler"))
    lengths = [len(registry) for registry in registries]
    handlers = [list(log.handlers) for log in logs]
    try:
        yield
    finally:
        for registry, length in zip(registries, lengths):
            for member in registry[length:]:
                member._runtime = None  # else the process stops its runtime again when collected
            del registry[length:]
        for log, before in zip(logs, handlers):
            log.handlers[:] = before
