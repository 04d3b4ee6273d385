"""Samples per second of the C program at batch 1, one thread, beside simulator and onnxruntime.

    python benchmarks/compiled.py runs/demo [--out FILE.json] [--small]

All three run sample after sample, as a stream brings them, and take turns in one process; the best
of several rounds counts, in seconds of the processor. Ratios travel better than seconds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from written import add_force, may_write, write_figures

from scmrl.core.bundle import load
from scmrl.core.comparison import compare
from scmrl.deploy.backends.simulator.simulator import Simulator
from scmrl.deploy.registry import open_backend

BACKENDS = ("simulator", "c", "onnx")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--small", action="store_true", help="see that it runs: no figures to quote"
    )
    add_force(parser)
    options = parser.parse_args()
    may_write(options.out, "figures", options)
    bundle = load(options.model)
    samples, rounds = (2, 1) if options.small else (32, 12)
    each = [{name: x[i : i + 1] for name, x in bundle.inputs.items()} for i in range(samples)]
    opened = {name: open_backend(name, bundle.graph) for name in BACKENDS}
    opened["simulator"] = Simulator(bundle.graph, threads=1)
    found = {name: backend.run(each[0]) for name, backend in opened.items()}
    equal = {
        name: compare(bundle.graph, found["simulator"], found[name]).bit_exact for name in found
    }
    seconds = dict.fromkeys(BACKENDS, float("inf"))
    for _ in range(rounds):
        for name, backend in opened.items():
            started = time.process_time()
            for inputs in each:
                backend.run(inputs)
            seconds[name] = min(seconds[name], time.process_time() - started)
    rate = {name: samples / spent for name, spent in seconds.items()}
    for name in BACKENDS:
        ratio = rate[name] / rate["simulator"]
        print(f"{name:10} {rate[name]:10,.0f} samples/s  x {ratio:.2f}  equal {equal[name]}")
    if options.out is not None:
        versions = {name: activity.version for name, activity in found.items()}
        write_figures(options.out, {"samples_per_s": rate, "equal": equal, "versions": versions})


if __name__ == "__main__":
    main()
