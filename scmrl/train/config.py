"""Training settings: defaults, TOML, and command-line overrides; unknown keys are refused by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..data.corruption import SPOILS
from ..data.tasks import TASKS
from ..errors import UsageError, nearest
from ..reading import parse_toml, read_toml


@dataclass(frozen=True)
class ModelConfig:
    """The network. `width` is C, `steps` is T; decays are 12-bit integers, thresholds counts of spikes."""

    modalities: tuple[str, ...] = ("audio", "visual")
    width: int = 64
    steps: int = 4
    embedding: str = "strided"          # strided and deep (max-pool): image / 16, shallow: image / 4
    attention: str = "binary"           # binary, none (late fusion), or one of FLOAT: as published, not for a chip
    fusion: str = "concat"              # concat: one head per modality, add: one head for all
    alpha: float = 0.5                  # weight of the complementary feature in the residual
    mlp_ratio: int = 2
    dv: int = 2048                      # membrane leak: v keeps (4096 - dv) / 4096 per step
    slow_dv: int = 512                  # membrane leak of the temporal mask
    spatial_vth: int = 0                # spatial mask: more than this many tokens now
    temporal_vth: int = 1               # temporal mask: more than this many tokens, leaking
    branches: bool = True               # false: a chain, where a layer reads only the one before; one modality
    bias_exp_min: int = 0               # biases are multiples of 2^this membrane units; netx files need 6


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation: AdamW, warm-up then cosine; the last `fold_fraction` of the epochs trains on integers."""

    epochs: int = 24
    batch: int = 32
    lr: float = 2e-3
    weight_decay: float = 1e-2
    schedule: str = "step"              # step: warm-up, then cosine, by step; epoch: as published, by epoch
    clip: float = 1.0                   # largest norm of a gradient; 0: none, as published
    label_smoothing: float = 0.1
    fold_fraction: float = 0.35
    alignment: float = 0.1              # weight of semantic alignment while the norm is live; of task name alone
    auxiliary: float = 0.0              # weight of naming each modality's digit from its tokens, in training only
    temperature: float = 0.3            # of the semantic alignment loss
    patience: int = 0                   # early stopping after that many epochs without a better validation; 0: off
    validation: float = 0.1             # part of the training set that chooses the epoch
    seed: int = 42
    held_out: int = 64                  # test samples stored in the bundle
    accelerator: str = "cpu"            # where training runs: cpu or gpu; what it gives is always measured on the CPU
    swap_partners: bool = True          # sounds and images of one class meet anew in every epoch, training only
    image_noise: float = 0.0            # noise on the images in training alone: its power over theirs;
                                        # published: 10^(-snr / 10)
    shift: int = 1                      # random shift of the image and of the spectrogram in pixels, training only


@dataclass(frozen=True)
class Config:
    """Everything that `scmrl train` needs to be repeated: written to the run directory as it was used."""

    dataset: str = "digits-av"
    hard: bool = False
    spoil: str = "all"                  # hard data: all modalities, or one of them, drawn for every sample
    task: str = "name"                  # name the digit; correspondence: do both agree?; sum: of both digits
    event_bits: int = 1                 # events: whether a pixel saw one in a step (1), or how many, up to 2^bits - 1
    profile: str = "loihi2"
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


# Attentions of the published, float model and of the baselines in its shell (train/published): not for a chip.
FLOAT = ("ccssa", "ccssa-spatial", "ccssa-temporal", "weight-attention", "sca", "cmci", "late-float")
CHOICES = {"embedding": ("strided", "deep", "shallow"), "attention": ("binary", "none", *FLOAT),
           "fusion": ("concat", "add"), "schedule": ("step", "epoch"),
           "accelerator": ("cpu", "gpu"), "spoil": SPOILS, "task": TASKS}
POSITIVE = ("width", "steps", "mlp_ratio", "epochs", "batch", "lr", "held_out")


def _converted(name: str, value: object, default: object) -> object:
    """`value` in the type of `default`, or UsageError."""
    wanted = type(default)
    if wanted is tuple and isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        raise UsageError("wrong type", where=name, limit=wanted.__name__, value=f"{type(value).__name__} {value!r}")
    return value


