"""A float network as an integer graph: decays to 12 bits, weights to their mantissas (`equation`).

Reset by subtraction without a current: the state is held in u, which no reset touches, and fed back
by a synapse, a step later as it is, or leaked where it belongs to the step of the spike.

    u[t] = beta u[t-1] + a[t] - beta theta s[t-1]     v[t] = u[t]     (du holds beta, dv is 4096)

With a current both states are in use: the population's own reset "subtract". Neurons that fire
several times in a step are a population for each time, of thresholds theta, 2 theta, ..., which all
hear the spikes of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ....core.fixed_point import CURRENT_SHIFT, DECAY_ONE, WEIGHT_BITS, signed
from ....core.graph import (
    NO_CURRENT_MEMORY,
    Conv2d,
    Dense,
    Graph,
    OneToOne,
    Population,
    Sparse,
    Synapse,
)
from ....core.synapse import narrowed, seven_bit_parts, single
from ....data.features.values import ValueScale
from ....system.errors import GraphError, UsageError
from .compensation import Moments, compensated
from .equation import TINY, Peaks, Scaling, equation
from .floats.maps import Chain, Conv, Diagonal, Map, Matrix
from .floats.network import Network, Neurons, Route
from .rounding import (
    Scaled,
    graph_shape,
    mantissa_and_exponent,
    relative_rms,
    whole_threshold,
    whole_units,
    widths,
)

SMALL = 1 << 16  # weights that are held as a matrix though most are zero
MOST = 16  # spikes of a neuron in one step
OUTSIDE = "outside a 12-bit field; simulator and Lava hold it"
ALWAYS = "always"  # the population that fires at every step, for constants

Errors = tuple[float, float]  # squared error of the rounding, squared weights


def quantise(
    network: Network,
    inputs: dict[str, ValueScale],
    peaks: Peaks | None,
    *,
    steps: int,
    weight_bits: int,
    most: Mapping[str, int] | None = None,
    moments: Moments | None = None,
) -> tuple[Graph, tuple[Scaled, ...], tuple[str, ...]]:
    """The integer graph, each node's scale, and notes. `peaks`: the largest states of a run on
    calibration data, for the ranges; `most`: the most spikes of a node's neuron in one step;
    `moments`: of the sources, for the rounding of weights.

    Raises `GraphError` naming the node that integers cannot express.
    """
    if not 2 <= weight_bits <= 16:
        raise UsageError("weights have 2 to 16 bits", where="weight_bits", value=weight_bits)
    builder = Builder(network, inputs, peaks, steps, weight_bits, most or {}, moments)
    for n in network.neurons:
        builder.add(n)
    return builder.graph(), tuple(builder.scaled), tuple(builder.notes)


@dataclass
class Builder:
    """Populations and synapses of one graph, a node after the other."""

    network: Network
    inputs: Mapping[str, ValueScale]
    peaks: Peaks | None
    steps: int
    weight_bits: int
    most: Mapping[str, int]
    moments: Moments | None = None
    populations: list[Population] = field(default_factory=list)
    synapses: list[Synapse] = field(default_factory=list)
    scaled: list[Scaled] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.top = signed(self.weight_bits)[1]
        self.tops = {n.name: self._top_value(n) for n in self.network.neurons}
        if self.weight_bits > WEIGHT_BITS:
            self.notes.append(
                f"weights of {self.weight_bits} bits take two synapses each on a chip of 8"
            )

    def graph(self) -> Graph:
        if any(s.source == ALWAYS for s in self.synapses):
            self.populations.append(
                Population(ALWAYS, (1,), memoryless=True, bias_mant=1, bias_exp=CURRENT_SHIFT)
            )
        return Graph(tuple(self.populations), tuple(self.synapses), self.steps).check()

    def _top_value(self, n: Neurons) -> int:
        """The largest that a node sends in one step."""
        if n.kind == "input":
            return (1 << self.inputs[n.name].bits) - 1
        return int(np.clip(self.most.get(n.name, 1), 1, MOST)) if n.several else 1

    def named(self, name: str) -> tuple[str, ...]:
        """The populations of a node."""
        n = self.network[name]
        count = self.tops[name] if n.several else 1
        return (name, *(f"{name}@{k}" for k in range(2, count + 1)))

    def add(self, n: Neurons) -> None:
        """The populations of one node, with their synapses."""
        if n.kind == "input":
            bits = self.inputs[n.name].bits
            self.populations.append(Population(n.name, graph_shape(n.shape), "input", bits=bits))
            return
        if n.name == ALWAYS:
            raise GraphError("this name is taken", where=n.name, fix="rename the node")
        e = equation(self.network, n, self.inputs, self.tops)
        scale = Scaling(e, self.peaks, self.steps, self.top, self.notes).scale()
        parts = [self._synapses(r, m, scale) for r, m in zip(e.routes, e.maps)]
        constants = {d: c * scale for d, c in e.constants.items()}
        for r, (synapses, _) in zip(e.routes, parts):
            self.synapses += synapses
            self._silence(n, r, synapses, constants)
        du, dv = self._decays(n)
        theta, bias = e.threshold * scale, e.bias * scale
        if e.subtracts and (np.any(dv < DECAY_ONE) or n.reset == "late"):
            self._subtracting(n, du, dv, theta, bias, constants)
        else:
            self._resetting(n, du, dv, theta, bias, constants)
        kept = (float(np.mean(1 - (du + 1) / DECAY_ONE)), float(np.mean(1 - dv / DECAY_ONE)))
        error = relative_rms([error for _, error in parts])
        self.scaled.append(Scaled(n.name, float(np.mean(scale)), *kept, error, self.named(n.name)))

    def _decays(self, n: Neurons) -> tuple[np.ndarray, np.ndarray]:
        """(du, dv) [*shape]."""
        alpha, beta = (np.broadcast_to(np.asarray(x, float), n.shape) for x in (n.alpha, n.beta))
        du = np.rint((1 - alpha) * DECAY_ONE).astype(np.int64) - 1
        return du, np.rint((1 - beta) * DECAY_ONE).astype(np.int64)

    def _population(self, n: Neurons, name: str, **fields: object) -> Population:
        """One population of a node; fields that are arrays [*shape] have the graph's shape."""
        shape = graph_shape(n.shape)
        values = {
            key: single(narrowed(x.reshape(shape).astype(np.int64)))
            if isinstance(x, np.ndarray)
            else x
            for key, x in fields.items()
        }
        return Population(name, shape, "lif" if n.kind == "spiking" else "readout", **values)  # type: ignore[arg-type]

    def _resetting(
        self,
        n: Neurons,
        du: np.ndarray,
        dv: np.ndarray,
        theta: np.ndarray,
        bias: np.ndarray,
        constants: dict[int, np.ndarray],
    ) -> None:
        """The chip's own neuron. A constant joins the bias, or feeds the current where that has a
        memory.
        """
        memoryless = bool(np.all(du == NO_CURRENT_MEMORY) and np.all(dv == DECAY_ONE))
        if not memoryless and (np.any(du < 0) or np.any(dv == DECAY_ONE)):
            self.notes.append(f"{n.name}: du {du.min()}, dv {dv.max()} lies {OUTSIDE}")
        if np.all(du == NO_CURRENT_MEMORY) and 0 in constants:
            bias, constants = bias + constants[0], {d: c for d, c in constants.items() if d}
        units = whole_units(bias * (1 << CURRENT_SHIFT), n.name)
        if n.inclusive and not theta.any() and n.kind == "spiking":
            if not memoryless:
                raise GraphError(
                    "firing at a threshold of zero cannot be expressed",
                    where=n.name,
                    fix="choose a convention that fires above the threshold",
                )
            units = units + 1
        mantissa, exponent = mantissa_and_exponent(units.reshape(graph_shape(n.shape)))
        fields: dict[str, object] = {
            "bias_mant": mantissa,
            "bias_exp": exponent,
            "memoryless": memoryless,
        }
        if n.subtract and np.any(dv < DECAY_ONE):
            fields["reset"] = "subtract"
            late = "; the float network subtracts a step later" if n.reset == "late" else ""
            self.notes.append(
                f"{n.name}: reset by subtraction beside a current: simulator and reference run "
                f"it, Lava and chips refuse it{late}"
            )
        vth = whole_threshold(theta, n) if n.kind == "spiking" else 0
        dv = np.zeros_like(dv) if memoryless else dv
        self.populations.append(self._population(n, n.name, vth=vth, du=du, dv=dv, **fields))
        self._feed(n, constants)

    def _subtracting(
        self,
        n: Neurons,
        du: np.ndarray,
        dv: np.ndarray,
        theta: np.ndarray,
        bias: np.ndarray,
        constants: dict[int, np.ndarray],
    ) -> None:
        """The state in u; what the threshold takes off comes back one step later through a
        synapse.
        """
        names = self.named(n.name)
        for k, name in enumerate(names, 1):
            vth = whole_threshold(theta, n, k)
            self.populations.append(self._population(n, name, vth=vth, du=dv - 1, dv=DECAY_ONE))
        kept = 1.0 if n.reset == "late" else 1 - dv / DECAY_ONE
        back = -np.rint(kept * theta).astype(np.int64).reshape(graph_shape(n.shape))
        for mantissa, exponent in seven_bit_parts(back):
            self.synapses += [
                self._one_to_one(source, target, mantissa, exponent, 1)
                for source in names
                for target in names
            ]
        self._feed(n, {**constants, 0: constants.get(0, 0.0) + bias})
        several = f"up to {len(names)} spikes" if len(names) > 1 else "at most one spike"
        self.notes.append(
            f"{n.name}: reset by subtraction, {several} a step; the state is held in u "
            f"(du {int(dv.min()) - 1}, dv {DECAY_ONE}), {OUTSIDE}"
        )

    def _feed(self, n: Neurons, constants: Mapping[int, np.ndarray]) -> None:
        """Constant currents, from the population that fires at every step."""
        for delay, current in constants.items():
            for mantissa, exponent in seven_bit_parts(np.rint(np.broadcast_to(current, n.shape))):
                weight = mantissa.reshape(-1, 1).astype(np.int16)
                self.synapses += [
                    Dense(ALWAYS, name, weight, exponent=exponent, delay=delay)
                    for name in self.named(n.name)
                ]

    def _synapses(self, r: Route, m: Map, scale: np.ndarray) -> tuple[list[Synapse], Errors]:
        """The route in integers; none where all weights vanish."""
        m = m.rows_scaled(scale.reshape(m.target))
        weight = m.values()
        largest = float(np.abs(weight).max(initial=0))
        exponent = self._exponent(largest)
        if exponent > widths().exponent:
            raise GraphError(
                "weights differ too much between the sources",
                where=f"{r.source} -> {r.target}",
                limit=f"exponent {widths().exponent}",
                value=exponent,
            )
        mantissa = self._mantissas(r, m, exponent)
        error = ((mantissa * (1.0 * (1 << exponent)) - weight) ** 2).sum(), (weight**2).sum()
        if not mantissa.any():
            self.notes.append(f"{r.source} -> {r.target}: every weight rounds to zero; left out")
            return [], error
        return [
            self._synapse(source, target, r, m, mantissa, exponent)
            for source in self.named(r.source)
            for target in self.named(r.target)
        ], error

    def _synapse(
        self, source: str, target: str, r: Route, m: Map, mantissa: np.ndarray, exponent: int
    ) -> Synapse:
        """One synapse between two populations, of the kind that holds the map as it is."""
        ends = [graph_shape(self.network[name].shape) for name in (r.source, r.target)]
        if isinstance(m, Conv) and [m.source, m.target] == ends:
            geometry = (m.stride, m.padding, m.groups)
            return Conv2d(source, target, mantissa, *geometry, exponent=exponent, delay=r.delay)
        if isinstance(m, Diagonal):
            return self._one_to_one(source, target, mantissa, exponent, r.delay)
        if not isinstance(m, (Conv, Chain)):
            return Dense(source, target, mantissa, exponent=exponent, delay=r.delay)
        rows, columns, weights = m.coordinates()
        weights, size = self._rounded(weights, exponent), (int(np.prod(s)) for s in ends[::-1])
        targets, sources = size
        if targets * sources <= SMALL:
            full = np.zeros((targets, sources), np.int16)
            full[rows, columns] = weights
            return Dense(source, target, full, exponent=exponent, delay=r.delay)
        return _sparse(source, target, rows, columns, weights, exponent, r.delay)

    def _one_to_one(
        self, source: str, target: str, weight: np.ndarray, exponent: int, delay: int
    ) -> Synapse:
        """Neuron i to neuron i, of one weight or each its own."""
        weight = weight.ravel()
        if np.all(weight == weight[0]):
            return OneToOne(source, target, int(weight[0]), exponent=exponent, delay=delay)
        places = np.arange(weight.size)
        return _sparse(source, target, places, places, weight, exponent, delay)

    def rounded_map(self, m: Map, scale: np.ndarray) -> Map:
        """The map as the integers hold it, exponent applied."""
        m = m.rows_scaled(scale.reshape(m.target))
        exponent = self._exponent(float(np.abs(m.values()).max(initial=0)))
        unit = float(1 << exponent)
        if isinstance(m, Diagonal):
            return replace(m, scale=self._rounded(m.scale, exponent) * unit)
        if isinstance(m, (Conv, Matrix)):
            return replace(m, weight=self._rounded(m.weight, exponent) * unit)
        return m

    def _mantissas(self, r: Route, m: Map, exponent: int) -> np.ndarray:
        """Mantissas int16 of a map's stored weights, whose errors cancel on the calibration data
        where there is some.
        """
        weight = m.values()
        moment = self.moments(r, m) if self.moments else None
        if moment is None:
            return self._rounded(weight, exponent)
        rows = weight.reshape(len(weight), -1) / (1 << exponent)
        return compensated(rows, moment, self.top).reshape(weight.shape).astype(np.int16)

    def _exponent(self, largest: float) -> int:
        return max(0, int(np.ceil(np.log2(max(largest, TINY) / (self.top + 0.5)))))

    def _rounded(self, weight: np.ndarray, exponent: int) -> np.ndarray:
        """Mantissas int16 of the weight bits."""
        return np.clip(np.rint(weight / (1 << exponent)), -self.top, self.top).astype(np.int16)

    def _silence(
        self, n: Neurons, r: Route, synapses: list[Synapse], constants: dict[int, np.ndarray]
    ) -> None:
        """Takes from the constants what a silent input brings: weights times its zero point, from
        the step on at which it arrives.
        """
        zero = self.inputs[r.source].zero if r.source in self.inputs else 0
        if not zero or not synapses:
            return
        source, target = (graph_shape(self.network[name].shape) for name in (r.source, n.name))
        silent = np.full((1, *source), zero, np.int64)
        brought = synapses[0].apply(silent, target)[0] << synapses[0].exponent
        constants[r.delay] = constants.get(r.delay, 0.0) - brought.reshape(n.shape)


def _sparse(
    source: str,
    target: str,
    rows: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
    exponent: int,
    delay: int,
) -> Sparse:
    """Its weights alone that are not zero."""
    keep = weights != 0
    places = (x[keep].astype(np.int32) for x in (rows, columns))
    weight = weights[keep].astype(np.int16)
    return Sparse(source, target, weight, *places, exponent=exponent, delay=delay)
