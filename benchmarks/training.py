"""Training steps per second, side by side: the published model step by step, ours of it, and the
one for chips.

    python benchmarks/training.py [--rounds N] [--out FILE.json] [--threads N] [--small]

All at the published shape (C = 64, deep embedding, 1 x 32 x 32 per modality, T = 4, batch 32).
`plain` is S-CMRL (He et al. 2025, arXiv 2502.12488) written straight down: a loop over T in every
neuron, frames repeated T times, scores q k^T before v. It has the weights of `ccssa`, and their
losses are compared before anything is timed. The three take turns in rounds, so that a busy machine
slows all alike; the ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from written import add_force, may_write, write_figures

from scmrl.network.model import SCMRL
from scmrl.network.settings import ModelConfig
from scmrl.train.loss import objective
from scmrl.train.published.alignment import alignment
from scmrl.train.published.layers import GAIN, HEADS
from scmrl.train.published.model import AudioVisualSpikformer
from scmrl.train.run import threads

SHAPES = {"audio": (1, 32, 32), "visual": (1, 32, 32)}
BATCH, CLASSES, STEPS, WIDTH = 32, 10, 4, 64
PUBLISHED = ModelConfig(
    attention="ccssa", embedding="deep", fusion="add", alpha=1.5, width=WIDTH, steps=STEPS
)


class Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return (x >= 0).to(x)

    @staticmethod
    def backward(ctx, grad):
        y = (ctx.saved_tensors[0] * 4).sigmoid()
        return grad * 4 * y * (1 - y)


def neuron(current: Tensor) -> Tensor:
    v, spikes = torch.zeros_like(current[0]), []
    for step in current:
        v = v.detach()
        v = v + (step - v) / 2
        spikes.append(Fire.apply(v - 1.0))
        v = v * (1 - spikes[-1].detach())
    return torch.stack(spikes)


class Plain(nn.Module):
    """The published forward pass, using the modules of `net` for their weights and norms alone."""

    def __init__(self, net: AudioVisualSpikformer):
        super().__init__()
        self.net = net

    def layer(self, layer, x: Tensor) -> Tensor:
        y = layer.norm(layer.synapses(x.flatten(0, 1)))
        return neuron(y.view(*x.shape[:2], *y.shape[1:]))

    def embed(self, embedding, x: Tensor) -> Tensor:
        for stage in embedding.stages:
            y = self.layer(stage, x)
            x = F.max_pool2d(y.flatten(0, 1), 3, 2, 1).unflatten(0, y.shape[:2])
        return (x + self.layer(embedding.position, x)).flatten(3)

    def attend(self, attention, x: Tensor, y: Tensor) -> Tensor:
        steps, batch, channels, tokens = x.shape
        q, k, v = (
            self.layer(layer, s).view(steps, batch, HEADS, channels // HEADS, tokens)
            for layer, s in ((attention.query, x), (attention.key, y), (attention.value, y))
        )
        axes = (0, 1, 2, 4, 3) if attention.over == "space" else (4, 1, 2, 0, 3)
        q, k, v = (s.permute(*axes) for s in (q, k, v))
        out = (q @ k.transpose(-2, -1)) @ v * GAIN
        out = out.permute(*((0, 1, 2, 4, 3) if attention.over == "space" else (3, 1, 2, 4, 0)))
        return self.layer(attention.project, neuron(out.reshape(steps, batch, channels, tokens)))

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        net = self.net
        x = {
            m: self.embed(net.embedding[m], frame.repeat(STEPS, 1, 1, 1, 1))
            for m, frame in inputs.items()
        }
        z, features = {}, 0
        for m, other in (("audio", "visual"), ("visual", "audio")):
            block = net.blocks[m]
            spatial, temporal = (
                self.attend(a, x[m], x[other]) for a in (block.spatial, block.temporal)
            )
            product = spatial.mean(3, keepdim=True) * temporal.mean(0, keepdim=True)
            z[m] = neuron(block.transform(product.transpose(2, 3)).transpose(2, 3))
        for m in x:
            tokens = x[m] + net.config.alpha * z[m]
            out = self.layer(net.mlp[m].out, self.layer(net.mlp[m].hidden, tokens))
            features = features + (tokens + out).mean(3)
        return net.heads[0](features.mean(0)), z


def published_loss(logits: Tensor, complement: dict[str, Tensor], labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, label_smoothing=0.1) + alignment(
        complement, labels, 0.07
    )


def jobs(inputs: dict[str, Tensor], labels: Tensor) -> dict[str, Callable[[], Tensor]]:
    """{name: one training step}."""

    def published() -> AudioVisualSpikformer:
        torch.manual_seed(0)
        return AudioVisualSpikformer(PUBLISHED, SHAPES, CLASSES, aligned=True).train()

    plain, ours = Plain(published()), published()
    torch.manual_seed(0)
    chip = SCMRL(
        dataclasses.replace(PUBLISHED, attention="binary", alpha=0.5), SHAPES, CLASSES
    ).train()
    sixths = {m: (x * 63).round() for m, x in inputs.items()}

    def chip_loss() -> Tensor:
        out = chip(sixths)
        return objective(
            out.logits,
            chip.complement(out),
            labels,
            label_smoothing=0.1,
            weight=0.1,
            temperature=0.1,
        )[0]

    def ours_loss() -> Tensor:
        out = ours(inputs)
        return published_loss(out.logits, out.complement, labels)

    losses = {
        "plain": (plain, lambda: published_loss(*plain(inputs), labels)),
        "ccssa": (ours, ours_loss),
        "binary": (chip, chip_loss),
    }

    def step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
        fused = not isinstance(model, Plain)  # as `scmrl train` has it
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=6.25e-4, weight_decay=1e-4, fused=fused
        )

        def once() -> Tensor:
            optimizer.zero_grad()
            value = loss()
            value.backward()
            optimizer.step()
            return value.detach()

        return once

    return {name: step(*pair) for name, pair in losses.items()}


def seconds_of(job: Callable[[], Tensor], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        job()
    return (time.perf_counter() - started) / times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps-per-round", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    add_force(parser)
    parser.add_argument(
        "--small", action="store_true", help="see that it runs: one round of one step"
    )
    options = parser.parse_args()
    may_write(options.out, "figures", options)
    if options.small:
        options.rounds = options.steps_per_round = 1
    threads.use(options.threads)
    random = torch.Generator().manual_seed(1)
    inputs = {m: torch.rand(1, BATCH, *shape, generator=random) for m, shape in SHAPES.items()}
    labels = torch.randint(CLASSES, (BATCH,), generator=random)
    todo = jobs(inputs, labels)
    first = {name: float(job()) for name, job in todo.items()}
    if abs(first["plain"] - first["ccssa"]) > 1e-4:
        raise SystemExit(
            f"plain and ccssa differ: loss {first['plain']:.6f} and {first['ccssa']:.6f}"
        )
    for job in todo.values():
        job()
    rounds: dict[str, list[float]] = {name: [] for name in todo}
    for _ in range(options.rounds):
        for name, job in todo.items():
            rounds[name].append(seconds_of(job, options.steps_per_round))
    figures = {
        name: {
            "samples_per_s": BATCH / statistics.median(times),
            "best_samples_per_s": BATCH / min(times),
            "ratio_to_plain": statistics.median(p / t for p, t in zip(rounds["plain"], times)),
        }
        for name, times in rounds.items()
    }
    print(
        f"training steps, batch {BATCH}, C {WIDTH}, T {STEPS}, {options.threads} thread(s), "
        f"torch {torch.__version__}, {platform.machine()}, load {os.getloadavg()[0]:.1f}\n"
        f"loss of the first step: {first['plain']:.6f} (plain), {first['ccssa']:.6f} (ccssa)"
    )
    for name, row in figures.items():
        print(
            f"{name:8} {row['samples_per_s']:7.1f} samples/s   best"
            f" {row['best_samples_per_s']:7.1f}   x {row['ratio_to_plain']:.2f}"
        )
    if options.out:
        write_figures(
            options.out,
            {
                "figures": figures,
                "batch": BATCH,
                "steps": STEPS,
                "width": WIDTH,
                "threads": options.threads,
                "torch": torch.__version__,
                "load": os.getloadavg()[0],
            },
        )


if __name__ == "__main__":
    main()
