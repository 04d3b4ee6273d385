"""Reports: every number on the screen is in the JSON; pictures are written whole or not at all."""

import builtins
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from scmrl.core import reference
from scmrl.core.comparison import compare
from scmrl.core.graph import Dense, Graph, OneToOne, Population
from scmrl.core.report import drawing
from scmrl.core.report.report import Report
from scmrl.core.report.text import figure, percent
from scmrl.deploy.counts.counts import count
from scmrl.deploy.counts.updates import count_updates
from scmrl.deploy.energy.run import counted, estimates
from scmrl.deploy.reports.deploy import deploy_report, verify_report
from scmrl.deploy.reports.energy import energy_report
from scmrl.deploy.reports.estimates import with_error
from scmrl.deploy.reports.figures import run_picture
from scmrl.deploy.reports.profiles import DoctorReport, ProfilesReport
from scmrl.hw_profiles.profile import load, names
from scmrl.system.doctor import Component, examine
from scmrl.system.errors import DataError, MissingDependency, UsageError

RNG = np.random.default_rng(1)
GRAPH = Graph(
    (
        Population("in", (3, 2), "input", bits=4),
        Population("hidden[bold]", (3, 5), vth=20, dv=200),
        Population("gate", (15,), vth=0, memoryless=True),
        Population("out", (3,), "readout"),
    ),
    (
        Dense("in", "hidden[bold]", RNG.integers(-9, 10, (15, 6))),
        OneToOne("hidden[bold]", "gate", 1),
        Dense("gate", "out", RNG.integers(-9, 10, (3, 15))),
    ),
    7,
    ("yes", "no", "maybe"),
).check()
INPUTS = {"in": RNG.integers(0, 16, (5, 7, 3, 2))}
RUN = reference.run(GRAPH, INPUTS)
COUNTED = counted(GRAPH, INPUTS, RUN)
COUNTS, ERRORS = COUNTED.counts, COUNTED.over_samples
LABELS = np.array([0, 1, 2, 0, 1])
ENERGY = estimates(COUNTED, [*map(load, ("loihi1", "loihi2", "generic-45nm"))])
CHIPS = estimates(COUNTED, [*map(load, names())])
WHAT = {"model": "runs/demo", "selection": "held-out 0..4"}


def lava_run(flips=()):
    spikes = {name: s.copy() for name, s in RUN.spikes.items()}
    for place in flips:
        spikes["gate"].reshape(-1)[place] ^= 1
    return replace(
        RUN,
        spikes=spikes,
        backend="lava",
        version="lava-nc 0.10.0",
        overflow=None,
        seconds=12.345,
        notes=("one OS process",),
    )


def deployed(flips=(), **more):
    run = lava_run(flips)
    return deploy_report(
        GRAPH,
        LABELS,
        run,
        COUNTS,
        **WHAT,
        trained=replace(RUN, backend="training"),
        comparison=compare(GRAPH, RUN, run),
        **more,
    )


def verified(flips=()):
    runs = [lava_run(flips), replace(RUN, backend="training")]
    return verify_report(
        GRAPH, LABELS, RUN, COUNTS, [(run, compare(GRAPH, RUN, run)) for run in runs], **WHAT
    )


REPORTS = {
    "deploy": lambda: deployed(energy=ENERGY, over_samples=ERRORS),
    "deploy with mismatches": lambda: deployed(flips=(3, 40, 41)),
    "deploy, not compared": lambda: deploy_report(GRAPH, LABELS, RUN, COUNTS, **WHAT),
    "verify": verified,
    "verify with mismatches": lambda: verified(flips=(7,)),
    "energy": lambda: energy_report(
        GRAPH, LABELS, INPUTS, RUN, COUNTS, ENERGY, **WHAT, over_samples=ERRORS
    ),
    "energy on every chip": lambda: energy_report(
        GRAPH, LABELS, INPUTS, RUN, COUNTS, CHIPS, **WHAT
    ),
    "profiles": lambda: ProfilesReport(tuple(map(load, names()))),
    "one profile": lambda: ProfilesReport((load("loihi2"),)),
    "doctor": lambda: DoctorReport(tuple(examine())),
}


