"""What may be written where: no stranger's file is replaced, and scmrl's own with --force alone."""

import dataclasses
import json
import os
import re
import runpy
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from places import BENCHMARKS

from scmrl import cli
from scmrl.commands.options import Target
from scmrl.commands.train import tell_stale
from scmrl.convert import TARGETS, exporter
from scmrl.convert.lava import export as lava_exporter
from scmrl.core import bundle
from scmrl.data.prepared.index import Index
from scmrl.deploy import demo, jobs
from scmrl.system import targets
from scmrl.system.errors import MismatchError, UsageError
from scmrl.system.storage import sha256

PATHS = ("DIR", "FILE", "TOML", "NPZ", "RUN", "BUNDLE", "PATH")  # metavars of places
READ = {  # command: what it reads and never writes
    "train": {"data_dir", "config"},
    "tune": {"model"},
    "sweep": {"config", "data_dir"},
    "evaluate": {"model", "data_dir"},
    "export": {"model"},
    "import": {"file", "calibrate", "golden"},
    "deploy": {"model", "file", "wav", "image", "events"},
    "verify": {"model", "file"},
    "energy": {"model", "file"},
    "place": {"model", "file"},
    "validate": {"data_dir"},
    "robustness": {"model", "data_dir"},
    "compare": {"first", "second"},
    "count": {"file"},
    "data check": {"data_dir"},
    "data prepare": {"source", "test_list"},
}
WRITTEN = {  # (command, parameter): its other words, and a name to write
    ("train", "out"): ([], "run"),
    ("train", "page"): (["--out", "NEW"], "p.html"),
    ("tune", "out"): (["MODEL", "--dataset", "none.npz"], "run"),
    ("tune", "page"): (["MODEL", "--dataset", "none.npz", "--out", "NEW"], "p.html"),
    ("sweep", "out"): (["--space", "model.alpha=0.0..1.0"], "sweep"),
    ("export", "out"): (["MODEL", "--target", "onnx", "--no-verify"], "out"),
    ("import", "out"): (["NIR", "--steps", "3"], "out"),
    ("deploy", "page"): (["MODEL"], "p.html"),
    ("deploy", "picture"): (["MODEL"], "p.png"),
    ("verify", "page"): (["MODEL", "--backends", "simulator"], "p.html"),
    ("energy", "page"): (["MODEL", "--profile", "loihi2"], "p.html"),
    ("energy", "picture"): (["MODEL", "--profile", "loihi2"], "p.svg"),
    ("count", "page"): (["NET", "--input", "SPIKES"], "p.html"),
    ("place", "page"): (["MODEL"], "p.htm"),
    ("place", "picture"): (["MODEL"], "p.pdf"),
    ("validate", "write"): ([], "p.md"),
    ("robustness", "picture"): (["MODEL"], "p.png"),
    ("compare", "page"): (["REPORT", "REPORT"], "p.html"),
    ("data check", "picture"): (["digits-av"], "p.png"),
    ("data prepare", "out"): (["crema-d", "--from", "NONE"], "prepared"),
    ("demo", "out"): ([], "run"),
    ("profiles", "template"): ([], "chip.toml"),
}
NET = """from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return (self.layer(x) > 0).float()
"""
KEPT = ("sweep", "profiles", "data prepare")  # no --force: gone on with, or filled in
LONG = {
    ("train", "out"),
    ("train", "page"),
    ("tune", "out"),
    ("tune", "page"),
    ("sweep", "out"),
    ("robustness", "picture"),
    ("demo", "out"),
    ("validate", "write"),
    ("data check", "picture"),
    ("data prepare", "out"),
}


def commands(group: click.Group, prefix: str = ""):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def test_every_option_that_names_a_place_is_known_to_read_or_held_to_the_rule():
    """A new writing option fails here until it has a row in WRITTEN, and so the tests below."""
    found = {
        (name, p.name): (p, command)
        for name, command in commands(cli.commands)
        for p in command.params
        if isinstance(p.type, click.Path) or p.metavar in PATHS
    }
    read = {(name, option) for name, options in READ.items() for option in options}
    assert set(found) == read | set(WRITTEN)
    for (name, option), (p, command) in found.items():
        writes = isinstance(p.type, Target) or (name, option) == ("export", "out")
        assert writes == ((name, option) in WRITTEN)
        if writes and name not in KEPT:
            assert any(q.name == "force" for q in command.params), f"{name} has no --force"


