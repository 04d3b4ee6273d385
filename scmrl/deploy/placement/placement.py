"""Placement of a graph on the cores of a chip, under the limits that bind: neurons, synaptic
memory, axons.

    `cut`       each population into equal boxes, one a core, as few as the chip's rule gives
    `axons`     cut again, finer, where a core has more output axons than it may
    pack        where asked for: each core's pieces onto the first core that has room for them
    `mesh`      core i stands at place i of the system: chip by chip, tile by tile

Every neuron takes one place on its core, memoryless AND and OR populations too. Inputs are injected
by the host and take no core, unless asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.graph import Box, Graph
from ...hw_profiles.profile import Profile
from ...system.errors import UsageError
from .axons import axons_out
from .boxes import neurons_in
from .cores import SHARES, Core, Piece, Placement, accumulators
from .cut import cut
from .demand import WORDS, Demands, DoesNotFit, Misfit, Unit, units
from .mesh import mesh_of

__all__ = [  # what other rooms use of this one
    "SHARES",
    "WORDS",
    "Core",
    "DoesNotFit",
    "Misfit",
    "Placement",
    "pack",
    "place",
    "placeable",
    "require_cores",
    "systems",
]

NEEDED = ("cores", "neurons_per_core")


def placeable(profile: Profile) -> bool:
    """Whether a profile says enough of its cores to place a graph on them."""
    return set(NEEDED) <= profile.limits.keys()


def require_cores(profile: Profile) -> None:
    """Raise `UsageError` where a profile says nothing of cores."""
    if not placeable(profile):
        raise UsageError(
            "this profile does not say what a core holds, so nothing can be placed",
            where=profile.name,
            limit=", ".join(NEEDED),
            fix="choose a profile of a chip with cores, such as loihi2",
        )


def systems(profile: Profile) -> dict[str, int]:
    """Cores of every system of a chip with cores."""
    per_chip = int(profile.limits["cores"].value)
    return {
        name: int(q["cores"].value if "cores" in q else q["chips"].value * per_chip)
        for name, q in profile.systems.items()
    }


def place(
    graph: Graph,
    profile: Profile,
    *,
    packed: bool = False,
    inputs: bool = False,
    expanded: bool = False,
    order: Sequence[str] | None = None,
) -> Placement:
    """Place a graph on as many cores as it takes, in the `order` of its populations (default: from
    the inputs on); no samples are needed.

    `packed` lets small populations share cores, as the chips can and Lava does not; `inputs` places
    the input populations too; `expanded` stores each connection of convolutions on its own. Raises
    `UsageError` where the profile says nothing of cores, `DoesNotFit` where a single neuron exceeds
    a limit.
    """
    require_cores(profile)
    demands = Demands(graph, profile, expanded=expanded)
    each = graph.order() if order is None else [graph[name] for name in order]
    placed = units(p for p in each if inputs or p.kind != "input")
    boxes = _cut(demands, placed)
    groups = [demands.pieces(placed[name], box) for name in placed for box in boxes[name]]
    groups = _packed(demands, groups) if packed else groups
    return _placement(demands, profile, groups, packed=packed, inputs=inputs)


def pack(graph: Graph, profile: Profile, placement: Placement) -> Placement:
    """The same pieces on fewer cores: what `place` gives for `packed`, without cutting again."""
    demands = Demands(graph, profile, expanded=placement.expanded)
    groups = _packed(demands, [list(core.pieces) for core in placement.cores])
    return _placement(demands, profile, groups, packed=True, inputs=placement.inputs)


def _cut(demands: Demands, placed: dict[str, Unit]) -> dict[str, list[Box]]:
    """Boxes of every unit; those whose output axons do not fit are cut again, finer."""
    boxes: dict[str, list[Box]] = {}
    fewest = dict.fromkeys(placed, 1)
    while fewest:
        found = {name: cut(demands, placed[name], number) for name, number in fewest.items()}
        misfits = tuple(each for each in found.values() if isinstance(each, Misfit))
        if misfits:
            raise DoesNotFit(demands.chip, misfits)
        boxes |= {name: each for name, each in found.items() if not isinstance(each, Misfit)}
        fewest = _too_few(demands, placed, boxes)
    return boxes


def _too_few(
    demands: Demands, placed: dict[str, Unit], boxes: dict[str, list[Box]]
) -> dict[str, int]:
    """Units with a core that has too many output axons, and the number of cores to try next."""
    limit = demands.limits.get("axons_out")
    if limit is None:
        return {}
    groups = [
        [Piece(p.name, box, neurons_in(box), 0, 0, frozenset(), 0) for p in unit.members]
        for name, unit in placed.items()
        for box in boxes[name]
    ]
    worst: dict[str, int] = {}
    single: dict[str, int] = {}  # of cores with one neuron, which nothing can cut
    for group, out in zip(groups, axons_out(demands.graph, demands.memory, groups)):
        name = group[0].population
        worst[name] = max(worst.get(name, 0), int(out))
        if out > limit and group[0].neurons == 1:
            single[name] = max(single.get(name, 0), int(out))
    if single:
        misfits = (Misfit(name, "axons_out", limit, out) for name, out in single.items())
        raise DoesNotFit(demands.chip, tuple(misfits))
    now = {name: len(boxes[name]) for name, out in worst.items() if out > limit}
    return {
        name: min(max(cores + 1, cores * worst[name] // limit), placed[name].neurons)
        for name, cores in now.items()
    }


def _packed(demands: Demands, groups: list[list[Piece]]) -> list[list[Piece]]:
    """First fit in the order of the populations: each group onto the first core that has room for
    it.
    """
    names = [name for name in SHARES[:4] if name in demands.limits]  # what adds up
    room = np.tile([demands.limits[name] for name in names], (len(groups), 1))
    packed: list[list[Piece]] = []
    for group, out in zip(groups, axons_out(demands.graph, demands.memory, groups)):
        takes = {name: sum(getattr(piece, name) for piece in group) for name in SHARES[:3]}
        needs = np.array([(takes | {"axons_out": out})[name] for name in names])
        fitting = np.flatnonzero((room[: len(packed)] >= needs).all(1))
        mixing = (int(core) for core in fitting if _mix(demands, packed[core] + group))
        place = next(mixing, len(packed))
        if place == len(packed):
            packed.append([])
        packed[place] += group
        room[place] -= needs
    return packed


def _mix(demands: Demands, pieces: list[Piece]) -> bool:
    """Whether one core can hold so many populations and synapse formats, and its longest delay."""
    limits = demands.memory.limits
    taken = accumulators(sum(p.neurons for p in pieces), max(p.delay_bits for p in pieces))
    if taken > demands.limits.get("accumulators", taken):
        return False
    populations = len({piece.population for piece in pieces})
    formats = len(frozenset().union(*(piece.formats for piece in pieces)))
    return populations <= limits.get(
        "neuron_groups_per_core", populations
    ) and formats <= limits.get("synapse_formats_per_core", formats)


def _placement(
    demands: Demands, profile: Profile, groups: list[list[Piece]], *, packed: bool, inputs: bool
) -> Placement:
    per_chip = demands.memory.limits["cores"]
    chips = -(-len(groups) // per_chip)
    mesh, sizes = mesh_of(profile, chips), systems(profile)
    out = axons_out(demands.graph, demands.memory, groups)
    cores = tuple(
        Core(i, tuple(group), int(out[i]), i, 0, None, demands.limits).at(i, per_chip, mesh)
        for i, group in enumerate(groups)
    )
    fitting = [
        name for name in sorted(sizes, key=lambda name: sizes[name]) if sizes[name] >= len(cores)
    ]
    return Placement(
        profile.name,
        profile.chip,
        cores,
        chips,
        fitting[0] if fitting else None,
        sizes,
        per_chip,
        mesh,
        _formats(demands, groups),
        packed,
        inputs,
        demands.memory.expanded,
    )


def _formats(demands: Demands, groups: list[list[Piece]]) -> tuple[str, ...]:
    """Format of each synapse on the first core that it reaches; sparse where its target takes no
    core.
    """
    graph = demands.graph
    first = {piece.population: piece.box for group in reversed(groups) for piece in group}
    found = []
    for synapse in graph.synapses:
        if synapse.target not in first:
            found.append("sparse")
            continue
        source, box = graph[synapse.source].shape, first[synapse.target]
        counts = synapse.arrivals(source, graph[synapse.target].shape, box)[1]
        found.append(demands.memory.store(synapse, source, box, counts).format)
    return tuple(found)
