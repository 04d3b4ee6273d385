"""The same network without spikes: every layer runs once, on real-valued activations.

    MACs = weights of Dense, Conv2d and Pointwise synapses over all positions, zeros too,
           not the padding
    ACs  = connections of the others (pooling, gating, sums), one addition each
    energy = MACs * e_mac + ACs * e_ac                  e_ac: where the profile has it

Biases and activation functions are left out here while neuron updates count on our side: the
comparison leans to the network without spikes. It is what papers compare with at 45 nm arithmetic;
it says nothing of memory, and the network without spikes was not trained: its accuracy is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.graph import Graph
from ...hw_profiles import profile as profiles
from ..counts.counts import PopulationCount, connections
from .energy import unplaced_uj

PJ_TO_UJ = 1e-6


@dataclass(frozen=True)
class DenseEnergy:
    """Energy of one inference without spikes by one profile, and of ours where it prices spikes."""

    profile: str
    title: str
    dense_uj: float
    spiking_uj: float | None
    ratio: float | None  # dense over spiking
    basis: str


@dataclass(frozen=True)
class DenseEquivalent:
    """Operations of one inference without spikes, and its energies. `synops`: ours, for
    comparison.
    """

    macs: int
    acs: int
    synops: float
    energies: tuple[DenseEnergy, ...]


def dense_equivalent(graph: Graph, counts: Sequence[PopulationCount]) -> DenseEquivalent:
    """The network without spikes, priced by every profile of scmrl that prices a multiplication."""
    each = [(s.weighted, connections(graph, s)) for s in graph.synapses]
    macs = sum(n for weighted, n in each if weighted)
    acs = sum(n for weighted, n in each if not weighted)
    known = [p for p in map(profiles.load, profiles.names()) if "mac" in p.energy]
    return DenseEquivalent(
        macs,
        acs,
        sum(c.synops_per_inference for c in counts),
        tuple(_energy(graph, counts, p, macs, acs) for p in known),
    )


def _energy(
    graph: Graph, counts: Sequence[PopulationCount], profile: profiles.Profile, macs: int, acs: int
) -> DenseEnergy:
    e = profile.energy
    dense = PJ_TO_UJ * (macs * e["mac"].value + acs * (e["ac"].value if "ac" in e else 0.0))
    spiking = unplaced_uj(graph, counts, profile)
    return DenseEnergy(
        profile.name,
        profile.title,
        dense,
        spiking,
        dense / spiking if spiking else None,
        profile.basis,
    )
