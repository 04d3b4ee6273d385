"""The published model, its baselines and ours side by side: the tables of docs/results.md.

    python benchmarks/comparison.py TABLE [TABLE ...] --data-dir DIR [--out DIR] [--seeds 42,43,44]
                                    [--jobs 2] [--write FILE.md]
    python benchmarks/comparison.py sum --small          two models on embedded digits, in minutes

Every model of a table trains with every seed on the same data for the same epochs (runs that are
there are kept), and its epoch is chosen by a tenth of the training set. Ours are measured as
deployed: the frozen, integer model on the simulator. The float ones follow He et al. 2025 (arXiv
2502.12488). Synaptic operations are non-zero inputs times fan-out; 45 nm is the arithmetic of these
alone, the yardstick of papers: an accumulation where the input is a spike, a multiplication where
it is a value. Loihi 2 is the estimate of `scmrl energy` on the held-out samples, each alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from runs import SMALL, asked, folder, parser, spread, table, train_all, write_tables

from scmrl.core.bundle import load
from scmrl.deploy.evaluation import evaluate
from scmrl.deploy.jobs import energy
from scmrl.hw_profiles import profile

PUBLISHED = (
    "model.embedding=deep",
    "model.fusion=add",
    "model.alpha=1.5",
    "train.temperature=0.07",
    "train.alignment=1.0",
)
OURS = {
    "ours, late fusion": "model.attention=none",
    "ours, joint": "model.attention=joint",
    "ours, broadcast": "model.attention=broadcast",
    "ours": "model.attention=binary",
}
BASELINES = {
    "late fusion": "late-float",
    "WeightAttention": "weight-attention",
    "SCA": "sca",
    "CMCI": "cmci",
    "CCSSA": "ccssa",
    "CCSSA as released": "ccssa-released",
}


def alone(*modalities: str) -> str:
    return f"model.modalities={json.dumps(modalities)}"


def against_published(width: int) -> dict[str, tuple[str, ...]]:
    """Every baseline and the published attention at C = 64; ours as wide as a third of its
    operations allows.
    """
    first, second, slim = "audio", "visual", f"model.width={width}"
    return {
        f"{name}, published, float": (*PUBLISHED, f"model.attention={kind}", *only)
        for name, kind, only in [
            (f"{first} only", "late-float", [alone(first)]),
            (f"{second} only", "late-float", [alone(second)]),
            *((name, kind, []) for name, kind in BASELINES.items()),
        ]
    } | {name: (slim, kind) for name, kind in OURS.items()}


TASK = {
    "CCSSA, published, float": (*PUBLISHED, "model.attention=ccssa"),
    **{name: (kind,) for name, kind in OURS.items()},
}
DIGITS = ("audio", "visual", "event")
TABLES = {
    "av-mnist-hard": (("--dataset=av-mnist", "--hard"), against_published(56)),
    "nmnist-fsdd": (("--dataset=nmnist-fsdd", "--epochs=12"), against_published(48)),
    "correspondence": (
        ("--dataset=av-mnist", "--set=task=correspondence", "--set=train.auxiliary=1.0"),
        TASK,
    ),
    "sum": (("--dataset=av-mnist", "--set=task=sum", "--set=train.auxiliary=1.0"), TASK),
    "where": (("--dataset=av-mnist", "--set=task=where", "--set=train.auxiliary=1.0"), TASK),
    "when": (("--dataset=av-mnist", "--set=task=when", "--set=train.auxiliary=1.0"), TASK),
    "triple-digits-hard": (
        ("--dataset=triple-digits", "--hard", "--set=train.temperature=0.1"),
        {
            " + ".join(m): (alone(*m),)
            for m in (*((a,) for a in DIGITS), DIGITS[:2], DIGITS[::2], DIGITS[1:], DIGITS)
        },
    ),
}

SMALL_MODELS = {
    "CCSSA, published, float": (
        "model.attention=ccssa",
        "model.embedding=shallow",
        "model.width=16",
    ),
    "ours": (OURS["ours"],),
}


def measured(run: Path, data_dir: str | None) -> dict[str, float]:
    """Figures of one run, per inference; a deployed one's come from the simulator."""
    yardstick = profile.load("generic-45nm").energy
    if (run / "metrics.json").is_file() and not (run / "bundle").exists():
        metrics = json.loads((run / "metrics.json").read_text())
        values, spikes = metrics["mac_per_inference"], metrics["ac_per_inference"]
        metrics |= {"accuracy": metrics["test_accuracy"]}
    else:
        metrics, report = load(run).metrics, evaluate(run, data_dir=data_dir)
        if not report.equals_training:
            raise SystemExit(
                f"{run}: the simulator's accuracy is not the one that training reported"
            )
        values = report.totals.graded_synops_per_inference
        spikes = report.totals.synops_per_inference - values
        (chip,) = energy(run, ["loihi2"]).profiles
        metrics |= {
            "accuracy": report.accuracy,
            "spikes_per_inference": report.totals.spikes_per_inference,
            "loihi2_uj": chip.total_uj,
            "loihi2_low": chip.ranges["total_uj"] and chip.ranges["total_uj"][0],
            "loihi2_high": chip.ranges["total_uj"] and chip.ranges["total_uj"][1],
            "cores": chip.cores,
        }
    nj = spikes * yardstick["synop"].value * 1e-3 + values * yardstick["synop_graded"].value * 1e-3
    return metrics | {"synops": spikes + values, "nj": nj}


