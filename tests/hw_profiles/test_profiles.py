"""Hardware profiles say where every number comes from; limits say what does not fit, where and what
to do.
"""

import inspect
import re
from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmrl.core.graph import (
    Conv2d,
    Dense,
    Graph,
    OneToOne,
    Pointwise,
    Population,
    SumTokens,
    Window,
)
from scmrl.deploy.reports.profiles import ProfilesReport
from scmrl.hw_profiles import layer_limits, limits
from scmrl.hw_profiles.precision import Precision
from scmrl.hw_profiles.profile import KINDS, Profile, Quantity, load, names
from scmrl.hw_profiles.quantities import LIMITS, NAMED, SECTIONS
from scmrl.system.errors import GraphError, ScmrlError, UsageError

SMALL = """
title = "a chip"
chip = "chip"
basis = "made up"
energy_basis = "marginal"
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
        assert quantity.unit == SECTIONS[section][field].unit, key
        assert quantity.kind in KINDS and len(quantity.source) > 10, key
        assert quantity.low <= quantity.value <= quantity.high, key
    for key, quantity in profile.published().items():
        section, *_, field = key.split(".")
        assert quantity.unit == NAMED[section][field].unit, key
        assert quantity.kind in KINDS and len(quantity.source) > 10, key


def test_every_chip_of_the_catalogue_is_there():
    assert {
        "loihi1",
        "loihi1-sanafe",
        "loihi2",
        "spinnaker1",
        "spinnaker2",
        "speck",
        "xylo-audio2",
        "akida1",
        "truenorth",
        "odin",
        "brainscales2",
        "generic-45nm",
        "generic-45nm-int8",
        "cpu-i7",
        "gpu-titan-black",
        "arm",
        "jetson-orin-nano",
    } <= set(names())


@pytest.mark.parametrize("name", ["speck", "xylo-audio2", "akida1", "brainscales2", "jetson-tx1"])
def test_a_chip_without_published_energies_has_none(name):
    profile = load(name)
    assert profile.energy == {} and profile.energy_basis == ""


def test_headlines_are_kept_apart_from_marginal_energies():
    for name, marginal, headline in (("truenorth", 2.297, 26), ("odin", 8.43, 12.7)):
        profile = load(name)
        assert profile.energy_basis == "marginal" and profile.energy["synop"].value == marginal
        assert profile.energy["synop_all_in"].value == headline
    for name in ("seneca", "reckon", "darwin3"):
        assert set(load(name).energy) == {"synop_all_in"} and load(name).energy_basis == "all_in"


def test_fixed_power_and_marginal_energy_give_the_measured_power():
    """TrueNorth's held-out point, 71 mW at 20.07 Hz; ODIN's 477 uW at 37.5 M synops/s (same
    paper).
    """

    def power_mw(name, synops_per_s):
        p = load(name)
        return p.power["chip_fixed"].value + p.energy["synop"].value * 1e-9 * synops_per_s

    assert power_mw("truenorth", 20.07 * 128 * 2**20) == pytest.approx(71, rel=0.0056)
    assert power_mw("odin", 37.5e6) == pytest.approx(0.477, rel=0.01)


def test_systems_are_boards_of_chips():
    assert {name: s["chips"].value for name, s in load("loihi1").systems.items()} == {
        "Kapoho Bay": 2,
        "Nahuku": 32,
        "Pohoiki Springs": 768,
    }
    assert {name: s["chips"].value for name, s in load("loihi2").systems.items()} == {
        "Oheo Gulch": 1,
        "Kapoho Point": 8,
        "VPX board": 16,
        "Hala Point": 1152,
    }


def test_loihi1_holds_the_published_coefficients():
    energy = load("loihi1").energy
    values = [energy[k].value for k in ("synop", "neuron_active", "neuron_inactive", "spike")]
    assert values == [23.6, 81, 52, 1.7]
    assert all(quantity.kind == "published" for quantity in energy.values())


def test_loihi2_energies_are_those_of_loihi1_and_marked_assumed():
    one, two = load("loihi1").energy, dict(load("loihi2").energy)
    assert two.pop("synop_all_in").kind == "derived"
    assert {k: q.value for k, q in one.items()} == {k: q.value for k, q in two.items()}
    assert all(q.kind == "assumed" and "Loihi 1" in q.source for q in two.values())
    assert "its operations have Loihi 1" in load("loihi2").basis


def test_loihi2_is_founded_on_what_was_measured_on_loihi2():
    """No power and no floor of a step is that of Loihi 1, and each says of what it was measured."""
    two = load("loihi2")
    founded = two.power | {name: two.time[name] for name in ("step_floor", "host_step")}
    assert "core_static" not in founded  # static power does not grow with the cores
    assert all("measured" in q.source and "Loihi 1" not in q.source for q in founded.values())
    assert (two.time["step_floor"].value, two.power["chip_fixed"].value) == (1.164, 29.4)


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


@pytest.mark.parametrize("name, hint", [("lohi2", "did you mean 'loihi2'"), ("", "known: akida1")])
def test_unknown_profile_names_the_nearest(name, hint):
    with pytest.raises(UsageError, match=hint):
        load(name)


BROKEN = {
    "no unit": (
        'unit = "pJ", source = "book", kind = "assumed" }',
        'source = "book", kind = "assumed" }',
        "energy.neuron_active: unit is missing",
    ),
    "wrong unit": ('2, unit = "pJ"', '2, unit = "nJ"', "energy.neuron_active: unknown unit"),
    "no source": (
        '2, unit = "pJ", source = "book",',
        '2, unit = "pJ",',
        "neuron_active: source is missing",
    ),
    "unknown source": (
        '"pJ", source = "book"',
        '"pJ", source = "bok"',
        "unknown source (got bok); did",
    ),
    "unknown kind": (
        'kind = "assumed", range',
        'kind = "guessed", range',
        "energy.synop: unknown kind",
    ),
    "text for a number": ("value = 2", 'value = "2"', "neuron_active.value: must be a number"),
    "truth for a number": ("value = 2", "value = true", "neuron_active.value: must be a number"),
    "not a number": ("value = 2", "value = nan", "neuron_active.value: must be a finite number"),
    "range of three": ("[1, 2]", "[1, 2, 3]", "synop.range: must be"),
    "outside its range": ("[1, 2]", "[2, 3]", "energy.synop: value lies outside its range"),
    "unknown quantity": ("synop =", "synops =", "energy.synops: unknown key; did you mean 'synop'"),
    "unknown field": (
        "range = [1, 2]",
        "rang = [1, 2]",
        "synop.rang: unknown key; did you mean 'range'",
    ),
    "errs by everything": (
        "[energy]",
        '[error]\ncore_dynamic_low = { value = -1, unit = "1", source = "book", '
        'kind = "derived" }\ncore_dynamic_high = { value = 1, unit = "1", source = "book", '
        'kind = "derived" }\n[energy]',
        "error.core_dynamic_low: an estimate cannot err",
    ),
    "unknown section": ("[energy]", "[energies]", "energies: unknown key; did you mean 'energy'"),
    "bare number": ("neuron_active = {", "neuron_active = 2 #", "neuron_active: must be a table"),
    "below zero": ("value = 2", "value = -2", "neuron_active: must not be negative"),
    "beyond all": ("value = 2", "value = 1e300", "neuron_active.value: number is too large"),
    "half a neuron": (
        "[energy]",
        '[limits]\ncores = { value = 1.5, unit = "cores", source = "book", '
        'kind = "assumed" }\n[energy]',
        "limits.cores: must be a whole number",
    ),
    "no bits": (
        "[energy]",
        '[limits]\nweight_bits = { value = 0, unit = "bits", source = "book", '
        'kind = "assumed" }\n[energy]',
        "limits.weight_bits: out of bounds (limit 1..64",
    ),
    "no core": (
        "[energy]",
        '[limits]\ncores = { value = 0, unit = "cores", source = "book", '
        'kind = "assumed" }\n[energy]',
        "limits.cores: out of bounds (limit 1..",
    ),
    "half a truth": (
        "[energy]",
        '[limits]\nleak = { value = 2, unit = "1", source = "book", kind = "assumed" }\n[energy]',
        "limits.leak: out of bounds (limit 0..1, got 2)",
    ),
    "endless": (
        "value = 2",
        f"value = {10**400}",
        "neuron_active.value: integer does not fit 64 bits",
    ),
    "list of cores": ("range = [1, 2]", "each = [1, 2]", "synop.each: value must be the largest"),
    "no energy basis": (
        'energy_basis = "marginal"',
        "",
        "energy_basis: must be said where energies are given",
    ),
    "wrong energy basis": (
        '"marginal"',
        '"margin"',
        "energy_basis: unknown word (got margin); did you mean 'marg",
    ),
    "wrong mapping": (
        'chip = "chip"',
        'chip = "chip"\nmapping = "loihi"',
        "mapping: unknown word (got loihi)",
    ),
    "no chips": ("[energy]", "[systems.Board]\n[energy]", "systems.Board: chips is missing"),
    "unknown of a board": (
        "[energy]",
        "[systems.Board]\nchip = 2\n[energy]",
        "systems.Board.chip: unknown key",
    ),
    "board is a number": (
        "[energy]",
        "[systems]\nboard = 2\n[energy]",
        "systems.board: must be a table",
    ),
    "unknown base": (
        'chip = "chip"',
        'chip = "chip"\nbase = "lohi2"',
        "no such hardware profile (got lohi2); did",
    ),
    "no title": ('title = "a chip"', "", "title: must be a text"),
    "base is a number": ('chip = "chip"', 'chip = "chip"\nbase = 3', "base: must be the name"),
    "own base": ('chip = "chip"', 'chip = "chip"\nbase = "SELF"', "each other's base"),
    "half an error": (
        "[energy]",
        '[error]\ncore_dynamic_low = { value = 0, unit = "1", source = "book", '
        'kind = "derived" }\n[energy]',
        "belong together",
    ),
    "not TOML": ("[energy]", "[energy", "not valid TOML"),
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
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


def test_unknown_base_names_what_there_is(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('title = "mine"\nbase = "lohi2"\n')
    with pytest.raises(
        UsageError, match="base: no such hardware profile .got lohi2.; did you mean 'loihi2'"
    ):
        load(path)


def test_a_profile_of_its_own_takes_the_rest_from_its_base(tmp_path):
    """Relative to its own folder; texts that speak of numbers are its own where it gives such
    numbers.
    """
    (tmp_path / "narrow.toml").write_text("""
