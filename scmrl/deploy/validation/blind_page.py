"""The page of predictions, and what the page of validation says of them: scores, those of wrong
coefficients, and a referee's objections with their answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ...core.report.text import figure
from ...system.reading import read_toml
from .cases import LOIHI_2, makes_the_band
from .left_out import sources, width
from .predictions import apart, refused
from .report import (
    OWN,
    ValidationReport,
    blind_line,
    grid,
    outcome_cells,
    percent,
    score_cells,
    share,
    span,
)
from .scores import (
    AS_PREDICTED,
    BLIND,
    ENERGIES,
    ENERGY,
    REFITTED,
    REREAD,
    TODAY,
    WRONG,
    Score,
)

SCORES = """\
## Scores

Ranges with two ends alone, the measurements of a network averaged first. *blind*: predicted before
the measurement was looked up ([predictions]({beside})); *refitted*: every other measurement that
the range was not made of; *the band's own*: inside by construction. The interval score (Gneiting &
Raftery 2007, on natural logarithms, for ranges that are to hold 80 %) punishes width and misses:
less is better, 2.3 is a range ten times as high as low that holds its measurement. *as predicted*
is what stands committed; *today* is recomputed with the estimator of this version, and no
prediction any more.
"""
WRONG_HEAD = """\
### The same for wrong coefficients

Share inside in %, and the interval score, with coefficients of the profiles times a factor. A test
that can tell is best at x1.
"""
TOTALS = """\
## Totals on Loihi 2, each source left out

What a total is worth where static and fixed power and the floor of a step are measured: the energy
of each source against an estimate whose constants know nothing of it (`left_out.py`). The profile's
range of a total is the estimate times the least and the largest ratio: {low}..{high}, {width} times
as high as low. Where the time of a step was measured, it is {timed_low}..{timed_high},
{timed_width} times. A factor of 6 is honest of the second alone: the only two free-running steps
that are public differ by {steps}, so the time of a network may be off by as much before its power
is. Of {sources} sources the range holds one more that is like them with probability {expected} %.
Of the {networks} blind networks with an energy, all on {chips}, it holds {blind} %, the timed one
{blind_timed} %; on Loihi 2 none that was predicted has been measured.
"""
OBJECTIONS = "## Objections, answered\n"
PREDICTIONS = """\
# Predictions

What the estimator said of networks before their measurement was looked up. Of every network the
public specification was read, in code where possible, and counts and ranges derived; the row and
its SHA-256 were committed (`scmrl/deploy/validation/predictions.toml`); then the measurement was
searched for, and committed later (`measurements.toml`), inside or outside. `git log` of both files
shows the order, and `scmrl validate` refuses a row that is not what its hash was made of. Blind
means that the measurement stood neither here nor in what whoever predicted it had read.
Written by `scmrl validate --write {path}`; scores are in [validation]({beside}).

{line}. Eight blind networks were looked for: {why}

## What was measured

