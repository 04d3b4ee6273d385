"""Training the published model and its baselines: cross-entropy, and alignment as published.

A run leaves RUN/metrics.json in place of a bundle: products of rates and attention over future
steps are not for a chip.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from ...hw_profiles.precision import Precision
from ...hw_profiles.profile import Profile
from ...network.nodes.weights import added
from ...network.settings import CCSSA
from ...system.storage import write_json
from ..epochs import Held
from ..feed import Batch
from ..training import Training
from ..watch import DEAD_RATE
from .alignment import alignment
from .cost import Counter
from .model import AudioVisualSpikformer


class FloatTraining(Training):
    """As `Training`, without integers: nothing is folded, every epoch can be chosen."""

    def build(self, precision: Precision) -> torch.nn.Module:
        config = self.config
        aligned, classes = config.train.alignment > 0, len(self.feed.classes)
        axis = self.scene.axis if self.scene else ""
        return AudioVisualSpikformer(config.model, self.feed.shapes, classes, aligned, axis)

    @property
    def folded(self) -> bool:
        return True

    def fold_norms(self) -> None:
        """There are no integers."""

    def answers(self, out: Any) -> torch.Tensor:
        return out.logits

    def loss(self, out: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        _, labels, digits = batch
        settings = self.config.train
        loss = added(
            F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
            for logits in (out.logits, *out.auxiliary)
        )
        part = loss.new_zeros(())
        if self.naming is not None:
            loss = loss + self.named(self.naming, out.tokens, digits)
        if settings.alignment and len(out.complement) == 2 and self.config.task == "name":
            part = alignment(out.complement, labels, settings.temperature)
        return loss + settings.alignment * part, part

    def validation_step(self, batch: Batch, _index: int) -> None:
        inputs, labels, _ = batch
        self.score.add(self.answers(self.model(inputs)), labels)

    def measure(self) -> dict[str, Any]:
        """Accuracy on test and validation; on the test set operations, spikes and firing rates, and
        the accuracy with the residual cut off (alpha = 0), which tells what cross-modal attention
        contributes.
        """
        model, result = self.model.cpu().eval(), dict[str, Any]()
        for name, batches in (("test", self.feed.test), ("validation", self.feed.validation)):
            score = self.feed.score()
            with torch.no_grad(), Counter(model) as counter:
                for inputs, labels, _ in batches:
                    score.add(self.answers(model(inputs)), labels)
            result |= score.metrics(name)
            if name == "test":
                result |= counter.per_inference(len(batches.labels)) | {"rates": counter.rates}
        result["dead"] = sorted(p for p, rate in result["rates"].items() if rate < DEAD_RATE)
        if self.config.model.attention in CCSSA and len(model.modalities) > 1:
            model.config = replace(self.config.model, alpha=0.0)
            with torch.no_grad():
                found = [(model(x).logits.argmax(1) == y).float() for x, y, _ in self.feed.test]
            model.config = self.config.model
            result["test_accuracy_alpha_0"] = float(torch.cat(found).mean())
        return result

    def check(self, chip: Profile, held: Held) -> None:
        """No chip is asked to hold this."""

    def deliver(self, run: Path, metrics: dict[str, Any], chip: Profile, held: Held) -> str | None:
        write_json(run / "metrics.json", metrics)
        return None