def screen(report, columns=110, monkeypatch=None):
    if monkeypatch:
        monkeypatch.setenv("COLUMNS", str(columns))
    out = io.StringIO()
    report.show(out, layers=True)
    return out.getvalue()


def numbers(text):
    return set(re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text))


def numbers_of(value):
    """All ways in which the numbers of a JSON value may stand on the screen."""
    if isinstance(value, dict):
        return set().union(set(), *map(numbers_of, value.values()), *map(numbers, value))
    if isinstance(value, (list, tuple)):
        return set().union(set(), *map(numbers_of, value))
    if isinstance(value, str):
        return numbers(value)
    if isinstance(value, bool) or value is None:
        return set()
    return numbers(f"{figure(value)} {percent(value)} {value:,}")


@pytest.mark.parametrize("name", REPORTS)
def test_every_number_on_the_screen_is_in_the_json(name):
    report = REPORTS[name]()
    table = json.loads(json.dumps(report.to_json(), allow_nan=False))
    shown = numbers(re.sub(r"\s*\n\s*", " ", screen(report)))
    fixed = {"24", "3", "3.10", "3.13", "2.13.0"} if name == "doctor" else {"24"}  # "24-bit border"
    assert shown - numbers_of(table) <= fixed
    assert len(shown) > 5


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("columns", [30, 80, 200])
def test_no_number_is_cut_on_any_width(name, columns, monkeypatch):
    report = REPORTS[name]()
    narrow = screen(report, columns, monkeypatch)
    assert "…" not in narrow
    if name in ("deploy", "verify", "energy"):
        rows = " ".join(line for line in narrow.splitlines() if "hidden[bold]" in line)
        assert figure(COUNTS[1].spikes_per_inference) in rows.split()


@pytest.mark.parametrize("name", REPORTS)
def test_a_pipe_gets_plain_text(name):
    assert "\x1b" not in screen(REPORTS[name]())


@pytest.mark.parametrize("name", ["deploy", "verify", "energy"])
def test_json_has_what_scripts_rely_on(name):
    table = REPORTS[name]().to_json()
    assert table["command"] == name and table["samples"] == 5 and 0 <= table["accuracy"] <= 1
    assert {"backend", "version", "selection", "bit_exact", "totals"} <= table.keys()
    for row, p in zip(table["populations"], GRAPH.populations, strict=True):
        assert (row["name"], row["neurons"]) == (p.name, p.neurons)
        assert {
            "shape",
            "spikes_per_inference",
            "synops_per_inference",
            "mismatches",
            "rate",
        } <= row.keys()
    if name == "energy":
        assert set(table["profiles"]) == {"loihi1", "loihi2", "generic-45nm"}
        assert {
            "core_dynamic_uj",
            "core_static_uj",
            "host_uj",
            "total_uj",
            "latency_us",
            "basis",
        } <= table["profiles"]["loihi2"].keys()


def test_bit_exact_only_after_a_comparison():
    assert deployed().to_json()["bit_exact"] is True
    table = REPORTS["deploy, not compared"]().to_json()
    assert table["bit_exact"] is None and table["mismatches"] is None
    assert all(row["mismatches"] is None for row in table["populations"])
    assert "not compared" in screen(REPORTS["deploy, not compared"]())
    assert REPORTS["energy"]().to_json()["bit_exact"] is None


def test_deploy_names_the_first_difference():
    report = deployed(flips=(40, 41, 3))
    table = report.to_json()
    assert table["bit_exact"] is False and table["mismatches"] == 3 == table["totals"]["mismatches"]
    assert {row["name"]: row["mismatches"] for row in table["populations"]}["gate"] == 3
    first = table["first_difference"]
    assert (first["population"], first["sample"], first["step"], list(first["neuron"])) == (
        "gate",
        0,
        0,
        [3],
    )
    assert "DIFFERS from reference" in screen(report)


