"""Child processes that end with their parent, whatever ends that, SIGKILL included.

Linux sends a signal of the child's choice when the thread that started it ends; other systems have
nothing of the kind, and there a child ends as its parent's own clean-up has it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1

# Looked up before any fork: in a child, another thread's lock on the loader is never released.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def bind(parent: int) -> None:
    """From here on this process is killed when the thread of process `parent` that started it ends.

    Where that has ended already, this process ends now.
    """
    if _prctl is None:
        return
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def bound(command: Sequence[str]) -> list[str]:
    """The command line that runs `command` bound to this process, which is to start it.

    It takes the process id, standard streams and exit code of `command`, which has to exist.
    """
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), str(os.getpid()), *command]


if __name__ == "__main__":
    bind(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
