"""`scmrl demo`."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.report.progress import Progress
from ..system.errors import quoted
from .options import COUNT, Target, as_json, force_option
from .output import render, tell


@click.command()
@click.option(
    "--out", type=Target("run"), default=Path("runs/demo"), show_default=True, metavar="RUN"
)
@click.option(
    "--samples", type=COUNT, default=24, show_default=True, metavar="N", help="Samples on Lava."
)
@force_option
@as_json
def demo(out: Path, samples: int, json_: bool) -> None:
    """The whole way on embedded data: train, evaluate, export, deploy on Lava, verify, energy."""
    from ..deploy.demo import run_demo

    report = run_demo(out, samples, tell, Progress, None if json_ else lambda part: part.show())
    render(
        report, json_, f"scmrl deploy {quoted(out / 'lava')} --backend lava --picture spikes.png"
    )
    report.require_exact()
