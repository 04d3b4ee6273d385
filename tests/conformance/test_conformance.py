"""Every backend of the registry runs every small hard graph as the reference does, in every bit, or
refuses it by the limit that `conformance.refusals` names.
"""

import functools
import importlib
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from conformance.demo import demo_graph, demo_inputs
from conformance.double import OnTheDouble
from conformance.equality import Inputs, assert_equal_in_every_bit, unequal
from conformance.graphs import GRAPHS, JOINED, random_graph, random_loops
from conformance.refusals import DIFFERS, REFUSALS
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from scmrl.core import reference
from scmrl.core.activity import Activity
from scmrl.core.graph import Graph
from scmrl.deploy.backends.c.c import Compiled
from scmrl.deploy.backends.loihi import lowering as loihi_lowering
from scmrl.deploy.backends.simulator.simulator import Simulator
from scmrl.deploy.registry import BACKENDS, backend_class, open_backend
from scmrl.system.errors import GraphError, MissingDependency

# How a backend is opened: by its name, and the simulator in each of its ways too. C is compiled
# quickly here, for speed in tests/deploy/backends/test_c.py.
WAYS: dict[str, Callable] = {name: functools.partial(open_backend, name) for name in BACKENDS} | {
    "c": functools.partial(Compiled, level="-O1"),
    "simulator, numpy": functools.partial(Simulator, compiled=False),
    "simulator, numba": functools.partial(Simulator, compiled=True, threads=1),
    "simulator, threads": functools.partial(Simulator, compiled=True, threads=2),
}


def backend_of(way: str) -> str:
    return way.split(",")[0]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Nothing that is compiled here stays."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def boards() -> Iterator[list]:
    """The one double that the tests share, from its first use on."""
    opened: list[OnTheDouble] = []
    yield opened
    for double in opened:
        double.__exit__()


def run(way: str, graph: Graph, inputs: Inputs, boards: list) -> Activity:
    """Skips where a library is missing, by its name; raises `GraphError` where it is refused."""
    if way == "loihi":
        pytest.importorskip("lava", reason="lava-nc is not installed")
        if not boards:
            boards.append(OnTheDouble().__enter__())
        return boards[0].run(graph, inputs)
    try:
        with WAYS[way](graph) as backend:
            return backend.run(inputs)
    except MissingDependency as missing:
        pytest.skip(str(missing))


@functools.cache
def case(name: str) -> tuple[Graph, Inputs, Activity]:
    graph, inputs = GRAPHS[name]()
    return graph, inputs, reference.run(graph, inputs)


# Backend after backend, those with torch last: Lava forks, which takes long in a large process.
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("way", WAYS)
def test_equals_the_reference_or_names_the_limit(name, way, boards):
    backend, (graph, inputs, expected) = backend_of(way), case(name)
    assert backend in REFUSALS, f"{backend}: a name in the registry without a row of refusals"
    limit = REFUSALS[backend].get(name)
    try:
        got = run(way, graph, inputs, boards)
    except GraphError as refusal:
        assert limit, f"not in the table: {refusal}"
        assert re.match(f".+?: {limit}", str(refusal)), refusal
        return
    assert limit is None, f"{backend} takes it; the table says: {limit}"
    assert got.backend == backend and got.version
    differ = DIFFERS.get(backend, {}).get(name, set())
    assert set(unequal(graph, expected, got)) == differ
    assert got.overflow is None or got.overflow == expected.overflow


def test_the_tables_speak_of_backends_and_graphs_that_are_there():
    assert set(REFUSALS) == set(BACKENDS)
    for table in (*REFUSALS.values(), *DIFFERS.values()):
        assert set(table) <= set(GRAPHS)


@pytest.mark.parametrize("name", BACKENDS)
def test_an_exact_backend_differs_nowhere(name):
    assert not backend_class(name).exact or name not in DIFFERS


# ---- graphs by chance ----------------------------------------------------------------------------

