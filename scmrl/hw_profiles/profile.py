"""Hardware profiles: every number of a chip with its unit, source and kind, read from TOML.

A profile has sections of quantities: `energy` and `time` (per operation), `power`, `error` (of
core-dynamic estimates against measurements) and `limits` (what a graph may not exceed, see
`scmrl.hw_profiles.limits`, and what placement needs); then `systems` (boards of several chips) and
`cases` (published figures of one inference). A quantity that nobody has published is absent, never
0. `base = "other"` takes what is not given from another profile. `quantities` lists them all.

To add a chip: fill in what `scmrl profiles --template FILE` writes, or copy a file of this folder,
and pass its path where a profile's name is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .quantities import CHOICES, KINDS, NAMED, SECTIONS, Quantities, Quantity
from .reading import locate, names, read

__all__ = ["KINDS", "Profile", "Quantities", "Quantity", "load", "names"]


@dataclass(frozen=True)
class Profile:
    """The quantities of one chip by section and name; a quantity that nobody knows is absent.

    `energy_basis` says what the energies are: "marginal" (one more operation), "all_in" (all power
    of a chip over its operations; never to be added to others), "" where there are none. `mapping`
    names the rule by which layers are laid out on cores, "" where none is known. `systems` and
    `cases` hold the quantities of each board and of each published inference by their names.
    """

    name: str
    title: str
    chip: str
    basis: str
    energy_basis: str
    mapping: str
    energy: Quantities
    time: Quantities
    power: Quantities
    error: Quantities
    limits: Quantities
    systems: dict[str, Quantities]
    cases: dict[str, Quantities]

    def quantities(self) -> Quantities:
        """All quantities of the chip by 'section.name'; those of its systems and cases are not
        among them.
        """
        return {
            f"{section}.{key}": q
            for section in SECTIONS
            for key, q in getattr(self, section).items()
        }

    def published(self) -> Quantities:
        """The quantities of systems and cases by 'section.name.key'."""
        return {
            f"{section}.{name}.{key}": q
            for section in NAMED
            for name, entries in getattr(self, section).items()
            for key, q in entries.items()
        }


def load(name_or_path: str | Path) -> Profile:
    """A profile by name, or from the path of a TOML file. Raises `UsageError` naming the file and
    every key that is wrong.
    """
    path = locate(str(name_or_path))
    sections, texts = read(path)
    fields: dict[str, Any] = dict.fromkeys(CHOICES, "") | texts | sections
    return Profile(name=path.stem, **fields)
