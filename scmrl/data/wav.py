"""WAV files: integer PCM of any width and channel count, checked to be whole."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from ..errors import DataError


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """Samples in [-1, 1), float32 [n], channels averaged, and the sample rate in Hz.

    Raises DataError for a file that is missing, not a PCM WAV, empty, or shorter than its header says.
    """
    try:
        with wave.open(str(path)) as reader:
            channels, width, rate, frames = reader.getparams()[:4]
            whole = frames * channels * width
            _check_header(path, width, rate, whole)
            payload = reader.readframes(frames)
    except FileNotFoundError:
        raise DataError("no such file", where=path) from None
    except (wave.Error, EOFError, OSError, RuntimeError) as error:     # RuntimeError: an overlong chunk
        raise DataError(f"not a PCM WAV file: {error or 'its header is cut off'}", where=path,
                        fix="convert it to 16-bit PCM WAV") from None
    if len(payload) < whole:
        raise DataError("the recording is truncated", where=path, limit=f"{whole} bytes",
                        value=f"{len(payload)} bytes")
    return _decode(payload, width).reshape(frames, channels).mean(axis=1, dtype=np.float32), rate


def _check_header(path: Path, width: int, rate: int, whole: int) -> None:
    """Before anything of `whole` bytes is allocated: a header that a file of this size can have."""
    if width not in (1, 2, 3, 4) or rate == 0:
        raise DataError("not a PCM WAV file", where=path, value=f"{width} bytes a sample, {rate} Hz")
    if whole == 0:
        raise DataError("the recording is empty", where=path)
    if whole > path.stat().st_size:
        raise DataError("the recording is truncated", where=path, limit=f"{whole} bytes",
                        value=f"{path.stat().st_size} bytes")


def _decode(payload: bytes, width: int) -> np.ndarray:
    """PCM of `width` bytes as float32 in [-1, 1); 8-bit PCM is unsigned, the rest signed little-endian."""
    if width == 1:
        return np.frombuffer(payload, np.uint8).astype(np.float32) / 128 - 1
    octets = np.frombuffer(payload, np.uint8).reshape(-1, width)
    padded = np.zeros((len(octets), 4), np.uint8)
    padded[:, 4 - width:] = octets
    return (padded.view("<i4")[:, 0] / 2**31).astype(np.float32)
