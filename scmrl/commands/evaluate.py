"""`scmrl evaluate` and `scmrl robustness`: accuracy on a whole split."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.report.progress import Progress
from ..system.errors import MismatchError, quoted
from .options import as_json, force_option, layers_option, model_argument, picture_option
from .output import render, tell


@click.command()
@model_argument
@click.option(
    "--dataset",
    metavar="DATA",
    help="Another dataset than the one trained on; for a model that takes values: an npz, a folder"
    " of class folders, FILE.py:NAME or MODULE:NAME.",
)
@click.option("--data-dir", metavar="DIR", help="Where its recordings lie.")
@click.option("--split", type=click.Choice(["train", "test"]), default="test", show_default=True)
@click.option(
    "--silence",
    metavar="PATTERN",
    help="Cut these populations off; '*.attention.complement' is alpha = 0.",
)
@layers_option
@as_json
def evaluate(
    model: Path,
    dataset: str | None,
    data_dir: str | None,
    split: str,
    silence: str | None,
    layers: bool,
    json_: bool,
) -> None:
    """Run a whole split on the simulator."""
    from ..deploy import evaluation

    report = evaluation.evaluate(
        model,
        dataset=dataset,
        data_dir=data_dir,
        split=split,
        silence=silence,
        progress=Progress("samples"),
    )
    render(
        report,
        json_,
        f"scmrl export {quoted(model)} --target lava",
        f"scmrl energy {quoted(model)}",
        layers=layers,
    )
    if report.equals_training is False:
        raise MismatchError(
            "not the figure that training reported for these samples",
            value=report.correct,
            limit=report.training_correct,
            fix="report this with the bundle",
        )


@click.command()
@model_argument
@click.option("--data-dir", metavar="DIR", help="Where the recordings of its dataset lie.")
@click.option(
    "--samples", type=click.IntRange(1), metavar="N", help="How many test samples (default: all)."
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="Draws of each perturbation.",
)
@picture_option
@force_option
@as_json
def robustness(
    model: Path,
    data_dir: str | None,
    samples: int | None,
    repeats: int,
    picture: Path | None,
    json_: bool,
) -> None:
    """Accuracy under noise, without a modality, and with faults of the chip: bit flips, dead
    neurons, lost spikes.
    """
    from ..core.bundle import load
    from ..data.remembered import data_dir_of
    from ..deploy.robustness import noise, study
    from ..deploy.robustness.report import RobustnessReport
    from ..deploy.robustness.report import picture as draw

    bundle = load(model)
    data_dir = data_dir or data_dir_of(model, None, bundle.training.get("dataset"))
    inputs, labels, noisy = noise.samples(bundle, data_dir, samples, repeats)
    points = study.study(bundle.graph, inputs, labels, noisy=noisy, repeats=repeats, tell=tell)
    report = RobustnessReport(
        str(model),
        f"{bundle.training['dataset']}, test split",
        len(labels),
        repeats,
        len(bundle.graph.classes),
        tuple(points),
        bundle.hash,
    )
    if picture:
        draw(report, picture)
    render(report, json_)
