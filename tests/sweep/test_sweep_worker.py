"""How a worker deals with its trials: killed, refused, taken over, left by other sweeps. No
training runs here; where a child is needed it is a shell.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time

import pytest

from scmrl.sweep import claim, run, worker
from scmrl.sweep.report import SweepReport
from scmrl.sweep.study import Sweep
from scmrl.sweep.trials import Trial
from scmrl.system import lock
from scmrl.system.errors import ScmrlError
from scmrl.train.config import to_toml

pytest.importorskip("optuna", reason="sweeps need optuna")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="shells and signals")
ASKED = Sweep(("model.alpha=0.0..2.0",), ("train.epochs=2",), trials=2)


@pytest.fixture
def busy(tmp_path):
    """(worker, its first trial, what it said)"""
    said: list[str] = []
    one = worker.Worker(ASKED, tmp_path, said.append)
    return one, one._claim()[0], said


def shell(monkeypatch, *scripts: str) -> list[str]:
    """Let trials run these scripts one after the other, the last one again and again; those that
    ran.
    """
    ran: list[str] = []

    def start(trial: run.Run) -> subprocess.Popen:
        ran.append(scripts[min(len(ran), len(scripts) - 1)])
        with open(trial.log, "a", encoding="utf-8") as log:
            return subprocess.Popen(["sh", "-c", ran[-1]], stdout=log, start_new_session=True)

    monkeypatch.setattr(run.Run, "start", start)
    return ran


def state(one: worker.Worker, number: int = 0) -> str:
    return next(record.state for record in one.database.records() if record.number == number)


@pytest.mark.parametrize("end", ["kill -KILL $$", "exit 137", "exit 143", "exit 130"])
def test_a_trial_that_is_killed_is_run_again_and_after_three_times_left(busy, monkeypatch, end):
    one, record, said = busy
    ran = shell(monkeypatch, end)
    one._run_trial(record)
    assert len(ran) == worker.KILLS and state(one) == "running" and "left to --resume" in said[-1]
    one.children.pop(0)
    assert one.table()[0].retries == worker.KILLS
    second = one._claim()[0]
    assert second.number == 1 and one._claim() == (None, False)  # not taken again, not replaced
    again = worker.Worker(ASKED, one.out, said.append)  # of a later --resume
    assert again._claim()[0].number == 0


def test_a_trial_that_fails_by_itself_failed(busy, monkeypatch):
    one, record, said = busy
    ran = shell(monkeypatch, "echo first; echo 'error: dv: decays are 12-bit'; exit 2")
    one._run_trial(record)
    assert (len(ran), state(one), one.table()[0].why) == (1, "fail", "dv: decays are 12-bit")
    assert said[-1] == "trial 0 failed: dv: decays are 12-bit"


def test_a_trial_in_whose_folder_somebody_trains_waits(busy, monkeypatch):
    one, record, said = busy
    ran = shell(monkeypatch, f"echo another process {lock.BUSY}; exit 2", "echo bad; exit 3")
    one._run_trial(record)
    assert len(ran) == 2 and one.table()[0].why == "bad" and "waits" in said[0]


def test_a_folder_that_somebody_trains_in_is_not_claimed(busy):
    one, _, _ = busy
    one.database.note(0, owner={**one.me.note(), "pid": 2**22 + 1})
    one.children.pop(0)
    two = worker.Worker(dataclasses.replace(ASKED, trials=1), one.out, print)
    with lock.hold(one.out / "trial-0000", "training"):
        assert two._claim() == (None, True)
    assert two._claim()[0].number == 0


def test_the_lock_of_a_machine_that_is_silent_is_taken_away(busy, monkeypatch):
    one, _, _ = busy
    monkeypatch.setattr(claim, "GRACE_S", -1.0)
    directory = one.out / "trial-0000"
    directory.mkdir()
    owner = {
        "what": "training",
        "pid": 1,
        "command": "",
        "host": "other",
        "since": "",
        "boot": "x",
        "started": 1,
    }
    (directory / lock.NAME).write_text(json.dumps(owner))
    one.children.pop(0)
    two = worker.Worker(dataclasses.replace(ASKED, trials=1), one.out, print)
    for host, free in (("third", False), ("other", True)):
        one.database.note(0, owner={**owner, "host": host, "what": "sweep", "space": "y"})
        assert two._claim()[0] is None  # seen for the first time
        assert (two._claim()[0] is not None) == free and (directory / lock.NAME).exists() != free


def test_a_worker_that_lost_its_trial_neither_ends_nor_repeats_it(busy, monkeypatch):
    one, record, said = busy
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    one.children[0] = child
    assert one._show(1) == [] and one.database.records()[0].notes["beat"] == 1
    one.database.note(0, owner={**one.me.note(), "host": "other"})
    lost = one._show(2)
    run.stop(lost)
    assert lost == [child] and child.returncode and one.database.records()[0].notes["beat"] == 1
    one._end(record, "complete", {"validation_accuracy": 1.0, "energy_uj": None}, [1.0])
    assert state(one) == "running" and "another worker" in said[-1]
    ran = shell(monkeypatch, "exit 143")
    assert (
        one._trained(run.Run(ASKED, one.out, 0, record.settings), record) is None and len(ran) == 1
    )


def test_a_stopped_worker_gives_its_trial_back(busy, monkeypatch):
    one, record, _ = busy
    shell(monkeypatch, "exit 0")
    one.stopping.set()
    one._run_trial(record)
    assert state(one) == "running" and one.watch.abandoned(one.database.records()[0])


def test_children_are_asked_then_killed_with_their_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "PATIENCE_S", 1.0)
    scripts = (
        f"trap 'echo asked > {tmp_path}/asked; exit 3' TERM; echo; while :; do sleep 0.05; done",
        "trap '' TERM; echo; while :; do sleep 0.05; done",
    )
    children = [
        subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
        for script in scripts
    ]
    for child in children:
        child.stdout.readline()
    began = time.monotonic()
    run.stop(children)
    assert [child.wait(10) for child in children] == [3, -9] and (tmp_path / "asked").exists()
    assert time.monotonic() - began < 5


def test_progress_of_a_training_is_read_from_its_log(tmp_path):
    log = tmp_path / "trial-0003.log"
    for text, share in (
        ("", 0.0),
        ("epoch 1/4  loss 2\nwarning: x\n", 0.25),
        ("epoch 9/4", 1.0),
        ("epoch 1/0", 0.0),
        ("epoch 1/4\nepoch 3/4  loss 1\n" + "x" * 2000, 0.75),
    ):
        log.write_text(text)
        assert run.share(tmp_path, 3) == share
    assert run.share(tmp_path, 4) == 0.0


def test_pace_and_time_left_count_running_trials_by_their_epochs(busy):
    one, _, _ = busy
    (one.out / "trial-0000.log").write_text("epoch 1/2")
    one.started = time.monotonic() - 30
    assert one._pace() == "0 of 2, 1.0 a minute, 1:30 left"
    one.ended, one.before = 1, 1.0
    assert one._pace() == "1 of 2, 1.0 a minute, 0:30 left"


@pytest.fixture
def trial(tmp_path):
    asked = dataclasses.replace(
        ASKED, data_dir="/data", settings=("train.epochs=2", "train.batch=64")
    )
    return run.Run(asked, tmp_path, 7, {"model.alpha": 0.5, "limits.weight_bits": 4})


def test_a_trial_trains_with_its_settings_and_limits(trial):
    words = trial.command()
    assert words[2:] == [
        "scmrl",
        "train",
        f"--out={trial.directory}",
        "--data-dir=/data",
        "--force",
        "--set=train.epochs=2",
        "--set=train.batch=64",
        "--set=model.alpha=0.5",
        f"--profile={trial.profile}",
    ]
    from scmrl.hw_profiles import profile

    assert profile.load(str(trial.profile)).limits["weight_bits"].value == 4


@pytest.mark.parametrize("other", [None, "alpha", "limit", "checkpoint"])
def test_a_trial_goes_on_only_from_what_is_its_own(trial, other):
    trial.command()
    (trial.directory / "checkpoints").mkdir(parents=True)
    if other != "checkpoint":
        (trial.directory / "checkpoints" / "last.ckpt").touch()
    (trial.directory / "config.toml").write_text(to_toml(trial.config()))
    if other == "alpha":
        trial.settings["model.alpha"] = 0.25
    if other == "limit":
        trial.settings["limits.weight_bits"] = 5
    assert ("--resume" in trial.command()) == (other is None)
    assert not trial.finished


def test_a_report_says_what_was_wanted_and_what_became_of_it():
    states = ["complete", "complete", "fail", "running"]
    trials = tuple(
        Trial(
            i,
            state,
            {"a": i},
            0.9 if state == "complete" else None,
            None,
            None,
            None,
            True,
            "bad" if state == "fail" else "",
            retries=i,
        )
        for i, state in enumerate(states)
    )

    def report(*rows, wanted=6, exhausted=False):
        return SweepReport("o ut", "", ("a=1,2",), rows, (), wanted, exhausted)

    assert (
        report(*trials).count()
        == "6 wanted, 2 finished, 1 failed, 1 not ended, 3 retried after a kill"
    )
    assert (
        "space" in report(*trials, exhausted=True).headline()
        and "space" not in report(*trials).headline()
    )
    with pytest.raises(ScmrlError, match="trial 3.*--resume --out 'o ut'"):
        report(*trials).require_ended()
    with pytest.raises(ScmrlError, match="every trial failed.*bad"):
        report(trials[2]).require_ended()
    report(*trials[:3]).require_ended()
