"""What a sweep found, for the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ..core.report.report import Block, Report, columns
from ..core.report.text import figure, first, percent, value
from ..system.errors import ScmrlError, quoted
from .trials import Trial

SHOWN = 20
SETTINGS = 4  # of the best trial in the headline


@dataclass(frozen=True)
class SweepReport(Report):
    """All trials, best first; the winner is the best on validation, the front those that none beats
    in both. `exhausted`: there was no further combination to try."""

    command = "sweep"
    out: str
    chip: str
    axes: tuple[str, ...]
    trials: tuple[Trial, ...]
    pictures: tuple[str, ...]
    wanted: int
    exhausted: bool

    @property
    def best(self) -> Trial | None:
        return next((trial for trial in self.trials if trial.validation_accuracy is not None), None)

    def count(self) -> str:
        """How many trials were wanted, finished, failed, and gone on with after a kill."""
        states = [trial.state for trial in self.trials]
        parts = [
            f"{self.wanted} wanted",
            f"{states.count('complete')} finished",
            f"{states.count('fail')} failed",
        ]
        if running := states.count("running"):
            parts.append(f"{running} not ended")
        if retried := sum(trial.retries > 0 for trial in self.trials):
            parts.append(f"{retried} retried after a kill")
        return ", ".join(parts)

    def require_ended(self) -> None:
        """Raises `ScmrlError` where no trial finished, or one that was wanted has not ended."""
        failed = [trial for trial in self.trials if trial.state == "fail"]
        left = [f"trial {trial.number}" for trial in self.trials if trial.state == "running"]
        if left:
            raise ScmrlError(
                "not all trials have ended",
                where=self.out,
                value=first(left),
                fix=f"go on with: scmrl sweep --resume --out {quoted(self.out)}",
            )
        if self.best is None:
            raise ScmrlError(
                "every trial failed", where=self.out, value=failed[0].why if failed else "none ran"
            )

    def headline(self) -> dict[str, str]:
        lines = {"trials": self.count()}
        if self.exhausted and len(self.trials) < self.wanted:
            lines["space"] = f"has {len(self.trials)} combinations, all tried"
        if self.best:
            lines["best"] = (
                f"trial {self.best.number}: {percent(self.best.validation_accuracy)} on validation"
            )
            lines |= {
                key: value(setting)
                for key, setting in list(self.best.parameters.items())[:SETTINGS]
            }
        lines["objective"] = "validation accuracy; test data choose nothing"
        if self.chip:
            lines["second"] = f"core dynamic energy on {self.chip} (estimate, alone)"
        return lines

    def details(self) -> Iterator[Block]:
        yield {"sweep": self.out}
        keys = sorted({key for trial in self.trials for key in trial.parameters})
        energy = {"core dynamic\nuJ/inf": _energy} if self.chip else {}
        yield columns(
            self.trials[:SHOWN],
            {
                "trial": lambda t: f"{t.number}{'*' if t.pareto and self.chip else ''}",
                "state": lambda t: t.state,
                "validation": lambda t: percent(t.validation_accuracy),
                **energy,
                "synops/inf": lambda t: figure(t.synops_per_inference),
                **{key.replace(".", ".\n", 1): partial(_setting, key) for key in keys},
            },
            words=("trial", "state"),
        )
        if len(self.trials) > SHOWN:
            yield f"{len(self.trials) - SHOWN} more in {self.out}/trials.csv"
        if self.chip:
            yield "* on the Pareto front: no other trial is as good in both and better in one"
        for trial in [trial for trial in self.trials if trial.state == "fail"][:3]:
            yield f"trial {trial.number} failed: {trial.why}"
        for picture in self.pictures:
            yield f"picture: {picture}"


def _energy(trial: Trial) -> str:
    """Energy and, below it, its standard error over the samples."""
    error = trial.energy_error_uj
    return figure(trial.energy_uj) + ("" if error is None else f"\n± {figure(error)}")


def _setting(key: str, trial: Trial) -> str:
    return value(trial.parameters.get(key))
