"""Exact counts of what a run did: spikes, synaptic operations, neuron updates, by population. numpy
only.

    synops[synapse] = sum over source neurons j and steps t < T - delay of
                      (message of j at t) * fan_out_j                  fan_out_j: non-zero weights
                          leaving j
    walked[synapse] = the same where a zero weight of a source that has others counts as well
    dense[synapse]  = all weights, zeros too, * (T - delay)            what a network without spikes
                    would do

A graded input value that is not zero counts as one message, as a spike does; a zero sends nothing.
What a delayed synapse would deliver after the last step of a sample is not counted: no neuron
receives it. Which updates are active depends on the state of the neurons:
`scmrl.deploy.counts.updates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...core.activity import Activity, check_inputs
from ...core.graph import Graph, Population, Synapse
from ...system.errors import DataError
from .updates import Updates


@dataclass(frozen=True)
class PopulationCount:
    """Means over the samples of a run; exact sums divided by the number of samples, nothing
    estimated.

    `rate` is spikes per neuron and step. Synaptic operations are those that arrive here: of each
    incoming synapse in the graph's order, their sum, and the part of it that carries graded values
    (multiplications). An input sends messages (its `spikes_per_inference`) and updates no neurons;
    a readout updates and never fires. What comes of `Updates` is None where the neurons' state was
    not followed.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    neurons: int
    steps: int
    spikes_per_inference: float
    rate: float
    synops_per_inference: float
    graded_synops_per_inference: float
    dense_synops_per_inference: float
    synops_by_synapse: tuple[float, ...]
    updates_per_inference: float
    active_per_inference: float | None = None
    receiving_per_inference: float | None = None
    changed_per_inference: float | None = None


def count(
    graph: Graph,
    inputs: dict[str, np.ndarray],
    activity: Activity,
    updates: Mapping[str, Updates] | None = None,
) -> list[PopulationCount]:
    """Counts of every population as listed, inputs included, of a run on inputs {name: [S, T,
    *shape]}.

    `updates`: those of the same run (`scmrl.deploy.counts.updates.count_updates`). Raises
    `DataError` where the inputs are not the graph's, or differ from the activity in samples or
    steps.
    """
    inputs = check_inputs(graph, inputs)
    samples, steps = next(iter(inputs.values())).shape[:2]
    sent = {p.name: _messages(p, inputs, activity, (samples, steps)) for p in graph.populations}
    heard = {s.name: sent[s.source][: max(0, steps - s.delay)].sum(0) for s in graph.synapses}
    synops = {s.name: int(heard[s.name] @ graph.fan_out(s)) for s in graph.synapses}
    run, updates = (samples, steps), updates or {}
    return [
        _population_count(graph, p, int(sent[p.name].sum()), synops, run, updates.get(p.name))
        for p in graph.populations
    ]


def with_zeros(synapse: Synapse) -> Synapse:
    """The synapse with ones for all the weights that a source's stored list has, zeros among them:
    a chip that stores lists dense, or kernels, walks them all. A source without any weight has no
    list.
    """
    return synapse.mapped(_listed)


def _listed(weight: np.ndarray) -> np.ndarray:
    """Weights are [to, from, ...], or have no such axes."""
    some = weight != 0
    if weight.ndim > 1:
        some = some.any(axis=(0, *range(2, weight.ndim)), keepdims=True)
    return np.broadcast_to(some, weight.shape).astype(np.int8)


def connections(graph: Graph, synapse: Synapse) -> int:
    """Pairs of neurons that a synapse connects, those of weight zero too; not those in the
    padding.
    """
    ones = synapse.mapped(lambda w: np.broadcast_to(np.int8(1), w.shape))
    return int(graph.fan_out(ones).sum())


def is_graded(p: Population) -> bool:
    """Whether what a population sends has values beyond 0 and 1."""
    return p.kind == "input" and p.bits > 1


def _messages(
    p: Population, inputs: dict[str, np.ndarray], activity: Activity, run: tuple[int, int]
) -> np.ndarray:
    """Messages of all samples by step and neuron: int64 [T, neurons]."""
    if p.kind == "readout":
        return np.zeros((run[1], p.neurons), np.int64)
    values = inputs[p.name] if p.kind == "input" else activity.spikes.get(p.name)
    if values is None:
        raise DataError(f"{activity.backend} gave no spikes of this population", where=p.name)
    if values.shape != (*run, *p.shape):
        raise DataError(
            "spikes and inputs differ in samples, steps or shape",
            where=p.name,
            limit=[*run, *p.shape],
            value=list(values.shape),
        )
    return np.count_nonzero(values, axis=0).reshape(run[1], p.neurons)


def _population_count(
    graph: Graph,
    p: Population,
    spikes: int,
    synops: dict[str, int],
    run: tuple[int, int],
    updates: Updates | None,
) -> PopulationCount:
    (samples, steps), incoming = run, graph.incoming(p.name)
    arriving = [synops[s.name] for s in incoming]
    graded = sum(n for n, s in zip(arriving, incoming) if is_graded(graph[s.source]))
    dense = sum(connections(graph, s) * max(0, steps - s.delay) for s in incoming)
    followed = (
        (None,) * 3
        if updates is None
        else tuple(n / samples for n in (updates.active, updates.receiving, updates.changed))
    )
    return PopulationCount(
        p.name,
        p.kind,
        p.shape,
        p.neurons,
        steps,
        spikes / samples,
        spikes / (samples * p.neurons * steps),
        sum(arriving) / samples,
        graded / samples,
        float(dense),
        tuple(n / samples for n in arriving),
        0.0 if p.kind == "input" else float(p.neurons * steps),
        *followed,
    )
