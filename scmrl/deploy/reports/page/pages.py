"""One page a command: what its report says, in the order a reader asks. Every number is the
report's own.

A page is made from the report's JSON and, where the command ran a network, from the run itself:
network, spikes, classes.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....core.activity import Activity, predictions
from ....core.graph import Graph
from ....core.report.report import figure as figure_text
from ....core.report.report import percent
from ....core.samples import NETWORK, Origin
from ....system.reading import LIST_BYTES, read_text
from ..report import right
from . import figures
from .document import document, facts, figure, section, table, write

ENERGY_PARTS = {
    "core_dynamic_uj": "core dynamic",
    "core_static_uj": "core static",
    "chip_fixed_uj": "chip fixed",
    "host_uj": "host",
}
FILTER = (
    '<p><label>Show populations with <input type="search" placeholder="part of a name"></label></p>'
)
KIND_OF = {
    "run": "exact: counted in the integer network",
    "energies": "estimate: counts times published coefficients",
    "measured": "measured on the board",
}


@dataclass(frozen=True)
class Evidence:
    """The run behind a report: inputs {name: [S, T, ...]}, spikes and membranes, labels [S] or
    None.
    """

    graph: Graph
    inputs: Mapping[str, np.ndarray]
    activity: Activity
    labels: np.ndarray | None = None


def number(x: object) -> str:
    """A number as the terminal shows it; '-' for what is not known."""
    if isinstance(x, bool):
        return "yes" if x else "no"
    return figure_text(x) if x is None or isinstance(x, (int, float)) else str(x)


def save(path: Path, report: object, evidence: Evidence | None = None) -> None:
    """Write the page of a report (of `scmrl.deploy.reports.report`, or any with `to_json` and a `command`)
    to `path`.
    """
    write(path, render(report.to_json(), evidence))


def render(r: dict, evidence: Evidence | None = None) -> str:
    """The page as text from a report's JSON."""
    profiles = list((r.get("profiles") or {}).values())
    return document(
        f"scmrl {r['command']}: {r.get('model', r.get('run', ''))}",
        _summary(r, profiles),
        _decisions(r),
        _energy(profiles),
        _equality(r),
        _classes(r, evidence),
        _placement(r),
        _network(r, evidence),
        _rasters(evidence),
        _populations(r),
        _neurobench(r),
        _provenance(r, profiles),
    )


def _summary(r: dict, profiles: list[dict]) -> str:
    assumed = [
        *dict.fromkeys(a for p in profiles for a in p.get("assumptions", ())),
        *r.get("assumptions", ()),
    ]
    notes = "".join(
        f"<li>{line}</li>" for line in map(_escaped, [*(p["basis"] for p in profiles), *assumed])
    )
    counted = (
        "Spikes and counts are those of float neurons, compared, not exact."
        if r.get("exact") is False
        else "Counts, spikes and accuracies are exact."
    )
    measured = " Power and time of the board are measured." if r.get("measured") else ""
    what = (
        f'<div class="note"><p>{counted} Energies, times and core counts are estimates from'
        f" them.{measured}</p><ul>{notes}</ul></div>"
        if notes
        else ""
    )
    totals = r.get("totals") or {}
    return section(
        "Summary",
        what,
        facts(
            [
                ("model", r.get("model")),
                ("bundle", r.get("bundle")),
                (
                    "backend",
                    (
                        f"{r['backend']} {r['version']}"
                        if "backend" in r and r["command"] != "verify"
                        else None
                    ),
                ),
                (
                    "samples",
                    (
                        f"{r['samples']} ({r['selection']}), {r['steps']} steps each"
                        if "selection" in r
                        else r.get("samples")
                    ),
                ),
                *_right(r).items(),
                (
                    "training",
                    (
                        percent(r["training_accuracy"])
                        if r.get("training_accuracy") is not None
                        else None
                    ),
                ),
                (
                    "equality",
                    (
                        None
                        if r.get("bit_exact") is None
                        else ("bit-exact" if r["bit_exact"] else "DIFFERS")
                    ),
                ),
                *_stream(r).items(),
                ("spikes an inference", number(totals["spikes_per_inference"]) if totals else None),
                (
                    "synaptic operations an inference",
                    number(totals["synops_per_inference"]) if totals else None,
                ),
                ("neurons", number(totals.get("neurons", r.get("neurons")))),
                (
                    "cores",
                    (
                        f"{number(r['cores'])} on {number(r['chips'])} chip(s),"
                        f" {r['system'] or 'no known system'}"
                        if r["command"] == "place" and r.get("cores") is not None
                        else None
                    ),
                ),
                ("fits", number(r["fits"]) if "fits" in r else None),
            ]
        ),
    )


