"""NeuroBench's metrics of a network and a run, in NeuroBench's own definitions. numpy only.

    footprint            bytes of all weights and biases, each array in the narrowest integer type
                         that holds
                         it
    connection sparsity  zero weights / weights; a weight that positions share is one
    activation sparsity  1 - spikes / (neurons * steps) over all firing populations
    effective ACs, MACs  operations of messages through weights that are not zero; MACs where the
                         values that
                         a layer takes in one step of the run are not all 0 and 1
    dense                the same where every source sends and no weight is zero
    membrane updates     neuron-steps of firing populations after which the membrane differs; at
                         first all do

per sample, biases never operations. Layers are Dense, Conv2d and Pointwise synapses: pooling,
gating and sums are functions in PyTorch, not layers with weights, and NeuroBench does not see them;
nor does it see the readout, whose membrane is no activation, nor the constants of neurons
(thresholds, decays), which are no parameters here. Where a model does make those layers, neurons or
tensors, its own figures are larger by them.

Equal to NeuroBench 2.3.0 on the same network and samples in one batch
(tests/deploy/estimates/test_neurobench.py); it rounds the connection sparsity to four digits.
Source: Yik et al., arXiv 2304.04640; the package neurobench.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.activity import Activity, check_inputs
from ...core.graph import Graph, Synapse
from .counts import PopulationCount, connections


@dataclass(frozen=True)
class NeuroBench:
    """The figures; operations and updates per sample."""

    footprint_bytes: int
    parameters: int
    connection_sparsity: float
    activation_sparsity: float
    effective_acs: float
    effective_macs: float
    dense: float
    membrane_updates: float | None  # None where the neurons' state was not followed


def neurobench(
    graph: Graph,
    inputs: dict[str, np.ndarray],
    activity: Activity,
    counts: Sequence[PopulationCount],
) -> NeuroBench:
    """The metrics of a run with those counts on inputs {name: [S, T, *shape]}, all samples as one
    batch.
    """
    inputs = check_inputs(graph, inputs)
    arrays, layers = parameters(graph), weighted(graph)
    weights = [np.asarray(s.weight) for s in layers]
    firing = [c for c in counts if c.kind == "lif"]
    operations = [_operations(graph, s, inputs, activity) for s in layers]
    samples, steps = next(iter(inputs.values())).shape[:2]
    known = [c.changed_per_inference for c in firing if c.changed_per_inference is not None]
    return NeuroBench(
        footprint_bytes=sum(a.nbytes for a in arrays),
        parameters=sum(a.size for a in arrays),
        connection_sparsity=1
        - _share(sum(map(np.count_nonzero, weights)), sum(w.size for w in weights)),
        activation_sparsity=1
        - _share(
            sum(c.spikes_per_inference for c in firing), sum(c.neurons * c.steps for c in firing)
        ),
        effective_acs=sum(acs for acs, _ in operations) / samples,
        effective_macs=sum(macs for _, macs in operations) / samples,
        dense=float(sum(connections(graph, s) for s in layers) * steps),
        membrane_updates=sum(known) if len(known) == len(firing) else None,
    )


def weighted(graph: Graph) -> list[Synapse]:
    """The synapses that are layers with weights."""
    return [s for s in graph.synapses if s.weighted]


def parameters(graph: Graph) -> list[np.ndarray]:
    """Weights and biases, each in the narrowest signed integer type that holds it; a bias of 0 is
    none.
    """
    biases = [np.asarray(p.bias_mant) for p in graph.populations if np.any(p.bias_mant)]
    weights = [np.asarray(s.weight) for s in weighted(graph)]
    return [_narrowest(array) for array in weights + biases]


def _narrowest(array: np.ndarray) -> np.ndarray:
    ends = np.array([array.min(initial=0), array.max(initial=0)])
    return array.astype(
        next(
            kind
            for kind in (np.int8, np.int16, np.int32, np.int64)
            if np.array_equal(ends.astype(kind), ends)
        )
    )


def _operations(
    graph: Graph, synapse: Synapse, inputs: dict[str, np.ndarray], activity: Activity
) -> tuple[int, int]:
    """ACs and MACs of all samples, step by step: NeuroBench decides on the values of each call of a
    layer.
    """
    values = (inputs | activity.spikes)[synapse.source]
    fan_out, operations = graph.fan_out(synapse), [0, 0]
    for t in range(values.shape[1] - synapse.delay):
        x = values[:, t].reshape(len(values), -1)
        operations[int(x.max() > 1)] += int(np.count_nonzero(x, axis=0) @ fan_out)
    return operations[0], operations[1]


def _share(part: float, whole: float) -> float:
    """part / whole; of nothing, all is zero and so 1 - 0 is left."""
    return part / whole if whole else 0.0
