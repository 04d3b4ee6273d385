"""What a chip runs of a graph: depths, waits in delays and relays, and which samples may stream."""

import numpy as np
import pytest
from conformance.graphs import GRAPHS, random_graph

from scmrl.convert.frame.pipeline import NoPipeline, TooManyRelays, hardware_depths, pipeline
from scmrl.core.graph import Dense, Graph, OneToOne, Population

ONE = np.ones((2, 2), int)


def chain(length: int, *skips: Dense) -> Graph:
    """x -> p1 -> p2 ..., two neurons each, and more synapses."""
    names = ["x", *(f"p{i}" for i in range(1, length + 1))]
    populations = [Population("x", (2,), "input")] + [Population(n, (2,)) for n in names[1:]]
    synapses = [Dense(a, b, ONE) for a, b in zip(names, names[1:])]
    return Graph(tuple(populations), (*synapses, *skips), steps=4)


def waits(graph: Graph, delays: int) -> tuple[int, list[int]]:
    """Relays, and the delays of the graph's own synapses."""
    line = pipeline(graph, delays)
    return len(line.relays), [s.delay for s in line.graph.synapses[: len(graph.synapses)]]


@pytest.mark.parametrize(
    ("delays", "relays", "left"),
    [(62, 0, 5), (5, 0, 5), (4, 1, 0), (3, 1, 1), (2, 1, 2), (1, 2, 1), (0, 5, 0)],
)
def test_a_skip_waits_in_its_delay_and_beyond_the_chips_in_relays(delays, relays, left):
    """p1 -> p7 has five steps more than its own one to take; a relay takes `delays` + 1."""
    graph = chain(7, Dense("p1", "p7", ONE))
    assert waits(graph, delays) == (relays, [0] * 7 + [left])
    line = pipeline(graph, delays)
    assert [line.depth[name] for name in line.relays] == [
        1 + i * (delays + 1) for i in range(1, relays + 1)
    ]
    assert line.latency == 7 and line.streams


def test_every_way_takes_the_steps_that_its_ends_lie_apart():
    """In graphs by chance: wait + 1 = depth of the target - depth of the source (+ k at home)."""
    for seed in range(40):
        graph, _ = random_graph(seed)
        for delays in (0, 1, 3, 62):
            line = pipeline(graph, delays)
            own = graph.synapses
            for i, s in enumerate(line.graph.synapses):
                if line.graph[s.source].kind == "input":
                    assert s.delay == 0
                    continue
                k = own[i].delay if i < len(own) else 0
                assert line.depth[s.source] + s.delay + 1 == line.depth[s.target] + k, s.name
                assert 0 <= s.delay <= delays


def test_a_logical_delay_is_waited_for_too_and_carries_into_the_next_sample():
    graph = chain(3, Dense("p1", "p3", ONE, delay=70))
    assert waits(graph, 62) == (1, [0, 0, 0, 8])  # 2 + 70 hops: 63 in the relay, 9 in the synapse
    line = pipeline(graph, 62)
    assert not line.streams and line.latency == 3  # no relay is an answer
    given = chain(3, Dense("x", "p3", ONE, delay=70))  # whoever gives the inputs waits
    assert waits(given, 62) == (0, [0] * 4) and pipeline(given, 62).streams


def test_names_of_relays_are_free():
    graph = chain(3, Dense("p1", "p3", ONE))
    named = Graph((*graph.populations, Population("p1@1", (2,))), graph.synapses)
    assert list(pipeline(named).relays.items()) == [("p1@1'", "p1")]


def test_joined_populations_are_at_one_depth():
    graph = Graph(
        (
            Population("x", (2,), "input"),
            Population("late", (2,)),
            Population("slow", (2,)),
            Population("y", (2,), adds="slow"),
        ),
        (OneToOne("x", "late", 1), OneToOne("late", "y", 1), OneToOne("x", "slow", 1)),
    )
    assert hardware_depths(graph) == {"x": 0, "late": 1, "slow": 2, "y": 2}
    assert pipeline(graph, 62).graph["y"].adds == "slow"


def test_a_deep_graph_listed_backwards_is_walked_without_recursion():
    graph = chain(3000)
    backwards = Graph(graph.populations[::-1], graph.synapses[::-1])
    assert hardware_depths(backwards)["p3000"] == 3000


def test_what_no_chip_runs_is_named():
    fast = chain(2, Dense("p2", "p1", ONE, delay=1))
    with pytest.raises(NoPipeline, match="p1 -> p2 -> p1|p2 -> p1 -> p2"):
        pipeline(fast, 62)
    with pytest.raises(TooManyRelays, match="p1: .*too many relays .limit 20000, got 60001"):
        pipeline(chain(2, Dense("p1", "p2", ONE, delay=60_001)))


def test_processes_are_sets_of_parameters():
    graph, _ = GRAPHS["parameters_by_channel"]()
    assert pipeline(graph, 62).processes == 7
