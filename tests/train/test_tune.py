"""`scmrl tune`: an imported network gets back on its integers what the import lost."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import scmrl
from scmrl.system.errors import ScmrlError

nir = pytest.importorskip("nir")
torch = pytest.importorskip("torch", reason="training needs torch")
STEPS, CLASSES, SIZE = 12, 4, 16


def samples(count, seed):
    """Spikes [S, T, 16] at the rates of a noisy pattern of each class, and the classes."""
    patterns = np.random.default_rng(0).random((CLASSES, SIZE)) < 0.5
    random = np.random.default_rng(seed)
    y = random.integers(0, CLASSES, count)
    flipped = patterns[y] ^ (random.random((count, SIZE)) < 0.1)
    rates = np.where(flipped, 0.5, 0.1)[:, None]
    return (random.random((count, STEPS, SIZE)) < rates).astype(np.uint8), y


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """net.nir, and own.npz of training and test samples."""
    root = tmp_path_factory.mktemp("tune")
    patterns = np.random.default_rng(0).random((CLASSES, SIZE)) < 0.5
    random = np.random.default_rng(1)
    mean = patterns.mean(1, keepdims=True)
    weight = 0.4 * (patterns - mean) / np.sqrt(mean * (1 - mean))
    weight += 0.05 * random.standard_normal(weight.shape)
    ones = np.ones(CLASSES)
    graph = nir.NIRGraph(
        {
            "in": nir.Input({"input": np.array([SIZE])}),
            "fc": nir.Affine(weight, 0.02 * ones),
            "lif": nir.LIF(tau=5e-4 * ones, r=5 * ones, v_leak=0 * ones, v_threshold=ones),
            "out": nir.Output({"output": np.array([CLASSES])}),
        },
        [("in", "fc"), ("fc", "lif"), ("lif", "out")],
    )
    nir.write(root / "net.nir", graph)
    x, y = samples(600, 2)
    part = np.array(["train"] * 400 + ["test"] * 200)
    np.savez(root / "own.npz", x=x, y=y, part=part)
    np.savez(root / "blank.npz", x=x, part=part)
    np.savez(root / "few.npz", x=x[:100], y=y[:100])
    return root


@pytest.fixture(scope="module")
def lost(place):
    """The network with weights that are coarse beyond use."""
    whole, _ = scmrl.import_nir(place / "net.nir", samples=place / "few.npz")
    first, *others = whole.graph.synapses
    coarse = (np.trunc(first.weight / 60) * 60).astype(np.int16)
    synapses = (replace(first, weight=coarse), *others)
    bundle = replace(whole, graph=replace(whole.graph, synapses=synapses))
    bundle.save(place / "lost", place / "net.nir")
    return bundle


FEW = {"train.epochs": 4, "train.lr": 4e-3, "train.batch": 16}


def test_what_an_import_lost_comes_back(place, lost):
    report = scmrl.tune(place / "lost", place / "own.npz", out=place / "run", settings=FEW)
    m = report.metrics
    assert m["before_accuracy"] < m["float_accuracy"] - 0.1
    assert m["test_accuracy"] > m["float_accuracy"] - 0.03 and not m["kept_start"]
    tuned = scmrl.load(place / "run")
    assert tuned.training["tuned_from"] == lost.hash == report.start
    assert tuned.training["imported"] == "net.nir" and tuned.frontend == lost.frontend
    assert report.bundle == tuned.hash != lost.hash
    for p in lost.graph.populations:
        assert np.array_equal(tuned.graph[p.name].vth, p.vth)
    assert scmrl.load(place / "run" / "start").hash == lost.hash
    again = scmrl.evaluate(place / "run")
    assert again.accuracy == m["test_accuracy"]
    assert scmrl.verify(place / "run", backends=["simulator"]).bit_exact
    said = json.loads(json.dumps(report.to_json()))
    assert said["command"] == "tune" and said["agreement"] == m["agreement"]
    assert "before tuning" in report.headline()["before"]


def test_what_is_frozen_are_the_mean_weights_of_the_second_half(place, lost, monkeypatch):
    from scmrl.train.tune.training import Tuning

    step, seen, models = Tuning.step_done, [], []

    def noted(self):
        step(self)
        seen.append([p.detach().clone() for p in self.model.parameters()])
        models[:] = [self.model]

    monkeypatch.setattr(Tuning, "step_done", noted)
    settings = FEW | {"train.epochs": 2}
    scmrl.tune(place / "lost", place / "own.npz", out=place / "mean", settings=settings)
    assert len(seen) == 2 * (400 // 16)
    for i, p in enumerate(models[0].parameters()):
        values = torch.stack([parts[i] for parts in seen[len(seen) // 2 :]])
        torch.testing.assert_close(p.detach(), values.mean(0), rtol=1e-4, atol=1e-6)
        assert not torch.allclose(p.detach(), values[-1], rtol=1e-3)


def test_outputs_of_the_float_network_are_learnt_without_labels(place, lost):
    report = scmrl.tune(
        place / "lost", place / "blank.npz", out=place / "distilled", distil=True, settings=FEW
    )
    m = report.metrics
    assert m["agreement"] > m["before_agreement"] + 0.05
    assert m["float_accuracy"] == 1 and m["test_accuracy"] == m["agreement"]
    assert scmrl.load(place / "distilled").origin.labels == "float network"


def test_a_file_is_imported_with_the_training_samples(place):
    report = scmrl.tune(
        place / "net.nir", place / "own.npz", out=place / "direct", settings={"train.epochs": 1}
    )
    assert report.metrics["before_agreement"] > 0.9
    kept = place / "direct" / "start" / "source.nir"
    assert kept.read_bytes() == (place / "net.nir").read_bytes()
    kept.write_bytes(b"another network")
    with pytest.raises(ScmrlError, match=r"source\.nir: file is corrupt"):
        scmrl.load(place / "direct" / "start")


@pytest.fixture
def command(request):
    """The fixture `scmrl`, whose name is that of the package here."""
    return request.getfixturevalue("scmrl")


def test_what_the_command_imports_can_be_distilled(place, command):
    """`scmrl import` keeps the file, whose network is the teacher."""
    bundle = place / "by command"
    words = "--calibrate", place / "few.npz", "--out", bundle
    code, _, err = command("import", place / "net.nir", *words)
    assert code == 0, err
    assert (bundle / "source.nir").read_bytes() == (place / "net.nir").read_bytes()
    words = "--dataset", place / "blank.npz", "--distil", "--epochs", 1, "--out", place / "taught"
    code, out, err = command("tune", bundle, *words, "--json")
    assert code == 0 and json.loads(out)["agreement"] > 0.9, err


def test_no_epoch_may_be_better(place, lost):
    wild = FEW | {"train.epochs": 1, "train.lr": 10.0, "train.validation": 0.2}
    report = scmrl.tune(place / "lost", place / "own.npz", out=place / "wild", settings=wild)
    m = report.metrics
    assert m["kept_start"] and m["test_accuracy"] == m["before_accuracy"]
    assert "as it was" in report.headline()["note"]


def test_a_run_that_was_stopped_goes_on(place, lost):
    def stop(line):
        if line.startswith("epoch 1/2"):
            raise KeyboardInterrupt

    how = {"settings": FEW | {"train.epochs": 2}}
    whole = scmrl.tune(place / "lost", place / "own.npz", out=place / "whole", **how)
    with pytest.raises(KeyboardInterrupt):
        scmrl.tune(place / "lost", place / "own.npz", out=place / "cut", tell=stop, **how)
    (cut,) = [scmrl.tune(out=place / "cut", resume=True)]
    assert cut.bundle == whole.bundle
    with pytest.raises(ScmrlError, match="goes on with the settings"):
        scmrl.tune(place / "lost", place / "own.npz", out=place / "cut", resume=True)


BAD = {
    "no data": ({"dataset": None}, "a model and data are needed"),
    "a set": ({"dataset": "digits-av"}, "tuning takes data of your own"),
    "no labels": ({"dataset": "blank.npz"}, "there are no labels"),
    "another shape": ({"dataset": "wide.npz"}, "the model takes another shape"),
    "more classes": ({"dataset": "many.npz"}, "more classes than the model"),
    "targets": ({"dataset": "targets.npz"}, "tuning is for classes"),
    "another input": ({"dataset": "named.npz"}, "lack an input of the model"),
    "no model": ({"model": "nothing"}, "no such file or directory"),
    "itself": ({"out": "lost"}, "would replace the model"),
    "old": ({"model": "old", "distil": True}, "does not hold the float network"),
    "a setting": ({"settings": {"model.width": 64}}, "belongs to a new network"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(place, lost, tmp_path, case):
    x, y = samples(60, 5)
    np.savez(place / "wide.npz", x=x[..., :9], y=y)
    np.savez(place / "many.npz", x=x, y=np.arange(60) % 6)
    np.savez(place / "targets.npz", x=x, y=y.astype(float))
    np.savez(place / "named.npz", a=x, b=x, y=y)
    if not (place / "old").exists():
        lost.save(place / "old")
    changed, wanted = BAD[case]
    how = {"model": "lost", "dataset": "own.npz", "out": tmp_path / "run"} | changed
    for name in ("model", "dataset", "out"):
        if isinstance(how[name], str) and how[name] != "digits-av":
            how[name] = place / how[name]
    with pytest.raises(ScmrlError) as error:
        scmrl.tune(**how)
    assert wanted in str(error.value) and "\n" not in str(error.value)


def test_labels_and_the_teacher_share_what_is_learnt(place, lost):
    """Alone each leads elsewhere than both together; without the file there is no teacher."""

    def tuned(start, name, share):
        settings = FEW | {"train.epochs": 1, "tune.teacher": share}
        return scmrl.tune(place / start, place / "own.npz", out=place / name, settings=settings)

    half, labels, taught = (
        tuned("lost", f"share {i}", s).bundle for i, s in enumerate((0.5, 0.0, 1.0))
    )
    assert len({half, labels, taught}) == 3
    lost.save(place / "orphan")
    alone = [tuned("orphan", f"orphan {i}", s).bundle for i, s in enumerate((0.5, 0.0))]
    weights = [scmrl.load(place / f"orphan {i}").graph.synapses[0].weight for i in range(2)]
    assert np.array_equal(*weights) and len(alone) == 2
