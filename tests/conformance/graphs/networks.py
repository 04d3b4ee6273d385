"""Several rules at once: attention, loops, chains, and sums at the ends of the arithmetic."""

from __future__ import annotations

import dataclasses

import numpy as np
from conformance.graphs.parts import (
    Case,
    case,
    graph,
    one_neuron,
    random_inputs,
    register,
    source,
    weights,
)

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


def any_values(network: Graph, samples: int, steps: int | None = None, seed: int = 0) -> dict:
    """Inputs of which nearly all values differ from zero."""
    random = np.random.default_rng(seed)
    return {
        p.name: random.integers(0, 1 << p.bits, (samples, steps or network.steps, *p.shape))
        for p in network.of_kind("input")
    }


def attention_graph(steps: int = 4) -> Graph:
    """Graded and binary inputs, conv, pool, AND, masks, biases, leaks, wide weights and many
    skips.
    """
    rng = np.random.default_rng(3)

    def q(*shape: int) -> np.ndarray:
        return rng.integers(-100, 101, shape)

    return graph(
        source(2, 4, 4, name="image", bits=8),
        source(3, 4, name="sound"),
        Population(
            "conv",
            (3, 4, 4),
            vth=5000,
            dv=700,
            bias_exp=5,
            bias_mant=rng.integers(-4096, 4096, (3, 1, 1)),
        ),
        Population("pool", (3, 2, 2), memoryless=True),
        Population("k", (3, 4), vth=60, du=1000, dv=128, bias_mant=300),
        Population("and", (3, 4), vth=1, memoryless=True),
        Population("mask", (3,), vth=0, dv=200),
        Population("gate", (3, 4), vth=1, memoryless=True),
        Population("z", (3, 4), vth=40, dv=4095),
        Population("out", (5,), kind="readout", dv=10, bias_mant=7),
        Conv2d("image", "conv", q(3, 2, 3, 3), padding=(1, 1)),
        Window("conv", "pool", 1, (2, 2), (2, 2)),
        Pointwise("sound", "k", q(3, 3)),
        OneToOne("k", "and", 1),
        OneToOne("pool", "and", 1),
        SumTokens("and", "mask", 1),
        Broadcast("mask", "gate", 1),
        OneToOne("sound", "gate", 1),
        Pointwise("gate", "z", q(3, 3)),
        Dense("pool", "z", q(12, 12), exponent=2),
        OneToOne("k", "z", 300),
        Dense("z", "out", q(5, 12)),
        Dense("pool", "out", q(5, 12), exponent=1),
        Dense("image", "out", q(5, 32)),
        steps=steps,
    )


@register
def attention() -> Case:
    network = attention_graph()
    return network, any_values(network, 3)


@register
def delays_and_loops() -> Case:
    """Delays between populations, of inputs, and loops; biases that would fire before the sample
    begins.
    """
    one = np.ones((2, 2), int)
    network = graph(
        source(2, bits=5),
        Population("clock", (2,), vth=1, bias_mant=100),
        Population("a", (2,), vth=20, bias_mant=np.array([3000, -10])),
        Population("b", (2,), vth=2, dv=300),
        Population("out", (2,), kind="readout"),
        Dense("x", "a", one),
        Dense("x", "b", one, delay=2),
        Dense("clock", "a", -one, delay=3),
        Dense("a", "b", one),
        Dense("a", "a", np.array([[3, -9], [5, 1]]), delay=1),
        Dense("b", "a", one, delay=2),
        Dense("b", "out", one, delay=4),
        Dense("a", "out", -one),
    )
    return network, any_values(network, 3)


# ---- chains, which netx holds --------------------------------------------------------------------


def weight(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-100, 128, shape).astype(np.int16)


