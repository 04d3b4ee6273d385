"""What is priced and placed is what runs: one network, that of the Loihi backends."""

import numpy as np
import pytest
from conformance.demo import demo_graph, demo_inputs
from conformance.graphs import GRAPHS

from scmrl.convert.lava.lowering import lower as lower_for_lava
from scmrl.core.bundle import Bundle
from scmrl.core.graph import Conv2d, Dense, Graph, OneToOne, Population
from scmrl.deploy import jobs
from scmrl.deploy.backends.loihi.lowering import lower
from scmrl.deploy.placement.fit import fit
from scmrl.deploy.reports.estimates import network_words
from scmrl.hw_profiles.profile import load
from scmrl.hw_profiles.reading import locate
from scmrl.system.errors import GraphError, UsageError

LOIHI1, LOIHI2 = load("loihi1"), load("loihi2")
NETWORKS = (
    "skips_of_several_depths",
    "delays_and_loops",
    "parameters_by_channel",
    "three_modalities",
)


def bundle(graph: Graph, inputs: dict) -> Bundle:
    narrow = {name: x.astype(np.uint16) for name, x in inputs.items()}
    return Bundle(graph, narrow, np.zeros(len(next(iter(inputs.values()))), np.int64))


def small_demo() -> tuple[Graph, dict]:
    graph = demo_graph(size=16, channels=(4, 4, 8, 8)).check()
    return graph, demo_inputs(graph, 2)


@pytest.mark.parametrize("name", [*NETWORKS, "demo"])
def test_the_network_priced_is_the_network_lowered(name):
    """Neurons, processes, waits, depth: of the JSON, and of what the Loihi backends build."""
    graph, inputs = small_demo() if name == "demo" else GRAPHS[name]()
    model = bundle(graph, inputs)
    energy = jobs.energy(model, ["loihi2"]).to_json()["profiles"]["loihi2"]
    place = jobs.place(model, "loihi2").to_json()
    loihi = lower(graph)
    assert energy["network"] == place["network"]
    said = energy["network"]
    assert said["neurons"] == sum(c.count for c in loihi.cells) == loihi.network.count
    assert said["processes"] == len(loihi.cells)
    assert said["relays"] == loihi.network.relays
    assert said["longest_wait"] == max(w.delay for w in loihi.network.weights)
    assert said["depth"] == energy["depth"] == loihi.network.depth
    assert said["streams"] == loihi.network.pipelined
    assert said["cores"] == energy["cores"] == place["cores"] == len(place["map"])
    placed = {piece["population"] for core in place["map"] for piece in core["pieces"]}
    assert placed == {c.name.split("@")[0] for c in loihi.cells} - {"readout"} | {
        p.name for p in graph.of_kind("readout")
    }


def test_skips_wait_as_long_as_they_skip():
    """Without loops a depth is the longest way; counted here from the graph alone."""
    graph, _ = small_demo()
    depth, inputs = graph.depths(), {p.name for p in graph.of_kind("input")}
    skips = [
        depth[s.target] - depth[s.source] - 1 for s in graph.synapses if s.source not in inputs
    ]
    said = fit(graph, LOIHI2).layout()
    assert (said.waiting, said.longest_wait) == (sum(n > 0 for n in skips), max(skips))
    assert said.waiting > 10 and said.relays == 0 and said.depth == max(depth.values())


def test_the_chips_layout_has_no_relays_where_the_merged_one_has():
    graph, _ = small_demo()
    chip, merged = lower(graph).network, lower_for_lava(graph)
    assert chip.relays == 0 < merged.relays and {w.delay for w in merged.weights} == {0}
    assert chip.count == sum(p.neurons for p in graph.populations if p.kind != "input")
    assert merged.count == chip.count + merged.relays


def skipping(delay: int = 0, neurons: int = 3000) -> Graph:
    """in -> a -> b -> out, with a skip a -> out of that delay; the readout has the most neurons."""
    return Graph(
        (
            Population("in", (neurons,), "input"),
            Population("a", (neurons,), vth=0),
            Population("b", (neurons,), vth=0),
            Population("out", (neurons,), "readout"),
        ),
        (
            OneToOne("in", "a", 1),
            OneToOne("a", "b", 1),
            OneToOne("b", "out", 1),
            OneToOne("a", "out", 1, delay=delay),
        ),
        steps=4,
    )


