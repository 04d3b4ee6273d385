"""The layers of a netx file, its groups layer/0, layer/1, ... as lava-dl's slayer writes them.

    layer/i   type, shape, weight, bias, delay, neuron/{type, iDecay, vDecay, vThMant, ...}

Every dataset is read, or known to say nothing of the network's spikes, or refused by name: netx
passes over what it does not know. Measured on lava-dl 0.6.0, files lib/dl/netx/hdf5.py and
lib/dl/slayer/block/base.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ...core.fixed_point import ACTIVATION_LIMIT, DECAY_ONE, STATE_LIMIT
from ...core.graph import WEIGHTS
from ...system.errors import BundleError, GraphError, nearest
from ...system.reading import check_bound
from ..lava.network import NEVER

SIZES = {"inFeatures", "outFeatures", "inChannels", "outChannels", "kernelSize"}  # of `weight`
SYNAPSE = {"type", "shape", "neuron", "weight", "delay"} | SIZES
IMAGE = {"stride", "padding", "dilation", "groups"}
LAYERS = {  # what each may hold
    "input": {"type", "shape", "neuron", "weight", "bias"},
    "flatten": {"type", "shape"},
    "dense": SYNAPSE | {"bias"},
    "dense_rec": SYNAPSE | {"bias", "weight_rec"},
    "conv": SYNAPSE | IMAGE | {"bias"},
    "pool": SYNAPSE | IMAGE,
}
NOT_RUN = ("average", "concat", "convT", "dense_comp", "unpool")  # netx has names alone for these
NEURONS = ("CUBA", "LOIHI")  # one and the same
OTHER_NEURONS = {"SDNN": "sigma-delta", "RF": "resonate-and-fire", "ALIF": "adaptive-threshold"}
PARAMETERS = ("iDecay", "vDecay", "vThMant")
# What changes nothing: width of a spike's message, and the surrogate gradient's shape in training.
SILENT = {"type", "messageBits", "scaleRho", "tauRho", "theta"}
AT_REST = {  # has to have this value: netx ignores it, and training does not
    "refDelay": (1, "a refractory period"),
    "gradedSpike": (0, "graded spikes"),
    "weight_exp": (0, "a weight exponent of batch norm"),
    "wgtExp": (0, "a weight exponent"),
}
DEFAULT_NEURON = {"type": "CUBA", "iDecay": 0, "vDecay": DECAY_ONE, "vThMant": NEVER}  # netx's


@dataclass(frozen=True)
class Layer:
    """One group of the file: its number, its type, and its datasets by name."""

    number: int
    type: str
    datasets: dict[str, Any]

    @property
    def where(self) -> str:
        return f"layer/{self.number}"

    @property
    def name(self) -> str:
        """Of the population that it becomes."""
        return f"{self.type}{self.number}"

    def refused(
        self,
        what: str,
        name: str = "",
        *,
        value: object = None,
        limit: object = None,
        fix: str = "",
    ) -> GraphError:
        """What is wrong with the layer, or with one of its datasets."""
        where = f"{self.where}/{name}" if name else self.where
        return GraphError(what, where=where, value=value, limit=limit, fix=fix or None)

    def numbers(self, name: str) -> np.ndarray:
        """A dataset of whole numbers, int32 of its shape. Raises `GraphError`."""
        value: Any = self.datasets
        for part in name.split("/"):
            value = value.get(part)
        if isinstance(value, dict):
            raise self.refused("a group, where numbers are expected", name, value=", ".join(value))
        array = np.asarray(value)
        if value is None or array.dtype.kind not in "fiub" or not array.size:
            what = "missing" if value is None else "not numbers"
            raise self.refused(what, name, value=None if value is None else array.dtype)
        self.check_size(array.size, name)
        low, high = float(array.min()), float(array.max())
        if not -ACTIVATION_LIMIT < low <= high < ACTIVATION_LIMIT:  # so for NaN
            limit = f"+-{ACTIVATION_LIMIT - 1}"
            raise self.refused("out of range", name, value=f"{low:g}..{high:g}", limit=limit)
        if array.dtype.kind == "f" and (odd := array[array != np.trunc(array)]).size:
            raise self.refused(
                "not whole numbers, and netx would cut them off",
                name,
                value=f"{odd.flat[0]:g}",
                fix="export the network with its quantised weights, as slayer's blocks do",
            )
        return array.astype(np.int32)

    def check_size(self, weights: int, name: str = "weight") -> None:
        """Raise `GraphError` where a dataset has, or becomes, more weights than a graph holds."""
        where = f"{self.where}/{name}"
        check_bound("too many weights", weights, WEIGHTS, where=where, error=GraphError, unit="")

    def number_of(self, name: str, low: int, high: int) -> int:
        """One whole number within low..high."""
        array = self.numbers(name)
        if array.size != 1 or not low <= int(array.flat[0]) <= high:
            raise self.refused(
                "not a number in range", name, value=shown(array), limit=f"{low}..{high}"
            )
        return int(array.flat[0])

    def pair(self, name: str, default: int) -> tuple[int, int]:
        """(height, width), which are equal where the file has one number."""
        if name not in self.datasets:
            return default, default
        array = self.numbers(name).ravel()
        if array.size not in (1, 2) or array.min() < 0:
            raise self.refused("not one or two sizes", name, value=shown(array))
        return int(array[0]), int(array[-1])

    def shape(self) -> tuple[int, ...]:
        """Of its neurons: (C, H, W), or (n,)."""
        array = self.numbers("shape").ravel()
        if array.size > 3 or array.min() < 1:
            raise self.refused("not the size of a layer", "shape", value=shown(array))
        sizes = tuple(int(n) for n in array)
        if self.type in ("conv", "pool") and len(sizes) != 3:
            raise self.refused("not an image", "shape", value=shown(array), limit="C, H, W")
        return sizes if len(sizes) == 3 and not self.type.startswith("dense") else (prod(sizes),)


def shown(array: np.ndarray) -> str:
    """The first few of some numbers, for a message."""
    flat = array.ravel()
    return ", ".join(map(str, flat[:4].tolist())) + (", ..." if flat.size > 4 else "")


def layers(groups: dict[str, Any], where: object) -> list[Layer]:
    """The layers of a file in order, from what lies below /layer. Raises `BundleError` where they
    are not layer/0, layer/1, ..., `GraphError` naming the layer and the dataset that is not taken.
    """
    numbered: dict[str, Any] = {str(i): groups.get(str(i)) for i in range(len(groups))}
    for number, group in numbered.items():
        if not isinstance(group, dict):
            raise BundleError(
                "not a sound netx file", where=where, value=f"no group layer/{number}"
            )
    if not groups:
        raise _unsound(where, "no layers")
    return [_layer(int(number), group) for number, group in numbered.items()]


def _unsound(where: object, value: str) -> BundleError:
    return BundleError("not a sound netx file", where=where, value=value)


def _layer(number: int, datasets: dict[str, Any]) -> Layer:
    layer = Layer(number, _word(datasets.get("type")), datasets)
    if layer.type in NOT_RUN:
        raise layer.refused("a layer that netx does not run", value=layer.type)
    if layer.type not in LAYERS:
        raise layer.refused(
            "a layer that netx does not know, and passes over",
            value=layer.type or "no type",
            fix=nearest(layer.type, LAYERS),
        )
    _known(layer, datasets, LAYERS[layer.type])
    if isinstance(datasets.get("weight"), dict):
        raise layer.refused("complex weights: no synapse here has them", "weight")
    if layer.type in ("conv", "pool") and "delay" in datasets and layer.numbers("delay").any():
        raise layer.refused(
            f"a delay of a {layer.type}, which netx leaves out: it runs another network",
            "delay",
            value=shown(layer.numbers("delay")),
        )
    return layer


def _known(layer: Layer, names: Iterable[str], known: set[str], prefix: str = "") -> None:
    for name in names:
        if name not in known:
            raise layer.refused(
                "a dataset that netx does not know, and passes over",
                prefix + name,
                fix=nearest(name, known),
            )


def _word(value: object) -> str:
    """A string, alone or as the one of an array."""
    array = np.asarray(value)
    return str(array.flat[0]) if array.dtype.kind == "U" and array.size == 1 else ""


def neuron(layer: Layer) -> dict[str, Any]:
    """`vth`, `du` and `dv` of a layer's neurons: an int, or one value a channel or neuron. Raises
    `GraphError`.
    """
    if "neuron" not in layer.datasets:
        if layer.type in ("conv", "pool"):
            raise layer.refused("missing", "neuron")
        layer = Layer(layer.number, layer.type, layer.datasets | {"neuron": DEFAULT_NEURON})
    datasets = layer.datasets["neuron"]
    if not isinstance(datasets, dict):
        raise layer.refused("not a group", "neuron")
    _check_kind(layer, _word(datasets.get("type")))
    _known(layer, datasets, SILENT | set(AT_REST) | set(PARAMETERS), "neuron/")
    for name, (rest, what) in AT_REST.items():
        if name in datasets and (layer.numbers(f"neuron/{name}") != rest).any():
            raise layer.refused(
                f"{what}: netx ignores it, so that it runs another network",
                f"neuron/{name}",
                value=shown(layer.numbers(f"neuron/{name}")),
                limit=rest,
            )
    i_decay, v_decay, vth = (_parameter(layer, f"neuron/{name}") for name in PARAMETERS)
    return {"vth": vth, "du": i_decay - 1, "dv": v_decay}


def _check_kind(layer: Layer, kind: str) -> None:
    if kind in NEURONS:
        return
    for word, name in OTHER_NEURONS.items():
        if word in kind:
            raise layer.refused(
                f"{name} neurons: the integer graph has leaky integrate-and-fire alone",
                "neuron/type",
                value=kind,
            )
    raise layer.refused(
        "unknown kind of neuron", "neuron/type", value=kind or "none", fix=nearest(kind, NEURONS)
    )


def _parameter(layer: Layer, name: str) -> int | np.ndarray:
    """An int where all neurons share it; else [C, 1, 1] by channel or [n] by neuron, int64."""
    array, shape = layer.numbers(name).astype(np.int64), layer.shape()
    high = STATE_LIMIT - 1 if name.endswith("vThMant") else DECAY_ONE
    if array.min() < 0 or array.max() > high:
        raise layer.refused("out of range", name, value=shown(array), limit=f"0..{high}")
    if (array == array.flat[0]).all():
        return int(array.flat[0])
    return by_channel(layer, name, array, shape)


def by_channel(layer: Layer, name: str, array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Values by channel as [C, 1, 1], or by neuron, netx's (W, H, C) included, as the population
    has them.
    """
    if array.size in (1, shape[0]):
        return array.reshape(-1, *(1,) * (len(shape) - 1))
    if len(shape) == 3 and array.shape == tuple(shape[::-1]):
        return array.transpose()
    raise layer.refused("does not fit the layer", name, value=list(array.shape), limit=list(shape))
