"""Progress of training: what trains where, a live line within each epoch, one line after it.

On a terminal the line of an epoch moves; elsewhere a line is told after 1 s, then ever more rarely,
at most `LONGEST_S` apart, so that a log of hours stays short and never looks dead.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from lightning.pytorch.callbacks import Callback

from ..core.report.progress import clock
from ..network.settings import FLOAT

DEAD_RATE = 1e-3  # spikes per neuron and step below which a population counts as dead
FIRST_S, LONGEST_S = 1.0, 60.0


class Watch(Callback):
    """Tells of rate and time left; dead populations are named once the norm is folded.

    `seconds` and `samples_per_s` are of training alone, without validation and checkpoints.
    """

    def __init__(self, tell: Callable[[str], None], *, live: bool = False):
        self.tell = tell
        self.live = live and sys.stderr.isatty()
        self.bar = self.task = None
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

    def on_train_start(self, trainer, module):
        self.told = time.monotonic()
        if self.live:
            self._open()

    def on_train_batch_start(self, trainer, module, batch, index):
        self.batch_started = time.monotonic()

    def on_train_batch_end(self, trainer, module, *_rest):
        self.training_s += time.monotonic() - self.batch_started
        self.samples += module.config.train.batch
        done = f"epoch {trainer.current_epoch + 1}/{module.config.train.epochs}"
        if self.bar is not None:
            self.bar.update(
                self.task,
                description=done,
                completed=module.batch,
                total=module.batches,
                rate=f"{self.samples_per_s:.0f} samples/s",
                left=f"{clock(self._left(trainer, module))} left",
            )
        elif not self.live and time.monotonic() - self.told >= self.next_s:
            self.tell(
                f"{done}  step {module.batch}/{module.batches}  {self.samples_per_s:.0f} samples/s"
                f"  {clock(self._left(trainer, module))} left"
            )
            self.told, self.next_s = time.monotonic(), min(4 * self.next_s, LONGEST_S)

    def _left(self, trainer, module) -> float:
        """Seconds of training left, at the rate so far."""
        epochs = module.config.train.epochs
        steps = (epochs - trainer.current_epoch) * module.batches - module.batch
        return steps * module.config.train.batch / max(self.samples_per_s, 1e-9)

    def on_train_epoch_end(self, trainer, module):
        settings, figures = module.config, module.figures()
        self.tell(
            f"epoch {trainer.current_epoch + 1}/{settings.train.epochs}  loss {figures['loss']:.3f}"
            + (
                f"  validation {100 * figures['validation_accuracy']:.1f} %"
                if "validation_accuracy" in figures
                else ""
            )
            + ("  integers" if module.folded and settings.model.attention not in FLOAT else "")
            + f"  {self.samples_per_s:.0f} samples/s  {clock(self._left(trainer, module))} left"
        )
        self.told = time.monotonic()
        dead = {name for name, rate in module.rates.items() if rate < DEAD_RATE}
        if module.folded and dead - self.warned:
            self.warned |= dead
            self.tell(
                f"warning: {len(dead)} dead population(s), below {DEAD_RATE:g} spikes per neuron "
                "and step: " + ", ".join(sorted(dead))
            )

    def on_train_end(self, trainer, module):
        self.close()

    def on_exception(self, trainer, module, exception):
        self.close()

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(20),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self.task = self.bar.add_task("training", total=None, rate="", left="")
        self.bar.start()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def what_trains(module, threads: int) -> str:
    """One line: the data, the machine and the network."""
    config, feed, train = module.config, module.feed, module.config.train
    size = module.model.parameters_total
    device = train.accelerator if train.accelerator == "gpu" else f"cpu, {threads} thread(s)"
    return (
        f"training on {config.dataset}: {len(feed.train_pairs)} samples, "
        f"{len(feed.validation.labels)} for validation, {len(feed.test.labels)} for test; "
        f"{device}; {size} parameters; {train.epochs} epochs of {module.batches} steps"
    )
