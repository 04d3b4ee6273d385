"""What is typed: bare commands, numbers checked before any work, lists, mistaken models, and the
codes that commands end with.
"""

import dataclasses
import json
import os

import numpy as np
import pytest
from hosts import HEAVY, blocked
from test_cli import fails

from scmrl import cli
from scmrl.commands.options import listed
from scmrl.convert import TARGETS
from scmrl.core import bundle
from scmrl.core.activity import predictions
from scmrl.deploy import evaluation, running
from scmrl.system.errors import (
    BackendError,
    GraphError,
    MismatchError,
    MissingDependency,
    UsageError,
)


@pytest.mark.parametrize("words, holds", [((), "demo"), (("data",), "check")])
def test_bare_command_shows_its_help(scmrl, words, holds):
    code, out, err = scmrl(*words)
    assert (
        code == 0 and err == "" and out.startswith("Usage:") and holds in out.split("Commands:")[1]
    )


NUMBERS = (
    ("deploy", "--samples", ("0", "-1", "1.5", "x")),
    ("verify", "--samples", ("0",)),
    ("energy", "--samples", ("0",)),
    ("place", "--samples", ("0",)),
    ("export", "--samples", ("0",)),
    ("robustness", "--samples", ("0",)),
    ("deploy", "--deadline", ("nan", "inf", "0", "-1", "x")),
    ("verify", "--deadline", ("nan", "0")),
    ("deploy", "--hop", ("nan", "inf", "0", "-1")),
    ("deploy", "--camera", ("-1",)),
    ("place", "--chips", ("0", "-3")),
    ("robustness", "--repeats", ("0", "-1")),
)


@pytest.mark.parametrize(
    "command, option, value", [(c, o, v) for c, o, values in NUMBERS for v in values]
)
def test_numbers_are_checked_before_any_work(scmrl, model, monkeypatch, command, option, value):
    monkeypatch.setattr(bundle, "load", lambda path: pytest.fail("work was begun"))
    monkeypatch.setattr(running, "load", lambda path: pytest.fail("work was begun"))
    fails(scmrl(command, model, option, value), 2, option, value)


@pytest.mark.parametrize(
    "option, value",
    [
        ("--steps", "0"),
        ("--dt", "nan"),
        ("--dt", "0"),
        ("--dt", "-1"),
        ("--weight-bits", "1"),
        ("--weight-bits", "17"),
        ("--input-bits", "0"),
        ("--input-bits", "17"),
    ],
)
def test_numbers_of_an_import_are_checked(scmrl, tmp_path, option, value):
    fails(
        scmrl("import", tmp_path / "x.nir", "--out", tmp_path / "o", option, value),
        2,
        option,
        value,
    )


@pytest.mark.parametrize(
    "option, value", [("--epochs", "0"), ("--seed", "-1"), ("--seed", str(2**32))]
)
def test_numbers_of_a_training_are_checked(scmrl, tmp_path, option, value):
    fails(scmrl("train", "--out", tmp_path / "t", option, value), 2, option, value)
    assert not (tmp_path / "t").exists()


def test_demo_refuses_more_samples_than_there_will_be(scmrl, tmp_path):
    pytest.importorskip("lightning")
    fails(scmrl("demo", "--out", tmp_path / "d", "--samples", "0"), 2, "--samples")
    fails(scmrl("demo", "--out", tmp_path / "d", "--samples", "100000"), 2, "--samples", "100000")
    assert not (tmp_path / "d").exists()


def test_lists_hold_each_word_once_and_at_least_one(scmrl, model):
    assert listed(" a, b,,a ", "--x") == ["a", "b"]
    with pytest.raises(UsageError, match="--x"):
        listed(" , ", "--x")
    fails(scmrl("energy", model, "--profile", ""), 2, "--profile")
    fails(scmrl("verify", model, "--backends", ","), 2, "--backends")
    fails(scmrl("export", model, "--target", ""), 2, "--target")


def test_silencing_nothing_names_the_nearest_population(scmrl, model, monkeypatch):
    monkeypatch.setattr(evaluation, "dataset_samples", lambda *_: pytest.fail("work was begun"))
    fails(
        scmrl("evaluate", model, "--silence", "audio.con"),
        2,
        "audio.con",
        "did you mean 'audio.conv'",
    )


@pytest.mark.parametrize(
    "name, words",
    [
        ("net.nir", ("a NIR network", "scmrl import '{}'")),
        ("m.onnx", ("exported network",)),
        ("m.net", ("netx",)),
        ("last.ckpt", ("a checkpoint", "--resume")),
        ("bundle.json", ("JSON",)),
        ("x.npz", ("--input",)),
        ("c.toml", ("scmrl train --config '{}'",)),
        ("x", ("a file",)),
        (None, ("no such file",)),
        ("sweep.json", ("a sweep", "trial-0000")),
        ("config.toml", ("not finished", "scmrl train --resume --out '{}'")),
    ],
)
def test_what_is_no_model_is_named_with_the_command_to_use(scmrl, tmp_path, name, words):
    folder = tmp_path / "with space"
    path = folder / "given" if name is None else folder / name
    if name in ("sweep.json", "config.toml"):  # the directory that holds it is given
        path = folder
    if name is not None:
        folder.mkdir()
        (folder / name).write_text("{}")
    for command in ("deploy", "evaluate", "place"):
        fails(scmrl(command, path), 4, *(word.format(path) for word in words))


