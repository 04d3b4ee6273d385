"""Published core counts, and the networks they belong to, to hold `deploy.placement` to.

The networks have random weights of the bits that the published log implies: what a core holds
depends on shapes and widths, not on values. A count is of one population; inputs are placed where
the published count has them. The counts are in `published.toml`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...core.graph import Conv2d, Dense, Graph, Population, Synapse, Window
from .cases import rows, table

NOT_PUBLIC = table("cores_not_public")


class PublishedNetwork(NamedTuple):
    """A network, how to place it (`options` of `place`), cores by population, and where they come
    from.

    `published_words` are synaptic memory words a core, where the source tells them; `note` says
    what is not public. Where cores were laid out by hand (`by_hand`), or the rule was read off this
    log (`fitted`), the counts are no test of it.
    """

    name: str
    graph: Graph
    options: dict[str, bool]
    published_cores: dict[str, int]
    source: str
    profile: str
    published_words: dict[str, int]
    note: str
    by_hand: bool
    fitted: bool


def networks() -> tuple[PublishedNetwork, ...]:
    """Every published network whose inputs are public, built."""
    return tuple(_network(**row) for row in rows("network"))


def _network(
    name: str,
    source: str,
    profile: str,
    input: list[int],
    layers: list[dict],
    *,
    folder: str = "",
    input_cores: int | None = None,
    note: str = "",
    by_hand: bool = False,
    fitted: bool = False,
) -> PublishedNetwork:
    placed = {} if input_cores is None else {"input": input_cores}
    return PublishedNetwork(
        name,
        _graph(tuple(input), layers),
        {"inputs": True} if placed else {},
        placed | {layer["name"]: layer["cores"] for layer in layers},
        source.format(folder),
        profile,
        {layer["name"]: layer["words"] for layer in layers if "words" in layer},
        note,
        by_hand,
        fitted,
    )


def _graph(shape: tuple[int, ...], layers: list[dict]) -> Graph:
    """Layer upon layer, with random weights of exactly the width that each says."""
    populations = [Population("input", shape, "input")]
    synapses: list[Synapse] = []
    random = np.random.default_rng(0)

    def weights(bits: int, *shape: int) -> np.ndarray:
        half = 1 << bits - 1
        weight = random.integers(-half, half, shape, np.int8)
        weight.flat[0] = 1 - half  # the width is exactly `bits`, whatever was drawn
        return weight

    for layer in layers:
        source, name, bits = populations[-1], layer["name"], layer.get("bits", 8)
        if "conv" in layer:
            channels, kernel, stride, padding = layer["conv"]
            weight = weights(bits, channels, source.shape[0], kernel, kernel)
            synapse: Synapse = Conv2d(source.name, name, weight, tuple(stride), tuple(padding))
        elif "pool" in layer:
            synapse = Window(source.name, name, 1, *((layer["pool"],) * 2,) * 2)
        else:
            synapse = Dense(source.name, name, weights(bits, layer["dense"], source.neurons))
        shape = (layer["dense"],) if "dense" in layer else synapse.output_shape(source.shape, ())
        synapses.append(synapse)
        populations.append(Population(name, shape, vth=1000))
    return Graph(tuple(populations), tuple(synapses))