def rows(runs: dict[str, list[Path]], data_dir: str | None) -> Iterator[list[str]]:
    for name, folders in runs.items():
        figures = [measured(run, data_dir) for run in folders]

        def mean(key: str, figures=figures) -> float | None:
            values = [f[key] for f in figures if f.get(key) is not None]
            return float(np.mean(values)) if values else None

        rate, cores = mean("samples_per_s"), mean("cores")
        chip, low, high = (mean(f"loihi2_{end}") for end in ("uj", "low", "high"))
        yield [
            name,
            *(f"{100 * f['accuracy']:.2f}" for f in figures),
            f"**{spread([f['accuracy'] for f in figures])}**",
            spread([f["validation_accuracy"] for f in figures]),
            f"{figures[0]['parameters']:,}",
            f"{mean('spikes_per_inference'):,.0f}",
            f"{mean('synops') / 1e6:.3f} M",
            f"{mean('nj'):,.0f}",
            "-" if chip is None else f"{chip:,.0f}, {low:,.0f} .. {high:,.0f} ({cores:.0f})",
            "-" if rate is None else f"{rate:,.0f}",
        ]


def main() -> None:
    made = parser(__doc__, "runs/comparison")
    made.add_argument("tables", nargs="+", choices=list(TABLES))
    options, seeds = asked(made)
    text: list[str] = []
    for title in options.tables:
        data, models = TABLES[title] if not options.small else (SMALL, SMALL_MODELS)
        runs = {
            name: [folder(options.out / title, name, seed) for seed in seeds] for name in models
        }
        train_all(
            [
                (runs[name][i], seed, [*data, *(f"--set={s}" for s in models[name])])
                for i, seed in enumerate(seeds)
                for name in reversed(models)
            ],
            options.data_dir,
            options.jobs,
        )
        head = [
            "model",
            *(f"seed {seed}" for seed in seeds),
            "test %",
            "validation %",
            "parameters",
            "spikes",
            "synops",
            "nJ at 45 nm",
            "uJ on Loihi 2, range (cores)",
            "samples/s in training",
        ]
        section = [
            f"### {title}",
            "",
            f"`scmrl train {' '.join(data)}`, per inference:",
            "",
            *table(head, rows(runs, options.data_dir)),
            "",
        ]
        print("\n".join(section), flush=True)
        text += section
    write_tables(options.write, __file__, "\n".join(text))


if __name__ == "__main__":
    main()
