"""What is asked of digits: to name the one that both modalities show, to relate two that are drawn
independently, or to find one among several.

    name             the digit                           10 classes, both modalities show it
    correspondence   do they agree?                      2 classes, half of the pairs do
    sum              first + second                      19 classes
    where, when      which part of a scene is it?        4 classes, see `scenes`

In the first three the first modality keeps its sample, all others take that of a partner row; in a
search the one that is sought does. A sum of two modalities' evidence cannot answer any but the
first: they need what one shows in the light of the other.
"""

from __future__ import annotations

import numpy as np

from ...core.graph import Graph
from ...system.errors import DataError, UsageError, nearest
from .pairs import Pairs
from .scenes import SCENES, scene, search

TASKS = ("name", "correspondence", "sum", *SCENES)


def class_names(task: str, digits: int) -> tuple[str, ...]:
    if task in SCENES:
        return SCENES[task].names
    if task == "correspondence":
        return ("differ", "agree")
    return tuple(str(k) for k in range(2 * digits - 1 if task == "sum" else digits))


def check_classes(task: str, pairs: Pairs, graph: Graph) -> None:
    """DataError where a task has other classes than the readout; UsageError for no task."""
    if task not in TASKS:
        raise UsageError("unknown task", where="task", value=task, fix=nearest(task, TASKS))
    classes = len(class_names(task, pairs.classes))
    neurons = graph.readout.neurons if graph.readout else 0
    if classes != neurons:
        raise DataError(
            "the dataset has other classes than the model",
            where=pairs.name,
            limit=f"{neurons} classes",
            value=classes,
            fix="give the dataset that the model was made for",
        )


def relate(
    task: str, digit: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(partner row, label) of each sample, int64 [S], for digits [S] of the samples."""
    rows = np.arange(len(digit))
    if task == "name":
        return rows, digit
    if task == "sum":
        partner = random.permutation(rows)
        return partner, digit + digit[partner]
    agree = random.random(len(digit)) < 0.5
    partner = np.array(
        [random.choice(rows[(digit == d) == same]) for d, same in zip(digit, agree)], np.int64
    )
    return partner, agree.astype(np.int64)


def pose(
    task: str,
    encoded: dict[str, np.ndarray],
    digit: np.ndarray,
    random: np.random.Generator,
    steps: int,
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """(samples {modality: [S, ...]}, labels [S], digits [S, D]) of a task; `digit` [S]. D: one for
    each modality, in order; of a scene one for each part.
    """
    if task in SCENES:
        kind, (rows, labels) = SCENES[task], search(digit, random)
        made = scene(kind, encoded, rows, steps)
        shown = [digit[rows] if m == kind.modality else digit[:, None] for m in encoded]
        return encoded | {kind.modality: made}, labels, np.concatenate(shown, 1)
    partner, labels = relate(task, digit, random)
    first = next(iter(encoded))
    if task != "name":
        encoded = {m: x if m == first else x[partner] for m, x in encoded.items()}
    return encoded, labels, np.stack([digit if m == first else digit[partner] for m in encoded], 1)


def fixed() -> np.random.Generator:
    """What draws the partners of validation and test: the same in every run."""
    return np.random.default_rng(5)
