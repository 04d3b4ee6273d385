"""What a chip's integers and neurons can do: widths of weights, decays, thresholds and states, leak
and memory.

The rules are of the same form as in `scmrl.hw_profiles.limits`.
"""

from __future__ import annotations

import numpy as np

from ..core.fixed_point import STATE_BITS, signed
from ..core.graph import NO_CURRENT_MEMORY, Graph
from .layer_limits import Offences, computed_populations


def _outside(values: object, low: int, high: int) -> int | None:
    """The value farthest outside low..high, None where all are inside."""
    values = np.asarray(values)
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
        worst = _outside(synapse.weight, *signed(limit))
        if worst is not None:
            yield synapse.name, worst


def weight_exponent(graph: Graph, limit: int) -> Offences:
    """The exponent of a synapse's weights is at most this.

    Remedy: scale down all weights and thresholds of the target population.
    """
    for synapse in graph.synapses:
        if synapse.exponent > limit:
            yield synapse.name, synapse.exponent


def mixed_signs(graph: Graph, limit: int) -> Offences:
    """All weights of a synapse have the same sign.

    Remedy: split the synapse in two, one of the positive and one of the negative weights.
    """
    for synapse in graph.synapses:
        weight = np.asarray(synapse.weight)
        if not limit and weight.min() < 0 < weight.max():
            yield synapse.name, f"{weight.min()}..{weight.max()}"


def decay_bits(graph: Graph, limit: int) -> Offences:
    """The decays du and dv are unsigned integers of this many bits.

    Remedy: keep du and dv in 0..4095; for no membrane memory make the population memoryless.
    """
    for p in computed_populations(graph):
        for name in ("du", "dv"):
            worst = _outside(getattr(p, name), 0, (1 << limit) - 1)
            if worst is not None:
                yield f"{p.name}.{name}", worst


def any_decay(graph: Graph, limit: int) -> Offences:
    """A decay is a shift: dv and du + 1 are 0 or a power of two.

    Remedy: round dv and du + 1 to powers of two and train again.
    """
    for p in computed_populations(graph):
        for name, decay in (("du", p.du + 1), ("dv", p.dv)):
            odd = np.asarray(getattr(p, name))[np.asarray(decay & (decay - 1)) != 0]
            if not limit and not p.memoryless and odd.size:
                yield f"{p.name}.{name}", int(odd[0])


def leak(graph: Graph, limit: int) -> Offences:
    """The membrane does not leak: dv is 0.

    Remedy: train integrate-and-fire neurons (dv = 0), or choose a chip with leaky ones.
    """
    for p in computed_populations(graph):
        if not limit and not p.memoryless and np.any(p.dv):
            yield p.name, int(np.max(p.dv))


def current_memory(graph: Graph, limit: int) -> Offences:
    """The synaptic current has no memory: du is 4095.

    Remedy: train with du = 4095, or choose a chip whose neurons have a synaptic current.
    """
    for p in computed_populations(graph):
        if not limit and not p.memoryless and np.any(p.du != NO_CURRENT_MEMORY):
            yield p.name, int(np.min(p.du))


def membrane_memory(graph: Graph, limit: int) -> Offences:
    """A neuron keeps nothing from one step to the next: it is memoryless.

    Remedy: choose a chip with LIF neurons; this one runs networks without time.
    """
    for p in computed_populations(graph):
        if not limit and not p.memoryless:
            yield p.name, "a membrane"


def state_reset(graph: Graph, limit: int) -> Offences:
    """A neuron is never cleared at every step: no population is memoryless.

    Remedy: choose a chip that runs in steps and clears its states; attention masks and pools need
    it.
    """
    for p in computed_populations(graph):
        if not limit and p.memoryless:
            yield p.name, "memoryless"


def threshold_bits(graph: Graph, limit: int) -> Offences:
    """The threshold mantissa vth is an unsigned integer of this many bits.

    Remedy: scale down the weights and the threshold of the population.
    """
    for p in graph.of_kind("lif"):
        worst = _outside(p.vth, 0, (1 << limit) - 1)
        if worst is not None:
            yield p.name, worst


def bias_mantissa_bits(graph: Graph, limit: int) -> Offences:
    """The bias mantissa is a signed integer of this many bits.

    Remedy: use a smaller mantissa and a larger bias exponent.
    """
    for p in computed_populations(graph):
        worst = _outside(p.bias_mant, *signed(limit))
        if worst is not None:
            yield p.name, worst


def bias_exponent(graph: Graph, limit: int) -> Offences:
    """The bias exponent is at most this.

    Remedy: scale down the weights, the bias and the threshold of the population.
    """
    for p in computed_populations(graph):
        if p.bias_exp > limit:
            yield p.name, p.bias_exp


def input_bits(graph: Graph, limit: int) -> Offences:
    """A message carries at most this many bits; a spike is one.

    Remedy: train with narrower inputs (1 bit: spike-coded), or choose a chip with graded spikes.
    """
    for p in graph.of_kind("input"):
        if p.bits > limit:
            yield p.name, p.bits


def state_bits(graph: Graph, limit: int) -> Offences:
    """Current and membrane fit a state word of this many bits.

    Remedy: choose a chip whose neurons hold 24-bit states.
    """
    for p in computed_populations(graph):
        if limit < STATE_BITS:
            yield p.name, STATE_BITS


RULES = (
    weight_bits,
    weight_exponent,
    mixed_signs,
    decay_bits,
    any_decay,
    leak,
    current_memory,
    membrane_memory,
    state_reset,
    threshold_bits,
    bias_mantissa_bits,
    bias_exponent,
    input_bits,
    state_bits,
)
