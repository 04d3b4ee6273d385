"""What Lava's channels are made of, without a name in the file system.

Lava takes shared memory, semaphores and queues from Python's multiprocessing. That gives each
segment a name in /dev/shm and keeps a server process that removes them; when all are killed at
once, the segments stay until the machine is started anew, and where /dev/shm is small (64 MB in a
container) a network does not fit. Forked children need no names: they inherit the memory, and the
last process that ends frees it.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import mmap
import multiprocessing
import queue
import sys
from typing import Any

from ....system.errors import BackendError
from ....system.memory import words

SEMAPHORE_BYTES = 64  # sem_t: 32 bytes in glibc on 64 bits; no C library needs more than 64


class Segment:
    """`multiprocessing.shared_memory.SharedMemory` for forked children: `buf` is its memory."""

    def __init__(self, size: int):
        self.buf = memoryview(mmap.mmap(-1, max(size, 1)))

    def close(self) -> None:
        """Nothing to do: the memory goes with the last array on it."""


class Memory:
    """Lava's `SharedMemoryManager`; `size` is how many bytes it has handed out."""

    def __init__(self) -> None:
        self.size = 0

    def create_shared_memory(self, size: int) -> Segment:
        """Raises `BackendError` where the system has no such memory."""
        self.size += size
        try:
            return Segment(size)
        except OSError as error:
            raise BackendError(
                "no memory for Lava's channels",
                where="lava",
                value=f"{words(self.size)}: {error.strerror}",
                fix="free some, or run the backend lava-inprocess",
            ) from None

    def shutdown(self) -> None:
        """Nothing to do: there is no server."""


class Semaphore:
    """`multiprocessing.Semaphore` for forked children: POSIX's, in memory that they share."""

    _libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def __init__(self, value: int):
        self._memory = mmap.mmap(-1, SEMAPHORE_BYTES)
        self._place = (ctypes.c_char * SEMAPHORE_BYTES).from_buffer(self._memory)
        self._call("sem_init", 1, value)

    def _call(self, name: str, *arguments: int) -> None:
        while getattr(self._libc, name)(ctypes.byref(self._place), *arguments):
            number = ctypes.get_errno()
            if number != errno.EINTR:
                raise OSError(number, f"{name} failed")

    def acquire(self) -> bool:
        self._call("sem_wait")
        return True

    def release(self) -> None:
        self._call("sem_post")


class Report:
    """`multiprocessing.Queue` for the one thing that a child says when it has started."""

    def __init__(self) -> None:
        self._parent, self._child = multiprocessing.Pipe(duplex=False)

    def put(self, report: object) -> None:
        self._child.send(report)

    def get(self, timeout: float) -> object:
        if not self._parent.poll(timeout):
            raise queue.Empty
        return self._parent.recv()


def install() -> None:
    """Have Lava make its channels of these; `Memory` is handed to each runtime. Once, after Lava's
    import.
    """
    if sys.platform == "linux":  # elsewhere sem_init is not there (macOS)
        channel: Any = importlib.import_module("lava.magma.compiler.channels.pypychannel")
        channel.Semaphore = Semaphore
    runtime: Any = importlib.import_module("lava.magma.runtime.runtime")
    runtime.Queue = Report
