"""The waist of scmrl: a network as populations and synapses, integers only. numpy only.

A *population* is a set of neurons of one shape with one set of LIF parameters; an *input* is a
population whose values are given, a *readout* one that integrates and never fires. A *synapse* is
an integer linear map from one population to another (`scmrl.core.synapse`). Their meaning over time
is defined by `scmrl.core.reference`.

Shape letters everywhere: T steps, S samples, B batch, C channels, N tokens, H, W image, K classes,
M modalities. The first axis of a population is the channel axis.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import graphlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..system.errors import GraphError, UsageError, nearest, visible
from ..system.reading import check_bound
from .convolution import Broadcast as Broadcast  # names that a network is written down with
from .convolution import Conv2d as Conv2d
from .convolution import OneToOne as OneToOne
from .convolution import Pointwise as Pointwise
from .convolution import SumTokens as SumTokens
from .convolution import Window as Window
from .fixed_point import ACTIVATION_LIMIT, BIAS_EXPONENT_MAX, DECAY_ONE, RESETS, STATE_LIMIT
from .synapse import NEURONS as NEURONS
from .synapse import SYNAPSES as SYNAPSES
from .synapse import Box as Box
from .synapse import Dense as Dense
from .synapse import Sparse as Sparse
from .synapse import Synapse as Synapse
from .synapse import check_broadcast, check_integer, check_integers, derived_names, integer_array
from .synapse import slices as slices
from .synapse import whole as whole

KINDS = ("input", "lif", "readout")
NO_CURRENT_MEMORY = DECAY_ONE - 1  # du = 4095: u = a << 6
WEIGHTS = 1 << 28  # of all synapses, shared ones counted at every place
VALUES = 1 << 27  # neurons x steps: what one sample gives
PARTS = 20_000  # populations and synapses, those written down
RANGES = (  # of a population's integers
    ("vth", 0, STATE_LIMIT - 1),
    ("du", -1, NO_CURRENT_MEMORY),
    ("dv", 0, DECAY_ONE),
    ("bias_exp", 0, BIAS_EXPONENT_MAX),
    ("bits", 1, 16),
)
PER_NEURON = ("vth", "du", "dv")  # of those: an int, or an array


@dataclass(frozen=True)
class Population:
    """Neurons of one `shape` with one set of integer LIF parameters (`scmrl.core.fixed_point` has
    the equation). `vth`, `du`, `dv` and `bias_mant` are each an int, or an integer array that
    broadcasts to `shape`: one value a channel, or one a neuron.

    `reset` is what a spike does to the membrane: "zero", or "subtract" the threshold. `memoryless`
    clears u and v before every step: then only a population that `adds` this one sees the reset.
    `bias` is `bias_mant << bias_exp`, in membrane units (a synaptic sum of 1 is 64 membrane units).
    `bits` is the width of an input's values: 1 for spikes, more for unsigned graded values below
    2**bits. `adds` joins two compartments, as Loihi's ADD does: the name of a population of the
    same shape whose membrane of this step, after update and reset, is added in membrane units.
    """

    name: str
    shape: tuple[int, ...]
    kind: str = "lif"
    vth: int | np.ndarray = 0
    du: int | np.ndarray = NO_CURRENT_MEMORY
    dv: int | np.ndarray = 0
    bias_mant: int | np.ndarray = 0
    bias_exp: int = 0
    memoryless: bool = False
    bits: int = 1
    adds: str = ""
    reset: str = "zero"

    def __post_init__(self) -> None:
        """Arrays of parameters are held as int64: no sum with one leaves its type."""
        for name in PER_NEURON:
            values = getattr(self, name)
            if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
                object.__setattr__(self, name, values.astype(np.int64))

    @property
    def neurons(self) -> int:
        return math.prod(self.shape)

    @property
    def fires(self) -> bool:
        return self.kind == "lif"

    @property
    def decays(self) -> tuple[int | np.ndarray, int | np.ndarray]:
        """(du, dv) that hold: a memoryless population keeps nothing."""
        return (NO_CURRENT_MEMORY, DECAY_ONE) if self.memoryless else (self.du, self.dv)

    @property
    def largest(self) -> int:
        """The largest value that a neuron sends in one step."""
        return (1 << self.bits) - 1 if self.kind == "input" else 1

    @property
    def subtracts(self) -> bool:
        """Whether a spike leaves a membrane that the next step takes over."""
        return self.fires and not self.memoryless and self.reset == "subtract"

    def per_neuron(self, values: int | np.ndarray) -> np.ndarray:
        """A parameter as every neuron has it: int64, of the population's shape."""
        return np.broadcast_to(np.asarray(values, np.int64), self.shape)

    @property
    def bias(self) -> np.ndarray:
        """Bias in membrane units, int64, of the population's shape."""
        return self.per_neuron(self.bias_mant) << np.int64(self.bias_exp)

    def check(self) -> None:
        """Raise `GraphError` where a field has no meaning."""
        if not isinstance(self.name, str) or not self.name.isprintable() or not self.name:
            raise GraphError("a population's name must be printable text", value=ascii(self.name))
        for what, word, words in (
            ("kind of population", self.kind, KINDS),
            ("reset", self.reset, RESETS),
        ):
            if word not in words:
                fix = nearest(word, words)
                raise GraphError(f"unknown {what}", where=self.name, value=word, fix=fix)
        if not self.shape:
            raise GraphError(
                "a population needs at least one neuron", where=self.name, value=self.shape
            )
        for name, low, high in RANGES:
            if name in PER_NEURON:
                check_integers(name, getattr(self, name), low, high, self.shape, self.name)
            else:
                check_integer(name, getattr(self, name), low, high, self.name)
        if not isinstance(self.memoryless, (bool, np.bool_)):
            raise GraphError(
                "memoryless must be true or false", where=self.name, value=self.memoryless
            )
        self._check_bias()

    def _check_bias(self) -> None:
        mantissa = integer_array(self.bias_mant, f"{self.name}.bias_mant")
        check_broadcast("bias", mantissa, self.shape, self.name)
        largest = np.abs(mantissa.astype(float)).max(initial=0)
        if largest > STATE_LIMIT:
            what = "bias is beyond the 24-bit state"
            raise GraphError(what, where=self.name, limit=STATE_LIMIT, value=int(largest))


