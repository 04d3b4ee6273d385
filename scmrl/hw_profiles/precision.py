"""The integer widths that training has to respect, as a profile states them."""

from __future__ import annotations

from dataclasses import dataclass

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

    weight_max: int = 127
    vth_max: int = (1 << 17) - 1
    bias_mant_max: int = (1 << 12) - 1
    bias_exp_max: int = 7
    bias_exp_min: int = 0

    @classmethod
    def of(cls, profile: Profile) -> Precision:
        """The widths of a profile's limits; where it states none, Loihi's.

        Raises `UsageError` for weights without a magnitude.
        """

        def limit(name: str, default: int) -> int:
            return int(profile.limits[name].value) if name in profile.limits else default

        if limit("weight_bits", 8) < 2:
            raise UsageError(
                "training needs weights of two bits or more: a sign and a magnitude",
                where=f"{profile.name}: limits.weight_bits",
                limit=2,
                value=limit("weight_bits", 8),
            )
        return cls(
            weight_max=(1 << (limit("weight_bits", 8) - 1)) - 1,
            vth_max=(1 << limit("threshold_bits", 17)) - 1,
            bias_mant_max=(1 << (limit("bias_mantissa_bits", 13) - 1)) - 1,
            bias_exp_max=limit("bias_exponent", 7),
        )
