"""Layers in plain numpy: matrix products in float32 and the LIF in float64, where bounds prove that
exact.

    a synapse's partial sums stay below 2^24: float32 holds them
    u and v stay within 24 bits, their products below 2^36: float64 holds them

Otherwise both are computed in int64, as the definition does (`Synapse.apply`, `lif_step`).
Values keep the graph's order: [S, T, neurons], first axis of the shape slowest.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike

from ....core.fixed_point import CURRENT_SHIFT, DECAY_ONE, STATE_LIMIT, STATE_MAX, lif_step
from ....core.graph import Conv2d, Dense, Graph, Pointwise, Population, Synapse, Window
from ....core.synapse import Shape
from .layer import PreparedLayer, State

FLOAT32_EXACT = 1 << 24
THREADED = False  # numpy's matrix products bring threads of their own


def pack(x: np.ndarray) -> np.ndarray:
    """Values [S, T, *shape] in the order that the layers use: [S, T, neurons]."""
    return x.reshape(*x.shape[:2], -1)


def unpack(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of `pack`."""
    return values.reshape(*values.shape[:2], *shape)


class Layer(PreparedLayer):
    def __init__(self, graph: Graph, population: Population):
        super().__init__(graph, population)
        self.products = [(synapse, self._product(synapse)) for synapse in self.synapses]

    def _product(self, synapse: Synapse) -> Product:
        kind = (
            PRODUCTS.get(type(synapse), Product)
            if self.largest_sum(synapse) < FLOAT32_EXACT
            else Product
        )
        return kind(synapse, self.sources[synapse.source].shape, self.population.shape)

    @staticmethod
    def flat(values: np.ndarray) -> np.ndarray:
        return values.ravel()

    def bytes_per_step(self) -> int:
        return 8 * max(
            [6 * self.population.neurons, *(product.numbers for _, product in self.products)]
        )

    def state(self, samples: int) -> State:
        shape, number = (
            (samples, self.population.neurons),
            np.float64 if self.fits_24_bits else np.int64,
        )
        return np.zeros(shape, number), np.zeros(shape, number)

    def advance(
        self,
        values: dict[str, np.ndarray],
        states: dict[str, State],
        first: int,
        last: int,
        held: bool,
    ) -> int:
        out, state = values[self.population.name], states[self.population.name]
        a = self._activation(values, first, first + 1 if held else last, len(out), state[0].dtype)
        step = self._step_in_float if self.fits_24_bits else self._step_in_integers
        bias = self.offset(states, state[0].dtype)
        return sum(
            step(a[:, 0 if held else t - first], *state, bias, out[:, t])
            for t in range(first, last)
        )

    def _activation(
        self,
        values: dict[str, np.ndarray],
        first: int,
        last: int,
        samples: int,
        number: DTypeLike,
    ) -> np.ndarray:
        """a of steps first..last-1: [S, steps, neurons]. A delayed source has sent nothing before
        step 0.
        """
        a = np.zeros((samples, last - first, self.population.neurons), number)
        for synapse, product in self.products:
            start = max(first, synapse.delay)
            if start < last:
                x = values[synapse.source][:, start - synapse.delay : last - synapse.delay]
                sums = product(x.reshape(-1, x.shape[2])).reshape(samples, last - start, -1)
                a[:, start - first :] += sums.astype(number, copy=False) * (1 << synapse.exponent)
        return a

    def _step_in_float(
        self, a: np.ndarray, u: np.ndarray, v: np.ndarray, bias: np.ndarray, out: np.ndarray
    ) -> int:
        """`lif_step` in float64: every product is below 2^36 and exact. u and v are updated in
        place.
        """
        p = self.population
        overflow: np.ndarray | bool = False
        if isinstance(self.keep_u, int) and self.keep_u == 0:
            np.multiply(a, 1 << CURRENT_SHIFT, out=u)
        else:
            _decay(u, self.keep_u)
            u += a * (1 << CURRENT_SHIFT)
        if u.max() > STATE_LIMIT or u.min() <= -STATE_LIMIT:
            high = u > STATE_LIMIT
            u[high] -= 2 * STATE_LIMIT
            low = u <= -STATE_LIMIT
            u[low] += 2 * STATE_LIMIT
            overflow = high | low
        _decay(v, self.keep_v)
        v += u
        v += bias
        if v.max() > STATE_MAX or v.min() < -STATE_MAX:
            overflow = overflow | (np.abs(v) > STATE_MAX)
            np.clip(v, -STATE_MAX, STATE_MAX, out=v)
        if p.fires:
            np.greater(v, self.threshold, out=out.view(bool))
            left = v - self.threshold if self.subtracts else 0
            np.copyto(v, left, where=out.view(bool))
        else:
            out[...] = v
        return int(np.count_nonzero(overflow))

    def _step_in_integers(
        self, a: np.ndarray, u: np.ndarray, v: np.ndarray, bias: np.ndarray, out: np.ndarray
    ) -> int:
        p = self.population
        u[:], v[:], s, overflow = lif_step(
            u,
            v,
            a,
            du=DECAY_ONE - 1 - self.keep_u,
            dv=DECAY_ONE - self.keep_v,
            vth=self.threshold >> CURRENT_SHIFT,
            bias=bias,
            fires=p.fires,
            reset=p.reset,
        )
        out[...] = s if p.fires else v
        return overflow


