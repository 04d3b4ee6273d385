"""The simulator: a graph in batches, fast, equal to `scmrl.core.reference` in every bit; on numpy.

Layers in order, time inside a layer: a population computes all steps of its sources at once. Where
delayed synapses close a cycle, the same layers are advanced one step at a time instead. Samples go
in chunks that fit the cache, so that what a run needs beyond its `Activity` does not grow with the
number of samples.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from types import ModuleType

import numpy as np

from .... import __version__
from ....core.activity import Activity, check_inputs
from ....core.graph import Graph, Population
from ....system.errors import GraphError, MissingDependency, UsageError
from ..backend import Backend, Deadline, Progress

SCRATCH_BYTES = 16 << 20  # of one chunk, about what stays in a cache
# Work that numpy has done before numba is loaded (a second): weights met, and layers advanced.
FEW_PRODUCTS, FEW_ADVANCES = 1e9, 4000


class Simulator(Backend):
    """`compiled`: with numba's kernels (True), without (False), or as numba is there (None).

    `threads` run chunks of samples side by side in the compiled kernels (None: OMP_NUM_THREADS,
    else the cores that this process may use). Raises `MissingDependency` where compiled kernels are
    asked for and numba does not import.
    """

    name = "simulator"

    def __init__(
        self,
        graph: Graph,
        *,
        deadline_s: float | None = None,
        compiled: bool | None = None,
        threads: int | None = None,
    ):
        super().__init__(graph, deadline_s=deadline_s)
        if threads is not None and threads < 1:
            raise UsageError(
                "the simulator needs a thread", where="threads", limit=">= 1", value=threads
            )
        started = time.perf_counter()
        layers, self.version = layer_module(compiled)
        self._pack, self._unpack = layers.pack, layers.unpack
        self._threads = (threads or _threads()) if layers.THREADED else 1
        order = _order_of_all(graph)
        self._stepwise = order is None or any(p.adds for p in graph.populations)
        self._layers = [layers.Layer(graph, p) for p in order or graph.order() if p.kind != "input"]
        self._startup_s = time.perf_counter() - started

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        inputs = check_inputs(self.graph, inputs)
        samples, steps = next(iter(inputs.values())).shape[:2]
        started, deadline = time.perf_counter(), Deadline(self.deadline_s, self.name)
        values = {
            p.name: np.empty((samples, steps, p.neurons), np.uint8 if p.fires else np.int64)
            for p in self.graph.populations
            if p.kind != "input"
        }
        overflow = dict.fromkeys(values, 0)
        done = 0
        for chunk, counted in self._chunks(inputs, values, samples, steps, deadline):
            overflow = {name: overflow[name] + counted[name] for name in overflow}
            done += chunk.stop - chunk.start
            if progress:
                progress(done, samples)
        return Activity(
            spikes={
                p.name: self._unpack(values[p.name], p.shape) for p in self.graph.of_kind("lif")
            },
            membrane={
                p.name: self._unpack(values[p.name], p.shape) for p in self.graph.of_kind("readout")
            },
            backend=self.name,
            version=self.version,
            overflow=overflow,
            seconds=time.perf_counter() - started,
            startup_s=self._startup_s,
        )

    def _chunks(
        self,
        inputs: dict[str, np.ndarray],
        values: dict[str, np.ndarray],
        samples: int,
        steps: int,
        deadline: Deadline,
    ) -> Iterator[tuple[slice, dict[str, int]]]:
        """Fill `values` chunk by chunk; yields each finished chunk with its overflow counts."""
        size, block = self._sizes(samples, steps)
        chunks = [slice(i, min(i + size, samples)) for i in range(0, samples, size)]

        def fill(chunk: slice) -> tuple[slice, dict[str, int]]:
            return chunk, self._fill(
                {name: x[chunk] for name, x in inputs.items()},
                {name: v[chunk] for name, v in values.items()},
                steps,
                block,
                deadline,
            )

        if self._threads == 1 or len(chunks) == 1:
            yield from map(fill, chunks)
            return
        pool = ThreadPoolExecutor(self._threads)
        try:
            for future in as_completed([pool.submit(fill, chunk) for chunk in chunks]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _sizes(self, samples: int, steps: int) -> tuple[int, int]:
        """Samples in a chunk and steps in a block, so that the scratch memory of a layer stays
        small.
        """
        per_step = max((layer.bytes_per_step() for layer in self._layers), default=1)
        block = 1 if self._stepwise else min(steps, max(1, SCRATCH_BYTES // per_step))
        size = max(1, SCRATCH_BYTES // (per_step * block))
        return min(size, -(-samples // self._threads)), block

    def _fill(
        self,
        inputs: dict[str, np.ndarray],
        values: dict[str, np.ndarray],
        steps: int,
        block: int,
        deadline: Deadline,
    ) -> dict[str, int]:
        """All steps of one chunk, block by block; returns overflow counts by population."""
        static = {name for name, x in inputs.items() if (x[:, 1:] == x[:, :-1]).all()}
        values = values | {name: self._pack(x) for name, x in inputs.items()}
        samples = len(next(iter(values.values())))
        states = {layer.population.name: layer.state(samples) for layer in self._layers}
        overflow = dict.fromkeys((layer.population.name for layer in self._layers), 0)
        for first in range(0, steps, block):
            last = min(first + block, steps)
            for layer in self._layers:
                deadline.check()
                count = layer.advance(values, states, first, last, layer.can_hold(static))
                overflow[layer.population.name] += count
        return overflow


def _order_of_all(graph: Graph) -> tuple[Population, ...] | None:
    """Populations so that every synapse, delayed or not, and every join goes forward; None where
    they form a cycle.
    """
    try:
        return graph.order(delayed=True)
    except GraphError:
        return None


def is_little(graph: Graph, inputs: dict[str, np.ndarray]) -> bool:
    """Whether to run samples [S, T, ...] takes less time without the compiled kernels than it takes
    to load them.
    """
    samples, steps = next(iter(inputs.values())).shape[:2]
    met = sum(s.count(graph[s.source].shape, graph[s.target].shape) for s in graph.synapses)
    return met * samples * steps < FEW_PRODUCTS and len(graph.populations) * steps < FEW_ADVANCES


def layer_module(compiled: bool | None) -> tuple[ModuleType, str]:
    """The module whose layers to use, and the version that an `Activity` reports."""
    if compiled is not False:
        try:
            kernels = importlib.import_module(".kernels", __package__)
            return kernels, f"{__version__}, numba {kernels.numba.__version__}"
        except ImportError:  # not installed, or refuses the numpy that is
            if compiled:
                raise MissingDependency(
                    "numba", enables="the simulator's compiled kernels"
                ) from None
    return importlib.import_module(".matmul", __package__), f"{__version__}, numpy {np.__version__}"


def _threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
