"""What deploy asks of a backend: the protocol, and the reference, the first that keeps it.

To add a backend: a subclass of `Backend` in a file of its own, which imports its library when it is
opened; a line in `scmrl.deploy.registry`; a row in `tests/conformance/refusals.py`, which says what
it refuses. It is right when `tests/conformance` passes.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from ... import __version__
from ...core import reference
from ...core.activity import Activity, check_inputs
from ...core.bundle import load, locate
from ...core.graph import Graph
from ...system.errors import BackendError, BundleError, UsageError
from ...system.reading import read_bytes

Progress = Callable[[int, int], None]  # (samples done, samples in all)
SLACK_BYTES = 1 << 20  # by how much a file may be longer than what scmrl writes and still be read


class Backend(ABC):
    """Runs one graph and records every population. A context manager.

    Opening one refuses what it cannot run, before anything runs: `GraphError` names the population
    or synapse, the limit that it breaks and what to do; `MissingDependency` the library that is not
    there; `BackendError` a library or machine that does not work. `deadline_s` bounds the seconds
    of one `run` (None: unbounded, or what the backend finds generous for the size of the run).
    """

    name: ClassVar[str]  # in the registry, and of every `Activity`
    exact: ClassVar[bool] = True  # equal to the reference in every bit; False: float, only compared
    file: ClassVar[str] = ""  # in an export, what runs instead of the bundle's graph; "": nothing
    version: str  # of what computes

    def __init__(self, graph: Graph, *, deadline_s: float | None = None):
        if deadline_s is not None and not deadline_s > 0:
            raise UsageError(
                "a deadline must be positive", where="deadline_s", limit="> 0 s", value=deadline_s
            )
        self.graph, self.deadline_s = graph, deadline_s

    @classmethod
    def exported(cls, directory: Path) -> bool:
        """Whether the export there carries the `file` that this backend runs."""
        return bool(cls.file) and (directory / cls.file).is_file()

    @classmethod
    def from_export(cls, path: str | Path, *, deadline_s: float | None = None) -> Backend:
        """The backend on an export: on its `file`, as found there, else on the bundle's graph.

        Raises `BundleError` where that is not what scmrl wrote, and what opening raises.
        """
        return cls(load(locate(path)).graph, deadline_s=deadline_s)

    @abstractmethod
    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        """Spikes uint8 and readout membranes int64 [S, T, *shape] on inputs {name: integer [S, T,
        *shape]}; every sample starts from zero state, and T need not be the graph's own.

        Raises `DataError` for wrong inputs, `BackendError` past the deadline or where the backend
        fails.
        """

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what the backend holds; it cannot run again."""

    def __enter__(self) -> Backend:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Deadline:
    """The moment after which a run is given up; `seconds` None: never."""

    def __init__(self, seconds: float | None, where: str):
        self.seconds, self.where, self.started = seconds, where, time.monotonic()

    def check(self) -> None:
        """Raise `BackendError` once the moment has passed."""
        spent = time.monotonic() - self.started
        if self.seconds is not None and spent > self.seconds:
            raise BackendError(
                "run is past its deadline",
                where=self.where,
                limit=f"{self.seconds:g} s",
                value=f"{spent:.3g} s",
                fix="give fewer samples or a longer deadline",
            )


def require_same(directory: Path, expected: Mapping[str, str]) -> None:
    """Raise `BundleError` where the files there are not the expected ones, byte for byte: what is
    compiled is scmrl's own.
    """
    for name, text in expected.items():
        data = text.encode()
        if read_bytes(directory / name, len(data) + SLACK_BYTES) != data:
            raise BundleError(
                "not the program of this graph, as this version of scmrl writes it",
                where=directory / name,
                fix="export the model again; changed programs are yours to compile",
            )


class Reference(Backend):
    """The living definition, `scmrl.core.reference`, one sample at a time: slow, and the measure of
    the others.
    """

    name, version = "reference", __version__

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        deadline = Deadline(self.deadline_s, self.name)
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
            backend=self.name,
            version=self.version,
            overflow={
                name: sum(part.overflow[name] for part in parts if part.overflow)
                for name in first.overflow or {}
            },
            seconds=sum(part.seconds for part in parts),
        )
