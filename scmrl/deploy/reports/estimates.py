"""How the estimates for chips are said, by `deploy` and `energy`: in a line, a table, a
drawing, with their sources.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...core.report import drawing
from ...core.report.report import Figure, Table, columns, table
from ...core.report.text import figure, span, value
from ..counts.sampling import OverSamples, plus_minus
from ..energy.modes import ALONE, MODES
from ..energy.result import KIND_WORDS, EnergyEstimate, PopulationEnergy
from ..energy.terms import POWERS
from ..placement.layout import Layout

PARTS = {
    "core_dynamic_uj": "core dynamic",
    "core_static_uj": "static",
    "chip_fixed_uj": "fixed",
    "host_uj": "host",
    "total_uj": "total",
}
FITS = {True: 0, None: 1, False: 2}  # the order of the answers
THREE = (
    "what is not known, in three parts that are never added up: ± is the standard error over the"
    " samples; constants are the profile's numbers, each within its range; the model's are the"
    " errors of estimates against measurements"
)
LARGEST = 30  # populations in a drawing
ROW, LINE, WIDTH = 0.36, 0.16, 9.0  # inches: a chip, a line of its caveats, the drawing
CHARACTERS = 112  # of a line of caveats


def in_a_line(e: EnergyEstimate) -> str:
    """A chip in a line or two: whether it fits, energy and time with their ranges, or the part that
    is known.
    """
    if e.fits is False:
        worst, more = e.violations[0], len(e.violations) - 1
        also = f" and {more} more" if more else ""
        return (
            f"does not fit: {worst.rule} at {worst.where} (limit {worst.limit}, got"
            f" {worst.value}){also}"
        )
    cores = f", {figure(e.cores)} cores" if e.cores else ""
    fits = "no limits" if e.fits is None else f"fits{cores}"
    if e.total_uj is None:
        known = e.core_dynamic_uj is not None
        part = f"estimate {with_error(e, 'core_dynamic_uj')} uJ {e.part}" if known else "no energy"
        mode = f"{e.mode}, " if e.network else ""  # arithmetic alone is the same in both
        return f"{fits}; {mode}{part}" + ("" if e.part.endswith("only") else ", no total")
    return (
        f"{fits}; {e.mode}, estimate {with_error(e, 'total_uj')} uJ"
        f" ({span(e.ranges['total_uj'])}), "
        f"{figure(e.latency_ms)} ms ({span(e.latency_ms_range)})"
    )


def mode_words(mode: str, profiles: Sequence[EnergyEstimate]) -> str:
    """What a mode is, and the steps that it charges on the first chip that has any."""
    first = next((e for e in profiles if e.depth), None)
    if first is None:
        return f"{mode}: {MODES[mode]}"
    steps = f"{figure(first.barriers)} hardware steps"
    if mode == ALONE:
        steps += f", {figure(first.steps)} and a depth of {figure(first.depth)}"
    return f"{mode}: {MODES[mode]}, {steps} ({first.profile})"


def with_error(e: EnergyEstimate, name: str) -> str:
    """A number and its standard error over the samples, where that is known."""
    error = e.over_samples.get(name)
    return figure(getattr(e, name)) + (f" {plus_minus(error)}" if error else "")


def stated_cases(profiles: Sequence[EnergyEstimate]) -> dict[str, str]:
    """What is no part of an estimate and may be met: a step whose time is known, one that the host
    sets, a whole board.
    """
    found = {}
    for e in profiles:
        if e.total_timed_uj:
            found[f"{e.profile}, timed"] = (
                f"where the time of a step is known to be this, its total is"
                f" {span(e.total_timed_uj)} uJ"
            )
        if e.host_bound:
            of = e.host_bound
            found[f"{e.profile}, host"] = (
                f"where the host moves spikes at every step: {figure(of.interval_us)} us and"
                f" {figure(of.total_uj)} uJ an inference, at {figure(of.us_per_step)} us a step"
                f" ({of.source})"
            )
        if e.board_static_uj is not None:
            found[f"{e.profile}, board"] = (
                f"static energy of all chips of {e.system}: {figure(e.board_static_uj)} uJ, of the"
                f" {figure(e.chips)} used: {figure(e.core_static_uj)} uJ, whatever of them is used"
            )
    return found


def idle_cases(
    profiles: Sequence[EnergyEstimate], idle: Mapping[str, float | None]
) -> dict[str, str]:
    """What an input of zeros alone costs, by profile."""
    return {
        f"{e.profile}, idle": f"an input of zeros alone: {figure(uj)} uJ core dynamic,"
        f" of {figure(e.core_dynamic_uj)} of this one"
        for e in profiles
        if (uj := idle.get(e.profile)) is not None
    }


def network_words(network: Layout) -> str:
    """What is placed and priced: its neurons, processes and cores, how skips wait, how convolutions
    are stored, whether samples follow each other.
    """
    relays = f"{figure(network.relays)} of them relays, " if network.relays else "no relays, "
    text = f"{figure(network.neurons)} neurons, {relays}in {figure(network.processes)} processes"
    text += f" on {figure(network.cores)} cores" if network.cores else ""
    if network.waiting:
        most = f"{figure(network.longest_wait)} steps at most"
        text += f"; {figure(network.waiting)} synapses wait, {most}"
    if network.delay_steps is None:
        text += "; no delay of its synapses is known, so relays wait"
    if network.convolutions == "expanded":
        also = f" ({figure(network.cores_if_shared)} cores if shared)"
        text += "; convolutions stored connection by connection, as Lava's way to the chip does"
        text += also if network.cores_if_shared else ""
    elif network.convolutions == "shared":
        text += "; convolutions stored as shared kernels"
    text += "; samples can follow each other" if network.streams else "; each sample runs alone"
    return text


def fits_cell(e: EnergyEstimate) -> str:
    """Yes and its cores; no and the broken limits; nothing where the profile has no limits."""
    if e.fits is False:
        return f"no: {', '.join(e.broken)}"
    return "-" if e.fits is None else "yes" + (f", {figure(e.cores)} cores" if e.cores else "")


def ranked(profiles: Sequence[EnergyEstimate]) -> list[EnergyEstimate]:
    """Chips with a total; then those without one, apart: that hold it, that may, that do not."""
    return sorted(
        profiles,
        key=lambda e: (
            e.total_uj is None,
            FITS[e.fits],
            e.core_dynamic_uj is None,
            e.latency_us is None,
        ),
    )


def by_profile(profiles: Sequence[EnergyEstimate]) -> dict[str, dict]:
    """The estimates as JSON."""
    return {estimate.profile: estimate.to_json() for estimate in profiles}


def energy_table(profiles: Sequence[EnergyEstimate]) -> Table:
    """Energies with their ranges; a column for each that somebody has, and what a part is where it
    is no whole.
    """
    shown = [
        name
        for name in PARTS
        if any(getattr(e, name) is not None for e in profiles) or name == "total_uj"
    ]
    return table(
        ("profile", "fits", *(f"{PARTS[name]}\nuJ/inf" for name in shown)),
        [(e.profile, fits_cell(e), *(_with_range(e, name) for name in shown)) for e in profiles],
        words=("profile", "fits"),
        caption=_caption(profiles),
    )


def _caption(profiles: Sequence[EnergyEstimate]) -> str:
    """The mode that estimates of one report share."""
    return f"{MODES[profiles[0].mode]} (estimate)" if profiles else ""


def chip_table(energy: Sequence[EnergyEstimate]) -> Table:
    """Chips with a total first; where there is none, the part that is known by its name."""
    return columns(
        energy,
        {
            "profile": lambda e: e.profile,
            "fits": fits_cell,
            "total\nuJ/inf": lambda e: with_error(e, "total_uj"),
            "latency\nms": lambda e: figure(e.latency_ms),
            "part of it, uJ/inf": lambda e: (
                "not published"
                if e.core_dynamic_uj is None
                else f"{with_error(e, 'core_dynamic_uj')} {e.part}"
            ),
        },
        words=("profile", "fits", "part of it, uJ/inf"),
    )


def _with_range(e: EnergyEstimate, name: str) -> str:
    apart = name == "core_dynamic_uj" and e.known and e.part.endswith("only")
    value, error = getattr(e, name), e.over_samples.get(name)
    lines = [figure(value), span(e.ranges[name]), *([plus_minus(error)] if error else [])]
    return "\n".join([*lines, e.part] if apart else lines)


UNCERTAIN = {
    "core_dynamic_uj": "dynamic uJ",
    "total_uj": "total uJ",
    "latency_us": "latency us",
}


def uncertainty_table(profiles: Sequence[EnergyEstimate]) -> Table:
    """The three parts of what is not known of an estimate, apart."""
    rows = [(e, name) for e in profiles for name in UNCERTAIN if getattr(e, name) is not None]
    cells = {
        "profile": lambda row: row[0].profile,
        "of": lambda row: UNCERTAIN[row[1]],
        "estimate, over\nthe samples": lambda row: (
            f"{figure(getattr(*row))}\n{plus_minus(row[0].over_samples.get(row[1]))}"
        ),
        "samples\nfor 1 %": lambda row: _needed(row[0].over_samples.get(row[1])),
        "by its\nconstants": lambda row: span(row[0].constants[row[1]]),
        "by the\nmodel": lambda row: span(row[0].model[row[1]]),
    }
    return columns(rows, cells, words=("profile", "of"))


def _needed(of: OverSamples | None) -> str:
    return figure(None if of is None else of.needed)


COUNTED = {
    "spikes_per_inference": "spikes",
    "synops_per_inference": "synops",
    "active_per_inference": "active updates",
}


def count_errors(found: Mapping[str, OverSamples]) -> Table:
    """Standard errors of the totals of the counts."""
    return columns(
        [(word, found[name]) for name, word in COUNTED.items() if name in found],
        {
            "counted, of an inference": lambda row: row[0],
            "over samples": lambda row: plus_minus(row[1]),
            "samples": lambda row: figure(row[1].samples),
            "for 1 %": lambda row: figure(row[1].needed),
        },
        words=("counted, of an inference",),
    )


def caveats(e: EnergyEstimate) -> list[str]:
    """What is not in an estimate, and why the chip may not run the network."""
    lines = []
    if e.unplaced and e.core_dynamic_uj is not None:
        lines.append(f"not placed: {e.unplaced}")
    if e.cores and e.system is None:
        lines.append(f"no system of {figure(e.chips)} chips is known")
    for rule in dict.fromkeys(v.rule for v in e.violations):
        first, *more = (v for v in e.violations if v.rule == rule)
        also = f" and at {figure(len(more))} more" if more else ""
        lines.append(
            f"breaks {rule} at {first.where}: limit {first.limit}, got {first.value}{also}"
        )
    if e.not_published:
        lines.append(f"not published: {', '.join(e.not_published)}")
    return lines


def broken_limits(profiles: Sequence[EnergyEstimate]) -> Table:
    """Every limit that a network breaks."""
    heads = ("profile", "limit", "where", "allowed", "got")
    return table(
        heads,
        [(e.profile, v.rule, v.where, v.limit, v.value) for e in profiles for v in e.violations],
        words=heads,
        caption="What does not fit",
    )


def coefficients(profiles: Sequence[EnergyEstimate]) -> Iterator[Table]:
    """Every quantity that an estimate rests on, with its source."""
    cells = {
        "profile": lambda of: of[0],
        "quantity": lambda of: of[1],
        "value": lambda of: value(of[2].value),
        "unit": lambda of: of[2].unit,
        "range": lambda of: span(of[2].range),
        "kind": lambda of: of[2].kind,
        "source": lambda of: of[2].source,
    }
    every = [(e.profile, name, q) for e in profiles for name, q in e.coefficients.items()]
    words = cells.keys() - {"value", "range"}
    yield columns(every, cells, words=words, caption="Coefficients of the estimates")


# Drawings.


def estimate_figures(profiles: Sequence[EnergyEstimate]) -> Iterator[Figure]:
    """The chips, each by kinds of cost, and the populations on the first one."""
    priced = [e for e in ranked(profiles) if e.core_dynamic_uj is not None]
    if not priced:
        return
    yield chips_figure(priced)
    first = priced[0]
    rows = sorted(first.populations, key=lambda layer: -(layer.core_dynamic_uj or 0.0))[:LARGEST]
    rows = [layer for layer in rows if layer.core_dynamic_uj]
    if rows:
        yield Figure(
            f"Core dynamic energy of an inference by population on {first.title}, by kind of"
            f" operation, largest first (estimate, {first.mode})",
            lambda sheet: _draw_layers(sheet, rows),
            (WIDTH, 0.22 * len(rows) + 0.9),
        )


def kinds_of(of: EnergyEstimate | PopulationEnergy) -> dict[str, float]:
    """Core dynamic energy in uJ by kind of operation, in words."""
    return {KIND_WORDS[kind]: uj for kind, uj in (of.kinds or {}).items() if uj}


def parts_of(e: EnergyEstimate) -> dict[str, float]:
    """Energies in uJ by kind of cost: the operations and, where there is a total, the powers."""
    powers = {} if e.total_uj is None else {PARTS[n]: getattr(e, n) for n in POWERS}
    return kinds_of(e) | {word: uj for word, uj in powers.items() if uj}


def chips_figure(profiles: Sequence[EnergyEstimate]) -> Figure:
    """A row a chip: name, what its energy is made of, the energy, its caveats below."""
    profiles = ranked(profiles)
    notes = {e.profile: _wrapped(caveats(e)) for e in profiles}
    height = sum(ROW + LINE * len(lines) for lines in notes.values())
    return Figure(
        f"Energy of an inference by chip (estimate), {MODES[profiles[0].mode]}: the bar is the"
        " whole, its colours the kinds of"
        " cost, the number its size; where there is no total, the parts of the core dynamic energy"
        " that are known, marked *",
        lambda sheet: _draw_chips(sheet, profiles, notes, height),
        (WIDTH, height + 0.5),
    )


def _wrapped(lines: Sequence[str]) -> list[str]:
    return textwrap.wrap("; ".join(lines), CHARACTERS, max_lines=4, placeholder=" ...")


def _draw_chips(
    sheet: Any,
    profiles: Sequence[EnergyEstimate],
    notes: Mapping[str, Sequence[str]],
    height: float,
) -> None:
    axis = drawing.bare(sheet, 1.0, height)
    y = 0.0
    used: dict[str, float] = {}
    for e in profiles:
        parts = parts_of(e)
        used |= parts
        whole, left = sum(parts.values()) or 1.0, 0.24
        mark = "" if e.total_uj is not None else " *"
        axis.text(0.23, y + ROW / 2, e.profile, ha="right", va="center")
        for kind, uj in parts.items():
            width = 0.56 * uj / whole
            colour = drawing.LIGHT[drawing.KINDS[kind]]
            (bar,) = axis.barh(y + ROW / 2, width, 0.2, left=left, color=colour)
            drawing.hover(bar, f"{e.profile}, {kind}: {figure(uj)} uJ")
            left += width
        axis.text(0.81, y + ROW / 2, f"{figure(sum(parts.values()))} uJ{mark}", va="center")
        for i, line in enumerate(notes[e.profile]):
            at = y + ROW - 0.03 + LINE * (i + 0.4)
            axis.text(0.24, at, line, va="center", fontsize=7, color=drawing.LIGHT["grey"])
        y += ROW + LINE * len(notes[e.profile])
    drawing.legend(sheet, [kind for kind in drawing.KINDS if kind in used])


def _draw_layers(sheet: Any, rows: Sequence[PopulationEnergy]) -> None:
    parts = [(layer.name, kinds_of(layer)) for layer in rows]
    drawing.stacked(sheet.subplots(), parts, "uJ", figure)
    used = {kind for _, each in parts for kind in each}
    drawing.legend(sheet, [kind for kind in drawing.KINDS if kind in used])
