"""`scmrl sweep`."""

from __future__ import annotations

from pathlib import Path

import click

from ..system import interrupts
from ..system.errors import UsageError, quoted
from .options import Source, Target, as_json
from .output import render, tell


@click.command()
@click.option(
    "--out",
    type=Target("sweep", asks=False),
    required=True,
    metavar="DIR",
    help="Where the sweep lives.",
)
@click.option(
    "--space",
    "axes",
    multiple=True,
    metavar="KEY=VALUES",
    help=(
        "An axis: model.alpha=0.0..2.0, train.lr=1e-4..1e-2:log, model.steps=2,4,6,"
        " limits.weight_bits=4,8."
    ),
)
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Ended trials wanted (default: 20).",
)
@click.option(
    "--grid",
    is_flag=True,
    help="Every combination of the listed values, once, instead of --trials.",
)
@click.option(
    "--energy", "chip", metavar="PROFILE", help="Second objective: energy on this chip (estimate)."
)
@click.option("--config", type=Source(UsageError), metavar="TOML", help="Settings of every trial.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of every trial."
)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), metavar="DIR", help="Where the recordings lie."
)
@click.option(
    "--storage",
    metavar="URL",
    help=(
        "A database that several machines share: postgresql://USER@HOST/NAME (default:"
        " OUT/study.db)."
    ),
)
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), metavar="N", help="Of the search (default: 42)."
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="Trials at the same time.",
)
@click.option("--resume", is_flag=True, help="Go on with the sweep of OUT, or help with it.")
@as_json
def sweep(
    out: Path,
    axes: tuple[str, ...],
    trials: int | None,
    grid: bool,
    chip: str | None,
    config: Path | None,
    settings: tuple[str, ...],
    data_dir: Path | None,
    storage: str | None,
    seed: int | None,
    jobs: int,
    resume: bool,
    json_: bool,
) -> None:
    """Search settings for accuracy, or accuracy against energy; can be killed and resumed, and
    shared.
    """
    from ..train import require

    require()
    from ..sweep.picture import draw
    from ..sweep.report import SweepReport
    from ..sweep.study import Sweep, request, resumed
    from ..sweep.worker import Worker

    given: dict[str, object] = {
        "trials": trials,
        "storage": storage,
        "data_dir": data_dir and str(data_dir.absolute()),
    }
    fixed: dict[str, object] = {
        "axes": axes,
        "settings": settings,
        "config": config and str(config.absolute()),
        "grid": grid,
        "chip": chip,
        "seed": seed,
    }
    wanted: Sweep = resumed(out, given, fixed) if resume else request(out, {**given, **fixed})
    worker = Worker(wanted, out, tell)
    try:
        rows = worker.run(jobs)
    except (KeyboardInterrupt, interrupts.Terminated):
        tell(
            f"interrupted; go on with: scmrl sweep --resume --out {quoted(out)}"
            + (f" --jobs {jobs}" if jobs > 1 else "")
            + (" (with the password in --storage or PGPASSWORD)" if worker.database.secret else "")
        )
        raise
    pictures = draw(wanted.parsed, rows, out, wanted.chip)
    report = SweepReport(
        str(out),
        wanted.chip,
        wanted.axes,
        tuple(rows),
        tuple(map(str, pictures)),
        worker.wanted,
        worker.exhausted,
    )
    best = report.best
    chosen = out / f"trial-{best.number:04d}" if best else out
    render(
        report,
        json_,
        *([f"scmrl export {quoted(chosen)} --target lava"] if best and chosen.is_dir() else []),
    )
    report.require_ended()
