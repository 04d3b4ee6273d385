"""Random small networks of every kind of node, trained two steps: one live, one folded.

A draw names the kinds that it is made to hold; what a network holds is read off the network itself
(`kinds`). After the first step thresholds and biases are moved until every population fires at 2 to
98 %; a network that still does not is drawn again.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scmrl.core.activity import Activity
from scmrl.network.network import Forward, Network
from scmrl.network.nodes.counting import And, Counting, Mask, Pool
from scmrl.network.nodes.layer import Layer
from scmrl.network.nodes.maps import Conv1d, Conv2d, Dense, Map, Pooled, Shared
from scmrl.network.nodes.neurons import LIF
from scmrl.network.nodes.node import Input
from scmrl.network.nodes.readout import Readout
from scmrl.network.nodes.signal import Signal, after
from scmrl.train.freeze import activity_of

STEPS, BATCH, LEAST, MOST = 8, 6, 0.02, 0.98
KINDS = (
    *("bit", "graded", "held", "two inputs"),
    *("Dense", "Shared", "Pooled", "Conv1d", "Conv2d"),
    *("stride", "padding", "dilation", "groups"),
    *("any", "sum", "remembering pool", "And", "gate", "Mask", "remembering mask"),
    *("norm", "no norm", "gain", "trained gain", "delay", "trained delay", "channels"),
    *("concat", "added", "full", "one-to-one", "loop of two", "loop of three"),
    *("du", "dv by channel", "dv by neuron", "du by channel", "memoryless"),
    *("trained du", "trained dv", "trained threshold", "by population", "by neuron"),
    *("zero", "subtract", "late", "scales", "local", "time", "surrogate"),
    *("adding readout", "leaky readout"),
)
MOVES = ("conv", "conv", "shared", "dense", "pool", "pool", "and", "gate", "gate", "loop2", "loop3")


@dataclass
class Drawing:
    """A network while it is drawn: `ends` are the signals that nothing reads yet."""

    rng: np.random.Generator
    net: Network
    lava: bool  # nothing that Lava refuses: no subtraction, no loop that is faster than its layers
    count: int = 0

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def one(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def name(self, word: str) -> str:
        self.count += 1
        return f"{word}{self.count}"

    def shape(self, name: str) -> tuple[int, ...]:
        return self.net.node(name).shape

    def neuron(self, shape: tuple[int, ...], norm: bool) -> LIF:
        """Constants that fit a shape."""
        dv, du, trained = int(self.rng.integers(0, 3500)), 4095, ()
        which = self.rng.integers(10)
        if which == 0:
            return LIF(memoryless=True, scales=self.one("population", "channel"))
        by_channel = (shape[0], *(1,) * (len(shape) - 1))
        if which in (1, 2):
            dv = self.rng.integers(0, 4097, by_channel if which == 1 else shape)
        if self.chance(0.3):
            du = self.rng.integers(1000, 4096, by_channel)
        elif self.chance(0.3):
            du = int(self.rng.integers(1000, 4096))
        reset = self.one("zero", "zero", "late" if self.lava else "subtract", "late")
        if reset == "late":
            du, trained = 4095, self.one((), (), ("dv",))
        elif self.chance(0.3):
            trained = self.one(("dv",), ("du",), ("du", "dv"))
        if not norm and self.chance(0.5):
            trained = (*trained, "threshold")
        per = self.one("population", "channel", "neuron")
        return LIF(
            dv,
            du,
            reset,
            trained,
            "channel" if "threshold" in trained and per == "neuron" else per,
            self.one("population", "population", "channel"),
            self.one("local", "time"),
            self.one("super", "super", "tanh", "triangle"),
        )

    def read(self, signal: Signal, sources: bool = True) -> Signal:
        """A signal with a gain, a delay or a part of its channels, or none of these."""
        (s,) = signal.sources
        channels = self.shape(s.node)[0]
        if sources and channels > 1 and self.chance(0.2):
            first = int(self.rng.integers(channels - 1))
            signal = signal.channels(first, int(self.rng.integers(first + 1, channels + 1)))
        (s,) = signal.sources
        channels = s.part[1] - s.part[0] if s.part else channels
        if self.chance(0.2):
            signal = signal.delayed(int(self.rng.integers(1, 4)))
        elif sources and self.chance(0.2):
            signal = signal.delayed(self.net.delay(self.name("delays"), channels, 3))
        if sources and self.chance(0.2):
            signal = 0.5 * signal
        elif sources and self.chance(0.15):
            signal = signal.gained(self.net.gain(self.name("gain"), 0.7))
        return signal

    def layer(
        self, word: str, linear, *signals: Signal, norm: bool | None = None, name=""
    ) -> Signal:
        norm = self.chance(0.7) if norm is None else norm
        maps = [linear] * len(signals) if isinstance(linear, Map) else linear
        source = self.part(signals[0])
        kind = self.neuron(maps[0].target(source), norm)
        recurrent = self.one("", "", "", "full", "one-to-one")
        node = Layer(
            linear,
            kind,
            norm=norm,
            recurrent=recurrent,
            gamma=float(self.rng.uniform(0.8, 1.5)),
            beta=float(self.rng.uniform(0.2, 0.6)),
        )
        return self.net.add(name or self.name(word), node, *signals)

    def part(self, signal: Signal) -> tuple[int, ...]:
        s = signal.sources[0]
        shape = self.shape(s.node)
        return (s.part[1] - s.part[0], *shape[1:]) if s.part else shape

    def map(self, shape: tuple[int, ...], outputs: int) -> Map:
        """A map from a shape that keeps its number of axes."""
        if len(shape) == 1:
            return Dense(outputs)
        if len(shape) == 2 or self.chance(0.2):
            return Shared(outputs)
        groups = 2 if outputs % 2 == 0 and shape[0] % 2 == 0 and self.chance(0.7) else 1
        stride, dilation = self.one(1, 1, 2), self.one(1, 1, 2)
        if shape[1] == 1:
            kernel = self.one(2, 3)
            around = dilation * (kernel // 2)
            return Conv1d(outputs, kernel, stride, self.one(None, around + 1), dilation, groups)
        kernel = self.one(2, 3, (1, 3))
        fits = min(shape[1:]) > 4
        padding = None if self.chance(0.5) else self.one(2, (1, 0), 0) if fits else 2
        return Conv2d(outputs, kernel, stride, padding, dilation if fits else 1, groups)


def drawing(seed: int, attempt: int) -> Network:
    """A network of one or two inputs, three moves and a readout."""
    torch.manual_seed(1000 * attempt + seed)
    d = Drawing(np.random.default_rng([seed, attempt]), Network(STEPS), seed % 10 < 7)
    ends = [_input(d, "x")]
    if d.chance(0.3):
        ends.append(_input(d, "y"))
    for number in range(3):
        move = MOVES[seed % len(MOVES)] if number == 0 else d.one(*MOVES)
        at = int(d.rng.integers(len(ends)))
        ends[at] = _move(d, move, ends[at])
        if d.chance(0.2):
            ends.append(_move(d, d.one("conv", "shared"), ends[at]))
    read = [d.read(end) for end in ends]
    maps = [Pooled(3) if d.chance(0.5) else Dense(3) for _ in read]
    if d.chance(0.3):
        same = Pooled(3)
        d.net.add("readout", Readout(same, d.one(0, 300)), *read)
    else:
        d.net.add("readout", Readout(maps, d.one(0, 700)), *read)
    return d.net


def _input(d: Drawing, name: str) -> Signal:
    channels = int(d.rng.integers(1, 4))
    shape = d.one((channels, 5, 4), (channels, 6, 6), (channels, 1, 7), (channels, 4), (6,))
    return d.net.add(name, Input(shape, d.one(1, 1, 4, 8)))


def _move(d: Drawing, move: str, end: Signal) -> Signal:
    """Adds a few nodes after a signal of one source; gives the last."""
    (s,) = end.sources
    shape, outputs = d.shape(s.node), d.one(2, 3, 4)
    spikes = not isinstance(d.net.node(s.node), Input)
    if move in ("pool", "and", "gate") and not spikes:
        end, spikes = _plainly(d, end, outputs), True
        (s,) = end.sources
        shape = d.shape(s.node)
    if move == "dense":
        return d.layer("dense", Dense(outputs), *_signals(d, end))
    if move == "shared" and len(shape) > 1:
        return d.layer("shared", Shared(outputs), *_signals(d, end))
    if move == "pool" and len(shape) == 3:
        return _pool(d, end)
    if move == "and":
        other = _twin(d, end)
        return d.net.add(d.name("and"), And(), d.read(end, False), d.read(other, False))
    if move == "gate" and len(shape) > 1:
        kind = d.one(None, LIF(dv=512), LIF(dv=1024, gradient="time"))
        mask = Mask(1) if kind is None else Mask(1, kind)
        gate = d.net.add(d.name("mask"), mask, d.read(end, False))
        both = (end, gate) if d.chance(0.5) else (gate, end)
        return d.net.add(d.name("gate"), And(), *both)
    if move in ("loop2", "loop3"):
        return _loop(d, end, 2 if move == "loop2" else 3)
    return _plainly(d, end, outputs)


def _plainly(d: Drawing, end: Signal, outputs: int) -> Signal:
    signal = d.read(end)
    return d.layer("layer", d.map(d.part(signal), outputs), signal)


def _signals(d: Drawing, end: Signal) -> tuple[Signal, ...]:
    """One signal, or two, or the sum of two sources."""
    if d.chance(0.3):
        return d.read(end), d.read(end)
    signal = d.read(end)
    (s,) = signal.sources
    if d.chance(0.6) and not s.part:
        return (signal + d.one(-0.6, 0.6) * end.delayed(d.one(0, 1)),)
    return (signal,)


def _twin(d: Drawing, end: Signal) -> Signal:
    """Spikes of the same shape."""
    (s,) = end.sources
    shape = d.shape(s.node)
    if len(shape) == 1:
        return d.layer("twin", Dense(shape[0]), end)
    return d.layer("twin", Shared(shape[0]), end)


def _pool(d: Drawing, end: Signal) -> Signal:
    kernel, stride = d.one((3, 2), (2, 2), (2, 1))
    high = d.shape(end.sources[0].node)[1]
    kernel, padding = (kernel, kernel // 2) if high > 1 else ((1, kernel), (0, kernel // 2))
    kind = d.one(None, None, LIF(dv=1024), LIF(dv=700, du=3000, gradient="time"))
    vth = 0 if d.chance(0.25) and kind is None else 1
    more = {} if kind is None else {"neuron": kind}
    return d.net.add(d.name("pool"), Pool(kernel, stride, padding, vth, **more), d.read(end, False))


def _loop(d: Drawing, end: Signal, length: int) -> Signal:
    """first <- last, over two nodes or three."""
    shape, outputs = d.part(end), d.one(2, 3)
    last = d.name("last")
    back = after(last, length if d.lava else d.one(1, 2))
    flat = len(shape) == 1
    same = Dense(outputs) if flat else Shared(outputs)
    back = d.one(-0.5, 1) * back
    norm = d.chance(0.5)
    kind = d.neuron((outputs, *shape[1:]), norm)
    first = Layer(same, kind, norm=norm, beta=0.4, recurrent=d.one("", "", "one-to-one"))
    if not norm and outputs == shape[0] and d.chance(0.5):
        begun = d.net.add(d.name("first"), first, end + back)
    else:
        begun = d.net.add(d.name("first"), first, end, back)
    if length == 3:
        which = d.one("layer", "and", "pool", "gate")
        if which == "pool" and len(shape) == 3:
            window = (1, 3) if shape[1] == 1 else 3
            around = (0, 1) if shape[1] == 1 else 1
            kind = d.one(LIF(memoryless=True), LIF(dv=1500))
            begun = d.net.add(d.name("pool"), Pool(window, 1, around, 1, kind), begun)
        elif which == "and":
            begun = d.net.add(d.name("and"), And(), begun, begun.delayed(1))
        elif which == "gate" and not flat:
            mask = Mask(0, d.one(LIF(memoryless=True), LIF(dv=900)))
            mask = d.net.add(d.name("mask"), mask, begun)
            begun = d.net.add(d.name("gate"), And(), begun, mask)
        else:
            begun = d.layer(
                "middle", Dense(outputs) if flat else Shared(outputs), begun, norm=False
            )
    return d.layer(
        "last", Dense(outputs) if flat else Shared(outputs), begun, norm=False, name=last
    )


def of_neuron(kind: LIF, shape: tuple[int, ...]) -> dict[str, object]:
    """What of `KINDS` a population's neurons are."""
    if kind.memoryless:
        return {"memoryless": True}
    dv, du, leaks = np.asarray(kind.dv), np.asarray(kind.du), {"du", "dv"} & set(kind.trained)
    return {
        "du": du.ndim == 0 and du < 4095,
        "du by channel": du.ndim > 0,
        "dv by channel": dv.ndim > 0 and dv.size == shape[0],
        "dv by neuron": dv.size > shape[0],
        **{f"trained {name}": True for name in kind.trained},
        f"by {kind.per}": leaks,
        kind.reset: True,
        kind.gradient: True,
        "surrogate": kind.surrogate != "super",
    }


def of_map(linear: Map) -> dict[str, object]:
    if not isinstance(linear, Conv2d):
        return {type(linear).__name__: True}
    line = isinstance(linear.kernel, tuple) and linear.kernel[0] == 1
    return {
        "Conv1d" if line else "Conv2d": True,
        "stride": linear.stride not in (1, (1, 1)),
        "padding": linear.padding is not None and not line,
        "dilation": linear.dilation not in (1, (1, 1)),
        "groups": linear.groups > 1,
    }


def of_sources(net: Network, name: str) -> dict[str, object]:
    read, sources = net.reads[name], list(net.sources(name))
    return {
        "gain": any(s.gain == 0.5 for s in sources),
        "trained gain": any(isinstance(s.gain, str) for s in sources),
        "delay": any(s.late for s in sources),
        "trained delay": any(isinstance(s.delay, str) for s in sources),
        "channels": any(s.part for s in sources),
        "added": any(len(signal.sources) > 1 for signal in read),
    }


def of_node(net: Network, name: str) -> dict[str, object]:
    node = net.node(name)
    found = of_sources(net, name)
    if isinstance(node, Input):
        return {"bit": node.bits == 1, "graded": node.bits > 1}
    if isinstance(node, And):
        shapes = {net.node(s.node).shape for s in net.sources(name)}
        return found | {"And": len(shapes) == 1, "gate": len(shapes) > 1}
    if isinstance(node, Mask):
        return found | {"Mask" if node.kind.memoryless else "remembering mask": True}
    if isinstance(node, Pool):
        plain = "sum" if node.vth else "any"
        return found | {plain if node.kind.memoryless else "remembering pool": True}
    found |= {"concat": len(net.reads[name]) > 1} | of_map(node.weights.map(0))
    if isinstance(node, Readout):
        return found | {"leaky readout": node.dv, "adding readout": not node.dv}
    found |= of_neuron(node.kind, node.shape)
    found |= {"norm": node.norm, "no norm": not node.norm, "scales": node.kind.scales == "channel"}
    return found | {node.recurrent: node.recurrent != ""}


