"""Populations as ONNX: one step of the integer rule, without what cannot happen.

    u = wrap24( trunc(u * (4095 - du) / 4096) + i )                  int32: float64 product, Cast
    v = sat24 ( trunc(v * (4096 - dv) / 4096) + u + bias )
    s = v > (vth << 6);   v = Where(s, 0, v), or Where(s, v - (vth << 6), v) by reset "subtract"

Decays and thresholds that are arrays are constants of their own shape, which ONNX broadcasts. A
product of a state below 2^31 and a 12-bit decay has less than 53 bits. A current that one wrap
cannot bring back into 24 bits is held as int64. A wrap, a clip and a state that cannot be are not
written.
"""

from __future__ import annotations

import numpy as np

from ...core.fixed_point import CURRENT_SHIFT, DECAY_ONE, STATE_LIMIT, STATE_MAX
from ...core.graph import NO_CURRENT_MEMORY, Graph, Population
from .nodes import Nodes


class Range:
    """How far a population's states go: which are kept, which need 64 bits, which can cross a
    border.
    """

    def __init__(self, graph: Graph, p: Population):
        worst = graph.worst_activation(p.name) << CURRENT_SHIFT
        du, dv = p.decays
        self.keeps_u = bool(np.any(du != NO_CURRENT_MEMORY))
        self.keeps_v = bool(np.any(dv != DECAY_ONE))
        # then one wrap brings u back into 24 bits
        bounded = not self.keeps_u or worst <= 2 * STATE_LIMIT
        self.u = np.int32 if bounded else np.int64
        u_free = worst + self.keeps_u * STATE_LIMIT
        bias = max(abs(int(p.bias.min())), abs(int(p.bias.max())))
        v_free = u_free + bias + self.keeps_v * STATE_LIMIT
        self.v_free = np.int32 if bounded and v_free < 1 << 31 else np.int64
        self.wraps = u_free >= STATE_LIMIT
        self.clips = v_free > STATE_MAX


def _decay(n: Nodes, x: str, keep: int | np.ndarray, dtype: type) -> str:
    """trunc(x * keep / 4096)."""
    if np.all(keep == DECAY_ONE):
        return x
    if dtype is np.int64:
        product = n.op("Mul", x, n.constant(np.asarray(keep, np.int64)))
        return n.op("Div", product, n.constant(np.int64(DECAY_ONE)))
    share = n.constant(np.asarray(keep / DECAY_ONE, np.float64))
    return n.cast(n.op("Mul", n.cast(x, np.float64), share), dtype)


def _wrap(n: Nodes, u: str, dtype: type) -> str:
    """One wrap of the 24-bit current, as `fixed_point.wrap`."""
    border, turn = dtype(STATE_LIMIT), n.constant(dtype(2 * STATE_LIMIT))
    u = n.op("Where", n.op("Greater", u, n.constant(border)), n.op("Sub", u, turn), u)
    return n.op("Where", n.op("LessOrEqual", u, n.constant(-border)), n.op("Add", u, turn), u)


def _saturate(n: Nodes, v: str, dtype: type) -> str:
    """Clip to 24 bits. In 64 bits by comparison: Clip, Min and Max of int64 are wrong from 2^31 on
    in onnxruntime (1.31 and before; its pull request 32475).
    """
    low, high = n.constant(dtype(-STATE_MAX)), n.constant(dtype(STATE_MAX))
    if dtype is np.int32:
        return n.op("Clip", v, low, high)
    v = n.op("Where", n.op("Greater", v, high), high, v)
    return n.op("Where", n.op("Less", v, low), low, v)


def _current(n: Nodes, p: Population, reach: Range, i: str) -> str:
    """The new current u of a population, from its synaptic sum i (float32)."""
    u = n.cast(i, reach.u)
    if reach.keeps_u:
        before = _decay(n, f"{n.prefix}u_in/{p.name}", NO_CURRENT_MEMORY - p.du, reach.u)
        u = n.op("Add", before, u)
    if reach.wraps:
        u = _wrap(n, u, reach.u)
    return n.op("Identity", u, out=f"{n.prefix}u_out/{p.name}") if reach.keeps_u else u


def _membrane(n: Nodes, p: Population, reach: Range, u: str) -> str:
    """The new membrane before reset, int32, from the current u."""
    terms = [u if reach.u is reach.v_free else n.cast(u, reach.v_free)]
    if reach.keeps_v:
        before = _decay(n, f"{n.prefix}v_in/{p.name}", DECAY_ONE - p.dv, np.int32)
        terms.append(before if reach.v_free is np.int32 else n.cast(before, reach.v_free))
    bias = np.asarray(p.bias_mant, np.int64) << p.bias_exp
    if bias.any():
        terms.append(n.constant(bias.astype(reach.v_free)))
    v = terms[0]
    for term in terms[1:]:
        v = n.op("Add", v, term)
    if reach.clips:
        v = _saturate(n, v, reach.v_free)
    return v if reach.v_free is np.int32 else n.cast(v, np.int32)


def fire(n: Nodes, p: Population, reach: Range, i: str) -> str | None:
    """One step of a population: writes outputs and states; returns its spikes float32, None for a
    readout.
    """
    v = _membrane(n, p, reach, _current(n, p, reach, i))
    kept = f"{n.prefix}v_out/{p.name}" if reach.keeps_v else None
    if not p.fires:
        if kept:
            n.op("Identity", v, out=kept)
        n.op("Identity", v, out=f"{n.prefix}v/{p.name}")
        return None
    threshold = n.constant((np.asarray(p.vth) << CURRENT_SHIFT).astype(np.int32))
    s = n.op("Greater", v, threshold)
    if kept:
        left = n.op("Sub", v, threshold) if p.subtracts else n.constant(np.int32(0))
        n.op("Where", s, left, v, out=kept)
    n.cast(s, np.uint8, out=f"{n.prefix}s/{p.name}")
    return n.cast(s, np.float32)