def _stream(r: dict) -> dict[str, str]:
    if r["command"] != "stream":
        return {}
    compared = r["compared_with"]
    equal = (
        "not compared"
        if not compared
        else (
            f"bit-exact with the {compared}"
            if not r["mismatches"]
            else f"{number(r['mismatches'])} values DIFFER from the {compared}"
        )
    )
    energy = ", ".join(
        f"{number(uj)} uJ on {chip} (estimate)" for chip, uj in r["core_dynamic_uj"].items()
    )
    return {
        "stream": f"{number(r['windows'])} windows, {number(r['steps'])} steps of {r['source']}",
        "equality": equal,
        "spikes": number(r["spikes"]),
        "synaptic operations": number(r["synops"]),
        "core dynamic energy": energy,
    }


def _decisions(r: dict) -> str:
    rows = [
        (
            number(d["window"]),
            number(d["time_s"]),
            d["leading"],
            number(d["margin"]),
            number(d["spikes"]),
            number(d["synops"]),
        )
        for d in r.get("decisions", ())
    ]
    return section(
        "Decisions",
        table(
            ("window", "seconds", "class", "ahead by", "spikes", "synops"),
            rows,
            words=("class",),
            caption="At the end of each window",
        ),
    )


def _right(r: dict) -> dict[str, str]:
    """As the report says it."""
    if "origin" not in r or "accuracy" not in r:
        return {}
    return right(r["accuracy"], r["float_agreement"], r["samples"], Origin(**r["origin"]))


def _escaped(text: str) -> str:
    from .document import escape

    return escape(text)


def _energy(profiles: list[dict]) -> str:
    if not profiles:
        return ""

    def span(p: dict, name: str) -> str:
        ends = (p.get("ranges") or {}).get(name)
        if name == "core_dynamic_uj" and p.get("part", "").endswith("only"):
            return f"{number(p.get(name))}  {p['part']}"
        return number(p.get(name)) + (
            f"  ({number(ends[0])} to {number(ends[1])})"
            if ends and p.get(name) is not None
            else ""
        )

    heads = (
        "chip",
        "fits",
        "core dynamic uJ",
        "core static uJ",
        "fixed uJ",
        "host uJ",
        "total uJ",
        "latency us",
        "cores",
        "EDP uJ ms",
    )
    whole = [p for p in profiles if p.get("total_uj") is not None]
    rows = [
        (
            p["title"],
            _fits(p),
            *(span(p, n) for n in (*ENERGY_PARTS, "total_uj", "latency_us")),
            number(p.get("cores")),
            number(p.get("energy_delay_uj_ms")),
        )
        for p in (*whole, *(p for p in profiles if p not in whole))
    ]
    bars = figures.stacked_bars(
        [
            (p["profile"], {word: p[n] for n, word in ENERGY_PARTS.items() if p.get(n) is not None})
            for p in whole
        ],
        "uJ",
        "energy by part",
    )
    layers = ""
    known = next(
        (p for p in profiles if p.get("core_dynamic_uj") is not None and p.get("layers")), None
    )
    if known:
        shown = sorted(
            (
                (x["name"], {"core dynamic": x.get("core_dynamic_uj") or 0.0})
                for x in known["layers"]
            ),
            key=lambda row: -row[1]["core dynamic"],
        )[:30]
        layers = figure(
            figures.stacked_bars(shown, "uJ", "energy by layer"),
            f"Core dynamic energy an inference by population on {known['title']}, largest first "
            "(estimate).",
        )
    kinds = [(p["profile"], p["kinds"]) for p in profiles if p.get("kinds")]
    by_kind = figure(
        figures.stacked_bars(kinds, "uJ", "energy by kind"),
        "Core dynamic energy by kind of operation (estimate).",
    )
    return section(
        "Energy and time per inference",
        table(
            heads,
            rows,
            words=("fits",),
            caption=(
                "Estimates, in brackets their ranges; no total where a part is not published or the"
                " network does not fit"
            ),
        ),
        figure(
            bars,
            "Energy an inference by part (estimate), of the chips with a total. "
            "Core dynamic is what the counts decide.",
        ),
        by_kind,
        layers,
    )


