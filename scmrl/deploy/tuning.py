"""A model that is there, tuned on its own integers: what an import lost comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.bundle import SOURCE, Bundle, load, locate
from ..data.own.tested import fitted, trained_and_tested
from ..system.errors import MissingDependency, UsageError
from ..train import config, require
from ..train.config import Config

if TYPE_CHECKING:
    from ..train.run.report import TuneReport
    from ..train.tune.start import Start, Teacher

DEFAULTS: dict[str, object] = {  # of settings: what is there changes little
    "train.epochs": 5,
    "train.lr": 3e-4,
    "train.weight_decay": 0.0,
    "train.label_smoothing": 0.0,
    "train.fold_fraction": 1.0,
    "train.validation": 0.0,  # what the model was trained on says nothing of it
}
CALIBRATION = 256  # training samples that a file is imported with
BATCH = 64  # samples that the float network runs at once


def tune(
    model: str | Path | None = None,
    dataset: str | Path | None = None,
    *,
    out: str | Path,
    distil: bool = False,
    settings: Mapping[str, object] | None = None,
    convention: str = "nir",
    dt: float | None = None,
    reset: str | None = None,
    resume: bool = False,
    force: bool = False,
    page: str | Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
    live: bool = False,
) -> TuneReport | None:
    """Train a model further, on its own integers, and freeze it to OUT/bundle.

    `model`: a bundle (of `scmrl import`, or of a run), or a NIR file, which is imported with
    training samples of the data, its `convention`, `dt` and `reset`. `dataset`: data of your own,
    an npz, a folder, or "FILE.py:NAME"; its values go through the model's encoding. Weights, biases
    and constants learn; thresholds, time constants, delays and resets stay. What is learnt are
    labels and, three times as much, the outputs of the float network that the model was imported
    from, where it is known (`tune.teacher`); with `distil` these alone, and labels may be missing.
    The mean weights of the second half of the steps are kept, of the last epoch: most often the
    data are what the model was trained on, and choose nothing. With settings train.validation=0.1
    the epoch that validates best is, and the model as it was where none is better. `settings`,
    `resume`, `force`, `page`, `tell` and `live` as for `train`; `OUT/start` is a copy of the model.

    Raises UsageError for a model or settings that cannot be tuned, DataError for data that the
    model does not take, GraphError for a model with joins, MissingDependency without torch.

    >>> report = scmrl.tune("imported", "mine.npz", out="runs/tuned", settings={"train.epochs": 2})
    >>> report.bundle == scmrl.load("runs/tuned").hash
    True
    """
    require()
    out = Path(out)
    if resume:
        chosen, start = _resumed(
            out, given=model is not None or bool(dataset or settings or distil)
        )
    else:
        chosen, start = _started(model, dataset, out, distil, settings, (convention, dt, reset))
    from ..train.run.loop import train as run  # seconds: after what can be refused at once
    from ..train.run.report import TuneReport

    outcome = run(
        chosen,
        out,
        resume=resume,
        force=force,
        held=lambda graph, chip: None,  # as for an import, `place` and `energy` say what chips hold
        start=start,
        tell=tell,
        live=live,
    )
    if outcome is None:
        return None
    report = TuneReport(
        str(out), outcome.metrics, outcome.bundle, start.bundle.hash, chosen.tune.distil
    )
    if page is not None:
        from ..core.report import html

        html.save(Path(page), report)
    return report


def _started(
    model: str | Path | None,
    dataset: str | Path | None,
    out: Path,
    distil: bool,
    settings: Mapping[str, object] | None,
    reading: tuple[str, float | None, str | None],
) -> tuple[Config, Start]:
    if model is None or dataset is None:
        what, fix = "a model and data are needed", "give a bundle and --dataset, or --resume"
        raise UsageError(what, fix=fix)
    from_nir = _is_nir(model)
    there = (Path(model) if from_nir else locate(model)).resolve()
    if out.resolve() in (there, *there.parents):
        fix = "give another --out"
        raise UsageError("the run would replace the model that it starts from", where=out, fix=fix)
    said = {"dataset": str(dataset), "tune.start": str(model), "tune.distil": distil}
    chosen = config.read(None, {**DEFAULTS, **(settings or {}), **said})
    if not chosen.own_data:
        fix = "give an npz, a folder or FILE.py:NAME"
        raise UsageError("tuning takes data of your own", where=chosen.dataset, fix=fix)
    start = _imported(Path(model), chosen, *reading) if from_nir else _start(Path(model))
    return replace(chosen, profile=start.bundle.profile), _checked(start, chosen)


def _resumed(out: Path, *, given: bool) -> tuple[Config, Start]:
    if given:
        fix = "give --out only"
        raise UsageError("--resume goes on with the settings of the run", fix=fix)
    file = out / "config.toml"
    if not file.is_file():
        fix = "tune without --resume"
        raise UsageError("nothing to resume", where=out, limit="config.toml", fix=fix)
    chosen = config.read(file, {})
    if not chosen.tune.start:
        fix = f"go on with: scmrl train --resume --out {out}"
        raise UsageError("a run of training, not of tuning", where=out, fix=fix)
    return chosen, _checked(_start(out / "start"), chosen)


def _is_nir(model: str | Path) -> bool:
    return Path(model).suffix.lower() == ".nir" and Path(model).is_file()


def _checked(start: Start, chosen: Config) -> Start:
    """Raises UsageError where there is nothing to distil from."""
    if chosen.tune.distil and start.teacher is None:
        what = "the model does not hold the float network that it was imported from"
        fix = "import it again with this version, or give the NIR file"
        raise UsageError(what, where=chosen.tune.start, fix=fix)
    return start


def _start(model: Path) -> Start:
    from ..train.tune.start import Start

    bundle, source = load(model), locate(model) / SOURCE
    if not source.is_file():
        return Start(bundle)
    return Start(bundle, _teacher(source, bundle), source)


def _imported(
    file: Path, chosen: Config, convention: str, dt: float | None, reset: str | None
) -> Start:
    """A NIR file, imported with samples of the training part."""
    from ..convert.nir.importer import import_nir
    from ..data.own import load as load_data
    from ..train.tune.start import Start

    data = load_data(chosen.dataset, labelled=not chosen.tune.distil, **chosen.data.reading)
    own, _ = trained_and_tested(data, chosen.data.test)
    few = own.take(np.arange(min(CALIBRATION, len(own))))
    labels = {} if chosen.tune.distil or data.regression else {"y": few.y}
    samples = {**few.inputs, **labels}
    bundle, _ = import_nir(file, samples=samples, convention=convention, dt=dt, reset=reset)
    return Start(bundle, _teacher(file, bundle), file)


def _teacher(source: Path, bundle: Bundle) -> Teacher | None:
    """The float network as it was read, as a function from values to scores; None without nir."""
    from ..convert.nir.importer import network, read, run
    from ..convert.nir.importer.floats.convention import convention_of

    said = bundle.training
    convention = convention_of(str(said.get("convention", "nir")), said.get("reset"))
    convention = replace(convention, floor=bool(said.get("floor")))
    try:
        floats = network(read(source), dt=said.get("dt"), convention=convention)
    except MissingDependency:
        return None
    steps = bundle.graph.steps

    def scores(values: dict[str, np.ndarray]) -> np.ndarray:
        found = []
        for start in range(0, len(next(iter(values.values()))), BATCH):
            part = {}
            for n in floats.inputs:
                p = bundle.graph[n.name]
                x = fitted(values[n.name][start : start + BATCH], p, steps)
                if x.ndim == 1 + len(p.shape):
                    x = np.broadcast_to(x[:, None], (len(x), steps, *p.shape))
                part[n.name] = x.reshape(len(x), steps, *n.shape)
            found.append(run(floats, part).scores(floats))
        return np.concatenate(found)

    return scores
