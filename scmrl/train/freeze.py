"""The only door out of torch: a trained S-CMRL becomes an integer graph and a bundle.

Every block is lowered to populations and synapses. Names equal those of `SCMRL.forward().spikes`,
so the spikes of training's own forward can be compared population by population.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .. import __version__
from ..core.activity import Activity
from ..core.bundle import Bundle
from ..core.graph import (
    Broadcast,
    Conv2d,
    Dense,
    Graph,
    OneToOne,
    Pointwise,
    Population,
    SumTokens,
    Synapse,
    Window,
)
from ..core.samples import HELD_OUT, TRUE, Origin
from ..network.attention import BinaryAttention
from ..network.layers import Readout, SpikingLayer
from ..network.model import SCMRL, Forward
from ..network.pooling import POOL
from ..system.errors import ScmrlError
from .feed import steps_first

OR_VTH, AND_VTH = 0, 1  # of unit weights: fires above 0 (any), above 1 (both)


def integers(x: Tensor) -> np.ndarray:
    """The int64 array of a tensor of whole numbers; raises where training's value is not one."""
    array = x.detach().cpu().numpy()
    whole = np.rint(array).astype(np.int64)
    if not np.array_equal(whole, array):
        what = "a frozen value is not an integer; this is a defect of scmrl"
        raise ScmrlError(what, value=float(abs(array - whole).max()))
    return whole


