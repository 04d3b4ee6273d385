"""Memory that training gives back and takes again in every step stays with the process.

glibc returns large blocks to the system as soon as they are free, and the system clears each page
anew on its next use: a tenth of the time of a training step. Other C libraries have no such setting
and are left alone.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
KEPT = {M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: (1 << 31) - 1, M_TOP_PAD: 64 << 20}  # bytes


def keep() -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, size in KEPT.items():
        mallopt(option, size)
