"""How much memory there is."""

from __future__ import annotations

import contextlib
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")  # a container's own control group, or the whole machine's


def available() -> int | None:
    """Bytes that can still be used, also within a container's limit; None: not known here."""
    known = [size for size in (_machine(), _container()) if size is not None]
    return min(known, default=None)


def _machine() -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None


def _container() -> int | None:
    """The limit less what cannot be dropped; cached files can."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        # 'max' is no number: no limit
        limit = int((GROUP / "memory.max").read_text(encoding="ascii"))
        rows = (GROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        used = {name: int(size) for name, size in (row.split() for row in rows)}
        return max(0, limit - used["anon"] - used["shmem"])
    return None


def words(size: int) -> str:
    """Bytes as people read them: 22.7 MB."""
    value, unit = float(size), "bytes"
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
