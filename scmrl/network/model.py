"""S-CMRL for hardware: patch embeddings, binary spike attention, MLP blocks, accumulating readout.

    x, r   = embedding(input)                       tokens and their positional branch, per modality
    z      = attention(x + r of this one, x + r of the others)
    h      = LIF(W1 (x + r + alpha z));   m = LIF(W2 h)
    v[t]   = v[t-1] + sum over modalities and tokens of W (x + r + m + alpha z);   class argmax v[T]

He et al. 2025, arXiv 2502.12488, with every block in its exact form on a spiking chip (no residual
adder: the layer that follows has one synapse with W and one with alpha W). Without branches (r, and
every residual) it is a chain of layers: x, h = LIF(W1 x), m = LIF(W2 h), v += W m. In eval mode,
and in training once the norm is folded, each value here is the integer that the chip computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from ..hw_profiles.precision import Precision
from .attention import BinaryAttention
from .embedding import PatchEmbedding
from .layers import Readout, SpikingLayer, added
from .settings import ModelConfig


@dataclass(frozen=True)
class Forward:
    """logits [B, K]; integers membrane [T, B, K], z and spikes [T, B, C, ...] by name."""

    logits: Tensor
    membrane: Tensor
    complement: dict[str, Tensor]
    spikes: dict[str, Tensor]


class SCMRL(nn.Module):
    """shapes: {modality: (C, H, W)} of the inputs, unsigned integers of `input_bits`.

    forward({modality: integers [T or 1, B, C, H, W]}) -> Forward.
    """

    # ModuleDicts by modality.
    embedding: Any
    attention: Any
    mlp_hidden: Any
    mlp_out: Any

    def __init__(
        self,
        config: ModelConfig,
        shapes: Mapping[str, tuple[int, ...]],
        classes: int,
        precision: Precision = Precision(),
        input_bits: int | dict[str, int] = 6,
    ):
        super().__init__()
        self.config, self.shapes = config, shapes
        if isinstance(input_bits, int):  # of all
            input_bits = dict.fromkeys(shapes, input_bits)
        self.input_bits = input_bits
        width, hidden = config.width, config.mlp_ratio * config.width
        precision = replace(precision, bias_exp_min=config.bias_exp_min)
        common: dict[str, Any] = {"dv": config.dv, "precision": precision}
        self.modalities = tuple(shapes)
        form, branches = config.embedding, config.branches
        self.embedding = nn.ModuleDict(
            {
                m: PatchEmbedding(shape[0], width, form, branches=branches, **common)
                for m, shape in shapes.items()
            }
        )
        self.attention = nn.ModuleDict()
        if config.attention == "binary" and len(shapes) > 1:
            masks = {x: getattr(config, x) for x in ("slow_dv", "spatial_vth", "temporal_vth")}
            for m in shapes:
                others = tuple(o for o in shapes if o != m)
                self.attention[m] = BinaryAttention(width, others, **masks, **common)
        self.mlp_hidden = nn.ModuleDict({m: SpikingLayer(width, hidden, **common) for m in shapes})
        self.mlp_out = nn.ModuleDict({m: SpikingLayer(hidden, width, **common) for m in shapes})
        heads = dict.fromkeys(shapes, width) if config.fusion == "concat" else {"shared": width}
        self.readout = Readout(heads, classes, precision=precision)

    def head_of(self, modality: str) -> str:
        return modality if self.config.fusion == "concat" else "shared"

    def forward(self, inputs: dict[str, Tensor]) -> Forward:
        steps, alpha = self.config.steps, self.config.alpha
        spikes: dict[str, Tensor] = {}
        tokens, complement = {}, {}
        for m in self.modalities:
            embedded = self.embedding[m](inputs[m], steps)
            spikes |= {f"{m}.{name}": s for name, s in embedded.items()}
            tokens[m] = spikes[f"{m}.{self.embedding[m].tokens}"]
            if self.config.branches:
                tokens[m] = tokens[m] + embedded["position"]
        for m, attention in self.attention.items():
            attended = attention(tokens[m], {o: tokens[o] for o in attention.others}, steps)
            spikes |= {f"{m}.attention.{name}": s for name, s in attended.items()}
            complement[m] = attended["complement"]
        fan_in: dict[str, dict[float, Tensor]] = {}
        for m in self.modalities:
            sources = {1.0: tokens[m]}
            if m in complement:
                sources = _gather(sources, {alpha: complement[m]})
            spikes[f"{m}.mlp.hidden"] = hidden = self.mlp_hidden[m](sources, steps)
            spikes[f"{m}.mlp.out"] = out = self.mlp_out[m]({1.0: hidden}, steps)
            read = _gather(sources if self.config.branches else {}, {1.0: out})
            pooled = {gain: s.flatten(3).sum(3) for gain, s in read.items()}
            head = self.head_of(m)
            fan_in[head] = _gather(fan_in.get(head, {}), pooled)
        logits, membrane = self.readout(fan_in, steps)
        return Forward(logits, membrane, complement, spikes)

    def token_rates(self, forward: Forward) -> dict[str, Tensor]:
        """Firing rates [B, C] of each modality's tokens and positional branch."""
        rates = {}
        for m, embedding in self.embedding.items():
            names = [embedding.tokens] + (["position"] if self.config.branches else [])
            tokens = added(forward.spikes[f"{m}.{name}"] for name in names)
            rates[m] = tokens.flatten(3).mean((0, 3))
        return rates

    def spiking_layers(self) -> list[SpikingLayer]:
        return [module for module in self.modules() if isinstance(module, SpikingLayer)]

    def fold_norms(self) -> None:
        """Batch norm is live no more: from here on training, too, runs the chip's integers."""
        for layer in self.spiking_layers():
            layer.norm_live = False

    @property
    def parameters_total(self) -> int:
        return sum(p.numel() for p in self.parameters())


def _gather(groups: dict[float, Tensor], more: dict[float, Tensor]) -> dict[float, Tensor]:
    """Fan-in groups of equal gain are one sum: synapses are linear."""
    joined = dict(groups)
    for gain, spikes in more.items():
        joined[gain] = joined[gain] + spikes if gain in joined else spikes
    return joined
