"""Synapses looked at box by box, and their fans: the same map as the coordinates."""

import numpy as np
import pytest
from conformance.graphs import GRAPHS, random_graph
from hypothesis import given
from hypothesis import strategies as st

from scmrl.core.graph import Conv2d, Graph, Population, slices, whole


def in_box(graph, synapse, box):
    """Non-zero weights of each source neuron into a box of the target, from the coordinates."""
    source, target = graph[synapse.source], graph[synapse.target]
    rows, columns, _ = synapse.coordinates(source.shape, target.shape)
    inside = np.zeros(target.shape, bool)
    inside[slices(box)] = True
    return np.bincount(columns[inside.ravel()[rows]], minlength=source.neurons).reshape(
        source.shape
    )


def check_arrivals(graph, synapse, box):
    source, target = graph[synapse.source].shape, graph[synapse.target].shape
    region, counts = synapse.arrivals(source, target, box)
    full = np.zeros(source, np.int64)
    full[slices(region)] = counts
    assert np.array_equal(full, in_box(graph, synapse, box)), synapse


@pytest.mark.parametrize("name", GRAPHS)
def test_fans_are_those_of_the_coordinates(name):
    graph, _ = GRAPHS[name]()
    for synapse in graph.synapses:
        source, target = graph[synapse.source], graph[synapse.target]
        rows, columns, weights = synapse.coordinates(source.shape, target.shape)
        assert np.array_equal(
            synapse.fan_out(source.shape, target.shape),
            np.bincount(columns, minlength=source.neurons),
        )
        assert np.array_equal(
            synapse.fan_in(source.shape, target.shape), np.bincount(rows, minlength=target.neurons)
        )
        assert np.array_equal(
            synapse.per_target(source.shape, target.shape, np.abs),
            np.bincount(rows, np.abs(weights), minlength=target.neurons),
        )
        check_arrivals(graph, synapse, whole(target.shape))


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 2**32 - 1))
def test_arrivals_in_a_box_are_those_of_the_coordinates(seed, cut):
    graph, _ = random_graph(seed)
    random = np.random.default_rng(cut)
    for synapse in graph.synapses:
        edges = [
            np.sort(random.choice(n + 1, 2, replace=False)) for n in graph[synapse.target].shape
        ]
        check_arrivals(graph, synapse, tuple((int(a), int(b)) for a, b in edges))


@given(
    groups=st.integers(1, 3),
    ins=st.integers(1, 2),
    outs=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    size=st.tuples(st.integers(4, 7), st.integers(4, 7)),
    seed=st.integers(0, 10**6),
)
def test_arrivals_of_every_shape_of_convolution(
    groups, ins, outs, kernel, stride, padding, size, seed
):
    random = np.random.default_rng(seed)
    weight = random.integers(-2, 3, (groups * outs, ins, *kernel))
    synapse = Conv2d("x", "y", weight, stride, padding, groups)
    source = (groups * ins, *size)
    target = synapse.output_shape(source, ())
    graph = Graph((Population("x", source, "input"), Population("y", target)), (synapse,))
    edges = [np.sort(random.choice(n + 1, 2, replace=False)) for n in target]
    check_arrivals(graph, synapse, tuple((int(a), int(b)) for a, b in edges))
    rows, _, weights = synapse.coordinates(source, target)
    assert np.array_equal(
        synapse.per_target(source, target, np.abs),
        np.bincount(rows, np.abs(weights), minlength=int(np.prod(target))),
    )
