"""Processes whose neurons differ, cut into cells of equal parameters, which is what a chip holds.
numpy only.

    y@0  vth 10 20 10        y@0#0  vth 10   neurons 0, 2
                       ->    y@0#1  vth 20   neuron 1

Synapses are matrices here, so each can be cut: the rows go to the cells of the target, the columns
to those of the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ....convert.lava.lowering import reaching_all
from ....convert.lava.network import SOURCE, LavaNetwork, Neurons, Place, Weights

DIFFER = ("vth", "du", "dv", "bias_exp")  # of which a process of the chip has one value


@dataclass(frozen=True)
class Cell:
    """Some neurons of a process: `members` are their numbers there, int [count]."""

    name: str
    members: np.ndarray


def split(network: LavaNetwork) -> tuple[LavaNetwork, dict[str, np.ndarray]]:
    """`network` with a process for each set of parameters, and of every population that was cut
    which of its neurons stands where: {population: int [neurons]}.

    Each process must hold one population, as a chip's layout makes them.
    """
    cells = {n.name: _cells(n) for n in network.neurons}
    neurons = tuple(part for n in network.neurons for part in _parts(n, cells[n.name]))
    weights = tuple(part for w in network.weights for part in _cut(w, cells, network.source_count))
    places = tuple(
        Place(p.population, cell.name, 0, len(cell.members), p.depth, p.delay)
        for p in network.places
        for cell in cells[p.process]
    )
    order = {
        p.population: np.concatenate([cell.members for cell in cells[p.process]])
        for p in network.places
        if len(cells[p.process]) > 1
    }
    weights = reaching_all({n.name: n.count for n in neurons}, weights)
    return replace(network, places=places, neurons=neurons, weights=weights).check(), order


def _cells(n: Neurons) -> list[Cell]:
    values = np.stack([getattr(n, name) for name in DIFFER])
    which = np.unique(values, axis=1, return_inverse=True)[1].ravel()
    if not which.any():
        return [Cell(n.name, np.arange(n.count))]
    return [Cell(f"{n.name}#{i}", np.flatnonzero(which == i)) for i in range(which.max() + 1)]


def _parts(n: Neurons, cells: list[Cell]) -> Iterator[Neurons]:
    for cell in cells:
        arrays = {name: getattr(n, name)[cell.members] for name in (*DIFFER, "bias_mant")}
        yield replace(n, name=cell.name, **arrays)


def _cut(w: Weights, cells: dict[str, list[Cell]], inputs: int) -> Iterator[Weights]:
    """The blocks of one matrix that are not empty."""
    sources = cells.get(w.source, [Cell(SOURCE, np.arange(inputs))])
    rows = np.repeat(np.arange(len(w.indptr) - 1), np.diff(w.indptr))
    for target in cells[w.target]:
        for source in sources:
            row, column = _numbers(target, rows), _numbers(source, w.indices)
            here = (row >= 0) & (column >= 0)
            if here.any():
                counts = np.bincount(row[here], minlength=len(target.members))
                yield replace(
                    w,
                    source=source.name,
                    target=target.name,
                    indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
                    indices=column[here].astype(np.int32),
                    mantissa=w.mantissa[here],
                )


def _numbers(cell: Cell, neurons: np.ndarray) -> np.ndarray:
    """The number in the cell of each of a process's `neurons`, -1 where it is in another."""
    at = np.searchsorted(cell.members, neurons)
    found = cell.members[np.minimum(at, len(cell.members) - 1)] == neurons
    return np.where(found, at, -1)
