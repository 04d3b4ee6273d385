"""Graph -> what a Loihi 2 chip holds: one LIF process a population, or one for each set of its
parameters; one value a parameter. numpy only.

The pipeline, with its delays and relays, is the one that `energy` and `place` price. For Lava's
simulator alone `scmrl.convert.lava.lowering` merges populations and gives every neuron parameters
of its own. A chip's process has one threshold, one pair of 12-bit decays and one
bias exponent, and its state clears every `interval` steps, a power of two; it is read as a whole.
So:

    cells      a population whose neurons differ is several processes (`split`), under one name

    window     the power of two >= T; a sample's inputs are followed by zeros, its outputs cut to T
    memory     none: dv = 4095 where the membrane stays below 4096 (then v * 1 / 4096 = 0), else
               interval 1
    readout    the highest threshold, 131071: it cannot fire below a membrane of 131071 << 6

The last is the one inexact spot: a membrane above it, within 63 of saturation, would fire on a
chip. Sources: the parameter widths that lava-nc documents for its LIF; the power of two as users of
the chip report it (NeuroBench's Loihi 2 speech commands and a port of GeNN's, both public).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....convert.frame.neurons import require_one_value
from ....convert.lava.lowering import lower as lower_for_lava
from ....convert.lava.network import FULL_LEAK, NEVER, LavaNetwork, Neurons
from ....core.fixed_point import CURRENT_SHIFT, DECAY_ONE, EXPONENT_MAX, THRESHOLD_MAX
from ....core.graph import Graph, Population
from ....hw_profiles import profile as profiles
from ....system.errors import GraphError
from ...placement import fit, layout
from .split import DIFFER, split

PROFILE = "loihi2"
LOWEST_MEMORY = DECAY_ONE - 1  # dv = 4095: v * 1 / 4096
FORGOTTEN = DECAY_ONE - 1  # and |v| up to here leaves nothing


@dataclass(frozen=True)
class Cells:
    """One LIFReset process: `count` neurons of equal parameters, but for a bias mantissa each, int
    [count].

    State clears where (hardware step - `phase`) % `interval` == 0.
    """

    name: str
    count: int
    vth: int
    du: int
    dv: int
    bias_mant: np.ndarray
    bias_exp: int
    interval: int
    phase: int


@dataclass(frozen=True)
class LoihiNetwork:
    """Cells, and the schedule and synapses (`network`) of samples that take `network.steps` = a
    window. `order`: of a population that is cut, which neuron stands where (`split`).
    """

    network: LavaNetwork
    cells: tuple[Cells, ...]
    notes: tuple[str, ...]
    order: dict[str, np.ndarray]


def window(steps: int) -> int:
    """How often the chip clears its state, for samples of `steps` steps."""
    return layout.window(steps, profiles.load(PROFILE))


def lower(graph: Graph, steps: int | None = None) -> LoihiNetwork:
    """The graph for samples of `steps` steps (default: the graph's own) on Loihi 2.

    Raises `GraphError`, naming the population or synapse, where a limit of the chip is broken:
    `scmrl profiles loihi2` lists them.
    """
    found = fit.fit(graph, profiles.load(PROFILE))
    found.require()
    whole = lower_for_lava(graph, window(graph.steps if steps is None else steps), found.line)
    require_one_value(graph.of_kind("readout"), "the readout process of Loihi 2")
    network, order = split(whole)
    for w in network.weights:
        if w.exponent - 1 > EXPONENT_MAX:  # built as twice the mantissa, half the scale
            raise GraphError(
                "weight is beyond the chip's exponent",
                where=w.name,
                limit=EXPONENT_MAX,
                value=w.exponent - 1,
                fix="use smaller weights and thresholds",
            )
    homes = {place.process: graph[place.population] for place in network.places}
    cells = tuple(_cells(n, homes.get(n.name), graph, network.steps) for n in network.neurons)
    return LoihiNetwork(network, cells, _notes(graph, network, cells), order)


def _cells(n: Neurons, population: Population | None, graph: Graph, interval: int) -> Cells:
    """The neurons of one process, which hold one population or (None) pass its spikes on."""
    vth, du, dv, exponent = (int(getattr(n, name)[0]) for name in DIFFER)
    if dv == FULL_LEAK:
        dv = LOWEST_MEMORY
        if population is not None and not _forgets(population, graph):
            interval = 1
    return Cells(
        n.name,
        n.count,
        THRESHOLD_MAX if vth == NEVER else vth,
        du,
        dv,
        n.bias_mant,
        exponent,
        interval,
        n.phase % interval,
    )


def _forgets(p: Population, graph: Graph) -> bool:
    """Whether the membrane that a step leaves is below 4096 in size, so that dv = 4095 clears it.

    From above: more than vth << 6 fires and resets. From below: the most negative sum.
    """
    highest = int(np.max(p.vth)) << CURRENT_SHIFT
    lowest = (lowest_activation(graph, p.name) << CURRENT_SHIFT) + int(p.bias.min())
    return p.fires and highest <= FORGOTTEN and lowest >= -FORGOTTEN


def lowest_activation(graph: Graph, name: str) -> int:
    """Lower bound of a in population `name`: every source of negative weight active at its largest
    value.
    """
    target = graph[name]
    bound = np.zeros(target.neurons)  # exact up to 2^53
    for synapse in graph.incoming(name):
        source = graph[synapse.source]
        largest = (1 << source.bits) - 1 if source.kind == "input" else 1
        negative = synapse.per_target(source.shape, target.shape, lambda w: np.minimum(w, 0))
        bound += negative.astype(float) * (largest << int(synapse.exponent))
    return int(bound.min(initial=0))


def _notes(graph: Graph, network: LavaNetwork, cells: tuple[Cells, ...]) -> tuple[str, ...]:
    notes = [
        f"layout for the chip: {len(cells)} LIF processes, {network.count:,} neurons,"
        f" {network.relays:,} of them relays, {network.nonzeros:,} synapses, of which"
        f" {sum(len(w.mantissa) for w in network.weights if w.delay):,} wait"
    ]
    if network.steps != graph.steps:
        notes.append(
            f"state clears every {network.steps} steps, a power of two; the model's samples take "
            f"{graph.steps}"
        )
    reset = dict.fromkeys(c.name.rsplit("@", 1)[0] for c in cells if c.interval == 1)
    if reset:
        notes.append(f"cleared before every step: {', '.join(reset)}")
    return tuple(notes)
