"""The two ways in which a chip takes samples. Every estimate is of one of them, and says of which.

    alone      one sample from a chip at rest to its answer: T + depth hardware steps, in which
               every neuron is updated; the power of the chip over the same steps
    streamed   samples back to back, in the order given and round and round: the steps from one to
               the next, of a pipeline that is full; the power of the chip over the same steps

A network with delays or loops between its populations carries spikes into the next sample: it runs
alone, and `streamed` is refused by the name of the synapse.
"""

from __future__ import annotations

from ...convert.frame.pipeline import carried
from ...core.graph import Graph
from ...system.errors import GraphError, UsageError, nearest

ALONE, STREAMED = "alone", "streamed"
MODES = {ALONE: "one sample alone", STREAMED: "samples streamed back to back"}


def require(graph: Graph, mode: str) -> None:
    """Raise `UsageError` for no mode, `GraphError` where the samples of a network cannot be
    streamed.
    """
    if mode not in MODES:
        raise UsageError("no such mode", where="--mode", value=mode, fix=nearest(mode, MODES))
    over = carried(graph) if mode == STREAMED else ()
    if over:
        more = f" and {len(over) - 1} more" if len(over) > 1 else ""
        raise GraphError(
            "samples cannot follow each other: spikes are carried into the next one",
            where=f"{over[0].name}{more}",
            limit="no delay between populations",
            value=f"{over[0].delay} steps",
            fix=f"use the mode {ALONE}, in which the state is cleared between samples",
        )
