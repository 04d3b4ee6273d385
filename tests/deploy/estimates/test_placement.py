"""Placement: published core counts, limits that hold, traffic equal to a count by hand, what is
said of a misfit.
"""

import dataclasses
import json

import numpy as np
import pytest
from conformance.graphs import random_graph
from hypothesis import given
from hypothesis import strategies as st

from scmrl.core.bundle import Bundle
from scmrl.core.graph import Conv2d, Dense, Graph, OneToOne, Pointwise, Population, slices
from scmrl.deploy.placement.demand import DoesNotFit
from scmrl.deploy.placement.fit import Room, capacity, fit
from scmrl.deploy.placement.placement import place, placeable
from scmrl.deploy.placement.synapse_memory import weight_bits
from scmrl.deploy.placement.traffic import cost, fired, improve, rerouted, traffic
from scmrl.deploy.reports.placing import placement_report
from scmrl.deploy.validation import core_counts
from scmrl.hw_profiles import profile
from scmrl.system.errors import DataError, UsageError

CASES = {case.name: case for case in core_counts.networks()}
CHIPS = ("loihi1", "loihi2", "truenorth")


def tight(name, **limits):
    """A built-in profile with other limits."""
    chip = profile.load(name)
    changed = {
        key: dataclasses.replace(chip.limits[key], value=value, range=None)
        for key, value in limits.items()
        if key in chip.limits
    }
    return dataclasses.replace(chip, limits={**chip.limits, **changed})


def chain(*neurons, recurrent=False):
    """Dense layers with random weights, none of them zero."""
    random = np.random.default_rng(0)
    names = [f"layer{i}" for i in range(len(neurons))]
    populations = [
        Population(n, (size,), "lif" if i else "input", vth=100 if i else 0)
        for i, (n, size) in enumerate(zip(names, neurons))
    ]
    synapses = [
        Dense(a.name, b.name, random.integers(1, 128, (b.neurons, a.neurons), np.int8))
        for a, b in zip(populations, populations[1:])
    ]
    if recurrent:
        last = populations[-1]
        synapses.append(
            Dense(last.name, last.name, np.ones((last.neurons, last.neurons), np.int8), delay=1)
        )
    return Graph(tuple(populations), tuple(synapses), 4).check()


def counts_of(graph, seed=0):
    random = np.random.default_rng(seed)
    return {p.name: random.integers(0, 5, p.neurons).astype(float) for p in graph.populations}


def core_of(graph, placement):
    """The core of every neuron by explicit marking, and how often it was marked."""
    core = {p.name: np.full(p.shape, -1) for p in graph.populations}
    times = {p.name: np.zeros(p.shape, int) for p in graph.populations}
    for c in placement.cores:
        for piece in c.pieces:
            core[piece.population][slices(piece.box)] = c.index
            times[piece.population][slices(piece.box)] += 1
    return core, times


@pytest.mark.parametrize(
    "weights, bits",
    [
        ([1], 1),
        ([0, 0], 1),
        ([0, 4], 1),
        ([-8], 1),
        ([3, 1], 2),
        ([-1, 1], 2),
        ([127, -128], 8),
        ([126, -128], 7),
        ([255], 8),
        ([-256, 254], 8),
        ([-5, 3], 4),
    ],
)
def test_weight_bits_without_the_common_power_of_two(weights, bits):
    assert weight_bits(np.array(weights)) == bits


# Published core counts.


@pytest.mark.parametrize(
    "name", ["PilotNet LIF", "PilotNet SDNN", "YOLO-KP", "MNIST 784-128-64-10"]
)
def test_published_core_counts_exactly(name):
    case = CASES[name]
    placement = place(case.graph, profile.load(case.profile), **case.options)
    assert {n: len(placement.of(n)) for n in case.published_cores} == case.published_cores
    assert len(placement.cores) == sum(case.published_cores.values())
    words = {n: max(core.synapse_words for core in placement.of(n)) for n in case.published_words}
    assert words == case.published_words


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.by_hand])
def test_published_core_counts_within_one_core_or_5_percent(name):
    case = CASES[name]
    placement = place(case.graph, profile.load(case.profile), **case.options)
    for population, published in case.published_cores.items():
        assert abs(len(placement.of(population)) - published) <= max(1, 0.05 * published), (
            population
        )


# What every placement keeps to.

LIMITS = st.fixed_dictionaries(
    {
        "neurons_per_core": st.integers(3, 40),
        "conv_tile_neurons": st.integers(3, 40),
        "synapse_words_per_core": st.integers(20, 300),
        "axons_in_per_core": st.integers(10, 60),
        "axons_out_per_core": st.integers(10, 120),
        "cores": st.sampled_from([4, 8, 16]),
    }
)