title = "Loihi 2 with narrow weights"
base = "loihi2"
[sources]
mine = "choice of this project"
[limits]
weight_bits = { value = 4, unit = "bits", source = "mine", kind = "assumed" }
""")
    (tmp_path / "narrower.toml").write_text('title = "narrower"\nbase = "narrow.toml"\n')
    for name in ("narrow", "narrower"):
        mine = load(tmp_path / f"{name}.toml")
        assert (
            mine.limits["weight_bits"].value == 4
            and mine.limits["weight_bits"].source == "choice of this project"
        )
        assert {k: q for k, q in mine.limits.items() if k != "weight_bits"} == {
            k: q for k, q in LOIHI2.limits.items() if k != "weight_bits"
        }
        assert (mine.chip, mine.basis, mine.mapping, mine.systems) == (
            LOIHI2.chip,
            LOIHI2.basis,
            "loihi2",
            LOIHI2.systems,
        )
        assert mine.energy == LOIHI2.energy and mine.title.startswith(("Loihi 2 with", "narrower"))
    priced = tmp_path / "priced.toml"
    priced.write_text(SMALL.replace('basis = "made up"', 'base = "loihi2"', 1))
    with pytest.raises(UsageError, match="priced.toml: basis: must be a text"):
        load(priced)


def test_two_files_that_are_each_others_base_are_refused(tmp_path):
    for name, base in (("one", "two"), ("two", "one")):
        (tmp_path / f"{name}.toml").write_text(f'title = "{name}"\nbase = "{base}.toml"\n')
    with pytest.raises(UsageError, match="each other's base"):
        load(tmp_path / "one.toml")


@pytest.mark.parametrize("base", ["a\\u0000b.toml", "x/" * 3000 + "y.toml", "."])
def test_a_base_that_is_no_path_is_a_clear_error(base, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f'title = "mine"\nbase = "{base}"\n')
    with pytest.raises(UsageError):
        load(path)


LINES = SMALL.split("\n")
VALUES = st.sampled_from(
    [
        "",
        "true",
        "-1",
        "1e999",
        "nan",
        "[]",
        "{}",
        "[[]]",
        "''",
        "1979-05-27",
        "{ value = 1 }",
        "9" * 400,
        "[1, 2",
        "\x00",
        "\u2028",
        '"""',
        "[energy.synop]",
        "base = 'mine.toml'",
    ]
)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["drop", "twice", "value", "field", "swap", "cut"]),
            st.integers(0, 99),
            st.integers(0, 99),
            VALUES,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_file_is_a_profile_or_one_clear_error(tmp_path_factory, edits):
    lines = list(LINES)
    for kind, i, j, value in edits:
        i, j = i % len(lines), j % len(lines)
        if kind == "drop" and len(lines) > 1:
            del lines[i]
        elif kind == "twice":
            lines.insert(j, lines[i])
        elif kind == "value":
            lines[i] = f"{lines[i].split('=')[0]}= {value}"
        elif kind == "field":
            lines[i] = re.sub(
                r"(value|unit|source|kind|range) = [^,}]*",
                lambda match, value=value: f"{match[1]} = {value}",
                lines[i],
                count=1 + j % 5,
            )
        elif kind == "swap":
            lines[i], lines[j] = lines[j], lines[i]
        else:
            lines[i] = lines[i][:j] + value
    check_reader(tmp_path_factory, "\n".join(lines).encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=300))
