"""The simulator: the same bits whichever way it computes, however samples are cut, and whatever is
installed.

That it equals the reference on every kind of graph is shown in tests/conformance.
"""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from conformance.demo import demo_graph, demo_inputs
from conformance.equality import assert_equal_in_every_bit, assert_equals_the_reference
from conformance.graphs import (
    GRAPHS,
    graph,
    one_neuron,
    random_graph,
    random_inputs,
    source,
    weights,
)
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT, TESTS

from scmrl.core import reference
from scmrl.core.graph import Dense, Graph, Population, Synapse
from scmrl.deploy.backends.simulator import simulator
from scmrl.deploy.backends.simulator.simulator import Simulator
from scmrl.system.errors import DataError, MissingDependency, UsageError

NUMBA = importlib.util.find_spec("numba") is not None
WAYS = [
    pytest.param(False, id="numpy"),
    pytest.param(
        True, id="numba", marks=pytest.mark.skipif(not NUMBA, reason="numba is not installed")
    ),
]
each_way = pytest.mark.parametrize("compiled", WAYS)


@each_way
def test_a_large_batch_equals_its_samples(compiled):
    network = demo_graph(size=16, channels=(4, 8))
    inputs = demo_inputs(network, 40)
    expected = reference.run(network, inputs)
    run = Simulator(network, compiled=compiled)
    assert_equal_in_every_bit(network, expected, run.run(inputs))
    one = run.run({name: x[17:18] for name, x in inputs.items()})
    for name in expected.spikes:
        assert np.array_equal(expected.spikes[name][17:18], one.spikes[name])


@each_way
@pytest.mark.parametrize("scratch", [1, 300, 5000])
@pytest.mark.parametrize(
    "name",
    [
        "delayed_cross_links",
        "skips_of_several_depths",
        "all_samples_static",
        "current_wraps_by_memory",
        "recurrent",
        "delay_beyond_the_sample",
    ],
)
def test_chunks_and_blocks_change_nothing(compiled, scratch, name, monkeypatch):
    """With little scratch memory, single samples and steps are computed; state and delays carry
    over.
    """
    monkeypatch.setattr(simulator, "SCRATCH_BYTES", scratch)
    network, inputs = GRAPHS[name]()
    assert_equals_the_reference(Simulator(network, compiled=compiled), inputs)


@pytest.mark.skipif(not NUMBA, reason="numba is not installed")
def test_threads_change_nothing(monkeypatch):
    monkeypatch.setattr(simulator, "SCRATCH_BYTES", 4096)
    network, inputs = GRAPHS["skips_of_several_depths"]()
    inputs = random_inputs(network, samples=30)
    assert_equals_the_reference(Simulator(network, compiled=True, threads=4), inputs)


@each_way
def test_inputs_of_any_integer_type(compiled):
    network, inputs = GRAPHS["graded_input"]()
    for kind in (np.uint8, np.int8, np.uint16, np.int64, np.uint64):
        assert_equals_the_reference(
            Simulator(network, compiled=compiled), {k: x.astype(kind) for k, x in inputs.items()}
        )
    network = graph(source(3), Population("y", (3,), vth=50), Dense("x", "y", weights(3, 3)))
    inputs = random_inputs(network)
    assert_equals_the_reference(
        Simulator(network, compiled=compiled), {"x": inputs["x"].astype(bool)}
    )


@each_way
def test_sums_beyond_what_a_legal_graph_may_have(compiled):
    """`Graph.check` refuses such sums; unchecked, they are exact all the same."""
    network = Graph(
        (source(2, bits=16), Population("y", (2,), "readout", dv=4096)),
        (Dense("x", "y", np.array([[2**20 + 1, -(2**20)], [-(2**30) + 3, 2**30]])),),
        1,
    )
    activity = Simulator(network, compiled=compiled).run({"x": np.full((1, 1, 2), 30001)})
    assert activity.membrane["y"].ravel().tolist() == [30001 * 64, 3 * 30001 * 64]


@each_way
@given(
    seed=st.integers(0, 2**32 - 1),
    samples=st.integers(1, 5),
    density=st.sampled_from([0.02, 0.3, 1.0]),
)
def test_random_graphs_and_densities(compiled, seed, samples, density):
    network, _ = random_graph(seed)
    inputs = random_inputs(network, samples, density, seed)
    assert_equals_the_reference(Simulator(network, compiled=compiled), inputs)


@each_way
def test_a_step_count_other_than_the_graphs_own(compiled):
    network, inputs = GRAPHS["skips_of_several_depths"]()
    inputs = {name: np.concatenate([x, x], 1) for name, x in inputs.items()}
    assert_equals_the_reference(Simulator(network, compiled=compiled), inputs)


