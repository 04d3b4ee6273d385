"""What `scmrl count` tells: operations and energy of a torch network by layer, per sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ...core.report.markup import MARKUPS
from ...core.report.report import Block, Report, Table, columns
from ...core.report.text import UNKNOWN, figure, first, percent, shape, span, whole
from ...hw_profiles.profile import Profile
from ..counts.sampling import OverSamples, plus_minus
from .found import ADD, BINARY, INTEGERS, PRODUCT, VALUES, Found, Layer, Neurons, NotCounted
from .pricing import Price, uj

TOTALLED = {  # of the totals, what has a standard error, and its word
    "energy_uj": "uJ at 45 nm",
    "acs": "AC",
    "macs": "MAC",
    "gates": "gates",
    "spikes": "spikes",
}
PAPERS = "generic-45nm"  # the profile with the papers' constants


@dataclass(frozen=True)
class Totals:
    """Of all layers, per sample; `dense` is what their products would multiply without spikes,
    `by_rate_uj` the energy by mean rates in place of counts, as papers print it.
    """

    acs: float
    macs: float
    gates: float
    dense: float
    unary_acs: float
    energy_uj: float
    dense_uj: float
    by_rate_uj: float
    streams_acs: float
    streams_macs: float
    streams_uj: float
    neurons: float
    updates: float
    spikes: float
    parameters: int


def totals(found: Found, papers: Profile, parameters: int) -> Totals:
    """Of all that was found; `papers` is the profile with the papers' constants."""

    def of(name: str, rows: Iterable[object]) -> float:
        return sum(getattr(row, name) for row in rows)

    layers, neurons = found.layers, found.neurons
    streams = [layer for layer in layers if layer.is_product_of_streams]
    products = [layer for layer in layers if layer.kind == PRODUCT]

    def priced(rows: Sequence[Layer]) -> float:
        return uj(papers, of("acs", rows), of("macs", rows)) or 0.0

    return Totals(
        acs=of("acs", layers),
        macs=of("macs", layers),
        gates=of("gates", layers),
        dense=of("dense", products),
        unary_acs=of("unary_acs", layers),
        energy_uj=priced(layers),
        dense_uj=uj(papers, 0, of("dense", products)) or 0.0,
        by_rate_uj=sum(_by_rate(papers, layer) for layer in products),
        streams_acs=of("acs", streams),
        streams_macs=of("macs", streams),
        streams_uj=priced(streams),
        neurons=of("neurons", neurons),
        updates=of("updates", neurons),
        spikes=of("spikes", neurons),
        parameters=parameters,
    )


def _by_rate(papers: Profile, layer: Layer) -> float:
    """Energy of a layer as papers have it: all its operations, or those times the rate."""
    valued = VALUES in layer.reads and not layer.is_product_of_streams
    energy = uj(papers, *((0.0, layer.dense) if valued else (layer.rate * layer.dense, 0.0)))
    return energy or 0.0


@dataclass(frozen=True)
class SampledCount:
    """Standard errors over the samples: of the totals by `TOTALLED`, of the energy of the
    operations by profile. Both are empty where `unknown` says why.
    """

    totals: dict[str, OverSamples] = field(default_factory=dict)
    prices: dict[str, OverSamples] = field(default_factory=dict)
    unknown: str = ""


