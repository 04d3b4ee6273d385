"""Labels and inputs from files are held to the network before anything runs: one line with the
limit and the value.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

COMMANDS = [
    ("deploy", "--backend", "simulator"),
    ("verify", "--backends", "simulator"),
    ("energy",),
    ("place",),
]


@pytest.fixture
def samples(small_bundle):
    """Six samples and labels of the four classes."""
    return {**small_bundle.inputs, "y": np.array([0, 3, 2, 1, 0, 3])}


@pytest.fixture
def given(scmrl, model, tmp_path):
    def run(arrays, *command):
        np.savez(tmp_path / "given.npz", **arrays)
        return scmrl(command[0], model, *command[1:], "--input", tmp_path / "given.npz")

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_labels_of_the_network_are_taken(given, samples, command):
    for y in (samples["y"], samples["y"].astype(np.uint8)):
        code, _, err = given(samples | {"y": y}, *command)
        assert code == 0, err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "y, said",
    [
        (np.array([0, 3, 2, 4, 0, 3]), "limit 0..3, got 0..4"),
        (np.array([0, 3, 2, 1, 0, -1]), "limit 0..3, got -1..3"),
        (np.full(6, 2**63, np.uint64), "limit 0..3, got 9223372036854775808"),
        (np.array([0, 3, 2, 1, 0, 3.0]), "integers, one for each sample"),
        (np.array([True, False] * 3), "integers, one for each sample"),
        (np.array([0, 3, 2, 1, 0]), "limit [6], got int64 [5]"),
        (np.array([0, 3, 2, 1, 0, 3, 0]), "limit [6], got int64 [7]"),
        (np.zeros((6, 1), int), "limit [6], got int64 [6, 1]"),
        (np.int64(3), "limit [6], got int64 []"),
    ],
    ids=range(9),
)
def test_labels_that_are_none_of_the_classes_are_refused(given, samples, command, y, said):
    code, _, err = given(samples | {"y": y}, *command)
    assert (
        code == 3 and "given.npz: y" in err and said in err and len(err.strip().splitlines()) == 1
    )


def test_a_label_behind_those_that_run_is_looked_at_too(given, samples):
    y = np.array([0, 1, 2, 3, 0, 9])
    code, _, err = given(samples | {"y": y}, "deploy", "--samples", "2")
    assert code == 3 and "0..9" in err


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda x: {"audio": x["audio"].astype(float)}, "audio: input must be integers"),
        (
            lambda x: {"audio": np.where(x["audio"] > 9, np.nan, 1.0)},
            "audio: input must be integers",
        ),
        (lambda x: {"audio": x["audio"] + np.uint8(1)}, "limit 0..63, got"),
        (lambda x: {"audio": x["audio"].astype(np.int16) - 64}, "limit 0..63, got -1.."),
        (lambda x: {"audio": x["audio"][:, :, :, :7]}, "wrong shape"),
        (lambda x: {"audio": x["audio"][0]}, "wrong shape"),
        (lambda x: {"audio": x["audio"][:0], "visual": x["visual"][:0]}, "wrong shape"),
        (lambda x: {"audio": x["audio"][:5]}, "differ in samples or steps"),
        (lambda x: {"audio": x["audio"][:, :2]}, "differ in samples or steps"),
        (lambda x: {"sound": x["audio"]}, "no such input"),
        (lambda x: {"audio": x["audio"].astype("U2")}, "audio"),
    ],
    ids=range(11),
)
def test_inputs_that_are_not_the_networks_are_refused(given, samples, change, said):
    arrays = {"audio": np.full_like(samples["audio"], 63), "visual": samples["visual"]}
    assert given(arrays, "deploy", "--backend", "simulator")[0] == 0  # 63 is the border
    code, _, err = given({**arrays, **change(arrays)}, "deploy", "--backend", "simulator")
    assert code == 3 and said in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("wanted", ["0", "-1", "7", "99999999999999999999"])
def test_as_many_samples_as_there_are(given, samples, wanted):
    assert given(samples, "deploy", "--samples", "6")[0] == 0
    code, _, err = given(samples, "deploy", "--samples", wanted)
    assert code == 2 and "--samples" in err and wanted in err


def test_a_dataset_of_other_classes_is_refused(scmrl, small_bundle, tmp_path):
    """The model has four classes, the digits are ten: they are not compared with the first four."""
    pytest.importorskip("librosa", reason="spectrograms need librosa")
    pytest.importorskip("sklearn", reason="the scans are scikit-learn's")
    from scmrl.data.features.frontend import FrontEnd, Quantiser

    unit = Quantiser(0.0, 1.0, 0.0, 1.0)
    dataclasses.replace(small_bundle, frontend=FrontEnd(unit, unit).to_dict()).save(
        tmp_path / "bundle"
    )
    code, _, err = scmrl("evaluate", tmp_path / "bundle", "--dataset", "digits-av")
    assert (
        code == 3
        and "digits-av: the dataset has other classes than the model (limit 4 classes, got 10)"
        in err
    )
