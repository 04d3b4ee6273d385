"""Readers of one sample's file by its kind, see `folders`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ...system.errors import DataError, UsageError, nearest
from ...system.reading import read_array
from ..features import cochlea
from ..features.frontend import FrontEnd, Quantiser
from ..features.pairs import SAMPLE_RATE, unit_window
from ..features.values import numbers
from ..formats.aedat import SENSOR_SIDE, read_aedat
from ..formats.events import CAMERA_SIDE, frames, read_bs2
from ..formats.picture import middle, read_picture
from ..formats.sound import read_sound, resample

KINDS = {  # suffix: kind
    ".wav": "sound",
    ".flac": "sound",
    ".png": "picture",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".npy": "array",
    ".bs2": "events",
    ".aedat": "events",
}
SOUNDS = ("mel", "cochlea")
LIMITS = {"steps": 4096, "side": 1024}

Reader = Callable[[Path], np.ndarray]


def reader(kind: str, *, steps: int, sound: str, side: int | None) -> tuple[Reader, bool]:
    """(what reads one file of a kind, whether its first axis is time). Raises UsageError."""
    for name, value in {"steps": steps, "side": side}.items():
        if value is not None and not 1 <= value <= LIMITS[name]:
            limit = f"1 to {LIMITS[name]}"
            raise UsageError("out of range", where=name, limit=limit, value=value)
    if sound not in SOUNDS:
        raise UsageError("unknown form of sound", value=sound, fix=nearest(sound, SOUNDS))
    if kind == "sound":
        return (partial(_spikes, steps=steps), True) if sound == "cochlea" else (_mel, False)
    if kind == "picture":
        return partial(_picture, side=side), False
    return (partial(_events, steps=steps, side=side), True) if kind == "events" else (_array, False)


def _window(path: Path) -> np.ndarray:
    """The first second of a recording, float32 [8000], at unit RMS."""
    return unit_window(resample(*read_sound(path), SAMPLE_RATE), path)


def _mel(path: Path) -> np.ndarray:
    """Log-mel power float32 [1, bands, frames]."""
    unit = Quantiser(0.0, 1.0, 0.0, 1.0)  # which no log_mel uses
    return FrontEnd(audio=unit, visual=unit).log_mel(_window(path)[None]).astype(np.float32)


def _spikes(path: Path, steps: int) -> np.ndarray:
    """Spikes of the cochlea uint8 [T, 1, 32, 32]."""
    return cochlea.spikes(_window(path)[None], steps)[0]


def _picture(path: Path, side: int | None) -> np.ndarray:
    """uint8 [1, H, W] of a grey picture, else [3, H, W]."""
    picture = read_picture(path)
    pixels = np.asarray(picture if side is None else middle(picture, side), np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _array(path: Path) -> np.ndarray:
    """Numbers as they are."""
    return numbers(read_array(path, error=DataError), path)


def _events(path: Path, steps: int, side: int | None) -> np.ndarray:
    """Counts uint8 [T, 2, H, W] of the middle `side` pixels, or all."""
    aedat = path.suffix.lower() == ".aedat"
    events, camera = (read_aedat(path), SENSOR_SIDE) if aedat else (read_bs2(path), CAMERA_SIDE)
    lasts = int(events["t"][-1]) + 1
    own = min(side or camera, camera)
    return frames(events, steps, duration_us=lasts, side=own, camera_side=camera, bits=8)
