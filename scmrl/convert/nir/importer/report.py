"""What an import changed: every scale and decay, and how far the integers agree with the float
network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np

from ....core.activity import Spikes
from ....core.graph import Graph
from ....core.report.report import Block, Report, columns, dead_warning
from ....core.report.text import figure, percent, shape
from ....core.samples import CALIBRATION, MADE_UP, NETWORK, TRUE, Origin
from .comparison import Compared, Counts, Observed, reading_agreement
from .floats.network import Network
from .rounding import Scaled
from .samples import Golden

FEW = 0.5  # share of equal classes below which an import is wrong


@dataclass(frozen=True)
class PopulationChange:
    """One population. Decays are the factors kept per step. `agreement`: part of neuron-steps with
    equal spikes.

    `recall` is the share of the float network's spikes that the integer network has, `precision`
    the share of its spikes that the float network has: at low rates values agree whatever the
    spikes do. `weight_error` is the rms of the weights' rounding over the rms of the weights.
    Agreements and rates are None for a readout, which does not fire; `overflow` counts neuron-steps
    at a 24-bit border.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    scale: float
    vth: int
    alpha_float: float
    alpha: float
    beta_float: float
    beta: float
    weight_error: float
    agreement: float | None
    rate_float: float | None
    rate: float | None
    overflow: int
    recall: float | None = None
    precision: float | None = None


@dataclass(frozen=True)
class Agreement:
    """With the framework's own results: shares of equal classes, of its spikes that recur, and of
    the spikes that are its; of the float network alone too, which is the reading of the file.
    """

    classes: float | None
    recall: float | None
    precision: float | None
    reading: float | None


@dataclass(frozen=True)
class ImportReport(Report):
    """The whole import; agreements are measured on `samples` samples, which are random spikes
    unless `calibrated`.
    """

    command = "import"
    dt: float
    steps: int
    convention: str
    reset: str
    calibrated: bool
    samples: int
    class_agreement: float
    spike_recall: float | None  # share of the float network's spikes that recur
    spike_precision: float | None  # share of the integer network's that the float network has
    correct_float: int | None
    correct_integer: int | None
    populations: tuple[PopulationChange, ...]
    inputs: tuple[dict, ...]
    notes: tuple[str, ...]
    bundle: str = ""  # the hash of what was written
    golden: Agreement | None = None
    warnings: tuple[str, ...] = ()

    @property
    def dead(self) -> tuple[str, ...]:
        """Populations that never fire, neither in floats nor in integers."""
        return tuple(p.name for p in self.populations if p.rate == p.rate_float == 0)

    def to_json(self) -> dict:
        return super().to_json() | {"dead": self.dead, "origin": asdict(self.origin)}

    @property
    def origin(self) -> Origin:
        """Of the samples and labels that the bundle holds."""
        return Origin(
            CALIBRATION if self.calibrated else MADE_UP,
            NETWORK if self.correct_float is None else TRUE,
        )

    @property
    def wrong(self) -> str:
        """Why these integers are not the network, in a few words; empty where they may be."""
        if not self.calibrated or self.rate == 0:
            return ""
        if self.class_agreement < FEW:
            return f"integers and floats agree on {percent(self.class_agreement)} of the samples"
        gone = [
            p.name
            for p in self.populations
            if p.rate_float and p.vth == 0 and (p.recall or 0) < FEW
        ]
        return f"the threshold of {', '.join(gone)} rounds to zero" if gone else ""

    @property
    def rate(self) -> float:
        """The largest rate of any population, in floats or integers."""
        return max((max(p.rate or 0, p.rate_float or 0) for p in self.populations), default=0.0)

    def headline(self) -> dict[str, str]:
        fired = [p for p in self.populations if p.rate is not None]
        dead = dead_warning(self.dead, len(fired))
        texts = [*dead.values(), *([self.wrong] if self.wrong else []), *self.warnings]
        lines = {"WARNING": "; ".join(texts)} if texts else {}
        data = f"{self.samples} " + (
            "calibration samples"
            if self.calibrated
            else "made-up samples (random spikes), no calibration"
        )
        if self.golden is not None:
            lines["framework"] = self._with_framework(data)
        if not fired or len(self.dead) < len(fired):
            lines["classes"] = (
                f"integer and float network agree on {percent(self.class_agreement)} of {data}"
            )
            lines["spikes"] = (
                f"{percent(self.spike_recall)} of the float network's recur, "
                f"{percent(self.spike_precision)} of the integers' are its"
            )
        else:
            lines["samples"] = data
        if self.correct_float is not None:
            lines["labels"] = (
                f"float network right on {self.correct_float}, integer network on "
                f"{self.correct_integer} of {self.samples}"
            )
        return lines | self._changes(fired)

    def _with_framework(self, data: str) -> str:
        """Integers against the framework's own results."""
        g = self.golden
        if g is None:
            return ""
        parts = []
        if g.classes is not None:
            parts.append(f"integers agree with its own classes on {percent(g.classes)} of {data}")
        if g.recall is not None or g.precision is not None:
            parts.append(
                f"{percent(g.recall)} of its own spikes recur, {percent(g.precision)} of the "
                "integers' are its"
            )
        return "; ".join([*parts, f"the float network as read agrees to {percent(g.reading)}"])

    def _changes(self, fired: list[PopulationChange]) -> dict[str, str]:
        lines = {}
        if changed := [(p.recall, p) for p in fired if p.recall is not None]:
            _, worst = min(changed, key=lambda pair: pair[0])
            lines["worst"] = (
                f"{worst.name}: {percent(worst.recall)} of spikes recur, rate"
                f" {percent(worst.rate_float)} -> {percent(worst.rate)}"
            )
        if self.populations:
            rounded = max(self.populations, key=lambda p: p.weight_error)
            lines["weights"] = (
                f"rounding up to {percent(rounded.weight_error)} of their size, in {rounded.name}"
            )
        reset = "to zero" if self.reset == "zero" else "by subtraction"
        how = f"dt {self.dt:g} s, {self.steps} steps, convention {self.convention}, reset {reset}"
        return lines | {"read as": how}

    def details(self) -> Iterator[Block]:
        yield from (
            f"input {i['name']}: {i['bits']} bits, one step {i['step']:g}, zero at {i['zero']}"
            for i in self.inputs
        )
        yield from (f"note: {note}" for note in self.notes)

    def layers(self) -> Iterator[Block]:
        yield columns(
            self.populations,
            {
                "population": lambda p: p.name,
                "kind": lambda p: p.kind,
                "shape": lambda p: shape(p.shape),
                "scale": lambda p: figure(p.scale),
                "vth": lambda p: figure(p.vth),
                "alpha": lambda p: f"{p.alpha_float:.5f}\n-> {p.alpha:.5f}",
                "beta": lambda p: f"{p.beta_float:.5f}\n-> {p.beta:.5f}",
                "weight\nerror": lambda p: percent(p.weight_error),
                "values\nequal": lambda p: percent(p.agreement),
                "spikes\nrecur": lambda p: percent(p.recall),
                "rate\nfloat": lambda p: percent(p.rate_float),
                "rate\nint": lambda p: percent(p.rate),
                "overflow": lambda p: figure(p.overflow),
            },
            words=("population", "kind"),
        )


