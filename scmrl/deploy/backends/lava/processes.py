"""A `LavaNetwork` as Lava's own, unmodified processes: source, Sparse and LIFReset."""

from __future__ import annotations

import mmap
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....convert.lava.network import SOURCE, LavaNetwork, Neurons, Place, Weights

DEEP = 100_000  # calls within calls, as many as Lava's compiler may need


@dataclass(frozen=True)
class LavaProcesses:
    """Connected Lava processes, and the arrays that their run fills.

    `spikes`: uint8 [hardware steps, n] of every neuron process that fires; `membrane`: int32
    [hardware steps, n] of the readout.
    """

    source: Any
    neurons: dict[str, Any]
    readout: Any | None
    spikes: dict[str, np.ndarray]
    membrane: np.ndarray | None

    def compiled(self, run_cfg: Any) -> Any:
        """Lava's executable. Its compiler goes from process to process by calls of itself, so a
        thousand processes in a row are more than Python's limit.
        """
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, DEEP))
        try:
            return self.source.compile(run_cfg)
        finally:
            sys.setrecursionlimit(limit)


def build(
    network: LavaNetwork, inputs: dict[str, np.ndarray], *, own_processes: bool
) -> LavaProcesses:
    """Processes for one run on `inputs` {name: [S, T, *shape]}; Lava has to be loaded.

    `own_processes`: for Lava's multi-process runtime, so recordings are in shared memory and the
    readout has a recorder. Biases of a network that is not pipelined are zero where a population's
    sample has yet to begin.
    """
    from lava.proc.io.source import RingBuffer

    samples = next(iter(inputs.values())).shape[0]
    source = RingBuffer(data=source_values(network, inputs))
    return join(network, source, network.hardware_steps(samples), own_processes=own_processes)


def join(network: LavaNetwork, source: Any, steps: int, *, own_processes: bool) -> LavaProcesses:
    """The processes of `network` behind `source`, with recordings that hold the last `steps`
    steps.
    """
    from .io.recorders import MembraneRecorder, SpikeRecorder

    zeros = shared_zeros if own_processes else np.zeros
    neurons = {n.name: _neurons(n, network) for n in network.neurons}
    counts = {SOURCE: network.source_count} | {n.name: n.count for n in network.neurons}
    for w in network.weights:
        synapse = synapses(w, (counts[w.target], counts[w.source]), w.message_bits)
        (source if w.source == SOURCE else neurons[w.source]).s_out.connect(synapse.s_in)
        synapse.a_out.connect(neurons[w.target].a_in)
    spikes = {name: zeros((steps, counts[name]), np.uint8) for name in network.recorded}
    for name, frames in spikes.items():
        neurons[name].s_out.connect(SpikeRecorder(frames=frames, name=f"recorder of {name}").s_in)
    readout = None if network.readout is None else neurons.get(network.readout)
    membrane = None
    if readout is not None:
        membrane = zeros((steps, *readout.s_out.shape), np.int32)
        if own_processes:
            MembraneRecorder(
                variable=readout.v, frames=membrane, name=f"recorder of {network.readout}"
            )
    return LavaProcesses(source, neurons, readout, spikes, membrane)


def _neurons(n: Neurons, network: LavaNetwork) -> Any:
    from lava.proc.lif.process import LIFReset

    bias = n.bias_mant if network.pipelined else bias_at(network, n, 0)
    # Lava's step numbers start at one.
    return LIFReset(
        name=n.name,
        shape=(n.count,),
        vth=n.vth,
        du=n.du,
        dv=n.dv,
        bias_mant=bias,
        bias_exp=n.bias_exp,
        reset_interval=network.steps,
        reset_offset=(n.phase + 1) % network.steps,
    )


def synapses(w: Weights, shape: tuple[int, int], message_bits: int, *, whole: bool = False) -> Any:
    """The process of a matrix [targets, sources], `whole` or its non-zeros alone; a delayed one
    where they wait.
    """
    from lava.proc.dense.process import DelayDense, Dense
    from lava.proc.sparse.process import DelaySparse, Sparse
    from lava.utils.weightutils import SignMode
    from scipy.sparse import csr_matrix

    def matrix(values: np.ndarray) -> Any:
        sparse = csr_matrix((values, w.indices, w.indptr), shape=shape)
        return sparse.toarray() if whole else sparse

    kinds, delays = (Sparse, Dense), {}
    if w.delay:
        kinds = (DelaySparse, DelayDense)
        delays["delays"] = matrix(np.full(len(w.mantissa), w.delay, np.int64))
    # Mixed weights lose their lowest bit: twice the mantissa, and the sum halved again by the
    # exponent.
    return kinds[whole](
        name=w.name,
        weights=matrix(2 * w.mantissa.astype(np.int32)),
        **delays,
        weight_exp=w.exponent - 1,
        num_weight_bits=8,
        num_message_bits=message_bits,
        sign_mode=SignMode.MIXED,
    )


def source_values(network: LavaNetwork, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """What the source sends: int32 [n, hardware steps]; zeros at the end keep it from starting
    again.
    """
    samples = next(iter(inputs.values())).shape[0]
    out = np.zeros((network.source_count, network.hardware_steps(samples)), np.int32)
    for place in network.inputs:
        x = inputs[place.population].reshape(samples, network.steps, -1)
        late = np.zeros_like(x)
        late[:, place.delay :] = x[:, : max(network.steps - place.delay, 0)]
        columns = slice(place.depth, place.depth + samples * network.steps)
        out[place.start : place.start + place.count, columns] = late.reshape(-1, place.count).T
    return out


def bias_at(network: LavaNetwork, neurons: Neurons, step: int) -> np.ndarray:
    """Bias mantissas int32 [n], zero in populations whose sample begins after hardware step
    `step`.
    """
    bias = neurons.bias_mant.copy()
    for place in network.places:
        if place.process == neurons.name and place.depth > step:
            bias[place.start : place.start + place.count] = 0
    return bias


def spikes_of(frames: np.ndarray, place: Place, samples: int, steps: int) -> np.ndarray:
    """The samples of one population out of its process's recording: [S, T, count]."""
    rows = frames[
        place.depth : place.depth + samples * steps, place.start : place.start + place.count
    ]
    return rows.reshape(samples, steps, place.count)


def shared_zeros(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """An array in anonymous memory that forked children share; gone with the last process that
    holds it.
    """
    count = int(np.prod(shape))
    memory = mmap.mmap(-1, max(count * np.dtype(dtype).itemsize, 1))
    return np.frombuffer(memory, dtype, count).reshape(shape)
