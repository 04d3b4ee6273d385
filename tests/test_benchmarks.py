"""Every benchmark starts and comes to its end in a small form. What it measures is no matter
here.
"""

import ast
import json
import runpy
import shutil
import subprocess
import sys

import pytest
from places import BENCHMARKS, TESTS

pytest.importorskip("torch", reason="benchmarks need torch")
pytest.importorskip("lightning", reason="benchmarks need lightning")
pytest.importorskip("norse", reason="benchmarks need norse")


@pytest.fixture
def bench(monkeypatch, capsys):
    """Run a benchmark in this process, where torch is imported already: what it printed."""
    import numba
    import torch

    threads = torch.get_num_threads(), numba.get_num_threads()

    def run(name: str, *options: object) -> str:
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        monkeypatch.setattr(sys, "argv", [name, *map(str, options)])
        try:
            runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
        except SystemExit as leaving:
            assert leaving.code in (0, None), leaving.code
        finally:
            torch.set_num_threads(threads[0])
            numba.set_num_threads(threads[1])
        return capsys.readouterr().out

    return run


def test_each_has_a_test():
    names = {path.stem for path in BENCHMARKS.glob("*.py")} - {
        "runs",
        "written",
        "noticing",  # runs in the processes of mutants.py
    }  # what several share
    text = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    assert (
        names
        and {name for name in names if f"{name}.py" not in text and f"import {name}" not in text}
        == set()
    )


def test_throughput(bench, tmp_path):
    pytest.importorskip("lava", reason="lava-nc is not installed")
    assert "samples per second" in bench(
        "throughput.py", "--small", "--threads", 1, "--out", tmp_path
    )
    table = json.loads((tmp_path / "throughput.json").read_text())["samples_per_s"]
    assert set(table) == {"demo", "shallow"}
    for row in table.values():
        assert row["lava bit-exact"] and row["lava-inprocess bit-exact"]
        assert all(value > 0 for value in row.values())


def test_compiled(bench, model, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    if not shutil.which("cc"):
        pytest.skip("no C compiler on this machine")
    said = bench("compiled.py", model, "--small", "--out", tmp_path / "c.json")
    assert said.count("equal True") == 3
    figures = json.loads((tmp_path / "c.json").read_text())
    assert all(rate > 0 for rate in figures["samples_per_s"].values())


def test_training(bench, tmp_path):
    assert "x 1.00" in bench("training.py", "--small", "--out", tmp_path / "t.json")
    assert set(json.loads((tmp_path / "t.json").read_text())["figures"]) == {
        "plain",
        "ccssa",
        "binary",
    }


def test_long_time(bench, tmp_path):
    pytest.importorskip("snntorch", reason="snntorch is not installed")
    assert "x 1.00" in bench("long_time.py", "--small", "--out", tmp_path / "t.json")
    figures = json.loads((tmp_path / "t.json").read_text())["figures"]
    assert set(figures) == {"scmrl", "chunks", "norse", "snntorch"}
    assert all(row["memory_mb"] > 0 for row in figures.values())


def test_chunks_of_steps_need_less_memory():
    def memory(name: str) -> int:
        command = [sys.executable, BENCHMARKS / "long_time.py", "--memory", name, "--steps", "400"]
        return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.split()[-1])

    assert 0 < memory("chunks") < 0.4 * memory("scmrl")


def test_delays(bench, tmp_path):
    """Trains two networks, in processes of their own."""
    said = bench("delays.py", "--small", "--out", tmp_path / "d", "--write", tmp_path / "d.md")
    assert "| no delays | " in said and "| trained | " in said
    assert said.strip() in (tmp_path / "d.md").read_text()


