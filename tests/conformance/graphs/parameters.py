"""Parameters that differ inside a population, by channel or by neuron, and the reset by
subtraction.
"""

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

from scmrl.core.graph import (
    Conv2d,
    Dense,
    OneToOne,
    Pointwise,
    Population,
    SumTokens,
    Window,
)

BORDER_DU = np.array([-1, 0, 1, 2047, 4094, 4095])
BORDER_DV = np.array([0, 1, 1500, 4095, 4096, 4096])


def by_channel(*values: int) -> np.ndarray:
    """One value a channel of an image."""
    return np.array(values).reshape(-1, 1, 1)


@register
def thresholds_by_neuron() -> Case:
    """A chain of dense layers; the highest threshold that a chip holds among them."""
    return case(
        source(5),
        Population("y", (4,), vth=np.array([0, 40, 90, 200])),
        Population("z", (3,), "lif", vth=np.array([3, 131071, 60]), dv=300),
        Dense("x", "y", weights(4, 5)),
        Dense("y", "z", np.array([[90, 0, 70, 1], [127, 127, 0, 127], [60, 9, 0, 80]]), exponent=7),
        steps=20,
        density=0.7,
    )


@register
def decays_by_neuron() -> Case:
    """Currents and membranes that keep all, some, almost nothing and nothing, side by side."""
    return case(
        source(5),
        Population("y", (6,), vth=200, du=BORDER_DU, dv=BORDER_DV),
        Population("z", (6,), "readout", du=BORDER_DU[::-1], dv=BORDER_DV),
        Dense("x", "y", weights(6, 5, low=-60)),
        Dense("y", "z", weights(6, 6)),
        steps=12,
    )


@register
def leaks_by_neuron_within_a_chip() -> Case:
    """What 12 bits hold."""
    return case(
        source(5),
        Population(
            "y", (4,), vth=70, dv=np.array([0, 1, 2048, 4095]), du=np.array([0, 9, 99, 4095])
        ),
        Population("z", (3,), "readout", dv=np.array([0, 77, 4095])),
        Dense("x", "y", weights(4, 5)),
        Dense("y", "z", weights(3, 4)),
        steps=10,
    )


@register
def parameters_by_channel() -> Case:
    """Images: each channel its threshold, leak and bias, through a convolution, a pool and a
    dense layer.
    """
    return case(
        source(2, 5, 4),
        Population(
            "y",
            (3, 5, 4),
            vth=by_channel(20, 70, 150),
            dv=by_channel(0, 900, 4000),
            bias_mant=by_channel(640, 0, -64),
        ),
        Population("pool", (3, 2, 2), vth=by_channel(0, 1, 2), memoryless=True),
        Population("out", (3,), "readout", dv=500),
        Conv2d("x", "y", weights(3, 2, 3, 3), padding=(1, 1)),
        Window("y", "pool", 1, (2, 2), (2, 2)),
        Dense("pool", "out", weights(3, 12)),
        steps=6,
    )


@register
def parameters_by_pixel() -> Case:
    """Every neuron of an image its own threshold and leaks; behind it a strided, grouped
    convolution whose channels differ.
    """
    random = np.random.default_rng(5)
    shape = (2, 4, 4)
    return case(
        source(1, 4, 4, bits=3),
        Population(
            "y",
            shape,
            vth=random.integers(5, 300, shape),
            du=random.integers(0, 4096, shape),
            dv=random.integers(0, 4096, (1, 4, 4)),
        ),
        Population("z", (4, 2, 2), vth=by_channel(9, 40, 70, 100), dv=by_channel(0, 10, 100, 1000)),
        Population("out", (2,), "readout"),
        Conv2d("x", "y", weights(2, 1, 3, 3), padding=(1, 1)),
        Conv2d("y", "z", weights(4, 1, 2, 2), stride=(2, 2), groups=2),
        Dense("z", "out", weights(2, 16)),
        steps=7,
    )


