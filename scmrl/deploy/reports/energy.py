"""What `scmrl energy` tells: exact counts, energies and times of each chip and layer, and
comparisons.

Every number on the screen is in the JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...core.activity import Activity
from ...core.graph import Graph
from ...core.report.report import Block, Figure, Table, columns, table
from ...core.report.text import figure, percent, span
from ...core.samples import Origin
from ...hw_profiles.limits import refusal
from ..counts.counts import PopulationCount
from ..counts.neurobench import NeuroBench, neurobench
from ..counts.sampling import OverSamples
from ..energy.dense_equivalent import DenseEquivalent, dense_equivalent
from ..energy.modes import ALONE
from ..energy.result import EnergyEstimate, PopulationEnergy
from .estimates import (
    THREE,
    broken_limits,
    by_profile,
    caveats,
    chip_table,
    coefficients,
    count_errors,
    energy_table,
    estimate_figures,
    idle_cases,
    in_a_line,
    mode_words,
    network_words,
    ranked,
    stated_cases,
    uncertainty_table,
)
from .run import RunReport, population_rows, run_fields

NARROW = 10  # characters of a column
DETAILED = 3  # chips with ranges, and in the table of layers


@dataclass(frozen=True)
class Transfers:
    """What the host moves per inference: messages it injects (an input value that is not zero),
    membranes it reads at the end. Their energy is None: nobody has published it.
    """

    injected: float
    read: int
    energy_uj: float | None = None


@dataclass(frozen=True)
class Band:
    """Core dynamic energy of one chip by each published set of coefficients, uJ: lowest and
    highest.
    """

    chip: str
    profiles: tuple[str, ...]
    low_uj: float
    high_uj: float


@dataclass(frozen=True, kw_only=True)
class EnergyReport(RunReport):
    """Energy and latency per inference for each profile, from the counts of one run."""

    command = "energy"
    synop_share: float | None  # of the synaptic operations without sparsity
    active_share: float | None  # of the neuron updates
    io: Transfers
    mode: str  # of all estimates
    profiles: tuple[EnergyEstimate, ...]
    bands: tuple[Band, ...]
    dense_equivalent: DenseEquivalent
    neurobench: NeuroBench
    idle: dict[str, float | None] = field(default_factory=dict)  # core dynamic uJ of zeros alone

    def to_json(self) -> dict:
        rows = by_profile(self.profiles)
        return super().to_json() | {
            "verdicts": self.verdicts,
            "profiles": {
                e.profile: rows[e.profile] | {"shares": self.shares(e)} for e in self.profiles
            },
        }

    def require_a_chip(self) -> None:
        """Raise `GraphError` where no chip of the report holds the network."""
        answers = [e.fits for e in self.profiles]
        if False in answers and True not in answers:
            refused = next(e for e in self.profiles if e.fits is False)
            raise refusal(refused.violations, refused.chip)

    @property
    def known(self) -> list[EnergyEstimate]:
        """The chips in the order in which they are told."""
        return ranked(self.profiles)

    @property
    def detailed(self) -> list[EnergyEstimate]:
        return [e for e in self.known if e.core_dynamic_uj is not None][:DETAILED]

    def headline(self) -> dict[str, str]:
        lines = self.warnings()
        if len(self.profiles) <= DETAILED:
            lines |= {e.profile: in_a_line(e) for e in self.known}
        else:
            lines |= self._verdicts()
        return lines | self._where() | self.right | {"samples": self.ran()["samples"]}

    @property
    def verdicts(self) -> dict[str, int]:
        """How many chips hold the network."""
        answers = [e.fits for e in self.profiles]
        return {
            "asked": len(answers),
            "fit": answers.count(True),
            "do_not": answers.count(False),
            "unknown": answers.count(None),
        }

    def _verdicts(self) -> dict[str, str]:
        """How many chips hold the network, and the best known total."""
        count = self.verdicts

        def some(answer: bool | None) -> str:
            named = [e.profile for e in self.known if e.fits is answer]
            return ", ".join(named[:4]) + (", ..." if len(named) > 4 else "")

        lines = {
            "fits": f"{count['fit']} of {count['asked']} chips: {some(True)}",
            "does not fit": f"{count['do_not']}: {some(False)}",
            "no limits": f"{count['unknown']}: {some(None)}",
        }
        lines = {name: text for name, text in lines.items() if not text.startswith("0: ")}
        best = next((e for e in self.known if e.total_uj is not None), None)
        none = {"total": "of none: parts are not published"}
        return lines | ({best.profile: in_a_line(best)} if best else none)

    def _where(self) -> dict[str, str]:
        """Where the energy goes on the first chip: by part, and its populations."""
        if not self.detailed:
            return {}
        e = self.detailed[0]
        parts = sorted(e.where().items(), key=lambda item: -item[1])
        most = sorted(self.shares(e).items(), key=lambda item: -item[1])[:2]
        text = ", ".join(f"{name} {percent(share)}" for name, share in parts)
        largest = " and ".join(f"{name} {percent(share)}" for name, share in most)
        text += f"; {largest} of the dynamic" if most else ""
        return {"where": f"{text} ({e.profile})"}

    @staticmethod
    def shares(e: EnergyEstimate) -> dict[str, float]:
        """Shares of the populations in the core dynamic energy of a chip."""
        return {
            layer.name: layer.core_dynamic_uj / e.core_dynamic_uj
            for layer in e.populations
            if layer.core_dynamic_uj and e.core_dynamic_uj
        }

    def details(self) -> Iterator[Block]:
        known, detailed = self.known, self.detailed
        few = len(known) <= DETAILED
        if known:
            yield energy_table(known) if few else chip_table(known)
            yield uncertainty_table(known if few else detailed)
            yield THREE
            yield count_errors(self.over_samples)
        yield stated_cases(known if few else detailed) | idle_cases(detailed, self.idle)
        based = {e.profile: [e.basis] for e in (known if few else detailed)}
        notes = {
            e.profile: "; ".join(
                s.removesuffix(".") for s in (*based.get(e.profile, []), *caveats(e))
            )
            for e in known
        }
        yield {profile: text for profile, text in notes.items() if text}
        placed = ((e.profile, e.network) for e in known)
        yield {f"{name} runs": network_words(of) for name, of in placed if of}
        yield {
            "model": self.source,
            "backend": self.ran()["backend"],
            **self._counts(),
            "kind": "counts are exact; energies and times are ESTIMATES from them, not measured",
            "mode": mode_words(self.mode, known),
        }
        yield from (_band(band) for band in self.bands)
        if timed := [e for e in known if e.latency_us is not None]:
            yield _time_table(timed)
        dense = self.dense_equivalent
        yield (
            f"the same network without spikes, every layer run once: {figure(dense.macs)}"
            f" multiplications and {figure(dense.acs)} additions"
        )
        yield _dense_table(dense)
        yield {"NeuroBench": _neurobench(self.neurobench)}
        for text in dict.fromkeys(text for e in detailed for text in e.assumptions):
            yield f"assumed: {text}"

    def figures(self) -> Iterator[Figure]:
        yield from estimate_figures(self.known)

    def appendix(self) -> Iterator[Block]:
        if len(self.known) > DETAILED:
            yield energy_table(self.known)
            yield uncertainty_table(self.known)
        yield broken_limits(self.known)
        yield from coefficients(self.known)

    def layers(self) -> Iterator[Block]:
        yield self._layer_table(self.detailed)

    def _counts(self) -> dict[str, str]:
        t = self.totals
        synops = (
            f"{figure(t.synops_per_inference)} of {figure(t.dense_synops_per_inference)} without "
            f"sparsity ({percent(self.synop_share)}), "
            f"{figure(t.graded_synops_per_inference)} of them with graded values"
        )
        updates = (
            f"{figure(t.updates_per_inference)}, active {figure(t.active_per_inference)} "
            f"({percent(self.active_share)}), receiving a message "
            f"{figure(t.receiving_per_inference)}"
        )
        return {
            "synops/inf": synops,
            "updates/inf": updates,
            "host/inf": (
                f"injects {figure(self.io.injected)} messages, "
                f"reads {figure(self.io.read)} membranes"
            ),
        }

    def _layer_table(self, shown: Sequence[EnergyEstimate]) -> Table:
        names = ("spikes_per_inference", "synops_per_inference", "active_per_inference")
        heads = ("spikes\n/inf", "synops\n/inf", "active\nupdates")
        chips = (f"{_broken(e.profile)}\nuJ (cores)" for e in shown)
        sums = (f"{figure(e.core_dynamic_uj)}{_cores(e.cores)}" for e in shown)
        own = {r.name for r in self.populations}
        layers = [{layer.name: layer for layer in e.populations} for e in shown]
        relays = [[layer for layer in e.populations if layer.name not in own] for e in shown]
        passed = [("relays", "", "", "", *map(_relays, relays))] if any(relays) else []
        return table(
            ("population", *heads, *chips),
            [
                (
                    r.name,
                    *(figure(getattr(r, name)) for name in names),
                    *(_layer(of[r.name]) for of in layers),
                )
                for r in self.populations
            ]
            + passed,
            words=("population",),
            footer=("total", *(figure(getattr(self.totals, name)) for name in names), *sums),
        )


def energy_report(
    graph: Graph,
    labels: np.ndarray | None,
    inputs: dict[str, np.ndarray],
    activity: Activity,
    counts: Sequence[PopulationCount],
    energy: Sequence[EnergyEstimate],
    *,
    model: str,
    selection: str,
    origin: Origin = Origin(),
    mode: str = ALONE,
    over_samples: Mapping[str, OverSamples] | None = None,
    idle: Sequence[EnergyEstimate] = (),
) -> EnergyReport:
    """Report of `energy`, the estimates of one run on `inputs` in one mode for several profiles;
    `idle`: those of an input of zeros alone.
    """
    rows = population_rows(counts, None, activity.overflow)
    run = run_fields(graph, labels, activity, rows, model=model, selection=selection, origin=origin)
    injected = sum(c.spikes_per_inference for c in counts if c.kind == "input")
    t = run["totals"]
    return EnergyReport(
        **run,
        synop_share=_share(t.synops_per_inference, t.dense_synops_per_inference),
        active_share=_share(t.active_per_inference, t.updates_per_inference),
        io=Transfers(injected, graph.readout.neurons if graph.readout else 0),
        mode=mode,
        profiles=tuple(energy),
        bands=tuple(_bands(energy)),
        dense_equivalent=dense_equivalent(graph, counts),
        neurobench=neurobench(graph, inputs, activity, counts),
        over_samples=dict(over_samples or {}),
        idle={e.profile: e.core_dynamic_uj for e in idle},
    )


def _bands(energy: Sequence[EnergyEstimate]) -> Iterator[Band]:
    """Of every chip (it has cores) that has more than one set of coefficients here."""
    chips = [e for e in energy if "limits.cores" in e.coefficients]
    for chip in dict.fromkeys(e.chip for e in chips):
        sets = {
            e.profile: e.core_dynamic_uj
            for e in chips
            if e.chip == chip and e.core_dynamic_uj is not None
        }
        if len(sets) > 1:
            yield Band(chip, tuple(sets), min(sets.values()), max(sets.values()))


def _time_table(energy: Sequence[EnergyEstimate]) -> Table:
    """Two lines a chip; what sets the step is named with the population of that core below it."""
    return columns(
        energy,
        {
            "profile": lambda e: f"{e.profile}\n",
            "us a step\nat least": lambda e: _two(e.us_per_step, e.bound_us_per_step),
            "set by": lambda e: e.bottleneck.replace(" (", "\n("),
            "busiest core\nsynops, updates\na step": lambda e: _two(
                e.busiest.synops_per_step, e.busiest.updates_per_step
            ),
            "latency us\nsamples/s": lambda e: _two(e.latency_us, e.samples_per_s),
            "messages\nhops\n/inf": lambda e: _two(e.messages, e.hops),
            "energy-delay\nuJ ms": lambda e: (
                f"{figure(e.energy_delay_uj_ms)}\n{span(e.ranges['energy_delay_uj_ms'])}"
            ),
        },
        words=("profile", "set by"),
    )


def _two(upper: float | None, lower: float | None) -> str:
    return f"{figure(upper)}\n{figure(lower)}"


def _dense_table(dense: DenseEquivalent) -> Table:
    return columns(
        dense.energies,
        {
            "arithmetic of": lambda e: e.profile,
            "without spikes\nuJ/inf": lambda e: figure(e.dense_uj),
            "this network\nuJ/inf": lambda e: figure(e.spiking_uj),
            "ratio": lambda e: figure(e.ratio),
        },
        words=("arithmetic of",),
    )


def _neurobench(n: NeuroBench) -> str:
    return (
        f"footprint {figure(n.footprint_bytes)} bytes, connection sparsity"
        f" {percent(n.connection_sparsity)}, activation sparsity {percent(n.activation_sparsity)},"
        f" effective ACs {figure(n.effective_acs)}, effective MACs {figure(n.effective_macs)},"
        f" dense {figure(n.dense)}, membrane updates {figure(n.membrane_updates)}"
    )


def _band(band: Band) -> str:
    return (
        f"{band.chip} by its published sets of coefficients ({', '.join(band.profiles)}): core"
        f" dynamic {figure(band.low_uj)} .. {figure(band.high_uj)} uJ"
    )


def _layer(layer: PopulationEnergy) -> str:
    return f"{figure(layer.core_dynamic_uj)}{_cores(layer.cores)}" if layer.updates else "-"


def _relays(relays: Sequence[PopulationEnergy]) -> str:
    """All relays of a chip together."""
    cores = sum(relay.cores or 0 for relay in relays)
    return f"{figure(_sum(relay.core_dynamic_uj for relay in relays))}{_cores(cores or None)}"


def _sum(values: Iterable[float | None]) -> float:
    return sum(value or 0.0 for value in values)


def _broken(name: str) -> str:
    """A long name of two words in two lines."""
    return name.replace("-", "-\n", 1) if len(name) > NARROW else name


def _cores(cores: int | None) -> str:
    return "" if cores is None else f" ({cores:,})"


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole
