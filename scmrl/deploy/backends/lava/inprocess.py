"""Lava's own process models, built by Lava's own compiler and builders, stepped in one OS process.

Same objects, same arithmetic, no inter-process messages. A Sparse model sends in step t what it
computed in step t-1, so its message is delivered before the step begins, and then every other model
finds its input there: cycles are fine. Delayed synapses alone are computed otherwise (`delays`), to
the same bits.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np

from .processes import LavaProcesses


class InProcessSession:
    """Lava's models of `processes`, as a context manager with the methods of `ProcessSession`.

    At `end` (in `time.monotonic`) it must be done.
    """

    def __init__(self, processes: LavaProcesses, end: float):
        from lava.magma.core.run_configs import Loihi2SimCfg

        from .delays import MODELS

        self.processes, self.end = processes, end
        run_cfg = Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=MODELS)
        executable = processes.compiled(run_cfg)
        builders = executable.proc_builders
        for channel in executable.channel_builders:
            _connect(channel, builders, early=_is_synapse(channel.src_process))
        self._models = {process: builder.build() for process, builder in builders.items()}
        self._synapses = [model for process, model in self._models.items() if _is_synapse(process)]
        # Whoever sends first steps first: source, neurons, then synapses and recorders.
        senders = [model for process, model in self._models.items() if _sends(process, "s_out")]
        self._order = senders + [model for model in self._models.values() if model not in senders]
        self._step = 0

    def __enter__(self) -> InProcessSession:
        return self

    def __exit__(self, *error: object) -> None:
        self._models.clear()

    def advance(self, steps: int) -> None:
        """Run `steps` hardware steps. Raises `TimeoutError` at the deadline."""
        for _ in range(steps):
            if time.monotonic() > self.end:
                raise TimeoutError
            for synapse in self._synapses:
                held = synapse.a_buff  # [n], or [n, delay + 1] of which the first is due
                synapse.a_out.send(held if held.ndim == 1 else held[:, 0])
            for model in self._order:
                model.time_step += 1
                model.run_spk()
            frames = self.processes.membrane
            if frames is not None:
                frames[self._step % len(frames)] = self._models[self.processes.readout].v
            self._step += 1

    def set_bias(self, name: str, mantissa: np.ndarray) -> None:
        self._models[self.processes.neurons[name]].bias_mant[:] = mantissa


def _is_synapse(process: Any) -> bool:
    """Sparse and Dense send from `a_out`; sources and neurons from `s_out`."""
    return _sends(process, "a_out")


def _sends(process: Any, port: str) -> bool:
    return port in process.out_ports.member_names


class _Send:
    """The sending end of a channel, as Lava's ports use it."""

    def __init__(self, name: str, messages: deque[np.ndarray], dtype: type):
        self.name, self._messages, self._dtype = name, messages, np.dtype(dtype)

    def send(self, data: np.ndarray) -> None:
        self._messages.append(
            data.astype(self._dtype)
        )  # the cast (and copy) of Lava's shared memory


class _EarlySend(_Send):
    """The sending end of a synapse. Its message was delivered before the step: sending it again
    adds nothing.
    """

    _delivered = False

    def send(self, data: np.ndarray) -> None:
        if not self._delivered:
            super().send(data)
        self._delivered = not self._delivered


class _Receive:
    """The receiving end of a channel."""

    def __init__(self, name: str, messages: deque[np.ndarray]):
        self.name, self._messages = name, messages

    def recv(self) -> np.ndarray:
        return self._messages.popleft()


def _connect(channel: Any, builders: dict[Any, Any], early: bool) -> None:
    """A queue in place of the channel's shared memory."""
    from lava.magma.core.process.ports.ports import create_port_id

    out, into = channel.src_port_initializer, channel.dst_port_initializer
    messages: deque[np.ndarray] = deque()
    send = (_EarlySend if early else _Send)(out.name, messages, out.d_type)
    receive = _Receive(into.name, messages)
    builders[channel.src_process].set_csp_ports([send])
    builders[channel.dst_process].set_csp_ports([receive])
    port = create_port_id(channel.src_process.id, out.name)
    builders[channel.dst_process].add_csp_port_mapping(port, receive)
