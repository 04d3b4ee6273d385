"""The wheel: it holds the package and nothing else, and runs where there is no checkout."""

import email
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from places import ROOT

from scmrl import __version__
from scmrl.system import dependencies

# What is not in the package but in its metadata.
METADATA = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}


def run(*command, **how):
    """A command without this checkout on its path."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=300, env=outside, **how
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built offline from a copy of the checkout, for setuptools leaves files where it builds."""
    place = tmp_path_factory.mktemp("wheel")
    for name in ("scmrl", "tests", "benchmarks"):
        shutil.copytree(
            ROOT / name, place / "tree" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "tree")
    build = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", place)
    run(sys.executable, "-m", "pip", *build, place / "tree")
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `scmrl` command of an environment with the wheel and the libraries of this one."""
    place = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", place)
    python = place / "bin" / "python"
    run(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel
    )
    (site,) = place.glob("lib/python*/site-packages")
    # As a line of a path file: editable installs of this environment stay behind.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin" / "scmrl"


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    about = f"scmrl-{__version__}.dist-info/"
    files = (path for path in (ROOT / "scmrl").rglob("*") if path.is_file())
    tree = {
        path.relative_to(ROOT).as_posix() for path in files if path.parent.name != "__pycache__"
    }
    assert names == tree | {about + name for name in METADATA}
    assert wheel.stat().st_size < 8 << 20


def test_the_metadata_says_what_it_is_and_what_it_asks_for(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"scmrl-{__version__}.dist-info/METADATA").decode()
        licence = archive.read(f"scmrl-{__version__}.dist-info/licenses/LICENSE").decode()
    head = email.message_from_string(text)
    assert head["Version"] == __version__ and head["License-Expression"] == "Apache-2.0"
    assert "Apache License" in licence and head["Requires-Python"] == ">=3.10"
    needed = [line for line in head.get_all("Requires-Dist") if "extra ==" not in line]
    assert {line.split(">=")[0] for line in needed} == {"numpy", "click", "rich", "tomli"}
    asked = [line for line in head.get_all("Requires-Dist") if "extra ==" in line]
    # Under the name torch an index may have a build of several GB; these bring it only where asked.
    for line in asked:
        if line.startswith(("torch", "lightning", "norse", "torchvision")):
            assert line.endswith('extra == "torch"'), line
    assert set(dependencies.EXTRAS) - set(head.get_all("Provides-Extra")) == {
        "all",
        "live",
        "peers",
    }


def test_it_deploys_outside_the_checkout(installed, model, tmp_path):
    where = run(installed.parent / "python", "-c", "import scmrl; print(scmrl.__file__)", cwd="/")
    assert Path(where).is_relative_to(installed.parents[1])
    report = json.loads(run(installed, "deploy", model, "--json", cwd=tmp_path))
    assert report["bit_exact"] is True and report["samples"] == 6
    assert "loihi2" in json.loads(run(installed, "profiles", "--json", cwd=tmp_path))["profiles"]
    run(installed, "deploy", model, "--html", tmp_path / "page.html", cwd=tmp_path)
    assert "</html>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_its_data_set_is_in_it(installed, tmp_path):
    pytest.importorskip("librosa")
    pytest.importorskip("soundfile")
    pytest.importorskip("sklearn")
    assert run(installed, "data", "check", "digits-av", "--json", cwd=tmp_path)


def test_its_zoo_is_in_it(installed, tmp_path):
    report = json.loads(run(installed, "energy", "zoo:where", "--json", cwd=tmp_path))
    assert report["model"] == "zoo:where" and report["profiles"]["loihi2"]["fits"]
    assert len(json.loads(run(installed, "zoo", "--json", cwd=tmp_path))["models"]) == 5
