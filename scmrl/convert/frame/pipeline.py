"""A graph as a pipelined chip runs it: one hardware step a synapse, and waits where paths differ.

A population at depth d is at its own step t in hardware step t + d. A synapse of logical delay k
from a population at depth d_s to one at depth d_t has to take

    hops = d_t - d_s + k >= 1               wait = hops - 1

hardware steps, one for the synapse itself. It waits in its own delay, up to the steps that the chip
delays by, and before that in *relays*: neurons that pass each spike on. Depths are the smallest
that allow it; joined populations are one neuron, and so at one depth. Inputs do not wait on the
chip: whoever gives them gives each synapse its values when they are due, logical delays included.

A wait of hops - 1 lands in the target's own window of T steps, so samples may follow each other
without a gap; a delay k >= 1 carries spikes into the next window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...core.graph import NEURONS, PARTS, Graph, OneToOne, Population, Synapse
from ...system.errors import GraphError


class NoPipeline(GraphError):
    """A chip cannot run the graph in step; `rule` names what it breaks."""

    rule = "loop"


class TooManyRelays(NoPipeline):
    """Delays far beyond the chip's."""

    rule = "relays"


@dataclass(frozen=True)
class Pipeline:
    """What runs. In `graph` the delay of a synapse is its wait; its first synapses are those of the
    graph that it was made of, in their order, the others lead to relays. `depth` is that of every
    population, relays included; `relays` holds {relay: population whose spikes it passes on};
    `order`: the populations from the inputs on, each with its relays behind it. `streams`: samples
    may follow each other back to back; else each runs alone.
    """

    graph: Graph
    depth: dict[str, int]
    relays: dict[str, str]
    order: tuple[str, ...]
    streams: bool

    @property
    def latency(self) -> int:
        """Hardware steps from an input to the deepest population."""
        return max(d for name, d in self.depth.items() if name not in self.relays)

    @property
    def processes(self) -> int:
        """LIF processes: one for each set of thresholds and decays of a population."""
        return sum(parameter_sets(p) for p in self.graph.populations if p.kind != "input")


def at_once(graph: Graph) -> Pipeline:
    """The graph itself, for what runs all layers of a step within the step: nothing has depth."""
    order = tuple(p.name for p in graph.order())
    return Pipeline(graph, dict.fromkeys(order, 0), {}, order, not carried(graph))


def pipeline(graph: Graph, delays: int = 0) -> Pipeline:
    """The graph on a chip whose synapses delay by at most that many steps. Raises `NoPipeline`."""
    depth = hardware_depths(graph)
    inputs = {p.name for p in graph.of_kind("input")}
    waits = [
        0 if s.source in inputs else depth[s.target] - depth[s.source] + s.delay - 1
        for s in graph.synapses
    ]
    chains = _chains(graph, waits, delays)
    synapses, links = [], []
    for s, wait in zip(graph.synapses, waits):
        passed = _relays(wait, delays)
        source = chains[s.source][passed]
        synapses.append(replace(s, source=source, delay=wait - passed * (delays + 1)))
    populations, relays = [], {}
    for p in graph.populations:
        populations.append(p)
        for source, name in zip(chains[p.name], chains[p.name][1:]):
            populations.append(Population(name, p.shape))
            links.append(OneToOne(source, name, 1, delay=delays))
            relays[name], depth[name] = p.name, depth[source] + delays + 1
    laid_out = replace(graph, populations=tuple(populations), synapses=(*synapses, *links))
    order = tuple(name for p in graph.order() for name in chains[p.name])
    return Pipeline(laid_out, depth, relays, order, not carried(graph))


def parameter_sets(p: Population) -> int:
    """How many sets of threshold and decays the neurons of a population have."""
    values = (p.vth if p.fires else 0, *p.decays)
    each = [p.per_neuron(x).ravel() for x in values if np.ndim(x)]
    return int(np.unique(np.stack(each), axis=1).shape[1]) if each else 1


def carried(graph: Graph) -> tuple[Synapse, ...]:
    """The synapses that carry spikes into the next sample: delayed ones between populations."""
    return tuple(s for s in graph.synapses if s.delay and graph[s.source].kind != "input")


def _relays(wait: int, delays: int) -> int:
    """Relays before a synapse that waits so long: each takes `delays` + 1 steps."""
    return max(0, -(-(wait - delays) // (delays + 1)))


def _chains(graph: Graph, waits: list[int], delays: int) -> dict[str, list[str]]:
    """The names of each population and its relays, one behind the other."""
    needed = {p.name: 0 for p in graph.populations}
    for s, wait in zip(graph.synapses, waits):
        needed[s.source] = max(needed[s.source], _relays(wait, delays))
    neurons = sum(graph[name].neurons * number for name, number in needed.items())
    for what, value, limit in (
        ("relays", sum(needed.values()), PARTS),
        ("neurons of relays", neurons, NEURONS),
    ):
        if value > limit:
            raise TooManyRelays(
                f"skips and delays take too many {what}",
                where=max(needed, key=lambda name: graph[name].neurons * needed[name]),
                limit=limit,
                value=value,
                fix="shorten its delays",
            )
    taken = set(needed)
    return {
        name: [name, *(_fresh(f"{name}@{i * (delays + 1)}", taken) for i in range(1, number + 1))]
        for name, number in needed.items()
    }


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "'"
    taken.add(name)
    return name


def hardware_depths(graph: Graph) -> dict[str, int]:
    """Hardware step in which each population sees its logical step 0: the least with all hops >= 1.
    Raises `NoPipeline` for a loop with fewer steps of delay than synapses.
    """
    order = graph.order()
    first: dict[str, str] = {}  # of the populations that are joined, which share a depth
    for p in order:
        first[p.name] = first[p.adds] if p.adds else p.name
    inputs = {p.name for p in graph.of_kind("input")}
    depth = dict.fromkeys(first, 0)
    cause: dict[str, Synapse] = {}

    def late() -> Iterator[tuple[str, int, Synapse]]:
        """Synapses that need their target later than it is, in the order of the graph."""
        for s in synapses:
            target = first[s.target]
            least = 1 if s.source in inputs else depth[first[s.source]] + 1 - s.delay
            if depth[target] < least:
                yield target, least, s

    rank = {p.name: i for i, p in enumerate(order)}
    synapses = sorted(graph.synapses, key=lambda s: rank[s.target])
    for _ in range(len(depth) + 1):
        target = ""
        for target, least, s in late():
            depth[target], cause[target] = least, s
        if not target:
            return {p.name: depth[first[p.name]] for p in graph.populations}
    loop = _loop(cause, first, target)
    raise NoPipeline(
        "loop is too fast for a chip, where every synapse takes one step",
        where=" -> ".join([loop[0].source, *(s.target for s in loop)]),
        limit=f"a total delay of {len(loop)} or more",
        value=sum(s.delay for s in loop),
        fix="give the loop one step of delay per synapse",
    )


def _loop(cause: dict[str, Synapse], first: dict[str, str], name: str) -> list[Synapse]:
    """The cycle that is reached by following causes back from `name`."""
    for _ in cause:
        name = first[cause[name].source]
    loop, at = [cause[name]], first[cause[name].source]
    while at != name:
        loop.append(cause[at])
        at = first[cause[at].source]
    return loop[::-1]
