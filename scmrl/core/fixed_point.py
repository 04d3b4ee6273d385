"""The chip's integer arithmetic (Loihi's, as Lava's bit-accurate LIF computes it). numpy only.

    u[t] = wrap24( trunc(u[t-1] * (4096 - (du+1)) / 4096) + (a[t] << 6) )
    v[t] = sat24 ( trunc(v[t-1] * (4096 - dv) / 4096) + u[t] + bias )
    s[t] = v[t] > (vth << 6)
    where s[t]:  v[t] = 0                     reset "zero"
                 v[t] = v[t] - (vth << 6)     reset "subtract", in the step of the spike

`trunc` rounds toward zero. `a` is the exact integer sum of the synapses. All states are held as
int64; the 24-bit borders are applied explicitly. Source: Davies et al. 2018 (Loihi), and the
behaviour measured on lava-nc 0.10.0.
"""

from __future__ import annotations

import numpy as np

STATE_BITS = 24
STATE_LIMIT = 1 << (STATE_BITS - 1)  # 2^23
STATE_MAX = STATE_LIMIT - 1  # v saturates at +-(2^23 - 1)
DECAY_BITS = 12
DECAY_ONE = 1 << DECAY_BITS  # decays are fractions of 4096
BIAS_EXPONENT_MAX = 15  # of the 4-bit exponent of a bias
CURRENT_SHIFT = 6  # synaptic sums and thresholds enter at 2^6
ACTIVATION_LIMIT = 1 << 24  # |a| below this: a << 6 fits a 32-bit message
EVERY_STATE_FITS = 1 << 18  # |a| up to here: |a << 6| <= 2^24, and one wrap keeps u in 24 bits
BIAS_FITS = 1 << 29  # and then |v| + |u| + |bias| < 2^31
RESETS = ("zero", "subtract")  # what a spike leaves of the membrane

# The chip's registers, as Lava's PyLifModelBitAcc and PySparseModelBitAcc type them (`precision`).
THRESHOLD_MAX = (1 << 17) - 1  # vth: 17 bits
BIAS_MANTISSA_BITS = 13  # signed
WEIGHT_BITS = 8  # of a mantissa, signed
EXPONENT_MAX = 7  # of weights (-8..7) and biases (0..7)


def signed(bits: int) -> tuple[int, int]:
    """The smallest and the largest signed integer of that many bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def decay(x: np.ndarray, by: np.ndarray | int) -> np.ndarray:
    """x * (4096 - by) / 4096, rounded toward zero. `by` = 0 keeps x, 4096 clears it."""
    scaled = x * (DECAY_ONE - by)
    kept: np.ndarray = np.sign(scaled) * (np.abs(scaled) >> 12)
    return kept


def wrap(u: np.ndarray) -> np.ndarray:
    """One wrap of the 24-bit current. The border +2^23 itself is kept, as the chip model does."""
    u = np.where(u > STATE_LIMIT, u - 2 * STATE_LIMIT, u)
    return np.where(u <= -STATE_LIMIT, u + 2 * STATE_LIMIT, u)


def saturate(v: np.ndarray) -> np.ndarray:
    """Clip the 24-bit membrane to +-(2^23 - 1)."""
    clipped: np.ndarray = np.clip(v, -STATE_MAX, STATE_MAX)
    return clipped


def lif_step(
    u: np.ndarray,
    v: np.ndarray,
    a: np.ndarray,
    *,
    du: np.ndarray | int,
    dv: np.ndarray | int,
    vth: np.ndarray | int,
    bias: np.ndarray | int,
    fires: bool = True,
    reset: str = "zero",
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """One step of a population. All arguments int64, broadcastable to the shape of `a`; `reset` is
    one of `RESETS`.

    Returns the new current, the membrane after reset, the spikes (bool), and the number of
    neuron-steps in which a 24-bit border was reached (a wrap of u or a clip of v). `fires=False` is
    a readout: it integrates and never spikes.
    """
    u_free = decay(u, du + 1) + (a << CURRENT_SHIFT)
    u = wrap(u_free)
    v_free = decay(v, dv) + u + bias
    v = saturate(v_free)
    overflow = int(np.count_nonzero((u != u_free) | (v != v_free)))
    threshold = np.asarray(vth, np.int64) << CURRENT_SHIFT
    s = v > threshold if fires else np.zeros(v.shape, bool)
    return u, np.where(s, v - threshold if reset == "subtract" else 0, v), s, overflow
