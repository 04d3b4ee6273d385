"""The Lava backends: a graph on Lava's bit-accurate Loihi models, every population recorded.

`LavaRuntime` runs Lava's own multi-process runtime, as a Lava user would: the proof.
`LavaInProcess` steps the same process models in one OS process: the same bits, several times
faster.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ....convert.lava.lowering import lower
from ....convert.lava.network import LavaNetwork, read
from ....core.activity import Activity, check_inputs
from ....core.bundle import load, locate
from ....core.graph import Graph
from ....system.errors import BackendError, BundleError, ScmrlError
from ..backend import Backend, Progress
from . import compat
from .inprocess import InProcessSession
from .processes import LavaProcesses, bias_at, build, spikes_of
from .session import ProcessSession

Session = ProcessSession | InProcessSession

BATCH_BYTES = 256 << 20  # recordings of one run; more samples take several runs
STARTUP_LIMIT_S = 60.0  # the default deadline: a start, and a step on a busy machine
PROCESS_STEP_LIMIT_S = 0.02


class Lowered(Backend):
    """A graph lowered to Lava's processes; the subclasses say how these run. `network`: as an
    export has lowered it.
    """

    def __init__(
        self, graph: Graph, *, deadline_s: float | None = None, network: LavaNetwork | None = None
    ):
        super().__init__(graph, deadline_s=deadline_s)
        self.version = compat.load()
        self._network = lower(graph) if network is None else network.check()
        if not self._network.holds(graph):
            raise BundleError(
                "lowered network belongs to another graph",
                where=self.name,
                fix="export the model again",
            )

    def network(self, steps: int) -> LavaNetwork:
        """The lowered network for samples of `steps` steps; its layout depends on them."""
        return self._network if self._network.steps == steps else lower(self.graph, steps)

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        inputs = check_inputs(self.graph, inputs)
        samples, steps = next(iter(inputs.values())).shape[:2]
        network = self.network(steps)
        batches = _batches(network, samples)
        clock = Clock(self._limit(network, batches), samples, progress)
        parts = [
            self._run(network, {name: x[batch] for name, x in inputs.items()}, clock)
            for batch in batches
        ]
        values = {
            name: np.concatenate([part[name] for part in parts]).reshape(
                samples, steps, *self.graph[name].shape
            )
            for name in dict.fromkeys(p.population for p in network.places)
        }
        return Activity(
            spikes={p.name: values[p.name] for p in self.graph.of_kind("lif")},
            membrane={
                p.name: values[p.name].astype(np.int64) for p in self.graph.of_kind("readout")
            },
            backend=self.name,
            version=self.version,
            seconds=clock.seconds,
            startup_s=clock.startup_s,
            notes=self._notes(network),
        )

    def _limit(self, network: LavaNetwork, batches: list[range]) -> float:
        """Seconds that a run may take."""
        if self.deadline_s is not None:
            return self.deadline_s
        steps = sum(network.hardware_steps(len(batch)) for batch in batches)
        return len(batches) * STARTUP_LIMIT_S + steps * network.processes * PROCESS_STEP_LIMIT_S

    def _notes(self, network: LavaNetwork) -> tuple[str, ...]:
        if network is self._network:
            return ()
        return (
            f"network laid out anew for {network.steps} steps; the one it was opened with takes "
            f"{self._network.steps}",
        )

    def _session(
        self, network: LavaNetwork, inputs: dict[str, np.ndarray], clock: Clock
    ) -> tuple[LavaProcesses, Session]:
        """Lava's processes for one run, and the context manager that runs them."""
        raise NotImplementedError

    def _run(
        self, network: LavaNetwork, inputs: dict[str, np.ndarray], clock: Clock
    ) -> dict[str, np.ndarray]:
        """One run of Lava: values [S, T, count] by population."""
        samples = next(iter(inputs.values())).shape[0]
        with failures(self.name, clock), compat.nothing_left():
            processes, session = self._session(network, inputs, clock)
            with session:
                clock.started()
                self._advance(network, session, samples, clock)
                clock.stopped()
        return _values(network, processes, samples)

    def _advance(self, network: LavaNetwork, session: Session, samples: int, clock: Clock) -> None:
        """All hardware steps, a sample's worth at a time; switches biases on where the network
        needs it.
        """
        before, done, steps = clock.done, 0, network.hardware_steps(samples)
        switches = [] if network.pipelined else sorted({p.depth for p in network.places} - {0})
        while done < steps:
            stop = switches[0] if switches else min(done + network.steps, steps)
            session.advance(stop - done)
            done = stop
            clock.advance(
                before + max(0, done - network.depth) // network.steps, ended=done == steps
            )
            if switches:
                switches.pop(0)
                for neurons in network.neurons:
                    if neurons.bias_mant.any():
                        session.set_bias(neurons.name, bias_at(network, neurons, done))


