"""The documentation: its tutorials run as they stand, its links lead somewhere, its reference is
the code's.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

from scmrl.convert import TARGETS
from scmrl.deploy.registry import BACKENDS
from scmrl.system import dependencies
from scmrl.train import config

DOCS = ROOT / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
CARRIED_OUT = [*TUTORIALS, DOCS / "how-to" / "own-hardware.md"]
RUNS = {"sh": ("bash", "-euo", "pipefail"), "python": (sys.executable,)}
# Blocks of these are not run: what is shown only, and what needs what no test has.
SHOWN = {"console", "text", "no-board"}
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md"])
LATER = {"architecture.md", "glossary.md", "CONTRIBUTING.md"}  # written elsewhere


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of each fenced block of a page."""
    text = path.read_text(encoding="utf-8")
    for found in re.finditer(r"^```([\w-]+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield found[1], found[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the tutorials run: the first one trains the model that the others use."""
    for library in ("torch", "lightning", "norse", "librosa", "sklearn", "nir", "lava"):
        pytest.importorskip(library)
    place = tmp_path_factory.mktemp("tutorials")
    carry_out(DOCS / "tutorials" / "demo.md", place)
    return place


def carry_out(page: Path, place: Path) -> None:
    """Run the blocks of a page one after the other, each as a program of its own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    for language, text in blocks(page):
        if language in RUNS:
            done = subprocess.run(
                RUNS[language],
                input=text,
                capture_output=True,
                text=True,
                cwd=place,
                env=environment,
                timeout=300,
            )
            assert done.returncode == 0, f"{page.name}:\n{text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", CARRIED_OUT, ids=lambda page: page.stem)
def test_a_tutorial_runs_as_it_stands(page, place):
    text = page.read_text(encoding="utf-8")
    for library in ("snntorch", "sinabs", "spikingjelly", "onnxruntime"):
        if f"import {library}" in text or f"from {library}" in text:
            pytest.importorskip(library)
    if page.stem == "own-hardware":
        for tool in ("cc", "verilator", "g++", "make", "iverilog"):
            if not shutil.which(tool):
                pytest.skip(f"no {tool} on this machine")
    if page.stem != "demo":  # which the fixture ran
        carry_out(page, place)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_what_it_is(page):
    within = page in CARRIED_OUT
    known = {*RUNS, *SHOWN, "{toctree}", "{image}"} if within else None
    for fence in re.findall(r"^```(\S*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert known is None or fence == "" or fence in known, f"{page.name}: {fence}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    generated = {DOCS / "reference" / f"{name}.md" for name in ("api", "cli", "settings")}
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http", "mailto:")) and Path(target).name not in LATER:
            path = (page.parent / target).resolve()
            assert path.exists() or path in generated, f"{page.name}: {target}"


def test_every_page_is_in_the_table_of_contents():
    listed = set()
    for language, text in blocks_of_contents():
        assert language == "{toctree}"
        listed |= {line for line in text.split("\n") if line and not line.startswith(":")}
    there = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    made = {"reference/api", "reference/cli", "reference/settings"}
    later = {Path(name).stem for name in LATER}
    built = {page for page in there if not page.startswith("_build")}
    assert built - {"index"} <= listed <= built | made | later


def blocks_of_contents() -> list[tuple[str, str]]:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    return re.findall(r"^```(\{toctree\})\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def made():
    """`docs/generated.py` as a module."""
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_every_command_setting_and_name(made, scmrl, tmp_path):
    made.write(tmp_path)
    pages = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.md")}
    assert set(pages) == {"api", "cli", "settings"}
    for name, default, setting in config.listed():
        row = f"| `{name}` | `{config.literal(default)}` | {setting.range} | {setting.meaning} |"
        assert row in pages["settings"]
    _, out, _ = scmrl()
    commands = re.findall(r"^  ([a-z]+) ", out.split("Commands:")[1], re.MULTILINE)
    assert len(commands) >= 15
    for command in commands:
        assert re.search(rf"^## scmrl {command}\b", pages["cli"], re.MULTILINE), command
    _, out, _ = scmrl("deploy", "--help")
    for option in re.findall(r"^  (?:-\w, )?(--[a-z-]+)", out, re.MULTILINE):
        assert f"`{option}" in pages["cli"] or option == "--help", option
    package = __import__("scmrl")
    for name in getattr(package, "__all__", ()):
        if name != "__version__":
            assert f"## `scmrl.{name}`" in pages["api"]


def test_the_tables_of_backends_targets_and_extras_are_whole():
    text = (DOCS / "reference" / "backends.md").read_text(encoding="utf-8")
    rows = "".join(line for line in text.split("\n") if line.startswith("| `"))
    assert set(BACKENDS) | set(TARGETS) <= set(re.findall(r"`([a-z-]+)`", rows))
    start = (DOCS / "start.md").read_text(encoding="utf-8")
    for extra in dependencies.EXTRAS:
        assert f"`{extra}`" in start, extra


def test_documentation_asks_no_index_for_scmrl():
    for page in PAGES:
        assert not re.search(r"pip install '?scmrl(?!-)", page.read_text(encoding="utf-8")), page


def test_json_keeps_the_contract(scmrl, model):
    """What docs/reference/contract.md says of every object."""

    def none(word):
        pytest.fail(f"{word} in JSON")

    for command in ("deploy", "energy", "place", "verify"):
        how = ("--backends", "simulator") if command == "verify" else ()
        _, out, _ = scmrl(command, model, *how, "--json")
        report = json.loads(out, parse_constant=none)
        assert report["command"] == command and len(report["bundle"]) == 64
        assert 0 <= (report.get("accuracy") or 0) <= 1
