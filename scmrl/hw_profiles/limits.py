"""What a chip can hold: one rule a function, each checked exactly on a graph, without placing it on
cores.

A rule has the name of the limit it reads from the profile; keyword parameters name further limits,
None where the profile has none. Its docstring is the documentation and the error: the first line is
what must hold, the text after `Remedy:` what to do where it does not. A rule does not apply to a
profile without its limit. Here are the rules of counts, fan-in and fan-out; those of the integers
are in `integer_limits`, those of chips that run whole layers in `layer_limits`.

To add a rule: write a generator of `(where, value)` pairs, list it in `RULES`, and give the limit a
unit in `quantities.LIMITS`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.graph import Graph, Population, Synapse
from ..system.errors import GraphError
from . import integer_limits, layer_limits
from .layer_limits import Offences, computed_populations
from .profile import Profile, Quantity


@dataclass(frozen=True)
class Violation:
    """A broken rule: its name and text, the population or synapse, what is allowed, what was
    found.
    """

    rule: str
    text: str
    where: str
    limit: str
    value: str
    remedy: str


def neurons_per_chip(graph: Graph, limit: int) -> Offences:
    """All neurons together fit one chip; inputs come from outside and take none.

    Remedy: use fewer channels or tokens; the network needs more than one chip.
    """
    neurons = sum(p.neurons for p in computed_populations(graph))
    if neurons > limit:
        yield "all populations", neurons


def inputs(graph: Graph, limit: int) -> Offences:
    """All inputs together have at most this many neurons.

    Remedy: use fewer input channels or positions.
    """
    yield from _too_many(graph.of_kind("input"), "all inputs", limit)


def hidden_neurons(graph: Graph, limit: int) -> Offences:
    """At most this many neurons fire.

    Remedy: use fewer channels, tokens or layers.
    """
    yield from _too_many(graph.of_kind("lif"), "all firing populations", limit)


def readouts(graph: Graph, limit: int) -> Offences:
    """The readout has at most this many neurons.

    Remedy: use fewer classes.
    """
    yield from _too_many(graph.of_kind("readout"), "readout", limit)


def synapses_per_chip(graph: Graph, limit: int) -> Offences:
    """All non-zero weights together, one a connection, fit one chip.

    Remedy: use fewer channels or tokens, or prune weights.
    """
    synapses = sum(int(graph.fan_out(synapse).sum()) for synapse in graph.synapses)
    if synapses > limit:
        yield "all synapses", synapses


def memory_per_chip(graph: Graph, limit: int) -> Offences:
    """The weights of one chip fit its memory: those that are not zero, shared ones once, as wide as
    the widest of their synapse.

    Remedy: use fewer channels, or narrower weights.
    """
    bits = sum(int(np.count_nonzero(s.weight)) * _width(s) for s in graph.synapses)
    if bits > limit:
        yield "all weights", bits


def fan_out(graph: Graph, limit: int) -> Offences:
    """A neuron that fires reaches at most this many others.

    Remedy: reduce the fan-out: fewer channels or positions in the next layers, or prune weights.
    """
    for p in graph.of_kind("lif"):
        outgoing = [graph.fan_out(s) for s in graph.synapses if s.source == p.name]
        most = int(np.sum(outgoing, axis=0).max()) if outgoing else 0
        if most > limit:
            yield p.name, most


def axons_out_per_core(
    graph: Graph, limit: int, *, neurons_per_core: int | None = None
) -> Offences:
    """A neuron reaches at most this many cores: its own core has one output axon for each of them.

    Remedy: reduce the fan-out: fewer channels or positions in the next layers.
    """
    for p in graph.populations:
        reached: dict[str, int] = {}  # cores that one neuron reaches at least, by target
        for synapse in (s for s in graph.synapses if s.source == p.name):
            cores = _cores_reached(graph, synapse, neurons_per_core)
            reached[synapse.target] = max(cores, reached.get(synapse.target, 0))
        if sum(reached.values()) > limit:
            yield p.name, sum(reached.values())


def synapse_words_per_core(graph: Graph, limit: int) -> Offences:
    """The synapses of one neuron fit one core: a word for each source neuron or shared weight at
    least.

    Remedy: reduce the fan-in: fewer channels or positions in its sources, or a layer between.
    """
    for p in computed_populations(graph):
        words = sum(_own_weights(synapse) for synapse in graph.incoming(p.name))
        if words > limit:
            yield p.name, words


def synapse_memory_per_core(graph: Graph, limit: int) -> Offences:
    """The weights of one neuron fit one core.

    Remedy: reduce the fan-in or the width of the weights.
    """
    for p in computed_populations(graph):
        bits = sum(_own_weights(synapse) * _width(synapse) for synapse in graph.incoming(p.name))
        if bits > limit:
            yield p.name, bits


def axons_in_per_core(graph: Graph, limit: int) -> Offences:
    """A neuron listens to at most this many others: its core has one input axon for each of them.

    Remedy: reduce the fan-in: fewer channels or positions in its sources, or a layer between.
    """
    for p in computed_populations(graph):
        most = _fan_in(graph, p.name)
        if most > limit:
            yield p.name, most


def _too_many(populations: tuple[Population, ...], where: str, limit: int) -> Offences:
    neurons = sum(p.neurons for p in populations)
    if neurons > limit:
        yield where, neurons


def _cores_reached(graph: Graph, synapse: Synapse, neurons_per_core: int | None) -> int:
    """Cores that a source neuron reaches at least through one synapse."""
    if not neurons_per_core or graph[synapse.target].neurons <= neurons_per_core:
        return 1
    return math.ceil(int(graph.fan_out(synapse).max()) / neurons_per_core)


def _own_weights(synapse: Synapse) -> int:
    """Largest number of non-zero weights that one target neuron needs; a weight that is used twice
    is one.
    """
    return int(np.count_nonzero(synapse.rows(), axis=1).max(initial=0))


def _width(synapse: Synapse) -> int:
    """Bits of the widest mantissa as a signed integer."""
    weight = np.asarray(synapse.weight)
    return 1 + max(
        int(weight.max(initial=0)).bit_length(), (-int(weight.min(initial=0)) - 1).bit_length()
    )


def _fan_in(graph: Graph, name: str) -> int:
    """Largest number of distinct source neurons that one neuron of a population listens to."""
    target = graph[name]
    count = np.zeros(target.neurons, np.int64)
    for source in {synapse.source for synapse in graph.incoming(name)}:
        synapses = [s for s in graph.incoming(name) if s.source == source]
        count += _connections(graph[source], target, synapses)
    return int(count.max(initial=0))


def _connections(source: Population, target: Population, synapses: list[Synapse]) -> np.ndarray:
    """Neurons of `source` that each neuron of `target` listens to: int64 [targets], without listing
    them.
    """
    if all(synapse.all_to_all for synapse in synapses):
        connected = synapses[0].weight != 0
        for synapse in synapses[1:]:
            connected = connected | (synapse.weight != 0)
        return np.count_nonzero(connected, axis=1)
    if len(synapses) == 1:  # the map itself, with ones for weights and for spikes
        ones = synapses[0].mapped(lambda w: (w != 0).astype(np.int64))
        return ones.apply(np.ones((1, *source.shape), np.int64), target.shape).ravel()
    pairs = [s.coordinates(source.shape, target.shape)[:2] for s in synapses]
    rows, columns = (np.concatenate(axis) for axis in zip(*pairs))
    rows = np.unique(rows * source.neurons + columns) // source.neurons  # they share an axon
    return np.bincount(rows, minlength=target.neurons)


RULES: dict[str, Callable[..., Offences]] = {
    rule.__name__: rule
    for rule in (
        *integer_limits.RULES,
        inputs,
        hidden_neurons,
        readouts,
        neurons_per_chip,
        synapses_per_chip,
        memory_per_chip,
        fan_out,
        axons_in_per_core,
        axons_out_per_core,
        synapse_words_per_core,
        synapse_memory_per_core,
        *layer_limits.RULES,
    )
}
OF_ALL_CHIPS = (
    "neurons_per_chip",
    "synapses_per_chip",
    "memory_per_chip",
)  # several chips together hold as many times more


def check(graph: Graph, profile: Profile, *, chips: int = 1) -> list[Violation]:
    """Every place where `graph` exceeds a limit of `profile` on that many chips; an empty list
    where it fits.
    """
    violations = []
    for name, rule in RULES.items():
        limit = profile.limits.get(name)
        if limit is None:
            continue
        doc = (
            inspect.getdoc(rule) or f"{name} Remedy: stay within it"
        )  # python -OO drops docstrings
        text, remedy = (" ".join(part.split()) for part in doc.split("Remedy:"))
        if name in OF_ALL_CHIPS:
            limit = replace(limit, value=limit.value * chips)
        allowed = "not on this chip" if limit.unit == "1" else f"{int(limit.value)} {limit.unit}"
        also = {
            other: _whole(profile.limits[other])
            for other in _further(rule)
            if other in profile.limits
        }
        violations += [
            Violation(name, text.rstrip("."), where, allowed, str(value), remedy.rstrip("."))
            for where, value in rule(graph, _whole(limit), **also)
        ]
    return violations


def _further(rule: Callable[..., Offences]) -> list[str]:
    """The limits that a rule reads beside its own."""
    return [
        name for name, p in inspect.signature(rule).parameters.items() if p.kind is p.KEYWORD_ONLY
    ]


def _whole(limit: Quantity) -> int | tuple[int, ...]:
    """A limit as an integer, or as those of each core where they differ."""
    return tuple(map(int, limit.each)) if limit.each else int(limit.value)


def most_chips(profile: Profile) -> int:
    """Chips of the largest system that is known; one where none is."""
    return max((int(system["chips"].value) for system in profile.systems.values()), default=1)


def require(graph: Graph, profile: Profile) -> None:
    """Raise `GraphError` for the first violation on the chips of the largest system, saying how
    many there are.
    """
    violations = check(graph, profile, chips=most_chips(profile))
    if violations:
        raise refusal(violations, profile.chip)


def refusal(violations: Sequence[Violation], chip: str) -> GraphError:
    """The error that names the first broken rule, where, its limit and the value, and how many more
    there are.
    """
    first, more = violations[0], len(violations) - 1
    also = f" (and {more} more broken limit{'s' * (more > 1)})" if more else ""
    return GraphError(
        f"does not fit {chip}, it breaks {first.rule}{also}: {sentence(first.text)}",
        where=first.where,
        limit=first.limit,
        value=first.value,
        fix=sentence(first.remedy),
    )


def sentence(text: str) -> str:
    """Within a sentence: without its capital letter."""
    return text[0].lower() + text[1:]
