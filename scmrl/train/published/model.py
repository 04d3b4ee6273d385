"""AudioVisualSpikformer: S-CMRL of He et al. 2025 (arXiv 2502.12488), and baselines in its shell.

x_a, x_v = embedding(audio), embedding(visual)
ccssa:   M = (mean_n S) (mean_t R),  S, R = spatial, temporal attention of x to y;
         z = LIF(W M + b) with alignment, else z = M;   x' = x + alpha z
ccssa-released: as ccssa, but R joins its heads as the released code does (`Released`)
ccssa-spatial: M = S      ccssa-temporal: M = R      late-float: x' = x
weight-attention: x' = (W2 W1 [mean_n x; mean_n y]) x      sca: x' = cross attention alone
cmci:    x' = MLP(LIF(W1 x + W2 y)) of audio classifies, plain features of both beside it
logits = W mean_t fuse(mean_n MLP(x'_a), mean_n MLP(x'_v)) + b;   where the classes are places in
         space, every token has a W, in time every K-th of the steps
one modality: x' = x + attention(x, x)                      Spikformer's self-attention
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from ...network.kernels import rows
from ...network.nodes.weights import added
from ...network.settings import CCSSA, ModelConfig
from ...system.errors import UsageError
from .layers import HEADS, MLP, Attention, PatchEmbedding, grid_of
from .lif import lif


@dataclass(frozen=True)
class FloatForward:
    """logits [B, K], complement {modality: z [T, B, C, N]}, logits of the auxiliary heads."""

    logits: Tensor
    complement: dict[str, Tensor]
    auxiliary: tuple[Tensor, ...] = ()
    tokens: dict[str, Tensor] = field(default_factory=dict)  # of the embedding, [T, B, C, H, W]


class Released(Attention):
    """Temporal attention as the released code of the paper has it: [B, N, h, T, d] is read as
    [B, N, T, C] in the order of memory, so that heads and steps are mixed. In the paper, and in
    `Attention`, channel (h, d) of step t is what head h gave at t.
    """

    def _joined(self, heads: Tensor) -> Tensor:
        mixed = heads.reshape(*heads.shape[:2], heads.shape[3], -1)
        return mixed.permute(2, 0, 1, 3).flatten(1, 2)


class Complementary(nn.Module):
    """z of a modality: spatio-temporal, spatial or temporal attention; aligned, LIF(W M + b)."""

    def __init__(self, width: int, kind: str, aligned: bool):
        super().__init__()
        self.spatial = Attention(width, "space") if kind != "ccssa-temporal" else None
        temporal = Released if kind == "ccssa-released" else Attention
        self.temporal = temporal(width, "time") if kind != "ccssa-spatial" else None
        self.transform = nn.Linear(width, width) if aligned else None
        if self.transform is not None:
            nn.init.trunc_normal_(self.transform.weight, std=0.02)
            nn.init.zeros_(self.transform.bias)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        s = self.spatial(x, y) if self.spatial else None
        r = self.temporal(x, y) if self.temporal else None
        if s is not None and r is not None:
            m = s.mean(3, keepdim=True) * r.mean(0, keepdim=True)
        else:
            m = r if s is None else s
        if self.transform is None:
            return m
        return rows.back(lif(self.transform(rows.of(m)), len(x)), m.shape[1], m.shape[3:])


class Weighting(nn.Module):
    """w x with one weight per step and sample, w = W2 W1 [mean_n x; mean_n y]."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.Linear(2 * width, width), nn.Linear(width, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.second(self.first(torch.cat([x.mean(3), y.mean(3)], 2))).unsqueeze(3) * x


