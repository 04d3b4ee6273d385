"""What enters the network in training: encoded batches; noise and order by (seed, epoch)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..data import CLEAN, FrontEnd, Pairs, load
from ..data.features import tasks
from ..data.features.corruption import Corruption, corruption
from ..data.features.encoders import cropped
from ..network.kernels import processes
from ..system.errors import DataError, UsageError
from .config import Config
from .score import Accuracy, Score

# Streams of random numbers, each by (seed, stream, epoch).
VALIDATION, ORDER, SHIFT, SWAP, TASK, CROP, SNR = range(1, 8)
BATCH_PIXELS = 256 * 32 * 32  # of one modality, in a batch of validation or test: bounds the memory


@dataclass(frozen=True)
class ImageNoise:
    """White noise on the images of a training batch, anew in every step: variance 10^(-SNR / 10) P,
    P the mean square of the batch; rounded and held to the input's range. The robustness protocol
    of He et al. 2025 (arXiv 2502.12488): only in training, only on vision.
    """

    relative: float  # 10^(-SNR / 10)
    steps: int
    bits: int
    seed: tuple[int, ...]

    def __call__(self, frames: Tensor, index: int) -> Tensor:
        """[1 or T, B, C, H, W] integers -> [T, B, C, H, W]."""
        random = np.random.default_rng((*self.seed, index))
        deviation = (self.relative * frames.square().mean()).sqrt()
        frames = frames.expand(self.steps, *frames.shape[1:])
        noise = torch.from_numpy(random.standard_normal(frames.shape, np.float32))
        return (frames + deviation * noise).round().clamp(0, 2**self.bits - 1)


Batch = tuple[dict[str, Tensor], Tensor, Tensor]


@dataclass(frozen=True)
class Batches:
    """Encoded samples in order: ({modality: [1 or T, B, C, H, W]}, labels [B], digits [B, D])."""

    encoded: dict[str, np.ndarray]  # uint8 [S, C, H, W], or over time [S, T, C, H, W]
    labels: np.ndarray  # int64 [S], of the task; targets float32 [S, K]
    digits: np.ndarray  # int64 [S, D], what each modality shows (`tasks.pose`); of own data D = 0
    order: np.ndarray
    batch: int
    drop_last: bool = False
    part: tuple[int, int] = (0, 1)  # which of how many processes: its equal part of each batch
    noise: ImageNoise | None = None
    first: int = 0  # the batches before it are done
    ranks: Mapping[str, int] = field(default_factory=dict)  # axes of a step, where not C, H, W

    @property
    def whole(self) -> int:
        """Batches in all."""
        full, rest = divmod(len(self.order), self.batch)
        return full + (rest > 0 and not self.drop_last)

    def __len__(self) -> int:
        return self.whole - self.first

    def __iter__(self) -> Iterator[Batch]:
        for i in range(self.first, self.whole):
            whole = self.order[i * self.batch : (i + 1) * self.batch]
            own = np.array_split(np.arange(len(whole)), self.part[1])[self.part[0]]
            rows = whole[own]
            frames = {
                m: steps_first(x[rows], self.ranks.get(m, 3)) for m, x in self.encoded.items()
            }
            if self.noise:  # of the whole batch: processes share it as they share the rows
                frames["visual"] = self.noise(steps_first(self.encoded["visual"][whole]), i)[:, own]
            yield frames, torch.from_numpy(self.labels[rows]), torch.from_numpy(self.digits[rows])


def steps_first(x: np.ndarray, rank: int = 3) -> Tensor:
    """Integers [B, C, H, W] -> float [1, B, C, H, W], for all steps; [B, T, ...] -> [T, B, ...].
    `rank`: axes of one step.
    """
    frames = torch.from_numpy(x.astype(np.int32) if x.dtype == np.uint16 else x)
    frames = frames.unsqueeze(0) if frames.dim() == rank + 1 else frames.transpose(0, 1)
    return frames.float().contiguous()


class Encoding(Protocol):
    """What made integers of the samples, as a bundle stores it."""

    def to_dict(self) -> dict[str, Any]:
        """Every setting as plain JSON types."""


class Samples(Protocol):
    """What a model is trained, chosen and tested on; its length is that of the training part."""

    validation: Batches
    test: Batches
    classes: tuple[str, ...]  # empty for targets
    digit_classes: int  # what each modality may show
    bits: dict[str, int]  # of each input
    steps: int  # T
    said: dict[str, Any]  # beside the settings, of how the samples were made

    def __len__(self) -> int: ...

    @property
    def frontend(self) -> Encoding:
        """What makes integers of the samples; stored in the bundle."""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each input at one step."""

    @property
    def outputs(self) -> int:
        """K, of the readout."""

    def epoch(self, epoch: int, done: int = 0) -> Batches:
        """Training batches of an epoch from batch `done` on; only seed and epoch matter."""

    def score(self) -> Score:
        """What answers are judged by, empty."""


