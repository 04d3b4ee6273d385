"""The sequential-MNIST LSNN that Intel published for Loihi 1, as a graph: counts to hold against a
chip's run.

    host -> relay -> regular, adaptive -> output     regular <-> adaptive
    adaptive -> aux, which adaptive adds to its own membrane: aux first, then main

    a spike takes one step from population to population: every delay is 1
    v_adaptive[t] = trunc(v[t-1] * (4096 - 204) / 4096) + a[t] * 64 + v_aux[t]
    v_aux[t]      = trunc(v[t-1] * (4096 - 5) / 4096) - 384 s_adaptive[t-1]

Weights are -254..255, the 9 bits of separate excitatory and inhibitory sets: wider than the 8 bits
of one mixed set in the profile. Weights: intel-nrc-ecosystem/models @ 3dc53bf,
`nxsdk_modules_ncl/lsnn` (BSD-3), stored (source, destination). On the 200 images of its benchmark
notebook the graph makes the chip's own 11 mistakes, in their order.
"""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.activity import Activity, predictions
from ...core.fixed_point import DECAY_ONE, THRESHOLD_MAX
from ...core.graph import Dense, Graph, OneToOne, Population, Synapse
from ...data.formats.idx import read_idx
from ...system.errors import DataError
from ...system.reading import read_bytes
from ..backends.backend import Progress
from ..backends.simulator.simulator import Simulator
from ..counts.updates import count_updates

PORTS, PIXELS, CUE, STEPS, LEVELS = 80, 784, 56, 840, 40
REGULAR, NEURONS, CLASSES = 140, 240, 10
BYTES = 64 << 20  # of one matrix
LEAK = 204  # 4096 / 20 steps
ADAPTATION_LEAK = 5  # 4096 / 700 steps
THRESHOLD, ADAPTIVE_THRESHOLD, NEVER = 127, 508, 10000
ADAPTIVE_EXPONENT = 2  # weights four times as large, as the threshold is
ADAPTATION = -6  # -96 << -4: -384 membrane units a spike
RELAY_WEIGHT, RELAY_THRESHOLD = 200, 100
OUTPUT_THRESHOLD = THRESHOLD_MAX  # meant never to be reached
PROBE = "potential"  # the host's read of the output compartments: no compartment itself

MD5 = {
    "w_in": "414154592a5854e3abaca68e41075bf1",
    "w_rec": "b4757583d584224d4bfc9211202e5223",
    "w_out": "e9153acf9d65b04b479f3a3a3efc697d",
}
SHAPES = {"w_in": (PORTS, NEURONS), "w_rec": (NEURONS, NEURONS), "w_out": (NEURONS, CLASSES)}

# What the chip answered (benchmark notebook, np.random.seed(0), 200 of the test images): its
# mistakes in order.
SEED, IMAGES = 0, 200
CHIP_CORRECT = 189
CHIP_MISTAKES = (
    (1, 7),
    (3, 5),
    (8, 5),
    (0, 8),
    (9, 3),
    (8, 0),
    (7, 9),
    (3, 2),
    (4, 8),
    (4, 0),
    (2, 3),
)


@dataclass(frozen=True)
class Run:
    """A run of the network: `mistakes` are (target, answer) in order; counts are means over the
    images.

    `receiving`: compartment-steps in which a spike arrives; `nonzero`: with input or a state that
    is not zero. The `_recurrent` figures leave the relay out, which the chip held on a second core.
    """

    images: int
    correct: int
    mistakes: tuple[tuple[int, int], ...]
    spikes: dict[str, float]
    synops: dict[str, float]
    updates: int
    receiving: float
    nonzero: float
    updates_recurrent: int
    receiving_recurrent: float
    nonzero_recurrent: float
    seconds: float

    @property
    def as_on_the_chip(self) -> bool:
        """Whether the answers are those of the chip, image for image."""
        return self.correct == CHIP_CORRECT and self.mistakes == CHIP_MISTAKES

    @property
    def total_synops(self) -> float:
        return sum(self.synops.values())

    @property
    def messages(self) -> float:
        """Spikes between compartments and into the relay: those of the host are injected."""
        return sum(n for name, n in self.spikes.items() if name != "host")


