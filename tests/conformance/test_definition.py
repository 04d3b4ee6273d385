"""The reference itself, against values worked out by hand: the definition that all backends are
held to.
"""

import numpy as np
import pytest
from conformance.graphs import GRAPHS, constant, graph, one_neuron, source

from scmrl.core import reference
from scmrl.core.graph import Broadcast, Dense, OneToOne, Population, SumTokens
from scmrl.system.errors import DataError

UNIT = 64  # membrane units of a synaptic sum of 1
TOP = 2**23 - 1


def run(case):
    return reference.run(*case)


def membrane(case) -> list[int]:
    (v,) = run(case).membrane.values()
    return v[0].ravel().tolist()


def spikes(case, name="y", sample=0) -> list[int]:
    return run(case).spikes[name][sample].ravel().tolist()


def test_a_spike_needs_more_than_the_threshold():
    activity = run(GRAPHS["threshold_equality"]())
    assert not activity.spikes["at"].any() and activity.spikes["above"].all()


def test_the_membrane_adds_up_and_resets_to_zero():
    assert spikes(one_neuron(4, vth=10, steps=6)) == [0, 0, 1, 0, 0, 1]  # 4, 8, 12 -> 0, 4, 8, 12


def test_the_membrane_adds_up_and_loses_the_threshold():
    case = GRAPHS[
        "subtract"
    ]()  # 5 a step, 12: 5, 10, 15 -> 3, 8, 13 -> 1, 6, 11, 16 -> 4, 9, 14 -> 2, 7, 12
    assert spikes(case) == [0, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0]


def test_each_neuron_has_its_own_threshold_leaks_and_reset():
    """Population by population, neuron by neuron: the same values as alone."""
    for name in ("borders_by_neuron", "subtract_by_neuron", "decays_by_neuron"):
        network, inputs = GRAPHS[name]()
        p, whole = network["y"], reference.run(network, inputs).spikes["y"]
        for i in range(p.neurons):
            one = {key: int(p.per_neuron(getattr(p, key))[i]) for key in ("vth", "du", "dv")}
            rows = [
                Dense(s.source, "y", s.weight[i : i + 1], exponent=s.exponent)
                for s in network.incoming("y")
            ]
            alone = graph(
                network["x"],
                Population("y", (1,), **one, reset=p.reset),
                *rows,
                steps=network.steps,
            )
            assert np.array_equal(run((alone, inputs)).spikes["y"][..., 0], whole[..., i])


def test_a_memoryless_membrane_after_subtraction_is_seen_where_it_is_added():
    activity = run(GRAPHS["joined_after_subtraction"]())
    left = activity.membrane["potential"]
    fired = activity.spikes["y"].astype(bool)
    assert (left[fired] > 0).all() and (left[fired] % UNIT == 0).all() and fired.any()


def test_leak_rounds_toward_zero_on_both_sides():
    expected, v = [], 0
    for _ in range(10):
        v = v * (4096 - 1500) // 4096 + 7 * UNIT
        expected.append(v)
    assert membrane(GRAPHS["positive_membrane_decays_toward_zero"]()) == expected
    assert membrane(GRAPHS["negative_membrane_decays_toward_zero"]()) == [-v for v in expected]


def test_a_membrane_of_minus_one_vanishes():
    case = GRAPHS["small_negative_membrane_vanishes"]()
    assert membrane(case) == [-1] * 5  # the bias adds -1 to what has decayed to 0


def test_a_current_keeps_what_its_decay_leaves():
    case = one_neuron(
        8, kind="readout", du=2047, dv=4096, steps=3
    )  # u halves: 512, 256 + 512, 384 + 512
    assert membrane(case) == [512, 768, 896]


def test_a_current_with_du_minus_one_never_decays():
    assert membrane(one_neuron(1, kind="readout", du=-1, dv=4096, steps=4)) == [64, 128, 192, 256]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("current_wraps_up", (100 << 17) - 2**24),
        ("current_wraps_down", 2**24 - (100 << 17)),
        ("current_at_border", TOP),
        ("current_at_negative_border", TOP),
        ("current_far_beyond_border", TOP),
    ],
)
def test_the_current_wraps_once(name, expected):
    case = GRAPHS[name]()
    assert membrane(case)[0] == expected
    assert run(case).overflow["y"] == case[0].steps


def test_a_current_at_the_border_crosses_none():
    case = GRAPHS["current_at_border_below_saturation"]()
    assert membrane(case) == [2**23 - 100, (100 << 17) - 2**24 - 100] * 6
    assert run(case).overflow["y"] == 6  # those of the second neuron


def test_the_membrane_saturates():
    up, down = (
        membrane(GRAPHS["membrane_saturates_up"]()),
        membrane(GRAPHS["membrane_saturates_down"]()),
    )
    assert up[:3] == [120 << 15, 240 << 15, TOP] and up[-1] == TOP
    assert down == [-v for v in up]


def test_a_bias_is_in_membrane_units():
    network = graph(
        source(1),
        Population("y", (2,), "readout", bias_mant=np.array([3, -5]), bias_exp=4),
        Dense("x", "y", np.array([[1], [1]])),
        steps=2,
    )
    assert membrane(constant(network)) == [64 + 48, 64 - 80, 128 + 96, 128 - 160]


def test_memoryless_means_each_step_for_itself():
    case = one_neuron(5, kind="readout", memoryless=True, du=0, bias_mant=1, steps=3)
    assert membrane(case) == [321, 321, 321]