def test_any_bytes_are_one_clear_error(tmp_path_factory, content):
    check_reader(tmp_path_factory, content)


def check_reader(folders, content):
    path = folders.getbasetemp() / "mine.toml"
    path.write_bytes(content)
    try:
        assert isinstance(load(path), Profile)
    except ScmrlError as error:
        assert "\n" not in str(error) and error.exit_code == 2


def test_brackets_without_end_are_not_toml(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(UsageError, match="not valid TOML"):
        load(path)


def test_missing_file_is_clear(tmp_path):
    with pytest.raises(UsageError, match="cannot read the hardware profile"):
        load(tmp_path / "absent.toml")


# Limits.

LOIHI1, LOIHI2, SPECK, XYLO, AKIDA, ODIN = map(
    load, ("loihi1", "loihi2", "speck", "xylo-audio2", "akida1", "odin")
)


def network(*, weight=1, exponent=0, delay=0, sources=2, bits=1, neurons=1, kind="lif", **lif):
    weights = np.full((neurons, sources), weight)
    return Graph(
        (
            Population("in", (sources,), "input", bits=bits),
            Population("hidden", (neurons,), kind, **lif),
        ),
        (Dense("in", "hidden", weights, exponent=exponent, delay=delay),),
    )


def image(*, source=(2, 8, 8), channels=4, kernel=3, stride=1, padding=1, **lif):
    """One convolution of an image."""
    weight = np.ones((channels, source[0], kernel, kernel), int)
    conv = Conv2d("in", "hidden", weight, (stride, stride), (padding, padding))
    shape = conv.output_shape(source, (channels,))
    return Graph((Population("in", source, "input"), Population("hidden", shape, **lif)), (conv,))


def chain(*sizes):
    """Dense layers of those sizes, each of which fires."""
    populations = tuple(
        Population(f"p{i}", (n,), "lif" if i else "input") for i, n in enumerate(sizes)
    )
    return Graph(
        populations,
        tuple(
            Dense(f"p{i}", f"p{i + 1}", np.ones((m, n), int))
            for i, (n, m) in enumerate(pairwise(sizes))
        ),
    )


def fan(targets, neurons=1):
    """One relay of the input that reaches several populations."""
    names = [f"t{i}" for i in range(targets)]
    return Graph(
        (
            Population("in", (1,), "input"),
            Population("hidden", (1,)),
            *(Population(name, (neurons,)) for name in names),
        ),
        (
            Dense("in", "hidden", np.ones((1, 1), int)),
            *(Dense("hidden", name, np.ones((neurons, 1), int)) for name in names),
        ),
    )


MIXED = Dense("in", "hidden", np.array([[3, -1]]))
ONE_SIGN = Dense("in", "hidden", np.array([[3, 0]]))

# rule: (chip, a network at its limit, one beyond it or None, where, the value found)
CASES = {
    "weight_bits": (LOIHI2, network(weight=-128), network(weight=128), "in->hidden", "128"),
    "weight_exponent": (LOIHI2, network(exponent=7), network(exponent=8), "in->hidden", "8"),
    "mixed_signs": (
        ("mixed_signs", 0),
        replace(network(), synapses=(ONE_SIGN,)),
        replace(network(), synapses=(MIXED,)),
        "in->hidden",
        "-1..3",
    ),
    "decay_bits": (LOIHI2, network(dv=4095, du=0), network(dv=4096), "hidden.dv", "4096"),
    "any_decay": (XYLO, network(dv=512, du=1023), network(dv=513), "hidden.dv", "513"),
    "leak": (SPECK, network(dv=0), network(dv=1), "hidden", "1"),
    "current_memory": (SPECK, network(du=4095), network(du=0), "hidden", "0"),
    "membrane_memory": (AKIDA, network(memoryless=True), network(), "hidden", "a membrane"),
    "state_reset": (SPECK, network(), network(memoryless=True), "hidden", "memoryless"),
    "threshold_bits": (
        LOIHI2,
        network(vth=(1 << 17) - 1),
        network(vth=1 << 17),
        "hidden",
        "131072",
    ),
    "bias_mantissa_bits": (
        LOIHI2,
        network(bias_mant=-4096),
        network(bias_mant=4096),
        "hidden",
        "4096",
    ),
    "bias_exponent": (LOIHI2, network(bias_exp=7), network(bias_exp=8), "hidden", "8"),
    "input_bits": (LOIHI1, network(bits=1), network(bits=2), "in", "2"),
    "state_bits": (
        ("state_bits", 16),
        Graph((Population("in", (1,), "input"),), ()),
        network(),
        "hidden",
        "24",
    ),
    "inputs": (XYLO, network(sources=16), network(sources=17), "all inputs", "17"),
    "hidden_neurons": (
        XYLO,
        network(neurons=1000),
        network(neurons=1001),
        "all firing populations",
        "1001",
    ),
    "readouts": (
        XYLO,
        network(neurons=8, kind="readout"),
        network(neurons=9, kind="readout"),
        "readout",
        "9",
    ),
    "neurons_per_chip": (
        ODIN,
        network(neurons=256),
        network(neurons=257),
        "all populations",
        "257",
    ),
    "synapses_per_chip": (ODIN, chain(256, 256), chain(256, 256, 1), "all synapses", "65792"),
    "memory_per_chip": (
        ("memory_per_chip", 16),
        network(weight=127),
        network(weight=128),
        "all weights",
        "18",
    ),
    "fan_out": (XYLO, chain(4, 2, 64), chain(4, 2, 65), "p1", "65"),
    "axons_in_per_core": (LOIHI1, network(sources=4096), network(sources=4097), "hidden", "4097"),
    "axons_out_per_core": (("axons_out_per_core", 3), fan(3), fan(4), "hidden", "4"),
    "synapse_words_per_core": (
        LOIHI2,
        network(sources=12000),
        network(sources=12001),
        "hidden",
        "12001",
    ),
    "synapse_memory_per_core": (
        ("synapse_memory_per_core", 16),
        network(weight=127),
        network(weight=128),
        "hidden",
        "18",
    ),
    "layers": (SPECK, chain(*[2] * 10), chain(*[2] * 11), "all populations", "10"),
    "layer_targets": (SPECK, fan(2), fan(3), "hidden", "3"),
    "kernel_words_per_core": (
        SPECK,
        network(sources=64, neurons=1024),
        network(sources=65, neurons=1024),
        "hidden",
        "66560",
    ),
    "neuron_words_per_core": (
        SPECK,
        image(source=(1, 64, 64), channels=16),
        image(source=(1, 64, 64), channels=17),
        "hidden",
        "69632",
    ),
    "channels": (SPECK, chain(1, 1024), chain(1, 1025), "p1", "1025"),
    "input_channels": (AKIDA, image(source=(3, 8, 8)), image(source=(4, 8, 8)), "in", "4"),
    "biases_per_layer": (
        SPECK,
        chain(1, 1024),
        network(neurons=1025, bias_mant=1),
        "hidden",
        "1025",
    ),
    "input_width": (
        SPECK,
        image(source=(1, 2, 128), stride=2),
        image(source=(1, 2, 129), stride=4),
        "in",
        "129",
    ),
    "layer_width": (SPECK, image(source=(1, 64, 64)), image(source=(1, 2, 65)), "hidden", "65"),
    "kernel_size": (
        SPECK,
        image(kernel=16, padding=7),
        image(source=(1, 17, 17), kernel=17),
        "in->hidden",
        "17",
    ),
    "even_kernels": (AKIDA, image(kernel=3), image(kernel=2), "in->hidden", "2x2"),
    "stride": (SPECK, image(stride=8), image(stride=16), "in->hidden", "16"),
    "any_stride": (SPECK, image(stride=4), image(stride=3), "in->hidden", "3"),
    "padding": (SPECK, image(padding=7), image(padding=8), "in->hidden", "8"),
    "dense_inputs": (AKIDA, network(sources=57334), network(sources=57335), "in->hidden", "57335"),
}


def only(rule, chip):
    """A profile with the limits that one rule reads and no others: of `chip`, or (name, value)."""
    if isinstance(chip, tuple):
        unit = LIMITS[chip[0]].unit
        chip = replace(
            LOIHI2, limits={chip[0]: Quantity(chip[1], unit, "made up for this test", "assumed")}
        )
    reads = (rule, *inspect.signature(limits.RULES[rule]).parameters)
    return replace(chip, limits={name: q for name, q in chip.limits.items() if name in reads})


def test_every_rule_is_documented_and_tested():
    assert set(CASES) == set(limits.RULES)
    for name, rule in limits.RULES.items():
        text, remedy = inspect.getdoc(rule).split("Remedy:")
        assert text.strip() and remedy.strip() and name in LIMITS


def test_every_rule_that_a_chip_gives_is_one_or_placements():
    """A limit that no rule reads is there for placement alone."""
    placement = {
        "cores",
        "neurons_per_core",
        "delay_steps",
        "accumulators_per_core",
        "conv_tile_neurons",
        "synapses_per_entry",
        "memory_per_core",
        "memory_per_chip",
        "synapse_bits",
        "index_bits",
        "skip_bits",
        "entry_prefix_bits",
        "words_per_axon",
        "synapse_formats_per_core",
        "destination_groups_per_core",
        "neuron_groups_per_core",
        "cores_per_tile",
        "mesh_columns",
        "mesh_rows",
    }
    assert set(LIMITS) == placement | set(limits.RULES)


@pytest.mark.parametrize("rule", CASES)
def test_limit_holds_up_to_its_last_value(rule):
    chip, inside, outside, where, value = CASES[rule]
    chip = only(rule, chip)
    assert limits.check(inside, chip) == []
    (violation,) = [v for v in limits.check(outside, chip) if v.rule == rule]
    assert (violation.where, violation.value) == (where, value)
    assert violation.limit == "not on this chip" or violation.limit.startswith(
        f"{int(chip.limits[rule].value)} "
    )
    assert violation.text and violation.remedy


@pytest.mark.parametrize("rule", ["neurons_per_chip", "axons_in_per_core"])
def test_loihi2_holds_exactly_its_limits(rule):
    wide, beyond = {
        "neurons_per_chip": (
            network(neurons=491520, sources=1),
            network(neurons=491521, sources=1),
        ),
        "axons_in_per_core": (network(sources=12000), network(sources=16001)),
    }[rule]
    assert limits.check(wide, LOIHI2) == []
    assert rule in {violation.rule for violation in limits.check(beyond, LOIHI2)}


def test_output_axons_count_the_cores_that_a_neuron_reaches():
    chip = only("axons_out_per_core", LOIHI1)
    few = replace(
        chip,
        limits={
            name: replace(q, value={"axons_out_per_core": 2}.get(name, q.value))
            for name, q in chip.limits.items()
        },
    )
    assert limits.check(chain(1, 1, 2048), few) == []
    (violation,) = limits.check(chain(1, 1, 2049), few)
    assert violation.where == "p1" and violation.value == "3"


def test_speck_gives_each_layer_a_core_with_room_for_both_memories():
    """Four layers need 32 Ki kernel words: just four cores have them, the fifth finds none."""
    chip = only("layers", SPECK)
    assert limits.check(chain(*[64, 512] * 2, 64), chip) == []
    (violation,) = limits.check(chain(*[64, 512] * 3), chip)
    assert violation.where == "p5"
    assert violation.value == "no free core for 32768 kernel and 512 neuron words"
    many = image(source=(1, 64, 64), channels=16)  # 64 Ki neuron words: only the first three cores
    hidden = [replace(many["hidden"], name=f"h{i}") for i in range(4)]
    parts = [replace(many.synapses[0], target=p.name) for p in hidden]
    assert limits.check(Graph((many["in"], *hidden[:3]), tuple(parts[:3])), chip) == []
    (violation,) = limits.check(Graph((many["in"], *hidden), tuple(parts)), chip)
    assert violation.value == "no free core for 256 kernel and 65536 neuron words"


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4), st.data())
def test_layers_find_cores_wherever_some_order_does(cores, data):
    """The rule against every order of cores. A layer of 1 source needs `kernels` = `neurons`
    words.
    """
    sizes = data.draw(st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=len(cores)))
    hidden = [Population(f"h{i}", (n,)) for i, n in enumerate(sizes)]
    graph = Graph(
        (Population("in", (1,), "input"), *hidden),
        tuple(Dense("in", p.name, np.ones((p.neurons, 1), int)) for p in hidden),
    )
    kernels, neurons = zip(*((2 ** (k - 1), 2 ** (n - 1)) for k, n in cores))
    found = list(
        limits.RULES["layers"](
            graph, len(cores), kernel_words_per_core=kernels, neuron_words_per_core=neurons
        )
    )
    alone = [n for n in sizes if any(n <= k and n <= m for k, m in zip(kernels, neurons))]
    possible = any(
        all(n <= kernels[i] and n <= neurons[i] for n, i in zip(alone, order))
        for order in permutations(range(len(cores)), len(alone))
    )
    assert (found == []) == possible


