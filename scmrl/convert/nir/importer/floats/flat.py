"""A NIR graph without subgraphs."""

from __future__ import annotations

from typing import Any

from .....system.errors import GraphError


class Flat:
    """The nodes of a graph by full name, and its edges, without subgraphs: the Input and the Output
    of a subgraph become identities. Where it has several, an edge names one: `subgraph.input`.
    """

    def __init__(self, graph: Any):
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self._add(graph, "", top=True)

    def kind(self, name: str) -> str:
        node = self.nodes[name]
        return node if isinstance(node, str) else type(node).__name__

    def _add(self, graph: Any, prefix: str, *, top: bool) -> None:
        if type(graph).__name__ != "NIRGraph":
            raise GraphError("not a NIR graph", value=type(graph).__name__)
        begins: dict[str, list[str]] = {}  # where edges from a name begin, and edges to it end
        ends: dict[str, list[str]] = {}
        for name, node in graph.nodes.items():
            full, kind = f"{prefix}{name}", type(node).__name__
            if kind == "NIRGraph":
                self._add(node, f"{full}.", top=False)
                for doors, door in ((ends, "Input"), (begins, "Output")):
                    inner = [n for n, part in node.nodes.items() if type(part).__name__ == door]
                    doors[name] = [f"{full}.{n}" for n in inner]
                    doors.update({f"{name}.{n}": [f"{full}.{n}"] for n in inner})
            else:
                self._put(full, node if top or kind not in ("Input", "Output") else "Identity")
                begins[name] = ends[name] = [full]
        for a, b in graph.edges:
            self._join(_door(begins, a, b, prefix), _door(ends, b, a, prefix), prefix, top=top)

    def _put(self, full: str, node: Any) -> None:
        if full in self.nodes:
            raise GraphError(
                "two nodes have this name: one of the graph, and one in a subgraph",
                where=full,
                fix="rename one of them",
            )
        self.nodes[full] = node

    def _join(self, start: str, end: str, prefix: str, *, top: bool) -> None:
        edge = f"{start} -> {end}"
        if top and (self.kind(end) == "Input" or self.kind(start) == "Output"):
            raise GraphError("an Input takes no edges, an Output gives none", where=edge)
        if (start, end) in self.edges:
            raise GraphError("edge occurs twice", where=prefix or "graph", value=edge)
        self.edges.append((start, end))


def _door(doors: dict[str, list[str]], name: str, other: str, prefix: str) -> str:
    """The one node that an edge means by `name`."""
    if name not in doors:
        where = prefix or "graph"
        raise GraphError("edge to an unknown node", where=where, value=f"{name}, {other}")
    found = doors[name]
    if len(found) == 1:
        return found[0]
    raise GraphError(
        "an edge must say which door of the subgraph it means",
        where=f"{prefix}{name}",
        value=f"edge with {other}",
        fix=f"name one of {', '.join(found)}" if found else "give it an Input and an Output",
    )
