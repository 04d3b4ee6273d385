"""`scmrl count`: what any torch spiking network does, and costs."""

from __future__ import annotations

from pathlib import Path

import click

from ..system.errors import DataError, UsageError
from .options import Source, as_json, force_option, layers_option, listed, page_option
from .output import render


@click.command()
@click.argument("model", metavar="FILE.py:NAME")
@click.option(
    "--input",
    "file",
    type=Source(DataError),
    metavar="NPZ",
    required=True,
    help="What it runs on: x, or arrays by the names of its forward's arguments.",
)
@click.option(
    "--batch-axis",
    type=click.IntRange(0, 7),
    default=0,
    show_default=True,
    help="Where the samples lie: 0 for [N, ...], 1 for [T, N, ...].",
)
@click.option(
    "--profile",
    "names",
    default="all",
    show_default=True,
    metavar="A,B",
    help="Names of `scmrl profiles`, or files; all: every chip.",
)
@click.option(
    "--table",
    "markup",
    type=click.Choice(["latex", "markdown"]),
    help="Print the table by layer alone, for a paper.",
)
@page_option
@layers_option
@force_option
@as_json
def count(
    model: str,
    file: Path,
    batch_axis: int,
    names: str,
    markup: str | None,
    page: Path | None,
    layers: bool,
    json_: bool,
) -> None:
    """Count the operations of any torch spiking network, and price them.

    NAME is a torch module, or a function without arguments that makes one, of spikingjelly,
    snntorch, norse, sinabs or plain torch. It runs once; each layer's operations are additions (AC)
    where spikes come in and multiplications (MAC) where integers or values do, told by the data.
    What has no rule is named as not counted.
    """
    from ..deploy.counting.job import count as counted

    if markup and json_:
        raise UsageError("--table stands alone", fix="leave --json out")
    report = counted(
        model, file, batch_axis=batch_axis, chips=listed(names, "--profile"), page=page
    )
    if markup:
        click.echo(report.table(markup))
    else:
        render(report, json_, layers=layers)
