"""A run that was killed goes on to the very model of an uninterrupted one; a checkpoint is data,
never code.
"""

import csv
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from places import TESTS

torch = pytest.importorskip("torch", reason="training needs torch")

from scmrl.system import storage
from scmrl.system.errors import BundleError, ScmrlError, UsageError
from scmrl.train import checkpoint, keep, watch
from scmrl.train import config as config_module
from scmrl.train.run import loop

EPOCHS = 4
SMALL = {
    "train.epochs": EPOCHS,
    "model.width": 8,
    "train.held_out": 4,
    "model.steps": 1,
    "train.batch": 16,
    "train.fold_fraction": 0.5,
}


def settings(**more):
    return config_module.read(None, {**SMALL, **more})


def hashes(run):
    return json.loads((run / "bundle" / "bundle.json").read_text())["sha256"]


def figures(run):
    timed = ("train_seconds", "samples_per_s")
    metrics = json.loads((run / "bundle" / "bundle.json").read_text())["metrics"]
    return {key: value for key, value in metrics.items() if key not in timed}


def history(run):
    with open(run / "logs" / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(few, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "whole"
    loop.train(settings(), run)
    return run


class Killed(BaseException):
    pass


def stopped_at(monkeypatch, epoch, batch):
    """Training ends there as if the power went."""
    step = watch.Watch.on_train_batch_end

    def end(self, trainer, module, *rest):
        step(self, trainer, module, *rest)
        if (trainer.current_epoch, module.batch) == (epoch, batch):
            raise Killed

    monkeypatch.setattr(watch.Watch, "on_train_batch_end", end)


@pytest.mark.parametrize(
    "epoch,batch,every_s", [(1, 3, 0.0), (1, 3, 1e9), (0, 2, 0.0), (0, 2, 1e9), (2, 1, 0.0)]
)
def test_a_killed_run_goes_on_to_the_same_model(
    whole, tmp_path, monkeypatch, epoch, batch, every_s
):
    run, lines = tmp_path / "run", []
    with monkeypatch.context() as patch:
        patch.setattr(keep, "EVERY_S", every_s)
        stopped_at(patch, epoch, batch)
        with pytest.raises(Killed):
            loop.train(settings(), run)
    assert not (run / "bundle").exists() and EPOCHS - epoch >= 2
    last = run / "checkpoints" / "last.ckpt"
    if every_s == 0:  # kept within the epoch
        state = torch.load(last, weights_only=True)
        assert (state["epoch"], state["batch"]) == (epoch, batch)
    elif epoch == 0:
        assert not last.exists()
    loop.train(settings(), run, resume=True, tell=lines.append)
    assert (
        hashes(run) == hashes(whole)
        and figures(run) == figures(whole)
        and history(run) == history(whole)
    )
    told = [line for line in lines if line.startswith("epoch") and "loss" in line]
    assert len(told) == EPOCHS - epoch  # the finished epochs were not trained again
    assert not [path for path in run.rglob("*") if path.name.startswith(".")]


DRIVER = """
import sys
import torch
from scmrl import cli, data
from scmrl.train import feed, watch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv.pop(1))
import few
few.patch(lambda place, name, value: setattr(place, name, value))
step = watch.Watch.on_train_batch_end
def end(self, trainer, module, *rest):
    step(self, trainer, module, *rest)
    if (trainer.current_epoch, module.batch) == (1, 2):
        print("there", flush=True)
        sys.stdin.read()
watch.Watch.on_train_batch_end = end
cli.main(sys.argv[1:])
"""


def training_process(run):
    """A real training that waits in the second epoch, with more than two epochs still to come."""
    words = ["train", "--out", str(run), *(f"--set={key}={value}" for key, value in SMALL.items())]
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(TESTS), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if process.stdout.readline() != "there\n":
        raise AssertionError(process.communicate()[1])
    return process


@pytest.mark.parametrize(
    "how,code", [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_killed_process_resumes_to_the_same_model(whole, few, scmrl, tmp_path, how, code):
    run = tmp_path / "the killed one"
    process = training_process(run)
    with pytest.raises(
        UsageError, match=f"training, process {process.pid} on"
    ):  # nobody trains beside it
        loop.train(settings(), run, force=True)
    process.send_signal(how)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code and "Traceback" not in said
    hint = f"go on with: scmrl train --resume --out '{run}'"
    assert hint in said or how == signal.SIGKILL
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 1 and EPOCHS - state["epoch"] >= 2 and not (run / "bundle").exists()
    assert state["threads"] == 1  # as asked, whatever another library does
    left = run / "checkpoints" / ".scmrl-0123456789ab"  # of a killed write
    (left / "new").mkdir(parents=True)
    (left / "new" / "last.ckpt").write_bytes(b"half")
    assert scmrl("train", "--resume", "--out", run)[0] == 0
    assert hashes(run) == hashes(whole) and history(run) == history(whole)
    assert sorted(path.name for path in run.iterdir()) == [
        "bundle",
        "checkpoints",
        "config.toml",
        "logs",
    ]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "best.ckpt",
        "last.ckpt",
    ]


def test_without_its_config_there_is_nothing_to_resume(scmrl, tmp_path):
    code, _, err = scmrl("train", "--resume", "--out", tmp_path / "none")
    assert code == 2 and "nothing to resume" in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "none").exists()


def test_a_finished_run_is_not_trained_again(whole, few, tmp_path):
    run = copied(whole, tmp_path)
    before, lines = hashes(run), []
    loop.train(settings(), run, resume=True, tell=lines.append)
    assert hashes(run) == before and not [line for line in lines if "loss" in line]


def copied(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def as_zip(path, state, how):
    """The checkpoint's archive written anew, its members packed as `how`."""
    torch.save(state, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def bomb(path, state):
    as_zip(path, {**state, "model": {"zeros": torch.zeros(1 << 24)}}, zipfile.ZIP_DEFLATED)


def truncated(path, _state):
    path.write_bytes(path.read_bytes()[:-2000])


def pickled(path, state):
    path.write_bytes(pickle.dumps({**state, "best": Payload(path.parent / "pwned")}))


def saved(**changes):
    return lambda path, state: torch.save({**state, **changes}, path)


def changed_weight(name, value):
    return lambda path, state: torch.save({**state, "model": {**state["model"], name: value}}, path)


NAME = "model.nodes.:audio/_mlp/_hidden.gamma"
HOSTILE = {
    "payload in torch's archive": lambda path, state: torch.save(
        {**state, "history": Payload(path.parent / "pwned")}, path
    ),
    "payload in a plain pickle": pickled,
    "zip bomb": bomb,
    "truncated": truncated,
    "empty": lambda path, _: path.write_bytes(b""),
    "text": lambda path, _: path.write_text("hello"),
    "too large": lambda path, _: os.truncate(path, 1 << 32),
    "a folder": lambda path, _: (path.unlink(), path.mkdir()),
    "a list": lambda path, _: torch.save([1], path),
    "another format": saved(format=2),
    "lightning's": lambda path, _: torch.save({"state_dict": {}, "epoch": 1}, path),
    "epoch is a text": saved(epoch="1"),
    "epoch is True": saved(epoch=True),
    "epoch below 0": saved(epoch=-1),
    "epoch above all": saved(epoch=10**30),
    "batch above all": saved(batch=4),
    "no threads": saved(threads=0),
    "history is short": saved(history=[]),
    "history of numbers": saved(history=[1]),
    "sums of texts": saved(sums=["a"] * 3),
    "best is nan": saved(best=float("nan")),
    "no model": saved(model={}),
    "model is a list": saved(model=[]),
    "no moments": saved(optimizer={}),
    "another moment": saved(optimizer={"state": {0: {}}, "param_groups": []}),
    "a weight too many": changed_weight("other", torch.zeros(1)),
    "another shape": changed_weight(NAME, torch.zeros(3)),
    "another type": changed_weight(NAME, torch.zeros(16, dtype=torch.float64)),
    "a number": changed_weight(NAME, 1.0),
    "nan": changed_weight(NAME, torch.full((16,), float("nan"))),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_manipulated_checkpoint_is_refused_in_one_line(whole, few, tmp_path, how):
    run = copied(whole, tmp_path)
    last = run / "checkpoints" / "last.ckpt"
    state = torch.load(last, weights_only=True)
    state |= {"epoch": 2, "history": state["history"][:2]}
    torch.save(state, last)
    HOSTILE[how](last, state)
    with pytest.raises(BundleError) as refused:
        loop.train(settings(), run, resume=True)
    assert refused.value.exit_code == 4 and "last.ckpt" in str(refused.value)
    assert not (last.parent / "pwned").exists() and hashes(run) == hashes(whole)


@pytest.mark.parametrize(
    "how", ["payload in torch's archive", "truncated", "a weight too many", "nan"]
)
def test_so_is_the_best_epoch(whole, few, tmp_path, how):
    run = copied(whole, tmp_path)
    best = run / "checkpoints" / "best.ckpt"
    HOSTILE[how](best, torch.load(best, weights_only=True))
    if how == "payload in torch's archive":
        torch.save(
            {
                **torch.load(run / "checkpoints" / "last.ckpt", weights_only=True),
                "epoch": Payload(best.parent / "pwned"),
            },
            best,
        )
    with pytest.raises(BundleError, match="best.ckpt"):
        loop.train(settings(), run, resume=True)
    assert not (best.parent / "pwned").exists()


def test_nothing_in_the_code_loads_checkpoints_another_way():
    import scmrl as package

    folder = Path(package.__file__).parent
    calls = [
        (path.name, line.strip())
        for path in folder.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "torch.load(" in line or "ckpt_path" in line or "import pickle" in line
    ]
    assert calls == [
        ("checkpoint.py", 'state = torch.load(path, map_location="cpu", weights_only=True)')
    ]


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    checkpoint.write(path, {"epoch": 1})
    before = path.read_bytes()

    def full(_path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "sync", full)
    with pytest.raises(ScmrlError, match="No space left on device.*free some space"):
        checkpoint.write(path, {"epoch": 2})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_is_flushed_before_it_takes_its_name(tmp_path, monkeypatch):
    order = []
    sync, replace = storage.sync, os.replace
    monkeypatch.setattr(storage, "sync", lambda path: (order.append(path.name), sync(path)))
    monkeypatch.setattr(
        storage.os, "replace", lambda a, b: (order.append("renamed"), replace(a, b))
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path / "not there"))
    checkpoint.write(tmp_path / "c" / "last.ckpt", {"epoch": 1})
    assert order[-3:] == ["last.ckpt", "renamed", "c"]
