"""The layers of a netx file -> a graph, exact: a layer is a synapse and the population behind it.

    a[t] = weight . s_before[t - delay]                   dense, conv, pool
         + weight_rec . s[t - 1]                          dense_rec: a synapse of Lava takes a step
    du = iDecay - 1     dv = vDecay     vth = vThMant     bias = 64 bias[i]

In Lava every layer takes a step: layer d of the chain is at its step t in Lava's step t + d. A
graph has no such latency, and is equal after that shift.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np

from ...core.fixed_point import CURRENT_SHIFT, DECAY_ONE, STATE_LIMIT, signed
from ...core.graph import (
    NO_CURRENT_MEMORY,
    Conv2d,
    Dense,
    Graph,
    OneToOne,
    Pointwise,
    Population,
    Synapse,
    Window,
)
from ...system.errors import GraphError
from ..lava.network import MANTISSA, NEVER
from .layers import Layer, by_channel, neuron, shown

INPUT, COUNTS = "input", "counts"
INPUT_WEIGHT = 64  # netx's, of an input layer with neurons that says none
LARGEST_DELAY = 62  # netx cuts longer ones off
DENSE_RANGE = (-256, 254)  # what a matrix of both signs keeps in netx
BIAS_RANGE = signed(16)  # Lava wraps beyond


def graph_of(
    layers: list[Layer], steps: int, bits: int = 1, shape: tuple[int, ...] | None = None
) -> tuple[Graph, tuple[str, ...]]:
    """The graph of a file's layers, checked, and notes on what was assumed. `bits` of the input's
    values; `shape` of the input where the file does not say it. Raises `GraphError`.
    """
    chain = _Chain(_input(layers, bits, shape))
    for layer in layers:
        chain.add(layer)
    return chain.graph(steps), tuple(chain.notes)


def _input(layers: list[Layer], bits: int, shape: tuple[int, ...] | None) -> Population:
    """The input: as the layer of that name says, else of the first matrix, else as the samples."""
    first = layers[0]
    if first.type == "input":
        shape = first.shape()
    elif first.type.startswith("dense"):
        shape = (_matrix(first, "weight").shape[1],)
    elif shape is None:
        raise first.refused(
            "the file does not say the size of its input",
            value=first.type,
            fix="give samples, x [S, T, C, H, W]",
        )
    return Population(INPUT, shape, "input", bits=bits)


class _Chain:
    """Populations and synapses so far; the last population is what the next layer reads."""

    def __init__(self, first: Population):
        self.populations, self.synapses = [first], list[Synapse]()
        self.flat, self.notes = len(first.shape) == 1, list[str]()

    def add(self, layer: Layer) -> None:
        source = self.populations[-1]
        if layer.type == "flatten":
            self.flat = True
        elif layer.type == "input":
            self._encoder(layer)
        else:
            target = _population(layer)
            if layer.type.startswith("dense"):
                self._check_flat(layer)
                self.synapses += _dense(layer, source, target)
            else:
                self._check_image(layer)
                image = _conv if layer.type == "conv" else _pool
                self.synapses.append(image(layer, source, target))
            self._note(layer, target)
            self.populations.append(target)
            self.flat = len(target.shape) == 1

    def _encoder(self, layer: Layer) -> None:
        """An input layer with neurons: `weight` times the input, and `bias`, drive them."""
        if layer.number:
            raise layer.refused("an input behind other layers")
        if "neuron" not in layer.datasets:
            return
        names = layer.datasets
        weight = INPUT_WEIGHT
        if "weight" in names:
            weight = layer.number_of("weight", 1 - STATE_LIMIT, STATE_LIMIT - 1)
        bias = layer.number_of("bias", *BIAS_RANGE) if "bias" in names else 0
        target = replace(_population(layer, bias=False), bias_mant=bias, bias_exp=CURRENT_SHIFT)
        if bias and np.any(np.asarray(target.du) != NO_CURRENT_MEMORY):
            raise layer.refused(
                "a bias of the input before a current with memory",
                "bias",
                value=bias,
                fix=f"iDecay {DECAY_ONE}, or add the bias to the input",
            )
        self.populations.append(target)
        self.synapses.append(OneToOne(INPUT, target.name, weight))
        self.notes.append(
            f"{target.name}: takes {weight} times the input"
            + (f" plus {bias}" if bias else "")
            + " as current, which netx leaves to who feeds its neurons (net.in_layer.transform)"
        )

    def _check_flat(self, layer: Layer) -> None:
        if not self.flat and len(self.populations) > 1:
            raise layer.refused(
                "a dense layer reads an image with no flatten between", value=layer.type
            )

    def _check_image(self, layer: Layer) -> None:
        shape = self.populations[-1].shape
        if self.flat or len(shape) != 3:
            raise layer.refused(
                "reads no image", value=list(shape) if not self.flat else "flat", limit="C, H, W"
            )

    def _note(self, layer: Layer, target: Population) -> None:
        """What Lava or slayer do otherwise, beyond the network itself."""
        looped = layer.type == "dense_rec"
        earlier = [*self.populations, *([target] if looped else [])]
        biased = [p.name for p in earlier if p.bias.any()]
        if biased and (looped or "delay" in layer.datasets):
            self.notes.append(
                f"{layer.name}: on Lava what the bias of {biased[0]} makes fire before a sample"
                f" enters through the {'loop' if looped else 'delay'}; here it begins at rest"
            )
        if target.bias.any() and len(self.synapses) > 1:
            self.notes.append(
                f"{target.name}: its bias begins with the sample, as in netx with reset_interval;"
                " slayer's forward, which resets nothing, begins it earlier, with the first layer's"
            )
        if layer.type == "pool":
            self.notes.append(f"{layer.name}: netx runs no pooling; equal to slayer's")

    def graph(self, steps: int) -> Graph:
        """Checked; the last layer is the readout where it never fires, else its spikes are
        counted.
        """
        last = self.populations[-1]
        if last.kind == "input":
            raise Layer(0, INPUT, {}).refused("no layer with neurons behind the input")
        populations, synapses = list(self.populations), list(self.synapses)
        if np.min(last.vth) >= NEVER:
            populations[-1] = replace(last, kind="readout")
        else:
            each = np.eye(last.shape[0], dtype=np.int8)
            populations.append(Population(COUNTS, last.shape, "readout"))
            synapses.append(Pointwise(last.name, COUNTS, each))
            self.notes.append(
                f"'{COUNTS}' adds up the spikes of {last.name}, so that classes exist"
            )
        graph = Graph(tuple(populations), tuple(synapses), steps).check()
        for p in graph.populations:
            _check_sum(graph, p)
        return graph


def _check_sum(graph: Graph, p: Population) -> None:
    """Lava's convolution wraps at 24 bits, which no synapse here does."""
    convolved = any(isinstance(s, (Conv2d, Window)) for s in graph.incoming(p.name))
    worst = graph.worst_activation(p.name) if convolved else 0
    if worst >= STATE_LIMIT:
        raise GraphError(
            "synaptic sum can wrap in netx's convolution",
            where=p.name,
            limit=STATE_LIMIT - 1,
            value=worst,
        )


