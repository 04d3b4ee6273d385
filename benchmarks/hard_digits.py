"""What each modality, their fusion and the attention contribute on noisy audio-visual digits.

    python benchmarks/hard_digits.py --data-dir DIR [--out runs/hard] [--seeds 42,43,44] [--jobs 2]
                                     [--write FILE]
    python benchmarks/hard_digits.py --small    the full model on embedded digits, in a minute

Trains audio only, visual only, late fusion (no attention) and the full model on `av-mnist --hard`
with every seed (runs that are there are kept), evaluates each frozen, integer model on the whole
test set with the simulator, evaluates the full ones again with the complementary feature z cut off
(alpha = 0), and prints tables: accuracies with mean and spread (standard deviation over seeds),
cross-modal retrieval by z, parameters, and the firing rate of every population.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from runs import SMALL, asked, folder, parser, spread, table, train_all, write_tables

from scmrl.core.bundle import load
from scmrl.deploy.evaluation import dataset_samples, evaluate
from scmrl.deploy.registry import open_backend

MODELS = {
    "audio only": ['model.modalities=["audio"]', "model.attention=none"],
    "visual only": ['model.modalities=["visual"]', "model.attention=none"],
    "late fusion": ["model.attention=none"],
    "full": [],
}
DATA = ("--dataset", "av-mnist", "--hard")
COMMON = ("model.embedding=deep", "model.steps=6", "train.temperature=0.1")  # of all models here
COMPLEMENT = "*.attention.complement"


def retrieval(run: Path, data_dir: str | None) -> float:
    """Share of test sounds whose nearest image, by cosine of the centred rates of z, has the
    sound's class.

    A sound's own pair does not count: what the alignment loss asks for is that classes meet, not
    pairs.
    """
    bundle = load(run)
    encoded, labels, _ = dataset_samples(bundle, None, data_dir, "test")
    rates: dict[str, list[np.ndarray]] = {"audio": [], "visual": []}
    with open_backend("simulator", bundle.graph) as simulator:
        for start in range(0, len(labels), 256):
            frames = {m: x[start : start + 256, None] for m, x in encoded.items()}
            steps = {
                m: np.broadcast_to(x, (len(x), bundle.graph.steps, *x.shape[2:]))
                for m, x in frames.items()
            }
            activity = simulator.run(steps)
            for m, parts in rates.items():
                z = activity.spikes[COMPLEMENT.replace("*", m)]
                parts.append(z.reshape(*z.shape[:3], -1).mean((1, 3)))
    audio, visual = ((r := np.concatenate(parts)) - r.mean(0) for parts in rates.values())
    near = (audio @ visual.T) / (
        np.linalg.norm(audio, axis=1)[:, None] * np.linalg.norm(visual, axis=1) + 1e-9
    )
    np.fill_diagonal(near, -np.inf)
    return float(np.mean(labels[near.argmax(1)] == labels))


def summary(
    out: Path, models: Collection[str], seeds: list[int], data_dir: str | None
) -> Iterator[str]:
    """Markdown of both tables."""
    rows, rates, samples = [], {}, 0
    for name in models:
        runs = [folder(out, name, seed) for seed in seeds]
        bundles = [load(run) for run in runs]
        reports = [evaluate(run, data_dir=data_dir) for run in runs]
        samples = reports[0].samples
        if not all(report.equals_training for report in reports):
            raise SystemExit(
                f"{name}: the simulator's accuracy is not the one that training reported"
            )
        attends = name.startswith("full")
        cut = (
            [evaluate(run, data_dir=data_dir, silence=COMPLEMENT).accuracy for run in runs]
            if attends
            else None
        )
        met = [retrieval(run, data_dir) for run in runs] if attends else None
        accuracies = [report.accuracy for report in reports]
        rows.append(
            [
                name,
                *(f"{100 * a:.2f}" for a in accuracies),
                spread(accuracies),
                "-" if cut is None else ", ".join(f"{100 * a:.2f}" for a in cut),
                "-" if met is None else spread(met),
                spread([b.metrics["validation_accuracy"] for b in bundles]),
                f"{bundles[0].metrics['parameters']:,}",
                f"{np.mean([r.totals.spikes_per_inference for r in reports]):,.0f}",
                f"{np.mean([r.totals.synops_per_inference for r in reports]):,.0f}",
            ]
        )
        for report in reports:
            for p in report.populations:
                if p.kind == "lif":
                    rates.setdefault(p.name, {}).setdefault(name, []).append(p.rate)
    yield (
        f"Test accuracy in % of the frozen, integer models on the whole test set ({samples} pairs),"
        " by seed."
    )
    yield ""
    yield from table(
        [
            "model",
            *(f"seed {seed}" for seed in seeds),
            "mean ± sd",
            "same models, alpha = 0",
            "retrieval",
            "validation",
            "parameters",
            "spikes/inference",
            "synops/inference",
        ],
        rows,
    )
    yield ""
    yield (
        "Firing rates (spikes per neuron and step, mean over seeds and the test set; the lowest"
        " seed in brackets)."
    )
    yield ""
    yield from table(
        ["population", *models],
        [
            [
                population,
                *(
                    f"{np.mean(by[name]):.4f} ({min(by[name]):.4f})" if name in by else "-"
                    for name in models
                ),
            ]
            for population, by in rates.items()
        ],
    )


def main() -> None:
    made = parser(__doc__, "runs/hard")
    made.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options, seeds = asked(made)
    models, data, common = MODELS, DATA, COMMON
    if options.small:
        models, data, common = {"full": MODELS["full"]}, SMALL, ()
    train_all(
        [
            (
                folder(options.out, name, seed),
                seed,
                [*data, *(f"--set={s}" for s in [*common, *models[name], *options.settings])],
            )
            for seed in seeds
            for name in reversed(models)
        ],
        options.data_dir,
        options.jobs,
    )
    text = "\n".join(summary(options.out, models, seeds, options.data_dir)) + "\n"
    print(text)
    write_tables(options.write, __file__, text)


if __name__ == "__main__":
    main()
