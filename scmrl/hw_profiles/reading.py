"""A profile's TOML file: its quantities and texts on top of those of its base, or all that is wrong
with it, told at once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from ..system.errors import UsageError, nearest
from ..system.reading import read_toml
from .quantities import (
    CHOICES,
    FIELDS,
    KINDS,
    LARGEST,
    NAMED,
    REQUIRED,
    SECTIONS,
    TEXTS,
    TOGETHER,
    Entries,
    Entry,
    Quantities,
    Quantity,
)

FOLDER = Path(__file__).parent
MOST_FAULTS = 20  # listed of one file


def names() -> tuple[str, ...]:
    """The profiles that come with scmrl."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def locate(name: str, where: str | None = None) -> Path:
    """The file of a profile, by name or path. Raises `UsageError` for neither; `where` asks."""
    if name in names():
        return FOLDER / f"{name}.toml"
    path = Path(name)
    if path.suffix != ".toml":
        raise UsageError(
            "no such hardware profile",
            where=where or name,
            value=where and name,
            fix=nearest(name, names()),
        )
    return path


def read(path: Path) -> tuple[dict, dict[str, str]]:
    """Quantities by section, and texts. Raises `UsageError` naming the file and every key that is
    wrong.
    """
    faults = Faults()
    sections, texts = _resolve(path, (), faults)
    for section, keys in ((name, pair) for name, pairs in TOGETHER.items() for pair in pairs):
        given = [key for key in keys if key in sections[section]]
        if given and len(given) < len(keys):
            faults.add(
                "these quantities belong together",
                where=f"{path.name}: {section}",
                limit=", ".join(keys),
                value=", ".join(given),
            )
    for where, entry, quantity in _entries(sections):
        with faults:
            _check_size(f"{path.name}: {where}", entry, quantity)
    told = {fault.where for fault in faults.found}
    for key in TEXTS:
        if key not in CHOICES and key not in texts and f"{path.name}: {key}" not in told:
            faults.add("must be a text", where=f"{path.name}: {key}")
    faults.tell(path.name)
    return sections, texts


class Faults:
    """All that is wrong with a file: an error within `with faults:` is kept, not raised."""

    def __init__(self) -> None:
        self.found: list[UsageError] = []

    def add(
        self,
        text: str,
        *,
        where: str,
        limit: str | None = None,
        value: object = None,
        fix: str | None = None,
    ) -> None:
        """A fault, as `UsageError` takes it."""
        self.found.append(UsageError(text, where=where, limit=limit, value=value, fix=fix))

    def __enter__(self) -> Faults:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, UsageError):
            self.found.append(error)
        return isinstance(error, UsageError)

    def tell(self, name: str) -> None:
        """Raise what was found: the one error, or one that lists them."""
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            more = len(self.found) - MOST_FAULTS
            listed = " | ".join(map(str, self.found[:MOST_FAULTS])) + (
                f" | and {more} more" if more > 0 else ""
            )
            raise UsageError(f"{len(self.found)} faults: {listed}", where=name)


def _entries(sections: dict) -> Iterator[tuple[str, Entry, Quantity]]:
    """Every quantity by 'section.key' or 'section.name.key', with what it is."""
    for section, entries in SECTIONS.items():
        for key, quantity in sections[section].items():
            yield f"{section}.{key}", entries[key], quantity
    for section, entries in NAMED.items():
        for name, quantities in sections[section].items():
            for key, quantity in quantities.items():
                yield f"{section}.{name}.{key}", entries[key], quantity


def _check_size(where: str, entry: Entry, quantity: Quantity) -> None:
    """Errors (the shares of 1 that are no limit) lie above -100 %, limits and chips are whole
    numbers in their bounds, nothing else is negative.
    """
    numbers = (quantity.low, quantity.value, quantity.high, *(quantity.each or ()))
    if entry.unit == "1" and not entry.bounds:
        if min(numbers) <= -1:
            raise UsageError(
                "an estimate cannot err by -100 % or less", where=where, value=min(numbers)
            )
        return
    if min(numbers) < 0:
        raise UsageError("must not be negative", where=where, value=min(numbers))
    if not entry.bounds:
        return
    low, high = entry.bounds
    for number in (quantity.value, *(quantity.each or ())):
        if number != int(number):
            raise UsageError("must be a whole number", where=where, value=number)
        if not low <= number <= high:
            raise UsageError("out of bounds", where=where, limit=f"{low}..{high}", value=number)


def _resolve(path: Path, seen: tuple[Path, ...], faults: Faults) -> tuple[dict, dict]:
    """Quantities by section and the texts of a file, on top of those of its base."""
    try:
        key = path.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a null character
        raise UsageError(
            "cannot read the hardware profile", where=ascii(str(path)), value=error
        ) from None
    if key in seen:
        raise UsageError("profiles are each other's base", where=path.name)
    if not os.path.exists(path):
        raise UsageError(
            "cannot read the hardware profile",
            where=path,
            value="No such file or directory",
            fix=f"give a file or one of: {', '.join(names())}",
        )
    table = read_toml(path)
    sections, texts = _base(path, table, (*seen, key), faults)
    texts |= _own_texts(path, table, faults)
    sources = _texts(path, "sources", table.pop("sources", {}), faults)
    for section, given in table.items():
        where = f"{path.name}: {section}"
        with faults:
            if section in SECTIONS:
                sections[section] |= _quantities(where, given, SECTIONS[section], sources, faults)
            elif section in NAMED:
                sections[section] |= _tables(where, given, section, sources, faults)
            else:
                known = (*SECTIONS, *NAMED, *TEXTS, "sources", "base")
                raise UsageError("unknown key", where=where, fix=nearest(section, known))
    return sections, texts


