"""A network of the user's own on data of his own, from the command line to the chip's integers;
what is wrong with either is one line that names the place in his file.
"""

import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("lightning", reason="training needs lightning")

import scmrl as api
from scmrl.core.bundle import load
from scmrl.system.errors import UsageError
from scmrl.train import config

HEAD = """from scmrl import Network, nodes
from scmrl.network.nodes import after


def build(data):
    net = Network(data.steps, precision=data.precision)
    x = net.add("x", nodes.Input(data.shapes["x"], data.bits["x"]))
"""
GOOD = """    h = net.add("h", nodes.Layer(nodes.Dense(12)), x)
    net.add("out", nodes.Readout(nodes.Dense(data.outputs)), h)
    return net
"""
SMALL = {"train.epochs": 3, "train.batch": 16, "train.held_out": 6}
SETS = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]


def write_data(path, samples=120, **more):
    """Samples of floats [5]; the class is the largest of the first three."""
    random = np.random.default_rng(0)
    x = random.normal(size=(samples, 5)) * 3 + 1
    np.savez(path, **({"x": x, "y": x[:, :3].argmax(1)} | more))
    return x


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data("mine.npz")
    (tmp_path / "net.py").write_text(HEAD + GOOD)
    return tmp_path


def test_from_data_to_integers(scmrl, place):
    """RUN is runs/net; floats go into deploy; evaluate finds the data and the test part."""
    code, out, err = scmrl(
        "train", "--model", "net.py:build", "--dataset", "mine.npz", *SETS, "--json"
    )
    assert code == 0, err
    trained = json.loads(out)
    assert trained["run"] == "runs/net" and trained["test_samples"] == 24
    assert "alignment" not in (place / "runs/net/logs/metrics.csv").read_text()
    said = load("runs/net").training
    assert (said["dataset"], said["network"]) == ("mine.npz", "net.py:build")
    assert str(place) not in json.dumps(said) and set(said["model"]) == {"steps", "modalities"}
    found = json.loads(scmrl("evaluate", "runs/net", "--json")[1])
    assert found["equals_training"] is True and found["samples"] == 24
    code, out, err = scmrl("deploy", "runs/net", "--input", "mine.npz", "--json")
    assert code == 0 and "floats encoded" in json.loads(out)["selection"], err
    code, out, err = scmrl("verify", "runs/net", "--backends", "simulator", "--json")
    assert code == 0 and json.loads(out)["bit_exact"] is True, err


def test_in_chunks_of_steps_it_trains_and_freezes_the_same_spikes(scmrl, place):
    """The data change over time; the network is recurrent. What is frozen are all spikes."""
    random = np.random.default_rng(1)
    x = random.normal(size=(90, 11, 4))
    np.savez("series.npz", x=x, y=(x[:, 0] > 0).argmax(1))
    loop = 'nodes.Layer(nodes.Dense(12), recurrent="full")'
    (place / "loop.py").write_text(HEAD + GOOD.replace("nodes.Layer(nodes.Dense(12))", loop))
    train = ["train", "--model", "loop.py:build", "--dataset", "series.npz", *SETS]
    chunks = ["--set", "data.time=true", "--set", "train.checkpoint_steps=3"]
    code, _, err = scmrl(*train, *chunks, "--json")
    assert code == 0, err
    bundle = load("runs/loop")
    assert bundle.training["train"]["checkpoint_steps"] == 3
    assert bundle.trained.spikes["h"].shape == (6, 11, 12) and bundle.trained.spikes["h"].any()
    for command in ("verify", "runs/loop", "--backends", "simulator"), ("evaluate", "runs/loop"):
        code, out, err = scmrl(*command, "--json")
        assert code == 0, err
    assert json.loads(out)["equals_training"] is True


def test_the_test_part_is_that_of_every_seed_and_in_no_training(place):
    runs = {}
    for seed in (1, 2):
        how = {**SMALL, "train.epochs": 1, "train.seed": seed, "train.held_out": 24}
        api.train("mine.npz", model="net.py:build", out=f"run{seed}", settings=how)
        runs[seed] = load(f"run{seed}")
    assert np.array_equal(runs[1].labels, runs[2].labels) and runs[1].samples == 24
    # the scales of the two training parts differ, if at all, by a step or two
    one, other = (np.float64(run.inputs["x"]) for run in runs.values())
    assert np.abs(one - other).max() < 40
    assert runs[1].hash != runs[2].hash


