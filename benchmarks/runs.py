"""Training runs of the tables: made where they are missing, in processes of their own, and laid out
in Markdown.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from written import add_force, may_write

from scmrl.system.storage import whole_file

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


def parser(doc: str | None, out: str) -> argparse.ArgumentParser:
    """The options of every benchmark that trains."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--data-dir", help="the folder of the recordings")
    made.add_argument("--out", type=Path, default=Path(out))
    made.add_argument("--seeds", default="42,43,44")
    made.add_argument("--jobs", type=int, default=1)
    made.add_argument("--write", type=Path, help="also write the tables here")
    add_force(made)
    made.add_argument("--small", action="store_true", help="see that it runs: no figures to quote")
    return made


def asked(made: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[int]]:
    """What was asked for, and the seeds; leaves with one line where that makes no sense."""
    options = made.parse_args()
    may_write(options.write, "table", options)
    if not (options.data_dir or options.small):
        made.error("--data-dir is needed: the folder of the recordings")
    seeds = [int(seed) for seed in options.seeds.split(",")]
    return options, [SMALL_SEED] if options.small else seeds


def write_tables(path: Path | None, script: str, text: str) -> None:
    """Write Markdown, where that is asked for, with what it was written by."""
    if path is not None:
        first = f"<!-- Written by `python benchmarks/{Path(script).name}` -->\n\n"
        with whole_file(path, "table") as temporary:
            temporary.write_text(first + text, encoding="utf-8")


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
