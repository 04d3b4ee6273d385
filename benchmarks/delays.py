"""What trained delays bring: spoken digits through the cochlea, in a network of one's own.

    python benchmarks/delays.py --data-dir DIR [--out runs/delays] [--seeds 42,43,44] [--jobs 2]
                                [--epochs N] [--write FILE.md]
    python benchmarks/delays.py --small     two models on embedded digits, in a minute

32 bands, 64 steps of 10 ms, two hidden layers of leaky neurons that forget half in a step and know
no other memory. Three networks of as many weights: without delays; each band, and each hidden
neuron, later by a number of steps that is drawn once (0 to 24); the same ones trained. Every run
is frozen; its accuracy is that of the integers on the simulator, on a fifth of the recordings that
no training saw.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from runs import asked, folder, parser, spread, table, train_all, write_tables

from scmrl import Network, nodes
from scmrl.core.bundle import load
from scmrl.data.features import cochlea
from scmrl.data.own import OwnData
from scmrl.data.sets import av_mnist, digits_av
from scmrl.deploy.evaluation import evaluate

RECORDINGS = "SCMRL_RECORDINGS"  # the folder of the recordings; unset: the embedded digits
STEPS, MOST, WIDTH = 64, 24, 32
MODELS = {"no delays": "without", "drawn, fixed": "fixed", "trained": "trained"}
TRAINING = ("--set", "train.lr=0.01", "--set", "train.batch=64")


def data() -> dict[str, object]:
    """Spikes x [S, 64, 32] of all spoken digits; the parts are drawn."""
    sounds, labels = zip(*map(_recordings, ("train", "test")))
    in_turn = cochlea.spikes(np.concatenate(sounds), STEPS // cochlea.SLOTS)[:, :, 0]
    x = in_turn.transpose(0, 1, 3, 2).reshape(-1, STEPS, cochlea.BANDS)
    return {"x": x, "y": np.concatenate(labels), "time": True}


def _recordings(part: str) -> tuple[np.ndarray, np.ndarray]:
    if where := os.environ.get(RECORDINGS):
        faults: list[str] = []
        found = av_mnist.recordings(Path(where), part, faults)
        if faults:
            raise FileNotFoundError(faults[0])
        return found
    pairs = digits_av.load(part)
    assert pairs.waveform is not None
    return pairs.waveform, pairs.label


def _network(data: OwnData, delays: str) -> Network:
    net = Network(data.steps, precision=data.precision)
    h = net.add("x", nodes.Input(data.shapes["x"], data.bits["x"]))
    for name, channels in (("first", cochlea.BANDS), ("second", WIDTH)):
        if delays:
            later = net.delay(name, channels, MOST)
            net.delays.requires_grad_(delays == "trained")
            h = h.delayed(later)
        h = net.add(name, nodes.Layer(nodes.Dense(WIDTH), nodes.LIF(gradient="time")), h)
    net.add("readout", nodes.Readout(nodes.Dense(data.outputs)), h)
    return net


def without(data: OwnData) -> Network:
    return _network(data, "")


def fixed(data: OwnData) -> Network:
    return _network(data, "fixed")


def trained(data: OwnData) -> Network:
    return _network(data, "trained")


def summary(out: Path, models: Collection[str], seeds: list[int]) -> Iterator[str]:
    """Markdown of the table."""
    head = ["delays", *(f"seed {seed}" for seed in seeds), "mean ± sd", "parameters", "synops"]
    rows = []
    for name in models:
        runs = [folder(out, name, seed) for seed in seeds]
        reports = [evaluate(run, dataset=f"{__file__}:data") for run in runs]
        if not all(report.equals_training for report in reports):
            raise SystemExit(f"{name}: the simulator's accuracy is not the one of training")
        accuracies = [report.accuracy for report in reports]
        synops = np.mean([report.totals.synops_per_inference for report in reports])
        each = (f"{100 * accuracy:.2f}" for accuracy in accuracies)
        count = f"{load(runs[0]).metrics['parameters']:,}"
        rows.append([name, *each, spread(accuracies), count, f"{synops:,.0f}"])
    yield f"Test accuracy in % of the frozen, integer models ({reports[0].samples} recordings)."
    yield ""
    yield from table(head, rows)


def main() -> None:
    made = parser(__doc__, "runs/delays")
    made.add_argument("--epochs", type=int, default=40)
    options, seeds = asked(made)
    models = list(MODELS)
    if options.small:
        models, options.epochs = ["no delays", "trained"], 1
    else:
        os.environ[RECORDINGS] = options.data_dir
    jobs = [
        (
            folder(options.out, name, seed),
            seed,
            [
                *("--model", f"{__file__}:{MODELS[name]}", "--dataset", f"{__file__}:data"),
                *("--epochs", str(options.epochs), *TRAINING),
            ],
        )
        for seed in seeds
        for name in models
    ]
    train_all(jobs, None, options.jobs)
    text = "\n".join(summary(options.out, models, seeds)) + "\n"
    print(text)
    write_tables(options.write, __file__, text)


if __name__ == "__main__":
    main()
