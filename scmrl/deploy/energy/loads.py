"""What every core does in every hardware step of a sample, counted on a trace.

    synops     sum over sources j of (message of j in the step) * (weights of j on the core), with
               the zeros that their format stores
    received   messages in the step that the core listens to, each once
    active     its own neurons' active updates; all others are inactive
    spikes     of its own neurons
    sent       messages that its own neurons send, one to each core that listens
    links      messages over the busiest link of the mesh by direction

of exact counts; where the chip puts a core is a placement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.graph import Graph, slices
from ..placement.axons import owners
from ..placement.cores import Core, Placement
from .operations import arrivals
from .trace import Rows, Trace, blocks

Source = tuple[str, int, int | None]  # as of `Trace.carries`


@dataclass(frozen=True)
class Loads:
    """Float [cores, samples * hardware steps], `synops` by storage format; `links` by direction
    [samples * hardware steps], of the busiest one, empty without a mesh.
    """

    steps: int  # hardware steps of a sample
    neurons: np.ndarray  # that each core computes
    synops: dict[str, np.ndarray]
    received: np.ndarray
    active: np.ndarray
    spikes: np.ndarray
    sent: np.ndarray
    links: dict[str, np.ndarray]

    @property
    def inactive(self) -> np.ndarray:
        return self.neurons[:, None] - self.active


def loads(trace: Trace, placement: Placement, mode: str, forms: Sequence[str]) -> Loads:
    """Of a placement of `trace.line.graph`; `forms`: how each of its synapses is stored."""
    steps, cores = trace.hardware_steps(mode), placement.cores
    each = (len(cores), trace.samples * steps)
    graph, heard = trace.line.graph, _incoming(trace)
    owner = owners(graph, [core.pieces for core in cores])
    synops = {form: np.zeros(each) for form in dict.fromkeys(forms)}
    received, active, spikes, sent = (np.zeros(each) for _ in range(4))
    neurons = np.zeros(len(cores))
    links: dict[str, np.ndarray] = {}
    for core in cores:
        for piece in core.pieces:
            if graph[piece.population].kind == "input":
                continue  # given, not computed
            neurons[core.index] += piece.neurons
            rows = trace.rows[piece.population]
            at = trace.at(mode, trace.line.depth[piece.population]).ravel()
            own = _flat_box(graph, piece.population, piece.box)
            active[core.index] += _summed(rows.active, own)[at]
            spikes[core.index] += _summed(rows.sent, own)[at]
        for (name, late, last), weights in _heard(graph, placement, core, heard, forms).items():
            at = trace.at(mode, late, last).ravel()
            of = owner[name].ravel() if name in owner else None
            found = _arriving(trace.rows[name], weights, of)
            received[core.index] += found.received[at]
            for form, values in found.synops.items():
                synops[form][core.index] += values[at]
            if of is not None:
                messages = found.by_sender[:, at]
                sent[found.senders] += messages
                _add_links(links, placement, found.senders, core, messages)
    most = {way: load.max((0, 1)) for way, load in links.items()}
    return Loads(steps, neurons, synops, received, active, spikes, sent, most)


@dataclass(frozen=True)
class _Arriving:
    """From one source to one core, by row of the source."""

    received: np.ndarray
    synops: dict[str, np.ndarray]
    senders: np.ndarray  # cores
    by_sender: np.ndarray  # [senders, rows]


def _incoming(trace: Trace) -> dict[str, list[tuple[int, Source]]]:
    """The synapses of `trace.line.graph` by target, and what each carries."""
    into: dict[str, list[tuple[int, Source]]] = defaultdict(list)
    for i, synapse in enumerate(trace.line.graph.synapses):
        into[synapse.target].append((i, trace.carries(i)))
    return into


def _heard(
    graph: Graph, placement: Placement, core: Core, heard: dict, forms: Sequence[str]
) -> dict[Source, dict[str, np.ndarray]]:
    """Weights of each source neuron on a core, by form, for every source that it hears."""
    found: dict[Source, dict[str, np.ndarray]] = {}
    for piece in core.pieces:
        for i, source in heard.get(piece.population, ()):
            shapes = graph[source[0]].shape, graph[piece.population].shape
            region, counts = arrivals(graph.synapses[i], placement.formats[i], shapes, piece.box)
            weights = found.setdefault(source, {}).setdefault(forms[i], np.zeros(shapes[0]))
            weights[slices(region)] += counts
    return found


def _arriving(rows: Rows, weights: dict[str, np.ndarray], owner: np.ndarray | None) -> _Arriving:
    """Sums over the source neurons of one core: a product of rows and columns."""
    flat = {form: values.ravel() for form, values in weights.items()}
    hears = np.flatnonzero(sum(flat.values()))
    senders = np.zeros(0, int) if owner is None else np.unique(owner[hears])
    columns = [np.ones(len(hears)), *(values[hears] for values in flat.values())]
    columns += [owner[hears] == core for core in senders] if owner is not None else []
    matrix = np.stack(columns, 1).astype(float)
    sums = np.concatenate([x @ matrix for _, x in blocks([x[:, hears] for x in rows.sent])]).T
    return _Arriving(sums[0], dict(zip(flat, sums[1:])), senders, sums[1 + len(flat) :])


def _add_links(
    links: dict[str, np.ndarray],
    placement: Placement,
    senders: np.ndarray,
    core: Core,
    messages: np.ndarray,
) -> None:
    if placement.mesh is None or not len(senders):
        return
    slots = np.array([placement.cores[i].slot for i in senders])
    there = np.full(len(slots), core.slot)
    for way, load in placement.mesh.links(slots, there, messages).items():
        links[way] = links.get(way, 0.0) + load


def _summed(parts: Sequence[np.ndarray], neurons: np.ndarray) -> np.ndarray:
    return np.concatenate([np.count_nonzero(x[:, neurons], axis=1) for x in parts])


def _flat_box(graph: Graph, name: str, box: tuple) -> np.ndarray:
    shape = graph[name].shape
    return np.arange(graph[name].neurons).reshape(shape)[slices(box)].ravel()