@register
def parameters_by_token_in_a_loop() -> Case:
    """Tokens whose channels differ, that hear themselves two steps later; a mask sums them up."""
    return case(
        source(3, 4),
        Population("y", (3, 4), vth=np.array([[20], [60], [110]]), dv=np.arange(12).reshape(3, 4)),
        Population("mask", (3,), vth=np.array([0, 1, 2]), dv=np.array([10, 1000, 4000])),
        Population("out", (2,), "readout", dv=7),
        Pointwise("x", "y", weights(3, 3)),
        OneToOne("y", "y", -30, delay=2),
        SumTokens("y", "mask", 1),
        Dense("mask", "out", weights(2, 3), delay=1),
        steps=11,
    )


@register
def memoryless_with_thresholds_by_neuron() -> Case:
    return case(
        source(6),
        Population("y", (5,), vth=np.array([0, 1, 2, 3, 4]), memoryless=True, du=np.arange(5)),
        Population("z", (5,), "readout"),
        Dense("x", "y", np.ones((5, 6), int)),
        OneToOne("y", "z", 3),
        density=0.6,
    )


@register
def borders_by_neuron() -> Case:
    """One neuron's current wraps, one's membrane saturates and fires, one stays inside."""
    return constant(
        graph(
            source(1),
            Population(
                "y",
                (4,),
                vth=np.array([100, 131071, 7, 131071]),
                du=np.array([100, 4095, 4095, -1]),
                dv=np.array([3000, 0, 0, 4095]),
            ),
            Dense("x", "y", np.array([[100], [120], [0], [77]]), exponent=9),
            Dense("x", "y", np.array([[0], [0], [3], [0]])),
            steps=12,
        )
    )


@register
def subtract() -> Case:
    """5 a step against a threshold of 12: 5, 10, 15 - 12, 8, 13 - 12, ..."""
    return one_neuron(5, vth=12, reset="subtract", steps=12)


@register
def subtract_and_fire_at_every_step() -> Case:
    """More than a threshold arrives at every step: the membrane grows to where it saturates, and
    the threshold leaves that.
    """
    return one_neuron(120, exponent=9, vth=50000, reset="subtract", steps=12)


@register
def subtract_with_leak() -> Case:
    return case(
        source(6),
        Population("y", (5,), vth=110, dv=700, reset="subtract"),
        Population("z", (3,), "readout", dv=100, reset="subtract"),
        Dense("x", "y", weights(5, 6, low=-90)),
        Dense("y", "z", weights(3, 5)),
        steps=10,
    )


@register
def subtract_with_current_memory() -> Case:
    """Both states, as NIR's CubaLIF: the current outlives the spike, and so does the rest of the
    membrane.
    """
    return case(
        source(6),
        Population("y", (5,), vth=250, du=1200, dv=300, reset="subtract", bias_mant=25),
        Dense("x", "y", weights(5, 6, low=-100)),
        steps=12,
    )


@register
def subtract_by_neuron() -> Case:
    """Thresholds that differ: each neuron loses its own."""
    return case(
        source(6, bits=2),
        Population(
            "y",
            (5,),
            vth=np.array([3000, 1, 90, 500, 600]),
            du=np.array([-1, 4095, 4095, 2000, 4095]),
            dv=np.array([4096, 0, 3, 4095, 900]),
            reset="subtract",
        ),
        Population("z", (2, 3, 2), vth=by_channel(90, 70), dv=by_channel(0, 400), reset="subtract"),
        Dense("x", "y", weights(5, 6, low=-70)),
        Dense("y", "z", weights(12, 5, low=-100)),
        steps=12,
    )


@register
def subtract_in_a_loop() -> Case:
    return case(
        source(4),
        Population("y", (4,), vth=np.array([20, 30, 40, 50]), dv=50, reset="subtract"),
        Dense("x", "y", weights(4, 4, low=-60)),
        Dense("y", "y", weights(4, 4, low=-60, high=20), delay=2),
        steps=12,
    )


@register
def subtract_without_memory() -> Case:
    """Nothing outlives the step: the reset has nothing to leave."""
    network = graph(
        source(4),
        Population("y", (3,), vth=30, memoryless=True, reset="subtract"),
        Dense("x", "y", weights(3, 4)),
    )
    return network, random_inputs(network)
