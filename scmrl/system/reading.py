"""The one door through which scmrl reads files. What lies in them was written by others: it is
data, never code.

Only regular files are opened: a pipe, a device, a socket or a directory is refused and never waited
for. Every format has a bound that is checked before anything is read or allocated. The bounds suit
what scmrl writes itself; where a larger file is trusted, `SCMRL_LIMIT_FACTOR=4` makes every one of
them four times as large.

    JSON    size, nesting, number of values; no key twice; 64-bit integers, finite floats
    TOML    the same rules
    npz     what it unpacks to, by the archive and again by each array's header; numbers only
    npy     as each array of an npz

Another format's library gets the file object of `opened`, or the path that `regular` looked at.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from .errors import BundleError, ScmrlError, UsageError

FACTOR = "SCMRL_LIMIT_FACTOR"
ARRAYS_BYTES = 512 << 20  # what one npz may unpack to
JSON_BYTES = 32 << 20
JSON_VALUES = 1_000_000
TOML_BYTES = 256 << 10
LIST_BYTES = 16 << 20  # a text of one entry a line
TOML_DOTS = 256  # in one line: the parser's time is quadratic in the parts of a key
DEPTH = 100  # tables and lists within each other
MEMBERS = 100_000  # arrays of one npz
HEADER_BYTES = 16 << 10  # of one array
NUMBERS, TEXTS = "biuf", "U"  # kinds of numpy types
INTEGERS = range(-(1 << 63), 1 << 64)  # signed or unsigned 64 bits
BLOCK = 1 << 20
HOW = os.O_RDONLY | sum(getattr(os, f"O_{name}", 0) for name in ("NONBLOCK", "CLOEXEC", "BINARY"))
STORED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def bound(limit: int) -> int:
    """`limit` times the factor of the environment, or 1. Raises `UsageError` for a bad one."""
    text = os.environ.get(FACTOR, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 1 <= factor <= 1e6:
        raise UsageError("must be a number from 1 to 1,000,000", where=FACTOR, value=text)
    return int(limit * factor)


def larger(limit: int, value: int) -> str:
    """What to do where `value` is beyond the bound of `limit`."""
    return f"if it is trusted, set {FACTOR}={math.ceil(value / limit)}"


def check_bound(
    what: str,
    value: int,
    limit: int,
    *,
    where: object,
    error: type[ScmrlError] = BundleError,
    unit: str = "bytes",
) -> None:
    """Raise `error` where `value` is beyond the bound of `limit`, saying how to raise that."""
    if value > bound(limit):
        most, fix = f"{bound(limit)} {unit}", larger(limit, value)
        raise error(what, where=where, limit=most, value=value, fix=fix)


@contextlib.contextmanager
def opened(
    path: str | Path, limit: int | None, *, error: type[ScmrlError] = BundleError
) -> Iterator[BinaryIO]:
    """The regular file at `path` of at most `limit` bytes (None: any), open for reading."""
    try:
        _require_regular(os.stat(path), path, error)  # before: opening a device can have effects
        handle = os.open(path, HOW)
    except (OSError, ValueError) as reason:  # ValueError: a NUL in the name
        why = getattr(reason, "strerror", None) or reason
        raise error("cannot read", where=path, value=why) from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        _require_regular(status, path, error)
        if limit is not None:
            check_bound("file is too large", status.st_size, limit, where=path, error=error)
        yield file


def _require_regular(status: os.stat_result, path: str | Path, error: type[ScmrlError]) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for holds, name in KINDS if holds(status.st_mode)), "of another kind")
        raise error("cannot read: only regular files are", where=path, value=kind)


def refuse_special(path: str | Path, *, error: type[ScmrlError] = BundleError) -> None:
    """Raise `error` for a device, a pipe or a socket; the reader refuses the rest."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return
    if not stat.S_ISDIR(status.st_mode):
        _require_regular(status, path, error)


