"""Counts are exact: equal to walking every message along every synapse, and to the counters of
peers.
"""

import dataclasses

import numpy as np
import pytest
from conformance.graphs import GRAPHS, constant, graph, random_graph, random_inputs, source
from hypothesis import given
from hypothesis import strategies as st

from scmrl.core import reference
from scmrl.core.bundle import Bundle
from scmrl.core.fixed_point import lif_step
from scmrl.core.graph import Conv2d, Dense, Graph, OneToOne, Pointwise, Population, Window
from scmrl.deploy.backends.simulator.simulator import Simulator
from scmrl.deploy.counts import updates
from scmrl.deploy.counts.counts import connections, count
from scmrl.deploy.counts.updates import Updates, count_updates
from scmrl.system.errors import DataError


def matrix(network, synapse) -> np.ndarray:
    """The weights of a synapse, int64 [targets, sources]."""
    a, b = network[synapse.source], network[synapse.target]
    weights = np.zeros((b.neurons, a.neurons), np.int64)
    np.add.at(
        weights, synapse.coordinates(a.shape, b.shape)[:2], synapse.coordinates(a.shape, b.shape)[2]
    )
    return weights


def brute_force(network, inputs) -> tuple[dict, dict, dict]:
    """The reference's rules, step by step over whole matrices: operations by synapse, updates and
    messages by population.
    """
    samples, steps = next(iter(inputs.values())).shape[:2]
    weights = [matrix(network, s) << s.exponent for s in network.synapses]
    sent = {p.name: np.zeros((steps, samples, p.neurons), np.int64) for p in network.populations}
    u, v = (
        {p.name: np.zeros((samples, p.neurons), np.int64) for p in network.populations}
        for _ in range(2)
    )
    operations = [0] * len(weights)
    updates = {p.name: Updates() for p in network.populations if p.kind != "input"}
    for t in range(steps):
        for p in network.order():
            if p.kind == "input":
                sent[p.name][t] = inputs[p.name][:, t].reshape(samples, -1)
                continue
            a, arrived = (
                np.zeros((samples, p.neurons), np.int64),
                np.zeros((samples, p.neurons), bool),
            )
            for i, (s, w) in enumerate(zip(network.synapses, weights)):
                if s.target == p.name and t >= s.delay:
                    x = sent[s.source][t - s.delay]
                    a += x @ w.T
                    hits = (x != 0).astype(np.int64) @ (w != 0).T.astype(np.int64)
                    operations[i] += int(hits.sum())
                    arrived |= hits > 0
            before = v[p.name]
            if p.memoryless:
                u[p.name], v[p.name] = np.zeros_like(u[p.name]), np.zeros_like(before)
            du, dv, vth = (p.per_neuron(values).ravel() for values in (p.du, p.dv, p.vth))
            joined = v[p.adds] if p.adds else np.zeros_like(before)
            kept = ((u[p.name] != 0) & (du < 4095)) | ((v[p.name] != 0) & (dv < 4096))
            active = arrived | kept | (p.bias.ravel() != 0) | (joined != 0)
            u[p.name], v[p.name], s, _ = lif_step(
                u[p.name],
                v[p.name],
                a,
                du=du,
                dv=dv,
                vth=vth,
                bias=p.bias.ravel() + joined,
                fires=p.fires,
                reset=p.reset,
            )
            sent[p.name][t] = s
            changed = v[p.name].size if t == 0 else int((v[p.name] != before).sum())
            updates[p.name] += Updates(int(active.sum()), int(arrived.sum()), changed)
    return operations, updates, {name: int(np.count_nonzero(x)) for name, x in sent.items()}


def check(network, inputs):
    """Every count of every population against brute force."""
    activity = reference.run(network, inputs)
    samples, steps = next(iter(inputs.values())).shape[:2]
    operations, updates, messages = brute_force(network, inputs)
    found = count_updates(network, inputs, activity)
    assert found == updates
    counts = count(network, inputs, activity, found)
    assert [c.name for c in counts] == [p.name for p in network.populations]
    for c, p in zip(counts, network.populations):
        mine = [n for n, s in zip(operations, network.synapses) if s.target == p.name]
        graded = sum(
            n
            for n, s in zip(operations, network.synapses)
            if s.target == p.name and network[s.source].bits > 1
        )
        assert (c.kind, c.shape, c.neurons, c.steps) == (p.kind, p.shape, p.neurons, steps)
        assert c.spikes_per_inference == messages[p.name] / samples
        assert c.rate == pytest.approx(messages[p.name] / (samples * steps * p.neurons), abs=0)
        assert c.synops_by_synapse == tuple(n / samples for n in mine)
        assert c.synops_per_inference == sum(mine) / samples
        assert c.graded_synops_per_inference == graded / samples
        assert c.updates_per_inference == (0 if p.kind == "input" else p.neurons * steps)
        if p.kind != "input":
            assert (
                c.active_per_inference,
                c.receiving_per_inference,
                c.changed_per_inference,
            ) == tuple(n / samples for n in dataclasses.astuple(updates[p.name]))
            assert (
                0 <= c.receiving_per_inference <= c.active_per_inference <= c.updates_per_inference
            )


