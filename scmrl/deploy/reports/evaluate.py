"""What `scmrl evaluate` tells: a whole split on the simulator, and which classes it confuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.graph import Graph
from ...core.report.report import Block, Figure, Table, table
from ...core.report.text import figure
from ...core.samples import TRUE, Origin
from ..counts.counts import PopulationCount
from .figures import confusion
from .run import RunReport, population_rows, totals

SHOWN_CLASSES = 12  # a matrix of more stands with the layers
AVERAGED = (
    "spikes_per_inference",
    "synops_per_inference",
    "rate",
    "graded_synops_per_inference",
)


@dataclass(frozen=True, kw_only=True)
class EvaluateReport(RunReport):
    """A whole split on the simulator; `equals_training`: the very accuracy that training reported
    for it, or None.
    """

    command = "evaluate"
    correct: int
    training_correct: int | None  # of its whole test split
    equals_training: bool | None  # None where these are other samples
    confusion: tuple[tuple[int, ...], ...]  # [label][prediction]
    classes: tuple[str, ...]

    def headline(self) -> dict[str, str]:
        lines = self.warnings() | self.right | {"correct": f"{self.correct} of {self.samples}"}
        if self.equals_training is not None:
            lines["training"] = (
                "reported exactly this for the very same samples"
                if self.equals_training
                else f"DIFFERS: {self.training_correct} of the very same samples were correct there"
            )
        if worst := self._confused():
            lines["confused"] = worst
        return lines | self.ran()

    def details(self) -> Iterator[Block]:
        yield {"model": self.source}
        if len(self.classes) <= SHOWN_CLASSES:
            yield self._matrix()

    def figures(self) -> Iterator[Figure]:
        yield from confusion(np.array(self.confusion), self.classes, self.origin)

    def layers(self) -> Iterator[Block]:
        yield from super().layers()
        if len(self.classes) > SHOWN_CLASSES:
            yield self._matrix()

    def _matrix(self) -> Table:
        return table(
            ("label \\ answer", *self.classes),
            [(name, *map(figure, row)) for name, row in zip(self.classes, self.confusion)],
            words=("label \\ answer",),
        )

    def _confused(self) -> str:
        """The most frequent mistakes."""
        wrong = [
            (n, i, k)
            for i, row in enumerate(self.confusion)
            for k, n in enumerate(row)
            if n and i != k
        ]
        return ", ".join(
            f"{self.classes[i]} answered as {self.classes[k]}: {n}"
            for n, i, k in sorted(wrong, key=lambda each: -each[0])[:3]
        )


def evaluate_report(
    graph: Graph,
    labels: np.ndarray,
    found: np.ndarray,
    parts: Sequence[Sequence[PopulationCount]],
    sizes: Sequence[int],
    *,
    model: str,
    selection: str,
    version: str,
    training_correct: int | None,
    origin: Origin = Origin(labels=TRUE),
) -> EvaluateReport:
    """Report of predictions `found` [S] for true `labels` [S]; `parts` are the counts of chunks of
    `sizes` samples, `training_correct` what training had right of these very samples, or None.
    """
    means = [
        replace(
            chunks[0],
            **{
                name: float(np.average([getattr(c, name) for c in chunks], weights=sizes))
                for name in AVERAGED
            },
        )
        for chunks in zip(*parts)
    ]
    rows, names = population_rows(means), graph.class_names
    matrix = np.zeros((len(names), len(names)), int)
    np.add.at(matrix, (labels, found), 1)
    correct = int(np.sum(found == labels))
    return EvaluateReport(
        model=model,
        backend="simulator",
        version=version,
        samples=len(labels),
        selection=selection,
        origin=origin,
        steps=graph.steps,
        accuracy=correct / len(labels),
        float_agreement=None,
        bit_exact=None,
        populations=rows,
        totals=totals(rows),
        correct=correct,
        training_correct=training_correct,
        equals_training=None if training_correct is None else correct == training_correct,
        confusion=tuple(tuple(map(int, row)) for row in matrix),
        classes=names,
    )
