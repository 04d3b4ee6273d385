"""One bounded run in Lava's own multi-process runtime: no hang, no stray process, no shared memory
left.

Lava by itself waits for ever when a process fails before it sends, when one is killed or stopped,
and when nobody calls stop. Here the parent waits with a deadline, watches the children's error
pipes, and always ends them itself. Children end with their parent, also when that is killed
(Linux), leave Ctrl-C to it, and speak into a file of the session instead of to the user.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ....system import memory
from ....system.children import bind
from ....system.errors import BackendError
from ....system.interrupts import SIGNALS, deferred
from .channels import Memory
from .processes import LavaProcesses

POLL_S = 0.05
THREAD_S = 1.0  # for a port's thread to end
NOISE_BYTES = 4096  # of the end of what the children said

log = logging.getLogger(__name__)
_starting = threading.local()  # .parent, .noise while this thread starts Lava's processes


class LavaProcessError(BackendError):
    """A Lava process failed; `child_traceback` is its own account, where it could give one."""

    def __init__(self, what: str, *, where: str, child_traceback: str = ""):
        self.child_traceback = child_traceback
        super().__init__(what, where=where)


class ProcessSession:
    """Lava's runtime on `processes`, as a context manager; at `end` (in `time.monotonic`) it must
    be done.

    `run_cfg` is Lava's run configuration; None: its fixed-point simulation.
    """

    def __init__(self, processes: LavaProcesses, end: float, run_cfg: object | None = None):
        self.processes, self.end, self._run_cfg = processes, end, run_cfg
        self._runtime: Any = None
        self._names: list[str] = []
        self._noise = -1  # the file that the children's output goes to

    def __enter__(self) -> ProcessSession:
        try:
            with deferred():
                self._start()
            return self
        except BaseException:
            self.close()
            raise

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start(self) -> None:
        """Lava's `Runtime.initialize`, except that it does not wait for ever for a child that
        died.
        """
        from lava.magma.core.process.message_interface_enum import ActorType
        from lava.magma.runtime.runtime import Runtime

        executable = self._compile()
        self._in_time()
        self._noise = _unnamed_file()
        self._runtime = runtime = Runtime(executable, ActorType.MultiProcessing)
        executable.assign_runtime_to_all_processes(runtime)
        self._names = [process.name for process in executable.proc_builders] + ["runtime service"]
        runtime._build_watchdog_manager()
        self._build_infrastructure()
        runtime._build_channels()
        runtime._build_sync_channels()
        self._check_memory()
        with children_end_with_parent(self._noise):
            runtime._build_processes()
            runtime._build_runtime_services()
        runtime._start_ports()
        self._bound_ports()
        for reports in runtime.exception_q:
            self._wait(reports.get)
        runtime._is_initialized = True

    def _build_infrastructure(self) -> None:
        """Lava's `MultiProcessing`, whose memory has no names and needs no server."""
        from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing

        self._runtime._messaging_infrastructure = infrastructure = MultiProcessing()
        infrastructure._smm = Memory()

    def _check_memory(self) -> None:
        """Raise `BackendError` where channels and recordings need more memory than there is."""
        frames = [*self.processes.spikes.values(), self.processes.membrane]
        needed = sum(frame.nbytes for frame in frames if frame is not None)
        needed += getattr(self._runtime._messaging_infrastructure.smm, "size", 0)
        there = memory.available()
        if there is not None and needed > there:
            raise BackendError(
                "not enough memory for Lava's channels and recordings",
                where="lava",
                limit=f"{memory.words(there)} available",
                value=memory.words(needed),
                fix="free some, or run the backend lava-inprocess, which needs no channels",
            )

    def _bound_ports(self) -> None:
        """Lava's calls on the ports to its runtime service wait as `_wait` does, `Var.set`
        included.
        """
        for port in self._runtime.runtime_to_service:
            port.send = functools.partial(self._send, port, port.send)
        for port in self._runtime.service_to_runtime:
            port.recv = functools.partial(self._receive, port, port.recv)

    def _release_ports(self) -> None:
        for port in self._runtime.runtime_to_service:
            del port.send
        for port in self._runtime.service_to_runtime:
            del port.recv

    def _send(self, port: Any, send: Callable[[np.ndarray], None], data: np.ndarray) -> None:
        self._wait(functools.partial(_has_room, port))
        send(data)

    def _receive(self, port: Any, receive: Callable[[], np.ndarray]) -> np.ndarray:
        self._wait(functools.partial(port._queue.get, peek=True))
        return receive()

    def _compile(self) -> Any:
        """Lava's executable of the processes."""
        from lava.magma.core.run_configs import Loihi2SimCfg

        return self.processes.compiled(self._run_cfg or Loihi2SimCfg(select_tag="fixed_pt"))

    def _wait(self, get: Callable[..., object]) -> object:
        """`get(timeout=)` from a queue, while children live and time is left."""
        while True:
            with contextlib.suppress(queue.Empty):
                return get(timeout=POLL_S)
            self._raise_failure()
            self._in_time()

    def _in_time(self) -> None:
        if time.monotonic() > self.end:
            raise TimeoutError

    def advance(self, steps: int) -> None:
        """Run `steps` hardware steps. Raises `LavaProcessError`, or `TimeoutError` at the
        deadline.
        """
        from lava.magma.core.run_conditions import RunSteps
        from lava.magma.runtime.mgmt_token_enums import MGMT_RESPONSE, enum_equal

        self._runtime.start(RunSteps(steps, blocking=False))
        for port in self._runtime.service_to_runtime:
            if not enum_equal(port.recv(), MGMT_RESPONSE.DONE):
                self._wait(queue.Queue().get)  # nothing ever comes, but the failed child's report
        self._runtime._is_running = False

    def set_bias(self, name: str, mantissa: np.ndarray) -> None:
        self.processes.neurons[name].bias_mant.set(mantissa)

    def _raise_failure(self) -> None:
        for name, actor in zip(self._names, self._actors()):
            if actor._is_done:
                continue
            if actor._pconn.poll():
                failure = actor.exception
                if failure:
                    error, trace = failure
                    log.debug("traceback of Lava's %s:\n%s", name, trace)
                    raise LavaProcessError(
                        f"Lava's process failed: {type(error).__name__}: {error}",
                        where=name,
                        child_traceback=trace,
                    )
            elif not actor.is_alive():
                raise LavaProcessError(
                    f"Lava's process {_ended(actor.exitcode)}",
                    where=name,
                    child_traceback=self._said(),
                )

    def _said(self) -> str:
        """The end of what the children wrote to their standard output and error."""
        end = os.lseek(self._noise, 0, os.SEEK_END)
        said = os.pread(self._noise, NOISE_BYTES, max(0, end - NOISE_BYTES)).decode(
            errors="replace"
        )
        log.debug("Lava's processes said:\n%s", said)
        return said

    def _actors(self) -> list[Any]:
        infrastructure = self._runtime and self._runtime._messaging_infrastructure
        return list(infrastructure.actors) if infrastructure else []

    def close(self) -> None:
        """End all children, stopped ones too. What they recorded is in the parent's arrays."""
        if self._runtime is None:
            return
        with deferred():
            self._end_children()
            self._end_ports()
            infrastructure = self._runtime._messaging_infrastructure
            if infrastructure is not None and infrastructure.smm is not None:
                infrastructure.smm.shutdown()
            self._runtime._is_started = self._runtime._is_running = False
            self._runtime = None
            os.close(self._noise)

    def _end_children(self) -> None:
        for actor in self._actors():
            if not actor._is_done:
                with contextlib.suppress(Exception):
                    actor.kill()
        for actor in self._actors():
            with contextlib.suppress(Exception):
                actor.join()

    def _end_ports(self) -> None:
        """Each port of this process has a thread, which ends a moment after its port."""
        threads = [
            port.thread for port in self._runtime._open_ports if getattr(port, "thread", None)
        ]
        for port in self._runtime._open_ports:
            with contextlib.suppress(Exception):
                port.join()
        for thread in threads:
            thread.join(THREAD_S)
        self._runtime._open_ports.clear()


