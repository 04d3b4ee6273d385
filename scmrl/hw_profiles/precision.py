"""The integer widths that training has to respect, as a profile states them."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.fixed_point import (
    BIAS_MANTISSA_BITS,
    EXPONENT_MAX,
    THRESHOLD_MAX,
    WEIGHT_BITS,
    signed,
)
from ..system.errors import UsageError
from .profile import Profile


@dataclass(frozen=True)
class Precision:
    """Largest magnitudes of the integers of a network: weights (symmetric), thresholds, bias
    mantissa, exponent.

    The defaults are Loihi's: 8-bit weights, 17-bit thresholds, 13-bit bias mantissas with a 3-bit
    exponent. Biases are multiples of 2^`bias_exp_min` membrane units: a property of the network,
    not of the chip.
    """

    weight_max: int = signed(WEIGHT_BITS)[1]
    vth_max: int = THRESHOLD_MAX
    bias_mant_max: int = signed(BIAS_MANTISSA_BITS)[1]
    bias_exp_max: int = EXPONENT_MAX
    bias_exp_min: int = 0

    @classmethod
    def of(cls, profile: Profile) -> Precision:
        """The widths of a profile's limits; where it states none, Loihi's.

        Raises `UsageError` for weights without a magnitude.
        """

        def limit(name: str, default: int) -> int:
            return int(profile.limits[name].value) if name in profile.limits else default

        weights = limit("weight_bits", WEIGHT_BITS)
        if weights < 2:
            raise UsageError(
                "training needs weights of two bits or more: a sign and a magnitude",
                where=f"{profile.name}: limits.weight_bits",
                limit=2,
                value=weights,
            )
        return cls(
            weight_max=signed(weights)[1],
            vth_max=(1 << limit("threshold_bits", THRESHOLD_MAX.bit_length())) - 1,
            bias_mant_max=signed(limit("bias_mantissa_bits", BIAS_MANTISSA_BITS))[1],
            bias_exp_max=limit("bias_exponent", EXPONENT_MAX),
        )
