"""A convolution as one product of matrices, in floats: what `core.convolution` defines tap by tap,
at the speed of BLAS. Integers below 2^24 (float32) or 2^53 (float64) stay exact.

    columns[c, i, j, h, w] = x[c, row(h, i), column(w, j)]          y = W . columns
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .....core.convolution import Convolution

COLUMNS = 1 << 22  # values of the columns at a time


def convolve(
    form: Convolution, x: np.ndarray, number: type[np.floating] = np.float64
) -> np.ndarray:
    """x [B, C_in, H, W] of any numbers -> y [B, C_out, H', W'] in floats of the type `number`."""
    target = form.target(x.shape[1:])
    out = np.empty((len(x), *target), number)
    entries = x.shape[1] * form.kernel[0] * form.kernel[1] * target[1] * target[2]
    size = max(1, COLUMNS // entries)
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        last = np.ascontiguousarray(np.moveaxis(x[part], 0, -1)).astype(number)
        out[part] = np.moveaxis(_convolve(form, last, target), -1, 0)
    return out


def _convolve(form: Convolution, x: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
    """x [C_in, H, W, B] -> y [C_out, H', W', B]: copies run along the samples."""
    groups, weight = form.groups, np.asarray(form.weight, x.dtype)
    if groups == len(x) == target[0]:  # one channel each, as in pooling
        y = np.zeros((*target, x.shape[-1]), x.dtype)
        for i, j, patch in _patches(form, x, target):
            y += patch * weight[:, 0, i, j, None, None, None]
        return y
    read = columns(form, x, target).reshape(groups, weight[0].size, -1)
    y = np.matmul(weight.reshape(groups, target[0] // groups, -1), read)
    return y.reshape(*target, x.shape[-1])


def columns(form: Convolution, x: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
    """What the kernel reads of x [C_in, H, W, B] at each place: [C_in, kh, kw, H', W', B]."""
    out = np.empty((len(x), *form.kernel, *target[1:], x.shape[-1]), x.dtype)
    for i, j, patch in _patches(form, x, target):
        out[:, i, j] = patch
    return out


def _patches(
    form: Convolution, x: np.ndarray, target: tuple[int, ...]
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Kernel positions with the pixels [C_in, H', W', B] that each one reads."""
    (sh, sw), (ph, pw), (_, height, width) = form.stride, form.padding, target
    padded = np.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0))) if ph or pw else x
    for i, j in np.ndindex(*form.kernel):
        patch = padded[:, i : i + sh * height : sh, j : j + sw * width : sw]
        yield i, j, patch[:, :height, :width]


def deconvolve(form: Convolution, y: np.ndarray, source: tuple[int, ...]) -> np.ndarray:
    """The adjoint: y [R, C_out, H', W'] -> x [R, C_in, H, W], <y, convolve(x)> = <x, this(y)>."""
    (sh, sw), (ph, pw), groups = form.stride, form.padding, form.groups
    rows, _, height, width = y.shape
    channels, *size = source
    padded = np.zeros((rows, channels, size[0] + 2 * ph, size[1] + 2 * pw))
    weight = form.weight.reshape(groups, -1, *form.weight.shape[1:])
    grouped = y.reshape(rows, groups, -1, height * width)
    for i, j in np.ndindex(*form.kernel):
        back = np.matmul(weight[:, :, :, i, j].transpose(0, 2, 1), grouped)
        place = padded[:, :, i : i + sh * height : sh, j : j + sw * width : sw]
        place[:, :, :height, :width] += back.reshape(rows, channels, height, width)
    return padded[:, :, ph : ph + size[0], pw : pw + size[1]]
