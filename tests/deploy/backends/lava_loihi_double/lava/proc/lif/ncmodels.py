import os

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.nc.model import AbstractNcProcessModel
from lava.magma.core.resources import Loihi2NeuroCore
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LIFReset


@implements(proc=LIFReset, protocol=LoihiProtocol)
@requires(Loihi2NeuroCore)
@tag("fixed_pt")
class NcL2ModelLifReset(PyLifResetModelBitAcc, AbstractNcProcessModel):
    """Refuses what a chip refuses; DOUBLE_FAULT makes it a chip with a broken neuron."""

    def __init__(self, proc_params):
        super().__init__(proc_params)
        interval = proc_params["reset_interval"]
        if interval & (interval - 1):
            raise ValueError(f"reset interval {interval} is no power of two")

    def spiking_activation(self):
        for name, high in (("vth", (1 << 17) - 1), ("du", 4095), ("dv", 4095)):
            value = getattr(self, name)
            if int(value) != value or not 0 <= value <= high:
                raise ValueError(f"{name} = {value} does not fit the chip")
        spikes = super().spiking_activation()
        if os.environ.get("DOUBLE_FAULT") and spikes.size > 1:  # not those of the probe
            spikes = ~spikes
        return spikes