def _spaced(value: str) -> str:
    """A whole number with its thousands apart; other words as they are."""
    return f"{int(value):,}" if value.removeprefix("-").isdecimal() else value


def _fits(p: dict) -> str:
    """Yes, no with the broken limits, or nothing where the profile has no limits."""
    return {True: "yes", False: f"no: {', '.join(p.get('broken', ()))}", None: "-"}[p.get("fits")]


def _equality(r: dict) -> str:
    rows = [
        (
            b["backend"],
            b["version"],
            "bit-exact" if b["bit_exact"] else ("DIFFERS" if b["exact"] else "float neurons"),
            number(b["mismatches"]),
            number(b["compared"]),
            percent(b["accuracy"] if b["float_agreement"] is None else b["float_agreement"]),
            percent(b["agreement"]),
            number(b["seconds"]),
        )
        for b in r.get("backends", ())
        if isinstance(b, dict)
    ]
    own = any(
        b["float_agreement"] is not None for b in r.get("backends", ()) if isinstance(b, dict)
    )
    rows += [
        (b["backend"], "-", f"did not run: {b['why']}", *["-"] * 5) for b in r.get("refused", ())
    ]
    return section(
        "Agreement with the reference",
        table(
            (
                "backend",
                "version",
                "result",
                "mismatches",
                "of values",
                "as float network" if own else "accuracy",
                "same class",
                "seconds",
            ),
            rows,
            words=("version", "result"),
            caption="Every population, sample and step",
        ),
    )


def _classes(r: dict, evidence: Evidence | None) -> str:
    if evidence is None or evidence.labels is None or evidence.graph.readout is None:
        return ""
    answers, k = predictions(evidence.graph, evidence.activity), evidence.graph.readout.neurons
    matrix = np.zeros((k, k), int)
    inside = (evidence.labels >= 0) & (evidence.labels < k)
    np.add.at(matrix, (evidence.labels[inside], answers[inside]), 1)
    names = evidence.graph.class_names
    if k > 40:
        return ""
    labels = (
        "classes of the float network" if r.get("origin", {}).get("labels") == NETWORK else "labels"
    )
    return section(
        "Classes",
        figure(
            figures.confusion(matrix, names),
            f"{inside.sum()} samples; rows are {labels}, columns answers.",
        ),
    )