def longest_paths(names: Sequence[str], arrows: Iterable[tuple[str, str]]) -> dict[str, int]:
    """How many arrows (source, target) lead to each name at most, sources first. Raises
    `graphlib.CycleError`.
    """
    before: dict[str, list[str]] = {name: [] for name in names}
    sorter = graphlib.TopologicalSorter(before)
    for source, target in arrows:
        before[target].append(source)
        sorter.add(target, source)
    depth: dict[str, int] = {}
    for name in sorter.static_order():
        depth[name] = max((depth[source] + 1 for source in before.get(name, ())), default=0)
    return depth


def _by_end(synapses: Sequence[Synapse], end: str) -> dict[str, tuple[Synapse, ...]]:
    groups: dict[str, list[Synapse]] = {}
    for s in synapses:
        groups.setdefault(getattr(s, end), []).append(s)
    return {name: tuple(group) for name, group in groups.items()}


@dataclass(frozen=True)
class Graph:
    """Populations by name and the synapses between them. `classes` names the readout's neurons, if
    it has names.
    """

    populations: tuple[Population, ...]
    synapses: tuple[Synapse, ...]
    steps: int = 1
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Synapses of the same ends without a label are numbered."""
        synapses = tuple(
            s if s.label or name == s.ends else dataclasses.replace(s, label=name)
            for s, name in zip(self.synapses, derived_names(self.synapses))
        )
        object.__setattr__(self, "synapses", synapses)

    @functools.cached_property
    def _named(self) -> dict[str, Population]:
        return {p.name: p for p in reversed(self.populations)}

    @functools.cached_property
    def _into(self) -> dict[str, tuple[Synapse, ...]]:
        return _by_end(self.synapses, "target")

    @functools.cached_property
    def _from(self) -> dict[str, tuple[Synapse, ...]]:
        return _by_end(self.synapses, "source")

    def __getitem__(self, name: str) -> Population:
        if name in self._named:
            return self._named[name]
        raise GraphError(
            "no such population", where=name, fix=nearest(name, [p.name for p in self.populations])
        )

    def of_kind(self, kind: str) -> tuple[Population, ...]:
        return tuple(p for p in self.populations if p.kind == kind)

    @property
    def class_names(self) -> tuple[str, ...]:
        """`classes` as they can be shown, their control characters written out; numbers where they
        have no names.
        """
        numbers = map(str, range(self.readout.neurons if self.readout else 0))
        return tuple(visible(name, 80) for name in self.classes) or tuple(numbers)

    @property
    def readout(self) -> Population | None:
        readouts = self.of_kind("readout")
        return readouts[0] if readouts else None

    def incoming(self, name: str) -> tuple[Synapse, ...]:
        return self._into.get(name, ())

    def outgoing(self, name: str) -> tuple[Synapse, ...]:
        return self._from.get(name, ())

    def order(self, *, delayed: bool = False) -> tuple[Population, ...]:
        """Populations so that every zero-delay synapse (`delayed`: every synapse) and every join
        goes forward. Raises `GraphError` where those form a cycle.
        """
        depth = self.depths(delayed=delayed)
        return tuple(sorted(self.populations, key=lambda p: depth[p.name]))

    def depths(self, *, delayed: bool = False) -> dict[str, int]:
        """Longest path in zero-delay synapses (`delayed`: in all) and joins from any source
        population to each population.
        """
        arrows = [(s.source, s.target) for s in self.synapses if delayed or s.delay == 0]
        joins = [(p.adds, p.name) for p in self.populations if p.adds]
        try:
            return longest_paths([p.name for p in self.populations], arrows + joins)
        except graphlib.CycleError as cycle:
            raise GraphError(
                "synapses of zero delay and joins form a cycle",
                where=", ".join(sorted(set(cycle.args[1]))),
                fix="give one of them a delay of at least 1 step",
            ) from None

    def silenced(self, pattern: str) -> Graph:
        """The graph without the synapses that leave the populations whose name matches `pattern` (a
        shell pattern).

        Shows what they contribute: with "*.attention.complement" it is the network at alpha = 0.
        """
        names = fnmatch.filter([p.name for p in self.populations], pattern)
        if not names:
            raise UsageError(
                "no population matches",
                value=pattern,
                fix=nearest(pattern, [p.name for p in self.populations]),
            )
        return dataclasses.replace(
            self, synapses=tuple(s for s in self.synapses if s.source not in names)
        )

    def fan_out(self, synapse: Synapse) -> np.ndarray:
        """Non-zero weights leaving each neuron of the source: int64 [neurons of the source]."""
        return synapse.fan_out(self[synapse.source].shape, self[synapse.target].shape)

    def worst_activation(self, name: str) -> int:
        """Upper bound of |a| in population `name`: every source active at its largest value."""
        target = self[name]
        bound = np.zeros(target.neurons)  # exact up to 2^53, far above the limit it is held to
        for synapse in self.incoming(name):
            source = self[synapse.source]
            sums = synapse.per_target(source.shape, target.shape, np.abs).astype(float)
            bound += sums * (source.largest << int(synapse.exponent))
        return int(bound.max(initial=0))

    def _check_neurons(self) -> None:
        for p in self.populations:
            for n in p.shape:
                check_integer("shape", n, 1, (1 << 31) - 1, p.name)
        neurons = sum(p.neurons for p in self.populations)
        largest = max(self.populations, key=lambda p: p.neurons).name
        _check_bound(
            "too many neurons", neurons, NEURONS, "neurons", f"graph, most of them {largest}"
        )
        values = neurons * self.steps
        _check_bound("too many neurons for its steps", values, VALUES, "neurons x steps")

    def check(self) -> Graph:
        """Raise `GraphError` where the graph has no meaning, or is larger than its bounds, before
        anything of its size is allocated; chip limits are the profile's (`hw_profiles.limits`).
        """
        parts = len(self.populations) + len(self.synapses)
        _check_bound("too many parts", parts, PARTS, "populations and synapses")
        _check_unique("population", [p.name for p in self.populations])
        _check_unique("synapse", [s.name for s in self.synapses])
        if not self.of_kind("input"):
            raise GraphError("the graph has no input population")
        if len(self.of_kind("readout")) > 1:
            raise GraphError(
                "the graph has more than one readout",
                value=[p.name for p in self.of_kind("readout")],
            )
        check_integer("steps", self.steps, 1, (1 << 31) - 1, "graph")
        self._check_neurons()
        for population in self.populations:
            population.check()
            if population.kind == "input" and self.incoming(population.name):
                raise GraphError("an input takes no synapses", where=population.name)
            _check_join(population, self)
        for synapse in self.synapses:
            source, target = self[synapse.source], self[synapse.target]
            if source.kind == "readout":
                raise GraphError(
                    "a readout does not fire and has no outgoing synapses", where=synapse.name
                )
            synapse.check(source.shape, target.shape)
        weights = sum(s.count(self[s.source].shape, self[s.target].shape) for s in self.synapses)
        _check_bound("too many synapses", weights, WEIGHTS, "synapses")
        _check_classes(self)
        self.depths()
        self._check_sums()
        return self

    def _check_sums(self) -> None:
        for population in self.populations:
            worst = self.worst_activation(population.name)
            if worst >= ACTIVATION_LIMIT:
                raise GraphError(
                    "synaptic sum can leave the 32-bit message",
                    where=population.name,
                    limit=ACTIVATION_LIMIT - 1,
                    value=worst,
                    fix="use smaller weights or fan-in",
                )


def _check_bound(what: str, value: int, limit: int, unit: str, where: str = "graph") -> None:
    check_bound(f"graph has {what}", value, limit, where=where, error=GraphError, unit=unit)


def _check_unique(what: str, names: Sequence[object]) -> None:
    repeated = [
        name for name, n in Counter(n for n in names if isinstance(n, str)).items() if n > 1
    ]
    if repeated:
        raise GraphError(f"{what} names repeat", value=sorted(repeated))


def _check_classes(graph: Graph) -> None:
    """Names of the readout's neurons: all of them or none."""
    readout = graph.readout
    for i, name in enumerate(graph.classes):
        if not isinstance(name, str):
            raise GraphError(
                "a class's name must be text",
                where=f"classes.{i}",
                value=f"{type(name).__name__} {name!r}",
            )
    if graph.classes and len(graph.classes) != (readout.neurons if readout else 0):
        raise GraphError(
            "classes and readout neurons differ in number",
            where="classes",
            limit=readout.neurons if readout else "no readout",
            value=len(graph.classes),
        )


def _check_join(p: Population, graph: Graph) -> None:
    if not isinstance(p.adds, str):
        raise GraphError("adds must be the name of a population", where=p.name, value=p.adds)
    if not p.adds:
        return
    if p.kind == "input":
        raise GraphError("an input adds no membrane", where=p.name, value=p.adds)
    added = graph[p.adds]
    if added.kind == "input":
        raise GraphError("an input has no membrane to add", where=p.name, value=p.adds)
    if tuple(added.shape) != tuple(p.shape):
        raise GraphError(
            "joined populations differ in shape", where=p.name, limit=p.shape, value=added.shape
        )
