"""A `LoihiNetwork` as Lava processes: the very same objects for Lava's simulator and for the chip.

    host:  source -> adapter |  chip:  Sparse or Dense -> LIFReset -> ...  |  adapter -> recorder
           (host)                      (DelaySparse, DelayDense where they wait)

Only the adapters differ. On the simulator there are none (`Direct`); on a board they are the
processes of `lava.proc.embedded_io`, which come with lava-loihi and take steps of their own
(`Latency`): how many is measured on the board by a probe, since no document says it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....convert.lava.network import SOURCE
from ....core.graph import NO_CURRENT_MEMORY
from ....system.errors import BackendError
from ..lava.lava import Session
from ..lava.processes import LavaProcesses, bias_at, shared_zeros, source_values, synapses
from .lowering import LOWEST_MEMORY, Cells, LoihiNetwork

DENSE_FROM = 0.5  # share of non-zero weights from which a matrix is stored whole
PROBE_STEPS, PROBE_AT, CLOCK_FIRES_AT = 64, 16, 9


@dataclass(frozen=True)
class Latency:
    """Hardware steps that the adapters take: values into the chip, spikes and states out of it."""

    into: int = 0
    spikes: int = 0
    states: int = 0

    @property
    def total(self) -> int:
        return self.into + max(self.spikes, self.states)


class Direct:
    """No adapters: host and chip are one simulator."""

    def into_chip(self, port: Any, bits: int) -> Any:
        return port

    def spikes_of(self, port: Any) -> Any:
        return port

    def record_state(self, variable: Any, frames: np.ndarray, name: str) -> None:
        from ..lava.io.recorders import MembraneRecorder

        MembraneRecorder(variable=variable, frames=frames, name=name)


class Embedded:
    """lava-loihi's adapters, which run on the embedded processors of the chip."""

    def __init__(self) -> None:
        from lava.proc.embedded_io.spike import NxToPyAdapter, PyToNxAdapter
        from lava.proc.embedded_io.state import Read

        self._into, self._out, self._read = PyToNxAdapter, NxToPyAdapter, Read

    def into_chip(self, port: Any, bits: int) -> Any:
        adapter = self._into(shape=port.shape, num_message_bits=bits)
        port.connect(adapter.inp)
        return adapter.out

    def spikes_of(self, port: Any) -> Any:
        adapter = self._out(shape=port.shape, num_message_bits=0)
        port.connect(adapter.inp)
        return adapter.out

    def record_state(self, variable: Any, frames: np.ndarray, name: str) -> None:
        from ..lava.io.recorders import SpikeRecorder

        reader = self._read(shape=variable.shape, interval=1, offset=0)
        reader.connect_var(variable)
        reader.out.connect(SpikeRecorder(frames=frames, name=name).s_in)


def build(
    loihi: LoihiNetwork,
    inputs: dict[str, np.ndarray],
    *,
    adapters: Direct | Embedded,
    latency: Latency = Latency(),
    recorded: bool = True,
    own_processes: bool = True,
) -> LavaProcesses:
    """Processes for one run on `inputs` {name: [S, window, *shape]}; Lava has to be loaded.

    The recordings begin where the chip's first step arrives. `recorded=False` reads nothing back,
    and the inputs start again after the last sample.
    """
    from lava.proc.io.source import RingBuffer

    from ..lava.io.recorders import SpikeRecorder

    network = loihi.network
    samples = next(iter(inputs.values())).shape[0]
    steps = network.hardware_steps(samples) + latency.total
    values = source_values(network, inputs)
    if recorded:
        values = np.pad(values, ((0, 0), (0, steps - values.shape[1])))
    else:
        values = _wrapped(values, samples * network.steps)
    source = RingBuffer(data=values)
    bits = max((w.message_bits for w in network.weights if w.source == SOURCE), default=1)
    head = adapters.into_chip(source.s_out, _message_bits(bits))
    neurons = {c.name: _neurons(c, loihi, latency.into) for c in loihi.cells}
    counts = {SOURCE: network.source_count} | {c.name: c.count for c in loihi.cells}
    for w in network.weights:
        shape = (counts[w.target], counts[w.source])
        synapse = synapses(
            w,
            shape,
            _message_bits(bits if w.source == SOURCE else 1),
            whole=len(w.mantissa) >= DENSE_FROM * shape[0] * shape[1],
        )
        (head if w.source == SOURCE else neurons[w.source].s_out).connect(synapse.s_in)
        synapse.a_out.connect(neurons[w.target].a_in)
    readout = None if network.readout is None else neurons.get(network.readout)
    if not recorded:
        return LavaProcesses(source, neurons, readout, {}, None)
    zeros = shared_zeros if own_processes else np.zeros
    homes = {place.process for place in network.places} - {network.readout}
    spikes = {name: zeros((steps, counts[name]), np.uint8) for name in sorted(homes)}
    for name, frames in spikes.items():
        out = adapters.spikes_of(neurons[name].s_out)
        out.connect(SpikeRecorder(frames=frames, name=f"recorder of {name}").s_in)
    membrane = None
    if readout is not None:
        membrane = zeros((steps, *readout.s_out.shape), np.int32)
        if own_processes:  # in one OS process the session itself reads it
            adapters.record_state(readout.v, membrane, f"recorder of {network.readout}")
        membrane = membrane[latency.into + latency.states :]
    first = latency.into + latency.spikes
    return LavaProcesses(
        source,
        neurons,
        readout,
        {name: frames[first:] for name, frames in spikes.items()},
        membrane,
    )


