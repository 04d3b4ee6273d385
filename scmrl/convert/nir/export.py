"""Bundle -> a NIR graph that norse, snntorch and spikingjelly run, and the spikes to hold them to.

nir/model.nir       the graph; `scmrl.convert.nir.lowering` says in which form
nir/spikes.nir      recordings of the reference, for `nir.read_data`
nir/effect.json     what float neurons lose, measured, by population; hashes of the files
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...core import reference
from ...core.activity import Activity
from ...core.bundle import Bundle
from ...core.graph import Graph
from ...system.reading import sha256
from ...system.storage import put_hdf5, put_json
from .. import frame
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
MEASURED = ("compared", "differ", "own", "agreement", "rounded", "borders", "cause")  # of `Effect`


def export(bundle: Bundle, path: Path) -> frame.Facts:
    """Write the export to directory `path`, whole; returns its summary.

    Raises `GraphError` for what NIR's importers cannot run (see
    `scmrl.convert.nir.lowering.lower`), `MissingDependency` without nir.
    """
    nir = load_nir()

    def fill(directory: Path) -> tuple[frame.Facts, frame.Facts]:
        network = lower(bundle.graph, _provenance(bundle, directory))
        exact = reference.run(bundle.graph, bundle.inputs)
        effects, floats = measure(bundle.graph, network, bundle.inputs, exact)
        put_hdf5(directory / MODEL, lambda file: nir.write(file, network))
        golden = recordings(bundle.graph, bundle.inputs, exact, GOLDEN)
        put_hdf5(directory / "nir" / "spikes.nir", lambda file: nir.write_data(file, golden))
        summary = _summary(bundle, network, effects, exact, floats)
        summary["file_bytes"] = (directory / MODEL).stat().st_size
        summary["sha256"] = {name: sha256(directory / name) for name in HASHED}
        put_json(directory / EFFECT, summary)
        return summary, _words(bundle, summary)

    return frame.export(bundle, path, "nir", fill)


def recordings(graph: Graph, inputs: dict[str, np.ndarray], exact: Activity, samples: int) -> Any:
    """The first `samples` samples as `nir.NIRGraphData`, by node [samples, T, neurons].

    `values` of the Input (float32), `spikes` of every population (bool), `membrane` of the readout
    (float32, in synaptic weights: 64 membrane units).
    """
    nir = load_nir()

    def grid(values: np.ndarray) -> Any:
        values = values[:samples]
        return nir.TimeGriddedData(values.reshape(*values.shape[:2], -1), DT)

    nodes = {INPUT: {"values": grid(InputLayout.of(graph).join(inputs))}}
    nodes |= {node_name(name): {"spikes": grid(s.astype(bool))} for name, s in exact.spikes.items()}
    for v in exact.membrane.values():
        nodes[READOUT] = {"membrane": grid((v / UNIT).astype(np.float32))}
    return nir.NIRGraphData(
        {name: nir.NIRNodeData(observables) for name, observables in nodes.items()}
    )


def _provenance(bundle: Bundle, directory: Path) -> frame.Facts:
    return {
        "tool": "scmrl",
        "version": __version__,
        "profile": bundle.profile,
        "frontend": bundle.frontend,
        "metrics": bundle.metrics,
        "sha256": {name: sha256(directory / name) for name in HASHED[:2]},
    }


def _summary(
    bundle: Bundle, network: Any, effects: list[Effect], exact: Activity, floats: Activity
) -> frame.Facts:
    """Every population with what was lost, and its effect."""
    graph = bundle.graph
    firing = [e for e in effects if graph[e.name].fires]
    compared, differ = sum(e.compared for e in firing), sum(e.differ for e in firing)
    facts = {
        "nir": load_nir().version,
        "dt_s": DT,
        "nodes": len(network.nodes),
        "edges": len(network.edges),
        "not_expressed": list(LOST),
        "samples": bundle.samples,
        "spikes_that_differ": differ,
        "spike_agreement": 1 - differ / compared if compared else 1.0,
        "same_class": same_class(graph, exact, floats) if graph.readout else None,
    }

    def own(e: Effect) -> frame.Facts:
        node = node_name(e.name) if graph[e.name].fires else READOUT
        measured = {name: getattr(e, name) for name in MEASURED}
        return {"node": node} | measured

    return frame.summary("nir", graph, facts, ((graph[e.name], e.exact, own(e)) for e in effects))


def _words(bundle: Bundle, summary: frame.Facts) -> frame.Facts:
    graph, layout = bundle.graph, InputLayout.of(bundle.graph)
    channels = "; ".join(
        f"{name} {layout.first[name]} to {layout.first[name] + image[0] - 1}"
        for name, image in layout.images.items()
    )
    agreement = f"{summary['spikes_that_differ']} spikes differ"
    if summary["same_class"] is not None:
        agreement += f", {summary['same_class']} of {bundle.samples} classes are the same"
    return {
        "shape": list(layout.shape),
        "dt": DT,
        "steps": graph.steps,
        "golden": min(GOLDEN, bundle.samples),
        "channels": channels,
        "output": output_meaning(graph),
        "lost": ", ".join(LOST),
        "samples": bundle.samples,
        "agreement": agreement,
    }
