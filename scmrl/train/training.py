"""Training S-CMRL: cross-entropy, alignment while the norm is live, naming of the digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ..data.features.scenes import PARTS, SCENES, Scene
from ..hw_profiles.precision import Precision
from ..network.model import SCMRL
from .config import Config
from .epochs import Epochs
from .feed import Batch, Samples
from .loss import Naming, objective, token_rates


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

    @property
    def scene(self) -> Scene | None:
        """Of a search."""
        return SCENES.get(self.config.task)

    def build(self, precision: Precision) -> torch.nn.Module:
        feed, axis = self.feed, self.scene.axis if self.scene else ""
        model = replace(self.config.model, steps=feed.steps)
        network = SCMRL(model, feed.shapes, feed.outputs, precision, feed.bits, axis=axis)
        network.checkpoint_steps = self.config.train.checkpoint_steps
        return network

    def named(
        self, naming: Naming, tokens: dict[str, torch.Tensor], digits: torch.Tensor
    ) -> torch.Tensor:
        """The loss of naming digits [B, D] from tokens {modality: [T, B, C, H, W]}."""
        rates = {m: token_rates(x) for m, x in tokens.items()}
        if self.scene:
            m = self.scene.modality
            rates[m] = token_rates(tokens[m], self.scene.axis, PARTS)
        return self.config.train.auxiliary * naming(rates, digits)

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
            loss = loss + self.named(self.naming, self.model.token_spikes(out), digits)
        return loss, part
