"""Bundle -> a NIR graph that norse, snntorch and spikingjelly run, and the spikes to hold them to.

DIR/bundle.json, graph.json, tensors.npz, samples.npz     the bundle, unchanged
DIR/nir/model.nir       the graph; `scmrl.convert.nir.lowering` says in which form
DIR/nir/spikes.nir      recordings of the reference, for `nir.read_data`
DIR/nir/effect.json     what float neurons lose, measured, by population; hashes of the files
DIR/README.txt          how to run it, and what NIR cannot say
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ... import __version__
from ...core import reference
from ...core.activity import Activity
from ...core.bundle import Bundle
from ...core.graph import Graph
from ...system.reading import sha256
from ...system.storage import put_hdf5, put_json, whole_directory
from .effect import Effect, measure, same_class
from .lowering import (
    DT,
    EFFECT,
    HASHED,
    INPUT,
    MODEL,
    READOUT,
    UNIT,
    InputLayout,
    load_nir,
    lower,
    node_name,
    output_meaning,
)

GOLDEN = 16  # samples whose spikes go along
LOST = (
    "rounding of decays toward zero",
    "wrap of the 24-bit current",
    "saturation of the 24-bit membrane",
)
README = """\
A spiking network in the Neuromorphic Intermediate Representation, exported by scmrl.

    nir/model.nir     one Input {shape}, one Output; dt = {dt} s, {steps} steps a sample
    nir/spikes.nir    exact spikes of {golden} samples, by node: nir.read_data("nir/spikes.nir")

Input channels: {channels}.
Output: {output}.

What NIR cannot say: {lost}.
Measured on {samples} samples, float32 neurons against the integer network: {agreement}.
nir/effect.json has every population.

Run it, and compare every spike with the integer network:

    scmrl deploy . --backend norse          or snntorch, or spikingjelly
"""


def export(bundle: Bundle, path: Path) -> dict:
    """Write the export to directory `path`; returns its summary.

    Raises `GraphError` for what NIR's importers cannot run (see `scmrl.convert.nir.lowering.lower`),
    `MissingDependency` without nir.
    """
    nir = load_nir()
    with whole_directory(path, "nir") as directory:
        bundle.write(directory)
        network = lower(bundle.graph, _provenance(bundle, directory))
        exact = reference.run(bundle.graph, bundle.inputs)
        effects, floats = measure(bundle.graph, network, bundle.inputs, exact)
        (directory / "nir").mkdir()
        put_hdf5(directory / MODEL, lambda file: nir.write(file, network))
        golden = recordings(bundle.graph, bundle.inputs, exact, GOLDEN)
        put_hdf5(directory / "nir" / "spikes.nir", lambda file: nir.write_data(file, golden))
        summary = _summary(bundle, network, effects, exact, floats)
        summary["file_bytes"] = (directory / MODEL).stat().st_size
        summary["sha256"] = {name: sha256(directory / name) for name in HASHED}
        put_json(directory / EFFECT, summary)
        (directory / "README.txt").write_text(_readme(bundle, summary), encoding="utf-8")
    return summary


def recordings(graph: Graph, inputs: dict[str, np.ndarray], exact: Activity, samples: int):
    """The first `samples` samples as `nir.NIRGraphData`, by node [samples, T, neurons].

    `values` of the Input (float32), `spikes` of every population (bool), `membrane` of the readout
    (float32, in synaptic weights: 64 membrane units).
    """
    nir = load_nir()

    def grid(values: np.ndarray):
        values = values[:samples]
        return nir.TimeGriddedData(values.reshape(*values.shape[:2], -1), DT)

    nodes = {INPUT: {"values": grid(InputLayout.of(graph).join(inputs))}}
    nodes |= {node_name(name): {"spikes": grid(s.astype(bool))} for name, s in exact.spikes.items()}
    for v in exact.membrane.values():
        nodes[READOUT] = {"membrane": grid((v / UNIT).astype(np.float32))}
    return nir.NIRGraphData(
        {name: nir.NIRNodeData(observables) for name, observables in nodes.items()}
    )


def _provenance(bundle: Bundle, directory: Path) -> dict:
    return {
        "tool": "scmrl",
        "version": __version__,
        "profile": bundle.profile,
        "frontend": bundle.frontend,
        "metrics": bundle.metrics,
        "sha256": {name: sha256(directory / name) for name in HASHED[:2]},
    }


def _summary(
    bundle: Bundle, network, effects: list[Effect], exact: Activity, floats: Activity
) -> dict:
    """What was exported, for reports: every population with its label, and what was lost with its
    effect.
    """
    graph = bundle.graph
    firing = [e for e in effects if graph[e.name].fires]
    compared, differ = sum(e.compared for e in firing), sum(e.differ for e in firing)
    return {
        "target": "nir",
        "nir": load_nir().version,
        "dt_s": DT,
        "steps": graph.steps,
        "nodes": len(network.nodes),
        "edges": len(network.edges),
        "not_expressed": list(LOST),
        "samples": bundle.samples,
        "spikes_that_differ": differ,
        "spike_agreement": 1 - differ / compared if compared else 1.0,
        "same_class": same_class(graph, exact, floats) if graph.readout else None,
        "populations": [
            {
                "name": e.name,
                "node": node_name(e.name) if graph[e.name].fires else READOUT,
                "kind": graph[e.name].kind,
                "label": "exact" if e.exact else "approximate",
                "compared": e.compared,
                "differ": e.differ,
                "own": e.own,
                "agreement": e.agreement,
                "rounded": e.rounded,
                "borders": e.borders,
                "cause": e.cause,
            }
            for e in effects
        ],
    }


def _readme(bundle: Bundle, summary: dict) -> str:
    graph, layout = bundle.graph, InputLayout.of(bundle.graph)
    channels = "; ".join(
        f"{name} {layout.first[name]} to {layout.first[name] + image[0] - 1}"
        for name, image in layout.images.items()
    )
    agreement = f"{summary['spikes_that_differ']} spikes differ"
    if summary["same_class"] is not None:
        agreement += f", {summary['same_class']} of {bundle.samples} classes are the same"
    return README.format(
        shape=list(layout.shape),
        dt=DT,
        steps=graph.steps,
        golden=min(GOLDEN, bundle.samples),
        channels=channels,
        output=output_meaning(graph),
        lost=", ".join(LOST),
        samples=bundle.samples,
        agreement=agreement,
    )
