"""The report of a placement, put together from what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...core.graph import Graph, Population
from ...core.samples import Origin
from ...hw_profiles import profile as profiles
from ..counts.sampling import of_each
from ..energy.modes import ALONE
from ..placement.fit import Fit, capacity, fit, judged
from ..placement.placement import SHARES, Core, Placement, pack, placeable
from ..placement.traffic import PopulationTraffic, Traffic, cost, rerouted
from .placement import Alternative, PlacementReport, PlacementRow, TrafficTotals

SENT = ("messages", "hops_ew", "hops_ns", "cost", "chip_crossings", "busiest_link")
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


def placement_report(
    graph: Graph,
    found: Fit,
    *,
    model: str,
    naive: tuple[Placement, Traffic] | None = None,
    optimised: tuple[Placement, Traffic] | None = None,
    parts: Sequence[tuple[int, Traffic]] = (),
    samples: str | None = None,
    origin: Origin | None = None,
    mode: str = ALONE,
    steps: int | None = None,
    packed: bool = False,
    inputs: bool = False,
) -> PlacementReport:
    """Report of what `fit` found, with the traffic of its placement if there is any: that of a
    sample in a `mode`, which takes so many hardware `steps` (default: the graph's). `parts`: the
    traffic of groups of the samples in the naive order, each with its number of samples.
    """
    shown, placement, profile = optimised or naive, found.placement, found.profile
    cores = shown[0].cores if shown else placement.cores if placement else ()
    sent = {} if shown is None else {p.name: p for p in shown[1].populations}
    line = found.line.graph
    rows = (
        ()
        if placement is None
        else tuple(_row(p, placement, sent.get(p.name)) for p in line.populations)
    )
    return PlacementReport(
        model=model,
        profile=profile.name,
        chip=profile.chip,
        packed=packed,
        inputs_placed=inputs,
        order="optimised" if optimised else "naive",
        asked=found.room and found.room.asked,
        capacity=found.room and found.room.cores,
        systems=placement.systems if placement else {},
        fits=bool(found.fits),
        cores=len(cores) if placement else None,
        chips=placement.chips if placement else None,
        system=placement.system if placement else None,
        neurons=sum(p.neurons for p in line.populations if inputs or p.kind != "input"),
        network=found.layout(),
        utilisation=_utilisation(cores),
        populations=rows,
        selection=samples,
        origin=origin,
        mode=mode,
        naive=None if naive is None else _totals(*naive, parts),
        optimised=None if optimised is None else _totals(*optimised, parts),
        violations=found.violations,
        misfits=found.misfits,
        alternatives=() if found.fits else alternatives(graph, found, packed=packed, inputs=inputs),
        assumptions=(ASSUMPTIONS[profile.mapping],),
        map=tuple(_core(core, shown[1] if shown else None, steps or graph.steps) for core in cores),
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
    if placement is not None and not packed:
        together = pack(found.line.graph, chip, placement)
        here += [together] if len(together.cores) < len(placement.cores) else []
    rooms = (found.room, capacity(chip))
    answers = [
        _alternative(p)
        for p in here
        if any(judged(found.line, chip, p, room=room).fits for room in rooms)
    ]
    seen = {chip.chip}
    for other in map(profiles.load, profiles.names()):
        if other.mapping and placeable(other) and other.chip not in seen:
            seen.add(other.chip)
            there = fit(graph, other, packed=packed, inputs=inputs)
            if there.fits and there.placement and there.placement.system:
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


def _row(p: Population, placement: Placement, sent: PopulationTraffic | None) -> PlacementRow:
    cores = placement.of(p.name)
    messages, hops = (None, None) if sent is None else (sent.messages, sent.hops)
    if not cores:
        return PlacementRow(
            p.name, tuple(p.shape), p.neurons, 0, None, None, None, 0, 0, 0, None, messages, hops
        )
    shares = [max(core.utilisation().values()) for core in cores]
    fullest = cores[int(np.argmax(shares))]
    largest = {name: max(_taken(core, name) or 0 for core in cores) for name in SHARES}
    return PlacementRow(
        p.name,
        tuple(p.shape),
        p.neurons,
        len(cores),
        fullest.binding,
        float(np.mean(shares)),
        max(shares),
        largest["synapse_words"],
        largest["axons_in"],
        largest["axons_out"],
        _taken(fullest, "accumulators") and largest["accumulators"],
        messages,
        hops,
    )


def _taken(core: Core, name: str) -> int | None:
    """What a core takes of `SHARES`; accumulators where the chip is known to have so many."""
    unknown = name == "accumulators" and name not in core.limits
    return None if unknown else int(getattr(core, name))


def _utilisation(cores: Sequence[Core]) -> dict[str, tuple[float, float]]:
    used = [core.utilisation() for core in cores]
    return {
        name: (float(np.mean([share[name] for share in used])), max(share[name] for share in used))
        for name in (used[0] if used else ())
    }


def _totals(
    placement: Placement, traffic: Traffic, parts: Sequence[tuple[int, Traffic]]
) -> TrafficTotals:
    sums = [_sums(placement, rerouted(placement, part)) for _, part in parts]
    tables = [{name: getattr(each, name) for name in SENT} for each in sums]
    found = of_each(tables, [samples for samples, _ in parts])
    return replace(_sums(placement, traffic), over_samples=found)


def _sums(placement: Placement, traffic: Traffic) -> TrafficTotals:
    return TrafficTotals(
        traffic.messages,
        traffic.hops_ew,
        traffic.hops_ns,
        cost(placement, traffic.flows),
        traffic.chip_crossings,
        traffic.busiest_link,
    )


def _core(core: Core, traffic: Traffic | None, steps: int) -> dict:
    return {
        "core": core.index,
        "chip": core.chip,
        "tile": core.tile,
        "binding": core.binding,
        "pieces": [{"population": piece.population, "box": piece.box} for piece in core.pieces],
        **{name: _taken(core, name) for name in SHARES},
        "utilisation": core.utilisation(),
        "synops_per_step": None if traffic is None else float(traffic.synops[core.index]) / steps,
        "messages_per_step": (
            None if traffic is None else float(traffic.received[core.index]) / steps
        ),
    }
