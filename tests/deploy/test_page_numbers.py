"""Numbers, orientation and averages of reports and pages, against what is worked out by hand."""

import dataclasses
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_page import Tags
from test_report import COUNTS, GRAPH

from scmrl.core import bundle, reference
from scmrl.core.activity import Activity
from scmrl.core.graph import Dense, Graph, Population
from scmrl.core.report.report import figure as terminal
from scmrl.core.samples import HELD_OUT, TRUE, Origin
from scmrl.deploy import evaluation, jobs
from scmrl.deploy.reports.page import figures, pages
from scmrl.deploy.reports.page.document import escape, facts, figure, table
from scmrl.deploy.reports.report import evaluate_report

WRITTEN = [
    (None, "-"),
    (True, "yes"),
    (False, "no"),
    (0, "0"),
    (7, "7"),
    (1234567, "1,234,567"),
    (9999.7, "10,000"),
    (9999.4, "9,999"),
    (1234.5678, "1,235"),
    (12.345, "12.35"),
    (0.5, "0.5000"),
    (0.000012346, "0.00001235"),
    (-2.5, "-2.500"),
    (1e16, "10,000,000,000,000,000"),
    ("words", "words"),
]


@pytest.mark.parametrize("value, text", WRITTEN)
def test_page_writes_numbers_as_by_hand(value, text):
    assert pages.number(value) == text


@given(st.floats(-1e12, 1e12) | st.integers(-(10**12), 10**12))
def test_page_and_terminal_write_a_number_alike(x):
    assert pages.number(x) == terminal(x) and "e" not in terminal(x)


# The matrix: rows are true, columns answered.

LABELS, ANSWERS = np.array([0, 0, 0, 1, 2]), np.array([1, 1, 0, 1, 0])
MATRIX = ((1, 2, 0), (0, 1, 0), (1, 0, 0))


def evaluated(sizes=(5,), parts=(COUNTS,), **more):
    return evaluate_report(
        GRAPH,
        LABELS,
        ANSWERS,
        parts,
        sizes,
        model="m",
        selection="s",
        version="1",
        training_correct=None,
        **more,
    )


def test_matrix_has_a_row_for_each_label():
    report = evaluated()
    assert report.confusion == MATRIX and (report.correct, report.accuracy) == (2, 0.4)
    assert report.headline()["confused"] == "yes answered as no: 2, maybe answered as yes: 1"
    out = io.StringIO()
    report.show(out)
    rows = [line.split() for line in out.getvalue().splitlines()]
    assert ["label", "\\", "answer", "yes", "no", "maybe"] in rows
    assert ["yes", "1", "2", "0"] in rows and ["maybe", "1", "0", "0"] in rows


def test_matrix_on_the_page_is_the_same():
    final = np.eye(3, dtype=np.int64)[ANSWERS][:, None]
    activity = Activity({}, {"out": final}, "x", "1")
    drawn = pages._classes(
        {"origin": {"labels": "true"}}, pages.Evidence(GRAPH, {}, activity, LABELS)
    )
    for words in (
        "yes answered as no: 2",
        "no answered as yes: 0",
        "yes answered as maybe: 0",
        "maybe answered as yes: 1",
    ):
        assert words in drawn
    assert "rows are labels, columns answers" in drawn


def test_matrix_is_drawn_with_labels_down_and_answers_across():
    drawn = figures.confusion(np.array([[0, 5], [0, 0]]), ("cat", "dog"))
    (cell,) = [part for part in drawn.split("<g>") if "cat answered as dog: 5" in part]
    assert '<rect x="70" y="44"' in cell  # second column, first row: 44 + 26, 44
    drawn = figures.confusion(np.array([[3, 1], [0, 8]]), ("cat", "dog"))
    (cell,) = [part for part in drawn.split("<g>") if "cat answered as dog: 1" in part]
    assert f'fill="{figures.shade(1 / 4)}"' in cell  # one of four cats


# Averages over chunks of unequal size.


def test_chunks_count_by_their_samples():
    """A chunk of one sample with 10 of all, and one of three samples with 2: (10 + 3 * 2) / 4
    = 4.
    """
    names = ("spikes_per_inference", "synops_per_inference", "graded_synops_per_inference", "rate")
    one, other = (
        [dataclasses.replace(c, **dict.fromkeys(names, value)) for c in COUNTS]
        for value in (10.0, 2.0)
    )
    report = evaluate_report(
        GRAPH,
        LABELS[:4],
        ANSWERS[:4],
        [one, other],
        [1, 3],
        model="m",
        selection="s",
        version="1",
        training_correct=None,
    )
    for row in report.populations:
        assert [getattr(row, name) for name in names] == [4.0] * 4
    assert (
        report.totals.graded_synops_per_inference == 16.0 == report.totals.synops_per_inference
    )  # 4 populations


