"""Parameters of NIR nodes, checked: what a file may say where a number, shape or pair is meant."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .....system.errors import GraphError
from .maps import Shape

MAX_NEURONS = 1 << 22  # of one node


def numbers(value: object, name: str, what: str) -> np.ndarray:
    """A parameter as finite float64; accepts tensors."""
    try:
        plain = value.detach().cpu().numpy() if hasattr(value, "detach") else value
        array = np.asarray(plain, np.float64)
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise GraphError(f"{what} is not a number", where=name, value=kind) from None
    if not np.isfinite(array).all():
        raise GraphError(f"{what} is not finite", where=name)
    return array


def parameter(value: object, shape: Shape, name: str, what: str) -> np.ndarray:
    """A neuron parameter of `shape`: one value for all, one a channel, or one each."""
    array = numbers(value, name, what)
    if array.size == 1:
        return np.full(shape, float(array.ravel()[0]))
    if array.size == prod(shape):
        return array.reshape(shape)
    if array.size == shape[0]:
        return np.broadcast_to(array.reshape(-1, *(1,) * (len(shape) - 1)), shape)
    raise GraphError(f"{what} does not fit the neurons", where=name, limit=shape, value=array.shape)


def pair(value: object, name: str, what: str) -> tuple[int, int]:
    """One or two whole numbers, as two."""
    array = numbers(value, name, what).ravel()
    whole = array.size in (1, 2) and np.all(array == np.rint(array))
    if not whole or array.min() < 0 or array.max() > 1 << 16:
        raise GraphError(f"{what} must be one or two whole numbers", where=name, value=value)
    return int(array[0]), int(array[-1])


def padding(value: object, name: str) -> str | tuple[int, int]:
    """ "same", "valid", or a pair."""
    text = value.decode() if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return pair(value, name, "padding")
    if text not in ("same", "valid"):
        raise GraphError("padding must be 'same', 'valid' or numbers", where=name, value=text)
    return text


def shape_of(shape: Any, name: str) -> Shape:
    """A node's shape: at least one axis, none of them empty."""
    try:
        sizes = tuple(int(n) for n in np.ravel(shape))
    except (TypeError, ValueError):
        sizes = ()
    if not sizes or min(sizes) < 1 or prod(sizes) > MAX_NEURONS:
        limit = f"1..{MAX_NEURONS} values"
        raise GraphError("node has no usable shape", where=name, value=shape, limit=limit)
    return sizes


def flattened(shape: Shape, node: Any, name: str) -> Shape:
    """The shape after a Flatten; NIR has no batch axis, but start 0 and 1 both occur for the first
    axis.
    """
    rank = len(shape)
    start, end = (int(np.ravel(dim)[0]) for dim in (node.start_dim, node.end_dim))
    start, end = (at + rank if at < 0 else at for at in (start, end))
    if not 0 <= start <= end < rank:
        return (prod(shape),)
    return (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :])


def positive(value: object, what: str) -> float:
    """A number of seconds above zero."""
    try:
        number = float(np.asarray(value).reshape(()))
    except (TypeError, ValueError):
        number = float("nan")
    if not (np.isfinite(number) and number > 0):
        raise GraphError(f"{what} must be a positive number of seconds", value=value)
    return number
