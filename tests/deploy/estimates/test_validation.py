"""The validation: published cases against hand-worked numbers, no case hidden, the page as
generated.
"""

import dataclasses
import json

import pytest
from places import ROOT
from test_lsnn import DATA, chip_run

from scmrl.cli import main
from scmrl.deploy.validation import cases, lsnn, page, report, study
from scmrl.deploy.validation.blind_page import predictions_page
from scmrl.deploy.validation.left_out import totals
from scmrl.deploy.validation.scores import GOAL
from scmrl.deploy.validation.step_time import step_times
from scmrl.hw_profiles import profile as profiles
from scmrl.system import targets
from scmrl.system.errors import UsageError

# The LSNN as counted (test_lsnn.py): synaptic operations, of which into the relay; updates;
# messages.
SYNOPS, INJECTED = 638_821.105, 2013.02
RUN = lsnn.Run(
    200,
    189,
    lsnn.CHIP_MISTAKES,
    {
        "host": INJECTED,
        "relay": 2012.02,
        "regular": 5729.095,
        "aux": 0.0,
        "adaptive": 4795.055,
        "output": 0.015,
    },
    {"host->relay": INJECTED, "the rest": SYNOPS - INJECTED},
    361_200,
    124_191.285,
    237_358.08,
    294_000,
    122_179.265,
    235_346.06,
    10.0,
)


@pytest.fixture(scope="module")
def published() -> dict[tuple[str, str], cases.Case]:
    return {(c.name, c.profile): c for c in (*cases.published(), *cases.lsnn(RUN))}


@pytest.fixture(scope="module")
def found() -> report.ValidationReport:
    return study.validate()


@pytest.mark.parametrize(
    "name, profile, low, high, error_low, error_high",
    [
        ("k-NN on 768 chips", "loihi1", 1448.5, 1599.0, 8.9, 20.2),
        ("k-NN on 768 chips", "loihi1-sanafe", 1957, 2281, 47, 71.5),
        ("PilotNet LIF", "loihi2", 622_000 / 625, 839_700 / 625, -9, 23),
        ("TrueNorth sweep, held-out point", "truenorth", 70.62, 70.62, -0.54, -0.54),
        ("sMNIST LSNN, energy probe", "loihi1", 33.88, 44.35, 53, 100),
        ("sMNIST LSNN, slope over copies", "loihi1", 30.34, 38.86, -15, 9),
        ("ODIN at 75 MHz", "odin", 476.9, 476.9, 0, 0),
        ("ODIN at 1.3 MHz", "odin", 35.1, 35.1, 0.3, 0.3),
    ],
)
def test_estimates_are_those_worked_out_by_hand(
    published, name, profile, low, high, error_low, error_high
):
    case = published[name, profile]
    assert case.estimate == pytest.approx((low, high), rel=2e-3)
    assert [100 * e for e in case.error] == pytest.approx([error_low, error_high], abs=0.6)


def test_every_reading_of_active_updates_is_shown():
    readings = cases.lsnn_readings(RUN)
    assert list(readings["loihi1"].values()) == pytest.approx(
        [33.88, 37.48, 40.76, 44.35], abs=0.01
    )
    assert readings["loihi1-sanafe"]["receiving a spike"] == pytest.approx(44.90, abs=0.01)
    assert readings["loihi1-sanafe"]["non-zero state or input"] == pytest.approx(47.35, abs=0.01)


def test_a_complete_cases_range_is_the_profiles_own(published):
    error = profiles.load("loihi1").error
    case = published["k-NN on 768 chips", "loihi1"]
    assert case.range == pytest.approx(
        (
            case.estimate[0] / (1 + error["core_dynamic_high"].value),
            case.estimate[1] / (1 + error["core_dynamic_low"].value),
        )
    )


def test_ranges_are_no_wider_than_the_errors_and_miss_what_is_said_to_be_missed(published):
    whole = report.ValidationReport(
        "", tuple(published.values()), {}, RUN, "", {}, (), (), (), totals=totals(())
    )
    assert whole.contained == 15 / 18 > GOAL
    errors = [e for c in whole.tested("complete") if c.quantity == cases.CORE for e in c.error]
    error = profiles.load("loihi1").error
    assert error["core_dynamic_low"].value == pytest.approx(min(errors), abs=0.01)
    assert error["core_dynamic_high"].value == pytest.approx(max(errors), abs=0.01)
    assert {c.name for c in whole.tested() if not c.inside} == {
        "NxTF CIFAR-10 MobileNet",
        "Braille RSNN, static power of a chip",
        "autoencoder: dynamic energy with x86",
    }


def test_what_made_a_coefficient_is_no_evidence_for_it():
    fitted = [c for c in cases.published() if c.kind == "fitted"]
    assert len(fitted) == 12 and not any(c.counts for c in fitted)


