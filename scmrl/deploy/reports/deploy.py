"""What `scmrl deploy` and `scmrl verify` tell: one backend, or all of them, against the
reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ...core.activity import Activity, Measurement
from ...core.comparison import Comparison, Difference
from ...core.graph import Graph
from ...core.report.report import Block, Figure, Table, columns
from ...core.report.text import figure, first, percent, shape, share
from ...core.samples import Origin
from ...system.errors import ScmrlError
from ..counts.counts import PopulationCount
from ..counts.sampling import OverSamples
from ..energy.energy import EnergyEstimate
from .estimates import (
    THREE,
    broken_limits,
    by_profile,
    coefficients,
    count_errors,
    energy_table,
    estimate_figures,
    in_a_line,
    stated_cases,
    uncertainty_table,
)
from .run import (
    PopulationRow,
    RunReport,
    overflowed,
    population_rows,
    recurring,
    run_fields,
    same_class,
    scores,
    summed,
)


@dataclass(frozen=True, kw_only=True)
class DeployReport(RunReport):
    """A run on one backend, next to training's own forward on the same samples."""

    command = "deploy"
    training_accuracy: float | None  # training's quantised forward on the same samples
    agreement: float | None  # share of samples of one class for backend and training
    compared_with: str | None
    exact: bool  # the backend is held to the reference in every bit
    mismatches: int | None
    spike_agreement: float | None  # share of compared values that are equal
    spike_recall: float | None  # share of the reference's spikes that this run has
    spike_precision: float | None  # share of this run's spikes that the reference has
    first_difference: Difference | None
    overflow: int | None
    seconds: float
    startup_s: float
    notes: tuple[str, ...]
    profiles: tuple[EnergyEstimate, ...] = ()
    measured: Measurement | None = None  # on a board, beside the estimates

    def to_json(self) -> dict:
        return super().to_json() | {
            "profiles": by_profile(self.profiles),
            "measured": self.measured and self.measured.to_json(),
        }

    def headline(self) -> dict[str, str]:
        where = "host and board together" if self.backend == "loihi" else "this computer, no chip"
        lines = self.warnings() | self._equality() | self.right
        if self.agreement is not None:
            lines["training"] = (
                f"{percent(self.training_accuracy)}, same class {percent(self.agreement)}"
            )
        lines |= self.ran()
        lines["time"] = f"{figure(self.seconds)} s run, {figure(self.startup_s)} s start: {where}"
        return lines | {e.profile: in_a_line(e) for e in self.profiles[:2]}

    def _equality(self) -> dict[str, str]:
        of = self.compared_with
        if self.bit_exact is None:
            return {"result": "not compared"}
        if self.bit_exact:
            return {"result": f"bit-exact with {of}: every population, sample and step"}
        if not self.exact:
            return {
                "result": f"float neurons: {share(self.spike_agreement)} of values equal",
                "spikes": recurring(self.spike_recall, self.spike_precision, of),
            }
        return {
            "result": f"DIFFERS from {of} in {figure(self.mismatches)} values",
            "first": str(self.first_difference),
        }

    def details(self) -> Iterator[Block]:
        yield {"model": self.source, "overflow": overflowed(self.overflow)}
        yield from self.notes
        if self.measured:
            yield self.measured.facts()
        if self.profiles:
            yield energy_table(self.profiles)
            yield uncertainty_table(self.profiles)
            yield THREE
            yield stated_cases(self.profiles)
            yield count_errors(self.over_samples)
            yield from (f"{e.profile}: {e.basis}" for e in self.profiles)

    def figures(self) -> Iterator[Figure]:
        yield from estimate_figures(self.profiles)

    def appendix(self) -> Iterator[Block]:
        yield broken_limits(self.profiles)
        yield from coefficients(self.profiles)


@dataclass(frozen=True)
class BackendMatch:
    """One backend against the reference. `agreement` is the share of samples with the same
    class.
    """

    backend: str
    version: str
    exact: bool  # held to the reference in every bit
    bit_exact: bool
    compared: int
    mismatches: int
    first_difference: Difference | None
    spike_recall: float | None  # share of the reference's spikes that this run has
    spike_precision: float | None  # share of this run's spikes that the reference has
    accuracy: float | None
    float_agreement: float | None
    agreement: float | None
    overflow: int | None
    seconds: float
    populations: dict[str, int]  # mismatches

    @property
    def result(self) -> str:
        """What the comparison came to, in a few words."""
        if self.bit_exact:
            return "bit-exact"
        if self.exact:
            return "DIFFERS"
        equal = 1 - self.mismatches / max(self.compared, 1)
        return f"float: {percent(equal)} of values, {percent(self.spike_recall)} of spikes equal"


@dataclass(frozen=True)
class Refusal:
    """A backend that could not run, why, and the exit code of that error."""

    backend: str
    why: str
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class VerifyReport(RunReport):
    """Every backend, and training's stored spikes, against the reference; `backend` names all
    compared.
    """

    command = "verify"
    reference_version: str
    overflow: int | None  # of the reference
    backends: tuple[BackendMatch, ...]
    refused: tuple[Refusal, ...] = ()  # backends that were asked for and could not run

    @property
    def first_difference(self) -> Difference | None:
        """Of a backend that is held to the reference."""
        return next(
            (m.first_difference for m in self.backends if m.exact and m.first_difference), None
        )

    def require_all(self) -> None:
        """Raise where a backend that was asked for could not run; with its own exit code where none
        could.
        """
        if not self.refused:
            return
        error = ScmrlError(
            "could not run on all backends",
            where=", ".join(r.backend for r in self.refused),
            value=self.refused[0].why,
        )
        if all(m.backend == "training" for m in self.backends):
            error.exit_code = self.refused[0].exit_code
        raise error

    def headline(self) -> dict[str, str]:
        exact = [m.backend for m in self.backends if m.exact]
        wrong = [m.backend for m in self.backends if m.exact and not m.bit_exact]
        result = "nothing exact was compared"
        if exact:
            result = f"bit-exact with the reference: {first(exact, 4)}"
        if wrong:
            result = f"DIFFER from the reference: {first(wrong)}"
        lines = self.warnings() | {"result": result}
        if self.first_difference and wrong:
            lines["first"] = str(self.first_difference)
        if self.refused:
            lines["NOT RUN"] = first([r.backend for r in self.refused], 4)
        lines |= {m.backend: m.result for m in [m for m in self.backends if not m.exact][:3]}
        samples = {"samples": self.ran()["samples"], "reference": self.reference_version}
        return lines | self.right | samples

    def details(self) -> Iterator[Block]:
        yield {"model": self.source, "overflow": overflowed(self.overflow)}
        yield _backend_table(self.backends)
        yield from (f"{r.backend} did not run: {r.why}" for r in self.refused)
        for match in self.backends:
            if match.first_difference:
                yield f"first difference of {match.backend}: {match.first_difference}"

    def layers(self) -> Iterator[Block]:
        yield _match_table(self.populations, self.backends)


def deploy_report(
    graph: Graph,
    labels: np.ndarray | None,
    activity: Activity,
    counts: Sequence[PopulationCount],
    *,
    model: str,
    selection: str,
    origin: Origin = Origin(),
    trained: Activity | None = None,
    comparison: Comparison | None = None,
    exact: bool = True,
    energy: Sequence[EnergyEstimate] = (),
    measured: Measurement | None = None,
    over_samples: Mapping[str, OverSamples] | None = None,
) -> DeployReport:
    """Report of `activity` on samples with `labels` [S] (None: unknown).

    `trained` is training's forward on the same samples, `comparison` that with the reference.
    """
    rows = population_rows(counts, comparison, activity.overflow)
    return DeployReport(
        **run_fields(
            graph,
            labels,
            activity,
            rows,
            comparison,
            model=model,
            selection=selection,
            origin=origin,
        ),
        training_accuracy=scores(graph, labels, origin, trained)[0],
        agreement=same_class(graph, activity, trained),
        compared_with=comparison and comparison.expected,
        exact=exact,
        spike_agreement=comparison and 1 - comparison.mismatches / max(comparison.compared, 1),
        spike_recall=comparison and comparison.spikes.recall,
        spike_precision=comparison and comparison.spikes.precision,
        mismatches=comparison and comparison.mismatches,
        first_difference=comparison and comparison.first,
        overflow=summed(activity.overflow),
        seconds=activity.seconds,
        startup_s=activity.startup_s,
        notes=activity.notes,
        profiles=tuple(energy),
        measured=measured,
        over_samples=dict(over_samples or {}),
    )


