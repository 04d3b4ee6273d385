"""The backend `verilog`: a graph on the open core, simulated by Verilator cycle by cycle."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from ....convert.verilog.memories import LARGEST, WIDEST
from ....convert.verilog.neurons import Neurons
from ....convert.verilog.program import Program
from ....core.activity import Activity, check_inputs
from ....core.graph import Graph
from ....system import temporary
from ....system.errors import BackendError
from ..backend import Backend, Deadline, Progress
from . import verilator

ENGINES = 4
CHUNK = 1 << 22  # neuron-steps of one call
END, LAST = 1 << 30, 1 << 31  # of an item: a population ends, and the sample with it


class Simulated(Backend):
    """Compiles a core of that many `engines` once, and runs the memory images of a graph on it.

    `cycles` are the clock cycles of each sample of the last run, int64 [S], inputs received and
    outputs sent among them. Spikes are seen inside the core, in every population; what the core
    sends is what outputs and readout are held to. With a `seed` both streams stall at random.

    Raises `MissingDependency` without Jinja2, Verilator or a C++ compiler, `GraphError` where the
    core does not hold the graph, `BackendError` where Verilator fails.
    """

    name = "verilog"

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
                events = _events(self.program.inputs, given)
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
        left = np.inf
        if deadline.seconds is not None:
            left = deadline.seconds - (time.monotonic() - deadline.started)
        command = [str(directory / "core"), "events", "out", str(self._seed)]
        verilator.run(command, None if left == np.inf else left, directory)
        return np.fromfile(directory / "out.cycles", np.int64)


def _events(populations: list[Neurons], inputs: dict[str, np.ndarray]) -> np.ndarray:
    """What the core is given: uint32 [items, 3], position, channel and value, those of a sample's
    step after those of the one before, population by population with an item at the end of each.
    """
    samples, steps = next(iter(inputs.values())).shape[:2]
    parts, keys = [], []
    for i, p in enumerate(populations):
        x = np.moveaxis(inputs[p.name], 2, -1).reshape(samples * steps, p.positions, -1)
        step, position, channel = np.nonzero(x)
        items = [position, _sent_as(channel, p.engines), x[step, position, channel]]
        ends = np.zeros((samples * steps, 3), np.int64)
        ends[:, 2] = END
        if i == len(populations) - 1:
            ends[steps - 1 :: steps, 2] |= LAST
        parts += [np.stack(items, 1), ends]
        both = 2 * (len(populations) * step + i), 2 * (len(populations) * np.arange(len(ends)) + i) + 1
        keys += both
    order = np.argsort(np.concatenate(keys), kind="stable")
    return np.concatenate(parts)[order].astype(np.uint32)


def _sent_as(channel: np.ndarray, engines: int) -> np.ndarray:
    """A channel as the streams have it: its group, and in the lowest bits its engine."""
    group, engine = np.divmod(channel, engines)
    return (group << (engines - 1).bit_length()) | engine


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
        signed = ((value[own].astype(np.int64) ^ (1 << 23)) & 0xFFFFFF) - (1 << 23)
        flat[section[own] // count, word, engine] = signed


def _ordered(p: Neurons, values: np.ndarray) -> np.ndarray:
    """[S, T, words * P] in the graph's order, [S, T, *shape]."""
    shape = p.population.shape
    apart = values.reshape(*values.shape[:2], p.positions, -1)[..., : shape[0]]
    return np.ascontiguousarray(np.moveaxis(apart, -1, 2)).reshape(*values.shape[:2], *shape)
