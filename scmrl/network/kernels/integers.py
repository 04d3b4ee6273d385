"""The chip's 24-bit arithmetic on int32, inside kernels: sixteen numbers run at a time.

numba goes on in 64 bits where it may, so every sum and product is put back into 32.
"""

from __future__ import annotations

import numba
import numpy as np

from ...core.fixed_point import CURRENT_SHIFT, STATE_LIMIT, STATE_MAX

UNIT = 1 << CURRENT_SHIFT  # a synaptic sum of 1 in membrane units
i32 = np.int32


@numba.njit(inline="always")
def plus(a: i32, b: i32) -> i32:
    return i32(a + b)


@numba.njit(inline="always")
def times(a: i32, b: i32) -> i32:
    return i32(a * b)


@numba.njit(inline="always")
def kept(v: i32, keep: i32) -> i32:
    """v keep / 4096 toward zero. |v| = 4096 high + low, so that no product with keep <= 4096 leaves
    32 bits: |v| keep / 4096 = high keep + low keep / 4096.
    """
    size, twelve = i32(abs(v)), i32(12)
    high, low = i32(size >> twelve), i32(size & i32(4095))
    leaked = plus(times(high, keep), i32(times(low, keep) >> twelve))
    return leaked if v >= i32(0) else i32(-leaked)


@numba.njit(inline="always")
def wrapped(u: i32) -> i32:
    """As `core.fixed_point.wrap`."""
    u = plus(u, i32(-2 * STATE_LIMIT)) if u > i32(STATE_LIMIT) else u
    return plus(u, i32(2 * STATE_LIMIT)) if u <= i32(-STATE_LIMIT) else u


@numba.njit(inline="always")
def saturated(v: i32) -> i32:
    """As `core.fixed_point.saturate`."""
    v = i32(STATE_MAX) if v > i32(STATE_MAX) else v
    return i32(-STATE_MAX) if v < i32(-STATE_MAX) else v