def test_full_leak_leaves_the_current_and_4095_a_remainder():
    assert membrane(one_neuron(64, kind="readout", dv=4096, steps=3)) == [4096, 4096, 4096]
    assert membrane(one_neuron(64, kind="readout", dv=4095, steps=3)) == [4096, 4097, 4097]


def train(*rows) -> np.ndarray:
    """One sample [1, T, N] from one string of 0 and 1 a neuron."""
    return np.array([[int(bit) for bit in row] for row in rows]).T[None]


def test_and_or_of_two_trains():
    network = graph(
        source(1, name="a"),
        source(1, name="b"),
        Population("and", (1,), vth=1, memoryless=True),
        Population("or", (1,), vth=0, memoryless=True),
        *(OneToOne(s, gate, 1) for s in "ab" for gate in ("and", "or")),
        steps=4,
    )
    case = network, {"a": train("0011"), "b": train("0101")}
    assert spikes(case, "and") == [0, 0, 0, 1] and spikes(case, "or") == [0, 1, 1, 1]


def test_a_mask_fires_from_k_tokens_on():
    network = graph(
        source(1, 3),
        Population("mask", (1,), vth=1, memoryless=True),
        SumTokens("x", "mask", 1),
        steps=4,
    )
    x = train("0111", "0011", "0001").reshape(1, 4, 1, 3)
    assert spikes((network, {"x": x}), "mask") == [0, 0, 1, 1]


def test_a_slow_leak_remembers():
    network = graph(
        source(1, 2), Population("mask", (1,), vth=1, dv=1024), SumTokens("x", "mask", 1), steps=5
    )
    x = train("10110", "00000").reshape(1, 5, 1, 2)  # v/64: 1, 3/4, 9/16 + 1 fires, 1, 3/4
    assert spikes((network, {"x": x}), "mask") == [0, 0, 1, 0, 0]


def test_a_mask_gates_all_tokens_of_its_channel():
    network = graph(
        source(2, 2, name="q"),
        source(2, name="m"),
        Population("gate", (2, 2), vth=1, memoryless=True),
        OneToOne("q", "gate", 1),
        Broadcast("m", "gate", 1),
        steps=1,
    )
    case = network, {"q": np.array([[[[1, 0], [1, 1]]]]), "m": np.array([[[1, 0]]])}
    assert spikes(case, "gate") == [1, 0, 0, 0]


def test_a_window_is_max_pool():
    activity = run(GRAPHS["pool_of_odd_size"]())
    x = GRAPHS["pool_of_odd_size"]()[1]["x"]
    padded = np.pad(x, ((0, 0),) * 3 + ((1, 1),) * 2)
    for row, column in np.ndindex(4, 3):
        assert np.array_equal(
            activity.spikes["or"][..., row, column],
            padded[..., 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].max((3, 4)),
        )


def test_zero_delay_is_the_same_step_and_a_delay_shifts():
    network = graph(
        source(1),
        Population("now", (1,), vth=0),
        Population("next", (1,), vth=0),
        Population("later", (1,), vth=0),
        OneToOne("x", "now", 1),
        OneToOne("now", "next", 1),
        OneToOne("x", "later", 1, delay=3),
        steps=6,
    )
    case = network, {"x": train("101000")}
    assert spikes(case, "now") == spikes(case, "next") == [1, 0, 1, 0, 0, 0]
    assert spikes(case, "later") == [0, 0, 0, 1, 0, 1]


def test_feedback_arrives_one_step_later():
    network = graph(
        source(1),
        Population("y", (1,), vth=0),
        OneToOne("x", "y", 1),
        OneToOne("y", "y", 1, delay=1),
        steps=5,
    )
    assert spikes((network, {"x": train("01000")})) == [0, 1, 1, 1, 1]


def test_a_joined_membrane_is_added_in_the_same_step_after_its_reset():
    """The slow one rises by 2 and resets above 5; the other leaks all of its own and adds what is
    there.
    """
    network = graph(
        source(1),
        Population("slow", (1,), vth=5),
        OneToOne("x", "slow", 2),
        Population("z", (1,), "readout", dv=4096, adds="slow"),
        OneToOne("x", "z", 10),
        steps=5,
    )
    assert membrane((network, {"x": train("11111")})) == [
        12 * UNIT,
        14 * UNIT,
        10 * UNIT,
        12 * UNIT,
        14 * UNIT,
    ]


def test_samples_do_not_meet():
    case = GRAPHS["recurrent_over_two_layers"]()
    together = run(case)
    for i in range(3):
        alone = run((case[0], {name: x[i : i + 1] for name, x in case[1].items()}))
        for name, s in alone.spikes.items():
            assert np.array_equal(s[0], together.spikes[name][i])


@pytest.mark.parametrize(
    "inputs, match",
    [
        ({}, "x: input is missing"),
        ({"x": np.zeros((1, 2, 3))}, "x: input must be integers"),
        ({"x": np.zeros((1, 2, 4), int)}, "x: input has the wrong shape"),
        ({"x": np.full((1, 2, 3), 2)}, "x: .*out of range"),
        ({"x": np.zeros((1, 2, 3), int), "y": np.zeros((1, 2, 3), int)}, "y: no such input"),
    ],
)
def test_wrong_inputs_are_named(inputs, match):
    with pytest.raises(DataError, match=match):
        reference.run(graph(source(3), Population("z", (3,)), OneToOne("x", "z", 1)), inputs)
