"""A NIR file (HDF5) -> nir graph, read so that no file can do harm. The one file of this room that
imports nir.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ....system import temporary
from ....system.children import bound
from ....system.errors import BundleError, MissingDependency
from ....system.reading import NUMBERS, read_arrays, regular
from .hdf5 import NO_LIBRARY, REFUSED

READ_LIMIT_BYTES = 1 << 30  # what one file may unpack to
READ_SECONDS = 60  # what reading one file may take


def read(path: str | Path, limit: int = READ_LIMIT_BYTES) -> Any:
    """The `nir.NIRGraph` in the file `path`, which may unpack to at most `limit` bytes.

    A child process opens the file (`hdf5`). Types are not checked here: `import_graph` infers
    shapes itself, grouped and non-square kernels included. Raises `BundleError` for anything that
    is not a sound NIR file, `MissingDependency` without nir or h5py.
    """
    try:
        import nir
    except ImportError as error:
        raise _missing(error.name or "nir") from None
    path = regular(path, limit)
    table = _table(_arrays(path, limit))
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


def _missing(name: str) -> MissingDependency:
    return MissingDependency(name, enables="reading NIR files")


def _arrays(path: Path, limit: int) -> dict[str, np.ndarray]:
    """The arrays in the file by path, from the child."""
    with temporary.directory("nir") as directory:
        out = directory / "arrays.npz"
        command = [
            sys.executable,
            "-m",
            "scmrl.convert.nir.importer.hdf5",
            str(path),
            str(limit),
            str(READ_SECONDS),
            str(out),
        ]
        root = str(Path(__file__).resolve().parents[4])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            done = subprocess.run(
                bound(command),
                check=False,
                capture_output=True,
                text=True,
                timeout=READ_SECONDS,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            )
        except subprocess.TimeoutExpired:
            raise BundleError(
                "not a sound NIR file: HDF5 does not come to an end",
                where=path,
                limit=f"{READ_SECONDS} s",
            ) from None
        if done.returncode == NO_LIBRARY:
            raise _missing("h5py")
        if done.returncode == REFUSED and done.stderr.strip():
            raise BundleError(done.stderr.strip().splitlines()[-1])
        if done.returncode:
            raise BundleError(
                "not a sound NIR file: HDF5 gave up on it",
                where=path,
                value=f"exit code {done.returncode}",
            )
        return read_arrays(out, 4 * limit, kinds=NUMBERS + "U")


def _table(arrays: dict[str, np.ndarray]) -> dict:
    """Nested dicts from paths; single values as scalars, strings as str."""
    table: dict = {}
    for name, array in arrays.items():
        *groups, last = name.lstrip("/").split("/")
        place = table
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = array if array.ndim else str(array) if array.dtype.kind == "U" else array[()]
    return table


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
