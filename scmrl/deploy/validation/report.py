"""What the validation found: for the terminal and as JSON, and the words and numbers that its page
shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from ...core.report.report import Block, Report, table
from ...core.report.text import figure
from .cases import CORE, DAVIES, KINDS, LOIHI_2, Case
from .left_out import Totals, width
from .lsnn import Run
from .predictions import Outcome, Prediction
from .scores import AS_PREDICTED, BLIND, ENERGY, TIME, TODAY, Score
from .step_time import StepTime

HEADLINE = ("ranges", "blind", "time of a step", "cores", "LSNN")
OWN = (
    DAVIES,
    LOIHI_2,
    "truenorth",
    "odin",
)  # coefficients that a user gets without asking for others
KIND_TEXTS = {
    "complete": "all counts public",
    "bounded": "a count bounded",
    "floor": "a floor alone",
    "fitted": "source of the coefficient",
}


@dataclass(frozen=True)
class CoreCount:
    """Cores by population, placed and published. No test of a rule: `by_hand`, laid out by the
    authors; `fitted`, the rule was read off this log.
    """

    name: str
    profile: str
    placed: dict[str, int]
    published: dict[str, int]
    by_hand: bool
    fitted: bool
    note: str
    source: str

    @property
    def worst(self) -> str:
        """The population whose count is furthest off."""
        return max(self.placed, key=lambda name: abs(self.placed[name] - self.published[name]))

    @property
    def tests(self) -> bool:
        return not (self.by_hand or self.fitted)

    @property
    def within(self) -> bool:
        """Every population within one core or 5 %."""
        return all(
            abs(self.placed[name] - n) <= max(1, 0.05 * n) for name, n in self.published.items()
        )


@dataclass(frozen=True)
class LeftOut:
    """Range of a measurement from the errors of the other measurements, and of the other networks,
    alone.
    """

    name: str
    measured: float
    range: tuple[float, float]
    inside: bool
    network_range: tuple[float, float]
    network_inside: bool


@dataclass(frozen=True)
class ValidationReport(Report):
    """Every published case with its estimate. `lsnn` is None where its data were absent."""

    command = "validate"
    version: str
    cases: tuple[Case, ...]
    not_computable: dict[str, str]
    lsnn: Run | None
    lsnn_not_run: str
    readings: dict[str, dict[str, float]]
    left_out: tuple[LeftOut, ...]
    core_counts: tuple[CoreCount, ...]
    step_times: tuple[StepTime, ...]
    predictions: tuple[Prediction, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    scores: tuple[Score, ...] = ()
    totals: Totals = field(kw_only=True)

    def tested(self, kind: str | None = None, *, default: bool = True) -> list[Case]:
        """Cases that are evidence, of one kind, with the default coefficients or the alternative
        ones.
        """
        return [
            c
            for c in self.cases
            if c.counts and kind in (None, c.kind) and (c.profile in (DAVIES, LOIHI_2)) == default
        ]

    @property
    def contained(self) -> float:
        """Share of tested cases whose range contains the measurement."""
        tested = self.tested()
        return sum(bool(c.inside) for c in tested) / len(tested)

    def wrong(self, which: str) -> list[list[Score]]:
        """Scores of coefficients times a factor, a row for each group and kind that it changes."""
        rows: dict[tuple[str, str], list[Score]] = {}
        for s in self.scores:
            if s.coefficients == which:
                rows.setdefault((s.group, s.kind), []).append(s)
        return [row for row in rows.values() if len({s.interval_score for s in row}) > 1]

    def to_json(self) -> dict:
        table = [
            asdict(c) | {"error": c.error, "inside": c.inside, "counts": c.counts}
            for c in self.cases
        ]
        times = [asdict(t) | {"holds": t.holds, "inside": t.inside} for t in self.step_times]
        cores = [asdict(c) | {"within": c.within} for c in self.core_counts]
        run = self.lsnn and asdict(self.lsnn) | {"as_on_the_chip": self.lsnn.as_on_the_chip}
        return super().to_json() | {
            "cases": table,
            "step_times": times,
            "core_counts": cores,
            "lsnn": run,
            "contained": self.contained,
            "predictions": [asdict(p) for p in self.predictions],
            "outcomes": [_outcome(o) for o in self.outcomes],
            "scores": [asdict(s) for s in self.scores],
        }

    def summary(self) -> dict[str, str]:
        """The findings in one line each."""
        tested = self.tested()
        lines = {
            "ranges": (
                f"{share(tested)} published measurements lie in the range that scmrl gives, "
                f"{100 * self.contained:.0f} %"
            )
        }
        lines |= {KIND_TEXTS[kind]: share(self.tested(kind)) for kind in KINDS[:3]}
        lines["other coefficients"] = f"{share(self.tested(default=False))} (SANA-FE)"
        if self.left_out:
            inside = sum(row.inside for row in self.left_out)
            lines["left out in turn"] = (
                f"{inside} of {len(self.left_out)} core dynamic measurements lie in "
                "the range that the others alone would give"
            )
        of = self.totals
        lines["totals on Loihi 2"] = (
            f"range {figure(of.range[0])}..{figure(of.range[1])} of an estimate, from"
            f" {len(of.each)} sources left out in turn: {figure(width(of.range))} times as high as"
            f" low, {figure(width(of.timed))} where the time of a step is known; it holds"
            f" {100 * of.blind:.0f} % of the {of.networks} blind networks ({', '.join(of.chips)})"
        )
        free = [t for t in self.step_times if not t.fitted]
        holding = sum(t.holds for t in self.step_times)
        lines["time of a step"] = (
            f"{holding} of {len(self.step_times)} lower bounds hold; "
            f"{sum(t.inside for t in free)} of {len(free)} lie in the range"
        )
        rules = [c for c in self.core_counts if c.tests]
        within = sum(c.within for c in rules)
        lines["cores"] = (
            f"{within} of {len(rules)} networks whose rule was not read off them within one core or"
            f" 5 % in every layer; {sum(c.fitted for c in self.core_counts)} more are fitted"
        )
        if self.predictions:
            lines["blind"] = blind_line(self.predictions, self.outcomes, self.scores)
        lines["LSNN"] = _chip(self.lsnn) if self.lsnn else self.lsnn_not_run
        return lines

    def headline(self) -> dict[str, str]:
        return {name: text for name, text in self.summary().items() if name in HEADLINE}

    def details(self) -> Iterator[Block]:
        yield {name: text for name, text in self.summary().items() if name not in HEADLINE}
        for kind, text in KIND_TEXTS.items():
            yield table(
                (text, "estimate", "range", "measured", "error %", "inside"),
                [_short(c) for c in self.cases if c.kind == kind],
                words=(text,),
            )
        yield table(
            ("time of a step, us", "bound", "measured", "range", "bound holds", "inside"),
            [time_cells(t) for t in self.step_times],
            words=("time of a step, us",),
        )
        yield table(
            ("cores", "chip", "placed", "published", "furthest off", "within"),
            [core_cells(c) for c in self.core_counts],
            words=("cores",),
        )
        yield table(
            ("predicted, then measured", "quantity", "range", "measured", "inside"),
            [outcome_cells(o) for o in self.outcomes],
            words=("predicted, then measured", "quantity"),
        )
        yield table(
            ("scores", "kind", "networks", "measurements", "inside %", "interval score"),
            [score_cells(s) for s in self.scores if s.coefficients in (AS_PREDICTED, TODAY)],
            words=("scores", "kind"),
        )


# ---- cells ---------------------------------------------------------------------------------------


def blind_line(
    predictions: Sequence[Prediction], outcomes: Sequence[Outcome], scores: Sequence[Score]
) -> str:
    """How many were predicted and measured, and what the predictions were worth."""
    found = [o for o in outcomes if o.blind]
    parts = [
        f"{kind} {100 * s.coverage:.0f} % inside, interval score {s.interval_score:.2f}"
        for kind in (ENERGY, TIME)
        for s in scores
        if (s.group, s.kind, s.coefficients) == (BLIND, kind, AS_PREDICTED)
    ]
    return (
        f"{len({o.prediction.network for o in found})} of"
        f" {len({p.network for p in predictions})} predicted networks measured; {'; '.join(parts)}"
    )


def _outcome(o: Outcome) -> dict:
    fields = ("quantity", "measured", "source", "note", "blind", "interval", "inside")
    row = {"prediction": o.prediction.name, "sha256": o.prediction.sha256}
    return row | {name: getattr(o, name) for name in fields}


def share(cases: Sequence[Case]) -> str:
    """In how many of them the range contains the measurement."""
    return f"{sum(bool(c.inside) for c in cases)} of {len(cases)}"


def _chip(run: Run) -> str:
    same = "the chip's own answers" if run.as_on_the_chip else "NOT the chip's answers"
    return (
        f"{run.correct} of {run.images} images correct, {len(run.mistakes)} mistakes, image for"
        f" image {same}; {run.seconds:.0f} s"
    )


def word(answer: bool | None) -> str:
    return {None: "no range", True: "yes", False: "no"}[answer]


def span(ends: tuple[float | None, float | None], show: Callable[[float], str] = figure) -> str:
    low, high = ends
    if low is None:
        return "-"
    if high is None:
        return f"from {show(low)}"
    return show(low) if show(low) == show(high) else f"{show(low)}..{show(high)}"


def percent(error: float) -> str:
    """Signed, without minus zero."""
    return f"{round(100 * error, 1) + 0.0:+.1f}" if abs(error) < 0.1 else f"{100 * error:+.0f}"


def _counted(answer: bool | None, counts: bool) -> str:
    """In brackets where the answer is no evidence."""
    return word(answer) if counts else f"({word(answer)})"


def label(c: Case) -> str:
    """Name of a case, with its quantity where that is not the core dynamic energy."""
    return c.name if c.quantity == CORE or c.quantity in c.name else f"{c.name}: {c.quantity}"


def cells(c: Case) -> tuple[str, ...]:
    """A case as the page shows it."""
    return (
        label(c),
        c.profile,
        c.kind,
        c.unit,
        span(c.estimate),
        span(c.range),
        figure(c.measured),
        span(c.error, percent),
        _counted(c.inside, c.counts),
    )


def _short(c: Case) -> tuple[str, ...]:
    """A case as the terminal shows it."""
    name, profile, _, unit, estimate, ends, measured, error, inside = cells(c)
    if profile not in OWN:
        name += f" ({profile.rsplit('-', 1)[-1]})"
    return name, estimate, ends, f"{measured} {unit}", error, inside


def time_cells(t: StepTime) -> tuple[str, ...]:
    return (
        t.name,
        figure(t.bound_us),
        figure(t.measured_us),
        span(t.printed_us),
        word(t.holds),
        _counted(t.inside, not t.fitted),
    )


def outcome_cells(o: Outcome) -> tuple[str, ...]:
    low, _, high = o.interval
    inside = word(o.inside) if o.blind else f"({word(o.inside)})"
    return o.prediction.name, o.quantity, span((low, high)), figure(o.measured), inside


def score_cells(s: Score) -> tuple[str, ...]:
    return (
        f"{s.group}, {s.coefficients}",
        s.kind,
        str(s.networks),
        str(s.measurements),
        f"{100 * s.coverage:.0f}",
        f"{s.interval_score:.2f}",
    )


def core_cells(c: CoreCount) -> tuple[str, ...]:
    off = c.placed[c.worst] - c.published[c.worst]
    return (
        c.name,
        c.profile,
        str(sum(c.placed.values())),
        str(sum(c.published.values())),
        f"{c.worst} {off:+d}" if off else "none",
        _counted(c.within, c.tests),
    )


def grid(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: Sequence[int]
) -> Iterator[str]:
    """A table in Markdown; the columns numbered in `words` are aligned left."""
    yield f"| {' | '.join(heads)} |"
    yield "|" + "|".join("---" if i in words else "---:" for i in range(len(heads))) + "|"
    yield from (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
    yield ""
