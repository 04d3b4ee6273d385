"""Numbers, orientation and averages of reports and pages, against what is worked out by hand."""

import dataclasses
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_page import Shown, Small, Tags, written
from test_report import COUNTS, GRAPH

from scmrl.core import bundle, reference
from scmrl.core.activity import Activity
from scmrl.core.graph import Dense, Graph, Population
from scmrl.core.report import html
from scmrl.core.report.compare import compare
from scmrl.core.report.drawing import STRONGEST, svg
from scmrl.core.report.report import Figure, table
from scmrl.core.report.text import figure, value
from scmrl.core.samples import HELD_OUT, TRUE, Origin
from scmrl.deploy import evaluation, jobs
from scmrl.deploy.reports.evaluate import evaluate_report
from scmrl.deploy.reports.figures import confusion, run_figures

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


@pytest.mark.parametrize("number, text", WRITTEN)
def test_numbers_are_written_as_by_hand(number, text):
    assert value(number) == text
    if isinstance(number, float):
        assert written(number) == text


@given(st.floats(-1e12, 1e12) | st.integers(-(10**12), 10**12))
def test_numbers_have_four_digits_rounded_by_decimals(x):
    assert figure(x) == written(x) and "e" not in figure(x)


def test_page_and_terminal_write_a_number_alike():
    """Both get the same blocks; each is asked for what it shows."""
    report = Small(table(("name", "size"), [("one", figure(9999.7)), ("two", figure(1e-5))]))
    out = io.StringIO()
    report.show(out)
    rows = dict(line.split() for line in out.getvalue().splitlines()[-2:])
    assert rows == {name: cells[0] for name, cells in Shown(html.page(report)).rows("name").items()}
    assert rows == {"one": "10,000", "two": "0.00001000"}


# The matrix: rows are true, columns answered.

LABELS, ANSWERS = np.array([0, 0, 0, 1, 2]), np.array([1, 1, 0, 1, 0])
MATRIX_2 = np.eye(2, dtype=int)
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
    drawn = next(run_figures(GRAPH, {}, activity, LABELS, Origin(HELD_OUT, TRUE)))
    for words in (
        "yes answered as no: 2",
        "no answered as yes: 0",
        "yes answered as maybe: 0",
        "maybe answered as yes: 1",
    ):
        assert f"<title>{words}</title>" in svg(drawn).inside
    assert "rows are labels, columns answers" in drawn.caption
    page = Shown(html.page(evaluated()))
    assert page.rows("label \\ answer") == {
        name: [str(n) for n in row] for name, row in zip(GRAPH.class_names, MATRIX)
    }


def test_matrix_is_drawn_with_labels_down_and_answers_across():
    (drawn,) = confusion(np.array([[3, 1], [0, 8]]), ("cat", "dog"))
    inside, cells = svg(drawn).inside, {}
    for part in inside.split("<title>")[1:]:
        x, y = map(float, re.search(r'd="M ([\d.]+) ([\d.]+)', part).groups())
        cells[part.split("</title>")[0]] = x, y, part.split("</g>")[0]
    x, y, cell = cells["cat answered as dog: 1"]
    assert x > cells["cat answered as cat: 3"][0] and y == cells["cat answered as cat: 3"][1]
    assert y < cells["dog answered as dog: 8"][1] and x == cells["dog answered as dog: 8"][0]
    assert f"opacity: {STRONGEST / 4:g}" in cell  # one of four cats


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
    page = Shown((tmp_path / "p.html").read_text())
    assert page.facts["accuracy"] == "75.00 % on 4 held-out samples"
    assert page.facts["result"].startswith("bit-exact")
    rows = page.rows("population")
    assert rows["hidden"][:5] == ["3", "3", "6", "1", "12"]
    assert rows["total"][1:5] == ["7", "10", "", "24"]  # neurons, spikes, rate, operations


def test_page_says_what_it_was_made_of(counted, tmp_path):
    jobs.deploy(counted, "simulator", page=tmp_path / "p.html")
    page = Shown((tmp_path / "p.html").read_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d [+-]\d{4}", page.facts["date"])
    assert page.facts["data"] == "held-out samples 1 to 4 of 4"
    assert page.facts["bundle"] == bundle.load(counted).hash
    assert "scmrl" in page.facts["versions"] and "numpy" in page.facts["versions"]


def test_energies_on_the_page_are_written_as_by_hand(counted):
    report = jobs.energy(counted, ["loihi2"])
    (chip,) = report.profiles
    ranges = chip.ranges | {"core_dynamic_uj": (0.000012346, 1234.5678)}
    chip = dataclasses.replace(chip, core_dynamic_uj=9999.7, ranges=ranges)
    page = html.page(dataclasses.replace(report, profiles=(chip,)))
    assert Shown(page).rows("profile")["loihi2"][1].startswith("10,000\n0.00001235 .. 1,235")


# What stands in an attribute.

SHARP = '"><x y="\'&'


def test_quotes_are_escaped_in_attributes():
    def draw(sheet):
        sheet.subplots().set_title(SHARP)

    sharp = table((SHARP, "b"), [(SHARP, "1")], caption=SHARP)
    drawn = [
        Figure(SHARP, draw),
        Figure(SHARP, draw, name=SHARP),
        *confusion(MATRIX_2, (SHARP, "a")),
    ]
    seen = Tags(html.page(Small(sharp, SHARP, answer={SHARP: SHARP}, drawn=drawn))).seen
    assert "x" not in [tag for tag, _ in seen]
    assert [a["data-name"] for tag, a in seen if tag == "tr" and a] == [SHARP]
    assert [a["aria-label"] for tag, a in seen if a.get("role") == "region"] == [SHARP]
    assert [a["aria-label"] for tag, a in seen if tag == "svg"].count(SHARP) == 2
    assert [a["data-name"] for tag, a in seen if tag == "figure" and a] == [SHARP]


def test_reports_without_a_bundle_are_not_of_one(tmp_path):
    """What compare says of two reports that name no bundle, or an empty one."""
    for bundle in ({}, {"bundle": ""}):
        for name in "ab":
            (tmp_path / name).write_text(
                json.dumps({"command": "deploy", "accuracy": 0.5} | bundle)
            )
        assert compare(tmp_path / "a", tmp_path / "b").networks.startswith("not known")
