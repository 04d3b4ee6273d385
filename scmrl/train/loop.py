"""Training a model: Lightning runs the epochs, this file says what one epoch is.

A run directory holds config.toml, checkpoints/ (last.ckpt after every epoch, best.ckpt by validation), logs/
(metrics.csv and TensorBoard events: loss, accuracy, alignment, firing rate of every population) and, at the end,
bundle/. Validation runs the chip's integers from the first epoch on; only epochs with the norm folded can be chosen.
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lightning
import numba
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from ..bundle import Bundle
from ..errors import DataError, UsageError
from ..files import whole_file
from ..hw_profiles import limits, profile
from ..hw_profiles.precision import Precision
from ..progress import clock
from ..samples import fingerprint
from . import memory, processes
from .config import FLOAT, Config, to_dict, to_toml
from .feed import Feed
from .freeze import freeze, graph_of
from .loss import Naming, objective
from .model import SCMRL

DEAD_RATE = 1e-3                        # spikes per neuron and step below which a population counts as dead
WARM_UP = 0.1                           # part of the steps over which the learning rate rises


class Training(lightning.LightningModule):
    """The model with its objective, schedule and metrics."""

    def __init__(self, config: Config, feed: Feed, precision: Precision):
        super().__init__()
        self.config, self.feed = config, feed
        self.model = self.build(precision)
        self.naming = Naming(config.model.width, feed.digit_classes, tuple(feed.shapes)) \
            if config.train.auxiliary else None
        self.fold_epoch = config.train.epochs - max(1, round(config.train.fold_fraction * config.train.epochs))
        self.rates: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._hits = self._count = 0

    def build(self, precision: Precision) -> torch.nn.Module:
        return SCMRL(self.config.model, self.feed.shapes, len(self.feed.classes), precision, self.feed.bits)

    @property
    def folded(self) -> bool:
        """Whether what trains now is what will be chosen from: the chip's integers."""
        return self.current_epoch >= self.fold_epoch

    def train_dataloader(self):
        return self.feed.epoch(self.current_epoch)

    def val_dataloader(self):
        return self.feed.validation

    def on_train_epoch_start(self) -> None:
        if self.folded:
            self.model.fold_norms()

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["threads"] = torch.get_num_threads()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        """A sum over a batch is rounded in the order of its threads: as many go on, wherever that is."""
        _threads(checkpoint.get("threads", torch.get_num_threads()))

    def training_step(self, batch, _index):
        inputs, labels, digits = batch
        out, settings = self.model(inputs), self.config.train
        aligned = self.config.task == "name" and not self.folded        # elsewhere the modalities differ in class
        loss, part = objective(out.logits, out.complement, labels, label_smoothing=settings.label_smoothing,
                               weight=settings.alignment if aligned else 0.0, temperature=settings.temperature)
        if settings.auxiliary:
            loss = loss + settings.auxiliary * self.naming(self.model.token_rates(out), digits)
        self.log_dict({"loss": loss, "alignment": part}, on_step=False, on_epoch=True, batch_size=len(labels),
                      sync_dist=processes.world() > 1)
        return loss

    def on_validation_epoch_start(self) -> None:
        self._seen, self._hits, self._count = {}, 0, 0

    def validation_step(self, batch, _index):
        inputs, labels, _ = batch
        out = self.model(inputs)
        self._hits += int((out.membrane[-1].argmax(1) == labels).sum())
        self._count += len(labels)
        for name, spikes in out.spikes.items():
            self._seen[name] = self._seen.get(name, 0.0) + float(spikes.mean()) * len(labels)

    def on_validation_epoch_end(self) -> None:
        self.rates = {name: total / self._count for name, total in self._seen.items()}
        accuracy = self._hits / self._count
        self.log_dict({"validation_accuracy": accuracy, "selection": accuracy if self.folded else -1.0,
                       **{f"rate/{name}": rate for name, rate in self.rates.items()}})

    def measure(self) -> dict:
        """Accuracy and firing rates of the integer model on the whole test set and on validation."""
        model = self.model.cpu().eval()
        model.fold_norms()
        result = {}
        for name, batches in (("test", self.feed.test), ("validation", self.feed.validation)):
            hits, rates = [], {}
            with torch.no_grad():
                for inputs, labels, _ in batches:
                    out = model(inputs)
                    hits.append((out.membrane[-1].argmax(1) == labels).numpy())
                    for population, spikes in out.spikes.items():
                        rates[population] = rates.get(population, 0.0) + float(spikes.mean()) * len(labels)
            if hits:
                result |= accuracy_of(name, np.concatenate(hits))
                if name == "test":
                    result["rates"] = {population: total / len(batches.labels) for population, total in rates.items()}
        result["test_sha256"] = fingerprint(self.feed.test.encoded, self.feed.test.labels)
        result["dead"] = sorted(p for p, rate in result["rates"].items() if rate < DEAD_RATE)
        return result

    def check(self, chip: profile.Profile) -> None:
        """Refuse, before any training, a network whose structure the chip cannot hold."""
        limits.require(graph_of(self.model, self.feed.classes), chip)

    def frozen(self, metrics: dict) -> Bundle:
        """The integer model with test samples spread evenly over the set, so that every class is there."""
        test, config = self.feed.test, self.config
        rows = np.unique(np.linspace(0, len(test.labels) - 1, min(config.train.held_out, len(test.labels))).astype(int))
        return freeze(self.model, {m: x[rows] for m, x in test.encoded.items()}, test.labels[rows], self.feed.classes,
                      frontend=self.feed.frontend.to_dict(), metrics=metrics, training=to_dict(config),
                      profile=config.profile)

    def deliver(self, run: Path, metrics: dict, chip: profile.Profile) -> None:
        """Write what the run is for: RUN/bundle."""
        bundle = self.frozen(metrics)
        limits.require(bundle.graph, chip)
        bundle.save(run / "bundle")

    def configure_optimizers(self):
        settings = self.config.train
        decayed = [p for p in self.parameters() if p.dim() > 1]
        plain = [p for p in self.parameters() if p.dim() <= 1]
        optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": settings.weight_decay},
                                       {"params": plain, "weight_decay": 0.0}], lr=settings.lr, fused=True)
        steps = max(1, settings.epochs * (len(self.feed.train_pairs) // settings.batch))
        rate = by_step(steps) if settings.schedule == "step" else by_epoch(settings.epochs, settings.lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": settings.schedule}}


def by_step(steps: int) -> Callable[[int], float]:
    """Share of the learning rate at a step: a linear warm-up over `WARM_UP` of the steps, then cosine down to 1 %."""
    rise = max(1, round(WARM_UP * steps))

    def rate(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return max(0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise))), 0.01)
    return rate


def by_epoch(epochs: int, lr: float) -> Callable[[int], float]:
    """Share of the learning rate in an epoch, as published (He et al. 2025): 5 epochs linearly up from 1e-6, then
    cosine over all epochs, the first five counted, down to 1e-5."""
    start, floor, rise = 1e-6 / lr, 1e-5 / lr, 5

    def rate(epoch: int) -> float:
        if epoch < rise:
            return start + (1 - start) * epoch / rise
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
    return rate


class Progress(Callback):
    """One line per epoch: loss, accuracy, rate and time left; dead populations are named once folded."""

    def __init__(self, tell: Callable[[str], None]):
        self.tell, self.started, self.first, self.warned = tell, 0.0, 0, set()
        self.epoch_started, self.training_s, self.samples = 0.0, 0.0, 0

    @property
    def samples_per_s(self) -> float:
        """Samples per second of training alone, without validation and checkpoints."""
        return self.samples / self.training_s if self.training_s else 0.0

    def on_train_epoch_start(self, trainer, module):
        self.epoch_started = time.monotonic()

    def on_validation_start(self, trainer, module):
        self._stop(module)

    def _stop(self, module) -> None:
        if self.epoch_started:
            self.training_s += time.monotonic() - self.epoch_started
            self.samples += len(module.feed.train_pairs)
            self.epoch_started = 0.0

    def on_train_start(self, trainer, module):
        self.started, self.first = time.monotonic(), trainer.current_epoch

    def on_train_epoch_end(self, trainer, module):
        self._stop(module)
        epoch, epochs = trainer.current_epoch + 1, module.config.train.epochs
        per_epoch = (time.monotonic() - self.started) / (epoch - self.first)
        values = trainer.callback_metrics
        self.tell(f"epoch {epoch}/{epochs}  loss {float(values['loss']):.3f}"
                  + (f"  validation {100 * float(values['validation_accuracy']):.1f} %"
                     if "validation_accuracy" in values else "")
                  + ("  integers" if module.folded and module.config.model.attention not in FLOAT else "")
                  + f"  {len(module.feed.train_pairs) / per_epoch:.0f} samples/s"
                  + f"  {clock((epochs - epoch) * per_epoch)} left")
        dead = {name for name, rate in module.rates.items() if rate < DEAD_RATE}
        if module.folded and dead - self.warned:
            self.warned |= dead
            self.tell(f"warning: {len(dead)} dead population(s), below {DEAD_RATE:g} spikes per neuron and step: "
                      + ", ".join(sorted(dead)))


class StopEarly(EarlyStopping):
    """Counts only epochs whose norm is folded: before that no epoch can be chosen."""

    def on_validation_end(self, trainer, module):
        if module.folded:
            super().on_validation_end(trainer, module)


@dataclass(frozen=True)
class Outcome:
    """What a training run produced: figures of the frozen, integer model."""

    run: Path
    metrics: dict


def train(config: Config, run: Path, *, data_dir: str | None = None, resume: bool = False,
          tell: Callable[[str], None] = lambda line: None) -> Outcome | None:
    """Train within the limits of the configured chip, choose by validation, freeze to RUN/bundle (a published, float
    model: measure to RUN/metrics.json). `tell` gets a line per epoch.

    One of several processes (`scmrl.train.processes`) trains its part of each batch; only the first one measures and
    writes, and the others return None. Raises KeyboardInterrupt after Ctrl-C with RUN/checkpoints/last.ckpt complete;
    `resume` goes on from there and gives the very model that an uninterrupted run gives.
    """
    last = run / "checkpoints" / "last.ckpt"
    if resume and not last.is_file():
        raise UsageError("nothing to resume", where=run, limit="checkpoints/last.ckpt", fix="train without --resume")
    chip = profile.load(config.profile)
    feed = Feed(config, data_dir)
    if len(feed.train_pairs) < config.train.batch:
        raise DataError("fewer training pairs than one batch", limit=config.train.batch, value=len(feed.train_pairs))
    if config.train.batch % processes.world():
        raise UsageError("processes take equal parts of a batch", where="train.batch", value=config.train.batch,
                         limit=f"a multiple of {processes.world()}")
    if config.train.accelerator == "gpu" and not torch.cuda.is_available():
        raise UsageError("no GPU that torch can use", where="train.accelerator", value="gpu", fix="leave it at cpu")
    first = processes.rank() == 0
    lightning.seed_everything(config.train.seed, verbose=False)
    _threads(torch.get_num_threads())
    memory.keep()
    module = _kind(config)(config, feed, Precision.of(chip))
    module.check(chip)
    if first:
        with whole_file(run / "config.toml") as temporary:
            temporary.write_text(to_toml(config), encoding="utf-8")
    clock = Progress(tell if first else lambda line: None)
    trainer = _trainer(config, run, module, clock)
    started = time.monotonic()
    try:
        trainer.fit(module, ckpt_path=last if resume else None, **_trusting())
    except SystemExit:
        raise KeyboardInterrupt from None       # Lightning turns Ctrl-C into an exit
    if trainer.interrupted:
        raise KeyboardInterrupt
    if not first:
        return None
    seconds = time.monotonic() - started
    metrics = module.measure()
    metrics["last_test_accuracy"] = metrics["test_accuracy"]
    if _choose(run, module):
        metrics |= module.measure()
    metrics |= {"train_seconds": round(seconds, 1), "parameters": module.model.parameters_total,
                "samples_per_s": round(clock.samples_per_s, 1)}
    module.deliver(run, metrics, chip)
    return Outcome(run, metrics)


def _threads(count: int) -> None:
    """One setting for torch and the fused kernels."""
    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


def _kind(config: Config) -> type[Training]:
    """What trains the configured model: integers for a chip, or the published model in float."""
    if config.model.attention not in FLOAT:
        return Training
    from .published.training import FloatTraining
    return FloatTraining


def _trusting() -> dict:
    """Lightning 2.6 reads checkpoints as weights alone unless told that they are ours."""
    import inspect
    return {"weights_only": False} if "weights_only" in inspect.signature(lightning.Trainer.fit).parameters else {}


def _trainer(config: Config, run: Path, module: Training, clock: Progress) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    settings = config.train
    checks = run / "checkpoints"
    keep = 0 if settings.validation else 1
    callbacks: list[Callback] = [clock, ModelCheckpoint(checks, filename="epoch", save_last=True,
                                                                 save_top_k=keep, enable_version_counter=False)]
    if settings.validation:
        callbacks.append(ModelCheckpoint(checks, filename="best", monitor="selection", mode="max", save_top_k=1,
                                         enable_version_counter=False))
        if settings.patience:
            callbacks.append(StopEarly("selection", mode="max", patience=settings.patience))
    logs = run / "logs"
    return lightning.Trainer(
        max_epochs=settings.epochs, accelerator=settings.accelerator, callbacks=callbacks,
        **processes.trainer_options(settings.accelerator),
        logger=[CSVLogger(logs, name="", version=""), TensorBoardLogger(logs, name="", version="")],
        reload_dataloaders_every_n_epochs=1, num_sanity_val_steps=0, enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1, limit_val_batches=1.0 if settings.validation else 0,
        gradient_clip_val=settings.clip or None, use_distributed_sampler=False)


def _choose(run: Path, module: Training) -> bool:
    """Load the epoch with the best validation accuracy, if there is one; without validation the last one stays."""
    best = run / "checkpoints" / "best.ckpt"
    if not module.config.train.validation or not best.is_file():
        return False
    module.load_state_dict(torch.load(best, map_location="cpu", weights_only=False)["state_dict"])
    return True


def accuracy_of(name: str, correct: np.ndarray) -> dict:
    """Metrics of one split from bool [S]."""
    return {f"{name}_accuracy": float(correct.mean()), f"{name}_correct": int(correct.sum()),
            f"{name}_samples": len(correct)}