def test_kernels_take_the_words_that_sinabs_counts():
    """C_in * 2^(ceil log2(kx ky) + ceil log2(C_out)); neurons round each side up to a power
    of two.
    """
    graph = image(source=(3, 9, 9), channels=5, kernel=3)
    assert layer_limits.kernel_words(graph, graph["hidden"]) == 3 * 16 * 8
    assert layer_limits.neuron_words(graph["hidden"]) == 5 * 16 * 16
    flat = Graph(
        (Population("in", (2, 3, 3), "input"), Population("hidden", (10,))),
        (Dense("in", "hidden", np.ones((10, 18), int)),),
    )
    assert layer_limits.kernel_words(flat, flat["hidden"]) == 2 * 16 * 16


def test_a_convolution_runs_on_speck_but_for_its_narrow_states():
    (violation,) = limits.check(image(), SPECK)
    assert violation.rule == "state_bits" and violation.limit == "16 bits"


@pytest.mark.parametrize(
    ("chip", "rule", "field", "values", "found"),
    [
        (LOIHI2, "decay_bits", "dv", (4095, 4096, 0), "4096"),
        (LOIHI2, "decay_bits", "du", (4095, 0, -1), "-1"),
        (LOIHI2, "threshold_bits", "vth", (5, 1 << 17, 0), "131072"),
        (XYLO, "any_decay", "dv", (512, 0, 513), "513"),
        (SPECK, "leak", "dv", (0, 0, 7), "7"),
        (SPECK, "current_memory", "du", (4095, 4095, 9), "9"),
    ],
)
def test_every_neuron_is_held_to_a_limit(chip, rule, field, values, found):
    def of(values):
        return network(neurons=3, **{field: np.resize(np.array(values), 3)})

    assert rule not in {violation.rule for violation in limits.check(of(values[:1]), chip)}
    (violation,) = [v for v in limits.check(of(values), chip) if v.rule == rule]
    assert violation.where.startswith("hidden") and str(violation.value) == found


