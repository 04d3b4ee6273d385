"""What `scmrl export` tells: what was written, and how the exported model does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ...core.report.report import Block, Report, Table, columns, dead_warning
from ...core.report.text import figure, percent, share, source
from ...core.samples import NETWORK, Origin
from .run import right


@dataclass(frozen=True)
class ExportRow:
    """One target: what was written, and how the exported model does on the model's samples, by
    class: against true labels, or against the float network's classes where those are the labels.

    `why` says why a target was refused or not verified. Shares are None where nothing was run.
    """

    target: str
    path: str
    written: bool
    seconds: float
    bytes: int
    backend: str | None
    version: str | None
    samples: int
    exported_vs_labels: float | None
    original_vs_labels: float | None
    exported_vs_float: float | None
    original_vs_float: float | None
    exported_vs_original: float | None
    exact: bool
    bit_exact: bool | None
    spike_agreement: float | None
    spike_recall: float | None  # share of the original's spikes that the exported model has
    spike_precision: float | None
    equals_training: bool | None  # the original gives the very spikes that training recorded
    dead: tuple[str, ...]  # populations of the original that never fired
    why: str
    summary: dict

    @property
    def answer(self) -> str:
        """What came of it, in a line."""
        if not self.written:
            return f"refused: {self.why}"
        if self.bit_exact or self.bit_exact is None:
            equal = "bit-exact" if self.bit_exact else "not compared"
        elif self.exact:
            equal = "DIFFERS"
        else:
            equal = f"float: {percent(self.spike_recall)} of spikes equal"
        ran = f" on {self.backend}" if self.backend else ""
        ran += ", but DIFFERS from training" if self.equals_training is False else ""
        return f"{equal}{ran}; {self.kilobytes} kB"

    @property
    def kilobytes(self) -> str:
        return figure(round(self.bytes / 1000, 1))


@dataclass(frozen=True)
class ExportReport(Report):
    """What `export` wrote and verified."""

    command = "export"
    model: str
    origin: Origin  # of the samples that verify it
    targets: tuple[ExportRow, ...]
    firing: int  # populations that can fire
    bundle: str = ""  # the hash of what was exported

    def headline(self) -> dict[str, str]:
        dead = next((row.dead for row in self.targets if row.dead), ())
        lines = dead_warning(dead, self.firing) | {row.target: row.answer for row in self.targets}
        ran = next((row for row in self.targets if row.backend), None)
        return lines | (
            right(ran.original_vs_labels, ran.original_vs_float, ran.samples, self.origin)
            if ran
            else {}
        )

    def details(self) -> Iterator[Block]:
        yield {"model": source(self.model, self.bundle)}
        yield self._table()
        for row in self.targets:
            if row.written:
                ran = (
                    f"; verified on {row.backend} {row.version}, {row.samples} samples"
                    if row.backend
                    else ""
                )
                yield f"{row.target}: {row.path}{ran}"
                yield f"{row.target}: {row.why}" if row.why else ""
            for fact, value in row.summary.items():
                if value is not None and not isinstance(value, (list, dict)):
                    yield f"  {fact.replace('_', ' ')}: {value}"
            for lost in row.summary.get("not_expressed", ()):
                yield f"  not expressed: {lost}"

    def _table(self) -> Table:
        own = self.origin.labels == NETWORK
        against = "float net" if own else "labels"
        return columns(
            self.targets,
            {
                "target": lambda r: r.target,
                "seconds": lambda r: figure(round(r.seconds, 2)) if r.written else "refused",
                "kB": lambda r: r.kilobytes if r.written else "-",
                f"exported\nvs {against}": lambda r: percent(
                    r.exported_vs_float if own else r.exported_vs_labels
                ),
                f"original\nvs {against}": lambda r: percent(
                    r.original_vs_float if own else r.original_vs_labels
                ),
                "exported vs\noriginal": lambda r: percent(r.exported_vs_original),
                "equal values": lambda r: "bit-exact" if r.bit_exact else share(r.spike_agreement),
                "equal spikes": lambda r: percent(r.spike_recall),
            },
            words=("target",),
        )
