"""A setting at its ends: what it allows, how its range reads, what an error says."""

import dataclasses
import math

import pytest

from scmrl.network.setting import Setting, checked, of, setting, shown
from scmrl.system.errors import UsageError


@pytest.mark.parametrize(
    "said, inside, outside, words",
    [
        ({"low": 2, "high": 5}, [2, 5, 3.5], [1, 6, 1.999, 5.001], "2..5"),
        ({"low": 0, "high": 5}, [0, 5], [-1, 6], "0..5"),
        ({"low": 2}, [2, 10**400], [1], "2 or more"),
        ({"low": 0}, [0, 7], [-1], "0 or more"),
        ({"above": 0.5}, [0.6, 100], [0.5, 0.4], "above 0.5"),
        ({"above": 0, "high": 2}, [0.1, 2], [0, 2.1], "above 0, to 2"),
        ({}, [0, -5, 1e300], [], ""),
        ({"high": 1 << 24, "low": 8}, [1 << 24], [(1 << 24) + 1], "8..16777216"),
    ],
)
def test_a_range_holds_its_ends(said, inside, outside, words):
    wanted = Setting("meaning", **said)
    assert all(map(wanted.allows, inside)) and not any(map(wanted.allows, outside))
    assert not any(map(wanted.allows, [math.nan, math.inf, -math.inf]))
    assert wanted.range == words
    for value in inside:
        default = 1 if isinstance(value, int) else 1.0
        assert checked("a.b", value, default, wanted) == value
    for value in outside:
        default = 1 if isinstance(value, int) else 1.0
        with pytest.raises(UsageError, match="^a.b: out of range"):
            checked("a.b", value, default, wanted)


def test_what_is_said_of_a_value_that_is_not_finite():
    with pytest.raises(UsageError, match="a: not a finite number.*limit 0..1, got nan"):
        checked("a", math.nan, 0.5, Setting("", 0, 1))
    with pytest.raises(UsageError, match="a: not a finite number.*limit a finite number"):
        checked("a", math.inf, 0.5, Setting(""))
    with pytest.raises(UsageError, match="a: not a finite number"):
        checked("a", 10**400, 0.5, Setting(""))
    assert checked("a", 3, 0.5, Setting("")) == 3.0
    assert isinstance(checked("a", 3, 0.5, Setting("")), float)


@pytest.mark.parametrize(
    "value, default, words",
    [
        (1.0, 1, "int, a whole number.*float 1.0"),
        (True, 1, "int, a whole number.*bool True"),
        ("1", 1.0, "float, a number.*str '1'"),
        (1, True, "bool, true or false.*int 1"),
        (1, "a", "str, a word.*int 1"),
    ],
)
def test_a_value_is_of_its_defaults_type(value, default, words):
    with pytest.raises(UsageError, match=f"a: wrong type.*{words}"):
        checked("a", value, default, Setting(""))
    assert checked("a", False, True, Setting("")) is False


def test_a_list_of_words():
    assert checked("a", ["x", "y"], ("z",), Setting("")) == ("x", "y")
    for value, written in (("x, y", '"x", "y"'), (3, '"audio"'), (["x", 3], '"audio"')):
        with pytest.raises(UsageError, match=rf"a: expected a list of words.*a=\[{written}\]"):
            checked("a", value, ("z",), Setting(""))


@pytest.mark.parametrize(
    "value, fix", [("cuda", "write a=gpu"), ("cuda:1", "write a=gpu"), ("gpuu", "'gpu'")]
)
def test_a_choice_is_one_of_its_words(value, fix):
    wanted = Setting("", choices=("cpu", "gpu"))
    assert wanted.range == "cpu, gpu" and checked("a", "gpu", "cpu", wanted) == "gpu"
    with pytest.raises(UsageError, match=f"a: unknown choice.*{fix}"):
        checked("a", value, "cpu", wanted)


@pytest.mark.parametrize(
    "value, said",
    [
        ("a" * 78, repr("a" * 78)),
        ("a" * 79, repr("a" * 79)[:77] + "..."),
        (10**60, str(10**60)),
        ((1 << 200) - 1, str((1 << 200) - 1)),
        (1 << 200, "a whole number of 201 bits"),
        ([1, 2], "[1, 2]"),
    ],
)
def test_a_value_is_shown_in_a_line(value, said):
    expected = said if len(said) <= 80 else said[:77] + "..."
    assert shown(value) == expected and len(shown(value)) <= 80


def test_a_field_keeps_what_its_setting_says():
    @dataclasses.dataclass(frozen=True)
    class Some:
        width: int = setting(3, "how wide", low=1, high=9)
        other: int = 5

    width, other = dataclasses.fields(Some)
    assert Some().width == 3 and of(width) == Setting("how wide", 1, 9) and of(other) is None
