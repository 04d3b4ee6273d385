"""What `scmrl place` tells: cores by population, what binds, chips, traffic in both orders, what
would fit.

Every number on the screen is in the JSON, there with each core as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ...core.report.report import Block, Report, Table, columns, dead_warning, table
from ...core.report.text import figure, percent, source, whole
from ...core.samples import Origin
from ...hw_profiles.limits import OF_ALL_CHIPS, Violation, sentence
from ..counts.sampling import OverSamples, plus_minus
from ..energy.modes import MODES
from ..placement.layout import Layout
from ..placement.placement import SHARES, WORDS, Misfit
from .estimates import network_words

SHORT = {name: name.replace("synapse_", "").replace("_", " ") for name in SHARES}
SENT = ("messages", "hops")  # of a population, in an inference
LARGEST = 3  # populations that a misfit names


@dataclass(frozen=True)
class PlacementRow:
    """One population: its cores, the limit that binds on the fullest of them, its share there and
    on average; words and axons are the largest over its cores.
    """

    name: str
    shape: tuple[int, ...]
    neurons: int
    cores: int
    binding: str | None
    utilisation_mean: float | None
    utilisation_max: float | None
    synapse_words: int
    axons_in: int
    axons_out: int
    accumulators: int | None  # where the chip is known to have so many
    messages: float | None = None  # per inference
    hops: float | None = None


@dataclass(frozen=True)
class TrafficTotals:
    """Traffic of one inference in one order of the cores."""

    messages: float
    hops_ew: float | None
    hops_ns: float | None
    cost: float | None  # hops weighted by the profile's energies, pJ, or 1 each
    chip_crossings: float | None
    busiest_link: float | None
    over_samples: dict[str, OverSamples] = field(default_factory=dict)  # of the others, if several


@dataclass(frozen=True)
class Alternative:
    """What would hold the network: cores, chips, the smallest system; `packed`: populations share
    cores.
    """

    profile: str
    chip: str
    packed: bool
    cores: int
    chips: int
    system: str | None


@dataclass(frozen=True)
class PlacementReport(Report):
    """A placement, or why there is none. `violations` are all limits that the network breaks,
    `misfits` the populations among them that no core holds. Traffic is None where nothing was run.
    """

    command = "place"
    model: str
    profile: str
    chip: str
    packed: bool
    inputs_placed: bool  # input populations are placed too
    order: str  # naive or optimised
    asked: str | None  # the system or number of chips it was asked to fit
    capacity: int | None  # cores of that, or of the largest system if there is one
    systems: dict[str, int]  # cores of every system of the chip
    fits: bool
    cores: int | None
    chips: int | None
    system: str | None
    neurons: int
    network: Layout | None  # what is placed
    utilisation: dict[
        str, tuple[float, float]
    ]  # share of each limit: mean and largest over the cores
    populations: tuple[PlacementRow, ...]
    selection: str | None  # which samples, in words
    origin: Origin | None  # of the samples, None where nothing was run
    mode: str  # of the traffic
    naive: TrafficTotals | None
    optimised: TrafficTotals | None
    violations: tuple[Violation, ...]
    misfits: tuple[Misfit, ...]
    alternatives: tuple[Alternative, ...]
    assumptions: tuple[str, ...]
    map: tuple[dict, ...]  # every core
    dead: tuple[str, ...]  # populations that never fired on the samples
    firing: int  # populations that may
    bundle: str = ""  # the hash of what is placed

    @property
    def gain(self) -> float | None:
        """Share of the weighted hops that the optimised order saves."""
        naive, best = self.naive, self.optimised
        if naive is None or best is None or best.cost is None or not naive.cost:
            return None
        return 1 - best.cost / naive.cost

    def to_json(self) -> dict:
        return super().to_json() | {"gain": self.gain}

    def why(self) -> str:
        """Why it does not fit, in one line."""
        first, more = self.violations[0], len(self.violations) - 1
        few = any(v.rule == "cores" for v in self.violations)
        of_all = few and first.rule in ("cores", *OF_ALL_CHIPS)
        if not of_all or self.cores is None or self.capacity is None:
            text = (
                f"{self.chip} breaks {first.rule} at {first.where} (limit {first.limit}, got"
                f" {first.value})"
            )
            return text + (f" and {more} more limit{'s' * (more > 1)}" if more else "")
        largest = sorted(
            (row for row in self.populations if row.cores), key=lambda row: -row.cores
        )[:LARGEST]
        names = ", ".join(
            f"{row.name} {row.cores:,} (bound by {WORDS[row.binding]})"
            for row in largest
            if row.binding
        )
        times, room = self.cores / self.capacity, self.asked or "the largest system"
        return (
            f"needs {self.cores:,} cores = {self.chips:,} chips of {self.chip}, {times:.2f} times"
            f" what {room} has ({self.capacity:,} cores); largest: {names}"
        )

    def remedy(self) -> str:
        """What would hold it, in one line."""
        fitting = [
            f"{'packed ' * a.packed}{a.chip}: {a.cores:,} cores = {a.chips:,} "
            f"chip{'s' * (a.chips > 1)}" + (f" ({a.system})" if a.system else "")
            for a in self.alternatives
        ]
        if fitting:
            return "what holds it: " + "; ".join(fitting)
        return (
            f"no other chip whose cores are known holds it: {sentence(self.violations[0].remedy)}"
        )

    def headline(self) -> dict[str, str]:
        facts = (
            {"fits": self._room()}
            if self.fits
            else {"DOES NOT FIT": self.why(), "instead": self.remedy()}
        )
        facts |= dead_warning(self.dead, self.firing)
        if self.cores is not None:
            how = (
                "packed: populations share cores"
                if self.packed
                else "one population a core, as Lava does"
            )
            facts["cores"] = f"{self.cores:,} ({how}), {self.neurons:,} neurons" + (
                "" if self.inputs_placed else ", inputs from the host"
            )
        if self.fits:
            fullest = max(self.utilisation, key=lambda name: self.utilisation[name][1])
            facts["fullest core"] = (
                f"{percent(self.utilisation[fullest][1])} of its {WORDS[fullest]}"
            )
        if self.naive is not None:
            best = self.optimised or self.naive
            error = best.over_samples.get("messages")
            messages = f"{whole(best.messages)}{f' {plus_minus(error)}' if error else ''} messages"
            facts["traffic"] = f"{messages}, " + (
                "no mesh is known"
                if best.hops_ew is None
                else (
                    f"{whole(best.hops_ew)} hops E-W, {whole(best.hops_ns)} N-S an inference"
                    f" ({self.mode}; {self.order} order)"
                )
            )
        return facts | ({"samples": self.selection} if self.selection else {})

    def _room(self) -> str:
        """Where it fits."""
        chips = f"yes: {self.chips:,} chip{'s' * (self.chips != 1)} of {self.chip}"
        if self.asked and self.cores is not None and self.capacity:
            return f"{chips}; {percent(self.cores / self.capacity)} of the cores of {self.asked}"
        return chips + (
            f", smallest system: {self.system}"
            if self.system
            else ", no system of this chip is known"
        )

    def details(self) -> Iterator[Block]:
        yield {
            "model": source(self.model, self.bundle),
            "profile": f"{self.profile} ({self.chip})",
            **({"network": network_words(self.network)} if self.network else {}),
        }
        yield from self._violation_lines()
        if self.populations:
            shares = [(WORDS[name], *map(percent, ends)) for name, ends in self.utilisation.items()]
            yield table(("", "mean over cores", "largest"), shares, words=("",))
        if self.naive is not None:
            yield self._traffic_table()
        yield from (f"assumed: {line}" for line in self.assumptions)

    def layers(self) -> Iterator[Block]:
        if self.populations:
            yield self._population_table()

    def _violation_lines(self) -> Iterator[Block]:
        """Every broken limit, then what one neuron needs where no core holds it."""
        for v in self.violations:
            yield (
                f"breaks {v.rule} at {v.where}: limit {v.limit}, got {v.value};"
                f" {sentence(v.remedy)}"
            )
        for misfit in self.misfits:
            yield f"does not fit: {misfit}"

    def _population_table(self) -> Table:
        sent = {
            "messages\n/inf": lambda r: whole(r.messages),
            "hops\n/inf": lambda r: whole(r.hops),
        }
        sums = [whole(_sum(getattr(r, name) for r in self.populations)) for name in SENT]
        return columns(
            self.populations,
            {
                "population": lambda r: r.name,
                "cores": lambda r: figure(r.cores),
                "bound by": lambda r: SHORT.get(r.binding, "-"),
                "mean\n%": lambda r: _tenth(r.utilisation_mean),
                "max\n%": lambda r: _tenth(r.utilisation_max),
                "words\na core": lambda r: figure(r.synapse_words),
                "axons\nin": lambda r: figure(r.axons_in),
                "axons\nout": lambda r: figure(r.axons_out),
                **(sent if self.naive else {}),
            },
            words=("population",),
            footer=("total", figure(self.cores), *[""] * 6, *(sums if self.naive else ())),
        )

    def _traffic_table(self) -> Table:
        heads = {
            "messages": "messages\n/inf",
            "hops_ew": "hops E-W",
            "hops_ns": "hops N-S",
            "cost": "weighted\nhops",
            "chip_crossings": "chip\ncrossings",
            "busiest_link": "busiest\nlink",
        }
        orders = {"naive": self.naive, "optimised": self.optimised}
        return table(
            ("order of cores", *heads.values(), "saved"),
            [
                (
                    name,
                    *(_with_error(traffic, key) for key in heads),
                    percent(self.gain) if name == "optimised" else "",
                )
                for name, traffic in orders.items()
                if traffic
            ],
            words=("order of cores",),
            caption=f"traffic of {MODES[self.mode]}",
        )

    def appendix(self) -> Iterator[Block]:
        broken = {
            "limit": lambda v: v.rule,
            "where": lambda v: v.where,
            "allowed": lambda v: v.limit,
            "found": lambda v: _apart(v.value),
            "rule": lambda v: v.text,
            "remedy": lambda v: v.remedy,
        }
        yield columns(self.violations, broken, words=broken, caption="What does not fit")
        yield columns(
            self.map,
            {
                "core": lambda core: figure(core["core"]),
                "chip": lambda core: figure(core["chip"]),
                "populations": lambda core: ", ".join(
                    dict.fromkeys(piece["population"] for piece in core["pieces"])
                ),
                "bound by": lambda core: SHORT.get(core["binding"], "-"),
                "used": lambda core: percent(max(core["utilisation"].values())),
                "synops a step": lambda core: figure(core["synops_per_step"]),
            },
            words=("populations", "bound by"),
            caption="The cores",
        )


def _with_error(of: TrafficTotals, name: str) -> str:
    """A mean and, below it, its standard error over the samples."""
    error = of.over_samples.get(name)
    return whole(getattr(of, name)) + (f"\n{plus_minus(error)}" if error else "")


def _tenth(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _apart(value: str) -> str:
    """A whole number with its thousands apart; other words as they are."""
    return f"{int(value):,}" if value.removeprefix("-").isdecimal() else value
