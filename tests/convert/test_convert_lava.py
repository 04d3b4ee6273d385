"""What an export to Lava holds, what is refused, and that lowering keeps every number."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmrl.convert.frame.pipeline import hardware_depths
from scmrl.convert.lava.export import export
from scmrl.convert.lava.lowering import _check_32_bits, lower
from scmrl.convert.lava.network import LavaNetwork, read
from scmrl.core.bundle import Bundle, load
from scmrl.core.fixed_point import STATE_LIMIT
from scmrl.core.graph import Dense, Graph, OneToOne, Population
from scmrl.system.errors import BundleError, GraphError


def skip_graph(steps: int = 4) -> Graph:
    """x -> a -> b -> out, with skips x -> b and a -> out."""
    ones = np.ones((3, 3), int)
    return Graph(
        (
            Population("x", (3,), kind="input", bits=8),
            Population("a", (3,), vth=2, bias_mant=5),
            Population("b", (3,), vth=1, memoryless=True),
            Population("out", (2,), kind="readout"),
        ),
        (
            Dense("x", "a", ones),
            Dense("a", "b", ones),
            Dense("x", "b", -ones),
            Dense("a", "out", ones[:2]),
            Dense("b", "out", ones[:2], exponent=1),
        ),
        steps=steps,
    )


def bundle(graph: Graph) -> Bundle:
    inputs = {
        p.name: np.zeros((2, graph.steps, *p.shape), np.uint8) for p in graph.of_kind("input")
    }
    return Bundle(graph, inputs, np.zeros(2, np.int64))


def dense(network: LavaNetwork, source: str, target: str) -> np.ndarray:
    """Sum of all weights between two processes, int64 [targets, sources]."""
    counts = {"source": network.source_count} | {n.name: n.count for n in network.neurons}
    out = np.zeros((counts[target], counts[source]), np.int64)
    for w in network.weights:
        if (w.source, w.target) == (source, target):
            rows = np.repeat(np.arange(counts[target]), np.diff(w.indptr))
            np.add.at(out, (rows, w.indices), w.mantissa.astype(np.int64) << w.exponent)
    return out


def test_export_is_a_bundle_with_the_lowered_network(tmp_path):
    summary = export(bundle(skip_graph()), tmp_path / "out")
    network = read(tmp_path / "out" / "lava", tmp_path / "out")
    assert load(tmp_path / "out").graph.order() is not None
    assert network.holds(load(tmp_path / "out").graph)
    assert summary["processes"] == network.processes
    assert summary["latency_steps"] == 3
    assert summary["relays"] == 3  # a waits one step for the readout; x waits at the source
    assert {p["name"]: (p["label"], p["depth"], p["nonzeros"]) for p in summary["populations"]} == {
        "a": ("exact", 1, 9),
        "b": ("exact", 2, 18),
        "out": ("exact", 3, 12),
    }
    json.dumps(summary)


def test_readme_names_both_install_commands_and_the_run(tmp_path):
    export(bundle(skip_graph()), tmp_path / "out")
    text = (tmp_path / "out" / "README.txt").read_text()
    assert "pip install --no-deps --ignore-requires-python lava-nc==0.10.0" in text
    assert "scmrl doctor --install deploy" in text
    assert "scmrl deploy . --backend lava" in text


def test_network_survives_the_disk_unchanged(tmp_path):
    graph = skip_graph()
    export(bundle(graph), tmp_path / "out")
    before, after = lower(graph), read(tmp_path / "out" / "lava", tmp_path / "out")
    bare = [dataclasses.replace(network, neurons=(), weights=()) for network in (before, after)]
    assert bare[0] == bare[1]
    pairs = zip((*before.neurons, *before.weights), (*after.neurons, *after.weights), strict=True)
    for mine, theirs in pairs:
        for f in dataclasses.fields(mine):
            np.testing.assert_array_equal(getattr(mine, f.name), getattr(theirs, f.name))


@pytest.mark.parametrize("name", ["graph.json", "tensors.npz", "lava/network.npz"])
def test_export_with_another_models_file_is_refused(tmp_path, name):
    export(bundle(skip_graph()), tmp_path / "out")
    with open(tmp_path / "out" / name, "ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=name.split("/")[-1]):
        read(tmp_path / "out" / "lava", tmp_path / "out")


@pytest.mark.parametrize(
    "change",
    [
        {"readout": "nobody"},
        {"steps": "four"},
        {"neurons": 3},
        {"places": [{"population": "a"}]},
        {"surprise": 1},
    ],
)
def test_damaged_network_table_is_refused_in_one_line(tmp_path, change):
    export(bundle(skip_graph()), tmp_path / "out")
    path = tmp_path / "out" / "lava" / "network.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError) as refusal:
        read(path.parent, tmp_path / "out")
    assert "\n" not in str(refusal.value)


def test_failed_export_leaves_nothing(tmp_path):
    graph = dataclasses.replace(
        skip_graph(),
        populations=(
            *skip_graph().populations[:1],
            Population("a", (3,), bias_mant=40000),
            *skip_graph().populations[2:],
        ),
    )
    with pytest.raises(GraphError, match="a: bias mantissa"):
        export(bundle(graph), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_float_threshold_is_refused_before_lava_can_hang_on_it():
    populations = (Population("x", (1,), kind="input"), Population("a", (1,), vth=4.0))
    with pytest.raises(GraphError, match="a: vth must be an integer"):
        lower(Graph(populations, (OneToOne("x", "a", 1),)))
    network = lower(skip_graph())
    floats = dataclasses.replace(network.neurons[0], vth=network.neurons[0].vth.astype(float))
    with pytest.raises(GraphError, match="vth must be an integer"):
        dataclasses.replace(network, neurons=(floats, *network.neurons[1:])).check()


def test_the_border_of_lavas_32_bits_is_exact():
    """|a| << 6, the membrane's limit and the bias are all that a memoryless population adds up in a
    step.
    """
    room = (1 << 31) - STATE_LIMIT
    activation = room // 64 - 1
    bias = room - 64 * activation  # together 2^31: one too many

    def population(bias_mant: int, **memory) -> Population:
        return Population("a", (1,), bias_mant=np.array([bias_mant]), bias_exp=0, **memory)

    _check_32_bits(population(bias - 1, memoryless=True), activation, 9)
    with pytest.raises(GraphError, match=f"limit {(1 << 31) - 1}, got {1 << 31}"):
        _check_32_bits(population(bias, memoryless=True), activation, 9)
    # The one wrap of a step takes 2^24 off: as much may come in every step, for ever.
    _check_32_bits(population(0, du=0), 2 * STATE_LIMIT // 64, 10**9)
    with pytest.raises(GraphError):
        _check_32_bits(population(0, du=0), 2 * STATE_LIMIT // 64 + 1, 10**9)


def test_current_that_would_wrap_in_lavas_32_bits_is_refused():
    """The definition adds in exact integers; with current memory, large sums pile up beyond
    Lava's.
    """

    def graph(du: int) -> Graph:
        return Graph(
            (Population("x", (1,), kind="input", bits=16), Population("a", (1,), du=du)),
            (OneToOne("x", "a", 100),),
            steps=9,
        )

    with pytest.raises(GraphError, match="a: current and bias can leave Lava's 32 bits"):
        lower(graph(5))
    assert lower(graph(4095)).steps == 9


def test_loop_that_is_too_fast_for_lava_is_named():
    one = np.ones((1, 1), int)
    graph = Graph(
        (Population("x", (1,), kind="input"), Population("a", (1,)), Population("b", (1,))),
        (Dense("x", "a", one), Dense("a", "b", one), Dense("b", "a", one, delay=1)),
    )
    with pytest.raises(GraphError, match="a -> b -> a|b -> a -> b"):
        lower(graph)
    slower = dataclasses.replace(
        graph, synapses=(*graph.synapses[:2], Dense("b", "a", one, delay=2))
    )
    assert hardware_depths(slower) == {"x": 0, "a": 1, "b": 2}


def test_processes_follow_steps_and_depth_not_populations():
    def chains(count: int) -> Graph:
        populations, synapses = [Population("x", (2,), kind="input")], []
        for chain in range(count):
            source = "x"
            for depth in range(12):
                populations.append(Population(f"{chain}.{depth}", (2,), vth=depth))
                synapses.append(OneToOne(source, f"{chain}.{depth}", 3))
                source = f"{chain}.{depth}"
        return Graph(tuple(populations), tuple(synapses), steps=4)

    assert lower(chains(5)).processes == lower(chains(1)).processes <= 4 * 4 + 2


def test_parts_that_nothing_joins_still_belong_to_one_network():
    """Lava compiles what is connected to the source; a population driven by its bias alone is
    not.
    """
    graph = Graph((Population("x", (2,), kind="input"), Population("a", (2,), bias_mant=64)), ())
    network = lower(graph)
    assert [(w.source, w.target, len(w.mantissa)) for w in network.weights] == [
        ("source", "phase0", 0)
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-70000, 70000), st.integers(0, 5)), min_size=1, max_size=4))
def test_lowered_weights_add_up_to_the_synapses(weights):
    """Any width, several synapses between the same two neurons, any exponents: 8-bit parts, same
    sum.
    """
    graph = Graph(
        (Population("x", (1,), kind="input"), Population("a", (1,))),
        tuple(OneToOne("x", "a", w, exponent=e) for w, e in weights),
    )
    network = lower(graph)
    assert dense(network, "source", network.places[0].process).sum() == sum(
        w << e for w, e in weights
    )
    assert all(
        -128 <= w.mantissa.min(initial=0) <= w.mantissa.max(initial=0) <= 127
        for w in network.weights
    )


@pytest.mark.parametrize(
    "weight, exponent, held", [(15, 3, 0), (16, 3, 3), (-16, 3, 0), (-17, 3, 3), (127, 5, 5)]
)
def test_a_weight_keeps_its_exponent_unless_it_fits_eight_bits_without(weight, exponent, held):
    """One matrix for one synapse: those of exponent 0 share theirs."""
    synapse = OneToOne("x", "a", weight, exponent=exponent)
    graph = Graph((Population("x", (1,), "input"), Population("a", (1,))), (synapse,))
    (matrix,) = lower(graph.check()).weights
    assert matrix.exponent == held and matrix.mantissa.tolist() == [weight << exponent - held]
