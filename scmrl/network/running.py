"""Running the nodes of a network: all steps at once, or in chunks of steps.

In chunks, what is kept for the gradients is the state between two of them, and a chunk is computed
once more when its gradients are due (checkpointing: Chen et al. 2016, arXiv 1604.06174). Memory
then grows with the chunk, hardly with T; the spikes are the same, and the gradients up to rounding,
but for two: a batch norm, while it is live, takes the moments of each chunk, and the bell that
gives trained delays their gradient ends with the chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..system.errors import UsageError
from .kernels.delays import delayed, later
from .nodes.node import Gains, State, Step, Term, Terms
from .nodes.signal import Source

if TYPE_CHECKING:
    from .network import Network

Values = dict[str, Tensor]  # [T or 1, B, *shape] of each node
Group = tuple[str, ...]  # nodes that run together


@dataclass
class Carried:
    """What a chunk leaves to the next one: states of the nodes, and of those that are read late the
    last values [D, B, *shape].
    """

    states: dict[str, State] = field(default_factory=dict)
    tails: Values = field(default_factory=dict)

    def tensors(self) -> tuple[list[tuple[str, str]], list[Tensor]]:
        """(where each belongs, all of them): a tail has no second name."""
        places = [(name, "") for name in self.tails]
        places += [(name, key) for name, state in self.states.items() for key in state]
        return places, [self.states[n][key] if key else self.tails[n] for n, key in places]

    @classmethod
    def of(cls, places: list[tuple[str, str]], tensors: tuple[Tensor, ...]) -> Carried:
        carried = cls()
        for (name, key), x in zip(places, tensors):
            if key:
                carried.states.setdefault(name, {})[key] = x
            else:
                carried.tails[name] = x
        return carried


def values(
    net: Network, given: Mapping[str, Tensor], steps: int, carried: Carried | None = None
) -> Values:
    """What each node gives in `steps`, of inputs [T or 1, B, *shape]. `carried`: what the steps
    before left; it becomes what these leave.
    """
    found = dict(given)
    for group in net.finish():
        if group in net.cycles:
            _together(net, group, found, steps, carried)
        elif group[0] not in found:
            (name,) = group
            node = net.node(name)
            signals = [
                [_term(net, s, found[s.node], steps, carried) for s in signal.sources]
                for signal in net.reads[name]
            ]
            if carried is None:
                found[name] = node(signals, steps)
                continue
            try:
                found[name] = node.advance(signals, steps, carried.states.setdefault(name, {}))
            except UsageError as error:
                raise error.at(net.places[name], UsageError) from None
    if carried is not None:
        carried.tails = {
            name: _tail(found[name], d, steps, carried.tails.get(name))
            for name, d in net.late().items()
        }
    return found


def _tail(x: Tensor, last: int, steps: int, before: Tensor | None) -> Tensor:
    """The `last` values of x [T or 1, ...] and of what was before it, silent at first."""
    x = x.expand(steps, *x.shape[1:])[-last:]
    if len(x) == last:
        return x
    before = x.new_zeros(last, *x.shape[1:]) if before is None else before
    return torch.cat([before[len(x) - last :], x])


def _term(net: Network, s: Source, x: Tensor, steps: int, carried: Carried | None) -> Term:
    """A source as values of all steps."""
    gain = net.gain_of(s)
    if not s.delay:
        return Term(s.gain, gain, x if s.part is None else x[:, :, s.part[0] : s.part[1]])
    x = x.expand(steps, *x.shape[1:])
    tail = None if carried is None else carried.tails.get(s.node)
    if tail is not None:
        x = torch.cat([tail, x])
    if s.part is not None:
        x = x[:, :, s.part[0] : s.part[1]]
    trained = isinstance(s.delay, str)
    x = delayed(x, net.delays_of(s)) if trained else later(x, int(s.delay))
    return Term(s.gain, gain, x[-steps:])


def _together(
    net: Network, group: Group, found: Values, steps: int, carried: Carried | None
) -> None:
    """Run the nodes of a cycle together, step by step; adds their spikes to `found`."""
    batch = next(iter(found.values())).shape[1]
    tails = {} if carried is None else carried.tails
    spikes = {name: list(tails[name].split(1)) if name in tails else [] for name in group}
    past = {name: len(before) for name, before in spikes.items()}

    def inside(name: str, t: int) -> list[Terms]:
        return [
            [
                _late(net, s, spikes[s.node], past[s.node] + t, batch)
                for s in signal.sources
                if s.node in group
            ]
            for signal in net.reads[name]
        ]

    runs: dict[str, Step] = {}
    for name in group:
        outside = [
            [
                _term(net, s, found[s.node], steps, carried)
                for s in signal.sources
                if s.node not in group
            ]
            for signal in net.reads[name]
        ]
        gains: Gains = [
            {s.gain: net.gain_of(s) for s in signal.sources} for signal in net.reads[name]
        ]
        state: State = {} if carried is None else carried.states.setdefault(name, {})
        runs[name] = net.node(name).begin(outside, gains, steps, state)
    for t in range(steps):
        for name in group:
            spikes[name].append(runs[name](inside(name, t)))
    found |= {name: torch.cat(spikes[name][past[name] :]) for name in group}


def _late(net: Network, s: Source, spikes: list[Tensor], at: int, batch: int) -> Term:
    """A source on the cycle, of spikes up to place `at`: silent before its delay is over."""
    before = at - int(s.delay)
    x = spikes[before] if before >= 0 else torch.zeros(1, batch, *net.node(s.node).shape)
    if s.part is not None:
        x = x[:, :, s.part[0] : s.part[1]]
    return Term(s.gain, net.gain_of(s), x)


def recorded(
    net: Network, given: Mapping[str, Tensor], steps: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """(membrane [T, B, K] of the readout, spikes uint8 [T, B, ...] of each population)."""
    carried = Carried() if net.checkpoint_steps else None
    membranes, spikes = [], dict[str, list[Tensor]]()
    for length, part in chunks(given, steps, net.checkpoint_steps):
        membrane, some = net.answered(values(net, part, length, carried), part)
        membranes.append(membrane)
        for name, x in some.items():
            spikes.setdefault(name, []).append(x.to(torch.uint8))
    return torch.cat(membranes), {name: torch.cat(parts) for name, parts in spikes.items()}


def chunks(
    given: Mapping[str, Tensor], steps: int, size: int
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """(number of steps, inputs) of each chunk of `size` steps, 0: of all."""
    for first in range(0, steps, size or steps):
        length = min(size or steps, steps - first)
        yield length, {n: x[first:][:length] if len(x) > 1 else x for n, x in given.items()}


def in_chunks(
    net: Network, given: Mapping[str, Tensor], steps: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """(membrane [T, B, K] of the readout, mean spikes [1, B, ...] of each population over the
    steps), in chunks of `net.checkpoint_steps`.
    """
    norms = _Norms(net)
    anchor = torch.zeros((), requires_grad=True)  # so that weights get their gradients
    places: list[tuple[str, str]] = []
    tensors: list[Tensor] = []
    membranes, means = [], dict[str, Tensor]()
    for length, part in chunks(given, steps, net.checkpoint_steps):
        chunk = _Chunk(net, part, length, steps, places, norms)
        if torch.is_grad_enabled():
            membrane, *out = checkpoint(
                chunk, anchor, *tensors, use_reentrant=True, preserve_rng_state=False
            )
        else:
            membrane, *out = chunk(anchor, *tensors)
        membranes.append(membrane)
        for name, x in zip(chunk.populations, out):
            means[name] = means[name] + x if name in means else x
        places, tensors = chunk.after, out[len(chunk.populations) :]
    norms.settle()
    return torch.cat(membranes), means


@dataclass
class _Chunk:
    """Some steps: from what is carried to the membrane, each population's share of its mean over
    all steps, and what is carried on.
    """

    net: Network
    given: dict[str, Tensor]
    steps: int
    all_steps: int
    before: list[tuple[str, str]]
    norms: _Norms
    populations: tuple[str, ...] = ()
    after: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, _anchor: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        carried = Carried.of(self.before, tensors)
        with self.norms.observing(self.steps / self.all_steps):
            found = values(self.net, self.given, self.steps, carried)
        membrane, spikes = self.net.answered(found, self.given)
        shares = [x.sum(0, keepdim=True) / self.all_steps for x in spikes.values()]
        self.populations = tuple(spikes)
        self.after, out = carried.tensors()
        return membrane, *shares, *out


class _Norms:
    """The running moments of live batch norms follow once in all chunks: by the mean of theirs."""

    def __init__(self, net: Network):
        self.moments = [x for layer in net.layers() if layer.live for x in layer.moments]
        self.moved = [torch.zeros_like(x) for x in self.moments]

    @contextmanager
    def observing(self, share: float) -> Iterator[None]:
        """A chunk that is so much of the steps; computed once more, it is not seen again."""
        again, before = torch.is_grad_enabled(), [x.clone() for x in self.moments]
        yield
        for x, kept, moved in zip(self.moments, before, self.moved):
            if not again:
                moved += share * (x - kept)
            x.data.copy_(kept)

    def settle(self) -> None:
        for x, moved in zip(self.moments, self.moved):
            x.data.add_(moved)
