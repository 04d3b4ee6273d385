"""A float network: neurons and linear maps. numpy only.

NIR's equations are continuous; frameworks disagree on their discrete form (`Convention`). All of
them, for every kind of neuron, are cases of one recurrence per neuron, with g, b, alpha and beta
from the node's parameters and dt:

    I[t] = sum over maps  M s_source[t - delay]  + constants that have arrived
    u[t] = alpha u[t-1] + g I[t]
    v[t] = beta  v[t-1] + u[t] + b
    s[t] = v[t] > threshold   (>= where the convention says so; v // threshold where it counts)
    where s:  v = 0,  or  v = v - threshold s,  now or in the next step's v, unleaked

State starts at rest, which is v_reset; a reset potential other than zero is the origin of v.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .convention import Convention
from .maps import Map, Shape

Constants = dict[int, np.ndarray]  # what a neuron gets at every step, by the step it comes from


@dataclass(frozen=True)
class Neurons:
    """One node's neurons of `shape`: the recurrence above, every parameter float64 [*shape].

    `kind`: input, spiking, or integrator (never fires; its v is read). `reset`: zero, subtract, or
    late (by subtraction, in the next step). `several`: counts the thresholds in v. `floor`: v stays
    above -threshold.
    """

    name: str
    shape: Shape
    kind: str
    alpha: np.ndarray | float = 0.0
    beta: np.ndarray | float = 0.0
    gain: np.ndarray | float = 1.0
    bias: np.ndarray | float = 0.0
    threshold: np.ndarray | float = 0.0
    inclusive: bool = False
    reset: str = "zero"
    several: bool = False
    floor: bool = False

    @property
    def subtract(self) -> bool:
        return self.reset != "zero"


@dataclass(frozen=True)
class Route:
    """I_target[t] += map . s_source[t - delay]. `feedback`: the delay closes a cycle."""

    source: str
    target: str
    map: Map
    delay: int = 0
    feedback: bool = False


@dataclass(frozen=True)
class Network:
    """Neurons in an order in which undelayed routes go forward, the routes, and the constants
    in I, by target and delay. `notes` say what was read, `warnings` what may be read wrongly.
    """

    neurons: tuple[Neurons, ...]
    routes: tuple[Route, ...]
    constants: dict[str, Constants]
    readout: str
    dt: float
    convention: Convention
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Neurons:
        return next(n for n in self.neurons if n.name == name)

    def incoming(self, name: str) -> tuple[Route, ...]:
        return tuple(r for r in self.routes if r.target == name)

    @property
    def inputs(self) -> tuple[Neurons, ...]:
        return tuple(n for n in self.neurons if n.kind == "input")

    def noted(self, *notes: str) -> Network:
        """The same network with more notes."""
        return replace(self, notes=(*self.notes, *notes))
