"""A graph as the memory images of a core of P engines, and the schedule that it reads.

receive   the events of an input population, from the stream into its queue
add       what a queue of this step or an earlier one brings through a synapse, to the sums
update    the neurons of a population: sums to spikes, into its queue
send      spikes or membranes of an output population, from its queue to the stream
next      the end of the step
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...core.fixed_point import STATE_BITS
from ...core.graph import Graph, Synapse
from ...system.errors import GraphError, UsageError
from ..c.words import said
from ..frame.templates import rendered
from . import neurons, synapses
from .memories import (
    CURRENT,
    KEEP,
    LARGEST,
    SMALLEST,
    SUM,
    THRESHOLD,
    WEIGHT,
    Memory,
    bits,
    image,
    packed,
    spelt,
    spelt_bytes,
)
from .neurons import Neurons

ENGINES = range(1, 9)
RECEIVE, ADD, UPDATE, SEND, NEXT = range(5)
FIELDS = {  # of an instruction, after its first: the operation, how many, and flags from bit 8 on
    RECEIVE: ("population", "queue", "slot", "ring"),
    ADD: (
        *("population", "queue", "back", "ring", "delay", "places", "weights", "each", "run"),
        *("column_to", "column_weight", "row_to", "row_weight", "shift"),
    ),
    UPDATE: (
        *("population", "queue", "slot", "ring", "positions", "groups"),
        *("currents", "membranes", "joined", "levels", "decays"),
    ),
    SEND: (
        *("population", "queue", "back", "ring", "positions", "groups", "channels"),
        "membranes",
    ),
    NEXT: (),
}
FLAGS = {
    RECEIVE: ("", "graded"),
    ADD: ("lanewise", "graded"),
    UPDATE: (
        *("fires", "subtract", "joins", "keeps_u", "keeps_v", "queued"),
        *("levels_by_word", "levels_by_group", "decays_by_word", "decays_by_group"),
    ),
    SEND: ("fires",),
    NEXT: (),
}


@dataclass(frozen=True)
class Instruction:
    """`fields` by their names in `FIELDS`; those of no meaning here are 0."""

    operation: int
    says: str
    flags: frozenset[str]
    fields: dict[str, int]

    @property
    def words(self) -> list[tuple[int, str]]:
        """(32 bits, what they are)."""
        names = FIELDS[self.operation]
        flags = sum(1 << (8 + i) for i, f in enumerate(FLAGS[self.operation]) if f in self.flags)
        first = self.operation | flags | (1 + len(names)) << 24
        rest = [(int(self.fields.get(name, 0)) & 0xFFFFFFFF, name) for name in names]
        return [(first, self.says), *rest]


@dataclass(frozen=True)
class Queue:
    """Where the spikes of a population lie: `slots` of `slot` words, one a step."""

    base: int
    slot: int
    slots: int

    @property
    def ring(self) -> int:
        return self.slot * self.slots


class Program:
    """A graph prepared for a core of `engines`. Raises `GraphError` where there is nothing to
    compute, or a part is beyond what the core holds, `UsageError` for a wrong number of engines.
    """

    def __init__(self, graph: Graph, engines: int = 1):
        if engines not in ENGINES:
            limit = f"{ENGINES[0]}..{ENGINES[-1]}"
            raise UsageError("no such core", where="engines", limit=limit, value=engines)
        if not any(p.kind != "input" for p in graph.populations):
            raise GraphError("nothing to compute: the graph has inputs alone", where="graph")
        self.graph, self.engines = graph, engines
        self.memories = {name: Memory(name) for name in LARGEST}
        self.inputs = [neurons.prepare(graph, p, engines) for p in graph.of_kind("input")]
        order = [p for p in graph.order() if p.kind != "input"]
        self.neurons = [neurons.prepare(graph, p, engines) for p in order]
        self.everyone = [*self.inputs, *self.neurons]
        self.numbers = {p.name: i for i, p in enumerate(self.everyone)}
        self.memories["populations"].take(len(self.everyone), "graph")
        self._state = {p.name: self._kept(p) for p in self.neurons}
        self._queues = {p.name: self._queue(p) for p in self._input_order()}
        self.schedule = self._schedule()
        for instruction in self.schedule:
            self.memories["schedule"].take(len(instruction.words), "graph")

    @property
    def outputs(self) -> list[Neurons]:
        """What the core sends: the readout, and populations that no synapse leaves at once."""
        heard = {s.source for s in self.graph.synapses if s.delay == 0}
        return [p for p in self.neurons if p.name not in heard]

    # ---- where things lie ------------------------------------------------------------------------

    def _input_order(self) -> list[Neurons]:
        """Graded inputs first: their values lie in a memory as long as their queues."""
        return sorted(self.everyone, key=lambda p: (p.population.kind != "input", not graded(p)))

    def _back(self, s: Synapse) -> int:
        """How many slots ago `delay` steps ago was: a source that comes later in the step, or is
        the target itself, has not begun this one.
        """
        later = self.numbers[s.source] >= self.numbers[s.target]
        return int(s.delay) - later

    def _queue(self, p: Neurons) -> Queue:
        heard = [s for s in self.graph.outgoing(p.name) if np.any(s.weight)]
        sent = p in self.outputs and p.population.fires
        entries = p.population.neurons if p.population.kind == "input" else p.words
        slot = 1 + (entries if heard or sent else 0)
        slots = 1 + max((self._back(s) for s in heard), default=0)
        base = self.memories["queue"].take(slot * slots, p.name)
        if graded(p):
            self.memories["graded"].take(slot * slots, p.name)
        return Queue(base, slot, slots)

    def _kept(self, p: Neurons) -> dict[str, int]:
        """Where its state and its parameters begin."""
        put = self.memories
        put["sums"].words = max(put["sums"].words, p.words)
        if p.words > LARGEST["sums"]:
            put["sums"].take(0, p.name)
        return {
            "currents": put["currents"].take(p.words if p.keeps_u else 0, p.name),
            "membranes": put["membranes"].take(p.words if p.keeps_v else 0, p.name),
            "levels": put["levels"].put(p.levels, p.name),
            "decays": put["decays"].put(p.decays, p.name),
        }

    # ---- the schedule ----------------------------------------------------------------------------

    def _schedule(self) -> list[Instruction]:
        found = [self._receive(p) for p in self.inputs]
        for p in self.neurons:
            for s in self.graph.incoming(p.name):
                found += self._adds(s, p)
            found.append(self._update(p))
        found += [self._send(p) for p in self.outputs]
        return [*found, Instruction(NEXT, "the end of the step", frozenset(), {})]

    def _where(self, p: Neurons) -> dict[str, int]:
        queue = self._queues[p.name]
        where = {"queue": queue.base, "slot": queue.slot, "ring": queue.ring}
        return {"population": self.numbers[p.name]} | where

    def _receive(self, p: Neurons) -> Instruction:
        flags = frozenset({"graded"} if graded(p) else ())
        return Instruction(RECEIVE, f"receive {said(p.name)}", flags, self._where(p))

    def _adds(self, s: Synapse, target: Neurons) -> list[Instruction]:
        source = self.everyone[self.numbers[s.source]]
        shapes = source.population.shape, target.population.shape
        if not np.any(s.weight):
            return []
        found = synapses.form(s, *shapes, self.engines)
        flags = {"lanewise"} if found.lanewise else set()
        flags |= {"graded"} if graded(source) else set()
        where = self._where(source) | {"back": self._back(s) * self._queues[s.source].slot}
        loops = {name: getattr(found, name) for name in _LOOPS} | {"run": found.run - 1}
        places = self.memories["places"].put(found.places, s.name)
        return [
            Instruction(
                ADD,
                f"add {said(s.name)}: {type(s).__name__}",
                frozenset(flags),
                where
                | loops
                | {
                    "delay": s.delay,
                    "places": places,
                    "weights": self.memories["weights"].put(part, s.name),
                    "shift": int(s.exponent) + shift,
                },
            )
            for part, shift in synapses.parts(found)
        ]

    def _update(self, p: Neurons) -> Instruction:
        queue = self._queues[p.name]
        on = {
            "fires": p.population.fires,
            "subtract": p.population.reset == "subtract",
            "joins": bool(p.population.adds),
            "keeps_u": p.keeps_u,
            "keeps_v": p.keeps_v,
            "queued": queue.slot > 1,
            f"levels_by_{p.by(p.levels)}": True,
            f"decays_by_{p.by(p.decays)}": True,
        }
        joined = self._state[p.population.adds]["membranes"] if p.population.adds else 0
        where = self._where(p) | self._state[p.name] | self._size(p) | {"joined": joined}
        flags = frozenset(name for name, value in on.items() if value)
        return Instruction(UPDATE, f"update {said(p.name)}", flags, where)

    def _send(self, p: Neurons) -> Instruction:
        flags = frozenset({"fires"} if p.population.fires else ())
        where = self._where(p) | self._state[p.name] | self._size(p)
        where["channels"] = p.population.shape[0]
        return Instruction(SEND, f"send {said(p.name)}", flags, where)

    def _size(self, p: Neurons) -> dict[str, int]:
        return {"positions": p.positions, "groups": p.groups}

    # ---- the images ------------------------------------------------------------------------------

    @cached_property
    def fitted(self) -> dict[str, int]:
        """The parameters of the smallest core that holds the network, by their names."""
        biases = [int(np.abs(p.levels[..., 1]).max()) for p in self.neurons]
        places = self.memories["places"].rows
        return {name: max(SMALLEST, m.words) for name, m in self.memories.items()} | {
            "bias": 1 + max(map(bits, biases)),
            "position": bits(max(p.positions for p in self.everyone) - 1),
            "group": bits(max(p.groups for p in self.everyone) - 1),
            "taps": max((bits(int(rows[:, 2:].max())) for rows in places), default=1),
        }

    @property
    def lane_bits(self) -> int:
        """Bits that say which engine a channel is: the lowest of it in the streams."""
        return (self.engines - 1).bit_length()

    @property
    def widths(self) -> list[tuple[str, int, int]]:
        """(memory, words, bits of a word) of the smallest core."""
        sizes, engines = self.fitted, self.engines
        each = {
            "schedule": 32,
            "queue": sizes["position"] + sizes["group"] + engines,
            "graded": 16,
            "places": sum(_place(sizes)),
            "weights": WEIGHT * engines,
            "sums": SUM * engines,
            "currents": CURRENT * engines,
            "membranes": STATE_BITS * engines,
            "levels": (THRESHOLD + sizes["bias"]) * engines,
            "decays": 2 * KEEP * engines,
        }
        return [(name, sizes[name], bits) for name, bits in each.items()]

    @property
    def kbit(self) -> float:
        """All memories."""
        return sum(words * width for _, words, width in self.widths) / 1000

    def images(self, sizes: dict[str, int]) -> dict[str, str]:
        """The files that a core of the parameters `sizes` reads."""
        put, engines = self.memories, self.engines
        place, level, keep = _place(sizes), (THRESHOLD, sizes["bias"]), (KEEP, KEEP)
        return {
            "schedule.hex": self._listing(),
            "places.hex": _words(put["places"], place),
            "weights.hex": image([w for rows in put["weights"].rows for w in spelt_bytes(rows)]),
            "levels.hex": _words(put["levels"], level * engines),
            "decays.hex": _words(put["decays"], keep * engines),
        }

    def files(self) -> dict[str, str]:
        """The design of this network alone: the core, its parameters, and its images. Raises
        `MissingDependency` without Jinja2.
        """
        words = {"program": self, "sizes": self.fitted, "said": said}
        return render(words, "core.v", "model.v") | self.images(self.fitted)

    def _listing(self) -> str:
        lines = []
        for instruction in self.schedule:
            (first, says), *rest = instruction.words
            lines += [f"// {says}", f"{first:08x}"]
            lines += [f"{word:08x} // {name}" for word, name in rest]
        return "\n".join(lines) + "\n"


_LOOPS = ("each", "column_to", "column_weight", "row_to", "row_weight")


def graded(p: Neurons) -> bool:
    """Whether what it sends has more values than one."""
    return p.population.largest > 1


def _place(sizes: dict[str, int]) -> tuple[int, ...]:
    """Bits of the fields of a place: first target, first weight, columns, rows."""
    address = (bits(sizes[name] - 1) for name in ("sums", "weights"))
    return (*address, sizes["taps"], sizes["taps"])


def _words(memory: Memory, widths: tuple[int, ...]) -> str:
    """Words of fields of those widths, the first lowest."""
    words = [
        packed(list(zip(word, widths)))
        for rows in memory.rows
        for word in rows.reshape(len(rows), -1).tolist()
    ]
    return image(spelt(words, sum(widths)))


def render(words: dict[str, Any], *names: str) -> dict[str, str]:
    """The files of those names, each from its template, which sees `words` and the version. Raises
    `MissingDependency` without Jinja2.
    """
    told = words | {"version": __version__}
    return rendered(Path(__file__).parent, "exports as Verilog", told, names)