@pytest.fixture
def words(model, tmp_path, scmrl):
    """The words of a command for a row of WRITTEN with the place it is to write."""

    def of(row: tuple[str, str], place: Path, *more: str) -> list:
        name, option = row
        given = {
            "MODEL": model,
            "NEW": tmp_path / "new",
            "REPORT": tmp_path / "r.json",
            "NIR": model / "nir" / "nir" / "model.nir",
            "NET": f"{tmp_path / 'net.py'}:Net",
            "SPIKES": tmp_path / "spikes.npz",
        }
        if "NET" in WRITTEN[row][0]:
            pytest.importorskip("torch")
            (tmp_path / "net.py").write_text(NET)
            np.savez(given["SPIKES"], x=np.eye(3, dtype=np.float32))
        if "REPORT" in WRITTEN[row][0] and not given["REPORT"].exists():
            given["REPORT"].write_text(json.dumps({"command": "deploy", "accuracy": 1}))
        if "NIR" in WRITTEN[row][0] and not given["NIR"].exists():
            pytest.importorskip("nir")
            exporter("nir")(bundle.load(model), model / "nir")
        command = dict(commands(cli.commands))[name]
        opts = next(p.opts for p in command.params if p.name == option)
        others = [given.get(word, word) for word in WRITTEN[row][0]]
        return [*name.split(), *others, opts[0], place, *more]

    return of


def tree(path: Path) -> dict[str, object]:
    return {
        p.relative_to(path).as_posix(): p.read_bytes() if p.is_file() else None
        for p in sorted(path.rglob("*"))
    }


def refused(outcome: tuple, *said: str) -> None:
    code, out, err = outcome
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code in (1, 2) and len(lines) == 1 and out == "", (out, err)
    assert all(word in lines[0] for word in said), err


@pytest.mark.parametrize(
    "row, force",
    [(row, ()) for row in WRITTEN] + [(row, ("--force",)) for row in WRITTEN if row[0] not in KEPT],
    ids=lambda words: " ".join(words),
)
def test_what_a_stranger_wrote_survives(row, force, words, scmrl, tmp_path):
    place = tmp_path / "mine" / WRITTEN[row][1]
    if "." in place.name:
        place.parent.mkdir()
        place.write_text("a thesis")
    else:
        place.mkdir(parents=True)
        (place / "notes.txt").write_text("a thesis")
    before = tree(place.parent)
    why = "is there already" if row[0] == "profiles" else "scmrl did not write"
    refused(scmrl(*words(row, place, *force)), why)
    assert tree(place.parent) == before


@pytest.mark.parametrize("row", [row for row in WRITTEN if row[0] != "profiles"], ids=" ".join)
def test_its_own_is_replaced_with_force_alone_and_strangers_in_it_stay(
    row, words, scmrl, model, tmp_path
):
    place = tmp_path / "out" / WRITTEN[row][1]
    own(place, bundle.load(model), row)
    before = tree(place.parent)
    way = {"sweep": "--resume", "data prepare": "another name"}.get(row[0], "--force")
    refused(scmrl(*words(row, place)), "is there already", way)
    assert tree(place.parent) == before
    if row in LONG:  # their own tests write
        return
    if row[1] == "picture":
        pytest.importorskip("matplotlib")
    code, _, err = scmrl(*words(row, place, "--force"))
    assert code == 0, err
    assert set(tree(place.parent)) == set(before)  # and nothing hidden
    assert tree(place.parent) != before
    if "." not in place.name:
        assert (place / "notes.txt").read_text() == "a thesis" and "notes.txt" in err


def own(place: Path, model: bundle.Bundle, row: tuple[str, str]) -> None:
    """Something that scmrl wrote there before, of the same kind; a stranger's file in it."""
    if "." in place.name:
        kind = {"page": "page", "write": "table"}.get(row[1], "picture")
        place.parent.mkdir()
        place.write_bytes(targets.MARKS[kind][place.suffix][0])
        return
    if row[0] == "data prepare":
        Index(place, "another", {}).write()
    elif row[0] == "export":
        exporter("onnx")(other(model), place)
    elif row[0] == "import":
        nir = place.parent / "net.nir"
        place.parent.mkdir()
        nir.write_bytes(b"the network of before")
        other(model).save(place, nir)
        nir.unlink()
    else:
        other(model).save(place / "bundle")
    if row[0] == "sweep":
        (place / "sweep.json").write_text(
            json.dumps({"axes": [], "settings": [], "chip": "", "seed": 1})
        )
    if row[0] in ("train", "tune", "demo"):
        (place / "config.toml").write_text('dataset = "digits-av"\n\n[model]\n\n[train]\n')
    (place / "notes.txt").write_text("a thesis")


