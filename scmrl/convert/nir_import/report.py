"""What an import changed: every scale and decay, and how far the integers agree with the float network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...report import Report, figure, percent, table


@dataclass(frozen=True)
class PopulationChange:
    """One population. Decays are the factors kept per step. `agreement`: part of neuron-steps with equal
    spikes.

    `weight_error` is the rms of the weights' rounding over the rms of the weights. The last three are None
    for a readout, which does not fire; `overflow` counts neuron-steps at a 24-bit border.
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


@dataclass(frozen=True)
class ImportReport(Report):
    """The whole import; agreements are measured on `samples` samples, which are random spikes unless
    `calibrated`."""

    command = "import"
    dt: float
    steps: int
    convention: str
    reset: str
    calibrated: bool
    samples: int
    class_agreement: float
    correct_float: int | None
    correct_integer: int | None
    populations: tuple[PopulationChange, ...]
    inputs: tuple[dict, ...]
    notes: tuple[str, ...]
    bundle: str = ""                        # the hash of what was written

    def headline(self) -> dict[str, str]:
        data = "calibration samples" if self.calibrated else "samples of random spikes, no calibration"
        lines = {"classes": f"integer and float network agree on {percent(self.class_agreement)} of "
                            f"{self.samples} {data}"}
        if self.correct_float is not None:
            lines["labels"] = (f"float network right on {self.correct_float}, integer network on "
                               f"{self.correct_integer} of {self.samples}")
        reset = "to zero" if self.reset == "zero" else "by subtraction"
        lines["read as"] = (f"dt {self.dt:g} s, {self.steps} steps, convention {self.convention}, reset {reset}")
        return lines

    def details(self) -> Iterator[object]:
        yield from (f"input {i['name']}: {i['bits']} bits, one step {i['step']:g}, zero at {i['zero']}"
                    for i in self.inputs)
        yield from (f"note: {note}" for note in self.notes)

    def layers(self) -> Iterator[object]:
        yield table(("population", "kind", "shape", "scale", "vth", "alpha", "beta", "weight\nerror",
                     "spikes\nequal", "rate\nfloat", "rate\nint", "overflow"),
                    [self._row(p) for p in self.populations], words=("population", "kind"))

    @staticmethod
    def _row(p: PopulationChange) -> tuple[str, ...]:
        return (p.name, p.kind, "x".join(map(str, p.shape)), f"{p.scale:.5g}", figure(p.vth),
                f"{p.alpha_float:.5f}\n-> {p.alpha:.5f}", f"{p.beta_float:.5f}\n-> {p.beta:.5f}",
                *map(percent, (p.weight_error, p.agreement, p.rate_float, p.rate)), figure(p.overflow))