def compared(
    floats: Network,
    observed: Observed,
    graph: Graph,
    found: Compared,
    scaled: tuple[Scaled, ...],
    labels: np.ndarray | None,
    golden: Golden,
) -> ImportReport:
    """What became of the float network's run in integers, on the same samples."""
    wanted = observed.classes
    total = sum((found.counts[s.name].spikes for s in scaled), Spikes())
    known = labels is not None
    return ImportReport(
        dt=floats.dt,
        steps=graph.steps,
        convention=floats.convention.name,
        reset=floats.convention.reset,
        calibrated=False,
        samples=len(wanted),
        class_agreement=float((wanted == found.classes).mean()),
        spike_recall=total.recall,
        spike_precision=total.precision,
        correct_float=int((wanted == labels).sum()) if known else None,
        correct_integer=int((found.classes == labels).sum()) if known else None,
        populations=tuple(_change(s, floats, graph, found.counts[s.name]) for s in scaled),
        inputs=(),
        notes=(),
        golden=_agreement(observed, found, golden) if golden else None,
    )


def _agreement(observed: Observed, found: Compared, golden: Golden) -> Agreement:
    total = sum((c.golden for c in found.counts.values()), Spikes())
    return Agreement(
        None if golden.classes is None else float((found.classes == golden.classes).mean()),
        total.recall,
        total.precision,
        reading_agreement(observed, golden),
    )


def _change(s: Scaled, floats: Network, graph: Graph, c: Counts) -> PopulationChange:
    p, n = graph[s.name], floats[s.name]
    change = PopulationChange(
        s.name,
        p.kind,
        p.shape,
        s.scale,
        int(np.max(p.vth)),
        alpha_float=float(np.mean(n.alpha)),
        alpha=s.alpha,
        beta_float=float(np.mean(n.beta)),
        beta=s.beta,
        weight_error=s.weight_error,
        agreement=None,
        rate_float=None,
        rate=None,
        overflow=c.overflow,
    )
    if not p.fires:
        return change
    return replace(
        change,
        agreement=c.equal / c.size,
        rate_float=c.floats / c.size,
        rate=c.integers / c.size,
        recall=c.spikes.recall,
        precision=c.spikes.precision,
    )
