"""The only door out of torch: a trained network becomes an integer graph and a bundle.

Populations have the names of the nodes, so the spikes of training's own forward can be compared
population by population.
"""

from __future__ import annotations

import numpy as np
import torch

from .. import __version__
from ..core.activity import Activity
from ..core.bundle import Bundle
from ..core.samples import HELD_OUT, TRUE, Origin
from ..network.network import Forward, Network
from ..network.nodes.lowering import ALWAYS, whole
from .feed import steps_first


def activity_of(forward: Forward, readout: str) -> Activity:
    """Training's own spikes and membranes, samples first: uint8 [S, T, ...], int64 [S, T, K]."""
    spikes = {
        name: s.detach().transpose(0, 1).to(torch.uint8).cpu().numpy()
        for name, s in forward.spikes.items()
    }
    membrane = {readout: whole(forward.membrane.transpose(0, 1).cpu().numpy())}
    return Activity(spikes, membrane, "training", f"{__version__}, torch {torch.__version__}")


def freeze(
    model: Network,
    encoded: dict[str, np.ndarray],
    labels: np.ndarray,
    classes: tuple[str, ...],
    *,
    frontend: dict,
    metrics: dict,
    training: dict,
    profile: str,
) -> Bundle:
    """Bundle of the model with samples that training never saw: encoded {input: integers [S,
    *shape], over time [S, T, *shape]}, their true labels [S].
    """
    graph = model.eval().graph(classes)
    ranks = {name: len(node.shape) for name, node in model.inputs.items()}
    forward = model.recorded({m: steps_first(x, ranks[m]) for m, x in encoded.items()})
    trained, origin = activity_of(forward, model.readout), Origin(HELD_OUT, TRUE)
    if ALWAYS in {p.name for p in graph.populations}:
        trained.spikes[ALWAYS] = np.ones((len(labels), model.steps, 1), np.uint8)
    inputs = {
        m: x if x.ndim > ranks[m] + 1 else np.repeat(x[:, None], model.steps, 1)
        for m, x in encoded.items()
    }
    true = np.asarray(labels, np.int64)
    return Bundle(graph, inputs, true, trained, frontend, metrics, training, profile, origin)
