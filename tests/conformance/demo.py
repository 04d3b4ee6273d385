"""A random graph of the shape that training gives: two modalities, stages, AND gates, readout."""

from __future__ import annotations

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
    Synapse,
    Window,
)

CHANNELS = (8, 16, 32, 64)
DENSITY = 0.08  # spikes per neuron and step that the thresholds aim at, roughly
TAIL = 2.0  # standard deviations above the mean that this takes


class _Builder:
    def __init__(self, rng: np.random.Generator):
        self.rng, self.populations, self.synapses = rng, [], []

    def shape(self, name: str) -> tuple[int, ...]:
        return next(p.shape for p in self.populations if p.name == name)

    def weight(self, *shape: int) -> np.ndarray:
        return self.rng.integers(-40, 41, shape).astype(np.int16)

    def lif(self, name: str, shape: tuple[int, ...], fan_in: float, synapses: list[Synapse]) -> str:
        """A population whose threshold suits random weights with `fan_in` active sources of value
        1.
        """
        bias = self.rng.integers(-20, 20, (shape[0],) + (1,) * (len(shape) - 1)).astype(np.int16)
        vth = int(TAIL * 23 * np.sqrt(fan_in))
        self.populations.append(
            Population(name, shape, vth=vth, dv=1024, bias_mant=bias, bias_exp=3)
        )
        self.synapses += synapses
        return name

    def stage(self, name: str, source: str, channels: int, active: float) -> str:
        before, height, width = self.shape(source)
        conv = Conv2d(source, name, self.weight(channels, before, 3, 3), (1, 1), (1, 1))
        return self.lif(name, (channels, height, width), active * 9 * before, [conv])

    def pool(self, name: str, source: str) -> str:
        window = Window(source, name, 1, (3, 3), (2, 2), (1, 1))
        self.populations.append(
            Population(name, window.output_shape(self.shape(source), ()), memoryless=True)
        )
        self.synapses.append(window)
        return name

    def shared(self, name: str, sources: list[str]) -> str:
        shape = self.shape(sources[0])
        synapses = [Pointwise(s, name, self.weight(shape[0], shape[0])) for s in sources]
        return self.lif(name, shape, DENSITY * shape[0] * len(sources), synapses)

    def both(self, name: str, full: str, other: str) -> str:
        kind = OneToOne if self.shape(other) == self.shape(full) else Broadcast
        self.populations.append(Population(name, self.shape(full), vth=1, memoryless=True))
        self.synapses += [OneToOne(full, name, 1), kind(other, name, 1)]
        return name

    def mask(self, name: str, source: str, **memory) -> str:
        self.populations.append(Population(name, self.shape(source)[:1], **memory))
        self.synapses.append(SumTokens(source, name, 1))
        return name


def demo_graph(
    seed: int = 0,
    size: int = 32,
    channels: tuple[int, ...] = CHANNELS,
    classes: int = 10,
    modalities: tuple[str, ...] = ("image", "sound"),
) -> Graph:
    """Inputs (1, size, size) of 6 bits, a stage of convolution and pooling per `channels`, tokens;
    T = 4.
    """
    b = _Builder(np.random.default_rng(seed))
    tokens = {}
    for m in modalities:
        b.populations.append(Population(m, (1, size, size), "input", bits=6))
        x, active = m, 800.0  # mean square of a graded value: its share of the variance
        for i, count in enumerate(channels, 1):
            x = b.pool(f"{m}.pool{i}", b.stage(f"{m}.stage{i}", x, count, active))
            active = 3 * DENSITY  # the OR of a window is denser than its sources
        tokens[m] = [x, b.stage(f"{m}.position", x, channels[-1], active)]
    heads = []
    for m in modalities:
        gates = []
        for other in (o for o in modalities if o != m):
            key, value = (b.shared(f"{m}.{part}", tokens[other]) for part in ("key", "value"))
            both = b.both(f"{m}.both", key, value)
            masks = (
                b.mask(f"{m}.mask_spatial", both, memoryless=True),
                b.mask(f"{m}.mask_temporal", both, vth=1, dv=256),
            )
            gates += [
                b.both(f"{m}.gate{i}", b.shared(f"{m}.query{i}", tokens[m]), mask)
                for i, mask in enumerate(masks)
            ]
        z = b.shared(f"{m}.complement", gates)
        hidden = b.shared(f"{m}.hidden", [*tokens[m], z])
        heads += [*tokens[m], z, b.shared(f"{m}.out", [hidden])]
    b.populations.append(
        Population("readout", (classes,), "readout", bias_mant=np.arange(classes), bias_exp=2)
    )
    b.synapses += [Dense(h, "readout", b.weight(classes, int(np.prod(b.shape(h))))) for h in heads]
    return Graph(tuple(b.populations), tuple(b.synapses), steps=4)


def demo_inputs(graph: Graph, samples: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Static frames uint8 [samples, steps, 1, H, W] with a dark half, as recordings have."""
    rng = np.random.default_rng(seed)
    frames = {
        p.name: rng.integers(0, 64, (samples, 1, *p.shape))
        * rng.integers(0, 2, (samples, 1, *p.shape))
        for p in graph.of_kind("input")
    }
    return {name: np.repeat(x, graph.steps, 1).astype(np.uint8) for name, x in frames.items()}
