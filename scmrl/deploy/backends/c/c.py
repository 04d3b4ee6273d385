"""The backend `c`: a graph as the C99 program of an export, compiled by the system's compiler and
run in this process, sample after sample.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

import numpy as np

from ....convert.c.program import FILES, Program
from ....core.activity import Activity, check_inputs
from ....core.bundle import load, locate
from ....core.graph import Graph, Population
from ..backend import Backend, Deadline, Progress, require_same
from . import compiler

CHUNK = 1 << 20  # neuron-steps of one call


class Compiled(Backend):
    """Compiles the program of a graph with optimisation `level`, and runs it.

    The program keeps its state in static memory: a call holds Python's lock, so threads take turns.
    Raises `MissingDependency` without Jinja2 or a C compiler, `GraphError` where there is nothing
    to compute, `BackendError` where the compiler fails.
    """

    name, file = "c", "c/model.c"

    def __init__(self, graph: Graph, *, deadline_s: float | None = None, level: str = "-O2"):
        super().__init__(graph, deadline_s=deadline_s)
        started = time.perf_counter()
        found = compiler.find(level)
        self._program = Program(graph)
        self.version = found.version
        sources = self._program.render(*FILES, "probe.c")
        self._probe = found.load(sources, "probe.c").probe
        self._probe.restype = None
        self._startup_s = time.perf_counter() - started

    @classmethod
    def from_export(cls, path: str | Path, *, deadline_s: float | None = None) -> Compiled:
        """The backend on what `scmrl.convert.c.export.export` wrote. A program that is not, byte
        for byte, the one of the bundle's graph is never compiled: `BundleError`.
        """
        directory = locate(path)
        graph = load(directory).graph
        require_same(directory / "c", Program(graph).render(*FILES))
        return cls(graph, deadline_s=deadline_s)

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        inputs = check_inputs(self.graph, inputs)
        samples, steps = next(iter(inputs.values())).shape[:2]
        started, deadline = time.perf_counter(), Deadline(self.deadline_s, self.name)
        given = {p.population.name: p.value_type for p in self._program.inputs}
        values = [_last(inputs[name], kind) for name, kind in given.items()]
        order = [p.population for p in self._program.neurons]
        fire = [p for p in order if p.fires]
        stay = [p for p in order if not p.fires]
        spikes = np.empty((samples, steps, sum(p.neurons for p in fire)), np.uint8)
        membranes = np.empty((samples, steps, sum(p.neurons for p in stay)), np.int32)
        size = max(1, CHUNK // (steps * sum(p.neurons for p in order)))
        for first in range(0, samples, size):
            deadline.check()
            chunk = slice(first, min(first + size, samples))
            arrays = [*(x[chunk] for x in values), spikes[chunk], membranes[chunk]]
            pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
            counts = chunk.stop - first, steps
            self._probe(*map(ctypes.c_int64, counts), *pointers)
            if progress:
                progress(chunk.stop, samples)
        deadline.check()
        return Activity(
            spikes=_each(spikes, fire),
            membrane={name: v.astype(np.int64) for name, v in _each(membranes, stay).items()},
            backend=self.name,
            version=self.version,
            seconds=time.perf_counter() - started,
            startup_s=self._startup_s,
        )


def _last(x: np.ndarray, kind: str) -> np.ndarray:
    """Values [S, T, C, ...] as the program takes them, channels last."""
    return np.ascontiguousarray(np.moveaxis(x, 2, -1), kind.removesuffix("_t"))


def _each(values: np.ndarray, populations: list[Population]) -> dict[str, np.ndarray]:
    """[S, T, all neurons], channels last, by population: [S, T, *shape]."""
    found, start = {}, 0
    for p in populations:
        own = values[..., start : start + p.neurons]
        own = own.reshape(*values.shape[:2], *p.shape[1:], p.shape[0])
        found[p.name] = np.ascontiguousarray(np.moveaxis(own, -1, 2))
        start += p.neurons
    return found
