"""The network of the user's own: a function of his file builds it, and it fits the data.

Whatever is wrong is one line that names the place in his file. A run keeps a copy of the file, so
that it can be repeated and gone on with.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ...network.network import Network
from ...network.spec import DataSpec
from ...system import usercode
from ...system.errors import UsageError, nearest
from ...system.reading import read_text
from ...system.storage import whole_file

COPY = "network.py"  # of the user's file, in the run directory
WHAT = "a function that builds a network"
Build = Callable[..., Any]


def load(reference: str, run: Path, *, resume: bool, tell: Callable[[str], None]) -> Build:
    """The function that `reference` names. A run that is gone on with, and whose file has changed
    or gone since, takes it from its copy. Raises UsageError.
    """
    source, _, name = reference.rpartition(":")
    kept = run / COPY
    if resume and source.endswith(".py") and kept.is_file() and not _same(Path(source), kept):
        tell(f"{source} has changed since, or gone: going on with {kept}")
        return usercode.load(f"{kept}:{name}", WHAT)
    return usercode.load(reference, WHAT)


def keep(function: Build, run: Path) -> None:
    """Put a copy of the file that the function stands in into the run."""
    file = inspect.getsourcefile(inspect.unwrap(function))
    if file is not None and Path(file).resolve() != (run / COPY).resolve():
        text = _text(Path(file))
        with whole_file(run / COPY) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _text(path: Path) -> str:
    return read_text(path, usercode.SOURCE_BYTES, error=UsageError)


def _same(file: Path, copy: Path) -> bool:
    return file.is_file() and _text(file) == _text(copy)


def build(function: Build, data: DataSpec, checkpoint_steps: int = 0) -> Network:
    """The network for these data, whole and checked. Raises UsageError."""
    made, name = usercode.call(function, data, what="build"), usercode.place(function)
    if not isinstance(made, Network):
        value = "nothing" if made is None else type(made).__name__
        fix = "return the Network at its end"
        raise UsageError("a network is not what it returns", where=name, value=value, fix=fix)
    try:
        made.finish()
    except UsageError as error:
        known = {node: place for node, place in made.places.items() if place}
        first = str(error.where).split(", ")[0]
        if error.where in known.values():
            raise
        raise error.at(known.get(first, name), UsageError) from None
    _check(made, data, name)
    made.checkpoint_steps = checkpoint_steps
    with usercode.within(function, "the network"):
        _try(made, data)
    return made


@torch.no_grad()
def _try(network: Network, data: DataSpec) -> None:
    """Run a silent sample, and lower it: what a node of the user's own raises comes before the
    training, not after it.
    """
    network.eval()
    silent = {name: torch.zeros(data.steps, 1, *data.shapes[name]) for name in network.inputs}
    network(silent)
    network.graph()
    network.train()


def _check(network: Network, data: DataSpec, name: str) -> None:
    """Raise UsageError unless inputs, steps and readout are those of the data."""
    for node, given in network.inputs.items():
        place = network.places[node] or name
        if node not in data.shapes:
            fix = nearest(node, data.shapes)
            raise UsageError("the data have no such input", where=place, value=node, fix=fix)
        if tuple(given.shape) != tuple(data.shapes[node]):
            wanted, fix = list(data.shapes[node]), f'Input(data.shapes["{node}"], ...)'
            what = "an input has the shape of the data"
            raise UsageError(what, where=place, limit=wanted, value=list(given.shape), fix=fix)
        if given.bits < data.bits[node]:
            least, fix = f"{data.bits[node]} or more", f'Input(..., data.bits["{node}"])'
            what = "an input has the bits of the data"
            raise UsageError(what, where=place, limit=least, value=given.bits, fix=fix)
    for unread in sorted(data.shapes.keys() - network.inputs.keys()):
        fix = "add an Input of that name, or leave it out with --set model.modalities=[...]"
        raise UsageError("no node takes this input of the data", where=name, value=unread, fix=fix)
    if network.steps != data.steps:
        what, fix = "a network has the steps of the data", "Network(data.steps)"
        raise UsageError(what, where=name, limit=data.steps, value=network.steps, fix=fix)
    readout = network.node(network.readout)
    if tuple(readout.shape) != (data.outputs,):
        kind = "class" if data.classes else "target"
        what, place = f"a readout has a neuron for each {kind}", network.places[network.readout]
        found, advice = list(readout.shape), "data.outputs"
        raise UsageError(what, where=place or name, limit=[data.outputs], value=found, fix=advice)
