"""docs/validation.md with its picture, and docs/predictions.md: the findings as pages of tables,
written by `scmrl validate --write`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...core.report import drawing
from ...core.report.drawing import LIGHT
from ...core.report.report import Figure
from ...core.report.text import figure
from ...hw_profiles import profile as profiles
from ...system.storage import whole_file
from ...system.targets import check_ending
from .blind_page import objections, predictions_page, scored, totals
from .cases import CORE, DAVIES, Case, makes_the_band
from .core_counts import NOT_PUBLIC
from .lsnn import CHIP_CORRECT
from .report import (
    KIND_TEXTS,
    OWN,
    ValidationReport,
    cells,
    core_cells,
    grid,
    label,
    share,
    span,
    time_cells,
    word,
)
from .scores import GOAL

HEAD = """\
# Estimates against published measurements

What the energy, latency and core counts of this package rest on: every published measurement whose inputs
are public, or can be bounded, recomputed. No coefficient was tuned to a case; those that cannot be computed
are listed with what is missing. What was predicted before it was looked up is in [predictions]({beside}).
Written by `scmrl validate --write {path}` of scmrl {version}.
"""
ENERGY = """\
## Energy and power

*complete*: every count is public, and the range is the one that scmrl prints for such an estimate.
*bounded*: a count is not public but lies between two limits, and the range is what they give. *floor*: only
part of the work is public, and the range goes from the energy of that part upwards. *fitted*: the
measurement is among the sources of the coefficient: agreement shows that it was read right, and no more; in
brackets, and never counted.

The estimate of a *complete* case spans what its last column says is not public. Where two coefficient sets
exist for a chip, both are shown: `loihi1` (Davies et al. 2018, the default) and `loihi1-sanafe` (Boyle et
al. 2025).

![Estimate against measurement]({picture})
"""
RANGES = """\
### What the ranges are worth

The range of core dynamic energies on Loihi 1 and 2, {low:+.0f}..{high:+.0f} %, was read off the k-NN,
PilotNet and LSNN cases, so it contains them by construction; their errors span {first:+.0f}..{last:+.0f} %,
and it is no wider. A floor can fail in one direction only, and a bounded range is as wide as its count:
weak evidence, both. Without the construction: each measurement in turn against the range which the errors
of the other measurements, or of the other networks, would have given.
"""
LSNN_HEAD = """\
## The sMNIST LSNN, run here

Intel's published sequential-MNIST network for Loihi 1: 80 relays, 140 regular and 100 adaptive neurons (two
compartments each, the second added to the first in the same step), 10 outputs, recurrent, 840 steps. Built
as a graph (`scmrl/deploy/validation/lsnn.py`) and run on the simulator. Its weights are -254..255, the 9 bits of
separate excitatory and inhibitory sets: one bit wider than the profile's mixed 8.
"""
LSNN_ENERGY = """\
Energy of both cores in uJ by what "active" means, which Davies et al. do not say. Two published
measurements of this one network disagree by 1.6: {probe} uJ (NxSDK's split of shared rails, method not
published) and {slope} uJ (slope over copies, without the relay core; it may hold static power, 29 to 55
uJ).
"""
TIMES = """\
## Time of a step

The work of the busiest core is a lower bound: barrier, synaptic operations, updates, all at the fast end.
The range that scmrl prints adds the profile's floor of a step, which covers how much the host takes part;
in brackets where the measurement is among the floor's sources.
"""
CORES = """\
## Cores