def _population(layer: Layer, *, bias: bool = True) -> Population:
    shape, parameters = layer.shape(), neuron(layer)
    if not bias or "bias" not in layer.datasets:
        return Population(layer.name, shape, "lif", **parameters)
    mantissa = layer.numbers("bias")
    low, high = BIAS_RANGE
    if mantissa.min() < low or mantissa.max() > high:
        raise layer.refused(
            "Lava wraps such a bias", "bias", value=shown(mantissa), limit=f"{low}..{high}"
        )
    mantissa = by_channel(layer, "bias", mantissa, shape)
    return Population(
        layer.name, shape, "lif", bias_mant=mantissa, bias_exp=CURRENT_SHIFT, **parameters
    )


def _mantissa(weight: np.ndarray) -> tuple[np.ndarray, int]:
    """Weights as mantissas of 8 bits and an exponent, where they are such; slayer's are even."""
    exponent, (low, high) = 0, MANTISSA
    while (weight.min() < low or weight.max() > high) and not (weight & 1).any():
        weight, exponent = weight >> 1, exponent + 1
    fits = low <= weight.min() and weight.max() <= high
    return weight.astype(np.int8) if fits else weight, exponent


# ---- matrices ------------------------------------------------------------------------------------


def _matrix(layer: Layer, name: str) -> np.ndarray:
    """A weight [targets, sources], flat ones included. Raises where netx runs another matrix."""
    weight, targets = layer.numbers(name), layer.shape()[0]
    if weight.size % targets or weight.ndim > 1 and weight.shape[0] != targets:
        raise layer.refused(
            "does not fit the layer", name, value=list(weight.shape), limit=f"{targets} rows"
        )
    return weight.reshape(targets, -1)


def _check_as_netx(layer: Layer, name: str, weight: np.ndarray) -> None:
    """netx scales a matrix up to 8 bits by 2^k and Lava cuts it to what its signs leave: 255 where
    all have one sign, -256..254 else. Raises where that is another matrix.
    """
    least, most = int(weight.min()), int(weight.max())
    low, high = DENSE_RANGE
    wrong = None
    if least >= 0:
        wrong = most if most > high + 1 else None
    elif most > 0:
        wrong = least if least < low else most if most > high else None
    elif least <= low or -least & (-least - 1) == 0:
        wrong = least  # 2^k |least| = 256, cut to 255
    elif most == 0 and least < -128 and (weight & 1).any():
        wrong = least  # one bit too many is asked for, and all weights become 0
    if wrong is not None:
        raise layer.refused(
            "a matrix that netx changes, running another network than the file says",
            name,
            value=f"{least}..{most}",
            fix=f"it keeps {low}..{high} where both signs are; with no positive weight the lowest"
            " may be no power of two",
        )


