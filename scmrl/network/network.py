"""A network, said once: named nodes, each of which knows what it computes in torch and what it
becomes on the chip.

    net = Network(steps=25)
    x = net.add("x", Input((1, 28, 28), bits=4))
    h = net.add("conv", Layer(Conv2d(16, stride=2)), x)
    net.add("readout", Readout(Pooled(10)), h)

Forward runs the nodes, `graph` lowers them, and every spike of both is the same. Nodes that read
only earlier ones compute all steps at once; nodes on a cycle, which a delay of a step or more must
close, advance together step by step, with gradients through time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core.graph import Graph
from ..core.synapse import Shape
from ..hw_profiles.precision import Precision
from ..system.errors import UsageError, nearest
from .components import Arrow, components
from .nodes.counting import And, Counting
from .nodes.layer import Layer
from .nodes.lowering import ALWAYS, Lowering
from .nodes.node import ONE, Input, Node, plain
from .nodes.signal import Signal, Source
from .running import in_chunks, recorded, values

HERE = str(Path(__file__).parent)


@dataclass(frozen=True)
class Forward:
    """logits [B, K]; integers membrane [T, B, K] of the readout; spikes [T, B, ...] by name, in
    chunks their means over the steps [1, B, ...].
    """

    logits: Tensor
    membrane: Tensor
    spikes: dict[str, Tensor]


class Network(nn.Module):
    """Nodes by name. `steps`: T of a sample that does not change over time. `precision`: the widths
    of the chip's integers. `checkpoint_steps`: steps whose values are kept for the gradients at a
    time (`running`); 0: all.

    forward({input: integers [T or 1, B, *shape]}) -> Forward.
    """

    checkpoint_steps = 0

    def __init__(self, steps: int, precision: Precision = Precision()):
        super().__init__()
        if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps < 1 << 31:
            raise UsageError("a network runs for a step or more", value=steps, limit=">= 1")
        self.steps, self.precision = steps, precision
        self.reads: dict[str, tuple[Signal, ...]] = {}
        self.places: dict[str, str] = {}  # where a node was added: file and line
        self.nodes, self._nodes = nn.ModuleDict(), dict[str, Node]()
        self.gains, self.delays = nn.ParameterDict(), nn.ParameterDict()
        self.gained: list[str] = []  # the names of trained gains
        self.most: dict[str, int] = {}  # of trained delays
        self._order: tuple[tuple[str, ...], ...] = ()
        self.cycles: frozenset[tuple[str, ...]] = frozenset()  # of them, those on a cycle

    def add(self, name: str, node: Node, *signals: Signal) -> Signal:
        """Add a node that reads signals; gives its own spikes, to be read by others. Raises
        `UsageError` where the name is taken, or what it reads does not fit.
        """
        place = _place()
        if not isinstance(name, str) or not name or not name.isprintable() or name == ALWAYS:
            raise UsageError("a node needs a name of its own", where=place, value=name)
        where = f"{place}: {name}" if place else name
        if name in self.reads:
            raise UsageError("two nodes have this name", where=where)
        if not isinstance(node, Node):
            what = "a node is an Input, Layer, And, Mask, Pool or Readout"
            raise UsageError(what, where=where, value=type(node).__name__)
        for signal in signals:
            if not isinstance(signal, Signal):
                what, fix = "a node reads signals", "give what add() returned, or after(NAME)"
                raise UsageError(what, where=where, value=repr(signal), fix=fix)
        least, most = node.signals
        if len(signals) < least or (most is not None and len(signals) > most):
            limit = f"{least}" if least == most else f"{least} or more"
            what = f"{type(node).__name__} reads another number of signals"
            raise UsageError(what, where=where, limit=limit, value=len(signals))
        self.nodes[_key(name)] = self._nodes[name] = node
        self.reads[name], self.places[name] = signals, where
        self._order = ()
        while sum(self._settle(n) for n in self.reads):
            pass  # what became known may be what another node waits for
        return Signal((Source(name),))

    def gain(self, name: str, start: float) -> str:
        """A gain that is trained, for `Signal.gained`."""
        self.gains[_key(name)] = nn.Parameter(torch.tensor(float(start)))
        self.gained.append(name)
        return name

    def delay(self, name: str, channels: int, most: int) -> str:
        """Delays of 0..`most` steps that are trained, one a channel, for `Signal.delayed`."""
        self.delays[_key(name)] = nn.Parameter(torch.rand(channels) * most)
        self.most[name] = most
        return name

    def node(self, name: str) -> Node:
        """The node of that name. Raises `UsageError`."""
        if name not in self._nodes:
            raise UsageError("no such node", value=name, fix=nearest(name, self.reads))
        return self._nodes[name]

    @property
    def inputs(self) -> dict[str, Input]:
        """The inputs by name."""
        return {name: n for name in self.reads if isinstance(n := self.node(name), Input)}

    @property
    def readout(self) -> str:
        """The name of the readout. Raises `UsageError` unless there is one."""
        found = [name for name in self.reads if self.node(name).reads_out]
        if len(found) != 1:
            raise UsageError("a network has one readout", value=found, fix="add a Readout")
        return found[0]

    @property
    def parameters_total(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def layers(self) -> list[Layer]:
        return [module for module in self.modules() if isinstance(module, Layer)]

    def fold_norms(self) -> None:
        """Batch norm is live no more: from here on training, too, runs the chip's integers."""
        for layer in self.layers():
            layer.norm_live = False

    def sources(self, name: str) -> Iterator[Source]:
        """All that a node reads."""
        for signal in self.reads[name]:
            yield from signal.sources

    def _settle(self, name: str) -> bool:
        """Outline or build a node where enough is known by now; whether anything was done."""
        node, sources = self.node(name), list(self.sources(name))
        known = [s for s in sources if s.node in self.reads and hasattr(self.node(s.node), "shape")]
        try:
            if not hasattr(node, "shape") and known:
                firsts = {
                    i: self._shape(s)
                    for i, signal in enumerate(self.reads[name])
                    for s in signal.sources[::-1]
                    if s in known
                }
                node.shape = node.outline(firsts)
                return True
            if node.built or not hasattr(node, "shape") or len(known) < len(sources):
                return False
            if isinstance(node, (And, Counting)):
                plain(self.reads[name], type(node).__name__)
            shapes = [tuple(map(self._shape, signal.sources)) for signal in self.reads[name]]
            node.build(shapes, self.precision)
        except UsageError as error:
            raise error.at(self.places[name], UsageError) from None
        node.built = True
        return True

    def _shape(self, s: Source) -> Shape:
        """The shape of what a source brings."""
        shape = self.node(s.node).shape
        if isinstance(s.gain, str) and _key(s.gain) not in self.gains:
            raise UsageError("no such gain", value=s.gain, fix="make it with Network.gain first")
        if isinstance(s.delay, str) and _key(s.delay) not in self.delays:
            raise UsageError("no such delays", value=s.delay, fix="make them with Network.delay")
        if s.part is not None:
            if s.part[1] > shape[0]:
                raise UsageError("no such channels", value=s.part, limit=shape[0])
            shape = (s.part[1] - s.part[0], *shape[1:])
        if isinstance(s.delay, str) and len(self.delays[_key(s.delay)]) != shape[0]:
            count = len(self.delays[_key(s.delay)])
            raise UsageError("a delay for each channel", where=s.delay, limit=shape[0], value=count)
        return shape

    def finish(self) -> tuple[tuple[str, ...], ...]:
        """Check what was said; gives the nodes in the order in which they run, those on a cycle
        together. Raises `UsageError` naming the node that reads what is not there, that no input
        reaches, or that lies on a cycle without delay.
        """
        if not self._order:
            self._check()
            self._order = components(list(self.reads), self._arrows())
            self.cycles = frozenset(filter(self._cyclic, self._order))
            for group in filter(self.cycles.__contains__, self._order):
                self._check_cycle(group)
        return self._order

    def _arrows(self) -> Iterator[Arrow]:
        for name in self.reads:
            for s in self.sources(name):
                yield s.node, name, s.late

    def _check(self) -> None:
        if not self.inputs:
            raise UsageError("a network has an input", fix="add an Input")
        readout = self.readout
        for name in self.reads:
            for s in self.sources(name):
                if s.node not in self.reads:
                    fix = nearest(s.node, self.reads)
                    what = "reads a node that is not there"
                    raise UsageError(what, where=self.places[name], value=s.node, fix=fix)
                if s.node == readout:
                    fix = "read a layer"
                    what = "a readout does not fire, so nothing reads it"
                    raise UsageError(what, where=self.places[name], value=readout, fix=fix)
            if not self.node(name).built:
                raise UsageError("no input reaches this node", where=self.places[name])

    def _cyclic(self, group: tuple[str, ...]) -> bool:
        alone = group[0]
        loops = self.node(alone).loops or any(s.node == alone for s in self.sources(alone))
        return len(group) > 1 or loops

    def _check_cycle(self, group: tuple[str, ...]) -> None:
        """Tell layers which signals come back; a norm takes in all of a signal or nothing."""
        for name in group:
            node, back = self.node(name), set()
            for i, signal in enumerate(self.reads[name]):
                inside = [s.node in group for s in signal.sources]
                for s in signal.sources:
                    if s.node in group and isinstance(s.delay, str):
                        what = "trained delays lie on no cycle"
                        raise UsageError(what, where=self.places[name], value=s.delay)
                if all(inside):
                    back.add(i)
                elif any(inside) and isinstance(node, Layer) and node.norm:
                    what = "one signal comes both from a cycle and from outside of it"
                    fix = "give what comes back a signal of its own, or norm=False"
                    raise UsageError(what, where=self.places[name], fix=fix)
            if isinstance(node, Layer):
                node.direct = frozenset(back)
                if node.norm and len(back) == len(self.reads[name]):
                    what = "a batch norm needs a signal from outside of the cycle"
                    raise UsageError(what, where=self.places[name], fix="norm=False")

    def gain_of(self, s: Source) -> float | Tensor:
        if isinstance(s.gain, str):
            return self.gains[_key(s.gain)]
        return ONE if s.gain == 1 else s.gain

    def delays_of(self, s: Source) -> Tensor:
        """Trained delays [C], in steps."""
        return self.delays[_key(str(s.delay))].clamp(0, self.most[str(s.delay)])

    def late(self) -> dict[str, int]:
        """The longest delay with which each node is read, of those that are read late."""
        found: dict[str, int] = {}
        for name in self.reads:
            for s in self.sources(name):
                delay = self.most[s.delay] if isinstance(s.delay, str) else s.delay
                if delay:
                    found[s.node] = max(delay, found.get(s.node, 0))
        return found

    def _given(self, inputs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
        """(inputs [T or 1, B, *shape], T)."""
        steps = max(len(x) for x in inputs.values())
        given = {
            name: inputs[name].reshape(*inputs[name].shape[:2], *node.shape)
            for name, node in self.inputs.items()
        }
        return given, self.steps if steps == 1 else steps

    @torch.no_grad()
    def recorded(self, inputs: Mapping[str, Tensor]) -> Forward:
        """As `forward`, without gradients: all spikes uint8 [T, B, ...], in chunks or not."""
        given, steps = self._given(inputs)
        membrane, spikes = recorded(self, given, steps)
        return Forward(self.node(self.readout).logits(membrane), membrane, spikes)

    def forward(self, inputs: Mapping[str, Tensor]) -> Forward:
        given, steps = self._given(inputs)
        if 0 < self.checkpoint_steps < steps:
            membrane, spikes = in_chunks(self, given, steps)
        else:
            membrane, spikes = self.answered(values(self, given, steps), given)
        return Forward(self.node(self.readout).logits(membrane), membrane.detach(), spikes)

    def answered(
        self, found: dict[str, Tensor], given: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(membrane of the readout, spikes by population) of what all nodes gave."""
        spikes: dict[str, Tensor] = {}
        for name, x in found.items():
            if name not in given and name != self.readout:
                spikes |= self.node(name).spikes(name, x)
        return found[self.readout], spikes

    @torch.no_grad()
    def graph(self, classes: tuple[str, ...] = ()) -> Graph:
        """The nodes' current integers as populations and synapses, checked. Raises as `finish`."""
        self.finish()
        gains = {name: float(self.gains[_key(name)]) for name in self.gained}
        delays = {
            name: self.delays[_key(name)].clamp(0, most).round().long().numpy()
            for name, most in self.most.items()
        }
        shapes = {name: self.node(name).shape for name in self.reads}
        into = Lowering(self.steps, shapes, gains, delays)
        for name, signals in self.reads.items():
            self.node(name).lower(name, signals, into)
        return into.graph(classes)


def _key(name: str) -> str:
    """A name as torch's module tree takes it: without dots, and none of its own attributes."""
    return ":" + name.replace("/", "//").replace(".", "/_")


def _place() -> str:
    """File and line that the network is written in: the nearest one outside of this room."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(HERE):
        if frame.f_back is None:
            return ""
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