class Feed:
    """Training, validation and test pairs; the front-end is fitted on the training part.

    Hard data: fresh noise in every training epoch, in validation and test one fixed for a sample.
    """

    def __init__(self, config: Config, data_dir: str | None):
        self.config = config
        self.corruption: Corruption = corruption(config.hard, config.spoil)
        seed, steps = config.train.seed, config.model.steps
        self.steps, self.said = steps, dict[str, Any]()
        pairs = load(config.dataset, split="train", data_dir=data_dir, steps=steps)
        self.train_pairs, validation = split_groups(pairs, config.train.validation, seed)
        seen = self.corruption.apply(self.train_pairs, seed)
        self.frontend = FrontEnd.fit(seen, config.event_bits)
        self.validation = self.fixed(validation)
        self.test = self.fixed(load(config.dataset, split="test", data_dir=data_dir, steps=steps))
        self.classes = tasks.class_names(config.task, pairs.classes)
        self.digit_classes = pairs.classes
        self.bits = {m: self.frontend.input_bits(pairs, m) for m in config.model.modalities}
        self._clean: dict[str, np.ndarray] | None = None
        if config.train.image_noise and self.bits.get("visual", 1) == 1:
            what, found = "noise is for images, and there are none", ", ".join(self.bits)
            value = f"{config.dataset}: {found}"
            raise UsageError(what, where="train.image_noise", value=value, fix="leave it out")

    def __len__(self) -> int:
        return len(self.train_pairs)

    @property
    def outputs(self) -> int:
        return len(self.classes)

    def score(self) -> Score:
        return Accuracy()

    def fixed(self, pairs: Pairs) -> Batches:
        """Pairs with their one fixed corruption and partners, whatever the run's seed; in order."""
        samples = self._encode(self.corruption.apply(pairs, 0))
        posed = tasks.pose(self.config.task, samples, pairs.label, tasks.fixed(), self.steps)
        pixels = max(x.shape[-2] * x.shape[-1] for x in samples.values())
        batch = min(256, max(1, BATCH_PIXELS // pixels))
        return Batches(*posed, np.arange(len(pairs)), batch)

    def _encode(self, pairs: Pairs) -> dict[str, np.ndarray]:
        encoded, wanted = self.frontend.encode_pairs(pairs), self.config.model.modalities
        for m in wanted:
            if m not in encoded:
                what = "the dataset has no such modality"
                fix = f"set model.modalities to some of {list(encoded)}"
                raise DataError(what, where=pairs.name, value=m, fix=fix)
        return {m: encoded[m] for m in wanted}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape (C, H, W) of each modality's frame."""
        return {m: x.shape[-3:] for m, x in self.test.encoded.items()}

    def epoch(self, epoch: int, done: int = 0) -> Batches:
        """Training batches of an epoch from batch `done` on; only seed and epoch matter."""
        train, model = self.config.train, self.config.model

        def random(stream: int) -> np.random.Generator:
            return np.random.default_rng((train.seed, stream, epoch))

        encoded = self._varied(self._samples(epoch, random(CROP)), random)
        label = self.train_pairs.label
        posed = tasks.pose(self.config.task, encoded, label, random(TASK), self.steps)
        noise = None
        if train.image_noise:
            seed = (train.seed, SNR, epoch)
            noise = ImageNoise(train.image_noise, model.steps, self.bits["visual"], seed)
        return Batches(
            *posed,
            random(ORDER).permutation(len(self.train_pairs)),
            train.batch,
            drop_last=True,
            part=(processes.rank(), processes.world()),
            noise=noise,
            first=done,
        )

    def _samples(self, epoch: int, random: np.random.Generator) -> dict[str, np.ndarray]:
        """The training part as it looks in an epoch: its noise, another part of every picture."""
        pairs = self.train_pairs
        if self.corruption != CLEAN:
            pairs = self.corruption.apply(pairs, self.config.train.seed, epoch)
            encoded = self._encode(pairs)
        else:
            encoded = self._clean = self._clean or self._encode(pairs)
        pictures = {m: x for m, x in pairs.framed.items() if m in encoded and x.dtype == np.uint8}
        whole = pairs.whole if self.corruption == CLEAN else {}  # noise is on what is framed
        crops = {m: cropped(whole.get(m, x), random, x.shape[2:]) for m, x in pictures.items()}
        return encoded | {m: self.frontend.encode_framed(m, x) for m, x in crops.items()}

    def _varied(
        self, encoded: dict[str, np.ndarray], random: Callable[[int], np.random.Generator]
    ) -> dict[str, np.ndarray]:
        """Samples shifted, and with other partners of their class where the task is to name it."""
        train, label = self.config.train, self.train_pairs.label
        if train.shift:
            draw = random(SHIFT)
            encoded = {m: shifted(x, train.shift, draw) for m, x in encoded.items()}
        if train.swap_partners and self.config.task == "name":
            # One of the modalities can stay: sound does where it comes first. To draw it too, as
            # any other first one, pairs the samples as evenly and only takes more random numbers.
            draw, (first, *_) = random(SWAP), encoded
            stays = first if first == "audio" else None
            encoded = {m: x if m == stays else x[partners(label, draw)] for m, x in encoded.items()}
        return encoded


def split_groups(pairs: Pairs, share: float, seed: int) -> tuple[Pairs, Pairs]:
    """(training, validation) parts: about `share` of the groups, drawn by `seed`, are held out."""
    groups = np.unique(pairs.group)
    order = np.random.default_rng((seed, VALIDATION)).permutation(len(groups))
    held = np.isin(pairs.group, groups[order[: round(share * len(groups))]])
    return pairs.take(np.flatnonzero(~held)), pairs.take(np.flatnonzero(held))


def shifted(x: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    """Each frame of x [S, C, H, W] moved by up to `most` pixels in both directions, zeros moving
    in; over time [S, T, C, H, W] all steps of a sample alike.
    """
    if x.ndim == 5:
        return shifted(x.reshape(len(x), -1, *x.shape[3:]), most, random).reshape(x.shape)
    padded = np.pad(x, ((0, 0), (0, 0), (most, most), (most, most)))
    dy, dx = random.integers(0, 2 * most + 1, (2, len(x)))
    rows = dy[:, None] + np.arange(x.shape[2])
    columns = dx[:, None] + np.arange(x.shape[3])
    place = np.arange(len(x))[:, None, None], rows[:, :, None], columns[:, None, :]
    return padded.transpose(0, 2, 3, 1)[place].transpose(0, 3, 1, 2)


def partners(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A permutation of the samples that keeps every label [S] in place."""
    chosen = np.arange(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        chosen[rows] = random.permutation(rows)
    return chosen
