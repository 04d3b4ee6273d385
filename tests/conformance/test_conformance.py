"""Every backend equals the reference in every bit: spikes of all populations, membranes of the
readout.
"""

import importlib
import importlib.util

import numpy as np
import pytest
from conformance.demo import demo_graph, demo_inputs
from conformance.graphs import GRAPHS, JOINED, LAVA_REFUSES, random_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from scmrl.core import reference
from scmrl.deploy.backends.simulator.simulator import Simulator
from scmrl.deploy.registry import backend_class
from scmrl.system.errors import GraphError

needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="numba is not installed"
)
needs_lava = pytest.mark.skipif(
    importlib.util.find_spec("lava") is None, reason="Lava is not installed"
)

# To add a backend: its name, how it is opened on a graph, and what it needs.
BACKENDS = {
    "reference": lambda graph: backend_class("reference")(graph),
    "simulator-numpy": lambda graph: Simulator(graph, compiled=False),
    "simulator-numba": lambda graph: Simulator(graph, compiled=True, threads=1),
    "simulator-threads": lambda graph: Simulator(graph, compiled=True, threads=2),
    "lava-inprocess": lambda graph: backend_class("lava-inprocess")(graph),
    "lava": lambda graph: backend_class("lava")(graph, deadline_s=60),
}
NEEDS = {
    "simulator-numba": needs_numba,
    "simulator-threads": needs_numba,
    "lava-inprocess": needs_lava,
    "lava": needs_lava,
}


def parameters(*names: str) -> list:
    return [pytest.param(name, marks=NEEDS.get(name, ())) for name in names]


def assert_equal_in_every_bit(graph, expected, got):
    assert set(got.spikes) == {p.name for p in graph.of_kind("lif")}
    assert set(got.membrane) == {p.name for p in graph.of_kind("readout")}
    for p in graph.order():
        if p.kind != "input":
            wanted, found = expected.values(p.name), got.values(p.name)
            assert found.dtype == wanted.dtype and found.shape == wanted.shape, p.name
            different = np.argwhere(found != wanted)
            assert len(different) == 0, f"{p.name} differs first at {different[0]}"
    if got.overflow is not None:
        assert got.overflow == expected.overflow


@pytest.mark.parametrize("backend", parameters(*BACKENDS))
@pytest.mark.parametrize("name", GRAPHS)
def test_equals_the_reference(name, backend):
    graph, inputs = GRAPHS[name]()
    if backend.startswith("lava") and name in LAVA_REFUSES:
        with pytest.raises(GraphError, match="a|b"):
            BACKENDS[backend](graph)
        return
    with BACKENDS[backend](graph) as opened:
        assert_equal_in_every_bit(graph, reference.run(graph, inputs), opened.run(inputs))


@pytest.mark.parametrize("backend", parameters("simulator-numpy", "simulator-numba"))
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), recurrent=st.booleans())
def test_random_graphs_in_the_simulator(backend, seed, recurrent):
    graph, inputs = random_graph(seed, recurrent)
    assert_equal_in_every_bit(
        graph, reference.run(graph, inputs), BACKENDS[backend](graph).run(inputs)
    )


@pytest.mark.parametrize("backend", parameters("simulator-numpy", "simulator-numba"))
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), recurrent=st.booleans())
def test_random_graphs_of_joined_compartments(backend, seed, recurrent):
    graph, inputs = random_graph(seed, recurrent, joined=True)
    assert any(p.adds for p in graph.populations)
    assert_equal_in_every_bit(
        graph, reference.run(graph, inputs), BACKENDS[backend](graph).run(inputs)
    )


@pytest.mark.parametrize("name", sorted(JOINED))
@pytest.mark.parametrize(
    ("module", "lower", "needs"),
    [
        ("scmrl.convert.lava.lowering", "lower", "numpy"),
        ("scmrl.convert.netx.lowering", "lower", "numpy"),
        ("scmrl.convert.nir.lowering", "lower", "numpy"),
        ("scmrl.convert.onnx.model", "step_model", "onnx"),
        ("scmrl.convert.onnx.model", "sequence_model", "onnx"),
    ],
)
def test_exports_refuse_joined_compartments_by_name(name, module, lower, needs):
    pytest.importorskip(needs)
    graph, _ = GRAPHS[name]()
    joined = [p.name for p in graph.populations if p.adds]
    with pytest.raises(
        GraphError, match=f"^{joined[0]}: .*no form for joined compartments.*simulator"
    ):
        getattr(importlib.import_module(module), lower)(graph)


@needs_lava
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), recurrent=st.booleans())
def test_random_graphs_in_lava(seed, recurrent):
    graph, inputs = random_graph(seed, recurrent)
    assert_equal_in_every_bit(
        graph, reference.run(graph, inputs), BACKENDS["lava-inprocess"](graph).run(inputs)
    )


@pytest.mark.parametrize(
    "backend", parameters("simulator-numpy", "simulator-numba", "lava-inprocess")
)
def test_a_model_as_trained(backend):
    """Two modalities, four stages, attention, readout: smaller images, the full depth."""
    graph = demo_graph(size=16, channels=(4, 4, 8, 8)).check()
    inputs = demo_inputs(graph, 3)
    expected = reference.run(graph, inputs)
    assert sum(s.sum() for s in expected.spikes.values()) > 1000
    assert_equal_in_every_bit(graph, expected, BACKENDS[backend](graph).run(inputs))


@pytest.mark.parametrize("name", GRAPHS)
def test_every_population_is_awake(name):
    """A population that never fires proves nothing: all of them do, but those that must not."""
    graph, inputs = GRAPHS[name]()
    silent = {p for p, s in reference.run(graph, inputs).spikes.items() if not s.any()}
    assert silent == {"threshold_equality": {"at"}, "zero_weights": {"y"}}.get(name, set())
