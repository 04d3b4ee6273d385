"""Started by every Python process under `benchmarks/kills.py`: notes what was flushed to the disk.

A killed process loses nothing that it wrote, a power cut loses what was not flushed. Each
`os.fsync` is noted as device, inode and time of the last change, so that the harness can take away
what a power cut would have. KILLS_WITHOUT takes a safeguard out: "fsync" flushes nothing, "rename"
writes in place, slowly.
"""

import os
import stat
import time

LOG, WITHOUT = os.environ.get("KILLS_LOG"), os.environ.get("KILLS_WITHOUT", "")


def _noted(flush):
    def fsync(descriptor):
        flush(descriptor)
        status = os.fstat(descriptor if isinstance(descriptor, int) else descriptor.fileno())
        line = f"{status.st_dev} {status.st_ino} {status.st_mtime_ns}\n".encode()
        log = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(log, line)
        os.close(log)

    return fsync


def _in_place(rename):
    def replace(source, target, **where):
        if not stat.S_ISREG(os.lstat(source).st_mode):
            return rename(source, target, **where)
        with open(source, "rb") as old, open(target, "wb", buffering=0) as new:
            data = old.read()
            for i in range(20):
                new.write(data[i * len(data) // 20 : (i + 1) * len(data) // 20])
                time.sleep(0.01)
            os.fsync(new.fileno())
        os.unlink(source)

    return replace


if LOG:
    os.fsync = (lambda descriptor: None) if WITHOUT == "fsync" else _noted(os.fsync)
    if WITHOUT == "rename":
        os.replace, os.rename = _in_place(os.replace), _in_place(os.rename)
