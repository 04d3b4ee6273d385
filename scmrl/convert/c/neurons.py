"""A population as C computes it: which state it keeps, and in how many bits its sums fit.

    u = trunc(u * keep_u / 4096) + a * 64       wraps to 24 bits
    v = trunc(v * keep_v / 4096) + u + bias     saturates at 24 bits
    s = v > threshold

(`scmrl.core.fixed_point`.) What the bounds of a graph rule out is not written down: no wrap where
no sum reaches the border, no state that nothing reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.fixed_point import (
    BIAS_FITS,
    CURRENT_SHIFT,
    DECAY_ONE,
    EVERY_STATE_FITS,
    STATE_LIMIT,
    STATE_MAX,
)
from ...core.graph import Graph, Population
from .words import Table, brackets, integer, integers, last, place, said, size_of

Parameter = int | Table  # of all neurons, or of each


@dataclass(frozen=True)
class Neurons:
    """A population prepared for the templates."""

    population: Population
    id: str
    worst: int  # bound of |a|
    unit: int  # what a sum of 1 brings to u: 64, and the exponent that all its synapses share
    sum_type: str
    keep_u: Parameter
    keep_v: Parameter
    threshold: Parameter
    bias: Parameter
    shown: bool  # its membrane is kept for others: a readout's, or that of a joined compartment
    past: int  # steps that it remembers for delayed synapses
    unread: bool  # no synapse of zero delay leaves it: an output of the network
    added: str  # the identifier of the population whose membrane it adds

    @property
    def name(self) -> str:
        return said(self.population.name)

    @property
    def layout(self) -> str:
        return brackets(self.population.shape)

    @property
    def count(self) -> int:
        return self.population.neurons

    @property
    def slots(self) -> int:
        """Steps of its values that are held: this one, and the past."""
        return self.past + 1

    @property
    def value_type(self) -> str:
        return place(self.population.largest)

    @property
    def value_bits(self) -> int:
        return 8 * size_of(self.value_type)

    @property
    def has_u(self) -> bool:
        return self.keep_u != 0

    @property
    def leaks(self) -> bool:
        """Whether the membrane of the step before counts."""
        return self.keep_v != 0

    @property
    def has_v(self) -> bool:
        return self.leaks or self.shown

    @property
    def wide(self) -> bool:
        """Whether u or v can leave 32 bits on their way: one wrap does not bring u back to 24."""
        return (self.has_u and self.worst > EVERY_STATE_FITS) or _largest(self.bias) > BIAS_FITS

    @property
    def number(self) -> str:
        return "int64_t" if self.wide else "int32_t"

    @property
    def width(self) -> int:
        """Bits of `number`."""
        return 8 * size_of(self.number)

    @property
    def sums(self) -> str:
        """Where its sums are made."""
        return f"i{8 * size_of(self.sum_type)}"

    @property
    def what(self) -> str:
        """Its kind, in words."""
        p = self.population
        reset = ", reset by subtraction" if p.subtracts else ""
        joined = f", adds the membrane of {said(p.adds)}" if p.adds else ""
        return p.kind + (", memoryless" if p.memoryless else "") + reset + joined

    @property
    def wraps(self) -> bool:
        return self.has_u or self.worst << CURRENT_SHIFT >= STATE_LIMIT

    @property
    def saturates(self) -> bool:
        """|v| stays below drive * 4096 / dv where a part dv / 4096 of it leaks in every step."""
        drive = (self.worst << CURRENT_SHIFT) + _largest(self.bias)
        leak = DECAY_ONE - _largest(self.keep_v)
        inside = not (self.has_u or self.added) and leak and drive * DECAY_ONE // leak <= STATE_MAX
        return not inside

    @property
    def tables(self) -> list[Table]:
        parameters = (self.keep_u, self.keep_v, self.threshold, self.bias)
        return [each for each in parameters if isinstance(each, Table)]

    def state(self) -> list[tuple[str, str, int]]:
        """(type, name, numbers) of what it keeps from step to step."""
        kept = [(self.number, f"u_{self.id}", self.count)] if self.has_u else []
        if self.has_v:
            kept.append(("int32_t", f"v_{self.id}", self.count))
        letter = "x" if self.population.kind == "input" else "s"
        if self.population.fires or self.past:
            kept.append((self.value_type, f"{letter}_{self.id}", self.count * self.slots))
        if self.past:
            kept.append(("uint32_t", f"now_{self.id}", 1))
        return kept

    def held(self, delay: int) -> str:
        """Its values of `delay` steps ago, as C says it."""
        letter = "x" if self.population.kind == "input" else "s"
        if not self.past:
            return f"in->x_{self.id}" if letter == "x" else f"model.s_{self.id}"
        slot = f"model.now_{self.id}"
        if delay:
            slot = f"(model.now_{self.id} + {self.slots - delay}) % {self.slots}"
        return f"model.{letter}_{self.id} + {slot} * {self.count}"


def divisor(keep: Parameter) -> int:
    """What a state is divided by to leave keep / 4096 of it exactly, toward zero; 0: no such."""
    if isinstance(keep, Table) or keep <= 0 or DECAY_ONE % keep:
        return 0
    return DECAY_ONE // keep


def _largest(values: Parameter) -> int:
    """The largest magnitude of a parameter."""
    return int(np.abs(values.values).max()) if isinstance(values, Table) else abs(values)


def _parameter(name: str, values: np.ndarray) -> Parameter:
    """One number where all neurons have the same."""
    flat = last(values)
    return int(flat[0]) if np.all(flat == flat[0]) else integers(name, flat)


def prepare(graph: Graph, p: Population, ids: dict[str, str]) -> Neurons:
    """A population of a legal graph, under its name of C in `ids`."""
    word, incoming = ids[p.name], graph.incoming(p.name)
    exponent = min((int(s.exponent) for s in incoming), default=0)
    worst = graph.worst_activation(p.name)
    du, dv = p.decays
    adding = any(other.adds == p.name for other in graph.populations)
    return Neurons(
        p,
        word,
        worst,
        1 << (CURRENT_SHIFT + exponent),
        integer(-(worst >> exponent), worst >> exponent),
        _parameter(f"keep_u_{word}", p.per_neuron(DECAY_ONE - 1 - du)),
        _parameter(f"keep_v_{word}", p.per_neuron(DECAY_ONE - dv)),
        _parameter(f"threshold_{word}", p.per_neuron(p.vth) << CURRENT_SHIFT),
        _parameter(f"bias_{word}", p.bias),
        adding or p.kind == "readout",
        max((int(s.delay) for s in graph.outgoing(p.name)), default=0),
        p.fires and not any(s.delay == 0 for s in graph.outgoing(p.name)),
        ids.get(p.adds, ""),
    )


def scratch(neurons: list[Neurons]) -> list[tuple[str, str, int]]:
    """(type, name, numbers) of the sums, one population's at a time."""
    sizes: dict[str, int] = {}
    for each in neurons:
        sizes[each.sum_type] = max(sizes.get(each.sum_type, 0), each.count)
    return [
        (t, f"i{8 * size_of(t)}", n) for t, n in sorted(sizes.items(), key=lambda x: -size_of(x[0]))
    ]