def of_kind(net: Network, kind: str) -> set[str]:
    """The nodes that hold it."""
    length = {"loop of two": 2, "loop of three": 3}.get(kind)
    if length:
        return {name for group in net.finish() if len(group) == length for name in group}
    return {name for name in net.reads if of_node(net, name).get(kind)}


def kinds(net: Network, held: bool) -> set[str]:
    """What of `KINDS` a network holds."""
    found = {kind for kind in KINDS if of_kind(net, kind)}
    found |= {"two inputs"} if len(net.inputs) > 1 else set()
    return found | ({"held"} if held else set())


@dataclass
class Drawn:
    """A network that is trained and as it computes: its inputs [T or 1, B, *shape], its forward."""

    net: Network
    inputs: dict[str, Tensor]
    forward: Forward
    kinds: set[str]

    @property
    def trained(self) -> Activity:
        return activity_of(self.forward, self.net.readout)

    @property
    def samples(self) -> dict[str, np.ndarray]:
        """The inputs [S, T, *shape]."""
        return {
            name: x.expand(STEPS, *x.shape[1:]).transpose(0, 1).to(torch.int64).numpy()
            for name, x in self.inputs.items()
        }


def _given(net: Network, held: bool) -> dict[str, Tensor]:
    def values(node: Input) -> Tensor:
        steps, most = 1 if held else STEPS, (1 << node.bits) - 1
        x = torch.rand(steps, BATCH, *node.shape)
        return (x < 0.5).float() if node.bits == 1 else (x * most).round()

    return {name: values(node) for name, node in net.inputs.items()}


