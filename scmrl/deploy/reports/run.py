"""What the reports of all runs on samples share: who ran which samples of what, how well, and the
populations. `scmrl.core.report.report` says how they are shown.

Every number on the screen is in the JSON. `bit_exact` and `mismatches` are None where nothing was
compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core.activity import Activity, predictions
from ...core.bundle import Bundle
from ...core.comparison import Comparison
from ...core.graph import Graph
from ...core.report.report import Block, Report, Table, dead_warning, table
from ...core.report.text import figure, made_of, percent, shape, source
from ...core.samples import NETWORK, UNKNOWN, Origin
from ..counts.counts import PopulationCount
from ..counts.sampling import OverSamples

SUMMED = (  # of the populations, in the totals
    "neurons",
    "spikes_per_inference",
    "synops_per_inference",
    "updates_per_inference",
    "graded_synops_per_inference",
    "dense_synops_per_inference",
)
FOLLOWED = ("active_per_inference", "receiving_per_inference")  # where state was followed


@dataclass(frozen=True)
class PopulationRow:
    """One population: mean counts per inference, and what was observed over all samples."""

    name: str
    kind: str
    shape: tuple[int, ...]
    neurons: int
    spikes_per_inference: float
    rate: float  # spikes per neuron and step
    synops_per_inference: float
    updates_per_inference: float
    graded_synops_per_inference: float  # of the synops, those with graded values
    dense_synops_per_inference: float  # if all sources sent and no weight were zero
    active_per_inference: float | None  # of the updates; None where state was not followed
    receiving_per_inference: float | None
    mismatches: int | None = None
    overflow: int | None = None


@dataclass(frozen=True)
class Totals:
    """Sums over the populations."""

    neurons: int
    spikes_per_inference: float
    synops_per_inference: float
    updates_per_inference: float
    graded_synops_per_inference: float
    dense_synops_per_inference: float
    active_per_inference: float | None
    receiving_per_inference: float | None
    mismatches: int | None


@dataclass(frozen=True, kw_only=True)
class RunReport(Report):
    """A run of a network on samples."""

    model: str
    backend: str
    version: str
    samples: int
    selection: str  # which samples, in words
    origin: Origin  # what kind of samples and labels
    steps: int
    accuracy: float | None  # None where the labels are the network's own
    float_agreement: float | None  # with the float network's classes, where those are the labels
    bit_exact: bool | None
    populations: tuple[PopulationRow, ...]
    totals: Totals
    bundle: str = ""  # the hash of what ran
    over_samples: dict[str, OverSamples] = field(default_factory=dict)  # of totals, if counted

    @property
    def source(self) -> str:
        """Which network ran."""
        return source(self.model, self.bundle)

    @property
    def dead(self) -> tuple[str, ...]:
        """Populations that never fired on these samples."""
        rows = (row for row in self.populations if row.kind == "lif")
        return tuple(row.name for row in rows if not row.spikes_per_inference)

    def to_json(self) -> dict:
        return super().to_json() | {"dead": self.dead}

    @property
    def right(self) -> dict[str, str]:
        """Accuracy and on what, or what stands in its place."""
        return right(self.accuracy, self.float_agreement, self.samples, self.origin)

    def warnings(self) -> dict[str, str]:
        """What makes the numbers beside it worth little."""
        firing = sum(row.kind == "lif" for row in self.populations)
        return dead_warning(self.dead, firing)

    def ran(self) -> dict[str, str]:
        """Which samples ran where."""
        return {
            "samples": f"{self.samples} ({self.selection}), {self.steps} steps each",
            "backend": f"{self.backend} {self.version}",
        }

    def layers(self) -> Iterator[Block]:
        yield _population_table(self.populations, self.totals)


def right(
    accuracy: float | None, float_agreement: float | None, samples: int, origin: Origin
) -> dict[str, str]:
    """How many answers were right, on what; never an accuracy against labels that the network gave
    itself.
    """
    kind = "samples of unknown kind" if origin.samples == UNKNOWN else f"{origin.adjective} samples"
    what = f"{samples} {kind}"
    if float_agreement is not None:
        equal = f"{percent(float_agreement)} of classes as in the float network"
        return {"agreement": f"{equal}, {what}; no true labels"}
    if accuracy is None:
        return {"accuracy": f"not known: no labels, {what}"}
    doubt = ", labels of unknown kind" if origin.labels == UNKNOWN else ""
    return {"accuracy": f"{percent(accuracy)} on {what}{doubt}"}


def recurring(recall: float | None, precision: float | None, of: str | None) -> str:
    """Agreement of the spikes themselves."""
    if recall is None and precision is None:
        return "none at all"
    return f"{percent(recall)} of the {of}'s recur, {percent(precision)} of its own are there"


def overflowed(count: int | None) -> str:
    """How often values reached the border of 24 bits."""
    return (
        "not observed" if count is None else f"{figure(count)} neuron-steps reached a 24-bit border"
    )


def provenance(bundle: Bundle, selection: str = "") -> dict[str, str]:
    """What a frozen model was made of: data, settings, seed, hash."""
    trained = str(bundle.training.get("dataset") or bundle.training.get("imported") or "")
    facts = {"data": selection, "trained on": trained, **made_of(bundle.training)}
    return {name: text for name, text in (facts | {"bundle": bundle.hash}).items() if text}


def run_fields(
    graph: Graph,
    labels: np.ndarray | None,
    activity: Activity,
    rows: tuple[PopulationRow, ...],
    comparison: Comparison | None = None,
    *,
    model: str,
    selection: str,
    origin: Origin,
) -> dict[str, Any]:
    """The fields of a `RunReport`, of one run."""
    accuracy, float_agreement = scores(graph, labels, origin, activity)
    values = next(iter((activity.spikes | activity.membrane).values()))
    return {
        "model": model,
        "backend": activity.backend,
        "version": activity.version,
        "samples": len(values),
        "selection": selection,
        "origin": origin,
        "steps": int(values.shape[1]),
        "accuracy": accuracy,
        "float_agreement": float_agreement,
        "bit_exact": comparison and comparison.bit_exact,
        "populations": rows,
        "totals": totals(rows),
    }


def population_rows(
    counts: Sequence[PopulationCount],
    comparison: Comparison | None = None,
    overflow: dict[str, int] | None = None,
) -> tuple[PopulationRow, ...]:
    """A row for each population that was counted."""
    matches = comparison.populations if comparison else ()
    mismatches = {match.name: match.mismatches for match in matches}
    return tuple(
        PopulationRow(
            c.name,
            c.kind,
            tuple(int(n) for n in c.shape),
            int(c.neurons),
            rate=float(c.rate),
            **{name: float(getattr(c, name)) for name in SUMMED[1:]},
            **{name: getattr(c, name) for name in FOLLOWED},
            mismatches=mismatches.get(c.name),
            overflow=(overflow or {}).get(c.name),
        )
        for c in counts
    )


def totals(rows: Sequence[PopulationRow]) -> Totals:
    """Sums; None where a part of them is not known, or nothing was compared."""
    compared = [row.mismatches for row in rows if row.mismatches is not None]
    followed = {
        name: [getattr(row, name) for row in rows if row.kind != "input"] for name in FOLLOWED
    }
    sums: dict[str, Any] = {name: sum(getattr(row, name) for row in rows) for name in SUMMED}
    sums |= {name: None if None in each else sum(each) for name, each in followed.items()}
    return Totals(**sums, mismatches=sum(compared) if compared else None)


def scores(
    graph: Graph, labels: np.ndarray | None, origin: Origin, activity: Activity | None
) -> tuple[float | None, float | None]:
    """Accuracy, and agreement with the float network: one of the two, by what the labels are."""
    if labels is None or activity is None or graph.readout is None:
        return None, None
    equal = float(np.mean(predictions(graph, activity) == labels))
    return (None, equal) if origin.labels == NETWORK else (equal, None)


def same_class(graph: Graph, one: Activity, other: Activity | None) -> float | None:
    """Share of the samples to which two runs give the same class."""
    if other is None or graph.readout is None:
        return None
    return float(np.mean(predictions(graph, one) == predictions(graph, other)))


def summed(overflow: dict[str, int] | None) -> int | None:
    """Overflow of all populations."""
    return None if overflow is None else int(sum(overflow.values()))


def _population_table(rows: Sequence[PopulationRow], totals: Totals) -> Table:
    heads = {
        "neurons": "neurons",
        "spikes_per_inference": "spikes/inf",
        "rate": "rate",
        "synops_per_inference": "synops/inf",
        "active_per_inference": "active\nupdates",
        "mismatches": "mismatches",
    }
    if totals.active_per_inference is None:
        del heads["active_per_inference"]
    return table(
        ("population", "shape", *heads.values()),
        [(r.name, shape(r.shape), *(figure(getattr(r, name)) for name in heads)) for r in rows],
        words=("population", "shape"),
        footer=(
            "total",
            "",
            *("" if name == "rate" else figure(getattr(totals, name)) for name in heads),
        ),
    )
