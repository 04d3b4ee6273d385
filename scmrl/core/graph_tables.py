"""A graph as a JSON-able dict and named arrays, and back: what a file may say of a graph, field by
field.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ..system.errors import GraphError, ScmrlError
from .graph import KINDS, POPULATION_RANGES, SYNAPSE_RANGES, SYNAPSES, Graph, Population, Synapse
from .schema import Choice, Either, Flag, Integer, Kind, List, Table, Text

ARRAY = Table({"array": Text()})
ENDS = {"source": Text(printable=True), "target": Text(printable=True)}
RANGES = {name: Integer(low, high) for name, low, high in (*POPULATION_RANGES, *SYNAPSE_RANGES)}
PAIRS = {name: List(RANGES[name], 2, 2) for name in ("stride", "padding", "kernel")}
FIELDS: dict[str, Kind] = {  # of populations and synapses; those that have no default are required
    **ENDS,
    **RANGES,
    **PAIRS,
    "name": Text(printable=True),
    "shape": List(Integer(1, (1 << 31) - 1), 1, 16),
    "kind": Choice(KINDS),
    "bias_mant": Either(Integer(), ARRAY),
    "memoryless": Flag(),
    "adds": Text(),
}


def _schema(kind: type, weight: Kind) -> Table:
    """The table of a dataclass: a field without a default is required."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    kinds = {name: weight if name == "weight" else FIELDS[name] for name in fields}
    required = {name for name, f in fields.items() if f.default is dataclasses.MISSING}
    return Table(
        {name: kinds[name] for name in kinds if name in required},
        {name: kinds[name] for name in kinds if name not in required},
    )


POPULATION = _schema(Population, Integer())
SYNAPSE_TABLES = {
    name: _schema(kind, Integer() if kind.__annotations__["weight"] == "int" else ARRAY)
    for name, kind in SYNAPSES.items()
}


class _AnySynapse(Kind):
    """A synapse: its `kind` says which fields it has."""

    def check(self, value, where, error):
        Table({"kind": Choice(tuple(SYNAPSES))}, open=True).check(value, where, error)
        SYNAPSE_TABLES[value["kind"]].check(
            {k: v for k, v in value.items() if k != "kind"}, where, error
        )


GRAPH = Table(
    {
        "steps": Integer(1, (1 << 31) - 1),
        "classes": List(Text()),
        "populations": List(POPULATION),
        "synapses": List(_AnySynapse()),
    }
)


def to_tables(graph: Graph) -> tuple[dict, dict[str, np.ndarray]]:
    """The graph as a JSON-able dict and named arrays; `from_tables` is its inverse."""
    arrays: dict[str, np.ndarray] = {}

    def entry(part: Population | Synapse, prefix: str) -> dict:
        out = {}
        for f in dataclasses.fields(part):
            value = getattr(part, f.name)
            if f.name == "adds" and not value:  # files of graphs without joins stay as they were
                continue
            if isinstance(value, np.ndarray):
                key = f"{prefix}.{f.name}"
                arrays[key] = value
                value = {"array": key}
            out[f.name] = int(value) if isinstance(value, np.integer) else value
        return out

    table = {
        "steps": graph.steps,
        "classes": list(graph.classes),
        "populations": [entry(p, f"population/{p.name}") for p in graph.populations],
        "synapses": [
            {"kind": type(s).__name__, **entry(s, f"synapse/{i}")}
            for i, s in enumerate(graph.synapses)
        ],
    }
    return table, arrays


def from_tables(
    table: dict,
    arrays: dict[str, np.ndarray],
    where: str = "graph",
    error: type[ScmrlError] = GraphError,
) -> Graph:
    """Rebuild and check a graph. Raises `error` for a table that is none, naming the field;
    `GraphError` for a graph that is not legal.
    """
    GRAPH.check(table, where, error)

    def build(kind: type, entry: dict, place: str):
        values = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in entry.items()
            if key != "kind" or kind is Population
        }
        for key, value in values.items():
            if isinstance(value, dict):
                if value["array"] not in arrays:
                    raise error("array is missing", where=f"{place}.{key}", value=value["array"])
                values[key] = arrays[value["array"]]
        return kind(**values)

    synapses = tuple(
        build(SYNAPSES[entry["kind"]], entry, f"{where}: synapses.{i}")
        for i, entry in enumerate(table["synapses"])
    )
    populations = tuple(
        build(Population, entry, f"{where}: populations.{i}")
        for i, entry in enumerate(table["populations"])
    )
    try:
        return Graph(populations, synapses, table["steps"], tuple(table["classes"])).check()
    except GraphError as reason:
        raise reason if where == "graph" else reason.at(where, GraphError) from None
