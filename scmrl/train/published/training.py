"""Training the published model and its baselines: cross-entropy, and alignment as published.

A run leaves RUN/metrics.json in place of a bundle: products of rates and attention over future
steps are not for a chip.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ...hw_profiles.precision import Precision
from ...hw_profiles.profile import Profile
from ...network.nodes.weights import added
from ...network.settings import CCSSA
from ...system.storage import write_json
from ..feed import Batch
from ..training import Held, Training, accuracy_of
from ..watch import DEAD_RATE
from .alignment import alignment
from .cost import Counter
from .model import AudioVisualSpikformer


class FloatTraining(Training):
    """As `Training`, without integers: nothing is folded, every epoch can be chosen."""

    def build(self, precision: Precision) -> torch.nn.Module:
        config = self.config
        aligned, classes = config.train.alignment > 0, len(self.feed.classes)
        return AudioVisualSpikformer(config.model, self.feed.shapes, classes, aligned)

    @property
    def folded(self) -> bool:
        return True

    def fold_norms(self) -> None:
        """There are no integers."""

    def training_step(self, batch: Batch, _index: int) -> torch.Tensor:
        inputs, labels, digits = batch
        settings = self.config.train
        out = self.model(inputs)
        loss = added(
            F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
            for logits in (out.logits, *out.auxiliary)
        )
        part = loss.new_zeros(())
        if self.naming is not None:
            loss = loss + settings.auxiliary * self.naming(out.token_rates, digits)
        if settings.alignment and len(out.complement) == 2 and self.config.task == "name":
            part = alignment(out.complement, labels, settings.temperature)
        loss = loss + settings.alignment * part
        self.observe(loss.detach(), part.detach(), len(labels))
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        inputs, labels, _ = batch
        self._hits += int((self.model(inputs).logits.argmax(1) == labels).sum())
        self._count += len(labels)

    def measure(self) -> dict[str, Any]:
        """Accuracy on test and validation; on the test set operations, spikes and firing rates, and
        the accuracy with the residual cut off (alpha = 0), which tells what cross-modal attention
        contributes.
        """
        model, result = self.model.cpu().eval(), dict[str, Any]()
        for name, batches in (("test", self.feed.test), ("validation", self.feed.validation)):
            hits = []
            with torch.no_grad(), Counter(model) as counter:
                for inputs, labels, _ in batches:
                    hits.append((model(inputs).logits.argmax(1) == labels).numpy())
            if hits:
                result |= accuracy_of(name, np.concatenate(hits))
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
