"""The netx backend: a chain as lava-dl's own loader reads it from HDF5, on Lava's multi-process
runtime.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from ....convert.lava.network import LAVA_VERSION
from ....convert.netx.lowering import MODEL, check_file, lower, write
from ....core.activity import Activity, check_inputs
from ....core.bundle import load, locate
from ....core.graph import Graph
from ....system import temporary
from ..backend import Backend, Progress
from ..lava import compat
from ..lava.lava import BATCH_BYTES, Clock, failures
from ..lava.processes import LavaProcesses
from ..lava.session import ProcessSession
from . import blocks

STARTUP_LIMIT_S = 120.0  # the default deadline: a start, and a layer's step on a busy machine
LAYER_STEP_LIMIT_S = 0.5


class Netx(Backend):
    """Runs a graph on Lava through a netx file: an export's, or one that is written for the run."""

    name, file = "netx", MODEL

    def __init__(self, graph: Graph, *, deadline_s: float | None = None, file: Path | None = None):
        super().__init__(graph, deadline_s=deadline_s)
        self.version = f"lava-dl {blocks.load()}, lava-nc {LAVA_VERSION}"
        self.network = lower(graph)
        self._temporary = contextlib.ExitStack()
        if file is None:
            file = self._temporary.enter_context(temporary.directory("netx")) / "model.net"
            write(self.network, file)
        check_file(self.network, file)
        self._path = file

    @classmethod
    def from_export(cls, path: str | Path, *, deadline_s: float | None = None) -> Netx:
        """The backend on the file that `scmrl.convert.netx.export.export` wrote."""
        directory = locate(path)
        return cls(load(directory).graph, deadline_s=deadline_s, file=directory / MODEL)

    def close(self) -> None:
        self._temporary.close()

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        x = check_inputs(self.graph, inputs)[self.network.populations[0]]
        clock = Clock(self._limit(*x.shape[:2]), len(x), progress)
        parts = [
            self._run(x[batch.start : batch.stop], clock) for batch in self._batches(*x.shape[:2])
        ]
        values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return Activity(
            spikes={p.name: values[p.name] for p in self.graph.of_kind("lif")},
            membrane={
                p.name: values[p.name].astype(np.int64) for p in self.graph.of_kind("readout")
            },
            backend=self.name,
            version=self.version,
            seconds=clock.seconds,
            startup_s=clock.startup_s,
        )

    def _batches(self, samples: int, steps: int) -> list[range]:
        """Samples that run together: one where a delay leads into the next, else what fits
        memory.
        """
        step_bytes = sum(4 * self.graph[name].neurons for name in self.network.populations)
        size = max(1, BATCH_BYTES // (step_bytes * steps)) if self.network.pipelined else 1
        return [range(first, min(first + size, samples)) for first in range(0, samples, size)]

    def _limit(self, samples: int, steps: int) -> float:
        """Seconds that a run may take."""
        if self.deadline_s is not None:
            return self.deadline_s
        layer_steps = samples * steps * len(self.network.populations)
        return (
            len(self._batches(samples, steps)) * STARTUP_LIMIT_S + layer_steps * LAYER_STEP_LIMIT_S
        )

    def _run(self, x: np.ndarray, clock: Clock) -> dict[str, np.ndarray]:
        """One run of Lava on x [S, T, *shape]: values [S, T, *shape] by population."""
        samples, steps = x.shape[:2]
        with failures(self.name, clock), compat.nothing_left(), blocks.without_slayer():
            processes = blocks.build(self.graph, self.network, self._path, x)
            with ProcessSession(processes, clock.end) as session:
                clock.started()
                self._advance(session, samples, steps, clock)
                clock.stopped()
        return self._values(processes, samples, steps)

    def _advance(self, session: ProcessSession, samples: int, steps: int, clock: Clock) -> None:
        """The steps until the first sample has gone through, then a sample's worth at a time."""
        before, depth = clock.done, len(self.network.populations) - 1
        session.advance(depth)
        for sample in range(1, samples + 1):
            session.advance(steps)
            clock.advance(before + sample, ended=sample == samples)

    def _values(self, processes: LavaProcesses, samples: int, steps: int) -> dict[str, np.ndarray]:
        """Layer number d of the chain is at its step 0 in hardware step d."""
        values, recorded = {}, dict(processes.spikes)
        if processes.membrane is not None:  # a readout ends the chain
            recorded[self.network.populations[-1]] = processes.membrane
        for depth, name in enumerate(self.network.populations[1:], 1):
            shape = self.graph[name].shape
            frames = recorded[name][depth : depth + samples * steps]
            values[name] = blocks.from_lava_order(frames, shape).reshape(samples, steps, *shape)
        return values
