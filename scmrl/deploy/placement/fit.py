"""Whether a chip holds a network: one answer for every command.

    fits  <=>  no rule of `hw_profiles.limits` is broken, every neuron finds room on a core, and
          there are as
               many cores as it takes: of the system or chips asked for, else of the chip's
               largest system

`fits` is None for a profile without limits: arithmetic holds anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from ...core.graph import Graph
from ...hw_profiles import limits
from ...hw_profiles.limits import Violation
from ...hw_profiles.profile import Profile
from ...system.errors import UsageError, nearest
from .cores import Placement
from .demand import WORDS, DoesNotFit, Misfit
from .placement import place, placeable, systems

NO_CORES = "the profile does not say what a core holds"


@final  # never false: `room and room.cores` is that or None
@dataclass(frozen=True)
class Room:
    """Where a network has to fit: what was asked for in words (None: nothing), its cores and its
    chips; cores are None where nobody knows a system of the chip.
    """

    asked: str | None
    cores: int | None
    chips: int


@dataclass(frozen=True)
class Fit:
    """`violations`: every broken limit of `profile`; `misfits`: the populations that no core holds,
    which are among them; `placement`: None where there is none, and then `unplaced` says why.
    """

    profile: Profile
    room: Room | None
    fits: bool | None
    violations: tuple[Violation, ...]
    misfits: tuple[Misfit, ...]
    placement: Placement | None
    unplaced: str | None

    def require(self) -> None:
        """Raise `GraphError` where it does not fit."""
        if self.violations:
            raise limits.refusal(self.violations, self.profile.chip)


def fit(
    graph: Graph,
    profile: Profile,
    *,
    packed: bool = False,
    inputs: bool = False,
    room: Room | None = None,
) -> Fit:
    """Place `graph` and check it against every limit; `packed` and `inputs` as for `place`."""
    if not placeable(profile):
        return judged(graph, profile, None, unplaced=NO_CORES)
    try:
        placement = place(graph, profile, packed=packed, inputs=inputs)
    except DoesNotFit as error:
        return judged(graph, profile, None, room=room, misfits=error.misfits, unplaced=str(error))
    return judged(graph, profile, placement, room=room)


def judged(
    graph: Graph,
    profile: Profile,
    placement: Placement | None,
    *,
    room: Room | None = None,
    misfits: tuple[Misfit, ...] = (),
    unplaced: str | None = None,
) -> Fit:
    """The answer for a placement that is there, or for the `misfits` that left none."""
    room = room or (capacity(profile) if placeable(profile) else None)
    broken = limits.check(graph, profile, chips=room.chips if room else 1)
    known = {(v.rule, v.where) for v in broken}
    broken += [v for v in map(_of_a_core, misfits) if (v.rule, v.where) not in known]
    if placement and room and room.cores is not None and len(placement.cores) > room.cores:
        broken.append(_of_the_room(placement, room))
    checked = placeable(profile) or limits.RULES.keys() & profile.limits.keys()
    return Fit(
        profile, room, not broken if checked else None, tuple(broken), misfits, placement, unplaced
    )


def require(graph: Graph, profile: Profile) -> None:
    """Raise `GraphError` naming the first broken limit, where, its value, and how many more there
    are.
    """
    fit(graph, profile).require()


def capacity(profile: Profile, system: str | None = None, chips: int | None = None) -> Room:
    """The room of a system, of a number of chips, or (nothing asked) of the largest system that is
    known.

    Raises `UsageError` for an unknown system or no chips.
    """
    per_chip, sizes = int(profile.limits["cores"].value), systems(profile)
    if system is not None:
        found = {name.lower(): name for name in sizes}.get(system.lower())
        if found is None:
            raise UsageError(
                f"no such system of {profile.chip}",
                where="--system",
                value=system,
                fix=nearest(system, sizes),
            )
        return Room(found, sizes[found], int(profile.systems[found]["chips"].value))
    if chips is not None:
        if chips < 1:
            raise UsageError("at least one chip is needed", where="--chips", value=chips)
        return Room(f"{chips} chip{'s' * (chips > 1)} of {profile.chip}", chips * per_chip, chips)
    largest = max(sizes, key=lambda name: sizes[name], default=None)
    if largest is None:
        return Room(None, None, 1)
    return Room(None, sizes[largest], int(profile.systems[largest]["chips"].value))


def _of_a_core(misfit: Misfit) -> Violation:
    return Violation(
        misfit.limit if misfit.limit == "words_per_axon" else f"{misfit.limit}_per_core",
        f"What one neuron needs of {WORDS[misfit.limit]} fits a core",
        misfit.population,
        f"{misfit.allowed} {WORDS[misfit.limit]}",
        str(misfit.value),
        "Use fewer sources a neuron, or a population between",
    )


def _of_the_room(placement: Placement, room: Room) -> Violation:
    return Violation(
        "cores",
        f"The network takes no more cores than {room.asked or 'the largest system'} has",
        "all populations",
        f"{room.cores} cores",
        str(len(placement.cores)),
        "Use fewer channels or positions, or a larger system",
    )
