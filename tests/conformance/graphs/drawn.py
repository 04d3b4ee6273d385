"""Graphs by chance."""

from __future__ import annotations

import dataclasses

import numpy as np
from conformance.graphs.parts import Case, random_inputs, source

from scmrl.core.graph import (
    Broadcast,
    Conv2d,
    Dense,
    Graph,
    OneToOne,
    Pointwise,
    Population,
    SumTokens,
)


def random_graph(
    seed: int, recurrent: bool = False, joined: bool = False, subtract: bool = False
) -> Case:
    """A random DAG of images, tokens and vectors, random parameters, of the population, its
    channels or its neurons; `recurrent` adds a delayed synapse, `joined` lets populations add the
    membrane of an earlier one, `subtract` lets some reset by subtraction.
    """
    random = np.random.default_rng(seed)

    def drawn(shape: tuple[int, ...], draw):
        """One value, one a channel, or one a neuron."""
        channels = (shape[0],) + (1,) * (len(shape) - 1)
        size = (None, None, channels, shape)[random.integers(4)]
        return draw(size) if size else int(draw(None))

    def weight(*shape):
        return random.integers(-128, 128, shape)

    def neuron(name: str, shape: tuple[int, ...]) -> Population:
        return Population(
            name,
            shape,
            vth=drawn(shape, lambda size: random.integers(0, 200, size)),
            du=drawn(shape, lambda size: random.choice([-1, 0, 1000, 4095, 4095], size)),
            dv=drawn(shape, lambda size: random.integers(0, 4097, size)),
            bias_mant=random.integers(-300, 300, (shape[0],) + (1,) * (len(shape) - 1)),
            bias_exp=int(random.integers(0, 4)),
            memoryless=bool(random.random() < 0.3),
            reset="subtract" if subtract and random.random() < 0.6 else "zero",
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
    leak = drawn((4,), lambda size: random.integers(0, 4096, size))
    readout = Population("readout", (4,), "readout", dv=leak)
    synapses += [
        Dense(p.name, "readout", weight(4, p.neurons)) for p in (neurons[-1], populations[0])
    ]
    network = Graph((*populations, readout), tuple(synapses), int(random.integers(1, 7))).check()
    return network, random_inputs(network, samples=2, seed=seed)


def random_loops(seed: int) -> Case:
    """A random DAG of pairs of neurons that may hear themselves, some of them nothing else; biases
    as large as a chip's.
    """
    random = np.random.default_rng(seed)
    populations = [source(3, bits=int(random.choice([1, 8])))]
    synapses = []
    for i in range(random.integers(1, 7)):
        new = Population(
            f"p{i}",
            (2,),
            vth=int(random.integers(0, 301)),
            du=int(random.choice([-1, 0, 900, 4095])),
            dv=int(random.choice([0, 77, 4095, 4096])),
            memoryless=bool(random.random() < 0.5),
            bias_mant=random.integers(-4096, 4096, 2),
            bias_exp=int(random.integers(0, 5)),
        )
        for before in populations:
            if random.random() < 0.5:
                weight = random.integers(-128, 128, (2, before.neurons))
                options = {
                    "exponent": int(random.integers(0, 4)),
                    "delay": int(random.choice([0, 0, 0, 2])),
                }
                synapses.append(Dense(before.name, new.name, weight, **options))
        if random.random() < 0.2:
            weight = random.integers(-128, 128, (2, 2))
            synapses.append(Dense(new.name, new.name, weight, delay=int(random.integers(1, 4))))
        populations.append(new)
    network = Graph(tuple(populations), tuple(synapses), int(random.integers(1, 7))).check()
    return network, random_inputs(network, samples=2, density=0.9, seed=seed)
