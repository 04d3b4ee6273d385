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
from ..config import Config
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
        self._encoded, self._labels = encoded(own, self.frontend), self._targets(own)
        self.said = held_out_by(config)
        self.validation, self.test = self.fixed(parts["validation"]), self.fixed(test)

    def __len__(self) -> int:
        return len(self._labels)

    def score(self) -> Score:
        return Accuracy() if self.classes else Determination(self.deviation)

    def _targets(self, data: OwnData) -> np.ndarray:
        """Labels int64 [S], or targets float32 [S, K] of mean 0 and deviation 1 in training."""
        if not data.regression:
            return data.y
        return ((data.y - self.mean) / self.deviation).astype(np.float32)

    def fixed(self, data: OwnData) -> Batches:
        """A part in order."""
        values = self.steps * sum(math.prod(shape) for shape in self.shapes.values())
        batch = min(256, max(1, BATCH_VALUES // values))
        samples = encoded(data, self.frontend) if len(data) else {}
        return self._batches(samples, self._targets(data), np.arange(len(data)), batch)

    def epoch(self, epoch: int, done: int = 0) -> Batches:
        """Training batches of an epoch from batch `done` on; only seed and epoch matter."""
        train = self.config.train
        random = np.random.default_rng((train.seed, ORDER, epoch))
        order = random.permutation(len(self))
        batches = self._batches(self._encoded, self._labels, order, train.batch)
        part = (processes.rank(), processes.world())
        return dataclasses.replace(batches, drop_last=True, part=part, first=done)

    def _batches(
        self, samples: dict[str, np.ndarray], labels: np.ndarray, order: np.ndarray, batch: int
    ) -> Batches:
        nothing = np.zeros((len(labels), 0), np.int64)
        ranks = {name: len(shape) for name, shape in self.shapes.items()}
        return Batches(samples, labels, nothing, order, batch, ranks=ranks)


def held_out_by(config: Config) -> dict[str, Any]:
    """What a training table says of own data: the test part is found again by it (`deploy.own`)."""
    how = config.data
    part = {"seed": SEED, "validation": 0.0, "test": how.test, "sound": how.sound}
    return {"own": part | {"side": how.side or None, "time": how.time or None}}


def read(config: Config) -> OwnData:
    """The data that the settings name. Raises as `data.own.load`."""
    how = config.data
    return load(
        config.dataset,
        steps=config.model.steps,
        sound=how.sound,
        side=how.side or None,
        time=how.time or None,
    )


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
