"""What an import changed: every scale and decay, and how far the integers agree with the float network."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TextIO


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
class ImportReport:
    """The whole import; agreements are measured on `samples` samples, which are random spikes unless
    `calibrated`."""

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

    command = "import"

    def to_json(self) -> dict:
        """The report as a dict of JSON types, `command` first."""
        return {"command": self.command} | asdict(self)

    def show(self, file: TextIO | None = None) -> None:
        """Print every number as plain text."""
        print("\n".join(self.lines()), file=file or sys.stdout)

    def lines(self) -> list[str]:
        """The report line by line."""
        data = "calibration samples" if self.calibrated else "samples of random spikes, no calibration"
        reset = "to zero" if self.reset == "zero" else "by subtraction"
        out = [f"imported: dt {self.dt:g} s, {self.steps} steps, convention {self.convention}, reset {reset}"]
        out += [f"input {i['name']}: {i['bits']} bits, one step {i['step']:g}, zero at {i['zero']}"
                for i in self.inputs]
        head = ("population", "kind", "shape", "scale", "vth", "alpha", "beta", "weight err", "spikes equal",
                "rate float",
                "rate int", "overflow")
        rows = [head, *(self._row(p) for p in self.populations)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        out += ["  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows]
        out.append(f"classes: integer and float network agree on {100 * self.class_agreement:.2f} % of "
                   f"{self.samples} {data}")
        if self.correct_float is not None:
            out.append(f"labels: float network right on {self.correct_float}, integer network on "
                       f"{self.correct_integer} of {self.samples}")
        return out + [f"note: {note}" for note in self.notes]

    @staticmethod
    def _row(p: PopulationChange) -> tuple[str, ...]:
        def part(x: float | None) -> str:
            return "" if x is None else f"{100 * x:.3f} %"

        return (p.name, p.kind, "x".join(map(str, p.shape)), f"{p.scale:.5g}", str(p.vth),
                f"{p.alpha_float:.5f} -> {p.alpha:.5f}", f"{p.beta_float:.5f} -> {p.beta:.5f}",
                part(p.weight_error),
                part(p.agreement), part(p.rate_float), part(p.rate), str(p.overflow))
