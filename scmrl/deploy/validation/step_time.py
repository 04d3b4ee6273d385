"""Time of a step: the work of the busiest core as a lower bound, against what was measured.

    bound   = barrier + synaptic operations * t_synop + neuron updates * t_inactive
              of the busiest core, at the low ends of the times
    printed = max(bound, floor of a step)              at both ends of the floor's range

What a step takes beyond the bound is the host's part and the mesh's, of which no model is public.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...hw_profiles import profile as profiles
from .cases import DAVIES, Coefficients, rows, table
from .lsnn import STEPS, Run

NS_TO_US = 1e-3


@dataclass(frozen=True)
class StepTime:
    """Microseconds a step: bound, measured, and the range scmrl prints; `fitted`: a source of the
    floor.
    """

    name: str
    profile: str
    work: str
    bound_us: float
    measured_us: float
    printed_us: tuple[float, float]
    fitted: bool
    source: str

    @property
    def network(self) -> str:
        return self.name.split(", ")[0]

    @property
    def holds(self) -> bool:
        return self.bound_us <= self.measured_us

    @property
    def inside(self) -> bool:
        return self.printed_us[0] <= self.measured_us <= self.printed_us[1]


def step_times(run: Run | None, coefficients: Coefficients = profiles.load) -> tuple[StepTime, ...]:
    """All published step times whose busiest core is known, or known to hold at least so many
    neurons.
    """
    lsnn = () if run is None else (_lsnn(run, coefficients),)
    return (*lsnn, *(_step(coefficients=coefficients, **row) for row in rows("step")))


def _lsnn(run: Run, coefficients: Coefficients) -> StepTime:
    time = coefficients(DAVIES).time
    extra = time["neuron_active"].low - time["neuron_inactive"].low
    return _step(
        "sMNIST LSNN",
        16.65,
        table("sources")["lsnn"],
        "core 0, counted",
        coefficients=coefficients,
        synops=(run.total_synops - run.synops["host->relay"]) / STEPS,
        neurons=run.updates_recurrent / STEPS,
        extra_ns=run.nonzero_recurrent / STEPS * extra,
        fitted=True,
    )


def _step(
    name: str,
    measured_us: float,
    source: str,
    work: str,
    *,
    coefficients: Coefficients,
    synops: float = 0.0,
    neurons: float = 0.0,
    cores: int = 1,
    extra_ns: float = 0.0,
    profile: str = DAVIES,
    fitted: bool = False,
    host: bool = False,
) -> StepTime:
    """The step of a core with that many synaptic operations and its share of the neurons; `host`:
    it moves spikes in it.
    """
    time = coefficients(profile).time
    work_ns = synops * time["synop"].low + neurons / cores * time["neuron_inactive"].low + extra_ns
    bound, floor = (
        NS_TO_US * (time["barrier"].low + work_ns),
        time["host_step" if host else "step_floor"],
    )
    ends = (max(bound, floor.low), max(bound, floor.high))
    return StepTime(name, profile, work, bound, measured_us, ends, fitted, source)
