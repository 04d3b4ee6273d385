"""Training S-CMRL: cross-entropy, alignment while the norm is live, naming of the digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ..hw_profiles.precision import Precision
from ..network.model import SCMRL
from .config import Config
from .epochs import Epochs
from .feed import Batch, Samples
from .loss import Naming, objective


class Training(Epochs):
    """S-CMRL with its objective."""

    knobs = ("lr", "alignment", "auxiliary", "clip")
    part = "alignment"

    def __init__(self, config: Config, feed: Samples, precision: Precision):
        super().__init__(config, feed, precision)
        self.naming: Naming | None = None
        if config.train.auxiliary:
            digits, modalities = feed.digit_classes, tuple(feed.shapes)
            self.naming = Naming(config.model.width, digits, modalities)

    def build(self, precision: Precision) -> torch.nn.Module:
        feed = self.feed
        model = replace(self.config.model, steps=feed.steps)
        network = SCMRL(model, feed.shapes, feed.outputs, precision, feed.bits)
        network.checkpoint_steps = self.config.train.checkpoint_steps
        return network

    def loss(self, out: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        _, labels, digits = batch
        settings = self.config.train
        # in another task the modalities differ in class
        aligned = self.config.task == "name" and not self.folded
        loss, part = objective(
            out.logits,
            self.model.complement(out),
            labels,
            label_smoothing=settings.label_smoothing,
            weight=settings.alignment if aligned else 0.0,
            temperature=settings.temperature,
        )
        if self.naming is not None:
            loss = loss + settings.auxiliary * self.naming(self.model.token_rates(out), digits)
        return loss, part