@pytest.mark.parametrize(
    ("delay", "bits"), [(0, 2), (1, 2), (2, 3), (5, 3), (6, 4), (13, 4), (14, 5), (61, 6)]
)
def test_accumulators_of_a_delay_take_cores(delay, bits):
    """Loihi 1 has 2^13 a core; a wait of w = 1 + delay steps takes 2^bits > w + 1 a neuron."""
    found = fit(skipping(delay), LOIHI1)
    out = found.placement.of("out")
    assert len(out) == -(-3000 // min(1024, (1 << 13) >> bits))
    assert {core.accumulators for core in out} == {core.neurons << bits for core in out}
    assert [core.accumulators for core in found.placement.of("a")][0] == 2 * 1000


def test_cores_are_shared_only_where_the_longest_delay_leaves_room():
    """40 x 2 accumulators and 120 x 64 are fewer than 8192; together they take 160 x 64."""
    graph = skipping(61, 120)
    assert len(fit(graph, LOIHI1, packed=True).placement.cores) == 2
    assert len(fit(skipping(5, 120), LOIHI1, packed=True).placement.cores) == 1


def test_bits_of_a_delay_take_memory():
    wide = Graph(
        (Population("in", (9,), "input"), *(Population(n, (600,)) for n in "abc")),
        (
            Dense("in", "a", np.ones((600, 9), int)),
            OneToOne("a", "b", 1),
            OneToOne("b", "c", 1),
            Dense("a", "c", np.eye(600, dtype=int)),
        ),
    )
    core = fit(wide, LOIHI2).placement.of("c")[0]
    a_to_c = core.neurons * -(-(core.neurons * (16 + 1) + 10) // 64)  # a delay of one step: one bit
    assert core.synapse_words == a_to_c + core.neurons  # and a word for each neuron of b


def test_a_chip_without_delays_pays_for_relays(tmp_path):
    graph, stated = skipping(neurons=100), locate("truenorth").read_text()
    silent = tmp_path / "silent.toml"
    silent.write_text("".join(x for x in stated.splitlines(True) if "delay_steps" not in x))
    inputs = {"in": np.ones((2, 4, 100), np.uint8)}
    chips = [str(silent), "truenorth", "loihi2"]
    rows = jobs.energy(bundle(graph, inputs), chips).to_json()["profiles"]
    for chip, relays in (("silent", 100), ("truenorth", 0), ("loihi2", 0)):
        said = rows[chip]["network"]
        assert (said["neurons"], said["relays"]) == (300 + relays, relays)
        assert sum(layer["updates"] for layer in rows[chip]["layers"]) == 7 * said["neurons"]
    (relay,) = (layer for layer in rows["silent"]["layers"] if "@" in layer["name"])
    (a,) = (layer for layer in rows["silent"]["layers"] if layer["name"] == "a")
    assert relay["spikes"] == relay["synops"] == relay["active"] == a["spikes"] == 400
    shown = jobs.energy(bundle(graph, inputs), [str(silent)])
    assert "no delay of its synapses is known, so relays wait" in network_words(
        shown.profiles[0].network
    )


def test_samples_run_alone_where_delays_carry_spikes_over():
    inputs = {"in": np.ones((2, 4, 30), np.uint8)}
    for delay, streams in ((0, True), (1, False)):
        model = bundle(skipping(delay, 30), inputs)
        row = jobs.energy(model, ["loihi2"]).profiles[0]
        assert row.network.streams == streams and row.depth == 3
        assert row.interval_us == row.latency_us == pytest.approx(row.us_per_step * (4 + 3))
        if streams:
            row = jobs.energy(model, ["loihi2"], mode="streamed").profiles[0]
            assert row.interval_us == pytest.approx(row.us_per_step * 4)
            assert row.latency_us == pytest.approx(row.us_per_step * (4 + 3))
            continue
        for job in (jobs.energy, jobs.place):
            with pytest.raises(GraphError, match="^a->out: .* carried into the next one"):
                job(model, mode="streamed")
    with pytest.raises(UsageError, match="no such mode"):
        jobs.energy(model, ["loihi2"], mode="pipelined")


def test_convolutions_are_stored_as_the_way_to_the_chip_stores_them():
    """Lava's way to Loihi 2 expands them; both numbers of cores are said."""
    graph = Graph(
        (Population("in", (8, 32, 32), "input"), Population("a", (32, 32, 32))),
        (Conv2d("in", "a", np.ones((32, 8, 3, 3), np.int8), (1, 1), (1, 1)),),
    )
    there, other = fit(graph, LOIHI2).layout(), fit(graph, LOIHI1).layout()
    assert there.convolutions == "expanded" and other.convolutions == "shared"
    assert there.cores > there.cores_if_shared and other.cores_if_shared is None
    assert f"({there.cores_if_shared} cores if shared)" in network_words(there)
    kernels = graph.synapses[0].fan_out((8, 32, 32), (32, 32, 32)).sum()
    stored = sum(core.synapse_words for core in fit(graph, LOIHI2).placement.cores)
    assert stored * 64 >= kernels * 16
    assert fit(skipping(), LOIHI2).layout().convolutions == "none"
