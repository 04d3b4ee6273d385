"""Training settings: defaults, TOML, and command-line overrides; unknown keys are refused by name.

Every setting says its meaning and its range (`setting`); what relates several of them is checked in
`from_dict`. Some belong to S-CMRL, to the built-in sets or to data of the user's own alone: there
they are listed in a run, elsewhere refused.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..data.features.corruption import SPOILS
from ..data.features.scenes import PARTS, SCENES, Scene
from ..data.features.tasks import TASKS
from ..data.references import is_own, located, portable
from ..network.setting import Setting, checked, of, setting, shown
from ..network.settings import FLOAT, ModelConfig
from ..system.errors import UsageError, nearest
from ..system.reading import parse_toml, read_toml

SEED_MAX = (1 << 32) - 1


@dataclass(frozen=True)
class TrainConfig:
    """AdamW, warm-up then cosine; the last `fold_fraction` of the epochs trains on integers."""

    epochs: int = setting(24, "passes over the training part", low=1, high=1_000_000)
    batch: int = setting(32, "samples in a step", low=1, high=1 << 20)
    lr: float = setting(2e-3, "largest learning rate", above=0)
    weight_decay: float = setting(1e-2, "of AdamW, on all but gains and offsets", low=0)
    schedule: str = setting(
        "step",
        "step: warm-up, then cosine, by step; epoch: as published, by epoch",
        choices=("step", "epoch"),
    )
    clip: float = setting(1.0, "largest norm of a gradient; 0: none, as published", low=0)
    label_smoothing: float = setting(
        0.1, "part of the label spread over all classes", low=0, high=0.9
    )
    fold_fraction: float = setting(
        0.35, "part of the epochs, the last ones, that trains on the chip's integers", low=0, high=1
    )
    alignment: float = setting(
        0.1, "weight of semantic alignment while the norm is live; of task name alone", low=0
    )
    auxiliary: float = setting(
        0.0, "weight of naming each modality's digit from its tokens, in training only", low=0
    )
    temperature: float = setting(0.3, "of the semantic alignment loss", above=0)
    patience: int = setting(
        0, "stop after that many epochs without a better validation; 0: off", low=0, high=1_000_000
    )
    validation: float = setting(
        0.1, "part of the training set that chooses the epoch", low=0, high=0.5
    )
    seed: int = setting(42, "of weights, order, noise and partners", low=0, high=SEED_MAX)
    checkpoint_steps: int = setting(
        0,
        "steps whose values are kept for the gradients at a time: less memory, a third more time;"
        " 0: all",
        low=0,
        high=(1 << 31) - 1,
    )
    held_out: int = setting(64, "test samples stored in the bundle", low=1, high=1 << 20)
    accelerator: str = setting(
        "cpu",
        "where training runs; what it gives is always measured on the CPU",
        choices=("cpu", "gpu"),
    )
    swap_partners: bool = setting(
        True, "sounds and images of one class meet anew in every epoch, training only"
    )
    image_noise: float = setting(
        0.0,
        "noise on the images in training alone: its power over theirs; published: 10^(-snr / 10)",
        low=0,
    )
    shift: int = setting(
        1, "random shift of image and spectrogram in pixels, training only", low=0, high=256
    )


@dataclass(frozen=True)
class DataConfig:
    """Data of the user's own (`data.own`): how they are read, encoded and cut into parts."""

    bits: int = setting(
        8, "own data: bits of an input whose values are not whole numbers", low=1, high=16
    )
    time: bool = setting(
        False, "own data: the second axis is time, though the file does not say so"
    )
    sound: str = setting(
        "mel", "own sounds: log-mel power, or spikes of a cochlea", choices=("mel", "cochlea")
    )
    side: int = setting(
        0, "own pictures and events: pixels that they are cut to; 0: as they are", low=0, high=1024
    )
    test: float = setting(
        0.2, "own data without a test part: the part of them that becomes it", above=0, high=0.5
    )

    @property
    def reading(self) -> dict[str, Any]:
        """How files are read, as `data.own.load` and a training table take it."""
        return {"sound": self.sound, "side": self.side or None, "time": self.time or None}


@dataclass(frozen=True)
class TuneConfig:
    """A model that is there, tuned on its own integers (`scmrl tune`)."""

    start: str = setting("", "model that tuning starts from; the run keeps a copy")
    distil: bool = setting(False, "learn the float network's own outputs, not the labels")
    teacher: float = setting(
        0.75,
        "share of the float network's outputs in what is learnt beside labels, where it is known",
        low=0,
        high=1,
    )
    temperature: float = setting(2.0, "of the float network's outputs", above=0, high=1e3)


