"""Peer simulators: the exported NIR graph in norse, snntorch and spikingjelly, every population
recorded.

They simulate in float, so they are compared with the integer network and not held to it: `exact` is
False, and what differs is what NIR cannot say (`scmrl.convert.nir.lowering`). Neurons are each
library's own; nirtorch's executor runs the graph, since it puts branches in the right order (norse
1.1's own `from_nir` does not). The readout is added up by the integer rule from what arrives at the
Output.
This file is the one in this room that needs torch.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from ...convert.frame.neurons import require_one_value
from ...convert.nir.lowering import (
    DT,
    EFFECT,
    HASHED,
    MODEL,
    InputLayout,
    load_nir,
    lower,
    node_name,
    replay,
)
from ...core.activity import Activity, check_inputs
from ...core.bundle import load, locate
from ...core.graph import PER_NEURON, Graph
from ...system import dependencies
from ...system.errors import BackendError, BundleError, MissingDependency
from ...system.reading import read_json, regular, sha256
from .backend import Backend, Deadline, Progress

BATCH = 32  # samples at a time
MODEL_LIMIT_BYTES = 1 << 30  # size of a model file that is opened


class Peer(Backend):
    """Runs a graph's NIR form; the subclasses say in which library. `network` is that form, as
    exported.
    """

    exact, file = False, MODEL  # float neurons: agreement is measured, not required
    one_value: ClassVar[tuple[str, ...]] = ()  # parameters of which the importer takes one a node

    def __init__(self, graph: Graph, *, deadline_s: float | None = None, network: Any = None):
        super().__init__(graph, deadline_s=deadline_s)
        for library in ("torch", "nirtorch", self.name):
            self._library(library)
        self.version = importlib.metadata.version(self.name)
        self._layout = InputLayout.of(graph)
        started = time.perf_counter()
        network = lower(graph) if network is None else network
        require_one_value(graph.of_kind("lif"), f"{self.name}'s importer", self.one_value)
        self._module = self._imported(network).eval()
        self._startup_s = time.perf_counter() - started

    def _library(self, library: str) -> ModuleType:
        try:
            return importlib.import_module(library)
        except ImportError:
            raise MissingDependency(library, enables=f"the backend {self.name}") from None

    def _imported(self, network: Any) -> Any:
        """The module that the library makes of the graph."""
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # snntorch prints while it imports
                return self._import(network)
        except ImportError as error:
            raise MissingDependency(
                str(error.name),
                enables=f"the backend {self.name}",
                install=dependencies.hint(self.name),
            ) from None
        except Exception as error:  # whatever the importer raises on a graph
            raise BackendError(
                f"the importer failed: {type(error).__name__}: {error}", where=self.name
            ) from error

    @classmethod
    def from_export(cls, path: str | Path, *, deadline_s: float | None = None) -> Peer:
        """The backend on what `scmrl.convert.nir.export.export` wrote, running the very file found
        there.
        """
        directory = locate(path)
        return cls(load(directory).graph, deadline_s=deadline_s, network=read(directory))

    def _import(self, network: Any) -> Any:
        """The library's importer: a NIR graph -> module(x [B, C, H, W], state) -> (output [B, K],
        state).
        """
        raise NotImplementedError

    def _reset(self) -> None:
        """Clear state that the library keeps inside its modules."""

    def run(self, inputs: dict[str, np.ndarray], progress: Progress | None = None) -> Activity:
        """Spikes are the library's neurons', membranes the integer rule on the Output's sums."""
        deadline = Deadline(self.deadline_s, self.name)
        inputs = check_inputs(self.graph, inputs)
        samples, steps = next(iter(inputs.values())).shape[:2]
        lead = (samples, steps)
        spikes = {p.name: np.zeros((*lead, *p.shape), np.uint8) for p in self.graph.of_kind("lif")}
        membrane = {
            p.name: np.zeros((*lead, *p.shape), np.int64) for p in self.graph.of_kind("readout")
        }
        started = time.perf_counter()
        with self._recorded() as heard:
            for start in range(0, samples, BATCH):
                part = slice(start, min(start + BATCH, samples))
                x = self._layout.join({name: values[part] for name, values in inputs.items()})
                sums = self._batch(
                    x, heard, {name: s[part] for name, s in spikes.items()}, deadline
                )
                for p in self.graph.of_kind("readout"):
                    membrane[p.name][part], *_ = replay(p, sums)
                if progress:
                    progress(part.stop, samples)
        return Activity(
            spikes,
            membrane,
            backend=self.name,
            version=self.version,
            seconds=time.perf_counter() - started,
            startup_s=self._startup_s,
            notes=("float simulator: rounding and 24-bit borders are not in NIR",),
        )

    def _batch(
        self,
        x: np.ndarray,
        heard: dict[str, Any],
        spikes: dict[str, np.ndarray],
        deadline: Deadline,
    ) -> np.ndarray:
        """All steps of x [B, T, C, H, W]: fills `spikes`, returns the Output float64 [B, T, K]."""
        import torch

        self._reset()
        state, outputs = None, []
        for t in range(x.shape[1]):
            try:
                with torch.no_grad():
                    output, state = self._module(
                        torch.from_numpy(np.ascontiguousarray(x[:, t])), state
                    )
            except Exception as error:  # whatever the library raises while it runs
                raise BackendError(
                    f"failed: {type(error).__name__}: {error}", where=self.name
                ) from error
            outputs.append(output.numpy().astype(np.float64))
            for name, s in spikes.items():
                s[:, t] = heard[name].numpy().reshape(s[:, t].shape)
            deadline.check()
        return np.stack(outputs, 1)

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[dict[str, Any]]:
        """{population: what its neurons gave last}, filled by hooks on the modules of the same
        names.
        """
        heard: dict[str, Any] = {}
        hooks = []
        for p in self.graph.of_kind("lif"):

            def record(_module: object, _inputs: object, output: Any, name: str = p.name) -> None:
                heard[name] = output[0] if isinstance(output, tuple) else output

            hooks.append(
                self._module.get_submodule(node_name(p.name)).register_forward_hook(record)
            )
        try:
            yield heard
        finally:
            for hook in hooks:
                hook.remove()


