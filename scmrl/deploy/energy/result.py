"""What an energy estimate holds, and the words for its parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ...hw_profiles.limits import Violation
from ...hw_profiles.profile import Quantities
from ..counts.sampling import OverSamples
from ..placement.layout import Layout
from .latency import Busiest

US_TO_MS = 1e-3
WHOLE = "core dynamic"
KIND_WORDS = {"synapses": "synops", "updates": "updates", "messages": "messages", "hops": "hops"}
SAMPLED = (  # of an estimate: what has a standard error over the samples
    "core_dynamic_uj",
    "core_static_uj",
    "chip_fixed_uj",
    "host_uj",
    "total_uj",
    "latency_us",
    "messages",
    "hops",
)
Range = tuple[float, float] | None


@dataclass(frozen=True)
class PopulationEnergy:
    """Share of one population per inference in the mode, fill and drain included; its cores, and
    the work of its busiest core in a mean step.
    """

    name: str
    spikes: float
    synops: float
    updates: float
    active: float
    messages: float
    hops: float | None
    core_dynamic_uj: float | None
    kinds: dict[str, float] | None  # the parts of it, by `operations.KINDS`
    cores: int | None
    work_us_per_step: float | None


@dataclass(frozen=True)
class HostBound:
    """A step that the host sets, by moving spikes in it, and what the steps of a sample then take;
    no part of any range.
    """

    us_per_step: float
    interval_us: float
    total_uj: float | None
    source: str


@dataclass(frozen=True)
class EnergyEstimate:
    """Per inference in one `mode`, alone or streamed: energies in uJ, times in us, their ranges
    (low, high), and what they rest on.

    `fits`: whether the chip holds the network, None where the profile has no limits; `violations`
    are the limits that it breaks, `broken` their names, `unplaced` says why it was not placed.
    `known` says what `core_dynamic_uj` holds: all of it, or the kinds of operation that have a
    price.
    """

    profile: str
    title: str
    chip: str
    mode: str  # `modes`: what every number here is of
    network: Layout | None  # what is priced; None for what has no cores
    steps: int  # T
    depth: int  # steps that the last population runs behind the input
    cores: int | None
    chips: int | None
    system: str | None  # the smallest that has the cores
    unplaced: str | None
    fits: bool | None
    broken: tuple[str, ...]
    violations: tuple[Violation, ...]
    barriers: int  # steps of the whole chip that are charged: T + depth alone, a window streamed
    messages: float
    hops: float | None
    busiest: Busiest | None
    bound_us_per_step: float | None  # of a mean step, without the floor
    us_per_step: float | None  # of a mean step
    bottleneck: str | None  # what sets most of the time
    core_dynamic_uj: float | None
    core_static_uj: float | None
    chip_fixed_uj: float | None
    host_uj: float | None
    total_uj: float | None
    known: tuple[str, ...]
    latency_us: float | None  # from a sample's first step to its answer
    interval_us: float | None  # from sample to sample: streamed a window, alone the latency
    energy_delay_uj_ms: float | None  # total energy * latency
    samples_per_s: float | None  # one an interval
    kinds: dict[str, float] | None  # the parts of the core dynamic energy, by `operations.KINDS`
    ranges: dict[str, Range]  # of the energies and times
    coefficient_range: Range  # of the core dynamic energy by its coefficients' ranges alone
    constants: dict[str, Range]  # of `terms.APART`: by the ranges of the profile's numbers alone
    model: dict[str, Range]  # by the errors of estimates against measurements alone
    not_published: tuple[str, ...]
    basis: str
    assumptions: tuple[str, ...]
    coefficients: Quantities  # by 'section.name'
    populations: tuple[PopulationEnergy, ...]
    board_static_uj: float | None  # static energy of all chips of `system`, used or not
    over_samples: dict[str, OverSamples]  # of `SAMPLED`, {} for one sample

    @property
    def latency_ms(self) -> float | None:
        return None if self.latency_us is None else US_TO_MS * self.latency_us

    @property
    def latency_ms_range(self) -> Range:
        ends = self.ranges["latency_us"]
        return ends and (US_TO_MS * ends[0], US_TO_MS * ends[1])

    @property
    def total_timed_uj(self) -> Range:
        """Range of the total where the time of a step is known; None where its error is not."""
        ends = [self.coefficients.get(f"error.total_timed_{end}") for end in ("high", "low")]
        low, high = (None if q is None else 1 + q.value for q in ends)
        if self.total_uj is None or low is None or high is None:
            return None
        return self.total_uj / low, self.total_uj / high

    @property
    def host_bound(self) -> HostBound | None:
        """The case in which the host moves spikes at every step: all powers over its steps. None
        where no such step was measured.
        """
        step = self.coefficients.get("time.host_step")
        if step is None or not self.interval_us:
            return None
        us, total = self.barriers * step.value, None
        if self.total_uj is not None and self.core_dynamic_uj is not None:
            power = (self.total_uj - self.core_dynamic_uj) / self.interval_us
            total = self.core_dynamic_uj + power * us
        return HostBound(step.value, us, total, step.source)

    @property
    def part(self) -> str:
        """What `core_dynamic_uj` is: core dynamic, or the kinds of operation that have a price
        "only".
        """
        if self.known == (WHOLE,):
            return WHOLE
        return f"{', '.join(self.known)} only" if self.known else ""

    def where(self) -> dict[str, float]:
        """Shares of the total by part, or, where there is none, of the core dynamic energy by
        kind.
        """
        parts: dict[str, float | None] = {
            KIND_WORDS[kind]: uj for kind, uj in (self.kinds or {}).items()
        }
        if self.total_uj:
            parts = {
                WHOLE: self.core_dynamic_uj,
                "static": self.core_static_uj,
                "fixed": self.chip_fixed_uj,
                "host": self.host_uj,
            }
        whole = sum(uj or 0.0 for uj in parts.values())
        return {name: uj / whole for name, uj in parts.items() if uj and whole}

    def to_json(self) -> dict:
        """As JSON; the populations are under `layers`, as they always were."""
        table = asdict(self)
        return table | {
            "layers": table.pop("populations"),
            "kind": "estimate",
            "latency_ms": self.latency_ms,
            "latency_ms_range": self.latency_ms_range,
            "where": self.where(),
            "part": self.part,
            "total_timed_uj": self.total_timed_uj,
            "host_bound": self.host_bound and asdict(self.host_bound),
        }
