"""What every dataset yields: a spoken and a written symbol in each row; its random streams."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from ...system.errors import DataError, UsageError

SPLITS = ("train", "test")
SAMPLE_RATE = 8000  # Hz
WINDOW = 8000  # samples: one second
SIDE = 28  # pixels


@dataclass(frozen=True, eq=False)
class Pairs:
    """S rows of recordings with one label each; what a dataset does not have is None.

    waveform: float32 [S, 8000], "audio": a second at 8 kHz, speech at unit RMS, then zeros
    cochlea_steps: 0: the waveform becomes a log-mel frame; T: spike trains of `cochlea`, T steps
    image:    float32 [S, 28, 28] in [0, 1], "visual": light strokes on black
    framed:   {modality: [S, C, H, W]} as the network's input: pictures uint8, spectrograms float32
    whole:    {modality: uint8 [S, 3, H, W]}, pictures of which `framed` shows the middle; training
              cuts its parts out of them
    recorded: {modality: uint8 [S, T, C, H, W]}, how many events or spikes in each step
    label:    int64 [S], 0 <= label < classes
    row:      int64 [S], place of each pair in its full split; keeps its noise in every subset
    group:    int64 [S], rows that share a recording never part (default: every row by itself)
    split:    "train" or "test";  name: of the dataset

    Raises DataError where the arrays do not fit together.
    """

    label: np.ndarray
    row: np.ndarray
    split: str
    name: str
    classes: int
    waveform: np.ndarray | None = None
    image: np.ndarray | None = None
    recorded: dict[str, np.ndarray] = field(default_factory=dict)
    group: np.ndarray = None  # type: ignore[assignment]  # `row` takes its place
    framed: dict[str, np.ndarray] = field(default_factory=dict)
    cochlea_steps: int = 0
    whole: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        samples = len(self.label)
        if self.group is None:
            object.__setattr__(self, "group", self.row)
        shapes: dict[str, tuple[int, ...]] = {
            "waveform": (samples, WINDOW),
            "image": (samples, SIDE, SIDE),
            **dict.fromkeys(("label", "row", "group"), (samples,)),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                self._refuse(name, shape, array.shape)
        low, high = (self.label.min(), self.label.max()) if samples else (0, 0)
        if samples and not 0 <= low <= high < self.classes:
            what, limit = "labels are no classes of the dataset", f"0..{self.classes - 1}"
            self._refuse("label", limit, f"{low}..{high}", what)
        pictures = {**self.framed, **{f"whole {m}": x for m, x in self.whole.items()}}
        for arrays, axes in ((pictures, "C, H, W"), (self.recorded, "T, C, H, W")):
            for name, array in arrays.items():
                if array.ndim != 2 + axes.count(",") or len(array) != samples:
                    self._refuse(name, f"({samples}, {axes})", array.shape)
        for name, array in self.recorded.items():
            if array.dtype != np.uint8:
                self._refuse(name, "uint8", array.dtype, "wrong type")

    def _refuse(self, array: str, limit: object, value: object, what: str = "wrong shape") -> None:
        raise DataError(what, where=f"{self.name}.{array}", limit=limit, value=value)

    def __len__(self) -> int:
        return len(self.label)

    def take(self, indices: np.ndarray) -> Pairs:
        """The pairs at `indices` (integers or booleans), in that order."""

        def taken(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[indices]

        return dataclasses.replace(
            self,
            waveform=taken(self.waveform),
            image=taken(self.image),
            label=self.label[indices],
            row=self.row[indices],
            group=self.group[indices],
            framed={name: array[indices] for name, array in self.framed.items()},
            recorded={name: array[indices] for name, array in self.recorded.items()},
            whole={name: array[indices] for name, array in self.whole.items()},
        )


def unit_window(samples: np.ndarray, where: object = None) -> np.ndarray:
    """The first second of `samples` [n], at 8 kHz, at unit RMS and zero-padded: float32 [8000].

    Raises DataError, naming `where` they came from, for silent samples, which no factor brings to
    unit RMS.
    """
    spoken = samples[:WINDOW].astype(np.float64)
    rms = np.sqrt(np.mean(spoken**2)) if len(spoken) else 0.0
    if not np.isfinite(rms) or rms == 0:
        raise DataError("the recording is silent in its first second, or not finite", where=where)
    window = np.zeros(WINDOW, np.float32)
    window[: len(spoken)] = spoken / rms
    return window


def stream(seed: int, split: str, *path: int) -> np.random.Generator:
    """The random stream of (seed, split, *path): the same on every run, and independent of others.

    Raises UsageError for a negative seed or an unknown split.
    """
    if split not in SPLITS:
        raise UsageError("unknown split", limit=" or ".join(SPLITS), value=split)
    if seed < 0:
        raise UsageError("a seed is not negative", value=seed)
    words = np.random.SeedSequence([seed, SPLITS.index(split)], spawn_key=path)
    return np.random.default_rng(words)
