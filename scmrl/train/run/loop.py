"""Training a model: Lightning runs the epochs, this file says what one epoch is.

A run directory holds config.toml, checkpoints/ (`keep`), logs/ (metrics.csv and TensorBoard events:
loss, accuracy, alignment, firing rate of every population) and, at the end, bundle/. Validation
runs the chip's integers from the first epoch on; only epochs with the norm folded can be chosen.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import lightning
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from ...hw_profiles import limits, profile
from ...hw_profiles.precision import Precision
from ...network.kernels import processes
from ...network.settings import FLOAT
from ...system import lock
from ...system.errors import DataError, UsageError
from ...system.interrupts import TERMINATED
from ..config import Config
from ..epochs import Epochs, Held
from ..feed import Feed, Samples
from ..keep import Keep
from ..own import network as own_network
from ..own.feed import OwnFeed
from ..own.training import OwnTraining
from ..training import Training
from ..tune.feed import TuneFeed
from ..tune.start import Start
from ..tune.training import Tuning
from ..watch import Watch, what_trains
from . import directory, memory, size, threads


@dataclass(frozen=True)
class Outcome:
    """What a training run produced: figures of the frozen, integer model and the hash of its bundle
    (None: a float model, which has none).
    """

    run: Path
    metrics: dict
    bundle: str | None


def train(
    config: Config,
    run: Path,
    *,
    data_dir: str | None = None,
    resume: bool = False,
    force: bool = False,
    held: Held = limits.require,
    start: Start | None = None,
    tell: Callable[[str], None] = lambda line: None,
    live: bool = False,
) -> Outcome | None:
    """Train within the limits of the configured chip, choose by validation, freeze to RUN/bundle (a
    published, float model: measure to RUN/metrics.json). `tell` gets lines of progress; `live`: a
    line that moves, where standard error is a terminal.

    One of several processes (`network.processes`) trains its part of each batch; only the first one
    measures and writes, and the others return None. Raises KeyboardInterrupt after Ctrl-C with
    RUN/checkpoints/last.ckpt complete; `resume` goes on from there (from the start, where there is
    none yet) and gives the very model that an uninterrupted run gives. `data_dir` is remembered in
    config.toml, and wins over what it says. `force` replaces a run that is there (`directory`).
    `held` refuses a graph that the chip does not hold: the limits of its neurons and synapses, or a
    placement on its cores too. `start`: the model to go on from, where one is tuned. Raises
    UsageError where another process trains in `run`.
    """
    if data_dir is not None:
        config = replace(config, data_dir=os.path.abspath(data_dir))
    if processes.rank() != 0:
        return _train(config, run, resume, held, start, lambda line: None, False)
    with lock.hold(run, "training"):
        directory.prepare(run, resume=resume, force=force)
        return _train(config, run, resume, held, start, tell, live)


def _train(
    config: Config,
    run: Path,
    resume: bool,
    held: Held,
    start: Start | None,
    tell: Callable[[str], None],
    live: bool,
) -> Outcome | None:
    first = processes.rank() == 0
    chip = profile.load(config.profile)
    own = bool(config.network) or start is not None
    if not own:
        size.require(config)
    kind = _kind(config, run, resume, start, tell)
    tell(f"reading {config.dataset}" + (f" from {config.data_dir}" if config.data_dir else ""))
    feed = _feed(config, start)
    _check_batch(config, feed)
    if not own:
        _check_scmrl(feed)
    lightning.seed_everything(config.train.seed, verbose=False)
    # what is tuned is small: threads would wait for each other longer than they work
    threads.use(1 if start is not None else torch.get_num_threads())
    memory.keep()
    module = kind(config, feed, Precision.of(chip))
    if isinstance(module, OwnTraining):
        size.require_network(module.model, config, feed.steps)
    module.check(chip, held)
    keeper, watch = Keep(run, writes=first), Watch(tell, live=live)
    module.keeper, keeper.watch = keeper, watch
    if resume and os.path.lexists(keeper.last):
        keeper.resume(module)
        threads.use(keeper.state.threads)
        watch.before = keeper.state.seconds
    elif resume:
        tell("no epoch was finished yet: from the start")
    if first:
        if start is not None and not resume:
            start.keep(run)
        directory.write_config(run, config)
        if isinstance(module, OwnTraining):
            own_network.keep(module.function, run)
        tell(what_trains(module, torch.get_num_threads()))
    if not keeper.finished(module):
        _fit(_trainer(config, run, keeper, watch), module)
    if not first:
        return None
    keeper.write_history()
    metrics = module.measure()
    score = f"test_{module.score.name}"
    metrics[f"last_{score}"] = metrics[score]
    if keeper.choose(module):
        metrics |= module.measure()
    metrics["train_seconds"] = round(watch.seconds, 1)
    metrics["parameters"] = module.model.parameters_total
    metrics["samples_per_s"] = round(watch.samples_per_s, 1)
    made = module.deliver(run, metrics, chip, held)
    directory.forget_replaced(run)
    return Outcome(run, metrics, made)


def _check_batch(config: Config, feed: Samples) -> None:
    batch, samples, at = config.train.batch, len(feed), "train.accelerator"
    if samples < batch:
        kind = "samples" if config.own_data else "pairs"
        fix = f"lower train.batch ({batch})" if config.own_data else None
        raise DataError(
            f"fewer training {kind} than one batch", limit=batch, value=samples, fix=fix
        )
    if batch % processes.world():
        what, limit = "processes take equal parts of a batch", f"a multiple of {processes.world()}"
        raise UsageError(what, where="train.batch", value=batch, limit=limit)
    if config.train.accelerator == "gpu" and not torch.cuda.is_available():
        raise UsageError("no GPU that torch can use", where=at, value="gpu", fix="leave it at cpu")


def _check_scmrl(feed: Samples) -> None:
    """Raise UsageError for own data that S-CMRL does not take."""
    if not feed.classes:
        what, fix = "S-CMRL tells classes, and the data have targets", "give --model"
        raise UsageError(what, where="y", fix=fix)
    for name, shape in feed.shapes.items():
        if len(shape) != 3:
            what = "S-CMRL takes pictures and spectrograms"
            fix = "give --model, or arrays of that shape"
            raise UsageError(what, where=name, limit="[C, H, W]", value=list(shape), fix=fix)


def _fit(trainer: lightning.Trainer, module: Epochs) -> None:
    """Run the epochs. Lightning turns Ctrl-C into an exit, or into a quiet end."""
    try:
        trainer.fit(module)
    except SystemExit as leaving:
        if leaving.code == TERMINATED:
            raise
        raise KeyboardInterrupt from None
    if trainer.interrupted:
        raise KeyboardInterrupt


def _feed(config: Config, start: Start | None) -> Samples:
    if start is not None:
        return TuneFeed(config, start)
    feed: Samples = OwnFeed(config) if config.own_data else Feed(config, config.data_dir or None)
    return feed


def _kind(
    config: Config, run: Path, resume: bool, start: Start | None, tell: Callable[[str], None]
) -> Callable[[Config, Samples, Precision], Epochs]:
    """What trains the configured model: integers for a chip, or the published model in float."""
    if start is not None:
        return partial(Tuning, start=start)
    if config.network:
        function = own_network.load(config.network, run, resume=resume, tell=tell)
        return partial(OwnTraining, function=function)
    if config.model.attention not in FLOAT:
        return Training
    from ..published.training import FloatTraining

    return FloatTraining


def _trainer(config: Config, run: Path, keeper: Keep, watch: Watch) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    settings = config.train
    return lightning.Trainer(
        max_epochs=settings.epochs,
        accelerator=settings.accelerator,
        callbacks=[keeper, watch],
        **processes.trainer_options(settings.accelerator),
        enable_checkpointing=False,
        logger=TensorBoardLogger(run / "logs", name="", version=""),
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        limit_val_batches=1.0 if settings.validation else 0,
        gradient_clip_val=settings.clip or None,
        use_distributed_sampler=False,
    )
