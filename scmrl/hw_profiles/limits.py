"""What a chip can hold: one rule a function, each checked exactly on a graph, without placing it on cores.

A rule has the name of the limit it reads from the profile. Its docstring is the documentation and the error:
the first line is what must hold, the text after `Remedy:` what to do where it does not. A rule does not apply
to a profile without that limit.

To add a rule: write a generator of `(where, value)` pairs, list it in `RULES`, and give the limit a unit in
`profile.UNITS`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import GraphError
from ..fixed_point import STATE_BITS
from ..graph import Graph
from .profile import Profile

Offences = Iterator[tuple[str, object]]


@dataclass(frozen=True)
class Violation:
    """A broken rule: its name and text, the population or synapse, what is allowed, what was found."""

    rule: str
    text: str
    where: str
    limit: str
    value: str
    remedy: str


def _signed(bits: int) -> tuple[int, int]:
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def _outside(values: object, low: int, high: int) -> int | None:
    """The value farthest outside low..high, None where all are inside."""
    values = np.asarray(values, np.int64)
    if values.size == 0:
        return None
    smallest, largest = int(values.min()), int(values.max())
    if smallest >= low and largest <= high:
        return None
    return smallest if low - smallest > largest - high else largest


def weight_bits(graph: Graph, limit: int) -> Offences:
    """Every weight mantissa is a signed integer of this many bits.

    Remedy: use smaller mantissas and move a power of two into the synapse's exponent.
    """
    for synapse in graph.synapses:
        worst = _outside(synapse.weight, *_signed(limit))
        if worst is not None:
            yield synapse.name, worst


def weight_exponent(graph: Graph, limit: int) -> Offences:
    """The exponent of a synapse's weights is at most this.

    Remedy: scale down all weights and thresholds of the target population.
    """
    for synapse in graph.synapses:
        if synapse.exponent > limit:
            yield synapse.name, synapse.exponent


def decay_bits(graph: Graph, limit: int) -> Offences:
    """The decays du and dv are unsigned integers of this many bits.

    Remedy: keep du and dv in 0..4095; for no membrane memory make the population memoryless.
    """
    for p in _neurons(graph):
        for name in ("du", "dv"):
            if _outside(getattr(p, name), 0, (1 << limit) - 1) is not None:
                yield f"{p.name}.{name}", getattr(p, name)


def threshold_bits(graph: Graph, limit: int) -> Offences:
    """The threshold mantissa vth is an unsigned integer of this many bits.

    Remedy: scale down the weights and the threshold of the population.
    """
    for p in graph.of_kind("lif"):
        if _outside(p.vth, 0, (1 << limit) - 1) is not None:
            yield p.name, p.vth


def bias_mantissa_bits(graph: Graph, limit: int) -> Offences:
    """The bias mantissa is a signed integer of this many bits.

    Remedy: use a smaller mantissa and a larger bias exponent.
    """
    for p in _neurons(graph):
        worst = _outside(p.bias_mant, *_signed(limit))
        if worst is not None:
            yield p.name, worst


def bias_exponent(graph: Graph, limit: int) -> Offences:
    """The bias exponent is at most this.

    Remedy: scale down the weights, the bias and the threshold of the population.
    """
    for p in _neurons(graph):
        if p.bias_exp > limit:
            yield p.name, p.bias_exp


def input_bits(graph: Graph, limit: int) -> Offences:
    """A message carries at most this many bits; a spike is one.

    Remedy: train with narrower inputs (1 bit: spike-coded), or choose a chip with graded spikes.
    """
    for p in graph.of_kind("input"):
        if p.bits > limit:
            yield p.name, p.bits


def delay_steps(graph: Graph, limit: int) -> Offences:
    """A synapse delays by at most this many steps.

    Remedy: shorten the delay, or pass it through a relay population.
    """
    for synapse in graph.synapses:
        if synapse.delay > limit:
            yield synapse.name, synapse.delay


def state_bits(graph: Graph, limit: int) -> Offences:
    """Current and membrane fit a state word of this many bits.

    Remedy: choose a chip whose neurons hold 24-bit states.
    """
    for p in _neurons(graph):
        if STATE_BITS > limit:
            yield p.name, STATE_BITS


def neurons_per_chip(graph: Graph, limit: int) -> Offences:
    """All neurons together fit one chip; inputs come from outside and take none.

    Remedy: use fewer channels or tokens; the network needs more than one chip.
    """
    neurons = sum(p.neurons for p in _neurons(graph))
    if neurons > limit:
        yield "all populations", neurons


def axons_in_per_core(graph: Graph, limit: int) -> Offences:
    """A neuron listens to at most this many others: its core has one input axon for each of them.

    Remedy: reduce the fan-in: fewer channels or positions in its sources, or a layer between.
    """
    for p in _neurons(graph):
        most = _fan_in(graph, p.name)
        if most > limit:
            yield p.name, most


def _neurons(graph: Graph) -> tuple:
    return graph.of_kind("lif") + graph.of_kind("readout")


def _fan_in(graph: Graph, name: str) -> int:
    """Largest number of distinct source neurons that one neuron of a population listens to."""
    target = graph[name]
    count = np.zeros(target.neurons, np.int64)
    for source in {synapse.source for synapse in graph.incoming(name)}:
        pairs = [s.coordinates(graph[source].shape, target.shape)[:2]
                 for s in graph.incoming(name) if s.source == source]
        rows, columns = (np.concatenate(axis) for axis in zip(*pairs))
        if len(pairs) > 1:                          # two synapses between the same neurons share an axon
            rows = np.unique(rows * graph[source].neurons + columns) // graph[source].neurons
        count += np.bincount(rows, minlength=target.neurons)
    return int(count.max(initial=0))


RULES: dict[str, Callable[[Graph, int], Offences]] = {rule.__name__: rule for rule in (
    weight_bits, weight_exponent, decay_bits, threshold_bits, bias_mantissa_bits, bias_exponent, input_bits,
    delay_steps, state_bits, neurons_per_chip, axons_in_per_core)}


def check(graph: Graph, profile: Profile) -> list[Violation]:
    """Every place where `graph` exceeds a limit of `profile`; an empty list where it fits."""
    violations = []
    for name, rule in RULES.items():
        limit = profile.limits.get(name)
        if limit is None:
            continue
        doc = inspect.getdoc(rule) or f"{name} Remedy: stay within it"      # python -OO drops docstrings
        text, remedy = (" ".join(part.split()) for part in doc.split("Remedy:"))
        allowed = f"{int(limit.value)} {limit.unit}"
        violations += [Violation(name, text.rstrip("."), where, allowed, str(value), remedy.rstrip("."))
                       for where, value in rule(graph, int(limit.value))]
    return violations


def require(graph: Graph, profile: Profile) -> None:
    """Raise `GraphError` for the first violation, saying how many there are."""
    violations = check(graph, profile)
    if not violations:
        return
    first, more = violations[0], len(violations) - 1
    also = f" (and {more} more broken limit{'s' * (more > 1)})" if more else ""
    raise GraphError(f"does not fit {profile.chip}{also}: {first.text[0].lower()}{first.text[1:]}",
                     where=first.where, limit=first.limit, value=first.value, fix=first.remedy)
