"""Bundle -> a directory with an HDF5 file that lava-dl's netx loads, for networks that are a chain.

The file of the target is netx/model.net (`scmrl.convert.netx.lowering`).
"""

from __future__ import annotations

from pathlib import Path

from ...core.bundle import Bundle
from ...core.graph import Graph
from ...system.dependencies import extra
from .. import frame
from ..lava.network import LAVA_INSTALL, LAVA_VERSION
from .lowering import LAVA_DL_INSTALL, LAVA_DL_VERSION, MODEL, NetxNetwork, lower, write


def export(bundle: Bundle, path: Path) -> frame.Facts:
    """Write the export to directory `path`, whole; returns its summary (JSON types).

    Raises `GraphError` as `lower` does, `MissingDependency` without h5py.
    """
    network = lower(bundle.graph)

    def fill(directory: Path) -> tuple[frame.Facts, frame.Facts]:
        write(network, directory / MODEL)
        return _summary(bundle.graph, network), _words(bundle.graph, network)

    return frame.export(bundle, path, "netx", fill)


def _words(graph: Graph, network: NetxNetwork) -> frame.Facts:
    first, *layers = network.populations
    apart = "one in a run: a delay would carry one into the next"
    readout = f"; {graph.readout.name} never fires: read its membrane v" if graph.readout else ""
    return {
        "lava_dl": LAVA_DL_VERSION,
        "extra": f"{extra('netx'):<35}",
        "lava": LAVA_INSTALL,
        "dl": LAVA_DL_INSTALL,
        "model": MODEL,
        "steps": graph.steps,
        "bits": f", input_message_bits={network.bits}" if network.bits > 1 else "",
        "input": f"{first} {graph[first].shape}",
        "width": network.bits,
        "readout": readout,
        "layers": " -> ".join(layers),
        "depth": len(layers),
        "samples": "back to back" if network.pipelined else apart,
    }


def _summary(graph: Graph, network: NetxNetwork) -> frame.Facts:
    """Every population with its place in the chain."""
    layers = [graph[name] for name in network.populations[1:]]
    facts = {
        "lava": LAVA_VERSION,
        "lava_dl": LAVA_DL_VERSION,
        "pipelined": network.pipelined,
        "layers": len(layers),
        "latency_steps": len(layers),
        "neurons": sum(p.neurons for p in layers),
    }
    each = ((p, True, {"neurons": p.neurons, "depth": depth}) for depth, p in enumerate(layers, 1))
    return frame.summary("netx", graph, facts, each)
