"""Axes in words and what the next trial tries: pure functions, no training."""

from __future__ import annotations

import pytest

from scmrl.sweep import sampling, space
from scmrl.sweep.sampling import Past
from scmrl.system.errors import UsageError

pytest.importorskip("optuna", reason="sweeps need optuna")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("model.alpha=0.0..2.0", space.Axis("model.alpha", 0.0, 2.0)),
        ("model.alpha=0..2.5", space.Axis("model.alpha", 0, 2.5)),
        ("model.steps=1..6", space.Axis("model.steps", 1, 6)),
        ("train.lr=1e-4..1e-2:log", space.Axis("train.lr", 1e-4, 1e-2, log=True)),
        ("model.steps=1..8:log", space.Axis("model.steps", 1, 8, log=True)),
        (
            "model.embedding=deep, strided",
            space.Axis("model.embedding", choices=("deep", "strided")),
        ),
        ("model.branches=true,false", space.Axis("model.branches", choices=(True, False))),
        ('a="1","q\\"\\\\",2', space.Axis("a", choices=("1", 'q"\\', 2))),
    ],
)
def test_axis_in_words(text, expected):
    axis = space.parse(text)
    assert axis == expected
    assert list(map(type, axis.choices)) == list(map(type, expected.choices))
    assert space.parse(f"{expected.key}={expected.text()}") == expected


@pytest.mark.parametrize(
    "text",
    [
        "model.alpha",
        "=1,2",
        "a=",
        "a=2..1",
        "a=1..1",
        "a=0..1:log",
        "a=-1..1:log",
        "a=1..2:exp",
        "a=x..2",
        "a=1..",
        "a=1..nan",
        "a=nan..1",
        "a=-inf..1",
        "a=0..inf",
        "a=0..1e400",
        "a=0..10000000000000000",
        "a=false..true",
        "a=1..2..3",
        "a=1,1",
        "a=1,1.0",
        "a=1,true",
        "a=nan,1",
        "a=inf",
        "a=1e999,1",
        "a=1,,2",
        "a=[1],[2]",
        "a={},1",
        "a=" + "9" * 5000,
        "a=" + "[" * 5000,
        "a=99999999999999999999",
        "a b=1,2",
        "a..b=1,2",
        "a.=1,2",
        "a=1,\x1b2",
        "a=1,\ud800",
        "a=" + ",".join(map(str, range(2000))),
    ],
)
def test_axis_that_makes_no_sense_is_refused(text):
    with pytest.raises(UsageError, match="--space"):
        space.parse(text)


def test_an_axis_holds_its_values_and_no_others():
    steps, lr, words = space.parse("a=1..3"), space.parse("a=0.5..1.5"), space.parse("a=2,x,true")
    assert [v for v in (0, 1, 3, 4, 2.0, True, "1") if steps.holds(v)] == [1, 3]
    assert [v for v in (0.5, 1.5, 1, 0.4, 1.6, float("nan")) if lr.holds(v)] == [0.5, 1.5]
    assert [repr(v) for v in (2, True, "x", 2.0, 1, "true", None) if words.holds(v)] == [
        "2",
        "True",
        "'x'",
    ]
    for text, log in (
        ("a=1..8:log", True),
        ("a=1..8", False),
        ("a=0.1..1.0:log", True),
        ("a=0.1..1.0", False),
    ):
        assert space.parse(text).distribution().log is log
    assert (steps.size, lr.size, words.size, list(steps.values)) == (3, None, 3, [1, 2, 3])


def test_an_axis_is_given_once():
    assert len(space.parse_all(["a=1,2", "b=1,2"])) == 2
    with pytest.raises(UsageError, match="--space a: an axis is given twice"):
        space.parse_all(["a=1,2", "b=1,2", "a=3,4"])


def test_grid_is_every_combination_and_needs_lists():
    axes = space.parse("a=1,2"), space.parse("b=x,y")
    assert space.grid(axes) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]
    with pytest.raises(UsageError, match="needs lists"):
        space.grid((space.parse("a=1..2"),))
    many = tuple(space.parse(f"{key}=" + ",".join(map(str, range(100)))) for key in "abc")
    with pytest.raises(UsageError, match="too many combinations"):
        space.grid(many)


def next_one(axes, past, number, seed=42, directions=("maximize",)):
    return sampling.propose(axes, past, directions=directions, seed=seed, number=number)


def test_a_proposal_depends_on_seed_number_and_past_alone():
    axes = space.parse_all(["a=0.0..1.0", "b=1e-3..1.0:log"])
    first = next_one(axes, [], 0)
    assert first == next_one(axes, [], 0) and list(first) == ["a", "b"]
    assert len({str(next_one(axes, [], number)) for number in range(5)}) == 5
    assert len({str(next_one(axes, [], 0, seed)) for seed in (0, 1, 2**64 - 1)}) == 3
    assert all(axis.holds(first[axis.key]) for axis in axes)


@pytest.mark.parametrize("state", ["running", "complete", "fail"])
def test_every_combination_is_tried_once_and_then_the_space_is_exhausted(state):
    axes, past = space.parse_all(["a=1,2,3", "b=x,true", "c=1..2"]), []
    for number in range(12):
        settings = next_one(axes, past, number)
        past.append(Past(state, settings, (0.1 * settings["a"],) if state == "complete" else ()))
    assert len({tuple(trial.settings.values()) for trial in past}) == 12
    assert next_one(axes, past, 12) is None


def test_a_free_combination_is_drawn_where_the_estimator_repeats_itself(monkeypatch):
    monkeypatch.setattr(sampling, "REDRAWS", 0)
    axes, past = space.parse_all(["a=1,2,3", "b=1..2"]), []
    for number in range(6):
        past.append(Past("fail", next_one(axes, past, number)))
    assert len({tuple(trial.settings.values()) for trial in past}) == 6


def test_running_trials_push_the_next_one_away():
    axes = space.parse_all(["a=0.0..1.0"])
    past = [Past("complete", {"a": i / 20}, (1 - abs(i / 20 - 0.7),)) for i in range(20)]
    alone = [next_one(axes, past, n)["a"] for n in range(20, 40)]
    near = [Past("running", {"a": 0.7 + i / 1000}) for i in range(-10, 11)]
    beside = [next_one(axes, past + near, n)["a"] for n in range(20, 40)]

    def count(values):
        return sum(abs(value - 0.7) < 0.03 for value in values)

    assert count(alone) > 2 * count(beside)


def test_both_objectives_lead_the_search():
    axes = space.parse_all(["a=0.0..1.0"])
    past = [Past("complete", {"a": i / 30}, (i / 30, 0.0)) for i in range(30)]

    def mean(directions):
        return sum(next_one(axes, past, n, directions=directions)["a"] for n in range(20)) / 20

    assert mean(("maximize", "minimize")) > 0.6 and mean(("minimize", "minimize")) < 0.4


def test_the_next_of_a_grid_is_the_first_that_no_trial_has():
    axes = space.parse_all(["a=1,2", "b=x,y"])
    past = [Past("complete", {"a": 1, "b": "x"}, (1.0,)), Past("running", {"a": 2, "b": "x"})]
    assert sampling.next_of_grid(axes, past) == {"a": 1, "b": "y"}
    past += [Past("fail", {"a": 1, "b": "y"}), Past("running", {"a": 2, "b": "y"})]
    assert sampling.next_of_grid(axes, past) is None
