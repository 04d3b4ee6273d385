"""The front-ends of sound and image, the same for training and deployment.

    audio:   M = log10(max(mel . |STFT(x)|^2, floor))                               [bands, frames]
    visual:  the image with a black border                                          [side, side]
    both:    z = (x - mean) / std,   q = clip(round((z - lo) / (hi - lo) Q), 0, Q),  Q = 2^bits - 1
    events:  q = min(count, 2^event_bits - 1);   a sound's spike trains: `cochlea`

mean and std are the training set's. What lies at or below `lo` standard deviations becomes q = 0,
no spike: silence and a black background cost a chip nothing. The spectrum is computed in double
precision, so that no sample's q depends on the batch it is in. Frames that a dataset brings ready
(`Pairs.framed`) are quantised the same way: spectrograms (float) as sound, pictures (uint8) as
images.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ...system.dependencies import require
from ...system.errors import DataError, nearest
from . import cochlea, values
from .pairs import SAMPLE_RATE, SIDE, WINDOW, Pairs

AUDIO_RANGE = (0.0, 2.5)  # standard deviations: quieter than the mean is silence
CHUNK = 128  # waveforms whose spectra are in memory at once


@dataclass(frozen=True)
class Quantiser:
    """mean and std of the training set; levels cover [lo, hi], in standard deviations."""

    mean: float
    std: float
    lo: float
    hi: float

    def __post_init__(self) -> None:
        _check_numbers(self)
        _check_rules({"std > 0": self.std > 0, "hi > lo": self.hi > self.lo})

    def levels(self, x: np.ndarray, bits: int) -> np.ndarray:
        """q of every x, uint8 in 0 .. 2^bits - 1."""
        top = 2**bits - 1
        z = (x - self.mean) / self.std
        return np.clip(np.rint((z - self.lo) / (self.hi - self.lo) * top), 0, top).astype(np.uint8)


@dataclass(frozen=True)
class FrontEnd:
    """Every setting between a recording or an image and the integers that enter the network.

    sample_rate, fmin and fmax in Hz, window, n_fft and hop in samples, log_floor in units of mel
    power (speech has unit RMS), image_side and side in pixels. Sound, image and frames have `bits`,
    events `event_bits`: with one, whether there was any. Raises DataError for what makes no sense.
    """

    audio: Quantiser
    visual: Quantiser
    sample_rate: int = SAMPLE_RATE
    window: int = WINDOW
    n_fft: int = 512
    hop: int = 256
    mel_bands: int = 32
    fmin: float = 50.0
    fmax: float = 4000.0
    log_floor: float = 1e-2
    image_side: int = SIDE
    side: int = 32
    bits: int = 6
    event_bits: int = 1
    framed: dict[str, Quantiser] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_numbers(self)
        nyquist = self.sample_rate / 2
        _check_rules(
            {
                f"sample_rate = {SAMPLE_RATE}": self.sample_rate == SAMPLE_RATE,
                f"window = {WINDOW}": self.window == WINDOW,
                f"image_side = {SIDE}": self.image_side == SIDE,
                "image_side <= side <= 1024": self.image_side <= self.side <= 1024,
                "0 < hop <= n_fft <= window": 0 < self.hop <= self.n_fft <= self.window,
                "0 < mel_bands <= n_fft / 2": 0 < self.mel_bands <= self.n_fft / 2,
                "0 <= fmin < fmax <= sample_rate / 2": 0 <= self.fmin < self.fmax <= nyquist,
                "log_floor > 0": self.log_floor > 0,
                "1 <= bits <= 8": 1 <= self.bits <= 8,
                "1 <= event_bits <= 8": 1 <= self.event_bits <= 8,
            }
        )

    @classmethod
    def fit(cls, pairs: Pairs, event_bits: int = 1) -> FrontEnd:
        """The front-end with the mean and std of `pairs`, the training set as the network will meet
        it. For events nothing is fitted.

        Sound below its mean is q = 0; an image's q is round(pixel (2^bits - 1)). Raises DataError
        where all pairs are alike, so that there is no deviation.
        """
        unit = Quantiser(0.0, 1.0, 0.0, 1.0)
        blank = cls(audio=unit, visual=unit)
        audio = visual = unit
        where = f"{pairs.name} {pairs.split}"
        if pairs.waveform is not None and not pairs.cochlea_steps:
            chunks = range(0, len(pairs), CHUNK)
            spectra = np.concatenate([blank.log_mel(pairs.waveform[i : i + CHUNK]) for i in chunks])
            audio = Quantiser(*_moments(spectra, where), *AUDIO_RANGE)
        if pairs.image is not None:
            mean, std = _moments(pairs.image, where)
            visual = Quantiser(mean, std, lo=-mean / std, hi=(1 - mean) / std)
        framed = {name: _of_frames(x, f"{where} {name}") for name, x in pairs.framed.items()}
        return cls(audio=audio, visual=visual, framed=framed, event_bits=event_bits)

    def log_mel(self, waveform: np.ndarray) -> np.ndarray:
        """log10 of the mel power of [S, window]: float64 [S, mel_bands, 1 + window // hop]."""
        librosa = require("librosa", "the audio front-end")
        power = librosa.feature.melspectrogram(
            y=waveform.astype(np.float64),
            sr=self.sample_rate,
            n_fft=self.n_fft,
            hop_length=self.hop,
            n_mels=self.mel_bands,
            fmin=self.fmin,
            fmax=self.fmax,
            dtype=np.float64,
        )
        return np.log10(np.maximum(power, self.log_floor))

    def encode(self, waveform: np.ndarray, image: np.ndarray) -> dict[str, np.ndarray]:
        """{"audio": uint8 [S, 1, 32, 32], "visual": likewise} of waveform [S, 8000] and image [S,
        28, 28].

        Raises DataError for arrays of another shape or with values that are not finite.
        """
        return {"audio": self.encode_audio(waveform), "visual": self.encode_visual(image)}

    def encode_pairs(self, pairs: Pairs) -> dict[str, np.ndarray]:
        """Every modality: frames uint8 [S, C, H, W]; events, cochlea uint8 [S, T, C, H, W]."""
        encoded = {}
        if pairs.waveform is not None and pairs.cochlea_steps:
            encoded["audio"] = cochlea.spikes(pairs.waveform, pairs.cochlea_steps)
        elif pairs.waveform is not None:
            encoded["audio"] = self.encode_audio(pairs.waveform)
        if pairs.image is not None:
            encoded["visual"] = self.encode_visual(pairs.image)
        encoded |= {name: self.encode_framed(name, x) for name, x in pairs.framed.items()}
        most = np.uint8(2**self.event_bits - 1)
        return encoded | {name: np.minimum(x, most) for name, x in pairs.recorded.items()}

    def input_bits(self, pairs: Pairs, modality: str) -> int:
        """Width of the integers that `encode_pairs` makes of a modality."""
        if modality in pairs.recorded:
            return self.event_bits
        return 1 if modality == "audio" and pairs.cochlea_steps else self.bits

    def encode_audio(self, waveform: np.ndarray) -> np.ndarray:
        """uint8 [S, 1, mel_bands, frames] of waveform [S, window]."""
        _check_array("waveform", waveform, (self.window,))
        q = np.zeros((len(waveform), 1, self.mel_bands, 1 + self.window // self.hop), np.uint8)
        for i in range(0, len(waveform), CHUNK):
            spectra = self.log_mel(waveform[i : i + CHUNK])
            q[i : i + CHUNK, 0] = self.audio.levels(spectra, self.bits)
        return q

    def encode_visual(self, image: np.ndarray) -> np.ndarray:
        """uint8 [S, 1, side, side] of image [S, image_side, image_side]; the border is black."""
        _check_array("image", image, (self.image_side, self.image_side))
        border = self.side - self.image_side
        before, after = border // 2, border - border // 2
        framed = np.pad(image, ((0, 0), (before, after), (before, after)))
        return self.visual.levels(framed.astype(np.float64), self.bits)[:, None]

    def encode_framed(self, modality: str, frames: np.ndarray) -> np.ndarray:
        """uint8 [S, C, H, W] of the frames of a modality that `fit` has seen, or DataError."""
        if modality not in self.framed:
            fitted = f"fitted: {', '.join(self.framed) or 'none'}"
            what = "the front-end was not fitted on such frames"
            raise DataError(what, where=modality, value=fitted)
        quantiser = self.framed[modality]
        if frames.dtype == np.uint8:
            return quantiser.levels(np.arange(256.0), self.bits)[frames]
        q = np.empty(frames.shape, np.uint8)
        for i in range(0, len(frames), CHUNK):
            q[i : i + CHUNK] = quantiser.levels(frames[i : i + CHUNK].astype(np.float64), self.bits)
        return q

    def to_dict(self) -> dict:
        """Every setting as plain JSON types."""
        settings = dataclasses.asdict(self)
        if not self.framed:  # as bundles had it before there were ready frames
            del settings["framed"]
        return settings

    @classmethod
    def from_dict(cls, settings: dict) -> FrontEnd:
        """The front-end of `to_dict`. Raises DataError for an unknown or missing key or value, and
        for a model that takes values, see `values`.
        """
        if isinstance(settings, dict) and settings.get("kind") == values.KIND:
            fix = "give --input NPZ, or --dataset with data of that kind"
            raise DataError("the model takes values, no recordings", where="front-end", fix=fix)
        if isinstance(settings, dict):  # bundles from before there were such inputs
            settings = {"framed": {}, "event_bits": 1, **settings}
        _check_keys(cls, settings, "front-end")
        both = {n: _quantiser(settings[n], f"front-end.{n}") for n in ("audio", "visual")}
        tables, at = settings["framed"], "front-end.framed"
        if not isinstance(tables, dict):
            raise DataError("not a table of settings", where=at, value=type(tables).__name__)
        framed = {name: _quantiser(table, f"{at}.{name}") for name, table in tables.items()}
        return cls(**{**settings, **both, "framed": framed})


def _quantiser(settings: dict, where: str) -> Quantiser:
    _check_keys(Quantiser, settings, where)
    return Quantiser(**settings)


def _of_frames(x: np.ndarray, where: str) -> Quantiser:
    """Of pictures uint8 [S, C, H, W], q = round(pixel (2^bits - 1) / 255); of spectrograms, nothing
    below the mean; where it is -inf there can be nothing, and nothing is fitted. Moments are summed
    in chunks: as doubles all frames need not fit into memory.
    """
    chunks, size = [x[i : i + CHUNK] for i in range(0, len(x), CHUNK)], max(x.size, 1)
    if x.dtype != np.uint8 and np.isneginf(x.min(initial=0)):
        chunks = [part[part > -np.inf] for part in chunks]
        size = max(sum(part.size for part in chunks), 1)
    mean = sum(float(part.sum(dtype=float)) for part in chunks) / size
    std = math.sqrt(sum(float(((part - mean) ** 2).sum(dtype=float)) for part in chunks) / size)
    if not std:
        raise DataError("all samples are alike", where=where)
    if x.dtype == np.uint8:
        return Quantiser(mean, std, lo=-mean / std, hi=(255 - mean) / std)
    return Quantiser(mean, std, *AUDIO_RANGE)


def _moments(x: np.ndarray, where: str) -> tuple[float, float]:
    """Mean and standard deviation, or DataError where there is none."""
    mean, std = float(x.mean(dtype=float)), float(x.std(dtype=float))
    if not std:
        raise DataError("all samples are alike", where=where)
    return mean, std


def _check_keys(kind: type, settings: dict, where: str) -> None:
    """`settings` is a dict with exactly the fields of dataclass `kind`, or DataError."""
    if not isinstance(settings, dict):
        raise DataError("not a table of settings", where=where, value=type(settings).__name__)
    known = {field.name for field in dataclasses.fields(kind)}
    for key in settings:
        if key not in known:
            raise DataError(f"unknown key '{key}'", where=where, fix=nearest(str(key), known))
    for key in sorted(known - set(settings)):
        raise DataError(f"key '{key}' is missing", where=where)


def _check_numbers(record: Quantiser | FrontEnd) -> None:
    """Every field of a dataclass that is declared int or float holds a finite one, or DataError."""
    kinds = {"int": (int,), "float": (int, float)}
    for field in dataclasses.fields(record):
        number = getattr(record, field.name)
        allowed = kinds.get(str(field.type))
        if allowed and (type(number) not in allowed or not math.isfinite(number)):
            what = f"'{field.name}' is not a finite {field.type}"
            raise DataError(what, where="front-end", value=repr(number))


def _check_rules(rules: dict[str, bool]) -> None:
    for rule, holds in rules.items():
        if not holds:
            raise DataError("impossible setting", where="front-end", limit=rule)


def _check_array(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape[1:] != shape:
        raise DataError("wrong shape", where=name, limit=("samples", *shape), value=array.shape)
    if not np.isfinite(array).all():
        raise DataError("not finite", where=name)
