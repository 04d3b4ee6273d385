"""Bundle -> a directory with two ONNX models that give the same spikes, bit for bit.

    DIR/bundle.json, graph.json, tensors.npz, samples.npz     the bundle, unchanged
    DIR/onnx/model.seq.onnx                                   whole samples [S, T, *shape], from
                                                              state zero
    DIR/onnx/model.step.onnx                                  one step, states in and out: for
                                                              streaming
    DIR/README.txt                                            names, and how to run them

How a graph becomes ONNX, and why it is exact: `scmrl.convert.onnx.model`.
"""

from __future__ import annotations

from pathlib import Path

from ...core.bundle import Bundle
from ...core.fixed_point import ACTIVATION_LIMIT
from ...core.graph import Graph
from ...system.storage import whole_directory
from . import model

README = """\
A spiking network as ONNX (opset {opset}, IR {ir}, standard operators only), exported by scmrl.

    onnx/model.seq.onnx     whole samples: [S, T, ...] in, [S, T, ...] out, from state zero
    onnx/model.step.onnx    one step: [S, ...] and states in, [S, ...] and new states out; start from zeros

Samples S and steps T are free; the network was trained on T = {steps}.

    takes       {takes}: integers
    gives       s/NAME, 0 or 1, for every population; v/NAME, the membrane, for the readout
    states      u_in/NAME, v_in/NAME, past_in/NAME (the last values, newest first); after the step, _out

With onnxruntime alone:

    import numpy as np, onnxruntime
    samples = np.load("samples.npz")
    session = onnxruntime.InferenceSession("onnx/model.seq.onnx")
    given = {{x.name: samples[x.name].astype({{"tensor(uint8)": "uint8"}}.get(x.type, "uint16"))
             for x in session.get_inputs()}}
    out = dict(zip([y.name for y in session.get_outputs()], session.run(None, given)))

With scmrl, compared with the definition in every spike:

    {install}
    scmrl deploy . --backend onnx               the sequence model
    scmrl deploy . --backend onnx-step          the step model, step by step
"""


def export(bundle: Bundle, path: Path) -> dict:
    """Write the export to directory `path`, whole; returns its summary (JSON types).

    Raises `GraphError` where the graph is not legal, `MissingDependency` without onnx.
    """
    with whole_directory(path, "onnx") as directory:
        bundle.write(directory)
        metadata = model.metadata(bundle, directory)
        models = {
            "model.seq.onnx": model.sequence_model(bundle.graph, metadata),
            "model.step.onnx": model.step_model(bundle.graph, metadata),
        }
        (directory / "onnx").mkdir()
        for name, data in models.items():
            (directory / "onnx" / name).write_bytes(data)
        (directory / "README.txt").write_text(readme(bundle.graph), encoding="utf-8")
    return summary(bundle.graph, {name: len(data) for name, data in models.items()})


def readme(graph: Graph) -> str:
    return README.format(
        opset=model.OPSET,
        ir=model.IR,
        install=model.ONNX_INSTALL,
        steps=graph.steps,
        takes=", ".join(model.given(graph)),
    )


def summary(graph: Graph, sizes: dict[str, int]) -> dict:
    """What was exported, for reports: sizes in bytes, every population with its label and its
    largest sum.

    `worst_activation` below `exact_below` is why float32 sums are exact integers.
    """
    return {
        "target": "onnx",
        "opset": model.OPSET,
        "ir": model.IR,
        "steps": graph.steps,
        "bytes": sum(sizes.values()),
        "files": [{"name": f"onnx/{name}", "bytes": size} for name, size in sizes.items()],
        "inputs": list(model.given(graph)),
        "outputs": list(model.values(graph)),
        "exact_below": ACTIVATION_LIMIT,
        "populations": [
            {
                "name": p.name,
                "label": "exact",
                "kind": p.kind,
                "neurons": p.neurons,
                "worst_activation": graph.worst_activation(p.name),
            }
            for p in graph.order()
            if p.kind != "input"
        ],
    }
