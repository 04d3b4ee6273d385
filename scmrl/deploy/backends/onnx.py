"""The ONNX backends: a graph in onnxruntime, every population recorded.

`OnnxRuntime` runs the sequence model, whole samples at a time; `OnnxRuntimeStep` the step model,
step by step, as a streaming host would. Both give the same bits. What the models are:
`scmrl.convert.onnx.model`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ...convert.onnx import model as onnx_graph
from ...core.activity import Activity, check_inputs
from ...core.bundle import load, locate
from ...core.graph import Graph
from ...system.errors import BackendError, BundleError, MissingDependency
from .backend import Backend, Deadline, Progress

CHUNK_BYTES = 4 << 20  # values that one call of the runtime gives back
THREADS = 1  # two on two busy cores are 2.5 times slower: they wait by spinning
ERRORS_ONLY = 4  # the runtime's log level: what fails is raised, nothing is printed


class OnnxBackend(Backend):
    """Runs a graph in onnxruntime on the CPU; the subclasses say with which model.

    `model` is the model as an export has it (None: made here). Raises `MissingDependency`,
    `GraphError`, `BackendError` where the runtime refuses the model, `BundleError` where it belongs
    to another graph.
    """

    def __init__(
        self, graph: Graph, *, deadline_s: float | None = None, model: bytes | None = None
    ):
        super().__init__(graph, deadline_s=deadline_s)
        started = time.perf_counter()
        self._runtime = _library()
        self.version = self._runtime.__version__
        self._session = self._open(self.build(graph) if model is None else model)
        self._startup_s = time.perf_counter() - started

    @staticmethod
    def build(graph: Graph, metadata: dict[str, str] | None = None) -> bytes:
        """The model of a graph."""
        raise NotImplementedError

    @classmethod
    def from_export(cls, path: str | Path, *, deadline_s: float | None = None) -> OnnxBackend:
        """The backend on what `scmrl.convert.onnx.export.export` wrote; raises `BundleError` on any
        other file.
        """
        directory = locate(path)
        bundle = load(directory)
        expected = cls.build(bundle.graph, onnx_graph.metadata(bundle, directory))
        model = onnx_graph.read(directory / cls.file, expected)
        return cls(bundle.graph, deadline_s=deadline_s, model=model)

    def _open(self, model: bytes) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = THREADS
        options.log_severity_level = ERRORS_ONLY
        with self._failures():
            session = self._runtime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        takes = {port.name for port in session.get_inputs()}
        gives = {port.name for port in session.get_outputs()}
        if not takes >= set(onnx_graph.given(self.graph)) or not gives >= set(
            onnx_graph.values(self.graph)
        ):
            raise BundleError(
                "model belongs to another graph", where=self.name, fix="export the model again"
            )
        return session

    @contextmanager
    def _failures(self, deadline: Deadline | None = None) -> Iterator[None]:
        """The runtime's own errors (they share no base) as a `BackendError`; a stopped call as a
        deadline.
        """
        try:
            yield
        except Exception as error:  # whatever the runtime raises while it loads and runs
            if deadline is not None:
                deadline.check()
            raise BackendError(f"onnxruntime failed: {error}", where=self.name) from None

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        inputs = check_inputs(self.graph, inputs)
        samples, steps = next(iter(inputs.values())).shape[:2]
        started, deadline = time.perf_counter(), Deadline(self.deadline_s, self.name)
        takes, gives = onnx_graph.given(self.graph), onnx_graph.values(self.graph)
        found = {
            name: np.empty((samples, steps, *shape), dtype)
            for name, (dtype, shape) in gives.items()
        }
        per_sample = sum(values[0].nbytes for values in found.values())
        size = max(1, CHUNK_BYTES // max(1, per_sample))
        for first in range(0, samples, size):
            chunk = slice(first, min(first + size, samples))
            given: dict[str, np.ndarray] = {
                name: inputs[name.removeprefix("x/")][chunk].astype(dtype)
                for name, (dtype, _) in takes.items()
            }
            self._run(given, {name: values[chunk] for name, values in found.items()}, deadline)
            if progress:
                progress(chunk.stop, samples)
        return Activity(
            spikes={p.name: found[f"s/{p.name}"] for p in self.graph.of_kind("lif")},
            membrane={
                p.name: found[f"v/{p.name}"].astype(np.int64) for p in self.graph.of_kind("readout")
            },
            backend=self.name,
            version=self.version,
            seconds=time.perf_counter() - started,
            startup_s=self._startup_s,
        )

    def _run(
        self, given: dict[str, np.ndarray], found: dict[str, np.ndarray], deadline: Deadline
    ) -> None:
        """Fill `found` [S, T, *shape] for the samples `given`."""
        raise NotImplementedError


class OnnxRuntime(OnnxBackend):
    """The sequence model: all steps of a chunk of samples in one call."""

    name, file = "onnx", "onnx/model.seq.onnx"
    build = staticmethod(onnx_graph.sequence_model)

    def _run(
        self, given: dict[str, np.ndarray], found: dict[str, np.ndarray], deadline: Deadline
    ) -> None:
        deadline.check()
        options = self._runtime.RunOptions()
        with self._failures(deadline), _stop_at(deadline, options):
            values = self._session.run(list(found), given, options)
        for name, value in zip(found, values):
            found[name][:] = value


class OnnxRuntimeStep(OnnxBackend):
    """The step model, one call a step: what it gives as state goes into the next."""

    name, file = "onnx-step", "onnx/model.step.onnx"
    build = staticmethod(onnx_graph.step_model)

    def _run(
        self, given: dict[str, np.ndarray], found: dict[str, np.ndarray], deadline: Deadline
    ) -> None:
        samples, steps = next(iter(given.values())).shape[:2]
        state = {
            port.name: np.zeros((samples, *port.shape[1:]), port.type[len("tensor(") : -1])
            for port in self._session.get_inputs()
            if port.name not in given
        }
        wanted = [*found, *map(onnx_graph.after, state)]
        for t in range(steps):
            deadline.check()
            with self._failures(deadline):
                values = self._session.run(
                    wanted, {name: x[:, t] for name, x in given.items()} | state
                )
            for name, value in zip(found, values):
                found[name][:, t] = value
            state = dict(zip(state, values[len(found) :]))


@contextmanager
def _stop_at(deadline: Deadline, options: object) -> Iterator[None]:
    """Ask the runtime to stop its call when the deadline comes."""
    if deadline.seconds is None:
        yield
        return
    left = deadline.started + deadline.seconds - time.monotonic()
    timer = threading.Timer(max(left, 0), setattr, (options, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _library() -> ModuleType:
    """The onnxruntime package; raises `MissingDependency`."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependency("onnxruntime", enables="the ONNX backends") from None
    return onnxruntime