@pytest.mark.parametrize("row", WRITTEN, ids=" ".join)
def test_odd_places_are_one_line(row, words, scmrl, tmp_path, monkeypatch):
    """A directory for a file and the reverse, a pipe, a device, a way through a file, a loop."""
    name = WRITTEN[row][1]
    home = tmp_path / "odd"
    home.mkdir()
    (home / "file").write_text("mine")
    suffix = Path(name).suffix
    (home / f"directory{suffix}").mkdir()
    (home / f"loop{suffix}").symlink_to(home / f"loop{suffix}")
    os.mkfifo(home / f"pipe{suffix}")
    before = set(tree(home))
    force = () if row[0] in KEPT else ("--force",)
    odd = [
        home / f"pipe{suffix}",
        home / "file" / name,
        home / f"loop{suffix}",
        home / ("n" * 300 + suffix),
        Path("/dev/null"),
    ]
    if suffix:
        odd += [home / f"directory{suffix}", home / "p.xyz", Path("/dev/stdout"), ""]
    else:
        odd.append(home / "file")
    for place in odd:
        refused(scmrl(*words(row, place, *force)))
    assert set(tree(home)) == before and (home / "file").read_text() == "mine"


def test_an_empty_file_or_directory_is_a_place_to_write(model, scmrl, tmp_path):
    (tmp_path / "out" / ".scmrl-0123456789ab").mkdir(parents=True)  # of a killed write into it
    (tmp_path / "out" / "scmrl.lock").touch()
    (tmp_path / "p.html").touch()
    code, _, err = scmrl(
        "export", model, "--target", "onnx", "--no-verify", "--out", tmp_path / "out"
    )
    assert code == 0 and targets.kind_of(tmp_path / "out") == "onnx", err
    assert not {".scmrl-0123456789ab", "scmrl.lock"} & set(os.listdir(tmp_path / "out"))
    code, _, err = scmrl("place", model, "--html", tmp_path / "p.html")
    assert code == 0 and (tmp_path / "p.html").stat().st_size > 0, err


