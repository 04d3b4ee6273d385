"""Semantic alignment as published (He et al. 2025, arXiv 2502.12488): one direction, plain rates.

L = -(1 / B^2) sum_i sum_j [y_i = y_j] log softmax_j( f_a[i] . f_v[j] / temperature )
f_m = mean_t mean_n z_m
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ...network.kernels.processes import whole_batch


def alignment(complement: dict[str, Tensor], labels: Tensor, temperature: float) -> Tensor:
    """Loss of {modality: z [T, B, C, N]} (two modalities, the first one's rows) for labels [B]."""
    first, second = (whole_batch(z.mean((0, 3))) for z in complement.values())
    labels = whole_batch(labels)
    same = (labels[:, None] == labels[None]).float()
    return -(same * F.log_softmax(first @ second.T / temperature, 1)).mean()
