"""The demo: the main job on embedded data, with its reports and pictures left in the run directory."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click

from . import targets
from .bundle import load
from .convert import exporter
from .deploy import jobs
from .deploy.report import DeployReport, EvaluateReport, VerifyReport
from .errors import MismatchError, quoted
from .files import write_json

RECIPE = {"dataset": "digits-av", "train.epochs": 14}
PROFILES = ("loihi1", "loihi2")
REPORTS = ("evaluate", "deploy", "verify", "energy")


def run_demo(out: Path, samples: int, tell: Callable[[str], None], progress: Callable) -> None:
    """Train on digits-av, run the integer model over the whole test set, export it to Lava, verify, estimate."""
    from .train import config
    from .train.loop import train
    started = time.monotonic()
    targets.check(out / "lava", "lava", force=True)         # before any training: what will be written at its end
    targets.check(out / "deploy.png", "picture", force=True)
    for name in REPORTS:
        targets.check(out / f"{name}.json", "report", force=True)
    tell("1/6 train: spoken digits (eSpeak NG voices) and handwritten digits, no voice in both train and test")
    train(config.read(None, RECIPE), out, tell=tell)
    tell("2/6 evaluate: the whole test set, integer model on the simulator")
    whole = jobs.evaluate(out, progress=progress("samples"))
    whole.show()
    tell("3/6 export to Lava")
    export = out / "lava"
    exporter("lava")(load(out), export)
    tell(f"4/6 deploy on Lava's multi-process runtime: {samples} held-out samples")
    deployed = jobs.deploy(export, "lava", samples=samples, progress=progress("samples"), picture=out / "deploy.png")
    deployed.show()
    tell("5/6 verify: training, simulator and both Lava runtimes against the reference")
    verified = jobs.verify(out, ["simulator", "lava-inprocess", "lava"], samples=samples, progress=progress("samples"))
    verified.show()
    tell("6/6 energy")
    estimated = jobs.energy(out, PROFILES)
    estimated.show()
    for name, report in zip(REPORTS, (whole, deployed, verified, estimated), strict=True):
        write_json(out / f"{name}.json", report.to_json(), "report")
    click.echo(f"test accuracy {100 * whole.accuracy:.2f} % ({whole.samples} samples, integer model); "
               f"{deployed.mismatches} mismatching spikes on Lava in {samples} samples; "
               f"{time.monotonic() - started:.0f} s")
    tell(f"wrote {out}: bundle, lava, evaluate.json, deploy.json, verify.json, energy.json, deploy.png")
    require_exact(whole, deployed, verified)
    tell(f"next: scmrl deploy {quoted(export)} --backend lava --picture spikes.png")


def require_exact(whole: EvaluateReport, deployed: DeployReport, verified: VerifyReport) -> None:
    """Raise `MismatchError` unless the integer model is the trained one, and every backend gives its spikes."""
    if whole.equals_training is False:
        raise MismatchError("not the figure that training reported", value=whole.correct, limit=whole.training_correct,
                            fix="report this with the run")
    for report, difference in ((deployed, deployed.first_difference), (verified, verified.first_difference)):
        if report.bit_exact is False:
            raise MismatchError(f"{report.command}: not bit-exact", value=f"first at {difference}",
                                fix="report this with the run")
