"""A run on samples, counted and priced: means, and their standard errors over the samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.activity import Activity
from ...core.graph import Graph
from ...hw_profiles.profile import Profile
from ..backends.backend import Progress
from ..counts.counts import PopulationCount, count
from ..counts.sampling import OverSamples, groups, of_each, part_of
from ..placement.fit import fit
from . import energy
from .modes import ALONE
from .result import SAMPLED, EnergyEstimate
from .trace import Work


@dataclass(frozen=True)
class CountedRun:
    """A run: `counts` are means over its samples, `over_samples` the standard errors of their sums
    over the populations, by groups of the samples (numbers).
    """

    work: Work
    counts: list[PopulationCount]
    groups: list[np.ndarray]
    over_samples: dict[str, OverSamples]


def counted(graph: Graph, inputs: dict[str, np.ndarray], activity: Activity) -> CountedRun:
    """Count a run on inputs {name: [S, T, *shape]}, the active updates too; each sample is followed
    once.
    """
    work = Work(graph, inputs, activity)
    counts, drawn = count(graph, inputs, activity, work.updates), groups(work.samples)
    active = np.sum(list(work.active.values()), axis=0)
    sums = [_sums(work, activity, active, part) for part in drawn]
    return CountedRun(work, counts, drawn, of_each(sums, [len(part) for part in drawn]))


def _sums(
    work: Work, activity: Activity, active: np.ndarray, samples: np.ndarray
) -> dict[str, float | None]:
    """Of some samples: means of what all populations did together; `active` updates [S]."""
    counts = count(work.graph, *part_of(work.inputs, activity, samples))
    return {
        "spikes_per_inference": sum(c.spikes_per_inference for c in counts),
        "synops_per_inference": sum(c.synops_per_inference for c in counts),
        "active_per_inference": float(active[samples].mean()),
    }


def estimates(
    run: CountedRun,
    chips: Sequence[Profile],
    mode: str = ALONE,
    progress: Progress | None = None,
) -> list[EnergyEstimate]:
    """What a run costs on each of the chips in a mode, with the standard error of what it costs."""
    found, every = [], np.arange(run.work.samples)
    for chip in chips:
        place = fit(run.work.graph, chip)
        whole, *parts = energy.estimates(run.work, place, mode, [every, *run.groups])
        tables = [{name: getattr(part, name) for name in SAMPLED} for part in parts]
        errors = of_each(tables, [len(part) for part in run.groups])
        found.append(replace(whole, over_samples=errors))
        if progress:
            progress(len(found), len(chips))
    return found
