"""A float network as an integer graph: decays to 12 bits, weights to 8, one scale a population.

With a threshold theta (each neuron's equation divided by its own, so that theta = 1 for all), a
scale L turns a weight W g / theta into the integer round(L W g / theta) = mantissa << exponent, the
threshold into vth = L and a bias b into round(64 L b) membrane units. L is the largest scale whose
states stay inside 24 bits, and, where all weights are multiples of one step, a multiple of it, so
that they become integers without loss.

Reset by subtraction, which the chip has not: the state is held in u, which no reset touches, and
fed back by a synapse.

    u[t] = beta u[t-1] + a[t] - beta theta s[t-1]          v[t] = u[t]          (du holds beta, dv is 4096)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....core.fixed_point import (
    ACTIVATION_LIMIT,
    BIAS_MANTISSA_BITS,
    CURRENT_SHIFT,
    DECAY_ONE,
    EXPONENT_MAX,
    STATE_MAX,
    THRESHOLD_MAX,
    WEIGHT_BITS,
    signed,
)
from ....core.graph import NO_CURRENT_MEMORY, Conv2d, Dense, Graph, OneToOne, Population, Synapse
from ....system.errors import GraphError, UsageError
from .maps import Conv, Diagonal, Map
from .network import FloatRun, Network, Neurons, Route, Shape

MARGIN = 2.0  # headroom of the state range over what was observed
BIAS_MANTISSA_MAX, BIAS_EXPONENT_MAX = signed(BIAS_MANTISSA_BITS)[1], 15
LATTICE_TOLERANCE = 1e-4  # of a step: float32 weights of 7 bits are this near
COARSEST_VTH = 8  # from here on the scale is lowered so that vth is whole
TINY = 1e-30
WIDE = 63 << EXPONENT_MAX  # what two 8-bit mantissas of exponents 0 and 7 hold
OUTSIDE = "outside a 12-bit field; simulator and Lava hold it"
ALWAYS = "always"  # the population that fires at every step, for constants


@dataclass(frozen=True)
class InputScale:
    """A graded input: integer q = round(x / step) + zero, of `bits` bits. Spikes and counts have
    step 1.
    """

    step: float = 1.0
    zero: int = 0
    bits: int = 1

    def encode(self, x: np.ndarray) -> np.ndarray:
        """float [...] -> uint8 or uint16 [...]; values beyond the range are clipped."""
        q = np.clip(np.rint(np.asarray(x, float) / self.step) + self.zero, 0, (1 << self.bits) - 1)
        return q.astype(np.uint8 if self.bits <= 8 else np.uint16)

    @classmethod
    def of(cls, x: np.ndarray, bits: int) -> InputScale:
        """From calibration values: whole numbers as they are, others over their range in `bits`
        bits.
        """
        low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
        span = high - low
        if span <= (1 << 16) - 1 and np.array_equal(x, np.rint(x)):
            return cls(1.0, int(-low), max(1, int(span).bit_length()))
        step = span / ((1 << bits) - 1)
        return cls(step, round(-low / step), bits)


@dataclass(frozen=True)
class Scaled:
    """What became of one node: the scale L, the decays that integers hold, the error of the
    weights.
    """

    name: str
    scale: float
    alpha: float
    beta: float
    weight_error: float  # rms of the rounding over rms of the weights


def graph_shape(shape: Shape) -> Shape:
    """(C, L) is held as (C, 1, L), so that a convolution over L is one."""
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape


def quantise(
    network: Network,
    inputs: dict[str, InputScale],
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
        if n.kind == "input":
            builder.populations.append(
                Population(n.name, graph_shape(n.shape), "input", bits=inputs[n.name].bits)
            )
        else:
            builder.add(n)
    return builder.graph(), tuple(builder.scaled), tuple(builder.notes)


class _Builder:
    def __init__(
        self,
        network: Network,
        inputs: dict[str, InputScale],
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
        if n.name == ALWAYS:
            raise GraphError("this name is taken", where=n.name, fix="rename the node")
        alpha, beta = (
            _uniform(n.alpha, n.name, "current decay"),
            _uniform(n.beta, n.name, "membrane decay"),
        )
        ratio, threshold, bias = _normal(n, alpha, beta)
        factor = np.broadcast_to(n.gain, n.shape) * ratio
        current = factor * self.network.constants.get(n.name, 0.0)
        routes = self.network.incoming(n.name)
        maps = [self._map(r, factor) for r in routes]
        scale = self._scale(n, routes, maps, ratio, threshold, (bias, current), (alpha, beta))
        parts = [self._synapse(r, m, scale) for r, m in zip(routes, maps)]
        self.synapses += [s for s, _ in parts if s is not None]
        current = current * scale - self._zero_points(n, routes, parts)
        du, dv = int(np.rint((1 - alpha) * DECAY_ONE)) - 1, int(np.rint((1 - beta) * DECAY_ONE))
        if n.subtract and dv < DECAY_ONE:
            self._subtracting(n, du, dv, scale * threshold, current + bias * scale)
        else:
            self._resetting(n, du, dv, scale * threshold, bias * scale, current)
        self.scaled.append(
            Scaled(
                n.name,
                scale,
                1 - (du + 1) / DECAY_ONE,
                1 - dv / DECAY_ONE,
                _rms([e for _, e in parts]),
            )
        )

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
        units = _whole(bias * (1 << CURRENT_SHIFT), n.name)
        if n.inclusive and theta == 0:
            if not memoryless:
                raise GraphError(
                    "firing at a threshold of zero cannot be expressed",
                    where=n.name,
                    fix="choose a convention that fires above the threshold",
                )
            units = units + 1
        mantissa, exponent = _bias(units.reshape(graph_shape(n.shape)), n.name)
        self.populations.append(
            Population(
                n.name,
                graph_shape(n.shape),
                "lif" if n.kind == "spiking" else "readout",
                _threshold(theta, n),
                du,
                0 if memoryless else dv,
                mantissa,
                exponent,
                memoryless,
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
        self.populations.append(
            Population(n.name, graph_shape(n.shape), "lif", _threshold(theta, n), dv - 1, DECAY_ONE)
        )
        for mantissa, exponent in _parts(-np.rint((1 - dv / DECAY_ONE) * theta)):
            self.synapses.append(
                OneToOne(n.name, n.name, int(mantissa), exponent=exponent, delay=1)
            )
        self._feed(n, current)
        self.notes.append(
            f"{n.name}: reset by subtraction, at most one spike a step; the state is held in u "
            f"(du {dv - 1}, dv {DECAY_ONE}), {OUTSIDE}"
        )

    def _feed(self, n: Neurons, current: np.ndarray) -> None:
        """A constant current, from the population that fires at every step."""
        for mantissa, exponent in _parts(np.rint(np.broadcast_to(current, n.shape))):
            self.synapses.append(
                Dense(ALWAYS, n.name, mantissa.reshape(-1, 1).astype(np.int16), exponent=exponent)
            )

    def _map(self, r: Route, factor: np.ndarray) -> Map:
        """The route's map in units of the target's threshold, per integer step of its source."""
        step = self.inputs[r.source].step if r.source in self.inputs else 1.0
        return r.map.rows_scaled((factor * step).reshape(r.map.target))

    def _scale(self, n: Neurons, routes, maps, ratio, threshold: float, constants, decays) -> float:
        """The largest L that keeps the states in range; on the weights' own step where they have
        one.
        """
        largest = max((float(np.abs(m.values()).max(initial=0)) for m in maps), default=0.0)
        if largest == 0:
            return max(1.0, 1024.0 / max(threshold, 1.0))
        steady = sum(np.abs(c) for c in constants) + np.zeros(n.shape)
        worst = sum(
            (_bound(m, self._top_value(r)).reshape(n.shape) for r, m in zip(routes, maps)), steady
        )
        limit = min(
            THRESHOLD_MAX / max(threshold, TINY),
            ACTIVATION_LIMIT / 2 / worst.max(),
            (BIAS_MANTISSA_MAX << EXPONENT_MAX >> CURRENT_SHIFT) / max(float(steady.max()), TINY),
            self._state_limit(n, ratio, float(worst.max()), decays, threshold, largest),
        )
        if n.subtract or decays[0] > 0:  # thresholds and constants that go through synapses
            wide = max(threshold if n.subtract else 0.0, float(np.abs(sum(constants)).max()))
            limit = min(limit, WIDE / max(wide, TINY))
        step = _lattice([m.values() for m in maps], largest, self.top)
        if step and not steady.any() and set(decays) <= {0.0, 1.0} and step / largest <= limit:
            return step / largest  # integers already: a finer scale gains nothing
        top = self.top // step * step if step else self.top
        room = limit * largest / top
        if room >= 1:
            scale = top * 2.0 ** min(EXPONENT_MAX, int(np.log2(room))) / largest
        else:
            scale = max(1, int(limit * largest / step)) * step / largest if step else limit
        if not step and scale * threshold >= COARSEST_VTH:
            scale = np.floor(scale * threshold) / threshold
        if scale * largest < 1:
            raise GraphError(
                "range of the inputs leaves no bits for the weights",
                where=n.name,
                limit=">= 1",
                value=f"largest weight {largest * scale:.2g}",
                fix="use fewer input bits or smaller inputs",
            )
        return float(scale)

    def _state_limit(
        self, n: Neurons, ratio, worst: float, decays, threshold: float, largest: float
    ) -> float:
        """L at which 24 bits are full: of the observed states with a margin, or of the worst
        case.
        """
        room = STATE_MAX / (1 << CURRENT_SHIFT)
        if self.observed is not None:
            peak = max(float(np.max(p * ratio)) for p in self.observed.peaks[n.name])
            return room / (MARGIN * max(peak, threshold, TINY))
        growth = [min(self.steps, 1 / max(1 - x, TINY)) for x in decays]
        peak = max(worst * growth[0] * growth[1], threshold)
        if room / peak * largest >= self.top:
            return room / peak
        self.notes.append(f"{n.name}: the 24-bit state may overflow: there is no calibration data")
        return room / max(MARGIN * MARGIN * threshold, worst)

    def _top_value(self, r: Route) -> int:
        return (1 << self.inputs[r.source].bits) - 1 if r.source in self.inputs else 1

    def _synapse(
        self, r: Route, m: Map, scale: float
    ) -> tuple[Synapse | None, tuple[float, float]]:
        """The route in integers, and (squared error, squared weights). None where all weights
        vanish.
        """
        weight = m.values() * scale
        largest = float(np.abs(weight).max(initial=0))
        exponent = max(0, int(np.ceil(np.log2(max(largest, 1e-30) / (self.top + 0.5)))))
        if exponent > EXPONENT_MAX:
            raise GraphError(
                "weights differ too much between the sources",
                where=f"{r.source} -> {r.target}",
                limit=f"exponent {EXPONENT_MAX}",
                value=exponent,
            )
        mantissa = np.clip(np.rint(weight / (1 << exponent)), -self.top, self.top).astype(np.int16)
        error = ((mantissa * (1.0 * (1 << exponent)) - weight) ** 2).sum(), (weight**2).sum()
        ends = [graph_shape(self.network[name].shape) for name in (r.source, r.target)]
        if not mantissa.any():
            self.notes.append(f"{r.source} -> {r.target}: every weight rounds to zero; left out")
            return None, error
        common = {"exponent": exponent, "delay": r.delay}
        if isinstance(m, Conv) and [m.source, m.target] == ends:
            return (
                Conv2d(r.source, r.target, mantissa, m.stride, m.padding, m.groups, **common),
                error,
            )
        if isinstance(m, Diagonal) and np.all(mantissa == mantissa[0]):
            return OneToOne(r.source, r.target, int(mantissa[0]), **common), error
        if isinstance(m, (Conv, Diagonal)):
            dense = m.matrix() * scale / (1 << exponent)
            mantissa = np.clip(np.rint(dense), -self.top, self.top).astype(np.int16)
        return Dense(r.source, r.target, mantissa, **common), error

    def _zero_points(self, n: Neurons, routes, parts) -> np.ndarray:
        """What silent inputs bring: integer weights times zero points, int64 [*shape]."""
        total = np.zeros(n.shape, np.int64)
        for r, (s, _) in zip(routes, parts):
            zero = self.inputs[r.source].zero if r.source in self.inputs else 0
            if zero and s is not None:
                if r.delay:
                    raise GraphError(
                        "a delayed input cannot be negative",
                        where=f"{r.source} -> {r.target}",
                        fix="shift the input so that its values are not negative",
                    )
                source, target = (
                    graph_shape(self.network[name].shape) for name in (r.source, n.name)
                )
                silent = np.full((1, *source), zero, np.int64)
                total += (s.apply(silent, target)[0] << s.exponent).reshape(n.shape)
        return total


def _uniform(value: np.ndarray | float, name: str, what: str) -> float:
    """The one 12-bit decay of a population, as a float."""
    values = np.ravel(value)
    if np.ptp(np.rint(values * DECAY_ONE)) > 0:
        raise GraphError(
            f"neurons of one node differ in their {what}",
            where=name,
            value=f"{values.min():.4g}..{values.max():.4g}",
            limit="one value for a population",
            fix="split the node by time constant",
        )
    return float(values.mean()) if np.ptp(values) else float(values[0])


def _normal(n: Neurons, alpha: float, beta: float) -> tuple[np.ndarray, float, np.ndarray]:
    """(ratio, threshold, bias): each neuron's equation times `ratio` [*shape] has the one
    threshold.
    """
    threshold, bias = (
        np.broadcast_to(np.asarray(x, float), n.shape) for x in (n.threshold, n.bias)
    )
    if n.kind != "spiking" or np.all(threshold == 0):
        return np.ones(n.shape), 0.0, bias
    if np.all(threshold > 0):
        ratio = threshold.max() / threshold
        return ratio, float(threshold.max()), bias * ratio
    if alpha == 0 and beta == 0:  # no memory: the threshold is a bias
        return np.ones(n.shape), 0.0, bias - threshold
    raise GraphError(
        "a threshold at or below rest cannot be expressed",
        where=n.name,
        value=float(threshold.min()),
        limit="> 0",
    )


def _threshold(scaled: float, n: Neurons) -> int:
    """vth so that v > vth where the float neuron fires; states lie on whole steps where nothing
    leaks.
    """
    if n.kind != "spiking":
        return 0
    vth = (
        int(np.floor(scaled * (1 + 1e-6)))
        if not n.inclusive
        else int(np.ceil(scaled * (1 - 1e-6))) - 1
    )
    return max(vth, 0)


def _bound(m: Map, top: int) -> np.ndarray:
    """Upper bound of |M s| [targets] for sources up to `top`; of a convolution, away from its
    borders.
    """
    weight = np.abs(m.values())
    if isinstance(m, Conv):
        return np.repeat(weight.reshape(m.target[0], -1).sum(1), m.target[1] * m.target[2]) * top
    return (weight.sum(1) if weight.ndim == 2 else weight) * top


def _lattice(weights: list[np.ndarray], largest: float, top: int) -> int:
    """The smallest m <= top for which every weight is a multiple of largest / m, or 0."""
    values = np.unique(np.concatenate([np.unique(np.abs(w)) for w in weights])) / largest
    if len(values) > 4 * top:
        return 0
    for m in range(1, top + 1):
        if np.abs(values * m - np.rint(values * m)).max() < LATTICE_TOLERANCE:
            return m
    return 0


def _whole(units: np.ndarray, name: str) -> np.ndarray:
    """Rounded to integers, where an exponent can be found for them at all."""
    rounded, limit = np.rint(units), BIAS_MANTISSA_MAX << BIAS_EXPONENT_MAX
    if not np.all(np.abs(rounded) <= limit):
        raise GraphError(
            "bias is too large", where=name, limit=limit, value=float(np.abs(rounded).max())
        )
    return rounded.astype(np.int64)


def _bias(units: np.ndarray, name: str) -> tuple[int | np.ndarray, int]:
    """units = mantissa << exponent with the smallest exponent that fits; the mantissa is
    rounded.
    """
    largest = int(np.abs(units).max())
    exponent = 0
    while round(largest / (1 << exponent)) > BIAS_MANTISSA_MAX:
        exponent += 1
    mantissa = np.rint(units / (1 << exponent)).astype(np.int64)
    return (int(mantissa.flat[0]) if np.all(mantissa == mantissa.flat[0]) else mantissa), exponent


def _parts(value: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """value = sum of (mantissa << exponent), exactly, in steps of 7 bits: two parts up to
    `WIDE`.
    """
    parts, exponent, value = [], 0, np.asarray(value, np.int64)
    while value.any():
        low = (value + 64) % 128 - 64
        if low.any():
            parts.append((low, exponent))
        value, exponent = (value - low) >> 7, exponent + 7
    return parts


def _rms(parts: list[tuple[float, float]]) -> float:
    error, weights = sum(p[0] for p in parts), sum(p[1] for p in parts)
    return float(np.sqrt(error / weights)) if weights else 0.0
