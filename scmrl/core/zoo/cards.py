"""The card of a model: what it learnt from, how good it is, and what an inference costs.

Accuracy, spikes and synaptic operations are of the whole test part of the data set, energy and the
run on Lava of samples of it; all are measured by `scripts/zoo.py` on the run that the model comes
from. The few samples that travel with a model are others, for speech and handwriting of the sets
may not: a card says which.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ..report.report import Block, Report, columns
from ..report.text import figure, percent, span, whole


@dataclass(frozen=True)
class Source:
    """Data that a model learnt from."""

    data: str
    by: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """Energy in uJ and latency in ms of an inference: estimates for the chip `profile`, with their
    ranges.
    """

    name: str
    does: str
    dataset: str  # and task
    command: str  # what trained it
    seed: int
    sources: tuple[Source, ...]
    test_correct: int
    test_samples: int
    parameters: int
    neurons: int
    steps: int
    spikes_per_inference: float
    synops_per_inference: float
    profile: str
    cores: int
    energy_uj: float
    energy_uj_range: tuple[float, float]
    core_dynamic_uj: float
    latency_ms: float
    latency_ms_range: tuple[float, float]
    lava: str  # the version that ran it
    lava_mismatches: int
    measured_on: int  # samples of the test part that energy and Lava ran on
    samples: int  # that travel with it
    samples_are: str
    bundle: str  # its hash
    scmrl: str  # the version that measured

    @classmethod
    def of(cls, table: dict[str, Any]) -> Card:
        """The card of a JSON object."""
        ranges = {key: tuple(table[key]) for key in ("energy_uj_range", "latency_ms_range")}
        sources = tuple(Source(**source) for source in table["sources"])
        return cls(**{**table, **ranges, "sources": sources})

    @property
    def accuracy(self) -> float:
        return self.test_correct / self.test_samples

    @property
    def energy(self) -> str:
        return f"{figure(self.energy_uj)} uJ ({span(self.energy_uj_range)})"

    @property
    def time(self) -> str:
        return f"{figure(self.latency_ms)} ms ({span(self.latency_ms_range)})"


@dataclass(frozen=True)
class ZooReport(Report):
    """Models of the zoo: a table of several, the card of one."""

    command = "zoo"
    models: tuple[Card, ...]
    bytes: int  # that they take in the package

    def to_json(self) -> dict[str, Any]:
        cards = {c.name: asdict(c) | {"accuracy": c.accuracy} for c in self.models}
        return self.begun() | {"count": len(cards), "bytes": self.bytes, "models": cards}

    def headline(self) -> dict[str, str]:
        if len(self.models) == 1:
            return self._answer(self.models[0])
        return {
            "models": f"{len(self.models)}, {figure(self.bytes / 1e6)} MB in all",
            "use": f"`scmrl deploy zoo:{self.models[0].name}`, and wherever a MODEL is asked for",
            "more": "`scmrl zoo NAME` shows the card of one",
        }

    def _answer(self, card: Card) -> dict[str, str]:
        return {
            "model": f"zoo:{card.name}",
            "does": card.does,
            "learnt from": f"{card.dataset}, seed {card.seed}",
            "accuracy": (
                f"{percent(card.accuracy)}, {card.test_correct} of the {card.test_samples} samples"
                " of the test part"
            ),
            card.profile: f"{card.cores} cores; estimate {card.energy}, {card.time}",
            "Lava": (
                f"{card.lava_mismatches} mismatching values in {card.measured_on} held-out samples"
            ),
        }

    def details(self) -> Iterator[Block]:
        if len(self.models) == 1:
            yield from self._card(self.models[0])
            return
        cells = {
            "model": lambda c: f"zoo:{c.name}",
            "does": lambda c: c.does,
            "accuracy": lambda c: percent(c.accuracy),
            "neurons": lambda c: figure(c.neurons),
            "spikes": lambda c: whole(c.spikes_per_inference),
            "uJ": lambda c: figure(c.energy_uj),
            "range": lambda c: span(c.energy_uj_range),
        }
        yield columns(self.models, cells, words=("model", "does"))
        chips = ", ".join(sorted({c.profile for c in self.models}))
        yield (
            "accuracy and spikes by inference: of the whole test part of the data that it learnt"
            f" from; uJ: an ESTIMATE of one inference on {chips}, static and host power in it"
        )

    def _card(self, card: Card) -> Iterator[Block]:
        yield {
            "trained by": card.command,
            "parameters": figure(card.parameters),
            "neurons": f"{figure(card.neurons)}, {card.steps} steps",
            "an inference": (
                f"{whole(card.spikes_per_inference)} spikes, {whole(card.synops_per_inference)}"
                " synaptic operations, means of the test part"
            ),
            "energy": (
                f"ESTIMATE for {card.profile}, of {card.measured_on} held-out samples:"
                f" {card.energy}, of it core dynamic {figure(card.core_dynamic_uj)} uJ"
            ),
            "latency": f"{card.time}, estimate",
            "ran on Lava": f"{card.lava}, {card.measured_on} held-out samples",
            "its samples": f"{card.samples}: {card.samples_are}",
            "bundle": card.bundle[:12],
            "measured by": f"scmrl {card.scmrl}",
        }
        cells = {"learnt from": lambda s: s.data, "by": lambda s: s.by}
        cells["licence"] = lambda s: s.licence
        yield columns(card.sources, cells, words=cells)
