"""Recordings as samples: one reader (libsndfile, by way of soundfile) for every command.

    WAV    PCM of 8, 16, 24, 32 bits, float of 32, 64, mu-law, A-law, extensible; RF64, W64
    FLAC

    x = pcm / 2^(bits - 1)      float as it is                  full scale is 1
    x[n] = mean of x_c[n] over the channels c
    another rate: band-limited resampling (soxr, high quality), only where it is asked for

A WAV that was written to a pipe has no length in its header (0, or about 2^31 or 2^32): it is read
to the file's end. A file that is shorter than its header says is refused, and so are samples that
are not finite or far over full scale.
"""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ...system.dependencies import require
from ...system.errors import DataError
from ...system.reading import check_bound, opened

if TYPE_CHECKING:
    from soundfile import SoundFile

RATES = range(1000, 384_001)  # Hz
SECONDS, SAMPLES = 3600, 1 << 26  # what is read at most: an hour, and 25 minutes at 44.1 kHz
BYTES, HELD_BYTES = 1 << 30, 256 << 20  # of a file, and of one that is held in memory
SCALE = 16  # times full scale: more is float on the scale of integers
BLOCK = 1 << 16  # frames decoded at once
CHUNKS = 1000  # chunks of a WAV that are looked at
UNKNOWN = 0x7FFF0000  # lengths from here on, of which the file has less: none was known
UNKNOWN_64 = 1 << 62
CODINGS = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
CONVERT = "convert it to 16-bit PCM WAV"


def read_sound(path: str | Path) -> tuple[np.ndarray, int]:
    """Samples float32 [n], channels averaged, full scale 1, and the sample rate in Hz.

    Raises DataError, naming the reason, for a file that is missing, of another kind, damaged, cut
    off, empty, longer than is read, or of a rate outside 1 to 384 kHz; MissingDependency without
    soundfile.
    """
    soundfile = require("soundfile", "recordings")
    path = Path(path)
    try:
        with opened(path, BYTES, error=DataError) as file:
            _check_name(file, path)
            with soundfile.SoundFile(_whole(file, path)) as sound:
                return _mono(sound, path), sound.samplerate
    except OSError as error:
        why = error.strerror or error
        raise DataError("cannot read the recording", where=path, value=why) from None
    except soundfile.SoundFileError as error:  # libsndfile's own words
        why = getattr(error, "error_string", "") or str(error)
        what = f"not a recording that can be read: {why}"
        raise DataError(what, where=path, fix=CONVERT) from None


