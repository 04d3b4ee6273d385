"""What a network of one's own is built for: `build(data)` gets it and gives a `Network`.

def build(data):
    net = Network(data.steps, precision=data.precision)
    x = net.add("x", Input(data.shapes["x"], data.bits["x"]))
    ...
    net.add("readout", Readout(Dense(data.outputs)), h)
    return net
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core.synapse import Shape
from ..hw_profiles.precision import Precision


@dataclass(frozen=True)
class DataSpec:
    """Shape of each input at one step, and the bits of its integers; the names of the classes, none
    for targets of a regression; K `outputs`; T `steps`; what widths of integers the chip has.
    """

    shapes: dict[str, Shape]
    bits: dict[str, int]
    classes: tuple[str, ...]
    outputs: int
    steps: int
    precision: Precision