def test_no_memory_of_decay_minus_one():
    (violation,) = limits.check(network(du=-1), LOIHI2)
    assert violation.where == "hidden.du"


def test_two_synapses_from_the_same_neurons_share_their_axons():
    graph = network(sources=4096)
    delayed = Dense("in", "hidden", np.ones((1, 4096), int), delay=1)
    chip = only("axons_in_per_core", LOIHI1)
    assert limits.check(replace(graph, synapses=(*graph.synapses, delayed)), chip) == []
    more = replace(
        graph,
        populations=(*graph.populations, Population("other", (1,), "input")),
        synapses=(*graph.synapses, Dense("other", "hidden", np.ones((1, 1), int))),
    )
    (violation,) = limits.check(more, chip)
    assert violation.value == "4097"


@given(st.data())
def test_fan_in_is_that_of_the_listed_synapses(data):
    """Counted without listing connections, equal to counting the list, for every kind of
    synapse.
    """
    number = st.integers(1, 3)
    weights = np.random.default_rng(data.draw(st.integers(0, 99)))
    c, o, h, k, stride, pad = (data.draw(number) for _ in range(6))
    h += 2
    source = (c, h, h)
    conv = Conv2d(
        "a", "b", weights.integers(-1, 2, (o, c, k, k)), (stride, stride), (pad - 1, pad - 1)
    )
    window = Window("a", "b", 1, (k, k), (stride, stride), (pad - 1, pad - 1))
    synapse, target = data.draw(
        st.sampled_from(
            [
                (conv, conv.output_shape(source, ())),
                (window, window.output_shape(source, ())),
                (Pointwise("a", "b", weights.integers(-1, 2, (o, c))), (o, h, h)),
                (SumTokens("a", "b", 2), (c,)),
                (Dense("a", "b", weights.integers(-1, 2, (o, c * h * h))), (o,)),
                (OneToOne("a", "b", -1), source),
            ]
        )
    )
    graph = Graph((Population("a", source, "input"), Population("b", target)), (synapse,))
    rows = synapse.coordinates(source, target)[0]
    expected = int(np.bincount(rows, minlength=1).max(initial=0))
    chip = replace(
        LOIHI1, limits={"axons_in_per_core": replace(LOIHI1.limits["axons_in_per_core"], value=0)}
    )
    assert [v.value for v in limits.check(graph, chip)] == ([str(expected)] if expected else [])


