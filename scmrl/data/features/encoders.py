"""Encoders of the published datasets: a recording as a spectrogram, a picture as RGB; both 128x128.

    spectrogram   float32 [1, 128, 128]: log(|STFT(x)| + 1e-7), x at 22.05 kHz clamped to [-1, 1];
                  n_fft 512, hop 353, Hann window, centred with zeros around, linear frequency;
                  bilinear to 128x128
    band_limited  the same, but averaged where the picture shrinks, and log 0 = -inf (no level, and
                  nothing to fit) in rows that reach above half the recording's own rate
    rgb           uint8 [3, 128, 128]: shorter side to 256, the middle 128x128
    rgb, training a part of 8 to 100 % of that, 3:4 to 4:3, to 128x128; half of them mirrored;
                  of prepared pictures of one size a part of the whole one, as published

After He et al. 2025, arXiv 2502.12488. The
ImageNet mean and std of the published code are a linear map of each channel that the first layer's
weights undo; what enters the integer network is the pixel itself, quantised (`FrontEnd`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...core.report.progress import each
from ...system.dependencies import require
from ...system.errors import DataError
from ..formats.picture import read_picture
from ..formats.sound import read_sound, resample

RATE = 22_050  # Hz
N_FFT, HOP = 512, 353  # samples
LOG_FLOOR = 1e-7
SIDE = 128  # pixels
RESIZED = 256  # pixels of the shorter side before the middle is cut out
CROP_AREA = (0.08, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)


def spectrogram(path: Path) -> np.ndarray:
    """float32 [1, 128, 128] of a recording. Raises DataError for one missing or damaged."""
    return bilinear(_log_spectrum(*read_sound(path)), SIDE).astype(np.float32)[None]


def band_limited(path: Path) -> np.ndarray:
    """float32 [1, 128, 128] of a recording, -inf where its rate leaves nothing. Raises DataError.

    Resampling leaves that part at the floor; were it fitted, it would pull the mean down by a
    standard deviation, and with it the levels of all that is heard.
    """
    Image = require("PIL.Image", "spectrograms")
    samples, rate = read_sound(path)
    logarithm = _log_spectrum(samples, rate).astype(np.float32)
    size, how = (SIDE, SIDE), Image.Resampling.BILINEAR
    out = np.array(Image.fromarray(logarithm).resize(size, how))
    shrunk = len(logarithm) / SIDE
    highest = (np.arange(SIDE) + 0.5) * shrunk - 0.5 + max(shrunk, 1)  # bin that a row reaches
    if rate < RATE:
        out[highest * RATE / N_FFT > rate / 2] = -np.inf
    return out[None]


def _log_spectrum(samples: np.ndarray, rate: int) -> np.ndarray:
    """float64 [257, frames] of a sound at `rate` Hz."""
    librosa = require("librosa", "spectrograms")
    sound = np.clip(resample(samples, rate, RATE), -1, 1)
    spectrum = librosa.stft(
        sound, n_fft=N_FFT, hop_length=HOP, window="hann", center=True, pad_mode="constant"
    )
    return np.log(np.abs(spectrum).astype(np.float64) + LOG_FLOOR)


def rgb(path: Path) -> np.ndarray:
    """uint8 [3, 128, 128] of a picture. Raises DataError for one missing or damaged."""
    return middle(whole(path))


def whole(path: Path) -> np.ndarray:
    """uint8 [3, H, W] of a picture, the shorter side 256. Raises DataError as `rgb`."""
    Image = require("PIL.Image", "image files")
    colour = read_picture(path).convert("RGB")
    scale = RESIZED / min(colour.size)
    width, height = (max(RESIZED, int(side * scale)) for side in colour.size)
    colour = colour.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(colour, np.uint8).transpose(2, 0, 1)


def middle(pictures: np.ndarray) -> np.ndarray:
    """The middle [..., 128, 128] of pictures [..., H, W]."""
    height, width = pictures.shape[-2:]
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    return pictures[..., top : top + SIDE, left : left + SIDE]


def cropped(
    pictures: np.ndarray, random: np.random.Generator, size: tuple[int, ...] | None = None
) -> np.ndarray:
    """Pictures uint8 [S, 3, H, W], each a random part of itself at `size` (None: at its own), half
    mirrored.
    """
    Image = require("PIL.Image", "image files")
    height, width = pictures.shape[2:]
    rows, columns = size or (height, width)
    out = np.empty((*pictures.shape[:2], rows, columns), np.uint8)
    for i, picture in enumerate(pictures):
        area = height * width * random.uniform(*CROP_AREA)
        ratio = np.exp(random.uniform(*np.log(CROP_RATIO)))
        w = min(width, max(1.0, np.sqrt(area * ratio)))
        h = min(height, max(1.0, np.sqrt(area / ratio)))
        left, top = random.uniform(0, width - w), random.uniform(0, height - h)
        box = left, top, left + w, top + h
        part = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
        part = part.resize((columns, rows), Image.Resampling.BILINEAR, box=box)
        out[i] = np.asarray(part, np.uint8).transpose(2, 0, 1)
        if random.random() < 0.5:
            out[i] = out[i, :, :, ::-1]
    return out


def bilinear(x: np.ndarray, side: int) -> np.ndarray:
    """x [H, W] at [side, side]: pixel centres, no smoothing, edges repeated."""
    for axis in (0, 1):
        size = x.shape[axis]
        place = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, size - 1)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, size - 1)
        part = (place - below)[:, None] if axis == 0 else place - below
        x = x.take(below, axis) * (1 - part) + x.take(above, axis) * part
    return x


def encode_all(
    encode: Callable[[Path], np.ndarray], paths: list[Path], faults: list[str]
) -> np.ndarray:
    """What `encode` makes of every file [S, ...], in one array; damaged files go to `faults`."""
    out, made = None, 0
    for path in each(paths, f"reading {paths[0].suffix[1:] if paths else ''} files"):
        try:
            frame = encode(path)
        except DataError as error:
            faults.append(str(error))
            continue
        if out is None:
            out = np.empty((len(paths), *frame.shape), frame.dtype)
        out[made] = frame
        made += 1
    return np.empty((0, 1, SIDE, SIDE), np.uint8) if out is None else out[:made]
