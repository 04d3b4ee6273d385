"""How frameworks make steps of NIR's equations: what the file does not say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .....system.errors import UsageError, nearest

RESETS = ("zero", "subtract")


@dataclass(frozen=True)
class Convention:
    """How a framework makes steps of NIR's equations.

    `resistance`: r of LI, LIF and IF counts (else it is 1, and an IF adds its input as it is).
    `v_reset`: the reset potential counts (else 0). `inclusive`: fires at the threshold, not only
    above. `exponential`: decay exp(-dt / tau) and the input added whole (else forward Euler: 1 - dt
    / tau, input times r dt / tau). `late`: a reset by subtraction comes one step later, and does
    not leak. `several`: a neuron fires as often in a step as its membrane holds the threshold.
    `floor`: a membrane without synaptic current stays above -threshold. `step`: the framework's own
    step in seconds, by which its exporter multiplies time constants.
    """

    name: str
    resistance: bool = True
    v_reset: bool = True
    inclusive: bool = False
    exponential: bool = False
    reset: str = "zero"
    late: bool = False
    several: bool = False
    floor: bool = False
    clamped: bool = False
    step: float | None = None

    @property
    def words(self) -> str:
        """The reset and the floor, for reports."""
        late = ", one step later" if self.late and self.reset == "subtract" else ""
        reset = "to zero" if self.reset == "zero" else f"by subtraction{late}"
        several = ", several spikes a step" if self.several else ""
        floor = ", membrane held above -threshold" if self.floor else ""
        return f"{reset}{several}{floor}"


# As these frameworks' importers run a NIR file: norse 1.1.0, snntorch 1.0.0, spikingjelly 2.0,
# sinabs 3.1.3. Not as they do: snntorch makes an IF leaky; here it is not.
CONVENTIONS = {
    c.name: c
    for c in (
        Convention("nir"),
        Convention("norse", resistance=False, v_reset=False, step=1e-3),
        Convention("snntorch", v_reset=False, late=True, clamped=True),
        Convention("spikingjelly", inclusive=True),
        Convention(
            "sinabs",
            resistance=False,
            v_reset=False,
            inclusive=True,
            exponential=True,
            reset="subtract",
            several=True,
        ),
    )
}
# What a file of the framework may mean besides, since NIR does not say it: snntorch's own default
# subtracts; sinabs's importer clamps where its layers do not, which may fire once a step.
OTHERS: dict[str, tuple[dict[str, Any], ...]] = {
    "snntorch": ({"reset": "subtract"},),
    "sinabs": ({"floor": True}, {"several": False}),
}


def convention_of(name: str | Convention, reset: str | None = None) -> Convention:
    """A convention by its name, with another reset where one is given. Raises `UsageError`."""
    if isinstance(name, str):
        if name not in CONVENTIONS:
            raise UsageError("no such convention", value=name, fix=nearest(name, CONVENTIONS))
        name = CONVENTIONS[name]
    if reset is not None and reset not in RESETS:
        raise UsageError("no such reset", value=reset, fix=nearest(reset, RESETS))
    return name if reset is None else replace(name, reset=reset)


def readings(convention: Convention, reset: str | None) -> tuple[Convention, ...]:
    """The convention, and what its files may mean besides; a reset that is given is no question."""
    others = [o for o in OTHERS.get(convention.name, ()) if reset is None or "reset" not in o]
    return convention, *(replace(convention, **other) for other in others)