def test_a_run_goes_on_with_its_copy_to_the_very_same_model(place, monkeypatch):
    from scmrl.train import watch

    torch.set_num_threads(1)
    api.train("mine.npz", model="net.py:build", out="whole", settings=SMALL)

    def stop(self, trainer, module, *rest):
        if trainer.current_epoch == 1 and module.batch == 2:
            raise KeyboardInterrupt
        before(self, trainer, module, *rest)

    before = watch.Watch.on_train_batch_end
    with monkeypatch.context() as patched:
        patched.setattr(watch.Watch, "on_train_batch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            api.train("mine.npz", model="net.py:build", out="cut", settings=SMALL)
    (place / "net.py").write_text("def build(data):\n    return None\n")
    lines = []
    api.train(out="cut", resume=True, tell=lines.append)
    assert any("net.py has changed since" in line for line in lines)
    assert load("cut").hash == load("whole").hash


@pytest.mark.parametrize(
    "body, words",
    [
        ("    raise ValueError('no idea')", r"net.py:8: build raised ValueError: no idea"),
        ("    return", r"net.py:\d+: a network is not what it returns \(got nothing\)"),
        ("    return 3", r"net.py:\d+: .*\(got int\)"),
        (
            "    net.add('x', nodes.Layer(nodes.Dense(3)), x)\n    return net",
            r"^[^:]*net.py:8: x: two nodes have this name",
        ),
        (
            "    h = net.add('h', nodes.Layer(nodes.Dense(3)), x, after('hh'))\n"
            "    net.add('out', nodes.Readout(nodes.Dense(3)), h)\n    return net",
            r"net.py:8: h: reads a node that is not there \(got hh\)",
        ),
        (
            "    h = net.add('h', nodes.Layer(nodes.Dense(12), norm=False), x, after('g', 0))\n"
            "    g = net.add('g', nodes.Layer(nodes.Dense(12)), h)\n"
            "    net.add('out', nodes.Readout(nodes.Dense(3)), h)\n    return net",
            r"net.py:\d+: .*nodes form a cycle without delay",
        ),
        (GOOD.replace("data.outputs", "7"), r"net.py:\d+: out: .*neuron for each class.*got \[7\]"),
        (
            "    net.add('z', nodes.Input((3,)))\n" + GOOD,
            r"net.py:8: z: the data have no such input .*known: x",
        ),
        ("    net.steps = 9\n" + GOOD, r"has the steps of the data \(limit 4, got 9\)"),
    ],
    ids=["raises", "nothing", "number", "twice", "unknown", "cycle", "readout", "input", "steps"],
)
def test_what_is_wrong_with_a_network_is_one_line_of_its_file(scmrl, place, body, words):
    (place / "net.py").write_text(HEAD + body + "\n")
    code, _, err = scmrl("train", "--model", "net.py:build", "--dataset", "mine.npz", *SETS)
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 2 and re.search(words, line.removeprefix("error: ")), line
    assert line.count("net.py") == 1
    assert not (place / "runs/net/bundle").exists()


@pytest.mark.parametrize(
    "method, words",
    [
        ("forward(self, signals, steps)", r"net.py:6: the network raised KeyError: 'mine'"),
        ("lower(self, name, signals, into)", r"net.py:6: the network raised KeyError: 'mine'"),
    ],
)
def test_a_node_of_ones_own_that_raises_is_one_line_before_training(scmrl, place, method, words):
    own = f"from scmrl import nodes\n\n\nclass Mine(nodes.Layer):\n    def {method}:\n"
    own += "        raise KeyError('mine')\n\n\n"
    (place / "net.py").write_text(own + HEAD + GOOD.replace("nodes.Layer", "Mine"))
    code, out, err = scmrl("train", "--model", "net.py:build", "--dataset", "mine.npz", *SETS)
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 2 and re.search(words, line), line
    assert "epoch" not in out + err and not (place / "runs/net/bundle").exists()


def test_other_names_than_the_data_have(scmrl, place):
    x = write_data("mine.npz")
    np.savez("two.npz", x=x, z=x, y=x[:, :3].argmax(1))
    how = ("train", "--model", "net.py:build", "--dataset", "two.npz", *SETS)
    code, _, err = scmrl(*how)
    assert code == 2 and "no node takes this input of the data (got z)" in err
    code, _, err = scmrl(*how, "--set", 'model.modalities=["x"]')
    assert code == 0, err


@pytest.mark.parametrize(
    "given, words",
    [
        ({"network": "n.py:b", "model.width": 64}, "model.width: belongs to S-CMRL"),
        ({"network": "n.py:b", "train.alignment": 0.1}, "train.alignment: belongs to S-CMRL"),
        ({"dataset": "a.npz", "hard": True}, "hard: belongs to the built-in sets"),
        ({"dataset": "a.npz", "train.shift": 1}, "train.shift: belongs to the built-in sets"),
        ({"data.bits": 4}, "data.bits: belongs to data of your own, and digits-av is a set"),
        ({"dataset": "a.npz", "data.bits": 17}, "data.bits: out of range"),
    ],
)
def test_a_setting_that_belongs_elsewhere_is_refused_by_name(given, words):
    with pytest.raises(UsageError, match=words):
        config.read(None, given)


@pytest.mark.parametrize(
    "given",
    [
        {"network": "n.py:b", "dataset": "a.npz", "data.time": True, "train.lr": 0.01},
        {"network": "n.py:b", "hard": True},
        {"dataset": "folder/", "model.width": 16},
        {"dataset": "package.module:data"},
    ],
)
def test_a_configuration_of_ones_own_survives_its_file(given, place):
    chosen = config.read(None, given)
    (place / "config.toml").write_text(config.to_toml(chosen))
    assert config.read(place / "config.toml", {}) == chosen
    again = config.to_dict(config.from_dict(config.to_dict(chosen)))
    assert again == config.to_dict(chosen) and str(place) not in json.dumps(again)


def test_scmrl_takes_pictures_of_ones_own_and_refuses_the_rest(scmrl, place):
    random = np.random.default_rng(0)
    y = np.arange(64) % 2
    x = random.integers(0, 100, (64, 1, 16, 16)) + 100 * y[:, None, None, None]
    np.savez("pictures.npz", x=x.astype(np.uint8), y=y)
    how = (*SETS, "--set", "model.width=8", "--out", "run", "--json")
    code, out, err = scmrl("train", "--dataset", "pictures.npz", *how)
    assert code == 0 and json.loads(out)["test_samples"] == 13, err
    code, _, err = scmrl("train", "--dataset", "mine.npz", *SETS, "--out", "other")
    assert code == 2 and "x: S-CMRL takes pictures and spectrograms (limit [C, H, W], got" in err


def test_a_regression_says_r2_and_what_cannot_show_it(scmrl, place):
    x = write_data("mine.npz", 600)
    (place / "net.py").write_text(HEAD + GOOD.replace("Dense(12)", "Dense(32)"))
    np.savez("targets.npz", x=x, y=x[:, 0] * 2 + x[:, 1])
    code, out, err = scmrl(
        *("train", "--model", "net.py:build", "--dataset", "targets.npz", *SETS),
        *("--epochs", 20, "--set", "train.lr=0.02", "--set", "train.fold_fraction=0.5"),
        *("--set", "model.steps=8", "--json"),
    )
    assert code == 0, err
    figures = json.loads(out)
    assert figures["test_r2"] > 0.8 and "test_accuracy" not in figures
    bundle = load("runs/net")
    assert bundle.origin.labels == "none"
    code, _, err = scmrl("evaluate", "runs/net")
    assert code == 3 and "targets of a regression are no classes" in err
    found = json.loads(scmrl("deploy", "runs/net", "--json")[1])
    assert found["accuracy"] is None and found["bit_exact"]
    how = bundle.training["targets"]
    v = bundle.trained.membrane["out"][:, -1]
    answers = np.array(how["offset"]) + np.array(how["gain"]) * v
    rows = api.data.own.load("targets.npz").split(0, validation=0.0, test=0.2)["test"].y
    picked = rows[np.unique(np.linspace(0, len(rows) - 1, 6).astype(int))]
    assert np.corrcoef(answers[:, 0], picked[:, 0])[0, 1] > 0.7
