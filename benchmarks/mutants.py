"""Does a test notice? Small changes of the code, drawn by seed, each against the tests of its file.

    python benchmarks/mutants.py --python .venv/bin/python     # the result: runs/mutants

Cosmic Ray says what may be changed and how; it neither draws a sample nor knows which tests stand
for which file, so both are here. First a place is drawn, uniformly, then one of the changes that it
admits (else the many replacements of one `+` outweigh everything). What Python reads as the same,
annotations and docstrings apart, is no change.

A change is made in a copy of the checkout. There the tests of its file run, stage after stage, to
the first failure, error, or time past the limit: three times what the stage takes unchanged, and
a minute, measured once. A run that was stopped goes on where it was; with `--again` those changes
are judged once more that nobody had noticed, or that had run past the limit.
"""

from __future__ import annotations

import argparse
import ast
import fnmatch
import hashlib
import json
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from subprocess import DEVNULL
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "runs" / "mutants"
ESTIMATES = "tests/deploy/estimates"
CONFORMANCE = "tests/conformance/test_conformance.py"
# Which tests stand for which file, by stages: the near and quick ones first.
TESTS: dict[str, tuple[str, ...]] = {
    "scmrl/core/report/*": (
        "tests/core/test_progress.py tests/core/test_report.py",
        "tests/core/test_screen.py",
        "tests/deploy/test_page.py",
    ),
    "scmrl/core/*": (
        "tests/core/test_graph.py tests/core/test_fixed_point.py tests/core/test_comparison.py "
        "tests/core/test_arrivals.py",
        "tests/core/test_schema.py tests/core/test_bundle.py tests/core/test_samples.py "
        "tests/core/test_labels.py",
        "tests/conformance/test_definition.py tests/core/test_hostile.py",
        CONFORMANCE,
    ),
    "scmrl/network/*": (
        "tests/network --ignore=tests/network/test_random_networks.py",
        "tests/train/test_settings.py tests/train/test_train.py tests/train/test_learning.py",
        "tests/network/test_random_networks.py",
        "tests/train/test_own_network.py tests/train/test_tune.py",
    ),
    "scmrl/convert/lava/lowering.py": ("tests/convert/test_convert_lava.py", CONFORMANCE),
    "scmrl/convert/netx/lowering.py": ("tests/deploy/backends/test_netx.py",),
    "scmrl/convert/nir/lowering.py": ("tests/convert/test_nir_export.py",),
    "scmrl/convert/frame/hdf5.py": (
        "tests/convert/test_netx_import.py tests/convert/test_nir_import.py",
    ),
    "scmrl/convert/netx/*": ("tests/convert/test_netx_import.py",),
    "scmrl/convert/nir/importer/*": (
        "tests/convert/test_nir_figures.py tests/convert/test_nir_borders.py",
        "tests/convert/test_nir_import.py",
        "tests/convert/test_nir_fidelity.py tests/core/test_hostile.py",
    ),
    "scmrl/deploy/backends/loihi/lowering.py": ("tests/deploy/backends/test_loihi.py", CONFORMANCE),
    "scmrl/deploy/backends/loihi/split.py": ("tests/deploy/backends/test_loihi.py", CONFORMANCE),
    "scmrl/deploy/counts/*": (
        f"{ESTIMATES}/test_figures.py",
        f"{ESTIMATES}/test_counts.py {ESTIMATES}/test_neurobench.py",
        f"{ESTIMATES}/test_estimate_terms.py {ESTIMATES}/test_energy.py",
    ),
    "scmrl/deploy/energy/*": (
        f"{ESTIMATES}/test_figures.py",
        f"{ESTIMATES}/test_estimate_terms.py {ESTIMATES}/test_energy.py",
        f"{ESTIMATES}/test_validation.py",
    ),
    "scmrl/deploy/placement/*": (
        f"{ESTIMATES}/test_figures.py",
        f"{ESTIMATES}/test_fit.py {ESTIMATES}/test_placement_borders.py",
        f"{ESTIMATES}/test_estimate_terms.py",
        f"{ESTIMATES}/test_placement.py",
        f"{ESTIMATES}/test_validation.py",
    ),
}
EVERY = "tests/core/test_frozen.py"  # of any file, last
SPARE_S = 60
# Their numbers are compiled into kernels that numba keeps on disk: each change compiles anew.
COMPILED = "scmrl/network/kernels/", "scmrl/core/fixed_point.py"


