"""The part of own data that is held out for the test, and their integers: as training takes them,
so does every later evaluation.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ...core.graph import Population
from ...core.samples import only_x
from ...system.errors import DataError, nearest
from ..features.values import ValueEncoding
from .owndata import OwnData
from .parts import parted

SEED = 0  # of the test part, whatever the seed of a run: runs are compared on the same samples


def trained_and_tested(data: OwnData, share: float) -> tuple[OwnData, OwnData]:
    """(what is trained on and chosen by, the test part): as given, or that `share` held out. Raises
    as `OwnData.split`.
    """
    labels = np.zeros(len(data), np.int64) if data.regression else data.y
    shares = {"test": share, "validation": 0.0}
    part = parted(labels, data.part, data.group, shares, SEED, data.classes)
    whole = dataclasses.replace(data, part=part)
    return whole.take(part != "test"), whole.take(part == "test")


def encoded(data: OwnData, encoding: ValueEncoding) -> dict[str, np.ndarray]:
    """{input: uint8 or uint16 [S, *shape], over time [S, T, *shape]}. Raises DataError for values
    that the encoding does not take.
    """
    time = (data.steps,) if data.time else ()
    return {
        name: x.reshape(len(x), *time, *data.shapes[name])
        for name, x in encoding.encode(data.inputs).items()
    }


def for_inputs(data: OwnData, names: list[str]) -> OwnData:
    """`x` stands for an only input of another name. Raises DataError for an input without data."""
    inputs = data.inputs
    if only_x(inputs, names):
        inputs = {names[0]: inputs["x"]}
    for name in names:
        if name not in inputs:
            what, fix = "the data lack an input of the model", nearest(name, inputs)
            raise DataError(what, where=name, value=sorted(inputs), fix=fix)
    return dataclasses.replace(data, inputs={name: inputs[name] for name in names})


def fitted(x: np.ndarray, p: Population, steps: int) -> np.ndarray:
    """Values as an input takes them: [S, *shape], the same at all steps, or [S, T, *shape]. Raises
    DataError where they fit neither way.
    """
    if math.prod(x.shape[1:]) == p.neurons:
        return x.reshape(len(x), *p.shape)
    if x.ndim > 1 and math.prod(x.shape[2:]) == p.neurons and x.shape[1] == steps:
        return x.reshape(len(x), steps, *p.shape)
    shape = ", ".join(map(str, p.shape))
    limit = f"[S, {shape}] or [S, {steps}, {shape}]"
    raise DataError("the model takes another shape", where=p.name, limit=limit, value=list(x.shape))