def regular(path: str | Path, limit: int | None, *, error: type[ScmrlError] = BundleError) -> Path:
    """`path`, for a library that opens files by name, once `opened` would take it."""
    with opened(path, limit, error=error):
        return Path(path)


def read_bytes(path: str | Path, limit: int, *, error: type[ScmrlError] = BundleError) -> bytes:
    """All of a file of at most `limit` bytes. Raises `error`."""
    with opened(path, limit, error=error) as file:
        try:
            data = file.read(bound(limit) + 1)
        except OSError as reason:
            raise error("cannot read", where=path, value=reason.strerror or reason) from None
        # it may have grown meanwhile
        check_bound("file is too large", len(data), limit, where=path, error=error)
        return data


def read_text(path: str | Path, limit: int, *, error: type[ScmrlError] = BundleError) -> str:
    """All of a UTF-8 file of at most `limit` bytes. Raises `error`."""
    data = read_bytes(path, limit, error=error)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as reason:
        why = f"{reason.reason} at byte {reason.start}"
        raise error("not UTF-8 text", where=path, value=why) from None


def sha256(path: str | Path, *, error: type[ScmrlError] = BundleError) -> str:
    """The hash of a regular file of any size, in hexadecimal. Raises `error`."""
    digest = hashlib.sha256()
    with opened(path, None, error=error) as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            digest.update(block)
    return digest.hexdigest()


# ---- JSON and TOML -------------------------------------------------------------------------------


def read_json(path: str | Path, *, error: type[ScmrlError] = BundleError) -> dict[str, Any]:
    """The JSON object in a file. Raises `error` naming the field that breaks a rule."""
    text = read_text(path, JSON_BYTES, error=error)
    what, count = "JSON has too many values", sum(map(text.count, ",[{"))
    check_bound(what, count, JSON_VALUES, where=path, error=error, unit="values")
    try:
        table = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as reason:
        raise error("not valid JSON", where=path, value=str(reason)) from None
    if not isinstance(table, dict):
        raise error("expected a JSON object", where=path, value=type(table).__name__)
    check_values(table, path, error)
    return table


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"a key is there twice: {twice!r}")
    return table


def read_toml(path: str | Path, *, error: type[ScmrlError] = UsageError) -> dict[str, Any]:
    """The table in a TOML file. Raises `error` naming the field that breaks a rule."""
    return parse_toml(read_text(path, TOML_BYTES, error=error), path, error=error)


