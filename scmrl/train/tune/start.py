"""The model that tuning starts from, which the run keeps, and the float network behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.bundle import Bundle

COPY = "start"  # in the run directory
ORIGIN = ("imported", "format", "dt", "convention", "reset", "floor")  # of a training table
# Values of the inputs [S, T, ...] or [S, ...] -> scores [S, K].
Teacher = Callable[[dict[str, np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class Start:
    """`teacher`: the float network's scores, where it is known. `source`: the file it was imported
    from.
    """

    bundle: Bundle
    teacher: Teacher | None = None
    source: Path | None = None

    @property
    def origin(self) -> dict[str, Any]:
        """What the tuned model says of where it comes from."""
        said = self.bundle.training
        kept = {name: said[name] for name in ORIGIN if name in said}
        return {"tuned_from": self.bundle.hash, **kept}

    def keep(self, run: Path) -> None:
        """Put a copy of the model into the run."""
        self.bundle.save(run / COPY, self.source)