def _has_room(port: Any, timeout: float) -> None:
    """Wait until a message can be sent. Raises `queue.Empty` after `timeout` s."""
    if not port._semaphore.acquire(timeout=timeout):
        raise queue.Empty
    port._semaphore.release()


def _ended(code: int | None) -> str:
    """How a child ended, from its exit code."""
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    sign = signal.Signals(-code)
    why = {
        signal.SIGKILL: ", as the system does where memory runs out",
        signal.SIGBUS: ", as the system does where shared memory runs out",
    }.get(sign, "")
    return f"was killed by {sign.name} (exit code {code}){why}"


def _unnamed_file() -> int:
    """A file without a name, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("scmrl")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


@contextlib.contextmanager
def children_end_with_parent(noise: int) -> Iterator[None]:
    """Processes that this thread forks in here get `_bind_to_parent`, and speak into the file
    `noise`.

    Signals wait meanwhile, in the children until they have handlers of their own.
    """
    _starting.parent, _starting.noise = os.getpid(), noise
    _starting.mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, _starting.mask)
        _starting.parent = None


def _bind_to_parent() -> None:
    """In a new child: die with the parent, leave Ctrl-C to it, keep out of its output."""
    if getattr(_starting, "parent", None) is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, _starting.mask)
    os.dup2(_starting.noise, 1)
    os.dup2(_starting.noise, 2)
    bind(_starting.parent)


os.register_at_fork(after_in_child=_bind_to_parent)