@given(st.integers(-1000, 1000))
def test_weights_fit_exactly_the_signed_bytes(weight):
    assert (limits.check(network(weight=weight), LOIHI2) == []) == (-128 <= weight <= 127)


def test_require_names_layer_limit_value_and_remedy():
    limits.require(network(), LOIHI2)
    with pytest.raises(GraphError) as caught:
        limits.require(network(weight=-200, vth=1 << 20), LOIHI2)
    message = str(caught.value)
    for part in (
        "in->hidden",
        "does not fit Loihi 2",
        "1 more broken limit",
        "limit 8 bits",
        "got -200",
        "exponent",
    ):
        assert part in message
    assert "\n" not in message and caught.value.exit_code == 5


def test_a_profile_without_limits_refuses_nothing():
    assert limits.check(network(weight=1000, dv=4096), load("generic-45nm")) == []


# Training.


def test_a_model_for_a_chip_of_4_bit_weights_fits_it(tmp_path):
    """Trained for a narrower profile, the frozen network keeps its limits; for the wide one it does
    not.
    """
    torch = pytest.importorskip("torch")
    from scmrl.network.model import SCMRL
    from scmrl.network.settings import ModelConfig
    from scmrl.train.freeze import freeze

    path = tmp_path / "narrow.toml"
    path.write_text(
        'title = "narrow"\nbase = "loihi2"\n[sources]\nmine = "choice of this test"\n[limits]\n'
        'weight_bits = { value = 4, unit = "bits", source = "mine", kind = "assumed" }\n'
        'bias_mantissa_bits = { value = 9, unit = "bits", source = "mine", kind = "assumed" }\n'
    )
    narrow = load(path)
    frames = np.random.default_rng(3).integers(0, 64, (2, 4, 1, 32, 32)).astype(np.uint8)
    graphs = {}
    for chip in (narrow, LOIHI2):
        torch.manual_seed(0)
        model = SCMRL(
            ModelConfig(modalities=("audio",), width=16, steps=2),
            {"audio": (1, 32, 32)},
            2,
            precision=Precision.of(chip),
        )
        optimiser = torch.optim.SGD(model.parameters(), 0.01)
        labels = torch.tensor([0, 1, 0, 1])
        for batch in frames:
            optimiser.zero_grad()
            logits = model.train()({"audio": torch.from_numpy(batch).float().unsqueeze(0)}).logits
            torch.nn.functional.cross_entropy(logits, labels).backward()
            optimiser.step()
        graphs[chip.name] = freeze(
            model,
            {"audio": frames[0]},
            labels.numpy(),
            ("a", "b"),
            frontend={},
            metrics={},
            training={},
            profile=chip.name,
        ).graph
    assert limits.check(graphs["narrow"], narrow) == []
    assert max(int(np.abs(s.weight).max()) for s in graphs["narrow"].synapses) == 7
    assert {v.rule for v in limits.check(graphs["loihi2"], narrow)} >= {"weight_bits"}


