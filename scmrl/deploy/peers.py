"""Peer simulators: the exported NIR graph in norse, snntorch and spikingjelly, every population recorded. Needs torch.

They are float simulators, so they are compared with, not held to, the integer network: `exact` is False, and what
differs is what NIR cannot say (`scmrl.nir_lowering`). Neurons are each library's own; the graph runs in nirtorch's
executor, which puts branches in the right order (norse 1.1's own `from_nir` does not). The readout is exact
arithmetic on the sums that arrive at the Output.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import json
import time
from pathlib import Path

import numpy as np

from ..activity import Activity, check_inputs
from ..bundle import load, locate
from ..errors import BackendError, BundleError, MissingDependency
from ..files import sha256
from ..fixed_point import lif_step
from ..graph import Graph, Population
from ..nir_lowering import DT, UNIT, InputLayout, load_nir, lower, node_name
from .backends import Backend, Deadline, Progress

BATCH = 32                              # samples at a time
MODEL_LIMIT_BYTES = 1 << 30             # size of a model file that is opened
BELONGS_TO = ("graph.json", "tensors.npz")


class Peer(Backend):
    """Runs a graph's NIR form; the subclasses say in which library. `network` is the graph as an export holds it."""

    name: str
    install: str
    exact = False                       # float neurons: agreement is measured, not required

    def __init__(self, graph: Graph, *, deadline_s: float | None = None, network=None):
        super().__init__(graph, deadline_s=deadline_s)
        for library in ("torch", "nirtorch", self.name):
            self._library(library)
        self.version = importlib.metadata.version(self.name)
        self._network = lower(graph) if network is None else network
        self._layout = InputLayout.of(graph)
        try:
            with contextlib.redirect_stdout(io.StringIO()):     # snntorch prints while it imports
                self._module = self._import(self._network)
        except ImportError as error:
            raise MissingDependency(str(error.name), enables=f"the backend {self.name}", install=self.install) from None
        except Exception as error:  # whatever the importer raises on a graph
            raise BackendError(f"the importer failed: {type(error).__name__}: {error}", where=self.name) from error
        self._module.eval()

    def _library(self, library: str):
        try:
            return importlib.import_module(library)
        except ImportError:
            install = self.install if library == self.name else "see the README for torch and nirtorch"
            raise MissingDependency(library, enables=f"the backend {self.name}", install=install) from None

    @staticmethod
    def exported(directory: Path) -> bool:
        """Whether the bundle there carries a NIR graph."""
        return (directory / "nir" / "model.nir").is_file()

    @classmethod
    def from_export(cls, path: str | Path, *, deadline_s: float | None = None) -> Peer:
        """The backend on what `scmrl.convert.nir.export` wrote, running the very file found there."""
        directory = locate(path)
        return cls(load(directory).graph, deadline_s=deadline_s, network=read(directory))

    def _import(self, network):
        """The library's importer: a NIR graph -> module(x [B, C, H, W], state) -> (output [B, K], state)."""
        raise NotImplementedError

    def _reset(self) -> None:
        """Clear state that the library keeps inside its modules."""

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        """Spikes uint8 [S, T, *shape] as the library's neurons gave them; membranes int64 from the Output's sums.

        Raises `DataError` for wrong inputs, `BackendError` past the deadline or where the library fails.
        """
        deadline = Deadline(self.deadline_s, self.name)
        inputs = check_inputs(self.graph, inputs)
        samples, steps = next(iter(inputs.values())).shape[:2]
        spikes = {p.name: np.zeros((samples, steps, *p.shape), np.uint8) for p in self.graph.of_kind("lif")}
        membrane = {p.name: np.zeros((samples, steps, *p.shape), np.int64) for p in self.graph.of_kind("readout")}
        started = time.perf_counter()
        with self._recorded() as heard:
            for start in range(0, samples, BATCH):
                part = slice(start, min(start + BATCH, samples))
                x = self._layout.join({name: values[part] for name, values in inputs.items()})
                sums = self._run_batch(x, heard, {name: s[part] for name, s in spikes.items()}, deadline)
                for p in self.graph.of_kind("readout"):
                    membrane[p.name][part] = integrate(p, sums)
                if progress:
                    progress(part.stop, samples)
        return Activity(spikes, membrane, backend=self.name, version=self.version,
                        seconds=time.perf_counter() - started,
                        notes=("float simulator: rounding and 24-bit borders are not in NIR",))

    def _run_batch(self, x: np.ndarray, heard: dict, spikes: dict[str, np.ndarray], deadline: Deadline) -> np.ndarray:
        """All steps of x [B, T, C, H, W]: fills `spikes`, returns the Output float64 [B, T, K]."""
        import torch
        self._reset()
        state, outputs = None, []
        for t in range(x.shape[1]):
            try:
                with torch.no_grad():
                    output, state = self._module(torch.from_numpy(np.ascontiguousarray(x[:, t])), state)
            except Exception as error:  # whatever the library raises while it runs
                raise BackendError(f"failed: {type(error).__name__}: {error}", where=self.name) from error
            outputs.append(output.numpy().astype(np.float64))
            for name, s in spikes.items():
                s[:, t] = heard[name].numpy().reshape(s[:, t].shape)
            deadline.check()
        return np.stack(outputs, 1)

    @contextlib.contextmanager
    def _recorded(self):
        """{population: what its neurons gave last}, filled by hooks on the modules of the same names."""
        heard, hooks = {}, []
        for p in self.graph.of_kind("lif"):
            def record(_module, _inputs, output, name=p.name):
                heard[name] = output[0] if isinstance(output, tuple) else output
            hooks.append(self._module.get_submodule(node_name(p.name)).register_forward_hook(record))
        try:
            yield heard
        finally:
            for hook in hooks:
                hook.remove()


