"""Training a network of one's own.

L = CE(logits, y; label smoothing)                          classes
L = mean over samples and targets of (logits - y)^2         a regression, y standardised
"""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
import torch
from torch.nn import functional as F

from ...core.bundle import Bundle
from ...core.samples import HELD_OUT, NONE, Origin
from ...hw_profiles.precision import Precision
from ...network.network import Network
from ...network.nodes.readout import Readout
from ...network.spec import DataSpec
from ..config import Config
from ..epochs import Epochs
from ..feed import Batch, Samples
from .feed import OwnFeed
from .network import Build, build


class OwnTraining(Epochs):
    """The network that `function` builds, on any data."""

    model: Network

    def __init__(self, config: Config, feed: Samples, precision: Precision, function: Build):
        self.function = function
        super().__init__(config, feed, precision)

    def build(self, precision: Precision) -> torch.nn.Module:
        feed = self.feed
        spec = DataSpec(feed.shapes, feed.bits, feed.classes, feed.outputs, feed.steps, precision)
        return build(self.function, spec, self.config.train.checkpoint_steps)

    def loss(self, out: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        smoothing = self.config.train.label_smoothing
        if self.feed.classes:
            loss = F.cross_entropy(out.logits, batch[1], label_smoothing=smoothing)
        else:
            loss = F.mse_loss(out.logits, batch[1])
        return loss, loss.new_zeros(())

    def answers(self, out: Any) -> torch.Tensor:
        """Membranes for classes; for targets these in their unit."""
        return out.membrane[-1] if self.feed.classes else out.logits

    def frozen(self, metrics: dict[str, Any]) -> Bundle:
        """As of any model. A bundle's labels are classes: that of a regression has none, and says
        how its membranes are targets, y = offset + gain v.
        """
        bundle = super().frozen(metrics)
        if self.feed.classes:
            return bundle
        feed = cast(OwnFeed, self.feed)
        unit = cast(Readout, self.model.node(self.model.readout)).unit(feed.steps)
        gain, offset = (feed.deviation / unit).tolist(), feed.mean.tolist()
        said = bundle.training | {"targets": {"gain": gain, "offset": offset}}
        nothing = np.zeros(bundle.samples, np.int64)
        origin = Origin(HELD_OUT, NONE)
        return dataclasses.replace(bundle, labels=nothing, training=said, origin=origin)
