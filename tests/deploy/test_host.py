"""A deployment host needs neither torch nor Lava, and help needs nothing heavy."""

import subprocess
import sys

import pytest
from hosts import HEAVY, blocked


@pytest.mark.parametrize("backend", ["simulator", "lava-inprocess", "lava"])
def test_deploys_without_torch(model, backend):
    if backend != "simulator":
        pytest.importorskip("lava", reason="Lava is not installed")
    done = blocked(
        HEAVY,
        "from scmrl.cli import main; main(sys.argv[1:])",
        "deploy",
        str(model),
        "--backend",
        backend,
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert '"bit_exact": true' in done.stdout


@pytest.mark.parametrize("command", [["deploy"], ["verify", "--backends", "simulator"], ["energy"]])
def test_works_with_numpy_click_and_rich_alone(model, command):
    done = blocked(
        [*HEAVY, "numba", "scipy", "lava", "networkx"],
        "from scmrl.cli import main; main(sys.argv[1:])",
        command[0],
        str(model),
        *command[1:],
    )
    assert done.returncode == 0, done.stderr


def test_export_runs_elsewhere_without_torch(model, tmp_path):
    pytest.importorskip("lava", reason="Lava is not installed")
    run = "from scmrl.cli import main; main(sys.argv[1:])"
    done = blocked(
        HEAVY, run, "export", str(model), "--target", "lava", "--out", str(tmp_path / "elsewhere")
    )
    assert done.returncode == 0, done.stderr
    done = blocked(
        HEAVY, run, "deploy", str(tmp_path / "elsewhere"), "--backend", "lava-inprocess", "--json"
    )
    assert done.returncode == 0 and '"bit_exact": true' in done.stdout, done.stderr


def test_missing_lava_is_one_line_with_the_command(model):
    done = blocked(
        [*HEAVY, "lava"],
        "from scmrl.cli import main; main(sys.argv[1:])",
        "deploy",
        str(model),
        "--backend",
        "lava",
    )
    assert done.returncode == 6 and len(done.stderr.strip().splitlines()) == 1
    assert "pip install --no-deps --ignore-requires-python lava-nc==0.10.0" in done.stderr


def test_help_imports_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "scmrl", "--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert not loaded & {
        "numpy",
        "torch",
        "lava",
        "rich",
        "librosa",
        "matplotlib",
        "numba",
        "scipy",
    }
