"""Totals on Loihi 2: the constants of a left-out source come from the others, the range from their
ratios, and the profile has what the procedure gives.
"""

import math

import pytest

from scmrl.deploy.validation import left_out
from scmrl.deploy.validation.predictions import outcomes
from scmrl.hw_profiles.profile import load


@pytest.fixture(scope="module")
def found():
    return {row.name: row for row in left_out.left_out()}


def test_the_constants_are_those_of_the_profile():
    """Nothing left out: what the profile says, to its digits."""
    every, chip = left_out.constants(left_out.sources()), load("loihi2")
    assert chip.power["chip_static"].value == pytest.approx(every.static_mw, rel=2e-3)
    assert chip.power["chip_fixed"].value == pytest.approx(every.fixed_mw, rel=2e-3)
    assert chip.time["step_floor"].value == every.floor_us[0] == every.floor_us[1]
    assert chip.time["synop"].value == pytest.approx(every.synop_ns, rel=0.02)


def test_a_source_that_is_left_out_gives_no_constant(found):
    pilot = found["PilotNet LIF"].constants
    assert pilot.static_mw == pytest.approx(math.sqrt(213.6 * 281.8))
    assert pilot.synop_ns == left_out.OLDER_SYNOP_NS  # its own 1.0 ns is not used
    two = found["NECOTIS, a step of two neurons"].constants
    assert two.fixed_mw == left_out.OLDER_FIXED_MW  # Loihi 1's: nothing else is left
    assert two.floor_us == pytest.approx((48.3 / 15, 48.3 / 11))
    assert two.static_mw == pytest.approx(math.sqrt(232 * 281.8))


def test_estimates_by_hand(found):
    row = found["PilotNet LIF"]
    us = 16 * 1e-3 * (200 + 150_800 * 0.7)
    power = math.sqrt(213.6 * 281.8) + (0.2828 / 1.164 * 1e3 - 213.6)
    low = 36_608_000 * 23.6e-6 + 2_536_144 * 52e-6
    high = 36_608_000 * 23.6e-6 + 5_920_000 * 81e-6
    assert row.estimate == pytest.approx((low + 1e-3 * power * us, high + 1e-3 * power * us))
    assert row.timed == pytest.approx((low + 1e-3 * power * 2445.6, high + 1e-3 * power * 2445.6))
    assert row.ratio == pytest.approx((1661 / row.estimate[1], 1661 / row.estimate[0]))
    two = found["NECOTIS, a step of two neurons"]
    power = math.sqrt(232 * 281.8) + 23
    assert two.ratio[0] == pytest.approx(0.2828 / (1e-3 * power * 48.3 / 11), rel=1e-3)


@pytest.mark.parametrize("timed, name", [(False, "total"), (True, "total_timed")])
def test_the_profiles_range_is_what_the_procedure_gives_and_no_narrower(found, timed, name):
    low, high = left_out.range_of(list(found.values()), timed=timed)
    error = load("loihi2").error
    assert 1 / (1 + error[f"{name}_high"].value) == pytest.approx(low, rel=5e-3)
    assert 1 / (1 + error[f"{name}_low"].value) == pytest.approx(high, rel=5e-3)
    assert 1 / (1 + error[f"{name}_high"].value) <= low
    assert high <= 1 / (1 + error[f"{name}_low"].value)


def test_what_the_range_is_worth_is_said_beside_it():
    totals = left_out.totals(outcomes())
    assert totals.expected == 0.5 and len(totals.each) == 3
    assert left_out.width(totals.timed) < 6 < left_out.width(totals.range)
    assert totals.chips == ("Loihi 1",) and totals.networks == 2
    beside = load("loihi2").error["total_low"].source
    assert f"of two blind networks, on Loihi 1, {100 * totals.blind:.0f} %" in beside
    assert "one time in two" in beside