def _section(kind: type, table: dict, prefix: str):
    known = {f.name: f for f in dataclasses.fields(kind)}
    values = {}
    for key, value in table.items():
        if key not in known:
            raise UsageError("unknown configuration key", value=prefix + key, fix=nearest(key, known))
        default = getattr(kind(), key)
        if dataclasses.is_dataclass(default):
            if not isinstance(value, dict):
                raise UsageError("expected a table", where=prefix + key, value=value)
            values[key] = _section(type(default), value, f"{prefix}{key}.")
        else:
            values[key] = _converted(prefix + key, value, default)
    return kind(**values)


def from_dict(table: dict) -> Config:
    """A checked Config; raises UsageError naming the key, the limit and the value."""
    config = _section(Config, table, "")
    for part in (config, config.model, config.train):
        for name, value in ((f.name, getattr(part, f.name)) for f in dataclasses.fields(part)):
            if name in CHOICES and value not in CHOICES[name]:
                raise UsageError("unknown choice", where=name, value=value, fix=nearest(str(value), CHOICES[name]))
            if name in POSITIVE and not value > 0:
                raise UsageError("must be above zero", where=name, value=value)
    model, train = config.model, config.train
    for name in ("dv", "slow_dv"):
        if not 0 <= getattr(model, name) <= 4095:
            raise UsageError("decays are 12-bit", where=name, limit="0..4095", value=getattr(model, name))
    if not model.modalities or len(set(model.modalities)) < len(model.modalities):
        raise UsageError("name each modality once", where="modalities", value=list(model.modalities))
    if not model.branches and len(model.modalities) > 1:
        raise UsageError("a network without branches takes one modality", where="branches",
                         value=list(model.modalities), fix="name one in modalities, or keep branches = true")
    if train.image_noise < 0:
        raise UsageError("a ratio of powers is not negative", where="image_noise", value=train.image_noise)
    if not 1 <= config.event_bits <= 8:
        raise UsageError("out of range", where="event_bits", limit="1..8", value=config.event_bits)
    if config.task != "name" and len(model.modalities) < 2:
        raise UsageError("this task relates two modalities", where="task", value=config.task,
                         fix="name two or more in model.modalities")
    if not 0 <= model.bias_exp_min <= 7:
        raise UsageError("bias exponents have 3 bits", where="bias_exp_min", limit="0..7", value=model.bias_exp_min)
    if model.width % 8:
        raise UsageError("must be a multiple of 8", where="width", value=model.width)
    if model.attention in FLOAT and model.embedding == "strided":
        raise UsageError("the published model pools", where="embedding", value=model.embedding,
                         fix="--set model.embedding=deep (or shallow)")
    for name, low, high in (("fold_fraction", 0.0, 1.0), ("validation", 0.0, 0.5), ("label_smoothing", 0.0, 0.9)):
        if not low <= getattr(train, name) <= high:
            raise UsageError("out of range", where=name, limit=f"{low}..{high}", value=getattr(train, name))
    return config


def to_dict(config: Config) -> dict:
    table = dataclasses.asdict(config)
    table["model"]["modalities"] = list(config.model.modalities)
    return table


def read(path: Path | None, overrides: dict[str, object]) -> Config:
    """Settings of a TOML file (or none), then `overrides` by dotted key ("train.epochs"), checked."""
    table: dict = {}
    if path is not None:
        table = read_toml(path)
    for dotted, value in overrides.items():
        *sections, key = dotted.split(".")
        place = table
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise UsageError("expected a table", where=section, value=place)
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
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise UsageError("expected key=value", where="--set", value=setting, fix="for example train.epochs=10")
        values[key] = parse_value(text)
    return values


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_literal(v) for v in value) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def to_toml(config: Config) -> str:
    table = to_dict(config)
    lines = [f"{key} = {_literal(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for section, values in table.items():
        if isinstance(values, dict):
            lines += ["", f"[{section}]", *(f"{key} = {_literal(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"