def _batches(network: LavaNetwork, samples: int) -> list[range]:
    """Samples that run together: one where they must not meet, else as many as memory is
    meant for.
    """
    step_bytes = sum(n.count for n in network.neurons) + 4 * network.source_count
    size = max(1, BATCH_BYTES // (step_bytes * network.steps)) if network.pipelined else 1
    return [range(first, min(first + size, samples)) for first in range(0, samples, size)]


def _values(network: LavaNetwork, processes: LavaProcesses, samples: int) -> dict[str, np.ndarray]:
    frames = dict(processes.spikes)
    if network.readout is not None and processes.membrane is not None:
        frames[network.readout] = processes.membrane
    values: dict[str, list[np.ndarray]] = {}
    for p in network.places:
        part = spikes_of(frames[p.process], p, samples, network.steps)
        values.setdefault(p.population, []).append(part)
    return {name: np.concatenate(parts, 2) for name, parts in values.items()}


@contextlib.contextmanager
def failures(where: str, clock: Clock) -> Iterator[None]:
    """What goes wrong in a run of Lava becomes one `BackendError`; errors of scmrl pass."""
    try:
        yield
    except TimeoutError:
        raise BackendError(
            "run did not end in time",
            where=where,
            limit=f"{clock.limit:g} s",
            value=f"{clock.done} of {clock.samples} samples",
            fix="give a longer deadline or fewer samples",
        ) from None
    except ScmrlError:
        raise
    except Exception as error:  # whatever Lava raises while it compiles, builds and runs
        raise BackendError(f"Lava failed: {type(error).__name__}: {error}", where=where) from error


class Clock:
    """Deadline, progress and times of a run. `done` counts samples."""

    def __init__(self, limit: float, samples: int, progress: Progress | None):
        self.limit, self.samples, self.progress = limit, samples, progress
        self.done, self.seconds, self.startup_s = 0, 0.0, 0.0
        self._mark = time.monotonic()
        self.end = self._mark + limit

    def _lap(self) -> float:
        now, before = time.monotonic(), self._mark
        self._mark = now
        return now - before

    def started(self) -> None:
        self.startup_s += self._lap()

    def stopped(self) -> None:
        self.seconds += self._lap()

    def advance(self, done: int, ended: bool) -> None:
        if done > self.done:
            self.done = done
            if self.progress is not None:
                self.progress(done, self.samples)
        if not ended and time.monotonic() > self.end:
            raise TimeoutError


class LavaBackend(Lowered):
    """On Lava's simulator; an export carries the lowered network."""

    file = "lava/network.json"

    @classmethod
    def from_export(cls, path: str | Path, *, deadline_s: float | None = None) -> LavaBackend:
        """The backend on the lowered network that `scmrl.convert.lava.export.export` wrote."""
        directory = locate(path)
        network = read((directory / cls.file).parent, directory)
        return cls(load(directory).graph, deadline_s=deadline_s, network=network)


class LavaRuntime(LavaBackend):
    """Lava's multi-process runtime, one OS process for each Lava process."""

    name = "lava"

    def _session(
        self, network: LavaNetwork, inputs: dict[str, np.ndarray], clock: Clock
    ) -> tuple[LavaProcesses, Session]:
        processes = build(network, inputs, own_processes=True)
        return processes, ProcessSession(processes, clock.end)


class LavaInProcess(LavaBackend):
    """Lava's process models in this OS process."""

    name = "lava-inprocess"

    def _session(
        self, network: LavaNetwork, inputs: dict[str, np.ndarray], clock: Clock
    ) -> tuple[LavaProcesses, Session]:
        processes = build(network, inputs, own_processes=False)
        return processes, InProcessSession(processes, clock.end)
