"""How numbers, names and times are said, at each border; and the columns of a terminal."""

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmrl.core.report import drawing, progress, terminal, text
from scmrl.core.report.report import table


@given(x=st.floats(1e-9, 1e12) | st.floats(-1e12, -1e-9))
def test_a_figure_is_within_half_a_unit_of_its_fourth_digit(x):
    said = text.figure(x)
    assert "e" not in said
    places = 3 - math.floor(math.log10(abs(x)))
    near = 0.5 * 10.0 ** -max(0, places)
    assert abs(float(said.replace(",", "")) - x) <= near * (1 + 1e-6)
    if places > 0 and x != int(x):
        assert len(said.partition(".")[2]) == places


@pytest.mark.parametrize(
    "say, x, said",
    [
        (text.figure, None, "-"),
        (text.figure, math.inf, "inf"),
        (text.figure, math.nan, "nan"),
        (text.figure, 0, "0"),
        (text.figure, 1234567.0, "1,234,567"),
        (text.figure, 0.5, "0.5000"),
        (text.figure, -12.345, "-12.35"),
        (text.whole, None, "-"),
        (text.whole, 2.6, "3"),
        (text.percent, None, "-"),
        (text.percent, 0.12345, "12.35 %"),
        (text.share, None, "-"),
        (text.share, 0.999999, "99.99990 %"),
        (text.change, None, "-"),
        (text.change, 0.0, "0"),
        (text.change, 2.5, "+2.500"),
        (text.change, -2.5, "-2.500"),
        (text.span, None, "-"),
        (text.span, (1.0, 2.5), "1 .. 2.500"),
        (text.shape, (2, 3, 4), "2x3x4"),
        (text.value, True, "yes"),
        (text.value, False, "no"),
        (text.value, None, "-"),
        (text.value, 3, "3"),
        (text.value, 0.25, "0.2500"),
        (text.value, "word", "word"),
        (text.value, (1, 2), "(1, 2)"),
        (text.first, [], ""),
        (text.first, [1, 2, 3], "1, 2, 3"),
        (text.first, [1, 2, 3, 4], "1, 2, 3 and 1 more"),
        (text.first, list(range(2003)), "0, 1, 2 and 2,000 more"),
    ],
)  # fmt: skip
def test_what_is_said(say, x, said):
    assert say(x) == said


def test_what_a_network_was_made_of():
    settings = {"seed": 3, "hard": True, "train": {"lr": 0.5, "seed": 7}, "model": {"width": 8}}
    found = text.made_of(settings)
    assert found["settings"] == (
        "seed = 3, hard = yes, train.lr = 0.5000, train.seed = 7, model.width = 8"
    )
    assert found["seed"] == "7" and text.made_of({"a": 1}) == {"settings": "a = 1"}
    assert text.source("runs/a", "") == "runs/a"
    assert text.source("runs/a", "0123456789abcdef") == "runs/a (bundle 0123456789ab)"
    assert text.first([1, 2, 3], 2) == "1, 2 and 1 more"


@pytest.mark.parametrize("letters, whole", [(1, True), (48, True), (49, False), (200, False)])
def test_a_name_of_48_letters_stands_in_full_on_a_picture(letters, whole):
    name = "a" * (letters // 2) + "b" * (letters - letters // 2)
    assert (drawing.name(name) == name) == whole
    if not whole:
        assert drawing.name(name) == "a" * 24 + " ... " + "b" * 24


def test_time_is_said_in_minutes_and_seconds():
    assert [progress.clock(s) for s in (0, 9.9, 60, 187, 3599)] == [
        "0:00",
        "0:09",
        "1:00",
        "3:07",
        "59:59",
    ]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    "seconds, spoken, counted",
    [(0.0625, [0, 4, 6], [1, 5, 6]), (0.25, [0, 1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6])],
)
def test_a_line_of_progress_comes_five_times_a_second(seconds, spoken, counted, monkeypatch):
    """Six items, so many seconds each: the first, each that is due, and the last."""
    clock, said = {"now": 100.0}, []
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(progress, "_shown", True)
    monkeypatch.setattr(progress.Progress, "__call__", lambda self, done, of: said.append(done))
    for _ in progress.each(range(6), "items"):
        clock["now"] += seconds
    assert said == spoken
    said.clear()
    count = progress.meter("items", 6)
    for _ in range(6):
        clock["now"] += seconds
        count()
    assert said == counted


def test_rate_and_time_left(monkeypatch):
    clock, err = {"now": 10.0}, Terminal()
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr("sys.stderr", err)
    speak = progress.Progress("samples")
    clock["now"] += 4
    speak(8, 20)
    speak(20, 20)
    assert err.getvalue() == (
        "\r\033[Ksamples 8/20  2.0/s  6 s left\r\033[Ksamples 20/20  5.0/s  0 s left\n"
    )


@given(
    least=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    width=st.integers(20, 120),
)
def test_a_wide_table_is_split_so_that_each_part_fits(least, width):
    parts = list(terminal._split(least, width))
    assert all(part[0] == 0 for part in parts)
    assert [i for part in parts for i in part[1:]] == list(range(1, len(least)))
    for part, after in zip(parts, [*parts[1:], None]):
        used = sum(least[i] for i in part) + 2 * (len(part) - 1)
        assert used <= width or len(part) <= 2
        if after:  # no more would have fitted
            assert used + 2 + least[after[1]] > width


def test_what_a_column_needs():
    block = table(
        ("name", "12", "words"),
        [("ab\nabcd", "1,234", "a long text of many words"), ("a", "5", "b")],
        words=("words",),
        footer=("total", "123,456", ""),
    )
    assert [terminal._least(block, i) for i in range(3)] == [5, 7, 16]
    short = table(("name", "words"), [("a", "short")], words=("name", "words"))
    assert [terminal._least(short, i) for i in range(2)] == [4, 5]
    assert [terminal._wraps(short, i) for i in range(2)] == [False, True]
