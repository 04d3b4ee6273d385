"""One bounded run in Lava's own multi-process runtime: no hang, no stray process, no shared memory left.

Lava by itself waits for ever when a process fails before it sends, when one is killed, and when nobody calls
stop. Here the parent waits with a deadline, watches the children's error pipes, and always ends them itself.
Children end with their parent, also when that is killed (Linux), leave Ctrl-C to it, and never write to its
stdout.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np

from ..errors import BackendError
from .lava_processes import LavaProcesses

POLL_S = 0.05
PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)
_parent = threading.local()             # .pid while this thread starts Lava's processes; .prctl


class LavaProcessError(BackendError):
    """A Lava process failed; `child_traceback` is its own account, where it could give one."""

    def __init__(self, what: str, *, where: str, child_traceback: str = ""):
        self.child_traceback = child_traceback
        super().__init__(what, where=where)


class ProcessSession:
    """Lava's runtime on `processes`, as a context manager; at `end` (in `time.monotonic`) it must be done.

    `run_cfg` is Lava's run configuration; None: its fixed-point simulation.
    """

    def __init__(self, processes: LavaProcesses, end: float, run_cfg: object | None = None):
        self.processes, self.end, self._run_cfg = processes, end, run_cfg
        self._runtime = None
        self._names: list[str] = []

    def __enter__(self) -> ProcessSession:
        try:
            with interrupt_deferred():
                self._start()
            return self
        except BaseException:
            self.close()
            raise

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start(self) -> None:
        """Lava's `Runtime.initialize`, except that it does not wait for ever for a child that died."""
        from lava.magma.core.process.message_interface_enum import ActorType
        from lava.magma.runtime.runtime import Runtime

        executable = self._compile()
        self._runtime = runtime = Runtime(executable, ActorType.MultiProcessing)
        executable.assign_runtime_to_all_processes(runtime)
        self._names = [process.name for process in executable.proc_builders] + ["runtime service"]
        runtime._build_watchdog_manager()
        with children_end_with_parent():
            runtime._build_message_infrastructure()
            runtime._build_channels()
            runtime._build_sync_channels()
            runtime._build_processes()
            runtime._build_runtime_services()
        runtime._start_ports()
        for reports in runtime.exception_q:
            self._wait(reports.get)
        runtime._is_initialized = True

    def _compile(self) -> object:
        """Lava's executable of the processes."""
        from lava.magma.core.run_configs import Loihi2SimCfg

        return self.processes.source.compile(self._run_cfg or Loihi2SimCfg(select_tag="fixed_pt"))

    def _wait(self, get) -> object:
        """`get(timeout=)` from a queue, while children live and time is left."""
        while True:
            with contextlib.suppress(queue.Empty):
                return get(timeout=POLL_S)
            self._raise_failure()
            if time.monotonic() > self.end:
                raise TimeoutError

    def advance(self, steps: int) -> None:
        """Run `steps` hardware steps. Raises `LavaProcessError`, or `TimeoutError` at the deadline."""
        from lava.magma.core.run_conditions import RunSteps
        from lava.magma.runtime.mgmt_token_enums import MGMT_RESPONSE, enum_equal

        self._runtime.start(RunSteps(steps, blocking=False))
        for port in self._runtime.service_to_runtime:
            self._wait(functools.partial(port._queue.get, peek=True))
            if not enum_equal(port.recv(), MGMT_RESPONSE.DONE):
                self._wait(queue.Queue().get)           # nothing ever comes, but the failed child's report
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
                    raise LavaProcessError(f"Lava's process failed: {type(error).__name__}: {error}",
                                           where=name, child_traceback=trace)
            elif not actor.is_alive():
                raise LavaProcessError(f"Lava's process ended with exit code {actor.exitcode}", where=name)

    def _actors(self) -> list:
        infrastructure = self._runtime and self._runtime._messaging_infrastructure
        return list(infrastructure.actors) if infrastructure else []

    def close(self) -> None:
        """End all children and free the shared memory. What they recorded is in the parent's arrays."""
        if self._runtime is None:
            return
        with interrupt_deferred():
            for actor in self._actors():
                if not actor._is_done:
                    with contextlib.suppress(Exception):
                        actor.kill()
                        actor.join()
            for port in self._runtime._open_ports:
                with contextlib.suppress(Exception):
                    port.join()
            self._runtime._open_ports.clear()
            infrastructure = self._runtime._messaging_infrastructure
            if infrastructure is not None and infrastructure.smm is not None:
                infrastructure.smm.shutdown()
            self._runtime._is_started = self._runtime._is_running = False
            self._runtime = None


@contextlib.contextmanager
def interrupt_deferred() -> Iterator[None]:
    """Ctrl-C in here takes effect at the end, so that no child is started or ended by half."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *args: pressed.append(args))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed and callable(before):
            before(*pressed[0])


@contextlib.contextmanager
def children_end_with_parent() -> Iterator[None]:
    """Processes that this thread forks in here get `_bind_to_parent`."""
    if sys.platform == "linux":
        _parent.prctl = ctypes.CDLL(None).prctl
    _parent.pid = os.getpid()
    try:
        yield
    finally:
        _parent.pid = None


def _bind_to_parent() -> None:
    """In a new child: die with the parent, leave Ctrl-C to it, keep out of its stdout."""
    if getattr(_parent, "pid", None) is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.dup2(2, 1)
    if hasattr(_parent, "prctl"):
        _parent.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != _parent.pid:
            os._exit(1)


os.register_at_fork(after_in_child=_bind_to_parent)
