"""The import law: data flows one way, heavy libraries live in their rooms, a deployment host needs
neither torch nor Lava.
"""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "scmrl"
PEERS = ("deploy", "peers.py")  # norse, snntorch and spikingjelly, run as they are, need torch
ROOMS = ("train", "convert", "deploy")


def imports(path: Path) -> set[str]:
    """Absolute names of everything a file imports, at the top or inside functions."""
    package = ["scmrl", *path.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def inside(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_keep_to_themselves(path):
    parts = path.relative_to(PACKAGE).parts
    room = parts[0] if len(parts) > 1 else None
    for name in imports(path):
        if room != "train" and parts != PEERS:
            assert not inside(name, "torch", "norse", "lightning"), f"{path.name} imports {name}"
        if not (room == "deploy" and "lava" in "/".join(parts[1:])):
            assert not inside(name, "lava"), f"{path.name} imports {name}"
        if room in ROOMS:
            others = [f"scmrl.{other}" for other in ROOMS if other != room]
            assert not inside(name, *others), f"{path.name} imports {name}"


def blocked(libraries: list[str], code: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run `code` in a process in which those libraries cannot be imported."""
    program = textwrap.dedent(f"""
        import sys

        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {libraries!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)

        sys.meta_path.insert(0, Blocked())
        """) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120
    )


HEAVY = ["torch", "norse", "lightning", "librosa", "sklearn", "matplotlib", "onnx", "nir"]


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
