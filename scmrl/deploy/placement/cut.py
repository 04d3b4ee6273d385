"""Where a population is cut: into equal boxes, one a core, by the rule of a chip.

    Loihi 1 (NxTF)     the fewest boxes that fit; among those of equal number the fewest input
                       axons and words
    Loihi 2 (Lava)     dense: ratio r = ceil(words / limit), boxes of ceil(n / r) neurons, r doubled
                       until it fits
                       else: the widest power of two along the last axis with fewer than
                       `conv_tile_neurons` in a box, then the other positions halved; channels
                       halved until the words fit
    no rule known      as Loihi 1

Sources: NxTF, doi 10.1145/3501770; the rest derived from mapping logs of lava-dl 0.6.0; see
`validation.core_counts`. To add a rule: write a function like `_ratio`, and choose it in `cut`.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import math

from ...core.graph import Box, whole
from .boxes import Extent, chunk, first, grid, halved, halvings, number, parts
from .demand import Demands, Misfit, Unit


def cut(demands: Demands, unit: Unit, fewest: int) -> list[Box] | Misfit:
    """The boxes of a unit, `fewest` or more, in which all fits but the output axons; where a single
    neuron does not fit, what it exceeds.
    """
    one = first((1,) * len(unit.shape))
    if demands.excess(unit, [one]):  # then nothing larger fits
        return demands.misfit(unit)
    if demands.memory.mapping != "loihi2":
        boxes = _search(demands, unit, fewest)
    elif _is_dense(demands, unit):
        boxes = _ratio(demands, unit, fewest)
    else:
        boxes = _powers(demands, unit, fewest)
    return demands.misfit(unit) if boxes is None else boxes


def _is_dense(demands: Demands, unit: Unit) -> bool:
    """Whether Lava sees a row of neurons, not an image: no convolution is one where it is
    expanded.
    """
    return (
        demands.memory.expanded
        or len(unit.shape) == 1
        or any(
            synapse.all_to_all
            for member in unit.members
            for synapse in demands.graph.incoming(member.name)
        )
    )


def _ratio(demands: Demands, unit: Unit, fewest: int) -> list[Box] | None:
    """Lava's recut of dense layers."""
    over = demands.excess(unit, [whole(unit.shape)])
    ratio = max(fewest, math.ceil(max(over.values(), default=1)))
    while True:
        extent = chunk(unit.shape, -(-unit.neurons // min(ratio, unit.neurons)))
        boxes = grid(unit.shape, extent)
        if len(boxes) >= fewest and not demands.excess(unit, boxes):
            return boxes
        if math.prod(extent) == 1:
            return None
        ratio *= 2


def _powers(demands: Demands, unit: Unit, fewest: int) -> list[Box] | None:
    """Lava's boxes of convolutions and of what lies between them."""
    most = demands.memory.limits["conv_tile_neurons"] // len(unit.members)
    for channels in halvings(unit.shape[0]):
        extent = _widest(unit.shape, channels, most)
        while extent is not None:
            boxes = grid(unit.shape, extent)
            over = demands.excess(unit, boxes) if len(boxes) >= fewest else {"axons_out": 1.0}
            if not over:
                return boxes
            extent = None if "synapse_words" in over else halved(extent)
    return None


def _widest(shape: Extent, channels: int, most: int) -> Extent | None:
    """The extent of the rule, fewer than `most` neurons; None where one position of the channels
    is more.
    """
    *middle, width = shape[1:]
    while True:
        others = channels * math.prod(middle)
        if others < most:
            power = 1 << ((most - 1) // others).bit_length() - 1
            return (channels, *middle, min(power, width))
        finer = halved((1, *middle))
        if finer is None:
            return None
        middle = list(finer[1:])


def _search(demands: Demands, unit: Unit, fewest: int) -> list[Box] | None:
    """NxTF's search: extents in the order of (boxes, cost), of which the first that fits is taken.

    A heap holds, for each extent of the positions, the most channels that may fit; the next fewer
    channels follow when it was taken off. Positions wait until their number of boxes is due.
    """
    shape = unit.shape
    least = max(fewest, -(-unit.neurons * len(unit.members) // demands.limits["neurons"]))
    waiting = sorted(
        itertools.product(*(parts(n) for n in shape[1:])),
        key=lambda positions: number(shape[1:], positions),
        reverse=True,
    )
    found: list[tuple[int, int, Extent]] = []

    def push(positions: Extent, channels: int) -> None:
        if channels:
            extent = (channels, *positions)
            need, count = demands.of_unit(unit, first(extent)), number(shape, extent)
            heapq.heappush(found, (count, count * (need.axons_in + need.synapse_words), extent))

    while waiting or found:
        while waiting and (not found or number(shape[1:], waiting[-1]) <= found[0][0]):
            positions = waiting.pop()  # finer positions may fit where fewer channels do not
            push(positions, _most_channels(demands, unit, positions, least))
        if not found:
            continue
        count, _, extent = heapq.heappop(found)
        boxes = grid(shape, extent)
        if count >= fewest and not demands.excess(unit, boxes):
            return boxes
        push(extent[1:], max((n for n in parts(shape[0]) if n < extent[0]), default=0))
    return None


def _most_channels(demands: Demands, unit: Unit, positions: Extent, least: int) -> int:
    """The most channels with which the first box of those positions fits, in `least` boxes or
    more.
    """
    cuts = -(-least // number(unit.shape[1:], positions))
    sizes = [n for n in parts(unit.shape[0]) if -(-unit.shape[0] // n) >= cuts]
    fitting = bisect.bisect_left(
        sizes, True, key=lambda n: not demands.excess(unit, [first((n, *positions))])
    )
    return sizes[fitting] if fitting < len(sizes) else 0
