"""Equal in every bit: the one meaning of it in these tests, apart from what scmrl itself compares
with.
"""

import numpy as np

from scmrl.core import reference
from scmrl.core.activity import Activity
from scmrl.core.graph import Graph
from scmrl.deploy.backends.backend import Backend

Inputs = dict[str, np.ndarray]


def unequal(graph: Graph, expected: Activity, got: Activity) -> dict[str, list[int]]:
    """Where [sample, step, *neuron] each population that is not equal differs first; sets, shapes
    and types have to be equal.
    """
    assert set(got.spikes) == {p.name for p in graph.of_kind("lif")}
    assert set(got.membrane) == {p.name for p in graph.of_kind("readout")}
    found = {}
    for p in graph.order():
        if p.kind != "input":
            wanted, given = expected.values(p.name), got.values(p.name)
            assert given.dtype == wanted.dtype and given.shape == wanted.shape, p.name
            if (different := np.argwhere(given != wanted)).size:
                found[p.name] = different[0].tolist()
    return found


def assert_equal_in_every_bit(graph: Graph, expected: Activity, got: Activity) -> None:
    assert unequal(graph, expected, got) == {}
    assert got.overflow is None or got.overflow == expected.overflow


def assert_equals_the_reference(backend: Backend, inputs: Inputs) -> Activity:
    """Runs an open backend; returns what it gave."""
    got = backend.run(inputs)
    assert_equal_in_every_bit(backend.graph, reference.run(backend.graph, inputs), got)
    return got