def parse_toml(text: str, where: object, *, error: type[ScmrlError] = UsageError) -> dict[str, Any]:
    """The table of a TOML text."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    what = "TOML has too many dots in a line"
    dots = max((line.count(".") for line in text.splitlines()), default=0)
    check_bound(what, dots, TOML_DOTS, where=where, error=error, unit="dots")
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as reason:
        raise error("not valid TOML", where=where, value=str(reason)) from None
    check_values(table, where, error)
    return table


def check_values(table: dict[str, Any], where: object, error: type[ScmrlError]) -> None:
    """Raise `error` for what no file of scmrl has: too deep, past 64 bits, not finite, a date."""
    waiting: list[tuple[object, str, int]] = [(table, "", 0)]
    while waiting:
        value, name, depth = waiting.pop()
        if isinstance(value, (dict, list)):
            if depth > DEPTH:
                raise error("nested too deep", where=f"{where}: {name[:80]}", limit=DEPTH)
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [
                (part, f"{name}.{key}" if name else str(key), depth + 1)
                for key, part in parts
                if not isinstance(part, str)
            ]
        elif isinstance(value, int):
            if value not in INTEGERS:
                size = f"one of {value.bit_length()} bits"
                raise error("integer does not fit 64 bits", where=f"{where}: {name}", value=size)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise error("must be a finite number", where=f"{where}: {name}", value=value)
        elif value is not None:
            what, kind = "must be a number, text, true or false", type(value).__name__
            raise error(what, where=f"{where}: {name}", value=kind)


# ---- npz -----------------------------------------------------------------------------------------


def read_arrays(
    path: str | Path,
    limit: int = ARRAYS_BYTES,
    *,
    kinds: str = NUMBERS,
    error: type[ScmrlError] = BundleError,
) -> dict[str, np.ndarray]:
    """All arrays of an npz that unpacks to at most `limit` bytes, of types of `kinds`; raises
    `error`, never unpickles.
    """
    with opened(path, limit, error=error) as file:
        try:
            what, count = "archive has too many members", _members(file)
            check_bound(what, count, MEMBERS, where=path, error=error, unit="members")
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                what, size = "archive unpacks to too much", sum(m.file_size for m in members)
                check_bound(what, size, limit, where=path, error=error)
                names = [member.filename.removesuffix(".npy") for member in members]
                if len(set(names)) < len(names):
                    raise ValueError("two members of one name")
                return {n: _member(archive, member, kinds) for n, member in zip(names, members)}
        except ScmrlError:
            raise
        except OSError as reason:
            raise error("cannot read", where=path, value=reason.strerror or reason) from None
        except Exception as reason:  # zipfile, zlib and numpy raise a dozen kinds on corrupt bytes
            why = f"{type(reason).__name__} {reason}"
            raise error("not a valid npz archive", where=path, value=why) from None


def _members(file: BinaryIO) -> int:
    """At most how many members an archive lists: before `zipfile` makes an object of each."""
    count, before = 0, b""
    while block := file.read(BLOCK):
        count += (before + block).count(b"PK\x01\x02")
        before = block[-3:]
    file.seek(0)
    return count


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, kinds: str) -> np.ndarray:
    if member.compress_type not in STORED:
        raise ValueError(f"{member.filename}: packed in another way than deflate")
    with archive.open(member) as stream:
        return _array(stream, member.filename, member.file_size, kinds)


def read_array(
    path: str | Path,
    limit: int = ARRAYS_BYTES,
    *,
    kinds: str = NUMBERS,
    error: type[ScmrlError] = BundleError,
) -> np.ndarray:
    """The array of an npy file of at most `limit` bytes, of a type of `kinds`; raises `error`,
    never unpickles.
    """
    with opened(path, limit, error=error) as file:
        try:
            return _array(file, Path(path).name, os.fstat(file.fileno()).st_size, kinds)
        except OSError as reason:
            raise error("cannot read", where=path, value=reason.strerror or reason) from None
        except Exception as reason:  # numpy raises a dozen kinds on corrupt headers
            why = f"{type(reason).__name__} {reason}"
            raise error("not a valid npy file", where=path, value=why) from None


def _array(stream: IO[bytes], name: str, file_size: int, kinds: str) -> np.ndarray:
    """The one array in `stream`, whose header must describe exactly the bytes that follow it."""
    head = io.BytesIO(stream.read(HEADER_BYTES))
    version = np.lib.format.read_magic(head)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name}: format {version} is not read")
    read = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
    shape, columns_first, dtype = read(head)
    if dtype.kind not in kinds or dtype.names or (dtype.kind in NUMBERS and dtype.itemsize > 8):
        raise ValueError(f"{name}: holds {dtype}, which is no array of numbers")
    size, said = file_size - head.tell(), math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or said != size:
        raise ValueError(f"{name}: {size} bytes do not make an array {list(shape)} of {dtype}")
    flat = np.empty(math.prod(shape), dtype)
    _fill(flat.view(np.uint8).data if size else memoryview(bytearray()), head.read(), stream)
    array: np.ndarray = flat.reshape(shape, order="F" if columns_first else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _fill(out: memoryview, first: bytes, stream: IO[bytes]) -> None:
    """`first` and what follows in `stream`, to the end, so that its checksum is checked."""
    out[: len(first)] = first
    place = len(first)
    while place < len(out):
        if not (block := stream.read(min(BLOCK, len(out) - place))):
            raise ValueError("the archive is cut off")
        out[place : place + len(block)] = block
        place += len(block)
    if stream.read(1):
        raise ValueError("a member is larger than it says")
