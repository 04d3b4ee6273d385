"""Frames of a video, one reader (PyAV) for every command: found by decoding, never by seeking.

    candidate k     the first frame at k seconds or later, k = 0, 1, 2, ..     [H, W, 3] uint8

Some containers have no duration, or a wrong one, and their frames are all right. A frame without a
time is taken to follow the one before at the usual rate.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...system.dependencies import require
from ...system.errors import DataError, one_line
from ...system.reading import opened

BYTES = 1 << 30
RATE = Fraction(30000, 1001)  # frames a second, where the file does not say
CANDIDATES = 64  # at most: a minute
PIXELS = 32_000_000


def each_second(path: Path, seconds: float) -> tuple[list[np.ndarray], str]:
    """The candidates of a video up to `seconds`, uint8 [H, W, 3], and what was wrong after them, or
    "". Raises DataError where there is none; MissingDependency without PyAV.
    """
    av = require("av", "reading videos")
    found: list[np.ndarray] = []
    wrong = ""
    with opened(path, BYTES, error=DataError) as file:
        try:
            with av.open(file, mode="r") as container:
                for number, frame in enumerate(container.decode(video=0)):
                    time = float(number / RATE) if frame.time is None else frame.time
                    if len(found) >= CANDIDATES or (found and time > seconds):
                        break
                    if time >= len(found):
                        found.append(_picture(frame, path))
        except DataError:
            raise
        except Exception as error:  # FFmpeg's errors are of a dozen kinds, those of a damaged file
            wrong = one_line(str(error) or type(error).__name__, 80)
    if not found:
        what = f"no frame can be decoded: {wrong or 'the video is empty'}"
        raise DataError(what, where=path, fix="fetch the file again")
    return found, wrong


def sound(path: Path) -> tuple[np.ndarray, int]:
    """The sound of a video: float32 [n], channels averaged, full scale 1, and its rate in Hz.

    Raises DataError where there is none; MissingDependency without PyAV.
    """
    av = require("av", "reading videos")
    blocks: list[np.ndarray] = []
    rate, wrong = 0, ""
    with opened(path, BYTES, error=DataError) as file:
        try:
            with av.open(file, mode="r") as container:
                resampler = av.AudioResampler(format="fltp")
                for frame in container.decode(audio=0):
                    rate = frame.sample_rate
                    blocks += [f.to_ndarray().mean(0) for f in resampler.resample(frame)]
        except Exception as error:  # as above
            wrong = one_line(str(error) or type(error).__name__, 80)
    if not blocks:
        what = f"no sound can be decoded: {wrong or 'the video has none'}"
        raise DataError(what, where=path, fix="fetch the file again")
    return np.concatenate(blocks).astype(np.float32), rate


def _picture(frame: Any, path: Path) -> np.ndarray:
    if frame.width * frame.height > PIXELS:
        value = f"{frame.width} x {frame.height}"
        raise DataError("the video is too large", where=path, limit=f"{PIXELS} pixels", value=value)
    return frame.to_ndarray(format="rgb24")
