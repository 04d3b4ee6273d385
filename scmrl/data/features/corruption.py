"""Corruption: noise on sound and image, the same for a sample on every run.

    audio:  x' = x + 10^(-SNR/20) n,   n ~ N(0, 1) over the whole window   (speech has unit RMS)
    image:  p' = clip(k p + e, 0, 1),  k ~ Bernoulli(keep),  e ~ N(0, noise^2)
    spectrogram: e^x' = |e^x + n|,   n complex normal, E|n|^2 = 10^(-SNR/10) mean(e^2x): as white
            noise on the sound, bin by bin (its phase does not matter: that of n is uniform)
    events: s' = k + n,                k ~ Binomial(s, keep),  n ~ Bernoulli(noise / T) in a step

The stream behind n, k and e is seeded with (seed, split, row): one sample has one fixed corruption.
An epoch, where given, is part of the seed too: a training set then sounds and looks different in
every epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...system.errors import UsageError, nearest
from .pairs import Pairs, stream

SPOILS = ("all", "one")
DB_MOST, NOISE_MOST = 300, 1000
Spoiler = Callable[[np.ndarray, np.random.Generator], None]


@dataclass(frozen=True)
class Corruption:
    """How much noise. None leaves that part alone.

    audio_snr_db: signal-to-noise ratio in dB;  pixel_keep: chance that a pixel survives (of all its
    colours); pixel_noise: standard deviation of the noise on a pixel, white being 1;  event_keep:
    chance that an event survives; event_noise: events from nowhere, per pixel and polarity, in a
    recording. spoil: "all" modalities, or "one" of them, drawn for each row: which one is bad
    varies, the others are clean. Raises UsageError for a probability outside [0, 1], a deviation
    that is negative, and numbers out of any sense.
    """

    audio_snr_db: float | None = None
    pixel_keep: float | None = None
    pixel_noise: float | None = None
    event_keep: float | None = None
    event_noise: float | None = None
    spoil: str = "all"

    def __post_init__(self) -> None:
        if self.spoil not in SPOILS:
            fix = nearest(self.spoil, SPOILS)
            raise UsageError("unknown choice", where="spoil", value=self.spoil, fix=fix)
        for name, what, low, high in (
            ("audio_snr_db", "a ratio in dB", -DB_MOST, DB_MOST),
            ("pixel_keep", "a probability", 0, 1),
            ("event_keep", "a probability", 0, 1),
            ("event_noise", "a number of events", 0, NOISE_MOST),
            ("pixel_noise", "a standard deviation", 0, NOISE_MOST),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} is {what}", limit=f"{low} to {high}", value=value)

    def apply(self, pairs: Pairs, seed: int, epoch: int | None = None) -> Pairs:
        """`pairs` with noise: fixed per sample, or fresh for each `epoch` (0, 1, ...)."""
        if self == CLEAN:
            return pairs
        waveform, image = (None if x is None else x.copy() for x in (pairs.waveform, pairs.image))
        recorded = {name: x.copy() for name, x in pairs.recorded.items()}
        framed = {name: x.copy() for name, x in pairs.framed.items()}
        spoilers: dict[str, tuple[np.ndarray, Spoiler]] = {}
        if waveform is not None:
            spoilers["audio"] = waveform, self._add_noise
        if image is not None:
            spoilers["visual"] = image, self._spoil_pixels
        spoilers |= {name: (x, self._spoil_events) for name, x in recorded.items()}
        for name, x in framed.items():
            spoilers[name] = x, self._spoil_picture if x.dtype == np.uint8 else self._blur
        names = list(spoilers)
        for i, row in enumerate(pairs.row):
            random = stream(seed, pairs.split, int(row), *(() if epoch is None else (epoch,)))
            for name in names if self.spoil == "all" else [names[random.integers(len(names))]]:
                x, spoiler = spoilers[name]
                spoiler(x[i], random)
        return dataclasses.replace(
            pairs, waveform=waveform, image=image, recorded=recorded, framed=framed
        )

    def _spoil_events(self, count: np.ndarray, random: np.random.Generator) -> None:
        if self.event_keep is not None:
            seen = count > 0
            count[seen] = random.binomial(count[seen], self.event_keep)
        if self.event_noise is not None:
            more = random.random(count.shape, np.float32) < self.event_noise / len(count)
            count += more & (count < np.iinfo(count.dtype).max)

    def _add_noise(self, waveform: np.ndarray, random: np.random.Generator) -> None:
        if self.audio_snr_db is not None:
            noise = random.standard_normal(waveform.shape, np.float32)
            waveform += np.float32(10 ** (-self.audio_snr_db / 20)) * noise

    def _blur(self, spectrogram: np.ndarray, random: np.random.Generator) -> None:
        if self.audio_snr_db is not None:
            magnitude = np.exp(spectrogram)
            mean = np.mean(np.square(magnitude), dtype=np.float64)
            deviation = np.float32(np.sqrt(mean * 10 ** (-self.audio_snr_db / 10) / 2))
            noise = deviation * random.standard_normal((2, *spectrogram.shape), np.float32)
            spectrogram[:] = np.log(np.hypot(magnitude + noise[0], noise[1]))

    def _spoil_picture(self, picture: np.ndarray, random: np.random.Generator) -> None:
        """Of bytes [C, H, W]."""
        x = picture.astype(np.float32) / 255
        self._spoil_pixels(x, random)
        picture[:] = np.rint(255 * x)

    def _spoil_pixels(self, image: np.ndarray, random: np.random.Generator) -> None:
        """Of [..., H, W] in [0, 1]."""
        if self.pixel_keep is not None:
            image *= random.random(image.shape[-2:], np.float32) < self.pixel_keep
        if self.pixel_noise is not None:
            image += np.float32(self.pixel_noise) * random.standard_normal(image.shape, np.float32)
            np.clip(image, 0, 1, out=image)


CLEAN = Corruption()
HARD = Corruption(
    audio_snr_db=0.0, pixel_keep=0.25, pixel_noise=0.3, event_keep=0.1, event_noise=0.6
)
SEVERE = Corruption(
    audio_snr_db=-12.0, pixel_keep=0.05, pixel_noise=0.5, event_keep=0.02, event_noise=1.0
)


def corruption(hard: bool, spoil: str) -> Corruption:
    """Of a configuration: none, HARD on every modality, or SEVERE on one drawn for each row."""
    if not hard:
        return CLEAN
    return HARD if spoil == "all" else dataclasses.replace(SEVERE, spoil=spoil)
