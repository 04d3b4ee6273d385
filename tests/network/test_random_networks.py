"""A hundred random networks (`drawn_networks`): training's own spikes are the reference's, the
simulator's and Lava's in every bit; and a lowering that is wrong in one fact does not pass.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("numba", reason="training needs numba")
pytest.importorskip("norse", reason="training needs norse")

from conformance.equality import unequal
from drawn_networks import KINDS, Drawn, drawn, of_kind

from scmrl.core import reference
from scmrl.core.graph import Graph, Population
from scmrl.core.synapse import Synapse
from scmrl.deploy.registry import open_backend
from scmrl.network.nodes import weights as node_weights
from scmrl.network.nodes.lowering import ALWAYS, Lowering
from scmrl.network.nodes.weights import placed
from scmrl.system.errors import GraphError, MissingDependency

COUNT, TOGETHER, FOR_LAVA = 100, 10, 2  # networks; in one test; samples that Lava runs
REFUSED = r"resets the membrane to zero|loop is too fast for a chip"


@functools.cache
def lowered(seed: int) -> tuple[Graph, dict[str, np.ndarray]]:
    return drawn(seed).net.graph(), drawn(seed).samples


def different(network: Drawn, graph: Graph) -> dict[str, list[int]]:
    """Where the reference on `graph` differs from training's own forward."""
    found, trained = reference.run(graph, network.samples), network.trained
    found.spikes.pop(ALWAYS, None)
    names = [p for p in graph.populations if p.name != ALWAYS]
    return unequal(replace(graph, populations=tuple(names), synapses=()), trained, found)


@pytest.mark.parametrize("first", range(0, COUNT, TOGETHER))
def test_training_is_the_reference_and_the_simulator(first):
    for seed in range(first, first + TOGETHER):
        graph, samples = lowered(seed)
        assert different(drawn(seed), graph) == {}, seed
        with open_backend("simulator", graph) as simulator:
            got = simulator.run(samples)
        assert unequal(graph, reference.run(graph, samples), got) == {}, seed


def test_training_is_lava():
    ran = Counter()
    for seed in range(COUNT):
        graph, samples = lowered(seed)
        few = {name: x[:FOR_LAVA] for name, x in samples.items()}
        try:
            with open_backend("lava-inprocess", graph) as lava:
                got = lava.run(few)
        except MissingDependency as missing:
            pytest.skip(str(missing))
        except GraphError as refused:
            assert re.search(REFUSED, str(refused)), seed
            continue
        assert unequal(graph, reference.run(graph, few), got) == {}, seed
        ran.update(drawn(seed).kinds)
        ran["all"] += 1
    assert ran["all"] >= 60
    assert [kind for kind in KINDS if kind != "subtract" and not ran[kind]] == []


def test_every_kind_is_drawn():
    found = Counter(kind for seed in range(COUNT) for kind in drawn(seed).kinds)
    assert {kind: found[kind] for kind in KINDS if found[kind] < 5} == {}


Part = Population | Synapse


def population(**facts: object) -> Callable[[Part], Part]:
    """Other facts of a population: values, or what makes them of the population."""

    def change(part: Part) -> Part:
        if not isinstance(part, Population):
            return part
        new = {name: f(part) if callable(f) else f for name, f in facts.items()}
        return replace(part, **new)

    return change


def synapse(name: str, of: Callable[[Synapse], object]) -> Callable[[Part], Part]:
    """Another fact of a synapse that has it."""
    return lambda part: replace(part, **{name: of(part)}) if hasattr(part, name) else part


def weights(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Part], Part]:
    """Other weights, where there are many."""
    return synapse("weight", lambda s: change(s.weight) if np.ndim(s.weight) else s.weight)


later = synapse("delay", lambda s: s.delay + (s.delay > 0))
mirrored = weights(lambda w: w[..., ::-1])
rolled = weights(lambda w: np.roll(w, 1, 1))
one_more = population(vth=lambda p: p.vth + 1)
slower = population(
    dv=lambda p: np.maximum(p.dv, 800) - 800 if np.ndim(p.dv) else max(p.dv - 800, 0)
)


def opposite(part: Part) -> Part:
    """What comes back to a neuron of its own has the other sign."""
    own = isinstance(part, Synapse) and part.source == part.target
    return replace(part, weight=-part.weight) if own else part


