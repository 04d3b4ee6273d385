"""Files of recordings and pictures: regular ones of bounded size, opened once they are known to be such."""

from __future__ import annotations

import stat
from pathlib import Path

from ..errors import DataError


def size_of(path: Path, limit_bytes: int | None = None) -> int:
    """Bytes of a regular file. Raises DataError for one that is missing, a folder, pipe or device, or too large."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        raise DataError("no such file", where=path) from None
    except (OSError, ValueError) as error:              # ValueError: a null character in the name
        raise DataError("cannot read", where=path, value=getattr(error, "strerror", None) or error) from None
    if not stat.S_ISREG(status.st_mode):
        raise DataError("not a file: a folder, a pipe or a device", where=path, fix="write it to a file first")
    if limit_bytes is not None and status.st_size > limit_bytes:
        raise DataError("the file is too large", where=path, limit=f"{limit_bytes} bytes",
                        value=f"{status.st_size} bytes")
    return status.st_size


def read_bytes(path: Path, limit_bytes: int) -> bytes:
    """The whole of a regular file of at most `limit_bytes`. Raises DataError as `size_of` does."""
    size = size_of(path, limit_bytes)
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise DataError("cannot read", where=path, value=error.strerror) from None
