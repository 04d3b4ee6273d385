"""Two runs are equal in every bit or the first difference is named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scmrl.core.activity import Activity
from scmrl.core.comparison import compare
from scmrl.core.graph import Dense, Graph, Population
from scmrl.system.errors import DataError, MismatchError

S, T, N = 2, 3, 4
GRAPH = Graph(
    (
        Population("in", (2,), "input"),
        Population("out", (2,), "readout"),
        Population("b", (2, 2)),
        Population("a", (N,)),
    ),
    (
        Dense("in", "b", np.ones((4, 2), int)),
        Dense("b", "a", np.ones((4, 4), int)),
        Dense("a", "out", np.ones((2, 4), int)),
    ),
)


def activity(backend="reference", dtype=np.uint8):
    rng = np.random.default_rng(0)
    spikes = {
        "a": rng.integers(0, 2, (S, T, N)).astype(dtype),
        "b": rng.integers(0, 2, (S, T, 2, 2)).astype(dtype),
    }
    return Activity(spikes, {"out": rng.integers(-99, 99, (S, T, 2))}, backend, "1")


def test_equal_runs_are_bit_exact_whatever_their_dtype():
    result = compare(GRAPH, activity(), activity("lava", np.int32))
    assert result.bit_exact and result.mismatches == 0 and result.first is None
    assert result.compared == S * T * (4 + 4 + 2)
    result.require()


@given(st.sets(st.integers(0, S * T * N - 1)))
def test_mismatches_are_counted_and_the_first_is_in_order(places):
    got = activity("lava")
    for place in places:
        got.spikes["b"].reshape(-1)[place] ^= 1
    result = compare(GRAPH, activity(), got)
    assert result.mismatches == len(places) and result.bit_exact == (not places)
    if places:
        sample, step, *neuron = np.unravel_index(min(places), (S, T, 2, 2))
        first = result.first
        assert (first.sample, first.step, first.neuron) == (sample, step, tuple(neuron))
        assert first.got == got.spikes["b"][(sample, step, *neuron)] == 1 - first.expected


def test_populations_are_searched_from_the_input_on():
    got = activity("lava")
    got.membrane["out"][0, 0, 0] += 1
    got.spikes["a"][0, 0, 0] ^= 1
    got.spikes["b"][1, 2, 1, 1] ^= 1
    result = compare(GRAPH, activity(), got)
    assert [m.name for m in result.populations] == ["b", "a", "out"]
    assert [m.mismatches for m in result.populations] == [1, 1, 1]
    assert str(result.first).startswith("b: sample 1, step 2, neuron [1, 1]")


def test_readout_membranes_are_compared():
    got = activity("lava")
    got.membrane["out"][1, 2, 1] = 1000
    first = compare(GRAPH, activity(), got).first
    assert first.population == "out" and first.got == 1000


def test_require_says_who_differs_where():
    got = activity("lava")
    got.spikes["a"][0, 1, 2] ^= 1
    with pytest.raises(
        MismatchError, match=r"lava differs from reference in 1 of 60 values.*a: sample 0"
    ):
        compare(GRAPH, activity(), got).require()


def test_one_equal_value_is_bit_exact():
    graph = Graph((Population("in", (1,), "input"), Population("a", (1,))), ())
    runs = [Activity({"a": np.ones((1, 1, 1), np.uint8)}, {}, by, "1") for by in ("reference", "x")]
    result = compare(graph, *runs)
    assert result.compared == 1 and result.bit_exact
    result.require()


def test_nothing_compared_is_not_bit_exact():
    graph = Graph((Population("in", (2,), "input"),), ())
    result = compare(graph, Activity({}, {}, "reference", "1"), Activity({}, {}, "lava", "1"))
    assert not result.bit_exact
    with pytest.raises(MismatchError, match="nothing"):
        result.require()


def test_missing_population_and_other_shape_are_errors():
    got = activity("lava")
    short = Activity({name: s[:, :2] for name, s in got.spikes.items()}, got.membrane, "lava", "1")
    with pytest.raises(DataError, match="b: lava and reference differ in shape"):
        compare(GRAPH, activity(), short)
    with pytest.raises(DataError, match="a: lava gave no values"):
        compare(GRAPH, activity(), Activity({"b": got.spikes["b"]}, got.membrane, "lava", "1"))


def test_at_low_rates_spikes_disagree_where_values_agree():
    """40 steps, one spike expected at step 3; it comes at step 4, beside one that is right."""
    spikes = np.zeros((1, 40, 1), np.uint8)
    expected, got = spikes.copy(), spikes.copy()
    expected[0, [3, 20], 0], got[0, [4, 20, 30], 0] = 1, 1
    graph = Graph(
        (
            Population("in", (1,), "input"),
            Population("a", (1,)),
            Population("out", (1,), "readout"),
        ),
        (Dense("in", "a", np.ones((1, 1), int)), Dense("a", "out", np.ones((1, 1), int))),
    )
    rest = {"out": np.ones((1, 40, 1), np.int64)}
    result = compare(
        graph,
        Activity({"a": expected}, rest, "reference", "1"),
        Activity({"a": got}, rest, "x", "1"),
    )
    assert (result.mismatches, result.compared) == (3, 80)
    assert (result.spikes.recall, result.spikes.precision) == (1 / 2, 1 / 3)
    assert (result.spikes.expected, result.spikes.got, result.spikes.both) == (
        2,
        3,
        1,
    )  # no membrane among them
    nothing = compare(
        graph,
        Activity({"a": spikes}, rest, "reference", "1"),
        Activity({"a": spikes}, rest, "x", "1"),
    )
    assert nothing.bit_exact and nothing.spikes.recall is None and nothing.spikes.precision is None
