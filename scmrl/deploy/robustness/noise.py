"""Test samples with noise on one sense, everything else clean.

audio:  white noise at the given SNR to speech of unit RMS (or to a spectrogram, see `Corruption`)
image:  white noise of power P / 10^(SNR / 10), P the mean square of the set's pixels, clipped to
        [0, 1]: the `--snr` of He et al. 2025, in training there (`train.image_noise`), in test here
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...core.bundle import Bundle
from ...data import Corruption, FrontEnd, load
from ...data.features import tasks
from ...data.features.values import ValueEncoding, encoding_of, in_steps
from ...system.errors import UsageError
from ..own import own_samples
from .study import Inputs

SNRS = (30.0, 20.0, 10.0, 5.0, 0.0, -5.0, -10.0)


def samples(
    bundle: Bundle,
    data_dir: str | Path | None,
    limit: int | None,
    repeats: int,
    snrs: tuple[float, ...] = SNRS,
) -> tuple[Inputs, np.ndarray, dict[str, dict[float, list[Inputs]]]]:
    """(clean inputs {input: [S, T, ...]}, labels [S], {kind: {dB: inputs of each draw}}). Data of
    the user's own have no noise of a known kind: there the faults of the chip alone are studied.
    """
    if (encoding := encoding_of(bundle)) is not None:
        return *_own(bundle, encoding, limit), {}
    name = bundle.training.get("dataset")
    if not isinstance(name, str):
        what = "the model does not say which dataset it was trained on"
        raise UsageError(what, fix="train it with scmrl train")
    pairs = load(name, split="test", data_dir=data_dir, steps=bundle.graph.steps)
    pairs = pairs.take(_some(len(pairs), limit))
    front_end = FrontEnd.from_dict(bundle.frontend)
    task = bundle.training.get("task", "name")
    wanted = [p.name for p in bundle.graph.of_kind("input")]
    tasks.check_classes(task, pairs, bundle.graph)

    def encoded(corruption: Corruption, seed: int) -> tuple[Inputs, np.ndarray]:
        made = front_end.encode_pairs(corruption.apply(pairs, seed))
        own = {m: made[m] for m in wanted}
        fixed, steps = tasks.fixed(), bundle.graph.steps
        posed, labels, _ = tasks.pose(task, own, pairs.label, fixed, steps)
        return _in_steps(bundle, posed), labels

    def drawn(corruptions: dict[float, Corruption]) -> dict[float, list[Inputs]]:
        return {x: [encoded(c, seed)[0] for seed in range(repeats)] for x, c in corruptions.items()}

    clean, labels = encoded(Corruption(), 0)
    noisy: dict[str, dict[float, list[Inputs]]] = {}
    if "audio" in wanted and (pairs.waveform is not None or "audio" in pairs.framed):
        noisy["audio SNR"] = drawn({snr: Corruption(audio_snr_db=snr) for snr in snrs})
    image = pairs.framed.get("visual", pairs.image)
    if image is not None and "visual" in wanted:
        white = 255 if image.dtype == np.uint8 else 1
        power = float(np.mean(np.square(image, dtype=np.float64))) / white**2
        deviation = {snr: float(np.sqrt(power / 10 ** (snr / 10))) for snr in snrs}
        noisy["image SNR"] = drawn({x: Corruption(pixel_noise=d) for x, d in deviation.items()})
    return clean, labels, noisy


def _own(bundle: Bundle, encoding: ValueEncoding, limit: int | None) -> tuple[Inputs, np.ndarray]:
    """Samples of the test part of the user's data that the model was trained on."""
    found = own_samples(bundle, encoding, None, "test")
    rows = _some(len(found.labels), limit)
    return _in_steps(bundle, {m: x[rows] for m, x in found.inputs.items()}), found.labels[rows]


def _some(there: int, limit: int | None) -> np.ndarray:
    """The rows of `limit` samples, drawn, or of all that there are."""
    return np.sort(np.random.default_rng(0).permutation(there)[:limit])


def _in_steps(bundle: Bundle, inputs: Inputs) -> Inputs:
    return {m: in_steps(x, bundle.graph[m], bundle.graph.steps) for m, x in inputs.items()}
