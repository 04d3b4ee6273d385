"""Python of the user's own, named on the command line: "path/to/file.py:name" or "module:name".

It is run because its user names it; what is only found in a file never is. It may import what lies
beside it, or in the working directory. Whatever goes wrong in it is one line that names the deepest
line of the user's own file; what it prints goes to standard error, so that `--json` stays JSON.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module, invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import MissingDependency, ScmrlError, UsageError, nearest
from ..reading import read_text

SOURCE_BYTES = 4 << 20
NAMES = "FILE.py:NAME or MODULE:NAME"


def load(reference: str, what: str) -> Callable[..., Any]:
    """The function that `reference` names, for `what` ("a network"). Raises UsageError, in one
    line, where the file, the module or the function is not there, or the file raises.

    >>> load("math:sqrt", "a root")(4.0)
    2.0
    """
    source, colon, name = str(reference).rpartition(":")
    if not (colon and source and name.isidentifier()):
        raise UsageError(f"{what} is named as {NAMES}", value=str(reference))
    module = _of_file(Path(source)) if source.endswith(".py") else _of_module(source)
    found = getattr(module, name, None)
    if not callable(found):
        own = [n for n, x in vars(module).items() if callable(x) and not n.startswith("_")]
        what = "no such function" if found is None else "not a function"
        hint = nearest(name, own) if own else "the file defines no function"
        raise UsageError(what, where=source, value=name, fix=hint)
    return found  # type: ignore[no-any-return]


def call(function: Callable[..., Any], *args: Any, what: str) -> Any:
    """What `function(*args)` gives. Raises UsageError for whatever it raises, naming the line."""
    with within(function, what):
        return function(*args)


def within(function: Callable[..., Any], what: str) -> contextlib.AbstractContextManager[None]:
    """Where code of the file of `function` runs: whatever it raises is a UsageError that names its
    deepest line in that file.
    """
    return _said(what, _file_of(function), place(function))


def place(function: Callable[..., Any]) -> str:
    """Where a function of the user's begins: "file.py:12"."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is not None:
        return f"{_short(code.co_filename)}:{code.co_firstlineno}"
    with contextlib.suppress(OSError, TypeError):
        return f"{_short(str(_file_of(function)))}:{inspect.getsourcelines(function)[1]}"
    return getattr(function, "__name__", type(function).__name__)


def _file_of(function: Callable[..., Any]) -> str | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is not None:
        return str(code.co_filename)
    return getattr(sys.modules.get(getattr(function, "__module__", "")), "__file__", None)


def _of_file(path: Path) -> ModuleType:
    """The module of a file, run anew."""
    text = read_text(path, SOURCE_BYTES, error=UsageError)
    file = str(path.absolute())
    module = ModuleType(f"user_{path.stem}")
    module.__file__ = file
    sys.modules[module.__name__] = module  # dataclasses and pickle look it up there
    _importable(path.absolute().parent)
    with _said("the file", file, _short(file)):
        exec(compile(text, file, "exec"), vars(module))
    return module


def _of_module(name: str) -> ModuleType:
    """The module of that name, from the working directory or installed."""
    _importable(Path.cwd())
    with _said(f"module {name}", None, name):
        parents = ".".join(name.split(".")[:-1])
        there = find_spec(name) if not parents or find_spec(parents) else None
    if there is None:
        raise UsageError("no such module", where=name, fix=f"give {NAMES}")
    with _said(f"module {name}", there.origin, name):
        return import_module(name)


def _importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    invalidate_caches()


@contextlib.contextmanager
def _said(what: str, file: str | None, otherwise: str) -> Iterator[None]:
    """Errors of the user's code as one `UsageError`, at the deepest line of `file` or `otherwise`.

    A library that is missing is said as everywhere, with what installs it.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except MissingDependency:
        raise
    except ScmrlError as error:
        raise _placed(error, _line(error, file, otherwise)) from error
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and type(error) is not SystemExit:
            raise  # a signal, see `interrupts`
        words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if isinstance(error, SyntaxError):  # its own text repeats file and line
            words = f"{type(error).__name__}: {error.msg}"
        where = _line(error, file, otherwise)
        raise UsageError(f"{what} raised {words}", where=where) from error


def _placed(error: ScmrlError, line: str) -> ScmrlError:
    """The error at a line, which it may name already, as "file.py:12"."""
    said, short = str(error.where), Path(line).name
    if said == short or said.startswith(f"{short}: "):
        error.where = said.removeprefix(short).removeprefix(": ") or None
    return error.at(line, UsageError)


def _line(error: BaseException, file: str | None, otherwise: str) -> str:
    """The deepest line of `file` that the error went through: "file.py:12"."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename)}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if file is not None and frame.filename == file]
    return f"{_short(own[-1].filename)}:{own[-1].lineno}" if own else otherwise


def _short(file: str) -> str:
    """A path from the working directory, where it lies in it."""
    with contextlib.suppress(ValueError):
        return str(Path(file).relative_to(os.getcwd()))
    return file