def _wrapped(values: np.ndarray, period: int) -> np.ndarray:
    """What comes after the period is that of the samples' next turn: [n, steps] -> [n, period]."""
    out = values[:, :period].copy()
    for start in range(period, values.shape[1], period):
        tail = values[:, start : start + period]
        out[:, : tail.shape[1]] += tail
    return out


def _message_bits(bits: int) -> int:
    """As a chip counts them: 0 is a spike, more a graded value."""
    return 0 if bits == 1 else bits


def _neurons(c: Cells, loihi: LoihiNetwork, late: int) -> Any:
    from lava.proc.lif.process import LIFReset

    network = loihi.network
    bias = c.bias_mant
    if not network.pipelined:
        bias = bias_at(network, next(n for n in network.neurons if n.name == c.name), 0)
    # Lava's step numbers start at one.
    return LIFReset(
        name=c.name,
        shape=(c.count,),
        vth=c.vth,
        du=c.du,
        dv=c.dv,
        bias_mant=bias,
        bias_exp=c.bias_exp,
        reset_interval=c.interval,
        reset_offset=(c.phase + 1 + late) % c.interval,
    )


def probe(
    adapters: Direct | Embedded,
    session: Callable[[LavaProcesses], AbstractContextManager[Session]],
) -> Latency:
    """The latency of the adapters, from one spike in and a clock on the chip: two neurons, 64
    steps.

    The clock's membrane gains 64 in every step and fires in its step 9: where that arrives tells
    what spikes and states take out of the chip; where the spike arrives, what values take into it.
    """
    from lava.proc.io.source import RingBuffer
    from lava.proc.lif.process import LIFReset
    from lava.proc.sparse.process import Sparse
    from lava.utils.weightutils import SignMode
    from scipy.sparse import csr_matrix

    from ..lava.io.recorders import SpikeRecorder

    values = np.zeros((1, PROBE_STEPS), np.int32)
    values[0, PROBE_AT] = 1
    source = RingBuffer(data=values)
    head = adapters.into_chip(source.s_out, 0)
    once = {"du": NO_CURRENT_MEMORY, "reset_interval": PROBE_STEPS, "reset_offset": 1}
    echo = LIFReset(name="echo", shape=(1,), vth=0, dv=LOWEST_MEMORY, **once)
    clock = LIFReset(name="clock", shape=(1,), vth=CLOCK_FIRES_AT, dv=0, bias_mant=64, **once)
    for neuron, weight in (
        (echo, 2),
        (clock, 0),
    ):  # a process without synapses would not be compiled
        synapse = Sparse(
            weights=csr_matrix(np.array([[weight]])), weight_exp=-1, sign_mode=SignMode.MIXED
        )
        head.connect(synapse.s_in)
        synapse.a_out.connect(neuron.a_in)
    frames = {neuron.name: shared_zeros((PROBE_STEPS, 1), np.uint8) for neuron in (echo, clock)}
    for neuron in (echo, clock):
        adapters.spikes_of(neuron.s_out).connect(
            SpikeRecorder(frames=frames[neuron.name], name=f"recorder of {neuron.name}").s_in
        )
    membrane = shared_zeros((PROBE_STEPS, 1), np.int32)
    adapters.record_state(clock.v, membrane, "recorder of the clock's membrane")
    processes = LavaProcesses(source, {"echo": echo, "clock": clock}, None, frames, None)
    with session(processes) as running:
        running.advance(PROBE_STEPS)
    ticks, echoes = (np.flatnonzero(frames[name]) for name in ("clock", "echo"))
    states = np.flatnonzero(membrane == 64)
    if not (len(ticks) and len(echoes) == 1 and len(states)):
        raise BackendError(
            "the probe's spike did not come back from the chip",
            where="loihi",
            value=f"{len(echoes)} echoes, {len(ticks)} clock spikes, {len(states)} states",
            fix="run Lava's own Loihi 2 tutorial on this board first",
        )
    spikes = int(ticks[0]) - CLOCK_FIRES_AT
    return Latency(
        into=int(echoes[0]) - PROBE_AT - 1 - spikes, spikes=spikes, states=int(states[0])
    )