def test_each_measurement_left_out(published):
    rows = cases.leave_one_out(published.values(), by_network=True)
    (low, high), inside = rows["sMNIST LSNN, energy probe"]
    assert not inside  # k-NN and PilotNet alone would have promised too much
    assert (low, high) == pytest.approx((33.88 / 1.2286, 44.35 / 0.9106), rel=1e-3)
    assert [row[1] for row in rows.values()].count(True) == 3
    single = cases.leave_one_out(published.values(), by_network=False)
    assert single["sMNIST LSNN, energy probe"][0][1] > high


def test_a_case_counts_its_range_and_its_end():
    case = cases.published()[0]
    low, high = case.range

    def inside(measured: float, ends: tuple) -> bool:
        return dataclasses.replace(case, measured=measured, range=ends).inside

    assert inside(high, (low, high)) and not inside(1.01 * high, (low, high))
    assert inside(1e12, (low, None)) and not inside(low / 2, (low, None))


def test_step_times_are_lower_bounds():
    rows = {row.name: row for row in step_times(RUN)}
    assert all(row.holds for row in rows.values())
    assert rows["sMNIST LSNN"].bound_us == pytest.approx(5.49, abs=0.01)
    assert "sMNIST LSNN" not in {row.name for row in step_times(None)}


def test_cores_are_the_published_ones(found):
    rows = {c.name: c for c in found.core_counts}
    assert all(c.within for c in rows.values() if not c.by_hand)
    assert [c.name for c in rows.values() if c.tests] == ["SLAYER N-MNIST on NxTF"]
    assert found.summary()["cores"].startswith("1 of 1 networks whose rule was not read off them")
    assert rows["PilotNet LIF"].placed == rows["PilotNet LIF"].published
    assert not dataclasses.replace(
        rows["PilotNet LIF"], placed=rows["PilotNet LIF"].placed | {"conv1": 27}
    ).within


def test_without_data_the_lsnn_is_said_not_to_have_run(found):
    assert found.lsnn is None and found.left_out == () and "data absent" in found.summary()["LSNN"]
    assert not [c for c in found.cases if c.network == "LSNN"]
    assert "data absent" in "\n".join(page.page(found, "x.md", "x.svg", "y.md")).lower()


def test_every_figure_says_where_it_is_from(found):
    for case in found.cases:
        assert case.figures and case.missing and case.measured_by
        for figure in case.figures:
            assert figure.kind in profiles.KINDS and figure.source


def test_the_report_as_json(found):
    table = json.loads(json.dumps(found.to_json()))
    assert table["command"] == "validate" and len(table["cases"]) == len(found.cases)
    assert {row["name"] for row in table["step_times"]} == {t.name for t in found.step_times}


def test_page_and_picture_are_written_together(found, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    written, picture, beside = page.write_page(found, tmp_path / "validation.md")
    for place, kind in (written, "table"), (beside, "table"), (picture, "picture"):
        targets.check(place, kind, force=True)  # its own page can be written anew
    assert beside == tmp_path / "predictions.md" and "(predictions.md)" in written.read_text()
    text = written.read_text()
    assert "![Estimate against measurement](validation.svg)" in text
    assert picture.read_text().rstrip().endswith("</svg>")
    for case in found.cases:
        assert case.name in text
    assert all(name in text for name in found.not_computable)
    with pytest.raises(UsageError, match="unknown kind of table.*limit .md"):
        page.write_page(found, tmp_path / "validation.svg")


@pytest.mark.skipif(not (DATA / "lsnn").is_dir(), reason=f"no LSNN weights in {DATA}")
def test_the_page_in_docs_is_what_the_command_writes():
    fresh = study.recomputed(chip_run())
    pages = {
        "validation.md": page.page(fresh, "docs/validation.md", "validation.svg", "predictions.md"),
        "predictions.md": predictions_page(fresh, "docs/validation.md", "validation.md"),
    }
    for name, lines in pages.items():
        assert (ROOT / "docs" / name).read_text() == "\n".join(lines)


def run_command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["validate", *arguments])
    return left.value.code


def test_the_command_without_data(capsys):
    assert run_command("--json") == 0
    table = json.loads(capsys.readouterr().out)
    assert table["lsnn"] is None and table["contained"] == 13 / 16
    assert len(table["predictions"]) == 18 and all(row["blind"] for row in table["outcomes"])


def test_the_command_names_what_is_wrong(capsys, tmp_path):
    assert run_command("--write", str(tmp_path / "page.txt")) == 2
    assert run_command("--data-dir", str(tmp_path)) == 3
    assert "no such file" in capsys.readouterr().err and not list(tmp_path.iterdir())
