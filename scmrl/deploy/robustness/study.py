"""The robustness protocol: one perturbation at a time, at several levels, on a test set.

    audio SNR, image SNR    noise of power P / 10^(SNR / 10) at test time      before the front-end
    missing                 an input is zero: silence, black, no event         at the input
    bit flips ... jitter    see `perturbation`                                 in the integer model

Repetitions differ in the seed of the perturbation; figures are means and standard deviations over
them. Level 0 is the model as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...core.activity import Activity, predictions
from ...core.graph import Graph
from ...core.report.progress import clock
from ..registry import open_backend
from . import perturbation

Inputs = dict[str, np.ndarray]
FAULTS = {
    "bit flips": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
    "dead neurons": (0.01, 0.03, 0.1, 0.2, 0.3),
    "spike loss": (0.01, 0.03, 0.1, 0.2, 0.3),
    "spike jitter": (0.01, 0.03, 0.1, 0.2, 0.3),
}
UNITS = {
    "bit flips": "per bit",
    "dead neurons": "of neurons",
    "spike loss": "of spikes",
    "spike jitter": "of spikes",
    "missing": "",
}
CHUNK = 256  # samples whose spikes are held at once


@dataclass(frozen=True)
class Point:
    """Accuracy at one level of one perturbation: mean and standard deviation over `repeats`."""

    kind: str
    level: float | str
    accuracy: float
    spread: float
    repeats: int


def accuracy(
    graph: Graph, inputs: Inputs, labels: np.ndarray, run: Callable[[Inputs], Activity]
) -> float:
    """Share of samples whose class is right, run in chunks."""
    hits = 0
    for start in range(0, len(labels), CHUNK):
        part = {name: x[start : start + CHUNK] for name, x in inputs.items()}
        hits += int((predictions(graph, run(part)) == labels[start : start + CHUNK]).sum())
    return hits / len(labels)


def plain(graph: Graph, inputs: Inputs, labels: np.ndarray) -> float:
    with open_backend("simulator", graph) as simulator:
        return accuracy(graph, inputs, labels, simulator.run)


def fault(
    kind: str, level: float, graph: Graph, inputs: Inputs, labels: np.ndarray, seed: int
) -> float:
    """Accuracy with one fault of FAULTS at one level, drawn from `seed`."""
    random = np.random.default_rng((seed, list(FAULTS).index(kind)))
    if kind == "bit flips":
        return plain(perturbation.flip_bits(graph, level, random), inputs, labels)
    if kind == "dead neurons":
        return plain(perturbation.kill_neurons(graph, level, random), inputs, labels)
    make = perturbation.lose_spikes if kind == "spike loss" else perturbation.delay_spikes
    disturb = make(level)

    def run(part: Inputs) -> Activity:
        return perturbation.run_disturbed(graph, part, disturb, random)

    return accuracy(graph, inputs, labels, run)


def missing(graph: Graph, inputs: Inputs, labels: np.ndarray) -> list[Point]:
    """Accuracy without each modality in turn."""
    if len(inputs) < 2:
        return []
    return [
        Point("missing", name, plain(graph, {**inputs, name: np.zeros_like(x)}, labels), 0.0, 1)
        for name, x in inputs.items()
    ]


class Clock:
    """Lines of progress with a rate and the time left."""

    def __init__(self, total: int, tell: Callable[[str], None]):
        self.total, self.tell, self.done, self.started = total, tell, 0, time.monotonic()

    def __call__(self, point: Point) -> Point:
        self.done += 1
        per_point = (time.monotonic() - self.started) / self.done
        left = clock(per_point * (self.total - self.done))
        pace = f"{self.done} of {self.total}, {1 / per_point:.2f}/s, {left} left"
        self.tell(f"{point.kind} {point.level:g}: {100 * point.accuracy:.2f} %  [{pace}]")
        return point


def summary(kind: str, level: float, values: list[float]) -> Point:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Point(kind, level, float(np.mean(values)), spread, len(values))


def study(
    graph: Graph,
    inputs: Inputs,
    labels: np.ndarray,
    *,
    noisy: dict[str, dict[float, list[Inputs]]],
    repeats: int,
    tell: Callable[[str], None],
) -> list[Point]:
    """Points: clean, `noisy` {kind: {level: inputs of each draw}}, missing modalities, faults."""
    total = 1 + sum(map(len, noisy.values())) + sum(map(len, FAULTS.values()))
    clock, own = Clock(total, tell), (graph, inputs, labels)
    points = [clock(summary("clean", 0.0, [plain(*own)]))]
    for kind, levels in noisy.items():
        for level, drawn in levels.items():
            points.append(clock(summary(kind, level, [plain(graph, x, labels) for x in drawn])))
    points += missing(*own)
    for kind, shares in FAULTS.items():
        for share in shares:
            found = [fault(kind, share, *own, seed) for seed in range(repeats)]
            points.append(clock(summary(kind, share, found)))
    return points
