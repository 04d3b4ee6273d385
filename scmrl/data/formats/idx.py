"""The idx format of MNIST: two zero bytes, type 8 (uint8), number of axes, lengths, data."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from ...system.errors import DataError
from ...system.reading import bound, check_bound, opened

BYTES = 256 << 20  # unpacked; MNIST's largest has 47 MB


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The uint8 array with `axes` axes in a gzip-ed idx file.

    Raises DataError for a file that is missing, not gzip-ed, not idx, truncated, or too large.
    """
    try:
        with opened(path, BYTES, error=DataError) as packed, gzip.GzipFile(fileobj=packed) as file:
            content = file.read(bound(BYTES) + 1)
    except (OSError, EOFError, zlib.error) as error:
        what = f"not a whole gzip file: {error}"
        raise DataError(what, where=path, fix="fetch it again") from None
    check_bound("unpacks to too much", len(content), BYTES, where=path, error=DataError)
    start = 4 + 4 * axes
    if len(content) < start or content[:4] != bytes([0, 0, 8, axes]):
        what = f"not an idx file of uint8 with {axes} axes"
        raise DataError(what, where=path, value=content[:4].hex(" "))
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", axes, offset=4))
    size, wanted = len(content) - start, math.prod(shape)
    if size != wanted:
        what = "the data do not fill the shape in the header"
        raise DataError(what, where=path, limit=wanted, value=size)
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
