"""The nodes that a network is made of."""

from __future__ import annotations

from .counting import And, Mask, Pool
from .layer import Layer
from .maps import Conv1d, Conv2d, Dense, Pooled, Shared
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
    "Mask",
    "Node",
    "Pool",
    "Pooled",
    "Readout",
    "Shared",
    "Signal",
    "after",
]
