"""The zoo: every model is what its card says, runs everywhere at once, and holds no recordings."""

import dataclasses
import json
import os
import re

import numpy as np
import pytest
from places import ROOT, SHARED

import scmrl as api
from scmrl.core import zoo
from scmrl.core.samples import HELD_OUT, NONE, OTHER, TRUE, Origin
from scmrl.data.remembered import data_dir_of
from scmrl.system.errors import UsageError

NAMES = ("av-mnist-hard", "demo", "nmnist-fsdd", "when", "where")
LARGEST, ALL = 1 << 20, 3_000_000  # bytes of one, and of the zoo
EMBEDDED = "digits-av"


def size(name: str) -> int:
    return sum(file.stat().st_size for file in (zoo.FOLDER / name).iterdir())


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def card(name):
    return zoo.card(name)


@pytest.fixture(scope="module")
def bundle(name):
    return api.load(f"zoo:{name}")


def test_there_are_five_within_their_size():
    assert zoo.names() == NAMES
    assert max(map(size, NAMES)) < LARGEST and sum(map(size, NAMES)) < ALL
    assert zoo.report().bytes == sum(map(size, NAMES))


def test_the_card_is_of_this_bundle(name, card, bundle):
    said, known = bundle.training, bundle.metrics
    assert card.name == name and card.bundle == bundle.hash
    assert (card.test_correct, card.test_samples) == (known["test_correct"], known["test_samples"])
    assert card.accuracy == known["test_accuracy"] and card.parameters == known["parameters"]
    assert card.seed == said["train"]["seed"] and card.steps == bundle.graph.steps
    assert card.neurons == sum(p.neurons for p in bundle.graph.of_kind("lif"))
    assert card.samples == bundle.samples and card.dataset.startswith(said["dataset"])
    assert card.lava_mismatches == 0 and card.measured_on >= 64
    low, high = card.energy_uj_range
    assert low < card.core_dynamic_uj < card.energy_uj < high or low < card.energy_uj < high
    assert all(source.licence and source.by for source in card.sources)