Placement (`scmrl place`) against published core counts; within: every layer within one core or 5 %. In
brackets: laid out by the authors by hand, no test of a rule.
"""
MISSING = "## What cannot be computed\n"
INPUTS = "## Published inputs\n"
GREY, INSIDE, OUTSIDE = LIGHT["faint"], LIGHT["blue"], LIGHT["red"]
MARKS = {"complete": "o", "bounded": "s", "floor": "^"}
ENDLESS = 30.0  # times the measurement: how far a range without an end is drawn


def picture_of(page: Path) -> Path:
    """The picture that lies beside a page."""
    return page.with_suffix(".svg")


def predictions_of(page: Path) -> Path:
    """The page of predictions that lies beside a page."""
    own = page.stem == "validation"
    return page.with_name("predictions.md" if own else f"{page.stem}-predictions.md")


def write_page(report: ValidationReport, path: Path) -> list[Path]:
    """Write the page, its picture (with the ending .svg) and the page of predictions; returns the
    paths.
    """
    check_ending(path, "table")
    picture, beside = picture_of(path), predictions_of(path)
    draw(report, picture)
    texts = {
        path: page(report, path.as_posix(), picture.name, beside.name),
        beside: predictions_page(report, path.as_posix(), path.name),
    }
    for target, lines in texts.items():
        with whole_file(target, "table") as temporary:
            Path(temporary).write_text("\n".join(lines), encoding="utf-8")
    return [path, picture, beside]


def page(report: ValidationReport, path: str, picture: str, beside: str) -> Iterator[str]:
    """The lines of the page."""
    yield HEAD.format(path=path, version=report.version, beside=beside)
    yield from (f"- {name}: {text}" for name, text in _stable(report).items())
    yield ""
    yield ENERGY.format(picture=picture)
    heads = (
        "case",
        "coefficients",
        "kind",
        "unit",
        "estimate",
        "range",
        "measured",
        "error %",
        "inside",
        "not public",
    )
    yield from grid(heads, [(*cells(c), c.missing) for c in report.cases], words=(0, 1, 2, 3, 8, 9))
    yield from _ranges(report)
    yield from totals(report)
    yield from scored(report, beside)
    yield from objections(report)
    yield from _lsnn(report)
    yield TIMES
    yield from grid(
        (
            "case",
            "bound us",
            "measured us",
            "range us",
            "bound holds",
            "inside",
            "work in the bound",
        ),
        [(*time_cells(t), t.work) for t in report.step_times],
        words=(0, 4, 5, 6),
    )
    yield CORES
    yield from grid(
        ("network", "chip", "placed", "published", "furthest off", "within", "note", "source"),
        [(*core_cells(c), c.note, c.source) for c in report.core_counts],
        words=(0, 1, 4, 5, 6, 7),
    )
    yield MISSING
    yield from _missing(report)
    yield INPUTS
    yield from grid(
        ("case", "figure", "value", "kind", "source"), list(_inputs(report)), words=(0, 1, 3, 4)
    )


def _stable(report: ValidationReport) -> dict[str, str]:
    """The summary without what differs from run to run."""
    lines = report.summary()
    return lines | {"LSNN": lines["LSNN"].rsplit(";", 1)[0]} if report.lsnn else lines


def _ranges(report: ValidationReport) -> Iterator[str]:
    cases = [c for c in report.tested("complete") if c.quantity == CORE]
    errors = [e for c in cases for e in c.error if e is not None]
    band = profiles.load(DAVIES).error
    yield RANGES.format(
        low=100 * band["core_dynamic_low"].value,
        high=100 * band["core_dynamic_high"].value,
        first=100 * min(errors),
        last=100 * max(errors),
    )
    heads = (
        "measurement",
        "measured uJ",
        "range from the other measurements",
        "inside",
        "range from the other networks",
        "inside",
    )
    if report.left_out:
        yield from grid(
            heads,
            [
                (
                    row.name,
                    figure(row.measured),
                    span(row.range),
                    word(row.inside),
                    span(row.network_range),
                    word(row.network_inside),
                )
                for row in report.left_out
            ],
            words=(0, 3, 5),
        )
    else:
        yield f"Left out here, since it needs the LSNN: {report.lsnn_not_run}.\n"
    outside = [c for c in report.tested() if not c.inside]
    others = [c for c in report.tested() if not makes_the_band(c)]
    inside = sum(bool(c.inside) for c in others)
    yield (
        f"The goal of {100 * GOAL:.0f} % of ranges that contain their measurement is "
        f"{'met' if report.contained >= GOAL else 'missed'} with {share(report.tested())}"
        + (f"; outside: {', '.join(c.name for c in outside)}" if outside else "")
        + f". Without those that the range was read off it is "
        f"{'met' if inside >= GOAL * len(others) else 'missed'}: {share(others)}. Powers of Loihi 2"
        " that lay outside once are the sources of its constants now, and in brackets.\n"
    )


def _lsnn(report: ValidationReport) -> Iterator[str]:
    yield LSNN_HEAD
    run = report.lsnn
    if run is None:
        yield f"**{report.lsnn_not_run.capitalize()}.**\n"
        return
    pairs = ", ".join(f"{target} as {answer}" for target, answer in run.mistakes)
    verdict = "the chip's own, in its order" if run.as_on_the_chip else "NOT those of the chip"
    yield (
        f"{run.correct} of {run.images} images correct; on the chip {CHIP_CORRECT}. "
        f"The {len(run.mistakes)} mistakes are {verdict}: {pairs}.\n"
    )
    rows = [
        ("synaptic operations", run.total_synops),
        ("neuron updates", run.updates),
        ("compartment-steps that receive a spike", run.receiving),
        ("compartment-steps with non-zero state or input", run.nonzero),
        *((f"spikes of {name}", n) for name, n in run.spikes.items()),
        *((f"synaptic operations {name}", n) for name, n in run.synops.items()),
    ]
    yield from grid(
        ("per inference", "mean of 200 images"),
        [(name, f"{n:,.3f}".rstrip("0").rstrip(".")) for name, n in rows],
        words=(0,),
    )
    probe, slope = (
        next(c.measured for c in report.cases if c.network == "LSNN" and text in c.name)
        for text in ("probe", "slope")
    )
    yield LSNN_ENERGY.format(probe=probe, slope=slope)
    yield from grid(
        ("active means", *(f"{name} uJ" for name in report.readings), f"error v {probe}"),
        [
            (
                text,
                *(f"{table[text]:.2f}" for table in report.readings.values()),
                " / ".join(
                    f"{100 * (table[text] / probe - 1):+.0f} %"
                    for table in report.readings.values()
                ),
            )
            for text in next(iter(report.readings.values()))
        ],
        words=(0,),
    )


def _missing(report: ValidationReport) -> Iterator[str]:
    yield from grid(("case", "not public"), list(report.not_computable.items()), words=(0, 1))
    yield from grid(("core count", "not public"), list(NOT_PUBLIC.items()), words=(0, 1))


def _inputs(report: ValidationReport) -> Iterator[tuple[str, ...]]:
    seen = set()
    for c in report.cases:
        rows: list[tuple[str, ...]] = [
            (
                f.name,
                f"{span((f.low, f.high), '{:,.12g}'.format)} {f.unit}".strip(),
                f.kind,
                f.source,
            )
            for f in c.figures
        ]
        rows.append((c.quantity, f"{figure(c.measured)} {c.unit}", *c.measured_by.split(", ", 1)))
        for row in rows:
            if (c.network, c.chip, *row) not in seen:
                seen.add((c.network, c.chip, *row))
                yield c.name, *row


# ---- the picture ----------------------------------------------------------------------------------


def draw(report: ValidationReport, path: Path) -> None:
    """Left: energies in uJ, estimate against measurement. Right: every case over its measurement.
    Logarithmic; bars are the ranges, arrows those without an upper end."""
    shown = [c for c in report.cases if c.kind != "fitted" and c.profile in OWN]

    def both(sheet: Any) -> None:
        plane, rows = sheet.subplots(1, 2, width_ratios=(1, 1.1))
        _draw_plane(plane, shown)
        _draw_rows(rows, shown)

    drawing.save(path, Figure("", both, (10.5, 0.22 * len(shown) + 1.2)))


def _draw_plane(axis: Any, shown: Sequence[Case]) -> None:
    for number, c in enumerate(shown, 1):
        if c.unit == "uJ":
            _draw_case(axis, c, c.measured, 1.0)
            axis.annotate(
                str(number),
                (c.measured, _middle(c)),
                xytext=(4, -8),
                textcoords="offset points",
                fontsize=6,
            )
    axis.set(xscale="log", yscale="log", xlabel="measured, uJ", ylabel="estimate, uJ")
    span = axis.get_xlim()
    axis.plot(span, span, color=GREY, linewidth=1, zorder=0)
    for kind, mark in MARKS.items():
        axis.plot([], [], mark, color=INSIDE, markersize=4, label=KIND_TEXTS[kind])
    axis.plot([], [], "o", color=OUTSIDE, markersize=4, label="measurement outside the range")
    axis.legend(frameon=False, loc="upper left")
    for side in (axis.xaxis, axis.yaxis):
        side.set_ticks([1, 100, 10_000, 1_000_000])
        side.set_major_formatter("{x:,.0f}")


def _draw_rows(axis: Any, shown: Sequence[Case]) -> None:
    for row, c in enumerate(shown):
        _draw_case(axis, c, row, c.measured, flat=True)
    axis.axvline(1, color=GREY, linewidth=1, zorder=0)
    axis.set(xscale="log", ylim=(len(shown) - 0.5, -0.5), xlabel="estimate over measurement")
    axis.set_yticks(
        range(len(shown)), [f"{label(c)}  {number}" for number, c in enumerate(shown, 1)]
    )
    axis.xaxis.set_major_formatter("{x:g}")


def _middle(c: Case) -> float:
    low, high = c.estimate
    return low if high is None else (low * high) ** 0.5


def _draw_case(axis: Any, c: Case, at: float, unit: float, *, flat: bool = False) -> None:
    """Estimate and range of a case in multiples of `unit`, at a position of the other axis."""
    colour = OUTSIDE if c.inside is False else INSIDE
    low, high = c.range
    if low is None:
        low, high = c.estimate
    ends = [low / unit, (high or max(low, c.measured) * (ENDLESS if flat else 3)) / unit]
    points: list[tuple[list[float], list[float], str | None]] = [
        ([at, at], ends, None),
        ([at], [_middle(c) / unit], MARKS[c.kind]),
    ]
    if high is None:
        points.append(([at], ends[1:], ">" if flat else "^"))
    for x, y, mark in points:
        axis.plot(
            *((y, x) if flat else (x, y)), color=colour, linewidth=1, marker=mark, markersize=4
        )
