"""Training in two processes is training in one."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("lightning", reason="training needs lightning")
pytest.importorskip("norse", reason="training needs norse")

from torch import distributed

from scmrl.network import nodes
from scmrl.network.kernels import processes
from scmrl.network.model import SCMRL
from scmrl.network.network import Network
from scmrl.network.settings import ModelConfig
from scmrl.train.loss import objective
from scmrl.train.published.alignment import alignment
from scmrl.train.published.model import AudioVisualSpikformer

SHAPES, BATCH = {"audio": (1, 32, 32), "visual": (1, 32, 32)}, 16
pytestmark = pytest.mark.skipif(not distributed.is_available(), reason="torch without distributed")


def gradients(kind: str, rank: int, world: int) -> dict:
    """One step on this process's part of a fixed batch: averaged gradients, loss, running
    moments.
    """
    torch.manual_seed(0)
    config = dataclasses.replace(ModelConfig(), width=16, steps=2, attention=kind, embedding="deep")
    chip = kind == "binary"
    net = (
        SCMRL(config, SHAPES, 10)
        if chip
        else AudioVisualSpikformer(config, SHAPES, 10, aligned=True)
    ).train()
    random = torch.Generator().manual_seed(1)
    x = {
        m: torch.randint(0, 64, (1, BATCH, *shape), generator=random).float()
        for m, shape in SHAPES.items()
    }
    labels = torch.randint(10, (BATCH,), generator=random)
    part = slice(rank * BATCH // world, (rank + 1) * BATCH // world)
    out = net({m: frames[:, part] for m, frames in x.items()})
    if chip:
        loss, _ = objective(
            out.logits,
            net.complement(out),
            labels[part],
            label_smoothing=0.1,
            weight=0.5,
            temperature=0.1,
        )
    else:
        loss = torch.nn.functional.cross_entropy(out.logits, labels[part])
        loss = loss + alignment(out.complement, labels[part], 0.1)
    return averaged(net, loss, world)


def of_a_network(checkpoint_steps: int, rank: int, world: int) -> dict:
    """The same of a network of one's own: neurons with a current, through time, and a cycle."""
    torch.manual_seed(0)
    net = Network(6)
    net.checkpoint_steps = checkpoint_steps
    x = net.add("x", nodes.Input((5,)))
    h = net.add("h", nodes.Layer(nodes.Dense(12), nodes.LIF(900, 3000, gradient="time")), x)
    r = net.add("r", nodes.Layer(nodes.Dense(8), recurrent="full"), h)
    net.add("readout", nodes.Readout(nodes.Dense(3)), r)
    random = torch.Generator().manual_seed(1)
    given = (torch.rand(6, BATCH, 5, generator=random) < 0.4).float()
    labels = torch.randint(3, (BATCH,), generator=random)
    part = slice(rank * BATCH // world, (rank + 1) * BATCH // world)
    out = net.train()({"x": given[:, part]})
    loss = torch.nn.functional.cross_entropy(out.logits, labels[part])
    return averaged(net, loss, world)


def averaged(net: torch.nn.Module, loss: torch.Tensor, world: int) -> dict:
    loss.backward()
    found = {"loss": loss.detach(), **{name: p.grad for name, p in net.named_parameters()}}
    for value in found.values() if world > 1 else ():
        distributed.all_reduce(value)
        value /= world
    return found | {f"moment {name}": x for name, x in net.named_buffers() if x.is_floating_point()}


KINDS = {
    "binary": functools.partial(gradients, "binary"),
    "ccssa": functools.partial(gradients, "ccssa"),
    "network": functools.partial(of_a_network, 0),
    "network in chunks": functools.partial(of_a_network, 4),
}


def one_of_two(rank: int, folder: str) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE="2")
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    assert processes.any_of(rank == 1) and not processes.any_of(False)  # all of them stop, or none
    assert processes.total([1.0, rank]) == [2.0, 1.0]
    found = {kind: of_kind(rank, 2) for kind, of_kind in KINDS.items()}
    if rank == 0:
        torch.save(found, f"{folder}/found.pt")
    distributed.destroy_process_group()


def test_a_step_in_two_processes_is_a_step_in_one(tmp_path):
    torch.multiprocessing.spawn(one_of_two, (str(tmp_path),), nprocs=2)
    for kind, found in torch.load(tmp_path / "found.pt").items():
        for name, wanted in KINDS[kind](0, 1).items():
            wanted = wanted.detach()
            if not name.endswith("synapses.bias"):  # before a norm: its gradient is rounding alone
                assert float((found[name] - wanted).norm()) <= 1e-4 * float(wanted.norm()) + 1e-7, (
                    kind,
                    name,
                )


def test_torchrun_leaves_one_run(tmp_path):
    run = tmp_path / "run"
    words = [
        "--nproc-per-node",
        "2",
        "-m",
        "scmrl",
        "train",
        "--dataset",
        "digits-av",
        "--epochs",
        "1",
        "--out",
        str(run),
        "--json",
        "--set=model.attention=ccssa",
        "--set=model.embedding=deep",
        "--set=model.width=16",
        "--set=model.steps=1",
        "--set=train.batch=128",
        "--set=train.validation=0.5",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words],
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    assert (
        json.loads(done.stdout)["test_samples"]
        == json.loads((run / "metrics.json").read_text())["test_samples"]
    )
    assert (run / "checkpoints" / "last.ckpt").is_file() and done.stderr.count(
        "epoch 1/1 loss"
    ) == 1
    odd = [
        sys.executable,
        "-m",
        "scmrl",
        "train",
        "--out",
        str(tmp_path / "other"),
        "--set=train.batch=31",
    ]
    refused = subprocess.run(
        odd, capture_output=True, text=True, timeout=100, env={**os.environ, "WORLD_SIZE": "2"}
    )
    assert (
        refused.returncode == 2
        and "equal parts" in refused.stderr
        and "Traceback" not in refused.stderr
    )