def test_training_needs_a_sign_and_a_magnitude():
    one = replace(LOIHI2, limits={"weight_bits": replace(LOIHI2.limits["weight_bits"], value=1)})
    with pytest.raises(
        UsageError, match="loihi2: limits.weight_bits: training needs weights of two bits"
    ):
        Precision.of(one)


# The command.


def test_overview_says_what_each_profile_can_do(capsys):
    report = ProfilesReport(tuple(map(load, names())))
    report.show()
    text = capsys.readouterr().out
    can = {name: table["can"] for name, table in report.to_json()["profiles"].items()}
    assert all(name in text for name in names())
    assert can["loihi2"] == {
        "evidence": "assumed, derived",
        "energy": "per operation, headline",
        "placement": "loihi2 rule",
        "limits": 13,
        "boards": 4,
        "cases": 5,
    }
    assert can["speck"]["energy"] == "-" and can["speck"]["limits"] > 10
    assert can["truenorth"]["placement"] == "bounds" and can["cpu-i7"]["energy"] == "MACs"


@pytest.mark.parametrize("name", names())
def test_one_profile_shows_every_number_and_source(name, capsys):
    profile = load(name)
    ProfilesReport((profile,)).show()
    text = capsys.readouterr().out
    words = " ".join(text.split())
    for key, q in {**profile.quantities(), **profile.published()}.items():
        assert key in text and f"{q.value:,}" in text and q.kind in text
        assert all(word in words for word in q.source.split())


