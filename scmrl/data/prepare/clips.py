"""Clips: one sound and one picture each, as files that the readers of recordings take.

    audio/ID.wav    the sound's own bytes up to 22.05 kHz; a higher rate as float32 at 22.05 kHz
    visual/ID.png   one frame: of the candidates (one a second), drawn by (seed, ID)

The draw of a clip does not depend on which others are there. A clip of which one half cannot be
read is left out and named; the others go on.
"""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import numpy as np

from ...system.dependencies import require
from ...system.errors import DataError
from ...system.reading import read_bytes
from ..features.encoders import RATE
from ..formats import video
from ..formats.picture import read_picture
from ..formats.sound import BYTES, read_sound, resample
from ..prepared.work import Made, stub

LIKELY_S = 10.0  # a clip that is longer than that is odd
MOST_S = 60.0


def clip(name: str, heard: str, seen: str, seed: int) -> Made:
    """A unit of a sound and a video or picture, or "". Left out where one cannot be read."""
    notes: list[str] = []
    try:
        files, seconds = of_sound(name, Path(heard))
        if seen:
            files |= of_picture(name, Path(seen), (0.0, seconds), seed, notes)
    except DataError as error:
        return Made(left_out=(f"{name}: {error}",))
    return Made(files, (row(name, files),), notes=tuple(notes))


def row(name: str, files: dict[str, bytes]) -> dict[str, str]:
    """What the index says of a clip: its files by modality."""
    return {"id": name, **{file.split("/")[0]: file for file in files}}


def of_sound(name: str, path: Path) -> tuple[dict[str, bytes], float]:
    """The file of a sound and its seconds. Raises DataError for one that cannot be read."""
    samples, rate = read_sound(path)
    data = read_bytes(path, BYTES, error=DataError) if rate <= RATE else wav(samples, rate)
    return {f"audio/{name}.wav": data}, len(samples) / rate


def of_picture(
    name: str, path: Path, span: tuple[float, float], seed: int, notes: list[str]
) -> dict[str, bytes]:
    """The file of a frame from within `span` (in s) of a video, or of a picture. DataError."""
    if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
        return {f"visual/{name}.png": png(np.asarray(read_picture(path).convert("RGB")))}
    start, end = span
    found, wrong = video.each_second(path, min(end, MOST_S))
    if wrong:
        notes.append(f"{name}: {path.name} is damaged after {len(found)} s ({wrong})")
    if end - start > LIKELY_S:
        notes.append(f"{name}: lasts {end - start:.0f} s")
    within = [k for k in range(len(found)) if k >= start] or [len(found) - 1]
    frame = found[within[drawn(seed, name, len(within))]]
    if not frame.any():
        notes.append(f"{name}: the frame of {path.name} is black")
    return {f"visual/{name}.png": png(frame)}


def drawn(seed: int, name: str, count: int) -> int:
    """One of `count`, by (seed, name) alone."""
    words = np.frombuffer(hashlib.sha256(f"{seed} {name}".encode()).digest(), np.uint32)
    return int(np.random.default_rng(words).integers(count))


def png(picture: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as a PNG."""
    file = io.BytesIO()
    require("PIL.Image", "pictures").fromarray(picture).save(file, "PNG")
    return file.getvalue()


def wav(samples: np.ndarray, rate: int) -> bytes:
    """Samples [n] as a WAV of float32 at no more than 22.05 kHz."""
    if rate > RATE:
        samples, rate = resample(samples, rate, RATE), RATE
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<4sIHHIIHHH", b"fmt ", 18, 3, 1, rate, 4 * rate, 4, 32, 0)
    fact = struct.pack("<4sII", b"fact", 4, len(samples))
    body = b"WAVE" + form + fact + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def stubs(paths: list[Path], left_out: list[str]) -> set[Path]:
    """Which files are stubs of Git LFS, told in `left_out`; DataError where all are."""
    found = {path for path in paths if stub(path)}
    if found and len(found) == len(paths):
        raise DataError(
            "the files are stubs of Git LFS, three lines of text, not recordings",
            where=paths[0].parent,
            value=f"{len(found)} of {len(paths)}",
            fix="run `git lfs pull` in the clone",
        )
    left_out += [f"{p.stem}: {p.name} is a stub of Git LFS (git lfs pull)" for p in sorted(found)]
    return found
