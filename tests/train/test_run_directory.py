"""What a run leaves, what becomes of an old one, where its recordings are, and how a run that
diverges ends.
"""

import json
import math

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from scmrl.data import remembered
from scmrl.system import lock
from scmrl.system.errors import DataError, ScmrlError, UsageError
from scmrl.train import config as config_module
from scmrl.train import training, watch
from scmrl.train.run import directory, loop

SMALL = {
    "train.epochs": 2,
    "model.width": 8,
    "train.held_out": 2,
    "model.steps": 1,
    "train.fold_fraction": 0.5,
    "train.batch": 16,
}


def settings(**more):
    return config_module.read(None, {**SMALL, **more})


def seed_of(run):
    return json.loads((run / "bundle" / "bundle.json").read_text())["training"]["train"]["seed"]


def end_in_epoch(monkeypatch, epoch):
    def end(self, trainer, module, *_rest):
        if trainer.current_epoch == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(watch.Watch, "on_train_batch_end", end)


@pytest.fixture(scope="module")
def finished(few, tmp_path_factory):
    run = tmp_path_factory.mktemp("finished") / "run"
    loop.train(settings(**{"train.seed": 1}), run)
    return run


def test_a_run_is_replaced_once_the_new_one_is_finished(few, finished, monkeypatch):
    run = finished
    (run / "notes.txt").write_text("mine")
    (run / "bundle" / "mine.txt").write_text("mine too")
    with pytest.raises(UsageError, match="a run is there already"):
        loop.train(settings(), run)
    with monkeypatch.context() as patch:
        end_in_epoch(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            loop.train(settings(**{"train.seed": 2}), run, force=True)
        assert seed_of(run / "replaced") == 1 and not (run / "bundle").exists()
        with pytest.raises(KeyboardInterrupt):  # once more: what is finished stays
            loop.train(settings(**{"train.seed": 3}), run, force=True)
    assert seed_of(run / "replaced") == 1
    loop.train(settings(**{"train.seed": 3}), run, resume=True)
    assert seed_of(run) == 3
    assert sorted(path.name for path in run.iterdir()) == [
        "bundle",
        "checkpoints",
        "config.toml",
        "logs",
        "notes.txt",
        "replaced",
    ]
    assert [str(path.relative_to(run)) for path in sorted((run / "replaced").rglob("*"))] == [
        "replaced/bundle",
        "replaced/bundle/mine.txt",
    ]  # files of others stay


def test_a_folder_of_others_is_no_place_for_a_run(few, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    for force in (False, True):
        with pytest.raises(UsageError, match="not empty, and no run of scmrl.*thesis.tex"):
            loop.train(settings(), tmp_path, force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_lock_that_a_killed_run_left_is_no_stranger(tmp_path):
    (tmp_path / lock.NAME).write_text("")
    directory.prepare(tmp_path, resume=False, force=False)


@pytest.mark.parametrize(
    "kind,change",
    [
        ("binary", {"train.lr": 1e38, "train.clip": 0.0}),
        ("binary", {"train.lr": 1e300}),
        ("binary", {"train.alignment": 1e308, "train.clip": 0.0}),
        ("ccssa", {"train.lr": 1e38, "train.clip": 0.0}),
        ("ccssa", {"train.auxiliary": 1e308}),
    ],
)
def test_a_run_that_diverges_ends_in_one_line(few, tmp_path, kind, change):
    published = (
        {"model.attention": kind, "model.embedding": "deep", "model.width": 16}
        if kind == "ccssa"
        else {}
    )
    with pytest.raises(
        ScmrlError,
        match=r"training diverged: .* not finite in epoch 1, step \d of 4.*"
        r"lower train.lr \(.*there is no checkpoint yet",
    ) as ended:
        loop.train(settings(**change, **published), tmp_path / "run")
    assert ended.value.exit_code == 1 and "\n" not in str(ended.value)


def test_it_names_the_checkpoint_that_is_good(few, tmp_path, monkeypatch):
    step = training.Training.training_step

    def broken(self, batch, index):
        loss = step(self, batch, index)
        return loss * math.nan if (self.current_epoch, self.batch) == (1, 2) else loss

    monkeypatch.setattr(training.Training, "training_step", broken)
    with pytest.raises(
        ScmrlError, match="a gradient is not finite in epoch 2, step 3 of 4"
    ) as ended:
        loop.train(settings(), tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert f"{last} is good (1 epoch(s) finished)" in str(ended.value)
    assert torch.load(last, weights_only=True)["epoch"] == 1


def test_weights_that_a_step_breaks_are_not_kept(few, tmp_path, monkeypatch):
    done = training.Training.step_done

    def broken(self):
        if (self.current_epoch, self.batch) == (0, 3):
            with torch.no_grad():
                self.model.node("audio.mlp.hidden").gamma[0] = math.inf
        done(self)

    monkeypatch.setattr(training.Training, "step_done", broken)
    with pytest.raises(ScmrlError, match="a weight is not finite in epoch 1, step 4 of 4"):
        loop.train(settings(), tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.ckpt"))


def test_the_folder_of_the_recordings_is_remembered(tmp_path, monkeypatch):
    data, run = tmp_path / "my data", tmp_path / "run"
    for folder in (data, run / "bundle", run / "lava"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):  # nothing lies there, but that is known
        loop.train(settings(dataset="av-mnist"), tmp_path / "other", data_dir="my data")
    directory.write_config(run, settings(dataset="av-mnist", data_dir=str(data)))
    monkeypatch.chdir("/")
    for model in (run, run / "bundle", run / "lava"):
        assert remembered.data_dir_of(model, None, "av-mnist") == str(data)
        assert remembered.data_dir_of(model, "av-mnist", "av-mnist") == str(data)
        assert remembered.data_dir_of(model, "nmnist-fsdd", "av-mnist") is None
    assert remembered.data_dir_of(tmp_path / "elsewhere", None, "av-mnist") is None
    data.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="not there.*--data-dir"):
        remembered.data_dir_of(run, None, "av-mnist")


def test_a_relative_folder_is_remembered_as_an_absolute_one(few, tmp_path, monkeypatch):
    from scmrl.train import feed

    read, load = [], feed.load

    def noted(name, *, data_dir, **how):
        read.append(data_dir)
        return load(name, data_dir=None, **how)

    monkeypatch.setattr(feed, "load", noted)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recordings").mkdir()
    loop.train(settings(), tmp_path / "run", data_dir="recordings")
    assert set(read) == {str(tmp_path / "recordings")}
    read.clear()
    monkeypatch.chdir("/")
    chosen = config_module.read(tmp_path / "run" / "config.toml", {})
    loop.train(chosen, tmp_path / "run", resume=True)
    assert set(read) == {str(tmp_path / "recordings")}
    read.clear()
    loop.train(chosen, tmp_path / "run", resume=True, data_dir="/moved")
    assert set(read) == {"/moved"}
    assert config_module.read(tmp_path / "run" / "config.toml", {}).data_dir == "/moved"
    assert "/moved" not in (tmp_path / "run" / "bundle" / "bundle.json").read_text()
