"""What an epoch of training is, of any model: loss, schedule, figures, and what is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import numpy as np
import torch

from ..core.bundle import Bundle
from ..core.graph import Graph
from ..core.samples import fingerprint
from ..hw_profiles import profile
from ..hw_profiles.precision import Precision
from ..network.kernels import processes
from ..system.errors import ScmrlError
from .config import Config, to_dict
from .feed import Batch, Batches, Samples
from .freeze import freeze
from .watch import DEAD_RATE

if TYPE_CHECKING:
    from .keep import Keep

# Raises GraphError where the chip does not hold the graph.
Held = Callable[[Graph, profile.Profile], None]
WARM_UP = 0.1  # part of the steps over which the learning rate rises


class Epochs(lightning.LightningModule):
    """A model in training. A kind of it says `build` and `loss`."""

    model: Any
    keeper: Keep
    knobs: tuple[str, ...] = ("lr", "clip")  # of train.*, that tame it
    part = ""  # what else than the task the loss is made of

    def __init__(self, config: Config, feed: Samples, precision: Precision):
        super().__init__()
        self.config, self.feed = config, feed
        train = config.train
        self.model = self.build(precision)
        self.fold_epoch = train.epochs - max(1, round(train.fold_fraction * train.epochs))
        self.rates: dict[str, float] = {}
        self.validated: float | None = None  # score of the last validation
        self.score = feed.score()
        self._seen: dict[str, float] = {}
        self.start = (0, 0)  # the epoch and the batch to begin with
        self.batch = 0  # batches of this epoch that are done
        self.batches = len(feed) // train.batch
        self.sums = [0.0, 0.0, 0.0]  # loss, part, samples of this epoch
        self.rate = schedule(train.schedule, train.epochs, self.batches, train.lr)

    def build(self, precision: Precision) -> torch.nn.Module:
        """The model, with parameters to begin with."""
        raise NotImplementedError

    def loss(self, out: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """(the whole loss, `part` of it) of what the model gave for a batch."""
        raise NotImplementedError

    def answers(self, out: Any) -> torch.Tensor:
        """What the score is of, [B, K]: the integers that the chip answers with."""
        return out.membrane[-1]

    @property
    def folded(self) -> bool:
        """Whether what trains now is what will be chosen from: the chip's integers."""
        return self.current_epoch >= self.fold_epoch

    def train_dataloader(self) -> Batches:
        epoch, batch = self.start
        return self.feed.epoch(self.current_epoch, done=batch if self.current_epoch == epoch else 0)

    def val_dataloader(self) -> Batches:
        return self.feed.validation

    def on_train_epoch_start(self) -> None:
        self.fold_norms()
        self.batch = self.start[1] if self.current_epoch == self.start[0] else 0
        if not self.batch:
            self.sums = [0.0, 0.0, 0.0]

    def on_train_batch_start(self, _batch: object, _index: int) -> None:
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.config.train.lr * self.rate(self.current_epoch, self.batch)

    def fold_norms(self) -> None:
        if self.folded:
            self.model.fold_norms()

    def step_done(self) -> None:
        """After each step, before anything is kept of it."""
        self.finite("a weight", [*self.parameters(), *self.buffers()])
        self.batch += 1

    def on_before_optimizer_step(self, _optimizer: object) -> None:
        self.finite("a gradient", [p.grad for p in self.parameters() if p.grad is not None])

    def finite(self, what: str, values: list[torch.Tensor]) -> None:
        """Stop, in all processes alike, where a value of this step is not finite."""
        norm = torch.nn.utils.get_total_norm([x for x in values if x.is_floating_point()])
        if processes.any_of(not bool(torch.isfinite(norm))):
            self.diverged(what)

    def observe(self, loss: torch.Tensor, part: torch.Tensor, count: int) -> None:
        """Add a batch to the figures of the epoch; a loss that is not finite ends the run."""
        value = float(loss)
        if processes.any_of(not math.isfinite(value)):
            self.diverged("the loss")
        for i, x in enumerate((value * count, float(part) * count, count)):
            self.sums[i] += x

    def diverged(self, what: str) -> None:
        """End a run that cannot be mended by going on."""
        train = self.config.train
        values = {name: getattr(train, name) for name in self.knobs}
        knobs = " or ".join(f"train.{name} ({x:g})" for name, x in values.items() if x)
        where = f"epoch {self.current_epoch + 1}, step {self.batch + 1} of {self.batches}"
        raise ScmrlError(
            f"training diverged: {what} is not finite in {where}",
            fix=f"lower {knobs}; {self.keeper.good()}",
        )

    def figures(self) -> dict[str, float]:
        """Of the epoch that ends: loss and its part, score on validation, firing rates."""
        sums = processes.total(self.sums)
        found = {"loss": sums[0] / sums[2]}
        if self.part:
            found[self.part] = sums[1] / sums[2]
        if self.validated is not None:
            found[f"validation_{self.score.name}"] = self.validated
        return found | {f"rate/{name}": rate for name, rate in self.rates.items()}

    def training_step(self, batch: Batch, _index: int) -> torch.Tensor:
        loss, part = self.loss(self.model(batch[0]), batch)
        self.observe(loss.detach(), part.detach(), len(batch[1]))
        return loss

    def on_validation_epoch_start(self) -> None:
        self._seen, self.score = {}, self.feed.score()

    def validation_step(self, batch: Batch, _index: int) -> None:
        inputs, labels, _ = batch
        out = self.model(inputs)
        self.score.add(self.answers(out), labels)
        fired(out.spikes, len(labels), self._seen)

    def on_validation_epoch_end(self) -> None:
        count = len(self.feed.validation.labels)
        self.rates = {name: total / count for name, total in self._seen.items()}
        self.validated = self.score.value

    def measure(self) -> dict[str, Any]:
        """Score and firing rates of the integer model on the test set and on validation."""
        model = self.model.cpu().eval()
        model.fold_norms()
        result: dict[str, Any] = {}
        for name, batches in (("test", self.feed.test), ("validation", self.feed.validation)):
            score, rates = self.feed.score(), dict[str, float]()
            with torch.no_grad():
                for inputs, labels, _ in batches:
                    out = model(inputs)
                    score.add(self.answers(out), labels)
                    fired(out.spikes, len(labels), rates)
            result |= score.metrics(name)
            if name == "test":
                result["rates"] = {p: sum_ / len(batches.labels) for p, sum_ in rates.items()}
        result["test_sha256"] = fingerprint(self.feed.test.encoded, self.feed.test.labels)
        result["dead"] = sorted(p for p, rate in result["rates"].items() if rate < DEAD_RATE)
        return result

    def check(self, chip: profile.Profile, held: Held) -> None:
        """Refuse, before any training, a network whose structure the chip cannot hold."""
        held(self.model.graph(self.feed.classes), chip)

    def frozen(self, metrics: dict[str, Any]) -> Bundle:
        """The integer model with test samples from all over the set: every class is there."""
        test, config = self.feed.test, self.config
        last, count = len(test.labels) - 1, min(config.train.held_out, len(test.labels))
        rows = np.unique(np.linspace(0, last, count).astype(int))
        return freeze(
            self.model,
            {m: x[rows] for m, x in test.encoded.items()},
            test.labels[rows],
            self.feed.classes,
            frontend=self.feed.frontend.to_dict(),
            metrics=metrics,
            training=to_dict(config) | self.feed.said,
            profile=config.profile,
        )

    def deliver(
        self, run: Path, metrics: dict[str, Any], chip: profile.Profile, held: Held
    ) -> str | None:
        """Write what the run is for, RUN/bundle, and say its hash."""
        bundle = self.frozen(metrics)
        held(bundle.graph, chip)
        bundle.save(run / "bundle")
        return bundle.hash

    def configure_optimizers(self) -> torch.optim.Optimizer:
        lr, decay = self.config.train.lr, self.config.train.weight_decay
        decayed = [p for p in self.parameters() if p.dim() > 1]
        plain = [p for p in self.parameters() if p.dim() <= 1]
        groups = [
            {"params": decayed, "weight_decay": decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=lr, fused=True)


def schedule(kind: str, epochs: int, batches: int, lr: float) -> Callable[[int, int], float]:
    """Share of the learning rate at (epoch, batch): `by_step` or `by_epoch`."""
    if kind == "step":
        rate = by_step(max(1, epochs * batches))
        return lambda epoch, batch: rate(epoch * batches + batch)
    rate = by_epoch(epochs, lr)
    return lambda epoch, batch: rate(epoch)


def by_step(steps: int) -> Callable[[int], float]:
    """Share of the learning rate at a step: `WARM_UP` of them up, then cosine down to 1 %."""
    rise = max(1, round(WARM_UP * steps))

    def rate(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return max(0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))), 0.01)

    return rate


def by_epoch(epochs: int, lr: float) -> Callable[[int], float]:
    """Share of the learning rate in an epoch, as published (He et al. 2025): 5 epochs linearly up
    from 1e-6, then cosine over all epochs, the first five counted, down to 1e-5.
    """
    start, floor, rise = 1e-6 / lr, 1e-5 / lr, 5

    def rate(epoch: int) -> float:
        if epoch < rise:
            return start + (1 - start) * epoch / rise
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * epoch / epochs))

    return rate


def fired(spikes: Mapping[str, torch.Tensor], count: int, totals: dict[str, float]) -> None:
    """Add the rates of a batch of `count` samples to the totals of each population."""
    for name, x in spikes.items():
        totals[name] = totals.get(name, 0.0) + float(x.mean()) * count