def test_accuracies_of_backend_and_training_and_their_agreement():
    trained = replace(RUN, membrane={"out": RUN.membrane["out"][..., ::-1]}, backend="training")
    right = RUN.membrane["out"][:, -1].argmax(1)
    report = deploy_report(GRAPH, right, RUN, COUNTS, **WHAT, trained=trained)
    same = np.mean(right == 2 - right)
    assert (report.accuracy, report.training_accuracy, report.agreement) == (1.0, same, same)


def test_verify_holds_every_backend_and_training():
    report = verified(flips=(7,))
    table = report.to_json()
    assert table["backend"] == "lava, training" and table["bit_exact"] is False
    lava, training = table["backends"]
    assert (lava["mismatches"], lava["bit_exact"]) == (1, False)
    assert (training["mismatches"], training["bit_exact"], training["first_difference"]) == (
        0,
        True,
        None,
    )
    assert lava["first_difference"] == {
        "population": "gate",
        "sample": 0,
        "step": 0,
        "neuron": (7,),
        "expected": 1 - lava["first_difference"]["got"],
        "got": lava["first_difference"]["got"],
    }
    assert "first difference of lava: gate" in screen(report)
    assert verified().bit_exact is True


def added(**places):
    """The run with more spikes than it had, in population `gate`."""
    spikes = {name: s.copy() for name, s in RUN.spikes.items()}
    gate = spikes["gate"].reshape(-1)
    silent = np.flatnonzero(gate == 0)[: places["extra"]]
    gate[silent] = 1
    return replace(RUN, spikes=spikes, backend="norse")


def test_spikes_too_many_cost_precision_and_no_recall():
    run = added(extra=4)
    fired = sum(int(s.sum()) for s in RUN.spikes.values())
    report = deploy_report(
        GRAPH, LABELS, run, COUNTS, **WHAT, comparison=compare(GRAPH, RUN, run), exact=False
    )
    assert (report.spike_recall, report.spike_precision) == (1.0, fired / (fired + 4))
    assert report.spike_agreement == 1 - 4 / compare(GRAPH, RUN, run).compared
    (match,) = verify_report(
        GRAPH, LABELS, RUN, COUNTS, [(run, compare(GRAPH, RUN, run))], **WHAT
    ).backends
    assert (match.spike_recall, match.spike_precision) == (1.0, fired / (fired + 4))
    assert (
        f"100.00 % of the reference's recur, {100 * fired / (fired + 4):.2f} % of its own are there"
        in " ".join(screen(report).split())
    )


def test_float_backends_are_no_first_difference():
    run = added(extra=4)
    report = verify_report(
        GRAPH,
        LABELS,
        RUN,
        COUNTS,
        [(run, compare(GRAPH, RUN, run)), (RUN, compare(GRAPH, RUN, RUN))],
        **WHAT,
        float_backends=["norse"],
    )
    assert report.bit_exact is True and report.first_difference is None
    assert report.backends[0].first_difference is not None and "norse" in report.headline()


def test_overflow_is_the_sum_over_populations():
    run = replace(RUN, overflow={"hidden[bold]": 3, "gate": 4, "out": 0})
    report = deploy_report(GRAPH, LABELS, run, COUNTS, **WHAT)
    assert report.overflow == 7 and "7 neuron-steps" in screen(report)
    assert {row.name: row.overflow for row in report.populations}["gate"] == 4
    assert (
        deploy_report(GRAPH, LABELS, replace(RUN, overflow=None), COUNTS, **WHAT).overflow is None
    )


def test_verify_of_nothing_claims_nothing():
    assert verify_report(GRAPH, LABELS, RUN, COUNTS, [], **WHAT).bit_exact is None


def test_energy_says_that_it_is_an_estimate_and_on_what():
    text = " ".join(screen(REPORTS["energy"]()).split())
    assert "ESTIMATE" in text and "Loihi 1 coefficients" in text
    assert "no graded spikes" in text