class _Builder:
    """Collects populations and synapses; one method per kind of block."""

    def __init__(self, steps: int):
        self.steps = steps
        self.populations: list[Population] = []
        self.synapses: list[Synapse] = []

    def shape(self, name: str) -> tuple[int, ...]:
        return next(p.shape for p in self.populations if p.name == name)

    def input(self, name: str, shape: tuple[int, ...], bits: int) -> str:
        self.populations.append(Population(name, shape, "input", bits=bits))
        return name

    def layer(self, name: str, layer: SpikingLayer, fan_in: dict[float, list[str]]) -> str:
        """Convolution or shared map + folded norm + LIF. Sources of one gain share one weight."""
        folded = layer.fold(tuple(fan_in))
        source = self.shape(next(iter(fan_in.values()))[0])
        shape = (len(layer.weight), *(-(-n // layer.stride) for n in source[1:]))
        self._lif(name, shape, folded.vth, layer.dv, folded.bias_mant, folded.bias_exp)
        for gain, sources in fan_in.items():
            weight = integers(folded.weights[gain]).astype(np.int16)
            for s in sources:
                self.synapses.append(self._map(s, name, weight, layer.stride))
        return name

    def split_layer(self, name: str, layer: SpikingLayer, sources: list[str]) -> str:
        """As `layer`, sources stacked on the channel axis: each reads its columns of the weight."""
        folded = layer.fold((1.0,))
        shape = (len(layer.weight), *self.shape(sources[0])[1:])
        self._lif(name, shape, folded.vth, layer.dv, folded.bias_mant, folded.bias_exp)
        weight = integers(folded.weights[1.0]).astype(np.int16)
        first = 0
        for s in sources:
            channels = self.shape(s)[0]
            self.synapses.append(self._map(s, name, weight[:, first : first + channels]))
            first += channels
        return name

    def _map(self, source: str, target: str, weight: np.ndarray, stride: int = 1) -> Synapse:
        if weight.ndim == 2:
            return Pointwise(source, target, weight)
        pad = weight.shape[2] // 2
        return Conv2d(source, target, weight, (stride, stride), (pad, pad))

    def _lif(
        self, name: str, shape: tuple[int, ...], vth: int, dv: int, mantissa: Tensor, exponent: int
    ) -> None:
        bias = integers(mantissa).astype(np.int16).reshape(-1, *(1,) * (len(shape) - 1))
        self.populations.append(
            Population(name, shape, vth=vth, dv=dv, bias_mant=bias, bias_exp=exponent)
        )

    def any_in_window(self, name: str, source: str) -> str:
        kernel, stride, padding = ((POOL[key],) * 2 for key in ("kernel", "stride", "padding"))
        synapse = Window(source, name, 1, kernel, stride, padding)
        shape = synapse.output_shape(self.shape(source), ())
        self.populations.append(Population(name, shape, vth=OR_VTH, memoryless=True))
        self.synapses.append(synapse)
        return name

    def both(self, name: str, a: str, b: str) -> str:
        """AND of two trains; one neuron per channel is broadcast over the other's positions."""
        shape = max(self.shape(a), self.shape(b), key=len)
        self.populations.append(Population(name, shape, vth=AND_VTH, memoryless=True))
        for source in (a, b):
            kind = Broadcast if self.shape(source) != shape else OneToOne
            self.synapses.append(kind(source, name, 1))
        return name

    def mask(self, name: str, source: str, vth: int, slow_dv: int | None) -> str:
        memory, shape = slow_dv is not None, self.shape(source)[:1]
        self.populations.append(
            Population(name, shape, vth=vth, dv=slow_dv or 0, memoryless=not memory)
        )
        self.synapses.append(SumTokens(source, name, 1))
        return name

    def readout(
        self, name: str, readout: Readout, fan_in: dict[str, dict[float, list[str]]]
    ) -> str:
        weights, mantissa, exponent, _ = readout.fold(
            {head: tuple(groups) for head, groups in fan_in.items()}
        )
        bias, shape = integers(mantissa), (len(readout.bias),)
        self.populations.append(
            Population(name, shape, "readout", bias_mant=bias, bias_exp=exponent)
        )
        for head, groups in fan_in.items():
            for gain, sources in groups.items():
                weight = integers(weights[head][gain]).astype(np.int16)
                for source in sources:  # one weight per channel, the same at every position
                    positions = int(np.prod(self.shape(source)[1:]))
                    self.synapses.append(Dense(source, name, np.repeat(weight, positions, axis=1)))
        return name


def graph_of(model: SCMRL, classes: tuple[str, ...]) -> Graph:
    """Lower the model's current integers to a checked graph."""
    config = model.config
    build = _Builder(config.steps)
    with torch.no_grad():
        tokens = {m: _embedding(build, model, m) for m in model.modalities}
        complement = {
            m: _attention(build, m, attention, tokens) for m, attention in model.attention.items()
        }
        fan_in: dict[str, dict[float, list[str]]] = {}
        for m in model.modalities:
            sources = {1.0: list(tokens[m])}
            if m in complement:
                sources.setdefault(config.alpha, []).append(complement[m])
            hidden = build.layer(f"{m}.mlp.hidden", model.mlp_hidden[m], sources)
            out = build.layer(f"{m}.mlp.out", model.mlp_out[m], {1.0: [hidden]})
            head = fan_in.setdefault(model.head_of(m), {})
            for gain, names in (sources if config.branches else {}).items():
                head.setdefault(gain, []).extend(names)
            head.setdefault(1.0, []).append(out)
        build.readout("readout", model.readout, fan_in)
    return Graph(tuple(build.populations), tuple(build.synapses), config.steps, classes).check()


def _embedding(build: _Builder, model: SCMRL, m: str) -> list[str]:
    """Names of the token population and, with branches, of its positional branch."""
    embedding = model.embedding[m]
    x = build.input(m, tuple(model.shapes[m]), model.input_bits[m])
    for i, stage in enumerate(embedding.stages, 1):
        x = build.layer(f"{m}.stage{i}", stage, {1.0: [x]})
        if embedding.pooled:
            x = build.any_in_window(f"{m}.pool{i}", x)
    if embedding.position is None:
        return [x]
    return [x, build.layer(f"{m}.position", embedding.position, {1.0: [x]})]


def _attention(
    build: _Builder, m: str, attention: BinaryAttention, tokens: dict[str, list[str]]
) -> str:
    at = f"{m}.attention"
    query_s = build.layer(f"{at}.query_spatial", attention.query_spatial, {1.0: tokens[m]})
    query_t = build.layer(f"{at}.query_temporal", attention.query_temporal, {1.0: tokens[m]})
    gates = []
    for other in attention.others:
        key = build.layer(f"{at}.{other}.key", attention.key[other], {1.0: tokens[other]})
        value = build.layer(f"{at}.{other}.value", attention.value[other], {1.0: tokens[other]})
        both = build.both(f"{at}.{other}.both", key, value)
        spatial = build.mask(f"{at}.{other}.mask_spatial", both, attention.spatial_vth, None)
        temporal = build.mask(
            f"{at}.{other}.mask_temporal", both, attention.temporal_vth, attention.slow_dv
        )
        gates += [
            build.both(f"{at}.{other}.gate_spatial", query_s, spatial),
            build.both(f"{at}.{other}.gate_temporal", query_t, temporal),
        ]
    return build.split_layer(f"{at}.complement", attention.complement, gates)


def activity_of(forward: Forward) -> Activity:
    """Training's own spikes and membranes, samples first: uint8 [S, T, ...], int64 [S, T, K]."""
    spikes = {
        name: s.detach().transpose(0, 1).to(torch.uint8).cpu().numpy()
        for name, s in forward.spikes.items()
    }
    membrane = {"readout": integers(forward.membrane.transpose(0, 1))}
    return Activity(spikes, membrane, "training", f"{__version__}, torch {torch.__version__}")


def freeze(
    model: SCMRL,
    encoded: dict[str, np.ndarray],
    labels: np.ndarray,
    classes: tuple[str, ...],
    *,
    frontend: dict,
    metrics: dict,
    training: dict,
    profile: str,
) -> Bundle:
    """Bundle of the model with samples that training never saw: encoded {modality: uint8 [S, C, H,
    W], over time [S, T, C, H, W]}, their true labels [S].
    """
    graph = graph_of(model, classes)
    model.eval()
    with torch.no_grad():
        trained = activity_of(model({m: steps_first(x) for m, x in encoded.items()}))
    steps, origin = model.config.steps, Origin(HELD_OUT, TRUE)
    inputs = {m: x if x.ndim > 4 else np.repeat(x[:, None], steps, 1) for m, x in encoded.items()}
    true = np.asarray(labels, np.int64)
    return Bundle(graph, inputs, true, trained, frontend, metrics, training, profile, origin)
