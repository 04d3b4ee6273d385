"""Samples of a bundle as C, and the hashes of what every population does on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core import reference
from ...core.bundle import Bundle
from ...system.errors import UsageError
from .program import Program
from .words import wrapped

FNV_OFFSET, FNV_PRIME = 2166136261, 16777619  # FNV-1a, 32 bits (Fowler, Noll, Vo)
FILES = ("self_test.c", "samples.h")


def words(program: Program, bundle: Bundle, samples: int) -> dict[str, Any]:
    """What the templates of `FILES` ask for: the first `samples` of the bundle. Raises `UsageError`
    where it has fewer.
    """
    if samples > bundle.samples:
        raise UsageError(
            "the model has fewer samples", where="self_test", limit=bundle.samples, value=samples
        )
    inputs = {name: x[:samples] for name, x in bundle.inputs.items()}
    activity = reference.run(bundle.graph, inputs)
    given = [np.moveaxis(inputs[p.population.name], 2, -1) for p in program.inputs]
    found = [hashes(activity.values(p.population.name)) for p in program.neurons]
    steps = given[0].shape[1]
    return {
        "count": samples,
        "length": steps,
        "origin": bundle.origin.samples,
        "names": ", ".join(p.name for p in program.neurons),
        "fire": any(p.population.fires for p in program.neurons),
        "stay": any(not p.population.fires for p in program.neurons),
        "inputs_text": ",\n".join(
            "{" + ",\n".join(_step([x[i, t] for x in given]) for t in range(steps)) + "}"
            for i in range(samples)
        ),
        "expected_text": ",\n".join(
            "{" + ", ".join(f"{hash[i]}u" for hash in found) + "}" for i in range(samples)
        ),
    }


def _step(inputs: list[np.ndarray]) -> str:
    return "{" + ", ".join("{" + wrapped(x.ravel()) + "}" for x in inputs) + "}"


def hashes(values: np.ndarray) -> list[int]:
    """FNV-1a of [S, T, *shape], channels last, by sample: spikes as bytes, wider integers as four
    bytes each, lowest first.
    """
    kind = np.uint8 if values.dtype == np.uint8 else np.dtype("<i4")
    rows = np.ascontiguousarray(np.moveaxis(values, 2, -1), kind).reshape(len(values), -1)
    hash = np.full(len(rows), FNV_OFFSET, np.uint64)
    for column in rows.view(np.uint8).T:
        hash = ((hash ^ column) * FNV_PRIME) & np.uint64(0xFFFFFFFF)
    return [int(h) for h in hash]