def weights(data_dir: Path) -> dict[str, np.ndarray]:
    """The three matrices, int64 (source, destination). Raises `DataError` for missing or other
    files.
    """
    found = {}
    for name, md5 in MD5.items():
        file = Path(data_dir) / "lsnn" / f"{name}.npy"
        if not file.is_file():
            raise DataError(
                "no such file",
                where=file,
                fix=(
                    "fetch it from intel-nrc-ecosystem/models, "
                    "nxsdk_modules_ncl/lsnn/apps/seqmnist/weights/v25_94per"
                ),
            )
        data = read_bytes(file, BYTES, error=DataError)
        if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
            raise DataError("not the published weights", where=file, limit=f"md5 {md5}")
        found[name] = np.load(io.BytesIO(data), allow_pickle=False).astype(np.int64)
    return found


def network(w_in: np.ndarray, w_rec: np.ndarray, w_out: np.ndarray) -> Graph:
    """The graph of integer matrices (source, destination) of `SHAPES`."""
    for (name, shape), w in zip(SHAPES.items(), (w_in, w_rec, w_out)):
        if w.shape != shape:
            raise DataError("weights of the wrong shape", where=name, limit=shape, value=w.shape)
    populations = (
        Population("host", (PORTS,), "input"),
        Population("relay", (PORTS,), vth=RELAY_THRESHOLD, dv=DECAY_ONE),
        Population("regular", (REGULAR,), vth=THRESHOLD, dv=LEAK),
        Population("aux", (NEURONS - REGULAR,), vth=NEVER, dv=ADAPTATION_LEAK),
        Population("adaptive", (NEURONS - REGULAR,), vth=ADAPTIVE_THRESHOLD, adds="aux", dv=LEAK),
        Population("output", (CLASSES,), vth=OUTPUT_THRESHOLD, dv=LEAK),
        Population(PROBE, (CLASSES,), "readout", memoryless=True, adds="output"),
    )
    parts = {"regular": slice(0, REGULAR), "adaptive": slice(REGULAR, NEURONS)}
    exponent = {"regular": 0, "adaptive": ADAPTIVE_EXPONENT}
    synapses: list[Synapse] = [
        OneToOne("host", "relay", RELAY_WEIGHT, delay=1),
        OneToOne("adaptive", "aux", ADAPTATION, delay=1),
    ]
    for target, columns in parts.items():
        synapses.append(
            Dense("relay", target, w_in[:, columns].T, exponent=exponent[target], delay=1)
        )
        synapses += [
            Dense(source, target, w_rec[rows, columns].T, exponent=exponent[target], delay=1)
            for source, rows in parts.items()
        ]
    synapses += [Dense(source, "output", w_out[rows].T, delay=1) for source, rows in parts.items()]
    return Graph(populations, tuple(synapses), STEPS, tuple(map(str, range(CLASSES)))).check()


def encode(images: np.ndarray) -> np.ndarray:
    """Images uint8 [S, 28, 28] -> spikes uint8 [S, 840, 80] of the host's ports.

    Port 2k fires where a level k lies in (pixel i, pixel i+1], port 2k+1 where it lies in (pixel
    i+1, pixel i], for k = 1..38; port 78 while pixel i is 255; port 79 is the cue of the last 56
    steps.
    """
    pixels = images.reshape(len(images), PIXELS).astype(np.int64)
    level = np.floor(np.linspace(0, 255, LEVELS)).astype(np.int64)[1 : LEVELS - 1]
    now, after = pixels[:, :-1, None], pixels[:, 1:, None]
    spikes = np.zeros((len(images), STEPS, PORTS), np.uint8)
    spikes[:, : PIXELS - 1, 2 : PORTS - 2 : 2] = (now < level) & (level <= after)
    spikes[:, : PIXELS - 1, 3 : PORTS - 1 : 2] = (now >= level) & (level > after)
    spikes[:, : PIXELS - 1, PORTS - 2] = pixels[:, :-1] == 255
    spikes[:, STEPS - CUE :, PORTS - 1] = 1
    return spikes


