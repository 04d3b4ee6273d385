"""Backends by name: "module:attribute", loaded on use. The only list of them."""

from __future__ import annotations

import importlib
from pathlib import Path

from ..core.bundle import locate
from ..core.graph import Graph
from ..system.errors import UsageError, nearest
from .backends.backend import Backend

BACKENDS = {
    "reference": "scmrl.deploy.backends.backend:Reference",
    "simulator": "scmrl.deploy.backends.simulator.simulator:Simulator",
    "c": "scmrl.deploy.backends.c.c:Compiled",
    "verilog": "scmrl.deploy.backends.verilog.verilog:Simulated",
    "lava": "scmrl.deploy.backends.lava.lava:LavaRuntime",
    "lava-inprocess": "scmrl.deploy.backends.lava.lava:LavaInProcess",
    "loihi-sim": "scmrl.deploy.backends.loihi.loihi:LoihiSim",
    "loihi": "scmrl.deploy.backends.loihi.loihi:Loihi",
    "onnx": "scmrl.deploy.backends.onnx:OnnxRuntime",
    "onnx-step": "scmrl.deploy.backends.onnx:OnnxRuntimeStep",
    "netx": "scmrl.deploy.backends.netx.netx:Netx",
    "norse": "scmrl.deploy.backends.peers:Norse",
    "snntorch": "scmrl.deploy.backends.peers:SnnTorch",
    "spikingjelly": "scmrl.deploy.backends.peers:SpikingJelly",
}


def backend_class(name: str) -> type[Backend]:
    """The class of a backend by its name; raises `UsageError` for an unknown one, naming the
    nearest.
    """
    if name not in BACKENDS:
        raise UsageError("no such backend", where=name, fix=nearest(name, BACKENDS))
    module, attribute = BACKENDS[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def open_backend(
    name: str, graph: Graph, *, deadline_s: float | None = None, model: Path | None = None
) -> Backend:
    """Open a backend on a graph, or on its own file where the `model` is an export that has one.

    Raises `UsageError` (unknown name), and what opening raises (see `Backend`).
    """
    kind = backend_class(name)
    if model is not None and kind.file and kind.exported(locate(model)):
        return kind.from_export(model, deadline_s=deadline_s)
    return kind(graph, deadline_s=deadline_s)
