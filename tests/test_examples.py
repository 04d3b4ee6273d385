"""The worked examples train from the command line, small, and are the same spikes everywhere."""

import json

import pytest
from places import ROOT

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("lightning", reason="training needs lightning")
pytest.importorskip("lava", reason="verified on Lava too")

EXAMPLES = ROOT / "examples"


def trained(scmrl, name, run, *how):
    """The figures of the example's run."""
    code, out, err = scmrl(
        *("train", "--model", f"{EXAMPLES / name}.py:build", "--out", run, "--json", *how)
    )
    assert code == 0, err
    return json.loads(out)


def same_everywhere(scmrl, run, samples=8):
    """No value of any population differs; in more than a few samples every layer fires."""
    backends = ("--backends", "simulator,lava-inprocess", "--samples", samples, "--json")
    code, out, err = scmrl("verify", run, *backends)
    assert code == 0, err
    found = json.loads(out)
    assert found["bit_exact"] is True and "training, simulator, lava-inprocess" in found["backend"]
    neurons = [p for p in found["populations"] if p["kind"] != "input"]
    assert [p["mismatches"] for p in neurons] == [0] * len(neurons)
    assert all(p["rate"] > 0 for p in neurons if p["kind"] == "lif" and samples > 4)


def own(name):
    return ("--dataset", f"{EXAMPLES / name}.py:data")


def test_a_convolutional_network_on_images(scmrl, tmp_path):
    pytest.importorskip("sklearn", reason="its digits")
    run, name = tmp_path / "run", "conv_images"
    figures = trained(scmrl, name, run, *own(name), "--epochs", 2, "--set", "train.held_out=8")
    assert figures["test_accuracy"] > 0.7 and figures["test_samples"] == 359
    same_everywhere(scmrl, run)


def test_a_recurrent_network_remembers_for_24_steps(scmrl, tmp_path):
    run, name = tmp_path / "run", "recurrent_memory"
    how = ("--set", "train.lr=0.02", "--epochs", 7, "--set", "train.held_out=8")
    figures = trained(scmrl, name, run, *own(name), *how)
    assert figures["test_accuracy"] >= 0.95 and figures["test_samples"] == 240
    same_everywhere(scmrl, run)
    code, out, err = scmrl("evaluate", run, *own(name), "--json")
    assert code == 0 and json.loads(out)["equals_training"] is True, err


def test_an_attention_in_the_shell_of_scmrl(scmrl, few, tmp_path):
    run = tmp_path / "run"
    how = ("--dataset", "digits-av", "--epochs", 2, "--set", "train.held_out=4")
    figures = trained(scmrl, "own_attention", run, *how, "--set", "train.batch=16")
    assert any(name.endswith("attention.visual.mask") for name in figures["rates"])
    same_everywhere(scmrl, run, samples=2)