class PositionedAttention(Attention):
    """Spatial attention of SCA's visual side: a random relative-position matrix, drawn anew each
    time, is added to the scores, which then pass through a LIF.
    """

    def weighted(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        tokens = q.shape[-2]
        table = torch.randn(2 * tokens - 1, device=q.device)
        place = torch.arange(tokens, device=q.device)
        positions = table[place[:, None] - place[None] + tokens - 1]
        scores = lif(q @ k.transpose(-1, -2) + positions, len(q))
        if self.counter is not None:
            self.counter.attention(q, k, v, scores)
        return scores @ v


class SCA(nn.Module):
    """Cross attention alone."""

    def __init__(self, width: int, positioned: bool):
        super().__init__()
        self.attention = (PositionedAttention if positioned else Attention)(width, "space")

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.attention(x, y)


class CMCI(nn.Module):
    """MLP(LIF(W1 x + W2 y)), token by token."""

    def __init__(self, width: int):
        super().__init__()
        self.own, self.other = nn.Linear(width, width), nn.Linear(width, width)
        self.mlp = MLP(width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        mixed = self.own(rows.of(x)) + self.other(rows.of(y))
        return self.mlp(rows.back(lif(mixed, len(x)), x.shape[1], x.shape[3:]))


class AudioVisualSpikformer(nn.Module):
    """shapes {modality: (C, H, W)}; forward({modality: [T or 1, B, C, H, W]}) -> FloatForward.
    `axis`: "space" or "time", what the classes are places in.
    """

    def __init__(
        self,
        config: ModelConfig,
        shapes: Mapping[str, tuple[int, ...]],
        classes: int,
        aligned: bool,
        axis: str = "",
    ):
        super().__init__()
        self.config, self.modalities, width = config, tuple(shapes), config.width
        self.axis, self.classes = axis, classes
        self.grids = {m: grid_of(shape, config.embedding) for m, shape in shapes.items()}
        _check(config, self.grids)
        self.embedding = nn.ModuleDict(
            {m: PatchEmbedding(shape[0], width, config.embedding) for m, shape in shapes.items()}
        )
        self.mlp = nn.ModuleDict({m: MLP(width) for m in shapes})
        self.blocks = nn.ModuleDict()
        if len(shapes) == 1:
            self.blocks[self.modalities[0]] = Attention(width, "space")
        elif config.attention != "late-float":
            makers: dict[str, Callable[[], nn.Module]] = {
                "weight-attention": partial(Weighting, width),
                "cmci": partial(CMCI, width),
                **{kind: partial(Complementary, width, kind, aligned) for kind in CCSSA},
            }
            for i, m in enumerate(shapes):
                makers["sca"] = partial(SCA, width, i == 1)
                self.blocks[m] = makers[config.attention]()
            if config.attention == "cmci":
                del self.blocks[self.modalities[1]]
        heads = 3 if config.attention == "cmci" and len(shapes) > 1 else 1
        fan_in = width * len(shapes) if config.fusion == "concat" and heads == 1 else width
        tokens = math.prod(self.grids[self.modalities[0]])
        fan_in *= {"space": tokens, "time": classes}.get(axis, 1)
        self.heads = nn.ModuleList(nn.Linear(fan_in, classes) for _ in range(heads))

    def forward(self, inputs: dict[str, Tensor]) -> FloatForward:
        steps, alpha, kind = self.config.steps, self.config.alpha, self.config.attention
        x = {m: self.embedding[m](inputs[m], steps) for m in self.modalities}
        plain = {m: tokens.unflatten(3, self.grids[m]) for m, tokens in x.items()}
        if len(x) == 1:
            ((m, tokens),) = x.items()
            tokens = tokens + self.blocks[m](tokens, tokens)
            return FloatForward(self._head(0, {m: self.mlp[m](tokens)}), {}, tokens=plain)
        other = dict(zip(self.modalities, reversed(self.modalities)))
        if kind == "cmci":
            first = self.modalities[0]
            fused = self.blocks[first](x[first], x[other[first]])
            beside = tuple(self._head(i, {m: self.mlp[m](x[m])}) for i, m in enumerate(x, 1))
            return FloatForward(self._head(0, {first: fused}), {}, beside, plain)
        complement = {}
        if kind in CCSSA:
            complement = {m: self.blocks[m](x[m], x[other[m]]) for m in x}
            x = {m: x[m] + alpha * complement[m] for m in x}
        elif self.blocks:
            x = {m: block(x[m], x[other[m]]) for m, block in self.blocks.items()}
        logits = self._head(0, {m: self.mlp[m](x[m]) for m in x})
        return FloatForward(logits, complement, tokens=plain)

    def _head(self, index: int, features: dict[str, Tensor]) -> Tensor:
        pooled = [self._pooled(f) for f in features.values()]
        concat = self.config.fusion == "concat" and len(pooled) > 1
        joined = torch.cat(pooled, 2) if concat else added(pooled)
        return self.heads[index](joined.mean(0))

    def _pooled(self, features: Tensor) -> Tensor:
        """[T, B, C, N] -> [T, B, C]; what tells places apart, [T, B, C N] or [1, B, K C]."""
        if self.axis == "space":
            return features.flatten(2)
        pooled = features.mean(3)
        if self.axis == "time":
            parts = pooled.unflatten(0, (self.classes, -1)).mean(1)
            return parts.transpose(0, 1).flatten(1)[None]
        return pooled

    @property
    def parameters_total(self) -> int:
        return sum(p.numel() for p in self.parameters())


def _check(config: ModelConfig, grids: Mapping[str, tuple[int, int]]) -> None:
    """Raise UsageError for what the published model cannot be."""
    if config.width % HEADS:
        what, limit = "the published attention has 16 heads", "a multiple of 16"
        raise UsageError(what, where="model.width", limit=limit, value=config.width)
    if len(grids) > 2:
        what = "the published model takes one or two modalities"
        fix = "--set model.attention=binary takes any number"
        raise UsageError(what, where="model.modalities", value=", ".join(grids), fix=fix)
    tokens = {m: math.prod(grid) for m, grid in grids.items()}
    apart = config.attention in ("late-float", "weight-attention")
    if len(set(tokens.values())) > 1 and not apart:
        what = "the published attention needs equally many tokens of both"
        found = ", ".join(f"{m} {n}" for m, n in tokens.items())
        fix = "--set model.attention=binary takes any numbers"
        raise UsageError(what, where="model.attention", value=found, fix=fix)