@dataclass(frozen=True)
class CountReport(Report):
    """Counts per sample of a run on `samples` samples, priced. `energy_uj` and its like are at
    45 nm.
    """

    command = "count"
    model: str
    samples: int
    batch_axis: int
    given: dict[str, tuple[int, ...]]
    totals: Totals
    counted: tuple[Layer, ...]
    populations: tuple[Neurons, ...]
    not_counted: tuple[NotCounted, ...]
    prices: dict[str, Price]
    papers: Profile
    over_samples: SampledCount = field(default_factory=SampledCount)

    def to_json(self) -> dict:
        """As said in `Report`; `layers` with the energy of each at 45 nm."""
        found = super().to_json()
        found["layers"] = [
            row | {"energy_uj": self.energy(layer)}
            for row, layer in zip(found.pop("counted"), self.counted)
        ]
        del found["papers"]
        return found

    def energy(self, layer: Layer) -> float:
        """Of a layer at 45 nm, uJ per sample."""
        return uj(self.papers, layer.acs, layer.macs) or 0.0

    @property
    def calculating(self) -> list[Layer]:
        """The layers without those that fold into others' weights."""
        return [layer for layer in self.counted if not layer.folded]

    @property
    def graded(self) -> list[Layer]:
        """Layers that read what is no spikes."""
        return [layer for layer in self.calculating if not layer.reads_spikes]

    def headline(self) -> dict[str, str]:
        t, lost, silent = self.totals, len(self.not_counted), self.silent
        lines = {"NOT COUNTED": f"{lost} operations or layers, named below"} if lost else {}
        if silent:
            of = f"{len(silent)} of {len(self.populations)}"
            lines["WARNING"] = f"{of} populations of neurons never fire"
        lines["energy"] = (
            f"{'at least ' if lost else ''}{figure(t.energy_uj)}{self._error()} uJ a sample at"
            " 45 nm:"
            f" {whole(t.acs)} AC, {whole(t.macs)} MAC"
        )
        if t.energy_uj:
            times = figure(round(t.dense_uj / t.energy_uj, 2))
            lines["dense"] = f"{figure(t.dense_uj)} uJ, {times} times as much, without spikes"
        if self.graded:
            of = f"{len(self.graded)} of {len(self.calculating)} layers read what is no spikes"
            more = ", ..." if len(self.graded) > 1 else ""
            lines["not binary"] = f"{of}: {self.graded[0].name} {_read(self.graded[0])}{more}"
        if any(layer.is_product_of_streams for layer in self.counted):
            lines["attention"] = (
                f"{whole(t.streams_acs)} AC, {whole(t.streams_macs)} MAC between streams,"
                f" {figure(t.streams_uj)} uJ"
            )
        return lines | {"chips": self._chips(), "run": f"{self.samples:,} samples of {self.model}"}

    def _error(self) -> str:
        """The standard error of the energy, after it."""
        error = self.over_samples.totals.get("energy_uj")
        return f" {plus_minus(error)}" if error else ""

    def _errors(self) -> Iterator[Block]:
        """The standard errors of the totals, or why there are none."""
        found = self.over_samples
        if found.unknown:
            yield f"standard error over the samples: not known, {found.unknown}"
        yield columns(
            [(word, found.totals[name]) for name, word in TOTALLED.items() if name in found.totals],
            {
                "of a sample": lambda row: row[0],
                "standard error": lambda row: plus_minus(row[1]),
                "of samples": lambda row: figure(row[1].samples),
                "for 1 %": lambda row: figure(row[1].needed),
            },
            words=("of a sample",),
        )

    @property
    def silent(self) -> list[str]:
        """Neurons that never fire."""
        return [n.name for n in self.populations if not n.spikes]

    def _chips(self) -> str:
        takes = [name for name, p in self.prices.items() if p.admitted]
        takes.sort(key=lambda name: self.prices[name].operations_uj is None)
        refuses = [name for name, p in self.prices.items() if p.admitted is False]
        return f"{len(takes)} admit it ({first(takes, 2) or 'none'}), {len(refuses)} do not"

    def by_layer(self) -> Table:
        """The table of a paper."""
        t = self.totals
        return columns(
            self.calculating,
            {
                "layer": lambda layer: layer.name,
                "reads": lambda layer: (" + " if layer.kind == ADD else " x ").join(layer.reads),
                "rate": lambda layer: percent(layer.rate),
                "AC": lambda layer: whole(layer.acs),
                "MAC": lambda layer: whole(layer.macs),
                "uJ": lambda layer: figure(self.energy(layer)),
            },
            words=("layer", "reads"),
            footer=("all", "", "", whole(t.acs), whole(t.macs), figure(t.energy_uj)),
            caption="operations a sample, and their energy at 45 nm",
        )

    def table(self, markup: str) -> str:
        """`by_layer` as "latex" or "markdown"."""
        return MARKUPS[markup](self.by_layer())

    def details(self) -> Iterator[Block]:
        yield self.by_layer()
        yield from self._errors()
        folded = len(self.counted) - len(self.calculating)
        if folded:
            yield f"{folded} batch norms fold into the weights before them: no operations"
        yield self._attention()
        yield self._residuals()
        yield columns(
            self.not_counted,
            {
                "where": lambda n: n.where,
                "not counted": lambda n: n.what,
                "calls": lambda n: figure(n.calls),
            },
            words=("where", "not counted"),
        )
        yield self._price_table()
        yield self._unpriced()
        t = self.totals
        ac, mac = (f"{self.papers.energy[name].value:g}" for name in ("ac", "mac"))
        yield {
            "whole": f"{whole(t.neurons)} neurons, {whole(t.updates)} updates and"
            f" {whole(t.spikes)} spikes a sample; {figure(t.parameters)} parameters",
            "never fire": first(self.silent) if self.silent else "none",
            "by rates": f"{figure(t.by_rate_uj)} uJ by the formula of papers: {mac} pJ x all"
            f" operations of layers that read values + {ac} pJ x rate x all of the others",
            "kind": "counts are exact for this run; energies are ESTIMATES of its arithmetic alone:"
            " no memory, messages, static or host power; of a sample's own steps, neither alone nor"
            " streamed: a run of a module has no fill and drain of a chip",
            "input": ", ".join(f"{name} [{shape(s)}]" for name, s in self.given.items())
            + f", samples along axis {self.batch_axis}",
        }

    def _attention(self) -> Table:
        return columns(
            [layer for layer in self.counted if len(layer.reads) == 2 and layer.kind != ADD],
            {
                "between streams": lambda layer: layer.name,
                "reads": lambda layer: " x ".join(layer.reads),
                "AC": lambda layer: whole(layer.acs),
                "MAC": lambda layer: whole(layer.macs),
                "gates": lambda layer: whole(layer.gates),
                "line": lambda layer: layer.code,
            },
            words=("between streams", "reads", "line"),
        )

    def _residuals(self) -> Table:
        """Sums of streams that are not binary."""
        return columns(
            [x for x in self.counted if x.kind == ADD and x.gives not in BINARY],
            {
                "residual, not binary": lambda layer: layer.name,
                "adds": lambda layer: " + ".join(layer.reads),
                "gives": lambda layer: _of(layer.gives, layer.gives_largest),
                "AC": lambda layer: whole(layer.acs),
            },
            words=("residual, not binary", "adds", "gives"),
        )

    def _price_table(self) -> Table:
        return columns(
            [(n, p) for n, p in self.prices.items() if p.operations_uj is not None],
            {
                "profile": lambda item: item[0],
                "operations, uJ": lambda item: figure(item[1].operations_uj),
                "over samples": lambda item: _plus(self.over_samples.prices.get(item[0])),
                "integers as spikes": lambda item: figure(item[1].as_spikes_uj),
                "neuron updates, uJ": lambda item: _ends(item[1].updates_uj),
            },
            words=("profile",),
            caption="uJ a sample",
        )

    def _unpriced(self) -> dict[str, str]:
        """Profiles that do not price the network, and why."""
        reasons = {n: (*p.why_not, *p.not_published) for n, p in self.prices.items()}
        return {f"not {name}": "; ".join(why) for name, why in reasons.items() if why}

    def layers(self) -> Iterator[Block]:
        yield columns(
            self.populations,
            {
                "neurons": lambda n: n.name,
                "kind": lambda n: n.kind,
                "number": lambda n: whole(n.neurons),
                "updates": lambda n: whole(n.updates),
                "spikes": lambda n: whole(n.spikes),
                "rate": lambda n: percent(n.rate),
                "gives": lambda n: _of(n.gives, n.largest),
            },
            words=("neurons", "kind", "gives"),
        )
        yield columns(
            self.calculating,
            {
                "layer": lambda layer: layer.name,
                "is": lambda layer: layer.kind,
                "shape": lambda layer: shape(layer.shape),
                "spikes in": lambda layer: whole(layer.spikes),
                "reads": _read,
                "dense": lambda layer: whole(layer.dense),
                "integers as spikes, AC": lambda layer: whole(layer.unary_acs),
                "parameters": lambda layer: figure(layer.parameters),
            },
            words=("layer", "is", "shape", "reads"),
        )


def _plus(of: OverSamples | None) -> str:
    return plus_minus(of) if of else UNKNOWN


def _ends(ends: tuple[float, float] | None) -> str:
    return figure(ends[0]) if ends and ends[0] == ends[1] else span(ends)


def _of(kind: str, largest: int | None) -> str:
    return f"0..{largest}" if kind == INTEGERS else kind


def _read(layer: Layer) -> str:
    """What comes in, the range of integers with it."""
    reads = (_of(layer.reads[0], layer.largest), *layer.reads[1:]) if layer.reads else ()
    return f"({' x '.join(reads)})"
