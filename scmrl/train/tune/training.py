"""Tuning a model on its own integers, from the first step on.

    L = (1 - w) CE(logits, y) + w tau^2 KL(softmax(scores / tau) || softmax(logits / tau))

`scores` are those of the float network behind the model, w is `tune.teacher`: 1 to `distil`, and 0
where that network is not known (Hinton et al. 2015, arXiv 1503.02531). It holds on to what was
learnt while the labels pull: the labels are most often those that it was trained on.

What is frozen are the mean weights of the second half of the steps (Polyak and Juditsky 1992):
rounded, the last ones are as good or bad as chance has it.

Logits are membranes over a constant, so that before tuning they deviate by `SPREAD` over the
classes, and so are the teacher's scores: counts of spikes and membranes of any scale alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch.nn import functional as F

from ...core.bundle import Bundle
from ...core.samples import HELD_OUT, NETWORK, TRUE, Origin
from ...hw_profiles import profile
from ...hw_profiles.precision import Precision
from ...network.given import network_of
from ...network.network import Network
from ...network.nodes.given import Given
from ..config import Config
from ..epochs import Epochs, Held
from ..feed import Batch, Batches
from .feed import TuneFeed
from .start import Start

SPREAD = 3.0  # deviation of the logits over the classes, mean over samples
SEEN = 256  # samples that it is measured on


class Tuning(Epochs):
    """The network of a graph, on data of the user's own."""

    model: Network
    feed: TuneFeed
    averaged: torch.Tensor  # steps in the mean weights
    spread: torch.Tensor  # of the teacher's scores over the classes, over `SPREAD`

    def __init__(self, config: Config, feed: TuneFeed, precision: Precision, start: Start):
        self.begun = start
        super().__init__(config, feed, precision)
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("averaged", torch.zeros((), dtype=torch.int64))  # steps
        for i, p in enumerate(self.model.parameters()):
            self.register_buffer(f"mean_{i}", p.detach().clone())
        self._scale()

    def build(self, precision: Precision) -> Network:
        network = network_of(self.begun.bundle.graph)
        network.checkpoint_steps = self.config.train.checkpoint_steps
        return network

    @torch.no_grad()
    def _scale(self) -> None:
        """Set the scale of logits and scores, on training samples."""
        batch = next(iter(_first(self.feed.epoch(0), SEEN)))
        readout = cast(Given, self.model.node(self.model.readout))
        membrane = self.model(batch[0]).membrane[-1].flatten(1)
        readout.scale.fill_(max(float(membrane.std(1).mean()), 1e-9) / SPREAD)
        if batch[2].shape[1]:
            self.spread.fill_(max(float(batch[2].std(1).mean()), 1e-9) / SPREAD)

    def loss(self, out: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        settings, loss = self.config.tune, out.logits.new_zeros(())
        share = 1.0 if settings.distil else settings.teacher if batch[2].shape[1] else 0.0
        if share:
            tau = settings.temperature
            wanted = F.softmax(batch[2] / self.spread / tau, 1)
            given = F.log_softmax(out.logits / tau, 1)
            loss = share * tau * tau * F.kl_div(given, wanted, reduction="batchmean")
        if share < 1:
            smoothing = self.config.train.label_smoothing
            named = F.cross_entropy(out.logits, batch[1], label_smoothing=smoothing)
            loss = loss + (1 - share) * named
        return loss, loss.new_zeros(())

    def step_done(self) -> None:
        super().step_done()
        done = self.current_epoch * self.batches + self.batch
        if 2 * done > self.config.train.epochs * self.batches:
            self.averaged += 1
            for mean, p in self._pairs():
                mean += (p.detach() - mean) / self.averaged

    def _pairs(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Mean and present value of each parameter."""
        for i, p in enumerate(self.model.parameters()):
            yield self.get_buffer(f"mean_{i}"), p

    @torch.no_grad()
    def _swap(self) -> None:
        """The mean weights in place of the present ones, or back."""
        for mean, p in self._pairs() if self.averaged else ():
            kept = p.clone()
            p.copy_(mean)
            mean.copy_(kept)

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self._swap()

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self._swap()

    def measure(self) -> dict[str, Any]:
        """As of any model, of the mean weights."""
        self._swap()
        self.averaged.zero_()
        return super().measure()

    def answers(self, out: Any) -> torch.Tensor:
        return out.membrane[-1].flatten(1)

    def check(self, chip: profile.Profile, held: Held) -> None:
        """Whether the chip holds the model was known before, and tuning does not change it."""

    def deliver(
        self, run: Path, metrics: dict[str, Any], chip: profile.Profile, held: Held
    ) -> str | None:
        """The tuned model, unless the one that it started from does better on validation."""
        tuned, start = self.model.eval(), self.build(Precision()).eval()
        before = {part: self._classes(start, part) for part in ("validation", "test")}
        after = {part: self._classes(tuned, part) for part in ("validation", "test")}
        metrics["kept_start"] = self._right(before, "validation") > self._right(after, "validation")
        if metrics["kept_start"]:
            self.model, after = start, before
            metrics |= self.measure()
        metrics["before_accuracy"] = self._right(before, "test")
        scores = self.feed.test.digits
        if scores.shape[1]:
            floats = scores.argmax(1)
            metrics["float_accuracy"] = float((floats == self.feed.test.labels).mean())
            metrics["before_agreement"] = float((floats == before["test"]).mean())
            metrics["agreement"] = float((floats == after["test"]).mean())
        bundle = self.frozen(metrics)
        bundle.save(run / "bundle")
        return bundle.hash

    @torch.no_grad()
    def _classes(self, model: Network, part: str) -> np.ndarray:
        batches: Batches = getattr(self.feed, part)
        found = [self.answers(model(inputs)).argmax(1).numpy() for inputs, _, _ in batches]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _right(self, classes: dict[str, np.ndarray], part: str) -> float:
        labels = getattr(self.feed, part).labels
        return float((classes[part] == labels).mean()) if len(labels) else 0.0

    def frozen(self, metrics: dict[str, Any]) -> Bundle:
        """As of any model."""
        bundle = super().frozen(metrics)
        labels = TRUE if self.feed.labelled else NETWORK
        return replace(bundle, origin=Origin(HELD_OUT, labels))


def _first(batches: Batches, count: int) -> Batches:
    """One batch of the first samples in order."""
    return replace(batches, order=batches.order[:count], batch=count, drop_last=False, first=0)
