"""What relays do: they pass on every spike of a population, and nothing else.

spikes = messages in = active updates = spikes of the population that they repeat
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...convert.frame.pipeline import Pipeline
from ..counts.counts import PopulationCount


def with_relays(line: Pipeline, counts: Sequence[PopulationCount]) -> list[PopulationCount]:
    """Counts of every population of `line.graph`, from those of the graph that it was made of."""
    known = {c.name: c for c in counts}
    return [
        _relay(p.name, known[line.relays[p.name]]) if p.name in line.relays else known[p.name]
        for p in line.graph.populations
    ]


def fired_by_relays(line: Pipeline, fired: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Spikes of each neuron, by population of `line.graph`."""
    return {**fired, **{name: fired[of] for name, of in line.relays.items()}}


def _relay(name: str, of: PopulationCount) -> PopulationCount:
    spikes, steps = of.spikes_per_inference, float(of.neurons * of.steps)
    return PopulationCount(
        name=name,
        kind="lif",
        shape=of.shape,
        neurons=of.neurons,
        steps=of.steps,
        spikes_per_inference=spikes,
        rate=of.rate,
        synops_per_inference=spikes,
        graded_synops_per_inference=0.0,
        dense_synops_per_inference=steps,
        synops_by_synapse=(spikes,),
        updates_per_inference=steps,
        active_per_inference=spikes,
        receiving_per_inference=spikes,
        changed_per_inference=0.0,
        walked_by_synapse=(spikes,),
    )