def _dense(layer: Layer, source: Population, target: Population) -> Iterator[Synapse]:
    """One synapse for each delay that the file has, and for dense_rec that of its own spikes."""
    weight = _matrix(layer, "weight")
    if weight.shape[1] != source.neurons:
        raise layer.refused(
            "does not fit what it reads", "weight", value=weight.shape[1], limit=source.neurons
        )
    recurrent = _matrix(layer, "weight_rec") if layer.type == "dense_rec" else None
    both = weight if recurrent is None else np.hstack([weight, recurrent])  # netx scales them so
    _check_as_netx(layer, "weight", both)
    delays = _delays(layer, weight)
    values = np.unique(delays)
    layer.check_size(len(values) * weight.size, "delay")
    for delay in values:
        own = weight if len(values) == 1 else np.where(delays == delay, weight, 0)
        if own.any() or len(values) == 1:
            mantissa, exponent = _mantissa(own)
            yield Dense(source.name, target.name, mantissa, exponent=exponent, delay=int(delay))
    if recurrent is not None:
        if delays.any():
            raise layer.refused("a delay of a recurrent layer, whose weights netx scales", "delay")
        mantissa, exponent = _mantissa(recurrent)
        yield Dense(target.name, target.name, mantissa, exponent=exponent, delay=1)


def _delays(layer: Layer, weight: np.ndarray) -> np.ndarray:
    """Steps of every weight, broadcast to it: one for all, one an output (or else one an input)."""
    if "delay" not in layer.datasets:
        return np.zeros((1, 1), np.int32)
    delays = layer.numbers("delay")
    if delays.min() < 0 or delays.max() > LARGEST_DELAY:
        raise layer.refused(
            "netx cuts off such delays", "delay", value=shown(delays), limit=f"0..{LARGEST_DELAY}"
        )
    outs, ins = weight.shape
    if delays.ndim == 0:
        return delays.reshape(1, 1)
    if delays.shape == (outs,):
        return delays[:, None]
    if delays.shape in ((ins,), (outs, ins)):
        return delays.reshape(-1, ins)
    raise layer.refused(
        "does not fit the layer", "delay", value=list(delays.shape), limit=[outs, ins]
    )


# ---- images --------------------------------------------------------------------------------------


def _kernel(layer: Layer) -> np.ndarray:
    """The weight as [C_out, C_in / groups, kh, kw]; slayer's has an axis of time, of length 1."""
    weight = layer.numbers("weight")
    if weight.ndim == 5 and weight.shape[4] == 1:
        weight = weight[..., 0]
    if weight.ndim != 4:
        raise layer.refused("not a kernel", "weight", value=list(weight.shape), limit="4 axes")
    return weight


def _conv(layer: Layer, source: Population, target: Population) -> Conv2d:
    weight, padding = _kernel(layer), layer.pair("padding", 0)
    dilation = layer.pair("dilation", 1)
    kernel = tuple((k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation))
    room = tuple(n + 2 * p for n, p in zip(source.shape[1:], padding))
    if min(dilation) < 1 or any(k > n for k, n in zip(kernel, room)):
        raise layer.refused(
            "a kernel larger than its image", "weight", value=list(kernel), limit=list(room)
        )
    layer.check_size(prod(weight.shape[:2]) * prod(kernel))
    spread = np.zeros((*weight.shape[:2], *kernel), weight.dtype)
    spread[:, :, :: dilation[0], :: dilation[1]] = weight
    mantissa, exponent = _mantissa(spread)
    groups = layer.number_of("groups", 1, source.shape[0]) if "groups" in layer.datasets else 1
    return Conv2d(
        source.name,
        target.name,
        mantissa,
        layer.pair("stride", 1),
        padding,
        groups,
        exponent=exponent,
    )


def _pool(layer: Layer, source: Population, target: Population) -> Synapse:
    """slayer's: one kernel for all channels, on the image with n % k rows and columns of zeros
    behind it. Zeros before the kernel's own taps make that of padding on both sides.
    """
    weight, (channels, *sizes) = _kernel(layer), source.shape
    height, width = kernel = weight.shape[2:]
    behind = tuple(n % k for n, k in zip(sizes, kernel))
    strides = layer.pair("stride", 0), layer.pair("padding", 0), layer.pair("dilation", 1)
    if weight.shape[:2] != (1, 1) or strides != (kernel, (0, 0), (1, 1)):
        raise layer.refused(
            "a pool whose windows overlap or have padding: slayer's run from one channel into"
            " the next",
            "stride",
            value=list(strides[0]),
            limit=list(kernel),
        )
    if (sizes[0] + behind[0]) % height:
        raise layer.refused(
            "a pool of an image whose rows do not fill it: slayer's windows run from one channel"
            " into the next",
            value=sizes[0],
            limit=f"a multiple of {height}, or {height} divides it with its rest added",
        )
    mantissa, exponent = _mantissa(weight)
    ends = (source.name, target.name)
    if not any(behind) and (weight == weight.flat[0]).all():
        return Window(*ends, int(mantissa.flat[0]), kernel, kernel, exponent=exponent)
    full = np.pad(mantissa, ((0, 0), (0, 0), (behind[0], 0), (behind[1], 0)))
    each = np.repeat(full, channels, axis=0)
    return Conv2d(*ends, each, kernel, behind, channels, exponent=exponent)
