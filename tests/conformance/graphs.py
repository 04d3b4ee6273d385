"""Small hard graphs: every rule of the arithmetic, every kind of synapse, every way to skip, delay
and recur.

Each function returns (graph, inputs) and is found in `GRAPHS` by its name. All are small: a failure
can be followed by hand. Thresholds are low: many neurons fire.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from scmrl.core.graph import (
    Broadcast,
    Conv2d,
    Dense,
    Graph,
    OneToOne,
    Pointwise,
    Population,
    SumTokens,
    Window,
)

Inputs = dict[str, np.ndarray]
Case = tuple[Graph, Inputs]
GRAPHS: dict[str, Callable[[], Case]] = {}


def register(case: Callable[[], Case]) -> Callable[[], Case]:
    GRAPHS[case.__name__] = case
    return case


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def weights(*shape: int, low: int = -128, high: int = 127) -> np.ndarray:
    return rng().integers(low, high + 1, shape)


def source(*shape: int, name: str = "x", bits: int = 1) -> Population:
    return Population(name, shape, "input", bits=bits)


def graph(*parts, steps: int = 6) -> Graph:
    populations = tuple(part for part in parts if isinstance(part, Population))
    synapses = tuple(part for part in parts if not isinstance(part, Population))
    return Graph(populations, synapses, steps).check()


def random_inputs(network: Graph, samples: int = 3, density: float = 0.4, seed: int = 2) -> Inputs:
    """Values 0 .. 2**bits - 1 that change at every step; another stream for every input."""
    random = np.random.default_rng(seed)
    inputs = {}
    for p in network.of_kind("input"):
        shape = (samples, network.steps, *p.shape)
        values = random.integers(1, 1 << p.bits, shape) * (random.random(shape) < density)
        inputs[p.name] = values.astype(np.int32)
    return inputs


def case(*parts, steps: int = 6, density: float = 0.4, samples: int = 3) -> Case:
    network = graph(*parts, steps=steps)
    return network, random_inputs(network, samples, density)


def constant(network: Graph, value: int = 1, samples: int = 1) -> Case:
    return network, {
        p.name: np.full((samples, network.steps, *p.shape), value) for p in network.of_kind("input")
    }


def one_neuron(
    weight: int, *, exponent: int = 0, steps: int = 6, kind: str = "lif", **parameters
) -> Case:
    """A neuron driven by weight << exponent at every step."""
    return constant(
        graph(
            source(1),
            Population("y", (1,), kind, **parameters),
            Dense("x", "y", np.array([[weight]]), exponent=exponent),
            steps=steps,
        )
    )


# ---- the neuron ----------------------------------------------------------------------------------


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


# ---- inputs and steps ----------------------------------------------------------------------------


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


# ---- kinds of synapse ----------------------------------------------------------------------------


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


# ---- paths ---------------------------------------------------------------------------------------


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
        Dense("a", "z", weights(3, 4), delay=6),
        Dense("x", "z", weights(3, 5), delay=9),
        steps=6,
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


# ---- joined compartments -------------------------------------------------------------------------


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


JOINED = {
    "joined_adaptation",
    "joined_chain",
    "readout_of_a_firing_population",
}  # the simulator alone runs them
LAVA_REFUSES = {"recurrent_faster_than_its_layers", *JOINED}


# ---- random graphs -------------------------------------------------------------------------------


def random_graph(seed: int, recurrent: bool = False, joined: bool = False) -> Case:
    """A random DAG of images, tokens and vectors, random parameters; `recurrent` adds a delayed
    synapse, `joined` lets populations add the membrane of an earlier one.
    """
    random = np.random.default_rng(seed)

    def weight(*shape):
        return random.integers(-128, 128, shape)

    def neuron(name: str, shape: tuple[int, ...]) -> Population:
        return Population(
            name,
            shape,
            vth=int(random.integers(0, 200)),
            du=int(random.choice([-1, 0, 1000, 4095])),
            dv=int(random.integers(0, 4097)),
            bias_mant=random.integers(-300, 300, (shape[0],) + (1,) * (len(shape) - 1)),
            bias_exp=int(random.integers(0, 4)),
            memoryless=bool(random.random() < 0.3),
        )

    def synapse(a: Population, b: Population):
        options = {
            "exponent": int(random.integers(0, 3)),
            "delay": int(random.choice([0, 0, 0, 1, 3])),
        }
        kinds = [Dense(a.name, b.name, weight(b.neurons, a.neurons), **options)]
        if a.shape[1:] == b.shape[1:]:
            kinds.append(Pointwise(a.name, b.name, weight(b.shape[0], a.shape[0]), **options))
        if len(a.shape) == len(b.shape) == 3 and a.shape[1:] == b.shape[1:]:
            kinds.append(
                Conv2d(
                    a.name, b.name, weight(b.shape[0], a.shape[0], 3, 3), padding=(1, 1), **options
                )
            )
        if a.neurons == b.neurons:
            kinds.append(OneToOne(a.name, b.name, int(weight()), **options))
        if b.shape == a.shape[:1]:
            kinds.append(SumTokens(a.name, b.name, int(weight()), **options))
        if a.shape == b.shape[:1]:
            kinds.append(Broadcast(a.name, b.name, int(weight()), **options))
        return kinds[random.integers(len(kinds))]

    shapes = [(3, 4, 4), (2, 4, 4), (3, 5), (3,), (8,)]
    populations = [
        source(*shapes[random.integers(5)], name=f"x{i}", bits=int(random.choice([1, 1, 5])))
        for i in range(random.integers(1, 3))
    ]
    synapses = []
    for i in range(random.integers(1, 6)):
        new = neuron(f"l{i}", shapes[random.integers(5)])
        for j in set(random.integers(len(populations), size=2).tolist()):
            synapses.append(synapse(populations[j], new))
        if joined:
            same = [p.name for p in populations if p.kind == "lif" and p.shape == new.shape]
            new = dataclasses.replace(new, adds=str(random.choice(same)) if same else "")
        populations.append(new)
        if joined and i == 0:
            populations.append(dataclasses.replace(neuron("follower", new.shape), adds=new.name))
    neurons = [p for p in populations if p.kind == "lif"]
    if recurrent:
        a, b = (neurons[i] for i in random.integers(len(neurons), size=2))
        synapses.append(Dense(a.name, b.name, weight(b.neurons, a.neurons), delay=len(neurons)))
    readout = Population("readout", (4,), "readout", dv=int(random.integers(0, 4096)))
    synapses += [
        Dense(p.name, "readout", weight(4, p.neurons)) for p in (neurons[-1], populations[0])
    ]
    network = Graph((*populations, readout), tuple(synapses), int(random.integers(1, 7))).check()
    return network, random_inputs(network, samples=2, seed=seed)
