"""Export to one target or all, and verify: the exported model runs on its target and is compared
with the original.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..convert import TARGETS, exporter
from ..core import zoo
from ..core.activity import predictions
from ..core.bundle import Bundle, locate
from ..core.comparison import compare
from ..core.samples import NETWORK
from ..system import targets
from ..system.errors import GraphError, MissingDependency, UsageError
from . import running
from .jobs import several
from .registry import backend_class
from .reports.exports import ExportReport, ExportRow
from .running import Model, opened
from .samples import choose

RUNS_ON = {
    "c": "c",
    "lava": "lava-inprocess",
    "nir": "norse",
    "onnx": "onnx",
    "netx": "netx",
    "verilog": "verilog",
}  # what verifies a target
OPTIONS = {"c": ("flash", "ram", "self_test"), "verilog": ("self_test", "engines", "synth")}


def export(
    model: Model,
    target: str | Sequence[str] = "lava",
    out: str | Path | None = None,
    *,
    verify: bool = True,
    samples: int | None = None,
    force: bool = False,
    flash: int | None = None,
    ram: int | None = None,
    self_test: int | None = None,
    engines: int | None = None,
    synth: str | None = None,
) -> ExportReport:
    """Write `model` for each `target` (names of `scmrl.convert`, or "all") as `places` says, and
    run each export on `samples` (None: all) of the model's own.

    For the target c alone: the bytes of `flash` and `ram` that there are (None: no limit). For
    verilog alone: how many `engines` its core has (None: 4), and the FPGAs that the design is
    synthesised for, "ecp5" (`synth`). For both: how many samples their `self_test` has.

    With several targets one that cannot hold the network is reported as refused; with one, its
    error is raised. Raises as `scmrl.deploy.jobs`, and UsageError for what may not be written:
    `force` replaces what scmrl wrote there before, never anything else.

    >>> (row,) = scmrl.export("runs/a", target="lava", samples=4, force=True).targets
    >>> row.path, row.bit_exact
    ('runs/a/lava', True)
    """
    there = places(model, target, out)
    own = {"flash": flash, "ram": ram, "self_test": self_test, "engines": engines, "synth": synth}
    asked = {name: value for name, value in own.items() if value is not None}
    for name in asked:
        takes = [target for target, options in OPTIONS.items() if name in options]
        if not any(target in there for target in takes):
            what = f"is for the target {' and '.join(takes)}"
            raise UsageError(what, where=name, value=", ".join(there))
    for name, path in there.items():
        targets.check(path, name, force=force)
    bundle, called = opened(model)
    rows = []
    for name, path in there.items():
        try:
            options = {key: x for key, x in asked.items() if key in OPTIONS.get(name, ())}
            rows.append(_export(bundle, name, path, verify, samples, options))
        except (GraphError, MissingDependency) as error:
            if len(there) == 1:
                raise
            rows.append(_refused(name, path, str(error)))
    return ExportReport(
        called, bundle.origin, tuple(rows), len(bundle.graph.of_kind("lif")), bundle.hash
    )


def places(model: Model, target: str | Sequence[str], out: str | Path | None) -> dict[str, Path]:
    """Where each target is written: `out` (one target), OUT/TARGET, or MODEL/TARGET. Raises
    UsageError for an unknown target, and for a place in the way of the model.
    """
    named = several(target)
    names = list(TARGETS) if "all" in named else named
    for name in names:
        exporter(name)
    held = "a bundle in memory" if isinstance(model, Bundle) else "a model of the zoo"
    if out is None and (isinstance(model, Bundle) or zoo.place(model)):
        fix = "say where to write: --out DIR, or out"
        raise UsageError(f"{held} has no place of its own", fix=fix)
    folder = Path(str(model) if out is None else out)
    there = {
        name: folder if out is not None and len(names) == 1 else folder / name for name in names
    }
    if not isinstance(model, Bundle):
        for path in there.values():
            targets.apart(path, locate(model))
    return there


def _refused(target: str, path: Path, why: str) -> ExportRow:
    return ExportRow(
        target,
        str(path),
        False,
        0.0,
        0,
        None,
        None,
        0,
        *(None,) * 5,
        False,
        *(None,) * 5,
        (),
        why,
        {},
    )


def _export(
    bundle: Bundle,
    target: str,
    path: Path,
    verify: bool,
    samples: int | None,
    options: dict[str, Any],
) -> ExportRow:
    started = time.perf_counter()
    summary = exporter(target)(bundle, path, **options)
    seconds = time.perf_counter() - started
    size = sum(file.stat().st_size for file in (path / target).rglob("*") if file.is_file())
    backend, why = RUNS_ON[target], ""
    verified: dict[str, Any] = {
        "backend": None,
        "version": None,
        "samples": 0,
        "exported_vs_labels": None,
        "original_vs_labels": None,
        "exported_vs_float": None,
        "original_vs_float": None,
        "exported_vs_original": None,
        "bit_exact": None,
        "spike_agreement": None,
        "spike_recall": None,
        "spike_precision": None,
        "equals_training": None,
        "dead": (),
    }
    exact = False
    if verify:
        try:
            exact = backend_class(backend).exact
            verified = _verify(bundle, path, backend, samples)
        except MissingDependency as error:
            why = f"not verified: {error}"
    else:
        why = "not verified: --no-verify"
    return ExportRow(
        target, str(path), True, seconds, size, exact=exact, why=why, summary=summary, **verified
    )


def _verify(bundle: Bundle, path: Path, backend: str, samples: int | None) -> dict:
    """The three rows by class, and the spikes: the exported model against labels, against the
    original.
    """
    chosen = choose(bundle, samples, None)
    original = running.run(path, bundle.graph, "reference", chosen.inputs)
    exported = running.run(path, bundle.graph, backend, chosen.inputs)
    comparison = compare(bundle.graph, original, exported)
    named = bundle.graph.readout is not None
    classes = [
        predictions(bundle.graph, activity) if named else None for activity in (original, exported)
    ]

    against = "float" if chosen.origin.labels == NETWORK else "labels"

    def agree(a: np.ndarray | None, b: np.ndarray | None) -> float | None:
        return None if a is None or b is None else float(np.mean(a == b))

    return {
        "backend": exported.backend,
        "version": exported.version,
        "samples": len(next(iter(chosen.inputs.values()))),
        **{
            f"{who}_vs_{whose}": agree(found, chosen.labels if whose == against else None)
            for who, found in (("exported", classes[1]), ("original", classes[0]))
            for whose in ("labels", "float")
        },
        "exported_vs_original": agree(classes[1], classes[0]),
        "bit_exact": comparison.bit_exact,
        "spike_agreement": 1 - comparison.mismatches / max(comparison.compared, 1),
        "spike_recall": comparison.spikes.recall,
        "spike_precision": comparison.spikes.precision,
        "equals_training": chosen.trained
        and compare(bundle.graph, chosen.trained, original).bit_exact,
        "dead": tuple(name for name, spikes in original.spikes.items() if not spikes.any()),
    }
