"""Synaptic operations of the published model, counted while it runs: non-zero inputs times their fan-out.

    convolution       sum over non-zero inputs of the kernel positions that read it, times output channels
    map over tokens   non-zero inputs times output channels
    attention         A = q k^T as published: sum_d (spikes of q) (spikes of k); then non-zero A times spikes of v

An input in {0, 1} makes accumulations (AC), any other multiplications (MAC), as in NeuroBench and syops-counter. The
products of the two rates in M and batch norm, which is folded away, are not counted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import Attention, Layer


class Counter:
    """Counts what `model` computes inside the `with` block: `ac`, `mac`, `spikes`, over all samples."""

    def __init__(self, model: nn.Module):
        self.ac = self.mac = self.spikes = 0.0
        self.steps = model.config.steps
        self.hooks = []
        for module in model.modules():
            if isinstance(module, Layer):
                self.hooks.append(module.register_forward_hook(self._layer))
            elif isinstance(module, nn.Linear):
                self.hooks.append(module.register_forward_hook(self._linear))
            elif isinstance(module, Attention):
                module.counter = self
        self.attentions = [m for m in model.modules() if isinstance(m, Attention)]

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_error) -> None:
        for hook in self.hooks:
            hook.remove()
        for module in self.attentions:
            module.counter = None

    def per_inference(self, samples: int) -> dict[str, float]:
        """Means over the samples that were run."""
        return {"ac_per_inference": self.ac / samples, "mac_per_inference": self.mac / samples,
                "synops_per_inference": (self.ac + self.mac) / samples, "spikes_per_inference": self.spikes / samples}

    def add(self, operations: float, source: Tensor) -> None:
        if bool(((source == 0) | (source == 1)).all()):
            self.ac += operations
        else:
            self.mac += operations

    def _layer(self, layer: Layer, inputs, spikes: Tensor) -> None:
        x = inputs[0]
        active = (x != 0).float().flatten(0, 1)
        channels = layer.synapses.out_channels
        if isinstance(layer.synapses, nn.Conv2d):
            kernel = layer.synapses.kernel_size[0]
            reads = F.conv2d(active.sum(1, keepdim=True), torch.ones(1, 1, kernel, kernel), padding=kernel // 2)
            operations = float(reads.sum(dtype=torch.float64)) * channels
        else:
            operations = float(active.sum(dtype=torch.float64)) * channels
        repeated = self.steps if len(x) == 1 else 1                     # a static frame is read at every step
        self.add(operations * repeated, x)
        self.spikes += float(spikes.sum(dtype=torch.float64))

    def _linear(self, layer: nn.Linear, inputs, _out) -> None:
        self.add(float((inputs[0] != 0).sum()) * layer.out_features, inputs[0])

    def attention(self, q: Tensor, k: Tensor, v: Tensor) -> None:
        """q, k, v spikes [..., n, d]."""
        self.ac += float((q.sum(-2) * k.sum(-2)).sum(dtype=torch.float64))
        scores = (q @ k.transpose(-1, -2) != 0).float()
        self.mac += float((scores.sum(-2) * v.sum(-1)).sum(dtype=torch.float64))
