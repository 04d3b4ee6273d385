"""Counts are exact: equal to walking every spike along every synapse."""

import numpy as np
import pytest
from conformance.graphs import GRAPHS, constant, graph, source

from scmrl import reference
from scmrl.deploy.counts import count
from scmrl.deploy.simulator import Simulator
from scmrl.errors import DataError
from scmrl.graph import Dense, OneToOne, Population


def by_enumeration(network, inputs, activity) -> dict[str, int]:
    """Synaptic operations by target: for each message, each non-zero weight it meets within the sample."""
    operations = dict.fromkeys((p.name for p in network.populations), 0)
    for synapse in network.synapses:
        a, b = network[synapse.source], network[synapse.target]
        values = inputs[a.name] if a.kind == "input" else activity.spikes[a.name]
        samples, steps = values.shape[:2]
        flat = values.reshape(samples, steps, -1)
        for _, column, weight in zip(*synapse.coordinates(a.shape, b.shape)):
            for s, t in np.ndindex(samples, steps):
                if flat[s, t, column] != 0 and t + synapse.delay < steps and weight != 0:
                    operations[b.name] += 1
    return operations


@pytest.mark.parametrize("name", [
    "conv_with_stride_and_padding", "conv_grouped", "graded_input", "delay_3_skip", "recurrent",
    "zero_weights", "gate_by_broadcast", "pool_of_odd_size", "delay_beyond_the_sample",
    "extreme_and_odd_weights", "all_samples_static"])
def test_counts_equal_enumeration(name):
    network, inputs = GRAPHS[name]()
    activity = reference.run(network, inputs)
    samples, steps = next(iter(inputs.values())).shape[:2]
    operations = by_enumeration(network, inputs, activity)
    counts = count(network, inputs, activity)
    assert [c.name for c in counts] == [p.name for p in network.populations]
    for c in counts:
        p = network[c.name]
        sent = inputs[p.name] if p.kind == "input" else activity.spikes.get(p.name, np.zeros(1))
        assert c.spikes_per_inference == np.count_nonzero(sent) / samples
        assert c.rate == pytest.approx(np.count_nonzero(sent) / (samples * steps * p.neurons), abs=0)
        assert c.synops_per_inference == operations[p.name] / samples
        assert c.updates_per_inference == (0 if p.kind == "input" else p.neurons * steps)
        assert (c.kind, c.shape, c.neurons, c.steps) == (p.kind, p.shape, p.neurons, steps)


def test_counts_by_hand():
    network = graph(source(2, bits=4), Population("y", (3,), vth=0), Population("z", (1,), "readout"),
                    Dense("x", "y", np.array([[1, 0], [1, 2], [0, 3]])),
                    Dense("y", "z", np.array([[1, 0, 5]])), steps=2)
    inputs = {"x": np.array([[[9, 0], [0, 1]]])}
    x, y, z = count(network, inputs, reference.run(network, inputs))
    # a value of 9 is one message, a value of 0 none
    assert (x.spikes_per_inference, x.rate, x.synops_per_inference) == (2, 0.5, 0)
    assert (y.spikes_per_inference, y.synops_per_inference, y.updates_per_inference) == (4, 4, 6)
    assert (z.spikes_per_inference, z.synops_per_inference, z.updates_per_inference) == (0, 2, 2)


def test_counts_are_means_over_samples():
    network = graph(source(4), Population("y", (4,), vth=0), OneToOne("x", "y", 1), steps=1)
    inputs = {"x": np.array([[[1, 1, 1, 0]], [[0, 0, 0, 0]]])}
    y = count(network, inputs, reference.run(network, inputs))[1]
    assert (y.spikes_per_inference, y.rate, y.synops_per_inference) == (1.5, 1.5 / 4, 1.5)


def test_the_simulator_gives_the_same_counts():
    network, inputs = GRAPHS["skips_of_several_depths"]()
    expected = count(network, inputs, reference.run(network, inputs))
    assert count(network, inputs, Simulator(network).run(inputs)) == expected


def test_inputs_of_another_run_are_refused():
    network, inputs = constant(graph(source(2), Population("y", (2,), vth=0), OneToOne("x", "y", 1)),
                               samples=2)
    activity = reference.run(network, inputs)
    with pytest.raises(DataError, match="y: spikes and inputs differ"):
        count(network, {"x": inputs["x"][:1]}, activity)
