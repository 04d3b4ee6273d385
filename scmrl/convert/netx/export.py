"""Bundle -> a directory with an HDF5 file that lava-dl's netx loads, for networks that are a chain.

DIR/bundle.json, graph.json, tensors.npz, samples.npz     the bundle, unchanged
DIR/netx/model.net                                        the network (`scmrl.convert.netx.lowering`)
DIR/README.txt                                            how to load and run it
"""

from __future__ import annotations

from pathlib import Path

from ...core.bundle import Bundle
from ...core.graph import Graph
from ...system.dependencies import extra
from ...system.storage import whole_directory
from ..lava.network import LAVA_INSTALL, LAVA_VERSION
from .lowering import LAVA_DL_INSTALL, LAVA_DL_VERSION, MODEL, NetxNetwork, lower, write

README = """\
A spiking network for netx of lava-dl {lava_dl}, exported by scmrl.

Install, on a host with Python 3.10 to 3.13 (scmrl needs no torch to run it):

    {extra:<36}all it needs beside scmrl's wheel; Lava alone:
    {lava}
    {dl}

Run it on the samples in this directory and compare every spike:

    scmrl deploy . --backend netx

By lava-dl's own code, in an environment that lava-dl declares: Python 3.10, with torch, torchvision and
OpenCV (cv2), which it imports; scmrl replaces those imports, and so runs on newer Pythons and without them:

    from lava.lib.dl.netx.hdf5 import Network
    network = Network("{model}", reset_interval={steps}, reset_offset=1{bits})

    input       {input}, spikes or values of {width} bits; an image goes in as (W, H, C), one step a time step
    output      spikes of the last layer{readout}
    layers      {layers}
    time        each layer adds one time step: the last one is at step t of a sample in time step t + {depth}
    samples     {samples}
"""


def export(bundle: Bundle, path: Path) -> dict:
    """Write the export to directory `path`, whole; returns its summary (JSON types).

    Raises `GraphError` as `lower` does, `MissingDependency` without h5py.
    """
    network = lower(bundle.graph)
    with whole_directory(path, "netx") as directory:
        bundle.write(directory)
        (directory / MODEL).parent.mkdir()
        write(network, directory / MODEL)
        (directory / "README.txt").write_text(readme(bundle.graph, network), encoding="utf-8")
    return summary(bundle.graph, network)


def readme(graph: Graph, network: NetxNetwork) -> str:
    first, *layers = network.populations
    readout = f"; {graph.readout.name} never fires: read its membrane v" if graph.readout else ""
    together = (
        "back to back"
        if network.pipelined
        else "one in a run: a delay would carry one into the next"
    )
    return README.format(
        lava_dl=LAVA_DL_VERSION,
        extra=extra("netx"),
        lava=LAVA_INSTALL,
        dl=LAVA_DL_INSTALL,
        model=MODEL,
        steps=graph.steps,
        bits=f", input_message_bits={network.bits}" if network.bits > 1 else "",
        input=f"{first} {graph[first].shape}",
        width=network.bits,
        readout=readout,
        layers=" -> ".join(layers),
        depth=len(layers),
        samples=together,
    )


def summary(graph: Graph, network: NetxNetwork) -> dict:
    """What was exported, for reports: every population with its label and its place in the
    chain.
    """
    layers = network.populations[1:]
    return {
        "target": "netx",
        "lava": LAVA_VERSION,
        "lava_dl": LAVA_DL_VERSION,
        "steps": graph.steps,
        "pipelined": network.pipelined,
        "layers": len(layers),
        "latency_steps": len(layers),
        "neurons": sum(graph[name].neurons for name in layers),
        "populations": [
            {
                "name": name,
                "label": "exact",
                "kind": graph[name].kind,
                "neurons": graph[name].neurons,
                "depth": depth,
            }
            for depth, name in enumerate(layers, 1)
        ],
    }
