"""Placement of a graph on the cores of a chip, under the limits that bind: neurons, synaptic
memory, axons.

Each population is cut into equal boxes (ranges along its axes), one a core, by the chip's rule:

    Loihi 1 (NxTF)     the fewest boxes that fit; among those of equal number the fewest input axons and words
    Loihi 2 (Lava)     dense: ratio r = ceil(words / limit), boxes of ceil(n / r) neurons, r doubled until
                       it fits; else: the widest power of two along the last axis with fewer than
                       `conv_tile_neurons` in a box, then the other positions halved; channels halved until
                       the words fit
    no rule known      as Loihi 1

    axons out          one for each neuron and destination core; Loihi 1: two where the destination shares its
                       weights, one more to another chip; Loihi 2: one for each neuron and destination
                       population, or, where that shares its weights, for each position (the logs fit nothing
                       more)

Where axons out do not fit, the population is cut further. Every neuron takes one place on its core,
memoryless AND and OR populations too; populations that add their membranes (`Population.adds`) are
cut alike and stay together. Inputs are injected by the host and take no core, unless asked for.
Sources: NxTF, doi 10.1145/3501770; the rest derived from mapping logs of lava-dl 0.6.0; see
`validation.core_counts`.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...core.graph import Box, Graph, Population, Synapse, slices, whole
from ...hw_profiles.profile import Profile
from ...system.errors import GraphError, UsageError
from .mesh import Mesh, mesh_of
from .synapse_memory import SynapseMemory

SHARES = ("neurons", "synapse_words", "axons_in", "axons_out")
NEEDED = ("cores", "neurons_per_core")


@dataclass(frozen=True)
class Piece:
    """The neurons of one population on one core, as a box of index ranges, and what they take
    there.
    """

    population: str
    box: Box
    neurons: int
    synapse_words: int
    axons_in: int
    formats: frozenset[tuple]  # distinct formats of its synapses


@dataclass(frozen=True)
class Core:
    """One core: its pieces (several only where packed), what they take in all, and its place.

    `slot` numbers the places of a system, chip by chip; `tile` is (column, row) on the chip, None
    where the profile tells no mesh. `limits` hold what a core has of `SHARES`.
    """

    index: int
    pieces: tuple[Piece, ...]
    axons_out: int
    slot: int
    chip: int
    tile: tuple[int, int] | None
    limits: dict[str, int]

    @property
    def population(self) -> str:
        return " + ".join(dict.fromkeys(piece.population for piece in self.pieces))

    @property
    def neurons(self) -> int:
        return sum(piece.neurons for piece in self.pieces)

    @property
    def synapse_words(self) -> int:
        return sum(piece.synapse_words for piece in self.pieces)

    @property
    def axons_in(self) -> int:
        return sum(piece.axons_in for piece in self.pieces)

    def utilisation(self) -> dict[str, float]:
        """Share of each limit that the core takes."""
        return {name: getattr(self, name) / limit for name, limit in self.limits.items()}

    @property
    def binding(self) -> str:
        """The limit of which the largest share is taken."""
        used = self.utilisation()
        return max(used, key=used.get)


@dataclass(frozen=True)
class Placement:
    """The cores of a graph on a chip. `formats` holds dense, sparse or conv for each synapse of the
    graph, in order; `system` is the smallest that has the cores, None where none is known or large
    enough.
    """

    profile: str
    chip: str
    cores: tuple[Core, ...]
    chips: int
    system: str | None
    systems: dict[str, int]  # cores of every system of the profile
    cores_per_chip: int
    mesh: Mesh | None
    formats: tuple[str, ...]
    packed: bool
    inputs: bool

    def of(self, name: str) -> tuple[Core, ...]:
        """The cores that hold neurons of a population, in the order of its neurons; none for an
        input that the host injects.
        """
        return tuple(
            core for core in self.cores if any(piece.population == name for piece in core.pieces)
        )

    def moved(self, slots: np.ndarray) -> Placement:
        """The same cores in other places, int [cores]."""
        cores = tuple(
            _in_slot(core, int(slot), self.cores_per_chip, self.mesh)
            for core, slot in zip(self.cores, slots)
        )
        return replace(self, cores=cores)


@dataclass(frozen=True)
class Misfit:
    """A population of which even the smallest piece exceeds a limit of a core."""

    population: str
    limit: str
    allowed: int
    value: int

    def __str__(self) -> str:
        return (
            f"one neuron of {self.population} needs {self.value:,} {WORDS[self.limit]} on its core "
            f"(limit {self.allowed:,}, {self.value / self.allowed:.1f} times too many)"
        )


WORDS = {
    "neurons": "neurons",
    "synapse_words": "words of synaptic memory",
    "axons_in": "input axons",
    "axons_out": "output axons",
    "words_per_axon": "words behind one axon",
    "neuron_groups": "populations",
    "synapse_formats": "synapse formats",
}


class DoesNotFit(GraphError):
    """No number of cores holds the graph: its `misfits`."""

    def __init__(self, chip: str, misfits: tuple[Misfit, ...]):
        self.misfits = misfits
        first, more = misfits[0], len(misfits) - 1
        also = f" (and {more} more population{'s' * (more > 1)})" if more else ""
        super().__init__(
            f"no number of cores of {chip} holds this population{also}: one neuron needs too many "
            f"{WORDS[first.limit]}",
            where=first.population,
            limit=first.allowed,
            value=first.value,
            fix=(
                "fewer sources a neuron, or a population between; `scmrl place` names chips that"
                " hold it"
            ),
        )
        self.args = (chip, misfits)  # what a copy in another process is made from


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
    graph: Graph, profile: Profile, *, packed: bool = False, inputs: bool = False
) -> Placement:
    """Place a graph on as many cores as it takes, in the order of its populations; no samples are
    needed.

    `packed` lets small populations share cores, as the chips can and Lava does not; `inputs` places
    the input populations too. Raises `UsageError` where the profile says nothing of cores,
    `DoesNotFit` where a single neuron exceeds a limit.
    """
    require_cores(profile)
    placer = _Placer(graph, profile, inputs)
    groups = placer.cut()
    return placer.placement(placer.pack(groups) if packed else groups, packed)


def pack(graph: Graph, profile: Profile, placement: Placement) -> Placement:
    """The same pieces on fewer cores: what `place` gives for `packed`, without cutting again."""
    placer = _Placer(graph, profile, placement.inputs)
    return placer.placement(placer.pack([list(core.pieces) for core in placement.cores]), True)


@dataclass(frozen=True)
class _Demand:
    """What a box of a population takes: `SHARES` without axons out, and the longest list behind one
    axon.
    """

    neurons: int
    synapse_words: int
    axons_in: int
    words_per_axon: int
    formats: frozenset[tuple]


class _Placer:
    """One run of `place`."""

    def __init__(self, graph: Graph, profile: Profile, inputs: bool):
        self.graph, self.profile, self.inputs = graph, profile, inputs
        self.memory = SynapseMemory(profile)
        self.limits = _core_limits(self.memory.limits)
        self.allowed = self.limits | {
            name: self.memory.limits[name]
            for name in ("words_per_axon",)
            if name in self.memory.limits
        }
        self.units = _units([p for p in graph.order() if inputs or p.kind != "input"])

    def cut(self) -> list[list[Piece]]:
        """The pieces of every core, each unit on cores of its own."""
        boxes = self._cut_all()
        return [
            [self._piece(p, box) for p in unit]
            for name, unit in self.units.items()
            for box in boxes[name]
        ]

    def placement(self, pieces: list[list[Piece]], packed: bool) -> Placement:
        per_chip = self.memory.limits["cores"]
        chips = -(-len(pieces) // per_chip)
        mesh = mesh_of(self.profile, chips)
        out = self._axons_out(pieces)
        cores = tuple(
            _in_slot(Core(i, tuple(group), int(out[i]), i, 0, None, self.limits), i, per_chip, mesh)
            for i, group in enumerate(pieces)
        )
        sizes = systems(self.profile)
        fitting = [name for name in sorted(sizes, key=sizes.get) if sizes[name] >= len(cores)]
        return Placement(
            self.profile.name,
            self.profile.chip,
            cores,
            chips,
            fitting[0] if fitting else None,
            sizes,
            per_chip,
            mesh,
            self._formats(pieces),
            packed,
            self.inputs,
        )

    def _formats(self, groups: list[list[Piece]]) -> tuple[str, ...]:
        """Format of each synapse on the first core that it reaches; sparse where its target takes
        no core.
        """
        first = {piece.population: piece.box for group in reversed(groups) for piece in group}
        found = []
        for synapse in self.graph.synapses:
            if synapse.target not in first:
                found.append("sparse")
                continue
            source, box = self.graph[synapse.source].shape, first[synapse.target]
            counts = synapse.arrivals(source, self.graph[synapse.target].shape, box)[1]
            found.append(self.memory.store(synapse, source, box, counts).format)
        return tuple(found)

    def _cut_all(self) -> dict[str, list[Box]]:
        """Boxes of every unit; those whose output axons do not fit are cut again, finer."""
        boxes: dict[str, list[Box]] = {}
        fewest = dict.fromkeys(self.units, 1)
        while fewest:
            misfits = []
            for name, number in fewest.items():
                try:
                    boxes[name] = self._cut(self.graph[name], number)
                except _Misfits as found:
                    misfits.append(found.misfit)
            if misfits:
                raise DoesNotFit(self.profile.chip, tuple(misfits))
            fewest = self._too_few(boxes)
        return boxes

    def _too_few(self, boxes: dict[str, list[Box]]) -> dict[str, int]:
        """Units with a core that has too many output axons, and the number of cores to try next."""
        limit = self.limits.get("axons_out")
        if limit is None:
            return {}
        groups = [
            [Piece(p.name, box, _size(box), 0, 0, frozenset()) for p in self.units[name]]
            for name in boxes
            for box in boxes[name]
        ]
        worst: dict[str, int] = {}
        single: dict[str, int] = {}  # of cores with one neuron, which nothing can cut
        for group, out in zip(groups, self._axons_out(groups)):
            name = group[0].population
            worst[name] = max(worst.get(name, 0), int(out))
            if out > limit and group[0].neurons == 1:
                single[name] = max(single.get(name, 0), int(out))
        if single:
            raise DoesNotFit(
                self.profile.chip,
                tuple(Misfit(name, "axons_out", limit, out) for name, out in single.items()),
            )
        now = {name: len(boxes[name]) for name, out in worst.items() if out > limit}
        return {
            name: min(max(cores + 1, cores * worst[name] // limit), self.graph[name].neurons)
            for name, cores in now.items()
        }

    def _piece(self, p: Population, box: Box) -> Piece:
        need = self._demand(p, box)
        return Piece(p.name, box, need.neurons, need.synapse_words, need.axons_in, need.formats)

    # What a box takes.

    def _demand(self, p: Population, box: Box) -> _Demand:
        words, longest, shared, formats = 0, 0, 0, set()
        senders: dict[str, list[tuple[Box, np.ndarray]]] = {}
        for synapse in self.graph.incoming(p.name):
            source = self.graph[synapse.source].shape
            region, counts = synapse.arrivals(source, p.shape, box)
            stored = self.memory.store(synapse, source, box, counts)
            words, longest = words + stored.words, max(longest, stored.longest)
            formats.add((stored.format, self.memory.bits(synapse), synapse.exponent, synapse.delay))
            if self.memory.mapping == "loihi2" and synapse.shared:
                shared += stored.words > 0
            else:
                senders.setdefault(synapse.source, []).append((region, counts > 0))
        axons = sum(
            int(np.count_nonzero(union(self.graph[name].shape, masks)[1]))
            for name, masks in senders.items()
        )
        return _Demand(_size(box), words, axons + shared, longest, frozenset(formats))

    def _together(self, p: Population, box: Box) -> _Demand:
        """What the same box of all populations of a unit takes."""
        needs = [self._demand(member, box) for member in self.units[p.name]]
        return _Demand(
            *(sum(getattr(need, name) for need in needs) for name in SHARES[:3]),
            max(need.words_per_axon for need in needs),
            frozenset().union(*(need.formats for need in needs)),
        )

    def _excess(self, p: Population, boxes: list[Box]) -> dict[str, float]:
        """Limits that the first box that does not fit exceeds, and by what factor; empty where all
        fit.
        """
        for box in boxes:
            need = self._together(p, box)
            over = {
                name: getattr(need, name) / limit
                for name, limit in self.allowed.items()
                if name != "axons_out" and getattr(need, name) > limit
            }
            if over:
                return over
        return {}

    # Where to cut.

    def _cut(self, p: Population, fewest: int) -> list[Box]:
        single = grid(p.shape, (1,) * len(p.shape))[:1]
        if self._excess(p, single):  # then nothing larger fits
            raise self._misfit(p, single)
        if self.memory.mapping != "loihi2":
            return self._search(p, fewest)
        dense = len(p.shape) == 1 or any(
            s.all_to_all for member in self.units[p.name] for s in self.graph.incoming(member.name)
        )
        return self._ratio(p, fewest) if dense else self._tiles(p, fewest)

    def _ratio(self, p: Population, fewest: int) -> list[Box]:
        """Lava's recut of dense layers."""
        over = self._excess(p, [whole(p.shape)])
        ratio = max(fewest, math.ceil(max(over.values(), default=1)))
        while True:
            tile = _chunk(p.shape, -(-p.neurons // min(ratio, p.neurons)))
            boxes = grid(p.shape, tile)
            if len(boxes) >= fewest and not self._excess(p, boxes):
                return boxes
            if math.prod(tile) == 1:
                raise self._misfit(p, boxes)
            ratio *= 2

    def _tiles(self, p: Population, fewest: int) -> list[Box]:
        """Lava's tiles of convolutions and of what lies between them."""
        most = self.memory.limits["conv_tile_neurons"] // len(self.units[p.name])
        for channels in _halvings(p.shape[0]):
            tile = self._widest(p.shape, channels, most)
            while tile is not None:
                boxes = grid(p.shape, tile)
                over = self._excess(p, boxes) if len(boxes) >= fewest else {"axons_out": 1.0}
                if not over:
                    return boxes
                tile = None if "synapse_words" in over else _halved(tile)
        raise self._misfit(p, grid(p.shape, (1,) * len(p.shape)))

    def _widest(self, shape: tuple[int, ...], channels: int, most: int) -> tuple[int, ...] | None:
        """The tile of the rule, fewer than `most` neurons; None where one position of the channels
        is more.
        """
        *middle, width = shape[1:]
        while True:
            others = channels * math.prod(middle)
            if others < most:
                power = 1 << ((most - 1) // others).bit_length() - 1
                return (channels, *middle, min(power, width))
            halved = _halved((1, *middle))
            if halved is None:
                return None
            middle = list(halved[1:])

    def _search(self, p: Population, fewest: int) -> list[Box]:
        """NxTF's search: the fewest boxes that fit, then the fewest input axons and words."""
        least = max(fewest, -(-p.neurons * len(self.units[p.name]) // self.limits["neurons"]))
        found: list[tuple] = []  # a heap of (boxes, cost, tile)
        rest = [_sizes(n) for n in p.shape[1:]]
        tiles = sorted(
            itertools.product(*rest), key=lambda tile: _boxes(p.shape[1:], tile), reverse=True
        )
        while tiles or found:
            while tiles and (not found or _boxes(p.shape[1:], tiles[-1]) <= found[0][0]):
                tile = tiles.pop()  # finer positions may fit where fewer channels do not
                self._push(found, p, tile, self._most_channels(p, tile, least))
            if not found:
                continue
            number, _, (channels, *tile) = heapq.heappop(found)
            boxes = grid(p.shape, (channels, *tile))
            if number >= fewest and not self._excess(p, boxes):
                return boxes
            self._push(
                found,
                p,
                tuple(tile),
                max((n for n in _sizes(p.shape[0]) if n < channels), default=0),
            )
        raise self._misfit(
            p, grid(p.shape, (1,) * len(p.shape))
        )  # `_cut` has seen the first neuron only

    def _most_channels(self, p: Population, tile: tuple[int, ...], least: int) -> int:
        """The most channels with which the first box of those positions fits, in `least` boxes or
        more.
        """
        cuts = -(-least // _boxes(p.shape[1:], tile))
        sizes = [n for n in _sizes(p.shape[0]) if -(-p.shape[0] // n) >= cuts]
        first = bisect.bisect_left(
            sizes, True, key=lambda n: not self._excess(p, [_first((n, *tile))])
        )
        return sizes[first] if first < len(sizes) else 0

    def _push(
        self, found: list[tuple], p: Population, tile: tuple[int, ...], channels: int
    ) -> None:
        if channels:
            tile = (channels, *tile)
            need = self._together(p, _first(tile))
            number = _boxes(p.shape, tile)
            heapq.heappush(found, (number, number * (need.axons_in + need.synapse_words), tile))

    def _misfit(self, p: Population, boxes: list[Box]) -> _Misfits:
        """The limit that the first of these neurons that does not fit exceeds most."""
        for box in boxes:
            need = self._together(p, box)
            over = {
                name: getattr(need, name) / limit
                for name, limit in self.allowed.items()
                if name != "axons_out"
            }
            worst = max(over, key=over.get)
            if over[worst] > 1:
                return _Misfits(Misfit(p.name, worst, self.allowed[worst], getattr(need, worst)))
        limit = self.limits.get("axons_out", 0)  # what only the whole placement decides
        return _Misfits(Misfit(p.name, "axons_out", limit, limit + 1))

    # Cores that populations share.

    def pack(self, groups: list[list[Piece]]) -> list[list[Piece]]:
        """First fit in the order of the populations: each group onto the first core that has room
        for it.
        """
        names = [name for name in SHARES if name in self.limits]
        out = self._axons_out(groups)
        room = np.tile([self.limits[name] for name in names], (len(groups), 1))
        packed: list[list[Piece]] = []
        for group, axons_out in zip(groups, out):
            takes = {name: sum(getattr(piece, name) for piece in group) for name in SHARES[:3]}
            takes["axons_out"] = axons_out
            needs = np.array([takes[name] for name in names])
            fitting = np.flatnonzero((room[: len(packed)] >= needs).all(1))
            place = next(
                (int(core) for core in fitting if self._mix(packed[core] + group)), len(packed)
            )
            if place == len(packed):
                packed.append([])
            packed[place] += group
            room[place] -= needs
        return packed

    def _mix(self, pieces: list[Piece]) -> bool:
        """Whether one core can hold so many populations and synapse formats."""
        limits = self.memory.limits
        populations = len({piece.population for piece in pieces})
        formats = len(frozenset().union(*(piece.formats for piece in pieces)))
        return populations <= limits.get(
            "neuron_groups_per_core", populations
        ) and formats <= limits.get("synapse_formats_per_core", formats)

    # Output axons.

    def _axons_out(self, groups: list[list[Piece]]) -> np.ndarray:
        """Output axons of each core, where core i stands in slot i."""
        owner = owners(self.graph, groups)
        if self.memory.mapping == "loihi2":
            return self._axons_to_populations(owner, len(groups))
        per_chip, loihi1 = self.memory.limits["cores"], self.memory.mapping == "loihi1"
        total = np.zeros(len(groups), np.int64)
        for core, group in enumerate(groups):
            for source, region, shared, mask in listeners(self.graph, group):
                if source in owner:
                    own = owner[source][slices(region)]
                    each = 1 + shared + (own // per_chip != core // per_chip) if loihi1 else 1
                    total += np.bincount(own.ravel(), (mask * each).ravel(), len(groups)).astype(
                        np.int64
                    )
        return total

    def _axons_to_populations(self, owner: dict[str, np.ndarray], cores: int) -> np.ndarray:
        """Loihi 2: an entry for each destination population and neuron, or position where all is
        shared.
        """
        total = np.zeros(cores, np.int64)
        pairs = dict.fromkeys(
            (s.source, s.target)
            for s in self.graph.synapses
            if s.source in owner and s.target in owner
        )
        for source, target in pairs:
            own, between = (
                owner[source],
                [s for s in self.graph.incoming(target) if s.source == source],
            )
            reach = [
                s.fan_out(own.shape, self.graph[target].shape).reshape(own.shape) > 0
                for s in between
            ]
            if all(s.shared for s in between):
                positions = math.prod(own.shape[1:])
                place = own.astype(np.int64) * positions + np.arange(positions).reshape(
                    own.shape[1:]
                )
                taken = np.unique(place[np.logical_or.reduce(reach)])
                total += np.bincount(taken // positions, minlength=cores)
            else:
                total += np.bincount(own[np.logical_or.reduce(reach)], minlength=cores)
        return total


class _Misfits(Exception):
    def __init__(self, misfit: Misfit):
        self.misfit = misfit


def _units(populations: list[Population]) -> dict[str, list[Population]]:
    """Populations that stay together because one adds the membrane of another, by the first of
    them.
    """
    units: dict[str, list[Population]] = {}
    unit_of: dict[str, list[Population]] = {}
    for p in populations:  # in order: what is added comes first
        unit = unit_of[p.adds] if p.adds else units.setdefault(p.name, [])
        unit.append(p)
        unit_of[p.name] = unit
    return units


def owners(graph: Graph, groups: list[list[Piece]]) -> dict[str, np.ndarray]:
    """The core of every neuron, int [*shape], of the populations that are placed."""
    owner: dict[str, np.ndarray] = {}
    for core, group in enumerate(groups):
        for piece in group:
            cores = owner.setdefault(
                piece.population, np.full(graph[piece.population].shape, -1, np.int32)
            )
            cores[slices(piece.box)] = core
    return owner


def listeners(
    graph: Graph, group: list[Piece]
) -> Iterator[tuple[str, Box, np.ndarray, np.ndarray]]:
    """The source neurons that a core hears: source, a box of it, and in that box the masks of those
    that reach the core through a shared synapse, and of all that reach it.
    """
    found: dict[str, list[tuple[Synapse, Box, np.ndarray]]] = {}
    for piece in group:
        for synapse in graph.incoming(piece.population):
            source, target = graph[synapse.source].shape, graph[piece.population].shape
            region, counts = synapse.arrivals(source, target, piece.box)
            found.setdefault(synapse.source, []).append((synapse, region, counts > 0))
    for source, parts in found.items():
        region, mask = union(graph[source].shape, [(box, part) for _, box, part in parts])
        shared = np.zeros(mask.shape, bool)
        for synapse, box, part in parts:
            if synapse.shared:
                shared[slices(_within(box, region))] |= part
        yield source, region, shared, mask


def union(shape: tuple[int, ...], masks: list[tuple[Box, np.ndarray]]) -> tuple[Box, np.ndarray]:
    """The smallest box that holds all masks, and the neurons that any of them has."""
    if len(masks) == 1:
        return masks[0]
    region = tuple(
        (min(box[i][0] for box, _ in masks), max(box[i][1] for box, _ in masks))
        for i in range(len(shape))
    )
    merged = np.zeros([stop - start for start, stop in region], bool)
    for box, mask in masks:
        merged[slices(_within(box, region))] |= mask
    return region, merged


def _within(box: Box, region: Box) -> Box:
    return tuple((start - low, stop - low) for (start, stop), (low, _) in zip(box, region))


def grid(shape: tuple[int, ...], tile: tuple[int, ...]) -> list[Box]:
    """Boxes of that size that cover a shape; the last along an axis may be smaller."""
    ranges = [
        [(start, min(start + size, n)) for start in range(0, n, size)]
        for n, size in zip(shape, tile)
    ]
    return list(itertools.product(*ranges))


def _size(box: Box) -> int:
    return math.prod(stop - start for start, stop in box)


def _chunk(shape: tuple[int, ...], neurons: int) -> tuple[int, ...]:
    """The largest tile of at most that many neurons that follow each other in memory."""
    tile = []
    for n in reversed(shape):
        tile.append(min(n, max(1, neurons)))
        neurons = neurons // n if neurons >= n else 1
    return tuple(reversed(tile))


def _halvings(n: int) -> Iterator[int]:
    while n > 1:
        yield n
        n = -(-n // 2)
    yield 1


def _halved(tile: tuple[int, ...]) -> tuple[int, ...] | None:
    """The tile with its last axis that can be halved; channels never; None where nothing is
    left.
    """
    for axis in range(len(tile) - 1, 0, -1):
        if tile[axis] > 1:
            return (*tile[:axis], -(-tile[axis] // 2), *tile[axis + 1 :])
    return None


def _sizes(n: int) -> list[int]:
    """The sizes of equal parts of n, the largest first."""
    return sorted({-(-n // parts) for parts in range(1, n + 1)}, reverse=True)


def _boxes(shape: tuple[int, ...], tile: tuple[int, ...]) -> int:
    return math.prod(-(-n // size) for n, size in zip(shape, tile))


def _first(tile: tuple[int, ...]) -> Box:
    return tuple((0, size) for size in tile)


def _core_limits(limits: dict[str, int]) -> dict[str, int]:
    """What a core has of `SHARES`, where the profile says so."""
    found = {"neurons": limits["neurons_per_core"]}
    if "synapse_words_per_core" in limits:
        found["synapse_words"] = limits["synapse_words_per_core"]
    elif "synapse_memory_per_core" in limits:
        found["synapse_words"] = limits["synapse_memory_per_core"] // 64
    return found | {
        name: limits[f"{name}_per_core"]
        for name in ("axons_in", "axons_out")
        if f"{name}_per_core" in limits
    }


def _in_slot(core: Core, slot: int, per_chip: int, mesh: Mesh | None) -> Core:
    tile = None if mesh is None else tuple(int(x) for x in mesh.tile(slot))
    return replace(core, slot=slot, chip=slot // per_chip, tile=tile)