def test_an_export_never_lies_in_the_way_of_its_model(model, scmrl, tmp_path, monkeypatch):
    before = tree(tmp_path)
    inside = model / "bundle"
    for out in (model, inside, tmp_path, inside / "deep" / "er", inside / "graph.json"):
        refused(scmrl("export", model, "--target", "onnx", "--no-verify", "--force", "--out", out))
    monkeypatch.chdir(tmp_path)
    refused(scmrl("export", model, "--target", "onnx", "--out", "."))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    refused(scmrl("export", model, "--target", "onnx", "--out", ""), "current directory")
    os.rmdir(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    assert tree(tmp_path) == before
    code, _, err = scmrl("export", model, "--target", "onnx", "--no-verify")
    assert code == 0, err
    refused(
        scmrl("export", model / "onnx", "--target", "onnx", "--out", model / "onnx", "--force"),
        "model itself",
    )


def test_another_kind_of_scmrl_is_not_replaced(model, scmrl, tmp_path):
    exporter("onnx")(bundle.load(model), tmp_path / "onnx")
    before = tree(tmp_path)
    refused(
        scmrl("export", model, "--target", "lava", "--out", tmp_path / "onnx", "--force"),
        "holds an export for onnx",
    )
    refused(scmrl("train", "--out", tmp_path / "onnx", "--force"), "holds an export for onnx")
    refused(scmrl("sweep", "--out", model, "--space", "model.alpha=0..1"), "holds a run")
    assert tree(tmp_path) == before


def test_all_targets_are_looked_at_before_one_is_written(model, scmrl):
    (model / "onnx").mkdir()
    (model / "onnx" / "notes.txt").write_text("mine")
    before = tree(model)
    refused(scmrl("export", model, "--target", "all", "--force"), "onnx")
    assert tree(model) == before


def test_an_input_is_not_written_over(model, scmrl, small_bundle, tmp_path):
    np.savez(tmp_path / "x.npz", **small_bundle.inputs)
    report = tmp_path / "a.json"
    report.write_text(json.dumps({"command": "deploy", "accuracy": 1}))
    before = tree(tmp_path)
    samples = tmp_path / "x.npz"
    refused(scmrl("deploy", model, "--input", samples, "--picture", samples, "--force"))
    refused(scmrl("compare", report, report, "--html", report, "--force"))
    refused(scmrl("deploy", model, "--html", model / "bundle" / "bundle.json", "--force"))
    assert tree(tmp_path) == before


@pytest.mark.parametrize("target", ["bundle", *TARGETS])
def test_directories_of_the_version_before_are_known(target, small_bundle, tmp_path):
    """They have no manifest; what lies in them besides is a stranger's all the same."""
    if target == "netx":  # needs a chain; known by its file alone
        small_bundle.save(tmp_path / "d")
        (tmp_path / "d" / "netx").mkdir()
        (tmp_path / "d" / "netx" / "model.net").touch()
    elif target == "bundle":
        small_bundle.save(tmp_path / "d")
    else:
        pytest.importorskip(
            {"lava": "numpy", "c": "jinja2", "verilog": "jinja2"}.get(target, target)
        )
        exporter(target)(small_bundle, tmp_path / "d")
    (tmp_path / "d" / targets.MANIFEST).unlink()
    (tmp_path / "d" / "notes.txt").write_text("mine")
    assert targets.kind_of(tmp_path / "d") == target
    assert targets.strangers(tmp_path / "d") == ["notes.txt"]


@pytest.mark.parametrize(
    "manifest",
    [
        "[]",
        "{}",
        '{"files": {}}',
        '{"scmrl": "1", "kind": [], "files": {}}',
        '{"scmrl": "1", "kind": "x", "files": {}}',
        '{"scmrl": "1", "kind": "lava", "files": []}',
        "[" * 100_000,
        "\0",
    ],
)
def test_a_manifest_of_somebody_else_makes_nothing_ours(manifest, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / targets.MANIFEST).write_text(manifest)
    for kind in targets.DIRECTORIES:
        with pytest.raises(UsageError, match="did not write"):
            targets.check(tmp_path / "d", kind, force=True)


def test_a_file_of_ours_that_became_a_directory_is_a_stranger(small_bundle, tmp_path):
    exporter("onnx")(small_bundle, tmp_path / "d")
    (tmp_path / "d" / "README.txt").unlink()
    (tmp_path / "d" / "README.txt").mkdir()
    (tmp_path / "d" / "README.txt" / "mine").write_text("mine")
    with pytest.raises(UsageError, match="README.txt: not written by scmrl"):
        exporter("onnx")(small_bundle, tmp_path / "d")
    assert (tmp_path / "d" / "README.txt" / "mine").read_text() == "mine"


def test_marks_are_found_at_either_end_and_nowhere_else(tmp_path):
    mark = targets.MARKS["page"][".html"][0]
    filler = b" " * targets.MARKED_BYTES
    for content, ours in (
        (mark, True),
        (filler + mark, True),
        (mark + filler * 3, True),
        (filler + mark + filler, False),
        (b"<html>", False),
    ):
        (tmp_path / "p.html").write_bytes(content)
        if ours:
            targets.check(tmp_path / "p.html", "page", force=True)
        else:
            with pytest.raises(UsageError):
                targets.check(tmp_path / "p.html", "page", force=True)


# ---- exports and the bundle they come from -------------------------------------------------------


def other(made: bundle.Bundle) -> bundle.Bundle:
    return dataclasses.replace(made, labels=made.labels[::-1].copy())


def test_a_hash_is_that_of_the_network_and_its_samples(small_bundle, tmp_path):
    small_bundle.save(tmp_path / "b")
    said = json.loads((tmp_path / "b" / "bundle.json").read_text())["hash"]
    assert bundle.load(tmp_path / "b").hash == small_bundle.hash == said
    graph = small_bundle.graph
    *first, last = graph.synapses
    heavier = (*first, dataclasses.replace(last, weight=last.weight + 1))
    changes = (
        {"trained": None},
        {"profile": "loihi1"},
        {"frontend": {"a": 1}},
        {"labels": small_bundle.labels[::-1]},
        {"inputs": {n: x ^ 1 for n, x in small_bundle.inputs.items()}},
        {"graph": dataclasses.replace(graph, classes=tuple("dcba"))},
        {"graph": dataclasses.replace(graph, synapses=heavier)},
    )
    changed = [dataclasses.replace(small_bundle, **change) for change in changes]
    assert len({b.hash for b in changed} | {small_bundle.hash}) == len(changed) + 1
    same = dataclasses.replace(small_bundle, metrics={"train_seconds": 3}, training={"seed": 1})
    assert same.hash == small_bundle.hash


def test_every_report_names_its_bundle(model, small_bundle, scmrl, tmp_path):
    for words in (
        ["deploy", model],
        ["verify", model, "--backends", "simulator"],
        ["energy", model],
        ["place", model],
        ["export", model, "--target", "onnx", "--no-verify"],
    ):
        code, out, err = scmrl(*words, "--json")
        assert code == 0 and json.loads(out)["bundle"] == small_bundle.hash, err
        code, out, _ = scmrl(*words, *(["--force"] if words[0] == "export" else []))
        assert f"bundle {small_bundle.hash[:12]}" in " ".join(out.split())
    scmrl("deploy", model, "--html", tmp_path / "p.html")
    assert small_bundle.hash in (tmp_path / "p.html").read_text()


def test_an_export_that_is_not_the_runs_any_more_is_said(model, small_bundle, scmrl, capsys):
    code, _, err = scmrl("export", model, "--target", "onnx", "--no-verify")
    (model / "mine.json").write_text("[]")
    _, report, _ = scmrl("deploy", model, "--json")
    (model / "deploy.json").write_text(report)
    _, _, err = scmrl("place", model / "onnx")
    assert "warning" not in err and bundle.stale(model) == []
    other(small_bundle).save(model / "bundle")
    assert bundle.stale(model) == [model / "deploy.json", model / "onnx"]
    tell_stale(model)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "deploy.json is of the model that was here before" in said[0]
    for words in (
        ["deploy", model / "onnx"],
        ["place", model / "onnx"],
        ["verify", model / "onnx", "--backends", "simulator"],
    ):
        code, _, err = scmrl(*words)
        assert code == 0 and "warning:" in err and "another bundle" in err
        assert f"--target onnx --out {model / 'onnx'} --force" in err
    _, _, err = scmrl("place", model)
    assert "warning" not in err
    code, _, err = scmrl(
        "export",
        model / "bundle",
        "--target",
        "onnx",
        "--no-verify",
        "--force",
        "--out",
        model / "onnx",
    )
    assert code == 0 and bundle.stale(model) == [model / "deploy.json"], err
    for path in (model / "bundle", model / "onnx"):  # as scmrl 0.1 wrote them
        table = json.loads((path / "bundle.json").read_text())
        del table["hash"]
        (path / "bundle.json").write_text(json.dumps(table))
    assert bundle.stale(model) == [model / "deploy.json"]
    (model / "onnx" / "bundle.json").write_text("{")
    assert bundle.stale(model) == [model / "deploy.json", model / "onnx"]


def test_compare_says_whether_both_are_of_one_bundle(model, small_bundle, scmrl, tmp_path):
    reports = []
    for i, made in enumerate((small_bundle, small_bundle, other(small_bundle))):
        made.save(model / "bundle")
        _, out, _ = scmrl("deploy", model, "--json")
        reports.append(tmp_path / f"{i}.json")
        reports[-1].write_text(out)
    _, out, _ = scmrl("compare", reports[0], reports[1])
    assert f"both of bundle {small_bundle.hash[:12]}" in " ".join(out.split())
    _, out, _ = scmrl("compare", reports[0], reports[2])
    one, two = small_bundle.hash[:12], other(small_bundle).hash[:12]
    assert f"of different bundles: {one} and {two}" in " ".join(out.split())


# ---- wrong spikes --------------------------------------------------------------------------------


def damaged(path: Path) -> None:
    """Change a weight of a Lava export, and every hash that would tell."""
    with np.load(path / "lava" / "network.npz") as file:
        arrays = dict(file)
    name = next(n for n, a in arrays.items() if n.startswith("weights") and n.endswith("mantissa"))
    arrays[name] = arrays[name][::-1]
    np.savez_compressed(path / "lava" / "network.npz", **arrays)
    table = json.loads((path / "lava" / "network.json").read_text())
    table["sha256"]["network.npz"] = sha256(path / "lava" / "network.npz")
    (path / "lava" / "network.json").write_text(json.dumps(table))


def wrong(small_bundle: bundle.Bundle) -> bundle.Bundle:
    """The record of training says other spikes than the network gives."""
    spikes = {name: s.copy() for name, s in small_bundle.trained.spikes.items()}
    spikes["audio.conv"][0, 0, 0, 0, 0] ^= 1
    trained = dataclasses.replace(small_bundle.trained, spikes=spikes)
    return dataclasses.replace(small_bundle, trained=trained)


def differs(outcome: tuple, *said: str) -> None:
    code, out, err = outcome
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 1 and len(lines) == 1 and out, err
    assert all(word in lines[0] for word in said), err


def faulty(made: bundle.Bundle, path: Path) -> dict:
    """An exporter with a fault: what it writes is whole and computes something else."""
    summary = lava_exporter.export(made, path)
    damaged(path)
    return summary


def test_deploy_and_verify_exit_1_on_wrong_spikes(model, small_bundle, scmrl):
    pytest.importorskip("lava", reason="Lava is not installed")
    faulty(small_bundle, model / "lava")
    differs(
        scmrl("deploy", model / "lava", "--backend", "lava-inprocess"), "differs from the reference"
    )
    differs(scmrl("verify", model / "lava", "--backends", "lava-inprocess"), "not bit-exact")
    assert scmrl("deploy", model / "lava", "--backend", "simulator")[0] == 0


def test_export_exits_1_where_what_it_wrote_differs(model, scmrl, monkeypatch):
    pytest.importorskip("lava", reason="Lava is not installed")
    monkeypatch.setitem(TARGETS, "lava", f"{__name__}:faulty")
    differs(scmrl("export", model), "lava", "differs from the original")


def test_export_and_verify_exit_1_where_training_recorded_other_spikes(
    small_bundle, scmrl, tmp_path
):
    wrong(small_bundle).save(tmp_path / "b")
    differs(scmrl("export", tmp_path / "b", "--target", "onnx"), "spikes that training recorded")
    differs(scmrl("verify", tmp_path / "b", "--backends", "simulator"), "audio.conv")
    code, out, _ = scmrl("export", tmp_path / "b", "--target", "onnx", "--force", "--json")
    (row,) = json.loads(out)["targets"]
    assert code == 1 and row["bit_exact"] is True and row["equals_training"] is False


def test_demo_fails_on_wrong_spikes(small_bundle, model):
    """Held to real reports: of a good model, of a damaged export, of a wrong record."""
    pytest.importorskip("lava", reason="Lava is not installed")
    good = jobs.deploy(model, "simulator"), jobs.verify(model, ["simulator"])
    figures = dataclasses.make_dataclass(
        "Figures", ["equals_training", "correct", "training_correct"]
    )
    whole = figures(True, 3, 3)
    demo.require_exact(whole, *good)
    faulty(small_bundle, model / "lava")
    with pytest.raises(MismatchError, match="deploy: not bit-exact"):
        demo.require_exact(whole, jobs.deploy(model / "lava", "lava-inprocess"), good[1])
    wrong(small_bundle).save(model / "bundle")
    with pytest.raises(MismatchError, match="verify: not bit-exact.*audio.conv"):
        demo.require_exact(whole, good[0], jobs.verify(model, ["simulator"]))
    with pytest.raises(MismatchError, match="training reported"):
        demo.require_exact(figures(False, 2, 3), *good)


# ---- benchmarks ----------------------------------------------------------------------------------

WRITERS = {  # the option that writes, its other words, a name to write
    "comparison.py": ("--write", ["sum", "--data-dir", "none"], "t.md"),
    "compiled.py": ("--out", ["none"], "f.json"),
    "delays.py": ("--write", ["--data-dir", "none"], "t.md"),
    "hard_digits.py": ("--write", ["--data-dir", "none"], "t.md"),
    "kills.py": ("--write", [], "t.md"),
    "long_time.py": ("--out", [], "f.json"),
    "peers.py": ("--out", ["none"], "t.md"),
    "scale.py": ("--out", [], "f.json"),
    "throughput.py": ("--out", [], "throughput.json"),
    "training.py": ("--out", [], "f.json"),
}


def test_every_benchmark_that_writes_is_known():
    folder = BENCHMARKS
    writing = {
        p.name
        for p in folder.glob("*.py")
        if re.search(r'add_argument\("--(out|write)"|= parser\(__doc__', p.read_text())
        and p.name != "runs.py"  # what they share
    }
    assert writing == set(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
def test_benchmarks_replace_no_strangers_file(name, tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    option, more, written = WRITERS[name]
    place, folder = tmp_path / written, BENCHMARKS
    place.write_text("a thesis")
    where = tmp_path if name == "throughput.py" else place
    monkeypatch.setattr(sys, "argv", list(map(str, [name, *more, option, where, "--force"])))
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(SystemExit) as leaving:
        runpy.run_path(str(folder / name), run_name="__main__")
    assert leaving.value.code == 2 and "did not write" in capsys.readouterr().err
    assert place.read_text() == "a thesis" and os.listdir(tmp_path) == [written]
