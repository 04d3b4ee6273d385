"""What the next trial tries: a pure function of the axes, of all trials so far and of its number.

The tree-structured Parzen estimator is seeded by (seed, number of the trial), counts running trials
as bad ones ("constant liar"), and is asked again while it proposes settings that a trial has
already.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .space import MOST_COMBINATIONS, Axis, combinations, grid

if TYPE_CHECKING:
    import numpy as np
    from optuna import Study

REDRAWS = 16  # proposals of the estimator before a free one is drawn at random
Settings = dict[str, object]


@dataclass(frozen=True)
class Past:
    """A trial so far: `values` of the objectives where it is complete."""

    state: str  # running, complete or fail
    settings: Settings
    values: tuple[float, ...] = field(default=())


def next_of_grid(axes: Sequence[Axis], past: Iterable[Past]) -> Settings | None:
    """The first combination that no trial has; None where there is none."""
    seen = {_key(axes, trial.settings) for trial in past}
    return next((settings for settings in grid(axes) if _key(axes, settings) not in seen), None)


def propose(
    axes: Sequence[Axis], past: Sequence[Past], *, directions: Sequence[str], seed: int, number: int
) -> Settings | None:
    """Settings that no trial in `past` has; None where every combination has been tried.

    `directions` are those of the objectives, "maximize" or "minimize"; `seed` is the sweep's.
    """
    import numpy as np

    seen = {_key(axes, trial.settings) for trial in past}
    total = combinations(axes)
    if total is not None and len(seen) >= total:
        return None
    words = np.random.SeedSequence([seed, number]).generate_state(2)
    study = _study(axes, past, directions, int(words[0]))
    space = {axis.key: axis.distribution() for axis in axes}
    for _ in range(REDRAWS):  # what was drawn in vain counts as running: the liar keeps away
        settings = study.ask(space).params
        if _key(axes, settings) not in seen:
            return {axis.key: settings[axis.key] for axis in axes}
    return _free(axes, seen, total, np.random.default_rng(words[1]))


def _study(
    axes: Sequence[Axis], past: Sequence[Past], directions: Sequence[str], seed: int
) -> Study:
    """A study in memory with the trials that the estimator learns from."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    states = {name: optuna.trial.TrialState[name.upper()] for name in ("running", "complete")}
    space = {axis.key: axis.distribution() for axis in axes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    ways = [optuna.study.StudyDirection[direction.upper()] for direction in directions]
    study = optuna.create_study(directions=ways, sampler=sampler)
    for trial in past:
        if trial.state in states:
            state, values = states[trial.state], list(trial.values) or None
            known = optuna.trial.create_trial(
                state=state, values=values, params=trial.settings, distributions=space
            )
            study.add_trial(known)
    return study


def _free(
    axes: Sequence[Axis],
    seen: set[tuple[object, ...]],
    total: int | None,
    random: np.random.Generator,
) -> Settings | None:
    """Settings drawn evenly among those not seen; None where all draws find none."""
    if total is not None and total <= MOST_COMBINATIONS:
        every = itertools.product(*(axis.values for axis in axes))
        free = [values for values in every if values not in seen]
        chosen = free[int(random.integers(len(free)))]
        return {axis.key: value for axis, value in zip(axes, chosen)}
    for _ in range(1000):
        drawn = {axis.key: _drawn(axis, random) for axis in axes}
        if _key(axes, drawn) not in seen:
            return drawn
    return None


def _drawn(axis: Axis, random: np.random.Generator) -> object:
    if axis.size is not None:
        return axis.values[int(random.integers(axis.size))]
    return float(random.uniform(axis.low, axis.high))


def _key(axes: Sequence[Axis], settings: Settings) -> tuple[object, ...]:
    return tuple(settings.get(axis.key) for axis in axes)
