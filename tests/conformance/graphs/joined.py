"""Joined compartments, which the simulator and the reference alone run."""

from __future__ import annotations

import numpy as np
from conformance.graphs.parts import Case, case, register, source, weights

from scmrl.core.graph import Conv2d, Dense, OneToOne, Population


@register
def joined_adaptation() -> Case:
    """Each spike lowers a slow compartment whose membrane the neuron adds; inputs raise it, until
    it fires itself.
    """
    return case(
        source(5),
        Population("slow", (4,), vth=150, dv=60),
        OneToOne("y", "slow", -40, delay=1),
        Population("y", (4,), vth=90, dv=400, adds="slow"),
        Dense("x", "y", weights(4, 5)),
        Population("z", (3,), "readout"),
        Dense("y", "z", weights(3, 4)),
        Dense("x", "slow", weights(4, 5)),
        steps=12,
    )


@register
def joined_chain() -> Case:
    """A membrane that fires and resets is added after its reset, and handed on; channels and
    images; saturation.
    """
    return case(
        source(2, 3, 3, bits=4),
        Population("a", (2, 3, 3), vth=700, dv=300),
        OneToOne("x", "a", 99),
        Population(
            "c",
            (2, 3, 3),
            "readout",
            dv=90,
            adds="b",
            bias_mant=np.array([[[3]], [[-5]]]),
            bias_exp=4,
        ),
        Population("b", (2, 3, 3), vth=600, du=1000, dv=4096, memoryless=True, adds="a"),
        Conv2d("x", "b", weights(2, 2, 3, 3), padding=(1, 1)),
        Population("d", (2, 3, 3), vth=131071, adds="a"),
        OneToOne("x", "d", 127, exponent=9),
        steps=9,
    )


@register
def readout_of_a_firing_population() -> Case:
    """A readout without synapses or memory shows the membrane that it adds, after the reset."""
    return case(
        source(5),
        Population("y", (4,), vth=200, dv=500),
        Dense("x", "y", weights(4, 5)),
        Population("potential", (4,), "readout", memoryless=True, adds="y"),
        steps=9,
    )


@register
def joined_after_subtraction() -> Case:
    """What a spike leaves of a memoryless membrane is seen where it is added."""
    return case(
        source(5),
        Population("y", (4,), vth=np.array([10, 40, 90, 0]), memoryless=True, reset="subtract"),
        Dense("x", "y", weights(4, 5)),
        Population("z", (4,), vth=60, dv=200, adds="y", reset="subtract"),
        Population("potential", (4,), "readout", memoryless=True, adds="y"),
        steps=9,
    )


JOINED = {
    "joined_adaptation",
    "joined_after_subtraction",
    "joined_chain",
    "readout_of_a_firing_population",
}
