"""Synaptic operations of the published model, counted while it runs: non-zero inputs times fan-out.

    convolution       non-zero inputs, each times the kernel positions that read it and channels out
    map over tokens   non-zero inputs times output channels
    attention         A = q k^T: sum_d (spikes of q) (spikes of k);  non-zero A times spikes of v

An input in {0, 1} makes accumulations (AC), any other multiplications (MAC), as in NeuroBench and
syops-counter. The products of the two rates in M and batch norm, which is folded away, are not
counted.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import Attention, Layer
from .model import AudioVisualSpikformer, Complementary


class Counter:
    """Counts what `model` computes inside the `with` block: `ac`, `mac`, `spikes`, over all
    samples; and how much each layer fires: `rates`, spikes per neuron and step.
    """

    def __init__(self, model: AudioVisualSpikformer):
        self.ac = self.mac = self.spikes = 0.0
        self.steps = model.config.steps
        self.fired: dict[str, tuple[float, int]] = {}
        self.hooks = []
        for name, module in model.named_modules():
            watching: list[Any] = []
            if isinstance(module, Layer):
                watching = [self._layer, partial(self._output, name)]
            elif isinstance(module, Complementary):
                watching = [partial(self._output, f"{name}.complement")]
            elif isinstance(module, nn.Linear):
                watching = [self._linear]
            self.hooks += [module.register_forward_hook(hook) for hook in watching]
        self.attentions = [m for m in model.modules() if isinstance(m, Attention)]
        for attention in self.attentions:
            attention.counter = self

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_error: object) -> None:
        for hook in self.hooks:
            hook.remove()
        for module in self.attentions:
            module.counter = None

    def per_inference(self, samples: int) -> dict[str, float]:
        """Means over the samples that were run."""
        return {
            "ac_per_inference": self.ac / samples,
            "mac_per_inference": self.mac / samples,
            "synops_per_inference": (self.ac + self.mac) / samples,
            "spikes_per_inference": self.spikes / samples,
        }

    def add(self, operations: float, source: Tensor) -> None:
        if bool(((source == 0) | (source == 1)).all()):
            self.ac += operations
        else:
            self.mac += operations

    def _layer(self, layer: Layer, inputs: tuple[Tensor, ...], _out: object) -> None:
        x = inputs[0]
        read = (x != 0).float().flatten(0, 1)
        if isinstance(layer.synapses, nn.Conv2d):
            kernel = layer.synapses.kernel_size[0]
            ones = torch.ones(1, 1, kernel, kernel)
            read = F.conv2d(read.sum(1, keepdim=True), ones, padding=kernel // 2)
        operations = float(read.sum(dtype=torch.float64)) * layer.synapses.out_channels
        repeated = self.steps if len(x) == 1 else 1  # a static frame is read at every step
        self.add(operations * repeated, x)

    def _output(
        self, name: str, module: Layer | Complementary, _inputs: object, out: Tensor
    ) -> None:
        total, places = self.fired.get(name, (0.0, 0))
        fired = float(out.sum(dtype=torch.float64))
        self.fired[name] = total + fired, places + out.numel()
        # elsewhere z is a rate or counted already
        if isinstance(module, Layer) or module.transform is not None:
            self.spikes += fired

    @property
    def rates(self) -> dict[str, float]:
        return {name: total / places for name, (total, places) in self.fired.items()}

    def _linear(self, layer: nn.Linear, inputs: tuple[Tensor, ...], _out: object) -> None:
        self.add(float((inputs[0] != 0).sum()) * layer.out_features, inputs[0])

    def attention(self, q: Tensor, k: Tensor, v: Tensor, scores: Tensor | None = None) -> None:
        """q, k, v spikes [..., n, d]; scores in {0, 1}, where they are not the counts q k^T."""
        self.ac += float((q.sum(-2) * k.sum(-2)).sum(dtype=torch.float64))
        active = (q @ k.transpose(-1, -2) != 0).float() if scores is None else scores
        operations = float((active.sum(-2) * v.sum(-1)).sum(dtype=torch.float64))
        if scores is None:
            self.mac += operations
        else:
            self.ac += operations
