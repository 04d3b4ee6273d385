"""What torch computes in one piece, taken apart: an attention as its two products and its softmax.

scores = q k^T * scale, masked        out = softmax(scores) v
"""

from __future__ import annotations

import math

import torch


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """`torch.nn.functional.scaled_dot_product_attention` without dropout: queries [..., L, E], keys
    [..., S, E], values [..., S, V], out [..., L, V].
    """
    if enable_gqa:
        heads = query.shape[-3] // key.shape[-3]
        key, value = (x.repeat_interleave(heads, -3) for x in (key, value))
    scores = query @ key.transpose(-2, -1)
    scores = scores * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ value
