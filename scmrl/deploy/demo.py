"""The demo: the main job on embedded data, with its reports and pictures left in the run
directory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core.report.report import Block, Report
from ..core.report.text import figure
from ..system import targets
from ..system.errors import MismatchError, UsageError
from ..system.storage import write_json
from ..train import config, require
from . import jobs
from .evaluation import evaluate
from .export import export
from .reports.deploy import DeployReport, VerifyReport
from .reports.energy import EnergyReport
from .reports.evaluate import EvaluateReport
from .training import train

RECIPE = {"dataset": "digits-av", "train.epochs": 14}
PROFILES = ("loihi1", "loihi2")
REPORTS = ("evaluate", "deploy", "verify", "energy")


@dataclass(frozen=True)
class DemoReport(Report):
    """The reports of the four commands, and the whole in a few lines."""

    command = "demo"
    run: str
    seconds: float
    evaluate: EvaluateReport
    deploy: DeployReport
    verify: VerifyReport
    energy: EnergyReport

    @property
    def parts(self) -> dict[str, Report]:
        return {name: getattr(self, name) for name in REPORTS}

    def to_json(self) -> dict:
        return self.begun() | {
            "run": self.run,
            "seconds": self.seconds,
            **{name: part.to_json() for name, part in self.parts.items()},
        }

    def headline(self) -> dict[str, str]:
        return {
            **self.evaluate.right,
            "Lava": f"{self.deploy.mismatches} mismatching values in {self.deploy.samples} samples",
            "verify": self.verify.headline()["result"],
            **{
                name: self.energy.headline()[name]
                for name in PROFILES
                if name in self.energy.headline()
            },
            "time": f"{figure(round(self.seconds))} s",
        }

    def details(self) -> Iterator[Block]:
        yield {
            "in": self.run,
            "there": (
                "bundle, lava, " + ", ".join(f"{name}.json" for name in REPORTS) + ", deploy.png"
            ),
        }

    def require_exact(self) -> None:
        require_exact(self.evaluate, self.deploy, self.verify)


def run_demo(
    out: Path,
    samples: int,
    tell: Callable[[str], None],
    progress: Callable,
    show: Callable[[Report], None] | None,
) -> DemoReport:
    """Train on digits-av, run the integer model over the whole test set, export it to Lava, verify,
    estimate.

    `show` is given each report as it is there.
    """
    require()
    started, shown = time.monotonic(), show or (lambda _: None)
    held_out = config.read(None, RECIPE).train.held_out
    if samples > held_out:
        raise UsageError(
            "more samples than the model will hold",
            where="--samples",
            limit=held_out,
            value=samples,
        )
    _check(out)
    tell(
        "1/6 train: spoken digits (eSpeak NG voices) and handwritten digits, no voice in both train"
        " and test"
    )
    train(out=out, settings=RECIPE, force=True, tell=tell, live=True)  # the command has asked
    tell("2/6 evaluate: the whole test set, integer model on the simulator")
    whole = evaluate(out, progress=progress("samples"))
    shown(whole)
    tell("3/6 export to Lava")
    export(out, "lava", verify=False, force=True)
    tell(f"4/6 deploy on Lava's multi-process runtime: {samples} held-out samples")
    deployed = jobs.deploy(
        out / "lava",
        "lava",
        samples=samples,
        progress=progress("samples"),
        picture=out / "deploy.png",
    )
    shown(deployed)
    tell("5/6 verify: training, simulator and both Lava runtimes against the reference")
    verified = jobs.verify(
        out, ["simulator", "lava-inprocess", "lava"], samples=samples, progress=progress("samples")
    )
    shown(verified)
    tell("6/6 energy")
    estimated = jobs.energy(out, PROFILES)
    shown(estimated)
    report = DemoReport(str(out), time.monotonic() - started, whole, deployed, verified, estimated)
    for name, part in report.parts.items():
        write_json(out / f"{name}.json", part.to_json(), "report")
    return report


def _check(out: Path) -> None:
    """Refuse, before any training, what could not be written at its end."""
    targets.check(out / "lava", "lava", force=True)
    targets.check(out / "deploy.png", "picture", force=True)
    for name in REPORTS:
        targets.check(out / f"{name}.json", "report", force=True)


def require_exact(whole: EvaluateReport, deployed: DeployReport, verified: VerifyReport) -> None:
    """Raise `MismatchError` unless the integer model is the trained one, and every backend gives
    its spikes.
    """
    if whole.equals_training is False:
        raise MismatchError(
            "not the figure that training reported",
            value=whole.correct,
            limit=whole.training_correct,
            fix="report this with the run",
        )
    for report, difference in (
        (deployed, deployed.first_difference),
        (verified, verified.first_difference),
    ):
        if report.bit_exact is False:
            raise MismatchError(
                f"{report.command}: not bit-exact",
                value=f"first at {difference}",
                fix="report this with the run",
            )
