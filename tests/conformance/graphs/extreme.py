"""Neurons at the borders of the integers, by hypothesis."""

from __future__ import annotations

import numpy as np
from conformance.graphs.parts import random_inputs, source
from hypothesis import strategies as st

from scmrl.core.graph import Dense, Graph, OneToOne, Population


@st.composite
def extreme_neurons(draw):
    """Two sources into one population, parameters over their whole range: wraps, clips, 64-bit
    states. Some are not legal: a sum or a bias beyond 2^24.
    """
    kind = draw(st.sampled_from(["lif", "readout"]))
    mantissa = draw(st.sampled_from([1, 300, 1 << 15, 1 << 40]))
    p = Population(
        "y",
        (4,),
        kind,
        vth=draw(st.sampled_from([0, 1, 500, 131071, (1 << 23) - 1])),
        du=np.int16(draw(st.integers(-1, 4095))),
        dv=draw(st.integers(0, 4096)),
        memoryless=draw(st.booleans()),
        bias_mant=np.array(
            draw(st.lists(st.integers(-mantissa, mantissa), min_size=4, max_size=4))
        ),
        bias_exp=draw(st.integers(0, 15)),
    )
    low, high = draw(st.sampled_from([(-128, 127), (-32768, 5), (-70000, 70000)]))
    exponent, bits = draw(st.integers(0, 10)), draw(st.sampled_from([1, 6, 8, 9, 16]))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    network = Graph(
        (source(3, bits=bits), source(4, name="z"), p),
        (
            Dense("x", "y", random.integers(low, high, (4, 3)), exponent=exponent),
            OneToOne("z", "y", draw(st.integers(-500, 500)), delay=draw(st.integers(0, 4))),
        ),
        steps=9,
    )
    return network, random_inputs(network, seed=draw(st.integers(0, 1000)), density=0.7)
