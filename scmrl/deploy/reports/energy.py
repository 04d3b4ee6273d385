"""What `scmrl energy` tells: exact counts, energies and times of each chip and layer, and
comparisons.

Every number on the screen is in the JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.activity import Activity
from ...core.graph import Graph
from ...core.report.report import figure, percent, span, table
from ...core.samples import Origin
from ...hw_profiles.limits import refusal
from ..counts.counts import PopulationCount
from ..counts.neurobench import NeuroBench, neurobench
from ..energy.dense_equivalent import DenseEquivalent, dense_equivalent
from ..energy.energy import EnergyEstimate
from .report import (
    RunReport,
    _bases,
    _energy_table,
    _estimate,
    _profiles_json,
    _rows,
    _run,
    fits_cell,
)

NARROW = 10  # characters of a column
FITS = {True: 0, None: 1, False: 2}  # the order of the answers
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
    profiles: tuple[EnergyEstimate, ...]
    bands: tuple[Band, ...]
    dense_equivalent: DenseEquivalent
    neurobench: NeuroBench

    def to_json(self) -> dict:
        rows = _profiles_json(self.profiles)
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
        """Chips with a total; then those without one, apart: that hold it, that may, that do
        not.
        """
        return sorted(
            self.profiles,
            key=lambda e: (
                e.total_uj is None,
                FITS[e.fits],
                e.core_dynamic_uj is None,
                e.latency_us is None,
            ),
        )

    @property
    def detailed(self) -> list[EnergyEstimate]:
        return [e for e in self.known if e.core_dynamic_uj is not None][:DETAILED]

    def headline(self) -> dict[str, str]:
        lines = self.warnings()
        if len(self.profiles) <= DETAILED:
            lines |= {e.profile: _estimate(e) for e in self.known}
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
        of, count = (
            {answer: [e.profile for e in self.known if e.fits is answer] for answer in FITS},
            self.verdicts,
        )

        def some(answer: bool | None) -> str:
            return ", ".join(of[answer][:4]) + (", ..." if len(of[answer]) > 4 else "")

        lines = {
            "fits": f"{count['fit']} of {count['asked']} chips: {some(True)}",
            "does not fit": f"{count['do_not']}: {some(False)}",
            "no limits": f"{count['unknown']}: {some(None)}",
        }
        lines = {name: text for name, text in lines.items() if not text.startswith("0: ")}
        whole = [e for e in self.known if e.total_uj is not None]
        return lines | (
            {e.profile: _estimate(e) for e in whole[:1]}
            or {"total": "of none: parts are not published"}
        )

    def _where(self) -> dict[str, str]:
        """Where the energy goes on the first chip: by part, and its populations."""
        if not self.detailed:
            return {}
        e = self.detailed[0]
        parts = sorted(e.where().items(), key=lambda item: -item[1])
        most = sorted(self.shares(e).items(), key=lambda item: -item[1])[:2]
        return {
            "where": (
                ", ".join(f"{name} {percent(share)}" for name, share in parts)
                + (
                    f"; {' and '.join(f'{name} {percent(share)}' for name, share in most)} of the"
                    " dynamic"
                    if most
                    else ""
                )
                + f" ({e.profile})"
            )
        }

    @staticmethod
    def shares(e: EnergyEstimate) -> dict[str, float]:
        """Shares of the populations in the core dynamic energy of a chip."""
        return {
            layer.name: layer.core_dynamic_uj / e.core_dynamic_uj
            for layer in e.populations
            if layer.core_dynamic_uj and e.core_dynamic_uj
        }

    def details(self) -> Iterator[object]:
        known, detailed = self.known, self.detailed
        if len(known) > DETAILED:
            yield _chip_table(known)
        elif known:
            yield _energy_table(known)
        yield {
            "model": self.source,
            "backend": self.ran()["backend"],
            **self._counts(),
            "kind": "counts are exact; energies and times are ESTIMATES from them, not measured",
        }
        yield from (_band(band) for band in self.bands)
        if any(e.latency_us is not None for e in known):
            yield _time_table([e for e in known if e.latency_us is not None])
        dense = self.dense_equivalent
        yield (
            f"the same network without spikes, every layer run once: {figure(dense.macs)}"
            f" multiplications and {figure(dense.acs)} additions"
        )
        yield _dense_table(dense)
        yield {"NeuroBench": _neurobench(self.neurobench)}
        yield from _remarks(known)
        yield from _bases(known if len(known) <= DETAILED else detailed)
        for text in dict.fromkeys(text for e in detailed for text in e.assumptions):
            yield f"assumed: {text}"

    def layers(self) -> Iterator[object]:
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

    def _layer_table(self, shown: Sequence[EnergyEstimate]):
        cells = [
            (
                r.name,
                figure(r.spikes_per_inference),
                figure(r.synops_per_inference),
                figure(r.active_per_inference),
                *(_layer(e.populations[i]) for e in shown),
            )
            for i, r in enumerate(self.populations)
        ]
        total = (
            "total",
            figure(self.totals.spikes_per_inference),
            figure(self.totals.synops_per_inference),
            figure(self.totals.active_per_inference),
            *(f"{figure(e.core_dynamic_uj)}{_cores(e.cores)}" for e in shown),
        )
        heads = (
            "population",
            "spikes\n/inf",
            "synops\n/inf",
            "active\nupdates",
            *(f"{_broken(e.profile)}\nuJ (cores)" for e in shown),
        )
        return table(heads, cells, words=("population",), footer=total)


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
) -> EnergyReport:
    """Report of `energy`, the estimates of one run on `inputs` for several profiles."""
    rows = _rows(counts, None, activity.overflow)
    run = _run(
        graph,
        labels,
        activity,
        rows,
        model=model,
        selection=selection,
        origin=origin,
        comparison=None,
    )
    injected = sum(c.spikes_per_inference for c in counts if c.kind == "input")
    t = run["totals"]
    return EnergyReport(
        **run,
        synop_share=_share(t.synops_per_inference, t.dense_synops_per_inference),
        active_share=_share(t.active_per_inference, t.updates_per_inference),
        io=Transfers(injected, graph.readout.neurons if graph.readout else 0),
        profiles=tuple(energy),
        bands=tuple(_bands(energy)),
        dense_equivalent=dense_equivalent(graph, counts),
        neurobench=neurobench(graph, inputs, activity, counts),
    )


def _bands(energy: Sequence[EnergyEstimate]) -> Iterator[Band]:
    """Of every chip (it has cores) that has more than one set of coefficients here."""
    chips = [
        e for e in energy if "limits.cores" in e.coefficients and e.core_dynamic_uj is not None
    ]
    for chip in dict.fromkeys(e.chip for e in chips):
        sets = {e.profile: e.core_dynamic_uj for e in chips if e.chip == chip}
        if len(sets) > 1:
            yield Band(chip, tuple(sets), min(sets.values()), max(sets.values()))


# The terminal.


def _chip_table(energy: Sequence[EnergyEstimate]):
    """Chips with a total first; where there is none, the part that is known by its name."""
    cells = [
        (
            e.profile,
            fits_cell(e),
            figure(e.total_uj),
            figure(e.latency_ms),
            (
                "not published"
                if e.core_dynamic_uj is None
                else f"{figure(e.core_dynamic_uj)} {e.part}"
            ),
        )
        for e in energy
    ]
    return table(
        ("profile", "fits", "total\nuJ/inf", "latency\nms", "part of it, uJ/inf"),
        cells,
        words=("profile", "fits", "part of it, uJ/inf"),
    )


def _time_table(energy: Sequence[EnergyEstimate]):
    """Two lines a chip; what sets the step is named with the population of that core below it."""
    cells = [
        (
            f"{e.profile}\n",
            _two(e.us_per_step, e.bound_us_per_step),
            e.bottleneck.replace(" (", "\n("),
            _two(e.busiest.synops_per_step, e.busiest.updates_per_step),
            _two(*e.samples_per_s),
            _two(e.messages, e.hops),
            f"{figure(e.energy_delay_uj_ms)}\n{span(e.ranges['energy_delay_uj_ms'])}",
        )
        for e in energy
    ]
    return table(
        (
            "profile",
            "us a step\nat least",
            "set by",
            "busiest core\nsynops, updates\na step",
            "samples/s\nalone\npipelined",
            "messages\nhops\n/inf",
            "energy-delay\nuJ ms",
        ),
        cells,
        words=("profile", "set by"),
    )


def _two(upper: float | None, lower: float | None) -> str:
    return f"{figure(upper)}\n{figure(lower)}"


def _dense_table(dense: DenseEquivalent):
    cells = [
        (e.profile, figure(e.dense_uj), figure(e.spiking_uj), figure(e.ratio))
        for e in dense.energies
    ]
    return table(
        ("arithmetic of", "without spikes\nuJ/inf", "this network\nuJ/inf", "ratio"),
        cells,
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


def _remarks(energy: Sequence[EnergyEstimate]) -> Iterator[str]:
    """What is not in an estimate, and why a chip may not run the network; the same words said
    once.
    """
    said: dict[str, list[str]] = {}
    for e in energy:
        for remark in _remarks_on(e):
            said.setdefault(remark, []).append(e.profile)
    return (f"{', '.join(names)}: {remark}" for remark, names in said.items())


def _remarks_on(e: EnergyEstimate) -> Iterator[str]:
    if e.unplaced and e.core_dynamic_uj is not None:
        yield f"not placed: {e.unplaced}"
    if e.cores and e.system is None:
        yield f"no system of {figure(e.chips)} chips is known"
    for v in e.violations:
        yield f"breaks {v.rule} at {v.where}: limit {v.limit}, got {v.value}"
    if e.not_published:
        yield f"not published: {', '.join(e.not_published)}"


def _layer(layer) -> str:
    return f"{figure(layer.core_dynamic_uj)}{_cores(layer.cores)}" if layer.updates else "-"


def _broken(name: str) -> str:
    """A long name of two words in two lines."""
    return name.replace("-", "-\n", 1) if len(name) > NARROW else name


def _cores(cores: int | None) -> str:
    return "" if cores is None else f" ({cores:,})"


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole
