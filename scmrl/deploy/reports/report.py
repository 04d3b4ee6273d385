"""What the commands on a model tell: one dataclass each; `scmrl.core.report.report` says how they are shown.

Every number on the screen is in the JSON. `bit_exact` and `mismatches` are None where nothing was
compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from ...core.activity import Activity, Measurement, predictions
from ...core.comparison import Comparison, Difference
from ...core.graph import Graph
from ...core.report.report import (
    Report,
    Table,
    dead_warning,
    figure,
    first,
    percent,
    share,
    source,
    span,
    table,
)
from ...core.samples import NETWORK, TRUE, UNKNOWN, Origin
from ...hw_profiles.limits import RULES
from ...hw_profiles.profile import Profile
from ...system import memory
from ...system.doctor import Component, Room
from ...system.errors import ScmrlError
from ..counts.counts import PopulationCount
from ..energy.energy import EnergyEstimate

SHOWN_CLASSES = 12  # a matrix of more stands with the layers


@dataclass(frozen=True)
class PopulationRow:
    """One population: mean counts per inference, and what was observed over all samples."""

    name: str
    kind: str
    shape: tuple[int, ...]
    neurons: int
    spikes_per_inference: float
    rate: float  # spikes per neuron and step
    synops_per_inference: float
    updates_per_inference: float
    graded_synops_per_inference: float  # of the synops, those with graded values
    dense_synops_per_inference: float  # if all sources sent and no weight were zero
    active_per_inference: float | None  # of the updates; None where state was not followed
    receiving_per_inference: float | None
    mismatches: int | None = None
    overflow: int | None = None


@dataclass(frozen=True)
class Totals:
    """Sums over the populations."""

    neurons: int
    spikes_per_inference: float
    synops_per_inference: float
    updates_per_inference: float
    graded_synops_per_inference: float
    dense_synops_per_inference: float
    active_per_inference: float | None
    receiving_per_inference: float | None
    mismatches: int | None


@dataclass(frozen=True, kw_only=True)
class RunReport(Report):
    """What every run on samples reports: who ran which samples of what, how well, and the
    populations.
    """

    model: str
    backend: str
    version: str
    samples: int
    selection: str  # which samples, in words
    origin: Origin  # what kind of samples and labels
    steps: int
    accuracy: float | None  # None where the labels are the network's own
    float_agreement: (
        float | None
    )  # share of the float network's own classes, where those are the labels
    bit_exact: bool | None
    populations: tuple[PopulationRow, ...]
    totals: Totals
    bundle: str = ""  # the hash of what ran

    @property
    def source(self) -> str:
        """Which network ran."""
        return source(self.model, self.bundle)

    @property
    def dead(self) -> tuple[str, ...]:
        """Populations that never fired on these samples."""
        return tuple(
            row.name
            for row in self.populations
            if row.kind == "lif" and not row.spikes_per_inference
        )

    def to_json(self) -> dict:
        return super().to_json() | {"dead": self.dead}

    @property
    def right(self) -> dict[str, str]:
        """Accuracy and on what, or what stands in its place."""
        return right(self.accuracy, self.float_agreement, self.samples, self.origin)

    def warnings(self) -> dict[str, str]:
        """What makes the numbers beside it worth little."""
        firing = sum(row.kind == "lif" for row in self.populations)
        return dead_warning(self.dead, firing)

    def ran(self) -> dict[str, str]:
        """Which samples ran where."""
        return {
            "samples": f"{self.samples} ({self.selection}), {self.steps} steps each",
            "backend": f"{self.backend} {self.version}",
        }

    def layers(self) -> Iterator[object]:
        yield _population_table(self.populations, self.totals)


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
            "profiles": _profiles_json(self.profiles),
            "measured": self.measured and self.measured.to_json(),
        }

    def headline(self) -> dict[str, str]:
        where = "host and board together" if self.backend == "loihi" else "this computer, no chip"
        lines = self.warnings() | _equality(self)
        lines |= self.right
        if self.agreement is not None:
            lines["training"] = (
                f"{percent(self.training_accuracy)}, same class {percent(self.agreement)}"
            )
        lines |= self.ran()
        lines["time"] = f"{figure(self.seconds)} s run, {figure(self.startup_s)} s start: {where}"
        return lines | {e.profile: _estimate(e) for e in self.profiles[:2]}

    def details(self) -> Iterator[object]:
        yield {"model": self.source, "overflow": _overflow(self.overflow)}
        yield from self.notes
        if self.measured:
            yield self.measured.facts()
        if self.profiles:
            yield _energy_table(self.profiles)
            yield from _bases(self.profiles)


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
        lines = {
            "result": (
                f"DIFFER from the reference: {first(wrong)}"
                if wrong
                else (
                    f"bit-exact with the reference: {first(exact, 4)}"
                    if exact
                    else "nothing exact was compared"
                )
            )
        }
        if self.first_difference and wrong:
            lines["first"] = str(self.first_difference)
        if self.refused:
            lines["NOT RUN"] = first([r.backend for r in self.refused], 4)
        lines = self.warnings() | lines
        lines |= {m.backend: _result(m) for m in [m for m in self.backends if not m.exact][:3]}
        return (
            lines
            | self.right
            | {
                "samples": self.ran()["samples"],
                "reference": self.reference_version,
            }
        )

    def details(self) -> Iterator[object]:
        yield {"model": self.source, "overflow": _overflow(self.overflow)}
        yield _backend_table(self.backends)
        yield from (f"{r.backend} did not run: {r.why}" for r in self.refused)
        for match in self.backends:
            if match.first_difference:
                yield f"first difference of {match.backend}: {match.first_difference}"

    def layers(self) -> Iterator[object]:
        yield _match_table(self.populations, self.backends)


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
        lines = self.right | {"correct": f"{self.correct} of {self.samples}"}
        if self.equals_training is not None:
            lines["training"] = (
                "reported exactly this for the very same samples"
                if self.equals_training
                else f"DIFFERS: {self.training_correct} of the very same samples were correct there"
            )
        lines = self.warnings() | lines
        if worst := self._confused():
            lines["confused"] = worst
        return lines | self.ran()

    def details(self) -> Iterator[object]:
        yield {"model": self.source}
        if len(self.classes) <= SHOWN_CLASSES:
            yield self._matrix()

    def layers(self) -> Iterator[object]:
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
        wrong = sorted(
            (
                (n, i, k)
                for i, row in enumerate(self.confusion)
                for k, n in enumerate(row)
                if n and i != k
            ),
            key=lambda each: -each[0],
        )
        return ", ".join(
            f"{self.classes[i]} answered as {self.classes[k]}: {n}" for n, i, k in wrong[:3]
        )


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
        lines = dead_warning(dead, self.firing) | {
            row.target: self._answer(row) for row in self.targets
        }
        for row in self.targets:
            if row.backend:
                lines |= right(
                    row.original_vs_labels, row.original_vs_float, row.samples, self.origin
                )
                break
        return lines

    @staticmethod
    def _answer(row: ExportRow) -> str:
        if not row.written:
            return f"refused: {row.why}"
        equal = (
            "bit-exact"
            if row.bit_exact
            else (
                "not compared"
                if row.bit_exact is None
                else (
                    "DIFFERS"
                    if row.exact
                    else f"float: {percent(row.spike_recall)} of spikes equal"
                )
            )
        )
        ran = f" on {row.backend}" if row.backend else ""
        ran += ", but DIFFERS from training" if row.equals_training is False else ""
        return f"{equal}{ran}; {figure(round(row.bytes / 1000, 1))} kB"

    def details(self) -> Iterator[object]:
        yield {"model": source(self.model, self.bundle)}
        own = self.origin.labels == NETWORK
        against = "float net" if own else "labels"
        yield table(
            (
                "target",
                "seconds",
                "kB",
                f"exported\nvs {against}",
                f"original\nvs {against}",
                "exported vs\noriginal",
                "equal values",
                "equal spikes",
            ),
            [
                (
                    r.target,
                    figure(round(r.seconds, 2)) if r.written else "refused",
                    figure(round(r.bytes / 1000, 1)) if r.written else "-",
                    percent(r.exported_vs_float if own else r.exported_vs_labels),
                    percent(r.original_vs_float if own else r.original_vs_labels),
                    percent(r.exported_vs_original),
                    "bit-exact" if r.bit_exact else share(r.spike_agreement),
                    percent(r.spike_recall),
                )
                for r in self.targets
            ],
            words=("target",),
        )
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


@dataclass(frozen=True)
class ProfilesReport(Report):
    """Hardware profiles: an overview of several, every number with its source for one."""

    command = "profiles"
    profiles: tuple[Profile, ...]

    def to_json(self) -> dict:
        return {
            "command": self.command,
            **self._counts(),
            "profiles": {p.name: asdict(p) | {"can": abilities(p)} for p in self.profiles},
        }

    def headline(self) -> dict[str, str]:
        if len(self.profiles) == 1:
            (profile,) = self.profiles
            return {
                "profile": profile.name,
                "title": profile.title,
                "chip": profile.chip,
                "basis": profile.basis,
                "energies are": profile.energy_basis or "not published",
                "placement": abilities(profile)["placement"],
            }
        counts = self._counts()
        return {
            "profiles": (
                f"{counts['count']}: {counts['priced']} with energies, {counts['placed']} with"
                " placement"
            ),
            "more": "`scmrl profiles NAME` shows every number with its source",
        }

    def _counts(self) -> dict[str, int]:
        can = [abilities(p) for p in self.profiles]
        return {
            "count": len(can),
            "priced": sum(a["energy"] != "-" for a in can),
            "placed": sum(a["placement"] != "-" for a in can),
        }

    def details(self) -> Iterator[object]:
        if len(self.profiles) == 1:
            yield from _quantity_table(self.profiles[0])
            return
        heads = (
            "profile",
            "chip",
            "kind of evidence",
            "energy",
            "placement",
            "limits",
            "boards",
            "cases",
        )
        yield table(
            heads,
            [(p.name, p.chip, *map(str, abilities(p).values())) for p in self.profiles],
            words=heads[:5],
        )
        yield (
            "evidence: of the energies, or else of what there is; headline: one figure with"
            " everything in it, prices no network; cases: published inferences"
        )


@dataclass(frozen=True)
class DoctorReport(Report):
    """What is installed, and how to install the rest; what there is room for; what killed runs
    left, removed now.
    """

    command = "doctor"
    components: tuple[Component, ...]
    room: Room = Room(None, None, None)
    removed: tuple[str, ...] = ()

    def to_json(self) -> dict:
        return super().to_json() | {"installed": self._installed, "known": len(self.components)}

    @property
    def _installed(self) -> int:
        return sum(c.state == "installed" for c in self.components)

    def headline(self) -> dict[str, str]:
        lines = {"installed": f"{self._installed} of {len(self.components)}"}
        for state in ("missing", "too old", "too new", "untested"):
            if names := [c.name for c in self.components if c.state == state]:
                lines[state] = first(names, 6)
        free = {
            "memory": self.room.memory,
            "/dev/shm": self.room.shared_memory,
            "temporary files": self.room.temporary,
        }
        lines["free"] = (
            ", ".join(
                f"{where} {memory.words(size)}" for where, size in free.items() if size is not None
            )
            or "-"
        )
        lines["leftovers"] = (
            f"{len(self.removed)} of killed runs, removed" if self.removed else "none"
        )
        return lines

    def details(self) -> Iterator[object]:
        heads = ("component", "version", "needs", "state", "enables")
        yield table(
            heads,
            [
                (c.name, c.version or "-", c.versions or "-", c.state, c.enables)
                for c in self.components
            ],
            words=heads,
        )
        for path in self.removed:
            yield f"removed: {path}"
        for c in self.components:
            if c.state != "installed":
                yield f"{c.name}: {c.install}"


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
) -> DeployReport:
    """Report of `activity` on samples with `labels` [S] (None: unknown).

    `trained` is training's forward on the same samples, `comparison` that with the reference.
    """
    rows = _rows(counts, comparison, activity.overflow)
    return DeployReport(
        **_run(
            graph,
            labels,
            activity,
            rows,
            model=model,
            selection=selection,
            origin=origin,
            comparison=comparison,
        ),
        training_accuracy=_scores(graph, labels, origin, trained)[0],
        agreement=_agreement(graph, activity, trained),
        compared_with=comparison and comparison.expected,
        exact=exact,
        spike_agreement=comparison and 1 - comparison.mismatches / max(comparison.compared, 1),
        spike_recall=comparison and comparison.spikes.recall,
        spike_precision=comparison and comparison.spikes.precision,
        mismatches=comparison and comparison.mismatches,
        first_difference=comparison and comparison.first,
        overflow=_sum(activity.overflow),
        seconds=activity.seconds,
        startup_s=activity.startup_s,
        notes=activity.notes,
        profiles=tuple(energy),
        measured=measured,
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
        _backend_match(
            graph, labels, origin, reference, run, comparison, run.backend not in float_backends
        )
        for run, comparison in runs
    )
    rows = tuple(
        replace(row, mismatches=_mismatches(row.name, matches))
        for row in _rows(counts, None, reference.overflow)
    )
    fields = _run(
        graph,
        labels,
        reference,
        rows,
        model=model,
        selection=selection,
        origin=origin,
        comparison=None,
    ) | {
        "backend": ", ".join(m.backend for m in matches),
        "version": ", ".join(m.version for m in matches),
        "bit_exact": (
            all(m.bit_exact for m in matches if m.exact) if any(m.exact for m in matches) else None
        ),
    }
    return VerifyReport(
        **fields,
        reference_version=reference.version,
        overflow=_sum(reference.overflow),
        backends=matches,
        refused=tuple(refused),
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
                for name in (
                    "spikes_per_inference",
                    "synops_per_inference",
                    "rate",
                    "graded_synops_per_inference",
                )
            },
        )
        for chunks in zip(*parts)
    ]
    rows = _rows(means, None, None)
    names = graph.class_names
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (labels, found), 1)
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
        totals=_totals(rows),
        correct=correct,
        training_correct=training_correct,
        equals_training=None if training_correct is None else correct == training_correct,
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        classes=names,
    )


def _run(
    graph: Graph,
    labels: np.ndarray | None,
    activity: Activity,
    rows: tuple[PopulationRow, ...],
    *,
    model: str,
    selection: str,
    origin: Origin,
    comparison: Comparison | None,
) -> dict:
    accuracy, float_agreement = _scores(graph, labels, origin, activity)
    values = next(iter((activity.spikes | activity.membrane).values()))
    return {
        "model": model,
        "backend": activity.backend,
        "version": activity.version,
        "samples": len(values),
        "selection": selection,
        "origin": origin,
        "steps": int(values.shape[1]),
        "accuracy": accuracy,
        "float_agreement": float_agreement,
        "bit_exact": comparison and comparison.bit_exact,
        "populations": rows,
        "totals": _totals(rows),
    }


def _rows(
    counts: Sequence[PopulationCount],
    comparison: Comparison | None,
    overflow: dict[str, int] | None,
) -> tuple[PopulationRow, ...]:
    mismatches = (
        {match.name: match.mismatches for match in comparison.populations} if comparison else {}
    )
    return tuple(
        PopulationRow(
            c.name,
            c.kind,
            tuple(int(n) for n in c.shape),
            int(c.neurons),
            float(c.spikes_per_inference),
            float(c.rate),
            float(c.synops_per_inference),
            float(c.updates_per_inference),
            float(c.graded_synops_per_inference),
            float(c.dense_synops_per_inference),
            c.active_per_inference,
            c.receiving_per_inference,
            mismatches.get(c.name),
            (overflow or {}).get(c.name),
        )
        for c in counts
    )


def _totals(rows: Sequence[PopulationRow]) -> Totals:
    compared = [row.mismatches for row in rows if row.mismatches is not None]
    sums = {
        name: sum(getattr(row, name) for row in rows)
        for name in (
            "neurons",
            "spikes_per_inference",
            "synops_per_inference",
            "updates_per_inference",
            "graded_synops_per_inference",
            "dense_synops_per_inference",
        )
    }
    followed = {
        name: [getattr(row, name) for row in rows if row.kind != "input"]
        for name in ("active_per_inference", "receiving_per_inference")
    }
    return Totals(
        **sums,
        **{name: None if None in each else sum(each) for name, each in followed.items()},
        mismatches=sum(compared) if compared else None,
    )


def _scores(
    graph: Graph, labels: np.ndarray | None, origin: Origin, activity: Activity | None
) -> tuple[float | None, float | None]:
    """Accuracy, and agreement with the float network: one of the two, by what the labels are."""
    if labels is None or activity is None or graph.readout is None:
        return None, None
    equal = float(np.mean(predictions(graph, activity) == labels))
    return (None, equal) if origin.labels == NETWORK else (equal, None)


def _agreement(graph: Graph, one: Activity, other: Activity | None) -> float | None:
    if other is None or graph.readout is None:
        return None
    return float(np.mean(predictions(graph, one) == predictions(graph, other)))


def _backend_match(
    graph: Graph,
    labels: np.ndarray | None,
    origin: Origin,
    reference: Activity,
    run: Activity,
    comparison: Comparison,
    exact: bool,
) -> BackendMatch:
    return BackendMatch(
        run.backend,
        run.version,
        exact,
        comparison.bit_exact,
        comparison.compared,
        comparison.mismatches,
        comparison.first,
        comparison.spikes.recall,
        comparison.spikes.precision,
        *_scores(graph, labels, origin, run),
        _agreement(graph, run, reference),
        _sum(run.overflow),
        run.seconds,
        {match.name: match.mismatches for match in comparison.populations},
    )


def _mismatches(name: str, matches: Sequence[BackendMatch]) -> int | None:
    """Sum over the backends; None for a population that none of them compared (an input)."""
    compared = [m.populations[name] for m in matches if name in m.populations]
    return sum(compared) if compared else None


def _sum(overflow: dict[str, int] | None) -> int | None:
    return None if overflow is None else int(sum(overflow.values()))


def _profiles_json(profiles: Sequence[EnergyEstimate]) -> dict:
    return {estimate.profile: estimate.to_json() for estimate in profiles}


# The terminal.


def right(
    accuracy: float | None, float_agreement: float | None, samples: int, origin: Origin
) -> dict[str, str]:
    """How many answers were right, on what; never an accuracy against labels that the network gave
    itself.
    """
    kind = "samples of unknown kind" if origin.samples == UNKNOWN else f"{origin.adjective} samples"
    what = f"{samples} {kind}"
    if float_agreement is not None:
        return {
            "agreement": (
                f"{percent(float_agreement)} of classes as in the float network, {what}; no true"
                " labels"
            )
        }
    if accuracy is None:
        return {"accuracy": f"not known: no labels, {what}"}
    doubt = ", labels of unknown kind" if origin.labels == UNKNOWN else ""
    return {"accuracy": f"{percent(accuracy)} on {what}{doubt}"}


def recurring(recall: float | None, precision: float | None, of: str | None) -> str:
    """Agreement of the spikes themselves."""
    if recall is None and precision is None:
        return "none at all"
    return f"{percent(recall)} of the {of}'s recur, {percent(precision)} of its own are there"


def _equality(report: DeployReport) -> dict[str, str]:
    if report.bit_exact is None:
        return {"result": "not compared"}
    if report.bit_exact:
        return {
            "result": f"bit-exact with {report.compared_with}: every population, sample and step"
        }
    if not report.exact:
        return {
            "result": f"float neurons: {share(report.spike_agreement)} of values equal",
            "spikes": recurring(report.spike_recall, report.spike_precision, report.compared_with),
        }
    return {
        "result": f"DIFFERS from {report.compared_with} in {figure(report.mismatches)} values",
        "first": str(report.first_difference),
    }


def _estimate(e: EnergyEstimate) -> str:
    """A chip in a line or two: whether it fits, energy and time with their ranges, or the part that
    is known.
    """
    if e.fits is False:
        first_, more = e.violations[0], len(e.violations) - 1
        also = f" and {more} more" if more else ""
        return (
            f"does not fit: {first_.rule} at {first_.where} (limit {first_.limit}, got"
            f" {first_.value}){also}"
        )
    fits = (
        "no limits"
        if e.fits is None
        else "fits" + (f", {figure(e.cores)} cores" if e.cores else "")
    )
    if e.total_uj is None:
        part = (
            "no energy"
            if e.core_dynamic_uj is None
            else f"estimate {figure(e.core_dynamic_uj)} uJ {e.part}"
        )
        return f"{fits}; {part}, no total"
    return (
        f"{fits}; estimate {figure(e.total_uj)} uJ ({span(e.ranges['total_uj'])}), "
        f"{figure(e.latency_ms)} ms ({span(e.latency_ms_range)})"
    )


def _result(match: BackendMatch) -> str:
    if match.bit_exact:
        return "bit-exact"
    if match.exact:
        return "DIFFERS"
    return (
        f"float: {percent(1 - match.mismatches / max(match.compared, 1))} of values,"
        f" {percent(match.spike_recall)} of spikes equal"
    )


def _overflow(count: int | None) -> str:
    return (
        "not observed" if count is None else f"{figure(count)} neuron-steps reached a 24-bit border"
    )


def _bases(profiles: Sequence[EnergyEstimate]) -> Iterator[str]:
    for estimate in profiles:
        yield f"{estimate.profile}: {estimate.basis}"


def _population_table(rows: Sequence[PopulationRow], totals: Totals):
    cells = [
        (
            r.name,
            _shape(r.shape),
            figure(r.neurons),
            figure(r.spikes_per_inference),
            figure(r.rate),
            figure(r.synops_per_inference),
            figure(r.mismatches),
        )
        for r in rows
    ]
    total = (
        "total",
        "",
        figure(totals.neurons),
        figure(totals.spikes_per_inference),
        "",
        figure(totals.synops_per_inference),
        figure(totals.mismatches),
    )
    return table(
        ("population", "shape", "neurons", "spikes/inf", "rate", "synops/inf", "mismatches"),
        cells,
        words=("population", "shape"),
        footer=total,
    )


def _match_table(rows: Sequence[PopulationRow], matches: Sequence[BackendMatch]):
    cells = [
        (
            r.name,
            _shape(r.shape),
            figure(r.neurons),
            figure(r.spikes_per_inference),
            *(figure(m.populations.get(r.name)) for m in matches),
        )
        for r in rows
    ]
    heads = (
        "population",
        "shape",
        "neurons",
        "spikes/inf",
        *(f"{m.backend}\nmismatches" for m in matches),
    )
    total = ("total", "", "", "", *(figure(m.mismatches) for m in matches))
    return table(heads, cells, words=("population", "shape"), footer=total)


def _backend_table(matches: Sequence[BackendMatch]):
    own = any(m.float_agreement is not None for m in matches)
    cells = [
        (
            m.backend,
            m.version,
            _result(m),
            figure(m.mismatches),
            figure(m.compared),
            percent(m.float_agreement if own else m.accuracy),
            percent(m.agreement),
            figure(m.overflow),
            figure(m.seconds),
        )
        for m in matches
    ]
    return table(
        (
            "backend",
            "version",
            "result",
            "mismatches",
            "of values",
            "as float\nnetwork" if own else "accuracy",
            "same class",
            "overflow",
            "seconds",
        ),
        cells,
        words=("backend", "version", "result"),
    )


def _energy_table(profiles: Sequence[EnergyEstimate]):
    """Energies with their ranges; a column for each that somebody has, and what a part is where it
    is no whole.
    """
    heads = {
        "core_dynamic_uj": "core dynamic",
        "core_static_uj": "static",
        "chip_fixed_uj": "fixed",
        "host_uj": "host",
        "total_uj": "total",
    }
    shown = [
        name
        for name in heads
        if any(getattr(e, name) is not None for e in profiles) or name == "total_uj"
    ]
    cells = [(e.profile, fits_cell(e), *(_with_range(e, name) for name in shown)) for e in profiles]
    return table(
        ("profile", "fits", *(f"{heads[name]}\nuJ/inf" for name in shown)),
        cells,
        words=("profile", "fits"),
    )


def _with_range(e: EnergyEstimate, name: str) -> str:
    part = (
        f"\n{e.part}" if name == "core_dynamic_uj" and e.known and e.part.endswith("only") else ""
    )
    return f"{figure(getattr(e, name))}\n{span(e.ranges[name])}{part}"


def fits_cell(e: EnergyEstimate) -> str:
    """Yes and its cores; no and the broken limits; nothing where the profile has no limits."""
    if e.fits is False:
        return f"no: {', '.join(e.broken)}"
    return "-" if e.fits is None else "yes" + (f", {figure(e.cores)} cores" if e.cores else "")


def _quantity_table(profile: Profile) -> Iterator[object]:
    """Every quantity with the letter of its source, then the sources."""
    chip, published = profile.quantities(), profile.published()
    sources = dict.fromkeys(q.source for q in (*chip.values(), *published.values()))
    letters = {source: _letter(i) for i, source in enumerate(sources)}
    for head, quantities in (("quantity", chip), ("board or published case", published)):
        if quantities:
            yield table(
                (head, "value", "unit", "range", "kind", "source"),
                [
                    (
                        name,
                        f"{q.value:,}",
                        q.unit,
                        span(q.range, "{:,}".format),
                        q.kind,
                        letters[q.source],
                    )
                    for name, q in quantities.items()
                ],
                words=(head, "unit", "kind", "source"),
            )
    yield {
        f"{name} by core": " ".join(f"{value:,}" for value in q.each)
        for name, q in chip.items()
        if q.each
    }
    yield {letter: source for source, letter in letters.items()}


def abilities(profile: Profile) -> dict[str, str | int]:
    """What a profile is good for: its evidence, energy, placement, and how many rules, boards and
    cases.
    """
    quantities = profile.energy or profile.published() or profile.limits
    energy = [
        words
        for key, words in (
            ("synop", "per operation"),
            ("mac", "MACs"),
            ("synop_all_in", "headline"),
        )
        if key in profile.energy
    ]
    cores = {"cores", "neurons_per_core"} <= profile.limits.keys()
    return {
        "evidence": ", ".join(sorted({q.kind for q in quantities.values()})),
        "energy": ", ".join(energy) or "-",
        "placement": f"{profile.mapping} rule" if profile.mapping else "bounds" if cores else "-",
        "limits": len(RULES.keys() & profile.limits.keys()),
        "boards": len(profile.systems),
        "cases": len(profile.cases),
    }


def _letter(i: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    return (_letter(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
