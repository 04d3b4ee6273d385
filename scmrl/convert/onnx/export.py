"""Bundle -> a directory with two ONNX models that give the same spikes, bit for bit.

    onnx/model.seq.onnx      whole samples [S, T, *shape], from state zero
    onnx/model.step.onnx     one step, states in and out: for streaming

How a graph becomes ONNX, and why it is exact: `scmrl.convert.onnx.model`.
"""

from __future__ import annotations

from pathlib import Path

from ...core.bundle import Bundle
from ...core.fixed_point import ACTIVATION_LIMIT
from ...core.graph import Graph
from ...system.dependencies import install
from .. import frame
from . import model
from .nodes import IR, OPSET


def export(bundle: Bundle, path: Path) -> frame.Facts:
    """Write the export to directory `path`, whole; returns its summary (JSON types).

    Raises `GraphError` where the graph is not legal, `MissingDependency` without onnx.
    """

    def fill(directory: Path) -> tuple[frame.Facts, frame.Facts]:
        metadata = model.metadata(bundle, directory)
        models = {
            "onnx/model.seq.onnx": model.sequence_model(bundle.graph, metadata),
            "onnx/model.step.onnx": model.step_model(bundle.graph, metadata),
        }
        for name, data in models.items():
            (directory / name).write_bytes(data)
        sizes = {name: len(data) for name, data in models.items()}
        return _summary(bundle.graph, sizes), _words(bundle.graph)

    return frame.export(bundle, path, "onnx", fill)


def _words(graph: Graph) -> frame.Facts:
    return {
        "opset": OPSET,
        "ir": IR,
        "install": f"{install('onnx')} 'onnxruntime>=1.19'",
        "steps": graph.steps,
        "takes": ", ".join(model.given(graph)),
    }


def _summary(graph: Graph, sizes: dict[str, int]) -> frame.Facts:
    """Sizes in bytes, and of every population its largest sum: `worst_activation` below
    `exact_below` is why float32 sums are exact integers.
    """
    facts = {
        "opset": OPSET,
        "ir": IR,
        "bytes": sum(sizes.values()),
        "files": [{"name": name, "bytes": size} for name, size in sizes.items()],
        "inputs": list(model.given(graph)),
        "outputs": list(model.values(graph)),
        "exact_below": ACTIVATION_LIMIT,
    }
    each = (
        (p, True, {"neurons": p.neurons, "worst_activation": graph.worst_activation(p.name)})
        for p in graph.order()
        if p.kind != "input"
    )
    return frame.summary("onnx", graph, facts, each)
