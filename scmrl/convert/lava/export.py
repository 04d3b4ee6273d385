"""Bundle -> a directory that runs on Lava without torch. numpy only.

DIR/bundle.json, graph.json, tensors.npz, samples.npz     the bundle, unchanged
DIR/lava/network.json, network.npz                        the lowered network (`scmrl.convert.lava.network`)
DIR/README.txt                                            the commands to install and run
"""

from __future__ import annotations

from pathlib import Path

from ...core.bundle import Bundle
from ...core.graph import Graph
from ...system.dependencies import extra
from ...system.storage import whole_directory
from .lowering import lower
from .network import LAVA_INSTALL, LAVA_VERSION, LavaNetwork, Place, write

README = """\
A spiking network for Lava {version} (Loihi's fixed-point simulation), exported by scmrl.

Install, on a host with Python 3.10 to 3.13 (torch is not needed):

    {extra:<36}all it needs beside scmrl's wheel; Lava alone:
    {install}

Run it on the samples in this directory and compare every spike:

    scmrl deploy . --backend lava               Lava's own multi-process runtime
    scmrl deploy . --backend lava-inprocess     the same models in one OS process, several times faster

Layout: {processes} Lava processes, {neurons} neurons ({relays} of them relays), {nonzeros} non-zero weights.
Samples of {steps} steps{streaming}; the deepest population is {depth} steps behind the inputs.
"""


def export(bundle: Bundle, path: Path) -> dict:
    """Write the export to directory `path`; returns its summary. Raises `GraphError` as `lower`
    does.
    """
    network = lower(bundle.graph)
    with whole_directory(path, "lava") as directory:
        bundle.write(directory)
        write(network, directory / "lava", directory)
        (directory / "README.txt").write_text(readme(network), encoding="utf-8")
    return summary(bundle.graph, network)


def readme(network: LavaNetwork) -> str:
    streaming = " stream back to back" if network.pipelined else ", each in a run of its own"
    return README.format(
        version=LAVA_VERSION,
        extra=extra("deploy"),
        install=LAVA_INSTALL,
        processes=network.processes,
        relays=network.relays,
        neurons=sum(n.count for n in network.neurons),
        nonzeros=network.nonzeros,
        steps=network.steps,
        depth=network.depth,
        streaming=streaming,
    )


def summary(graph: Graph, network: LavaNetwork) -> dict:
    """What was exported, for reports: every population with its label, and the sizes of the Lava
    network.

    `latency_steps`: hardware steps from an input to the deepest population. `nonzeros` of a
    population: its fan-in.
    """
    return {
        "target": "lava",
        "lava": LAVA_VERSION,
        "steps": network.steps,
        "pipelined": network.pipelined,
        "latency_steps": network.depth,
        "processes": network.processes,
        "neuron_processes": len(network.neurons),
        "synapse_processes": len(network.weights),
        "neurons": sum(n.count for n in network.neurons),
        "relays": network.relays,
        "nonzeros": network.nonzeros,
        "populations": [
            {
                "name": place.population,
                "label": "exact",
                "kind": graph[place.population].kind,
                "neurons": place.count,
                "depth": place.depth,
                "process": place.process,
                "nonzeros": fan_in(network, place),
            }
            for place in network.places
        ],
    }


def fan_in(network: LavaNetwork, place: Place) -> int:
    """Non-zero weights into a population, as lowered."""
    stop = place.start + place.count
    incoming = [w for w in network.weights if w.target == place.process]
    return sum(int(w.indptr[stop] - w.indptr[place.start]) for w in incoming)
