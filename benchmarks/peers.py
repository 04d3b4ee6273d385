"""A frozen model's NIR export in norse, snntorch and spikingjelly, against the integer network,
spike by spike.

    python benchmarks/peers.py MODEL... [--samples N] [--steps T] [--data-dir DIR]
                               [--out docs/peers.md]

Takes the first N samples of the test split that each model was trained for. Exit code 1 where less
agrees than promised: 99.5 % of classes, 99.9 % of a population's spikes, and all of them where
neither the population nor any before it rounded. With `--steps` each model also runs longer than it
was trained for (fewer samples, as many sample-steps), to show how what is rounded spreads; there
only the last promise holds.
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from written import add_force, may_write

from scmrl import __version__
from scmrl.convert.nir.effect import same_class
from scmrl.convert.nir.export import export
from scmrl.core.bundle import Bundle, load
from scmrl.core.comparison import compare
from scmrl.core.graph import Graph
from scmrl.deploy.backends.peers import Norse, SnnTorch, SpikingJelly
from scmrl.deploy.jobs import dataset_samples
from scmrl.deploy.registry import open_backend
from scmrl.system.storage import whole_file

PEERS = (Norse, SnnTorch, SpikingJelly)
CLASSES, SPIKES = 0.995, 0.999  # what is promised
INTRODUCTION = """\
# The same spikes in other simulators

A frozen model, exported to NIR, in each library's own importer and neurons; every spike of every
population, and the readout's membrane at every step, compared with the integer network's. NIR has
no words for the rounding of decays and for 24-bit borders, so that is all that can differ.
*Rounds*: "never" where the population cannot round within these steps, else the neuron-steps in
which the integer rule dropped a remainder on these samples. *Own*: what scmrl's float32 reading of
the file, measured at export, says of the same samples. Runs of more steps than a model was trained
for show how a difference spreads. Written by `benchmarks/peers.py`.
"""


def on_test_split(
    model: Path, samples: int, steps: int | None, data_dir: str | None
) -> tuple[Bundle, str]:
    """The model with test samples in place of its own held-out ones, and which they are."""
    bundle = load(model)
    graph = bundle.graph
    if steps is not None:
        samples = max(1, samples * graph.steps // steps)
        graph = dataclasses.replace(graph, steps=steps)
    embedded = bundle.training.get("dataset") == "digits-av"  # in the package: reads no folder
    frames, labels, which = dataset_samples(bundle, None, None if embedded else data_dir, "test")
    inputs = {name: np.repeat(x[:samples, None], graph.steps, 1) for name, x in frames.items()}
    labels = labels[:samples]
    return (
        dataclasses.replace(bundle, graph=graph, inputs=inputs, labels=labels, trained=None),
        f"{which}, {len(labels)} samples of {graph.steps} steps",
    )


def never_rounded(graph: Graph, rows: list[dict]) -> set[str]:
    """Populations that did not round, nor any that they hear of."""
    clean = {p.name for p in graph.of_kind("input")}
    rounded = {row["name"] for row in rows if row["rounded"] or row["borders"]}
    for p in graph.order():
        if p.name not in rounded and all(s.source in clean for s in graph.incoming(p.name)):
            clean.add(p.name)
    return clean


def percent(fraction: float) -> str:
    """Rounded down: 100 is all."""
    return "100" if fraction == 1 else f"{np.floor(fraction * 1e7) / 1e5:.5f}"


def section(bundle: Bundle, which: str, classes: float, spikes: float) -> tuple[list[str], bool]:
    """Markdown of one model, and whether that fraction of classes and of each population's spikes
    agrees, and all spikes where nothing rounded.
    """
    graph = bundle.graph
    with open_backend("simulator", graph) as simulator:
        exact = simulator.run(bundle.inputs)
    with tempfile.TemporaryDirectory() as directory:
        summary = export(bundle, Path(directory) / "export")
        runs = []
        for peer in PEERS:
            with peer.from_export(Path(directory) / "export") as opened:
                runs.append(opened.run(bundle.inputs))
    same = [same_class(graph, exact, run) / bundle.samples for run in runs]
    found = {}
    for run in runs:
        for match in compare(graph, exact, run).populations:
            found.setdefault(match.name, []).append(1 - match.mismatches / match.compared)
    clean = never_rounded(graph, summary["populations"])
    kept = min(same) >= classes
    lines = [
        f"## {which}",
        "",
        f"File of {summary['file_bytes'] / 1e6:.2f} MB, {summary['nodes']} nodes. Same class as the"
        " integer network: "
        + ", ".join(f"{run.backend} {percent(f)} %" for run, f in zip(runs, same))
        + ".",
        "",
        "| population | neuron-steps | rounds | "
        + " | ".join(f"{run.backend} %" for run in runs)
        + " | own % | cause of the differences |",
        "|---|---:|---|" + "---:|" * (len(runs) + 1) + "---|",
    ]
    for row in summary["populations"]:
        fractions = found[row["name"]]
        if row["kind"] == "lif":
            kept &= min(fractions) >= (1 if row["name"] in clean else spikes)
        cells = [
            row["name"] if row["kind"] == "lif" else f"{row['name']} (membrane)",
            str(row["compared"]),
            "never" if row["label"] == "exact" else str(row["rounded"]),
            *(percent(f) for f in (*fractions, row["agreement"])),
            row["cause"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""], kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, default=Path("docs/peers.md"))
    add_force(parser)
    options = parser.parse_args()
    may_write(options.out, "table", options)
    names = ("nir", "nirtorch", *(peer.name for peer in PEERS), "torch", "numpy")
    lines = [
        INTRODUCTION,
        f"scmrl {__version__}, "
        + ", ".join(f"{name} {version(name)}" for name in names)
        + f", Python {platform.python_version()}, {platform.machine()}.",
        "",
    ]
    all_kept = True
    for model in options.models:
        runs = {None: (CLASSES, SPIKES)} | ({options.steps: (0.0, 0.0)} if options.steps else {})
        for steps, promise in runs.items():
            tested = on_test_split(model, options.samples, steps, options.data_dir)
            part, kept = section(*tested, *promise)
            lines += part
            all_kept &= kept
            print(part[0], "kept" if kept else "NOT kept", flush=True)
    lines.append(
        f"Promised for the steps a model was trained for: {100 * CLASSES:g} % of classes and "
        f"{100 * SPIKES:g} % of the spikes of every population; for any steps: all spikes where "
        "neither the population nor any before it rounded. "
        + ("Kept." if all_kept else "**Not kept.**")
    )
    with whole_file(options.out, "table") as file:
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(0 if all_kept else 1)


if __name__ == "__main__":
    main()
