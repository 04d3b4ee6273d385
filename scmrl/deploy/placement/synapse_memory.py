"""How a core stores the synapses that end on it: 64-bit words, format and input axons, by the rule
of a chip.

A *shared* synapse (Conv2d, Pointwise, Window) is stored once a core, however many positions the
core holds, unless it is *expanded*; all others once for every source neuron that reaches the core
(OneToOne and SumTokens: one synapse each, Broadcast: one for each position, Dense: one for each
neuron of the core). A delay takes as many bits as it needs, beside each weight (of Loihi 2 no log
shows them: assumed).

    Loihi 1 (NxTF, doi 10.1145/3501770): a list of entries; an entry has `entry_prefix_bits`,
    at most `synapses_per_entry` synapses, and is padded to words (one more where the rest is
    0 or 59 bits and up)
        dense        prefix + index + n (weight + delay)
        sparse       prefix         + f (weight + delay + index)         f: non-zero weights
        run-length   prefix + index + f (weight + delay + skip)
    the format with the fewest words is taken; a shared synapse has an entry or more a kernel
    tap and channel

    Loihi 2 (derived from the mapping logs of lava-dl 0.6.0)
        not shared   source neurons * ceil(((synapse_bits + delay) n + entry_prefix_bits) / 64)
        shared       C_in * kh * kw * ceil(C_out (weight_bits + delay) / 64)

    no rule known    non-zero weights * weight bits, without index or header: a lower bound

Input axons: one for each source neuron that reaches the core; on Loihi 2 a shared synapse takes a
single one (the logs show one or two for every convolution).

To add a rule: write a function like `_loihi2`, and list it in `RULES` under the profile's
`mapping`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ...core.convolution import Convolution
from ...core.graph import Box, Synapse
from ...hw_profiles.profile import Profile

Bits = TypeVar("Bits", int, np.ndarray)
WORD = 64
LOIHI1_WEIGHT_BITS = (1, 2, 3, 4, 5, 6, 8)  # the widths that a format of Loihi 1 has (nengo-loihi)


@dataclass(frozen=True)
class Stored:
    """One synapse on one core: words, those of the longest list that an axon points to, format."""

    words: int
    longest: int
    format: str  # dense, sparse or conv


def weight_bits(weight: object) -> int:
    """Bits of the narrowest integer for all weights, without their common power of two; signed
    where signs mix.
    """
    weight = np.asarray(weight)
    low, high = int(weight.min(initial=0)), int(weight.max(initial=0))
    if low == high == 0:
        return 1
    together = int(np.bitwise_or.reduce(weight.ravel()))
    shift = (together & -together).bit_length() - 1
    low, high = low >> shift, high >> shift
    if low >= 0:
        return high.bit_length()
    if high <= 0:
        return (-low).bit_length()
    return 1 + max(high.bit_length(), (-low - 1).bit_length())


class SynapseMemory:
    """The storage rule of a profile, for the synapses of one graph. `expanded`: each connection on
    its own.
    """

    def __init__(self, profile: Profile, *, expanded: bool = False):
        self.expanded = expanded
        self.limits = {name: int(quantity.value) for name, quantity in profile.limits.items()}
        self.mapping = profile.mapping
        self._rule = RULES[profile.mapping]
        self._bits: dict[str, int] = {}

    def bits(self, synapse: Synapse) -> int:
        """`weight_bits` of a synapse, computed once."""
        if synapse.name not in self._bits:
            self._bits[synapse.name] = weight_bits(synapse.weight)
        return self._bits[synapse.name]

    def shares(self, synapse: Synapse) -> bool:
        """Whether positions use one copy of the weights."""
        return synapse.shared and not self.expanded

    def store(
        self, synapse: Synapse, source: tuple[int, ...], box: Box, counts: np.ndarray
    ) -> Stored:
        """The part of a synapse that ends in `box` of its target; `counts`: its `Synapse.arrivals`
        there.
        """
        if not counts.any():
            return Stored(0, 0, "conv" if self.shares(synapse) else "sparse")
        return self._rule(self, synapse, source, box, counts)


def _loihi1(
    memory: SynapseMemory, synapse: Synapse, source: tuple[int, ...], box: Box, counts: np.ndarray
) -> Stored:
    width = next(
        (code for code in LOIHI1_WEIGHT_BITS if code >= memory.bits(synapse)), memory.bits(synapse)
    )
    width += _delay_bits(synapse)
    if memory.shares(synapse) and (form := synapse.convolution(source, ())):
        fans = _kernel(form, source, box)  # [C_in, kh, kw]
        lists = _fewest(memory, fans, fans, width)[0]
        phase = tuple(-(-k // s) for k, s in zip(fans.shape[1:], form.stride))
        longest = lists.max() * math.prod(phase)  # taps that one source pixel meets
        return Stored(int(lists.sum()), int(longest), "conv")
    fans = counts[counts > 0]
    dense = np.full(fans.shape, _neurons(box)) if synapse.all_to_all else fans
    lists, kind = _fewest(memory, dense, fans, width)
    return Stored(int(lists.sum()), int(lists.max()), kind)


def _fewest(
    memory: SynapseMemory, dense: np.ndarray, sparse: np.ndarray, width: int
) -> tuple[np.ndarray, str]:
    """Words of every list in the format that takes the fewest in all, and its name."""
    prefix, index, skip = (
        memory.limits[name] for name in ("entry_prefix_bits", "index_bits", "skip_bits")
    )
    formats = {
        "dense": _list_words(memory, dense, prefix + index, width),
        "sparse": _list_words(memory, sparse, prefix, width + index),
        "run-length": _list_words(memory, sparse, prefix + index, width + skip),
    }
    best = min(formats, key=lambda name: formats[name].sum())
    return formats[best], "dense" if best == "dense" else "sparse"


def _list_words(memory: SynapseMemory, synapses: np.ndarray, header: int, each: int) -> np.ndarray:
    most = memory.limits["synapses_per_entry"]
    full, rest = np.divmod(synapses, most)
    last = np.where(rest > 0, _entry_words(header + rest * each), 0)
    return full * _entry_words(header + most * each) + last


def _entry_words(bits: Bits) -> Bits:
    rest = bits % WORD
    return -(-bits // WORD) + ((rest == 0) | (rest >= 59))


def _loihi2(
    memory: SynapseMemory, synapse: Synapse, source: tuple[int, ...], box: Box, counts: np.ndarray
) -> Stored:
    if memory.shares(synapse) and (form := synapse.convolution(source, ())):
        fans = _kernel(form, source, box)
        words = _ceil_words(fans * (memory.bits(synapse) + _delay_bits(synapse)))
        return Stored(int(words.sum()), int(words.max()), "conv")
    fans = counts[counts > 0]
    if synapse.all_to_all:
        fans = np.full(fans.shape, _neurons(box))
    each = memory.limits["synapse_bits"] + _delay_bits(synapse)
    words = _ceil_words(fans * each + memory.limits["entry_prefix_bits"])
    return Stored(int(words.sum()), int(words.max()), "dense" if synapse.all_to_all else "sparse")


def _no_rule(
    memory: SynapseMemory, synapse: Synapse, source: tuple[int, ...], box: Box, counts: np.ndarray
) -> Stored:
    words = int(_ceil_words(int(counts.sum()) * (memory.bits(synapse) + _delay_bits(synapse))))
    return Stored(
        words,
        words,
        "conv" if memory.shares(synapse) else "dense" if synapse.all_to_all else "sparse",
    )


RULES = {"loihi1": _loihi1, "loihi2": _loihi2, "": _no_rule}


def _kernel(form: Convolution, source: tuple[int, ...], box: Box) -> np.ndarray:
    """Output channels of `box` that each source channel reaches through each tap, [C_in of the box,
    kh, kw]; zeros are stored, source channels without any weight are not.
    """
    (low, high), *_ = box
    starts = form.channels(low, high, source)[1]
    reached = np.logical_or.reduceat((form.weight[low:high] != 0).any((2, 3)), starts, axis=0)
    fans = np.repeat(np.diff([*starts, high - low]), form.weight.shape[1])[reached.ravel()]
    return np.broadcast_to(fans[:, None, None], (len(fans), *form.kernel))


def _delay_bits(synapse: Synapse) -> int:
    return int(synapse.delay).bit_length()


def _neurons(box: Box) -> int:
    return math.prod(stop - start for start, stop in box)


def _ceil_words(bits: Bits) -> Bits:
    return -(-bits // WORD)
