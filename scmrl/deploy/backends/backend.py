"""What can run a graph: a name, and the class behind it, loaded on use. numpy only.

To add a backend: write a subclass of `Backend` in a file of its own, import its library only when
opened, and list it in `BACKENDS`. It is right when `tests/conformance` passes with its name added
to the list there.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from ...core import reference
from ...core.activity import Activity, check_inputs
from ...core.graph import Graph
from ...system.errors import BackendError, UsageError

Progress = Callable[[int, int], None]  # (samples done, samples in all)


class Backend:
    """Runs one graph. A context manager; `deadline_s` bounds the seconds of one `run` (None:
    unbounded).

    An `exact` backend is held to the reference in every bit; one that simulates in float is only
    compared with it.
    """

    exact = True

    def __init__(self, graph: Graph, *, deadline_s: float | None = None):
        if deadline_s is not None and not deadline_s > 0:
            raise UsageError(
                "a deadline must be positive", where="deadline_s", limit="> 0 s", value=deadline_s
            )
        self.graph, self.deadline_s = graph, deadline_s

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        """Run inputs {name: integer [S, T, *shape]}; every sample starts from zero state.

        Raises `DataError` for wrong inputs, `BackendError` past the deadline or where the backend
        fails.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Give back what the backend holds; it cannot run again."""

    def __enter__(self) -> Backend:
        return self

    def __exit__(self, *_) -> None:
        self.close()


class Deadline:
    """The moment after which a run is given up. `check` raises `BackendError` once it has
    passed.
    """

    def __init__(self, seconds: float | None, where: str):
        self.seconds, self.where, self.started = seconds, where, time.monotonic()

    def check(self) -> None:
        spent = time.monotonic() - self.started
        if self.seconds is not None and spent > self.seconds:
            raise BackendError(
                "run is past its deadline",
                where=self.where,
                limit=f"{self.seconds:g} s",
                value=f"{spent:.3g} s",
                fix="give fewer samples or a longer deadline",
            )


class Reference(Backend):
    """The living definition, `scmrl.core.reference`, one sample at a time: slow, and the measure of the
    others.
    """

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        deadline = Deadline(self.deadline_s, "reference")
        inputs = check_inputs(self.graph, inputs)
        samples = len(next(iter(inputs.values())))
        parts = []
        for i in range(samples):
            parts.append(
                reference.run(self.graph, {name: x[i : i + 1] for name, x in inputs.items()})
            )
            deadline.check()
            if progress:
                progress(i + 1, samples)
        first = parts[0]
        return Activity(
            spikes={
                name: np.concatenate([part.spikes[name] for part in parts]) for name in first.spikes
            },
            membrane={
                name: np.concatenate([part.membrane[name] for part in parts])
                for name in first.membrane
            },
            backend=first.backend,
            version=first.version,
            overflow={name: sum(part.overflow[name] for part in parts) for name in first.overflow},
            seconds=sum(part.seconds for part in parts),
        )
