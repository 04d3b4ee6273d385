"""A frozen model's NIR export in norse, snntorch and spikingjelly, spike by spike, against the integer network.

    python benchmarks/peers.py MODEL... [--samples N] [--steps T,T] [--data-dir DIR] [--out docs/peers.md]

Takes the first N samples of the test split that each model was trained for. `--steps` runs the same network longer
than it was trained for: the longer, the more decays are rounded. Exit code 1 where a class or a population agrees less
than promised: classes 99.5 %, spikes 99.9 %, and all of them where no rounding can occur.
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

from scmrl import __version__
from scmrl.activity import Activity
from scmrl.bundle import Bundle, load
from scmrl.convert.nir import export
from scmrl.convert.nir_effect import same_class
from scmrl.deploy.backends import open_backend
from scmrl.deploy.jobs import dataset_samples
from scmrl.deploy.peers import Norse, SnnTorch, SpikingJelly
from scmrl.files import whole_file

PEERS = (Norse, SnnTorch, SpikingJelly)
CLASSES, SPIKES = 0.995, 0.999          # what is promised


def test_bundle(model: Path, samples: int, steps: int | None, data_dir: str | None) -> tuple[Bundle, str]:
    """The model with test samples in place of its own held-out ones, and which they are."""
    bundle = load(model)
    graph = bundle.graph if steps is None else dataclasses.replace(bundle.graph, steps=steps)
    frames, labels, which = dataset_samples(bundle, None, data_dir, "test")
    inputs = {name: np.repeat(x[:samples, None], graph.steps, 1) for name, x in frames.items()}
    count = min(samples, len(labels))
    return (dataclasses.replace(bundle, graph=graph, inputs=inputs, labels=labels[:samples], trained=None),
            f"{which}, samples 1 to {count}, {graph.steps} steps")


def agreement(exact: Activity, other: Activity, name: str) -> float:
    return 1 - np.count_nonzero(exact.spikes[name] != other.spikes[name]) / exact.spikes[name].size


def percent(fraction: float) -> str:
    """Never rounded up to 100."""
    return "100" if fraction == 1 else f"{np.floor(fraction * 1e7) / 1e5:.5f}"


def table(bundle: Bundle, which: str) -> tuple[list[str], bool]:
    """Markdown of one model, and whether all that is promised holds."""
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
    kept = all(fraction >= CLASSES for fraction in same)
    lines = [f"## {which}", "", f"NIR file {summary['file_bytes'] / 1e6:.2f} MB, {summary['nodes']} nodes. Classes as "
             "the integer network's: " + ", ".join(f"{run.backend} {percent(fraction)} %"
                                                   for run, fraction in zip(runs, same)) + ".", "",
             "| population | neuron-steps | decays rounded | rounding possible | "
             + " | ".join(f"{run.backend} %" for run in runs) + " | own float32 % | cause of the differences |",
             "|---|---:|---:|---|" + "---:|" * (len(runs) + 1) + "---|"]
    for row in summary["populations"]:
        found = [agreement(exact, run, row["name"]) for run in runs]
        promised = SPIKES if summary["spikes_that_differ"] else 1.0
        kept &= all(fraction >= promised for fraction in found)
        lines.append(f"| {row['name']} | {row['compared']} | {row['rounded']} | "
                     f"{'no' if row['label'] == 'exact' else 'yes'} | " + " | ".join(percent(f) for f in found)
                     + f" | {percent(row['agreement'])} | {row['cause']} |")
    return [*lines, ""], kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--steps", default="", help="comma-separated; default: as trained")
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, default=Path("docs/peers.md"))
    options = parser.parse_args()
    lines = ["# The same spikes in other simulators", "",
             "Written by `python benchmarks/peers.py`. A frozen model is exported to NIR and run by each library's own "
             "importer and neurons; every spike of every population is compared with the integer network's. NIR has no "
             "words for the rounding of decays and for 24-bit borders: that is all that can differ. \"decays rounded\" "
             "counts the neuron-steps in which the integer rule dropped a remainder.", "",
             f"scmrl {__version__}, " + ", ".join(f"{name} {version(name)}" for name in
                                                  ("nir", "nirtorch", *(peer.name for peer in PEERS), "torch", "numpy"))
             + f", Python {platform.python_version()}, {platform.machine()}.", ""]
    all_kept = True
    for model in options.models:
        for steps in options.steps.split(",") if options.steps else [None]:
            part, kept = table(*test_bundle(model, options.samples, int(steps) if steps else None, options.data_dir))
            lines += part
            all_kept &= kept
    lines.append(f"Promised: classes {100 * CLASSES:g} %, spikes of every population {100 * SPIKES:g} %, and all of "
                 f"them where nothing was rounded before: {'kept' if all_kept else 'NOT kept'}.")
    with whole_file(options.out) as file:
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{options.out}: {lines[-1]}")
    sys.exit(0 if all_kept else 1)


if __name__ == "__main__":
    main()
