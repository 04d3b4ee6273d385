"""The Loihi 2 backends: a graph in the layout that a chip takes, on a board and on Lava's
simulator.

`LoihiSim` runs that layout on Lava's fixed-point models: what is left to prove is the board.
`Loihi` runs it there, through lava-loihi, and can measure power, time and activity with Lava's
profiler.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ....convert.lava.network import LavaNetwork
from ....core.activity import Activity, Measurement, check_inputs
from ....core.graph import Graph
from ....system.errors import GraphError, UsageError, nearest
from ..backend import Progress
from ..lava import compat
from ..lava.inprocess import InProcessSession
from ..lava.lava import Clock, Lowered, Session, failures
from ..lava.processes import LavaProcesses
from .lowering import LoihiNetwork, lower, window
from .measurement import measurement
from .process_models import Direct, Embedded, Latency, build, probe

GENERATIONS = ("N3B2", "N3B3", "N3C1", "N3D1")
MEASURED_STEPS = 10_000  # at least so many in a measured run: a power probe averages over time


@dataclass(frozen=True)
class Board:
    """Which board, and what to measure there. Raises `UsageError` for settings that exclude each
    other.

    board, partition: of SLURM (else its BOARD and PARTITION variables); host: address of a board on
    the network. energy: power and execution time; activity: operations and memory of the cores.
    """

    board: str | None = None
    partition: str | None = None
    host: str | None = None
    generation: str = "N3B3"
    energy: bool = False
    activity: bool = False

    def __post_init__(self) -> None:
        if self.generation not in GENERATIONS:
            raise UsageError(
                "no such Loihi 2 generation",
                where="--loihi-gen",
                value=self.generation,
                fix=nearest(self.generation, GENERATIONS),
            )
        if self.host and (self.board or self.partition):
            raise UsageError(
                "a board is reached by SLURM or by its address",
                where="--host",
                fix="give --host, or --board or --partition",
            )


class LoihiLayout(Lowered):
    """A graph in the chip's layout; samples are padded to the window and cut to their steps
    again.
    """

    def __init__(self, graph: Graph, *, deadline_s: float | None = None):
        self._loihi = lower(graph)
        super().__init__(graph, deadline_s=deadline_s, network=self._loihi.network)

    def loihi(self, steps: int) -> LoihiNetwork:
        """The layout for samples of `steps` steps."""
        return (
            self._loihi if window(steps) == self._loihi.network.steps else lower(self.graph, steps)
        )

    def network(self, steps: int) -> LavaNetwork:
        return self.loihi(steps).network

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        inputs = check_inputs(self.graph, inputs)
        steps = next(iter(inputs.values())).shape[1]
        activity = super().run(padded(inputs, window(steps)), progress)
        order = self.loihi(steps).order
        spikes = {name: in_order(s, order.get(name)) for name, s in activity.spikes.items()}
        return replace(
            activity,
            spikes={name: s[:, :steps] for name, s in spikes.items()},
            membrane={name: v[:, :steps] for name, v in activity.membrane.items()},
        )

    def _notes(self, network: LavaNetwork) -> tuple[str, ...]:
        return self.loihi(network.steps).notes


def in_order(spikes: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    """Spikes [S, T, *shape] of a population whose neuron `order[i]` came at place i."""
    if order is None:
        return spikes
    out = np.empty_like(spikes).reshape(*spikes.shape[:2], -1)
    out[..., order] = spikes.reshape(out.shape)
    return out.reshape(spikes.shape)


def padded(inputs: dict[str, np.ndarray], steps: int) -> dict[str, np.ndarray]:
    """Inputs [S, T, *shape] followed by zeros up to `steps`."""
    return {
        name: np.pad(x, ((0, 0), (0, steps - x.shape[1]), *((0, 0),) * (x.ndim - 2)))
        for name, x in inputs.items()
    }


class LoihiSim(LoihiLayout):
    """The chip's layout on Lava's process models, in this OS process."""

    name = "loihi-sim"

    def _session(
        self, network: LavaNetwork, inputs: dict[str, np.ndarray], clock: Clock
    ) -> tuple[LavaProcesses, Session]:
        processes = build(self.loihi(network.steps), inputs, adapters=Direct(), own_processes=False)
        return processes, InProcessSession(processes, clock.end)


class Loihi(LoihiLayout):
    """The chip's layout on a Loihi 2 board.

    Raises `MissingDependency` without lava-loihi and `BackendError` without a board, each with the
    way to it.
    """

    name = "loihi"

    def __init__(self, graph: Graph, *, deadline_s: float | None = None, board: Board = Board()):
        from . import board as loihi_lava_board

        super().__init__(graph, deadline_s=deadline_s)
        self._board, self._lava = board, loihi_lava_board
        self._where = loihi_lava_board.reach(board)
        self._check_delays()
        self.version = f"{self.version}, lava-loihi {loihi_lava_board.version()}"
        self._latency, self._probed = Latency(), False  # of its adapters, which a probe measures

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        inputs = check_inputs(self.graph, inputs)
        activity = super().run(inputs, progress)
        note = (
            f"{self._where}; adapters take {self._latency.into} steps in, "
            f"{self._latency.spikes} out"
        )
        measured = self._measure(inputs) if self._board.energy or self._board.activity else None
        return replace(activity, notes=(*activity.notes, note), measured=measured)

    def _check_delays(self) -> None:
        """Raise `GraphError` for delays between populations where a sample would have to wait for
        the host.
        """
        if self._network.pipelined:
            return
        if any(n.bias_mant.any() for n in self._network.neurons):
            raise GraphError(
                "biases of a network with delays between its populations would have to be "
                "switched on step by step",
                where=self.name,
                fix="replace the biases by an input that is always on",
            )
        if self._board.energy or self._board.activity:
            raise GraphError(
                "samples of a network with delays between its populations cannot run back to back",
                where=self.name,
                fix="run it without profiling",
            )

    def _session(
        self, network: LavaNetwork, inputs: dict[str, np.ndarray], clock: Clock
    ) -> tuple[LavaProcesses, Session]:
        if not self._probed:
            self._latency = probe(
                Embedded(), lambda probes: self._lava.BoardSession(probes, clock.end)
            )
            self._probed = True
        processes = build(
            self.loihi(network.steps), inputs, adapters=Embedded(), latency=self._latency
        )
        return processes, self._lava.BoardSession(processes, clock.end)

    def _advance(self, network: LavaNetwork, session: Session, samples: int, clock: Clock) -> None:
        super()._advance(network, session, samples, clock)
        if self._latency.total:
            session.advance(self._latency.total)  # until the last spike is back

    def _measure(self, inputs: dict[str, np.ndarray]) -> Measurement:
        """Runs of the same samples, over and over, that nothing but Lava's profiler watches."""
        steps = next(iter(inputs.values())).shape[1]
        loihi = self.loihi(steps)
        inputs = padded(inputs, loihi.network.steps)
        period = len(next(iter(inputs.values()))) * loihi.network.steps
        count = -(-MEASURED_STEPS // period) * period
        clock = Clock(self._limit(loihi.network, [range(count // loihi.network.steps)]), 0, None)

        def run(run_cfg: object) -> None:
            with failures(self.name, clock), compat.nothing_left():
                processes = build(
                    loihi, inputs, adapters=Embedded(), latency=self._latency, recorded=False
                )
                with self._lava.BoardSession(processes, clock.end, run_cfg) as session:
                    session.advance(count)

        values = self._lava.measure(
            run, count, energy=self._board.energy, activity=self._board.activity
        )
        return measurement(
            values,
            steps=steps,
            network=loihi.network,
            measured_steps=count,
            board=self._where,
            versions=self.version,
        )
