"""One run: a frozen model, opened, on one backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..core.activity import Activity
from ..core.bundle import Bundle, load
from ..core.graph import Graph
from ..system.errors import UsageError, nearest
from .backends.backend import Backend, Progress
from .backends.simulator.simulator import Simulator, is_little
from .registry import backend_class, open_backend

Model = Bundle | str | Path


def opened(model: Model) -> tuple[Bundle, str]:
    """The bundle of a model, and what reports call it."""
    if isinstance(model, Bundle):
        return model, "in memory"
    return load(model), str(Path(model))


def run(
    model: Model,
    graph: Graph,
    backend: str,
    inputs: dict[str, np.ndarray],
    *,
    deadline_s: float | None = None,
    progress: Progress | None = None,
    board: Mapping[str, Any] | None = None,
) -> Activity:
    """Run `graph` on a backend; a backend that reads its own export takes what it finds where
    `model` lies.

    `board`: settings of `scmrl.deploy.backends.loihi.loihi.Board`, for the backend "loihi" alone.
    """
    opened: Backend
    if board:
        backend_class(backend)  # an unknown name is refused as such
        if backend != "loihi":
            raise UsageError(
                "board settings are for the backend 'loihi'", where="--backend", value=backend
            )
        from .backends.loihi.loihi import Loihi

        opened = Loihi(graph, deadline_s=deadline_s, board=_board(board))
    elif backend == "simulator" and is_little(graph, inputs):
        opened = Simulator(graph, deadline_s=deadline_s, compiled=False)
    else:
        place = None if isinstance(model, Bundle) else Path(model)
        opened = open_backend(backend, graph, deadline_s=deadline_s, model=place)
    with opened:
        return opened.run(inputs, progress=progress)


def _board(settings: Mapping[str, Any]) -> Any:
    from .backends.loihi.loihi import Board

    known = [field.name for field in fields(Board)]
    for name in settings:
        if name not in known:
            raise UsageError("no such setting of a board", value=name, fix=nearest(name, known))
    return Board(**settings)
