"""What a `Network` is made of.

Input               values from outside
Layer, Readout      weights by a map (Dense, Shared, Pooled, Conv1d, Conv2d); LIF neurons, membranes
And, Mask, Pool     AND and gates, masks over tokens, windows: of spikes, without weights
after(NAME)         the spikes of a node, a step later: what closes a cycle
"""

from .counting import And, Mask, Pool
from .layer import Layer
from .maps import Conv1d, Conv2d, Dense, Map, Pooled, Shared
from .neurons import LIF
from .node import Input, Node
from .readout import Readout
from .signal import Signal, after

__all__ = [
    "LIF",
    "And",
    "Conv1d",
    "Conv2d",
    "Dense",
    "Input",
    "Layer",
    "Map",
    "Mask",
    "Node",
    "Pool",
    "Pooled",
    "Readout",
    "Shared",
    "Signal",
    "after",
]
