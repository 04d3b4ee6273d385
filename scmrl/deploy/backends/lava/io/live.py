"""A source whose values are given while it runs. Beside the recorders: Lava's compiler executes
both.
"""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class LiveSource(AbstractProcess):
    """Sends in each hardware step what `values` int32 [n], shared with the parent, holds then."""

    def __init__(self, *, values: np.ndarray):
        super().__init__(values=values)
        self.s_out = OutPort(shape=values.shape)


@implements(proc=LiveSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyLiveSource(PyLoihiProcessModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: dict[str, np.ndarray]):
        super().__init__(proc_params)
        self.values = proc_params["values"]

    def run_spk(self) -> None:
        self.s_out.send(self.values)
