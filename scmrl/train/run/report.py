"""What a training tells at its end."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ...core.report.drawing import LIGHT
from ...core.report.report import Block, Facts, Figure, Report, table
from ...core.report.text import figure, first, made_of, percent
from ...system.reading import LIST_BYTES, read_text, read_toml

Curve = Sequence[tuple[float, float]]  # epoch, value
COLOURS = ("blue", "orange", "green", "violet")


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
        return self.begun() | {"run": self.run, "bundle": self.bundle, **self.metrics}

    def headline(self) -> dict[str, str]:
        m = self.metrics
        frozen = self.bundle is not None
        model = "integer" if frozen else "float"
        dead = m.get("dead", ())
        few = f"{len(dead)} of {len(m.get('rates', ()))} populations hardly ever fire"
        lines = {"WARNING": f"{few}: {first(dead)}"} if dead else {}
        on = f"on {m['test_samples']} held-out test samples"
        if "test_r2" in m:
            error = f"root mean square error {figure(m['test_rmse'])}"
            lines["R2"] = f"{figure(m['test_r2'])} {on} ({error}), {model} model"
        else:
            right = f"{percent(m['test_accuracy'])} {on} ({m['test_correct']} correct)"
            lines["accuracy"] = f"{right}, {model} model"
        if m.get("validation_accuracy") is not None:
            lines["validation"] = f"{percent(m['validation_accuracy'])}: what chose the epoch"
        elif m.get("validation_r2") is not None:
            lines["validation"] = f"R2 {figure(m['validation_r2'])}: what chose the epoch"
        lines["network"] = f"{figure(m['parameters'])} parameters"
        lines["time"] = f"{figure(round(m['train_seconds']))} s"
        there = "bundle" if frozen else "metrics.json"
        return (
            lines
            | {"frozen to" if frozen else "figures in": str(Path(self.run) / there)}
            | ({} if frozen else {"chip": "none: this model is not for one"})
        )

    def figures(self) -> Iterator[Figure]:
        wanted: tuple[str, ...] = ("loss", "alignment")
        loss = {name: self._curves[name] for name in wanted if name in self._curves}
        right = [(x, 100 * y) for x, y in self._curves.get("validation_accuracy", ())]
        explained = self._curves.get("validation_r2", ())
        for title, curves in (
            ("Loss", loss),
            ("Validation accuracy, %", {"validation": right}),
            ("Validation R2", {"validation": explained}),
        ):
            if any(len(curve) > 1 for curve in curves.values()):
                size = 4.2, 2.4  # a phone is as wide
                yield Figure(f"{title} by epoch", partial(_draw, curves=curves), size)

    def layers(self) -> Iterator[Block]:
        yield table(
            ("population", "rate"),
            [(name, figure(rate)) for name, rate in self.metrics.get("rates", {}).items()],
            words=("population",),
        )

    def appendix(self) -> Iterator[Block]:
        rates = {n: c for n, c in self._curves.items() if n.startswith("rate/")}
        yield table(
            ("population", "first epoch", "last epoch"),
            [
                (name.removeprefix("rate/"), figure(curve[0][1]), figure(curve[-1][1]))
                for name, curve in sorted(rates.items(), key=lambda item: item[1][-1][1])
            ],
            words=("population",),
            caption="Spikes per neuron and step on validation, quietest first",
        )
        numbers = {k: v for k, v in self.metrics.items() if isinstance(v, (int, float))}
        yield {name.replace("_", " "): figure(value) for name, value in numbers.items()}

    def provenance(self) -> Facts:
        config = Path(self.run) / "config.toml"
        made = made_of(read_toml(config)) if config.is_file() else {}
        return made | ({"bundle": self.bundle} if self.bundle else {})

    @cached_property
    def _curves(self) -> dict[str, list[tuple[float, float]]]:
        """RUN/logs/metrics.csv by column."""
        log = Path(self.run) / "logs" / "metrics.csv"
        columns: dict[str, list[tuple[float, float]]] = {}
        if log.is_file():
            for row in csv.DictReader(read_text(log, LIST_BYTES).splitlines()):
                for key, value in row.items():
                    if key and value and key not in ("epoch", "step") and row.get("epoch"):
                        columns.setdefault(key, []).append((float(row["epoch"]) + 1, float(value)))
        return columns


@dataclass(frozen=True)
class TuneReport(TrainReport):
    """The figures of a run, `metrics` as in its bundle: accuracies and agreements with the float
    network on the test part, before and after. `start`: the hash of the model that it started from.
    """

    command = "tune"
    start: str
    distilled: bool

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"start": self.start, "distilled": self.distilled}

    def headline(self) -> dict[str, str]:
        lines, m = super().headline(), self.metrics
        before = f"{percent(m['before_accuracy'])} before tuning"
        if "float_accuracy" in m:
            before += f"; the float network: {percent(m['float_accuracy'])}"
        lines = {"accuracy": lines.pop("accuracy"), "before": before} | lines
        if m["kept_start"]:
            note = "no epoch was better on validation: the model is as it was"
            lines = {"note": note} | lines
        return lines

    def details(self) -> Iterator[Block]:
        m = self.metrics
        rows = [("integers before", m["before_accuracy"], m.get("before_agreement"))]
        rows += [("integers tuned", m["test_accuracy"], m.get("agreement"))]
        if "float_accuracy" in m:
            rows.append(("float network", m["float_accuracy"], 1.0))
        yield table(
            ("model", "accuracy", "agrees with the float network"),
            [(name, percent(accuracy), percent(agreement)) for name, accuracy, agreement in rows],
            words=("model",),
            caption=f"On {figure(m['test_samples'])} test samples",
        )
        if self.distilled:
            yield "learnt: the float network's outputs"


def _draw(sheet: Any, curves: Mapping[str, Curve]) -> None:
    axis = sheet.subplots()
    for (name, curve), colour in zip(curves.items(), COLOURS):
        axis.plot(*zip(*curve), color=LIGHT[colour], label=name)
    axis.set(xlabel="epoch", ylim=(min(0.0, axis.get_ylim()[0]), None))
    axis.xaxis.get_major_locator().set_params(integer=True)
    if len(curves) > 1:  # else the caption says what it is
        axis.legend()
