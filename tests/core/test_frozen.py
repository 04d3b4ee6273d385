"""What is handed on is a value: who holds a graph, a report or a profile can rely on it."""

import ast

import pytest
from places import ROOT

# What changes by what it is for.
STATES = {
    "Carried": "it goes on with the steps of a network",
    "_Chunk": "it says what it gave and leaves when it has run",
    "Feed": "it notes how long it waited",
    "State": "it moves on with training",
    "Counts": "it adds up over chunks of samples",
    "Site": "it adds up the calls of a place",
    "Part": "it adds up the calls of a module",
    "Run": "it collects sites and parts while a module runs",
    "Index": "it is filled, a unit of a download after the other",
    "Shelf": "it collects recordings on their way into a file",
    "Memory": "it fills with words, a part of a network after the other",
    "Builder": "it collects populations and synapses, a node after the other",
}


def dataclasses():
    """(file, name, whether it is frozen) of every dataclass of scmrl."""
    for path in sorted((ROOT / "scmrl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for found in getattr(node, "decorator_list", ()):
                called = found.func if isinstance(found, ast.Call) else found
                if getattr(called, "id", "") == "dataclass":
                    words = found.keywords if isinstance(found, ast.Call) else ()
                    told = {word.arg: getattr(word.value, "value", None) for word in words}
                    yield path.relative_to(ROOT).as_posix(), node.name, told.get("frozen") is True


def test_a_dataclass_is_frozen_or_said_to_be_a_state():
    loose = [(file, name) for file, name, frozen in dataclasses() if not frozen]
    assert {name for _, name in loose} == STATES.keys(), loose


def test_a_frozen_report_takes_no_other_value():
    from scmrl.core.samples import Origin

    with pytest.raises(AttributeError, match="cannot assign"):
        Origin().samples = "held out"
