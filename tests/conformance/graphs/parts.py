"""What the graphs are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scmrl.core.graph import (
    Dense,
    Graph,
    Population,
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
