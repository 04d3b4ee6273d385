"""What kind of samples a number is about goes from the bundle into every report, JSON and page."""

import dataclasses
import json

import numpy as np
import pytest

from scmrl.core import bundle
from scmrl.core.samples import (
    CALIBRATION,
    HELD_OUT,
    KINDS,
    MADE_UP,
    NETWORK,
    TRUE,
    UNKNOWN,
    Origin,
    fingerprint,
    origin_of,
)
from scmrl.deploy import evaluation, jobs
from scmrl.system.errors import BundleError
from scmrl.system.storage import write_json

COMMANDS = (["deploy"], ["verify", "--backends", "simulator"], ["energy"])


@pytest.fixture
def made_up(small_bundle, tmp_path):
    """As an import without calibration leaves it: random spikes, and the float network's own
    classes.
    """
    dataclasses.replace(
        small_bundle,
        trained=None,
        training={"imported": "x.nir", "format": "nir"},
        origin=Origin(MADE_UP, NETWORK),
    ).save(tmp_path / "made_up")
    return tmp_path / "made_up"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_own_classes_are_no_accuracy(scmrl, made_up, tmp_path, command):
    page = tmp_path / "page.html"
    code, out, err = scmrl(*command[:1], made_up, *command[1:], "--json", "--html", page)
    found = json.loads(out)
    assert code == 0, err
    assert found["accuracy"] is None and found["float_agreement"] is not None
    assert found["origin"] == {"samples": "made up", "labels": "float network"}
    assert all(
        b["accuracy"] is None and b["float_agreement"] is not None
        for b in found.get("backends", ())
    )
    _, screen, _ = scmrl(*command[:1], made_up, *command[1:])
    for text in (screen, page.read_text()):
        words = " ".join(text.split())
        assert (
            "6 made-up samples" in words
            and "held-out samples" not in words
            and "no true labels" in words
        )
        assert "accuracy" not in words


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_held_out_samples_are_named_and_their_accuracy_is_one(scmrl, model, command):
    _, out, _ = scmrl(*command[:1], model, *command[1:], "--json")
    found = json.loads(out)
    assert found["origin"] == {"samples": "held out", "labels": "true"}
    assert found["accuracy"] is not None and found["float_agreement"] is None
    _, screen, _ = scmrl(*command[:1], model, *command[1:])
    assert f"{100 * found['accuracy']:.2f} % on 6 held-out samples" in " ".join(screen.split())


def test_given_samples_are_named_with_their_file(scmrl, model, small_bundle, tmp_path):
    np.savez(tmp_path / "mine.npz", **small_bundle.inputs, y=small_bundle.labels)
    _, out, _ = scmrl("deploy", model, "--input", tmp_path / "mine.npz", "--json")
    assert json.loads(out)["origin"] == {"samples": "given", "labels": "true"}
    assert json.loads(out)["selection"] == "given samples 1 to 6 of mine.npz"
    np.savez(tmp_path / "mine.npz", **small_bundle.inputs)
    _, out, _ = scmrl("deploy", model, "--input", tmp_path / "mine.npz")
    assert "not known: no labels, 6 given samples" in out
    _, out, _ = scmrl("deploy", model, "--input", tmp_path / "mine.npz", "--json")
    assert json.loads(out)["origin"] == {"samples": "given", "labels": "none"}


def test_export_of_own_classes_has_no_accuracy(scmrl, made_up):
    pytest.importorskip("onnxruntime")
    code, out, err = scmrl("export", made_up, "--target", "onnx", "--json")
    (row,) = json.loads(out)["targets"]
    assert code == 0, err
    assert row["exported_vs_labels"] is None and row["original_vs_labels"] is None
    assert row["exported_vs_float"] == row["original_vs_float"] is not None
    assert bundle.load(made_up / "onnx").origin == Origin(MADE_UP, NETWORK)


def test_place_says_what_its_traffic_is_from(made_up):
    report = jobs.place(made_up, "loihi2")
    assert report.selection == "made-up samples 1 to 6 of 6" and report.origin == Origin(
        MADE_UP, NETWORK
    )


@pytest.mark.parametrize(
    "training, origin",
    [
        ({"dataset": "digits-av"}, Origin(HELD_OUT, TRUE)),
        ({"imported": "x.nir", "labels": "given"}, Origin(CALIBRATION, TRUE)),
        ({"imported": "x.nir", "labels": "classes of the float network"}, Origin(UNKNOWN, NETWORK)),
        ({}, Origin()),
    ],
)
def test_old_bundle_is_taken_for_what_it_must_be(small_bundle, tmp_path, training, origin):
    dataclasses.replace(small_bundle, training=training).save(tmp_path / "b")
    table = json.loads((tmp_path / "b" / "bundle.json").read_text())
    del table["origin"]
    write_json(tmp_path / "b" / "bundle.json", table)
    assert bundle.load(tmp_path / "b").origin == origin == origin_of(training)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        [],
        {},
        {"samples": "held out"},
        {"samples": "x", "labels": "true"},
        {"samples": "held out", "labels": 1},
        {"samples": [], "labels": "true"},
    ],
)
def test_unknown_origin_is_refused(small_bundle, tmp_path, origin):
    small_bundle.save(tmp_path / "b")
    table = json.loads((tmp_path / "b" / "bundle.json").read_text())
    write_json(tmp_path / "b" / "bundle.json", table | {"origin": origin})
    with pytest.raises(BundleError, match="bundle.json: origin"):
        bundle.load(tmp_path / "b")