@dataclass(frozen=True)
class Config:
    """Everything that `scmrl train` needs to be repeated, written to the run directory."""

    dataset: str = setting(
        "digits-av",
        "name of a dataset, digits-av is embedded; or own data: an npz, a folder, a function",
    )
    network: str = setting(
        "",
        "own network, FILE.py:NAME of the function that builds it; the run keeps a copy of the"
        " file; empty: S-CMRL",
    )
    data_dir: str = setting("", "folder of its recordings, remembered by the run")
    hard: bool = setting(False, "noise on every modality")
    spoil: str = setting(
        "all", "hard data: all modalities, or one of them, drawn for every sample", choices=SPOILS
    )
    task: str = setting(
        "name",
        "name the digit; correspondence: do both agree?; sum: of both digits; where: which quarter"
        " of an image shows the spoken one?; when: which quarter of the steps says the shown one?",
        choices=TASKS,
    )
    event_bits: int = setting(
        1,
        "events: whether a pixel saw one in a step (1), or how many, up to 2^bits - 1",
        low=1,
        high=8,
    )
    profile: str = setting("loihi2", "chip whose integer limits training keeps to")
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    tune: TuneConfig = field(default_factory=TuneConfig)

    @property
    def own_data(self) -> bool:
        """Whether the data are the user's own, not one of the built-in sets."""
        return is_own(self.dataset)


def listed(kind: type = Config, prefix: str = "") -> Iterator[tuple[str, object, Setting]]:
    """(dotted name, default, setting) of all of them, in order."""
    for each in dataclasses.fields(kind):
        if (said := of(each)) is not None:
            yield prefix + each.name, each.default, said
        else:
            yield from listed(SECTIONS[each.name], f"{each.name}.")


SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "tune": TuneConfig,
}
APPLIES = ("steps", "modalities")  # of model.*, to any network
OF_SCMRL = {
    *(f"model.{f.name}" for f in dataclasses.fields(ModelConfig) if f.name not in APPLIES),
    *("train.alignment", "train.temperature", "train.auxiliary"),
}
RESIDUAL = ("model.alpha", "model.fusion", "train.alignment", "train.temperature")
MASKS = ("model.slow_dv", "model.spatial_vth", "model.temporal_vth")
NOT_OF = {"joint": (*RESIDUAL, *MASKS), "broadcast": MASKS}  # of an attention: what it has not
OF_SETS = {
    *("data_dir", "hard", "spoil", "task", "event_bits"),
    *("train.auxiliary", "train.swap_partners", "train.image_noise", "train.shift"),
}
OF_TUNING = {f"tune.{f.name}" for f in dataclasses.fields(TuneConfig)}
OF_NETWORKS = {f"model.{name}" for name in APPLIES} | {"data.bits"}
OF_OWN_DATA = {f"data.{f.name}" for f in dataclasses.fields(DataConfig)}


def _foreign(config: Config) -> dict[str, str]:
    """{setting: what alone it belongs to} of those that mean nothing here."""
    kind = config.model.attention
    names = dict.fromkeys(NOT_OF.get(kind, ()), f"other attentions, and model.attention is {kind}")
    if config.network:
        names |= dict.fromkeys(OF_SCMRL, "S-CMRL, and the network is your own")
    if config.tune.start:
        what = "a new network, and this one is there"
        names |= dict.fromkeys(OF_SCMRL | OF_NETWORKS, what)
    else:
        names |= dict.fromkeys(OF_TUNING, "`scmrl tune`")
    if config.own_data:
        names |= dict.fromkeys(OF_SETS, "the built-in sets, and the data are your own")
    else:
        names |= dict.fromkeys(OF_OWN_DATA, f"data of your own, and {config.dataset} is a set")
    return names


def _refuse_foreign(config: Config, table: dict[str, Any]) -> None:
    """Raise UsageError for a setting that was given and belongs elsewhere."""
    named = [key for key, value in table.items() if not isinstance(value, dict)]
    named += [f"{section}.{key}" for section in SECTIONS for key in table.get(section, ())]
    foreign = _foreign(config)
    for name in named:
        if name in foreign:
            raise UsageError(f"belongs to {foreign[name]}", where=name, fix="leave it out")


def _section(kind: type, table: dict[str, Any], prefix: str) -> Any:
    known = {f.name: f for f in dataclasses.fields(kind)}
    values = {}
    for key, value in table.items():
        if key not in known:
            fix = nearest(key, known)
            raise UsageError("unknown configuration key", value=prefix + key, fix=fix)
        if (said := of(known[key])) is not None:
            values[key] = checked(prefix + key, value, known[key].default, said)
        elif not isinstance(value, dict):
            raise UsageError("expected a table", where=prefix + key, value=shown(value))
        else:
            values[key] = _section(SECTIONS[key], value, f"{prefix}{key}.")
    return kind(**values)


