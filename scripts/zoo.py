"""Make a model of the zoo from a run: measure it on its recordings, and keep it with a card.

    python scripts/zoo.py RUN NAME

writes scmrl/core/zoo/NAME. RUN remembers where its recordings lie; they stay there. What travels
with the model are SAMPLES inputs that anybody may have:

    a run on digits-av    samples that training held out, with training's spikes for them
    any other             scans and voices of digits-av through the model's own front-end, without
                          labels; where it takes events, the scans before a camera that moves

Refused where a figure is not what training reported, or Lava differs in any bit.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np

from scmrl import __version__
from scmrl.core.activity import Activity
from scmrl.core.bundle import Bundle, load
from scmrl.core.samples import NONE, OTHER, Origin
from scmrl.core.zoo import FOLDER
from scmrl.core.zoo.cards import Card, Source
from scmrl.data import FrontEnd, Pairs
from scmrl.data import load as load_pairs
from scmrl.data.features import tasks
from scmrl.data.features.corruption import corruption
from scmrl.data.features.values import in_steps
from scmrl.deploy.evaluation import evaluate
from scmrl.deploy.jobs import energy, verify
from scmrl.deploy.reports.evaluate import EvaluateReport
from scmrl.system.errors import MismatchError, ScmrlError, UsageError, quoted
from scmrl.system.storage import put_json, whole_directory
from scmrl.train import config

SAMPLES, CHIP, LAVA = 16, "loihi2", "lava-inprocess"
EMBEDDED, EVENTS = "digits-av", "nmnist-fsdd"
DOES = {
    "name": "names the digit that is said and shown",
    "correspondence": "tells whether the digit said is the one shown",
    "sum": "adds the digit said to the one shown",
    "where": "finds the place of a spoken digit in an image of four",
    "when": "finds the moment at which the digit shown is said, of four",
}
FSDD = Source(
    "speech of the Free Spoken Digit Dataset", "Z. Jackson and contributors", "CC BY-SA 4.0"
)
SOURCES = {
    EMBEDDED: (
        Source("digits of scikit-learn", "E. Alpaydin, C. Kaynak (UCI)", "CC BY 4.0"),
        Source("speech synthesised by eSpeak NG", "scripts/make_digits_av.py", "as scmrl"),
    ),
    "av-mnist": (
        Source("handwriting of MNIST", "Y. LeCun, C. Cortes", "CC BY-SA 3.0"),
        FSDD,
    ),
    EVENTS: (
        Source("event recordings of N-MNIST", "G. Orchard et al. 2015", "CC BY-SA 4.0"),
        FSDD,
    ),
}
# Steps of the camera, in pixels: a triangle, as the three saccades of N-MNIST.
SACCADES = ((1, 2), (1, 2), (1, 2), (1, -2), (1, -2), (-2, -1), (-2, -1), (0, 2))
CONTRAST, BORDER = 0.15, 2  # of white that makes an event; pixels around an image


def main(run: str, name: str) -> None:
    if not re.fullmatch("[a-z0-9-]+", name):
        raise UsageError("small letters, digits and dashes are a name", where=name)
    bundle = load(run)
    dataset = bundle.training.get("dataset")
    if dataset not in SOURCES:
        fix = f"write where the data are from into SOURCES of {__file__}"
        raise UsageError("data of unknown licence", where=run, value=dataset, fix=fix)
    tested = evaluate(run)
    if not tested.equals_training:
        raise MismatchError("not what training reported", where=run, value=tested.correct)
    small, said = with_own(bundle) if dataset == EMBEDDED else with_embedded(bundle)
    card = measured(run, name, bundle, tested, small, said)
    with whole_directory(FOLDER / name, "bundle") as directory:
        small.write(directory)
        put_json(directory / "card.json", asdict(card))
    print(f"{FOLDER / name}: {sum(f.stat().st_size for f in (FOLDER / name).iterdir())} bytes")


# ---- the samples ---------------------------------------------------------------------------------


def spread(count: int) -> np.ndarray:
    """Rows from all over `count` samples: every class is there."""
    return np.linspace(0, count - 1, SAMPLES).astype(int)


def with_own(bundle: Bundle) -> tuple[Bundle, str]:
    """The bundle with a few of its own samples, and which they are."""
    rows, trained = spread(bundle.samples), bundle.trained
    if trained is not None:
        spikes = {name: s[rows] for name, s in trained.spikes.items()}
        membrane = {name: v[rows] for name, v in trained.membrane.items()}
        trained = Activity(spikes, membrane, trained.backend, trained.version)
    inputs = {name: x[rows] for name, x in bundle.inputs.items()}
    few = replace(bundle, inputs=inputs, labels=bundle.labels[rows], trained=trained)
    return few, "held out by training, with its spikes"


def with_embedded(bundle: Bundle) -> tuple[Bundle, str]:
    """The bundle with samples of digits-av as it would meet them, and which they are."""
    training, steps = bundle.training, bundle.graph.steps
    pairs = load_pairs(EMBEDDED, split="test")
    said = f"of {EMBEDDED} (scans of scikit-learn, CC BY 4.0; voices of eSpeak NG), encoded by it"
    if training["dataset"] == EVENTS:
        pairs = replace(
            pairs, image=None, cochlea_steps=steps, recorded={"visual": filmed(pairs, steps)}
        )
        said += "; events by a simulated camera"
    noise = corruption(bool(training["hard"]), training["spoil"])
    encoded = FrontEnd.from_dict(bundle.frontend).encode_pairs(noise.apply(pairs, 0))
    encoded, _, _ = tasks.pose(training["task"], encoded, pairs.label, tasks.fixed(), steps)
    rows = spread(len(pairs))
    inputs = {p.name: in_steps(encoded[p.name][rows], p, steps) for p in inputs_of(bundle)}
    unlabelled, origin = np.zeros(SAMPLES, np.int64), Origin(OTHER, NONE)
    few = replace(bundle, inputs=inputs, labels=unlabelled, trained=None, origin=origin)
    return few, f"{said}; without labels"


def inputs_of(bundle: Bundle) -> list:
    return bundle.graph.of_kind("input")


def filmed(pairs: Pairs, steps: int) -> np.ndarray:
    """Events uint8 [S, T, 2, 32, 32] of a camera that moves before the images [S, 28, 28]: brighter
    and darker, where light changes by more than CONTRAST.
    """
    still = np.pad(pairs.image, ((0, 0), (BORDER, BORDER), (BORDER, BORDER)))
    seen = [still]
    for step in range(steps):
        seen.append(np.roll(seen[-1], SACCADES[step % len(SACCADES)], (1, 2)))
    change = np.diff(np.stack(seen, 1), axis=1)
    return np.stack([change > CONTRAST, change < -CONTRAST], 2).astype(np.uint8)


# ---- the card ------------------------------------------------------------------------------------


def measured(
    run: str, name: str, bundle: Bundle, tested: EvaluateReport, small: Bundle, said: str
) -> Card:
    """The card: accuracy and counts of the test part, energy and Lava of held-out samples."""
    ran = verify(run, [LAVA])
    if not ran.bit_exact:
        raise MismatchError("Lava differs", where=run, value=ran.first_difference)
    (chip,) = energy(run, [CHIP]).profiles
    (lava,) = (match for match in ran.backends if match.backend == LAVA)
    training, task = bundle.training, bundle.training["task"]
    noisy = ", in noise" if training["hard"] else ""
    eventful = ", in events and spike trains" if training["dataset"] == EVENTS else ""
    return Card(
        name=name,
        does=DOES[task] + noisy + eventful,
        dataset=tested.selection.removesuffix(", test split"),
        command=command(training),
        seed=training["train"]["seed"],
        sources=SOURCES[training["dataset"]],
        test_correct=tested.correct,
        test_samples=tested.samples,
        parameters=bundle.metrics["parameters"],
        neurons=sum(p.neurons for p in bundle.graph.of_kind("lif")),
        steps=bundle.graph.steps,
        spikes_per_inference=tested.totals.spikes_per_inference,
        synops_per_inference=tested.totals.synops_per_inference,
        profile=CHIP,
        cores=chip.cores,
        energy_uj=chip.total_uj,
        energy_uj_range=chip.ranges["total_uj"],
        core_dynamic_uj=chip.core_dynamic_uj,
        latency_ms=chip.latency_ms,
        latency_ms_range=chip.latency_ms_range,
        lava=f"{LAVA} {lava.version}",
        lava_mismatches=lava.mismatches,
        measured_on=ran.samples,
        samples=small.samples,
        samples_are=said,
        bundle=small.hash,
        scmrl=__version__,
    )


def command(training: dict) -> str:
    """What trains such a model: the settings that are not the default ones."""
    dataset, hard = training["dataset"], training["hard"]
    usual = dict(flat(config.to_dict(config.read(None, {"dataset": dataset, "hard": hard}))))
    said = {key: x for key, x in flat(training) if key in usual and usual[key] != x}
    settings = [f"--set {quoted(f'{key}={x}')}" for key, x in said.items()]
    return " ".join(["scmrl train --dataset", dataset, *["--hard"] * hard, *settings, "--out RUN"])


def flat(table: dict, section: str = "") -> Iterator[tuple[str, object]]:
    for key, x in table.items():
        if isinstance(x, dict):
            yield from flat(x, f"{section}{key}.")
        else:
            yield section + key, x


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except ScmrlError as error:
        sys.exit(f"error: {error}")
