"""NIR's neurons as the one recurrence of `network`, under a convention.

Euler   beta = 1 - dt / tau,  g = r dt / tau,  b = v_leak dt / tau;      IF: beta = 1, g = r dt
Cuba    alpha = 1 - dt / tau_syn,  g = r dt / tau_mem . w_in dt / tau_syn
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .....system.errors import GraphError
from .convention import Convention
from .maps import Shape
from .network import Neurons
from .parameters import parameter

NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")
INTEGRATORS = ("I", "LI", "CubaLI")


@dataclass(frozen=True)
class _Node:
    """The parameters of one node, float64 [*shape]."""

    node: object
    name: str
    shape: Shape
    dt: float
    convention: Convention

    def get(self, what: str) -> np.ndarray:
        return parameter(getattr(self.node, what), self.shape, self.name, what)

    def tau(self, what: str) -> np.ndarray:
        value, exponential = self.get(what), self.convention.exponential
        if self.convention.clamped and value.all():
            return value
        if value.min() <= 0 or (not exponential and value.min() < self.dt * (1 - 1e-6)):
            raise GraphError(
                "time constant is shorter than a step",
                where=f"{self.name}.{what}",
                limit=f"{self.dt:g} s",
                value=f"{value.min():g} s",
                fix="give a smaller dt",
            )
        return value

    def decay(self, what: str) -> tuple[np.ndarray, np.ndarray]:
        """What a state of this time constant keeps in a step, and what it takes of its input."""
        tau = self.tau(what)
        if self.convention.exponential:
            return np.exp(-self.dt / tau), np.ones(self.shape)
        if self.convention.clamped:  # a trained decay may lie outside 0..1: held there
            return np.clip(1 - self.dt / tau, 0.0, 1.0), self.dt / tau
        part = np.minimum(self.dt / tau, 1.0)
        return 1 - part, part


def neurons(
    kind: str, node: object, name: str, shape: Shape, dt: float, convention: Convention
) -> Neurons:
    """The recurrence of a neuron node. Raises `GraphError` naming the parameter that cannot be."""
    n, c = _Node(node, name, shape, dt, convention), convention
    if kind == "Threshold":
        threshold = n.get("threshold")
        return Neurons(name, shape, "spiking", threshold=threshold, inclusive=c.inclusive)
    alpha, leak, cuba = np.zeros(shape), np.zeros(shape), kind.startswith("Cuba")
    if kind in ("I", "IF"):
        beta, gain = np.ones(shape), n.get("r") * dt if c.resistance else np.ones(shape)
    else:
        beta, gain = n.decay("tau_mem" if cuba else "tau")
        leak = n.get("v_leak")
        if not c.exponential and (c.resistance or cuba):
            gain = gain * n.get("r")
    if cuba:
        if c.name == "norse" and leak.any():
            raise GraphError(
                "norse adds v_leak to the current too, which cannot be expressed",
                where=name,
                fix="set v_leak to 0, or choose another convention",
            )
        alpha, part = n.decay("tau_syn")
        w_in = n.get("w_in")
        # what norse's exporter writes for its LIFCell, which adds its input whole
        gain = gain * w_in * (1.0 if c.name == "norse" and np.all(w_in == 1) else part)
    spiking = kind not in INTEGRATORS
    rest = n.get("v_reset") if spiking and c.v_reset else np.zeros(shape)
    return Neurons(
        name,
        shape,
        "spiking" if spiking else "integrator",
        alpha,
        beta,
        gain,
        bias=(1 - beta) * (leak - rest),
        threshold=n.get("v_threshold") - rest if spiking else np.zeros(shape),
        inclusive=c.inclusive,
        reset=("late" if c.late else "subtract") if spiking and c.reset == "subtract" else "zero",
        several=spiking and c.several and not cuba,
        floor=c.floor and kind == "IF",
    )
