"""The part of own data that is held out for the test, and their integers: as training takes them,
so does every later evaluation.
"""

from __future__ import annotations

import dataclasses

import numpy as np

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
