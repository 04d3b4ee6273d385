"""The rows of `published.toml`: what was measured, the figures behind it, where they are from."""

from __future__ import annotations

import functools
from pathlib import Path

from ...system.reading import read_toml


@functools.cache
def table(name: str) -> dict[str, str]:
    """A table of texts: `sources`, `not_computable`, `cores_not_public`."""
    return _file()[name]


def rows(name: str) -> list[dict]:
    """The rows of `case`, `lsnn`, `step` or `network`; `source` is the text of the source.

    What `each` lists becomes rows of their own, with all that is said beside it; figures are added.
    """
    found = []
    for row in _file()[name]:
        shared = {key: value for key, value in row.items() if key != "each"}
        for own in row.get("each", [{}]):
            figures = shared.get("figures", {}) | own.get("figures", {})
            found.append(shared | own | ({"figures": figures} if figures else {}))
    return [row | {"source": table("sources")[row["source"]]} for row in found]


@functools.cache
def _file() -> dict:
    return read_toml(Path(__file__).with_name("published.toml"))
