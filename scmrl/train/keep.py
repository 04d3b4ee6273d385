"""What a run keeps while it trains: the last state, the best weights, the figures of every epoch.

After every epoch, and every `EVERY_S` seconds within one, checkpoints/last.ckpt is replaced. Order,
noise, partners and learning rate of a step follow from (seed, epoch, step) alone, and the state of
torch's random numbers is kept, so a run that goes on from there, in the middle of an epoch too, is
the run that was never interrupted, bit for bit.
"""

from __future__ import annotations

import csv
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback

from ..system.errors import quoted
from ..system.storage import whole_file
from . import checkpoint

if TYPE_CHECKING:
    from .epochs import Epochs
    from .watch import Watch

EVERY_S = 300.0  # between two checkpoints within an epoch


@dataclass
class State:
    """Where a run stands, but for its tensors."""

    epoch: int = 0  # finished epochs
    batch: int = 0  # batches of the next one that are done
    threads: int = 0  # a sum over a batch is rounded in the order of its threads
    seconds: float = 0.0  # of training so far
    best: float = -1.0  # validation score of best.ckpt
    best_epoch: int = -1
    waited: int = 0  # epochs since then
    # loss, a part of it, samples of the epoch
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    history: list[dict[str, Any]] = field(default_factory=list)  # figures of finished epochs


class Keep(Callback):
    """Writes the checkpoints and logs/metrics.csv of a run, chooses the epoch and stops early.

    Only the first of several processes writes; all of them decide alike.
    """

    watch: Watch

    def __init__(self, run: Path, *, writes: bool):
        self.run, self.writes, self.state = run, writes, State()
        # Of last.ckpt: the optimiser's, and torch's random numbers.
        self.resumed: tuple[dict[str, Any], torch.Tensor] | None = None
        self.written = time.monotonic()

    @property
    def last(self) -> Path:
        return self.run / "checkpoints" / "last.ckpt"

    @property
    def best(self) -> Path:
        return self.run / "checkpoints" / "best.ckpt"

    def good(self) -> str:
        """Which checkpoint can be gone on from, in words."""
        if not self.last.is_file():
            return "there is no checkpoint yet"
        return f"{quoted(self.last)} is good ({self.state.epoch} epoch(s) finished)"

    def resume(self, module: Epochs) -> None:
        """Take up the state of last.ckpt: weights at once, moments when the optimiser is there."""
        kinds = {key: type(value) for key, value in asdict(State()).items()}
        kinds |= {"model": dict, "optimizer": dict, "random": torch.Tensor}
        found = checkpoint.read(self.last, kinds, module)
        checkpoint.load_weights(self.last, module, found.pop("model"))
        self.resumed = found.pop("optimizer"), found.pop("random")
        checkpoint.load_random(self.last, self.resumed[1])
        epochs = module.config.train.epochs
        checkpoint.same_state(self.last, found, epochs=epochs, batches=module.batches)
        self.state = State(**found)
        module.start, module.sums = (self.state.epoch, self.state.batch), list(self.state.sums)

    def finished(self, module: Epochs) -> bool:
        train = module.config.train
        patient = not train.patience or self.state.waited < train.patience
        return self.state.epoch >= train.epochs or not patient

    def on_fit_start(self, trainer: Trainer, module: Epochs) -> None:
        progress: Any = trainer.fit_loop.epoch_progress
        for counts in (progress.current, progress.total):
            counts.ready = counts.started = counts.processed = counts.completed = self.state.epoch

    def on_train_start(self, trainer: Trainer, module: Epochs) -> None:
        if self.resumed is not None:
            moments, random = self.resumed
            checkpoint.load_moments(self.last, trainer.optimizers[0], moments)
            torch.set_rng_state(random)
            self.resumed = None
        self.written = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, module: Epochs, *_rest: object) -> None:
        module.step_done()
        self.state.batch, self.state.sums = module.batch, list(module.sums)
        if time.monotonic() - self.written > EVERY_S and module.batch < module.batches:
            self._write_last(trainer, module)

    def on_train_epoch_end(self, trainer: Trainer, module: Epochs) -> None:
        state, settings = self.state, module.config.train
        figures = module.figures()
        state.epoch, state.batch, state.sums = trainer.current_epoch + 1, 0, State().sums
        last_step = state.epoch * module.batches - 1
        state.history.append({"epoch": trainer.current_epoch, "step": last_step, **figures})
        if settings.validation and module.folded:
            state.waited += 1
            if (found := figures[f"validation_{module.score.name}"]) > state.best:
                state.best, state.best_epoch = found, state.epoch
                state.waited = 0
                if self.writes:
                    checkpoint.write(self.best, {"epoch": state.epoch, "model": weights_of(module)})
        self._write_last(trainer, module)
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=last_step)
        stop = settings.patience > 0 and state.waited >= settings.patience
        trainer.should_stop = trainer.strategy.reduce_boolean_decision(stop, all=False)

    def _write_last(self, trainer: Trainer, module: Epochs) -> None:
        if self.writes:
            self.state.threads = torch.get_num_threads()
            self.state.seconds = self.watch.seconds
            state = asdict(self.state) | {"model": weights_of(module)}
            state |= {"optimizer": trainer.optimizers[0].state_dict()}
            checkpoint.write(self.last, state | {"random": torch.get_rng_state()})
            self.write_history()
        self.written = time.monotonic()

    def write_history(self) -> None:
        """The figures of all finished epochs as logs/metrics.csv."""
        rows = self.state.history
        names = list(dict.fromkeys(name for row in rows for name in row))
        with (
            whole_file(self.run / "logs" / "metrics.csv") as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    def choose(self, module: Epochs) -> bool:
        """Load the epoch that validates best; without validation the last one stays."""
        if self.state.best_epoch < 0:
            return False
        found = checkpoint.read(self.best, {"epoch": int, "model": dict}, module)
        checkpoint.load_weights(self.best, module, found["model"])
        return True


def weights_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A plain dict of the module's tensors, on the CPU."""
    return {name: value.detach().cpu() for name, value in module.state_dict().items()}
