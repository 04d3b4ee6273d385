"""What the commands tell: one dataclass each, shown on a terminal (`show`) or as one JSON object (`to_json`).

Every number on the screen is in the JSON. `bit_exact` and `mismatches` are None where nothing was compared.

To add a report: subclass `Report`, give it the fields of its JSON, and `_parts`, the blocks of the screen.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TextIO

import numpy as np

from ..activity import Activity, predictions
from ..doctor import Component
from ..errors import MissingDependency
from ..graph import Graph
from ..hw_profiles.limits import RULES
from ..hw_profiles.profile import Profile
from .comparison import Comparison, Difference
from .counts import PopulationCount
from .energy import EnergyEstimate
from .measurement import Measurement

PIPE_WIDTH = 110                                # columns where the output is no terminal
UNLIMITED = 10_000                              # columns; to measure what a table needs


class Report:
    """A dataclass that can be shown and dumped."""

    def to_json(self) -> dict:
        """The report as a dict of JSON types, `command` first."""
        return {"command": self.command} | asdict(self)

    def show(self, file: TextIO | None = None) -> None:
        """Print to `file` (standard output); colours on a terminal only, no number is ever cut."""
        console = _console(file or sys.stdout)
        for part in self._parts():
            _print(console, part)

    def _parts(self) -> Iterator[object]:
        raise NotImplementedError


@dataclass(frozen=True)
class PopulationRow:
    """One population: mean counts per inference, and what was observed over all samples."""

    name: str
    kind: str
    shape: tuple[int, ...]
    neurons: int
    spikes_per_inference: float
    rate: float                                 # spikes per neuron and step
    synops_per_inference: float
    updates_per_inference: float
    graded_synops_per_inference: float          # of the synops, those with graded values
    dense_synops_per_inference: float           # if all sources sent and no weight were zero
    active_per_inference: float | None          # of the updates; None where state was not followed
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
    """What every run on samples reports: who ran which samples of what, how well, and the populations."""

    model: str
    backend: str
    version: str
    samples: int
    selection: str                              # which samples, in words
    steps: int
    accuracy: float | None
    bit_exact: bool | None
    populations: tuple[PopulationRow, ...]
    totals: Totals


@dataclass(frozen=True, kw_only=True)
class DeployReport(RunReport):
    """A run on one backend, next to training's own forward on the same samples."""

    command = "deploy"
    training_accuracy: float | None             # training's quantised forward on the same samples
    agreement: float | None                     # share of samples of one class for backend and training
    compared_with: str | None
    exact: bool                                 # the backend is held to the reference in every bit
    mismatches: int | None
    spike_agreement: float | None               # share of compared values that are equal
    first_difference: Difference | None
    overflow: int | None
    seconds: float
    startup_s: float
    notes: tuple[str, ...]
    profiles: tuple[EnergyEstimate, ...] = ()
    measured: Measurement | None = None         # on a board, beside the estimates

    def to_json(self) -> dict:
        return super().to_json() | {"profiles": _profiles_json(self.profiles),
                                    "measured": self.measured and self.measured.to_json()}

    def _parts(self):
        yield _facts({
            **_run_facts(self),
            "accuracy": f"{percent(self.accuracy)} {self.backend}, "
                        f"{percent(self.training_accuracy)} training, same class {percent(self.agreement)}",
            "equality": _equality(self.bit_exact, self.compared_with, self.mismatches, self.first_difference)
                        + ("" if self.exact else f"; float neurons: {share(self.spike_agreement)} equal"),
            "overflow": _overflow(self.overflow),
            "time": f"{figure(self.seconds)} s run, {figure(self.startup_s)} s start: "
                    + ("host and board together" if self.backend == "loihi" else "this computer, no chip"),
        })
        yield _population_table(self.populations, self.totals)
        yield from self.notes
        if self.measured:
            yield _facts(self.measured.facts())
        if self.profiles:
            yield _energy_table(self.profiles)
            yield from _bases(self.profiles)


@dataclass(frozen=True)
class BackendMatch:
    """One backend against the reference. `agreement` is the share of samples with the same class."""

    backend: str
    version: str
    exact: bool                                 # held to the reference in every bit
    bit_exact: bool
    compared: int
    mismatches: int
    first_difference: Difference | None
    accuracy: float | None
    agreement: float | None
    overflow: int | None
    seconds: float
    populations: dict[str, int]                 # mismatches


