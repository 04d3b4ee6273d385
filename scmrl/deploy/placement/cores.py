"""What a placement is made of: pieces of populations, the cores that hold them, the chips' mesh."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from ...core.graph import Box
from .mesh import Mesh

SHARES = (  # what a core has so much of
    *("neurons", "synapse_words", "axons_in", "axons_out"),
    "accumulators",
)


def accumulators(neurons: int, delay_bits: int) -> int:
    """Dendritic accumulators of a core: 2^bits a neuron, of which 2^bits - 1 can wait, one for what
    arrives without delay among them. Source: Intel's NxSDK tutorial of box synapses.
    """
    return neurons << delay_bits


@dataclass(frozen=True)
class Piece:
    """The neurons of one population on one core, as a box of index ranges, and what they take
    there.
    """

    population: str
    box: Box
    neurons: int
    synapse_words: int
    axons_in: int
    formats: frozenset[tuple]  # distinct formats of its synapses
    delay_bits: int  # of the longest delay of a synapse on it


@dataclass(frozen=True)
class Core:
    """One core: its pieces (several only where packed), what they take in all, and its place.

    `slot` numbers the places of a system, chip by chip; `chip` is the number of its chip; `tile` is
    (column, row) on the chip, None where the profile tells no mesh. `limits` hold what a core has
    of `SHARES`.
    """

    index: int
    pieces: tuple[Piece, ...]
    axons_out: int
    slot: int
    chip: int
    tile: tuple[int, int] | None
    limits: dict[str, int]

    @property
    def population(self) -> str:
        return " + ".join(dict.fromkeys(piece.population for piece in self.pieces))

    @property
    def neurons(self) -> int:
        return sum(piece.neurons for piece in self.pieces)

    @property
    def synapse_words(self) -> int:
        return sum(piece.synapse_words for piece in self.pieces)

    @property
    def axons_in(self) -> int:
        return sum(piece.axons_in for piece in self.pieces)

    @property
    def accumulators(self) -> int:
        return accumulators(self.neurons, max(piece.delay_bits for piece in self.pieces))

    def utilisation(self) -> dict[str, float]:
        """Share of each limit that the core takes."""
        return {name: getattr(self, name) / limit for name, limit in self.limits.items()}

    @property
    def binding(self) -> str:
        """The limit of which the largest share is taken."""
        used = self.utilisation()
        return max(used, key=lambda name: used[name])

    def at(self, slot: int, cores_per_chip: int, mesh: Mesh | None) -> Core:
        """The same core in another place."""
        moved = replace(self, slot=slot, chip=slot // cores_per_chip, tile=None)
        if mesh is None:
            return moved
        column, row = mesh.tile(slot)
        return replace(moved, tile=(int(column), int(row)))


@final  # never false: `placement and placement.chips` is that or None
@dataclass(frozen=True)
class Placement:
    """The cores of a graph on a chip, which `chip` names. `formats` holds dense, sparse or conv for
    each synapse of the graph, in order; `system` is the smallest that has the cores, None where
    none is known or large enough.
    """

    profile: str
    chip: str
    cores: tuple[Core, ...]
    chips: int
    system: str | None
    systems: dict[str, int]  # cores of every system of the profile
    cores_per_chip: int
    mesh: Mesh | None
    formats: tuple[str, ...]
    packed: bool
    inputs: bool
    expanded: bool  # convolutions are stored connection by connection

    def of(self, name: str) -> tuple[Core, ...]:
        """The cores that hold neurons of a population, in the order of its neurons; none for an
        input that the host injects.
        """
        return tuple(
            core for core in self.cores if any(piece.population == name for piece in core.pieces)
        )

    def moved(self, slots: np.ndarray) -> Placement:
        """The same cores in other places, int [cores]."""
        cores = tuple(
            core.at(int(slot), self.cores_per_chip, self.mesh)
            for core, slot in zip(self.cores, slots)
        )
        return replace(self, cores=cores)
