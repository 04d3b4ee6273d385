"""Energy is counts times coefficients: published cases, and the parts and ranges of an estimate."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmrl.deploy.counts import PopulationCount
from scmrl.deploy.energy import dynamic_uj, estimate
from scmrl.errors import DataError
from scmrl.graph import Dense, Graph, Population
from scmrl.hw_profiles.profile import load

# Published cases: counts, the estimate computed by hand, the measurement. uJ.
CASES = {
    "k-NN, fewest spikes (Frady 2020)": ("loihi1", 51_225_600, 0, 4_608_000, 0, 1448.5, 1330),
    "k-NN, most spikes (Frady 2020)": ("loihi1", 57_600_000, 0, 4_608_000, 0, 1599.0, 1330),
    "PilotNet LIF, inactive": ("loihi2", 22.88e9, 0, 1.58509e9, 0, 0.6224e6, 0.6835e6),
    "PilotNet LIF, active": ("loihi2", 22.88e9, 1.58509e9, 0, 0, 0.6684e6, 0.6835e6),
    "sMNIST LSNN, inactive": ("loihi1", 638_821, 0, 361_200, 12_536, 33.88, 22.145),
    "sMNIST LSNN, active": ("loihi1", 638_821, 237_358, 361_200 - 237_358, 12_536, 40.76, 22.145),
    "sMNIST LSNN per copy": ("loihi1", 636_808, 0, 294_000, 12_536, 30.34, 35.6),
    "sMNIST LSNN, SANA-FE": ("loihi1-sanafe", 638_821, 237_358, 361_200 - 237_358, 12_536, 47.35, 22.145),
}


@pytest.mark.parametrize("case", CASES)
def test_published_cases(case):
    name, synops, active, inactive, spikes, expected, measured = CASES[case]
    profile = load(name)
    value = dynamic_uj(profile, synops=synops, active=active, inactive=inactive, spikes=spikes)
    assert value == pytest.approx(expected, rel=1e-3)
    low, high = profile.error["core_dynamic_low"].value, profile.error["core_dynamic_high"].value
    assert value / (1 + high) <= measured <= value / (1 + low)


@given(st.integers(0, 10**12), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_energy_is_linear_in_the_counts(synops, active, inactive, spikes):
    profile = load("loihi1")
    counts = {"synops": synops, "active": active, "inactive": inactive, "spikes": spikes}
    alone = [dynamic_uj(profile, **({key: 0 for key in counts} | {key: n})) for key, n in counts.items()]
    assert dynamic_uj(profile, **counts) == pytest.approx(math.fsum(alone))


def network(bits=1, neurons=4):
    return Graph((Population("in", (3,), "input", bits=bits), Population("hidden", (neurons,)),
                  Population("out", (2,), "readout")),
                 (Dense("in", "hidden", np.ones((neurons, 3), int)),
                  Dense("hidden", "out", np.ones((2, neurons), int))))


def counted(neurons=4, synops=(24.0, 10.0)):
    def row(name, kind, neurons, spikes, synops):
        return PopulationCount(name=name, shape=(neurons,), neurons=neurons, steps=5,
                               spikes_per_inference=spikes,
                               rate=spikes / (5 * neurons), synops_per_inference=synops,
                               updates_per_inference=5.0 * neurons, kind=kind)

    return [row("in", "input", 3, 6.0, 0.0), row("hidden", "lif", neurons, 5.0, synops[0]),
            row("out", "readout", 2, 0.0, synops[1])]


def test_parts_of_a_small_network_by_hand():
    e = estimate(network(), counted(), load("loihi1"))
    # 34 synops; hidden 5 active, 15 inactive updates, out 10 inactive; 11 messages; the input is not computed
    assert e.core_dynamic_uj == pytest.approx(1e-6 * (34 * 23.6 + 5 * 81 + 25 * 52 + 11 * 1.7))
    assert (e.steps, e.depth, e.cores, e.chips) == (5, 2, 2, 1)
    assert e.us_per_step == 17 and e.latency_us == 17 * 7
    assert e.core_static_uj == pytest.approx(1e-3 * 0.8 * 2 * 17 * 7)
    assert e.host_uj == pytest.approx(1e-3 * 23 * 17 * 7)
    assert e.total_uj == pytest.approx(e.core_dynamic_uj + e.core_static_uj + e.host_uj)


def test_layers_add_up_to_the_total():
    e = estimate(network(), counted(), load("loihi2"))
    assert [layer.name for layer in e.layers] == ["in", "hidden", "out"]
    assert math.fsum(layer.core_dynamic_uj for layer in e.layers) == pytest.approx(e.core_dynamic_uj)
    assert sum(layer.cores for layer in e.layers) == e.cores


def test_range_is_what_the_published_errors_allow():
    e = estimate(network(), counted(), load("loihi1"))
    low, high = e.ranges["core_dynamic_uj"]
    assert low == pytest.approx(e.core_dynamic_uj / 2) and high == pytest.approx(e.core_dynamic_uj / 0.85)
    for name, (low, high) in e.ranges.items():
        assert low <= getattr(e, name) <= high, name
    assert e.ranges["latency_us"] == (6 * 7, 300 * 7)
    # two populations on two cores, or packed on one
    assert e.ranges["core_static_uj"] == pytest.approx((1e-3 * 0.4 * 1 * 6 * 7, 1e-3 * 1.0 * 2 * 300 * 7))


def test_more_neurons_or_weights_take_more_cores():
    neurons = estimate(network(neurons=1025), counted(neurons=1025), load("loihi1"))
    assert [layer.cores for layer in neurons.layers] == [0, 2, 1]
    wide = Graph((Population("in", (4096,), "input"), Population("hidden", (100,))),
                 (Dense("in", "hidden", np.ones((100, 4096), int)),))
    weights = estimate(wide, counted()[:2], load("loihi1"))
    assert weights.cores == math.ceil(100 * 4096 * 8 / (128 * 1024 * 8))


def test_the_busiest_core_sets_the_step():
    busy = estimate(network(), counted(synops=(5e6, 10.0)), load("loihi1"))
    floor = estimate(network(), counted(), load("loihi1"))
    assert busy.us_per_step == pytest.approx(0.113 + 1e-3 * (1e6 * 3.5 + 1 * 8.4 + 3 * 5.3 + 1 * 2.1))
    assert floor.us_per_step == 17


def test_estimate_names_basis_evidence_and_assumptions():
    one, two = (estimate(network(bits=6), counted(), load(name)) for name in ("loihi1", "loihi2"))
    assert "Estimate" in one.basis and "Davies" in one.basis and "-15..+100 %" in one.basis
    assert "Loihi 1 coefficients" in two.basis and "One Loihi 2 measurement" in two.basis
    assert any("no graded spikes" in text for text in one.assumptions)
    assert any("graded" in text for text in two.assumptions)
    assert not any("no graded spikes" in text for text in two.assumptions)
    assert not any("graded" in text for text in estimate(network(), counted(), load("loihi1")).assumptions)


def test_arithmetic_only_profile_has_no_static_host_or_time():
    e = estimate(network(bits=6), counted(), load("generic-45nm"))
    assert e.core_dynamic_uj == pytest.approx(1e-6 * (24 * 4.6 + 10 * 0.9 + 30 * 0.9)) == e.total_uj
    assert e.core_static_uj is e.host_uj is e.latency_us is e.cores is None
    assert set(e.ranges.values()) == {None}


def test_json_holds_the_four_energies_and_every_coefficient():
    table = json.loads(json.dumps(estimate(network(), counted(), load("loihi2")).to_json()))
    assert {"core_dynamic_uj", "core_static_uj", "host_uj", "total_uj", "latency_us", "basis"} <= table.keys()
    assert table["kind"] == "estimate"
    assert all(q["source"] and q["unit"] for q in table["coefficients"].values())


def test_no_counts_is_an_error():
    with pytest.raises(DataError, match="no counts"):
        estimate(network(), [], load("loihi1"))
