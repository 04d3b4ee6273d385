"""Bundle -> a directory that runs on Lava without torch. numpy only.

The files of the target are lava/network.json and network.npz, the lowered network
(`scmrl.convert.lava.network`).
"""

from __future__ import annotations

from pathlib import Path

from ...core.bundle import Bundle
from ...core.graph import Graph
from ...system.dependencies import extra
from .. import frame
from .lowering import lower
from .network import LAVA_INSTALL, LAVA_VERSION, LavaNetwork, Place, write


def export(bundle: Bundle, path: Path) -> frame.Facts:
    """Write the export to directory `path`, whole; returns its summary. Raises `GraphError` as
    `lower` does.
    """
    network = lower(bundle.graph)

    def fill(directory: Path) -> tuple[frame.Facts, frame.Facts]:
        write(network, directory / "lava", directory)
        return _summary(bundle.graph, network), _words(network)

    return frame.export(bundle, path, "lava", fill)


def _words(network: LavaNetwork) -> frame.Facts:
    return {
        "version": LAVA_VERSION,
        "extra": f"{extra('deploy'):<35}",
        "install": LAVA_INSTALL,
        "processes": network.processes,
        "relays": network.relays,
        "neurons": network.count,
        "nonzeros": network.nonzeros,
        "steps": network.steps,
        "depth": network.depth,
        "streaming": (
            " stream back to back" if network.pipelined else ", each in a run of its own"
        ),
    }


def _summary(graph: Graph, network: LavaNetwork) -> frame.Facts:
    """`latency_steps`: hardware steps from an input to the deepest population. `nonzeros` of a
    population: its fan-in.
    """
    facts = {
        "lava": LAVA_VERSION,
        "pipelined": network.pipelined,
        "latency_steps": network.depth,
        "processes": network.processes,
        "neuron_processes": len(network.neurons),
        "synapse_processes": len(network.weights),
        "neurons": network.count,
        "relays": network.relays,
        "nonzeros": network.nonzeros,
    }

    def own(place: Place) -> frame.Facts:
        fan_in = _fan_in(network, place)
        size = {"neurons": place.count, "depth": place.depth}
        return size | {"process": place.process, "nonzeros": fan_in}

    each = ((graph[place.population], True, own(place)) for place in network.places)
    return frame.summary("lava", graph, facts, each)


def _fan_in(network: LavaNetwork, place: Place) -> int:
    """Non-zero weights into a population, as lowered."""
    stop = place.start + place.count
    incoming = [w for w in network.weights if w.target == place.process]
    return sum(int(w.indptr[stop] - w.indptr[place.start]) for w in incoming)
