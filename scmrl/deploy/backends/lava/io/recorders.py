"""Recorders that write into memory shared with the parent: reading a Lava variable costs 10-45 us
an element.

Alone in this package: for every process, Lava's compiler executes each file beside the one that
defines its class.
"""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class SpikeRecorder(AbstractProcess):
    """Writes the spikes of each hardware step into `frames` uint8 [steps, n], in turns."""

    def __init__(self, *, frames: np.ndarray, name: str):
        super().__init__(frames=frames, name=name)
        self.s_in = InPort(shape=frames.shape[1:])


@implements(proc=SpikeRecorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySpikeRecorder(PyLoihiProcessModel):
    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: dict[str, np.ndarray]):
        super().__init__(proc_params)
        self.frames = proc_params["frames"]

    def run_spk(self) -> None:
        self.frames[(self.time_step - 1) % len(self.frames)] = self.s_in.recv()


class MembraneRecorder(AbstractProcess):
    """Writes a variable, as it is after each hardware step, into `frames` int32 [steps, n]."""

    def __init__(self, *, variable: Var, frames: np.ndarray, name: str):
        super().__init__(frames=frames, name=name)
        self.state = RefPort(frames.shape[1:])
        self.state.connect_var(variable)


@implements(proc=MembraneRecorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyMembraneRecorder(PyLoihiProcessModel):
    state: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: dict[str, np.ndarray]):
        super().__init__(proc_params)
        self.frames = proc_params["frames"]

    def post_guard(self) -> bool:
        return True

    def run_post_mgmt(self) -> None:
        self.frames[(self.time_step - 1) % len(self.frames)] = self.state.read()
