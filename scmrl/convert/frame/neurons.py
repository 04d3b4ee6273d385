"""Neurons that an exported form has none of, refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ...core.graph import PER_NEURON, Graph, Population
from ...system.errors import GraphError


def require_no_joins(graph: Graph, target: str) -> None:
    """Raise `GraphError` where a population adds another's membrane, which `target` has no form
    for.
    """
    for p in graph.populations:
        if p.adds:
            raise GraphError(
                f"{target} has no form for joined compartments",
                where=p.name,
                value=f"adds the membrane of {p.adds}",
                fix="run it on the simulator or the reference",
            )


def require_reset_to_zero(graph: Graph, target: str) -> None:
    """Raise `GraphError` where a spike leaves the membrane above the threshold, which `target` has
    no form for.
    """
    for p in graph.populations:
        if p.subtracts:
            raise GraphError(
                f"{target} resets the membrane to zero",
                where=p.name,
                value='reset "subtract"',
                fix="run it on the simulator or the reference",
            )


def require_one_value(
    populations: Iterable[Population], target: str, names: Sequence[str] = PER_NEURON
) -> None:
    """Raise `GraphError` where the neurons of a population differ in a parameter of `names` that
    counts, of which `target` holds one a population.
    """
    for p in populations:
        for name, counts in zip(PER_NEURON, (p.vth if p.fires else 0, *p.decays)):
            values = np.unique(counts)
            if name in names and p.kind != "input" and len(values) > 1:
                raise GraphError(
                    f"{target} holds one {name} a population",
                    where=p.name,
                    limit="one value",
                    value=f"{len(values)} values, {values[0]}..{values[-1]}",
                    fix="make a population of each value, or use the target onnx or lava",
                )
