"""The neuron: thresholds, leaks, borders, biases."""

from __future__ import annotations

import numpy as np
from conformance.graphs.parts import (
    Case,
    case,
    constant,
    graph,
    one_neuron,
    random_inputs,
    register,
    source,
    weights,
)

from scmrl.core.graph import Conv2d, Dense, OneToOne, Population


@register
def threshold_equality() -> Case:
    """v == vth << 6 does not fire; one more weight does."""
    return constant(
        graph(
            source(1),
            Population("at", (1,), vth=10, memoryless=True),
            Population("above", (1,), vth=10, memoryless=True),
            Dense("x", "at", np.array([[10]])),
            Dense("x", "above", np.array([[11]])),
        )
    )


@register
def negative_membrane_decays_toward_zero() -> Case:
    return one_neuron(-7, kind="readout", dv=1500, steps=10)


@register
def positive_membrane_decays_toward_zero() -> Case:
    return one_neuron(7, kind="readout", dv=1500, steps=10)


@register
def small_negative_membrane_vanishes() -> Case:
    """A membrane of -1 decays to 0, not to -1: the rounding is toward zero."""
    network = graph(
        source(1),
        Population("y", (1,), "readout", dv=1, bias_mant=-1),
        OneToOne("x", "y", 1),
        steps=5,
    )
    return constant(network, 0)


@register
def negative_current_decays_toward_zero() -> Case:
    network = graph(
        source(2),
        Population("y", (2,), "readout", du=1000, dv=700),
        OneToOne("x", "y", -5),
        steps=9,
    )
    return network, random_inputs(network)


@register
def current_wraps_up() -> Case:
    return one_neuron(100, exponent=11, kind="readout", dv=4095)


@register
def current_wraps_down() -> Case:
    return one_neuron(-100, exponent=11, kind="readout", dv=4095)


@register
def current_at_border() -> Case:
    """+2^23 itself is kept (and saturates in v)."""
    return one_neuron(64, exponent=11, kind="readout", dv=4095)


@register
def current_at_border_below_saturation() -> Case:
    """One current stays at +2^23, a bias takes its membrane below: no border crossed. The other
    wraps.
    """
    return constant(
        graph(
            source(1),
            Population("y", (2,), "readout", dv=4096, bias_mant=-100),
            Dense("x", "y", np.array([[64], [100]]), exponent=11),
        )
    )


@register
def current_at_negative_border() -> Case:
    """-2^23 wraps to +2^23."""
    return one_neuron(-64, exponent=11, kind="readout", dv=4095)


@register
def current_far_beyond_border() -> Case:
    """One wrap only: what is still outside 24 bits stays there, and the membrane saturates."""
    return one_neuron(127, exponent=16, kind="readout", steps=4)


@register
def current_wraps_by_memory() -> Case:
    """No single input wraps; their sum in the current does."""
    return one_neuron(100, exponent=9, du=100, dv=3000, vth=100000, steps=12)


@register
def membrane_saturates_up() -> Case:
    return one_neuron(120, exponent=9, kind="readout")


@register
def membrane_saturates_down() -> Case:
    return one_neuron(-120, exponent=9, kind="readout")


@register
def membrane_saturates_and_fires() -> Case:
    return one_neuron(120, exponent=9, vth=131071, steps=8)


@register
def current_never_decays() -> Case:
    """du = -1: the current is a sum over time."""
    return case(
        source(5),
        Population("y", (4,), vth=300, du=-1, dv=500),
        Dense("x", "y", weights(4, 5)),
        steps=8,
    )


@register
def current_hardly_decays() -> Case:
    """du = 0 keeps 4095 / 4096 of the current."""
    return case(
        source(5),
        Population("y", (4,), vth=300, du=0, dv=500),
        Dense("x", "y", weights(4, 5)),
        steps=8,
    )


@register
def current_and_membrane_memory() -> Case:
    return case(
        source(6),
        Population("y", (5,), vth=90, du=2047, dv=1023),
        Dense("x", "y", weights(5, 6)),
        steps=9,
    )


@register
def membrane_fully_leaks() -> Case:
    """dv = 4096 clears the membrane before every step."""
    return case(source(5), Population("y", (4,), vth=60, dv=4096), Dense("x", "y", weights(4, 5)))


@register
def membrane_leaves_a_remainder() -> Case:
    """dv = 4095 leaves v >> 12, which is not zero from a sum of 64 on."""
    return case(
        source(9),
        Population("y", (6,), "readout", dv=4095),
        Dense("x", "y", weights(6, 9)),
        density=0.8,
    )


@register
def memoryless_with_bias() -> Case:
    return case(
        source(6),
        Population("y", (5,), vth=20, memoryless=True, bias_mant=9, bias_exp=7),
        Dense("x", "y", weights(5, 6)),
    )


@register
def memoryless_ignores_decays() -> Case:
    return case(
        source(6),
        Population("y", (5,), vth=20, du=5, dv=5, memoryless=True),
        Dense("x", "y", weights(5, 6)),
    )


@register
def bias_positive() -> Case:
    return case(
        source(4),
        Population("y", (3,), vth=30, dv=400, bias_mant=555),
        Dense("x", "y", weights(3, 4)),
    )


@register
def bias_negative() -> Case:
    return case(
        source(4),
        Population("y", (3,), vth=30, dv=400, bias_mant=-555),
        Dense("x", "y", weights(3, 4)),
        Population("z", (2,), "readout", bias_mant=-4096, bias_exp=2),
        Dense("y", "z", weights(2, 3)),
    )


@register
def bias_with_exponent() -> Case:
    return case(
        source(4),
        Population("y", (3,), vth=200, dv=10, bias_mant=-33, bias_exp=6),
        Population("z", (3,), vth=200, dv=10, bias_mant=33, bias_exp=6),
        Dense("x", "y", weights(3, 4)),
        Dense("x", "z", weights(3, 4)),
        steps=8,
    )


@register
def bias_per_channel() -> Case:
    bias = np.array([-700, 0, 900]).reshape(3, 1, 1)
    return case(
        source(1, 4, 3),
        Population("y", (3, 4, 3), vth=40, dv=100, bias_mant=bias, bias_exp=1),
        Conv2d("x", "y", weights(3, 1, 3, 3), padding=(1, 1)),
    )


@register
def bias_per_neuron_deep() -> Case:
    """Biases at depth 2 and 3 act from logical step 0 of every sample on, not before."""
    return case(
        source(4),
        Population("a", (3,), vth=50),
        Population("b", (4,), vth=60, dv=50, bias_mant=np.arange(4) * 400),
        Population("c", (3,), vth=70, dv=80, bias_mant=np.array([1000, -1000, 2000])),
        Dense("x", "a", weights(3, 4)),
        Dense("a", "b", weights(4, 3)),
        Dense("b", "c", weights(3, 4)),
        steps=5,
    )


@register
def bias_only() -> Case:
    """A population without synapses lives on its bias."""
    return case(
        source(2),
        Population("clock", (2,), vth=30, bias_mant=np.array([700, 1000])),
        Population("y", (2,), vth=20),
        OneToOne("clock", "y", 15),
        OneToOne("x", "y", 10),
    )


@register
def highest_threshold() -> Case:
    return one_neuron(127, exponent=6, vth=131071, steps=40)


@register
def single_neuron() -> Case:
    return one_neuron(3, vth=7, dv=300, steps=12)
