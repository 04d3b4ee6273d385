"""What a box of neurons takes of its core, and which limits of a core that exceeds.

    words      of all synapses into the box, as the chip stores them          `synapse_memory`
    axons in   the source neurons that reach the box, each once; Loihi 2: one for a synapse that
               shares its weights
    accumulators   2^bits a neuron, bits of the longest delay into the box plus one step

Populations that add their membranes (`Population.adds`) are cut alike and stay together: a *unit*
is such a set, most often a single population, and takes what all its members take.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...core.graph import Box, Graph, Population
from ...hw_profiles.profile import Profile
from ...system.errors import GraphError
from .boxes import grid, neurons_in, union
from .cores import Piece, accumulators
from .synapse_memory import WORD, SynapseMemory

WORDS = {
    "neurons": "neurons",
    "synapse_words": "words of synaptic memory",
    "axons_in": "input axons",
    "axons_out": "output axons",
    "accumulators": "dendritic accumulators",
    "words_per_axon": "words behind one axon",
    "neuron_groups": "populations",
    "synapse_formats": "synapse formats",
}


@dataclass(frozen=True)
class Misfit:
    """A population of which even the smallest piece exceeds a limit of a core."""

    population: str
    limit: str
    allowed: int
    value: int

    def __str__(self) -> str:
        return (
            f"one neuron of {self.population} needs {self.value:,} {WORDS[self.limit]} on its core "
            f"(limit {self.allowed:,}, {self.value / self.allowed:.1f} times too many)"
        )


class DoesNotFit(GraphError):
    """No number of cores holds the graph: its `misfits`."""

    def __init__(self, chip: str, misfits: tuple[Misfit, ...]):
        self.misfits = misfits
        first, more = misfits[0], len(misfits) - 1
        also = f" (and {more} more population{'s' * (more > 1)})" if more else ""
        super().__init__(
            f"no number of cores of {chip} holds this population{also}: one neuron needs too many "
            f"{WORDS[first.limit]}",
            where=first.population,
            limit=first.allowed,
            value=first.value,
            fix=(
                "fewer sources a neuron, or a population between; `scmrl place` names chips that"
                " hold it"
            ),
        )
        self.args = (chip, misfits)  # what a copy in another process is made from


@dataclass(frozen=True)
class Unit:
    """Populations of one shape that stay together because one adds the membrane of another."""

    members: tuple[Population, ...]

    @property
    def name(self) -> str:
        return self.members[0].name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.members[0].shape

    @property
    def neurons(self) -> int:
        """Of one of its populations."""
        return self.members[0].neurons


def units(populations: Iterable[Population]) -> dict[str, Unit]:
    """The units of populations in order, by the first of each: what is added comes first."""
    first_of: dict[str, str] = {}
    members: dict[str, list[Population]] = {}
    for p in populations:
        first_of[p.name] = first_of[p.adds] if p.adds else p.name
        members.setdefault(first_of[p.name], []).append(p)
    return {name: Unit(tuple(unit)) for name, unit in members.items()}


@dataclass(frozen=True)
class Demand:
    """What a box takes: `cores.SHARES` without axons out, and the longest list behind one axon."""

    neurons: int
    synapse_words: int
    axons_in: int
    words_per_axon: int
    formats: frozenset[tuple]
    delay_bits: int

    @property
    def accumulators(self) -> int:
        return accumulators(self.neurons, self.delay_bits)

    def __add__(self, other: Demand) -> Demand:
        return Demand(
            self.neurons + other.neurons,
            self.synapse_words + other.synapse_words,
            self.axons_in + other.axons_in,
            max(self.words_per_axon, other.words_per_axon),
            self.formats | other.formats,
            max(self.delay_bits, other.delay_bits),
        )


NOTHING = Demand(0, 0, 0, 0, frozenset(), 0)


class Demands:
    """The demands of a graph's boxes on the cores of a chip. `limits`: what a core has of
    `cores.SHARES`, where the profile says so; `expanded`: no weights are shared.
    """

    def __init__(self, graph: Graph, profile: Profile, *, expanded: bool = False):
        self.graph, self.chip = graph, profile.chip
        self.memory = SynapseMemory(profile, expanded=expanded)
        self.limits = core_limits(self.memory.limits)
        self._bounds = {name: n for name, n in self.limits.items() if name != "axons_out"}
        if "words_per_axon" in self.memory.limits:
            self._bounds["words_per_axon"] = self.memory.limits["words_per_axon"]

    def of(self, p: Population, box: Box) -> Demand:
        """What a box of a population takes."""
        words, longest, shared, formats = 0, 0, 0, set()
        senders: dict[str, list[tuple[Box, np.ndarray]]] = {}
        for synapse in self.graph.incoming(p.name):
            source = self.graph[synapse.source].shape
            region, counts = synapse.arrivals(source, p.shape, box)
            stored = self.memory.store(synapse, source, box, counts)
            words, longest = words + stored.words, max(longest, stored.longest)
            formats.add((stored.format, self.memory.bits(synapse), synapse.exponent, synapse.delay))
            if self.memory.mapping == "loihi2" and self.memory.shares(synapse):
                shared += stored.words > 0
            else:
                senders.setdefault(synapse.source, []).append((region, counts > 0))
        axons = sum(int(np.count_nonzero(union(masks)[1])) for masks in senders.values())
        delays = [synapse.delay for synapse in self.graph.incoming(p.name)]
        bits = (max(delays, default=0) + 1).bit_length()
        return Demand(neurons_in(box), words, axons + shared, longest, frozenset(formats), bits)

    def of_unit(self, unit: Unit, box: Box) -> Demand:
        """What the same box of all populations of a unit takes."""
        return sum((self.of(p, box) for p in unit.members), NOTHING)

    def pieces(self, unit: Unit, box: Box) -> list[Piece]:
        """The pieces of a unit on one core."""
        needs = ((p.name, self.of(p, box)) for p in unit.members)
        return [
            Piece(name, box, n.neurons, n.synapse_words, n.axons_in, n.formats, n.delay_bits)
            for name, n in needs
        ]

    def excess(self, unit: Unit, boxes: list[Box]) -> dict[str, float]:
        """Limits that the first box that does not fit exceeds, and by what factor; empty where all
        fit. Output axons are not among them: only the whole placement decides those.
        """
        for box in boxes:
            if over := self._over(self.of_unit(unit, box)):
                return over
        return {}

    def misfit(self, unit: Unit) -> Misfit:
        """The limit that the first single neuron that does not fit exceeds most."""
        for box in grid(unit.shape, (1,) * len(unit.shape)):
            need = self.of_unit(unit, box)
            if over := self._over(need):
                worst = max(over, key=lambda name: over[name])
                return Misfit(unit.name, worst, self._bounds[worst], getattr(need, worst))
        limit = self.limits.get("axons_out", 0)
        return Misfit(unit.name, "axons_out", limit, limit + 1)

    def _over(self, need: Demand) -> dict[str, float]:
        takes = {name: getattr(need, name) for name in self._bounds}
        return {n: takes[n] / limit for n, limit in self._bounds.items() if takes[n] > limit}


def core_limits(limits: dict[str, int]) -> dict[str, int]:
    """What a core has of `cores.SHARES`, where a profile's limits say so."""
    found = {"neurons": limits["neurons_per_core"]}
    if "synapse_words_per_core" in limits:
        found["synapse_words"] = limits["synapse_words_per_core"]
    elif "synapse_memory_per_core" in limits:
        found["synapse_words"] = limits["synapse_memory_per_core"] // WORD
    return found | {
        name: limits[f"{name}_per_core"]
        for name in ("axons_in", "axons_out", "accumulators")
        if f"{name}_per_core" in limits
    }