@dataclass(frozen=True, kw_only=True)
class VerifyReport(RunReport):
    """Every backend, and training's stored spikes, against the reference; `backend` names all compared."""

    command = "verify"
    reference_version: str
    overflow: int | None                        # of the reference
    backends: tuple[BackendMatch, ...]

    @property
    def first_difference(self) -> Difference | None:
        return next((m.first_difference for m in self.backends if m.first_difference), None)

    def _parts(self):
        yield _facts({
            **_run_facts(self) | {"backend": f"{self.backend} against reference {self.reference_version}"},
            "accuracy": f"{percent(self.accuracy)} reference",
            "overflow": _overflow(self.overflow),
        })
        yield _match_table(self.populations, self.backends)
        yield _backend_table(self.backends)
        for match in self.backends:
            if match.first_difference:
                yield f"first difference of {match.backend}: {match.first_difference}"


@dataclass(frozen=True, kw_only=True)
class EvaluateReport(RunReport):
    """A whole split on the simulator; `equals_training`: the very accuracy that training reported for it, or None."""

    command = "evaluate"
    correct: int
    training_correct: int | None
    equals_training: bool | None
    confusion: tuple[tuple[int, ...], ...]      # [label][prediction]
    classes: tuple[str, ...]

    def _parts(self):
        same = {None: "training reported no figure for this split", True: "exactly what training reported",
                False: f"DIFFERS from training's {self.training_correct}"}[self.equals_training]
        yield _facts({**_run_facts(self),
                      "accuracy": f"{percent(self.accuracy)} ({self.correct} of {self.samples}), {same}"})
        yield _population_table(self.populations, self.totals)
        yield _table(("label", *self.classes),
                     [(name, *map(figure, row)) for name, row in zip(self.classes, self.confusion)], words=("label",))


