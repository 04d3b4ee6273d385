"""Training in several processes, as `torchrun` starts them: the run of one, a part of a batch each.

A batch is cut in equal parts in order; batch norm takes its moments, and alignment its pairs, over
the whole batch, and gradients are averaged: so a step is that of one process up to rounding. The
first process alone measures, writes and speaks.

    torchrun --nproc-per-node 2 -m scmrl train --dataset av-mnist --hard --out runs/two
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import distributed


def rank() -> int:
    return int(os.environ.get("RANK", 0))


def world() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))


def _running() -> bool:
    return world() > 1 and distributed.is_initialized()


def sum_over(totals: np.ndarray) -> int:
    """Adds up float64 `totals` over the processes, in place; returns how many they are."""
    if not _running():
        return 1
    sums = torch.from_numpy(totals)
    if distributed.get_backend() == "nccl":  # which adds up on GPUs alone
        there = sums.cuda()
        distributed.all_reduce(there)
        sums.copy_(there)
    else:
        distributed.all_reduce(sums)
    return world()


def total(values: list[float]) -> list[float]:
    """Sums of `values` over the processes."""
    sums = np.array(values, np.float64)
    sum_over(sums)
    return sums.tolist()


def any_of(flag: bool) -> bool:
    """Whether it is so in any of the processes: all of them decide alike."""
    return total([float(flag)])[0] > 0 if _running() else flag


def whole_batch(part: torch.Tensor) -> torch.Tensor:
    """[B / processes, ...] of each process -> [B, ...], with gradients to each."""
    return _WholeBatch.apply(part) if _running() else part


class _WholeBatch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(part) for _ in range(world())]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        total = grad.clone()
        distributed.all_reduce(total)
        return total.chunk(world())[rank()]


def summed(part: torch.Tensor) -> torch.Tensor:
    """The sum over the processes, with gradients to each."""
    return _Summed.apply(part) if _running() else part


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: torch.Tensor) -> torch.Tensor:
        total = part.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        total = grad.clone()
        distributed.all_reduce(total)
        return total


def trainer_options(accelerator: str) -> dict[str, Any]:
    """What Lightning's Trainer needs to know."""
    if world() == 1:
        return {"devices": 1}
    from lightning.pytorch.strategies import DDPStrategy

    local = int(os.environ.get("LOCAL_WORLD_SIZE", world()))
    backend = "gloo" if accelerator == "cpu" else "nccl"
    strategy = DDPStrategy(process_group_backend=backend, broadcast_buffers=False)
    return {"devices": local, "num_nodes": world() // local, "strategy": strategy}