def test_evaluate_in_chunks_counts_what_a_whole_run_counts(small_bundle, model, monkeypatch):
    inputs = {name: np.ascontiguousarray(x[:, 0]) for name, x in small_bundle.inputs.items()}
    monkeypatch.setattr(
        evaluation, "dataset_samples", lambda *_: (inputs, small_bundle.labels, "here")
    )
    whole = evaluation.evaluate(model)
    monkeypatch.setattr(evaluation, "CHUNK", 4)  # 4 and 2 samples
    parts = evaluation.evaluate(model)
    assert parts.confusion == whole.confusion and parts.samples == 6
    for one, other in zip(whole.populations, parts.populations, strict=True):
        assert other.spikes_per_inference == pytest.approx(one.spikes_per_inference)
        assert other.synops_per_inference == pytest.approx(one.synops_per_inference)
        assert other.graded_synops_per_inference == pytest.approx(one.graded_synops_per_inference)


# A page whose numbers are counted by hand.


@pytest.fixture
def counted(tmp_path):
    """Two inputs that are 1 at both steps -> three neurons that fire at both -> a readout of two.

    Messages 2 * 2 = 4, synops 4 * 3 = 12; spikes 3 * 2 = 6, synops 6 * 2 = 12.
    """
    graph = Graph(
        (
            Population("in", (2,), "input"),
            Population("hidden", (3,), vth=0),
            Population("out", (2,), "readout"),
        ),
        (
            Dense("in", "hidden", np.full((3, 2), 5)),
            Dense("hidden", "out", np.array([[1, 2, 3], [3, 2, 9]])),
        ),
        2,
        ("a", "b"),
    ).check()
    x = {"in": np.ones((4, 2, 2), np.uint8)}
    bundle.Bundle(
        graph, x, np.array([1, 1, 0, 1]), reference.run(graph, x), origin=Origin(HELD_OUT, TRUE)
    ).save(tmp_path / "m")
    return tmp_path / "m"


def test_page_shows_what_is_counted_by_hand(counted, tmp_path):
    jobs.deploy(counted, "simulator", page=tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    for name, value in (
        ("accuracy", "75.00 % on 4 held-out samples"),
        ("equality", "bit-exact"),
        ("spikes an inference", "10"),
        ("synaptic operations an inference", "24"),
        ("neurons", "7"),
    ):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in text, name
    assert (
        "<td class=text>hidden</td><td class=text>3</td><td>3</td><td>6</td><td>1</td><td>12</td>"
        in text
    )


def test_energies_on_the_page_are_written_as_by_hand(counted):
    r = json.loads(json.dumps(jobs.energy(counted, ["loihi2"]).to_json()))
    r["profiles"]["loihi2"] |= {"core_dynamic_uj": 9999.7}
    r["profiles"]["loihi2"]["ranges"]["core_dynamic_uj"] = [0.000012346, 1234.5678]
    assert "10,000  (0.00001235 to 1,235)" in pages.render(r)


# What stands in an attribute.

SHARP = '"><x y="\'&'


def test_quotes_are_escaped_in_attributes():
    assert escape("a\"b'c") == "a&quot;b&#x27;c"
    for text in (
        table((SHARP, "b"), [(SHARP, 1)], named=True, caption=SHARP),
        figure("<svg></svg>", SHARP, SHARP),
        facts([(SHARP, SHARP)]),
        figures.confusion(np.eye(2, dtype=int), (SHARP, SHARP)),
    ):
        tags = Tags(text)
        assert "x" not in [tag for tag, _ in tags.seen] and "&quot;&gt;&lt;x" in text
    seen = Tags(table(("a", "b"), [(SHARP, 1)], named=True, caption=SHARP)).seen
    assert [a["data-name"] for tag, a in seen if tag == "tr" and a] == [SHARP]
    assert [a["aria-label"] for tag, a in seen if tag == "div"] == [SHARP]


def test_reports_without_a_bundle_are_not_of_one(tmp_path):
    """What compare says of two reports that name no bundle, or an empty one."""
    from scmrl.deploy.reports.page.comparison import compare

    for bundle in ({}, {"bundle": ""}):
        for name in "ab":
            (tmp_path / name).write_text(
                json.dumps({"command": "deploy", "accuracy": 0.5} | bundle)
            )
        assert compare(tmp_path / "a", tmp_path / "b").networks.startswith("not known")
