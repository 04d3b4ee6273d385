"""What enters the network during training: batches of encoded pairs, noise and order seeded by (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data import CLEAN, HARD, Corruption, FrontEnd, Pairs, load
from .config import Config

VALIDATION_STREAM, ORDER_STREAM, SHIFT_STREAM, SWAP_STREAM = 1, 2, 3, 4


@dataclass(frozen=True)
class Batches:
    """Batches ({modality: float [1, B, C, H, W]}, labels [B]) of encoded frames in a given order."""

    encoded: dict[str, np.ndarray]      # uint8 [S, C, H, W]
    labels: np.ndarray
    order: np.ndarray
    batch: int
    drop_last: bool = False

    def __len__(self) -> int:
        return len(self.order) // self.batch if self.drop_last else -(-len(self.order) // self.batch)

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        for i in range(len(self)):
            rows = self.order[i * self.batch:(i + 1) * self.batch]
            yield ({m: torch.from_numpy(x[rows]).float().unsqueeze(0) for m, x in self.encoded.items()},
                   torch.from_numpy(self.labels[rows]))


class Feed:
    """Training, validation and test pairs of a configuration, with the front-end fitted on the training part.

    Hard data: fresh noise in every training epoch, one fixed corruption per sample in validation and test.
    """

    def __init__(self, config: Config, data_dir: str | None):
        self.config = config
        self.corruption: Corruption = HARD if config.hard else CLEAN
        seed = config.train.seed
        pairs = load(config.dataset, split="train", data_dir=data_dir)
        order = np.random.default_rng((seed, VALIDATION_STREAM)).permutation(len(pairs))
        held = round(config.train.validation * len(pairs))
        self.train_pairs, validation = pairs.take(np.sort(order[held:])), pairs.take(np.sort(order[:held]))
        self.frontend = FrontEnd.fit(self.corruption.apply(self.train_pairs, seed))
        self.validation = self.fixed(validation)
        self.test = self.fixed(load(config.dataset, split="test", data_dir=data_dir))
        self.classes = tuple(str(k) for k in range(pairs.classes))
        self._clean: dict[str, np.ndarray] | None = None

    def fixed(self, pairs: Pairs) -> Batches:
        """Pairs with their one fixed corruption, in order; that of the protocol does not depend on the run's seed."""
        noisy = self.corruption.apply(pairs, 0)
        return Batches(self._encode(noisy), pairs.label, np.arange(len(pairs)), 256)

    def _encode(self, pairs: Pairs) -> dict[str, np.ndarray]:
        encoded = self.frontend.encode(pairs.waveform, pairs.image)
        return {m: encoded[m] for m in self.config.model.modalities}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape (C, H, W) of each modality's frame."""
        return {m: x.shape[1:] for m, x in self.test.encoded.items()}

    def epoch(self, epoch: int) -> Batches:
        """The training batches of one epoch: the same for the same seed and epoch, whatever ran before."""
        train = self.config.train
        if self.corruption == CLEAN:
            if self._clean is None:
                self._clean = self._encode(self.train_pairs)
            encoded = self._clean
        else:
            encoded = self._encode(self.corruption.apply(self.train_pairs, train.seed, epoch))
        if train.shift:
            random = np.random.default_rng((train.seed, SHIFT_STREAM, epoch))
            encoded = {m: shifted(x, train.shift, random) for m, x in encoded.items()}
        if train.swap_partners and "visual" in encoded:
            random = np.random.default_rng((train.seed, SWAP_STREAM, epoch))
            encoded = encoded | {"visual": encoded["visual"][partners(self.train_pairs.label, random)]}
        order = np.random.default_rng((train.seed, ORDER_STREAM, epoch)).permutation(len(self.train_pairs))
        return Batches(encoded, self.train_pairs.label, order, train.batch, drop_last=True)


def shifted(x: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    """Each frame of x [S, C, H, W] moved by up to `most` pixels in both directions, zeros moving in."""
    padded = np.pad(x, ((0, 0), (0, 0), (most, most), (most, most)))
    dy, dx = random.integers(0, 2 * most + 1, (2, len(x)))
    rows = dy[:, None] + np.arange(x.shape[2])
    columns = dx[:, None] + np.arange(x.shape[3])
    sample = np.arange(len(x))[:, None, None]
    return padded.transpose(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]].transpose(0, 3, 1, 2)


def partners(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A permutation of the samples that keeps every label [S] in place."""
    chosen = np.arange(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        chosen[rows] = random.permutation(rows)
    return chosen