FAMILIES = {
    "graphs": random_graph,
    "recurrent": functools.partial(random_graph, recurrent=True),
    "joined": functools.partial(random_graph, joined=True),
    "joined, recurrent": functools.partial(random_graph, recurrent=True, joined=True),
    "subtract": functools.partial(random_graph, recurrent=True, subtract=True),
    "joined, subtract": functools.partial(random_graph, joined=True, subtract=True),
    "loops": random_loops,
}
EXAMPLES = {  # of each family
    "simulator, numpy": 16,
    "simulator, numba": 16,
    "c": 8,
    "verilog": 4,
    "onnx": 14,
    "onnx-step": 14,
    "lava-inprocess": 13,
    "loihi-sim": 14,
}
DRAWN = [
    (way, family)
    for way in EXAMPLES
    for family in FAMILIES
    if way.startswith("simulator")
    or way in ("c", "verilog")
    or not family.startswith("joined")
    and (way.startswith("onnx") or family != "subtract")
]


FEW = 200  # processes: the time of Lava's compiler grows with their square, a minute for 1,500


def processes_on_loihi(graph):
    """Where every neuron has parameters of its own, a synapse becomes a process for each pair."""
    try:
        loihi = loihi_lowering.lower(graph)
    except GraphError:
        return 0
    return len(loihi.cells) + len(loihi.network.weights)


@pytest.mark.parametrize(("way", "family"), DRAWN)
def test_random_graphs(way, family, boards):
    limits = set(REFUSALS[backend_of(way)].values())

    @settings(max_examples=EXAMPLES[way], suppress_health_check=[HealthCheck.filter_too_much])
    @given(seed=st.integers(0, 2**32 - 1))
    def check(seed):
        graph, inputs = FAMILIES[family](seed)
        assume(way != "loihi-sim" or processes_on_loihi(graph) <= FEW)
        assert any(p.adds for p in graph.populations) == family.startswith("joined")
        try:
            got = run(way, graph, inputs, boards)
        except GraphError as refusal:
            assert any(re.match(f".+?: {limit}", str(refusal)) for limit in limits), refusal
            return
        assert_equal_in_every_bit(graph, reference.run(graph, inputs), got)

    check()


# ---- a model as trained --------------------------------------------------------------------------


@functools.cache
def trained() -> tuple[Graph, Inputs, Activity]:
    """Two modalities, four stages, attention, readout: smaller images, the full depth; more samples
    than are computed together.
    """
    graph = demo_graph(size=16, channels=(4, 4, 8, 8)).check()
    inputs = demo_inputs(graph, 64)
    return graph, inputs, reference.run(graph, inputs)


@pytest.mark.parametrize("way", EXAMPLES)
def test_a_model_as_trained(way, boards):
    graph, inputs, expected = trained()
    samples = 3 if backend_of(way) in ("lava-inprocess", "loihi-sim", "verilog") else 64
    assert sum(s[:3].sum() for s in expected.spikes.values()) > 1000
    got = run(way, graph, {name: x[:samples] for name, x in inputs.items()}, boards)
    few = Activity(
        {name: s[:samples] for name, s in expected.spikes.items()},
        {name: v[:samples] for name, v in expected.membrane.items()},
        "reference",
        "",
        expected.overflow if samples == 64 else got.overflow,
    )
    assert_equal_in_every_bit(graph, few, got)


# ---- the graphs themselves -----------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
def test_every_population_is_awake(name):
    """A population that never fires proves nothing: all of them do, but those that must not."""
    _, _, expected = case(name)
    silent = {p for p, s in expected.spikes.items() if not s.any()}
    assert silent == {"threshold_equality": {"at"}, "zero_weights": {"y"}}.get(name, set())


@pytest.mark.parametrize("name", ["attention", "delays_and_loops", "borders_of_a_wide_input"])
def test_populations_of_a_network_fire_at_times(name):
    _, _, expected = case(name)
    assert all(0 < s.mean() < 1 for p, s in expected.spikes.items() if p != "clock")


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("borders_of_a_wide_input", {"a": 1, "out": 1}),
        ("sums_beyond_24_bits", {"y": 100}),
        ("current_beyond_32_bits", {"y": 12}),
    ],
)
def test_borders_that_a_graph_is_made_for_are_crossed(name, least):
    _, _, expected = case(name)
    assert all(expected.overflow[p] >= count for p, count in least.items())


def test_the_largest_legal_sum_is_the_largest():
    graph, _, _ = case("largest_legal_sum")
    assert graph.worst_activation("y") == 2**24 - 1


def test_a_current_beyond_32_bits_saturates_the_membrane():
    _, _, expected = case("current_beyond_32_bits")
    assert np.all(expected.membrane["y"] == 2**23 - 1)


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
