"""What `scmrl place` tells: cores by population, what binds, chips, traffic in both orders, what
would fit.

Every number on the screen is in the JSON, there with each core as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.graph import Graph
from ...core.report.report import Report, figure, percent, source, table
from ...core.samples import Origin
from ...hw_profiles import profile as profiles
from ...hw_profiles.limits import OF_ALL_CHIPS, Violation, sentence
from ..placement.fit import Fit, capacity, fit, judged
from ..placement.placement import SHARES, WORDS, Misfit, Placement, pack, placeable
from ..placement.traffic import Traffic, cost
from .report import dead_warning

SHORT = {name: name.replace("synapse_", "").replace("_", " ") for name in SHARES}
LARGEST = 3  # populations that a misfit names
ASSUMPTIONS = {
    "loihi1": (
        "synapses in NxTF's entry formats, shared convolution kernels once a core without border"
        " variants; an input axon for each source neuron; two output axons for a shared"
        " destination, one more to another chip"
    ),
    "loihi2": (
        "rules derived from the mapping logs of lava-dl 0.6.0, which they reproduce: caps of Lava's"
        " compiler, 16 bits a dense synapse, convolutions by position; the mesh is that of Loihi 1"
    ),
    "": (
        "no storage rule of this chip is known: cores from neurons and from weights stored without"
        " index or header, a lower bound"
    ),
}


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
    inputs: bool  # input populations are placed too
    order: str  # naive or optimised
    asked: str | None  # the system or number of chips it was asked to fit
    capacity: int | None  # cores of that, or of the largest system if there is one
    systems: dict[str, int]  # cores of every system of the chip
    fits: bool
    cores: int | None
    chips: int | None
    system: str | None
    neurons: int
    utilisation: dict[
        str, tuple[float, float]
    ]  # share of each limit: mean and largest over the cores
    populations: tuple[PlacementRow, ...]
    samples: str | None
    origin: Origin | None  # of the samples, None where nothing was run
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
        if self.naive is None or self.optimised is None or not self.naive.cost:
            return None
        return 1 - self.optimised.cost / self.naive.cost

    def to_json(self) -> dict:
        return super().to_json() | {"gain": self.gain}

    def why(self) -> str:
        """Why it does not fit, in one line."""
        first, more = self.violations[0], len(self.violations) - 1
        few = any(v.rule == "cores" for v in self.violations)
        if not few or first.rule not in ("cores", *OF_ALL_CHIPS):
            text = (
                f"{self.chip} breaks {first.rule} at {first.where} (limit {first.limit}, got"
                f" {first.value})"
            )
            return text + (f" and {more} more limit{'s' * (more > 1)}" if more else "")
        largest = sorted(
            (row for row in self.populations if row.cores), key=lambda row: -row.cores
        )[:LARGEST]
        names = ", ".join(
            f"{row.name} {row.cores:,} (bound by {WORDS[row.binding]})" for row in largest
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
                "" if self.inputs else ", inputs from the host"
            )
        if self.fits:
            fullest = max(self.utilisation, key=lambda name: self.utilisation[name][1])
            facts["fullest core"] = (
                f"{percent(self.utilisation[fullest][1])} of its {WORDS[fullest]}"
            )
        if self.naive is not None:
            best = self.optimised or self.naive
            facts["traffic"] = f"{_whole(best.messages)} messages, " + (
                "no mesh is known"
                if best.hops_ew is None
                else (
                    f"{_whole(best.hops_ew)} hops E-W, {_whole(best.hops_ns)} N-S an inference"
                    f" ({self.order} order)"
                )
            )
        return facts | ({"samples": self.samples} if self.samples else {})

    def _room(self) -> str:
        """Where it fits."""
        chips = f"yes: {self.chips:,} chip{'s' * (self.chips > 1)} of {self.chip}"
        if self.asked:
            return f"{chips}; {percent(self.cores / self.capacity)} of the cores of {self.asked}"
        return chips + (
            f", smallest system: {self.system}"
            if self.system
            else ", no system of this chip is known"
        )

    def details(self) -> Iterator[object]:
        yield {"model": source(self.model, self.bundle), "profile": f"{self.profile} ({self.chip})"}
        yield from self._violation_lines()
        if self.populations:
            shares = [(WORDS[name], *map(percent, ends)) for name, ends in self.utilisation.items()]
            yield table(("", "mean over cores", "largest"), shares, words=("",))
        if self.naive is not None:
            yield self._traffic_table()
        yield from (f"assumed: {line}" for line in self.assumptions)

    def layers(self) -> Iterator[object]:
        if self.populations:
            yield self._population_table()

    def _violation_lines(self):
        """Every broken limit, then what one neuron needs where no core holds it."""
        for v in self.violations:
            yield (
                f"breaks {v.rule} at {v.where}: limit {v.limit}, got {v.value};"
                f" {sentence(v.remedy)}"
            )
        for misfit in self.misfits:
            yield f"does not fit: {misfit}"

    def _population_table(self):
        cells = [
            (
                r.name,
                figure(r.cores),
                SHORT.get(r.binding, "-"),
                _tenth(r.utilisation_mean),
                _tenth(r.utilisation_max),
                figure(r.synapse_words),
                figure(r.axons_in),
                figure(r.axons_out),
                *((_whole(r.messages), _whole(r.hops)) if self.naive else ()),
            )
            for r in self.populations
        ]
        heads = (
            "population",
            "cores",
            "bound by",
            "mean\n%",
            "max\n%",
            "words\na core",
            "axons\nin",
            "axons\nout",
            *(("messages\n/inf", "hops\n/inf") if self.naive else ()),
        )
        sums = [
            _whole(_sum(getattr(r, name) for r in self.populations))
            for name in ("messages", "hops")
        ]
        total = ("total", figure(self.cores), *[""] * 6, *(sums if self.naive else ()))
        return table(heads, cells, words=("population",), footer=total)

    def _traffic_table(self):
        orders = [
            (name, getattr(self, name)) for name in ("naive", "optimised") if getattr(self, name)
        ]
        cells = [
            (
                name,
                _whole(t.messages),
                _whole(t.hops_ew),
                _whole(t.hops_ns),
                _whole(t.cost),
                _whole(t.chip_crossings),
                _whole(t.busiest_link),
                percent(self.gain) if name == "optimised" else "",
            )
            for name, t in orders
        ]
        return table(
            (
                "order of cores",
                "messages\n/inf",
                "hops E-W",
                "hops N-S",
                "weighted\nhops",
                "chip\ncrossings",
                "busiest\nlink",
                "saved",
            ),
            cells,
            words=("order of cores",),
        )


def placement_report(
    graph: Graph,
    found: Fit,
    *,
    model: str,
    naive: tuple[Placement, Traffic] | None = None,
    optimised: tuple[Placement, Traffic] | None = None,
    samples: str | None = None,
    origin: Origin | None = None,
    packed: bool = False,
    inputs: bool = False,
) -> PlacementReport:
    """Report of what `fit` found, with the traffic of its placement if there is any."""
    shown, placement, profile = optimised or naive, found.placement, found.profile
    cores = shown[0].cores if shown else placement.cores if placement else ()
    totals = {
        name: None if pair is None else _totals(*pair)
        for name, pair in (("naive", naive), ("optimised", optimised))
    }
    sent = {} if shown is None else {p.name: p for p in shown[1].populations}
    rows = (
        ()
        if placement is None
        else tuple(_row(p, placement, sent.get(p.name)) for p in graph.populations)
    )
    return PlacementReport(
        model=model,
        profile=profile.name,
        chip=profile.chip,
        packed=packed,
        inputs=inputs,
        order="optimised" if optimised else "naive",
        asked=found.room.asked,
        capacity=found.room.cores,
        systems=placement.systems if placement else {},
        fits=bool(found.fits),
        cores=len(cores) if placement else None,
        chips=placement.chips if placement else None,
        system=placement.system if placement else None,
        neurons=sum(p.neurons for p in graph.populations if inputs or p.kind != "input"),
        utilisation=_utilisation(cores),
        populations=rows,
        samples=samples,
        origin=origin,
        **totals,
        violations=found.violations,
        misfits=found.misfits,
        alternatives=() if found.fits else alternatives(graph, found, packed=packed, inputs=inputs),
        assumptions=(ASSUMPTIONS[profile.mapping],),
        map=tuple(_core(core, shown[1] if shown else None, graph.steps) for core in cores),
        dead=tuple(p.name for p in graph.of_kind("lif") if sent and not sent[p.name].spikes),
        firing=len(graph.of_kind("lif")),
    )


def alternatives(
    graph: Graph, found: Fit, *, packed: bool, inputs: bool
) -> tuple[Alternative, ...]:
    """What holds the graph: a larger system of this chip, this chip packed, and the other chips
    whose storage rule is known.
    """
    placement, chip = found.placement, found.profile
    here = (
        [] if placement is None else [placement]
    )  # without one, a neuron does not fit: nor when packed
    if here and not packed:
        together = pack(graph, chip, placement)
        here += [together] if len(together.cores) < len(placement.cores) else []
    rooms = (found.room, capacity(chip))
    answers = [
        _alternative(p)
        for p in here
        if any(judged(graph, chip, p, room=room).fits for room in rooms)
    ]
    seen = {chip.chip}
    for other in map(profiles.load, profiles.names()):
        if other.mapping and placeable(other) and other.chip not in seen:
            seen.add(other.chip)
            there = fit(graph, other, packed=packed, inputs=inputs)
            if there.fits and there.placement.system:
                answers.append(_alternative(there.placement))
    return tuple(answers)


def _alternative(placement: Placement) -> Alternative:
    return Alternative(
        placement.profile,
        placement.chip,
        placement.packed,
        len(placement.cores),
        placement.chips,
        placement.system,
    )


def _row(p, placement: Placement, sent) -> PlacementRow:
    cores = placement.of(p.name)
    hops = None if sent is None or sent.hops_ew is None else sent.hops_ew + sent.hops_ns
    messages = None if sent is None else sent.messages
    if not cores:
        return PlacementRow(
            p.name, tuple(p.shape), p.neurons, 0, None, None, None, 0, 0, 0, messages, hops
        )
    shares = [max(core.utilisation().values()) for core in cores]
    fullest = cores[int(np.argmax(shares))]
    largest = (max(getattr(core, name) for core in cores) for name in SHARES[1:])
    return PlacementRow(
        p.name,
        tuple(p.shape),
        p.neurons,
        len(cores),
        fullest.binding,
        float(np.mean(shares)),
        max(shares),
        *largest,
        messages,
        hops,
    )


def _utilisation(cores: Sequence) -> dict[str, tuple[float, float]]:
    used = [core.utilisation() for core in cores]
    return {
        name: (float(np.mean([share[name] for share in used])), max(share[name] for share in used))
        for name in (used[0] if used else ())
    }


def _totals(placement: Placement, traffic: Traffic) -> TrafficTotals:
    return TrafficTotals(
        traffic.messages,
        traffic.hops_ew,
        traffic.hops_ns,
        cost(placement, traffic.flows),
        traffic.chip_crossings,
        traffic.busiest_link,
    )


def _core(core, traffic: Traffic | None, steps: int) -> dict:
    return {
        "core": core.index,
        "chip": core.chip,
        "tile": core.tile,
        "binding": core.binding,
        "pieces": [{"population": piece.population, "box": piece.box} for piece in core.pieces],
        **{name: getattr(core, name) for name in SHARES},
        "utilisation": core.utilisation(),
        "synops_per_step": None if traffic is None else float(traffic.synops[core.index]) / steps,
        "messages_per_step": (
            None if traffic is None else float(traffic.received[core.index]) / steps
        ),
    }


def _whole(x: float | None) -> str:
    return figure(None if x is None else round(x))


def _tenth(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _sum(values) -> float | None:
    values = [value for value in values if value is not None]
    return sum(values) if values else None
