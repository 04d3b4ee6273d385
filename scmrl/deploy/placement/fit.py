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

from ...convert.frame.pipeline import NoPipeline, Pipeline, at_once
from ...core.graph import Graph
from ...hw_profiles import limits
from ...hw_profiles.limits import Violation
from ...hw_profiles.profile import Profile
from ...system.errors import UsageError, nearest
from .cores import Placement
from .demand import WORDS, DoesNotFit, Misfit
from .layout import Layout, delay_steps, expands, laid_out
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
    """`line`: the network that the chip runs, which is placed. `violations`: every limit of
    `profile` that it breaks; `misfits`: the populations that no core holds, which are among them;
    `placement`: None where there is none, and then `unplaced` says why.
    """

    profile: Profile
    line: Pipeline
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

    def layout(self) -> Layout | None:
        """What is placed, in numbers; None for a profile that says nothing of cores."""
        if not placeable(self.profile):
            return None
        graph, line, placement = self.line.graph, self.line, self.placement
        own = [p for p in graph.populations if p.kind != "input"]
        waits = [s.delay for s in graph.synapses if s.delay and s.target not in line.relays]
        shared = any(s.shared for s in graph.synapses)
        stored = "expanded" if expands(self.profile) else "shared"
        return Layout(
            neurons=sum(p.neurons for p in own),
            relays=sum(p.neurons for p in own if p.name in line.relays),
            processes=line.processes,
            waiting=len(waits),
            longest_wait=max(waits, default=0),
            delay_steps=delay_steps(self.profile),
            depth=line.latency,
            streams=line.streams,
            convolutions=stored if shared else "none",
            cores=placement and len(placement.cores),
            cores_if_shared=self._shared_cores() if shared and stored == "expanded" else None,
        )

    def _shared_cores(self) -> int | None:
        how = self.placement
        asked = {} if how is None else {"packed": how.packed, "inputs": how.inputs}
        try:
            found = place(self.line.graph, self.profile, order=self.line.order, **asked)
        except DoesNotFit:
            return None
        return len(found.cores)


def fit(
    graph: Graph,
    profile: Profile,
    *,
    packed: bool = False,
    inputs: bool = False,
    room: Room | None = None,
) -> Fit:
    """Lay out `graph` for the chip, place it and check it against every limit; `packed` and
    `inputs` as for `place`.
    """
    try:
        line = laid_out(graph, profile)
    except NoPipeline as error:
        broken = _of_the_pipeline(error)
        return judged(at_once(graph), profile, None, room=room, unplaced=str(error), also=(broken,))
    if not placeable(profile):
        return judged(line, profile, None, unplaced=NO_CORES)
    how = {"packed": packed, "inputs": inputs, "expanded": expands(profile)}
    try:
        placement = place(line.graph, profile, order=line.order, **how)
    except DoesNotFit as error:
        return judged(line, profile, None, room=room, misfits=error.misfits, unplaced=str(error))
    return judged(line, profile, placement, room=room)


def judged(
    line: Pipeline,
    profile: Profile,
    placement: Placement | None,
    *,
    room: Room | None = None,
    misfits: tuple[Misfit, ...] = (),
    unplaced: str | None = None,
    also: tuple[Violation, ...] = (),
) -> Fit:
    """The answer for a placement that is there, or for the `misfits` and what is broken `also` that
    left none.
    """
    room = room or (capacity(profile) if placeable(profile) else None)
    broken = [*also, *limits.check(line.graph, profile, chips=room.chips if room else 1)]
    known = {(v.rule, v.where) for v in broken}
    broken += [v for v in map(_of_a_core, misfits) if (v.rule, v.where) not in known]
    if placement and room and room.cores is not None and len(placement.cores) > room.cores:
        broken.append(_of_the_room(placement, room))
    checked = placeable(profile) or limits.RULES.keys() & profile.limits.keys()
    fits = not broken if checked else None
    return Fit(profile, line, room, fits, tuple(broken), misfits, placement, unplaced)


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


def _of_the_pipeline(error: NoPipeline) -> Violation:
    return Violation(
        error.rule,
        error.what,
        str(error.where),
        str(error.limit),
        str(error.value),
        str(error.fix),
    )


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
