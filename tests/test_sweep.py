"""Sweeps: axes in words, a killed sweep that ends as an uninterrupted one, failed trials, limits of a chip as an axis.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from scmrl.errors import UsageError
from scmrl.sweep import space

pytest.importorskip("optuna", reason="sweeps need optuna")
pytest.importorskip("lightning", reason="training needs lightning")
TINY = ["--set=model.width=16", "--set=model.steps=1", "--set=train.epochs=2", "--set=model.attention=none"]


@pytest.mark.parametrize("text, expected", [
    ("model.alpha=0.0..2.0", space.Axis("model.alpha", 0.0, 2.0)),
    ("model.steps=1..6", space.Axis("model.steps", 1, 6)),
    ("train.lr=1e-4..1e-2:log", space.Axis("train.lr", 1e-4, 1e-2, log=True)),
    ("model.embedding=deep, strided", space.Axis("model.embedding", choices=("deep", "strided"))),
])
def test_axis_in_words(text, expected):
    assert space.parse(text) == expected
    assert space.parse(f"{expected.key}={expected.text()}") == expected


@pytest.mark.parametrize("text", ["model.alpha", "=1,2", "a=", "a=2..1", "a=0..1:log", "a=1..2:exp", "a=x..2", "a=1,1"])
def test_axis_that_makes_no_sense_is_refused(text):
    with pytest.raises(UsageError):
        space.parse(text)


def test_grid_is_every_combination_and_needs_lists():
    axes = space.parse("a=1,2"), space.parse("b=x,y")
    assert space.grid(axes) == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]
    with pytest.raises(UsageError, match="needs lists"):
        space.grid((space.parse("a=1..2"),))


def sweep(*options: str, **more) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "scmrl", "sweep", *options], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, **more)


def finished(process: subprocess.Popen) -> dict:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return json.loads(out)


def figures(report: dict) -> list[tuple]:
    return [(t["number"], t["parameters"], t["validation_accuracy"], t["energy_uj"]) for t in report["trials"]]


def test_killed_sweep_ends_as_an_uninterrupted_one(tmp_path):
    options = ["--space=model.alpha=0.0..2.0", "--space=train.lr=1e-4..1e-2:log", "--trials=2", "--energy=loihi2",
               *TINY]
    whole = finished(sweep(f"--out={tmp_path / 'whole'}", *options, "--json"))
    killed = sweep(f"--out={tmp_path / 'killed'}", *options, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed" / "trial-0001" / "checkpoints" / "last.ckpt").exists():
        assert time.monotonic() < deadline and killed.poll() is None, "the second trial never began"
        time.sleep(0.02)
    children = subprocess.run(["pgrep", "-P", str(killed.pid)], capture_output=True, text=True).stdout.split()
    for process in (killed.pid, *map(int, children)):
        os.kill(process, signal.SIGKILL)
    killed.communicate()
    resumed = finished(sweep(f"--out={tmp_path / 'killed'}", "--resume", "--trials=2", "--json"))
    assert figures(resumed) == figures(whole) and len(whole["trials"]) == 2
    lines = (tmp_path / "killed" / "trials.csv").read_text().splitlines()
    assert len(lines) == 3 and lines[0].startswith("number,state,model.alpha,train.lr,validation_accuracy,energy_uj")
    assert (tmp_path / "killed" / "pareto.svg").stat().st_size > 1000


def test_grid_over_a_limit_of_the_chip_and_a_trial_that_fails(tmp_path):
    report = finished(sweep(f"--out={tmp_path}", "--space=limits.weight_bits=4,8", "--space=model.width=12,16",
                            "--grid", "--jobs=2", *TINY[1:], "--set=train.epochs=1", "--json"))
    by = {(t["parameters"]["limits.weight_bits"], t["parameters"]["model.width"]): t for t in report["trials"]}
    assert {key: t["state"] for key, t in by.items()} == {
        (4, 12): "fail", (8, 12): "fail", (4, 16): "complete", (8, 16): "complete"}
    assert "multiple of 8" in by[4, 12]["why"]
    from scmrl.bundle import load
    largest = {}
    for bits in (4, 8):
        graph = load(tmp_path / f"trial-{by[bits, 16]['number']:04d}").graph
        largest[bits] = max(abs(s.weight).max() for s in graph.synapses if hasattr(s.weight, "max"))
    assert largest[4] <= 7 < largest[8] <= 127


def test_wrong_use_is_one_line(tmp_path):
    for options, said in ((["--space=a=1,2", "--resume"], "--resume goes on"), ([], "needs an axis"),
                          (["--resume"], "nothing to resume"),
                          (["--space=model.nope=1,2"], "unknown configuration key"),
                          (["--space=model.width=3,5"], "multiple of 8"),
                          (["--space=model.steps=1,2", "--set=x"], "key=value")):
        process = sweep(f"--out={tmp_path / 'x'}", *options)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2 and said in err and "Traceback" not in err and err.count("\n") == 1
        assert not (tmp_path / "x").exists()


def test_a_sweep_whose_trials_all_fail_fails(tmp_path):
    process = sweep(f"--out={tmp_path / 'x'}", "--space=model.steps=1,2", "--trials=2", "--set=dataset=av-mnist",
                    "--data-dir=/nonexistent")
    out, err = process.communicate(timeout=200)
    assert process.returncode not in (0, 130) and "every trial failed" in err and "Traceback" not in err
