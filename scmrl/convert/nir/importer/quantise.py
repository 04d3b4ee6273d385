"""A float network as an integer graph: decays to 12 bits, weights to 8, one scale a population.

With a threshold theta (each neuron's equation divided by its own, so that theta = 1 for all), a
scale L turns a weight W g / theta into the integer round(L W g / theta) = mantissa << exponent, the
threshold into vth = L and a bias b into round(64 L b) membrane units. L is the largest scale whose
states stay inside 24 bits, and, where all weights are multiples of one step, a multiple of it, so
that they become integers without loss.

Reset by subtraction, which the chip has not: the state is held in u, which no reset touches, and
fed back by a synapse.

    u[t] = beta u[t-1] + a[t] - beta theta s[t-1]     v[t] = u[t]     (du holds beta, dv is 4096)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....core.fixed_point import (
    ACTIVATION_LIMIT,
    CURRENT_SHIFT,
    DECAY_ONE,
    STATE_MAX,
    WEIGHT_BITS,
    signed,
)
from ....core.graph import NO_CURRENT_MEMORY, Conv2d, Dense, Graph, OneToOne, Population, Synapse
from ....data.features.values import ValueScale
from ....system.errors import GraphError, UsageError
from .maps import Conv, Diagonal, Map
from .network import FloatRun, Network, Neurons, Route
from .rounding import (
    Scaled,
    bound,
    graph_shape,
    lattice,
    mantissa_and_exponent,
    normal,
    relative_rms,
    seven_bit_parts,
    uniform,
    whole_threshold,
    whole_units,
    widths,
)

MARGIN = 2.0  # headroom of the state range over what was observed
COARSEST_VTH = 8  # from here on the scale is lowered so that vth is whole
TINY = 1e-30
OUTSIDE = "outside a 12-bit field; simulator and Lava hold it"
ALWAYS = "always"  # the population that fires at every step, for constants

Errors = tuple[float, float]  # squared error of the rounding, squared weights


def quantise(
    network: Network,
    inputs: dict[str, ValueScale],
    observed: FloatRun | None,
    *,
    steps: int,
    weight_bits: int,
) -> tuple[Graph, tuple[Scaled, ...], tuple[str, ...]]:
    """The integer graph, each node's scale, and notes. `observed`: a run on calibration data, for
    the ranges.

    Raises `GraphError` naming the node that integers cannot express.
    """
    if not 2 <= weight_bits <= 16:
        raise UsageError("weights have 2 to 16 bits", where="weight_bits", value=weight_bits)
    builder = _Builder(network, inputs, observed, steps, weight_bits)
    for n in network.neurons:
        builder.add(n)
    return builder.graph(), tuple(builder.scaled), tuple(builder.notes)


@dataclass(frozen=True)
class _Equation:
    """The equation of a node times `ratio` [*shape], so that all its neurons have one threshold and
    one decay of each kind. `bias` and `current` (a constant in I) are float64 [*shape].
    """

    neurons: Neurons
    routes: tuple[Route, ...]
    maps: list[Map]  # in units of the threshold, per integer step of the source
    ratio: np.ndarray
    alpha: float
    beta: float
    threshold: float
    bias: np.ndarray
    current: np.ndarray

    @property
    def largest(self) -> float:
        return max((float(np.abs(m.values()).max(initial=0)) for m in self.maps), default=0.0)

    @property
    def steady(self) -> np.ndarray:
        """What constants bring at every step, at most: [*shape]."""
        return np.abs(self.bias) + np.abs(self.current) + np.zeros(self.neurons.shape)


class _Builder:
    """Populations and synapses of one graph, a node after the other."""

    def __init__(
        self,
        network: Network,
        inputs: dict[str, ValueScale],
        observed: FloatRun | None,
        steps: int,
        weight_bits: int,
    ):
        self.network, self.inputs, self.observed, self.steps = network, inputs, observed, steps
        self.top = signed(weight_bits)[1]
        self.populations: list[Population] = []
        self.synapses: list[Synapse] = []
        self.scaled: list[Scaled] = []
        self.notes: list[str] = []
        if weight_bits > WEIGHT_BITS:
            self.notes.append(
                f"weights of {weight_bits} bits take two synapses each on a chip of 8"
            )

    def graph(self) -> Graph:
        if any(s.source == ALWAYS for s in self.synapses):
            self.populations.append(
                Population(ALWAYS, (1,), memoryless=True, bias_mant=1, bias_exp=CURRENT_SHIFT)
            )
        return Graph(tuple(self.populations), tuple(self.synapses), self.steps).check()

    def add(self, n: Neurons) -> None:
        """One population with its synapses."""
        if n.kind == "input":
            bits = self.inputs[n.name].bits
            self.populations.append(Population(n.name, graph_shape(n.shape), "input", bits=bits))
            return
        if n.name == ALWAYS:
            raise GraphError("this name is taken", where=n.name, fix="rename the node")
        e = self._equation(n)
        scale = self._scale(e)
        parts = [self._synapse(r, m, scale) for r, m in zip(e.routes, e.maps)]
        self.synapses += [s for s, _ in parts if s is not None]
        current = e.current * scale - self._zero_points(n, e.routes, [s for s, _ in parts])
        du = int(np.rint((1 - e.alpha) * DECAY_ONE)) - 1
        dv = int(np.rint((1 - e.beta) * DECAY_ONE))
        if n.subtract and dv < DECAY_ONE:
            self._subtracting(n, du, dv, scale * e.threshold, current + e.bias * scale)
        else:
            self._resetting(n, du, dv, scale * e.threshold, e.bias * scale, current)
        kept, error = (1 - (du + 1) / DECAY_ONE, 1 - dv / DECAY_ONE), [e for _, e in parts]
        self.scaled.append(Scaled(n.name, scale, *kept, relative_rms(error)))

    def _equation(self, n: Neurons) -> _Equation:
        alpha = uniform(n.alpha, n.name, "current decay")
        beta = uniform(n.beta, n.name, "membrane decay")
        ratio, threshold, bias = normal(n, alpha, beta)
        factor = np.broadcast_to(n.gain, n.shape) * ratio
        current = factor * self.network.constants.get(n.name, 0.0)
        routes = self.network.incoming(n.name)
        steps = [self.inputs[r.source].step if r.source in self.inputs else 1.0 for r in routes]
        maps = [
            r.map.rows_scaled((factor * step).reshape(r.map.target))
            for r, step in zip(routes, steps)
        ]
        return _Equation(n, routes, maps, ratio, alpha, beta, threshold, bias, current)

    def _resetting(
        self, n: Neurons, du: int, dv: int, theta: float, bias: np.ndarray, current: np.ndarray
    ) -> None:
        """The chip's own neuron. A constant joins the bias, or feeds the current where that has a
        memory.
        """
        memoryless = du == NO_CURRENT_MEMORY and dv == DECAY_ONE
        if not memoryless and (du < 0 or dv == DECAY_ONE):
            self.notes.append(f"{n.name}: du {du}, dv {dv} lies {OUTSIDE}")
        if du == NO_CURRENT_MEMORY:
            bias, current = bias + current, np.zeros(n.shape)
        units = whole_units(bias * (1 << CURRENT_SHIFT), n.name)
        if n.inclusive and theta == 0:
            if not memoryless:
                raise GraphError(
                    "firing at a threshold of zero cannot be expressed",
                    where=n.name,
                    fix="choose a convention that fires above the threshold",
                )
            units = units + 1
        mantissa, exponent = mantissa_and_exponent(units.reshape(graph_shape(n.shape)))
        self.populations.append(
            Population(
                n.name,
                graph_shape(n.shape),
                "lif" if n.kind == "spiking" else "readout",
                vth=whole_threshold(theta, n),
                du=du,
                dv=0 if memoryless else dv,
                bias_mant=mantissa,
                bias_exp=exponent,
                memoryless=memoryless,
            )
        )
        self._feed(n, current)

    def _subtracting(self, n: Neurons, du: int, dv: int, theta: float, current: np.ndarray) -> None:
        """The state in u; what the threshold takes off comes back one step later through a
        synapse.
        """
        if du != NO_CURRENT_MEMORY:
            raise GraphError(
                "reset by subtraction needs the current's memory for the membrane",
                where=n.name,
                fix="use a neuron without synaptic time constant, or reset to zero",
            )
        vth, shape = whole_threshold(theta, n), graph_shape(n.shape)
        self.populations.append(Population(n.name, shape, vth=vth, du=dv - 1, dv=DECAY_ONE))
        for mantissa, exponent in seven_bit_parts(-np.rint((1 - dv / DECAY_ONE) * theta)):
            back = OneToOne(n.name, n.name, int(mantissa), exponent=exponent, delay=1)
            self.synapses.append(back)
        self._feed(n, current)
        self.notes.append(
            f"{n.name}: reset by subtraction, at most one spike a step; the state is held in u "
            f"(du {dv - 1}, dv {DECAY_ONE}), {OUTSIDE}"
        )

    def _feed(self, n: Neurons, current: np.ndarray) -> None:
        """A constant current, from the population that fires at every step."""
        for mantissa, exponent in seven_bit_parts(np.rint(np.broadcast_to(current, n.shape))):
            weight = mantissa.reshape(-1, 1).astype(np.int16)
            self.synapses.append(Dense(ALWAYS, n.name, weight, exponent=exponent))

    def _scale(self, e: _Equation) -> float:
        """The largest L that keeps the states in range; on the weights' own step where they have
        one.
        """
        largest = e.largest
        if largest == 0:
            return max(1.0, 1024.0 / max(e.threshold, 1.0))
        limit = self._limit(e)
        step = lattice([m.values() for m in e.maps], largest, self.top)
        integers = step and not e.steady.any() and {e.alpha, e.beta} <= {0.0, 1.0}
        if integers and step / largest <= limit:
            return step / largest  # a finer scale gains nothing
        top = self.top // step * step if step else self.top
        room = limit * largest / top
        if room >= 1:
            scale = top * 2.0 ** min(widths().exponent, int(np.log2(room))) / largest
        elif step:
            scale = max(1, int(limit * largest / step)) * step / largest
        else:
            scale = limit
        if not step and scale * e.threshold >= COARSEST_VTH:
            scale = np.floor(scale * e.threshold) / e.threshold
        if scale * largest < 1:
            raise GraphError(
                "range of the inputs leaves no bits for the weights",
                where=e.neurons.name,
                limit=">= 1",
                value=f"largest weight {largest * scale:.2g}",
                fix="use fewer input bits or smaller inputs",
            )
        return float(scale)

    def _limit(self, e: _Equation) -> float:
        """The L at which the first of thresholds, sums, biases and states leaves its range."""
        n, steady = e.neurons, e.steady
        bounds = (bound(m, self._top_value(r)) for r, m in zip(e.routes, e.maps))
        worst = float(sum((b.reshape(n.shape) for b in bounds), steady).max())
        bias_max = widths().bias_mantissa << widths().exponent >> CURRENT_SHIFT
        limit = min(
            widths().vth / max(e.threshold, TINY),
            ACTIVATION_LIMIT / 2 / worst,
            bias_max / max(float(steady.max()), TINY),
            self._state_limit(e, worst),
        )
        if n.subtract or e.alpha > 0:  # thresholds and constants that go through synapses
            constant = float(np.abs(e.bias + e.current).max())
            wide = max(e.threshold if n.subtract else 0.0, constant)
            limit = min(limit, widths().pair / max(wide, TINY))
        return limit

    def _state_limit(self, e: _Equation, worst: float) -> float:
        """L at which 24 bits are full: of the observed states with a margin, or of the worst
        case.
        """
        name, room = e.neurons.name, STATE_MAX / (1 << CURRENT_SHIFT)
        if self.observed is not None:
            peak = max(float(np.max(p * e.ratio)) for p in self.observed.peaks[name])
            return room / (MARGIN * max(peak, e.threshold, TINY))
        growth = [min(self.steps, 1 / max(1 - x, TINY)) for x in (e.alpha, e.beta)]
        peak = max(worst * growth[0] * growth[1], e.threshold)
        if room / peak * e.largest >= self.top:
            return room / peak
        self.notes.append(f"{name}: the 24-bit state may overflow: there is no calibration data")
        return room / max(MARGIN * MARGIN * e.threshold, worst)

    def _top_value(self, r: Route) -> int:
        return (1 << self.inputs[r.source].bits) - 1 if r.source in self.inputs else 1

    def _synapse(self, r: Route, m: Map, scale: float) -> tuple[Synapse | None, Errors]:
        """The route in integers; None where all weights vanish."""
        weight = m.values() * scale
        largest = float(np.abs(weight).max(initial=0))
        exponent = max(0, int(np.ceil(np.log2(max(largest, TINY) / (self.top + 0.5)))))
        if exponent > widths().exponent:
            raise GraphError(
                "weights differ too much between the sources",
                where=f"{r.source} -> {r.target}",
                limit=f"exponent {widths().exponent}",
                value=exponent,
            )
        mantissa = self._rounded(weight, exponent)
        error = ((mantissa * (1.0 * (1 << exponent)) - weight) ** 2).sum(), (weight**2).sum()
        if not mantissa.any():
            self.notes.append(f"{r.source} -> {r.target}: every weight rounds to zero; left out")
            return None, error
        ends = [graph_shape(self.network[name].shape) for name in (r.source, r.target)]
        synapse: Synapse
        if isinstance(m, Conv) and [m.source, m.target] == ends:
            geometry = (m.stride, m.padding, m.groups)
            synapse = Conv2d(
                r.source, r.target, mantissa, *geometry, exponent=exponent, delay=r.delay
            )
        elif isinstance(m, Diagonal) and np.all(mantissa == mantissa[0]):
            synapse = OneToOne(
                r.source, r.target, int(mantissa[0]), exponent=exponent, delay=r.delay
            )
        else:
            if isinstance(m, (Conv, Diagonal)):
                mantissa = self._rounded(m.matrix() * scale, exponent)
            synapse = Dense(r.source, r.target, mantissa, exponent=exponent, delay=r.delay)
        return synapse, error

    def _rounded(self, weight: np.ndarray, exponent: int) -> np.ndarray:
        """Mantissas int16 of the weight bits."""
        return np.clip(np.rint(weight / (1 << exponent)), -self.top, self.top).astype(np.int16)

    def _zero_points(
        self, n: Neurons, routes: tuple[Route, ...], synapses: list[Synapse | None]
    ) -> np.ndarray:
        """What silent inputs bring: integer weights times zero points, int64 [*shape]."""
        total = np.zeros(n.shape, np.int64)
        for r, s in zip(routes, synapses):
            zero = self.inputs[r.source].zero if r.source in self.inputs else 0
            if not zero or s is None:
                continue
            if r.delay:
                raise GraphError(
                    "a delayed input cannot be negative",
                    where=f"{r.source} -> {r.target}",
                    fix="shift the input so that its values are not negative",
                )
            source, target = (graph_shape(self.network[name].shape) for name in (r.source, n.name))
            silent = np.full((1, *source), zero, np.int64)
            total += (s.apply(silent, target)[0] << s.exponent).reshape(n.shape)
        return total
