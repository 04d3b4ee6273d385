"""Inputs and steps: none, one, graded, static, several."""

from __future__ import annotations

import numpy as np
from conformance.graphs.parts import (
    Case,
    case,
    constant,
    graph,
    random_inputs,
    register,
    source,
    weights,
)

from scmrl.core.graph import Conv2d, Dense, OneToOne, Population


@register
def zero_input() -> Case:
    return constant(
        graph(
            source(4),
            Population("y", (3,), vth=5, bias_mant=100),
            Population("z", (2,), "readout"),
            Dense("x", "y", weights(3, 4)),
            Dense("y", "z", weights(2, 3)),
        ),
        0,
        samples=2,
    )


@register
def one_step() -> Case:
    return case(
        source(6),
        Population("y", (5,), vth=30),
        Population("z", (3,), "readout"),
        Dense("x", "y", weights(5, 6)),
        Dense("y", "z", weights(3, 5)),
        steps=1,
        samples=4,
    )


@register
def fewer_steps_than_layers() -> Case:
    names = ["x", *(f"l{i}" for i in range(6))]
    populations = [Population(name, (5,), vth=20, dv=200, bias_mant=99) for name in names[1:]]
    synapses = [Dense(a, b, weights(5, 5)) for a, b in zip(names, names[1:])]
    return case(source(5), *populations, *synapses, steps=2, samples=5)


@register
def graded_input() -> Case:
    return case(
        source(1, 5, 5, bits=6),
        Population("y", (3, 5, 5), vth=900, dv=900),
        Conv2d("x", "y", weights(3, 1, 3, 3), padding=(1, 1)),
    )


@register
def graded_input_of_8_bits_and_a_skip() -> Case:
    return case(
        source(4, bits=8),
        Population("y", (5,), vth=4000),
        Population("z", (3,), vth=9000, dv=1000),
        Dense("x", "y", weights(5, 4)),
        Dense("y", "z", weights(3, 5), exponent=6),
        Dense("x", "z", weights(3, 4)),
    )


@register
def static_graded_input() -> Case:
    """The same frame at every step in some samples, another frame at every step in others."""
    network = graph(
        source(1, 4, 4, bits=6),
        Population("y", (2, 4, 4), vth=3000, dv=300),
        Conv2d("x", "y", weights(2, 1, 3, 3), padding=(1, 1)),
    )
    x = random_inputs(network, samples=4)["x"]
    x[:2] = x[:2, :1]
    return network, {"x": x}


@register
def all_samples_static() -> Case:
    network = graph(
        source(1, 4, 4, bits=6),
        source(3, name="x2"),
        Population("y", (2, 4, 4), vth=3000, dv=300),
        Population("z", (2,), "readout", bias_mant=5),
        Conv2d("x", "y", weights(2, 1, 3, 3), padding=(1, 1)),
        Dense("y", "z", weights(2, 32)),
        Dense("x2", "z", weights(2, 3), delay=2),
    )
    inputs = random_inputs(network)
    return network, {name: np.repeat(x[:, :1], network.steps, 1) for name, x in inputs.items()}


@register
def two_inputs_of_different_shapes() -> Case:
    return case(
        source(1, 4, 3, name="image", bits=4),
        source(7, name="sound"),
        Population("y", (5,), vth=200, dv=500),
        Dense("image", "y", weights(5, 12)),
        Dense("sound", "y", weights(5, 7)),
    )


@register
def three_modalities() -> Case:
    """M = 3: each gated by the two others."""
    names, parts = ("a", "b", "c"), []
    for i, m in enumerate(names):
        parts += [
            source(4, name=m),
            Population(f"{m}.q", (4,), vth=20, dv=900),
            Dense(m, f"{m}.q", weights(4, 4) + i),
        ]
    for m in names:
        for o in names:
            if o != m:
                gate = f"{m}.{o}"
                parts += [
                    Population(gate, (4,), vth=1, memoryless=True),
                    OneToOne(f"{m}.q", gate, 1),
                    OneToOne(f"{o}.q", gate, 1),
                    Dense(gate, "readout", weights(3, 4)),
                ]
    return case(*parts, Population("readout", (3,), "readout"), density=0.6)
