"""Test samples with noise on one sense, everything else clean.

audio:  white noise at the given SNR to speech of unit RMS (or to a spectrogram, see
        `Corruption`)
image:  white noise of power P / 10^(SNR / 10), P the mean square of the set's pixels (He et al.
        2025, `--snr`),
        clipped to [0, 1]; in their protocol it is in training (`train.image_noise`), here at test time
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...core.bundle import Bundle
from ...data import Corruption, FrontEnd, load
from ...data.features import tasks
from ...system.errors import UsageError
from ..evaluation import over_steps
from .study import Inputs

SNRS = (30.0, 20.0, 10.0, 5.0, 0.0, -5.0, -10.0)


def samples(
    bundle: Bundle,
    data_dir: str | Path | None,
    limit: int | None,
    repeats: int,
    snrs: tuple[float, ...] = SNRS,
) -> tuple[Inputs, np.ndarray, dict[str, dict[float, list[Inputs]]]]:
    """(clean inputs {input: [S, T, ...]}, labels [S], {"audio SNR": {dB: inputs of each draw},
    "image SNR": ...}).
    """
    name = bundle.training.get("dataset")
    if not isinstance(name, str):
        raise UsageError(
            "the model does not say which dataset it was trained on",
            fix="train it with scmrl train",
        )
    pairs = load(name, split="test", data_dir=data_dir, steps=bundle.graph.steps)
    if limit is not None:
        rows = np.random.default_rng(0).permutation(len(pairs))[:limit]
        pairs = pairs.take(np.sort(rows))
    front_end = FrontEnd.from_dict(bundle.frontend)
    task, wanted = (
        bundle.training.get("task", "name"),
        [p.name for p in bundle.graph.of_kind("input")],
    )
    tasks.check_classes(task, pairs, bundle.graph)

    def encoded(corruption: Corruption, seed: int) -> tuple[Inputs, np.ndarray]:
        made = front_end.encode_pairs(corruption.apply(pairs, seed))
        posed, labels, _ = tasks.pose(
            task, {m: made[m] for m in wanted}, pairs.label, tasks.fixed()
        )
        return {m: over_steps(x, bundle.graph.steps) for m, x in posed.items()}, labels

    clean, labels = encoded(Corruption(), 0)
    noisy: dict[str, dict[float, list[Inputs]]] = {}
    if "audio" in wanted and (pairs.waveform is not None or "audio" in pairs.framed):
        noisy["audio SNR"] = {
            snr: [encoded(Corruption(audio_snr_db=snr), seed)[0] for seed in range(repeats)]
            for snr in snrs
        }
    image = pairs.framed.get("visual", pairs.image)
    if image is not None and "visual" in wanted:
        power = float(np.mean(np.square(image, dtype=np.float64))) / (
            255**2 if image.dtype == np.uint8 else 1
        )
        noisy["image SNR"] = {
            snr: [
                encoded(Corruption(pixel_noise=float(np.sqrt(power / 10 ** (snr / 10)))), seed)[0]
                for seed in range(repeats)
            ]
            for snr in snrs
        }
    return clean, labels, noisy