@pytest.mark.parametrize("name", GRAPHS)
def test_counts_of_every_hard_graph_equal_brute_force(name):
    check(*GRAPHS[name]())


@given(st.integers(0, 2**32 - 1))
def test_counts_of_any_graph_equal_brute_force(seed):
    check(*random_graph(seed))


def test_counts_by_hand():
    network = graph(
        source(2, bits=4),
        Population("y", (3,), vth=0),
        Population("z", (1,), "readout"),
        Dense("x", "y", np.array([[1, 0], [1, 2], [0, 3]])),
        Dense("y", "z", np.array([[1, 0, 5]])),
        steps=2,
    )
    inputs = {"x": np.array([[[9, 0], [0, 1]]])}
    activity = reference.run(network, inputs)
    x, y, z = count(network, inputs, activity, count_updates(network, inputs, activity))
    # a value of 9 is one message, a value of 0 none
    assert (x.spikes_per_inference, x.rate, x.synops_per_inference) == (2, 0.5, 0)
    assert (y.spikes_per_inference, y.synops_per_inference, y.updates_per_inference) == (4, 4, 6)
    assert (z.spikes_per_inference, z.synops_per_inference, z.updates_per_inference) == (0, 2, 2)
    # all that reaches y is graded; without sparsity each of 6 and 3 weights would be met at both
    # steps
    assert (y.graded_synops_per_inference, z.graded_synops_per_inference) == (4, 0)
    assert (y.dense_synops_per_inference, z.dense_synops_per_inference) == (12, 6)
    # y: neurons 1 and 2 hear the first step, 2 and 3 the second; each fires and so keeps nothing
    assert (y.active_per_inference, y.receiving_per_inference, y.changed_per_inference) == (4, 4, 3)
    # z: hears y's first neuron, then its third
    assert (z.active_per_inference, z.receiving_per_inference, z.changed_per_inference) == (2, 2, 2)


def test_a_neuron_with_state_is_active_and_without_is_not():
    """One spike at the first step: to a leaking membrane, to one that fires, and to one without
    memory.
    """
    network = graph(
        source(1),
        *(
            Population(name, (1,), vth=vth, memoryless=memoryless, dv=2048)
            for name, vth, memoryless in (
                ("keeps", 1000, False),
                ("fires", 0, False),
                ("forgets", 1000, True),
            )
        ),
        *(OneToOne("x", name, 10) for name in ("keeps", "fires", "forgets")),
        steps=4,
    )
    inputs = {"x": np.array([[[1], [0], [0], [0]]])}
    found = count_updates(network, inputs, reference.run(network, inputs))
    assert {name: u.active for name, u in found.items()} == {"keeps": 4, "fires": 1, "forgets": 1}
    assert {u.receiving for u in found.values()} == {1}
    # what is stored halves each step; of a reset to 0 the store never sees anything; v = 640, then
    # 0
    assert {name: u.changed for name, u in found.items()} == {"keeps": 4, "fires": 1, "forgets": 2}


def test_counts_are_means_over_samples():
    network = graph(source(4), Population("y", (4,), vth=0), OneToOne("x", "y", 1), steps=1)
    inputs = {"x": np.array([[[1, 1, 1, 0]], [[0, 0, 0, 0]]])}
    activity = reference.run(network, inputs)
    y = count(network, inputs, activity, count_updates(network, inputs, activity))[1]
    assert (y.spikes_per_inference, y.rate, y.synops_per_inference) == (1.5, 1.5 / 4, 1.5)
    assert (y.active_per_inference, y.receiving_per_inference, y.changed_per_inference) == (
        1.5,
        1.5,
        4,
    )


def test_updates_do_not_depend_on_how_samples_are_chunked(monkeypatch):
    network, inputs = GRAPHS["delay_3_skip"]()
    activity = reference.run(network, inputs)
    together = count_updates(network, inputs, activity)
    monkeypatch.setattr(updates, "CHUNK_BYTES", 1)
    assert count_updates(network, inputs, activity) == together


def test_state_is_followed_along_the_spikes_that_were_sent():
    """A float backend whose y fired once more: z hears that, and y's own state is the integer
    network's.
    """
    network, inputs = constant(
        graph(
            source(1),
            Population("y", (1,), vth=10),
            Population("z", (1,), "readout"),
            OneToOne("x", "y", 4),
            OneToOne("y", "z", 1),
            steps=4,
        )
    )
    exact = reference.run(network, inputs)
    spikes = exact.spikes["y"].copy()
    spikes[0, 0] = 1
    other = dataclasses.replace(exact, spikes={"y": spikes})
    assert exact.spikes["y"].ravel().tolist() == [0, 0, 1, 0]
    before, after = (count_updates(network, inputs, run) for run in (exact, other))
    assert (before["z"].receiving, after["z"].receiving) == (1, 2) and before["y"] == after["y"]


