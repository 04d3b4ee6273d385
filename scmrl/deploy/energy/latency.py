"""Time of every hardware step on a chip, and of a sample: sums over its own steps.

    step    = max(barrier, floor, core, link)
    core    = the most that any unit of any core has to do in that step:
              max(synaptic operations, updates and spikes, messages in, messages out) * their times
    link    = messages over the busiest link of the mesh * time of a hop
    bound   = the same without the floor         floor: what steps were seen to take at least
    latency = mean over the samples of the sum over their steps, from the first to the answer
    interval = the same over the steps from one sample to the next

The units of a core and the cores work side by side, so a step takes at least what the one with most
to do takes: its maximum is a bound, their sum is none. Source of the form: Timcheck et al. 2026
(arXiv 2601.10035); that all bounds held in published runs is shown by `scmrl validate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from ...hw_profiles.profile import Profile
from ..placement.cores import Placement
from .loads import Loads
from .modes import ALONE

NS_TO_US = 1e-3
HOPS = {"east": "hop_ew", "west": "hop_ew", "south": "hop_ns", "north": "hop_ns"}
FLOOR = "floor of a step"


@dataclass(frozen=True)
class Busiest:
    """The core with most to do in a mean step (most synaptic operations where the profile has no
    times); `work_us_per_step`: of its unit that takes longest, step by step.
    """

    core: int
    population: str
    synops_per_step: float
    updates_per_step: float
    messages_in_per_step: float
    work_us_per_step: float | None


@final  # never false: `step and step.us` is that or None
@dataclass(frozen=True)
class Times:
    """Times at one end of the ranges of the profile's, us, means over the samples; None where it
    has none. `us` and `bound_us`: of a mean step; `bottleneck`: what sets most of the time; `work`:
    of every core in a mean step.
    """

    us: float | None
    bound_us: float | None
    latency_us: float | None
    interval_us: float | None
    bottleneck: str | None
    busiest: Busiest
    work: np.ndarray | None


def times(
    profile: Profile,
    placement: Placement,
    loads: Loads,
    mode: str,
    answer: int,
    chosen: np.ndarray,
    end: str = "value",
) -> Times:
    """Means over the `chosen` samples, whose answer is there `answer` hardware steps after their
    first.
    """
    ns = {name: getattr(quantity, end) for name, quantity in profile.time.items()}
    work, floor = _work_us(ns, loads), ns.get("step_floor")
    here = (chosen[:, None] * loads.steps + np.arange(loads.steps)).ravel()  # their steps
    busiest = _busiest(placement, loads, work, here)
    if work is None:
        known = None if floor is None else np.full(loads.received.shape[1], floor)
        sums = _sums(known, loads.steps, mode, answer, chosen)
        return Times(floor, None, *sums, None if floor is None else FLOOR, busiest, None)
    core, number = work.max(0), work.argmax(0)
    bounds = {
        "barrier": np.full(len(core), NS_TO_US * ns.get("barrier", 0.0)),
        "link of the mesh": _link_us(ns, loads),
        "core": core,
    }
    bound = np.maximum.reduce(list(bounds.values()))
    step = bound if floor is None else np.maximum(bound, floor)
    terms = {FLOOR: np.zeros(len(core)) if floor is None else np.full(len(core), floor), **bounds}
    return Times(
        float(step[here].mean()),
        float(bound[here].mean()),
        *_sums(step, loads.steps, mode, answer, chosen),
        _bottleneck({name: us[here] for name, us in terms.items()}, number[here], placement),
        busiest,
        work[:, here].mean(1),
    )


def _work_us(ns: dict[str, float], loads: Loads) -> np.ndarray | None:
    """Of the unit of every core that takes longest in every step, [cores, steps]."""
    if "synop" not in ns:
        return None
    timed = [x * ns.get(f"synop_{form}", ns["synop"]) for form, x in loads.synops.items()]
    units = (
        np.add.reduce(timed),
        loads.active * ns.get("neuron_active", 0.0)
        + loads.inactive * ns.get("neuron_inactive", 0.0)
        + loads.spikes * ns.get("spike_out", 0.0),
        loads.received * ns.get("spike", 0.0),
        loads.sent * ns.get("axon_out", 0.0),
    )
    return NS_TO_US * np.maximum.reduce(units)


def _link_us(ns: dict[str, float], loads: Loads) -> np.ndarray:
    each = [NS_TO_US * ns.get(HOPS[way], 0.0) * load for way, load in loads.links.items()]
    return np.maximum.reduce(each) if each else np.zeros(loads.received.shape[1])


def _sums(
    step: np.ndarray | None, steps: int, mode: str, answer: int, chosen: np.ndarray
) -> tuple[float | None, float | None]:
    """Latency and interval: means over the chosen samples of the sums over their steps."""
    if step is None:
        return None, None
    interval = float(step.reshape(-1, steps).sum(1)[chosen].mean())
    if mode == ALONE:
        return interval, interval
    rounds, rest = divmod(answer, len(step))
    ahead = np.concatenate([[0.0], np.cumsum(np.concatenate([step, step[:rest]]))])
    first = chosen * steps
    return float(rounds * step.sum() + (ahead[first + rest] - ahead[first]).mean()), interval


def _bottleneck(terms: dict[str, np.ndarray], number: np.ndarray, placement: Placement) -> str:
    """What sets most of the time; `number`: the core with most to do in each step."""
    names, sets = list(terms), np.argmax(list(terms.values()), axis=0)
    step = np.maximum.reduce(list(terms.values()))
    name = names[int(np.bincount(sets, step, len(names)).argmax())]
    if name != "core":
        return name
    here = sets == names.index("core")
    core = placement.cores[int(np.bincount(number[here], step[here]).argmax())]
    return f"core {core.index} ({core.population})"


def _busiest(
    placement: Placement, loads: Loads, work: np.ndarray | None, here: np.ndarray
) -> Busiest:
    synops = np.add.reduce(list(loads.synops.values()))[:, here].mean(1)
    i = int(np.argmax(synops if work is None else work[:, here].mean(1)))
    core = placement.cores[i]
    return Busiest(
        i,
        core.population,
        float(synops[i]),
        float(core.neurons),
        float(loads.received[i, here].mean()),
        None if work is None else float(work[i, here].mean()),
    )
