"""The rules of the house: who may use whom, where a library lives, how long a file may be."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from places import ROOT

from scmrl import cli
from scmrl.convert import TARGETS
from scmrl.data import DATASETS
from scmrl.deploy.registry import BACKENDS
from scmrl.hw_profiles.profile import names
from scmrl.network.settings import FLOAT

PACKAGE = ROOT / "scmrl"
# A room uses the rooms of the lines above its own; two on one line do not meet.
LADDER = (
    ("system",),
    ("core",),
    ("hw_profiles", "data"),
    ("network",),
    ("train", "convert"),
    ("deploy",),
    ("sweep",),
    ("commands",),
    ("",),  # the public API, and cli: the table of commands
)
RANK = {room: rank for rank, rooms in enumerate(LADDER) for room in rooms}
# Where a library may be imported: folders and files.
HOMES = {
    "torch": ("network", "train", "deploy/backends/peers.py", "deploy/counting"),
    "lightning": ("network/kernels/processes.py", "train"),
    "norse": ("network", "deploy/backends/peers.py"),
    "lava": ("deploy/backends/lava", "deploy/backends/loihi", "deploy/backends/netx"),
    "onnx": ("convert/onnx",),
    "onnxruntime": ("deploy/backends/onnx.py",),
    "nir": ("convert/nir", "deploy/backends/peers.py"),
    "optuna": ("sweep",),
    "rich": ("core/report/terminal.py", "deploy/stream/view.py", "train/watch.py"),
    "matplotlib": ("core/report/drawing.py",),
    "jinja2": ("core/report/html.py", "convert/c", "convert/verilog"),
    "click": ("cli.py", "commands", "core/report/progress.py"),
}
FILES, LINES, FUNCTION = 12, 400, 50
# Longer for a reason: {file or file:function: the reason}.
LONGER: dict[str, str] = {}


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


MODULES = {name_of(path): path for path in sources()}


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name in it or "") of every import, at the top or in a function, and of every string
    "module:attribute" that is imported when asked for.
    """
    package = list(path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = re.fullmatch(r"(scmrl(?:\.\w+)+):(\w+)", node.value)
            yield from [(found[1], found[2])] if found else []


def used(path: Path) -> set[str]:
    """The modules of scmrl that a file uses."""
    found = {f"{m}.{n}" if f"{m}.{n}" in MODULES else m for m, n in imported(path)}
    return {m for m in found if m in MODULES and m != "scmrl"} - {name_of(path)}


def folder(module: str) -> str:
    path = MODULES[module].parent.relative_to(PACKAGE).as_posix()
    return "" if path == "." else path


def lines(node: ast.AST) -> int:
    return node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_uses_only_rooms_below_it(path):
    room = folder(name_of(path)).split("/")[0]
    for module in used(path):
        other = folder(module).split("/")[0]
        assert other == room or RANK[other] < RANK[room], f"{room} uses {other}: {module}"


def test_no_circle_between_folders():
    arrows: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        arrows.setdefault(folder(module), set()).update(map(folder, used(path)))
    graph = {place: others - {place} for place, others in arrows.items()}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle


def test_the_picture_of_the_rooms_is_what_the_imports_say(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import rooms

    assert set(rooms.PLACES) == set(RANK)
    assert rooms.PICTURE.read_text(encoding="utf-8") == rooms.picture(), "python scripts/rooms.py"


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_private_name_crosses_a_file(path):
    mine = {alias for module, alias in imported(path) if module.startswith("scmrl")}
    private = [name for name in mine if re.match(r"_[a-z]", name)]
    private += [
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in mine
        and re.match(r"_[a-z]", node.attr)
    ]
    assert private == []


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_library_keeps_to_its_home(path):
    here = path.relative_to(PACKAGE).as_posix()
    for module, _ in imported(path):
        homes = HOMES.get(module.split(".")[0])
        assert homes is None or any(
            here == home or here.startswith(home + "/") for home in homes
        ), f"{module} in {here}"


def test_folders_files_and_functions_are_short():
    long: dict[str, int] = {}
    for place in {path.parent for path in sources()}:
        count = len(list(place.glob("*.py")))
        if count > FILES:
            long[place.relative_to(PACKAGE).as_posix()] = count
    for path in sources():
        here = path.relative_to(PACKAGE).as_posix()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > LINES:
            long[here] = count
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and body(node) > FUNCTION:
                long[f"{here}:{node.name}"] = body(node)
    assert {place: count for place, count in long.items() if place not in LONGER} == {}
    assert set(LONGER) <= set(long), "shorter by now: take it off the list"


def body(function: ast.FunctionDef) -> int:
    """Lines of what a function does: without its signature and its docstring."""
    first = function.body[1 if ast.get_docstring(function) and len(function.body) > 1 else 0]
    return function.end_lineno - first.lineno + 1


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_one_file_says_how_a_library_is_installed(path):
    if path.name != "dependencies.py":
        assert "pip install" not in path.read_text(encoding="utf-8")


PAGES = "\n".join(
    page.read_text(encoding="utf-8")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
)


def option_help(command: str, option: str) -> str:
    """The help of an option, words and line breaks as in the code."""
    params = cli.commands.commands[command].params
    return next(p.help for p in params if isinstance(p, click.Option) and option in p.opts)


@pytest.mark.parametrize(
    "command, option, registry",
    [
        ("deploy", "--backend", BACKENDS),
        ("verify", "--backends", BACKENDS),
        ("export", "--target", TARGETS),
        ("train", "--dataset", DATASETS),
    ],
    ids=["deploy", "verify", "export", "train"],
)
def test_help_lists_the_registry(command, option, registry):
    listed = option_help(command, option).split(", or ")[0].split(",")
    assert sorted(name.split()[0].rstrip(".") for name in listed) == sorted(registry)


def test_tables_list_the_registries():
    for section in re.findall(r"^#+ Backends.*?\n(.*?)(?=^#|\Z)", PAGES, re.MULTILINE | re.DOTALL):
        for table in re.findall(r"^\|.*?(?=^[^|]|\Z)", section, re.MULTILINE | re.DOTALL):
            names = re.findall(
                r"`([^`]+)`", " ".join(re.findall(r"^\|([^|]*)", table, re.MULTILINE))
            )
            registry = TARGETS if table.startswith("| target") else BACKENDS
            assert sorted(set(names) - {"scmrl export"}) == sorted(registry)


def test_pages_know_every_published_attention_and_count_the_chips():
    assert [name for name in FLOAT if not re.search(rf"[`=]{name}[` ]", PAGES)] == []
    assert set(re.findall(r"lists (\d+) chips", PAGES)) <= {str(len(names()))}
