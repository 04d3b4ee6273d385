"""Classification loss and the semantic alignment of the modalities.

    L = CE(logits, y; label smoothing)
      + weight * mean over ordered pairs (a, b) of modalities of A(a, b)             (`alignment`)
      + auxiliary * sum over modalities m, parts p of CE(W_m 4 t_mp + b_m, digit in p)   (`Naming`)

    A(a, b) = -1/B sum_i 1/|P(i)| sum_{j in P(i)} log softmax_j( g_a[i] . g_b[j] / temperature )
    P(i) = {j: y_j = y_i}
    g_m = (f_m - mean f_m) / max(|f_m - mean f_m|, 1e-3)     row by row; mean over the batch
    f_m = rate of the complementary feature z of modality m, over steps and tokens   [B, C]
    t_mp = rate of the tokens of modality m, over steps and tokens (of part p of a scene)  [B, C]

He et al. 2025 (arXiv 2502.12488) take f unnormalised, one direction, and the mean over all B^2
pairs, so the loss and its gradient shrink with the number of classes and vanish where z is silent
or constant. Here every row weighs the same (supervised contrastive form, Khosla et al. 2020, arXiv
2004.11362, L_out). Firing rates are never negative: without the centring all rows point the same
way, all logits are near 1 / temperature, and the loss first moves the common mode.
"""

from __future__ import annotations

import math
from itertools import permutations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..network.kernels.processes import whole_batch
from ..network.nodes.weights import added


def rate_features(complement: Tensor) -> Tensor:
    """z [T, B, C, ...] -> centred, unit-length firing rates [B, C]; finite in silence too."""
    rates = whole_batch(complement.flatten(3).mean((0, 3)))
    return F.normalize(rates - rates.mean(0, keepdim=True), dim=1, eps=1e-3)


def alignment(complement: dict[str, Tensor], labels: Tensor, temperature: float) -> Tensor:
    """Semantic alignment of {modality: z [T, B, C, ...]} for labels [B]; zero for one alone."""
    features = {m: rate_features(z) for m, z in complement.items()}
    labels = whole_batch(labels)
    same = (labels[:, None] == labels[None]).float()
    losses = []
    for a, b in permutations(features, 2):
        log_p = F.log_softmax(features[a] @ features[b].T / temperature, 1)
        losses.append(-((same * log_p).sum(1) / same.sum(1)).mean())
    return torch.stack(losses).mean() if losses else labels.new_zeros((), dtype=torch.float32)


def objective(
    logits: Tensor,
    complement: dict[str, Tensor],
    labels: Tensor,
    *,
    label_smoothing: float,
    weight: float,
    temperature: float,
) -> tuple[Tensor, Tensor]:
    """(total loss, alignment part) for a batch."""
    task = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    if weight == 0 or len(complement) < 2:
        return task, task.new_zeros(())
    part = alignment(complement, labels, temperature)
    return task + weight * part, part


def token_rates(tokens: Tensor, axis: str = "", parts: int = 1) -> Tensor:
    """Rates [B, C, P] of tokens [T, B, C, H, W] over all of them, or of the parts of a scene:
    quarters of the steps (`axis` "time") or of the positions ("space"), row by row.
    """
    if axis == "time":
        return tokens.unflatten(0, (parts, -1)).flatten(4).mean((1, 4)).permute(1, 2, 0)
    if axis == "space":
        return F.adaptive_avg_pool2d(tokens.mean(0), math.isqrt(parts)).flatten(2)
    return tokens.flatten(3).mean((0, 3))[..., None]


class Naming(nn.Module):
    """Names the digit of each modality, or of each part of its scene, from its tokens alone, while
    training a task that relates the digits: without it the embeddings find nothing to relate. Not
    part of the model, not deployed.
    """

    GAIN = 4.0  # rates are small

    def __init__(self, width: int, classes: int, modalities: tuple[str, ...]):
        super().__init__()
        self.heads = nn.ModuleDict({m: nn.Linear(width, classes) for m in modalities})

    def forward(self, rates: dict[str, Tensor], digits: Tensor) -> Tensor:
        """Sum of cross-entropies for rates {modality: [B, C, P]}, digits [B, D] in that order."""
        shown = ((head, part) for m, head in self.heads.items() for part in rates[m].unbind(2))
        return added(
            F.cross_entropy(head(self.GAIN * part), digits[:, i])
            for i, (head, part) in enumerate(shown)
        )
