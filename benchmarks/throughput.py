"""Throughput of training, simulator and both Lava runtimes, side by side in one run, as ratios.

    python benchmarks/throughput.py [--out runs/bench] [--threads N] [--lava-samples N] [--small]

Two networks, both C = 64 and T = 4 on digits-av: the demo's (strided embedding) and a shallow one
(64 tokens). Each is trained for a few batches (that is the training figure) and frozen; then
simulator, torch's plain float forward of the same network and Lava take turns, and the best of
several rounds counts. The dense bound is this machine's measured single-precision matrix rate over
the multiply-accumulates that a dense evaluation of all T steps needs.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import torch
from written import add_force, may_write, write_figures

from scmrl import __version__
from scmrl.core.comparison import compare
from scmrl.core.graph import Graph
from scmrl.deploy.registry import open_backend
from scmrl.network.kernels.rows import EPSILON
from scmrl.network.model import SCMRL
from scmrl.network.nodes import Layer, Mask
from scmrl.network.nodes.weights import scaled
from scmrl.train import config as config_module
from scmrl.train.feed import Feed, steps_first
from scmrl.train.freeze import freeze
from scmrl.train.loss import objective
from scmrl.train.run import threads

NETWORKS = {"demo": {"model.embedding": "strided"}, "shallow": {"model.embedding": "shallow"}}
BATCH = 32


@dataclass(frozen=True)
class Size:
    """How much is measured: training batches, rounds of the others, samples of a large batch."""

    batches: int = 14
    rounds: int = 5
    large: int = 256
    settings: tuple[tuple[str, object], ...] = ()


SMALL = Size(5, 1, 8, (("model.width", 8), ("model.steps", 2)))  # to see that it runs


def best(job: Callable[[], object], rounds: int) -> float:
    """Seconds of the fastest of several rounds, after one that is not counted."""
    job()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        job()
        times.append(time.perf_counter() - started)
    return min(times)


def trained(settings: dict, batches: int):
    """A briefly trained model, its data, and training samples/s (the first batches warm up)."""
    config = config_module.read(None, settings)
    feed = Feed(config, None)
    torch.manual_seed(0)
    model = SCMRL(
        config.model, feed.shapes, len(feed.classes), input_bits=feed.frontend.bits
    ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.train.lr)
    seconds, counted = 0.0, 0
    for i, (inputs, labels, _) in zip(range(batches), feed.epoch(0)):
        if i == batches // 2:
            model.fold_norms()
        started = time.perf_counter()
        out = model(inputs)
        loss, _ = objective(
            out.logits, {}, labels, label_smoothing=0.1, weight=0.0, temperature=0.1
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if i >= 3:
            seconds, counted = seconds + time.perf_counter() - started, counted + len(labels)
    return model.eval(), feed, counted / seconds


def plain_lif(drive: torch.Tensor, steps: int, keep: float, threshold: float) -> torch.Tensor:
    v, spikes = torch.zeros_like(drive[0]), []
    for t in range(steps):
        v = v * keep + drive[0 if len(drive) == 1 else t]
        s = (v > threshold).float()
        v = v * (1 - s)
        spikes.append(s)
    return torch.stack(spikes)


def plain_float(model: SCMRL) -> Callable[[dict], torch.Tensor]:
    """The same network as a plain float forward: norm folded into the weights, a Python loop over T
    in each LIF.
    """

    def plain(layer: Layer):
        scale = (layer.gamma / torch.sqrt(layer.variance + EPSILON)).detach()
        weights = [scaled(w.detach(), scale) for w in layer.weights.weight]
        bias = (layer.beta - layer.mean * scale).detach()
        keep, linear = 1 - layer.neurons.dv / 4096, layer.weights.map(0)

        def forward(signals, steps):
            summed = (sum(term.gain * term.x for term in terms) for terms in signals)
            drive = sum(linear.apply(x, weight) for x, weight in zip(summed, weights))
            return plain_lif(drive + bias.view(-1, *(1,) * (drive.dim() - 3)), steps, keep, 1.0)

        return forward

    def mask(node: Mask):
        keep = 1 - node.neurons.dv / 4096
        return lambda signals, steps: plain_lif(
            node.count(signals[0][0].x), steps, keep, float(node.vth)
        )

    for node in model.nodes.values():
        if isinstance(node, Layer):
            node.forward = plain(node)
        elif isinstance(node, Mask):
            node.forward = mask(node)

    def run(inputs):
        with torch.inference_mode():
            return model(inputs).logits

    return run


def dense_macs(graph: Graph) -> int:
    """Multiply-accumulates of a dense evaluation: every synapse at every step, a static input's
    once.
    """
    total = 0
    for synapse in graph.synapses:
        source, target = graph[synapse.source], graph[synapse.target]
        steps = 1 if source.kind == "input" else graph.steps
        total += steps * len(synapse.coordinates(source.shape, target.shape)[0])
    return total


def matrix_rate(rounds: int) -> float:
    """Multiply-accumulates per second of a single-precision matrix product."""
    a, b = torch.rand(1536, 1536), torch.rand(1536, 1536)
    return 1536**3 / best(lambda: a @ b, rounds)


def measure(settings: dict, lava_samples: int, size: Size) -> dict:
    model, feed, training = trained({**settings, **dict(size.settings)}, size.batches)
    large, rounds = size.large, size.rounds
    frames = {m: x[:large] for m, x in feed.test.encoded.items()}
    bundle = freeze(
        model,
        frames,
        feed.test.labels[:large],
        feed.classes,
        frontend={},
        metrics={},
        training={},
        profile="loihi2",
    )
    graph, inputs = bundle.graph, bundle.inputs
    few = {m: x[:lava_samples] for m, x in inputs.items()}
    result = {
        "neurons": sum(p.neurons for p in graph.populations),
        "training": training,
        "dense_macs_per_sample": dense_macs(graph),
    }
    with open_backend("simulator", graph) as simulator:
        result["simulator, large batch"] = large / best(lambda: simulator.run(inputs), rounds)
        one = {m: x[:1] for m, x in inputs.items()}
        result["simulator batch 1"] = 1 / best(lambda: simulator.run(one), 4 * rounds)
        expected = simulator.run(few)
    tensors = {m: steps_first(x) for m, x in frames.items()}
    single = {m: steps_first(x[:1]) for m, x in frames.items()}
    run = plain_float(model)
    result["torch float, large batch"] = large / best(lambda: run(tensors), rounds)
    result["torch float batch 1"] = 1 / best(lambda: run(single), 4 * rounds)
    result["dense bound"] = matrix_rate(rounds) / result["dense_macs_per_sample"]
    for backend in ("lava", "lava-inprocess"):
        with open_backend(backend, graph) as opened:
            activity = opened.run(few)
        result[backend] = lava_samples / activity.seconds
        result[f"{backend} start-up s"] = activity.startup_s
        result[f"{backend} bit-exact"] = compare(graph, expected, activity).bit_exact
    result["simulator / lava"] = result["simulator, large batch"] / result["lava"]
    result["simulator / torch float"] = (
        result["simulator, large batch"] / result["torch float, large batch"]
    )
    result["simulator / torch float, batch 1"] = (
        result["simulator batch 1"] / result["torch float batch 1"]
    )
    result["simulator / dense bound"] = result["simulator, large batch"] / result["dense bound"]
    result["lava-inprocess / lava"] = result["lava-inprocess"] / result["lava"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--lava-samples", type=int, default=32)
    add_force(parser)
    parser.add_argument(
        "--small",
        action="store_true",
        help="see that it runs: little of everything, no figures to quote",
    )
    options = parser.parse_args()
    may_write(options.out / "throughput.json", "figures", options)
    size, lava_samples = (SMALL, 2) if options.small else (Size(), options.lava_samples)
    threads.use(options.threads)
    results = {
        name: measure({"train.batch": BATCH, **settings}, lava_samples, size)
        for name, settings in NETWORKS.items()
    }
    versions = {
        "scmrl": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": options.threads,
        "large batch": size.large,
    }
    write_figures(options.out / "throughput.json", {"versions": versions, "samples_per_s": results})
    print("  ".join(f"{key} {value}" for key, value in versions.items()))
    print(f"{'':34}" + "".join(f"{name:>14}" for name in results))
    for key in next(iter(results.values())):
        print(
            f"{key:34}"
            + "".join(
                f"{str(r[key]) if isinstance(r[key], bool) else f'{r[key]:,.4g}':>14}"
                for r in results.values()
            )
        )
    print("samples per second where nothing else is said")


if __name__ == "__main__":
    main()