class Mutant(NamedTuple):
    """A file's whole text after a change, and the lines that differ."""

    file: str
    line: int
    before: str
    after: str
    text: str

    @property
    def name(self) -> str:
        return hashlib.sha256(f"{self.file}\n{self.text}".encode()).hexdigest()[:16]


def stages(file: str) -> tuple[str, ...]:
    near = next((tests for pattern, tests in TESTS.items() if fnmatch.fnmatch(file, pattern)), ())
    return (*near, EVERY) if near else ()


def meaning(text: str) -> str:
    """The tree of a text without annotations and docstrings; "" where it is no Python."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            if hasattr(node, field):
                setattr(node, field, None)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(0)
    return ast.dump(tree)


def differing(before: str, after: str) -> tuple[str, str]:
    """The lines that differ, of both texts, each as one line."""
    texts = before.splitlines(), after.splitlines()
    head = next((i for i, (a, b) in enumerate(zip(*texts)) if a != b), 0)
    backwards = zip(*(text[::-1] for text in texts))
    tail = next((i for i, (a, b) in enumerate(backwards) if a != b), 0)
    old, new = (" ".join(" ".join(t[head : len(t) - tail]).split()) for t in texts)
    return old, new


def drawn(texts: dict[str, str], count: int, seed: int) -> list[Mutant]:
    """`count` changes of {file: text}; fewer where there are fewer places."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    kinds = [get_operator(name) for name in operator_names()]
    operators = [kind() for kind in kinds if not kind.arguments()]
    places: dict[tuple[str, tuple[int, int]], list[tuple]] = {}
    for file, text in texts.items():
        nodes = list(ast_nodes(get_ast(text)))
        for operator in operators:
            found = (start for node in nodes for start, _ in operator.mutation_positions(node))
            for occurrence, start in enumerate(found):
                places.setdefault((file, start), []).append((operator, occurrence))
    rng = random.Random(seed)
    out: list[Mutant] = []
    for file, start in rng.sample(sorted(places), len(places)):
        if len(out) == count:
            break
        changes, text = places[file, start], texts[file]
        for operator, occurrence in rng.sample(changes, len(changes)):
            after = mutate_code(text, operator, occurrence) or text
            if meaning(after) not in ("", meaning(text)):
                out.append(Mutant(file, start[0], *differing(text, after), after))
                break
    return out


def _made(folder: str, names: list[str]) -> set[str]:
    """What is made from the checkout, and so needs no copy."""
    top = ("runs", "build", "*.egg-info") if Path(folder) == ROOT else ()
    return {n for pattern in (".*", "__pycache__", *top) for n in fnmatch.filter(names, pattern)}


