"""A NIR file (HDF5) -> nir graph, read so that no file can do harm. The one file of this room that
imports nir.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ....system.errors import BundleError, MissingDependency
from ....system.reading import regular
from ...frame import hdf5

READ_LIMIT_BYTES = hdf5.READ_LIMIT_BYTES
READ_SECONDS = hdf5.READ_SECONDS


def read(path: str | Path, limit: int = READ_LIMIT_BYTES) -> Any:
    """The `nir.NIRGraph` in the file `path`, which may unpack to at most `limit` bytes.

    A child process opens the file (`hdf5`). Types are not checked here: `import_graph` infers
    shapes itself, grouped and non-square kernels included. Raises `BundleError` for anything that
    is not a sound NIR file, `MissingDependency` without nir or h5py.
    """
    try:
        import nir
    except ImportError as error:
        raise MissingDependency(error.name or "nir", enables="reading NIR files") from None
    path = regular(path, limit)
    table = hdf5.read(path, "NIR", limit=limit, seconds=READ_SECONDS)
    try:
        if table.get("type") != "NIRGraph":
            raise ValueError("the top node is not a NIRGraph")
        return nir.dict2NIRNode(_unchecked(table))
    except (
        Exception
    ) as error:  # nir raises what its constructors happen to meet, asserts among them
        raise BundleError(
            "not a sound NIR file", where=path, value=f"{type(error).__name__} {error}"[:200]
        ) from None


def _unchecked(table: dict) -> dict:
    """Every graph with type_check off; nir infers the output size of a non-square kernel
    wrongly.
    """
    if table.get("type") != "NIRGraph":
        return table
    if not isinstance(table.get("nodes"), dict) or not all(
        isinstance(n, dict) for n in table["nodes"].values()
    ):
        raise ValueError("'nodes' must be a group of nodes")
    table = {
        key: value for key, value in table.items() if key in ("type", "nodes", "edges", "metadata")
    }
    return table | {
        "type_check": False,
        "nodes": {name: _unchecked(node) for name, node in table["nodes"].items()},
    }
