"""What one epoch of training is: the model with its objective, schedule and metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
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
from ..network.model import SCMRL
from ..system.errors import ScmrlError
from .config import Config, to_dict
from .feed import Batch, Batches, Feed
from .freeze import freeze
from .loss import Naming, objective
from .watch import DEAD_RATE

if TYPE_CHECKING:
    from .keep import Keep

# Raises GraphError where the chip does not hold the graph.
Held = Callable[[Graph, profile.Profile], None]
WARM_UP = 0.1  # part of the steps over which the learning rate rises


class Training(lightning.LightningModule):
    """The model with its objective, schedule and metrics."""

    model: Any  # SCMRL, or AudioVisualSpikformer
    keeper: Keep

    def __init__(self, config: Config, feed: Feed, precision: Precision):
        super().__init__()
        self.config, self.feed = config, feed
        train, shapes = config.train, feed.shapes
        self.model = self.build(precision)
        self.naming: Naming | None = None
        if train.auxiliary:
            self.naming = Naming(config.model.width, feed.digit_classes, tuple(shapes))
        self.fold_epoch = train.epochs - max(1, round(train.fold_fraction * train.epochs))
        self.rates: dict[str, float] = {}
        self.accuracy: float | None = None  # of the last validation
        self._seen: dict[str, float] = {}
        self._hits = self._count = 0
        self.start = (0, 0)  # the epoch and the batch to begin with
        self.batch = 0  # batches of this epoch that are done
        self.batches = len(feed.train_pairs) // train.batch
        self.sums = [0.0, 0.0, 0.0]  # loss, alignment, samples of this epoch
        self.rate = schedule(train.schedule, train.epochs, self.batches, train.lr)

    def build(self, precision: Precision) -> torch.nn.Module:
        return SCMRL(
            self.config.model, self.feed.shapes, len(self.feed.classes), precision, self.feed.bits
        )

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
        values = {name: getattr(train, name) for name in ("lr", "alignment", "auxiliary", "clip")}
        knobs = " or ".join(f"train.{name} ({x:g})" for name, x in values.items() if x)
        where = f"epoch {self.current_epoch + 1}, step {self.batch + 1} of {self.batches}"
        raise ScmrlError(
            f"training diverged: {what} is not finite in {where}",
            fix=f"lower {knobs}; {self.keeper.good()}",
        )

    def figures(self) -> dict[str, float]:
        """Of the epoch that ends: loss, alignment, validation accuracy, firing rates."""
        sums = processes.total(self.sums)
        found = {"loss": sums[0] / sums[2], "alignment": sums[1] / sums[2]}
        if self.accuracy is not None:
            found["validation_accuracy"] = self.accuracy
        return found | {f"rate/{name}": rate for name, rate in self.rates.items()}

    def training_step(self, batch: Batch, _index: int) -> torch.Tensor:
        inputs, labels, digits = batch
        out, settings = self.model(inputs), self.config.train
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
        self.observe(loss.detach(), part.detach(), len(labels))
        return loss

    def on_validation_epoch_start(self) -> None:
        self._seen, self._hits, self._count = {}, 0, 0

    def validation_step(self, batch: Batch, _index: int) -> None:
        inputs, labels, _ = batch
        out = self.model(inputs)
        self._hits += int((out.membrane[-1].argmax(1) == labels).sum())
        self._count += len(labels)
        for name, spikes in out.spikes.items():
            self._seen[name] = self._seen.get(name, 0.0) + float(spikes.mean()) * len(labels)

    def on_validation_epoch_end(self) -> None:
        self.rates = {name: total / self._count for name, total in self._seen.items()}
        self.accuracy = self._hits / self._count

    def measure(self) -> dict[str, Any]:
        """Accuracy and firing rates of the integer model on the test set and on validation."""
        model = self.model.cpu().eval()
        model.fold_norms()
        result: dict[str, Any] = {}
        for name, batches in (("test", self.feed.test), ("validation", self.feed.validation)):
            hits: list[np.ndarray] = []
            rates: dict[str, float] = {}
            with torch.no_grad():
                for inputs, labels, _ in batches:
                    out = model(inputs)
                    hits.append((out.membrane[-1].argmax(1) == labels).numpy())
                    for p, spikes in out.spikes.items():
                        rates[p] = rates.get(p, 0.0) + float(spikes.mean()) * len(labels)
            if hits:
                result |= accuracy_of(name, np.concatenate(hits))
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
            training=to_dict(config),
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


def accuracy_of(name: str, correct: np.ndarray) -> dict[str, Any]:
    """Metrics of one split from bool [S]."""
    return {
        f"{name}_accuracy": float(correct.mean()),
        f"{name}_correct": int(correct.sum()),
        f"{name}_samples": len(correct),
    }
