"""Traffic between cores from real spike counts, and an order of the cores that has less of it.

    messages = sum over spikes of the distinct cores that listen to the neuron
    hops     = messages * tiles on the way, E-W and N-S apart (XY routing, see `mesh`)

Messages of inputs that the host injects are counted; their way on the mesh is not known and has no
hops.

`improve` solves the quadratic assignment of cores to places, chip by chip: tabu search (Taillard
1991, doi 10.1016/S0167-8191(05)80147-4) from the naive order, from a snake along the rows, and from
a spectral order of the flows (eigenvector of the second smallest eigenvalue of their Laplacian). It
is deterministic and never worse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ...core.activity import Activity
from ...core.graph import Graph, Population, slices
from ...system.errors import DataError
from .axons import listeners, owners
from .cores import Placement
from .mesh import Mesh

SWEEPS = 24  # tabu steps for each core of a chip
TENURE = 3  # of them, for each core, before a core may return to a tile


@dataclass(frozen=True)
class Flows:
    """Messages per inference from core to core: parallel arrays, and the sending population's
    number.
    """

    source: np.ndarray
    target: np.ndarray
    messages: np.ndarray
    population: np.ndarray


@dataclass(frozen=True)
class PopulationTraffic:
    """What one population sends per inference; hops and crossings are None without a mesh."""

    name: str
    spikes: float
    messages: float
    hops_ew: float | None
    hops_ns: float | None
    chip_crossings: float | None

    @property
    def hops(self) -> float | None:
        return _total((self.hops_ew, self.hops_ns))


@dataclass(frozen=True)
class Traffic:
    """Traffic of one inference. `links` holds the load of each link by direction, [rows, columns]
    of the grid of all chips (empty without a mesh); `synops` and `received` are what arrives at
    each core: synaptic operations and messages.
    """

    populations: tuple[PopulationTraffic, ...]
    flows: Flows
    links: dict[str, np.ndarray]
    synops: np.ndarray
    received: np.ndarray

    @property
    def messages(self) -> float:
        return sum(p.messages for p in self.populations)

    @property
    def hops_ew(self) -> float | None:
        return _total(p.hops_ew for p in self.populations)

    @property
    def hops_ns(self) -> float | None:
        return _total(p.hops_ns for p in self.populations)

    @property
    def hops(self) -> float | None:
        return _total((self.hops_ew, self.hops_ns))

    @property
    def chip_crossings(self) -> float | None:
        return _total(p.chip_crossings for p in self.populations)

    @property
    def busiest_link(self) -> float | None:
        """Messages per inference over the link that carries most."""
        return max((float(load.max()) for load in self.links.values()), default=None)


def fired(graph: Graph, inputs: dict[str, np.ndarray], activity: Activity) -> dict[str, np.ndarray]:
    """Spikes of each neuron per inference, float [neurons] by population; a graded input value that
    is not zero counts as one. `inputs` are {name: [S, T, *shape]}.
    """
    values = {
        p.name: inputs[p.name] if p.kind == "input" else activity.spikes[p.name]
        for p in graph.populations
        if p.kind != "readout"
    }
    return {name: np.count_nonzero(x, axis=(0, 1)).ravel() / len(x) for name, x in values.items()}


def traffic(graph: Graph, placement: Placement, fired: Mapping[str, np.ndarray]) -> Traffic:
    """Traffic of a placement where each neuron of a population fires `fired[name]` times an
    inference.

    `fired` holds an array of the population's neurons for every population but the readout. Raises
    `DataError` where one is missing or of another size.
    """
    fired = {p.name: _fired(p, fired) for p in graph.populations}
    number = {p.name: i for i, p in enumerate(graph.populations)}
    groups = [core.pieces for core in placement.cores]
    owner = owners(graph, groups)
    parts: list[tuple[np.ndarray, ...]] = []
    injected = np.zeros(len(number))
    synops, received = np.zeros(len(groups)), np.zeros(len(groups))
    for core, pieces in enumerate(groups):
        synops[core] = _synops(graph, pieces, fired)
        for source, region, _, mask in listeners(graph, pieces):
            sent = fired[source][slices(region)] * mask
            received[core] += sent.sum()
            if source not in owner:
                injected[number[source]] += sent.sum()
                continue
            own = owner[source][slices(region)]
            first = own.min(initial=0 if own.size == 0 else own.flat[0])
            by_core = np.bincount((own - first).ravel(), sent.ravel())
            senders = np.flatnonzero(by_core)
            parts.append(
                (
                    senders + first,
                    np.full(len(senders), core),
                    by_core[senders],
                    np.full(len(senders), number[source]),
                )
            )
    flows = _flows(parts)
    spikes = {name: float(counts.sum()) for name, counts in fired.items()}
    return _routed(placement, flows, spikes, injected, synops, received)


def rerouted(placement: Placement, before: Traffic) -> Traffic:
    """The same flows where the cores stand as in `placement`."""
    spikes = {p.name: p.spikes for p in before.populations}
    sent = np.bincount(before.flows.population, before.flows.messages, len(before.populations))
    injected = np.array([p.messages for p in before.populations]) - sent
    return _routed(placement, before.flows, spikes, injected, before.synops, before.received)


def improve(placement: Placement, before: Traffic) -> Placement:
    """The same cores in places with less traffic by weighted hops; cores stay on their chip.

    The placement itself where there is no mesh, no traffic or nothing better. A chip's cores may
    move to any of its places.
    """
    if placement.mesh is None or not len(before.flows.messages):
        return placement
    mesh, flows = placement.mesh, before.flows
    naive = np.array([core.slot for core in placement.cores])
    slots = naive.copy()
    for chip in range(placement.chips):
        here = np.flatnonzero(mesh.chip(slots) == chip)
        slots[here] = _best_order(mesh, here, slots, flows, chip)
    return (
        placement.moved(slots)
        if _cost(mesh, slots, flows) < _cost(mesh, naive, flows)
        else placement
    )


def cost(placement: Placement, flows: Flows) -> float | None:
    """Weighted hops of all messages: the profile's energies of hops, or 1 each; None without a
    mesh.
    """
    if placement.mesh is None:
        return None
    return _cost(placement.mesh, np.array([core.slot for core in placement.cores]), flows)


def _fired(p: Population, fired: Mapping[str, np.ndarray]) -> np.ndarray:
    if p.kind == "readout":
        return np.zeros(p.shape)
    if p.name not in fired:
        raise DataError("spike counts are missing", where=p.name)
    counts = np.asarray(fired[p.name], float)
    if counts.size != p.neurons:
        raise DataError(
            "spike counts are of another size", where=p.name, limit=p.neurons, value=counts.size
        )
    return counts.reshape(p.shape)


def _synops(graph: Graph, pieces: tuple, fired: dict[str, np.ndarray]) -> float:
    """Synaptic operations of one inference on one core."""
    total = 0.0
    for piece in pieces:
        for synapse in graph.incoming(piece.population):
            source, target = graph[synapse.source].shape, graph[piece.population].shape
            region, counts = synapse.arrivals(source, target, piece.box)
            total += float((fired[synapse.source][slices(region)] * counts).sum())
    return total


def _flows(parts: list[tuple[np.ndarray, ...]]) -> Flows:
    if not parts:
        return Flows(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0, int))
    return Flows(*(np.concatenate(column) for column in zip(*parts)))


def _routed(
    placement: Placement,
    flows: Flows,
    spikes: dict[str, float],
    injected: np.ndarray,
    synops: np.ndarray,
    received: np.ndarray,
) -> Traffic:
    mesh, names = placement.mesh, list(spikes)
    sent = np.bincount(flows.population, flows.messages, len(names)) + injected
    hops: list[np.ndarray] | None = None
    links: dict[str, np.ndarray] = {}
    if mesh is not None:
        slots = np.array([core.slot for core in placement.cores])
        a, b = slots[flows.source], slots[flows.target]
        hops = [
            np.bincount(flows.population, flows.messages * each, len(names))
            for each in (*mesh.hops(a, b), mesh.crossings(a, b))
        ]
        links = mesh.links(a, b, flows.messages)
    rows = tuple(
        PopulationTraffic(
            name,
            spikes[name],
            float(sent[i]),
            *((None,) * 3 if hops is None else (float(h[i]) for h in hops)),
        )
        for i, name in enumerate(names)
    )
    return Traffic(rows, flows, links, synops, received)


def _total(values: Iterable[float | None]) -> float | None:
    each = list(values)
    known = [value for value in each if value is not None]
    return sum(known) if len(known) == len(each) else None


# The order of the cores of one chip.


def _cost(mesh: Mesh, slots: np.ndarray, flows: Flows) -> float:
    return float((mesh.cost(slots[flows.source], slots[flows.target]) * flows.messages).sum())


def _best_order(
    mesh: Mesh, here: np.ndarray, slots: np.ndarray, flows: Flows, chip: int
) -> np.ndarray:
    """New slots of the cores `here`, all on one chip, while the others stay."""
    places = chip * mesh.cores + np.arange(mesh.cores)
    flow, pull = _flow_matrix(mesh, here, slots, flows, places)
    distance = mesh.cost(places[:, None], places[None, :])
    naive = np.empty(len(places), int)  # the place of each core; those past the cores are empty
    naive[: len(here)] = slots[here] - places[0]
    naive[len(here) :] = np.setdiff1d(np.arange(len(places)), naive[: len(here)])
    best, least = naive, _assigned(flow, distance, pull, naive)
    few = min(
        -(-len(here) // mesh.cores_per_tile) * mesh.cores_per_tile, len(places)
    )  # on the first tiles
    snake, few_naive = _snake(mesh, places[:few]), np.argsort(np.argsort(naive[:few]))
    spectral = np.empty(few, int)
    spectral[_spectral(flow[:few, :few])] = snake
    for start in (few_naive, snake, spectral):
        order, found = _tabu(
            flow[:few, :few], distance[:few, :few], pull[:few, :few], start, len(here)
        )
        if found < least * (1 - 1e-9):
            best, least = np.concatenate([order, np.arange(few, len(places))]), found
    for start in (best, naive):  # on all tiles
        order, found = _tabu(flow, distance, pull, start, len(here))
        if found < least * (1 - 1e-9):
            best, least = order, found
    return places[best[: len(here)]]


def _flow_matrix(
    mesh: Mesh, here: np.ndarray, slots: np.ndarray, flows: Flows, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Messages between the cores of a chip, both ways together, and the cost of each core at each
    place that comes from cores elsewhere.
    """
    size = len(places)
    local = np.full(len(slots), -1)
    local[here] = np.arange(len(here))
    a, b = local[flows.source], local[flows.target]
    flow, pull = np.zeros((size, size)), np.zeros((size, size))
    inside = (a >= 0) & (b >= 0)
    np.add.at(flow, (a[inside], b[inside]), flows.messages[inside])
    for mine, other in ((a, flows.target), (b, flows.source)):
        across = np.flatnonzero((mine >= 0) & ((a < 0) | (b < 0)))
        weight = np.zeros((size, mesh.chips * mesh.cores))
        np.add.at(weight, (mine[across], slots[other[across]]), flows.messages[across])
        far = np.flatnonzero(weight.any(0))
        pull += weight[:, far] @ mesh.cost(far[:, None], places[None, :])
    np.fill_diagonal(flow, 0)
    return flow + flow.T, pull


