"""netx files as lava-dl's slayer writes them, made by hand; their run on Lava by lava-dl's own
netx; and slayer's own networks, exported by itself.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from places import ROOT

CUBA = {
    "type": "CUBA",
    "iDecay": 1024,
    "vDecay": 128,
    "vThMant": 80,
    "refDelay": 1,
    "gradedSpike": False,
}


def layer(type_: str, neuron: dict | None = None, **datasets) -> dict:
    """Datasets of one layer by path; `neuron` are changes of `CUBA`, {} for none."""
    neurons = {} if neuron is None else {f"neuron/{k}": v for k, v in (CUBA | neuron).items()}
    return {"type": type_} | datasets | neurons


def write(path: Path, *layers: dict) -> Path:
    with h5py.File(path, "w") as file:
        for i, datasets in enumerate(layers):
            group = file.create_group(f"layer/{i}")
            for name, value in datasets.items():
                if name == "type":
                    group.create_dataset("type", (1,), "S10", [value.encode("ascii")])
                else:
                    group[name] = value
        file["simulation/Ts"] = 1  # slayer's files have more than layers
    return path


def even(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights as slayer quantises them: even, -256..254, in floats."""
    return (2 * random.integers(-128, 128, shape)).astype(np.float32)


def netx():
    """lava-dl's `Network`; skips where Lava is not there."""
    pytest.importorskip("lava.proc", reason="Lava is not installed")
    from scmrl.deploy.backends.netx import blocks
    from scmrl.system.errors import MissingDependency

    try:
        blocks.load()
    except MissingDependency as missing:
        pytest.skip(str(missing))
    from lava.lib.dl.netx.hdf5 import Network

    return Network


def on_lava(path: Path, x: np.ndarray, bits: int = 1) -> list[np.ndarray]:
    """Spikes [T, neurons...] of every layer of the file, in the graph's order C, H, W, for one
    sample x [T, *shape], run by netx on Lava from rest. The arithmetic is Lava's own throughout.
    """
    network = netx()
    from lava.proc.io.source import RingBuffer

    from scmrl.deploy.backends.lava import compat
    from scmrl.deploy.backends.lava.io.recorders import SpikeRecorder
    from scmrl.deploy.backends.lava.processes import LavaProcesses, shared_zeros
    from scmrl.deploy.backends.lava.session import ProcessSession
    from scmrl.deploy.backends.netx import blocks

    steps = len(x)
    with compat.nothing_left(), blocks.without_slayer():
        encoded = h5py.File(path, "r")
        first = "layer/0/neuron" in encoded and encoded["layer/0/type"][0] == b"input"
        encoded.close()
        net = network(
            str(path),
            input_message_bits=bits if bits > 1 else 0,
            reset_interval=steps,
            reset_offset=0 if first else 1,
        )
        net.net_config.f.close()
        if first:
            transform = net.in_layer.transform
            x = x.astype(np.int32) * transform["weight"] + transform["bias"]
        frames = blocks.in_lava_order(x, net.inp.shape).astype(np.int32)
        total = steps + len(net.layers)
        late = np.zeros((total - steps, *net.inp.shape), np.int32)
        source = RingBuffer(data=np.moveaxis(np.concatenate([frames, late]), 0, -1))
        # netx joins the port of an input layer to nothing: who feeds it reaches for its neurons.
        source.s_out.connect(net.in_layer.neuron.a_in if first else net.inp)
        spikes = {}
        for i, block in enumerate(net.layers):
            spikes[i] = shared_zeros((total, *block.out.shape), np.uint8)
            block.out.connect(SpikeRecorder(frames=spikes[i], name=f"recorder {i}").s_in)
        with ProcessSession(LavaProcesses(source, {}, None, spikes, None), 1e18) as session:
            session.advance(total)
    shift = 0 if first else 1
    windows = [spikes[i][i + shift : i + shift + steps] for i in range(len(net.layers))]
    return [w if w.ndim == 2 else w.transpose(0, 3, 2, 1) for w in windows]


SLAYER = """
import json, sys, types
from scmrl.deploy.backends.lava import compat
compat.load()
stand_in = types.ModuleType("lava.lib.dl.slayer.object_detection")
sys.modules[stand_in.__name__] = stand_in  # wants torchvision and OpenCV
import h5py, numpy as np, torch
from lava.lib.dl.slayer import block
from lava.lib.dl.slayer.neuron.norm import MeanOnlyBatchNorm
torch.manual_seed(0)
out, x, recipe = sys.argv[1], np.load(sys.argv[2]), json.loads(sys.argv[3])
cuba = {"threshold": 1.25, "current_decay": 0.25, "voltage_decay": 0.03}
blocks = []
for name, sizes, options in recipe:
    if name == "Flatten":
        blocks.append(block.cuba.Flatten())
        continue
    neuron = cuba | options.pop("neuron", {})
    if neuron.get("norm"):  # its bias
        neuron["norm"] = MeanOnlyBatchNorm
    made = getattr(block.cuba, name)(neuron, *sizes, **options)
    blocks.append(made)
values = torch.from_numpy(x).float().permute(0, *range(2, x.ndim), 1)  # N ... T
spikes = []
with torch.no_grad():
    value = values
    for made in blocks:
        value = made(value)  # makes delays and shapes
    for made in blocks:
        if getattr(made, "delay", None) is not None:
            made.delay.delay.data.mul_(4)
        if type(made).__name__ == "Recurrent":  # keeps its state from run to run
            made.neuron.current_state, made.neuron.voltage_state = torch.zeros(1), torch.zeros(1)
    value = values
    for made in blocks:
        value = made.eval()(value)
        if hasattr(made, "neuron") and made.neuron is not None:
            spikes.append(value.movedim(-1, 1).numpy().astype(np.uint8))
np.savez(out + ".npz", *spikes)
with h5py.File(out, "w") as file:
    for i, made in enumerate(blocks):
        made.export_hdf5(file.create_group(f"layer/{i}"))
"""


def of_slayer(place: Path, x: np.ndarray, *recipe: tuple) -> tuple[Path, list[np.ndarray]]:
    """slayer's own export of blocks (name, sizes, options), and the output [S, T, ...] of each
    block with neurons for x [S, T, ...]. In a process of its own: no other test meets slayer.
    """
    pytest.importorskip("torch", reason="slayer needs torch")
    netx()
    pytest.importorskip("matplotlib", reason="slayer needs matplotlib")
    np.save(place / "x.npy", x)
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", SLAYER, str(place / "slayer.net"), str(place / "x.npy"),
         json.dumps(recipe)],
        capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(place / "slayer.net.npz") as arrays:
        return place / "slayer.net", [arrays[name] for name in arrays.files]