def image_graph(**changes: dict) -> Graph:
    """Groups, strides, an image that is not square, biases of a channel and of a neuron, current
    memory; `changes` {population: its other parameters}.
    """
    populations = (
        source(2, 9, 8, bits=6),
        Population(
            "a",
            (4, 9, 8),
            vth=3000,
            dv=2048,
            bias_exp=6,
            bias_mant=np.array([50, -20, 0, 7]).reshape(4, 1, 1),
        ),
        Population("b", (4, 5, 4), vth=0, memoryless=True),
        Population(
            "c",
            (8, 5, 2),
            vth=90,
            dv=1000,
            bias_exp=6,
            bias_mant=np.arange(80).reshape(8, 5, 2) - 30,
        ),
        Population(
            "d", (2, 5), vth=300, du=1000, dv=300, bias_mant=np.arange(10).reshape(2, 5), bias_exp=7
        ),
        Population("out", (3,), "readout", bias_mant=np.array([3, -2, 1]), bias_exp=6),
    )
    synapses = (
        Conv2d("x", "a", weight(4, 1, 3, 3), padding=(1, 1), groups=2),
        Window("a", "b", 1, (3, 3), (2, 2), (1, 1)),
        Conv2d("b", "c", weight(8, 4, 1, 1), stride=(1, 2)),
        Dense("c", "d", weight(10, 80)),
        Dense("d", "out", weight(3, 10)),
    )
    populations = tuple(dataclasses.replace(p, **changes.get(p.name, {})) for p in populations)
    return Graph(populations, synapses, 4, ("0", "1", "2")).check()


def flat_graph(delay: int = 0) -> Graph:
    """Spikes into dense layers, no readout; a pointwise map of single neurons."""
    return graph(
        source(6),
        Population("a", (7,), vth=40, dv=500),
        Population("b", (5,), vth=30),
        Dense("x", "a", weight(7, 6), delay=delay),
        Pointwise("a", "b", abs(weight(5, 7))),
        steps=5,
    )


@register
def chain_of_images() -> Case:
    network = image_graph()
    return network, random_inputs(network)


@register
def chain_of_vectors() -> Case:
    network = flat_graph()
    return network, random_inputs(network)


@register
def chain_with_a_delay() -> Case:
    network = flat_graph(delay=2)
    return network, random_inputs(network)


# ---- sums at the ends of the arithmetic ----------------------------------------------------------


@register
def borders_of_a_wide_input() -> Case:
    """Currents of both signs leave 24 bits, below the highest threshold and without decay."""
    network = graph(
        source(1, bits=11),
        Population("a", (1,), vth=(1 << 17) - 2, du=5),
        Population("out", (1,), kind="readout", du=-1),
        OneToOne("x", "a", 100),
        OneToOne("x", "out", -90),
        steps=9,
    )
    return network, any_values(network, 3)


@register
def largest_legal_sum() -> Case:
    """2^24 - 1, and one less in one of many terms: float32 still tells them apart."""
    network = graph(
        source(1, 1, 2, bits=16),
        source(255, name="z"),
        Population("y", (1, 1, 2), "readout", du=0, dv=3),
        Conv2d("x", "y", np.full((1, 1, 1, 1), 256)),
        Dense("z", "y", np.ones((2, 255), int)),
    )
    inputs = {"x": np.full((2, 6, 1, 1, 2), 65535), "z": np.ones((2, 6, 255), int)}
    inputs["z"][1, :, 254] = 0
    return network, inputs


@register
def sums_beyond_24_bits() -> Case:
    """16-bit values: sums leave float32's exact range, currents 24 bits, biases 2^29."""
    return case(
        source(1, 5, 5, bits=16),
        Population("y", (3, 5, 5), vth=131071, du=3000, dv=900, bias_mant=30000, bias_exp=15),
        Conv2d("x", "y", weights(3, 1, 3, 3, low=-14, high=14), padding=(1, 1)),
        Population("z", (2,), "readout"),
        Dense("x", "z", weights(2, 25, low=-4, high=5)),
        Dense("y", "z", weights(2, 75)),
        samples=4,
        density=0.9,
    )


@register
def current_beyond_32_bits() -> Case:
    """One wrap a step does not hold back a current without decay: it leaves 2^31 after a few
    steps.
    """
    return one_neuron(127, exponent=16, du=-1, kind="readout", steps=12)
