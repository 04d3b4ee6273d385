"""What a file's values must look like, said once as a table of kinds, and checked whole before
anything is used.

    BUNDLE = Table({"schema": Integer(1, 2), "classes": List(Text())}, optional={"note": Text()})
    BUNDLE.check(table, "bundle.json", BundleError)
    raises: bundle.json: classes.2: must be text (got int)

To add a kind: subclass `Kind` and give it `check`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from ..system.errors import ScmrlError, nearest


class Kind:
    """A set of values."""

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        """Raise `error` where `value`, found at `where`, is not of this kind."""
        raise NotImplementedError


def _refuse(wanted: str, value: object, where: str, error: type[ScmrlError]) -> NoReturn:
    raise error(f"must be {wanted}", where=where, value=f"{type(value).__name__} {value!r}")


@dataclass(frozen=True)
class Integer(Kind):
    """A whole number from `low` to `high`."""

    low: int = -(1 << 63)
    high: int = (1 << 63) - 1

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            _refuse("an integer", value, where, error)
        if not self.low <= value <= self.high:
            raise error(
                "is out of range", where=where, limit=f"{self.low}..{self.high}", value=value
            )


@dataclass(frozen=True)
class Number(Kind):
    """A whole or a finite broken number from `low` to `high`."""

    low: float = -1e300
    high: float = 1e300

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            _refuse("a number", value, where, error)
        if not self.low <= value <= self.high:
            raise error(
                "is out of range", where=where, limit=f"{self.low:g} to {self.high:g}", value=value
            )


@dataclass(frozen=True)
class Text(Kind):
    """Text; `printable`: without control characters and not empty."""

    printable: bool = False

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        if not isinstance(value, str):
            _refuse("text", value, where, error)
        if self.printable and not (value and value.isprintable()):
            raise error("must be printable text", where=where, value=ascii(value))


@dataclass(frozen=True)
class Choice(Kind):
    """One of some words."""

    words: tuple[str, ...]

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        if value not in self.words:
            raise error(
                "unknown word", where=where, value=value, fix=nearest(str(value), self.words)
            )


class Flag(Kind):
    """true or false."""

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        if not isinstance(value, bool):
            _refuse("true or false", value, where, error)


class Anything(Kind):
    """Whatever `reading` lets in."""

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        pass


@dataclass(frozen=True)
class Maybe(Kind):
    """null, or of a kind."""

    kind: Kind

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        if value is not None:
            self.kind.check(value, where, error)


@dataclass(frozen=True)
class Either(Kind):
    """Of the first kind or of the second, which is a table."""

    first: Kind
    table: Kind

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        (self.table if isinstance(value, dict) else self.first).check(value, where, error)


@dataclass(frozen=True)
class List(Kind):
    """From `low` to `high` values of one kind."""

    kind: Kind
    low: int = 0
    high: int = 1 << 62

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        if not isinstance(value, (list, tuple)):
            _refuse("a list", value, where, error)
        if not self.low <= len(value) <= self.high:
            raise error(
                "must have another length",
                where=where,
                limit=f"{self.low} to {self.high}",
                value=len(value),
            )
        for i, part in enumerate(value):
            self.kind.check(part, f"{where}.{i}", error)


@dataclass(frozen=True)
class Map(Kind):
    """Any names, each with a value of one kind."""

    kind: Kind

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        if not isinstance(value, dict):
            _refuse("a table", value, where, error)
        for key, part in value.items():
            self.kind.check(part, f"{where}.{key}", error)


@dataclass(frozen=True)
class Table(Kind):
    """The `required` keys and any of the `optional` ones; others are refused unless it is
    `open`.
    """

    required: dict[str, Kind]
    optional: dict[str, Kind] = field(default_factory=dict)
    open: bool = False

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        if not isinstance(value, dict):
            _refuse("a table", value, where, error)
        known = self.required | self.optional
        at = f"{where}: " if where.endswith(".json") else f"{where}."
        for key in value:
            if key not in known and not self.open:
                raise error("unknown key", where=where, value=key, fix=nearest(key, known))
        for key, kind in known.items():
            if key in value:
                kind.check(value[key], at + key, error)
            elif key in self.required:
                raise error("is missing", where=at + key)