def read(directory: Path) -> Any:
    """The NIR graph of an export, if all its files are as they were written together.

    Raises `BundleError`, `MissingDependency`. Hashes come first: the HDF5 library crashes on
    damaged files.
    """
    nir, path = load_nir(), directory / MODEL
    hashes = read_json(directory / EFFECT).get("sha256")
    for name in HASHED:
        file = directory / name
        if not isinstance(hashes, dict) or not file.is_file() or hashes.get(name) != sha256(file):
            raise BundleError(
                "is corrupt, missing, or of another model than the files beside it",
                where=file,
                fix="export the model again",
            )
    try:
        size = _unpacked_bytes(path)
        if size > MODEL_LIMIT_BYTES:
            raise BundleError(
                "file unpacks to too much",
                where=path,
                limit=f"{MODEL_LIMIT_BYTES} bytes",
                value=size,
            )
        return nir.read(path)
    except BundleError:
        raise
    except Exception as error:  # h5py and nir raise a dozen kinds
        raise BundleError(
            "not a NIR graph", where=path, value=f"{type(error).__name__} {error}"
        ) from None


def _unpacked_bytes(path: Path) -> int:
    """Bytes of all arrays of an HDF5 file, as it says. Raises `BundleError` where it links to
    elsewhere.
    """
    import h5py

    total = 0

    def visit(name: str, link: object) -> None:
        nonlocal total
        if not isinstance(link, h5py.HardLink):
            raise BundleError("link in a NIR file", where=path, value=name)
        if isinstance(file[name], h5py.Dataset):
            total += file[name].nbytes

    with h5py.File(regular(path, None), "r") as file:
        file.visititems_links(visit)
    return total


class Norse(Peer):
    """norse's own cells, by its own mapping of NIR nodes."""

    name = "norse"

    def _import(self, network: Any) -> Any:
        from norse.torch.utils import import_nir

        nir, nirtorch = load_nir(), self._library("nirtorch")

        def module(node: object) -> Any:
            return import_nir._import_norse_module(node, ignore_warnings=True, dt=DT)

        return nirtorch.nir_to_torch(
            network, dict.fromkeys((nir.Conv2d, nir.CubaLIF, nir.Flatten), module)
        )


class SnnTorch(Peer):
    """snntorch's importer; its neurons keep their state inside."""

    name, one_value = "snntorch", ("vth",)

    def _import(self, network: Any) -> Any:
        from snntorch.import_nir import import_from_nir

        return import_from_nir(network)

    def _reset(self) -> None:
        for module in self._module.modules():
            if hasattr(module, "reset_mem"):
                module.reset_mem()


class SpikingJelly(Peer):
    """spikingjelly's importer, step by step. It fires at v >= threshold: no state lies on it."""

    name, one_value = "spikingjelly", PER_NEURON

    def _import(self, network: Any) -> Any:
        from loguru import logger

        logger.disable("spikingjelly")
        from spikingjelly.activation_based.nir_exchange import import_from_nir

        return import_from_nir(network, dt=DT)
