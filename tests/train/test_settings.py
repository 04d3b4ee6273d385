"""Every setting says its meaning and range, and is held to them before any work begins."""

import dataclasses
import json
import math

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from scmrl.system.errors import UsageError
from scmrl.train import config as config_module
from scmrl.train.config import Config, listed
from scmrl.train.run import loop, size

ALL = {name: (default, setting) for name, default, setting in listed()}
NUMBERS = [name for name, (default, _) in ALL.items() if type(default) in (int, float)]


def of(name, value):
    """The configuration with one setting changed (`hard` is no number), where it belongs."""
    own = {"dataset": "own.npz"} if name.startswith(("data.", "tune.")) else {}
    start = {"tune.start": "imported"} if name.startswith("tune.") else {}
    return config_module.read(None, {**own, **start, name: value})


def test_every_field_is_a_setting_with_a_meaning():
    fields = {f.name for f in dataclasses.fields(Config)} - set(config_module.SECTIONS)
    for section, kind in config_module.SECTIONS.items():
        fields |= {f"{section}.{f.name}" for f in dataclasses.fields(kind)}
    assert set(ALL) == fields and all(setting.meaning for _, setting in ALL.values())


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_is_finite_and_in_its_range(name):
    default, setting = ALL[name]
    assert setting.allows(default) and (setting.low is not None or setting.above is not None)
    wrong = [-1, -1e-3, -(10**30), 10**30] if type(default) is int else [-1e-9, -3.0]
    wrong += [math.nan, math.inf, -math.inf, "5", True, [1], 10**5000, {"a": 1}]
    if setting.high is not None:
        wrong.append(type(default)(setting.high) + 1)
    if setting.above is not None:
        wrong.append(0.0)
    for value in wrong:
        with pytest.raises(UsageError, match=f"^{name}: ") as refused:
            of(name, value)
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize("name", NUMBERS)
def test_the_ends_of_a_range_are_in_it(name):
    default, setting = ALL[name]
    for end in {setting.low, setting.high} - {None}:
        assert setting.allows(end)
        of(name, type(default)(end))


