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

from ...core.graph import Population, Synapse
from ...system.errors import GraphError

Image = tuple[int, int, int]

MATRIX_LIMIT = 1 << 26  # numbers in one matrix: 256 MiB of float32


def image_shape(shape: tuple[int, ...]) -> Image:
    """(C, H, W) of a population's shape."""
    if len(shape) == 3:
        return int(shape[0]), int(shape[1]), int(shape[2])
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
    # with 2, an odd kernel fits both sides, whatever their parity
    stride = 1 if height == width else 2
    side = stride * (max(height, width) - 1) + 1
    top, left = ((stride * (n - 1) + side - 1) // 2 for n in (height, width))
    rows, columns = top - stride * np.arange(height), left - stride * np.arange(width)
    weight = np.zeros((channels, matrix.shape[1], side, side), np.float32)
    weight[:, :, rows[:, None], columns] = matrix.reshape(*target, -1).transpose(0, 3, 1, 2)
    return Kernel(weight, (stride, stride), (top, left))


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
    """The synapse as the convolution that it is, with zeros around the kernel until it is square;
    None where it is none, or where there cannot be as many zeros before as after.
    """
    form = synapse.convolution(source.shape, target.shape)
    if form is None:
        return None
    missing = [max(form.kernel) - n for n in form.kernel]
    if any(n % 2 for n in missing):
        return None
    around = [n // 2 for n in missing]
    weight = form.ungrouped() * 2.0**synapse.exponent
    padded = np.pad(weight, ((0, 0), (0, 0), *((n, n) for n in around)))
    (sh, sw), (ph, pw) = form.stride, form.padding
    padding = (int(ph) + around[0], int(pw) + around[1])
    return Kernel(padded.astype(np.float32), (int(sh), int(sw)), padding)
