"""A graph as a JSON-able dict and named arrays, and back: what a file may say of a graph, field by
field.

    {"format": 2, "steps": T, "classes": [...], "populations": [{"name": ...}, ...],
     "synapses": [{"kind": "Dense", "source": ..., "weight": {"array": NAME}}, ...]}

A field that has its default may be missing, and so may the label of a synapse that has the name
which its place gives it. Files of scmrl 0.1 have no `format`: they know no labels.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, TypeVar

import numpy as np

from ..system.errors import GraphError, ScmrlError
from .fixed_point import RESETS
from .graph import KINDS, PER_NEURON, RANGES, SYNAPSES, Graph, Population, Synapse
from .schema import Choice, Either, Flag, Integer, Kind, List, Table, Text
from .synapse import RANGES as SYNAPSE_RANGES
from .synapse import derived_names

FORMAT = 2  # of graph.json
Arrays = dict[str, np.ndarray]
Part = TypeVar("Part", Population, Synapse)

ARRAY = Table({"array": Text()})
NUMBERS = {name: Integer(low, high) for name, low, high in (*RANGES, *SYNAPSE_RANGES)}
FIELDS: dict[str, Kind] = {  # of populations and synapses
    **NUMBERS,
    **{name: List(NUMBERS[name], 2, 2) for name in ("stride", "padding", "kernel")},
    **dict.fromkeys(("name", "source", "target", "label"), Text(printable=True)),
    "shape": List(Integer(1, (1 << 31) - 1), 1, 16),
    "kind": Choice(KINDS),
    **{name: Either(NUMBERS[name], ARRAY) for name in PER_NEURON},
    "bias_mant": Either(Integer(), ARRAY),
    "memoryless": Flag(),
    "adds": Text(),
    "reset": Choice(RESETS),
}


def _schema(kind: type[Any]) -> Table:
    """The table of a dataclass: a field without a default is required."""
    required: dict[str, Kind] = {}
    optional: dict[str, Kind] = {}
    for f in dataclasses.fields(kind):
        values = FIELDS.get(f.name) or (
            Integer() if f.type in ("int", int) else ARRAY
        )  # the weight
        (required if f.default is dataclasses.MISSING else optional)[f.name] = values
    return Table(required, optional)


@functools.cache
def _synapse(kind: str) -> Table:
    return _schema(SYNAPSES[kind])


class _AnySynapse(Kind):
    """A synapse: its `kind` says which fields it has."""

    def check(self, value: Any, where: str, error: type[ScmrlError]) -> None:
        Table({"kind": Choice(tuple(SYNAPSES))}, open=True).check(value, where, error)
        fields = {k: v for k, v in value.items() if k != "kind"}
        _synapse(value["kind"]).check(fields, where, error)


GRAPH = Table(
    {
        "steps": Integer(1, (1 << 31) - 1),
        "classes": List(Text()),
        "populations": List(_schema(Population)),
        "synapses": List(_AnySynapse()),
    },
    {"format": Integer(FORMAT, FORMAT)},
)


def entry_of(part: Any, prefix: str, arrays: Arrays) -> dict[str, Any]:
    """The fields of a dataclass as JSON; its arrays go to `arrays` and are said by name."""
    out: dict[str, Any] = {}
    for f in dataclasses.fields(part):
        value = getattr(part, f.name)
        if isinstance(value, np.ndarray):
            arrays[f"{prefix}.{f.name}"] = value
            value = {"array": f"{prefix}.{f.name}"}
        out[f.name] = int(value) if isinstance(value, np.integer) else value
    return out


def to_tables(graph: Graph) -> tuple[dict[str, Any], Arrays]:
    """The graph as a JSON-able dict, without its format, and named arrays; `from_tables` is its
    inverse. What a graph need not say is left out: then its hash is what it was in older files.
    """
    arrays: Arrays = {}
    populations = [entry_of(p, f"population/{p.name}", arrays) for p in graph.populations]
    synapses = []
    for i, (s, derived) in enumerate(zip(graph.synapses, derived_names(graph.synapses))):
        entry = entry_of(s, f"synapse/{i}", arrays)
        if s.name == derived:
            del entry["label"]
        synapses.append({"kind": type(s).__name__, **entry})
    for entry in populations:
        if not entry["adds"]:
            del entry["adds"]
        if entry["reset"] == "zero":
            del entry["reset"]
    table = {
        "steps": graph.steps,
        "classes": list(graph.classes),
        "populations": populations,
        "synapses": synapses,
    }
    return table, arrays


def from_tables(
    table: dict[str, Any],
    arrays: Arrays,
    where: str = "graph",
    error: type[ScmrlError] = GraphError,
) -> Graph:
    """Rebuild and check a graph. Raises `error` for a table that is none, naming the field;
    `GraphError` for a graph that is not legal.
    """
    GRAPH.check(table, where, error)

    def build(kind: type[Part], entry: dict[str, Any], place: str) -> Part:
        values: dict[str, Any] = {}
        for key, value in entry.items():
            if isinstance(value, dict):
                if value["array"] not in arrays:
                    raise error("array is missing", where=f"{place}.{key}", value=value["array"])
                value = arrays[value["array"]]
            values[key] = tuple(value) if isinstance(value, list) else value
        return kind(**values)

    synapses = []
    for i, entry in enumerate(table["synapses"]):
        fields = {key: value for key, value in entry.items() if key != "kind"}
        synapses.append(build(SYNAPSES[entry["kind"]], fields, f"{where}: synapses.{i}"))
    populations = tuple(
        build(Population, entry, f"{where}: populations.{i}")
        for i, entry in enumerate(table["populations"])
    )
    try:
        return Graph(populations, tuple(synapses), table["steps"], tuple(table["classes"])).check()
    except GraphError as reason:
        raise reason if where == "graph" else reason.at(where, GraphError) from None
