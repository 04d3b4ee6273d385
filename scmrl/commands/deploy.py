"""`scmrl deploy` and `scmrl verify`: runs on backends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..core.report.progress import Progress
from ..system.errors import MismatchError, UsageError, quoted
from .options import (
    as_json,
    board_options,
    deadline_option,
    force_option,
    given,
    layers_option,
    listed,
    model_argument,
    page_option,
    picture_option,
    sample_options,
    stream_options,
)
from .output import render

BACKENDS = (
    "reference, simulator, c, verilog, lava, lava-inprocess, loihi-sim, loihi, onnx, onnx-step,"
    " netx, norse, snntorch, spikingjelly"
)


@click.command()
@model_argument
@click.option("--backend", default="simulator", show_default=True, metavar="NAME", help=BACKENDS)
@sample_options
@deadline_option
@click.option("--no-compare", is_flag=True, help="Do not run the reference beside it.")
@board_options
@stream_options
@picture_option
@page_option
@layers_option
@force_option
@as_json
def deploy(
    model: Path,
    backend: str,
    samples: int | None,
    file: Path | None,
    deadline: float | None,
    no_compare: bool,
    board: str | None,
    partition: str | None,
    host: str | None,
    generation: str | None,
    profile_energy: bool,
    profile_activity: bool,
    streaming: bool,
    wav: Path | None,
    image: Path | None,
    events: Path | None,
    microphone: bool,
    camera: int | None,
    hop: float | None,
    carry: bool,
    picture: Path | None,
    page: Path | None,
    layers: bool,
    json_: bool,
) -> None:
    """Run a model or an export on a backend: spikes, accuracy, energy, comparison with training."""
    boards = given(
        board=board,
        partition=partition,
        host=host,
        generation=generation,
        energy=profile_energy,
        activity=profile_activity,
    )
    asked = given(
        wav=wav, image=image, events=events, microphone=microphone, camera=camera, hop=hop
    )
    if streaming:
        refuse("--stream", given(samples=samples, deadline=deadline) | boards)
        asked |= given(arrays=file)
        stream(model, backend, asked, json_, carry, not no_compare, picture, page)
        return
    if asked or carry:
        raise UsageError(
            "this feeds a stream", where=f"--{next(iter(asked), 'carry')}", fix="add --stream"
        )
    from ..deploy import jobs

    report = jobs.deploy(
        model,
        backend,
        samples=samples,
        inputs=file,
        deadline_s=deadline,
        board=boards,
        progress=Progress("samples"),
        compared=not no_compare,
        picture=picture,
        page=page,
    )
    render(
        report,
        json_,
        f"scmrl verify {quoted(model)} --backends simulator,lava",
        f"scmrl energy {quoted(model)}",
        layers=layers,
    )
    if report.exact and report.bit_exact is False:
        raise MismatchError(
            f"{backend} differs from the reference",
            value=f"{report.mismatches} values",
            fix="report this with the bundle",
        )


def refuse(where: str, options: dict[str, object]) -> None:
    """Raise `UsageError` where one of these was given."""
    for name in options:
        raise UsageError(
            "does not go with a stream", where=f"--{name}", fix=f"leave it or {where} out"
        )


def stream(
    model: Path,
    backend: str,
    asked: dict[str, Any],
    json_: bool,
    carry: bool,
    compared: bool,
    picture: Path | None,
    page: Path | None,
) -> None:
    """`deploy --stream`: what is there step by step, then the summary."""
    from ..core.bundle import load
    from ..deploy.stream import run as stream_run
    from ..deploy.stream import view
    from ..deploy.stream.feed import Asked

    with view.view(load(model).graph.class_names, json_) as show:
        report = stream_run.stream(
            model,
            Asked(**asked),
            backend=backend,
            show=show,
            carry=carry,
            compared=compared,
            picture=picture,
            page=page,
        )
    if json_:
        click.echo(json.dumps(report.to_json()))
    else:
        report.show()
    if report.mismatches:
        raise MismatchError(
            f"{backend} differs from the {report.compared_with}",
            value=f"{report.mismatches} values",
            fix="report this with the bundle",
        )
    if report.interrupted:
        raise KeyboardInterrupt


@click.command()
@model_argument
@click.option(
    "--backends",
    default="simulator,lava-inprocess",
    show_default=True,
    metavar="A,B",
    help=BACKENDS,
)
@sample_options
@deadline_option
@page_option
@layers_option
@force_option
@as_json
def verify(
    model: Path,
    backends: str,
    samples: int | None,
    file: Path | None,
    deadline: float | None,
    page: Path | None,
    layers: bool,
    json_: bool,
) -> None:
    """Compare backends, and training's own spikes, with the reference: every population and step.

    With several backends, one that cannot run is a row with the reason, and the others run. Exit
    code 0 where all ran and agreed, 1 where one differs or could not run; where none could run, the
    code of the first refusal (5 the network does not fit, 6 a library is missing, 7 the backend
    failed).
    """
    from ..deploy import jobs

    report = jobs.verify(
        model,
        listed(backends, "--backends"),
        samples=samples,
        inputs=file,
        deadline_s=deadline,
        progress=Progress("samples"),
        page=page,
    )
    render(report, json_, f"scmrl energy {quoted(model)}", layers=layers)
    if report.bit_exact is False:
        raise MismatchError(
            "not bit-exact",
            value=f"first at {report.first_difference}",
            fix="report this with the bundle",
        )
    report.require_all()
