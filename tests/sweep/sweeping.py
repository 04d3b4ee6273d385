"""Sweeps in processes of their own, for the tests that kill them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

# About the smallest training there is: four seconds beside the start of its process.
TINY = [
    '--set=model.modalities=["audio"]',
    "--set=model.width=8",
    "--set=model.steps=1",
    "--set=model.attention=none",
    "--set=train.batch=128",
    "--set=train.validation=0.5",
]


@pytest.fixture
def sweep():
    """Start `scmrl sweep` with options; what still runs after the test is killed."""
    started: list[subprocess.Popen] = []

    def start(*options: object) -> subprocess.Popen:
        command = [sys.executable, "-m", "scmrl", "sweep", *map(str, options)]
        started.append(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        with contextlib.suppress(ValueError):
            process.communicate()


def until(condition: Callable[[], object], process: subprocess.Popen, seconds: float = 300.0):
    """The first true value of `condition` while the process runs."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "in vain"
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    return value


def children(parent: int) -> list[int]:
    """Processes that the parent's threads started."""
    with contextlib.suppress(OSError):
        return [
            int(pid)
            for task in Path(f"/proc/{parent}/task").iterdir()
            for pid in (task / "children").read_text().split()
        ]
    return []


def gone(pids: list[int], seconds: float) -> bool:
    """Whether the processes have all ended within `seconds`."""
    end = time.monotonic() + seconds
    while any(_runs(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
