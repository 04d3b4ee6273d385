"""A float network and its integers on the same samples, some at a time: what is kept is counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ....core.activity import Spikes, predictions
from ....core.graph import Graph
from .floats.network import Network
from .rounding import Scaled
from .runs.integers import Runner
from .runs.interpreter import chunks
from .samples import Golden


@dataclass(frozen=True)
class Observed:
    """A float network's run: readout values [S, K] at the last step, the largest states, the most
    spikes of a node's neuron in one step, and all spikes, some samples at a time, packed.
    """

    scores: np.ndarray
    peaks: dict[str, tuple[np.ndarray, np.ndarray]]
    most: dict[str, int]
    spikes: list[tuple[slice, dict[str, Packed]]]

    @property
    def classes(self) -> np.ndarray:
        """int64 [S]; the first of the highest wins."""
        return self.scores.argmax(1)

    def sample(self, name: str, i: int) -> np.ndarray:
        """Spikes [T, *shape] of a node in sample `i`."""
        return self.chunk(name, slice(i, i + 1))[0]

    def chunk(self, name: str, part: slice) -> np.ndarray:
        """Spikes [s, T, *shape] of a node for samples that ran within one chunk."""
        for held, packed in self.spikes:
            if held.start <= part.start and part.stop <= held.stop:
                own = slice(part.start - held.start, part.stop - held.start)
                return packed[name].array()[own]
        return np.concatenate(
            [
                packed[name].array()[_within(held, part)]
                for held, packed in self.spikes
                if held.start < part.stop and part.start < held.stop
            ]
        )


def _within(held: slice, part: slice) -> slice:
    return slice(max(0, part.start - held.start), min(held.stop, part.stop) - held.start)


@dataclass(frozen=True)
class Packed:
    """An array of few whole numbers, spikes as bits."""

    data: np.ndarray
    shape: tuple[int, ...]
    bits: bool

    @classmethod
    def of(cls, x: np.ndarray) -> Packed:
        bits = x.max(initial=0) <= 1
        return cls(np.packbits(x.ravel() != 0) if bits else x, x.shape, bool(bits))

    def array(self) -> np.ndarray:
        if not self.bits:
            return self.data
        return np.unpackbits(self.data, count=int(np.prod(self.shape))).reshape(self.shape)


def observe(floats: Network, data: dict[str, np.ndarray]) -> Observed:
    """Run the float network."""
    scores, spikes = [], []
    peaks = {n.name: (np.zeros(n.shape), np.zeros(n.shape)) for n in floats.neurons}
    most = {n.name: 0 for n in floats.neurons if n.kind == "spiking"}
    for part, run in chunks(floats, data):
        scores.append(run.scores(floats))
        spikes.append((part, {name: Packed.of(run.values[name]) for name in most}))
        for name in most:
            most[name] = max(most[name], int(run.values[name].max(initial=0)))
        for name, own in peaks.items():
            for peak, x in zip(own, run.peaks[name]):
                np.maximum(peak, x, out=peak)
    return Observed(np.concatenate(scores), peaks, most, spikes)


@dataclass
class Counts:
    """One population in both runs: neuron-steps, equal ones, sums of spikes, borders."""

    size: int = 0
    equal: int = 0
    floats: int = 0
    integers: int = 0
    overflow: int = 0
    spikes: Spikes = field(default_factory=Spikes)
    golden: Spikes = field(default_factory=Spikes)  # the framework's, against the integers'
    reading: Spikes = field(default_factory=Spikes)  # the framework's, against the float network's


@dataclass(frozen=True)
class Compared:
    """Counts by node, and the integers' classes int64 [S]."""

    counts: dict[str, Counts]
    classes: np.ndarray


def compare(
    floats: Network,
    observed: Observed,
    graph: Graph,
    inputs: dict[str, np.ndarray],
    scaled: tuple[Scaled, ...],
    golden: Golden,
) -> Compared:
    """Run the integers beside what the float network, and the framework, did."""
    counts = {s.name: Counts() for s in scaled}
    classes = []
    for part, activity in Runner(graph).chunks(inputs):
        classes.append(predictions(graph, activity))
        overflow = activity.overflow or {}
        for s in scaled:
            own = counts[s.name]
            own.overflow += sum(overflow[name] for name in s.populations)
            if graph[s.name].fires:
                got = np.stack([activity.spikes[name] for name in s.populations]).sum(
                    0, dtype=np.int64
                )
                _count(own, observed, golden.spikes, s.name, part, got)
    return Compared(counts, np.concatenate(classes))


def _count(
    own: Counts,
    observed: Observed,
    golden: Mapping[str, np.ndarray],
    name: str,
    part: slice,
    got: np.ndarray,
) -> None:
    wanted = observed.chunk(name, part).reshape(got.shape)
    own.size += got.size
    own.equal += int(np.count_nonzero(wanted == got))
    own.floats += int(wanted.sum(dtype=np.int64))
    own.integers += int(got.sum())
    own.spikes += Spikes.of(wanted, got)
    if name in golden:
        framework = golden[name][part].reshape(got.shape)
        own.golden += Spikes.of(framework, got)
        own.reading += Spikes.of(framework, wanted)


def reading_agreement(observed: Observed, golden: Golden) -> float | None:
    """How far a float network is the framework's own: the share of equal classes, or the F1 of the
    spikes; None without golden results.
    """
    if golden.classes is not None:
        return float((observed.classes == golden.classes).mean())
    if not golden.spikes:
        return None
    total = Spikes()
    for part, _ in observed.spikes:
        for name, framework in golden.spikes.items():
            total += Spikes.of(framework[part], observed.chunk(name, part))
    return 2 * total.both / max(1, total.expected + total.got)