def test_data_that_need_a_folder_are_not_called_embedded(scmrl):
    code, out, _ = scmrl("data", "check", "av-mnist")
    assert code == 3 and "embedded" not in out and "--data-dir" in out


# Codes.


@pytest.fixture
def lying(monkeypatch):
    """Every backend but the reference gives one wrong spike."""
    real = running.run

    def run(model, graph, backend, inputs, **options):
        activity = real(model, graph, backend, inputs, **options)
        if backend == "reference":
            return activity
        spikes = {name: s.copy() for name, s in activity.spikes.items()}
        next(iter(spikes.values())).reshape(-1)[0] ^= 1
        return dataclasses.replace(activity, spikes=spikes)

    monkeypatch.setattr(running, "run", run)


def test_a_wrong_spike_ends_every_command_with_1(scmrl, model, lying):
    fails(scmrl("deploy", model), 1, "simulator differs from the reference", "1 values")
    fails(
        scmrl("verify", model, "--backends", "simulator"),
        1,
        "not bit-exact",
        "audio.conv: sample 0",
    )
    pytest.importorskip("onnxruntime")
    fails(scmrl("export", model, "--target", "onnx"), 1, "onnx", "differs from the original")


def test_without_a_comparison_there_is_no_mismatch(scmrl, model, lying):
    code, out, _ = scmrl("deploy", model, "--no-compare")
    assert code == 0 and "not compared" in out


@pytest.fixture
def failing(monkeypatch):
    """Backends that cannot run, by name."""
    real, errors = running.run, {}

    def run(model, graph, backend, inputs, **options):
        if backend in errors:
            raise errors[backend]
        return real(model, graph, backend, inputs, **options)

    monkeypatch.setattr(running, "run", run)
    return errors


def test_verify_runs_what_can_run_and_gives_the_rest_a_row(scmrl, model, failing):
    failing |= {"onnx": GraphError("too wide for it"), "lava": BackendError("it stopped")}
    code, out, err = scmrl("verify", model, "--backends", "onnx,simulator,lava", "--json")
    found = json.loads(out)
    assert code == 1 and "onnx, lava: could not run" in err
    assert [b["backend"] for b in found["backends"]] == ["training", "simulator"] and found[
        "bit_exact"
    ] is True
    assert [(r["backend"], r["exit_code"]) for r in found["refused"]] == [("onnx", 5), ("lava", 7)]
    code, out, _ = scmrl("verify", model, "--backends", "onnx,simulator,lava")
    text = " ".join(out.split())
    assert "NOT RUN onnx, lava" in text and "onnx did not run: too wide for it" in text


@pytest.mark.parametrize(
    "error, code",
    [
        (GraphError("no"), 5),
        (BackendError("no"), 7),
        (MissingDependency("x", enables="y", install="z"), 6),
    ],
)
def test_verify_of_nothing_that_can_run_ends_with_the_first_reason(
    scmrl, model, failing, error, code
):
    failing |= {"onnx": error, "lava": BackendError("other")}
    fails(scmrl("verify", model, "--backends", "onnx,lava"), code, "could not run")
    fails(scmrl("verify", model, "--backends", "onnx"), code)


def test_unknown_backend_in_a_list_is_refused_before_any_run(scmrl, model, monkeypatch):
    monkeypatch.setattr(running, "run", lambda *_, **__: pytest.fail("it ran"))
    fails(scmrl("verify", model, "--backends", "simulator,lawa"), 2, "did you mean 'lava'")


def test_a_mismatch_beside_a_refusal_is_a_mismatch(scmrl, model, lying, monkeypatch):
    inner = running.run
    monkeypatch.setattr(
        running,
        "run",
        lambda m, g, backend, x, **o: (
            inner(m, g, backend, x, **o)
            if backend != "onnx"
            else (_ for _ in ()).throw(GraphError("no"))
        ),
    )
    fails(scmrl("verify", model, "--backends", "simulator,onnx"), 1, "not bit-exact")


def test_export_takes_a_list(scmrl, model, monkeypatch):
    pytest.importorskip("onnxruntime")
    code, out, err = scmrl("export", model, "--target", "onnx,lava", "--no-verify", "--json")
    assert code == 0 and [row["target"] for row in json.loads(out)["targets"]] == [
        "onnx",
        "lava",
    ], err
    fails(scmrl("export", model, "--target", "lava,onix"), 2, "did you mean 'onnx'")


