"""Programs of others, called for what they make or say: compilers, simulators, synthesisers."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from ...system.children import bound
from ...system.errors import BackendError


def said(
    command: Sequence[str],
    seconds: float | None,
    *,
    name: str = "",
    where: str | None = None,
    directory: Path | None = None,
) -> str:
    """What a program prints, run in `directory`. `name` is what an error calls it (default: its
    file's name), `where` the place that the error tells.

    Raises `BackendError` where it fails or takes longer than `seconds` (None: as long as it takes).
    """
    name = name or Path(command[0]).name
    try:
        done = subprocess.run(
            bound(command),
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            cwd=directory,
        )
    except subprocess.TimeoutExpired:
        what = f"{name} does not come to an end"
        raise BackendError(what, where=where, limit=f"{seconds:g} s") from None
    if done.returncode:
        lines = (done.stderr + done.stdout).splitlines()
        why = next((line for line in lines if "error" in line.lower()), "")
        what = f"{name} failed with exit code {done.returncode}"
        raise BackendError(what, where=where, value=why or done.stderr[-200:] or None)
    return done.stdout