def resample(samples: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Samples [n] at `rate` Hz, at `target` Hz."""
    if rate == target:
        return samples
    librosa = require("librosa", f"recordings at {rate} Hz")
    return librosa.resample(samples, orig_sr=rate, target_sr=target)


def _mono(sound: SoundFile, path: Path) -> np.ndarray:
    """All samples of an open sound file, checked before and after they are decoded."""
    _check(sound, path)
    out, done = np.empty(sound.frames, np.float32), 0
    while done < len(out):
        block = sound.read(min(BLOCK, len(out) - done), dtype="float32", always_2d=True)
        if not len(block):
            _refuse_cut(len(out), done, path, "samples")
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            part = block.mean(axis=1, dtype=np.float32)
        most = np.abs(part).max()
        if not np.isfinite(most):
            raise DataError("a sample of the recording is not finite", where=path, fix=CONVERT)
        if most > SCALE:
            what, fix = "samples are far over full scale", "scale float samples to -1..1"
            raise DataError(what, where=path, limit=SCALE, value=f"{most:.6g}", fix=fix)
        out[done : done + len(block)] = part
        done += len(block)
    return out


def _check(sound: SoundFile, path: Path) -> None:
    """Before anything is allocated: what an open sound file says of itself."""
    rate, coding = sound.samplerate, sound.subtype_info
    if sound.subtype not in CODINGS:
        what, limit = "unknown coding of samples", "PCM, float, mu-law or A-law"
        raise DataError(what, where=path, limit=limit, value=coding, fix=CONVERT)
    if rate not in RATES:
        limit = f"{RATES.start} to {RATES.stop - 1} Hz"
        raise DataError("sample rate out of range", where=path, value=f"{rate} Hz", limit=limit)
    if sound.frames == 0:
        raise DataError("the recording is empty", where=path)
    if sound.frames > UNKNOWN_64:
        fix = "write it to a file instead of a pipe"
        raise DataError("the header has no length", where=path, fix=fix)
    what, seconds, most = "the recording is too long", -(-sound.frames // rate), SAMPLES // rate
    check_bound(what, seconds, min(SECONDS, most), where=path, error=DataError, unit="s")


def _check_name(file: BinaryIO, path: Path) -> None:
    """By its first bytes a WAV, RF64, W64 or FLAC file."""
    first = file.read(16)
    file.seek(0)
    if not first:
        raise DataError("the file is empty", where=path)
    if first[:4] not in (b"RIFF", b"RF64", b"riff", b"fLaC"):
        raise DataError("not a WAV or FLAC file", where=path, value=repr(first), fix=CONVERT)


def _whole(file: BinaryIO, path: Path) -> int | io.BytesIO:
    """What libsndfile opens: a descriptor of `file` for its own, or the bytes with the length of
    the samples put into the header. DataError where the file has less than it says.
    """
    size, kind = os.fstat(file.fileno()).st_size, file.read(4)
    file.seek(0)
    if kind == b"riff":
        said = struct.unpack("<16xq", file.read(24).ljust(24, b"\0"))[0]
        _refuse_cut(said, size, path)
    if kind not in (b"RIFF", b"RF64"):
        return _own(file)
    place, length, rest = _samples_at(file, size, path)
    large = length >= UNKNOWN_64 or UNKNOWN <= length < 1 << 32
    unknown = rest > 0 and (length == 0 or (length > rest and large))
    if not unknown:
        _refuse_cut(length, rest, path)
        return _own(file)
    what = "too large a file whose header has no length"
    check_bound(what, size, HELD_BYTES, where=path, error=DataError)
    file.seek(0)
    content = bytearray(file.read(size).ljust(size, b"\0"))
    content[:8] = b"RIFF" + struct.pack("<I", size - 8)
    content[place - 4 : place] = struct.pack("<I", rest)
    return io.BytesIO(content)


def _own(file: BinaryIO) -> int:
    """Another descriptor of `file`, at its beginning."""
    descriptor = os.dup(file.fileno())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _refuse_cut(said: int, there: int, path: Path, unit: str = "bytes") -> None:
    if said > there:
        limit, value = f"{said} {unit}", f"{there} {unit}"
        raise DataError("the recording is truncated", where=path, limit=limit, value=value)


def _samples_at(file: BinaryIO, size: int, path: Path) -> tuple[int, int, int]:
    """(where the samples of a RIFF begin, their bytes by the header, bytes from there to the end).

    A length of 0 was never filled in only where the RIFF does not end there: else none are there.
    """
    kind, whole, form = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
    if form != b"WAVE":
        what = "not a WAV file: a RIFF of another kind"
        raise DataError(what, where=path, value=repr(form), fix=CONVERT)
    place, odd, long = 12, b"", None
    for _ in range(CHUNKS):
        file.seek(place)
        header = file.read(8)
        if len(header) < 8:
            break
        name, length = struct.unpack("<4sI", header)
        place += 8
        if name == b"ds64":
            long = struct.unpack("<8xq", file.read(16).ljust(16, b"\0"))[0]
        if name == b"data":
            if kind == b"RF64" and length == 0xFFFFFFFF and long is not None:
                length = long if long >= 0 else UNKNOWN_64
            ends = length == 0 and place < whole + 8 <= size
            return place, length, 0 if ends else size - place
        odd = name if length % 2 and not odd else odd
        place += length + length % 2
    name = odd.decode("latin-1")
    lost = f"; the chunk {name!r} has an odd length: is its padding byte missing?" if odd else ""
    what = f"not a WAV file: it has no samples (no chunk 'data'{lost})"
    raise DataError(what, where=path, fix=CONVERT)