def test_labels_of_unknown_kind_are_doubted(small_bundle, tmp_path, scmrl):
    dataclasses.replace(small_bundle, training={}, origin=Origin()).save(tmp_path / "b")
    _, out, _ = scmrl("deploy", tmp_path / "b")
    assert "on 6 samples of unknown kind, labels of unknown kind" in " ".join(out.split())


def test_every_kind_has_words():
    assert all(Origin(kind).adjective and Origin(kind).meaning for kind in KINDS)


def test_fingerprint_changes_with_a_value_a_label_a_shape_and_not_with_the_order_of_inputs():
    x, y, labels = np.zeros((2, 3), np.uint8), np.ones((2, 3), np.uint8), np.array([0, 1])
    one = fingerprint({"x": x, "y": y}, labels)
    assert one == fingerprint({"y": y, "x": x.copy()}, labels.astype(np.int32))
    other = x.copy()
    other[1, 2] = 1
    assert (
        len(
            {
                one,
                fingerprint({"x": other, "y": y}, labels),
                fingerprint({"x": x, "y": y}, labels[::-1]),
                fingerprint({"x": x.reshape(2, 1, 3), "y": y}, labels),
                fingerprint({"y": x, "x": y}, labels),
            }
        )
        == 5
    )


# The comparison with training.


def evaluated(model, metrics, **options):
    loaded = bundle.load(model)
    dataclasses.replace(loaded, metrics=metrics).save(model / "other")
    return evaluation.evaluate(model / "other", **options)


@pytest.fixture
def tiny_split(monkeypatch, small_bundle):
    """The dataset of the small model: its own six samples."""
    inputs = {name: np.ascontiguousarray(x[:, 0]) for name, x in small_bundle.inputs.items()}
    monkeypatch.setattr(
        evaluation,
        "dataset_samples",
        lambda bundle, dataset, data_dir, split: (
            inputs,
            small_bundle.labels,
            f"here, {split} split",
        ),
    )
    return inputs, small_bundle.labels


def test_only_the_very_same_samples_are_held_to_training(model, tiny_split):
    same, other = fingerprint(*tiny_split), fingerprint(tiny_split[0], tiny_split[1][::-1])
    correct = evaluation.evaluate(model).correct
    report = evaluated(model, {"test_correct": correct, "test_sha256": same})
    assert report.equals_training is True and report.headline()["training"].startswith(
        "reported exactly"
    )
    report = evaluated(model, {"test_correct": correct + 1, "test_sha256": same})
    assert report.equals_training is False and "DIFFERS" in report.headline()["training"]
    assert report.origin == Origin(HELD_OUT, TRUE)
    for metrics, options in (
        ({"test_sha256": other}, {}),
        ({"test_sha256": same}, {"split": "train"}),
        ({"test_sha256": same}, {"silence": "audio.conv"}),
        ({"test_sha256": same}, {"dataset": "av-mnist"}),
        ({"test_samples": 7}, {}),
        ({}, {"data_dir": "elsewhere"}),
    ):
        report = evaluated(model, {"test_correct": correct + 1} | metrics, **options)
        assert report.equals_training is None and "DIFFERS" not in str(report.headline()), (
            metrics,
            options,
        )
    assert evaluated(model, {}, split="train").origin.samples == "training"
    assert evaluated(model, {}, dataset="av-mnist").origin.samples == "other data"
    assert (
        evaluated(model, {"test_correct": correct + 1, "test_samples": 6}).equals_training is False
    )


# A network that does not fire.


@pytest.fixture
def dead(small_bundle, tmp_path):
    """The small model with silent inputs: nothing fires."""
    inputs = {name: np.zeros_like(x) for name, x in small_bundle.inputs.items()}
    populations = tuple(
        dataclasses.replace(p, bias_mant=0, bias_exp=0) for p in small_bundle.graph.populations
    )
    graph = dataclasses.replace(small_bundle.graph, populations=populations).check()
    dataclasses.replace(small_bundle, graph=graph, inputs=inputs, trained=None).save(
        tmp_path / "dead"
    )
    return tmp_path / "dead"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_dead_network_is_a_warning_in_the_first_line(scmrl, dead, command):
    _, screen, _ = scmrl(*command[:1], dead, *command[1:])
    assert (
        screen.splitlines()[0].startswith("WARNING")
        and "no population fires at all" in screen.splitlines()[0]
    )
    _, out, _ = scmrl(*command[:1], dead, *command[1:], "--json")
    assert json.loads(out)["dead"] == [
        "audio.conv",
        "visual.conv",
        "audio.pool",
        "visual.pool",
        "both",
    ]


def test_population_that_never_fires_is_named(scmrl, small_bundle, tmp_path):
    high = tuple(
        dataclasses.replace(p, vth=131071) if p.name == "visual.conv" else p
        for p in small_bundle.graph.populations
    )
    graph = dataclasses.replace(small_bundle.graph, populations=high)
    dataclasses.replace(small_bundle, graph=graph, trained=None).save(tmp_path / "b")
    _, screen, _ = scmrl("deploy", tmp_path / "b")
    assert screen.startswith("WARNING") and "never fire: visual.conv, visual.pool" in " ".join(
        screen.split()
    )


def test_export_of_a_dead_network_is_a_warning(scmrl, dead):
    pytest.importorskip("onnxruntime")
    _, screen, _ = scmrl("export", dead, "--target", "onnx")
    assert screen.startswith("WARNING") and "no population fires at all" in screen


def test_live_network_has_no_warning(scmrl, model):
    assert "WARNING" not in scmrl("deploy", model)[1]
