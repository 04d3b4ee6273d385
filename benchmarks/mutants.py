"""Does a test notice? Small changes of the code, by seed, each against the tests that reach it.

    python benchmarks/mutants.py --python .venv/bin/python     # the result: runs/mutants

Cosmic Ray says what may be changed and how; it neither draws a sample nor knows which tests stand
for which file, so both are here. First a place is drawn, uniformly, then one of the changes that it
admits (else the many replacements of one `+` outweigh everything). Not drawn is what cannot matter:
what Python reads as the same (`meaning`), and how much is worked on at a time (`SPEED`).

Every test file is run once unchanged, and says which functions each of its tests calls and how long
it takes (benchmarks/noticing.py); this is kept, in runs/mutants/reach, until the test file changes:
delete that folder after much has moved. A change is made in a copy of the checkout. There those
tests run that call its function, file after file, the quick ones first, to the first failure or
past a limit of processor time. A test that failed is run without the change too: a failure counts
only where that passes.

A run that was stopped goes on where it was; with `--again` those changes are judged once more that
nobody had noticed, or that had run past a limit.
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
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from subprocess import PIPE
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "runs" / "mutants"
# The files that are changed, and the tests that may notice.
FILES = (
    "scmrl/core/*.py",
    "scmrl/network/*.py",
    "scmrl/convert/*/lowering.py",
    "scmrl/convert/frame/hdf5.py",
    "scmrl/convert/netx/*.py",
    "scmrl/convert/nir/importer/*.py",
    "scmrl/deploy/backends/loihi/lowering.py",
    "scmrl/deploy/backends/loihi/split.py",
    "scmrl/deploy/counts/*.py",
    "scmrl/deploy/energy/*.py",
    "scmrl/deploy/placement/*.py",
)
TESTS = (
    "tests/core/*.py",
    "tests/network/*.py",
    "tests/convert/*.py",
    "tests/conformance/*.py",
    "tests/deploy/counting/*.py",
    "tests/deploy/estimates/*.py",
    "tests/deploy/test_page*.py",
    "tests/deploy/backends/test_[lns]*.py",
    "tests/train/test_[lostu]*.py",
    "tests/test_api.py",
)
# Imported once, where they are there: what the tests import and no change of ours touches.
LIBRARIES = (
    *("numpy", "scipy.sparse", "scipy.optimize", "torch.nn.functional", "numba", "networkx"),
    *("h5py", "nir", "nirtorch", "onnx", "onnxruntime", "norse.torch", "lightning.pytorch"),
    *("hypothesis.strategies", "hypothesis.extra.numpy", "matplotlib.figure", "rich.table"),
)
FROZEN = "tests/core/test_frozen.py"  # reads the code: of every line outside functions
# How long the tests of one change may take unchanged, and what a change may add to three times it.
MOST_S, SPARE_S = 90, 20
HANGS_S = 900  # beside ten times the limit, where processor time stands still
# Their functions are compiled into other files' kernels, which numba keeps on disk.
INLINED = "core/fixed_point.py", "kernels/integers.py", "kernels/rows.py"
KERNELS_S = 90  # to compile all of them
# How much is worked on at a time: other values change speed and memory, no result; tests/
# test_benchmarks.py holds that some test sets each to another one.
SPEED = {
    "scmrl/convert/nir/importer/floats/maps.py": ("ROWS",),
    "scmrl/convert/nir/importer/floats/products.py": ("COLUMNS",),
    "scmrl/convert/nir/importer/runs/interpreter.py": ("BLOCK", "VALUES"),
    "scmrl/core/synapse.py": ("ROWS",),
    "scmrl/deploy/counts/updates.py": ("CHUNK_BYTES",),
    "scmrl/network/kernels/rows.py": ("BLOCK",),
    "scmrl/network/kernels/scan.py": ("BLOCK",),
}


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


def meaning(text: str) -> str:
    """The tree of a text without what changes nothing; "" where it is no Python.

    That is: annotations, docstrings; `is` for `==` beside a number or a text, which Python warns of
    and `make lint` refuses; how numba compiles a function, and that a function keeps its results.
    """
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
        if isinstance(node, ast.Compare):
            _literals(node)
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = [d for d in node.decorator_list if not _keeps(d)]
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("njit", "numba.njit"):
            node.keywords = [
                k for k in node.keywords if k.arg not in ("parallel", "cache", "nogil")
            ]
    return ast.dump(tree)


def _literals(node: ast.Compare) -> None:
    """Write `is` as `==` where a side of it is a number or a text."""
    sides = [
        isinstance(side, ast.Constant)
        and isinstance(side.value, (str, int, float))
        and not isinstance(side.value, bool)
        for side in (node.left, *node.comparators)
    ]
    for i, operator in enumerate(node.ops):
        if sides[i] or sides[i + 1]:
            same = {ast.Is: ast.Eq, ast.IsNot: ast.NotEq}.get(type(operator))
            node.ops[i] = same() if same else operator


def _keeps(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called) in ("cache", "lru_cache", "functools.cache", "functools.lru_cache")


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
    nodes = {file: list(ast_nodes(get_ast(text))) for file, text in texts.items()}
    spots = sorted({(file, node.start_pos) for file, each in nodes.items() for node in each})
    rng = random.Random(seed)
    out: list[Mutant] = []
    for file, start in rng.sample(spots, len(spots)):
        text = texts[file]
        if len(out) == count:
            break
        if of_speed(file, text, start[0]):
            continue
        near = [node for node in nodes[file] if node.start_pos <= start < node.end_pos]
        changes = [o for o in operators if start in _starts(o, near)]
        for operator in rng.sample(changes, len(changes)):
            occurrence = _starts(operator, nodes[file]).index(start)
            after = mutate_code(text, operator, occurrence) or text
            if meaning(after) not in ("", meaning(text)):
                out.append(Mutant(file, start[0], *differing(text, after), after))
                break
    return out


def _starts(operator: Any, nodes: list[Any]) -> list[tuple[int, int]]:
    """Where an operator of Cosmic Ray changes something, in its own order."""
    return [start for node in nodes for start, _ in operator.mutation_positions(node)]


def around(text: str, line: int) -> tuple[str, set[str]]:
    """The outermost function or method that a line stands in, "" outside; and, outside, the names
    that the statement gives: of a class, all.
    """
    found, names = "", set()
    for node in ast.parse(text).body:
        if _within(node, line):
            if isinstance(node, ast.FunctionDef):
                found = node.name
            elif isinstance(node, ast.ClassDef):
                parts = [n for n in node.body if isinstance(n, ast.FunctionDef)]
                inner = [n.name for n in parts if _within(n, line)]
                found, names = (f"{node.name}.{inner[0]}", set()) if inner else ("", {node.name})
            else:
                stores = (n for n in ast.walk(node) if isinstance(n, ast.Name))
                names = {n.id for n in stores if isinstance(n.ctx, ast.Store)}
    return found, names


def _within(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)  # a decorator stands outside


def of_speed(file: str, text: str, line: int) -> bool:
    """Whether a line gives one of the numbers of `SPEED`."""
    return bool(around(text, line)[1] & set(SPEED.get(file, ())))


def users(texts: dict[str, str], file: str, names: set[str]) -> set[str]:
    """The functions that read one of these names of a file: "path::function"."""
    found = set()
    for path, text in texts.items():
        tree = ast.parse(text)
        for top in tree.body:
            parts = top.body if isinstance(top, ast.ClassDef) else [top]
            for part in parts:
                if not isinstance(part, ast.FunctionDef):
                    continue
                reads = {n.id for n in ast.walk(part) if isinstance(n, ast.Name)}
                reads |= {n.attr for n in ast.walk(part) if isinstance(n, ast.Attribute)}
                mine = path == file and isinstance(top, ast.ClassDef) and top.name in names
                if mine or reads & names:
                    owner = f"{top.name}." if isinstance(top, ast.ClassDef) else ""
                    found.add(f"{path}::{owner}{part.name}")
    return found


class Reach:
    """Which functions each test calls, and the seconds that it takes."""

    def __init__(self, files: dict[str, dict]):
        self.files = files

    def calling(self, wanted: set[str]) -> dict[str, list[str]]:
        """The tests that call one of these functions, by file: the quickest files first, as many as
        MOST_S holds.
        """
        found = []
        for file, kept in self.files.items():
            tests = kept["tests"]
            if not wanted & set(kept["setup"]):
                tests = {name: t for name, t in tests.items() if wanted & set(t["calls"])}
            if tests:
                found.append((kept["setup_s"] + sum(t["s"] for t in tests.values()), file, tests))
        out: dict[str, list[str]] = {}
        left = float(MOST_S)
        for _, file, tests in sorted(found, key=lambda each: each[:2]):
            left -= self.files[file]["setup_s"]
            for name, test in sorted(tests.items(), key=lambda item: item[1]["s"]):
                if left > test["s"]:
                    left -= test["s"]
                    out.setdefault(file, []).append(name)
        return out

    def seconds(self, tests: Iterable[str]) -> float:
        """How long tests take unchanged; MOST_S for one that is not known."""
        total = 0.0
        for file in {test.partition("::")[0] for test in tests}:
            kept = self.files.get(file)
            total += kept["setup_s"] if kept else MOST_S
            for name, test in (kept or {"tests": {}})["tests"].items():
                total += test["s"] if name in tests or file in tests else 0
        return total

    def tests(self, mutant: Mutant, texts: dict[str, str]) -> list[str]:
        """The tests of a change, in the order in which they run."""
        function, names = around(texts[mutant.file], mutant.line)
        wanted = {f"{mutant.file}::{function}"} if function else users(texts, mutant.file, names)
        found = self.calling(wanted) or self.calling(
            {
                c
                for kept in self.files.values()
                for t in kept["tests"].values()
                for c in t["calls"]
                if c.startswith(f"{mutant.file}::")
            }
        )
        out = [name for tests in found.values() for name in tests]
        return out + ([] if function else [FROZEN])


class Server:
    """A copy of the checkout, and a process that runs tests in it (benchmarks/noticing.py)."""

    def __init__(self, python: str, place: Path):
        self.place, self.told = place, place.parent
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(ROOT, place, ignore=_made)
        program = [python, str(Path(__file__).with_name("noticing.py")), *LIBRARIES]
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
        self.process = subprocess.Popen(program, stdin=PIPE, stdout=PIPE, text=True, env=env)

    def ask(
        self,
        tests: list[str],
        cpu_s: float,
        *,
        kernels: str = "kernels",
        changed: bool = False,
        reach: bool = False,
    ) -> dict:
        """Run tests to the first failure; with `reach` all, and say what they call. What Python
        compiles of `changed` code is not kept.
        """
        data = os.environ.get("SCMRL_DATA", str(ROOT.parent / "shared" / "data"))
        env = {"PYTHONPATH": str(self.place), "SCMRL_DATA": data}
        env |= {"OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(self.told / kernels)}
        asked = {"place": str(self.place), "tests": tests, "env": env, "reach": reach}
        asked |= {"changed": changed, "cpu_s": cpu_s, "wall_s": HANGS_S + 10 * cpu_s}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Bench:
    """Servers, one for each job, and what each test reaches."""

    def __init__(self, python: str, out: Path, jobs: int, texts: dict[str, str]):
        self.texts, self.out = texts, out
        self.servers = [Server(python, out / "copies" / str(job)) for job in range(jobs)]
        self.free: queue.Queue[Server] = queue.Queue()
        for server in self.servers:
            self.free.put(server)
        self.reach, self.sound = Reach({}), set[str]()

    def measure(self, file: str) -> None:
        """Which functions the tests of a file call: as kept, or from a run."""
        text = (ROOT / file).read_bytes()
        kept = self.out / "reach" / f"{hashlib.sha256(text).hexdigest()[:16]}.json"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            server = self.free.get()
            print(f"unchanged: {file}", file=sys.stderr, flush=True)
            said = server.ask([file], 3600, reach=True)
            self.free.put(server)
            if said["code"] not in (0, 5):
                sys.exit(f"error: {said['failed'] or file}: does not pass unchanged; mend it first")
            kept.write_text(json.dumps(said["reached"]), encoding="utf-8")
        self.reach.files |= json.loads(kept.read_text(encoding="utf-8"))

    def judge(self, mutant: Mutant) -> dict:
        """Make a change in a copy, run its tests, take it back: a row of the results."""
        server, start = self.free.get(), time.monotonic()
        target = server.place / mutant.file
        before, times = target.read_text(encoding="utf-8"), target.stat()
        tests, kernels = self.reach.tests(mutant, self.texts), "kernels"
        limit = SPARE_S + 3 * self.reach.seconds(tests)
        if compiled := "/kernels/" in mutant.file or mutant.file.endswith(INLINED):
            kernels, limit = f"kernels-{mutant.name}", limit + KERNELS_S
            if not mutant.file.endswith(INLINED) and (server.told / "kernels").exists():
                shutil.copytree(server.told / "kernels", server.told / kernels)
        by = ""
        while not by and tests:
            target.write_text(mutant.text, encoding="utf-8")
            said = server.ask(tests, limit, kernels=kernels, changed=True)
            target.write_text(before, encoding="utf-8")
            os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
            if said["code"] in (0, 5):
                break
            by = said["failed"] or ("time" if said["code"] is None else "import")
            if "::" in by and by not in self.sound:
                if server.ask([by], limit)["code"] == 0:
                    self.sound.add(by)
                else:  # it fails without the change too
                    tests, by = [test for test in tests if test != by], ""
        if compiled:
            shutil.rmtree(server.told / kernels, ignore_errors=True)
        self.free.put(server)
        row = {"name": mutant.name} | mutant._asdict()
        del row["text"]
        seconds = round(time.monotonic() - start, 1)
        return row | {"tests": len(tests), "noticed_by": by, "seconds": seconds}


def _made(folder: str, names: list[str]) -> set[str]:
    """What is made from the checkout, and so needs no copy."""
    top = ("runs", "build", "*.egg-info") if Path(folder) == ROOT else ()
    return {n for pattern in (".*", "__pycache__", *top) for n in fnmatch.filter(names, pattern)}


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
    mutants: list[Mutant],
    python: str,
    out: Path,
    jobs: int,
    texts: dict[str, str],
    by: str = "*",
    again: bool = False,
) -> Iterator[dict]:
    """Every change's row: those kept in `out` at once, the others as they come, and kept. `again`:
    what passed its tests or its time there is judged once more. Test files that fit `by` alone.
    """
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "results.jsonl"
    rows = map(json.loads, kept.read_text(encoding="utf-8").splitlines() if kept.exists() else [])
    known = {row["name"]: row for row in rows}  # the last counts
    if again:
        known = {n: row for n, row in known.items() if row["noticed_by"] not in ("", "time")}
    yield from (known[m.name] for m in mutants if m.name in known)
    if not (waiting := [m for m in mutants if m.name not in known]):
        return
    bench, pool = Bench(python, out, jobs, texts), ThreadPoolExecutor(jobs)
    try:
        tests = sorted({path for pattern in TESTS for path in ROOT.glob(pattern)})
        for file in (path.relative_to(ROOT).as_posix() for path in tests):
            if Path(file).name.startswith("test_") and fnmatch.fnmatch(file, by):
                bench.measure(file)
        with kept.open("a", encoding="utf-8") as file:
            for future in as_completed([pool.submit(bench.judge, m) for m in waiting]):
                print(json.dumps(future.result()), file=file, flush=True)
                yield future.result()
    finally:  # Ctrl-C waits for the changes that run
        pool.shutdown(cancel_futures=True)
        for server in bench.servers:
            server.close()


def sources() -> dict[str, str]:
    """The text of every file of scmrl that may be changed."""
    files = (path.relative_to(ROOT).as_posix() for path in (ROOT / "scmrl").rglob("*.py"))
    return {
        file: (ROOT / file).read_text(encoding="utf-8")
        for file in files
        if any(fnmatch.fnmatch(file, pattern) for pattern in FILES)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="runs the tests")
    parser.add_argument("--count", type=int, default=200, help="changes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    parser.add_argument("--only", default="*", help="files that fit this pattern alone")
    parser.add_argument("--by", default="*", help="test files that fit this pattern alone")
    parser.add_argument("--again", action="store_true", help="judge survivors once more")
    asked = parser.parse_args()
    texts = sources()
    places = {file: texts[file] for file in fnmatch.filter(texts, asked.only)}
    mutants, rows = drawn(places, asked.count, asked.seed), []
    for row in judged(mutants, asked.python, OUT, asked.jobs, texts, asked.by, asked.again):
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
