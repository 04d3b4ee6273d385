"""Files that are never half-written and never read past a limit."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .errors import BundleError, ScmrlError

READ_LIMIT_BYTES = 4 << 30              # what one archive may unpack to
JSON_LIMIT_BYTES = 64 << 20


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its name only when the block ends without an error."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
    except OSError as error:
        raise ScmrlError("cannot write", where=path, value=error.strerror) from None
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise ScmrlError("cannot write", where=path, value=error.strerror,
                         fix="free some space or choose another place") from None
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """A temporary directory beside `path` that replaces it only when the block ends without an error."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise ScmrlError("cannot write", where=path, value=error.strerror) from None
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        if path.exists():
            old = temporary.with_name(temporary.name + ".old")
            os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(temporary, path)
    except OSError as error:
        raise ScmrlError("cannot write", where=path, value=error.strerror,
                         fix="free some space or choose another place") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def write_json(path: Path, table: object) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


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


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with whole_file(path) as temporary:
        np.savez_compressed(temporary, **arrays)


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
