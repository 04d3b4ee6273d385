"""Small hard graphs: every rule of the arithmetic, every kind of synapse, every way to skip, delay
and recur.

Each function returns (graph, inputs) and is found in `GRAPHS` by its name. All are small: a failure
can be followed by hand. Thresholds are low: many neurons fire. What backends refuse of them:
`conformance.refusals`.
"""

from conformance.graphs import (  # noqa: F401
    inputs,
    joined,
    networks,
    neuron,
    parameters,
    paths,
    synapses,
)
from conformance.graphs.drawn import random_graph, random_loops
from conformance.graphs.joined import JOINED
from conformance.graphs.parts import (
    GRAPHS,
    case,
    constant,
    graph,
    one_neuron,
    random_inputs,
    source,
    weights,
)

__all__ = [
    "GRAPHS",
    "JOINED",
    "case",
    "constant",
    "graph",
    "one_neuron",
    "random_graph",
    "random_inputs",
    "random_loops",
    "source",
    "weights",
]
