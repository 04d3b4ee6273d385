"""Every kind of synapse."""

from __future__ import annotations

import numpy as np
from conformance.graphs.parts import Case, case, register, source, weights

from scmrl.core.graph import (
    Broadcast,
    Conv2d,
    Dense,
    OneToOne,
    Pointwise,
    Population,
    Sparse,
    SumTokens,
    Window,
)


@register
def two_sources() -> Case:
    return case(
        source(4, name="a"),
        source(3, name="b"),
        Population("y", (5,), vth=40, dv=100),
        Dense("a", "y", weights(5, 4)),
        Dense("b", "y", weights(5, 3), exponent=1),
    )


@register
def two_synapses_between_the_same_populations() -> Case:
    return case(
        source(4),
        Population("y", (4,), vth=40),
        Dense("x", "y", weights(4, 4)),
        OneToOne("x", "y", 77),
    )


@register
def single_connections() -> Case:
    """Some neurons hear several, some one, one hears none and one is not heard."""
    targets, sources = np.array([0, 0, 0, 2, 3, 3]), np.array([0, 3, 6, 1, 0, 5])
    return case(
        source(7),
        Population("y", (2, 2), vth=60, dv=300),
        Sparse("x", "y", weights(6), targets, sources, exponent=1),
    )


@register
def both() -> Case:
    """AND of two trains."""
    return case(
        source(9, name="a"),
        source(9, name="b"),
        Population("and", (9,), vth=1, memoryless=True),
        OneToOne("a", "and", 1),
        OneToOne("b", "and", 1),
    )


@register
def either() -> Case:
    """OR of a window: max-pool of spikes."""
    return case(
        source(2, 4, 4),
        Population("or", (2, 2, 2), vth=0, memoryless=True),
        Window("x", "or", 1, (2, 2), (2, 2)),
    )


@register
def pool_of_odd_size() -> Case:
    return case(
        source(3, 7, 5),
        Population("or", (3, 4, 3), vth=0, memoryless=True),
        Window("x", "or", 1, (3, 3), (2, 2), (1, 1)),
        density=0.15,
    )


@register
def k_of_n() -> Case:
    return case(
        source(3, 6), Population("mask", (3,), vth=2, memoryless=True), SumTokens("x", "mask", 1)
    )


@register
def mask_with_slow_leak() -> Case:
    """Causal memory of a channel's tokens."""
    return case(
        source(3, 2, 2),
        Population("mask", (3,), vth=5, dv=200),
        SumTokens("x", "mask", 1),
        steps=10,
    )


@register
def gate_by_broadcast() -> Case:
    return case(
        source(3, 2, 2, name="q"),
        source(3, name="m"),
        Population("gate", (3, 2, 2), vth=1, memoryless=True),
        OneToOne("q", "gate", 1),
        Broadcast("m", "gate", 1),
        density=0.6,
    )


@register
def one_to_one_between_shapes() -> Case:
    """Neuron i to neuron i in the graph's order, whatever the shapes."""
    return case(
        source(3, 2, 2),
        Population("y", (12,), vth=2),
        Population("z", (2, 6), vth=2, memoryless=True),
        OneToOne("x", "y", 3),
        OneToOne("y", "z", 3),
    )


@register
def dense_between_images() -> Case:
    return case(
        source(2, 3, 2), Population("y", (3, 2, 2), vth=60), Dense("x", "y", weights(12, 12))
    )


@register
def pointwise_tokens() -> Case:
    return case(
        source(3, 5),
        Population("y", (4, 5), vth=50, dv=100),
        Pointwise("x", "y", weights(4, 3)),
        Population("z", (2, 5), vth=50),
        Pointwise("y", "z", weights(2, 4)),
    )


@register
def conv_with_stride_and_padding() -> Case:
    return case(
        source(2, 7, 7),
        Population("y", (3, 4, 4), vth=90, dv=500),
        Conv2d("x", "y", weights(3, 2, 3, 3), (2, 2), (1, 1)),
    )


@register
def conv_grouped() -> Case:
    return case(
        source(4, 5, 5),
        Population("y", (6, 5, 5), vth=60),
        Conv2d("x", "y", weights(6, 2, 3, 3), (1, 1), (1, 1), 2),
    )


@register
def conv_depthwise_with_stride() -> Case:
    return case(
        source(3, 6, 6),
        Population("y", (3, 3, 3), vth=60),
        Conv2d("x", "y", weights(3, 1, 2, 2), (2, 2), (0, 0), 3),
    )


@register
def conv_not_square() -> Case:
    return case(
        source(2, 6, 9),
        Population("y", (3, 6, 4), vth=60),
        Conv2d("x", "y", weights(3, 2, 1, 5), (1, 2), (0, 1)),
    )


@register
def conv_with_wide_padding() -> Case:
    """A kernel larger than the image, most of it over the border."""
    return case(
        source(1, 2, 3),
        Population("y", (2, 4, 5), vth=60),
        Conv2d("x", "y", weights(2, 1, 5, 5), (1, 1), (3, 3)),
    )


@register
def conv_that_skips_columns() -> Case:
    """A stride wider than the kernel: some sources reach nothing."""
    return case(
        source(1, 7, 8),
        Population("y", (2, 3, 3), vth=10),
        Conv2d("x", "y", weights(2, 1, 1, 2), (3, 3)),
    )


@register
def synapse_exponents() -> Case:
    return case(
        source(5),
        Population("y", (4,), vth=500),
        Dense("x", "y", weights(4, 5), exponent=3),
        Population("z", (3,), vth=2000),
        Dense("y", "z", weights(3, 4), exponent=7),
        OneToOne("x", "w", 5, exponent=2),
        Population("w", (5,), vth=19),
    )


@register
def extreme_and_odd_weights() -> Case:
    extreme = np.array(
        [[-128, 127, 1, -1], [127, 127, 127, 127], [-128, -127, -1, -3], [3, 5, -7, 0]]
    )
    return case(
        source(4),
        Population("y", (4,), vth=1),
        Population("z", (4,), "readout"),
        Dense("x", "y", extreme),
        Dense("y", "z", extreme),
    )


@register
def zero_weights() -> Case:
    return case(
        source(4),
        Population("y", (3,), vth=0),
        Dense("x", "y", np.zeros((3, 4), int)),
        Population("z", (3,), "readout"),
        Dense("y", "z", np.zeros((3, 3), int)),
        OneToOne("y", "z", 0),
    )
