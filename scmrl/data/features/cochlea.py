"""A spiking cochlea: sound to binary spike trains, band by band, without frames or fitted numbers.

    e[b, n] = clip((log10 P[b, n] - low) / (high - low), 0, 1)    P mel power of band b in slot n
    u += gain e;   s = u >= 1;   u -= s                          an integrate-and-fire neuron a band

The slots of a step lie beside each other: [steps, 1, bands, slots], so that time runs on from step
to step and, inside one, along the last axis. Silence makes no spike.
"""

from __future__ import annotations

import numpy as np

from ...system.dependencies import require
from .pairs import SAMPLE_RATE

BANDS, SLOTS = 32, 32
SECONDS = 0.64  # nineteen of twenty spoken digits are shorter
N_FFT = 256
LOW, HIGH = -1.5, 1.5  # log10 of mel power, speech at unit RMS
GAIN = 0.5  # spikes per slot in the loudest band


def spikes(waveform: np.ndarray, steps: int) -> np.ndarray:
    """Binary uint8 [S, steps, 1, 32, 32] of waveform [S, n] at 8 kHz."""
    librosa = require("librosa", "the spiking cochlea")
    window = round(SECONDS * SAMPLE_RATE)
    slots = steps * SLOTS
    hop = window / slots
    out = np.empty((len(waveform), steps, 1, BANDS, SLOTS), np.uint8)
    bank = librosa.filters.mel(
        sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=BANDS, fmin=50.0, fmax=4000.0, dtype=np.float64
    )
    starts = np.floor(np.arange(slots) * hop).astype(int)
    hann = np.hanning(N_FFT + 1)[:-1]
    padded = np.pad(waveform[:, :window].astype(np.float64), ((0, 0), (N_FFT // 2, N_FFT)))
    for i, sound in enumerate(padded):
        cut = np.lib.stride_tricks.sliding_window_view(sound, N_FFT)[starts] * hann
        power = np.abs(np.fft.rfft(cut)) ** 2 @ bank.T  # [slots, bands]
        drive = GAIN * np.clip((np.log10(np.maximum(power, 1e-12)) - LOW) / (HIGH - LOW), 0, 1)
        charge = np.cumsum(drive, 0)
        fired = np.diff(np.floor(charge), axis=0, prepend=0.0)  # integrate and fire
        out[i, :, 0] = fired.reshape(steps, SLOTS, BANDS).transpose(0, 2, 1)
    return out