def verify_report(
    graph: Graph,
    labels: np.ndarray | None,
    reference: Activity,
    counts: Sequence[PopulationCount],
    runs: Sequence[tuple[Activity, Comparison]],
    *,
    model: str,
    selection: str,
    origin: Origin = Origin(),
    float_backends: Sequence[str] = (),
    refused: Sequence[Refusal] = (),
) -> VerifyReport:
    """Report of `runs` (backends, and training's stored spikes), each with its comparison to
    `reference`.

    `bit_exact` speaks of all but `float_backends`, which are compared and not held to the
    reference.
    """
    matches = tuple(
        BackendMatch(
            run.backend,
            run.version,
            run.backend not in float_backends,
            comparison.bit_exact,
            comparison.compared,
            comparison.mismatches,
            comparison.first,
            comparison.spikes.recall,
            comparison.spikes.precision,
            *scores(graph, labels, origin, run),
            same_class(graph, run, reference),
            summed(run.overflow),
            run.seconds,
            {match.name: match.mismatches for match in comparison.populations},
        )
        for run, comparison in runs
    )
    rows = tuple(
        replace(row, mismatches=_mismatches(row.name, matches))
        for row in population_rows(counts, None, reference.overflow)
    )
    held = [m.bit_exact for m in matches if m.exact]
    fields = run_fields(
        graph, labels, reference, rows, model=model, selection=selection, origin=origin
    )
    fields |= {
        "backend": ", ".join(m.backend for m in matches),
        "version": ", ".join(m.version for m in matches),
        "bit_exact": all(held) if held else None,
    }
    return VerifyReport(
        **fields,
        reference_version=reference.version,
        overflow=summed(reference.overflow),
        backends=matches,
        refused=tuple(refused),
    )


def _mismatches(name: str, matches: Sequence[BackendMatch]) -> int | None:
    """Sum over the backends; None for a population that none of them compared (an input)."""
    compared = [m.populations[name] for m in matches if name in m.populations]
    return sum(compared) if compared else None


def _match_table(rows: Sequence[PopulationRow], matches: Sequence[BackendMatch]) -> Table:
    return columns(
        rows,
        {
            "population": lambda r: r.name,
            "shape": lambda r: shape(r.shape),
            "neurons": lambda r: figure(r.neurons),
            "spikes/inf": lambda r: figure(r.spikes_per_inference),
            **{f"{m.backend}\nmismatches": partial(_missed, m) for m in matches},
        },
        words=("population", "shape"),
        footer=("total", "", "", "", *(figure(m.mismatches) for m in matches)),
    )


def _missed(match: BackendMatch, row: PopulationRow) -> str:
    return figure(match.populations.get(row.name))


def _backend_table(matches: Sequence[BackendMatch]) -> Table:
    own = any(m.float_agreement is not None for m in matches)
    right = "as float\nnetwork" if own else "accuracy"
    return columns(
        matches,
        {
            "backend": lambda m: m.backend,
            "version": lambda m: m.version,
            "result": lambda m: m.result,
            "mismatches": lambda m: figure(m.mismatches),
            "of values": lambda m: figure(m.compared),
            right: lambda m: percent(m.float_agreement if own else m.accuracy),
            "same class": lambda m: percent(m.agreement),
            "overflow": lambda m: figure(m.overflow),
            "seconds": lambda m: figure(m.seconds),
        },
        words=("backend", "version", "result"),
    )
