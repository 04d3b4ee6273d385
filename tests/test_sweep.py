"""Sweeps: axes in words, proposals without repetition, whatever is killed or stopped is gone on with, several workers
on one database, files of strangers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="sweeps need optuna")
pytest.importorskip("lightning", reason="training needs lightning")

TINY = ['--set=model.modalities=["audio"]', "--set=model.steps=1", "--set=model.attention=none",
        "--set=train.batch=128", "--set=train.validation=0.5"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def sweep(*options: str, **more) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "scmrl", "sweep", *options], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True, **more)


def finished(process: subprocess.Popen) -> dict:
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return json.loads(out)


def figures(report: dict) -> list[tuple]:
    return [(t["number"], t["parameters"], t["validation_accuracy"], t["energy_uj"]) for t in report["trials"]]


def until(condition, process: subprocess.Popen, seconds: float = 300.0):
    """The first true value of `condition` while the process runs."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "in vain"
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    return value


def children(parent: int) -> list[int]:
    """Processes that the parent's threads started."""
    try:
        return [int(pid) for task in Path(f"/proc/{parent}/task").iterdir()
                for pid in (task / "children").read_text().split()]
    except OSError:
        return []


def gone(pids: list[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
              for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_killed_and_stopped_sweep_ends_as_an_uninterrupted_one(tmp_path):
    options = ["--space=model.alpha=0.0..2.0", "--space=train.lr=1e-4..1e-2:log", "--trials=2", "--energy=loihi2",
               *TINY, "--set=model.width=8", "--set=train.epochs=2"]
    whole = sweep(f"--out={tmp_path / 'whole'}", *options, "--json")
    out = tmp_path / "killed"
    again = [f"--out={out}", "--resume"]

    killed = sweep(f"--out={out}", *options)                        # the parent, in the first trial
    until((out / "trial-0000" / "checkpoints" / "last.ckpt").exists, killed)
    trainings = children(killed.pid)
    killed.kill()
    assert len(trainings) == 1 and gone(trainings, 5)
    killed.communicate()

    hurt = sweep(*again)                                            # its child, then the parent by SIGTERM
    until(lambda: (out / "trial-0001" / "checkpoints" / "last.ckpt").exists(), hurt)
    os.kill(children(hurt.pid)[0], signal.SIGKILL)
    trainings = until(lambda: children(hurt.pid), hurt)
    stopped = time.monotonic()
    hurt.terminate()
    _, err = hurt.communicate(timeout=60)
    assert time.monotonic() - stopped < 10 and gone(trainings, 0)
    assert hurt.returncode == 143 and f"scmrl sweep --resume --out {out}" in err and "Traceback" not in err
    assert "trial 1 was killed (SIGKILL) and is gone on with" in err

    resumed, whole = finished(sweep(*again, "--json")), finished(whole)
    assert figures(resumed) == figures(whole) and len(whole["trials"]) == 2
    assert [t["retries"] for t in sorted(resumed["trials"], key=lambda t: t["number"])] == [1, 2]
    lines = (out / "trials.csv").read_text().splitlines()
    assert len(lines) == 3 and lines[0].startswith("number,state,model.alpha,train.lr,validation_accuracy,energy_uj")
    assert (out / "pareto.svg").stat().st_size > 1000
