"""A NIR graph as neurons and linear maps, in floats, and its interpreter. numpy only.

NIR's equations are continuous; frameworks disagree on their discrete form (`Convention`). All of
them, for every kind of neuron, are cases of one recurrence per neuron, with g, b, alpha and beta
from the node's parameters and dt:

    I[t] = sum over maps  M s_source[t - delay]  + constants
    u[t] = alpha u[t-1] + g I[t]
    v[t] = beta  v[t-1] + u[t] + b
    s[t] = v[t] > threshold   (>= where the convention says so)
    where s:  v = 0,  or  v = v - threshold

State starts at rest, which is v_reset; a reset potential other than zero is the origin of v.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ....system.errors import DataError, UsageError, nearest
from .maps import Map, Shape

MAX_VALUES = 1 << 28  # of one run: 2 GB of floats
RESETS = ("zero", "subtract")


@dataclass(frozen=True)
class Convention:
    """How a framework makes steps of NIR's equations.

    `resistance`: r of LI, LIF and IF counts (else it is 1, and an IF adds its input as it is).
    `v_reset`: the reset potential counts (else 0). `inclusive`: fires at the threshold, not only
    above. `exponential`: decay exp(-dt / tau) and the input added whole (else forward Euler: 1 - dt
    / tau, input times r dt / tau).
    """

    name: str
    resistance: bool = True
    v_reset: bool = True
    inclusive: bool = False
    exponential: bool = False
    reset: str = "zero"


# As these frameworks' importers run a NIR file: norse 1.1.0, snntorch 1.0.0, spikingjelly 2.0,
# sinabs 3.1.3. Not as they do: snntorch makes an IF leaky, sinabs fires several times in one step;
# here neither happens.
CONVENTIONS = {
    c.name: c
    for c in (
        Convention("nir"),
        Convention("norse", resistance=False, v_reset=False),
        Convention("snntorch", v_reset=False),
        Convention("spikingjelly", inclusive=True),
        Convention(
            "sinabs",
            resistance=False,
            v_reset=False,
            inclusive=True,
            exponential=True,
            reset="subtract",
        ),
    )
}


def convention_of(name: str | Convention, reset: str | None = None) -> Convention:
    """A convention by its name, with another reset where one is given. Raises `UsageError`."""
    if isinstance(name, str):
        if name not in CONVENTIONS:
            raise UsageError("no such convention", value=name, fix=nearest(name, CONVENTIONS))
        name = CONVENTIONS[name]
    if reset is not None and reset not in RESETS:
        raise UsageError("no such reset", value=reset, fix=nearest(reset, RESETS))
    return name if reset is None else replace(name, reset=reset)


@dataclass(frozen=True)
class Neurons:
    """One node's neurons of `shape`: the recurrence above, every parameter float64 [*shape].

    `kind`: input, spiking, or integrator (never fires; its v is read).
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
    subtract: bool = False


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
    in I.
    """

    neurons: tuple[Neurons, ...]
    routes: tuple[Route, ...]
    constants: dict[str, np.ndarray]
    readout: str
    dt: float
    convention: Convention
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Neurons:
        return next(n for n in self.neurons if n.name == name)

    def incoming(self, name: str) -> tuple[Route, ...]:
        return tuple(r for r in self.routes if r.target == name)

    @property
    def inputs(self) -> tuple[Neurons, ...]:
        return tuple(n for n in self.neurons if n.kind == "input")


@dataclass(frozen=True)
class FloatRun:
    """Values [S, T, *shape] of every node's neurons (v of an integrator), and the largest |u| and
    |v| [*shape].
    """

    values: dict[str, np.ndarray]
    peaks: dict[str, tuple[np.ndarray, np.ndarray]]

    def classes(self, network: Network) -> np.ndarray:
        """Readout with the highest value at the last step, int64 [S]; the first wins."""
        final = self.values[network.readout][:, -1]
        return final.reshape(len(final), -1).argmax(1)


def run(network: Network, inputs: dict[str, np.ndarray]) -> FloatRun:
    """Interpret `network` on inputs {name: float [S, T, *shape]}, every sample from rest."""
    samples, steps = next(iter(inputs.values())).shape[:2]
    size = samples * steps * sum(int(np.prod(n.shape)) for n in network.neurons)
    if size > MAX_VALUES:
        raise DataError(
            "samples do not fit in memory",
            limit=f"{MAX_VALUES} values",
            value=size,
            fix="give fewer calibration samples or steps",
        )
    values = {n.name: np.zeros((samples, steps, *n.shape)) for n in network.neurons}
    state = {n.name: np.zeros((2, samples, *n.shape)) for n in network.neurons}
    peaks = {n.name: (np.zeros(n.shape), np.zeros(n.shape)) for n in network.neurons}
    for t in range(steps):
        for n in network.neurons:
            if n.kind == "input":
                values[n.name][:, t] = inputs[n.name][:, t]
                continue
            current = np.zeros((samples, *n.shape)) + network.constants.get(n.name, 0.0)
            for r in network.incoming(n.name):
                if t >= r.delay:
                    current += r.map.apply(values[r.source][:, t - r.delay]).reshape(current.shape)
            u, v, s = _step(n, state[n.name], current)
            for peak, x in zip(peaks[n.name], (u, v)):
                np.maximum(peak, np.abs(x).max(0), out=peak)
            values[n.name][:, t] = s if n.kind == "spiking" else v
            state[n.name] = np.stack([u, _reset(n, v, s)])
    return FloatRun(values, peaks)


def _step(n: Neurons, state: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, ...]:
    u = n.alpha * state[0] + n.gain * current
    v = n.beta * state[1] + u + n.bias
    return u, v, v >= n.threshold if n.inclusive else v > n.threshold


def _reset(n: Neurons, v: np.ndarray, s: np.ndarray) -> np.ndarray:
    if n.kind != "spiking":
        return v
    return np.where(s, v - n.threshold if n.subtract else 0.0, v)