In brackets: not blind.
"""
WHY = """\
of most predicted networks only the paper's PDF or a figure has the measurement, and what could be
searched are public repositories and the beginnings of pages."""
APART = "## Found otherwise, or not found\n"
REFUSED = "## No candidates\n"
ROWS = "## The predictions\n"


def scored(report: ValidationReport, beside: str) -> Iterator[str]:
    """The scores, and those of wrong coefficients."""
    yield SCORES.format(beside=beside)
    first = [s for s in report.scores if s.coefficients in (AS_PREDICTED, TODAY)]
    yield from grid(
        ("ranges", "of", "networks", "measurements", "inside %", "interval score"),
        [score_cells(s) for s in first],
        words=(0, 1),
    )
    yield WRONG_HEAD
    rows = [row for which in WRONG for row in report.wrong(which)]
    factors = [f"x{s.factor:g}" for s in rows[0]] if rows else []
    yield from grid(
        ("times a factor", "ranges", "of", *factors),
        [
            (
                row[0].coefficients,
                row[0].group,
                row[0].kind,
                *(f"{100 * s.coverage:.0f}; {s.interval_score:.2f}" for s in row),
            )
            for row in rows
        ],
        words=(0, 1, 2),
    )
    yield f"{verdict(report)}\n"


def predictions_page(report: ValidationReport, path: str, beside: str) -> Iterator[str]:
    """The lines of the page of predictions."""
    line = blind_line(report.predictions, report.outcomes, report.scores)
    yield PREDICTIONS.format(path=path, beside=beside, line=line.capitalize(), why=WHY)
    yield from grid(
        ("prediction", "quantity", "range", "measured", "inside", "source", "note", "sha256"),
        [
            (*outcome_cells(o), o.source, o.note, f"`{o.prediction.sha256[:12]}`")
            for o in report.outcomes
        ],
        words=(0, 1, 4, 5, 6, 7),
    )
    yield APART
    yield from grid(("prediction", "what"), list(apart().items()), words=(0, 1))
    yield REFUSED
    yield from grid(("measurement", "why"), list(refused().items()), words=(0, 1))
    yield ROWS
    for p in report.predictions:
        yield f"### {p.name}\n"
        yield f"{p.specification}. Source: {p.source}. Counts: {p.derivation}.\n"
        yield f"Profile `{p.profile}`, {p.estimator}; sha256 `{p.sha256}`.\n"
        ranges = [(name, *(figure(end) for end in p.intervals[name])) for name in p.intervals]
        yield from grid(("quantity", "low", "value", "high"), ranges, words=(0,))


def totals(report: ValidationReport) -> Iterator[str]:
    """The sources of a total's range, each left out, and what the range is worth."""
    t = report.totals
    floor = [
        end for s in sources() if s.us is not None and s.busiest < 1000 for end in s.us_per_step
    ]
    yield TOTALS.format(
        low=figure(t.range[0]),
        high=figure(t.range[1]),
        width=figure(width(t.range)),
        timed_low=figure(t.timed[0]),
        timed_high=figure(t.timed[1]),
        timed_width=figure(width(t.timed)),
        steps=f"{max(floor) / min(floor):.1f}",
        sources=len(t.each),
        expected=f"{100 * t.expected:.0f}",
        networks=t.networks,
        chips=" and ".join(t.chips),
        blind=f"{100 * t.blind:.0f}",
        blind_timed=f"{100 * t.blind_timed:.0f}",
    )
    heads = (
        "left out",
        "measured uJ",
        "estimate without it",
        "measured over it",
        "at the measured time",
        "measured over that",
        "static, fixed mW",
        "floor us",
        "operation ns",
        "source",
    )
    rows = [
        (
            row.name,
            figure(row.measured),
            span(row.estimate),
            span(row.ratio),
            span(row.timed),
            span(row.timed_ratio),
            f"{figure(row.constants.static_mw)}, {figure(row.constants.fixed_mw)}",
            span(row.constants.floor_us),
            figure(row.constants.synop_ns),
            row.source,
        )
        for row in t.each
    ]
    yield from grid(heads, rows, words=(0, 9))


def verdict(report: ValidationReport) -> str:
    """What the scores of wrong coefficients say: which factor is best, and how blind ones miss."""
    rows = [row for which in WRONG for row in report.wrong(which)]
    best = [min(row, key=lambda s: s.interval_score) for row in rows]
    groups = {s.group: [b for b in best if b.group == s.group] for s in best}
    found = [o for o in report.outcomes if o.blind]
    above = sum(o.measured > o.interval[2] for o in found)
    below = sum(o.measured < o.interval[0] for o in found)
    parts = []
    for name, each in groups.items():
        others = ", ".join(f"x{f:g}" for f in sorted({b.factor for b in each if b.factor != 1}))
        right = sum(b.factor == 1 for b in each)
        parts.append(f"{name}: {right} of {len(each)} rows are best at x1")
        parts[-1] += f", the others at {others}" if others else ""
    return (
        f"{'. '.join(part[0].upper() + part[1:] for part in parts)}. Of {len(found)} blind readings"
        f" {above} lie above their range and {below} below it."
    )


