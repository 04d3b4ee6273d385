"""Ways to skip, delay and recur."""

from __future__ import annotations

import numpy as np
from conformance.graphs.parts import Case, case, register, source, weights

from scmrl.core.graph import Dense, Population


@register
def skips_of_several_depths() -> Case:
    """Depth differences of 1, 2, 3, 5 and 6 into one readout, and of 3 into a layer."""
    names = ["x", *(f"l{i}" for i in range(1, 6))]
    populations = [
        Population(name, (6,), vth=60, dv=500, bias_mant=50 * i) for i, name in enumerate(names[1:])
    ]
    chain = [Dense(a, b, weights(6, 6)) for a, b in zip(names, names[1:])]
    skips = [Dense(name, "z", weights(4, 6)) for name in ("x", "l1", "l3", "l4", "l5")]
    return case(
        source(6),
        *populations,
        *chain,
        *skips,
        Dense("l1", "l4", weights(6, 6)),
        Population("z", (4,), "readout", dv=100),
    )


@register
def readout_only() -> Case:
    return case(source(5), Population("z", (3,), "readout"), Dense("x", "z", weights(3, 5)))


@register
def readout_with_bias_and_long_skips() -> Case:
    return case(
        source(5),
        Population("a", (4,), vth=30),
        Population("b", (4,), vth=30),
        Population("c", (4,), vth=30),
        Dense("x", "a", weights(4, 5)),
        Dense("a", "b", weights(4, 4)),
        Dense("b", "c", weights(4, 4)),
        Population("z", (3,), "readout", bias_mant=np.array([100, -200, 300]), bias_exp=3),
        Dense("x", "z", weights(3, 5)),
        Dense("a", "z", weights(3, 4)),
        Dense("c", "z", weights(3, 4)),
    )


@register
def no_readout() -> Case:
    return case(source(5), Population("a", (4,), vth=30), Dense("x", "a", weights(4, 5)))


@register
def delay_3_skip() -> Case:
    return case(
        source(5),
        Population("a", (4,), vth=30),
        Population("z", (3,), vth=40, dv=500),
        Dense("x", "a", weights(4, 5)),
        Dense("a", "z", weights(3, 4)),
        Dense("x", "z", weights(3, 5), delay=3),
        steps=8,
    )


@register
def delay_beyond_the_sample() -> Case:
    """Nothing arrives, and nothing leaks into the next sample."""
    return case(
        source(5),
        Population("a", (4,), vth=30),
        Population("z", (3,), "readout"),
        Dense("x", "a", weights(4, 5)),
        Dense("a", "z", weights(3, 4), delay=3),
        Dense("x", "z", weights(3, 5), delay=4),
        steps=3,
    )


@register
def delayed_cross_links() -> Case:
    """Each of two streams hears the other's first layer a step or two later."""
    parts = []
    for m, o, delay in (("a", "b", 1), ("b", "a", 2)):
        parts += [
            source(4, name=m),
            Population(f"{m}1", (4,), vth=40, dv=300),
            Population(f"{m}2", (4,), vth=40, dv=300),
            Dense(m, f"{m}1", weights(4, 4)),
            Dense(f"{m}1", f"{m}2", weights(4, 4)),
            Dense(f"{o}1", f"{m}2", weights(4, 4), delay=delay),
        ]
    return case(*parts, steps=8)


@register
def later_layer_listed_first() -> Case:
    """The order of the list means nothing."""
    return case(
        Population("z", (3,), "readout"),
        Population("b", (4,), vth=30),
        Population("a", (4,), vth=30),
        source(5),
        Dense("b", "z", weights(3, 4)),
        Dense("a", "b", weights(4, 4)),
        Dense("x", "a", weights(4, 5)),
    )


@register
def recurrent() -> Case:
    """A population that hears itself one step later."""
    return case(
        source(5),
        Population("y", (5,), vth=60, dv=300),
        Dense("x", "y", weights(5, 5)),
        Dense("y", "y", weights(5, 5), delay=1),
        steps=9,
    )


@register
def recurrent_over_two_layers() -> Case:
    """Feedback of two steps from the second layer to the first, and a readout of both."""
    return case(
        source(5),
        Population("a", (5,), vth=60, dv=300, bias_mant=70),
        Population("b", (4,), vth=4, dv=300),
        Dense("x", "a", weights(5, 5)),
        Dense("a", "b", weights(4, 5)),
        Dense("b", "a", weights(5, 4), delay=2),
        Population("z", (3,), "readout"),
        Dense("a", "z", weights(3, 5)),
        Dense("b", "z", weights(3, 4)),
        steps=9,
    )


@register
def recurrent_faster_than_its_layers() -> Case:
    """Feedback of one step over two layers: legal, but a chip with one step a synapse cannot keep
    up.
    """
    return case(
        source(5),
        Population("a", (5,), vth=60, dv=300),
        Population("b", (4,), vth=4, dv=300, bias_mant=90, bias_exp=6),
        Dense("x", "a", weights(5, 5)),
        Dense("a", "b", weights(4, 5)),
        Dense("b", "a", weights(5, 4), delay=1),
        steps=9,
    )
