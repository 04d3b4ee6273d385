"""Progress of training: what trains where, a live line within each epoch, one line after it.

On a terminal the line of an epoch moves; elsewhere a line is told after 1 s, then ever more rarely,
at most `LONGEST_S` apart, so that a log of hours stays short and never looks dead.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback

from ..core.report.progress import clock
from ..network.settings import FLOAT

if TYPE_CHECKING:
    from rich.progress import Progress

    from .epochs import Epochs

DEAD_RATE = 1e-3  # spikes per neuron and step below which a population counts as dead
FIRST_S, LONGEST_S = 1.0, 60.0


class Watch(Callback):
    """Tells of rate and time left; dead populations are named once the norm is folded.

    `seconds` and `samples_per_s` are of training alone, without validation and checkpoints.
    """

    def __init__(self, tell: Callable[[str], None], *, live: bool = False):
        self.tell = tell
        self.live = live and sys.stderr.isatty()
        self.bar: Progress | None = None  # of one task
        self.warned: set[str] = set()
        self.before = 0.0  # seconds of the runs that this one goes on from
        self.training_s = self.resting_since = 0.0
        self.samples = 0
        self.next_s, self.told = FIRST_S, 0.0

    @property
    def seconds(self) -> float:
        return self.before + self.training_s

    @property
    def samples_per_s(self) -> float:
        return self.samples / self.training_s if self.training_s else 0.0

    def on_train_start(self, trainer: Trainer, module: Epochs) -> None:
        self.told = time.monotonic()
        if self.live:
            self.bar = _bar()
            self.bar.start()

    def on_train_batch_start(self, trainer: Trainer, module: Epochs, *_rest: object) -> None:
        self.batch_started = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, module: Epochs, *_rest: object) -> None:
        self.training_s += time.monotonic() - self.batch_started
        self.samples += module.config.train.batch
        done = f"epoch {trainer.current_epoch + 1}/{module.config.train.epochs}"
        rate, left = self._pace(trainer, module)
        if self.bar is not None:
            (task,), total, batch = self.bar.task_ids, module.batches, module.batch
            self.bar.update(
                task, description=done, total=total, completed=batch, rate=rate, left=left
            )
        elif not self.live and time.monotonic() - self.told >= self.next_s:
            self.tell(f"{done}  step {module.batch}/{module.batches}  {rate}  {left}")
            self.told, self.next_s = time.monotonic(), min(4 * self.next_s, LONGEST_S)

    def _pace(self, trainer: Trainer, module: Epochs) -> tuple[str, str]:
        """The rate so far, and what is left of the training at that rate."""
        epochs, batch = module.config.train.epochs, module.config.train.batch
        steps = (epochs - trainer.current_epoch) * module.batches - module.batch
        left = steps * batch / max(self.samples_per_s, 1e-9)
        return f"{self.samples_per_s:.0f} samples/s", f"{clock(left)} left"

    def on_train_epoch_end(self, trainer: Trainer, module: Epochs) -> None:
        settings, figures = module.config, module.figures()
        epoch = f"epoch {trainer.current_epoch + 1}/{settings.train.epochs}"
        parts = [epoch, f"loss {figures['loss']:.3f}"]
        if "validation_accuracy" in figures:
            parts.append(f"validation {100 * figures['validation_accuracy']:.1f} %")
        elif "validation_r2" in figures:
            parts.append(f"validation R2 {figures['validation_r2']:.3f}")
        if module.folded and settings.model.attention not in FLOAT:
            parts.append("integers")
        self.tell("  ".join([*parts, *self._pace(trainer, module)]))
        self.told = time.monotonic()
        dead = {name for name, rate in module.rates.items() if rate < DEAD_RATE}
        if module.folded and dead - self.warned:
            self.warned |= dead
            what = f"{len(dead)} dead population(s), below {DEAD_RATE:g} spikes per neuron and step"
            self.tell(f"warning: {what}: {', '.join(sorted(dead))}")

    def on_train_end(self, trainer: Trainer, module: Epochs) -> None:
        self.close()

    def on_exception(self, trainer: Trainer, module: Epochs, exception: BaseException) -> None:
        self.close()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _bar() -> Progress:
    """A line on a terminal, of a task with `rate` and `left`."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    texts = "{task.completed}/{task.total}", "{task.fields[rate]}", "{task.fields[left]}"
    columns = TextColumn("{task.description}"), BarColumn(20), *map(TextColumn, texts)
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.add_task("training", total=None, rate="", left="")
    return bar


def what_trains(module: Epochs, threads: int) -> str:
    """One line: the data, the machine and the network."""
    config, feed, train = module.config, module.feed, module.config.train
    size = module.model.parameters_total
    device = train.accelerator if train.accelerator == "gpu" else f"cpu, {threads} thread(s)"
    return (
        f"training on {config.dataset}: {len(feed)} samples, "
        f"{len(feed.validation.labels)} for validation, {len(feed.test.labels)} for test; "
        f"{device}; {size} parameters; {train.epochs} epochs of {module.batches} steps"
    )
