"""Exact counts of what a run did: spikes, synaptic operations, neuron updates, by population. numpy only.

    synops[target] = sum over incoming synapses, source neurons j and steps t < T - delay of
                     (spike of j at t) * fan_out_j                       fan_out_j: non-zero weights leaving j

A graded input value that is not zero counts as one message, as a spike does; a zero sends nothing. What a
delayed synapse would deliver after the last step of a sample is not counted: no neuron receives it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..activity import Activity, check_inputs
from ..errors import DataError
from ..graph import Graph, Population


@dataclass(frozen=True)
class PopulationCount:
    """Means over the samples of a run; exact sums divided by the number of samples, nothing estimated.

    `rate` is spikes per neuron and step. Synaptic operations are those that arrive here. An input sends
    messages (its `spikes_per_inference`) and updates no neurons; a readout updates and never fires.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    neurons: int
    steps: int
    spikes_per_inference: float
    rate: float
    synops_per_inference: float
    updates_per_inference: float


def count(graph: Graph, inputs: dict[str, np.ndarray], activity: Activity) -> list[PopulationCount]:
    """Counts of every population as listed, inputs included, of a run on inputs {name: [S, T, *shape]}.

    Raises `DataError` where the inputs are not the graph's, or differ from the activity in samples or steps.
    """
    inputs = check_inputs(graph, inputs)
    samples, steps = next(iter(inputs.values())).shape[:2]
    sent = {p.name: _messages(p, inputs, activity, (samples, steps)) for p in graph.populations}
    synops = dict.fromkeys(sent, 0)
    for synapse in graph.synapses:
        arriving = sent[synapse.source][:max(0, steps - synapse.delay)].sum(0)
        synops[synapse.target] += int(arriving @ graph.fan_out(synapse))
    return [_population_count(p, int(sent[p.name].sum()), synops[p.name], samples,
                              steps) for p in graph.populations]


def _messages(p: Population, inputs: dict[str, np.ndarray], activity: Activity,
              run: tuple[int, int]) -> np.ndarray:
    """Messages of all samples by step and neuron: int64 [T, neurons]."""
    if p.kind == "readout":
        return np.zeros((run[1], p.neurons), np.int64)
    values = inputs[p.name] if p.kind == "input" else activity.spikes.get(p.name)
    if values is None:
        raise DataError(f"{activity.backend} gave no spikes of this population", where=p.name)
    if values.shape != (*run, *p.shape):
        raise DataError("spikes and inputs differ in samples, steps or shape", where=p.name,
                        limit=[*run, *p.shape], value=list(values.shape))
    return np.count_nonzero(values, axis=0).reshape(run[1], p.neurons)


def _population_count(p: Population, spikes: int, synops: int, samples: int, steps: int) -> PopulationCount:
    updates = 0 if p.kind == "input" else p.neurons * steps
    return PopulationCount(p.name, p.kind, p.shape, p.neurons, steps, spikes / samples,
                           spikes / (samples * p.neurons * steps), synops / samples, float(updates))