def _placement(r: dict) -> str:
    if r["command"] != "place":
        return ""
    broken = r.get("violations") or ()
    problems = (
        table(
            ("limit", "where", "allowed", "found", "rule", "remedy"),
            [
                (v["rule"], v["where"], v["limit"], _spaced(v["value"]), v["text"], v["remedy"])
                for v in broken
            ],
            words=("where", "allowed", "found", "rule", "remedy"),
            caption="What does not fit",
        )
        if broken
        else ""
    )
    problems += (
        table(
            tuple(r["alternatives"][0]),
            [tuple(map(number, a.values())) for a in r["alternatives"]],
            caption="What would hold it",
        )
        if r.get("alternatives") and isinstance(r["alternatives"][0], dict)
        else ""
    )
    cores = [
        core for core in r.get("map") or [] if core["tile"] is not None
    ]  # some chips have no mesh
    maps = (
        ""
        if not cores
        else (
            figure(
                figures.core_map(cores, "utilisation", "cores by utilisation"),
                "Cores by the limit they use most (estimate).",
            )
            + figure(
                figures.core_map(cores, "synops_per_step", "cores by activity"),
                "Cores by synaptic operations a step.",
            )
        )
    )
    limits = table(
        ("limit", "mean share", "largest share"),
        [(name, percent(a), percent(b)) for name, (a, b) in (r.get("utilisation") or {}).items()],
        caption="Utilisation of the cores",
    )
    traffic = table(
        ("order", "messages", "hops E-W", "hops N-S", "busiest link", "chip crossings"),
        [
            (
                name,
                *(
                    number(r[name][key])
                    for key in ("messages", "hops_ew", "hops_ns", "busiest_link", "chip_crossings")
                ),
            )
            for name in ("naive", "optimised")
            if r.get(name)
        ],
        caption="Traffic an inference",
    )
    return section("Placement", problems, maps, limits, traffic)


def _network(r: dict, evidence: Evidence | None) -> str:
    if evidence is None:
        return ""
    rates = {p["name"]: p["rate"] for p in r.get("populations", ()) if p.get("rate") is not None}
    return section(
        "Network",
        figure(
            figures.network(evidence.graph, rates),
            "Populations by depth, inputs at the top; the fill is the firing rate, lines are "
            "synapses, warm ones cross from one modality to another.",
        ),
    )


def _rasters(evidence: Evidence | None) -> str:
    if evidence is None:
        return ""
    parts = []
    for p in evidence.graph.populations:
        values = (
            evidence.inputs.get(p.name)
            if p.kind == "input"
            else evidence.activity.spikes.get(p.name)
        )
        if values is not None and len(values):
            flat = np.asarray(values[0]).reshape(values.shape[1], -1)
            parts.append(
                figure(
                    figures.raster(flat, f"spikes of {p.name}"),
                    f"{p.name}: {p.neurons} neurons",
                    p.name,
                )
            )
    return (
        section(
            "Spikes of the first sample",
            "<p>Steps to the right, neurons down; the darker, the more of a row's neurons"
            " fire.</p>",
            FILTER,
            f'<div class="grid">{"".join(parts)}</div>',
        )
        if parts
        else ""
    )


def _populations(r: dict) -> str:
    rows = r.get("populations") or ()
    if not rows or "rate" not in rows[0]:
        heads = (
            "population",
            "neurons",
            "cores",
            "binding limit",
            "largest share",
            "words",
            "axons in",
            "axons out",
            "messages",
            "hops",
        )
        cells = [
            (
                p["name"],
                number(p["neurons"]),
                number(p["cores"]),
                p["binding"] or "-",
                percent(p["utilisation_max"]),
                *(
                    number(p[key])
                    for key in ("synapse_words", "axons_in", "axons_out", "messages", "hops")
                ),
            )
            for p in rows
            if "cores" in p
        ]
        return section("Populations", table(heads, cells, words=("binding limit",), named=True))
    cells = [
        (
            p["name"],
            "x".join(map(str, p["shape"])),
            number(p["neurons"]),
            number(p["spikes_per_inference"]),
            number(p["rate"]),
            number(p["synops_per_inference"]),
            number(p.get("active_per_inference")),
            number(p["mismatches"]),
        )
        for p in rows
    ]
    t = r["totals"]
    return section(
        "Populations",
        table(
            (
                "population",
                "shape",
                "neurons",
                "spikes",
                "rate",
                "synops",
                "active updates",
                "mismatches",
            ),
            cells,
            words=("shape",),
            caption="Means per inference",
            named=True,
            footer=(
                "total",
                "",
                number(t["neurons"]),
                number(t["spikes_per_inference"]),
                "",
                number(t["synops_per_inference"]),
                number(t.get("active_per_inference")),
                number(t["mismatches"]),
            ),
        ),
    )


