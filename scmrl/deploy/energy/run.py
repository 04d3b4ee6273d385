"""A run on samples, counted and priced: means, and their standard errors over the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.activity import Activity
from ...core.graph import Graph
from ...hw_profiles.profile import Profile
from ..backends.backend import Progress
from ..counts.counts import PopulationCount, count
from ..counts.sampling import OverSamples, groups, of_each, part_of
from ..counts.updates import Updates, count_updates
from ..placement.fit import fit
from ..placement.traffic import fired
from .energy import on_chip
from .result import SAMPLED, EnergyEstimate

TOTALS = ("spikes_per_inference", "synops_per_inference", "active_per_inference")


@dataclass(frozen=True)
class Counted:
    """Samples with what they did: `counts` are means over them, `fired` as for `traffic`."""

    samples: int
    counts: list[PopulationCount]
    fired: dict[str, np.ndarray]

    @property
    def totals(self) -> dict[str, float | None]:
        """Sums over the populations, by `TOTALS`."""
        return {
            name: sum(
                getattr(c, name) or 0.0
                for c in self.counts
                if c.kind != "input" or name != TOTALS[2]
            )
            for name in TOTALS
        }


@dataclass(frozen=True)
class CountedRun:
    """A run and its `parts`, each a group of its samples; `over_samples`: of `Counted.totals`."""

    whole: Counted
    parts: list[Counted]

    @property
    def sizes(self) -> list[int]:
        return [part.samples for part in self.parts]

    @property
    def over_samples(self) -> dict[str, OverSamples]:
        return of_each([part.totals for part in self.parts], self.sizes)


def counted(graph: Graph, inputs: Mapping[str, np.ndarray], activity: Activity) -> CountedRun:
    """Count a run on inputs {name: [S, T, *shape]}, the active updates too; each sample is followed
    once.
    """
    every: dict[str, Updates] = {}
    parts = []
    for samples in groups(len(next(iter(inputs.values())))):
        given, of = part_of(inputs, activity, samples)
        updates = count_updates(graph, given, of)
        every = {name: every.get(name, Updates()) + found for name, found in updates.items()}
        parts.append(_counted(graph, given, of, updates))
    return CountedRun(_counted(graph, dict(inputs), activity, every), parts)


def _counted(
    graph: Graph,
    inputs: dict[str, np.ndarray],
    activity: Activity,
    updates: Mapping[str, Updates],
) -> Counted:
    samples = len(next(iter(inputs.values())))
    counts = count(graph, inputs, activity, updates)
    return Counted(samples, counts, fired(graph, inputs, activity))


def estimates(
    graph: Graph,
    run: CountedRun,
    chips: Sequence[Profile],
    progress: Progress | None = None,
) -> list[EnergyEstimate]:
    """What a run costs on each of the chips, with the standard error of what it costs."""
    found = []
    for chip in chips:
        place = fit(graph, chip)
        whole, *parts = (
            on_chip(graph, of.counts, of.fired, chip, place) for of in (run.whole, *run.parts)
        )
        tables = [{name: getattr(part, name) for name in SAMPLED} for part in parts]
        found.append(replace(whole, over_samples=of_each(tables, run.sizes)))
        if progress:
            progress(len(found), len(chips))
    return found
