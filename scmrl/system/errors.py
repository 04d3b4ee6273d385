"""Errors a user can act on: what failed, where, the limit and the value, and what to do.

Every error that leaves scmrl is a `ScmrlError`; the command line prints it as one line and exits
with its code. Anything else that reaches a user is a bug.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable

LONGEST = 400  # characters of one fact in a message


class ScmrlError(Exception):
    """`what` failed `where` (node, file, option), the `limit`, the offending `value`, the `fix`."""

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        limit: object = None,
        value: object = None,
        fix: str | None = None,
    ):
        self.what, self.where, self.limit, self.value, self.fix = what, where, limit, value, fix
        super().__init__(str(self))

    def at(self, place: object, kind: type[ScmrlError]) -> ScmrlError:
        """The same said by an error of another `kind`, found within `place`."""
        return kind(
            self.what,
            where=place if self.where is None else f"{place}: {self.where}",
            limit=self.limit,
            value=self.value,
            fix=self.fix,
        )

    def __str__(self) -> str:
        text = self.what
        if self.where is not None:
            text = f"{visible(str(self.where), LONGEST)}: {text}"
        given = {"limit": self.limit, "got": self.value}.items()
        facts = [f"{name} {one_line(str(x), LONGEST)}" for name, x in given if x is not None]
        if facts:
            text += f" ({', '.join(facts)})"
        if self.fix:
            text += f"; {self.fix}"
        return one_line(text)


def visible(text: str, longest: int | None = None) -> str:
    """`text` with what a terminal would not print as itself written out, \\x1b, \\u202e, \\udc80:
    control characters, turns of direction, lone surrogates, line ends. What others wrote neither
    moves the cursor nor passes for another line. The middle of more than `longest` is left out.
    """
    if longest is not None and len(text) > longest:
        text = f"{text[: longest // 2]} ... {text[-longest // 2 :]}"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown(text: str) -> str:
    """As `visible`, line ends kept: for cells and notes of several lines that scmrl composed."""
    return "\n".join(map(visible, text.split("\n")))


def one_line(text: str, longest: int = 10 * LONGEST) -> str:
    """`text` on one line: runs of blanks and line ends as one blank, the rest as in `visible`."""
    return visible(re.sub(r"[ \t\r\n]+", " ", text).strip(" "), longest)


class MismatchError(ScmrlError):
    """Two backends that must agree in every bit do not."""

    exit_code = 1


class UsageError(ScmrlError):
    """An option, a name or a configuration key is wrong."""

    exit_code = 2


class DataError(ScmrlError):
    """Recordings, samples or other input data are missing, corrupt or of the wrong shape."""

    exit_code = 3


class BundleError(ScmrlError):
    """A frozen model or an export is missing, corrupt, truncated or of an unknown version."""

    exit_code = 4


class GraphError(ScmrlError):
    """A network is not a legal graph, or a target or a profile cannot hold it."""

    exit_code = 5


class BackendError(ScmrlError):
    """A backend failed, ran past its deadline, or was stopped."""

    exit_code = 7


class MissingDependency(ScmrlError):
    """A library that this operation needs is not installed."""

    exit_code = 6

    def __init__(self, name: str, *, enables: str, install: str | None = None):
        """`install`: the way to get it, where it is not that of `dependencies`."""
        from . import dependencies

        self.name, self.enables, self.install = name, enables, install or dependencies.hint(name)
        what = f"{name} is not installed; it enables {enables}"
        super().__init__(what, fix=f"install it with: {self.install}")


def nearest(word: str, known: Iterable[str]) -> str:
    """'did you mean X?' for a misspelt `word`, followed by the known words."""
    words = sorted(known)
    close = difflib.get_close_matches(word[:LONGEST], words, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}known: {', '.join(words)}"


def quoted(path: object) -> str:
    """A path as a shell takes it: hints are there to be copied."""
    return shlex.quote(str(path))