def _snake(mesh: Mesh, places: np.ndarray) -> np.ndarray:
    """Places tile by tile, every other row backwards."""
    column, row = mesh.tile(places)
    return np.lexsort((places, np.where(row % 2, -column, column), row))


def _spectral(flow: np.ndarray) -> np.ndarray:
    """Cores in the order of the Fiedler vector of their flows."""
    laplacian = np.diag(flow.sum(0)) - flow
    vector = np.linalg.eigh(laplacian)[1][:, min(1, len(flow) - 1)]
    vector = vector * np.sign(vector[np.argmax(np.abs(vector))])  # its sign is arbitrary
    return np.argsort(np.round(vector, 9), kind="stable")


def _assigned(flow: np.ndarray, distance: np.ndarray, pull: np.ndarray, order: np.ndarray) -> float:
    return float(
        (flow * distance[np.ix_(order, order)]).sum() / 2 + pull[np.arange(len(order)), order].sum()
    )


def _tabu(
    flow: np.ndarray, distance: np.ndarray, pull: np.ndarray, order: np.ndarray, cores: int
) -> tuple[np.ndarray, float]:
    """Swap the best pair that is not tabu, again and again; the best order found and its cost."""
    size, order = len(order), order.copy()
    now = _assigned(flow, distance, pull, order)
    best, least = order.copy(), now
    at = flow @ distance[order]  # [core, place]: cost of a core if it stood at a place
    tile = np.argmax(distance == 0, axis=1)  # places of one tile are the same
    tabu = np.zeros((size, size), int)  # [core, tile]: the step until which it may not return
    idle = ~np.logical_or(flow.any(0), pull.any(1))  # two empty places have nothing to swap
    fixed = np.tril(np.ones((size, size), bool)) | idle[:, None] & idle[None, :]
    for step in range(1, SWEEPS * cores + 1):
        stands = at[:, order] + pull[:, order]  # [i, k]: core i at the place of core k
        gain = stands + stands.T - np.diag(stands)[:, None] - np.diag(stands)[None, :]
        gain += 2 * flow * distance[np.ix_(order, order)]
        old = tabu[:, tile[order]] > step
        gain[old & old.T & (now + gain >= least * (1 - 1e-9))] = np.inf
        gain[fixed | (tile[order][:, None] == tile[order][None, :])] = np.inf
        i, k = np.unravel_index(np.argmin(gain), gain.shape)
        if not np.isfinite(gain[i, k]):
            break
        now += gain[i, k]
        tabu[i, tile[order[i]]] = tabu[k, tile[order[k]]] = step + int(TENURE * cores)
        at += np.outer(flow[:, i] - flow[:, k], distance[order[k]] - distance[order[i]])
        order[i], order[k] = order[k], order[i]
        if now < least * (1 - 1e-9):
            best, least = order.copy(), now
    return best, _assigned(flow, distance, pull, best)