def _step(net: Network, inputs: dict[str, Tensor]) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
    labels = torch.arange(BATCH) % 3
    torch.nn.functional.cross_entropy(net.train()(inputs).logits, labels).backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()


def _rates(net: Network, inputs: dict[str, Tensor]) -> dict[str, float]:
    with torch.no_grad():
        return {name: float(s.mean()) for name, s in net.eval()(inputs).spikes.items()}


def _tuned(net: Network, inputs: dict[str, Tensor]) -> bool:
    """Move thresholds and biases until all populations fire as they should."""
    for _ in range(12):
        off = {
            name: rate < 0.5
            for name, rate in _rates(net, inputs).items()
            if not 0.06 <= rate <= 0.9
        }
        if not off:
            return True
        for name, low in off.items():
            _move_rate(net, name, low)
    return False


def _move_rate(net: Network, name: str, low: bool) -> None:
    node = net.node(name)
    if isinstance(node, Layer):
        with torch.no_grad():
            node.beta += 0.3 if low else -0.3
    elif isinstance(node, Counting) and (node.vth > 0 or not low) and node.vth < 6:
        node.vth += -1 if low else 1
    else:
        for s in net.sources(name):
            if isinstance(net.node(s.node), Layer):
                _move_rate(net, s.node, low)


@functools.cache
def drawn(seed: int) -> Drawn:
    """The network of that number; raises `RuntimeError` where no draw fires as it should."""
    for attempt in range(30):
        net = drawing(seed, attempt)
        held = seed % 5 == 4
        inputs = _given(net, held)
        _step(net, inputs)
        net.fold_norms()
        if not _tuned(net, inputs):
            continue
        _step(net, inputs)
        with torch.no_grad():
            forward = net.eval()(inputs)
        if all(LEAST <= float(s.mean()) <= MOST for s in forward.spikes.values()):
            return Drawn(net, inputs, forward, kinds(net, held))
    raise RuntimeError(f"no network {seed} fires as it should")