def test_scale(tmp_path):
    """In a process of its own: it starts others."""
    done = subprocess.run(
        [
            sys.executable,
            str(BENCHMARKS / "scale.py"),
            "--synapses",
            "2e6",
            "--out",
            str(tmp_path / "s.json"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    networks = json.loads((tmp_path / "s.json").read_text())["networks"]
    assert {row["network"] for row in networks} == {"dense", "chain", "loihi1", "conv", "mixed"}
    assert all(row["cores"] > 0 and row["synapses"] > 1e5 for row in networks)


def test_page(bench):
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("no chromium on this machine")
    assert "laid out after" in bench("page.py", "--populations", 5, "--runs", 1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def test_hard_digits(bench, runs):
    """Trains one model, in a process of its own."""
    said = bench("hard_digits.py", "--small", "--out", runs / "hard", "--write", runs / "hard.md")
    assert (
        "| full | " in said
        and "retrieval" in said
        and said.strip() in (runs / "hard.md").read_text()
    )


def test_comparison(bench, scmrl, runs):
    """On runs that are there: that of `hard_digits`, and a float one trained here."""
    if not (runs / "hard").is_dir():
        pytest.skip("the test of hard_digits makes a run")
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from runs import SMALL, folder
    finally:
        sys.path.remove(str(BENCHMARKS))
    out = runs / "comparison"
    ours, published = (
        folder(out / "sum", name, 42) for name in ("ours", "CCSSA, published, float")
    )
    shutil.copytree(folder(runs / "hard", "full", 42), ours)
    code, *_ = scmrl(
        "train",
        "--out",
        published,
        "--seed",
        42,
        *SMALL,
        "--set=model.attention=ccssa",
        "--set=model.embedding=shallow",
        "--set=model.width=16",
        "--json",
    )
    assert code == 0
    said = bench("comparison.py", "sum", "--small", "--out", out)
    assert "| CCSSA, published, float | " in said and "| ours | " in said


def test_peers(bench, runs, tmp_path):
    for library in ("nir", "nirtorch", "snntorch", "spikingjelly"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    if not (runs / "hard").is_dir():
        pytest.skip("the test of hard_digits makes a run")
    said = bench(
        "peers.py", runs / "hard" / "full-42", "--samples", 4, "--out", tmp_path / "peers.md"
    )
    assert said.rstrip().endswith("kept") and "Kept." in (tmp_path / "peers.md").read_text()


@pytest.mark.parametrize("name", ["comparison.py", "hard_digits.py"])
def test_recordings_are_asked_for(name):
    words = ["sum"] if name == "comparison.py" else []
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *words],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2 and "--data-dir is needed" in done.stderr


@pytest.fixture
def mutants(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import mutants as module

    monkeypatch.setattr(module, "LIBRARIES", ())
    return module


def test_mutants(mutants, monkeypatch, tmp_path):
    """One change is noticed, one is not, one never ends; then nothing runs, or those two again."""
    here = tmp_path / "here"
    (here / "scmrl" / "runs").mkdir(parents=True)  # a room of that name is copied
    (here / "tests" / "core").mkdir(parents=True)
    (here / "scmrl" / "runs" / "b.py").touch()
    near, far = here / "tests" / "core" / "test_a.py", here / "tests" / "core" / "test_frozen.py"
    near.write_text(
        "import scmrl.runs.b\nfrom scmrl.a import f\n\ndef test(): assert f(1) == 2\n\n"
        "def test_flaky():\n    f(1)\n    assert '1 + x' not in open('scmrl/a.py').read()"
    )
    far.write_text("def test(): pass")
    text = "def f(x):\n    # one more\n    return x + 1\n"
    (here / "scmrl" / "a.py").write_text(text)
    monkeypatch.setattr(mutants, "ROOT", here)
    monkeypatch.setattr(mutants, "SPARE_S", 5)
    changes, texts = [], {"scmrl/a.py": text}
    for line in ("return x - 1", "return 1 + x", "while True: pass", "return 2 + x - 1"):
        after = text.replace("return x + 1", line)
        changes.append(mutants.Mutant("scmrl/a.py", 3, *mutants.differing(text, after), after))

    def rows(python=sys.executable, count=3, **how):
        found = list(mutants.judged(changes[:count], python, tmp_path, 1, texts, **how))
        return found, [row["noticed_by"] for row in found]

    first, by = rows()
    one, other = (f"tests/core/test_a.py::{name}" for name in ("test", "test_flaky"))
    assert by == [one, other, "time"] and first == rows("no python at all")[0]
    near.write_text(near.read_text().replace("not in open", "not in ''; open"))
    assert rows(count=4)[1] == [one, other, "time", ""]
    again, by = rows(count=4, again=True)
    assert by == [one, other, "time", ""] and again == rows("no python at all", count=4)[0]
    said = mutants.table(again, 5)
    assert "| scmrl/a.py:3 | `return x + 1` | `return 2 + x - 1` |" in said and "75.0%" in said


def test_a_test_that_fails_without_the_change_notices_nothing(mutants, monkeypatch, tmp_path):
    """It passes once, while it is measured, and fails ever after."""
    here = tmp_path / "here"
    (here / "scmrl").mkdir(parents=True)
    (here / "tests" / "core").mkdir(parents=True)
    text = "def f(x):\n    return x + 1\n"
    (here / "scmrl" / "a.py").write_text(text)
    (here / "tests" / "core" / "test_a.py").write_text(
        f"from pathlib import Path\nfrom scmrl.a import f\n\ndef test():\n    f(1)\n"
        f"    at = Path({str(tmp_path / 'once')!r})\n"
        "    before = at.exists()\n    at.touch()\n    assert not before\n"
    )
    monkeypatch.setattr(mutants, "ROOT", here)
    after = text.replace("1", "2")
    change = mutants.Mutant("scmrl/a.py", 2, "", "", after)
    (row,) = mutants.judged([change], sys.executable, tmp_path, 1, {"scmrl/a.py": text})
    assert row["noticed_by"] == ""


SAME = """
def f(x: int, y=3) -> int:
    '''Adds.'''
    if x == 3 or x != "a" or x is None or x == y:
        return x + 1

@numba.njit(parallel=True, cache=True)
def g(x):
    return x
"""


@pytest.mark.parametrize(
    "old, new, same",
    [
        ("x: int", "x: str", True),
        ("-> int", "-> str", True),
        ("Adds", "Takes", True),
        ("x == 3", "x is 3", True),
        ('!= "a"', 'is not "a"', True),
        ("parallel=True", "parallel=False", True),
        ("cache=True", "cache=False", True),
        ("x == 3", "x != 3", False),
        ("x == y", "x is y", False),
        ("x is None", "x == None", False),
        ("x + 1", "x - 1", False),
        ("@numba.njit(parallel=True, cache=True)\n", "", False),
    ],
)
def test_what_changes_nothing_is_no_change(mutants, old, new, same):
    assert SAME.count(old) == 1
    assert (mutants.meaning(SAME) == mutants.meaning(SAME.replace(old, new))) == same
    assert mutants.meaning("def f(:") == ""


def test_a_function_is_tested_by_what_calls_it(mutants):
    """The quickest file first, as much as there is time for; of a name, by what reads it."""
    text = "LIMIT = 3\n\nclass A:\n    n = 1\n\n    def f(self):\n        return LIMIT\n"
    text += "\ndef g():\n    return A()\n\ndef h():\n    return 1\n"
    f, g, h = (f"scmrl/a.py::{name}" for name in ("A.f", "g", "h"))

    def kept(file, setup_s=0.0, setup=(), **tests):
        each = {f"{file}::{name}": {"s": s, "calls": calls} for name, (s, calls) in tests.items()}
        return {file: {"setup_s": setup_s, "setup": list(setup), "tests": each}}

    reach = mutants.Reach(
        kept("slow", x=(50, [f]), y=(mutants.MOST_S, [f]), z=(1, [h]))
        | kept("quick", q=(2, [f]), r=(1, [f]), s=(1, [g]))
        | kept("all", setup_s=30, setup=[h], t=(1, []), u=(1, [g]))
    )

    def tests(line):
        change = mutants.Mutant("scmrl/a.py", line, "", "", "")
        found = reach.tests(change, {"scmrl/a.py": text})
        return [test.rpartition("::")[2] for test in found]

    assert tests(7) == ["r", "q", "x"]  # y would take too long
    assert tests(13) == ["z", "t", "u"]  # in what all tests of a file share
    assert tests(1) == ["r", "q", "x", mutants.FROZEN]  # A.f reads LIMIT
    assert tests(4) == ["r", "s", "q", "u", "x", mutants.FROZEN]  # whatever is of A, or makes one
    assert reach.seconds(["quick::r", "quick::q", "slow::x"]) == 53
    assert reach.seconds(["all::t"]) == 31 and reach.seconds(["all"]) == 32


def test_a_line_of_speed_alone_is_not_drawn(mutants, monkeypatch):
    text = "ROWS = 5\nLIMIT = 7\n\ndef f(x, ROWS):\n    ROWS = 3\n    return x == 3\n"
    monkeypatch.setattr(mutants, "SPEED", {"a.py": ("ROWS",)})
    assert [mutants.of_speed("a.py", text, line) for line in (1, 2, 5)] == [True, False, False]
    assert not mutants.of_speed("b.py", text, 1)


def test_what_is_of_speed_alone_is_a_number_of_its_file(mutants):
    for file, names in mutants.SPEED.items():
        tree = ast.parse((mutants.ROOT / file).read_text(encoding="utf-8"))
        given = {ast.unparse(n.targets[0]) for n in tree.body if isinstance(n, ast.Assign)}
        assert given.issuperset(names), file


def test_every_place_of_the_tool_is_there(mutants):
    assert all(list(mutants.ROOT.glob(pattern)) for pattern in (*mutants.TESTS, *mutants.FILES))
    assert (mutants.ROOT / mutants.FROZEN).exists() and mutants.sources()
