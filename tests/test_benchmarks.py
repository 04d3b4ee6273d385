"""Every benchmark starts and comes to its end in a small form. What it measures is no matter
here.
"""

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
    assert set(figures) == {"scmrl", "norse", "snntorch"}
    assert all(row["memory_mb"] > 0 for row in figures.values())


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

    return module


def test_mutants(mutants, monkeypatch, tmp_path):
    """One change is noticed, one is not, one never ends; then nothing runs, or those two again."""
    (tmp_path / "here" / "scmrl" / "runs").mkdir(parents=True)  # a room of that name is copied
    (tmp_path / "here" / "scmrl" / "runs" / "b.py").touch()
    (tmp_path / "here" / "test_a.py").write_text(
        "import scmrl.runs.b\nfrom scmrl.a import f\n\ndef test(): assert f(1) == 2"
    )
    text = "def f(x):\n    # one more\n    return x + 1\n"
    (tmp_path / "here" / "scmrl" / "a.py").write_text(text)
    monkeypatch.setattr(mutants, "ROOT", tmp_path / "here")
    monkeypatch.setattr(mutants, "TESTS", {"scmrl/*": ("test_a.py",)})
    monkeypatch.setattr(mutants, "EVERY", "test_b.py")
    (tmp_path / "here" / "test_b.py").write_text("def test(): pass")
    monkeypatch.setattr(mutants, "SPARE_S", 5)
    changes = []
    for line in ("return x - 1", "return 1 + x", "while True: pass"):
        after = text.replace("return x + 1", line)
        changes.append(mutants.Mutant("scmrl/a.py", 3, *mutants.differing(text, after), after))
    first = list(mutants.judged(changes, sys.executable, tmp_path, 1))
    assert [row["noticed_by"] for row in first] == ["test_a.py", "", "time"]
    assert first == list(mutants.judged(changes, "no python at all", tmp_path, 1))
    (tmp_path / "here" / "test_b.py").write_text(
        "def test(): assert '1 + x' not in open('scmrl/a.py').read()"
    )
    again = list(mutants.judged(changes, sys.executable, tmp_path, 1, again=True))
    assert [row["noticed_by"] for row in again] == ["test_a.py", "test_b.py", "time"]
    assert again == list(mutants.judged(changes, "no python at all", tmp_path, 1))
    said = mutants.table(first, 4)
    assert "| scmrl/a.py:3 | `return x + 1` | `return 1 + x` |" in said and "66.7%" in said
    assert mutants.meaning(text) == mutants.meaning("def f(x: int) -> int:\n    return x + 1\n")
    assert mutants.meaning(text) != mutants.meaning(changes[0].text)


def test_every_mutant_has_tests(mutants):
    files = [
        path.relative_to(mutants.ROOT).as_posix() for path in mutants.ROOT.rglob("scmrl/**/*.py")
    ]
    for pattern, stages in mutants.TESTS.items():
        stages = (*stages, mutants.EVERY)
        assert any(mutants.stages(file) == stages for file in files), pattern
        places = [word.rpartition("=")[2] for stage in stages for word in stage.split()]
        assert all((mutants.ROOT / path).exists() for path in places)
