"""The chip's arithmetic against an independent one in unbounded integers, and by hand at every
border.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmrl.core.fixed_point import RESETS, STATE_MAX, decay, lif_step, saturate, wrap

BORDER = 2**23
states = st.integers(-BORDER, BORDER)


def toward_zero(numerator: int, denominator: int) -> int:
    magnitude = abs(numerator) // denominator
    return magnitude if numerator >= 0 else -magnitude


def step_by_hand(u, v, a, du, dv, vth, bias, reset):
    """The equation of fixed_point's docstring, one neuron, in Python integers."""
    overflow = False
    u = toward_zero(u * (4096 - (du + 1)), 4096) + a * 64
    if u > BORDER:
        u, overflow = u - 2**24, True
    elif u <= -BORDER:
        u, overflow = u + 2**24, True
    v = toward_zero(v * (4096 - dv), 4096) + u + bias
    if abs(v) > BORDER - 1:
        v, overflow = (BORDER - 1 if v > 0 else 1 - BORDER), True
    spike = v > vth * 64
    if spike:
        v = v - vth * 64 if reset == "subtract" else 0
    return u, v, spike, overflow


resets = st.sampled_from(RESETS)
neurons = st.tuples(
    states,
    states,
    st.integers(-(2**18), 2**18),
    st.integers(-1, 4095),  # du
    st.integers(0, 4096),  # dv
    st.integers(0, 2**17 - 1),  # vth
    st.integers(-(2**20), 2**20),  # bias
)


@given(neuron=neurons, reset=resets)
def test_step_equals_unbounded_integers(neuron, reset):
    expected = step_by_hand(*neuron, reset)
    (*state, du, dv, vth, bias) = neuron
    got = lif_step(
        *(np.array([x], np.int64) for x in state), du=du, dv=dv, vth=vth, bias=bias, reset=reset
    )
    assert (int(got[0][0]), int(got[1][0]), bool(got[2][0]), got[3]) == (
        *expected[:3],
        int(expected[3]),
    )


@given(several=st.lists(neurons, min_size=2, max_size=5), reset=resets)
def test_neurons_of_one_step_have_parameters_of_their_own(several, reset):
    u, v, a, du, dv, vth, bias = (np.array(column, np.int64) for column in zip(*several))
    got = lif_step(u, v, a, du=du, dv=dv, vth=vth, bias=bias, reset=reset)
    expected = [step_by_hand(*neuron, reset) for neuron in several]
    assert [x.tolist() for x in got[:3]] == [list(column) for column in list(zip(*expected))[:3]]
    assert got[3] == sum(overflow for *_, overflow in expected)


@given(neuron=neurons)
def test_what_a_subtraction_leaves_is_a_state(neuron):
    """Above zero, and no larger than the membrane before: nothing to saturate once more."""
    (*state, du, dv, vth, bias) = neuron
    arrays = [np.array([x], np.int64) for x in state]
    options = {"du": du, "dv": dv, "vth": vth, "bias": bias}
    _, before, _, _ = lif_step(*arrays, **options, fires=False)
    _, after, s, _ = lif_step(*arrays, **options, reset="subtract")
    assert (0 < after[0] <= before[0]) if s[0] else after[0] == before[0]


@given(x=st.integers(-(2**40), 2**40), by=st.integers(0, 4096))
def test_decay_rounds_toward_zero(x, by):
    assert int(decay(np.array(x), by)) == toward_zero(x * (4096 - by), 4096)


@given(x=st.integers(-(2**30), 2**30), by=st.integers(0, 4096))
def test_decay_is_odd_and_never_grows(x, by):
    assert decay(np.array(-x), by) == -decay(np.array(x), by)
    assert abs(int(decay(np.array(x), by))) <= abs(x)


@pytest.mark.parametrize(
    "x, by, expected",
    [
        (-1, 1, 0),
        (1, 1, 0),
        (-4095, 1, -4094),
        (-4096, 1, -4095),
        (12345, 0, 12345),
        (12345, 4096, 0),
        (4096, 4095, 1),
        (4095, 4095, 0),
        (-4097, 4095, -1),
    ],
)
def test_decay_by_hand(x, by, expected):
    assert int(decay(np.array(x), by)) == expected


@pytest.mark.parametrize(
    "u, expected",
    [
        (BORDER - 1, BORDER - 1),
        (BORDER, BORDER),
        (BORDER + 1, 1 - BORDER),
        (1 - BORDER, 1 - BORDER),
        (-BORDER, BORDER),
        (-BORDER - 1, BORDER - 1),
        (2**30, 2**30 - 2**24),
    ],
)
def test_current_wraps_once_and_keeps_the_upper_border(u, expected):
    assert int(wrap(np.array(u))) == expected


@pytest.mark.parametrize(
    "v, expected", [(BORDER, STATE_MAX), (-BORDER, -STATE_MAX), (STATE_MAX, STATE_MAX), (5, 5)]
)
def test_membrane_saturates_symmetrically(v, expected):
    assert int(saturate(np.array(v))) == expected


def step(v, **parameters):
    zero = np.zeros(1, np.int64)
    return lif_step(zero, np.array([v], np.int64), zero, du=4095, dv=0, bias=0, **parameters)


def test_threshold_is_strict_and_reset_is_to_zero():
    _, v, s, _ = step(10 << 6, vth=10)
    assert not s[0] and v[0] == 10 << 6
    _, v, s, _ = step((10 << 6) + 1, vth=10)
    assert s[0] and v[0] == 0


def test_a_reset_by_subtraction_leaves_what_is_above_the_threshold():
    _, v, s, _ = step((10 << 6) + 1, vth=10, reset="subtract")
    assert s[0] and v[0] == 1
    _, v, s, _ = step(10 << 6, vth=10, reset="subtract")
    assert not s[0] and v[0] == 10 << 6
    _, v, _, _ = step(STATE_MAX, vth=0, reset="subtract")
    assert v[0] == STATE_MAX


def test_a_readout_never_fires():
    _, v, s, _ = step(STATE_MAX, vth=0, fires=False)
    assert not s[0] and v[0] == STATE_MAX


def test_every_border_is_counted_once_a_neuron():
    a = np.array([2**17 + 1, 2**17, 1, -(2**17)])  # wraps, saturates, neither, wraps and saturates
    zero = np.zeros(4, np.int64)
    assert lif_step(zero, zero, a, du=4095, dv=0, vth=0, bias=0)[3] == 3


def test_a_bias_acts_at_every_step_also_without_input():
    u = v = a = np.zeros(1, np.int64)
    for expected in (7, 14, 21):
        u, v, _, _ = lif_step(u, v, a, du=4095, dv=0, vth=1, bias=7)
        assert v[0] == expected
