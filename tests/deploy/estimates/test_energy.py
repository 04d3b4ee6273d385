"""Energy is counts times coefficients: published cases, and the parts and ranges of an estimate."""

import dataclasses
import json
import math

import numpy as np
import pytest
from conformance.graphs import GRAPHS
from hypothesis import given
from hypothesis import strategies as st

from scmrl.core import reference
from scmrl.core.bundle import Bundle
from scmrl.core.graph import Conv2d, Dense, Graph, OneToOne, Population
from scmrl.deploy import jobs
from scmrl.deploy.counts.counts import count
from scmrl.deploy.counts.updates import count_updates
from scmrl.deploy.energy.dense_equivalent import dense_equivalent
from scmrl.deploy.energy.energy import dynamic_uj, on_chip, unplaced_uj
from scmrl.deploy.energy.trace import Work
from scmrl.deploy.placement.fit import fit
from scmrl.deploy.placement.traffic import fired, traffic
from scmrl.hw_profiles.profile import Quantity, load
from scmrl.system.errors import DataError

# Published cases: counts, the estimate computed by hand, the measurement. uJ.
CASES = {
    "k-NN, fewest spikes (Frady 2020)": ("loihi1", 51_225_600, 0, 4_608_000, 0, 1448.5, 1330),
    "k-NN, most spikes (Frady 2020)": ("loihi1", 57_600_000, 0, 4_608_000, 0, 1599.0, 1330),
    "PilotNet LIF, inactive": ("loihi2", 22.88e9, 0, 1.58509e9, 0, 0.6224e6, 0.6835e6),
    "PilotNet LIF, active": ("loihi2", 22.88e9, 1.58509e9, 0, 0, 0.6684e6, 0.6835e6),
    "sMNIST LSNN, inactive": ("loihi1", 638_821, 0, 361_200, 12_536, 33.88, 22.145),
    "sMNIST LSNN, active": ("loihi1", 638_821, 237_358, 361_200 - 237_358, 12_536, 40.76, 22.145),
    "sMNIST LSNN per copy": ("loihi1", 636_808, 0, 294_000, 12_536, 30.34, 35.6),
    "sMNIST LSNN, SANA-FE": (
        "loihi1-sanafe",
        638_821,
        237_358,
        361_200 - 237_358,
        12_536,
        47.35,
        22.145,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_published_cases(case):
    name, synops, active, inactive, spikes, expected, measured = CASES[case]
    profile = load(name)
    value = dynamic_uj(profile, synops=synops, active=active, inactive=inactive, spikes=spikes)
    assert value == pytest.approx(expected, rel=1e-3)
    low, high = profile.error["core_dynamic_low"].value, profile.error["core_dynamic_high"].value
    assert value / (1 + high) <= measured <= value / (1 + low)


OPERATIONS = ("synops", "active", "inactive", "spikes", "messages", "hops_ew", "hops_ns")


@given(st.fixed_dictionaries(dict.fromkeys(OPERATIONS, st.integers(0, 10**12))))
def test_energy_is_linear_in_the_counts(counts):
    profile = load("loihi1-sanafe")
    alone = [
        dynamic_uj(profile, **(dict.fromkeys(counts, 0) | {key: n})) for key, n in counts.items()
    ]
    assert dynamic_uj(profile, **counts) == pytest.approx(math.fsum(alone))


def test_a_format_has_its_own_price_where_it_is_published():
    sanafe, davies = load("loihi1-sanafe"), load("loihi1")
    by_format = {"dense": 1e6, "sparse": 1e6, "conv": 1e6}
    assert dynamic_uj(sanafe, synops=by_format) == pytest.approx(35.5 + 33.6 + 24.0)
    assert dynamic_uj(davies, synops=by_format) == pytest.approx(3 * 23.6)
    assert dynamic_uj(load("generic-45nm"), synops={"graded": 1e6, "": 1e6}) == pytest.approx(
        4.6 + 0.9
    )


def test_a_chip_without_prices_has_no_energy_never_zero():
    assert dynamic_uj(load("speck"), synops=1e6) is None
    assert dynamic_uj(load("cpu-i7"), synops=1e6) is None


# ---- a small network, by hand --------------------------------------------------------------------


def network(neurons=4, bits=1, sources=3):
    return Graph(
        (
            Population("in", (sources,), "input", bits=bits),
            Population("hidden", (neurons,), vth=1, memoryless=True),
            Population("out", (2,), "readout"),
        ),
        (
            Dense("in", "hidden", np.ones((neurons, sources), int)),
            Dense("hidden", "out", np.ones((2, neurons), int)),
        ),
        5,
    )


# Two of three inputs at each of the steps 0, 1 and 3: hidden fires there (v = 2 > 1) and has no
# memory; the readout is active from step 0 on, hears 4 messages at three steps.
INPUT = {"in": np.array([[[1, 1, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1], [0, 0, 0]]])}
SYNOPS, ACTIVE, INACTIVE, SPIKES = 3 * 2 * 4 + 3 * 4 * 2, 3 * 4 + 5 * 2, 2 * 4, 3 * 4


def worked(graph, inputs):
    return Work(graph, inputs, reference.run(graph, inputs))


def estimated(name, graph=None, inputs=INPUT, mode="alone", **how):
    """`how`: as for `fit`."""
    profile, graph = load(name) if isinstance(name, str) else name, graph or network()
    return on_chip(worked(graph, inputs), profile, mode, fit(graph, profile, **how))


@pytest.mark.parametrize(("mode", "steps"), [("alone", 5 + 2), ("streamed", 5)])
def test_parts_of_a_small_network_by_hand(mode, steps):
    e = estimated("loihi1", mode=mode)
    # hidden's spikes go to one core, the readout's; both cores share the first tile: no hops;
    # without a bias nothing is active before and after the sample, but all is updated
    dynamic = {
        "synapses": SYNOPS * 23.6,
        "updates": ACTIVE * 81 + (6 * steps - ACTIVE) * 52,
        "messages": SPIKES * 1.7,
        "hops": 0,
    }
    assert e.kinds == pytest.approx({kind: 1e-6 * pj for kind, pj in dynamic.items()})
    assert e.core_dynamic_uj == pytest.approx(1e-6 * sum(dynamic.values()))
    assert (e.steps, e.depth, e.cores, e.chips, e.system) == (5, 2, 2, 1, "Kapoho Bay")
    assert (e.mode, e.us_per_step, e.barriers) == (mode, 17, steps)
    assert e.latency_us == pytest.approx(17 * 7) and e.interval_us == pytest.approx(17 * steps)
    assert e.core_static_uj == pytest.approx(1e-3 * 0.8 * 2 * 17 * steps)
    assert e.host_uj == pytest.approx(1e-3 * 23 * 17 * steps) and e.chip_fixed_uj is None
    assert e.total_uj == pytest.approx(e.core_dynamic_uj + e.core_static_uj + e.host_uj)
    assert e.energy_delay_uj_ms == pytest.approx(e.total_uj * 17 * 7 / 1000)
    assert e.samples_per_s == pytest.approx(1e6 / (17 * steps))
    assert (e.messages, e.hops, e.unplaced, e.broken, e.not_published) == (SPIKES, 0, None, (), ())


def test_spike_out_axons_and_hops_are_priced_where_they_are_published():
    """1,100 neurons to all of 3,000, these to a readout: messages to each core, hops from tile to
    tile.
    """
    graph = Graph(
        (
            Population("in", (1100,), "input"),
            Population("a", (1100,), memoryless=True),
            Population("b", (3000,), memoryless=True),
            Population("out", (3000,), "readout"),
        ),
        (
            OneToOne("in", "a", 1),
            Dense("a", "b", np.ones((3000, 1100), np.int8)),
            OneToOne("b", "out", 1),
        ),
        1,
    )
    inputs = {"in": np.ones((1, 1, 1100), int)}
    profile = load("loihi1-sanafe")
    placement = fit(graph, profile).placement
    flow = traffic(graph, placement, fired(graph, inputs, reference.run(graph, inputs)))
    e = estimated(profile, graph, inputs, "streamed")
    cores = {name: len(placement.of(name)) for name in ("a", "b", "out")}
    assert e.messages == 1100 * cores["b"] + 3000 and e.hops == flow.hops_ew + flow.hops_ns > 0
    assert e.kinds["messages"] == pytest.approx(1e-6 * (4100 * 69.3 + e.messages * 111))
    assert e.kinds["hops"] == pytest.approx(1e-6 * (flow.hops_ew * 3.0 + flow.hops_ns * 4.2))
    prices = {"dense": 35.5, "sparse": 33.6, "conv": 24.0}
    first, second, third = (prices[form] for form in placement.formats)
    assert e.kinds["synapses"] == pytest.approx(
        1e-6 * (1100 * first + 3.3e6 * second + 3000 * third)
    )


def test_layers_add_up_to_the_total():
    for name in ("loihi1", "loihi1-sanafe", "loihi2"):
        e = estimated(name, *GRAPHS["skips_of_several_depths"]())
        assert math.fsum(layer.core_dynamic_uj for layer in e.populations) == pytest.approx(
            e.core_dynamic_uj
        )
        assert sum(layer.cores for layer in e.populations) == e.cores
        assert sum(layer.messages for layer in e.populations) == pytest.approx(e.messages)
        for layer in e.populations:
            assert math.fsum(layer.kinds.values()) == pytest.approx(layer.core_dynamic_uj)


def test_what_the_host_injects_costs_the_chip_no_message():
    e = estimated("loihi1")
    assert e.populations[0].messages == 0 == e.populations[0].core_dynamic_uj
    assert any("host injects" in text for text in e.assumptions)


def test_inputs_on_cores_of_their_own_send_messages():
    graph, profile = network(), load("loihi1")
    e = on_chip(worked(graph, INPUT), profile, found=fit(graph, profile, inputs=True))
    assert e.cores == 3 and e.messages == SPIKES + 6


# ---- ranges and evidence -------------------------------------------------------------------------


def test_range_is_what_the_published_errors_allow():
    e = estimated("loihi1")
    low, high = e.ranges["core_dynamic_uj"]
    assert low == pytest.approx(e.core_dynamic_uj / 2) and high == pytest.approx(
        e.core_dynamic_uj / 0.85
    )
    for name, ends in e.ranges.items():
        assert ends is None or ends[0] <= getattr(e, name) <= ends[1], name
    assert e.ranges["latency_us"] == e.ranges["interval_us"] == (6 * 7, 300 * 7)
    assert e.ranges["core_static_uj"] == pytest.approx(
        (1e-3 * 0.4 * 2 * 6 * 7, 1e-3 * 1.0 * 2 * 300 * 7)
    )
    assert e.latency_ms_range == pytest.approx((6 * 7 / 1000, 300 * 7 / 1000))
    low = sum(e.ranges[name][0] for name in ("core_dynamic_uj", "core_static_uj", "host_uj"))
    assert e.ranges["total_uj"][0] == pytest.approx(low)
    assert e.ranges["energy_delay_uj_ms"][0] == pytest.approx(low * 42 / 1000)


def test_range_of_the_coefficients_stands_beside_the_evidence():
    assert estimated("loihi1").coefficient_range is None
    e = estimated("loihi2")
    low, high = e.coefficient_range
    assert high - low == pytest.approx(1e-6 * SYNOPS * (30 - 16)) and low < e.core_dynamic_uj < high


def test_without_evidence_the_range_is_that_of_the_coefficients():
    profile = load("generic-45nm")
    wide = dataclasses.replace(
        profile,
        energy=profile.energy | {"synop": Quantity(0.9, "pJ", "test", "assumed", (0.5, 2.0))},
    )
    e = estimated(wide)
    assert e.ranges["core_dynamic_uj"] == e.coefficient_range and e.ranges["total_uj"] is None
    assert e.core_dynamic_uj - e.coefficient_range[0] == pytest.approx(1e-6 * SYNOPS * 0.4)


def test_estimate_names_basis_evidence_and_assumptions():
    graded = {"in": 9 * INPUT["in"]}
    one, two = (estimated(name, network(bits=6), graded) for name in ("loihi1", "loihi2"))
    assert "Estimate" in one.basis and "Davies" in one.basis and "-15..+100 %" in one.basis
    assert "Loihi 1 coefficients" in two.basis and "One Loihi 2 measurement" in two.basis
    assert any("no graded spikes" in text for text in one.assumptions) and one.broken == (
        "input_bits",
    )
    assert any("graded" in text for text in two.assumptions) and two.broken == ()
    assert not any("no graded spikes" in text for text in two.assumptions)
    assert not any("graded" in text for text in estimated("loihi1").assumptions)


# ---- time ----------------------------------------------------------------------------------------


def busy_network():
    """20 neurons on one core that hear 4096 sources at every step, and a readout on another."""
    return network(neurons=20, sources=4096), {"in": np.ones((1, 5, 4096), int)}


def test_the_busiest_core_sets_the_step():
    e = estimated("loihi1", *busy_network(), mode="streamed")
    # beside it, updates and the messages of 4096 inputs take less: 20 * 8.4 and 4096 * 2.1 ns
    work = 1e-3 * 20 * 4096 * 3.5
    cores = [layer.cores for layer in e.populations]
    assert e.cores == cores[1] + 1 and e.busiest.population == "hidden"
    assert e.busiest.synops_per_step == 20 * 4096 / cores[1]
    assert cores[1] == 1 and e.us_per_step == e.bound_us_per_step == pytest.approx(work)
    assert e.bottleneck == f"core {e.busiest.core} (hidden)" and e.us_per_step > 17
    floor = estimated("loihi1")
    assert (floor.us_per_step, floor.bottleneck) == (
        17,
        "floor of a step",
    ) and floor.bound_us_per_step < 1


def test_more_cores_share_the_work_as_they_really_do():
    """A core's synaptic operations are those of its own neurons: here all weights end on the first
    of two.
    """
    weight = np.zeros((2048, 8), int)
    weight[:1000] = 1
    graph = Graph(
        (Population("in", (8,), "input"), Population("y", (2048,), vth=100, dv=4096)),
        (Dense("in", "y", weight),),
        3,
    )
    inputs = {"in": np.ones((1, 3, 8), int)}
    profile = load("loihi1")
    spikes = fired(graph, inputs, reference.run(graph, inputs))
    flow = traffic(graph, fit(graph, profile).placement, spikes)
    e = estimated(profile, graph, inputs, "streamed")
    assert e.cores == 2 and flow.synops.tolist() == [3 * 8000, 0]
    assert e.busiest.core == 0 and e.busiest.synops_per_step == 8 * 1024  # zeros walked as well


def links_of(graph, inputs, profile):
    """Messages over every link in a sample's own steps."""
    spikes = fired(graph, inputs, reference.run(graph, inputs))
    return traffic(graph, fit(graph, profile).placement, spikes).links


def test_a_link_can_set_the_step():
    """Work made free: the messages over the busiest link are what is left."""
    graph = Graph(
        (
            Population("in", (8000,), "input"),
            Population("a", (8000,), memoryless=True),
            Population("b", (8000,), "readout"),
        ),
        (OneToOne("in", "a", 1), OneToOne("a", "b", 1)),
        1,
    )
    inputs = {"in": np.ones((1, 1, 8000), int)}
    profile = load("loihi1")
    free = {
        name: dataclasses.replace(q, value=0.0, range=None)
        for name, q in profile.time.items()
        if not name.startswith("hop")
    }
    e = estimated(dataclasses.replace(profile, time=profile.time | free), graph, inputs, "streamed")
    links = links_of(graph, inputs, profile)
    ew, ns = (
        max(links[a].max(), links[b].max()) for a, b in (("east", "west"), ("north", "south"))
    )
    assert e.bottleneck == "link of the mesh" and e.us_per_step > 0
    assert e.us_per_step == pytest.approx(1e-3 * max(ew * 4.1, ns * 6.5))


def test_a_fixed_tick_is_the_step_of_a_chip_without_times():
    e = estimated("truenorth")
    assert (e.us_per_step, e.bound_us_per_step, e.bottleneck) == (1000, None, "floor of a step")
    assert (
        e.chip_fixed_uj == pytest.approx(1e-3 * 64.43 * 7000)
        and e.core_static_uj is e.host_uj is None
    )
    assert e.total_uj is None and e.known == ("synops",) and e.part == "synops only"


# ---- chips that hold it, chips that do not, what nobody published --------------------------------


def test_arithmetic_only_profile_has_no_static_host_or_time():
    e = estimated("generic-45nm", network(bits=6), {"in": 9 * INPUT["in"]})
    assert e.core_dynamic_uj == pytest.approx(1e-6 * (24 * 4.6 + 24 * 0.9 + 30 * 0.9))
    assert e.total_uj is e.fits is None and e.known == ("synops", "updates")
    assert e.core_static_uj is e.host_uj is e.latency_us is e.cores is None
    assert e.energy_delay_uj_ms is e.samples_per_s is e.latency_ms_range is None
    assert set(e.ranges.values()) == {None}
    assert set(e.not_published) == {
        "energy of a message",
        "static power",
        "host power",
        "time of a step",
    }


def test_a_chip_without_prices_has_no_total_and_says_so():
    e = estimated("speck")
    assert e.core_dynamic_uj is e.total_uj is e.kinds is e.energy_delay_uj_ms is None
    assert e.known == ()
    assert "energy of an operation" in e.not_published


def test_a_chip_that_cannot_hold_it_prices_the_operations_alone():
    e = estimated("truenorth", *busy_network())  # at most 256 axons into a core
    assert e.cores is e.latency_us is None and "holds this population" in e.unplaced
    assert e.core_dynamic_uj > 0 and "axons_in_per_core" in e.broken
    assert e.fits is False and e.total_uj is None and e.known == ("synops",)


@pytest.mark.parametrize(
    "gone",
    [
        "power.host",
        "power.core_static",
        "time.step_floor",
        "energy.spike",
        "energy.hop_ew",
        "energy.neuron_inactive",
    ],
)
def test_without_one_part_there_is_no_total(gone):
    """A priced chip has a total; with one price less it has none, nor an energy-delay product."""
    graph = Graph(
        (
            Population("in", (1100,), "input"),
            Population("a", (1100,), memoryless=True),
            Population("b", (3000,), memoryless=True),
            Population("out", (9000,), "readout"),
        ),
        (
            OneToOne("in", "a", 1),
            Dense("a", "b", np.ones((3000, 1100), np.int8)),
            Dense("b", "out", np.eye(9000, 3000, dtype=np.int8)),
        ),
        1,
    )
    inputs, whole = {"in": np.arange(1100)[None, None] % 2}, load("loihi1")
    section, key = gone.split(".")
    known = {
        name: q
        for name, q in getattr(whole, section).items()
        if name != key
        and (gone, name) not in (("power.core_static", "chip_static"), ("time.step_floor", "synop"))
    }
    e = estimated(whole, graph, inputs)
    assert e.fits and e.hops > 0 and e.known == ("core dynamic",) and e.total_uj > 0
    e = estimated(dataclasses.replace(whole, **{section: known}), graph, inputs)
    assert e.fits and e.total_uj is e.energy_delay_uj_ms is e.ranges["total_uj"] is None
    assert (e.known == ("core dynamic",)) == (section != "energy")


def test_a_network_that_does_not_fit_has_no_total():
    e = estimated("loihi1", network(bits=6), {"in": 9 * INPUT["in"]})
    assert e.fits is False and e.broken == ("input_bits",) and e.not_published == ()
    assert e.total_uj is e.energy_delay_uj_ms is None and e.known == ("core dynamic",)


def test_power_is_not_added_to_energies_that_hold_it():
    profile = dataclasses.replace(load("loihi1"), energy_basis="all_in")
    e = estimated(profile)
    assert e.total_uj == e.core_dynamic_uj and e.latency_us == 17 * 7
    assert e.core_static_uj is e.host_uj is None


def test_static_power_of_a_chip_where_that_of_a_core_is_unknown():
    profile = load("loihi1")
    chip = dataclasses.replace(profile, power={"chip_static": profile.power["chip_static"]})
    assert estimated(chip).core_static_uj == pytest.approx(1e-3 * 104.4 * 17 * 7)


def test_json_holds_the_energies_and_every_coefficient():
    table = json.loads(json.dumps(estimated("loihi2").to_json()))
    assert {
        "core_dynamic_uj",
        "core_static_uj",
        "chip_fixed_uj",
        "host_uj",
        "total_uj",
        "latency_us",
        "basis",
        "bottleneck",
        "busiest",
        "samples_per_s",
        "energy_delay_uj_ms",
    } <= table.keys()
    assert table["kind"] == "estimate"
    assert all(q["source"] and q["unit"] for q in table["coefficients"].values())


def test_counts_without_active_updates_are_an_error_not_a_guess():
    graph = network()
    with pytest.raises(DataError, match="hidden: the active updates were not counted"):
        unplaced_uj(graph, count(graph, INPUT, reference.run(graph, INPUT)), load("loihi1"))


# ---- the same network without spikes -------------------------------------------------------------


def test_network_without_spikes_by_hand():
    """Four outputs of a 3 x 3 kernel without padding, a gate of as many additions, three
    classes.
    """
    weight = np.zeros((1, 1, 3, 3), int)  # zeros are multiplied, too
    graph = Graph(
        (
            Population("in", (1, 4, 4), "input", bits=4),
            Population("conv", (1, 2, 2), vth=1),
            Population("gate", (4,), memoryless=True),
            Population("out", (3,), "readout"),
        ),
        (
            Conv2d("in", "conv", weight),
            OneToOne("conv", "gate", 1),
            Dense("gate", "out", np.ones((3, 4), int)),
        ),
        6,
    )
    inputs = {"in": np.ones((1, 6, 1, 4, 4), int)}
    activity = reference.run(graph, inputs)
    counts = count(graph, inputs, activity, count_updates(graph, inputs, activity))
    dense = dense_equivalent(graph, counts)
    assert (dense.macs, dense.acs) == (4 * 9 + 12, 4)
    rows = {row.profile: row for row in dense.energies}
    row = rows["generic-45nm"]
    assert row.dense_uj == pytest.approx(1e-6 * (48 * 4.6 + 4 * 0.9))
    assert row.spiking_uj == unplaced_uj(graph, counts, load("generic-45nm"))
    assert row.ratio == pytest.approx(row.dense_uj / row.spiking_uj)
    assert (
        rows["cpu-i7"].dense_uj == pytest.approx(1e-6 * 48 * 8600)
        and rows["cpu-i7"].spiking_uj is None
    )


# ---- what a chip walks, and cases that are stated apart ------------------------------------------


def pruned(zeros):
    """Three inputs to four neurons to two: of the first weights that many are zero."""
    weight = np.ones(12, int)
    weight[:zeros] = 0
    graph = network()
    return Graph(
        graph.populations,
        (Dense("in", "hidden", weight.reshape(4, 3)), graph.synapses[1]),
        graph.steps,
    )


def test_zeros_of_a_dense_list_are_walked_and_charged():
    """Two messages at three steps, of which the lists hold four synapses each, zeros or not."""
    e = estimated("loihi2", pruned(4))
    arriving = next(layer for layer in e.populations if layer.name == "hidden")
    assert arriving.synops == 3 * 2 * 4 - (2 * 2 + 3 * 1 + 1 * 1)  # counted: without the zeros
    assert arriving.kinds["synapses"] == pytest.approx(1e-6 * 24 * 23.6)  # charged: with them


def test_a_source_without_any_weight_has_no_list_to_walk():
    weight = np.ones((4, 3), int)
    weight[:, 1] = 0  # the second input, which sends at all three steps
    graph = dataclasses.replace(
        network(), synapses=(Dense("in", "hidden", weight), network().synapses[1])
    )
    e = estimated("loihi2", graph)
    arriving = next(layer for layer in e.populations if layer.name == "hidden")
    assert arriving.kinds["synapses"] == pytest.approx(1e-6 * (2 + 1) * 4 * 23.6)


def test_sparse_lists_walk_no_zeros():
    """A convolution on its way to Loihi 2 is stored connection by connection."""
    kernel = np.ones((2, 1, 3, 3), int)
    kernel[:, :, 0] = 0
    graph = Graph(
        (Population("in", (1, 6, 6), "input"), Population("a", (2, 4, 4), memoryless=True)),
        (Conv2d("in", "a", kernel),),
        2,
    )
    inputs = {"in": np.ones((1, 2, 1, 6, 6), int)}
    shared, expanded = (
        estimated(name, graph, inputs).populations[1] for name in ("loihi1", "loihi2")
    )
    assert expanded.kinds["synapses"] == pytest.approx(1e-6 * 2 * 32 * 6 * 23.6)
    # of a row of pixels: taps in a column; the first row meets zeros alone, so no core hears it
    down, across = 2 + 3 + 3 + 2 + 1, 4 * 3
    assert shared.kinds["synapses"] == pytest.approx(1e-6 * 2 * 2 * down * across * 23.6)
    assert shared.synops == expanded.synops == 2 * 32 * 6


def test_loihi2_by_hand():
    """Static and fixed power of the chip, whatever its cores; the floor of a free step."""
    e = estimated("loihi2")
    ms = 1e-3 * 1.164 * 7
    assert e.latency_us == pytest.approx(1.164 * 7) and e.bottleneck == "floor of a step"
    assert e.core_static_uj == pytest.approx(241 * ms)
    assert e.chip_fixed_uj == pytest.approx(29.4 * ms) and e.host_uj == 0
    assert e.total_uj == pytest.approx(e.core_dynamic_uj + (241 + 29.4) * ms)
    assert e.ranges["total_uj"] == pytest.approx((e.total_uj / 4.33, e.total_uj / 0.124))
    assert e.total_timed_uj == pytest.approx((e.total_uj / 1.214, e.total_uj / 0.232))
    assert e.model["total_uj"] == e.ranges["total_uj"] != e.constants["total_uj"]


def test_a_host_that_sets_the_step_is_a_case_apart():
    e = estimated("loihi2")
    assert e.host_bound.us_per_step == 59_300 and e.host_bound.interval_us == 7 * 59_300
    power = 1e-3 * (241 + 29.4) * 7 * 59_300
    assert e.host_bound.total_uj == pytest.approx(e.core_dynamic_uj + power)
    assert e.host_bound.interval_us > e.ranges["latency_us"][1]  # no part of the range
    assert estimated("loihi1").host_bound is None
    streamed = estimated("loihi2", mode="streamed")  # a window of 8 steps, though 5 are given
    assert streamed.host_bound.interval_us == 8 * 59_300 and streamed.latency_us < 12
    power = 1e-3 * (241 + 29.4) * 8 * 59_300
    assert streamed.host_bound.total_uj == pytest.approx(streamed.core_dynamic_uj + power)


def test_static_energy_of_a_board_is_that_of_all_its_chips():
    one = estimated("loihi2")
    assert (one.system, one.board_static_uj) == ("Oheo Gulch", one.core_static_uj)
    tight = dataclasses.replace(
        load("loihi2"),
        limits=load("loihi2").limits | {"cores": Quantity(1, "cores", "test", "assumed")},
    )
    two = estimated(tight)
    assert (two.chips, two.system) == (2, "Kapoho Point")
    assert two.core_static_uj == pytest.approx(2 * one.core_static_uj)
    assert two.board_static_uj == pytest.approx(8 * one.core_static_uj)


def test_an_input_of_zeros_has_its_price():
    biased = dataclasses.replace(network().populations[1], bias_mant=1)
    graph = dataclasses.replace(
        network(), populations=(network().populations[0], biased, network().populations[2])
    )
    bundle = Bundle(graph, INPUT, np.zeros(1, np.int64), reference.run(graph, INPUT))
    report = jobs.energy(bundle, ["loihi2"])
    zeros = {"in": np.zeros_like(INPUT["in"])}
    alone = estimated("loihi2", graph, zeros).core_dynamic_uj
    assert report.idle == {"loihi2": pytest.approx(alone)} and alone > 5 * 4 * 81e-6
    assert report.to_json()["idle"]["loihi2"] == pytest.approx(alone)