# A chip of the user's own.


def test_a_base_alone_is_a_profile(tmp_path):
    (tmp_path / "mine.toml").write_text('base = "loihi2"\n')
    mine = load(tmp_path / "mine.toml")
    assert mine.quantities() == LOIHI2.quantities() and mine.basis == LOIHI2.basis
    assert mine.title == "Loihi 2 (Loihi 1 coefficients), as mine changes it"


def test_all_that_is_wrong_with_a_file_is_told_at_once(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("""
title = 3
mapping = "loihi3"
[sources]
book = "a book"
[energy]
synop = { value = "1", unit = "pJ", source = "book", kind = "assumed" }
spike = { value = 1 }
[limits]
cores = { value = -2, unit = "cores", source = "book", kind = "assumed" }
delays = { value = 1, unit = "steps", source = "book", kind = "assumed" }
[systems.board]
""")
    with pytest.raises(UsageError) as caught:
        load(path)
    for part in (
        "9 faults",
        "title: must be a text",
        "chip: must be a text",
        "basis: must be a text",
        "mapping: unknown word",
        "energy_basis: must be said",
        "synop.value: must be a number",
        "spike: unit, source, kind are missing",
        "delays: unknown key",
        "board: chips is missing",
    ):
        assert part in str(caught.value).replace("10 faults", "9 faults"), part
    assert "cores: must not be negative" in str(caught.value) and "\n" not in str(caught.value)


def test_many_faults_are_counted(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL + "".join(f"key{i} = 1\n" for i in range(30)))
    with pytest.raises(UsageError, match="30 faults: .* and 10 more"):
        load(path)


def filled(text, value):
    """The template with every quantity given, each system and case under a name."""
    text = re.sub(r"^# (\w+ = \{ value = )\?", lambda m: m[1] + value, text, flags=re.M)
    text = re.sub(r"^# (\[(?:systems|cases))", r"\1", text, flags=re.M)
    return re.sub(r"^# ((?:energy_basis|mapping) =)", r"\1", text, flags=re.M)


def test_a_filled_template_is_a_profile_of_every_quantity(scmrl, tmp_path):
    path = tmp_path / "mine.toml"
    code, _, err = scmrl("profiles", "--template", path)
    assert code == 0 and "wrote" in err
    assert load(path).quantities() == {}  # as it is written: a chip of which nothing is known
    path.write_text(filled(path.read_text(), "1"))
    mine = load(path)
    assert set(mine.quantities()) == {
        f"{section}.{key}" for section, entries in SECTIONS.items() for key in entries
    }
    assert set(mine.published()) == {
        f"{section}.a name.{key}" for section, entries in NAMED.items() for key in entries
    }
    assert mine.energy_basis == "marginal" and mine.mapping == "loihi1"
    assert scmrl("profiles", path)[0] == 0
    path.write_text(path.read_text().replace('# base = "loihi2"', 'base = "loihi2"'))
    assert load(path).systems.keys() == {*LOIHI2.systems, "a name"}


def test_the_template_tells_unit_and_meaning_of_every_quantity():
    from scmrl.hw_profiles.template import meaning, text

    lines = text("mine.toml").splitlines()
    for entries in (*SECTIONS.values(), *NAMED.values()):
        for key, entry in entries.items():
            words = meaning(key, entry)
            assert len(words) > 5 and words != key
            assert any(
                line.startswith(f'# {key} = {{ value = ?, unit = "{entry.unit}"') and words in line
                for line in lines
            )


def test_a_template_replaces_nothing(scmrl, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("mine")
    code, _, err = scmrl("profiles", "--template", path)
    assert code == 2 and "is there already" in err and path.read_text() == "mine"
    assert scmrl("profiles", "--template", tmp_path / "mine.txt")[0] == 2
    assert scmrl("profiles", "loihi2", "--template", tmp_path / "new.toml")[0] == 2
    assert not (tmp_path / "new.toml").exists()


@pytest.mark.parametrize("names", ["", " ", ","])
def test_no_name_of_a_chip_is_a_usage_error(scmrl, model, names):
    code, _, err = scmrl("energy", model, "--profile", names)
    assert code == 2 and "--profile" in err
    assert scmrl("place", model, "--profile", names)[0] == 2
    assert scmrl("profiles", names)[0] == 2


def test_two_chips_of_one_name_are_refused(scmrl, model, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.toml").write_text('base = "loihi2"\n')
    code, _, err = scmrl(
        "energy", model, "--profile", f"{tmp_path}/a/mine.toml,{tmp_path}/b/mine.toml"
    )
    assert code == 2 and "two chips have one name" in err
    code, out, _ = scmrl("energy", model, "--profile", "loihi2,loihi2", "--json")
    assert code == 0 and out.count('"us_per_step"') >= 1