class Bench:
    """Copies of the checkout, one for each job, and the seconds that each stage may take."""

    def __init__(self, python: str, folder: Path, jobs: int):
        self.python, self.folder = python, folder
        self.limits: dict[str, float] = {}
        self.free: queue.Queue[Path] = queue.Queue()
        for job in range(jobs):
            shutil.copytree(ROOT, folder / str(job), ignore=_made)
            self.free.put(folder / str(job))

    def passes(self, place: Path, stage: str, kernels: str) -> bool | None:
        """Whether a stage passes in a copy; None past its limit."""
        data = os.environ.get("SCMRL_DATA", str(ROOT.parent / "shared" / "data"))
        told = {"PYTHONPATH": str(place), "SCMRL_DATA": data, "PYTHONDONTWRITEBYTECODE": "1"}
        told |= {"OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(self.folder / kernels)}
        words = ["timeout", "--signal=KILL", str(self.limits.get(stage, 1800)), self.python]
        words += ["-m", "pytest", "-x", "-p", "no:cacheprovider", *stage.split()]
        done = subprocess.run(
            words, cwd=place, env=os.environ | told, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
        )
        return None if done.returncode in (-9, 137) else done.returncode == 0

    def measure(self, stage: str) -> None:
        """Set a stage's limit; leave with one line where it does not pass unchanged."""
        start = time.monotonic()
        if not self.passes(self.folder / "0", stage, "kernels"):
            sys.exit(f"error: {stage}: does not pass unchanged; mend it first")
        self.limits[stage] = SPARE_S + 3 * (time.monotonic() - start)

    def judge(self, mutant: Mutant) -> dict:
        """Make a change in a copy, run its stages, take it back: a row of the results."""
        place, start = self.free.get(), time.monotonic()
        target, by = place / mutant.file, ""
        before = target.read_text(encoding="utf-8")
        kernels = f"kernels-{mutant.name}" if mutant.file.startswith(COMPILED) else "kernels"
        target.write_text(mutant.text, encoding="utf-8")
        for stage in stages(mutant.file):
            if not (passed := self.passes(place, stage, kernels)):
                by = "time" if passed is None else stage
                break
        target.write_text(before, encoding="utf-8")
        self.free.put(place)
        row = {"name": mutant.name} | mutant._asdict()
        del row["text"]
        return row | {"noticed_by": by, "seconds": round(time.monotonic() - start, 1)}


def table(rows: list[dict], asked: int) -> str:
    """The share noticed by folder, and every survivor."""
    lines = ["| where | changes | noticed | share |", "|---|---|---|---|"]
    for place in ["scmrl", *sorted({row["file"].rpartition("/")[0] for row in rows})]:
        here = [row for row in rows if place in ("scmrl", row["file"].rpartition("/")[0])]
        count = sum(row["noticed_by"] != "" for row in here)
        lines.append(f"| {place} | {len(here)} | {count} | {count / max(len(here), 1):.1%} |")
    lines += ["", f"{len(rows)} of {asked} changes run. Nobody noticed:", ""]
    lines += ["| place | before | after |", "|---|---|---|"]
    for row in sorted(rows, key=lambda row: (row["file"], row["line"])):
        if row["noticed_by"] == "":
            cells = (f"`{row[k]}`".replace("|", "\\|") for k in ("before", "after"))
            lines.append(f"| {row['file']}:{row['line']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def judged(
    mutants: list[Mutant], python: str, out: Path, jobs: int, again: bool = False
) -> Iterator[dict]:
    """Every change's row: those kept in `out` at once, the others as they come, and kept. `again`:
    what passed its tests or its time there is judged once more.
    """
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "results.jsonl"
    rows = map(json.loads, kept.read_text(encoding="utf-8").splitlines() if kept.exists() else [])
    known = {row["name"]: row for row in rows}  # the last counts
    if again:
        known = {n: row for n, row in known.items() if row["noticed_by"] not in ("", "time")}
    yield from (known[m.name] for m in mutants if m.name in known)
    waiting = [m for m in mutants if m.name not in known]
    with tempfile.TemporaryDirectory(prefix="scmrl-mutants-") as folder:
        bench, pool = Bench(python, Path(folder), jobs), ThreadPoolExecutor(jobs)
        limits = out / "limits.json"
        bench.limits = json.loads(limits.read_text(encoding="utf-8")) if limits.exists() else {}
        for stage in sorted(
            {stage for m in waiting for stage in stages(m.file)} - bench.limits.keys()
        ):
            print(f"unchanged: {stage}", file=sys.stderr)
            bench.measure(stage)
            limits.write_text(json.dumps(bench.limits), encoding="utf-8")
        try:
            with kept.open("a", encoding="utf-8") as file:
                for future in as_completed([pool.submit(bench.judge, m) for m in waiting]):
                    print(json.dumps(future.result()), file=file, flush=True)
                    yield future.result()
        finally:  # Ctrl-C waits for the changes that run
            pool.shutdown(cancel_futures=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="runs the tests")
    parser.add_argument("--count", type=int, default=200, help="changes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    parser.add_argument("--only", default="*", help="files that fit this pattern alone")
    parser.add_argument("--again", action="store_true", help="judge survivors once more")
    asked = parser.parse_args()
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "scmrl").rglob("*.py")]
    files = [file for file in fnmatch.filter(files, asked.only) if stages(file)]
    texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in files}
    mutants, rows = drawn(texts, asked.count, asked.seed), []
    for row in judged(mutants, asked.python, OUT, asked.jobs, asked.again):
        rows.append(row)
        each = sum(r["seconds"] for r in rows) / len(rows) / asked.jobs / 60
        end = f"{'noticed' if row['noticed_by'] else 'SURVIVED'} in {row['seconds']:.0f} s"
        line = f"{len(rows)}/{len(mutants)}, {each * (len(mutants) - len(rows)):.0f} min left:"
        print(line, f"{row['file']}:{row['line']}", end, file=sys.stderr, flush=True)
    text = table(rows, len(mutants))
    (OUT / "mutants.md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
