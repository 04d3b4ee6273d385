"""Sweeps as processes: whatever is killed or stopped is gone on with, and ends as if nothing had
been.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import pytest
from sweeping import TINY, children, gone, sweep, until  # noqa: F401 (sweep is a fixture)

pytest.importorskip("optuna", reason="sweeps need optuna")
pytest.importorskip("lightning", reason="training needs lightning")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


def finished(process) -> dict:
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return json.loads(out)


def figures(report: dict) -> list[tuple]:
    return [
        (t["number"], t["parameters"], t["validation_accuracy"], t["energy_uj"])
        for t in report["trials"]
    ]


def test_killed_and_stopped_sweep_ends_as_an_uninterrupted_one(sweep, tmp_path):  # noqa: F811
    options = [
        "--space=model.alpha=0.0..2.0",
        "--space=train.lr=1e-4..1e-2:log",
        "--trials=2",
        "--energy=loihi2",
        *TINY,
        "--set=train.epochs=2",
    ]
    out = tmp_path / "killed"
    whole = sweep(f"--out={tmp_path / 'whole'}", *options, "--json")

    killed = sweep(f"--out={out}", *options)  # the parent, in the first trial
    until((out / "trial-0000" / "checkpoints" / "last.ckpt").exists, killed)
    trainings = children(killed.pid)
    killed.kill()
    assert len(trainings) == 1 and gone(trainings, 5)

    hurt = sweep(f"--out={out}", "--resume")  # its child, then the parent by SIGTERM
    until((out / "trial-0001" / "checkpoints" / "last.ckpt").exists, hurt)
    first = children(hurt.pid)
    os.kill(first[0], signal.SIGKILL)
    trainings = until(lambda: [pid for pid in children(hurt.pid) if pid not in first], hurt)
    stopped = time.monotonic()
    hurt.terminate()
    _, err = hurt.communicate(timeout=60)
    assert time.monotonic() - stopped < 10 and gone(trainings, 0)
    assert (
        hurt.returncode == 143
        and f"scmrl sweep --resume --out {out}" in err
        and "Traceback" not in err
    )
    assert "trial 1 was killed (SIGKILL) and is gone on with" in err

    resumed, whole = finished(sweep(f"--out={out}", "--resume", "--json")), finished(whole)
    assert figures(resumed) == figures(whole) and len(whole["trials"]) == 2
    assert [t["retries"] for t in sorted(resumed["trials"], key=lambda t: t["number"])] == [1, 2]
    lines = (out / "trials.csv").read_text().splitlines()
    assert len(lines) == 3 and lines[0].startswith(
        "number,state,model.alpha,train.lr,validation_accuracy,energy_uj,energy_error_uj"
    )
    assert (out / "pareto.svg").stat().st_size > 1000
