"""lava-dl's netx without torch and torchvision, and a network that it loaded as Lava processes to
run.

netx imports lava-dl's training library for one function of resonate-and-fire neurons, and that
imports torch, torchvision and OpenCV. It gets a stand-in instead, while netx is imported and while
Lava compiles (the compiler executes the files of netx again). With numpy 2 two things in Lava
itself need care, which only netx uses:

1. The Conv process keeps sizes and groups in int8, refused from 128 on.
2. Reshaped ports call numpy.reshape with an argument that numpy 2.4 no longer has.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.abc
import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from ....convert.netx.lowering import LAVA_DL_INSTALL, LAVA_DL_VERSION, NetxNetwork, load_h5py
from ....core.graph import Graph
from ....system.errors import BackendError, MissingDependency
from ..lava import compat
from ..lava.processes import LavaProcesses, shared_zeros

SLAYER = "lava.lib.dl.slayer"
STAND_INS = (
    SLAYER,
    f"{SLAYER}.neuron",
    f"{SLAYER}.neuron.rf",
    "lava.lib.dl.netx.sequential_modules",
)
CONV_SIZES = ("kernel_size", "stride", "padding", "dilation", "groups")


def load() -> str:
    """Import Lava and netx; returns lava-dl's version. Raises `MissingDependency`, or
    `BackendError`.
    """
    compat.load()
    load_h5py()
    try:
        version = importlib.metadata.version("lava-dl")
        with without_slayer():
            importlib.import_module("lava.lib.dl.netx.hdf5")
    except ImportError:
        raise MissingDependency("lava-dl", enables="the netx backend") from None
    if version != LAVA_DL_VERSION:
        raise BackendError(
            "this version of lava-dl is not supported",
            where="netx",
            limit=LAVA_DL_VERSION,
            value=version,
            fix=LAVA_DL_INSTALL,
        )
    _repair()
    return version


@contextlib.contextmanager
def without_slayer() -> Iterator[None]:
    """Stand-ins for lava-dl's training library and for netx's torch layers; torch is not imported
    in here.
    """
    missing = {name: _stand_in(name) for name in STAND_INS if name not in sys.modules}
    sys.modules.update(missing)
    refusal = _NoTorch()
    sys.meta_path.insert(0, refusal)
    try:
        with warnings.catch_warnings():
            # The compiler says so of netx's torch layers.
            warnings.filterwarnings("ignore", message="Cannot import module")
            yield
    finally:
        sys.meta_path.remove(refusal)
        for name in missing:
            sys.modules.pop(name, None)


class _NoTorch(importlib.abc.MetaPathFinder):
    """torch cannot be found: the compiler executes netx's torch layers too, and passes over what
    fails.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if fullname == "torch":
            raise ModuleNotFoundError("torch is not for netx", name=fullname)


def _stand_in(name: str) -> ModuleType:
    library, _, rest = name.partition(".dl.")
    spec = importlib.util.find_spec(f"{library}.dl")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("lava-dl is not there", name=f"{library}.dl")
    home = spec.submodule_search_locations[0]
    module: Any = ModuleType(name, "not loaded by scmrl: netx works without it")
    module.__path__, module.__file__ = [], str(Path(home, *rest.split(".")).with_suffix(".py"))
    module.neuron_params = _no_resonate_and_fire
    return module


def _no_resonate_and_fire(*_: object) -> NoReturn:
    raise BackendError("resonate-and-fire neurons are not supported", where="netx")


def _repair() -> None:
    from lava.magma.core.model.py.type import LavaPyType
    from lava.magma.core.process.ports.ports import ReshapePort
    from lava.proc.conv.models import AbstractPyConvModel

    for name in CONV_SIZES:
        setattr(AbstractPyConvModel, name, LavaPyType(np.ndarray, np.int32, precision=8))
    ReshapePort.get_transform_func_fwd = lambda port: functools.partial(_reshape, shape=port.shape)
    ReshapePort.get_transform_func_bwd = lambda port: functools.partial(
        _reshape, shape=port.old_shape
    )


def _reshape(data: np.ndarray, *, shape: tuple[int, ...]) -> np.ndarray:
    return np.reshape(data, shape)


def build(graph: Graph, network: NetxNetwork, file: Path, inputs: np.ndarray) -> LavaProcesses:
    """Processes for one run of the file on `inputs` [S, T, *shape], recordings in shared memory.

    `spikes` by population: uint8 [hardware steps, *shape in Lava's order]; netx has to be loaded.
    """
    from lava.lib.dl.netx.hdf5 import Network
    from lava.proc.io.source import RingBuffer

    from ..lava.io.recorders import MembraneRecorder, SpikeRecorder

    samples, steps = inputs.shape[:2]
    layers = network.populations[1:]
    hardware_steps = samples * steps + len(layers)
    # The source is no netx layer, so the first layer is one step later than netx takes it to be.
    net = Network(
        str(file),
        input_message_bits=network.bits if network.bits > 1 else 0,
        reset_interval=steps,
        reset_offset=1,
    )
    net.net_config.f.close()
    frames = in_lava_order(inputs.reshape(samples * steps, *inputs.shape[2:]), net.inp.shape)
    late = np.zeros((len(layers), *net.inp.shape), np.int32)  # keeps the source from starting again
    source = RingBuffer(data=np.moveaxis(np.concatenate([frames.astype(np.int32), late]), 0, -1))
    source.s_out.connect(net.inp)
    spikes, membrane, readout = {}, None, None
    for name, layer in zip(layers, net.layers, strict=True):
        if graph[name].fires:
            spikes[name] = shared_zeros((hardware_steps, *layer.out.shape), np.uint8)
            layer.out.connect(SpikeRecorder(frames=spikes[name], name=f"recorder of {name}").s_in)
        else:
            readout, membrane = (
                layer.neuron,
                shared_zeros((hardware_steps, *layer.out.shape), np.int32),
            )
            MembraneRecorder(variable=readout.v, frames=membrane, name=f"recorder of {name}")
    return LavaProcesses(source, {}, readout, spikes, membrane)


def in_lava_order(frames: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Frames [n, C, H, W] as [n, W, H, C]; frames of any shape flattened where Lava's shape is."""
    return frames.reshape(len(frames), -1) if len(shape) == 1 else frames.transpose(0, 3, 2, 1)


def from_lava_order(frames: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse: frames [n, *shape] of a population of that shape."""
    return frames.reshape(len(frames), *shape) if frames.ndim == 2 else frames.transpose(0, 3, 2, 1)
