"""How well a network answers: right classes, or targets met.

accuracy   share of samples whose largest output is their class
r2         1 - sum (y - x)^2 / sum (y - mean y)^2, mean over the targets; x what it answers
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor


class Score:
    """Collects answers and labels batch by batch."""

    name: str

    def add(self, answers: Tensor, labels: Tensor) -> None:
        """Answers [B, K] to samples with labels [B], or targets [B, K]."""
        raise NotImplementedError

    @property
    def value(self) -> float:
        """What is chosen by: the more the better, 1 at most."""
        raise NotImplementedError

    def metrics(self, part: str) -> dict[str, Any]:
        """Figures of a part ("test"), empty where it has no sample."""
        raise NotImplementedError


class Accuracy(Score):
    """The largest output is the class."""

    name = "accuracy"

    def __init__(self) -> None:
        self.correct: list[np.ndarray] = []

    def add(self, answers: Tensor, labels: Tensor) -> None:
        self.correct.append((answers.argmax(1) == labels).cpu().numpy())

    @property
    def value(self) -> float:
        return float(np.concatenate(self.correct).mean())

    def metrics(self, part: str) -> dict[str, Any]:
        if not self.correct:
            return {}
        correct = np.concatenate(self.correct)
        return {
            f"{part}_accuracy": self.value,
            f"{part}_correct": int(correct.sum()),
            f"{part}_samples": len(correct),
        }


class Determination(Score):
    """Coefficient of determination; `deviation` [K] of the targets: 1 in what is added."""

    name = "r2"

    def __init__(self, deviation: np.ndarray) -> None:
        self.deviation = deviation
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, answers: Tensor, labels: Tensor) -> None:
        self.pairs.append((answers.cpu().double().numpy(), labels.cpu().double().numpy()))

    def _errors(self) -> tuple[np.ndarray, np.ndarray]:
        """(squared errors, squared distances from the mean) [S, K]."""
        found, wanted = (np.concatenate(arrays) for arrays in zip(*self.pairs))
        return (found - wanted) ** 2, (wanted - wanted.mean(0)) ** 2

    @property
    def value(self) -> float:
        errors, spread = (x.sum(0) for x in self._errors())
        return float(np.mean(1 - errors / np.maximum(spread, 1e-12)))

    def metrics(self, part: str) -> dict[str, Any]:
        if not self.pairs:
            return {}
        errors, _ = self._errors()
        return {
            f"{part}_r2": self.value,
            f"{part}_rmse": float(np.sqrt((errors * self.deviation**2).mean())),
            f"{part}_samples": len(errors),
        }
