from collections import deque

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class PyToNxAdapter(AbstractProcess):
    """Values into the chip, two steps later."""

    def __init__(self, *, shape, num_message_bits=0):
        super().__init__(shape=shape, steps=2)
        self.inp, self.out = InPort(shape=shape), OutPort(shape=shape)


class NxToPyAdapter(AbstractProcess):
    """Spikes out of the chip, one step later."""

    def __init__(self, *, shape, num_message_bits=0):
        super().__init__(shape=shape, steps=1)
        self.inp, self.out = InPort(shape=shape), OutPort(shape=shape)


class Late(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.held = deque([np.zeros(proc_params["shape"], np.int32)] * proc_params["steps"])

    def run_spk(self):
        self.out.send(self.held.popleft())
        self.held.append(self.inp.recv())


@implements(proc=PyToNxAdapter, protocol=LoihiProtocol)
@requires(CPU)
class PyToNx(Late):
    pass


@implements(proc=NxToPyAdapter, protocol=LoihiProtocol)
@requires(CPU)
class NxToPy(Late):
    pass
