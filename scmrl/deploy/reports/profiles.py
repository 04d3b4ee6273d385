"""What `scmrl profiles` and `scmrl doctor` list: chips with their numbers, libraries with their
state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ...core.report.report import Block, Report, columns, table
from ...core.report.text import first, span
from ...hw_profiles.limits import RULES
from ...hw_profiles.profile import Profile
from ...system import memory
from ...system.doctor import Component, Room


@dataclass(frozen=True)
class ProfilesReport(Report):
    """Hardware profiles: an overview of several, every number with its source for one."""

    command = "profiles"
    profiles: tuple[Profile, ...]

    def to_json(self) -> dict:
        by_name = {p.name: asdict(p) | {"can": abilities(p)} for p in self.profiles}
        return self.begun() | self._counts() | {"profiles": by_name}

    def headline(self) -> dict[str, str]:
        if len(self.profiles) == 1:
            (profile,) = self.profiles
            return {
                "profile": profile.name,
                "title": profile.title,
                "chip": profile.chip,
                "basis": profile.basis,
                "energies are": profile.energy_basis or "not published",
                "placement": str(abilities(profile)["placement"]),
            }
        counts = self._counts()
        return {
            "profiles": (
                f"{counts['count']}: {counts['priced']} with energies, {counts['placed']} with"
                " placement"
            ),
            "more": "`scmrl profiles NAME` shows every number with its source",
        }

    def _counts(self) -> dict[str, int]:
        can = [abilities(p) for p in self.profiles]
        return {
            "count": len(can),
            "priced": sum(a["energy"] != "-" for a in can),
            "placed": sum(a["placement"] != "-" for a in can),
        }

    def details(self) -> Iterator[Block]:
        if len(self.profiles) == 1:
            yield from _quantities(self.profiles[0])
            if self.profiles[0].cases:
                yield (
                    "published cases: of one inference as its source has it, alone or streamed;"
                    " an estimate is of the one that `scmrl energy --mode` asks for"
                )
            return
        words = ("profile", "chip", "kind of evidence", "energy", "placement")
        yield table(
            (*words, "limits", "boards", "cases"),
            [(p.name, p.chip, *map(str, abilities(p).values())) for p in self.profiles],
            words=words,
        )
        yield (
            "evidence: of the energies, or else of what there is; headline: one figure with"
            " everything in it, prices no network; cases: published inferences"
        )


def abilities(profile: Profile) -> dict[str, str | int]:
    """What a profile is good for: its evidence, energy, placement, and how many rules, boards and
    cases.
    """
    quantities = profile.energy or profile.published() or profile.limits
    priced = {"synop": "per operation", "mac": "MACs", "synop_all_in": "headline"}
    cores = {"cores", "neurons_per_core"} <= profile.limits.keys()
    return {
        "evidence": ", ".join(sorted({q.kind for q in quantities.values()})),
        "energy": ", ".join(words for key, words in priced.items() if key in profile.energy) or "-",
        "placement": f"{profile.mapping} rule" if profile.mapping else "bounds" if cores else "-",
        "limits": len(RULES.keys() & profile.limits.keys()),
        "boards": len(profile.systems),
        "cases": len(profile.cases),
    }


def _quantities(profile: Profile) -> Iterator[Block]:
    """Every quantity with the letter of its source, then the sources."""
    chip, published = profile.quantities(), profile.published()
    sources = dict.fromkeys(q.source for q in (*chip.values(), *published.values()))
    letters = {source: _letter(i) for i, source in enumerate(sources)}
    exact = "{:,}".format  # as it was published
    for head, quantities in (("quantity", chip), ("board or published case", published)):
        if quantities:
            yield table(
                (head, "value", "unit", "range", "kind", "source"),
                [
                    (n, exact(q.value), q.unit, span(q.range, exact), q.kind, letters[q.source])
                    for n, q in quantities.items()
                ],
                words=(head, "unit", "kind", "source"),
            )
    yield {f"{name} by core": " ".join(map(exact, q.each)) for name, q in chip.items() if q.each}
    yield {letter: source for source, letter in letters.items()}


def _letter(i: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    return (_letter(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)


@dataclass(frozen=True)
class DoctorReport(Report):
    """What is installed, and how to install the rest; what there is room for; what killed runs
    left, removed now.
    """

    command = "doctor"
    components: tuple[Component, ...]
    room: Room = Room(None, None, None)
    removed: tuple[str, ...] = ()

    def to_json(self) -> dict:
        return super().to_json() | {"installed": self._installed, "known": len(self.components)}

    @property
    def _installed(self) -> int:
        return sum(c.state == "installed" for c in self.components)

    def headline(self) -> dict[str, str]:
        lines = {"installed": f"{self._installed} of {len(self.components)}"}
        for state in ("missing", "too old", "too new", "untested"):
            if names := [c.name for c in self.components if c.state == state]:
                lines[state] = first(names, 6)
        free = {
            "memory": self.room.memory,
            "/dev/shm": self.room.shared_memory,
            "temporary files": self.room.temporary,
        }
        known = [
            f"{where} {memory.words(size)}" for where, size in free.items() if size is not None
        ]
        lines["free"] = ", ".join(known) or "-"
        lines["leftovers"] = (
            f"{len(self.removed)} of killed runs, removed" if self.removed else "none"
        )
        return lines

    def details(self) -> Iterator[Block]:
        cells = {
            "component": lambda c: c.name,
            "version": lambda c: c.version or "-",
            "needs": lambda c: c.versions or "-",
            "state": lambda c: c.state,
            "enables": lambda c: c.enables,
        }
        yield columns(self.components, cells, words=cells)
        yield from (f"removed: {path}" for path in self.removed)
        yield from (f"{c.name}: {c.install}" for c in self.components if c.state != "installed")
