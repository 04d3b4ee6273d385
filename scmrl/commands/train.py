"""`scmrl train` and `scmrl config`."""

from __future__ import annotations

from pathlib import Path

import click

from ..system.errors import UsageError, quoted
from .options import (
    COUNT,
    SEED,
    Source,
    Target,
    as_json,
    force_option,
    forced,
    given,
    layers_option,
    may_write,
    page_option,
)
from .output import render, resumable, tell


@click.command()
@click.option(
    "--dataset",
    metavar="DATA",
    help="digits-av (embedded), av-mnist, nmnist-fsdd, triple-digits, crema-d, crema-d-speakers,"
    " crema-d-audio, urbansound8k-av, mnistdvs-ntidigits, ave, n-mnist, shd, ssc, or your own: an"
    " npz, a folder of class folders, FILE.py:NAME or MODULE:NAME of a function that makes them.",
)
@click.option(
    "--model",
    metavar="FILE.py:NAME",
    help="A network of your own: the function that builds it (default: S-CMRL).",
)
@click.option("--data-dir", metavar="DIR", help="Where its recordings lie; the run remembers it.")
@click.option(
    "--hard",
    is_flag=True,
    default=None,
    help="Noise on every modality (0 dB, a quarter of the pixels, a tenth of the events).",
)
@click.option(
    "--out",
    type=Target("run", asks=False),
    metavar="RUN",
    help="The run directory (with --model: runs/FILE where it is not given).",
)
@click.option(
    "--config", type=Source(UsageError), metavar="TOML", help="Settings; flags come after it."
)
@click.option("--epochs", type=COUNT, help="Short for --set train.epochs=N.")
@click.option("--seed", type=SEED, help="Short for --set train.seed=N.")
@click.option("--profile", metavar="NAME", help="Chip whose integer limits training keeps to.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any setting of `scmrl config`, e.g. model.alpha=1.0.",
)
@click.option(
    "--resume", is_flag=True, help="Go on from RUN/checkpoints/last.ckpt with RUN/config.toml."
)
@force_option
@page_option
@layers_option
@as_json
def train(
    dataset: str | None,
    model: str | None,
    data_dir: str | None,
    hard: bool | None,
    out: Path | None,
    config: Path | None,
    epochs: int | None,
    seed: int | None,
    profile: str | None,
    settings: tuple[str, ...],
    resume: bool,
    page: Path | None,
    layers: bool,
    json_: bool,
) -> None:
    """Train a model and freeze it to RUN/bundle."""
    from ..deploy.training import train as run
    from ..train.config import assignments

    out = out or _run_of(model)
    flags = {"train.epochs": epochs, "train.seed": seed}
    chosen = given(
        dataset=dataset, network=model, hard=hard, profile=profile, **flags
    ) | assignments(settings)
    with resumable("train", out):
        report = run(
            out=out,
            settings=chosen,
            settings_file=config,
            data_dir=data_dir,
            resume=resume,
            force=forced(),
            page=page,
            tell=tell,
            live=True,
        )
    if report is None:  # one of several processes, not the first
        return
    steps = (f"scmrl evaluate {quoted(out)}", f"scmrl export {quoted(out)} --target lava")
    if report.bundle:
        tell_stale(out)
    render(report, json_, *(steps if report.bundle else ()), layers=layers)


def _run_of(model: str | None) -> Path:
    """Where a run of an own network goes that was given no place: runs/FILE."""
    if model is None:
        context = click.get_current_context()
        option = next(p for p in context.command.params if p.name == "out")
        raise click.MissingParameter(ctx=context, param=option)
    out = Path("runs", Path(model.rpartition(":")[0] or model).stem)
    may_write(out, "run", asks=False)
    return out


def tell_stale(run: Path) -> None:
    """Say which exports and reports in a run are of the model that was there before."""
    from ..core.bundle import stale

    for path in stale(run):
        tell(f"warning: {path} is of the model that was here before: make it anew, or remove it")


@click.command("config")
@as_json
def config(json_: bool) -> None:
    """List every setting of training: meaning, default, range; --set KEY=VALUE and a TOML file
    change them.
    """
    from ..train.run.settings import ConfigReport

    render(ConfigReport.of_defaults(), json_)
