"""Data of the user's own in training: parts, encoding, batches.

The test part is the same for every seed and chooses nothing; the validation part, drawn by the
seed, chooses the epoch; scales of values, and mean and deviation of targets, come from the training
part alone. Samples are as they are in every epoch: nothing is shifted, mixed or added.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from ...data.features.values import ValueEncoding
from ...data.own import OwnData, load
from ...data.own.tested import SEED, encoded, trained_and_tested
from ...network.kernels import processes
from ...network.settings import ModelConfig
from ...system.errors import DataError, UsageError, nearest
from ..config import Config, TrainConfig
from ..feed import ORDER, Batches
from ..score import Accuracy, Determination, Score

BATCH_VALUES = 1 << 22  # of all inputs and steps, in a batch of validation or test


class OwnFeed:
    """Training, validation and test part of own data."""

    digit_classes = 0

    def __init__(self, config: Config):
        self.config, train = config, config.train
        data = chosen(read(config), config.model.modalities)
        self.steps = steps_of(data, config)
        rest, test = trained_and_tested(data, config.data.test)
        parts = rest.split(train.seed, validation=train.validation, test=0.0)
        own = parts["train"]
        self.frontend = ValueEncoding.fit(own.inputs, config.data.bits)
        self.bits, self.classes, self.shapes = self.frontend.bits, data.classes, data.shapes
        self.outputs = len(data.classes) or data.y.shape[1]
        self.mean, self.deviation = np.zeros(self.outputs), np.ones(self.outputs)
        if data.regression:
            self.mean, self.deviation = own.y.mean(0), own.y.std(0)
            if not self.deviation.all():
                raise DataError("all targets are alike: nothing to learn", where="y")
        self.said, self._own = held_out_by(config), self.fixed(own)
        self.validation, self.test = self.fixed(parts["validation"]), self.fixed(test)

    def __len__(self) -> int:
        return len(self._own.labels)

    def score(self) -> Score:
        return Accuracy() if self.classes else Determination(self.deviation)

    def _targets(self, data: OwnData) -> np.ndarray:
        """Labels int64 [S], or targets float32 [S, K] of mean 0 and deviation 1 in training."""
        if not data.regression:
            return data.y
        return ((data.y - self.mean) / self.deviation).astype(np.float32)

    def fixed(self, data: OwnData) -> Batches:
        """A part in order."""
        samples = encoded(data, self.frontend) if len(data) else {}
        nothing = np.zeros((len(data), 0), np.int64)
        return in_order(samples, self._targets(data), nothing, self.shapes, self.steps)

    def epoch(self, epoch: int, done: int = 0) -> Batches:
        """Training batches of an epoch from batch `done` on; only seed and epoch matter."""
        return drawn(self._own, self.config.train, epoch, done)


def in_order(
    samples: dict[str, np.ndarray],
    labels: np.ndarray,
    beside: np.ndarray,
    shapes: dict[str, tuple[int, ...]],
    steps: int,
) -> Batches:
    """Encoded samples of inputs of these shapes in order, in batches that bound the memory;
    `beside` comes with the labels.
    """
    values = steps * sum(math.prod(shape) for shape in shapes.values())
    batch = min(256, max(1, BATCH_VALUES // values))
    ranks = {name: len(shape) for name, shape in shapes.items()}
    return Batches(samples, labels, beside, np.arange(len(labels)), batch, ranks=ranks)


def drawn(own: Batches, train: TrainConfig, epoch: int, done: int) -> Batches:
    """The training part in the order of an epoch, from batch `done` on."""
    order = np.random.default_rng((train.seed, ORDER, epoch)).permutation(len(own.labels))
    part = (processes.rank(), processes.world())
    return dataclasses.replace(
        own, order=order, batch=train.batch, drop_last=True, part=part, first=done
    )


def held_out_by(config: Config) -> dict[str, Any]:
    """What a training table says of own data: the test part is found again by it (`deploy.own`)."""
    part = {"seed": SEED, "validation": 0.0, "test": config.data.test}
    return {"own": part | config.data.reading}


def read(config: Config) -> OwnData:
    """The data that the settings name. Raises as `data.own.load`."""
    return load(config.dataset, steps=config.model.steps, **config.data.reading)


def chosen(data: OwnData, names: tuple[str, ...]) -> OwnData:
    """Data with the inputs of those names alone; with all where none were chosen. Raises
    UsageError.
    """
    if names == ModelConfig.modalities:
        return data
    for name in names:
        if name not in data.inputs:
            what, fix = "the data have no such input", nearest(name, data.inputs)
            raise UsageError(what, where="model.modalities", value=name, fix=fix)
    return dataclasses.replace(data, inputs={name: data.inputs[name] for name in names})


def steps_of(data: OwnData, config: Config) -> int:
    """T: of the data where they are over time, else as the settings say. Raises UsageError where
    both say it and differ.
    """
    steps = config.model.steps
    if not data.time:
        return steps
    if steps not in (ModelConfig.steps, data.steps):
        what, fix = "the data have steps of their own", "leave it out"
        raise UsageError(what, where="model.steps", limit=data.steps, value=steps, fix=fix)
    return data.steps
