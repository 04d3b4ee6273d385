"""Time of a step: the work of the busiest core as a lower bound, against what was measured.

    bound   = barrier + synaptic operations * t_synop + neuron updates * t_inactive   busiest core,
            low ends
    printed = max(bound, floor of a step) at both ends of the floor's range           (scmrl.deploy.energy.energy)

What a step takes beyond the bound is the host's part and the mesh's, of which no model is public.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...hw_profiles import profile as profiles
from .cases import (
    BRAILLE,
    CEOLINI,
    DAVIES,
    FRADY,
    KWS,
    LOIHI_2,
    LSNN,
    NTIDIGITS,
    NXTF,
    PILOTNET,
    QUARTZ,
    SANAFE_PAPER,
)
from .lsnn import STEPS, Run

NS_TO_US = 1e-3
CORES_OF_TWO_CHIPS = 256  # of a Kapoho Bay


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
    def holds(self) -> bool:
        return self.bound_us <= self.measured_us

    @property
    def inside(self) -> bool:
        return self.printed_us[0] <= self.measured_us <= self.printed_us[1]


def step_times(run: Run | None) -> tuple[StepTime, ...]:
    """All published step times whose busiest core is known, or known to hold at least so many
    neurons.
    """
    rows = () if run is None else (_lsnn(run),)
    return (
        *rows,
        _row(
            "PilotNet LIF",
            152.85,
            PILOTNET,
            "150.8 k synaptic operations",
            synops=150_800,
            profile=LOIHI_2,
            fitted=True,
        ),
        *(
            _row(
                f"Quartz MNIST, {steps} steps",
                us,
                QUARTZ,
                "5,410 neurons on 11 cores",
                updates=5410 / 11,
            )
            for steps, us in ((51, 96.0), (91, 53.9), (171, 28.8), (331, 17.4), (651, 13.3))
        ),
        _row("NxTF MNIST", 66.5, NXTF, "4,000 neurons on 14 cores", updates=4000 / 14),
        _row("NxTF CIFAR-10 MobileNet", 850, NXTF, "the barrier alone"),
        _row("NTIDIGITS", 17.6, NTIDIGITS, "242 neurons on a core", updates=242),
        _row("Braille RSNN", 6.64, BRAILLE, "10 neurons on a core", updates=10, fitted=True),
        _row("k-NN, 77 k patterns", 5.8, FRADY, "the barrier alone", fitted=True),
        _row("keyword spotting", 338, KWS, "the barrier alone", fitted=True),
        _row("DVS gesture", 10, SANAFE_PAPER, "17,654 neurons on 128 cores", updates=17_654 / 128),
        _row(
            "Ceolini DVS",
            33.2,
            CEOLINI,
            "27,717 neurons on two chips",
            updates=27_717 / CORES_OF_TWO_CHIPS,
        ),
    )


def _lsnn(run: Run) -> StepTime:
    synops = (run.total_synops - run.synops["host->relay"]) / STEPS
    active = run.nonzero_recurrent / STEPS
    time = profiles.load(DAVIES).time
    extra = active * (time["neuron_active"].low - time["neuron_inactive"].low)
    return _row(
        "sMNIST LSNN",
        16.65,
        LSNN,
        "core 0, counted",
        synops=synops,
        updates=run.updates_recurrent / STEPS,
        extra_ns=extra,
        fitted=True,
    )


def _row(
    name: str,
    measured_us: float,
    source: str,
    work: str,
    *,
    synops: float = 0.0,
    updates: float = 0.0,
    extra_ns: float = 0.0,
    profile: str = DAVIES,
    fitted: bool = False,
) -> StepTime:
    time = profiles.load(profile).time
    work_ns = synops * time["synop"].low + updates * time["neuron_inactive"].low + extra_ns
    bound = NS_TO_US * (time["barrier"].low + work_ns)
    floor = time["step_floor"]
    return StepTime(
        name,
        profile,
        work,
        bound,
        measured_us,
        (max(bound, floor.low), max(bound, floor.high)),
        fitted,
        source,
    )
