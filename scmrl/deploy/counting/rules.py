"""How many operations one call of a torch operation is, exactly.

    product     sum over k of (non-zero x[., k]) * (non-zero w[k, .]): mm, bmm, matmul, einsum
    convolution the same at every position, borders and groups as they are: the convolution of what
                is not zero in x with what is not zero in w, summed
    mean pool   non-zero numbers * windows that they lie in: additions, the division belongs to the
                next weights
    sum, mean   non-zero numbers: additions
    add         places where both sides are not zero: elsewhere nothing is added
    gate        places where both sides are not zero, of a product number by number
    batch norm  nothing behind a layer with weights, into which it folds; a multiplication and an
                addition a number elsewhere
    look-up     nothing: a row of a table is read

All come with `dense`, the same where nothing is zero. `unary` is the sum in which a number k a
counts k times, in multiples of the stream's unit later: an integer sent as that many spikes.
Sums are integers below 2^53, in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .found import ADD, GATE, LOOK_UP, NORM, POOL, PRODUCT, SUM

Arguments = Sequence[Any]
aten = torch.ops.aten


@dataclass(frozen=True)
class Work:
    """Operations of a call (`done`), those without any zero, and the unary sum. `operands` are the
    tensors whose data decide what they are, with the unary sum of each; `also` belongs to it (a
    bias).
    """

    rule: str
    operands: tuple[torch.Tensor, ...]
    done: int
    dense: int
    unary: tuple[float, ...] = ()
    also: tuple[torch.Tensor, ...] = ()


def there(x: torch.Tensor) -> torch.Tensor:
    """1 where `x` is not zero."""
    return (x != 0).double()


def _matrices(x: torch.Tensor, w: torch.Tensor, also: tuple[torch.Tensor, ...] = ()) -> Work:
    """x [..., M, K] times w [..., K, N]."""
    left, right = there(x).sum(-2), there(w).sum(-1)
    sizes = (x.abs().double().sum(-2) * right).sum(), (left * w.abs().double().sum(-1)).sum()
    dense = x.numel() * w.shape[-1]
    return Work(PRODUCT, (x, w), int((left * right).sum()), dense, (*map(float, sizes),), also)


def _vector(x: torch.Tensor, w: torch.Tensor, also: tuple[torch.Tensor, ...] = ()) -> Work:
    """A matrix, or a vector, times a vector."""
    work = _matrices(x.reshape(-1, x.shape[-1]), w.reshape(-1, 1), also)
    return Work(PRODUCT, (x, w), work.done, work.dense, work.unary, also)


def _convolution(args: Arguments, out: torch.Tensor) -> Work:
    x, w, bias, *how, groups = args[:9]
    transposed = how[3]

    def arrive(x: torch.Tensor, w: torch.Tensor) -> float:
        """Weights summed over the channels that they lead to: each group is one channel then."""
        w = w.sum(1, keepdim=True) if transposed else _by_group(w, groups)
        return float(aten.convolution(x, w, None, *how, groups).sum())

    x_there, w_there = there(x).sum(0, keepdim=True), there(w)
    done = arrive(x_there, w_there)
    dense = len(x) * arrive(torch.ones_like(x_there), torch.ones_like(w_there))
    unary = arrive(x.abs().double().sum(0, keepdim=True), w_there), 0.0
    also = () if bias is None else (bias,)
    return Work(PRODUCT, (x, w), round(done), round(dense), unary, also)


def _by_group(w: torch.Tensor, groups: int) -> torch.Tensor:
    return w.reshape(groups, len(w) // groups, *w.shape[1:]).sum(1)


def _pool(args: Arguments, out: torch.Tensor, function: Callable[..., torch.Tensor]) -> Work:
    """Mean pooling of fixed windows: (x, kernel, stride, padding, ceil, ...)."""
    given = args[1:5]
    x, how = args[0], [*given, *([], 0, False)[len(given) - 1 :]]

    def fall(x: torch.Tensor) -> int:
        return round(float(function(x, *how, True, 1).sum()))

    x_there = there(x)
    return Work(POOL, (x,), fall(x_there), fall(torch.ones_like(x_there)))


def _adaptive(args: Arguments, out: torch.Tensor) -> Work:
    """Mean pooling to a given size: window i is [floor(i n / m), ceil((i + 1) n / m))."""
    x, x_there = args[0], there(args[0])
    dense = torch.ones_like(x_there)
    sizes = list(zip(x.shape[-len(args[1]) :], out.shape[-len(args[1]) :]))
    for axis, (n, m) in enumerate(sizes, start=x.dim() - len(sizes)):
        windows = torch.zeros(n, dtype=torch.float64)
        for i in range(m):
            windows[i * n // m : -((i + 1) * n // -m)] += 1
        shape = [n if a == axis else 1 for a in range(x.dim())]
        x_there = x_there * windows.to(x.device).reshape(shape)
        dense = dense * windows.to(x.device).reshape(shape)
    return Work(POOL, (x,), int(x_there.sum()), int(dense.sum()))


def _sum(args: Arguments, out: torch.Tensor) -> Work:
    x = args[0]
    return Work(SUM, (x,), int(torch.count_nonzero(x)), x.numel())


def _both(rule: str) -> Callable[[Arguments, torch.Tensor], Work]:
    """Of a rule for two tensors, number by number."""

    def count(args: Arguments, out: torch.Tensor) -> Work:
        x, y = args[:2]
        met = int(torch.count_nonzero((x != 0) & (y != 0)))
        return Work(rule, (x, y), met, out.numel())

    return count


def _norm(args: Arguments, out: torch.Tensor) -> Work:
    also = tuple(x for x in args[1:3] if x is not None)
    return Work(NORM, (args[0],), out.numel(), out.numel(), also=also)


RULES: dict[str, Callable[[Arguments, torch.Tensor], Work]] = {
    "mm": lambda args, out: _matrices(*args[:2]),
    "bmm": lambda args, out: _matrices(*args[:2]),
    "addmm": lambda args, out: _matrices(args[1], args[2], (args[0],)),
    "baddbmm": lambda args, out: _matrices(args[1], args[2], (args[0],)),
    "addbmm": lambda args, out: _matrices(args[1], args[2], (args[0],)),
    "mv": lambda args, out: _vector(*args[:2]),
    "dot": lambda args, out: _vector(*args[:2]),
    "addmv": lambda args, out: _vector(args[1], args[2], (args[0],)),
    "convolution": _convolution,
    "avg_pool2d": lambda args, out: _pool(args, out, aten.avg_pool2d),
    "avg_pool3d": lambda args, out: _pool(args, out, aten.avg_pool3d),
    "_adaptive_avg_pool2d": _adaptive,
    "_adaptive_avg_pool3d": _adaptive,
    "sum": _sum,
    "mean": _sum,
    "add": _both(ADD),
    "sub": _both(ADD),
    "rsub": _both(ADD),
    "mul": _both(GATE),
    "native_batch_norm": _norm,
    "_native_batch_norm_legit_no_training": _norm,
    "embedding": lambda args, out: Work(LOOK_UP, (args[1],), 0, 0, also=(args[0],)),
}
TWO = ("add", "sub", "rsub", "mul")  # with a number or a constant they fold into weights
# A stream becomes spikes by one of these, whatever neuron is written around it.
THRESHOLDS = ("gt", "ge", "lt", "le", "heaviside", "sign", "round", "floor", "trunc", "ceil")
# Neither an addition nor a multiplication: what moves numbers, and what compares or chooses.
MOVES = """
view _unsafe_view reshape t transpose permute squeeze unsqueeze expand select slice narrow split
split_with_sizes chunk unbind stack cat clone copy _to_copy to detach alias lift_fresh contiguous
flatten unflatten as_strided index index_select gather repeat flip roll unfold movedim diagonal tril
triu zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty rand_like zero
fill masked_fill where index_put scatter slice_scatter select_scatter constant_pad_nd
reflection_pad2d replication_pad2d repeat_interleave im2col is_same_size item _local_scalar_dense
upsample_nearest1d upsample_nearest2d upsample_nearest3d pixel_shuffle channel_shuffle
"""
CHOOSES = """
eq ne logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not
__and __or __xor any all equal nonzero
max min maximum minimum amax amin argmax argmin topk sort count_nonzero abs neg isnan isinf
max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d adaptive_max_pool3d
relu hardtanh clamp clamp_min clamp_max dropout native_dropout
"""
MOVING = frozenset(MOVES.split())
FREE = MOVING | frozenset(CHOOSES.split())
# What they give depends on no number of what they take.
SHAPED = """
zeros_like ones_like full_like empty_like new_zeros new_ones new_full new_empty rand_like randn_like
zeros ones full empty empty_strided new_empty_strided arange rand randn eye zero fill
"""
MAKES = frozenset(SHAPED.split())
UNFILLED = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
SCALING = ("mul", "div", "add", "sub", "rsub")  # by a constant: folds
