"""The doctor says what is installed and how to install the rest, without importing any of it."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from places import ROOT

from scmrl.system import dependencies, doctor, memory

PYPROJECT = ROOT / "pyproject.toml"


def by_name():
    return {c.name: c for c in doctor.examine()}


def test_installed_libraries_have_their_version():
    found = by_name()
    assert found["numpy"].version == importlib.metadata.version("numpy")
    assert found["numpy"].state == "installed"
    assert found["python"].version.startswith(f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert all(c.enables and c.install for c in found.values())


def test_a_missing_library_comes_with_its_command(monkeypatch):
    def nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", nothing)
    found = by_name()
    assert {c.state for name, c in found.items() if name != "python"} == {"missing"}
    assert found["numpy"].version is None
    assert (
        found["lava-nc"].install == "pip install --no-deps --ignore-requires-python lava-nc==0.10.0"
    )
    assert found["matplotlib"].install == "pip install 'matplotlib>=3.8'"
    assert found["sounddevice"].install == "pip install sounddevice"
    assert found["psycopg"].install == "pip install 'psycopg[binary]>=3.1'"
    assert "Neuromorphic Research Community" in found["lava-loihi"].install


@pytest.mark.parametrize(
    "version, state",
    [
        ("2.5.1", "too old"),
        ("2.6.0+cpu", "installed"),
        ("2.13.0", "installed"),
        ("10.0rc1", "installed"),
    ],
)
def test_versions_compare_by_number(monkeypatch, version, state):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    assert by_name()["torch"].state == state


def test_python_outside_the_tested_versions_is_told(monkeypatch):
    for version, state in (
        ((3, 9, 0), "too old"),
        ((3, 10, 1), "installed"),
        ((3, 14, 0), "untested"),
    ):
        monkeypatch.setattr(sys, "version_info", version)
        assert by_name()["python"].state == state


@pytest.mark.parametrize(
    "version, admitted, state",
    [
        ("2.3.9", ">=2.4,<2.7", "too old"),
        ("2.4", ">=2.4,<2.7", "installed"),
        ("2.6.9", ">=2.4,<2.7", "installed"),
        ("2.7.0", ">=2.4,<2.7", "too new"),
        ("2.7", ">=2.4", "installed"),
        ("0.10.0", "==0.10.0", "installed"),
        ("0.10", "==0.10.0", "installed"),
        ("0.10.1", "==0.10.0", "too new"),
        ("0.9.9", "==0.10.0", "too old"),
        ("4.8", "", "installed"),
    ],
)
def test_a_version_stands_to_what_is_admitted(version, admitted, state):
    assert doctor._state(version, admitted) == state


def test_versions_are_those_of_the_package():
    text = PYPROJECT.read_text(encoding="utf-8")
    declared = dict(re.findall(r'"([a-z0-9-]+)(?:\[[a-z,]+\])?([>=<][^";]*)', text))
    known = {library.name: library.versions for library in dependencies.LIBRARIES}
    assert len(declared.keys() & known.keys()) >= 20
    for name in declared.keys() & known.keys():
        assert known[name] == declared[name], name
    # What the package does not declare stands in its own line, or comes with another's set-up.
    apart = {
        "lava-nc",
        "lava-dl",
        "lava-loihi",
        "norse",
        "nirtorch",
        "snntorch",
        "spikingjelly",
        "sounddevice",
        "opencv-python",
    }
    assert known.keys() - declared.keys() - {"psycopg"} == apart


def test_commands_name_what_an_index_has():
    """scmrl itself lies on none."""
    for library in dependencies.LIBRARIES:
        assert "scmrl" not in library.install and library.enables, library.name
        if library.name != "lava-loihi":
            assert library.install.startswith("pip install ") and library.name in library.install


def test_no_hint_asks_an_index_for_scmrl():
    for path in (PYPROJECT.parent / "scmrl").rglob("*.py"):
        assert not re.search(r"pip install '?scmrl", path.read_text(encoding="utf-8")), path


def test_another_distribution_of_the_same_counts(monkeypatch):
    def version(name):
        if name == "opencv-contrib-python":
            return "4.8.0"
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = by_name()["opencv-python"]
    assert (found.version, found.state) == ("4.8.0", "installed")


@pytest.mark.skipif(
    not Path("/proc/meminfo").exists(), reason="Linux says how much memory there is"
)
def test_room_is_what_the_system_says(monkeypatch, tmp_path):
    free = doctor.room()
    assert 0 < free.memory < 1 << 50 and free.shared_memory == shutil.disk_usage("/dev/shm").free
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\nfile 900000\nshmem 100000\n")
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    assert memory.available() == 600000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available() > 1 << 20
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    assert memory.available() is None
    monkeypatch.setattr(doctor, "SHARED", tmp_path / "none")
    assert doctor.room().shared_memory is None


@pytest.mark.parametrize(
    "size, text",
    [(0, "0 bytes"), (999, "999 bytes"), (22_700_000, "22.7 MB"), (3 << 50, "3377.7 TB")],
)
def test_bytes_in_words(size, text):
    assert memory.words(size) == text


def test_the_report_names_what_it_removed_and_fits_the_screen(scmrl, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code, out, _ = scmrl("doctor")
    assert code == 0 and "leftovers  none" in out and max(map(len, out.splitlines())) <= 80
    dead = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import os; from scmrl.system import temporary\n"
                "with temporary.directory('netx') as path:"
                " print(path, flush=True); os.kill(os.getpid(), 9)"
            ),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ).stdout.strip()
    assert Path(dead).parent == tmp_path and Path(dead).is_dir()
    code, out, _ = scmrl("doctor", "--json")
    table = json.loads(out)
    assert table["removed"] == [dead] and not Path(dead).exists()
    assert table["room"]["temporary"] > 0 and {"sounddevice", "psycopg"} <= {
        c["name"] for c in table["components"]
    }


def test_examining_imports_nothing_heavy():
    code = (
        "import sys; from scmrl.system import doctor; doctor.examine(); "
        "print({'torch', 'lava', 'numba', 'scipy', 'matplotlib', 'librosa'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "set()"