class Neighbours(Synapse):
    """A kind of synapse that the simulator has never heard of: each neuron to the next one, weight
    3.
    """

    def output_shape(self, source, target):
        return source

    def count(self, source, target):
        return int(np.prod(source))

    def apply(self, s, target):
        return 3 * np.roll(s.reshape(len(s), -1), 1, 1).reshape(len(s), *target)

    def coordinates(self, source, target):
        n = int(np.prod(source))
        return np.roll(np.arange(n), -1), np.arange(n), np.full(n, 3)


@each_way
def test_an_unknown_kind_of_synapse_runs_by_its_definition(compiled):
    network = graph(source(2, 3, 2), Population("y", (2, 3, 2), vth=4), Neighbours("x", "y", 3))
    inputs = random_inputs(network)
    assert_equals_the_reference(Simulator(network, compiled=compiled), inputs)


@each_way
def test_one_simulator_runs_many_times(compiled):
    network, inputs = GRAPHS["recurrent_over_two_layers"]()
    with Simulator(network, compiled=compiled) as opened:
        first, second = opened.run(inputs), opened.run(inputs)
    assert_equal_in_every_bit(network, first, second)


@each_way
def test_wrong_inputs_are_a_data_error(compiled):
    network, inputs = GRAPHS["graded_input"]()
    with pytest.raises(DataError, match="x: input value out of range"):
        Simulator(network, compiled=compiled).run({"x": inputs["x"] + 64})


def test_the_version_names_the_arithmetic():
    network, inputs = one_neuron(3, vth=5)
    assert f"numpy {np.__version__}" in Simulator(network, compiled=False).run(inputs).version
    if NUMBA:
        assert "numba" in Simulator(network).run(inputs).version


def test_a_thread_is_needed():
    with pytest.raises(UsageError, match="threads"):
        Simulator(one_neuron(3)[0], threads=0)


def test_without_numba_it_runs_and_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "scmrl.deploy.backends.simulator.kernels", raising=False)
    network, inputs = GRAPHS["graded_input"]()
    assert "numpy" in assert_equals_the_reference(Simulator(network), inputs).version
    with pytest.raises(
        MissingDependency, match=r"numba is not installed.*pip install 'numba>=0.59'"
    ):
        Simulator(network, compiled=True)


def test_with_a_numba_that_does_not_import_it_runs(monkeypatch, tmp_path):
    """numba refuses numpy versions that it does not know with an ImportError."""
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs another NumPy')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in list(sys.modules):
        if name.split(".")[0] == "numba" or name == "scmrl.deploy.backends.simulator.kernels":
            monkeypatch.delitem(sys.modules, name)
    assert "numpy" in Simulator(GRAPHS["graded_input"]()[0]).version


def printed_by(program: str) -> str:
    """What a fresh process prints that finds scmrl and these tests."""
    places = ROOT, TESTS
    path = os.pathsep.join(map(str, places))
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not NUMBA, reason="numba is not installed")
def test_runs_where_nothing_can_be_cached():
    """A read-only installation and no home: kernels are compiled in memory."""
    assert (
        printed_by("""
import numba, numba.core.caching as caching
for locator in caching.CacheImpl._locator_classes:
    locator.from_function = classmethod(lambda cls, *_: None)
try:
    numba.njit(cache=True)(lambda: 0)
    print("there is a cache")
except RuntimeError:
    pass
from scmrl.deploy.backends.simulator.simulator import Simulator
from conformance.graphs import one_neuron
network, inputs = one_neuron(4, vth=10)
print(Simulator(network, compiled=True).run(inputs).spikes["y"].ravel().tolist())
""")
        == "[0, 0, 1, 0, 0, 1]"
    )


def test_the_simulator_needs_numpy_alone():
    assert (
        printed_by("""
import sys
for name in ("numba", "scipy", "torch", "lava", "matplotlib", "rich"):
    sys.modules[name] = None
from scmrl.deploy.registry import open_backend
from conformance.graphs import GRAPHS
network, inputs = GRAPHS["conv_with_stride_and_padding"]()
print(open_backend("simulator", network).run(inputs).backend)
""")
        == "simulator"
    )


def test_little_work_is_done_before_numba_would_be_loaded():
    """A few samples of a small model, as most commands run them; many samples are no little work,
    nor are many steps one by one."""
    assert (
        printed_by("""
import sys, numpy as np, scmrl
from scmrl.deploy import running
from scmrl.deploy.backends.simulator.simulator import is_little
bundle = scmrl.load("zoo:demo")
ran = running.run(bundle, bundle.graph, "simulator", bundle.inputs)
many = {name: np.repeat(x, 100, 0) for name, x in bundle.inputs.items()}
long = {name: np.repeat(x, 100, 1) for name, x in bundle.inputs.items()}
print("numpy" in ran.version, "numba" in sys.modules)
print(is_little(bundle.graph, many), is_little(bundle.graph, long))
""")
        == "True False\nFalse False"
    )
