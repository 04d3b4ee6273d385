"""S-CMRL for hardware: patch embeddings, binary spike attention, MLP blocks, accumulating readout.

    x, r   = embedding(input)                       tokens and their positional branch, per modality
    z      = attention(x + r of this one, x + r of the others)
    h      = LIF(W1 (x + r + alpha z));   m = LIF(W2 h)
    v[t]   = v[t-1] + sum over modalities and tokens of W (x + r + m + alpha z);   class argmax v[T]
    joint:   m = one MLP over the x + r of all modalities;   v[t] = v[t-1] + sum over tokens of W m
    space:   a W for each token;   time:   sum over k < K of W_k, each k T / K steps late   (`axis`)

He et al. 2025, arXiv 2502.12488, with every block in its exact form on a spiking chip (no residual
adder: the layer that follows has one synapse with W and one with alpha W). Without branches (r, and
every residual) it is a chain of layers: x, h = LIF(W1 x), m = LIF(W2 h), v += W m.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from ..hw_profiles.precision import Precision
from .attention import binary
from .baselines import broadcast, joint
from .embedding import embed
from .network import Forward, Network
from .nodes.layer import Layer
from .nodes.maps import Dense, Pooled, Shared
from .nodes.neurons import LIF
from .nodes.node import Input
from .nodes.readout import Readout
from .nodes.signal import Signal
from .nodes.weights import added
from .settings import ModelConfig

# Adds the attention of a modality's own tokens to those of the others, under nodes that begin with
# a name: (network, name, own, others, settings) -> its complementary feature z, one node's signal.
Attention = Callable[[Network, str, Signal, Mapping[str, Signal], ModelConfig], Signal]
ATTENTIONS: dict[str, Attention] = {"binary": binary, "broadcast": broadcast}  # those of a chip


class SCMRL(Network):
    """shapes: {modality: (C, H, W)} of the inputs, unsigned integers of `input_bits`. `attention`:
    one of one's own, in place of that of the settings. `axis`: what the classes are places in, so
    that the readout tells them apart; empty: nothing.
    """

    def __init__(
        self,
        config: ModelConfig,
        shapes: Mapping[str, tuple[int, ...]],
        classes: int,
        precision: Precision = Precision(),
        input_bits: int | Mapping[str, int] = 6,
        attention: Attention | None = None,
        axis: str = "",
    ):
        super().__init__(config.steps, replace(precision, bias_exp_min=config.bias_exp_min))
        self.config, self.shapes = config, dict(shapes)
        bits = input_bits if isinstance(input_bits, Mapping) else dict.fromkeys(shapes, input_bits)
        inputs = {m: self.add(m, Input(shape, bits[m])) for m, shape in shapes.items()}
        self.tokens = {m: embed(self, m, x, config) for m, x in inputs.items()}
        self.complements: dict[str, Signal] = {}
        related = len(shapes) > 1
        if related and attention is None and config.attention == "joint":
            heads = [joint(self, self.tokens, config)]
        else:
            heads = self._blocks(attention or ATTENTIONS.get(config.attention), related)
        if axis == "time":  # what came in the first of K parts, the first two, ...
            late = [k * config.steps // classes for k in range(classes)]
            heads = [head.delayed(steps) for head in heads for steps in late]
        linear = Dense(classes) if axis == "space" else Pooled(classes)
        self.add("readout", Readout(linear), *heads)

    def _blocks(self, attend: Attention | None, related: bool) -> list[Signal]:
        """Adds an attention and an MLP for each modality; gives what the readout reads."""
        config, sources, read = self.config, dict(self.tokens), list[Signal]()
        if attend is not None and related:
            for m, own in self.tokens.items():
                others = {o: x for o, x in self.tokens.items() if o != m}
                self.complements[m] = z = attend(self, f"{m}.attention", own, others, config)
                sources[m] = own + config.alpha * z
        neuron = LIF(dv=config.dv)
        for m, source in sources.items():
            hidden = Layer(Shared(config.mlp_ratio * config.width), neuron)
            h = self.add(f"{m}.mlp.hidden", hidden, source)
            out = self.add(f"{m}.mlp.out", Layer(Shared(config.width), neuron), h)
            read.append(source + out if config.branches else out)
        return read if config.fusion == "concat" else [sum(read[1:], read[0])]

    def complement(self, forward: Forward) -> dict[str, Tensor]:
        """z [T, B, C, ...] of each modality that attends to others."""
        return {m: forward.spikes[z.sources[0].node] for m, z in self.complements.items()}

    def token_spikes(self, forward: Forward) -> dict[str, Tensor]:
        """Sums [T, B, C, H, W] of each modality's tokens and positional branch."""
        return {
            m: added(forward.spikes[s.node] for s in signal.sources)
            for m, signal in self.tokens.items()
        }