def test_energy_reports_exact_counts_beside_the_estimates():
    table = REPORTS["energy"]().to_json()
    assert table["io"] == {"injected": COUNTS[0].spikes_per_inference, "read": 3, "energy_uj": None}
    totals = table["totals"]
    assert totals["dense_synops_per_inference"] == 7 * (15 * 6 + 15 + 3 * 15)
    assert (
        table["synop_share"]
        == totals["synops_per_inference"] / totals["dense_synops_per_inference"]
    )
    assert table["active_share"] == totals["active_per_inference"] / totals["updates_per_inference"]
    assert totals["graded_synops_per_inference"] == COUNTS[1].synops_per_inference
    assert (
        table["neurobench"]["dense"] == 7 * (15 * 6 + 3 * 15)
        and table["dense_equivalent"]["macs"] == 15 * 6 + 3 * 15
    )


def test_a_chip_with_two_published_sets_gets_the_band_between_them():
    table = REPORTS["energy on every chip"]().to_json()
    one, two = (table["profiles"][name]["core_dynamic_uj"] for name in ("loihi1", "loihi1-sanafe"))
    assert [(b["chip"], b["low_uj"], b["high_uj"]) for b in table["bands"]] == [
        ("Loihi 1", min(one, two), max(one, two))
    ]
    assert not REPORTS["energy"]().to_json()["bands"]


def test_many_chips_stand_in_one_table_and_what_is_unknown_is_said():
    text = screen(REPORTS["energy on every chip"]())
    row = {
        name: " ".join(line for line in text.splitlines() if line.split()[:1] == [name])
        for name in names()
    }
    assert "not published" in row["akida1"] and "not published" not in row["loihi2"]
    words = " ".join(text.split())
    assert "akida1" in words.split("not published: energy of an operation")[0]
    assert f"fits {sum(e.fits is True for e in CHIPS)} of {len(CHIPS)} chips" in words
    assert all(name in text for name in ("cpu-i7", "gpu-titan-black"))
    assert all(row.values())


def test_chips_without_a_total_stand_apart_from_those_with_one():
    """The table of several chips: a column that says whether it fits, totals first, a part by its
    name only.
    """
    report = REPORTS["energy on every chip"]()
    totals = [e.total_uj is not None for e in report.known]
    assert any(totals) and totals == sorted(totals, reverse=True)
    table = next(block for block in report.details() if hasattr(block, "rows"))
    assert table.heads[1] == "fits"
    rows = {row[0]: row for row in table.rows}
    for e in report.profiles:
        name, fits, total, _, part = rows[e.profile]
        assert (total == "-") == (e.total_uj is None)
        assert fits.startswith({True: "yes", False: "no: ", None: "-"}[e.fits])
        assert all(rule in fits for rule in e.broken)
        if e.core_dynamic_uj is not None:
            assert part == f"{with_error(e, 'core_dynamic_uj')} {e.part}"
        if e.fits is False or e.not_published:
            assert total == "-"
    assert rows["truenorth"][4].endswith("synops only") and rows["akida1"][4] == "not published"


