"""What a sweep found, for the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..report import Report, figure, percent, table
from .study import Trial

SHOWN = 20
SETTINGS = 5                                    # of the best trial in the headline


@dataclass(frozen=True)
class SweepReport(Report):
    """All trials, best first; the winner is the best on validation, the front those that none beats in both."""

    command = "sweep"
    out: str
    chip: str
    axes: tuple[str, ...]
    trials: tuple[Trial, ...]
    pictures: tuple[str, ...]

    @property
    def best(self) -> Trial | None:
        return next((trial for trial in self.trials if trial.validation_accuracy is not None), None)

    def headline(self) -> dict[str, str]:
        finished = sum(trial.validation_accuracy is not None for trial in self.trials)
        lines = {"trials": f"{finished} finished, {len(self.trials) - finished} not"}
        if self.best:
            lines["best"] = f"trial {self.best.number}: {percent(self.best.validation_accuracy)} on validation"
            lines |= {key: _value(value) for key, value in list(self.best.parameters.items())[:SETTINGS]}
        lines["objective"] = "validation accuracy; test data choose nothing"
        if self.chip:
            lines["second"] = f"core dynamic energy on {self.chip} (estimate)"
        return lines

    def details(self) -> Iterator[object]:
        yield {"sweep": self.out}
        keys = sorted({key for trial in self.trials for key in trial.parameters})
        cells = [(str(t.number) + ("*" if t.pareto and self.chip else ""), t.state, percent(t.validation_accuracy),
                  *([figure(t.energy_uj)] if self.chip else []), figure(t.synops_per_inference),
                  *(_value(t.parameters.get(key)) for key in keys)) for t in self.trials[:SHOWN]]
        yield table(("trial", "state", "validation", *(["core dynamic\nuJ/inf"] if self.chip else []), "synops/inf",
                      *(key.replace(".", ".\n", 1) for key in keys)), cells, words=("trial", "state"))
        if len(self.trials) > SHOWN:
            yield f"{len(self.trials) - SHOWN} more in {self.out}/trials.csv"
        if self.chip:
            yield "* on the Pareto front: no other trial is as good in both and better in one"
        for picture in self.pictures:
            yield f"picture: {picture}"


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