@pytest.mark.parametrize(
    "name,value,said",
    [
        ("train.accelerator", "cuda", "write train.accelerator=gpu"),
        ("train.accelerator", "cuda:0", "write train.accelerator=gpu"),
        ("model.modalities", "audio", r"write model.modalities=\[\"audio\"\]"),
        ("model.modalities", "audio,visual", r"write model.modalities=\[\"audio\", \"visual\"\]"),
        ("model.embedding", "stridet", "did you mean 'strided'"),
        ("model", 3, "expected a table"),
        ("model.width", 12, "a multiple of 8"),
        ("nothing", 1, "unknown configuration key"),
        ("train.lerning", 1, "unknown configuration key"),
        ("model.steps.more", 1, "wrong type"),
        ("model.branches", False, "takes one modality"),
        ("model.attention", "ccssa", "pools"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_write(name, value, said):
    with pytest.raises(UsageError, match=said):
        of(name, value)


@pytest.mark.parametrize(
    "text", ["9" * 6000, "[" * 5000, "0x" + "f" * 5000, "1e999", "\x00", "nan", "-inf"]
)
def test_texts_that_no_setting_takes(text, tmp_path):
    with pytest.raises(UsageError):
        config_module.read(None, config_module.assignments([f"train.lr={text}"]))
    (tmp_path / "c.toml").write_text(f"[train]\nlr = {text}")
    with pytest.raises(UsageError):
        config_module.read(tmp_path / "c.toml", {})


@pytest.mark.parametrize(
    "name,value", [("model.width", 1_000_000), ("model.steps", 1 << 20), ("train.batch", 1 << 20)]
)
def test_what_no_machine_holds_is_refused_before_any_data_are_read(
    name, value, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "Feed", None)
    monkeypatch.setattr(size, "memory", lambda: 16 << 30)
    with pytest.raises(
        UsageError, match=f"{name}={value}.*more memory than there is.*million parameters, at least"
    ):
        loop.train(of(name, value), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_size_is_that_of_the_network():
    from scmrl.network.model import SCMRL

    config = of("model.width", 16)
    shapes = dict.fromkeys(config.model.modalities, (1, 32, 32))
    assert size.parameters(config) == SCMRL(config.model, shapes, 10).parameters_total
    weights, needed = size.at_least(config)
    assert needed >= 16 * weights


@pytest.mark.parametrize(
    "path", ["/data/a b", '/data/"quoted"', "/data/\\back", "/data/\x7f\x01", "/data/ü"]
)
def test_a_configuration_survives_its_file_with_any_path(tmp_path, path):
    config = config_module.read(
        None, {"data_dir": path, "train.epochs": 3, "model.alpha": 2, "hard": True}
    )
    (tmp_path / "config.toml").write_text(config_module.to_toml(config), encoding="utf-8")
    assert config_module.read(tmp_path / "config.toml", {}) == config
    assert "data_dir" not in config_module.to_dict(
        config
    )  # a bundle is the same wherever its data lay


def test_config_lists_every_setting_on_80_columns(scmrl, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = scmrl("config")
    assert code == 0 and all(len(line) <= 80 for line in out.splitlines())
    for name in ALL:
        assert f"\n{name} = " in "\n" + out
    assert "train.alignment = 0.1   (0 or more)" in out and "model.dv = 2048   (0..4095)" in out
    rows = json.loads(scmrl("config", "--json")[1])["settings"]
    assert [row["name"] for row in rows] == list(ALL)
    assert rows[0] == {
        "name": "dataset",
        "default": "digits-av",
        "range": "",
        "meaning": "name of a dataset, digits-av is embedded; or own data: an npz, a folder, a"
        " function",
    }
    for row in rows:
        assert config_module.parse_value(config_module.literal(row["default"])) == row["default"]


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--epochs", "0"),
        ("train", "--seed", "-1"),
        ("sweep", "--seed", "-1"),
        ("train", "--epochs", "1.5"),
    ],
)
def test_options_are_held_to_their_range(scmrl, tmp_path, words):
    code, _, err = scmrl(*words, "--out", tmp_path / "run")
    assert code == 2 and words[1] in err and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "attention, names",
    [
        ("joint", ["model.alpha", "model.fusion", "train.alignment", "train.temperature"]),
        ("joint", ["model.slow_dv", "model.spatial_vth", "model.temporal_vth"]),
        ("broadcast", ["model.slow_dv", "model.spatial_vth", "model.temporal_vth"]),
    ],
)
def test_what_an_attention_has_not_is_refused_and_not_listed(attention, names):
    kept = {"model.attention": attention}
    for name in names:
        with pytest.raises(UsageError, match=f"{name}: belongs to other attentions.*{attention}"):
            config_module.read(None, {**kept, name: ALL[name][0]})
    config = config_module.read(None, kept)
    text = config_module.to_toml(config)
    assert not [name for name in names if f"\n{name.split('.')[1]} =" in text]
    assert config_module.from_dict(config_module.to_dict(config)) == config
    config_module.read(None, {"model.attention": "binary"} | {n: ALL[n][0] for n in names})


@pytest.mark.parametrize(
    "settings, said",
    [
        (
            {"task": "when", "train.auxiliary": 1.0, "train.checkpoint_steps": 2},
            "naming the digits of a scene in time needs all of its steps",
        ),
        (
            {
                "model.attention": "ccssa",
                "model.embedding": "deep",
                "train.checkpoint_steps": 2,
            },
            "the published model runs all its steps at once",
        ),
    ],
)
def test_chunks_of_steps_are_refused_where_all_are_needed(settings, said):
    with pytest.raises(UsageError, match=f"train.checkpoint_steps: {said}"):
        config_module.read(None, settings)
    config_module.read(None, settings | {"train.checkpoint_steps": 0})
