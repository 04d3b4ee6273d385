"""The backend `verilog`: a graph on the open core, simulated by Verilator cycle by cycle."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np

from ....convert.frame.tools import said
from ....convert.verilog.bench import END, items
from ....convert.verilog.memories import LARGEST, WIDEST
from ....convert.verilog.neurons import Neurons
from ....convert.verilog.program import Program
from ....core.activity import Activity, check_inputs
from ....core.bundle import load, locate
from ....core.fixed_point import STATE_LIMIT
from ....core.graph import Graph
from ....system import temporary
from ....system.errors import BackendError
from ....system.reading import read_bytes
from ..backend import Backend, Deadline, Progress, require_same
from . import verilator

ENGINES = 4
LONGEST = 1 << 16  # bytes of a model.v
CHUNK = 1 << 22  # neuron-steps of one call


class Simulated(Backend):
    """Compiles a core of that many `engines` once, and runs the memory images of a graph on it.

    `cycles` are the clock cycles of each sample of the last run, int64 [S], inputs received and
    outputs sent among them. Spikes are seen inside the core, in every population; what the core
    sends is what outputs and readout are held to. With a `seed` both streams stall at random.

    Raises `MissingDependency` without Jinja2, Verilator or a C++ compiler, `GraphError` where the
    core does not hold the graph, `BackendError` where Verilator fails.
    """

    name, file = "verilog", "verilog/model.v"

    def __init__(
        self,
        graph: Graph,
        *,
        deadline_s: float | None = None,
        engines: int = ENGINES,
        seed: int = 0,
    ):
        super().__init__(graph, deadline_s=deadline_s)
        started = time.perf_counter()
        self.program = Program(graph, engines)
        found = verilator.find()
        self.version, self._seed = found.version, seed
        self._core = found.core(engines)
        self._images = self.program.images(LARGEST | WIDEST)
        self.cycles = np.zeros(0, np.int64)
        self._startup_s = time.perf_counter() - started

    @classmethod
    def from_export(cls, path: str | Path, *, deadline_s: float | None = None) -> Simulated:
        """The backend on what `scmrl.convert.verilog.export.export` wrote, with as many engines. A
        design that is not, byte for byte, the one of the bundle's graph is refused: `BundleError`.
        """
        directory = locate(path)
        graph = load(directory).graph
        told = read_bytes(directory / cls.file, LONGEST)
        asked = re.search(rb"\.P\(([1-8])\)", told)
        engines = int(asked[1]) if asked else ENGINES
        require_same(directory / "verilog", Program(graph, engines).files())
        return cls(graph, deadline_s=deadline_s, engines=engines)

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        inputs = check_inputs(self.graph, inputs)
        samples, steps = next(iter(inputs.values())).shape[:2]
        started, deadline = time.perf_counter(), Deadline(self.deadline_s, self.name)
        values = {
            p.name: np.zeros((samples, steps, p.words * p.engines), np.int64)
            for p in self.program.neurons
        }
        cycles = []
        size = max(1, CHUNK // (steps * sum(p.population.neurons for p in self.program.everyone)))
        with temporary.directory("verilog") as directory:
            for name, text in self._images.items():
                (directory / name).write_text(text, encoding="ascii")
            core = directory / "core"
            core.write_bytes(self._core)
            core.chmod(0o700)
            for first in range(0, samples, size):
                chunk = slice(first, min(first + size, samples))
                given = {name: x[chunk] for name, x in inputs.items()}
                events = items(self.program.inputs, given).astype(np.uint32)
                cycles.append(self._call(directory, events, deadline))
                _seen(self.program, directory, {n: v[chunk] for n, v in values.items()})
                _sent(self.program, directory, {n: v[chunk] for n, v in values.items()})
                if progress:
                    progress(chunk.stop, samples)
        self.cycles = np.concatenate(cycles)
        deadline.check()
        found = {p.name: _ordered(p, values[p.name]) for p in self.program.neurons}
        return Activity(
            spikes={p.name: found[p.name].astype(np.uint8) for p in self.graph.of_kind("lif")},
            membrane={p.name: found[p.name] for p in self.graph.of_kind("readout")},
            backend=self.name,
            version=self.version,
            seconds=time.perf_counter() - started,
            startup_s=self._startup_s,
            notes=(f"{self.cycles.mean():,.0f} cycles a sample, {self.program.engines} engines",),
        )

    def _call(self, directory: Path, events: np.ndarray, deadline: Deadline) -> np.ndarray:
        """Run the core on the events of some samples; returns the cycles of each."""
        (directory / "events").write_bytes(events.tobytes())
        deadline.check()
        spent = time.monotonic() - deadline.started
        left = None if deadline.seconds is None else deadline.seconds - spent
        command = [str(directory / "core"), "events", "out", str(self._seed)]
        try:
            said(command, left, directory=directory)
        except BackendError:
            deadline.check()
            raise
        return np.fromfile(directory / "out.cycles", np.int64)


def _seen(program: Program, directory: Path, values: dict[str, np.ndarray]) -> None:
    """Fill in the spikes that were seen in the core: values [S, T, words * P] by population."""
    step, number, word, mask = np.fromfile(directory / "out.seen", np.uint32).reshape(-1, 4).T
    for p in program.neurons:
        if p.population.fires and p not in program.outputs:
            own = number == program.numbers[p.name]
            flat = values[p.name].reshape(-1, p.words, p.engines)
            engines = np.arange(p.engines)
            flat[step[own], word[own]] = mask[own, None] >> engines & 1


def _sent(program: Program, directory: Path, values: dict[str, np.ndarray]) -> None:
    """Fill in what the core sent. Raises `BackendError` where that is not what it should be."""
    position, channel, value = np.fromfile(directory / "out.sent", np.uint32).reshape(-1, 3).T
    ends = value >= END
    section = np.cumsum(ends) - ends
    count = len(program.outputs)
    steps = next(iter(values.values())).shape[:2]
    if ends.sum() != count * np.prod(steps):
        raise BackendError("the core sent fewer populations than it should", where="verilog")
    for i, p in enumerate(program.outputs):
        own = ~ends & (section % count == i)
        bits = (p.engines - 1).bit_length()
        word = position[own].astype(np.int64) * p.groups + (channel[own] >> bits)
        engine = channel[own] & ((1 << bits) - 1)
        flat = values[p.name].reshape(-1, p.words, p.engines)
        signed = value[own].astype(np.int64)
        signed[signed >= STATE_LIMIT] -= 2 * STATE_LIMIT
        flat[section[own] // count, word, engine] = signed


def _ordered(p: Neurons, values: np.ndarray) -> np.ndarray:
    """[S, T, words * P] in the graph's order, [S, T, *shape]."""
    shape = p.population.shape
    apart = values.reshape(*values.shape[:2], p.positions, -1)[..., : shape[0]]
    return np.ascontiguousarray(np.moveaxis(apart, -1, 2)).reshape(*values.shape[:2], *shape)
