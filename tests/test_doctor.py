"""The doctor says what is installed and how to install the rest, without importing any of it."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scmrl import doctor

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


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
    assert found["lava-nc"].install == "pip install --no-deps --ignore-requires-python lava-nc==0.10.0"
    assert found["matplotlib"].install == "pip install 'scmrl[plot]'"
    assert "Neuromorphic Research Community" in found["lava-loihi"].install


@pytest.mark.parametrize("version, state", [("2.5.1", "too old"), ("2.6.0+cpu", "installed"),
                                            ("2.13.0", "installed"), ("10.0rc1", "installed")])
def test_versions_compare_by_number(monkeypatch, version, state):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    assert by_name()["torch"].state == state


def test_python_outside_the_tested_versions_is_told(monkeypatch):
    for version, state in (((3, 9, 0), "too old"), ((3, 10, 1), "installed"), ((3, 14, 0), "untested")):
        monkeypatch.setattr(sys, "version_info", version)
        assert by_name()["python"].state == state


def test_oldest_versions_are_those_of_the_package():
    declared = dict(re.findall(r'"([a-z-]+)>=([0-9.]+)"', PYPROJECT.read_text(encoding="utf-8")))
    known = {name: oldest for name, oldest, *_ in doctor.LIBRARIES}
    assert declared
    for name in declared.keys() & known.keys():
        assert known[name] == declared[name], name


def test_examining_imports_nothing_heavy():
    code = ("import sys; from scmrl import doctor; doctor.examine(); "
            "print({'torch', 'lava', 'numba', 'scipy', 'matplotlib', 'librosa'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "set()"