@given(
    seed=st.integers(0, 2**32 - 1),
    limits=LIMITS,
    chip=st.sampled_from(CHIPS),
    packed=st.booleans(),
    inputs=st.booleans(),
    kind=st.sampled_from([{}, {"recurrent": True}, {"joined": True}]),
)
def test_every_neuron_on_one_core_and_no_limit_exceeded(seed, limits, chip, packed, inputs, kind):
    graph, _ = random_graph(seed, **kind)
    try:
        placement = place(graph, tight(chip, **limits), packed=packed, inputs=inputs)
    except DoesNotFit as error:
        assert all(misfit.value > misfit.allowed for misfit in error.misfits)
        return
    _, times = core_of(graph, placement)
    for p in graph.populations:
        assert (times[p.name] == (inputs or p.kind != "input")).all()
    for core in placement.cores:
        assert all(used <= 1 for used in core.utilisation().values()), core
        assert core.utilisation()[core.binding] == max(core.utilisation().values())
    assert placement.chips == -(-len(placement.cores) // limits["cores"])
    core, _ = core_of(graph, placement)
    for p in graph.populations:
        assert not p.adds or np.array_equal(core[p.name], core[p.adds])
    assert placement == place(graph, tight(chip, **limits), packed=packed, inputs=inputs)


@given(seed=st.integers(0, 2**32 - 1))
def test_packed_takes_no_more_cores(seed):
    graph, _ = random_graph(seed)
    for chip in CHIPS[:2]:
        assert len(place(graph, profile.load(chip), packed=True).cores) <= len(
            place(graph, profile.load(chip)).cores
        )


def test_input_axons_are_the_halo_of_the_receptive_field():
    weight = np.ones((2, 1, 3, 3), np.int64)
    graph = Graph(
        (Population("x", (1, 8, 8), "input"), Population("y", (2, 8, 8), vth=1)),
        (Conv2d("x", "y", weight, padding=(1, 1)),),
    )
    (core, _) = place(graph, tight("loihi1", neurons_per_core=64)).cores
    assert (
        core.neurons == 64 and core.axons_in == 8 * 5
    )  # four columns of neurons see five of the image


def test_output_axons_count_cores_not_synapses():
    graph = chain(10, 20, 30)
    placement = place(graph, tight("loihi1", neurons_per_core=10))
    first = placement.of("layer1")
    assert len(first) == 2 and len(placement.of("layer2")) == 3
    assert [core.axons_out for core in first] == [10 * 3] * 2


def test_output_axons_to_another_chip_of_loihi1_count_twice():
    placement = place(chain(10, 20, 30), tight("loihi1", neurons_per_core=10, cores=2))
    assert (
        placement.chips == 3
        and [core.axons_out for core in placement.of("layer1")] == [10 * 3 * 2] * 2
    )


def test_recurrence_is_cut_until_its_output_axons_fit():
    graph = chain(4, 40, recurrent=True)
    placement = place(graph, tight("loihi1", axons_out_per_core=70, neurons_per_core=20))
    assert max(core.axons_out for core in placement.cores) <= 70


# Traffic.


def by_hand(graph, placement, counts):
    """Messages, hops and synaptic operations, spike by spike from the coordinates."""
    core, _ = core_of(graph, placement)
    hears = {p.name: [set() for _ in range(p.neurons)] for p in graph.populations}
    synops = np.zeros(len(placement.cores))
    for synapse in graph.synapses:
        source, target = graph[synapse.source], graph[synapse.target]
        rows, columns, _ = synapse.coordinates(source.shape, target.shape)
        for row, column in zip(rows, columns):
            c = core[synapse.target].ravel()[row]
            hears[synapse.source][column].add(int(c))
            synops[c] += counts[synapse.source][column]
    totals = {}
    for p in graph.populations:
        messages = ew = ns = 0.0
        for neuron, listeners in enumerate(hears[p.name]):
            spikes = 0 if p.kind == "readout" else counts[p.name][neuron]
            for c in listeners:
                messages += spikes
                home = core[p.name].ravel()[neuron]
                if home >= 0:
                    (x, y), (x2, y2) = (
                        placement.mesh.place(placement.cores[i].slot) for i in (home, c)
                    )
                    ew, ns = (
                        ew + spikes * abs(int(x) - int(x2)),
                        ns + spikes * abs(int(y) - int(y2)),
                    )
        totals[p.name] = (messages, ew, ns)
    return totals, synops


@given(
    seed=st.integers(0, 2**32 - 1),
    chip=st.sampled_from(CHIPS[:2]),
    packed=st.booleans(),
    inputs=st.booleans(),
)
def test_traffic_is_the_count_by_hand(seed, chip, packed, inputs):
    graph, _ = random_graph(seed, recurrent=True)
    roomy = {"neurons_per_core": 9, "conv_tile_neurons": 9, "cores": 6, "axons_out_per_core": 10**6}
    placement = place(graph, tight(chip, **roomy), packed=packed, inputs=inputs)
    counts = counts_of(graph, seed % 1000)
    flow = traffic(graph, placement, counts)
    totals, synops = by_hand(graph, placement, counts)
    assert {p.name: (p.messages, p.hops_ew, p.hops_ns) for p in flow.populations} == totals
    assert np.array_equal(flow.synops, synops)
    assert flow.received.sum() == flow.messages
    assert flow.links["east"].sum() + flow.links["west"].sum() == flow.hops_ew
    assert flow.links["north"].sum() + flow.links["south"].sum() == flow.hops_ns


def test_two_synapses_to_one_core_are_one_message():
    some, others = np.array([[1, 1, 0, 0, 0]]), np.array([[0, 1, 1, 1, 0]])
    graph = Graph(
        (
            Population("x", (5,), "input"),
            Population("r", (5,), vth=0, memoryless=True),
            Population("y", (1,), vth=0),
        ),
        (OneToOne("x", "r", 1), Dense("r", "y", some), Dense("r", "y", others, delay=1)),
    ).check()
    counts = {"x": np.zeros(5), "r": np.array([1.0, 2.0, 4.0, 8.0, 16.0]), "y": np.zeros(1)}
    for chip in CHIPS[:2]:
        flow = traffic(graph, place(graph, profile.load(chip)), counts)
        assert {p.name: p.messages for p in flow.populations} == {"x": 0, "r": 15, "y": 0}
        assert flow.synops.sum() == 1 + 2 * 2 + 4 + 8


@given(seed=st.integers(0, 2**32 - 1), chip=st.sampled_from(CHIPS[:2]))
def test_improvement_moves_cores_only_and_is_never_worse(seed, chip):
    graph, _ = random_graph(seed)
    small = tight(chip, neurons_per_core=8, conv_tile_neurons=8, cores=16, axons_out_per_core=10**6)
    placement = place(graph, small)
    before = traffic(graph, placement, counts_of(graph))
    better = improve(placement, before)
    assert cost(better, before.flows) <= cost(placement, before.flows)
    assert [core.pieces for core in better.cores] == [core.pieces for core in placement.cores]
    assert [core.chip for core in better.cores] == [core.chip for core in placement.cores]
    assert len({core.slot for core in better.cores}) == len(better.cores)
    assert better == improve(placement, before)
    again = traffic(graph, better, counts_of(graph))
    after = rerouted(better, before)
    assert (again.hops_ew, again.hops_ns, again.messages) == (
        after.hops_ew,
        after.hops_ns,
        after.messages,
    )


def test_two_chatting_cores_end_up_on_one_tile():
    """Eight relays in a line, of which the first and the last talk; the naive order has them on two
    tiles.
    """
    populations = [Population("x", (4,), "input")]
    synapses = []
    for i in range(8):
        populations.append(Population(f"p{i}", (4,), vth=0, memoryless=True))
        synapses.append(OneToOne("x", f"p{i}", 1))
    synapses.append(OneToOne("p0", "p7", 1))
    graph = Graph(tuple(populations), tuple(synapses)).check()
    placement = place(graph, profile.load("loihi2"))
    before = traffic(graph, placement, {p.name: np.ones(4) for p in populations})
    assert (before.hops_ew, before.hops_ns) == (4, 0)
    after = rerouted(improve(placement, before), before)
    assert (after.hops_ew, after.hops_ns) == (0, 0)


def test_missing_spike_counts_are_named():
    graph = chain(3, 4)
    placement = place(graph, profile.load("loihi2"))
    with pytest.raises(DataError, match="layer0: spike counts are missing"):
        traffic(graph, placement, {"layer1": np.zeros(4)})
    with pytest.raises(DataError, match="layer1: .* another size .*limit 4, got 5"):
        traffic(graph, placement, {"layer0": np.zeros(3), "layer1": np.zeros(5)})


# What does not fit.


def test_a_fan_in_beyond_a_core_is_named_with_what_holds_it():
    graph = chain(5000, 10)
    with pytest.raises(
        DoesNotFit, match="layer1: .* Loihi 1 .* input axons .*limit 4096, got 5000"
    ) as caught:
        place(graph, profile.load("loihi1"))
    report = placement_report(graph, fit(graph, profile.load("loihi1")), model="m")
    assert not report.fits and report.misfits == caught.value.misfits
    assert "breaks axons_in_per_core at layer1 (limit 4096 axons, got 5000)" in report.why()
    assert [a.chip for a in report.alternatives] == [
        "Loihi 2"
    ] and "Loihi 2: 2 cores = 1 chip" in report.remedy()


def test_ten_times_too_large_for_a_chip_says_what_and_what_instead():
    random = np.random.default_rng(0)
    weight = random.integers(-127, 128, (64, 1, 3, 3), np.int8)
    graph = Graph(
        (Population("x", (1, 144, 144), "input"), Population("large", (64, 144, 144), vth=9)),
        (Conv2d("x", "large", weight, padding=(1, 1)),),
    ).check()
    chip = profile.load("loihi1")
    report = placement_report(graph, fit(graph, chip, room=capacity(chip, None, 1)), model="m")
    assert not report.fits and report.cores >= 10 * 128 and report.chips >= 11
    assert f"needs {report.cores:,} cores = {report.chips} chips of Loihi 1, 10" in report.why()
    assert "large" in report.why() and "neurons" in report.why()
    assert "Nahuku" in report.remedy() and "Loihi 2" in report.remedy()
    assert placement_report(graph, fit(graph, chip, room=capacity(chip, "nahuku")), model="m").fits


def test_a_profile_without_cores_places_nothing():
    assert not placeable(profile.load("generic-45nm"))
    with pytest.raises(
        UsageError, match="generic-45nm: .*nothing can be placed.*cores, neurons_per_core"
    ):
        place(chain(3, 4), profile.load("generic-45nm"))


def test_systems_by_name():
    chip = profile.load("loihi2")
    assert capacity(chip, "kapoho point", None) == Room("Kapoho Point", 960, 8)
    with pytest.raises(UsageError, match="no such system of Loihi 2 .*known: Hala Point"):
        capacity(chip, "Kapoho", None)
    with pytest.raises(UsageError, match="at least one chip"):
        capacity(chip, None, 0)


# The command.


def test_command_places_and_reports_the_same_in_json(scmrl, model, small_bundle):
    code, out, _ = scmrl("place", model, "--json")
    report = json.loads(out)
    assert code == 0 and report["fits"] and report["command"] == "place"
    expected = place(small_bundle.graph, profile.load("loihi2"))
    assert report["cores"] == len(expected.cores) == len(report["map"])
    assert [row["cores"] for row in report["populations"]] == [
        len(expected.of(p.name)) for p in small_bundle.graph.populations
    ]
    assert report["optimised"]["cost"] <= report["naive"]["cost"]
    assert report["optimised"]["messages"] == report["naive"]["messages"] > 0
    code, shown, _ = scmrl("place", model, "--layers")
    assert code == 0
    for row in report["populations"]:
        assert row["name"] in shown
    assert f"{round(report['naive']['messages']):,}" in shown


def test_command_traffic_is_that_of_the_definition(scmrl, model, small_bundle):
    from scmrl.core import reference

    graph, inputs = small_bundle.graph, small_bundle.inputs
    flow = traffic(
        graph,
        place(graph, profile.load("loihi1")),
        fired(graph, inputs, reference.run(graph, inputs)),
    )
    _, out, _ = scmrl("place", model, "--profile", "loihi1", "--order", "naive", "--json")
    report = json.loads(out)
    assert (
        report["naive"]["messages"] == flow.messages and report["naive"]["hops_ew"] == flow.hops_ew
    )
    assert report["optimised"] is None and report["gain"] is None


def test_command_exits_5_where_it_does_not_fit(scmrl, tmp_path):
    graph = Graph(
        (Population("x", (2, 300, 300), "input"), Population("y", (2, 300, 300), vth=1)),
        (Pointwise("x", "y", np.eye(2, dtype=np.int8)),),
        1,
    )
    Bundle(graph, {"x": np.zeros((1, 1, 2, 300, 300), np.uint8)}, np.zeros(1, np.int64)).save(
        tmp_path / "bundle"
    )
    code, out, err = scmrl("place", tmp_path, "--profile", "loihi1", "--chips", "1")
    assert code == 5 and "DOES NOT FIT" in out
    assert err.splitlines()[-1].startswith("error: does not fit: needs ") and "Kapoho Bay" in err
    code, out, _ = scmrl("place", tmp_path, "--profile", "loihi1")
    assert code == 0 and "smallest system: Kapoho Bay" in " ".join(out.split())
    assert scmrl("place", tmp_path, "--system", "nowhere")[0] == 2
    assert scmrl("place", tmp_path, "--system", "Hala Point", "--chips", "2")[0] == 2
    assert scmrl("place", tmp_path, "--profile", "speck")[0] == 2


def test_command_draws_the_map(scmrl, model, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    for ending in ("svg", "png"):
        assert scmrl("place", model, "--picture", tmp_path / f"map.{ending}", "--json")[0] == 0
    drawn = (tmp_path / "map.svg").read_text()
    assert drawn.startswith("<?xml") and "</svg>" in drawn
    assert (tmp_path / "map.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert scmrl("place", model, "--picture", tmp_path / "map.gif")[0] == 2
