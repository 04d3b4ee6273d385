"""Time of one step on a chip: the largest of what bounds it from below, and the floor that was
observed.

    core  = operations of a core * their times, of the core that has most to do in a mean step
    link  = messages over the busiest link of the mesh * time of a hop
    bound = barrier + max(core, link)
    step  = max(bound, floor of a step)         floor: what steps were seen to take at least, host
          included

A core does its operations one after the other. Synaptic operations and messages are those of the
core's own neurons; its active updates and spikes are its neurons' share of their population's.
Source of the form: Timcheck et al. 2026 (arXiv 2601.10035); that all bounds held in published runs
is shown by `scmrl validate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from ...hw_profiles.profile import Profile
from ..placement.cores import Placement
from ..placement.traffic import Traffic
from .operations import Operations

NS_TO_US = 1e-3
HOPS = {"east": "hop_ew", "west": "hop_ew", "south": "hop_ns", "north": "hop_ns"}


@dataclass(frozen=True)
class Busiest:
    """The core with most to do in a mean step (most synaptic operations where the profile has no
    times).
    """

    core: int
    population: str
    synops_per_step: float
    updates_per_step: float
    messages_in_per_step: float
    work_us_per_step: float | None


@final  # never false: `step and step.us` is that or None
@dataclass(frozen=True)
class Step:
    """One step at one end of the ranges of the profile's times, us. `work`: of every core, None
    where it has no times; `us` is None where it has no floor either.
    """

    us: float | None
    bound_us: float | None
    bottleneck: str | None
    busiest: Busiest
    work: np.ndarray | None


def step(
    profile: Profile,
    placement: Placement,
    traffic: Traffic,
    done: Mapping[str, Operations],
    neurons: Mapping[str, int],
    steps: int,
    end: str = "value",
) -> Step:
    """A mean step of an inference of `steps` steps; `done` and `neurons` by population."""
    ns = {name: getattr(quantity, end) for name, quantity in profile.time.items()}
    work = _work_us(ns, placement, traffic, done, neurons, steps)
    busiest, floor = _busiest(placement, traffic, work, steps), ns.get("step_floor")
    if work is None:
        return Step(floor, None, None if floor is None else "floor of a step", busiest, None)
    bounds = {
        "barrier": NS_TO_US * ns.get("barrier", 0.0),
        "link of the mesh": _link_us(ns, traffic, steps),
        f"core {busiest.core} ({busiest.population})": busiest.work_us_per_step,
    }
    barrier, link, core = bounds.values()
    bound = barrier + max(link, core)
    if floor is not None and floor > bound:
        return Step(floor, bound, "floor of a step", busiest, work)
    return Step(bound, bound, max(bounds, key=lambda name: bounds[name]), busiest, work)


def _work_us(
    ns: dict[str, float],
    placement: Placement,
    traffic: Traffic,
    done: Mapping[str, Operations],
    neurons: Mapping[str, int],
    steps: int,
) -> np.ndarray | None:
    """Work of every core."""
    if "synop" not in ns:
        return None
    sent = np.bincount(traffic.flows.source, traffic.flows.messages, len(placement.cores))
    work = sent * ns.get("axon_out", 0.0) + traffic.received * ns.get("spike", 0.0)
    for i, core in enumerate(placement.cores):
        expected, timed = 0.0, 0.0  # synaptic operations of its populations: formats differ in time
        for piece in core.pieces:
            all_, share = done[piece.population], piece.neurons / neurons[piece.population]
            work[i] += share * (
                all_.active * ns.get("neuron_active", 0.0)
                + all_.inactive * ns.get("neuron_inactive", 0.0)
                + all_.spikes * ns.get("spike_out", 0.0)
            )
            expected += share * sum(all_.synops.values())
            timed += share * sum(
                n * ns.get(f"synop_{form}", ns["synop"]) for form, n in all_.synops.items()
            )
        work[i] += traffic.synops[i] * (timed / expected if expected else ns["synop"])
    return NS_TO_US * work / steps


def _busiest(
    placement: Placement, traffic: Traffic, work: np.ndarray | None, steps: int
) -> Busiest:
    i = int(np.argmax(traffic.synops if work is None else work))
    core = placement.cores[i]
    return Busiest(
        i,
        core.population,
        float(traffic.synops[i]) / steps,
        float(core.neurons),
        float(traffic.received[i]) / steps,
        None if work is None else float(work[i]),
    )


def _link_us(ns: dict[str, float], traffic: Traffic, steps: int) -> float:
    return max(
        (
            NS_TO_US * ns.get(HOPS[way], 0.0) * float(load.max(initial=0)) / steps
            for way, load in traffic.links.items()
        ),
        default=0.0,
    )
