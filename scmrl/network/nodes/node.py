"""A node of a network: what it computes in torch, and the populations and synapses that it becomes.

    forward   all steps at once: values [T, B, *shape] of the nodes it reads -> its own spikes
    advance   the same for some of the steps, going on from a state that it keeps up to date
    begin     the same step by step, for a node on a cycle, with gradients through time
    lower     the same as populations and synapses: equal to forward in every bit

A node may read a signal of several sources: forward gets them as `Term`s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ...core.graph import Population
from ...core.synapse import Shape
from ...hw_profiles.precision import Precision
from ...system.errors import UsageError
from .lowering import Lowering
from .signal import Signal

Shapes = list[tuple[Shape, ...]]  # of the sources of each signal


@dataclass(frozen=True)
class Term:
    """One source of a signal: `gain` times x [T or 1, B, *shape]; `key` says which gain it is."""

    key: float | str
    gain: float | Tensor  # `ONE` itself where there is none
    x: Tensor


def gains_of(signals: list[list[Term]]) -> list[dict[float | str, float | Tensor]]:
    """The gains that occur in each signal."""
    return [{term.key: term.gain for term in terms} for terms in signals]


Terms = list[Term]
Key = float | str
Gains = list[dict[Key, float | Tensor]]  # of each signal
ONE = 1.0  # the gain of a source without one: it multiplies nothing
Step = Callable[[list[Terms]], Tensor]  # the sources on the cycle, one step -> spikes [1, B, ...]
State = dict[str, Tensor]  # [..., B, *shape] of a node after a step; empty before the first one


class Node(nn.Module):
    """Base of all nodes. A new kind needs `outline`, `forward`, `lower`; with parameters also
    `build`; with a state `advance`, to train in chunks of steps, and `begin`, to lie on a cycle.
    """

    signals: tuple[int, int | None] = (1, 1)  # how many it reads: at least, at most
    loops = False  # whether it reads itself
    shape: Shape  # of its own neurons, after `outline`
    built = False
    stateless = False  # whether a step is the same whatever came before
    reads_out = False  # whether it is the readout: `forward` gives its membrane

    def outline(self, known: Mapping[int, Shape]) -> Shape:
        """Its own shape, from that of a source of each signal, on a cycle of some signals: by the
        signal's number. Raises `UsageError` where they do not fit.
        """
        raise NotImplementedError

    def build(self, shapes: Shapes, precision: Precision) -> None:
        """Make the parameters for sources of these shapes. Raises `UsageError` where they do not
        fit.
        """

    def forward(self, signals: list[Terms], steps: int) -> Tensor:
        """Spikes float32 [T, B, *shape]."""
        raise NotImplementedError

    def advance(self, signals: list[Terms], steps: int, state: State) -> Tensor:
        """As `forward`, from the state of the steps before; `state` becomes that after these.
        Raises `UsageError` where it is not said and the node is not `stateless`.
        """
        if not self.stateless:
            what = f"{type(self).__name__} does not say how it goes on from a state"
            fix = "give it `advance`, or `stateless = True`; or train.checkpoint_steps=0"
            raise UsageError(what, fix=fix)
        return self(signals, steps)

    def begin(self, outside: list[Terms], gains: Gains, steps: int, state: State) -> Step:
        """One step after another, `state` going on with them: `outside` is what is known of each
        signal for these steps, `gains` are those of all sources. A node without a state needs no
        more than this.
        """
        counter = iter(range(steps))

        def step(inside: list[Terms]) -> Tensor:
            at = next(counter)
            now = [
                [Term(t.key, t.gain, t.x[at : at + 1] if len(t.x) > 1 else t.x) for t in terms]
                for terms in outside
            ]
            return self([known + new for known, new in zip(now, inside)], 1)

        return step

    def spikes(self, name: str, values: Tensor) -> dict[str, Tensor]:
        """What `forward` gave, by population."""
        return {name: values}

    def logits(self, membrane: Tensor) -> Tensor:
        """Of a readout: [B, K] of its membrane [T, B, K]."""
        raise NotImplementedError

    def lower(self, name: str, signals: Sequence[Signal], into: Lowering) -> None:
        """Add the population `name` and its synapses."""
        raise NotImplementedError


def plain(signals: Sequence[Signal], what: str) -> None:
    """Raise `UsageError` unless each signal is one source, whole and with a gain of 1."""
    for signal in signals:
        sources = signal.sources
        if len(sources) != 1 or sources[0].gain != 1 or sources[0].part:
            names = " + ".join(s.node for s in sources)
            what_ = f"{what} takes one spike train, without a gain"
            fix = "read it through a Layer, which adds up"
            raise UsageError(what_, value=names, fix=fix)
        if isinstance(sources[0].delay, str):
            what_ = f"{what} takes no trained delay"
            raise UsageError(what_, value=sources[0].node, fix="read it through a Layer")


class Input(Node):
    """Values given from outside: unsigned integers of `bits` bits, 1 for spikes."""

    signals = (0, 0)

    def __init__(self, shape: Sequence[int], bits: int = 1):
        super().__init__()
        sizes = tuple(shape)
        if not sizes or not all(isinstance(n, int) and n > 0 for n in sizes):
            raise UsageError(
                "an input needs a shape of whole numbers", value=sizes, limit="(C, ...)"
            )
        if not 1 <= bits <= 16:
            raise UsageError("inputs have 1 to 16 bits", value=bits)
        self.shape, self.bits = sizes, bits

    def outline(self, known: Mapping[int, Shape]) -> Shape:
        return self.shape

    def lower(self, name: str, signals: Sequence[Signal], into: Lowering) -> None:
        into.add(Population(name, self.shape, "input", bits=self.bits))
