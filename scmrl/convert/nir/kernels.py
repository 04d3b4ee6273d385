"""Synapses as the convolutions that importers of NIR run: square, without groups. numpy only.

Every population is an image (C, H, W): (C,) is (C, 1, 1), and (C, N) is (C, H, W) with H * W = N,
as square as can be. A synapse that is no convolution is a matrix, written as convolutions that
cover the whole image:

    gather    (C, H, W) -> (targets, 1, 1)      one window, as large as the image
    spread    (sources, 1, 1) -> (C, H, W)      output (h, w) reads tap padding - stride * (h, w)

and as both in a row where source and target are images. NIR infers the size of a convolution's
output from one side of its kernel, and takes the channels of its input for those of the weight:
hence square, and without groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.graph import Conv2d, OneToOne, Pointwise, Population, Synapse, Window
from ...system.errors import GraphError

Image = tuple[int, int, int]

MATRIX_LIMIT = 1 << 26  # numbers in one matrix: 256 MiB of float32


def image_shape(shape: tuple[int, ...]) -> Image:
    """(C, H, W) of a population's shape."""
    if len(shape) == 3:
        return tuple(int(n) for n in shape)
    positions = int(np.prod(shape[1:]))
    height = max(h for h in range(1, int(positions**0.5) + 1) if positions % h == 0)
    return int(shape[0]), height, positions // height


@dataclass(frozen=True)
class Kernel:
    """One convolution: weight float32 [C_out, C_in, k, k]."""

    weight: np.ndarray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    def of_channels(self, first: int, channels: int) -> Kernel:
        """The same map on a source of `channels` channels, of which it reads those from
        `first` on.
        """
        out, read, height, width = self.weight.shape
        weight = np.zeros((out, channels, height, width), np.float32)
        weight[:, first : first + read] = self.weight
        return Kernel(weight, self.stride, self.padding)


def kernels(synapse: Synapse, source: Population, target: Population, image: Image) -> list[Kernel]:
    """The synapse as one convolution, or two in a row, from a source that is laid out as `image`.

    Raises `GraphError` where it takes a matrix of more than `MATRIX_LIMIT` numbers.
    """
    if image == image_shape(source.shape):
        own = _convolution(synapse, source, target)
        if own is not None:
            return [own]
    goal = image_shape(target.shape)
    matrix = _matrix(synapse, source, target)
    if goal[1:] == (1, 1):
        return [gather(matrix, image)]
    if image[1:] == (1, 1):
        return [spread(matrix, goal)]
    return [gather(matrix, image), spread(np.eye(target.neurons, dtype=np.float32), goal)]


def gather(matrix: np.ndarray, source: Image) -> Kernel:
    """matrix [targets, sources] from an image to (targets, 1, 1)."""
    channels, height, width = source
    side = max(height, width)
    top, left = ((side - n + 1) // 2 for n in (height, width))
    weight = np.zeros((len(matrix), channels, side, side), np.float32)
    weight[:, :, top : top + height, left : left + width] = matrix.reshape(-1, *source)
    return Kernel(weight, (side, side), (top, left))


def spread(matrix: np.ndarray, target: Image) -> Kernel:
    """matrix [targets, sources] from (sources, 1, 1) to an image."""
    channels, height, width = target
    stride = (
        1 if height == width else 2
    )  # with 2, an odd kernel fits both sides, whatever their parity
    side = stride * (max(height, width) - 1) + 1
    padding = tuple((stride * (n - 1) + side - 1) // 2 for n in (height, width))
    rows, columns = (p - stride * np.arange(n) for p, n in zip(padding, (height, width)))
    weight = np.zeros((channels, matrix.shape[1], side, side), np.float32)
    weight[:, :, rows[:, None], columns] = matrix.reshape(*target, -1).transpose(0, 3, 1, 2)
    return Kernel(weight, (stride, stride), padding)


def _matrix(synapse: Synapse, source: Population, target: Population) -> np.ndarray:
    """The synapse as float32 [targets, sources]."""
    size = source.neurons * target.neurons
    if size > MATRIX_LIMIT:
        raise GraphError(
            "is no convolution for NIR, and too large to write as a matrix",
            where=synapse.name,
            limit=MATRIX_LIMIT,
            value=size,
            fix="use the target onnx or lava",
        )
    rows, columns, weights = synapse.coordinates(source.shape, target.shape)
    matrix = np.zeros((target.neurons, source.neurons), np.float32)
    np.add.at(matrix, (rows, columns), weights * 2.0**synapse.exponent)
    return matrix


def _convolution(synapse: Synapse, source: Population, target: Population) -> Kernel | None:
    """The synapse as the convolution that it is; None where it is none, or none with a square
    kernel.
    """
    if isinstance(synapse, Window):
        channels = source.shape[0]
        weight = np.full((channels, 1, *synapse.kernel), synapse.weight)
        return _square(_without_groups(weight, channels), synapse)
    if isinstance(synapse, Conv2d):
        return _square(_without_groups(synapse.weight, synapse.groups), synapse)
    if isinstance(synapse, Pointwise):
        weight = synapse.weight
    elif isinstance(synapse, OneToOne) and source.shape == target.shape:
        weight = np.eye(source.shape[0]) * synapse.weight
    else:
        return None
    return Kernel((weight * 2.0**synapse.exponent).astype(np.float32)[:, :, None, None])


def _without_groups(weight: np.ndarray, groups: int) -> np.ndarray:
    """Weights [C_out, C_in, kh, kw], zero across groups, of [C_out, C_in / groups, kh, kw]."""
    out, per_group, height, width = weight.shape
    dense = np.zeros((out, per_group * groups, height, width))
    for group in range(groups):
        outs = slice(group * out // groups, (group + 1) * out // groups)
        dense[outs, group * per_group : (group + 1) * per_group] = weight[outs]
    return dense


def _square(weight: np.ndarray, conv: Conv2d | Window) -> Kernel | None:
    """Zeros around the kernel until it is square; None where there cannot be as many before as
    after.
    """
    missing = [max(weight.shape[2:]) - n for n in weight.shape[2:]]
    if any(n % 2 for n in missing):
        return None
    padded = np.pad(
        weight * 2.0**conv.exponent, ((0, 0), (0, 0), *((n // 2, n // 2) for n in missing))
    )
    return Kernel(
        padded.astype(np.float32),
        tuple(int(s) for s in conv.stride),
        tuple(int(p) + n // 2 for p, n in zip(conv.padding, missing)),
    )