def test_the_simulator_gives_the_same_counts():
    network, inputs = GRAPHS["skips_of_several_depths"]()
    expected = count(network, inputs, reference.run(network, inputs))
    assert count(network, inputs, Simulator(network).run(inputs)) == expected


def test_without_followed_state_there_are_no_active_updates():
    network, inputs = GRAPHS["skips_of_several_depths"]()
    assert {
        c.active_per_inference for c in count(network, inputs, reference.run(network, inputs))
    } == {None}


@pytest.mark.parametrize(
    "synapse, source_shape, target_shape, expected",
    [
        (Dense("a", "b", np.array([[0, 1, 0], [2, 0, 0]])), (3,), (2,), 6),
        (Pointwise("a", "b", np.array([[0, 1]])), (2, 5), (1, 5), 10),
        (
            Conv2d("a", "b", np.zeros((2, 1, 3, 3), int), padding=(1, 1)),
            (1, 3, 3),
            (2, 3, 3),
            2 * 49,
        ),
        (Window("a", "b", 1, (2, 2), (2, 2)), (1, 4, 4), (1, 2, 2), 16),
        (OneToOne("a", "b", 0), (4,), (4,), 4),
    ],
)
def test_connections_hold_zero_weights_and_no_padding(
    synapse, source_shape, target_shape, expected
):
    network = Graph(
        (Population("a", source_shape, "input"), Population("b", target_shape)), (synapse,)
    )
    assert connections(network, synapse) == expected


def test_inputs_of_another_run_are_refused():
    network, inputs = constant(
        graph(source(2), Population("y", (2,), vth=0), OneToOne("x", "y", 1)), samples=2
    )
    activity = reference.run(network, inputs)
    with pytest.raises(DataError, match="y: spikes and inputs differ"):
        count(network, {"x": inputs["x"][:1]}, activity)


# ---- the counters of peers -----------------------------------------------------------------------


def conv_network() -> tuple[Graph, dict]:
    """A plain convolutional network without zero weights, whose states stay exact in float."""
    random = np.random.default_rng(3)

    def weight(*shape):
        return random.integers(1, 9, shape) * random.choice([-1, 1], shape)

    network = graph(
        source(2, 9, 8),
        Population("one", (4, 9, 8), vth=9, dv=0),
        Population("two", (3, 5, 4), vth=8, dv=4096),
        Population("three", (6,), vth=7, dv=0),
        Population("out", (5,), "readout"),
        Conv2d("x", "one", weight(4, 2, 3, 3), padding=(1, 1)),
        Conv2d("one", "two", weight(3, 4, 3, 3), stride=(2, 2), padding=(1, 1)),
        Dense("two", "three", weight(6, 60)),
        Dense("three", "out", weight(5, 6)),
        steps=7,
    )
    return network, random_inputs(network, samples=5)


@pytest.fixture
def in_spikingjelly(tmp_path):
    """The conv network, its inputs, and what spikingjelly makes of the exported NIR file."""
    for library in ("torch", "nir", "nirtorch", "spikingjelly", "h5py"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    from scmrl.convert.nir.export import export
    from scmrl.deploy.backends.peers import SpikingJelly

    network, inputs = conv_network()
    export(Bundle(network, inputs, np.zeros(5, int)), tmp_path / "nir")
    peer = SpikingJelly.from_export(tmp_path / "nir")
    activity = peer.run(inputs)
    expected = reference.run(network, inputs)
    assert all(
        np.array_equal(activity.spikes[name], expected.spikes[name]) for name in expected.spikes
    )
    assert all(expected.spikes[name].any() for name in expected.spikes)
    return network, inputs, expected, peer


def test_synops_equal_spikingjellys_counter(in_spikingjelly):
    network, inputs, activity, peer = in_spikingjelly
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

    counter = SynOpCounter()
    with DispatchCounterMode([counter]):
        peer.run(inputs)
    counts = count(network, inputs, activity)
    assert counter.get_total() == 5 * sum(c.synops_per_inference for c in counts)


def test_synops_of_every_layer_equal_sinabs_counter(in_spikingjelly):
    network, inputs, activity, peer = in_spikingjelly
    pytest.importorskip("sinabs", reason="sinabs is not installed")
    import torch
    from sinabs.hooks import conv_layer_synops_hook

    layers, totals = [m for m in peer._module.modules() if isinstance(m, torch.nn.Conv2d)], {}

    def add(module, given, output):
        mean = float(module.hook_data["layer_synops_per_timestep"])
        totals[module] = totals.get(module, 0.0) + len(output) * mean

    for layer in layers:
        layer.register_forward_hook(conv_layer_synops_hook)
        layer.register_forward_hook(add)
    peer.run(inputs)
    counts = count(network, inputs, activity)
    ours = [round(5 * c.synops_per_inference) for c in counts[1:]]
    assert sorted(map(round, totals.values())) == sorted(ours)
