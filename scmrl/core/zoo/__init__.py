"""The zoo: small frozen models that travel with the package, each with a card.

    scmrl.deploy("zoo:where")        `zoo:NAME` stands wherever a model is asked for
    scmrl.zoo.names()                which there are
    scmrl.zoo.card("where")          data, seed, accuracy, spikes, energy, licences

A directory NAME here holds a bundle and its card; `scripts/zoo.py` makes both from a run.
"""

from __future__ import annotations

import os
from pathlib import Path

from ...system.errors import UsageError, nearest
from ...system.reading import read_json
from .cards import Card, ZooReport

__all__ = ["Card", "card", "names"]  # of the API
FOLDER = Path(__file__).parent
PREFIX = "zoo:"


def names() -> tuple[str, ...]:
    """The models of the zoo."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob("*/card.json")))


def card(name: str) -> Card:
    """What is known of the model `name`, with or without its "zoo:". Raises `UsageError` for an
    unknown name, naming the nearest.

    >>> scmrl.zoo.card("where").test_samples
    600
    """
    return Card.of(read_json(_directory(name.removeprefix(PREFIX), name) / "card.json"))


def report(name: str | None = None) -> ZooReport:
    """All cards, or the one of `name`."""
    cards = tuple(map(card, names() if name is None else [name]))
    files = (file for c in cards for file in (FOLDER / c.name).iterdir())
    return ZooReport(cards, sum(file.stat().st_size for file in files))


def place(model: str | Path) -> Path | None:
    """The directory of the model that `zoo:NAME` names, None for a path. Raises `UsageError` for an
    unknown name, and where a file or directory of that name lies here: which is meant?
    """
    text = str(model)
    if not text.startswith(PREFIX):
        return None
    name, there = text.removeprefix(PREFIX), os.path.lexists(text)
    if there and name not in names():
        return None
    directory = _directory(name, text)
    if there:
        raise UsageError(
            "a model of the zoo, and also a file or directory here",
            where=text,
            fix=f"give the whole path, {os.path.abspath(text)}, or work in another directory",
        )
    return directory


def _directory(name: str, where: str) -> Path:
    if name not in names():
        raise UsageError("no such model in the zoo", where=where, fix=nearest(name, names()))
    return FOLDER / name
