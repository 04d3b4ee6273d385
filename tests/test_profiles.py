"""Hardware profiles say where every number comes from; limits say what does not fit, where and what to do."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmrl.errors import GraphError, UsageError
from scmrl.graph import Dense, Graph, Population
from scmrl.hw_profiles import limits
from scmrl.hw_profiles.profile import KINDS, UNITS, load, names

SMALL = """
title = "a chip"
chip = "chip"
basis = "made up"
[sources]
book = "a book"
[energy]
synop = { value = 1.5, unit = "pJ", source = "book", kind = "assumed", range = [1, 2] }
neuron_active = { value = 2, unit = "pJ", source = "book", kind = "assumed" }
neuron_inactive = { value = 3, unit = "pJ", source = "book", kind = "assumed" }
"""


@pytest.mark.parametrize("name", names())
def test_every_number_has_unit_source_and_kind(name):
    profile = load(name)
    for key, quantity in profile.quantities().items():
        section, field = key.split(".")
        assert quantity.unit == UNITS[section][field], key
        assert quantity.kind in KINDS and len(quantity.source) > 10, key
        assert quantity.low <= quantity.value <= quantity.high, key


def test_loihi1_holds_the_published_coefficients():
    energy = load("loihi1").energy
    values = [energy[k].value for k in ("synop", "neuron_active", "neuron_inactive", "spike")]
    assert values == [23.6, 81, 52, 1.7]
    assert all(quantity.kind == "published" for quantity in energy.values())


def test_loihi2_energies_are_those_of_loihi1_and_marked_assumed():
    one, two = load("loihi1").energy, load("loihi2").energy
    assert {k: q.value for k, q in one.items()} == {k: q.value for k, q in two.items()}
    assert all(q.kind == "assumed" and "Loihi 1" in q.source for q in two.values())
    assert "Estimate on Loihi 1 coefficients" in load("loihi2").basis


def test_a_base_gives_what_is_not_given():
    sanafe, loihi1 = load("loihi1-sanafe"), load("loihi1")
    assert sanafe.limits == loihi1.limits and sanafe.power == loihi1.power
    assert sanafe.energy["synop"].value == 33.6


def test_generic_profile_knows_arithmetic_only():
    generic = load("generic-45nm")
    assert not generic.power and not generic.time and not generic.limits
    assert "not an estimate of any chip" in generic.basis


def test_a_file_of_the_user_is_a_profile(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL)
    profile = load(path)
    assert profile.name == "mine" and profile.energy["synop"].range == (1, 2)
    assert profile.energy["synop"].source == "a book"


@pytest.mark.parametrize("name, hint", [("lohi2", "did you mean 'loihi2'"), ("", "known: generic-45nm")])
def test_unknown_profile_names_the_nearest(name, hint):
    with pytest.raises(UsageError, match=hint):
        load(name)


BROKEN = {
    "no unit": ('unit = "pJ", source = "book", kind = "assumed" }', 'source = "book", kind = "assumed" }',
                "energy.neuron_active: unit is missing"),
    "wrong unit": ('2, unit = "pJ"', '2, unit = "nJ"', "energy.neuron_active: unknown unit"),
    "no source": ('2, unit = "pJ", source = "book",', '2, unit = "pJ",', "neuron_active: source is missing"),
    "unknown source": ('"pJ", source = "book"', '"pJ", source = "bok"', "unknown source (got bok); did"),
    "unknown kind": ('kind = "assumed", range', 'kind = "guessed", range', "energy.synop: unknown kind"),
    "text for a number": ("value = 2", 'value = "2"', "neuron_active.value: must be a number"),
    "truth for a number": ("value = 2", "value = true", "neuron_active.value: must be a number"),
    "not a number": ("value = 2", "value = nan", "neuron_active.value: must be a number"),
    "range of three": ("[1, 2]", "[1, 2, 3]", "synop.range: must be"),
    "outside its range": ("[1, 2]", "[2, 3]", "energy.synop: value lies outside its range"),
    "unknown quantity": ("synop =", "synops =", "energy.synops: unknown key; did you mean 'synop'"),
    "unknown field": ("range = [1, 2]", "rang = [1, 2]", "synop.rang: unknown key; did you mean 'range'"),
    "unknown section": ("[energy]", "[energies]", "energies: unknown key; did you mean 'energy'"),
    "bare number": ("neuron_active = {", "neuron_active = 2 #", "neuron_active: must be a table"),
    "no title": ('title = "a chip"', "", "title: must be a text"),
    "base is a number": ('chip = "chip"', 'chip = "chip"\nbase = 3', "base: must be the name"),
    "own base": ('chip = "chip"', 'chip = "chip"\nbase = "SELF"', "each other's base"),
    "half an error": ("[energy]", '[error]\ncore_dynamic_low = { value = 0, unit = "1", source = "book", '
                      'kind = "derived" }\n[energy]', "belong together"),
    "not TOML": ("[energy]", "[energy", "is not TOML"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_profile_is_refused_with_file_and_key(case, tmp_path):
    old, new, message = BROKEN[case]
    assert old in SMALL
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace(old, new.replace("SELF", str(path)), 1))
    with pytest.raises(UsageError) as caught:
        load(path)
    assert message in str(caught.value) and "mine.toml" in str(caught.value)


def test_missing_quantity_and_missing_file_are_clear(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace("neuron_inactive", "spike"))
    with pytest.raises(UsageError, match="energy.neuron_inactive: quantity is missing"):
        load(path)
    with pytest.raises(UsageError, match="cannot read the hardware profile"):
        load(tmp_path / "absent.toml")


# Limits.

LOIHI2 = load("loihi2")


def network(*, weight=1, exponent=0, delay=0, sources=2, bits=1, neurons=1, **lif):
    weights = np.full((neurons, sources), weight)
    return Graph((Population("in", (sources,), "input", bits=bits), Population("hidden", (neurons,), **lif)),
                 (Dense("in", "hidden", weights, exponent=exponent, delay=delay),))


# rule: (a network at the limit, one beyond it, where, the value found) on Loihi 2 unless said
CASES = {
    "weight_bits": (network(weight=-128), network(weight=128), "in->hidden", "128"),
    "weight_exponent": (network(exponent=7), network(exponent=8), "in->hidden", "8"),
    "decay_bits": (network(dv=4095, du=0), network(dv=4096), "hidden.dv", "4096"),
    "threshold_bits": (network(vth=(1 << 17) - 1), network(vth=1 << 17), "hidden", "131072"),
    "bias_mantissa_bits": (network(bias_mant=-4096), network(bias_mant=4096), "hidden", "4096"),
    "bias_exponent": (network(bias_exp=7), network(bias_exp=8), "hidden", "8"),
    "input_bits": (network(bits=16), None, None, None),
    "delay_steps": (network(delay=62), network(delay=63), "in->hidden", "63"),
    "state_bits": (network(), None, None, None),
    "neurons_per_chip": (network(neurons=491520, sources=1), network(neurons=491521, sources=1),
                         "all populations", "491521"),
    "axons_in_per_core": (network(sources=16000), network(sources=16001), "hidden", "16001"),
}


def test_every_rule_is_documented_and_tested():
    assert set(CASES) == set(limits.RULES)
    for rule in limits.RULES.values():
        text, remedy = inspect.getdoc(rule).split("Remedy:")
        assert text.strip() and remedy.strip()


@pytest.mark.parametrize("rule", CASES)
def test_limit_holds_up_to_its_last_value(rule):
    inside, outside, where, value = CASES[rule]
    assert limits.check(inside, LOIHI2) == []
    if outside is not None:
        (violation,) = limits.check(outside, LOIHI2)
        assert (violation.rule, violation.where, violation.value) == (rule, where, value)
        assert violation.limit.split()[0] == str(int(LOIHI2.limits[rule].value)) and violation.remedy


def test_loihi1_takes_no_graded_input():
    assert limits.check(network(bits=1), load("loihi1")) == []
    (violation,) = limits.check(network(bits=6), load("loihi1"))
    assert violation.rule == "input_bits" and violation.where == "in"


def test_a_chip_of_narrower_states_is_refused():
    narrow = replace(LOIHI2, limits={"state_bits": replace(LOIHI2.limits["state_bits"], value=16)})
    (violation,) = limits.check(network(), narrow)
    assert violation.rule == "state_bits" and violation.value == "24"


def test_no_memory_of_decay_minus_one():
    (violation,) = limits.check(network(du=-1), LOIHI2)
    assert violation.where == "hidden.du"


def test_two_synapses_from_the_same_neurons_share_their_axons():
    graph = network(sources=16000)
    delayed = Dense("in", "hidden", np.ones((1, 16000), int), delay=1)
    assert limits.check(replace(graph, synapses=(*graph.synapses, delayed)), LOIHI2) == []


@given(st.integers(-1000, 1000))
def test_weights_fit_exactly_the_signed_bytes(weight):
    assert (limits.check(network(weight=weight), LOIHI2) == []) == (-128 <= weight <= 127)


def test_require_names_layer_limit_value_and_remedy():
    limits.require(network(), LOIHI2)
    with pytest.raises(GraphError) as caught:
        limits.require(network(weight=-200, vth=1 << 20), LOIHI2)
    message = str(caught.value)
    for part in ("in->hidden", "does not fit Loihi 2", "1 more broken limit", "limit 8 bits", "got -200",
                 "exponent"):
        assert part in message
    assert "\n" not in message and caught.value.exit_code == 5


def test_a_profile_without_limits_refuses_nothing():
    assert limits.check(network(weight=1000, dv=4096), load("generic-45nm")) == []
