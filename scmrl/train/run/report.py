"""What a training tells at its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...core.report.report import Report, figure, first, percent, table


@dataclass(frozen=True)
class TrainReport(Report):
    """The figures of a run, `metrics` as in RUN/metrics.json; `bundle`: the hash of RUN/bundle,
    where there is one.
    """

    command = "train"
    run: str
    metrics: dict
    bundle: str | None

    def to_json(self) -> dict:
        return {"command": self.command, "run": self.run, "bundle": self.bundle, **self.metrics}

    def headline(self) -> dict[str, str]:
        m = self.metrics
        frozen = self.bundle is not None
        model = "integer" if frozen else "float"
        dead = m.get("dead", ())
        lines = (
            {
                "WARNING": (
                    f"{len(dead)} of {len(m['rates'])} populations hardly ever fire: {first(dead)}"
                )
            }
            if dead
            else {}
        )
        lines["accuracy"] = (
            f"{percent(m['test_accuracy'])} on {m['test_samples']} held-out test samples "
            f"({m['test_correct']} correct), {model} model"
        )
        if m.get("validation_accuracy") is not None:
            lines["validation"] = f"{percent(m['validation_accuracy'])}: what chose the epoch"
        lines["network"] = f"{figure(m['parameters'])} parameters"
        lines["time"] = f"{figure(round(m['train_seconds']))} s"
        there = "bundle" if frozen else "metrics.json"
        return (
            lines
            | {"frozen to" if frozen else "figures in": str(Path(self.run) / there)}
            | ({} if frozen else {"chip": "none: this model is not for one"})
        )

    def layers(self) -> Iterator[object]:
        rates = self.metrics.get("rates", {})
        yield table(
            ("population", "rate"),
            [(name, figure(rate)) for name, rate in rates.items()],
            words=("population",),
        )
