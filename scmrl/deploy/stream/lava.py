"""A graph on Lava step by step: the processes run on while inputs are given and spikes are taken.

A population at depth d is at its own step t in hardware step t + d, so all values of a step are
together `lag` = depth hardware steps later; the pipeline does not stop for it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice, repeat
from typing import Any

import numpy as np

from ...convert.lava.lowering import lower
from ...core.activity import check_inputs
from ...core.graph import Graph
from ...system.errors import BackendError
from ..backends.lava import compat
from ..backends.lava.inprocess import InProcessSession
from ..backends.lava.lava import Clock, failures
from ..backends.lava.processes import LavaProcesses, bias_at, join, shared_zeros
from ..backends.lava.session import ProcessSession
from .stream import Values, check_window

Session = ProcessSession | InProcessSession
ENDLESS = 1 << 30  # steps after which a stream without a window would clear its state
STEP_LIMIT_S = 60.0  # a step that takes longer never ends


class LavaStream:
    """Lava's process models in this OS process, or, with `own_processes`, Lava's multi-process
    runtime.

    `window`: see `stream.stream`. Networks with delays between populations start anew for each
    window. Raises `GraphError` on what Lava cannot hold, `MissingDependency` without Lava.
    """

    def __init__(self, graph: Graph, *, window: int | None = None, own_processes: bool = False):
        check_window(window)
        started = time.perf_counter()
        self.graph, self.window, self._own = graph, window, own_processes
        self.backend = "lava" if own_processes else "lava-inprocess"
        self.version = compat.load()
        self._network = lower(graph, window or ENDLESS)
        self.startup_s = time.perf_counter() - started

    @property
    def lag(self) -> int:
        """Hardware steps from an input to the last of its values."""
        return self._network.depth

    def run(self, frames: Iterable[Values]) -> Iterator[Values]:
        """Values of every population for each frame {name: integer [*shape]}, `lag` frames later.

        Raises `DataError` for inputs that are not the graph's, `BackendError` where Lava fails.
        """
        frames = iter(frames)
        if self.window is None or self._network.pipelined:
            yield from self._run(frames)
            return
        for first in frames:
            yield from self._run(chain([first], islice(frames, self.window - 1)))

    def _run(self, frames: Iterator[Values]) -> Iterator[Values]:
        clock = Clock(STEP_LIMIT_S, 0, None)
        with failures(self.backend, clock), compat.nothing_left():
            from ..backends.lava.io.live import LiveSource

            values = shared_zeros((self._network.source_count,), np.int32)
            processes = join(self._network, LiveSource(values=values), 1, own_processes=self._own)
            session = (ProcessSession if self._own else InProcessSession)(processes, clock.end)
            with session:
                yield from self._steps(frames, values, processes, session)

    def _steps(
        self,
        frames: Iterator[Values],
        values: np.ndarray,
        processes: LavaProcesses,
        session: Session,
    ) -> Iterator[Values]:
        """Hardware steps: one for each frame, then as many as the last values need."""
        latest = max(p.depth + p.delay for p in self._network.inputs)
        given: deque[Values | None] = deque(maxlen=1 + latest)
        seen: deque[Values] = deque(maxlen=self.lag + 1)
        count = 0
        for step, frame in enumerate(chain(frames, repeat(None))):
            if frame is None and step >= count + self.lag:
                return
            if frame is not None:
                frame, count = self._checked(frame), count + 1
            given.append(frame)
            self._present(given, step, values)
            self._advance(session, step)
            seen.append(_frames(processes))
            if step >= self.lag:
                yield self._values(seen)

    def _checked(self, frame: Values) -> Values:
        batch = {name: np.asarray(x)[None, None] for name, x in frame.items()}
        checked = check_inputs(self.graph, batch)
        return {name: x[0, 0].ravel() for name, x in checked.items()}

    def _present(self, given: deque[Values | None], step: int, values: np.ndarray) -> None:
        """Each copy of an input at its own step; zero before a window and after the last frame."""
        for place in self._network.inputs:
            late = place.depth + place.delay
            at = (step - place.depth) % self._network.steps
            frame = given[-1 - late] if late < len(given) and at >= place.delay else None
            own = values[place.start : place.start + place.count]
            own[:] = 0 if frame is None else frame[place.population]

    def _switch_biases(self, session: Session, step: int) -> None:
        """In networks that are not pipelined a population's bias begins with its first step."""
        if self._network.pipelined or not 0 < step <= self.lag:
            return
        if step in {place.depth for place in self._network.places}:
            for neurons in self._network.neurons:
                if neurons.bias_mant.any():
                    session.set_bias(neurons.name, bias_at(self._network, neurons, step))

    def _advance(self, session: Session, step: int) -> None:
        session.end = time.monotonic() + STEP_LIMIT_S
        try:
            self._switch_biases(session, step)
            session.advance(1)
        except TimeoutError:
            limit = f"{STEP_LIMIT_S:g} s"
            raise BackendError("a step did not end", where=self.backend, limit=limit) from None

    def _values(self, seen: deque[Values]) -> Values:
        """The values of the step that the deepest population has just made."""
        out = {}
        for place in self._network.places:
            frames = seen[-1 - (self.lag - place.depth)][place.process]
            shape = self.graph[place.population].shape
            out[place.population] = frames[place.start : place.start + place.count].reshape(shape)
        return out


def _frames(processes: LavaProcesses) -> Values:
    """What the processes have just sent, and the readout's membrane."""
    out = {name: frames[0].copy() for name, frames in processes.spikes.items()}
    readout: Any = processes.readout
    if processes.membrane is not None:
        out[readout.name] = processes.membrane[0].astype(np.int64)
    return out
