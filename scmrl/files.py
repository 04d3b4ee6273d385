"""JSON, arrays and figures, written whole (`scmrl.storage`); `scmrl.reading` is the other side."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .storage import whole_directory, whole_file
from .targets import metadata

__all__ = [
    "put_arrays",
    "put_hdf5",
    "put_json",
    "whole_directory",
    "whole_file",
    "write_figure",
    "write_json",
]


def write_json(path: Path, table: object, kind: str | None = None) -> None:
    """Write a table whole; `kind` as in `whole_file`."""
    with whole_file(path, kind) as temporary:
        put_json(temporary, table)


def put_json(path: Path, table: object) -> None:
    """Write a table into what becomes whole as a whole: a `whole_file` or `whole_directory`."""
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def put_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz into what becomes whole as a whole."""
    np.savez_compressed(path, **arrays)


def write_figure(path: Path, figure: object, dpi: float, kind: str | None = "picture") -> None:
    """Write a matplotlib figure whole, with scmrl's mark in it; `kind` as in `whole_file`.

    It is put together in memory: on a full disk matplotlib fails in ways that are no OSError.
    """
    memory = io.BytesIO()
    figure.savefig(memory, format=path.suffix[1:].lower(), dpi=dpi, metadata=metadata(path))
    with whole_file(path, kind) as file:
        file.write_bytes(memory.getbuffer())


def put_hdf5(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write the HDF5 file that `fill` makes in memory: on a full disk HDF5 itself ends the
    process.
    """
    file = io.BytesIO()
    fill(file)
    path.write_bytes(file.getbuffer())
