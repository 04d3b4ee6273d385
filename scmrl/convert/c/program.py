"""A graph as the files of a C99 program, by Jinja2's templates beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ... import __version__
from ...core.graph import Graph
from ...system.errors import GraphError
from ..frame.templates import rendered
from . import neurons, synapses
from .neurons import Neurons
from .synapses import Map
from .words import PLACES, Table, identifiers, place, size_of

FILES = ("model.h", "model.c", "weights.h")  # what a graph becomes
# Channels whose sums are made beside the others: as many at a time as registers hold, else all. gcc
# -O3 unrolls fewer ones before it makes vectors, and 12.2 has made wrong sums of bytes so.
AT_A_TIME, NEAR_OUTS = (32, 16), range(16, 129)
SLIDING = ("convolution", "window")  # loops that ask which outputs see an input

Member = tuple[str, str, int]  # type, name, numbers


def near(outs: int) -> int:
    """How many of `outs` channels have their sums made beside the others at a time; 0: none."""
    fits = (n for n in AT_A_TIME if outs % n == 0)
    return next(fits, outs if outs in NEAR_OUTS else 0)


@dataclass(frozen=True)
class Program:
    """A graph prepared for the templates. Raises `GraphError` where there is nothing to compute."""

    graph: Graph

    def __post_init__(self) -> None:
        if not any(p.kind != "input" for p in self.graph.populations):
            raise GraphError("nothing to compute: the graph has inputs alone", where="graph")

    @cached_property
    def everyone(self) -> list[Neurons]:
        """All populations, in the order in which a step computes them."""
        ids = identifiers(p.name for p in self.graph.populations)
        return [neurons.prepare(self.graph, p, ids) for p in self.graph.order()]

    @property
    def inputs(self) -> list[Neurons]:
        named = {p.population.name: p for p in self.everyone}
        return [named[p.name] for p in self.graph.of_kind("input")]

    @property
    def neurons(self) -> list[Neurons]:
        return [p for p in self.everyone if p.population.kind != "input"]

    @property
    def readout(self) -> Neurons | None:
        return next((p for p in self.everyone if p.population.kind == "readout"), None)

    @property
    def outputs(self) -> list[Neurons]:
        return [p for p in self.neurons if p.unread or p is self.readout]

    @cached_property
    def maps(self) -> dict[str, list[Map]]:
        """The synapses into each population, by its identifier."""
        named = {p.population.name: p for p in self.everyone}
        words = identifiers(s.name for s in self.graph.synapses)
        return {
            p.id: [
                synapses.prepare(s, named[s.source], p, words[s.name])
                for s in self.graph.incoming(p.population.name)
            ]
            for p in self.neurons
        }

    @property
    def tables(self) -> list[Table]:
        """All constants."""
        return [
            table
            for p in self.neurons
            for table in (*(t for m in self.maps[p.id] for t in m.tables), *p.tables)
        ]

    @property
    def event_type(self) -> str:
        """Of the list of the neurons that fire: it holds every place, and how many there are."""
        return place(max((m.source.count for m in self._following), default=0), PLACES[1:])

    @property
    def _following(self) -> list[Map]:
        return [m for maps in self.maps.values() for m in maps if m.follows_events]

    @property
    def events(self) -> list[Member]:
        """The list of the neurons that fire, one source's at a time, and where its parts begin."""
        if not self._following:
            return []
        neurons = max(m.source.count for m in self._following)
        parts = max(m.parts for m in self._following)
        return [(self.event_type, "event", neurons), (self.event_type, "first", parts + 1)]

    @property
    def state(self) -> list[Member]:
        """The state's members, wide ones first: no gaps between them."""
        members = [member for p in self.everyone for member in p.state()] + self.events
        return sorted(members, key=lambda member: -size_of(member[0]))

    @property
    def scratch(self) -> list[Member]:
        return neurons.scratch([p for p in self.neurons if self.maps[p.id]])

    def _uses(self) -> dict[str, Any]:
        """The helpers that the program calls."""
        every = [m for maps in self.maps.values() for m in maps]
        leaks = [(p.number, p.width, p.keep_u) for p in self.neurons if p.has_u]
        leaks += [("int32_t", 32, p.keep_v) for p in self.neurons if p.leaks]
        decays = {(kind, width) for kind, width, keep in leaks if not neurons.divisor(keep)}
        return {
            "decay": sorted(decays),
            "wrap": sorted({(p.number, p.width) for p in self.neurons if p.wraps}),
            "saturate": sorted({(p.number, p.width) for p in self.neurons if p.saturates}),
            "lists": sorted({m.source.value_bits for m in every if m.follows_events}),
            "within": any(m.loop in SLIDING for m in every),
        }

    @property
    def _words(self) -> dict[str, Any]:
        heard = [m for maps in self.maps.values() for m in maps if m.loop != "nothing"]
        inputs = [m for m in heard if m.source.population.kind == "input" and not m.source.past]
        return {
            "version": __version__,
            "steps": self.graph.steps,
            "near": near,
            "divisor": neurons.divisor,
            "event_type": self.event_type,
            "everyone": self.everyone,
            "inputs": self.inputs,
            "neurons": self.neurons,
            "outputs": self.outputs,
            "readout": self.readout,
            "maps": self.maps,
            "tables": self.tables,
            "state": self.state,
            "scratch": self.scratch,
            "uses": self._uses(),
            "listens": {m.target.id for m in inputs},
            "held_inputs": any(p.past for p in self.inputs),
        }

    def render(self, *names: str, **more: Any) -> dict[str, str]:
        """The files of those names, each from its template, which sees `more` besides. Raises
        `MissingDependency` without Jinja2.
        """
        return rendered(Path(__file__).parent, "exports as C", self._words | more, names)
