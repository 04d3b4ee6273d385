"""`scmrl tune`."""

from __future__ import annotations

from pathlib import Path

import click

from ..system.errors import quoted
from .options import (
    COUNT,
    SEED,
    Positive,
    Target,
    as_json,
    force_option,
    forced,
    given,
    layers_option,
    page_option,
)
from .output import render, resumable, tell


@click.command()
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option(
    "--dataset",
    metavar="DATA",
    help="Data of your own: an npz (x and y), a folder of class folders, FILE.py:NAME.",
)
@click.option(
    "--out", type=Target("run", asks=False), required=True, metavar="RUN", help="The run directory."
)
@click.option(
    "--distil",
    is_flag=True,
    help="Learn the float network's outputs, not the labels, which may be missing.",
)
@click.option("--epochs", type=COUNT, help="Short for --set train.epochs=N (default: 5).")
@click.option("--seed", type=SEED, help="Short for --set train.seed=N.")
@click.option(
    "--convention",
    default="nir",
    show_default=True,
    metavar="NAME",
    help="Of a NIR file: nir, norse, snntorch, spikingjelly, sinabs.",
)
@click.option("--dt", type=Positive(), metavar="S", help="Of a NIR file: its step in seconds.")
@click.option(
    "--reset", type=click.Choice(["zero", "subtract"]), help="Of a NIR file: its reset rule."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any setting of `scmrl config`, e.g. train.lr=0.0005.",
)
@click.option("--resume", is_flag=True, help="Go on from RUN/checkpoints/last.ckpt.")
@force_option
@page_option
@layers_option
@as_json
def tune(
    model: Path | None,
    dataset: str | None,
    out: Path,
    distil: bool,
    epochs: int | None,
    seed: int | None,
    convention: str,
    dt: float | None,
    reset: str | None,
    settings: tuple[str, ...],
    resume: bool,
    page: Path | None,
    layers: bool,
    json_: bool,
) -> None:
    """Train an imported MODEL (a bundle, or a NIR file) further, on the chip's integers, and freeze
    it to RUN/bundle.
    """
    from ..deploy.tuning import tune as run
    from ..train.config import assignments

    flags = given(**{"train.epochs": epochs, "train.seed": seed})
    with resumable("tune", out):
        report = run(
            model,
            dataset,
            out=out,
            distil=distil,
            settings=flags | assignments(settings),
            convention=convention,
            dt=dt,
            reset=reset,
            resume=resume,
            force=forced(),
            page=page,
            tell=tell,
            live=True,
        )
    if report is None:  # one of several processes, not the first
        return
    steps = (f"scmrl verify {quoted(out)}", f"scmrl export {quoted(out)} --target lava")
    render(report, json_, *steps, layers=layers)