def objections(report: ValidationReport) -> Iterator[str]:
    """Each objection with its answer, numbered."""
    yield OBJECTIONS
    yield from (f"{n}. **{said}** {answer}" for n, (said, answer) in enumerate(answers(report), 1))
    yield ""


def answers(report: ValidationReport) -> Iterator[tuple[str, str]]:
    """Each objection with its answer, the figures filled in."""
    figures = _figures(report)
    for row in read_toml(Path(__file__).with_name("objections.toml"))["objection"]:
        yield row["text"], row["answer"].format(**figures)


def _figures(report: ValidationReport) -> dict[str, object]:
    """What the answers quote."""
    tested = [c for c in report.tested("complete") if c.profile in OWN]
    rest = [c for c in tested if not makes_the_band(c)]
    missed = [c for c in report.tested() if not c.inside]
    names = {c.name: c for c in report.cases if c.profile in OWN}
    quartz = [c for c in report.cases if c.network == "Quartz MNIST" and c.kind == "bounded"]
    loihi2 = [c for c in rest if c.profile == LOIHI_2]
    layers = [(n, c.placed[name]) for c in report.core_counts for name, n in c.published.items()]
    small = [(published, placed) for published, placed in layers if published <= 3]
    steps = [t for t in report.step_times if not t.fitted]
    attractor = [o.measured for o in report.outcomes if "attractor" in o.prediction.network]

    return _score_figures(report) | {
        "band": sum(makes_the_band(c) for c in tested),
        "rest": len(rest),
        "rest_inside": share(rest).split(" of ")[0],
        "rest_names": "outside: " + "; ".join(c.name for c in rest if not c.inside),
        "pilotnet": span(names["PilotNet LIF"].error, percent),
        "loihi2": len(loihi2),
        "loihi2_inside": share(loihi2).split(" of ")[0],
        "totals_width": figure(width(report.totals.range)),
        "totals_timed": figure(width(report.totals.timed)),
        "outside": len(missed),
        "outside_steps": sum(not t.inside for t in steps),
        "braille": span(names["Braille RSNN, static power of a chip"].range),
        "fitted_cores": sum(c.fitted for c in report.core_counts),
        "tested_cores": sum(c.tests for c in report.core_counts),
        "layers": len(layers),
        "small": len(small),
        "small_wrong": sum(published != placed for published, placed in small),
        "attractor": f"{max(attractor) / min(attractor):.0f}",
        "quartz": ", ".join(span(c.range) for c in quartz),
        "quartz_measured": ", ".join(figure(c.measured) for c in quartz),
        "quartz_inside": sum(bool(c.inside) for c in quartz),
    }


def _score_figures(report: ValidationReport) -> dict[str, object]:
    """What the answers quote of the scores."""

    def scored(which: str, group: str, show: Callable[[Score], str]) -> str:
        each = [
            s for s in report.scores if (s.coefficients, s.group, s.kind) == (which, group, ENERGY)
        ]
        return ", ".join(show(s) for s in each) or "not computed without the LSNN"

    def coverage(s: Score) -> str:
        return f"{100 * s.coverage:.0f}"

    def interval(s: Score) -> str:
        return f"{s.interval_score:.2f}"

    reread = [
        s.interval_score
        for s in report.scores
        if (s.coefficients, s.group, s.kind) == (REREAD, REFITTED, ENERGY)
    ]
    return {
        "blind_energy": scored(AS_PREDICTED, BLIND, coverage),
        "reread_coverage": scored(REREAD, REFITTED, coverage),
        "reread_score": scored(REREAD, REFITTED, interval),
        "reread_spread": f"{max(reread, default=0) - min(reread, default=0):.2f}",
        "energies_score": scored(ENERGIES, REFITTED, interval),
    }
