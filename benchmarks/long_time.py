"""Training over many steps, side by side: ours, at once and in chunks of steps, norse and snntorch
on the same event network.

    python benchmarks/long_time.py [--rounds N] [--out FILE.json] [--threads N] [--small]

Events 2 x 32 x 32 over T = 300 steps, batch 8; convolutions 3 x 3 of stride 2 to 16 and to 32
channels, each with leaky neurons, ten classes by a readout that adds up; gradients through time,
Adam. The others are stepped by a loop over T, as their tutorials do; ours computes what the chip
will. They take turns in rounds, so that a busy machine slows all alike; a ratio is the median
over rounds. Memory is that of a process of its own after one training step: its peak less what it
held before the step.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from written import add_force, may_write, write_figures

from scmrl.network.network import Network
from scmrl.network.nodes.layer import Layer
from scmrl.network.nodes.maps import Conv2d, Dense
from scmrl.network.nodes.neurons import LIF
from scmrl.network.nodes.node import Input
from scmrl.network.nodes.readout import Readout
from scmrl.train.run import memory as kept_memory
from scmrl.train.run import threads

SHAPE, CHANNELS, CLASSES, BATCH, STEPS = (2, 32, 32), (16, 32), 10, 8, 300
CHUNK = 50  # steps
RATE, KEEP = 0.05, 0.9  # of the events; of the membrane, a step


class Norse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        from norse.torch import LIFBoxCell, LIFBoxParameters

        kept = LIFBoxParameters(tau_mem_inv=torch.tensor((1 - KEEP) * 1000), v_th=torch.tensor(0.1))
        self.maps, self.head = convolutions(), nn.Linear(features(), CLASSES)
        self.cells = nn.ModuleList(LIFBoxCell(kept) for _ in CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        states: list = [None] * len(CHANNELS)
        total = torch.zeros(x.shape[1], CLASSES)
        for frame in x:
            for i, (linear, cell) in enumerate(zip(self.maps, self.cells)):
                frame, states[i] = cell(linear(frame), states[i])
            total = total + self.head(frame.flatten(1))
        return total / len(x)


class SnnTorch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        import snntorch

        self.maps, self.head = convolutions(), nn.Linear(features(), CLASSES)
        self.cells = nn.ModuleList(snntorch.Leaky(beta=KEEP) for _ in CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        states = [cell.init_leaky() for cell in self.cells]
        total = torch.zeros(x.shape[1], CLASSES)
        for frame in x:
            for i, (linear, cell) in enumerate(zip(self.maps, self.cells)):
                frame, states[i] = cell(linear(frame), states[i])
            total = total + self.head(frame.flatten(1))
        return total / len(x)


class Ours(nn.Module):
    def __init__(self, checkpoint_steps: int = 0) -> None:
        super().__init__()
        self.net = Network(STEPS)
        self.net.checkpoint_steps = checkpoint_steps
        h, neuron = (
            self.net.add("events", Input(SHAPE)),
            LIF(round(4096 * (1 - KEEP)), gradient="time"),
        )
        for i, channels in enumerate(CHANNELS):
            layer = Layer(Conv2d(channels, stride=2), neuron, norm=False, gamma=3.0)
            h = self.net.add(f"conv{i}", layer, h)
        self.net.add("readout", Readout(Dense(CLASSES)), h)

    def forward(self, x: Tensor) -> Tensor:
        return self.net({"events": x}).logits


def chunks() -> Ours:
    return Ours(CHUNK)


MODELS = {"scmrl": Ours, "chunks": chunks, "norse": Norse, "snntorch": SnnTorch}


def convolutions() -> nn.ModuleList:
    before = (SHAPE[0], *CHANNELS)
    maps = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(before, CHANNELS))
    for linear in maps:
        linear.weight.data *= 3
    return maps


def features() -> int:
    return CHANNELS[-1] * (SHAPE[1] // 4) * (SHAPE[2] // 4)


def job(name: str, steps: int) -> Callable[[], float]:
    """One training step."""
    torch.manual_seed(0)
    x = (torch.rand(steps, BATCH, *SHAPE) < RATE).float()
    labels = torch.randint(CLASSES, (BATCH,))
    model = MODELS[name]().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def once() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return once


def held(field: str) -> int:
    """Bytes that this process holds now ("VmRSS"), or held at most ("VmHWM")."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


def memory_of_a_step(name: str, steps: int) -> None:
    """Print how many bytes a training step of `steps` takes, after one that is short."""
    job(name, 2)()
    step = job(name, steps)
    before = held("VmRSS")
    step()
    print(held("VmHWM") - before)


def memory(name: str, options: argparse.Namespace) -> int:
    command = [sys.executable, __file__, "--memory", name, "--steps", str(options.steps)]
    done = subprocess.run(
        [*command, "--threads", str(options.threads)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


def there(name: str) -> bool:
    try:
        MODELS[name]()
    except ImportError:
        print(f"{name} is not installed", file=sys.stderr)
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS, help="T")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file of the figures")
    add_force(parser)
    parser.add_argument("--small", action="store_true", help="see that it runs: one round, T = 12")
    parser.add_argument("--memory", choices=list(MODELS), help="of one, in this process")
    options = parser.parse_args()
    threads.use(options.threads)
    kept_memory.keep()  # as `scmrl train` does; the others take turns in the same process
    if options.memory:
        memory_of_a_step(options.memory, options.steps)
        return
    may_write(options.out, "figures", options)
    if options.small:
        options.rounds, options.steps = 1, 12
    todo = {name: job(name, options.steps) for name in MODELS if there(name)}
    for once in todo.values():
        once()
    rounds: dict[str, list[float]] = {name: [] for name in todo}
    for _ in range(options.rounds):
        for name, once in todo.items():
            started = time.perf_counter()
            once()
            rounds[name].append(time.perf_counter() - started)
    figures = {
        name: {
            "samples_per_s": BATCH / statistics.median(times),
            "speed_to_scmrl": statistics.median(o / t for o, t in zip(rounds["scmrl"], times)),
            "memory_mb": memory(name, options) / 1e6,
        }
        for name, times in rounds.items()
    }
    print(
        f"training steps, T {options.steps}, batch {BATCH}, {options.threads} thread(s), torch "
        f"{torch.__version__}, {platform.machine()}, load {os.getloadavg()[0]:.1f}"
    )
    for name, row in figures.items():
        print(
            f"{name:9} {row['samples_per_s']:7.2f} samples/s   x {row['speed_to_scmrl']:.2f}   "
            f"{row['memory_mb']:8.0f} MB"
        )
    if options.out:
        more = {"batch": BATCH, "steps": options.steps, "threads": options.threads}
        about = {"torch": torch.__version__, "load": os.getloadavg()[0]}
        write_figures(options.out, {"figures": figures, **more, **about})


if __name__ == "__main__":
    main()
