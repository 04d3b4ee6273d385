"""Placement, traffic and energy of generated networks of about 100 million synapses: seconds and
peak memory.

    python benchmarks/scale.py [--only dense,chain,conv,mixed,loihi1] [--synapses 100e6]
                               [--out FILE]                  (--synapses 2e6: seconds)

Each network runs in a process of its own, so that its peak memory is its own. Spike counts are made
up (5 % of the neurons a step); everything else is the real code: check, placement, traffic, energy.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
from written import add_force, may_write, write_figures

from scmrl.core.activity import Activity
from scmrl.core.graph import Conv2d, Dense, Graph, Pointwise, Population, Window

RATE, STEPS = 0.05, 4
PROFILES = {"loihi1": "loihi1"}  # network -> profile; the others on Loihi 2


def dense(synapses: float) -> Graph:
    """One all-to-all map, 10,000 x 10,000 at 100 million."""
    n = int(synapses**0.5)
    return _graph([("input", n), ("hidden", n), ("readout", 10)])


def chain(synapses: float) -> Graph:
    """Ten equal dense layers."""
    n = int((synapses / 10) ** 0.5)
    return _graph([("input", n), *((f"layer{i}", n) for i in range(10)), ("readout", 10)])


def loihi1(synapses: float) -> Graph:
    """Dense layers of the width that Loihi 1 can still wire all to all across chips: each neuron
    takes two output axons for every core of the next layer, so a core needs about twice that
    layer's neurons, of 4,096.
    """
    n, layers = 1800, max(1, round(synapses / 1800**2))
    return _graph([("input", n), *((f"layer{i}", n) for i in range(layers)), ("readout", 10)])


def conv(synapses: float) -> Graph:
    """Three 3 x 3 convolutions of 64 channels; their weights are shared, their synapses counted one
    by one.
    """
    side, random = int((synapses / (3 * 64 * 64 * 9)) ** 0.5), np.random.default_rng(0)
    populations = [Population("input", (64, side, side), "input")]
    synapses_ = []
    for i in range(3):
        populations.append(Population(f"conv{i}", (64, side, side), vth=1000))
        synapses_.append(
            Conv2d(populations[-2].name, f"conv{i}", _weight(random, 64, 64, 3, 3), padding=(1, 1))
        )
    pool = -(-side // 10)
    synapses_.append(Window("conv2", "pool", 1, (pool, pool), (pool, pool)))
    populations.append(
        Population("pool", synapses_[-1].output_shape((64, side, side), ()), memoryless=True)
    )
    synapses_.append(Dense("pool", "readout", _weight(random, 10, populations[-1].neurons)))
    return Graph((*populations, Population("readout", (10,), "readout")), tuple(synapses_), STEPS)


def mixed(synapses: float) -> Graph:
    """Convolution, pooling, pointwise and dense layers."""
    side, random = int((0.97 * synapses / (32 * 64 * 9)) ** 0.5) // 8 * 8, np.random.default_rng(0)
    small = (64, side // 8, side // 8)
    populations = (
        Population("input", (32, side, side), "input"),
        Population("conv", (64, side, side), vth=1000),
        Population("pool", small, memoryless=True),
        Population("point", small, vth=1000),
        Population("hidden", (512,), vth=1000),
        Population("readout", (10,), "readout"),
    )
    synapses_ = (
        Conv2d("input", "conv", _weight(random, 64, 32, 3, 3), padding=(1, 1)),
        Window("conv", "pool", 1, (8, 8), (8, 8)),
        Pointwise("pool", "point", _weight(random, 64, 64)),
        Dense("point", "hidden", _weight(random, 512, populations[3].neurons)),
        Dense("hidden", "readout", _weight(random, 10, 512)),
    )
    return Graph(populations, synapses_, STEPS)


NETWORKS = {f.__name__: f for f in (dense, chain, loihi1, conv, mixed)}


def _weight(random: np.random.Generator, *shape: int) -> np.ndarray:
    return random.integers(-127, 128, shape, np.int8)


def _graph(layers: list[tuple[str, int]]) -> Graph:
    """Dense layers, the first an input, the last a readout."""
    random, last = np.random.default_rng(0), len(layers) - 1
    kinds = ["input", *["lif"] * (last - 1), "readout"]
    populations = tuple(
        Population(name, (n,), kind, vth=1000 * (kind == "lif"))
        for (name, n), kind in zip(layers, kinds)
    )
    synapses = tuple(
        Dense(source, name, _weight(random, n, fan))
        for (source, fan), (name, n) in zip(layers, layers[1:])
    )
    return Graph(populations, synapses, STEPS)


def _made_up(graph: Graph) -> tuple[dict[str, np.ndarray], Activity]:
    """Random spikes of one sample."""
    random = np.random.default_rng(1)
    spikes = {
        p.name: (random.random((1, graph.steps, *p.shape)) < RATE).astype(np.uint8)
        for p in graph.populations
    }
    inputs = {p.name: spikes.pop(p.name) for p in graph.of_kind("input")}
    membrane = {p.name: spikes.pop(p.name).astype(np.int64) for p in graph.of_kind("readout")}
    return inputs, Activity(spikes, membrane, "made up", "1")


def measure(name: str, synapses: float) -> dict:
    """Seconds of each stage of one network, and the peak memory of the process."""
    from scmrl.deploy.counts.counts import count
    from scmrl.deploy.energy.energy import on_chip
    from scmrl.deploy.energy.trace import Work
    from scmrl.deploy.placement.fit import fit
    from scmrl.deploy.placement.traffic import fired, traffic
    from scmrl.hw_profiles import profile

    graph, seconds = NETWORKS[name](synapses), {}
    chip = profile.load(PROFILES.get(name, "loihi2"))

    def timed(stage: str, job):
        started = time.perf_counter()
        out = job()
        seconds[stage] = round(time.perf_counter() - started, 2)
        return out

    timed("check", graph.check)
    found = timed("place", lambda: fit(graph, chip))
    placement, line = found.placement, found.line.graph
    inputs, activity = _made_up(graph)
    flow = timed("traffic", lambda: traffic(line, placement, fired(graph, inputs, activity)))
    work = Work(graph, inputs, activity)
    updates = timed("updates", lambda: work.updates)
    counts = timed("counts", lambda: count(graph, inputs, activity, updates))
    if flow.synops.sum() != sum(c.synops_per_inference for c in counts):
        raise SystemExit(f"{name}: synaptic operations by core and by population differ")
    report = timed("energy", lambda: on_chip(work, chip, found=found))
    return {
        "network": name,
        "profile": chip.name,
        "synapses": int(sum(graph.fan_out(s).sum() for s in graph.synapses)),
        "cores": len(placement.cores),
        "chips": placement.chips,
        "messages": flow.messages,
        "core_dynamic_uj": report.core_dynamic_uj,
        "seconds": seconds,
        "total_s": round(sum(seconds.values()), 2),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(NETWORKS), help="networks, separated by commas")
    parser.add_argument("--synapses", type=float, default=100e6)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    add_force(parser)
    arguments = parser.parse_args()
    may_write(arguments.out, "figures", arguments)
    rows = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for name in arguments.only.split(","):
            rows.append(pool.apply(measure, (name, arguments.synapses)))
            r = rows[-1]
            print(
                f"{name:8}{r['profile']:8}{r['synapses'] / 1e6:9.1f} M synapses{r['cores']:7,}"
                f" cores{r['chips']:5} chips {r['total_s']:7.1f} s {r['peak_gib']:6.2f} GiB  "
                f" {r['seconds']}"
            )
    if arguments.out:
        write_figures(arguments.out, {"rate": RATE, "steps": STEPS, "networks": rows})


if __name__ == "__main__":
    main()