def lines_of_headline(report):
    """What the answer takes at 80 columns."""

    class Answer(Report):
        def headline(self):
            return report.headline()

    out = io.StringIO()
    Answer().show(out)
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    "name", ["energy", "energy on every chip", "energy, does not fit", "energy of the dead"]
)
def test_energy_answers_on_ten_lines_of_80_columns(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    silent = replace(RUN, spikes={p: 0 * s for p, s in RUN.spikes.items()})
    counts = count(GRAPH, INPUTS, silent, count_updates(GRAPH, INPUTS, silent))
    report = {
        "energy, does not fit": lambda: energy_report(
            GRAPH, LABELS, INPUTS, RUN, COUNTS, ENERGY[:1], **WHAT
        ),
        "energy of the dead": lambda: energy_report(
            GRAPH, LABELS, INPUTS, silent, counts, ENERGY, **WHAT
        ),
    }.get(name, REPORTS.get(name))()
    lines, words = lines_of_headline(report), " ".join(" ".join(lines_of_headline(report)).split())
    assert len(lines) <= 10 and max(map(len, lines)) <= 80
    assert "held-out 0..4" in words and "where" in words
    whole = next((e for e in report.profiles if e.total_uj is not None), None)
    if whole is not None:
        assert (
            f"estimate {with_error(whole, 'total_uj')} uJ" in words
            and f"{figure(whole.latency_ms)} ms" in words
        )
        assert f"fits, {whole.cores} cores" in words
    if name == "energy, does not fit":
        assert (
            "does not fit: input_bits at in (limit 1 bits, got 4)" in words
            and "fits, " not in words
        )
    assert ("never fire" in words or "no population fires" in words) == (
        name == "energy of the dead"
    )
    assert all(len(line) <= 80 for line in screen(report).splitlines())


def test_where_the_energy_goes_adds_up():
    for e in (*ENERGY, *CHIPS):
        shares = e.where()
        assert not shares or sum(shares.values()) == pytest.approx(1)
        if e.total_uj:
            assert shares["static"] == pytest.approx(e.core_static_uj / e.total_uj)
            assert ("host" in shares) == bool(e.host_uj)  # 0 where it is inside the fixed power


def test_doctor_prints_the_command_for_what_is_missing():
    found = (
        Component("numpy", "2.0", "installed", "everything", "pip install 'numpy>=1.26'"),
        Component("numba", None, "missing", "the fast simulator", "pip install 'numba>=0.59'"),
    )
    text = screen(DoctorReport(found))
    assert "numba: pip install 'numba>=0.59'" in text and "pip install 'numpy" not in text


@pytest.mark.parametrize(
    "value, text",
    [
        (None, "-"),
        (0, "0"),
        (1234567, "1,234,567"),
        (1e7, "10,000,000"),
        (123456.7, "123,457"),
        (0.5, "0.5000"),
        (12.345, "12.35"),
        (0.000012346, "0.00001235"),
        (-2.5, "-2.500"),
    ],
)
def test_figures_have_four_digits_and_no_exponent(value, text):
    assert figure(value) == text


# Pictures.


def draw(path, *, run=RUN, sample=4, counts=COUNTS, energy=ENERGY):
    drawing.save(path, *run_picture(GRAPH, INPUTS, run, sample, counts, energy))


@pytest.mark.parametrize("name", ["run.png", "run.svg"])
def test_pictures_are_written(name, tmp_path):
    pytest.importorskip("matplotlib")
    for energy in (ENERGY, [], CHIPS):
        draw(tmp_path / name, energy=energy)
        data = (tmp_path / name).read_bytes()
        assert (
            data.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml") and len(data) > 5000
        )
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_picture_names_backend_sample_populations_and_units(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        draw(tmp_path / "run.svg", run=lava_run())
    text = (tmp_path / "run.svg").read_text()
    for part in (
        "lava lava-nc 0.10.0",
        "sample 4",
        "hidden[bold]",
        "3x5 lif",
        "time (steps)",
        "uJ per inference",
        "Loihi 1 (Davies et al. 2018)",
        "Loihi 2 (Loihi 1 coefficients)",  # whose state is cleared later, at a power of two
    ):
        assert part in text, part


def test_same_run_same_picture(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("one.svg", "two.svg"):
        draw(tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_wrong_ending_sample_and_counts_are_refused_and_leave_no_file(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(
        UsageError, match=r"unknown kind of picture .*limit \.svg or \.png or \.pdf"
    ):
        draw(tmp_path / "run.gif")
    with pytest.raises(UsageError, match=r"no such sample \(limit 0..4, got 5\)"):
        draw(tmp_path / "run.png", sample=5)
    with pytest.raises(DataError, match="of another graph"):
        draw(tmp_path / "run.png", counts=COUNTS[:2])
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_command_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependency, match=r"pip install 'matplotlib>=3.8'"):
        draw(tmp_path / "run.png")