def test_export_that_one_target_refuses_is_a_row_and_1(scmrl, model, monkeypatch):
    pytest.importorskip("onnxruntime")
    from scmrl.deploy import export

    real = export.exporter

    def exporter(target):
        def refuse(bundle, path):
            raise GraphError("it does not fit")

        return refuse if target == "lava" else real(target)

    monkeypatch.setattr(export, "exporter", exporter)
    code, out, err = scmrl("export", model, "--target", "lava,onnx", "--no-verify", "--json")
    rows = {row["target"]: row for row in json.loads(out)["targets"]}
    assert code == 1 and not rows["lava"]["written"] and rows["lava"]["why"] == "it does not fit", (
        err
    )
    assert rows["onnx"]["written"]
    fails(scmrl("export", model, "--target", "lava", "--no-verify"), 5, "it does not fit")
    everything = {"onnx": TARGETS["onnx"], "lava": TARGETS["lava"]}
    monkeypatch.setattr(export, "TARGETS", everything)
    assert scmrl("export", model, "--target", "all", "--no-verify", "--force")[0] == 0


def test_demo_ends_with_1_on_a_mismatch():
    from test_screen import demo

    right = demo()
    right.require_exact()
    wrong = dataclasses.replace(right.evaluate, equals_training=False)
    with pytest.raises(MismatchError):
        dataclasses.replace(right, evaluate=wrong).require_exact()
    wrong = dataclasses.replace(demo().deploy, bit_exact=False)
    with pytest.raises(MismatchError):
        dataclasses.replace(right, deploy=wrong).require_exact()
    wrong = dataclasses.replace(demo().verify, bit_exact=False)
    with pytest.raises(MismatchError):
        dataclasses.replace(right, verify=wrong).require_exact()
    found = json.loads(json.dumps(demo().to_json()))
    assert (
        found["command"] == "demo"
        and found["deploy"]["command"] == "deploy"
        and found["evaluate"]["accuracy"] == 0.6
    )


def test_help_of_every_command_tells_its_options():
    for name, command in cli.commands.commands.items():
        assert command.help, name
        for part in getattr(command, "commands", {name: command}).values():
            assert all(
                p.help or p.name in ("out", "split", "weight_bits", "input_bits", "reset")
                for p in part.params
                if p.param_type_name == "option"
            ), part.name


def test_first_samples_of_a_file_are_taken(scmrl, model, small_bundle, tmp_path):
    """Of right answers and then wrong labels: the first two are right."""
    answers = predictions(small_bundle.graph, small_bundle.trained)
    labels = np.concatenate([answers[:2], (answers[2:] + 1) % 4])
    np.savez(tmp_path / "x.npz", **small_bundle.inputs, y=labels)
    for samples, accuracy in ((2, 1.0), (4, 0.5), (6, 2 / 6)):
        _, out, _ = scmrl(
            "deploy", model, "--input", tmp_path / "x.npz", "--samples", samples, "--json"
        )
        found = json.loads(out)
        assert (found["samples"], found["accuracy"]) == (samples, accuracy)
        assert found["selection"] == f"given samples 1 to {samples} of x.npz"


def test_export_is_verified_unless_told_otherwise_and_compares_classes(
    model, small_bundle, monkeypatch
):
    pytest.importorskip("onnxruntime")
    from scmrl.deploy import export

    real = running.run

    def run(path, graph, backend, inputs, **options):
        activity = real(path, graph, backend, inputs, **options)
        if backend == "reference":
            return activity
        membrane = {
            name: np.roll(v, 1, axis=-1) for name, v in activity.membrane.items()
        }  # another class each
        return dataclasses.replace(activity, membrane=membrane)

    monkeypatch.setattr(running, "run", run)
    (row,) = export.export(model, ["onnx"]).targets
    answers = predictions(small_bundle.graph, small_bundle.trained)
    assert row.backend == "onnx" and row.exported_vs_original == 0.0 and row.bit_exact is False
    assert row.original_vs_labels == np.mean(answers == small_bundle.labels)
    assert row.exported_vs_labels == np.mean((answers + 1) % 4 == small_bundle.labels)


@pytest.mark.parametrize(
    "words, code",
    [
        (("train", "--out", "run", "--config"), 2),
        (("sweep", "--out", "sweep", "--space", "model.alpha=0,1", "--config"), 2),
        (("import", "--out", "made"), 4),
        (("import", "x.nir", "--out", "made", "--calibrate"), 3),
        (("compare", "a.json"), 3),
        (("deploy", "MODEL", "--input"), 3),
        (("energy", "MODEL", "--input"), 3),
        (("verify", "MODEL", "--input"), 3),
        (("deploy", "MODEL", "--stream", "--wav"), 3),
        (("deploy", "MODEL", "--stream", "--image"), 3),
        (("deploy", "MODEL", "--stream", "--events"), 3),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_a_device_or_a_pipe_is_refused_before_a_library_is_loaded(words, code, model, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    code_of = "from scmrl.cli import main; main(sys.argv[1:])"
    for path in ("/dev/zero", tmp_path / "pipe"):
        given = [str(model) if word == "MODEL" else word for word in (*words, str(path))]
        done = blocked([*HEAVY, "numba", "scipy"], code_of, *given)
        assert (
            done.returncode == code
            and f"{path}: cannot read: only regular files are" in done.stderr
        )
        assert len(done.stderr.splitlines()) == 1