def _base(path: Path, table: dict, seen: tuple[Path, ...], faults: Faults) -> tuple[dict, dict]:
    """What a file takes from its base: all quantities, and the texts that do not speak of its own
    numbers; its title says so.
    """
    base = table.pop("base", None)
    if base is None:
        return {section: {} for section in (*SECTIONS, *NAMED)}, {}
    if not isinstance(base, str):
        raise UsageError("must be the name of a profile", where=f"{path.name}: base", value=base)
    beside = base not in names() and base.endswith(".toml")
    found = path.parent / base if beside else locate(base, f"{path.name}: base")
    sections, texts = _resolve(found, seen, faults)
    own = ("basis", "energy_basis") if table.get("energy") else ()
    texts = {key: text for key, text in texts.items() if key not in own}
    return sections, texts | {"title": f"{texts.get('title', base)}, as {path.stem} changes it"}


def _own_texts(path: Path, table: dict, faults: Faults) -> dict[str, str]:
    texts = _texts(path, "", {key: table.pop(key) for key in TEXTS if key in table}, faults)
    if table.get("energy") and "energy_basis" not in texts:
        faults.add(
            "must be said where energies are given",
            where=f"{path.name}: energy_basis",
            limit=" or ".join(CHOICES["energy_basis"]),
        )
    for key, known in CHOICES.items():
        if texts.get(key, known[0]) not in known:
            where, fix = f"{path.name}: {key}", nearest(texts[key], known)
            faults.add("unknown word", where=where, value=texts[key], fix=fix)
    return texts


def _texts(path: Path, section: str, given: object, faults: Faults) -> dict[str, str]:
    if not isinstance(given, dict):
        faults.add("must be a table of texts", where=f"{path.name}: {section}", value=given)
        return {}
    good = {key: text for key, text in given.items() if isinstance(text, str) and text.strip()}
    for key, text in given.items():
        if key not in good:
            where = f"{section}.{key}" if section else key
            faults.add("must be a text", where=f"{path.name}: {where}", value=text)
    return good


def _tables(
    where: str, given: object, section: str, sources: dict[str, str], faults: Faults
) -> dict[str, Quantities]:
    """The named tables of `systems` or `cases`."""
    if not isinstance(given, dict):
        raise UsageError("must be a table of named tables", where=where, value=given)
    tables = {}
    for name, table in given.items():
        with faults:
            here = f"{where}.{name}"
            tables[name] = _quantities(here, table, NAMED[section], sources, faults)
            _require(here, REQUIRED[section], table)
    return tables


def _require(where: str, keys: tuple[str, ...], table: dict) -> None:
    missing = [key for key in keys if key not in table]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        raise UsageError(f"{', '.join(missing)} {are} missing", where=where)


def _quantities(
    where: str, given: object, entries: Entries, sources: dict[str, str], faults: Faults
) -> Quantities:
    if not isinstance(given, dict):
        raise UsageError("must be a table of quantities", where=where, value=given)
    found = {}
    for key, table in given.items():
        with faults:
            if key not in entries:
                raise UsageError("unknown key", where=f"{where}.{key}", fix=nearest(key, entries))
            found[key] = _quantity(f"{where}.{key}", table, entries[key].unit, sources)
    return found


def _quantity(where: str, table: object, unit: str, sources: dict[str, str]) -> Quantity:
    if not isinstance(table, dict):
        raise UsageError(
            "must be a table with value, unit, source and kind", where=where, value=table
        )
    for key in table:
        if key not in FIELDS:
            raise UsageError("unknown key", where=f"{where}.{key}", fix=nearest(key, FIELDS))
    _require(where, FIELDS[:4], table)
    for key, known in (("unit", [unit]), ("kind", KINDS), ("source", sources)):
        word = table[key]
        if not isinstance(word, str) or word not in known:
            raise UsageError(
                f"unknown {key}", where=where, value=word, fix=nearest(str(word), known)
            )
    value = _number(f"{where}.value", table["value"])
    span, each = table.get("range"), table.get("each")
    return Quantity(
        value,
        unit,
        sources[table["source"]],
        table["kind"],
        None if span is None else _range(where, span, value),
        None if each is None else _each(f"{where}.each", each, value),
    )


def _number(where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError("must be a number", where=where, value=value)
    if abs(value) > LARGEST:  # first: an endless integer is no float
        raise UsageError("number is too large", where=where, limit=LARGEST)
    if math.isnan(value):
        raise UsageError("must be a number", where=where, value=value)
    return value


def _range(where: str, span: object, value: float) -> tuple[float, float]:
    if not isinstance(span, list) or len(span) != 2:
        raise UsageError("must be [low, high]", where=f"{where}.range", value=span)
    low, high = (_number(f"{where}.range", end) for end in span)
    if not low <= value <= high:
        raise UsageError(
            "value lies outside its range", where=where, limit=[low, high], value=value
        )
    return low, high


def _each(where: str, values: object, value: float) -> tuple[float, ...]:
    if not isinstance(values, list) or not values:
        raise UsageError("must be a list of numbers", where=where, value=values)
    numbers = tuple(_number(where, number) for number in values)
    if max(numbers) != value:
        raise UsageError(
            "value must be the largest of them", where=where, limit=max(numbers), value=value
        )
    return numbers