def mean(values: int | np.ndarray) -> int:
    return int(np.mean(values))


# What a part of a node of that kind becomes by a wrong lowering.
WRONG = {
    "bit": synapse("delay", lambda s: s.delay + 1),
    "graded": synapse("delay", lambda s: s.delay + 1),
    "Dense": rolled,
    "Shared": rolled,
    "Pooled": rolled,
    "Conv1d": mirrored,
    "Conv2d": mirrored,
    "stride": synapse("stride", lambda s: (1, 1)),
    "padding": synapse("padding", lambda s: (s.padding[0] + 1, s.padding[1])),
    "dilation": weights(lambda w: np.roll(w, 1, -1)),
    "groups": weights(lambda w: w[::-1]),
    "any": one_more,
    "sum": one_more,
    "remembering pool": population(memoryless=True),
    "And": one_more,
    "gate": one_more,
    "Mask": one_more,
    "remembering mask": population(memoryless=True),
    "norm": population(bias_mant=lambda p: p.bias_mant // 2),
    "no norm": one_more,
    "gain": None,
    "trained gain": None,
    "channels": None,
    "delay": later,
    "trained delay": None,
    "concat": rolled,
    "added": rolled,
    "full": opposite,
    "one-to-one": opposite,
    "loop of two": later,
    "loop of three": later,
    "du": population(du=lambda p: p.du // 2),
    "du by channel": population(du=lambda p: mean(p.du)),
    "dv by channel": population(dv=lambda p: mean(p.dv)),
    "dv by neuron": population(dv=lambda p: mean(p.dv)),
    "memoryless": population(memoryless=False),
    "trained du": population(du=lambda p: p.du // 2),
    "trained dv": slower,
    "trained threshold": one_more,
    "by population": slower,
    "by neuron": slower,
    "zero": population(reset="subtract"),
    "subtract": population(reset="zero"),
    "late": opposite,
    "scales": population(vth=lambda p: mean(p.vth)),
    "adding readout": population(dv=1),
    "leaky readout": population(dv=0),
}
NO_LOWERING = {"held", "two inputs", "local", "time", "surrogate"}  # forward or backward alone


def without_gains(before: Callable, named: bool) -> Callable:
    """`Lowering.gains`, with a gain of 1 where it has a name, or where it has none."""

    def gains(self, signals):
        found = before(self, signals)
        return [
            {key: 1.0 if isinstance(key, str) == named else gain for key, gain in by.items()}
            for by in found
        ]

    return gains


def delayed_once(self, s, weight, columns):
    """`Lowering.delayed`, all channels by the delay of the first."""
    yield (s.delay if isinstance(s.delay, int) else int(self.delays[s.delay][0])), weight


def first_channels(weight, part, channels, columns):
    """`weights.placed`, from the other end."""
    return placed(weight, (channels - part[1], channels - part[0]), channels, columns)


def break_lowering(kind: str, network: Drawn, patch: pytest.MonkeyPatch) -> None:
    """Put what `WRONG` says into the lowering of the nodes of that kind."""
    if WRONG[kind] is None:
        if kind == "channels":
            patch.setattr(node_weights, "placed", first_channels)
        elif kind == "trained delay":
            patch.setattr(Lowering, "delayed", delayed_once)
        else:
            named = kind == "trained gain"
            patch.setattr(Lowering, "gains", without_gains(Lowering.gains, named))
        return
    add, connect = Lowering.add, Lowering.connect
    held = of_kind(network.net, kind)

    def added(self, p):
        add(self, WRONG[kind](p) if p.name in held else p)

    def connected(self, s):
        mine = s.source if kind in ("bit", "graded") else s.target
        connect(self, WRONG[kind](s) if mine in held else s)

    patch.setattr(Lowering, "add", added)
    patch.setattr(Lowering, "connect", connected)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NO_LOWERING])
def test_a_wrong_lowering_does_not_pass(kind):
    """In one of the networks that hold the kind, at least: a wrong fact may be without effect."""
    for seed in range(COUNT):
        network = drawn(seed)
        if kind not in network.kinds:
            continue
        with pytest.MonkeyPatch.context() as patch:
            break_lowering(kind, network, patch)
            try:
                if different(network, network.net.graph()):
                    return
            except GraphError:  # a fact without meaning, as a stride that does not fit
                return
    pytest.fail(f"{kind}: no network saw it")
