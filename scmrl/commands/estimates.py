"""`scmrl energy`, `place`, `count` and `validate`: what networks do, and what chips would need."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.report.progress import Progress
from ..system.errors import DataError, GraphError, MismatchError, UsageError, quoted
from .options import (
    COUNT,
    Source,
    Target,
    as_json,
    force_option,
    layers_option,
    listed,
    may_write,
    mode_option,
    model_argument,
    page_option,
    picture_option,
    sample_options,
)
from .output import render, tell


@click.command()
@model_argument
@click.option(
    "--profile",
    "names",
    default="loihi1,loihi1-sanafe,loihi2",
    show_default=True,
    metavar="A,B",
    help="Names of `scmrl profiles`, or files; all: every chip.",
)
@mode_option
@sample_options
@picture_option
@page_option
@layers_option
@force_option
@as_json
def energy(
    model: Path,
    names: str,
    mode: str,
    samples: int | None,
    file: Path | None,
    picture: Path | None,
    page: Path | None,
    layers: bool,
    json_: bool,
) -> None:
    """Estimate energy and latency per inference, per chip and per layer, in one of two modes.

    Alone, all T + depth steps of a sample are charged; streamed, the steps from one sample to the
    next of a full pipeline, which networks that carry spikes over have none of (exit code 5).

    Exit code 5 where none of the chips asked for holds the network; where some do, the others are
    rows that say so, without a total.
    """
    from ..deploy import jobs

    report = jobs.energy(
        model,
        listed(names, "--profile"),
        mode=mode,
        samples=samples,
        inputs=file,
        picture=picture,
        page=page,
        progress=Progress("chips"),
    )
    render(report, json_, "scmrl profiles loihi2", layers=layers)
    report.require_a_chip()


@click.command()
@model_argument
@click.option(
    "--profile", default="loihi2", show_default=True, metavar="NAME", help="A chip with cores."
)
@click.option("--system", metavar="NAME", help="A system it has to fit, such as 'Kapoho Point'.")
@click.option("--chips", type=COUNT, metavar="N", help="A number of chips it has to fit.")
@click.option(
    "--packed", is_flag=True, help="Small populations share cores (the chips can, Lava does not)."
)
@click.option(
    "--inputs",
    is_flag=True,
    help="Place the input populations too (default: the host injects them).",
)
@click.option(
    "--order",
    type=click.Choice(["naive", "optimised"]),
    default="optimised",
    show_default=True,
    help="Cores in the order of the network, or with less traffic.",
)
@mode_option
@sample_options
@picture_option
@page_option
@layers_option
@force_option
@as_json
def place(
    model: Path,
    profile: str,
    system: str | None,
    chips: int | None,
    packed: bool,
    inputs: bool,
    order: str,
    mode: str,
    samples: int | None,
    file: Path | None,
    picture: Path | None,
    page: Path | None,
    layers: bool,
    json_: bool,
) -> None:
    """Place a model on cores and chips: what binds, what it would fit, and the traffic between
    cores.
    """
    from ..deploy import jobs

    report = jobs.place(
        model,
        profile,
        system=system,
        chip_count=chips,
        packed=packed,
        place_inputs=inputs,
        optimised=order == "optimised",
        mode=mode,
        samples=samples,
        inputs=file,
        picture=picture,
        page=page,
    )
    render(
        report, json_, f"scmrl energy {quoted(model)} --profile {quoted(profile)}", layers=layers
    )
    if not report.fits:
        raise GraphError(f"does not fit: {report.why()}", fix=report.remedy())


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


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder with lsnn/*.npy and mnist/t10k-*.gz: runs the LSNN too.",
)
@click.option(
    "--write",
    type=Target("table"),
    metavar="FILE",
    help="Write the findings as a page (docs/validation.md), with its picture and the page of"
    " predictions beside it.",
)
@force_option
@as_json
def validate(data_dir: Path | None, write: Path | None, json_: bool) -> None:
    """Recompute published measurements of chips: energy, time and cores, estimate against
    measurement.
    """
    from ..deploy.validation import page as pages
    from ..deploy.validation.study import validate as recompute

    if write:
        may_write(pages.picture_of(write), "picture")
        may_write(pages.predictions_of(write), "table")
    report = recompute(data_dir, progress=Progress("LSNN images"))
    for path in pages.write_page(report, write) if write else ():
        tell(f"wrote {path}")
    render(report, json_)
    if report.lsnn is not None and not report.lsnn.as_on_the_chip:
        raise MismatchError(
            "the LSNN's answers are not the chip's",
            value=f"{report.lsnn.correct} correct",
            limit="189 correct, the same 11 mistakes",
            fix="report this",
        )
