"""Training runs of the tables: made where they are missing, in processes of their own, and laid out
in Markdown.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

# To see that a benchmark runs: the embedded digits, the smallest model, one epoch, one seed.
SMALL = (
    "--dataset=digits-av",
    "--epochs=1",
    "--set=model.width=8",
    "--set=model.steps=2",
    "--set=model.embedding=strided",
    "--set=train.batch=64",
)
SMALL_SEED = 42
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def folder(out: Path, name: str, seed: int) -> Path:
    return out / f"{name.replace(',', '').replace(' ', '-')}-{seed}"


def train(run: Path, seed: int, options: Sequence[str], data_dir: str | None) -> None:
    """One `scmrl train` on one thread; its lines go to RUN.log. A run that is there is kept."""
    if any((run / file).is_file() for file in ("bundle/bundle.json", "metrics.json")):
        return
    where = ["--data-dir", data_dir] if data_dir else []
    command = [
        sys.executable,
        "-m",
        "scmrl",
        "train",
        *where,
        "--seed",
        str(seed),
        "--out",
        str(run),
        "--force",
        *options,
    ]
    run.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{run}.log", "w", encoding="utf-8") as log:
        subprocess.run(
            command, stdout=log, stderr=log, env={**os.environ, **ONE_THREAD}, check=True
        )


def train_all(
    runs: Iterable[tuple[Path, int, Sequence[str]]], data_dir: str | None, jobs: int
) -> None:
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda job: train(*job, data_dir), runs))


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation of shares, in %."""
    mean = f"{100 * np.mean(values):.2f}"
    return f"{mean} ± {100 * np.std(values, ddof=1):.2f}" if len(values) > 1 else mean


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
