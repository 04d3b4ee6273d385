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
from scmrl.system.errors import MissingDependency, ScmrlError, UsageError

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


def test_no_hint_asks_an_index_for_scmrl_or_wants_a_checkout():
    for path in (PYPROJECT.parent / "scmrl").rglob("*.py"):
        found = re.search(r"pip install '?(scmrl|\.)", path.read_text(encoding="utf-8"))
        assert found is None, f"{path}: {found}"


def test_an_extra_is_what_the_package_declares_and_what_pip_gets_wrong():
    def declared(extra):
        (line,) = re.findall(rf"^{extra} = \[(.*)\]", text, re.MULTILINE)
        for name, within in re.findall(r'"([a-z0-9-]+)(?:\[([a-z,]+)\])?[^"]*"', line):
            if name == "scmrl":
                yield from (each for other in within.split(",") for each in declared(other))
            else:
                yield name

    text = PYPROJECT.read_text(encoding="utf-8")
    apart = {
        "deploy": {"lava-nc"},
        "netx": {"lava-nc", "lava-dl"},
        "train": {"torch", "lightning", "norse", "nirtorch"},
        "sweep": {"torch", "lightning", "norse", "nirtorch"},
    }
    for extra, names in dependencies.EXTRAS.items():
        assert set(names) <= dependencies.BY_NAME.keys(), extra
        if extra not in ("all", "live", "peers"):
            assert set(names) == set(declared(extra)) | apart.get(extra, set()), extra
    not_public = {"numpy", "click", "rich", "lava-loihi"}
    assert set(dependencies.EXTRAS["all"]) == dependencies.BY_NAME.keys() - not_public


TOGETHER = "or all that {0} needs with: scmrl doctor --install {0}".format


@pytest.mark.parametrize(
    "name, hint",
    [
        ("torch", f"pip install torch==2.13.0, {TOGETHER('train')}"),
        ("scipy", f"pip install 'scipy>=1.10', {TOGETHER('deploy')}"),
        ("matplotlib", f"pip install 'matplotlib>=3.8', {TOGETHER('plot')}"),
        ("tomli", "pip install tomli"),
    ],
)
def test_the_error_of_a_missing_library_names_its_installation(name, hint):
    text = str(MissingDependency(name, enables="this"))
    assert text == f"{name} is not installed; it enables this; install it with: {hint}"


@pytest.fixture
def pip(monkeypatch):
    """Nothing is installed; every call of pip is noted: (arguments, what it gives, exit code)."""
    calls, answers = [], {"report": '{"install": []}', "code": 0, "error": ""}

    def nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    def called(command, **_):
        assert command[:4] == [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        calls.append(command[4:])
        given = (answers["code"], answers["report"], answers["error"])
        return subprocess.CompletedProcess(command, *given)

    monkeypatch.setattr(importlib.metadata, "version", nothing)
    monkeypatch.setattr(subprocess, "run", called)
    monkeypatch.delenv(doctor.TORCH_VARIABLE, raising=False)
    return calls, answers


def test_install_runs_the_commands_that_it_showed(pip):
    told = []
    doctor.install("deploy", told.append, None)
    lava = "pip install --no-deps --ignore-requires-python lava-nc==0.10.0"
    plain = "pip install 'scipy>=1.10' 'networkx>=2.8' 'asteval>=0.9.33'"
    assert told == [f"{w}: {c}" for w in ("to run", "running") for c in (plain, lava)]
    assert [call[0] for call in pip[0]] == ["install"] * 2
    assert pip[0][0][1:] == ["scipy>=1.10", "networkx>=2.8", "asteval>=0.9.33"]
    assert pip[0][1][1:] == ["--no-deps", "--ignore-requires-python", "lava-nc==0.10.0"]


def test_torch_comes_first_and_no_cuda_unasked(pip, monkeypatch):
    calls, answers = pip
    doctor.install("train", lambda _: None, None)
    assert calls[0] == ["install", "torch==2.13.0", "--quiet", "--dry-run", "--report", "-"]
    assert calls[1] == ["install", "torch==2.13.0"] and "lightning>=2.4" in calls[2]
    assert calls[3:] == [["install", "--no-deps", "norse==1.1.0", "nirtorch==2.6"]]
    calls.clear()
    answers["report"] = json.dumps({"install": [{"metadata": {"name": "nvidia-cublas"}}]})
    with pytest.raises(ScmrlError, match="CUDA.*nvidia-cublas.*SCMRL_TORCH=torch==2.13.0 for"):
        doctor.install("train", lambda _: None, None)
    assert len(calls) == 1  # nothing was installed
    monkeypatch.setenv(doctor.TORCH_VARIABLE, "torch==2.13.0+cpu")
    doctor.install("train", lambda _: None, None)
    assert calls[1] == ["install", "torch==2.13.0+cpu"]


def test_install_asks_first(pip, monkeypatch):
    calls, _ = pip
    with pytest.raises(UsageError, match="nobody to ask.*--yes"):
        doctor.install("plot", lambda _: None, lambda _: True)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    doctor.install("plot", lambda _: None, lambda _: False)
    assert calls == []
    doctor.install("plot", lambda _: None, lambda _: True)
    assert calls == [["install", "matplotlib>=3.8", "jinja2>=3.1"]]


def test_what_pip_says_is_one_line(pip):
    pip[1].update(code=1, error="noise\nERROR: No matching distribution found for matplotlib\n")
    with pytest.raises(ScmrlError, match=r"pip failed \(got exit code 1\); ERROR: No matching"):
        doctor.install("plot", lambda _: None, None)


def test_the_command_refuses_an_unknown_extra_and_installs_nothing_twice(scmrl, monkeypatch):
    code, out, err = scmrl("doctor", "--install", "lava")
    assert code == 2 and out == "" and "no such extra (got lava)" in err and "deploy" in err
    monkeypatch.setitem(dependencies.EXTRAS, "fast", ("numpy",))
    code, out, err = scmrl("doctor", "--install", "fast", "--yes", "--json")
    assert code == 0 and err == "nothing is missing for fast\n" and json.loads(out)["components"]


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
