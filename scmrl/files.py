"""JSON and arrays: written whole (`scmrl.storage`), never read past a limit."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import BundleError
from .storage import sha256, whole_directory, whole_file

__all__ = ["JSON_LIMIT_BYTES", "READ_LIMIT_BYTES", "put_arrays", "put_hdf5", "put_json", "read_arrays", "read_json",
           "sha256", "whole_directory", "whole_file", "write_json"]

READ_LIMIT_BYTES = 4 << 30              # what one archive may unpack to
JSON_LIMIT_BYTES = 64 << 20


def write_json(path: Path, table: object, kind: str | None = None) -> None:
    """Write a table whole; `kind` as in `whole_file`."""
    with whole_file(path, kind) as temporary:
        put_json(temporary, table)


def put_json(path: Path, table: object) -> None:
    """Write a table into what becomes whole as a whole: a `whole_file` or `whole_directory`."""
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict:
    """A JSON object from `path`; raises `BundleError` where it is missing, too large or not one."""
    try:
        if path.stat().st_size > JSON_LIMIT_BYTES:
            raise BundleError("file is too large", where=path, limit=JSON_LIMIT_BYTES, value=path.stat().st_size)
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError("cannot read", where=path, value=error.strerror) from None
    except (ValueError, RecursionError) as error:
        raise BundleError("not valid JSON", where=path, value=str(error)) from None
    if not isinstance(table, dict):
        raise BundleError("expected a JSON object", where=path, value=type(table).__name__)
    return table


def put_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz into what becomes whole as a whole."""
    np.savez_compressed(path, **arrays)


def put_hdf5(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write the HDF5 file that `fill` makes in memory: on a full disk HDF5 itself ends the process."""
    file = io.BytesIO()
    fill(file)
    path.write_bytes(file.getbuffer())


def read_arrays(path: Path, limit_bytes: int = READ_LIMIT_BYTES) -> dict[str, np.ndarray]:
    """All arrays of an npz; never unpickles, never unpacks more than `limit_bytes`. Raises `BundleError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > limit_bytes:
                raise BundleError("archive unpacks to too much", where=path, limit=f"{limit_bytes} bytes", value=size)
            arrays = {}
            for member in archive.infolist():
                with archive.open(member) as file:
                    data = file.read(member.file_size + 1)
                if len(data) > member.file_size:
                    raise BundleError("archive member is larger than it says", where=path, value=member.filename)
                arrays[member.filename.removesuffix(".npy")] = np.load(io.BytesIO(data), allow_pickle=False)
            return arrays
    except BundleError:
        raise
    except OSError as error:
        raise BundleError("cannot read", where=path, value=error.strerror or error) from None
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on corrupt bytes
        raise BundleError("not a valid npz archive", where=path, value=f"{type(error).__name__} {error}") from None