def from_dict(table: dict[str, Any]) -> Config:
    """A checked Config; raises UsageError naming the key, the limit and the value."""
    config: Config = _section(Config, table, "")
    _refuse_foreign(config, table)
    if config.network:
        config = replace(config, network=located(config.network))
    if config.own_data:
        config = replace(config, dataset=located(config.dataset))
    model, task = config.model, config.task
    names = list(model.modalities)
    if not names or len(set(names)) < len(names):
        raise UsageError("name each modality once", where="model.modalities", value=names)
    if not model.branches and len(names) > 1:
        what = "a network without branches takes one modality"
        fix = "name one in modalities, or keep branches = true"
        raise UsageError(what, where="model.branches", value=names, fix=fix)
    if task != "name" and len(names) < 2:
        fix = "name two or more in model.modalities"
        raise UsageError("this task relates two modalities", where="task", value=task, fix=fix)
    if task in SCENES:
        _check_search(config, SCENES[task])
    if model.width % 8:
        raise UsageError("must be a multiple of 8", where="model.width", value=model.width)
    if model.attention in FLOAT and model.embedding == "strided":
        what, fix = "the published model pools", "--set model.embedding=deep (or shallow)"
        raise UsageError(what, where="model.embedding", value=model.embedding, fix=fix)
    if model.attention in FLOAT and config.train.checkpoint_steps:
        what, where = "the published model runs all its steps at once", "train.checkpoint_steps"
        raise UsageError(what, where=where, value=config.train.checkpoint_steps, fix="leave it out")
    if model.attention in FLOAT and config.own_data:
        what, fix = "the published model takes the built-in sets", "--set model.attention=binary"
        raise UsageError(what, where="model.attention", value=model.attention, fix=fix)
    return config


def _check_search(config: Config, scene: Scene) -> None:
    """Raise UsageError where a scene cannot be made, or its parts told apart."""
    names, steps = list(config.model.modalities), config.model.steps
    if sorted(names) != ["audio", "visual"]:
        what, where = "a search takes a sound and an image", "model.modalities"
        raise UsageError(what, where=where, value=names, fix='name ["audio", "visual"]')
    if scene.axis == "time" and config.train.checkpoint_steps and config.train.auxiliary:
        what = "naming the digits of a scene in time needs all of its steps"
        value, fix = config.train.checkpoint_steps, "leave it out, or train.auxiliary=0"
        raise UsageError(what, where="train.checkpoint_steps", value=value, fix=fix)
    if scene.axis == "time" and steps % PARTS:
        what, limit = "the steps are cut into equal parts", f"a multiple of {PARTS}"
        raise UsageError(what, where="model.steps", limit=limit, value=steps)


def to_dict(config: Config) -> dict[str, Any]:
    """What makes the model: all settings that mean something here, but where recordings, data and
    the network's file lie on this machine.
    """
    table = _said(config)
    table.pop("data_dir", None)
    if config.own_data:
        table["dataset"] = portable(config.dataset)
    if config.network:
        table["network"] = portable(config.network)
    if config.tune.start:
        del table["tune"]["start"]  # the bundle says its hash
    return table


def _said(config: Config) -> dict[str, Any]:
    """All settings that mean something here."""
    table = dataclasses.asdict(config)
    table["model"]["modalities"] = list(config.model.modalities)
    for name in _foreign(config):
        section, _, key = name.rpartition(".")
        del (table[section] if section else table)[key]
    for empty in [key for key in ("data", "network", "model", "tune") if not table[key]]:
        del table[empty]
    return table


def read(path: Path | None, overrides: dict[str, object]) -> Config:
    """Settings of a TOML file (or none), then `overrides` by dotted key; checked."""
    table = {} if path is None else read_toml(path)
    for dotted, value in overrides.items():
        *sections, key = dotted.split(".")
        place = table
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise UsageError("expected a table", where=section, value=shown(place))
        place[key] = value
    return from_dict(table)


def parse_value(text: str) -> object:
    """A TOML value; what is not one is taken as a string."""
    try:
        table = parse_toml(f"value = {text}", "--set")
    except UsageError:
        return text
    return table["value"] if len(table) == 1 else text


def assignments(settings: Iterable[str]) -> dict[str, object]:
    """{key: value} of texts KEY=VALUE, the value as in TOML (a bare word is a string)."""
    values = {}
    for assignment in settings:
        key, separator, text = assignment.partition("=")
        if not separator or not key:
            fix = "for example train.epochs=10"
            raise UsageError("expected key=value", where="--set", value=assignment, fix=fix)
        values[key] = parse_value(text)
    return values


def literal(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(literal(v) for v in value) + "]"
    if isinstance(value, str):  # TOML's escapes are those of JSON, and DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def to_toml(config: Config) -> str:
    table = _said(config)
    parts = {section: table.pop(section) for section in SECTIONS if section in table}
    texts = [_assigned(table), *(f"[{name}]\n{_assigned(x)}" for name, x in parts.items())]
    return "\n".join(texts)


def _assigned(table: dict[str, object]) -> str:
    return "".join(f"{key} = {literal(value)}\n" for key, value in table.items())
