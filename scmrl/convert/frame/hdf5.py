"""An HDF5 file of another framework -> nested dicts of arrays, read so that no file can do harm.

    NIR     everything below /node
    netx    everything below /layer

A process of its own reads it:

    python -m scmrl.convert.frame.hdf5 FORMAT FILE LIMIT SECONDS OUT

Corrupt bytes can make the HDF5 library loop, crash or ask for any amount of memory; here that ends
a child with little time and memory. Followed are hard links to groups and plain datasets alone,
each group once; what a dataset unpacks to is counted before it is read. Anything else in the file
is refused.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ...system import temporary
from ...system.children import bound
from ...system.errors import BundleError, MissingDependency, ScmrlError
from ...system.reading import NUMBERS, read_arrays, regular

ROOTS = {"NIR": "node", "netx": "layer"}
ANY = "HDF5"  # in place of a format: which one is it?
READ_LIMIT_BYTES = 1 << 30  # what one file may unpack to
READ_SECONDS = 60  # what reading one file may take
REFUSED, NO_LIBRARY = 4, 6  # exit codes, as everywhere in scmrl
MAX_DEPTH = 64  # groups within groups
MAX_OBJECTS = 100_000
MAX_NAME = 1024  # characters of a string among others
# deflate, shuffle, fletcher32, lzf: what HDF5 and h5py bring themselves
PLAIN_FILTERS = {1, 2, 3, 32000}
STRING_COST = 64  # bytes that one string costs beyond its characters
OWN_MEMORY = 1 << 30  # what Python, numpy and HDF5 take before the first byte is read


def read(
    path: str | Path, kind: str, *, limit: int = READ_LIMIT_BYTES, seconds: int = READ_SECONDS
) -> dict[str, Any]:
    """What a file of the format `kind` (`ROOTS`) holds: groups as dicts, single values as scalars,
    strings as str, else arrays. Raises `BundleError` for anything that is no such file or unpacks
    to more than `limit` bytes, `MissingDependency` without h5py.
    """
    table: dict[str, Any] = {}
    for name, array in _arrays(regular(path, limit), kind, limit, seconds).items():
        *groups, last = name.lstrip("/").split("/")
        place = table
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = array if array.ndim else str(array) if array.dtype.kind == "U" else array[()]
    return table


def kind_of(path: str | Path) -> str:
    """The format of a file: NIR or netx. Raises as `read`."""
    found = _arrays(regular(path, READ_LIMIT_BYTES), ANY, READ_LIMIT_BYTES, READ_SECONDS)
    return next(iter(found))


def _arrays(path: Path, kind: str, limit: int, seconds: int) -> dict[str, np.ndarray]:
    """The arrays in the file by path, from the child."""
    with temporary.directory(kind.lower()) as directory:
        out = directory / "arrays.npz"
        command = [sys.executable, "-m", __name__, kind, str(path), str(limit), str(seconds)]
        root = str(Path(__file__).resolve().parents[3])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            done = subprocess.run(
                bound([*command, str(out)]),
                check=False,
                capture_output=True,
                text=True,
                timeout=seconds,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            )
        except subprocess.TimeoutExpired:
            raise BundleError(
                f"not a sound {kind} file: HDF5 does not come to an end",
                where=path,
                limit=f"{seconds} s",
            ) from None
        if done.returncode == NO_LIBRARY:
            raise MissingDependency("h5py", enables=f"reading {kind} files")
        if done.returncode == REFUSED and done.stderr.strip():
            raise BundleError(done.stderr.strip().splitlines()[-1])
        if done.returncode:
            raise BundleError(
                f"not a sound {kind} file: HDF5 gave up on it",
                where=path,
                value=f"exit code {done.returncode}",
            )
        return read_arrays(out, 4 * limit, kinds=NUMBERS + "U")


class _Walk:
    """Reads one file into arrays by their path under the root of its format, within the budget."""

    def __init__(self, h5py: ModuleType, path: Path, kind: str, limit: int):
        self.h5py, self.path, self.kind, self.limit = h5py, path, kind, limit
        self.left, self.objects = limit, 0
        self.seen: set[int] = set()
        self.arrays: dict[str, np.ndarray] = {}

    def read(self, file: Any) -> dict[str, np.ndarray]:
        roots = ROOTS if self.kind == ANY else {self.kind: ROOTS[self.kind]}
        for kind, root in roots.items():
            if isinstance(group := self.member(file, root), self.h5py.Group):
                if self.kind == ANY:
                    return {kind: np.array(root)}
                self.group(group, "", 0)
                return {f"/{name}": array for name, array in self.arrays.items()}
        missing = " or ".join(f"/{root}" for root in roots.values())
        raise self.refuse(f"not a {' or '.join(roots)} file", f"no group {missing}")

    def refuse(self, what: str, value: object = None, limit: object = None) -> BundleError:
        return BundleError(what, where=self.path, value=value, limit=limit)

    def member(self, group: Any, name: str) -> Any:
        """A member that the group holds itself."""
        link = group.get(name, getlink=True)
        if link is not None and not isinstance(link, self.h5py.HardLink):
            raise self.refuse("file links elsewhere, which is not followed", f"{group.name}/{name}")
        return group.get(name)

    def group(self, group: Any, prefix: str, depth: int) -> None:
        address = self.h5py.h5o.get_info(group.id).addr
        if address in self.seen or depth > MAX_DEPTH:
            raise self.refuse("groups form a cycle, repeat or nest too deep", group.name, MAX_DEPTH)
        self.seen.add(address)
        for name in group:
            self.objects += 1
            if self.objects > MAX_OBJECTS:
                raise self.refuse("file has too many objects", self.objects, MAX_OBJECTS)
            item = self.member(group, name)
            if isinstance(item, self.h5py.Group):
                self.group(item, f"{prefix}{name}/", depth + 1)
            elif isinstance(item, self.h5py.Dataset):
                self.arrays[f"{prefix}{name}"] = self.dataset(item)
            else:
                raise self.refuse("neither a group nor a dataset", f"{group.name}/{name}")

    def spend(self, size: int, name: str) -> None:
        self.left -= size
        if self.left < 0:
            raise self.refuse(
                "file unpacks to too much", f"{name}: {size} bytes", f"{self.limit} bytes"
            )

    def dataset(self, data: Any) -> np.ndarray:
        """A plain dataset: numbers, or strings of variable or fixed length."""
        creation = data.id.get_create_plist()
        filters = {creation.get_filter(i)[0] for i in range(creation.get_nfilters())}
        if data.is_virtual or data.external or not filters <= PLAIN_FILTERS:
            raise self.refuse("dataset is stored in a way that is not followed", data.name)
        if data.shape is None:
            raise self.refuse("dataset is empty", data.name)
        count = 1
        for n in data.shape:
            count *= int(n)
        text = self.h5py.check_string_dtype(data.dtype)
        if text is None and data.dtype.kind not in "fiub":
            raise self.refuse(
                f"dataset has a type that {self.kind} does not use", f"{data.name}: {data.dtype}"
            )
        self.spend(count * (STRING_COST if text else 1) * max(1, data.dtype.itemsize), data.name)
        if data.chunks is not None and text is None:
            size = data.dtype.itemsize
            for n in data.chunks:
                size *= int(n)
            self.spend(size, data.name)
        if text is None:
            return np.asarray(data[()])
        return self.text(data, count)

    def text(self, data: Any, count: int) -> np.ndarray:
        """Strings one by one: a thousand may point to the same megabyte."""
        if data.shape == ():
            return np.array(self.decode(data[()], data.name))
        if count > MAX_OBJECTS:
            raise self.refuse("dataset has too many strings", f"{data.name}: {count}", MAX_OBJECTS)
        words = np.empty(data.shape, object)
        for index in np.ndindex(data.shape):
            words[index] = self.decode(data[index], data.name)
            if len(words[index]) > MAX_NAME:
                raise self.refuse(
                    "string is too long", f"{data.name}: {len(words[index])}", MAX_NAME
                )
        return words.astype(str)

    def decode(self, word: str | bytes, name: str) -> str:
        self.spend(4 * len(word), name)
        return word.decode("utf8") if isinstance(word, bytes) else str(word)


def _confine(limit: int, seconds: int) -> None:
    """Little memory and time for this process, where the system can."""
    try:
        import resource
    except ImportError:
        return
    memory = 4 * limit + OWN_MEMORY  # packed, unpacked and on the way out
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(kind: str, path: str, limit: str, seconds: str, out: str) -> int:
    """Write the arrays of FILE to OUT (npz). One line on standard error and an exit code where that
    fails.
    """
    try:
        import h5py
    except ImportError:
        return NO_LIBRARY
    _confine(int(limit), int(seconds))
    try:
        with h5py.File(path, "r") as file:
            arrays = _Walk(h5py, Path(path), kind, int(limit)).read(file)
        np.savez(out, allow_pickle=False, **arrays)
    except ScmrlError as error:
        print(error, file=sys.stderr)
    except Exception as error:  # h5py raises a dozen kinds on corrupt files
        text = f"{type(error).__name__} {error}"[:200]
        print(BundleError(f"not a sound {kind} file", where=path, value=text), file=sys.stderr)
    else:
        return 0
    return REFUSED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