def test_the_card_says_the_command_that_trained_it(card, bundle, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import zoo as maker

    assert card.command == maker.command(bundle.training)


def test_only_embedded_data_travel_with_it(card, bundle):
    """No recording of a set that is not the package's own, and no place of the maker's machine."""
    own = bundle.training["dataset"] == EMBEDDED
    assert bundle.origin == (Origin(HELD_OUT, TRUE) if own else Origin(OTHER, NONE))
    assert own or (EMBEDDED in card.samples_are and not bundle.labels.any())
    assert (bundle.trained is not None) == own
    for file in (zoo.FOLDER / card.name).glob("*.json"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r'"(/|[A-Z]:\\)|data_dir|/tmp|/home', text), file


def test_samples_make_it_fire_as_recordings_do(card, bundle):
    """Within a factor of two of the spikes of the real test part: what runs at once is no toy."""
    report = api.deploy(bundle, samples=4, compared=False)
    assert 0.5 < report.totals.spikes_per_inference / card.spikes_per_inference < 2
    assert not report.dead


def test_it_is_exact_on_lava(name, bundle):
    pytest.importorskip("lava")
    report = api.verify(f"zoo:{name}", ["simulator", "lava-inprocess"], samples=1)
    assert report.bit_exact and [match.mismatches for match in report.backends] == [0] * (
        2 + (bundle.trained is not None)
    )


def test_energy_lies_in_the_range_of_the_card(name, card):
    report = api.energy(f"zoo:{name}", [card.profile], samples=2)
    low, high = card.energy_uj_range
    assert report.model == f"zoo:{name}" and report.profiles[0].fits
    assert low < report.profiles[0].total_uj < high


def test_the_figures_are_those_of_the_test_part(name, card, bundle):
    """Accuracy, spikes and operations, recomputed: of demo always, of others where the data are."""
    for library in ("librosa", "soundfile", "sklearn"):
        pytest.importorskip(library)
    own = bundle.training["dataset"] == EMBEDDED
    if not own and not (SHARED / "fsdd").is_dir():
        pytest.skip(f"no human recordings in {SHARED} (set SCMRL_DATA)")
    report = api.evaluate(f"zoo:{name}", data_dir=None if own else SHARED)
    assert report.equals_training
    assert (report.correct, report.samples) == (card.test_correct, card.test_samples)
    assert report.totals.spikes_per_inference == pytest.approx(card.spikes_per_inference, rel=1e-12)
    assert report.totals.synops_per_inference == pytest.approx(card.synops_per_inference, rel=1e-12)


def test_a_model_of_data_without_a_known_licence_is_not_taken(small_bundle, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import zoo as maker

    foreign = dataclasses.replace(small_bundle, training={"dataset": "my recordings"})
    foreign.save(tmp_path / "run")
    with pytest.raises(UsageError, match="data of unknown licence.*my recordings"):
        maker.main(str(tmp_path / "run"), "mine")
    with pytest.raises(UsageError, match="small letters"):
        maker.main(str(tmp_path / "run"), "../mine")
    assert zoo.names() == NAMES


# The names.


def test_a_name_is_a_model_everywhere(scmrl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (["deploy"], ["verify", "--backends", "simulator"], ["energy"], ["place"]):
        code, out, _ = scmrl(*command, "zoo:demo", "--samples", 1, "--json")
        assert code == 0 and json.loads(out)["model"] == "zoo:demo", command
    code, out, _ = scmrl("export", "zoo:demo", "--target", "c", "--out", "made", "--no-verify")
    assert code == 0 and (tmp_path / "made" / "bundle.json").is_file()
    assert scmrl("deploy", "made", "--samples", 1)[0] == 0
    assert os.listdir(tmp_path) == ["made"]


def test_it_runs_on_samples_of_the_user(scmrl, bundle, name, tmp_path):
    inputs = {n: x[:2] for n, x in bundle.inputs.items()}
    np.savez(tmp_path / "mine.npz", **inputs, y=np.zeros(2, int))
    code, out, _ = scmrl("deploy", f"zoo:{name}", "--input", tmp_path / "mine.npz", "--json")
    report = json.loads(out)
    assert code == 0 and report["samples"] == 2 and report["accuracy"] is not None


def test_scmrl_zoo_lists_them_and_shows_the_card_of_one(scmrl):
    code, out, hints = scmrl("zoo")
    assert (
        code == 0 and all(f"zoo:{name}" in out for name in NAMES) and "next: scmrl deploy" in hints
    )
    table = json.loads(scmrl("zoo", "--json")[1])
    assert table["command"] == "zoo" and tuple(table["models"]) == NAMES
    for asked in ("where", "zoo:where"):
        out = scmrl("zoo", asked)[1]
        assert "FSDD" in out or "Free Spoken" in out
        assert "CC BY-SA 4.0" in out and "test part" in out and "seed" in out
    (card,) = json.loads(scmrl("zoo", "where", "--json")[1])["models"].values()
    assert card["accuracy"] == card["test_correct"] / card["test_samples"]


@pytest.mark.parametrize(
    "arguments", [("deploy", "zoo:whre"), ("zoo", "whre"), ("energy", "zoo:whre")]
)
def test_an_unknown_name_is_refused_with_the_nearest(scmrl, arguments):
    code, _, err = scmrl(*arguments)
    assert code == 2 and "no such model in the zoo" in err and "did you mean 'where'?" in err


@pytest.mark.parametrize("name", ["zoo:", "zoo:.", "zoo:..", "zoo:../zoo/demo", "zoo:demo/"])
def test_a_name_is_no_path(name):
    with pytest.raises(UsageError, match="no such model in the zoo"):
        zoo.place(name)


def test_a_directory_of_that_name_is_told_apart(scmrl, small_bundle, tmp_path, monkeypatch):
    """What could mean two things is refused; a name that only the directory has is the directory's,
    and so is a whole path.
    """
    monkeypatch.chdir(tmp_path)
    for name in ("zoo:demo", "zoo:mine"):
        small_bundle.save(tmp_path / name)
    code, _, err = scmrl("deploy", "zoo:demo")
    assert code == 2 and "also a file or directory here" in err and str(tmp_path) in err
    for path in ("zoo:mine", tmp_path / "zoo:demo"):
        code, out, _ = scmrl("deploy", path, "--json")
        assert code == 0 and json.loads(out)["bundle"] == small_bundle.hash


def test_nothing_is_written_into_the_zoo(scmrl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = scmrl("export", "zoo:demo")
    assert code == 2 and "no place of its own" in err and "--out" in err
    assert os.listdir(tmp_path) == []


def test_what_a_run_around_remembers_is_not_the_zoos(tmp_path, monkeypatch):
    """Recordings are those of the model's own run, never of the directory that one works in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(f'data_dir = "{tmp_path}"\n')
    assert data_dir_of("zoo:where", None, "av-mnist") is None


def test_the_page_has_the_figures_of_the_cards():
    page = (ROOT / "docs" / "how-to" / "zoo.md").read_text(encoding="utf-8")
    rows = {}
    for line in re.findall(r"^\| `zoo:.*$", page, re.MULTILINE):
        name, _, accuracy, spikes, energy, learnt = map(str.strip, line.strip("|").split("|"))
        rows[name.strip("`").removeprefix("zoo:")] = accuracy, spikes, energy, learnt
    cards = {n: zoo.card(n) for n in NAMES}
    assert {n: row[:3] for n, row in rows.items()} == {
        n: (f"{100 * c.accuracy:.2f} %", f"{c.spikes_per_inference:,.0f}", c.energy)
        for n, c in cards.items()
    }
    for n, row in rows.items():
        assert all(source.licence in row[3] for source in cards[n].sources)
