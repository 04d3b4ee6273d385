"""Every public function and method says what it takes and what it gives."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import ROOT

PACKAGE = ROOT / "scmrl"


def public(body: list[ast.stmt], within: str = "") -> Iterator[tuple[str, ast.FunctionDef, bool]]:
    """(name, function, whether it is a method) of a module and its public classes."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef) and not re.match(r"_[^_]", node.name):
            yield within + node.name, node, bool(within)


def bare(function: ast.FunctionDef, method: bool) -> list[str]:
    """The parameters without an annotation, and "return"."""
    given = function.args
    static = any(
        isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list
    )
    plain = [*given.posonlyargs, *given.args][1 if method and not static else 0 :]
    every = [*plain, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    names = [argument.arg for argument in every if argument.annotation is None]
    # An __init__ gives nothing, and need not say so where it says what it takes.
    silent = function.returns is None and not (function.name == "__init__" and every)
    return names + ["return"] * silent


def without_types(path: Path) -> dict[str, list[str]]:
    """{function: what of it has no annotation} of a file."""
    found = public(ast.parse(path.read_text(encoding="utf-8")).body)
    return {name: lacks for name, node, method in found if (lacks := bare(node, method))}


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p)[len(str(PACKAGE)) :]
)
def test_public_functions_are_annotated(path):
    assert without_types(path) == {}


def test_what_lacks_an_annotation_is_found(tmp_path):
    """The rule itself: it sees a parameter, a return, a method, *args, and nothing private."""
    (tmp_path / "a.py").write_text(
        "def f(x, *, y: int) -> int: ...\n"
        "def g(*rest: int): ...\n"
        "def _h(x): ...\n"
        "class A:\n"
        "    def __init__(self, x: int): ...\n"
        "    @staticmethod\n"
        "    def s(x) -> None: ...\n"
        "    def m(self, **more) -> None: ...\n"
        "    def __len__(self): ...\n"
    )
    assert without_types(tmp_path / "a.py") == {
        "f": ["x"],
        "g": ["return"],
        "A.s": ["x"],
        "A.m": ["more"],
        "A.__len__": ["return"],
    }