def _neurobench(r: dict) -> str:
    bench = r.get("neurobench")
    if not bench:
        return ""
    dense = r.get("dense_equivalent") or {}
    rows = [
        (e["profile"], number(e["dense_uj"]), number(e["spiking_uj"]), number(e["ratio"]))
        for e in dense.get("energies", ())
    ]
    return section(
        "NeuroBench and the network without spikes",
        facts((k.replace("_", " "), number(v)) for k, v in bench.items()),
        table(
            ("coefficients", "dense uJ", "spiking uJ", "dense / spiking"),
            rows,
            caption="The same layers run once on real values, and this network (estimates)",
        ),
    )


def _provenance(r: dict, profiles: list[dict]) -> str:
    own = (
        [("run", "counts, spikes, accuracies, mismatches", KIND_OF["run"])]
        if "populations" in r
        else []
    )
    own += (
        [("energies", "energies, times, cores", KIND_OF["energies"])]
        if profiles or r["command"] == "place"
        else []
    )
    own += (
        [("measured", "power and time of the board", KIND_OF["measured"])]
        if r.get("measured")
        else []
    )
    rows = [
        (
            p["profile"],
            name,
            number(q["value"]),
            q["unit"],
            "-" if not q.get("range") else " to ".join(map(number, q["range"])),
            q["kind"],
            q["source"],
        )
        for p in profiles
        for name, q in (p.get("coefficients") or {}).items()
    ]
    return section(
        "Where the numbers come from",
        table(("part", "what", "kind"), own, words=("what", "kind")),
        table(
            ("profile", "quantity", "value", "unit", "range", "kind", "source"),
            rows,
            words=("quantity", "unit", "kind", "source"),
            caption="Coefficients",
        ),
    )


def training(run: Path, metrics: dict) -> str:
    """The page of a training run: its figures and curves from RUN/logs/metrics.csv."""
    log = Path(run) / "logs" / "metrics.csv"
    columns: dict[str, list[tuple[float, float]]] = {}
    if log.is_file():
        for row in csv.DictReader(read_text(log, LIST_BYTES).splitlines()):
            for key, value in row.items():
                if key and value and key not in ("epoch", "step") and row.get("epoch"):
                    columns.setdefault(key, []).append((float(row["epoch"]) + 1, float(value)))
    shown = [
        ("Loss", {k: columns[k] for k in ("loss", "alignment") if k in columns}, ""),
        (
            "Validation accuracy",
            {"validation": [(x, 100 * y) for x, y in columns.get("validation_accuracy", ())]},
            "%",
        ),
    ]
    rates = {k.removeprefix("rate/"): v for k, v in columns.items() if k.startswith("rate/")}
    plots = "".join(
        figure(figures.curves(series, title, unit), f"{title}{f', {unit}' if unit else ''}")
        for title, series, unit in shown
        if any(series.values())
    )
    last = sorted(
        ((name, line[0][1], line[-1][1]) for name, line in rates.items()), key=lambda row: row[2]
    )
    plain = [
        (k.replace("_", " "), number(v)) for k, v in metrics.items() if isinstance(v, (int, float))
    ]
    return document(
        f"scmrl train: {run}",
        section(
            "Summary",
            facts(plain),
            facts([("dead populations", ", ".join(metrics.get("dead", [])) or "none")]),
        ),
        section("Training", plots),
        section(
            "Firing rates",
            table(
                ("population", "first epoch", "last epoch"),
                [(n, f"{a:.4f}", f"{b:.4f}") for n, a, b in last],
                named=True,
                caption="Spikes per neuron and step on validation, quietest first",
            ),
        ),
    )