def benchmark(data_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images uint8 [200, 28, 28] and labels of the published run, in its order."""
    images = read_idx(Path(data_dir) / "mnist" / "t10k-images-idx3-ubyte.gz", 3)
    labels = read_idx(Path(data_dir) / "mnist" / "t10k-labels-idx1-ubyte.gz", 1)
    chosen = np.random.RandomState(SEED).choice(range(len(images)), IMAGES, False)
    return images[chosen], labels[chosen]


def run(
    data_dir: Path, *, images: int = IMAGES, chunk: int = 50, progress: Progress | None = None
) -> Run:
    """The first `images` of the published run on the simulator. Raises `DataError` where data are
    missing.
    """
    graph, (pictures, labels) = network(**weights(data_dir)), benchmark(data_dir)
    started, tally, answers = time.perf_counter(), _Tally(graph), []
    with Simulator(graph) as simulator:
        for start in range(0, images, chunk):
            inputs = {"host": encode(pictures[start : min(start + chunk, images)])}
            activity = simulator.run(inputs)
            answers.append(predictions(graph, activity))
            tally.add(inputs, activity)
            if progress:
                progress(min(start + chunk, images), images)
    found, labels = np.concatenate(answers), labels[:images]
    wrong = np.flatnonzero(found != labels)
    return Run(
        images,
        int((found == labels).sum()),
        tuple((int(labels[i]), int(found[i])) for i in wrong),
        **tally.means(images),
        seconds=time.perf_counter() - started,
    )


class _Tally:
    """Sums over images of what a chip does: a synaptic operation belongs to the step in which its
    spike is sent.

    (`deploy.counts` leaves out what arrives after the last step; the chip does it all the same.)
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        self.compartments = [p for p in graph.populations if p.kind == "lif"]
        self.spikes = dict.fromkeys((p.name for p in graph.populations if p.name != PROBE), 0)
        self.synops = {s.name: 0 for s in graph.synapses}
        self.receiving = {p.name: 0 for p in self.compartments}
        self.nonzero = {p.name: 0 for p in self.compartments}

    def add(self, inputs: dict[str, np.ndarray], activity: Activity) -> None:
        """A run on some images."""
        sent = inputs | activity.spikes
        for name in self.spikes:
            self.spikes[name] += int(np.count_nonzero(sent[name]))
        for synapse in self.graph.synapses:
            fired = np.count_nonzero(sent[synapse.source], axis=(0, 1))
            self.synops[synapse.name] += int(fired @ self.graph.fan_out(synapse))
        followed = count_updates(self.graph, inputs, activity)
        for name in self.receiving:
            self.receiving[name] += followed[name].receiving
            self.nonzero[name] += followed[name].active

    def means(self, images: int) -> dict:
        def each(table: dict[str, int]) -> dict[str, float]:
            return {name: n / images for name, n in table.items()}

        def recurrent(table: dict[str, int]) -> float:
            return sum(n for name, n in table.items() if name != "relay") / images

        updates = {p.name: p.neurons * self.graph.steps for p in self.compartments}
        return {
            "spikes": each(self.spikes),
            "synops": each(self.synops),
            "updates": sum(updates.values()),
            "receiving": sum(self.receiving.values()) / images,
            "nonzero": sum(self.nonzero.values()) / images,
            "updates_recurrent": sum(updates.values()) - updates["relay"],
            "receiving_recurrent": recurrent(self.receiving),
            "nonzero_recurrent": recurrent(self.nonzero),
        }
