"""What came in with a netx file. Nothing is rounded: the file holds integers, as the graph does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from ...core.activity import Activity
from ...core.graph import Graph
from ...core.report.report import Block, Report, columns, dead_warning
from ...core.report.text import figure, percent, shape
from ...core.samples import GIVEN, Origin


@dataclass(frozen=True)
class LayerRow:
    """A population as it came in. `weights`: those that are not zero, `delay`: the longest of them
    in steps; `rate` in spikes per neuron and step on the samples that were run, None of a readout.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    threshold: str
    du: str
    dv: str
    weights: int
    delay: int
    rate: float | None
    overflow: int


@dataclass(frozen=True)
class NetxReport(Report):
    """The import of a netx file. `ran` of its `samples` were run, for rates and overflow."""

    command = "import"
    format: str
    file: str
    steps: int
    layers_read: int
    neurons: int
    synapses: int
    bits: int
    samples: int
    ran: int
    origin: Origin
    populations: tuple[LayerRow, ...]
    notes: tuple[str, ...]
    bundle: str = ""  # the hash of what was written

    @property
    def dead(self) -> tuple[str, ...]:
        """Populations that never fired."""
        return tuple(p.name for p in self.populations if p.rate == 0)

    def to_json(self) -> dict:
        return super().to_json() | {"dead": self.dead, "origin": asdict(self.origin)}

    def headline(self) -> dict[str, str]:
        firing = sum(p.rate is not None for p in self.populations)
        kind = (
            "given samples" if self.origin.samples == GIVEN else "made-up samples (random spikes)"
        )
        return dead_warning(self.dead, firing) | {
            "network": f"{self.layers_read} layers of {self.file}: {figure(self.neurons)} neurons,"
            f" {figure(self.synapses)} synapses",
            "integers": "taken as they are, nothing rounded",
            "time": f"{self.steps} steps; layer d of the chain is at step t in Lava's step t + d",
            "samples": f"{self.samples} {kind}, values of {self.bits} bits",
        }

    def details(self) -> Iterator[Block]:
        yield from (f"note: {note}" for note in self.notes)

    def layers(self) -> Iterator[Block]:
        yield columns(
            self.populations,
            {
                "population": lambda p: p.name,
                "kind": lambda p: p.kind,
                "shape": lambda p: shape(p.shape),
                "vth": lambda p: p.threshold,
                "du": lambda p: p.du,
                "dv": lambda p: p.dv,
                "weights": lambda p: figure(p.weights),
                "delay": lambda p: figure(p.delay),
                "rate": lambda p: percent(p.rate),
                "overflow": lambda p: figure(p.overflow),
            },
            words=("population", "kind"),
        )


def rows(graph: Graph, activity: Activity) -> tuple[LayerRow, ...]:
    """Every population but the input."""
    return tuple(_row(graph, name, activity) for name in (p.name for p in graph.order()[1:]))


def _row(graph: Graph, name: str, activity: Activity) -> LayerRow:
    p, incoming = graph[name], graph.incoming(name)
    return LayerRow(
        name,
        p.kind,
        p.shape,
        threshold=_range(p.vth),
        du=_range(p.du),
        dv=_range(p.dv),
        weights=sum(int(s.fan_in(graph[s.source].shape, p.shape).sum()) for s in incoming),
        delay=max(s.delay for s in incoming),
        rate=float(activity.spikes[name].mean()) if p.fires else None,
        overflow=(activity.overflow or {})[name],
    )


def _range(values: object) -> str:
    """A parameter: one number, or the smallest and largest of the neurons'."""
    array = np.asarray(values)
    low, high = int(array.min()), int(array.max())
    return figure(low) if low == high else f"{figure(low)}..{figure(high)}"
