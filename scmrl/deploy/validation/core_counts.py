"""Published core counts, and the networks they belong to, to hold `deploy.placement` to.

The networks have random weights of the bits that the published log implies: what a core holds
depends on shapes and widths, not on values. A count is of one population; inputs are placed where
the published count has them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...core.graph import Conv2d, Dense, Graph, Population, Window

LAVA_DL = "mapping log of the Loihi 2 compiler in the notebooks of lava-dl (tutorials, netx: {})"
NXTF = "core counts of the SLAYER examples of NxTF (intel-nrc-ecosystem/models), Loihi 1"


class Case(NamedTuple):
    """A network, how to place it (`options` of `place`), cores by population, and where they come
    from.

    `published_words` are synaptic memory words a core, where the source tells them; `note` says
    what is not public. Where cores were laid out by hand (`by_hand`) the counts are no test of a
    rule.
    """

    name: str
    graph: Graph
    options: dict[str, bool]
    published_cores: dict[str, int]
    source: str
    profile: str
    published_words: dict[str, int] = {}
    note: str = ""
    by_hand: bool = False


NOT_PUBLIC = {
    "NxTF MNIST, 14 cores": "sizes of its four layers",
    "NxTF CIFAR-10 MobileNet, 861 cores": "layers and their weight bits",
    "Quartz MNIST, 11 cores; CIFAR-10, 1,753 cores": "helper compartments of its neuron blocks",
    "NTIDIGITS, 6 cores a copy": "compartments that its axonal delays take",
    "Braille RSNN, 53 cores": "nothing: ten neurons a core by choice, no limit binds",
    "S4D on Loihi 2, 31 and 111 cores": "layers and state sizes",
}


def cases() -> tuple[Case, ...]:
    """Every published network whose inputs are public, built."""
    bits = {"conv1": 8, "conv2": 7, "conv3": 6, "conv4": 5, "conv5": 5}
    return (
        pilotnet("PilotNet LIF", bits, inputs=True),
        pilotnet("PilotNet SDNN", bits | {"conv4": 6}, inputs=False),
        yolo_kp(),
        mnist(),
        oxford(),
        nmnist(),
        gesture(),
    )


def pilotnet(name: str, bits: dict[str, int], *, inputs: bool) -> Case:
    """PilotNet; the log of the SDNN has no input layer and one bit more in its fourth
    convolution.
    """
    layers = _Layers("input", (3, 66, 200))
    for layer, channels, stride, padding in (
        ("conv1", 24, (2, 2), (0, 0)),
        ("conv2", 36, (2, 2), (0, 0)),
        ("conv3", 48, (2, 2), (0, 0)),
        ("conv4", 64, (2, 1), (1, 0)),
        ("conv5", 64, (1, 1), (0, 0)),
    ):
        layers.conv(layer, channels, 3, stride, padding, bits[layer])
    for layer, neurons in (("dense1", 100), ("dense2", 50), ("dense3", 10), ("dense4", 1)):
        layers.dense(layer, neurons)
    cores = {"input": 13} if inputs else {}
    cores |= {
        "conv1": 25,
        "conv2": 13,
        "conv3": 3,
        "conv4": 3,
        "conv5": 2,
        "dense1": 12,
        "dense2": 1,
        "dense3": 1,
        "dense4": 1,
    }
    words = {
        "conv1": 81,
        "conv2": 864,
        "conv3": 1620,
        "conv4": 2160 if inputs else 2592,
        "conv5": 2880,
    }
    folder = "pilotnet_snn" if inputs else "pilotnet_sdnn"
    return Case(
        name, layers.graph(), {"inputs": inputs}, cores, LAVA_DL.format(folder), "loihi2", words
    )


def yolo_kp() -> Case:
    """YOLO-KP; its bits are the words of the log over C_in k k C_out, rounded up."""
    layers = _Layers("input", (3, 448, 448))
    for i, (channels, kernel, stride, bits) in enumerate(
        (
            (16, 3, 2, 6),
            (32, 3, 2, 6),
            (64, 3, 2, 5),
            (128, 3, 2, 5),
            (256, 3, 1, 5),
            (256, 3, 2, 4),
            (512, 3, 1, 5),
            (256, 1, 1, 4),
            (512, 3, 1, 5),
            (48, 1, 1, 6),
        ),
        start=1,
    ):
        layers.conv(
            f"conv{i}", channels, kernel, (stride, stride), (kernel // 2, kernel // 2), bits
        )
    cores = (224, 112, 56, 28, 56, 16, 32, 14, 32, 4)
    return Case(
        "YOLO-KP",
        layers.graph(),
        {},
        {f"conv{i}": n for i, n in enumerate(cores, start=1)},
        LAVA_DL.format("yolo_kp"),
        "loihi2",
    )


def mnist() -> Case:
    layers = _Layers("input", (784,))
    for layer, neurons in (("hidden1", 128), ("hidden2", 64), ("output", 10)):
        layers.dense(layer, neurons)
    return Case(
        "MNIST 784-128-64-10",
        layers.graph(),
        {},
        {"hidden1": 3, "hidden2": 1, "output": 1},
        LAVA_DL.format("mnist"),
        "loihi2",
    )


def oxford() -> Case:
    layers = _Layers("input", (200,))
    layers.dense("hidden", 256)
    layers.dense("output", 200)
    return Case(
        "Oxford 200-256-200",
        layers.graph(),
        {},
        {"hidden": 3, "output": 2},
        LAVA_DL.format("oxford"),
        "loihi2",
        note="its dense synapses took about 20 bits each; the rule has 16",
    )


def nmnist() -> Case:
    layers = _Layers("input", (34 * 34 * 2,))
    layers.dense("hidden", 512)
    layers.dense("output", 10)
    return Case(
        "SLAYER N-MNIST on NxTF",
        layers.graph(),
        {"inputs": True},
        {"input": 7, "hidden": 9, "output": 1},
        NXTF,
        "loihi1",
        note="bits of its weights; 8 assumed",
    )


def gesture() -> Case:
    layers = _Layers("input", (2, 128, 128))
    layers.pool("pool1", 4)
    layers.conv("conv1", 16, 5, (1, 1), (2, 2), 8)
    layers.pool("pool2", 2)
    layers.conv("conv2", 32, 3, (1, 1), (1, 1), 8)
    layers.pool("pool3", 2)
    layers.dense("dense1", 512)
    layers.dense("dense2", 11)
    cores = {
        "input": 32,
        "pool1": 8,
        "conv1": 64,
        "pool2": 13,
        "conv2": 32,
        "pool3": 7,
        "dense1": 12,
        "dense2": 1,
    }
    return Case(
        "SLAYER gesture",
        layers.graph(),
        {"inputs": True},
        cores,
        NXTF,
        "loihi1",
        note="laid out by the authors' own script, 256 neurons a core in the convolutions; 8-bit "
        "weights assumed",
        by_hand=True,
    )


class _Layers:
    """A feed-forward network, layer upon layer, with random weights of a given width."""

    def __init__(self, name: str, shape: tuple[int, ...]):
        self.populations = [Population(name, shape, "input")]
        self.synapses: list = []
        self.random = np.random.default_rng(0)

    def conv(
        self,
        name: str,
        channels: int,
        kernel: int,
        stride: tuple[int, int],
        padding: tuple[int, int],
        bits: int,
    ) -> None:
        weight = self._weights(bits, channels, self.populations[-1].shape[0], kernel, kernel)
        self._add(name, Conv2d(self.populations[-1].name, name, weight, stride, padding), ())

    def pool(self, name: str, size: int) -> None:
        self._add(name, Window(self.populations[-1].name, name, 1, (size, size), (size, size)), ())

    def dense(self, name: str, neurons: int, bits: int = 8) -> None:
        source = self.populations[-1]
        self._add(
            name, Dense(source.name, name, self._weights(bits, neurons, source.neurons)), (neurons,)
        )

    def graph(self) -> Graph:
        return Graph(tuple(self.populations), tuple(self.synapses))

    def _weights(self, bits: int, *shape: int) -> np.ndarray:
        weight = self.random.integers(-(1 << bits - 1), 1 << bits - 1, shape, np.int8)
        weight.flat[0] = 1 - (1 << bits - 1)  # the width is exactly `bits`, whatever was drawn
        return weight

    def _add(self, name: str, synapse, shape: tuple[int, ...]) -> None:
        shape = shape or synapse.output_shape(self.populations[-1].shape, ())
        self.synapses.append(synapse)
        self.populations.append(Population(name, shape, vth=1000))
