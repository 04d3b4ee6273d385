"""Samples of the user's own data (`data.own`) for a model that takes values, as its integers.

What the training settings of a model say of such data, all of it optional:

    dataset             the path, or file.py:function, that it was trained on
    own.seed, own.validation, own.test          how `OwnData.split` made the parts
    own.sound, own.side, own.time               how `data.own.load` read them

A path that a model names is read again. A function is run only where the user names it himself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.bundle import Bundle
from ..core.graph import Graph
from ..core.samples import GIVEN, HELD_OUT, TRAINING, TRUE, Origin, fingerprint
from ..core.schema import Flag, Integer, Maybe, Number, Table, Text
from ..data import DATASETS
from ..data.features.values import ValueEncoding
from ..data.own import OwnData, load
from ..data.own.tested import encoded
from ..data.references import portable
from ..system.errors import BundleError, DataError, UsageError, nearest

READ = {"sound": Text(), "side": Maybe(Integer(1)), "time": Maybe(Flag())}
SPLIT = {"seed": Integer(0), "validation": Number(0, 1), "test": Number(0, 1)}
OWN = Table({}, READ | SPLIT)


@dataclass(frozen=True)
class OwnSamples:
    """Encoded inputs {input: uint [S, ...]} of the data, their classes int64 [S], which they are in
    words, and where they come from.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray
    which: str
    origin: Origin


def own_samples(
    bundle: Bundle, encoding: ValueEncoding, dataset: str | None, split: str
) -> OwnSamples:
    """The `split` ("train" or "test") of the data that the model was trained on; of other data that
    part where the data name one, else all of them.

    Raises UsageError where no data are named, DataError for such as do not fit the model.
    """
    trained_on = bundle.training.get("dataset")
    where = dataset or trained_on
    if not isinstance(where, str):
        what = "the model does not say which dataset it was trained on"
        raise UsageError(what, fix="give --dataset NPZ, a folder, or FILE.py:NAME")
    if where in DATASETS:
        what, fix = "the model takes values, no recordings", "give --dataset NPZ or a folder"
        raise DataError(what, where=where, fix=fix)
    if dataset is None and not Path(where).exists():
        what = "the data that this was trained on are not there, or are made by code of its user"
        raise UsageError(what, where=where, fix="name them: --dataset DATA")
    said = bundle.training.get("own", {})
    OWN.check(said, "training.own", BundleError)
    settings: dict[str, Any] = {name: said[name] for name in READ if name in said}
    data = load(where, steps=bundle.graph.steps, **settings)
    which, origin = f"{where}, {split} split", Origin(GIVEN, TRUE)
    if trained_on in (where, portable(where)) and "seed" in said:
        data = data.split(**{name: said[name] for name in SPLIT if name in said})[split]
        which = f"{portable(where)}, {split} split"
        origin = Origin(HELD_OUT if split == "test" else TRAINING, TRUE)
    elif data.part is not None:
        data = data.take(data.part == split)
    else:
        which = f"{where}, all samples"
    if not len(data):
        raise DataError("there are no samples", where=which)
    labels = labels_for(bundle.graph, data, where)
    inputs = encoded(replace(data, inputs=inputs_for(bundle.graph, data, where)), encoding)
    tested = bundle.metrics.get("test_sha256")
    if origin.samples == HELD_OUT and tested not in (None, fingerprint(inputs, labels)):
        origin = Origin(GIVEN, TRUE)  # data of the same name, and others
    return OwnSamples(inputs, labels, which, origin)


def inputs_for(graph: Graph, data: OwnData, where: object) -> dict[str, np.ndarray]:
    """The values of every input of a network; an only one may have any name."""
    wanted = [p.name for p in graph.of_kind("input")]
    if len(wanted) == len(data.inputs) == 1:
        return {wanted[0]: next(iter(data.inputs.values()))}
    if missing := sorted(set(wanted) - set(data.inputs)):
        limit, fix = ", ".join(wanted), nearest(missing[0], data.inputs)
        raise DataError("the data lack an input", where=where, limit=limit, value=missing, fix=fix)
    return {name: data.inputs[name] for name in wanted}


def labels_for(graph: Graph, data: OwnData, where: object) -> np.ndarray:
    """The classes as the network numbers them: by their names, where both have names."""
    if data.regression:
        what = "targets of a regression are no classes: there is no accuracy"
        raise DataError(what, where=f"{where}: y", fix="give integers as y")
    numbers = tuple(map(str, range(len(data.classes))))
    if not graph.classes or data.classes in (graph.classes, numbers):
        return data.y
    if unknown := sorted(set(data.classes) - set(graph.classes)):
        fix = nearest(unknown[0], graph.classes)
        raise DataError("the network has no such class", where=where, value=unknown[0], fix=fix)
    order = np.array([graph.classes.index(name) for name in data.classes], np.int64)
    classes: np.ndarray = order[data.y]
    return classes
