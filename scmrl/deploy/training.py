"""A model for a chip: trained within its limits, and within what its cores hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..system.errors import UsageError
from ..train import config, require
from .placement import fit

if TYPE_CHECKING:
    from ..train.run.report import TrainReport


def train(
    dataset: str | Path | None = None,
    *,
    model: str | None = None,
    out: str | Path,
    settings: Mapping[str, object] | None = None,
    settings_file: str | Path | None = None,
    data_dir: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    page: str | Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
    live: bool = False,
) -> TrainReport | None:
    """Train on a dataset (None: that of the settings) and freeze to OUT/bundle, which is what
    `scmrl.load` of `out` gives.

    `dataset`: a built-in set, or data of your own: an npz, a folder, or "FILE.py:NAME" or
    "MODULE:NAME" of a function that makes them. `model`: likewise a function that gets a `DataSpec`
    and gives a `Network` (None: S-CMRL).
    `settings`: by the names that `scmrl config` lists, after those of the TOML file
    `settings_file`. `data_dir`: where the recordings lie; the run remembers it. `resume` goes on
    with the settings of the run from its last finished epoch, `force` replaces a run that is there.
    `page`: a file to write. `tell` is given lines of progress; `live`: a line that moves within
    each epoch, on a terminal's standard error. Of several processes (torchrun) only the first one
    gets a report.

    Raises UsageError for a setting or a run that is none, DataError for recordings, GraphError
    where the chip cannot hold the network, MissingDependency without torch. After Ctrl-C (a
    KeyboardInterrupt) OUT is whole and can be resumed.

    >>> report = scmrl.train("digits-av", out="runs/b", settings={"train.epochs": 2})
    >>> report.bundle == scmrl.load("runs/b").hash, report.metrics["test_samples"] > 0
    (True, True)
    """
    out = Path(out)
    named = {"dataset": None if dataset is None else str(dataset), "network": model}
    overrides = {**(settings or {}), **{k: name for k, name in named.items() if name is not None}}
    if resume and (overrides or settings_file):
        raise UsageError(
            "--resume goes on with the settings of the run", fix="give --out and --data-dir only"
        )
    if resume:
        settings_file = out / "config.toml"
        if not settings_file.is_file():
            raise UsageError(
                "nothing to resume", where=out, limit="config.toml", fix="train without --resume"
            )
    require()
    chosen = config.read(None if settings_file is None else Path(settings_file), overrides)
    if data_dir is not None and chosen.own_data:
        what, fix = "--data-dir is for the built-in sets", "give --dataset the path itself"
        raise UsageError(what, where=chosen.dataset, value=str(data_dir), fix=fix)
    from ..train.run.loop import train as run  # seconds: after what can be refused at once
    from ..train.run.report import TrainReport

    outcome = run(
        chosen,
        out,
        data_dir=None if data_dir is None else str(data_dir),
        resume=resume,
        force=force,
        held=fit.require,
        tell=tell,
        live=live,
    )
    if outcome is None:
        return None
    report = TrainReport(str(out), outcome.metrics, outcome.bundle)
    if page is not None:
        from ..core.report import html

        html.save(Path(page), report)
    return report
