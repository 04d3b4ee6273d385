"""Samples of a run and their labels: read from a file, and where they come from, which is what an
accuracy on them is worth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import DataError
from ..system.reading import NUMBERS, TEXTS, read_arrays

HELD_OUT, TRAINING, CALIBRATION, MADE_UP = "held out", "training", "calibration", "made up"
GIVEN, OTHER, UNKNOWN = "given", "other data", "unknown"
KINDS = {  # kind: as an adjective, and what it means
    HELD_OUT: ("held-out", "not trained on"),
    TRAINING: ("training", "trained on"),
    CALIBRATION: ("calibration", "the scales were chosen on them"),
    MADE_UP: ("made-up", "random spikes"),
    GIVEN: ("given", "by the user"),
    OTHER: ("other", "of another data set than the one trained on"),
    UNKNOWN: ("unknown", "the file does not say what they are"),
}
TRUE, NETWORK, NONE = "true", "float network", "none"
LABELS = (TRUE, NETWORK, NONE, UNKNOWN)
BESIDE = ("classes", "group", "part", "time")  # what an npz of a user's data may say of its samples


@dataclass(frozen=True)
class Origin:
    """Kind of the samples (`KINDS`) and of their labels (`LABELS`).

    Labels of the kind "float network" are the classes that the network itself gave before it was
    quantised: to equal them is agreement, and no accuracy.
    """

    samples: str = UNKNOWN
    labels: str = UNKNOWN

    @property
    def adjective(self) -> str:
        return KINDS[self.samples][0]

    @property
    def meaning(self) -> str:
        return KINDS[self.samples][1]


def origin_of(training: Mapping[str, Any]) -> Origin:
    """That of a bundle which does not say it (scmrl 0.1), from its training settings: where they
    leave no doubt.
    """
    if "imported" in training:
        said = {"given": TRUE, "classes of the float network": NETWORK}
        labels = said.get(training.get("labels", ""), UNKNOWN)
        # only calibration data bring labels
        return Origin(CALIBRATION if labels == TRUE else UNKNOWN, labels)
    return Origin(HELD_OUT, TRUE) if training.get("dataset") else Origin()


def read_samples(
    given: Mapping[str, np.ndarray] | str | Path, inputs: Sequence[str]
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Arrays, or those of an npz, by the names of a network's inputs (`x` stands for an only one),
    and the labels where there are some, both as they are: `y`, or `labels` where an input is named
    y. What else a file says of its samples (`BESIDE`) is left out. Raises `DataError` where the
    file is none.
    """
    if isinstance(given, Mapping):
        arrays = dict(given)
    else:
        arrays = read_arrays(Path(given), kinds=NUMBERS + TEXTS, error=DataError)
    labels = arrays.pop("labels" if "y" in inputs else "y", None)
    arrays = {name: x for name, x in arrays.items() if name in inputs or name not in BESIDE}
    return ({inputs[0]: arrays["x"]} if only_x(arrays, inputs) else arrays), labels


def only_x(arrays: Mapping[str, np.ndarray], inputs: Sequence[str]) -> bool:
    """Whether the one array `x` stands for the one input."""
    return set(arrays) == {"x"} and len(inputs) == 1


def fingerprint(inputs: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
    """Hash of encoded samples {name: [S, ...]} and their labels [S]: equal where they are the very
    same samples.
    """
    digest = hashlib.sha256()
    for name, x in (*sorted(inputs.items()), ("y", np.asarray(labels, np.int64))):
        digest.update(f"{name} {x.dtype} {x.shape}".encode())
        digest.update(np.ascontiguousarray(x).data)
    return digest.hexdigest()