def _decay(x: np.ndarray, keep: int | np.ndarray) -> None:
    """x * keep / 4096 toward zero, in place; keep is a number or [neurons]."""
    if isinstance(keep, int) and keep == DECAY_ONE:
        return
    x *= keep / DECAY_ONE
    np.trunc(x, out=x)


class Product:
    """The sums of one synapse: values [B, sources] -> [B, targets], exact. Here: the definition, in
    int64.
    """

    def __init__(self, synapse: Synapse, source: Shape, target: Shape):
        self.synapse, self.source, self.target = synapse, source, target
        self.numbers = int(np.prod(source)) + int(
            np.prod(target)
        )  # held at once for one sample and step

    def __call__(self, x: np.ndarray) -> np.ndarray:
        s = x.reshape(len(x), *self.source).astype(np.int64)
        return self.synapse.apply(s, self.target).reshape(len(x), -1)


class DenseProduct(Product):
    def __init__(self, synapse: Dense | Pointwise, source: Shape, target: Shape):
        super().__init__(synapse, source, target)
        self.weight = synapse.weight.astype(np.float32).T

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x.astype(np.float32) @ self.weight


class PointwiseProduct(DenseProduct):
    def __call__(self, x: np.ndarray) -> np.ndarray:
        x = x.reshape(len(x), self.source[0], -1).astype(np.float32)
        return (self.weight.T @ x).reshape(len(x), -1)


class ConvProduct(Product):
    synapse: Conv2d

    def __init__(self, synapse: Conv2d, source: Shape, target: Shape):
        super().__init__(synapse, source, target)
        weight, groups = synapse.weight.astype(np.float32), synapse.groups
        self.weight = weight.reshape(groups, len(weight) // groups, -1)
        self.numbers += (
            self.source[0] * int(np.prod(weight.shape[2:])) * int(np.prod(self.target[1:]))
        )

    def __call__(self, x: np.ndarray) -> np.ndarray:
        x = x.reshape(len(x), *self.source).astype(np.float32)
        patches = _windows(x, self.synapse, self.synapse.weight.shape[2:])
        columns = patches.reshape(len(x), len(self.weight), -1, int(np.prod(self.target[1:])))
        return (self.weight @ columns).reshape(len(x), -1)


class WindowProduct(Product):
    synapse: Window

    def __call__(self, x: np.ndarray) -> np.ndarray:
        taps = _windows(
            x.reshape(len(x), *self.source).astype(np.float32), self.synapse, self.synapse.kernel
        )
        sums = np.zeros((len(x), *self.target), np.float32)
        for i, j in np.ndindex(*self.synapse.kernel):  # faster than a small sum for each target
            sums += taps[:, :, i, j]
        return (self.synapse.weight * sums).reshape(len(x), -1)


def _windows(x: np.ndarray, synapse: Conv2d | Window, kernel: tuple[int, int]) -> np.ndarray:
    """What each position of the kernel sees: [B, C, H, W] -> a view [B, C, kh, kw, H', W']."""
    (ph, pw), (sh, sw) = synapse.padding, synapse.stride
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    return sliding_window_view(padded, tuple(kernel), (2, 3))[:, :, ::sh, ::sw].transpose(
        0, 1, 4, 5, 2, 3
    )


PRODUCTS: dict[type[Synapse], type[Product]] = {
    Dense: DenseProduct,
    Pointwise: PointwiseProduct,
    Conv2d: ConvProduct,
    Window: WindowProduct,
}