@dataclass(frozen=True)
class ExportRow:
    """One target: what was written, and how the exported model does on held-out samples, by class.

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
    exported_vs_original: float | None
    exact: bool
    bit_exact: bool | None
    spike_agreement: float | None
    why: str
    summary: dict


@dataclass(frozen=True)
class ExportReport(Report):
    """What `export` wrote and verified."""

    command = "export"
    model: str
    targets: tuple[ExportRow, ...]

    def _parts(self):
        yield _table(("target", "seconds", "kB", "exported\nvs labels", "original\nvs labels", "exported vs\noriginal",
                      "equal spikes"),
                     [(r.target, figure(round(r.seconds, 2)) if r.written else "refused",
                       figure(round(r.bytes / 1000, 1)) if r.written else "-", percent(r.exported_vs_labels),
                       percent(r.original_vs_labels), percent(r.exported_vs_original),
                       "bit-exact" if r.bit_exact else share(r.spike_agreement)) for r in self.targets],
                     words=("target",))
        for row in self.targets:
            if row.written:
                ran = f"; verified on {row.backend} {row.version}, {row.samples} samples" if row.backend else ""
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
        return {"command": self.command,
                "profiles": {p.name: asdict(p) | {"can": abilities(p)} for p in self.profiles}}

    def _parts(self):
        if len(self.profiles) != 1:
            heads = ("profile", "chip", "kind of evidence", "energy", "placement", "limits", "boards", "cases")
            yield _table(heads, [(p.name, p.chip, *map(str, abilities(p).values())) for p in self.profiles],
                         words=heads[:5])
            yield ("evidence: of the energies, or else of what there is; headline: one figure with everything in "
                   "it, prices no network; cases: published inferences; "
                   "`scmrl profiles NAME` shows every number with its source")
            return
        (profile,) = self.profiles
        yield _facts({"profile": profile.name, "title": profile.title, "chip": profile.chip,
                      "basis": profile.basis, "energies are": profile.energy_basis or "not published",
                      "placement": abilities(profile)["placement"]})
        yield from _quantity_table(profile)


@dataclass(frozen=True)
class DoctorReport(Report):
    """What is installed, and how to install the rest."""

    command = "doctor"
    components: tuple[Component, ...]

    def _parts(self):
        yield _table(("component", "version", "state", "enables"),
                     [(c.name, c.version or "-", c.state, c.enables) for c in self.components],
                     words=("component", "version", "state", "enables"))
        for c in self.components:
            if c.state != "installed":
                yield f"{c.name}: {c.install}"


def deploy_report(graph: Graph, labels: np.ndarray | None, activity: Activity, counts: Sequence[PopulationCount], *,
                  model: str, selection: str, trained: Activity | None = None,
                  comparison: Comparison | None = None, exact: bool = True,
                  energy: Sequence[EnergyEstimate] = (), measured: Measurement | None = None) -> DeployReport:
    """Report of `activity` on samples with `labels` [S] (None: unknown).

    `trained` is training's forward on the same samples, `comparison` that with the reference.
    """
    rows = _rows(counts, comparison, activity.overflow)
    return DeployReport(
        **_run(graph, labels, activity, rows, model=model, selection=selection, comparison=comparison),
        training_accuracy=_accuracy(graph, labels, trained), agreement=_agreement(graph, activity, trained),
        compared_with=comparison and comparison.expected, exact=exact,
        spike_agreement=comparison and 1 - comparison.mismatches / max(comparison.compared, 1),
        mismatches=comparison and comparison.mismatches,
        first_difference=comparison and comparison.first, overflow=_sum(activity.overflow),
        seconds=activity.seconds, startup_s=activity.startup_s, notes=activity.notes, profiles=tuple(energy),
        measured=measured)


def verify_report(graph: Graph, labels: np.ndarray | None, reference: Activity, counts: Sequence[PopulationCount],
                  runs: Sequence[tuple[Activity, Comparison]], *, model: str, selection: str,
                  float_backends: Sequence[str] = ()) -> VerifyReport:
    """Report of `runs` (backends, and training's stored spikes), each with its comparison to `reference`.

    `bit_exact` speaks of all but `float_backends`, which are compared and not held to the reference.
    """
    matches = tuple(_backend_match(graph, labels, reference, run, comparison, run.backend not in float_backends)
                    for run, comparison in runs)
    rows = tuple(replace(row, mismatches=_mismatches(row.name, matches))
                 for row in _rows(counts, None, reference.overflow))
    fields = _run(graph, labels, reference, rows, model=model, selection=selection, comparison=None) | {
        "backend": ", ".join(m.backend for m in matches), "version": ", ".join(m.version for m in matches),
        "bit_exact": all(m.bit_exact for m in matches if m.exact) if any(m.exact for m in matches) else None}
    return VerifyReport(**fields, reference_version=reference.version, overflow=_sum(reference.overflow),
                        backends=matches)


def evaluate_report(graph: Graph, labels: np.ndarray, found: np.ndarray, parts: Sequence[Sequence[PopulationCount]],
                    sizes: Sequence[int], *, model: str, selection: str, version: str,
                    training_correct: int | None) -> EvaluateReport:
    """Report of predictions `found` [S] for `labels` [S]; `parts` are the counts of chunks of `sizes` samples."""
    means = [replace(chunks[0], **{name: float(np.average([getattr(c, name) for c in chunks], weights=sizes))
                                   for name in ("spikes_per_inference", "synops_per_inference", "rate",
                                                "graded_synops_per_inference")})
             for chunks in zip(*parts)]
    rows = _rows(means, None, None)
    names = graph.classes or tuple(map(str, range(graph.readout.neurons)))
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (labels, found), 1)
    correct = int(np.sum(found == labels))
    return EvaluateReport(
        model=model, backend="simulator", version=version, samples=len(labels), selection=selection,
        steps=graph.steps, accuracy=correct / len(labels), bit_exact=None, populations=rows, totals=_totals(rows),
        correct=correct, training_correct=training_correct,
        equals_training=None if training_correct is None else correct == training_correct,
        confusion=tuple(tuple(map(int, row)) for row in confusion), classes=names)


def _run(graph: Graph, labels: np.ndarray | None, activity: Activity, rows: tuple[PopulationRow, ...], *, model: str,
         selection: str, comparison: Comparison | None) -> dict:
    values = next(iter((activity.spikes | activity.membrane).values()))
    return {"model": model, "backend": activity.backend, "version": activity.version, "samples": len(values),
            "selection": selection, "steps": int(values.shape[1]),
            "accuracy": _accuracy(graph, labels, activity), "bit_exact": comparison and comparison.bit_exact,
            "populations": rows, "totals": _totals(rows)}


def _rows(counts: Sequence[PopulationCount], comparison: Comparison | None,
          overflow: dict[str, int] | None) -> tuple[PopulationRow, ...]:
    mismatches = {match.name: match.mismatches for match in comparison.populations} if comparison else {}
    return tuple(PopulationRow(
        c.name, c.kind, tuple(int(n) for n in c.shape), int(c.neurons), float(c.spikes_per_inference),
        float(c.rate), float(c.synops_per_inference), float(c.updates_per_inference),
        float(c.graded_synops_per_inference), float(c.dense_synops_per_inference), c.active_per_inference,
        c.receiving_per_inference, mismatches.get(c.name), (overflow or {}).get(c.name)) for c in counts)


def _totals(rows: Sequence[PopulationRow]) -> Totals:
    compared = [row.mismatches for row in rows if row.mismatches is not None]
    sums = {name: sum(getattr(row, name) for row in rows)
            for name in ("neurons", "spikes_per_inference", "synops_per_inference", "updates_per_inference",
                         "graded_synops_per_inference", "dense_synops_per_inference")}
    followed = {name: [getattr(row, name) for row in rows if row.kind != "input"]
                for name in ("active_per_inference", "receiving_per_inference")}
    return Totals(**sums, **{name: None if None in each else sum(each) for name, each in followed.items()},
                  mismatches=sum(compared) if compared else None)


def _accuracy(graph: Graph, labels: np.ndarray | None, activity: Activity | None) -> float | None:
    if labels is None or activity is None or graph.readout is None:
        return None
    return float(np.mean(predictions(graph, activity) == labels))


def _agreement(graph: Graph, one: Activity, other: Activity | None) -> float | None:
    if other is None or graph.readout is None:
        return None
    return float(np.mean(predictions(graph, one) == predictions(graph, other)))


def _backend_match(graph: Graph, labels: np.ndarray | None, reference: Activity, run: Activity,
                   comparison: Comparison, exact: bool) -> BackendMatch:
    return BackendMatch(
        run.backend, run.version, exact, comparison.bit_exact, comparison.compared, comparison.mismatches,
        comparison.first, _accuracy(graph, labels, run), _agreement(graph, run, reference),
        _sum(run.overflow), run.seconds, {match.name: match.mismatches for match in comparison.populations})


def _mismatches(name: str, matches: Sequence[BackendMatch]) -> int | None:
    """Sum over the backends; None for a population that none of them compared (an input)."""
    compared = [m.populations[name] for m in matches if name in m.populations]
    return sum(compared) if compared else None


def _sum(overflow: dict[str, int] | None) -> int | None:
    return None if overflow is None else int(sum(overflow.values()))


def _profiles_json(profiles: Sequence[EnergyEstimate]) -> dict:
    return {estimate.profile: estimate.to_json() for estimate in profiles}


# The terminal.

def figure(x: float | None) -> str:
    """A number in four significant digits, integers in full, never with an exponent; '-' for None."""
    if x is None:
        return "-"
    if x == int(x):
        return f"{int(x):,}"
    return f"{x:,.{max(0, 3 - math.floor(math.log10(abs(x))))}f}"


def share(x: float | None) -> str:
    """A share close to one, with as many digits as tell it from one."""
    return "-" if x is None else f"{100 * x:.5f} %"


def percent(x: float | None) -> str:
    return "-" if x is None else f"{100 * x:.2f} %"


def _span(ends: tuple[float, float] | None, show: Callable[[float], str] = figure) -> str:
    return "-" if ends is None else f"{show(ends[0])} .. {show(ends[1])}"


def _run_facts(report: RunReport) -> dict[str, str]:
    return {"model": report.model, "backend": f"{report.backend} {report.version}",
            "samples": f"{report.samples} ({report.selection}), {report.steps} steps each"}


def _equality(bit_exact: bool | None, expected: str | None, mismatches: int | None,
              first: Difference | None) -> str:
    if bit_exact is None:
        return "not compared"
    if bit_exact:
        return f"bit-exact with {expected}: every population, sample and step"
    return f"DIFFERS from {expected} in {figure(mismatches)} values; first at {first}"


def _result(match: BackendMatch) -> str:
    if match.bit_exact:
        return "bit-exact"
    return "DIFFERS" if match.exact else f"float, {share(1 - match.mismatches / max(match.compared, 1))} equal"


def _overflow(count: int | None) -> str:
    return "not observed" if count is None else f"{figure(count)} neuron-steps reached a 24-bit border"


def _bases(profiles: Sequence[EnergyEstimate]) -> Iterator[str]:
    for estimate in profiles:
        yield f"{estimate.profile}: {estimate.basis}"


def _population_table(rows: Sequence[PopulationRow], totals: Totals):
    cells = [(r.name, _shape(r.shape), figure(r.neurons), figure(r.spikes_per_inference), figure(r.rate),
              figure(r.synops_per_inference), figure(r.mismatches)) for r in rows]
    total = ("total", "", figure(totals.neurons), figure(totals.spikes_per_inference), "",
             figure(totals.synops_per_inference), figure(totals.mismatches))
    return _table(("population", "shape", "neurons", "spikes/inf", "rate", "synops/inf", "mismatches"), cells,
                  words=("population", "shape"), footer=total)


def _match_table(rows: Sequence[PopulationRow], matches: Sequence[BackendMatch]):
    cells = [(r.name, _shape(r.shape), figure(r.neurons), figure(r.spikes_per_inference),
              *(figure(m.populations.get(r.name)) for m in matches)) for r in rows]
    heads = ("population", "shape", "neurons", "spikes/inf", *(f"{m.backend}\nmismatches" for m in matches))
    total = ("total", "", "", "", *(figure(m.mismatches) for m in matches))
    return _table(heads, cells, words=("population", "shape"), footer=total)


def _backend_table(matches: Sequence[BackendMatch]):
    cells = [(m.backend, m.version, _result(m), figure(m.mismatches),
              figure(m.compared), percent(m.accuracy), percent(m.agreement), figure(m.overflow),
              figure(m.seconds)) for m in matches]
    return _table(("backend", "version", "result", "mismatches", "of values", "accuracy", "same class",
                   "overflow", "seconds"), cells, words=("backend", "version"))


def _energy_table(profiles: Sequence[EnergyEstimate]):
    names = ("core_dynamic_uj", "core_static_uj", "host_uj", "total_uj", "latency_us")
    cells = [(e.profile, *(f"{figure(getattr(e, name))}\n{_span(e.ranges[name])}" for name in names),
              figure(e.cores)) for e in profiles]
    return _table(("profile", "core dynamic\nuJ/inf", "core static\nuJ/inf", "host\nuJ/inf", "total\nuJ/inf",
                   "latency\nus", "cores"), cells, words=("profile",))


def _quantity_table(profile: Profile) -> Iterator[object]:
    """Every quantity with the letter of its source, then the sources."""
    chip, published = profile.quantities(), profile.published()
    sources = dict.fromkeys(q.source for q in (*chip.values(), *published.values()))
    letters = {source: _letter(i) for i, source in enumerate(sources)}
    for head, quantities in (("quantity", chip), ("board or published case", published)):
        if quantities:
            yield _table((head, "value", "unit", "range", "kind", "source"),
                         [(name, f"{q.value:,}", q.unit, _span(q.range, "{:,}".format), q.kind, letters[q.source])
                          for name, q in quantities.items()], words=(head, "unit", "kind", "source"))
    yield _facts({f"{name} by core": " ".join(f"{value:,}" for value in q.each)
                  for name, q in chip.items() if q.each})
    yield _facts({letter: source for source, letter in letters.items()})


def abilities(profile: Profile) -> dict[str, str | int]:
    """What a profile is good for: its evidence, energy, placement, and how many rules, boards and cases."""
    quantities = profile.energy or profile.published() or profile.limits
    energy = [words for key, words in (("synop", "per operation"), ("mac", "MACs"), ("synop_all_in", "headline"))
              if key in profile.energy]
    cores = {"cores", "neurons_per_core"} <= profile.limits.keys()
    return {"evidence": ", ".join(sorted({q.kind for q in quantities.values()})),
            "energy": ", ".join(energy) or "-",
            "placement": f"{profile.mapping} rule" if profile.mapping else "bounds" if cores else "-",
            "limits": len(RULES.keys() & profile.limits.keys()),
            "boards": len(profile.systems), "cases": len(profile.cases)}


def _letter(i: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    return (_letter(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _console(file: TextIO):
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        raise MissingDependency("rich", enables="tables on the terminal (--json works without it)",
                                install="pip install scmrl") from None
    width = shutil.get_terminal_size((PIPE_WIDTH, 24)).columns
    return Console(file=file, width=width, markup=False, emoji=False, highlight=False)


def _print(console, part: object) -> None:
    """Print at the width of the terminal, or wider where a number would be cut; the terminal wraps that."""
    from rich.measure import Measurement

    if part:
        needed = Measurement.get(console, console.options.update(max_width=UNLIMITED), part).minimum
        terminal, console.width = console.width, max(console.width, needed)
        console.print(part, soft_wrap=False, crop=False)
        console.width = terminal


def _facts(facts: dict[str, str]):
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in facts.items():
        grid.add_row(name, text)
    return grid


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[str],
           footer: Sequence[str] = ()):
    """A table whose columns named in `words` hold words, which may wrap; the others numbers, never cut."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_footer=bool(footer), footer_style="bold", pad_edge=False)
    for i, head in enumerate(heads):
        column = [head, *(row[i] for row in rows), *footer[i:i + 1]]
        widest = max(len(line) for cell in column for line in cell.split("\n"))
        keep = head not in words or i == 0          # names stay whole, too
        table.add_column(head, footer[i] if footer else "", justify="left" if head in words else "right",
                         no_wrap=keep, min_width=widest if keep else None, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