def integrate(p: Population, sums: np.ndarray) -> np.ndarray:
    """Membranes int64 [S, T, *shape] of a readout on its sums float [S, T, K], bias included, by the exact rule."""
    a = np.rint(sums.reshape(*sums.shape[:2], *p.shape) - p.bias / UNIT).astype(np.int64)
    u, v = np.zeros_like(a[:, 0]), np.zeros_like(a[:, 0])
    membrane = np.zeros_like(a)
    for t in range(a.shape[1]):
        if p.memoryless:
            u, v = np.zeros_like(u), np.zeros_like(v)
        u, v, _, _ = lif_step(u, v, a[:, t], du=p.du, dv=p.dv, vth=p.vth, bias=p.bias, fires=False)
        membrane[:, t] = v
    return membrane


def read(directory: Path):
    """The NIR graph of an export, if it is of the bundle beside it. Raises `BundleError`, `MissingDependency`."""
    nir, path = load_nir(), directory / "nir" / "model.nir"
    try:
        if path.stat().st_size > MODEL_LIMIT_BYTES:
            raise BundleError("file is too large", where=path, limit=MODEL_LIMIT_BYTES, value=path.stat().st_size)
        network = nir.read(path)
        hashes = json.loads(network.metadata["json"])["sha256"]
    except BundleError:
        raise
    except Exception as error:  # h5py and nir raise a dozen kinds on corrupt files
        raise BundleError("not a NIR graph that scmrl wrote", where=path,
                          value=f"{type(error).__name__} {error}") from None
    if hashes != {name: sha256(directory / name) for name in BELONGS_TO}:
        raise BundleError("belongs to another model", where=path, fix="export the model again")
    return network


class Norse(Peer):
    """norse's own cells, by its own mapping of NIR nodes."""

    name = "norse"
    install = "pip install --no-deps norse==1.1.0"

    def _import(self, network):
        from norse.torch.utils import import_nir
        nir, nirtorch = load_nir(), self._library("nirtorch")

        def module(node):
            return import_nir._import_norse_module(node, ignore_warnings=True, dt=DT)

        return nirtorch.nir_to_torch(network, {kind: module for kind in (nir.Conv2d, nir.CubaLIF, nir.Flatten)})


class SnnTorch(Peer):
    """snntorch's importer; its neurons keep their state inside."""

    name = "snntorch"
    install = "pip install --no-deps snntorch==1.0.0"

    def _import(self, network):
        from snntorch.import_nir import import_from_nir
        return import_from_nir(network)

    def _reset(self) -> None:
        for module in self._module.modules():
            if hasattr(module, "reset_mem"):
                module.reset_mem()


class SpikingJelly(Peer):
    """spikingjelly's importer, step by step. It fires at v >= threshold: no state lies on it."""

    name = "spikingjelly"
    install = "pip install --no-deps spikingjelly==2.0.0 loguru tqdm requests"

    def _import(self, network):
        from loguru import logger
        logger.disable("spikingjelly")
        from spikingjelly.activation_based.nir_exchange import import_from_nir
        return import_from_nir(network, dt=DT)
