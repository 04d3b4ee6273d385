"""The interpreter of a float network: the recurrence of `network`, in float64. numpy only.

Samples run a few at a time, and steps in blocks where nothing is recurrent, so that what is held is
bounded and products are large.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..floats.network import Network, Neurons

VALUES = 1 << 26  # of one chunk of samples, a byte each
BLOCK = 1 << 22  # sums of one block of steps, a float each


@dataclass(frozen=True)
class FloatRun:
    """Values [S, T, *shape] of every node's neurons (spikes as integers, v of an integrator), and
    the largest |u| and |v| [*shape].
    """

    values: dict[str, np.ndarray]
    peaks: dict[str, tuple[np.ndarray, np.ndarray]]

    def classes(self, network: Network) -> np.ndarray:
        """Readout with the highest value at the last step, int64 [S]; the first wins."""
        return self.scores(network).argmax(1)

    def scores(self, network: Network) -> np.ndarray:
        """The readout's values at the last step, [S, K]."""
        final = self.values[network.readout][:, -1]
        return final.reshape(len(final), -1).astype(float)


def run(network: Network, inputs: dict[str, np.ndarray]) -> FloatRun:
    """Interpret `network` on inputs {name: [S, T, *shape]}, every sample from rest, all at once."""
    return _Run(network, inputs).result()


def chunks(network: Network, inputs: dict[str, np.ndarray]) -> Iterator[tuple[slice, FloatRun]]:
    """`run` on some samples at a time, with the samples they are."""
    samples, steps = next(iter(inputs.values())).shape[:2]
    neurons = sum(int(np.prod(n.shape)) for n in network.neurons)
    size = max(1, VALUES // (steps * neurons))
    for start in range(0, samples, size):
        part = slice(start, min(start + size, samples))
        yield part, run(network, {name: x[part] for name, x in inputs.items()})


class _Run:
    """State and values of some samples."""

    def __init__(self, network: Network, inputs: dict[str, np.ndarray]):
        self.network = network
        self.samples, self.steps = next(iter(inputs.values())).shape[:2]
        self.values = {
            n.name: inputs[n.name]
            if n.kind == "input"
            else np.zeros((self.samples, self.steps, *n.shape), _number(n))
            for n in network.neurons
        }
        self.moving = [n for n in network.neurons if n.kind != "input"]
        self.state = {n.name: np.zeros((2, self.samples, *n.shape)) for n in self.moving}
        self.pending = {n.name: np.zeros(1) for n in self.moving}
        self.extremes = {n.name: np.zeros((4, self.samples, *n.shape)) for n in self.moving}
        for t in range(0, self.steps, block := self._block()):
            for n in self.moving:
                self._advance(n, t, min(t + block, self.steps))

    def result(self) -> FloatRun:
        peaks = {n.name: (np.zeros(n.shape), np.zeros(n.shape)) for n in self.network.inputs}
        for name, ends in self.extremes.items():
            u, v = np.abs(ends.reshape(2, -1, *ends.shape[2:])).max(1)
            peaks[name] = u, v
        return FloatRun(self.values, peaks)

    def _block(self) -> int:
        """Steps that a population can take before the next one: one where a cycle needs them."""
        place = {n.name: i for i, n in enumerate(self.network.neurons)}
        if any(place[r.source] >= place[r.target] for r in self.network.routes):
            return 1
        largest = max((int(np.prod(n.shape)) for n in self.moving), default=1)
        return max(1, BLOCK // (self.samples * largest))

    def _current(self, n: Neurons, start: int, stop: int) -> np.ndarray:
        """I of the steps start..stop-1, [S, steps, *shape]."""
        total = np.zeros((self.samples, stop - start, *n.shape))
        for delay, constant in self.network.constants.get(n.name, {}).items():
            total[:, max(0, delay - start) :] += constant
        for r in self.network.incoming(n.name):
            first = max(start, r.delay)
            if first >= stop:
                continue
            x = self.values[r.source][:, first - r.delay : stop - r.delay]
            y = r.map.apply(x.reshape(-1, *x.shape[2:]))
            total[:, first - start :] += y.reshape(self.samples, stop - first, *n.shape)
        return total

    def _advance(self, n: Neurons, start: int, stop: int) -> None:
        current, out = self._current(n, start, stop), self.values[n.name]
        if np.any(n.gain != 1.0):
            current *= n.gain
        (u, v), ends = self.state[n.name], self.extremes[n.name]
        for i in range(stop - start):
            u = n.alpha * u + current[:, i] if np.any(n.alpha) else current[:, i]
            v = n.beta * v + u
            v += n.bias - self.pending[n.name]
            for x, low, high in ((u, *ends[:2]), (v, *ends[2:])):
                np.minimum(low, x, out=low)
                np.maximum(high, x, out=high)
            out[:, start + i] = v if n.kind != "spiking" else self._fire(n, v)
        self.state[n.name] = np.stack([u, v])

    def _fire(self, n: Neurons, v: np.ndarray) -> np.ndarray:
        """The spikes of one step; resets v."""
        fired = v >= n.threshold if n.inclusive else v > n.threshold
        s: np.ndarray = fired
        if n.several and n.reset != "zero":
            s = np.where(fired, np.floor(v / np.maximum(n.threshold, 1e-300)), 0.0)
        if n.reset == "zero":
            v[fired] = 0.0
        elif n.reset == "late":
            self.pending[n.name] = s * n.threshold
        else:
            v -= s * n.threshold
        if n.floor:
            np.maximum(v, -np.asarray(n.threshold), out=v)
        return s


def _number(n: Neurons) -> type[np.generic]:
    if n.kind != "spiking":
        return np.float64
    return np.uint16 if n.several else np.uint8
