"""Robustness: perturbations do exactly what they say, and nothing where their level is zero."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conformance.graphs import GRAPHS, JOINED

from scmrl import reference
from scmrl.errors import GraphError, UsageError
from scmrl.graph import Dense, Graph, OneToOne, Population
from scmrl.robustness import perturbation, study
from scmrl.robustness.report import RobustnessReport, picture

RANDOM = np.random.default_rng(5)


def small(steps: int = 5) -> tuple[Graph, dict[str, np.ndarray]]:
    populations = (Population("x", (6,), "input"), Population("a", (8,), vth=20, dv=1000), Population("b", (8,), vth=1),
                   Population("out", (3,), "readout"))
    synapses = (Dense("x", "a", RANDOM.integers(-30, 60, (8, 6))), OneToOne("a", "b", 2),
                Dense("b", "out", RANDOM.integers(-50, 50, (3, 8))))
    graph = Graph(populations, synapses, steps, ("0", "1", "2")).check()
    return graph, {"x": (RANDOM.random((4, steps, 6)) < 0.5).astype(np.uint8)}


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_undisturbed_run_is_the_graph_itself(name):
    graph, inputs = GRAPHS[name]()
    never = perturbation.lose_spikes(0.0)
    if name in JOINED:
        with pytest.raises(GraphError, match="joined"):
            perturbation.run_disturbed(graph, inputs, never, RANDOM)
        return
    if any(s.delay for s in graph.synapses):
        with pytest.raises(GraphError, match="feed-forward"):
            perturbation.run_disturbed(graph, inputs, never, RANDOM)
        return
    expected, got = reference.run(graph, inputs), perturbation.run_disturbed(graph, inputs, never, RANDOM)
    for p in graph.populations:
        if p.kind != "input":
            assert np.array_equal(got.values(p.name), expected.values(p.name)), p.name


def test_every_spike_lost_is_a_network_whose_layers_hear_nothing():
    graph, inputs = small()
    got = perturbation.run_disturbed(graph, inputs, perturbation.lose_spikes(1.0), RANDOM)
    assert got.spikes["a"].any() and not got.spikes["b"].any() and not got.membrane["out"].any()


def test_every_spike_late_is_a_delay_of_one_step():
    graph, inputs = small()
    got = perturbation.run_disturbed(graph, inputs, perturbation.delay_spikes(1.0), RANDOM)
    late = tuple(dataclasses.replace(s, delay=1) if s.source != "x" else s for s in graph.synapses)
    expected = reference.run(dataclasses.replace(graph, synapses=late), inputs)
    for name in ("a", "b", "out"):
        assert np.array_equal(got.values(name), expected.values(name))


def test_dead_neurons_are_silent_and_the_others_hear_no_more_than_that():
    graph, inputs = small()
    killed = perturbation.kill_neurons(graph, 0.5, np.random.default_rng(1)).check()
    dead = killed["a"].bias_mant < 0
    got = reference.run(killed, inputs)
    assert 0 < dead.sum() < 8 and not got.spikes["a"][..., dead].any()
    alive = reference.run(graph, inputs).spikes["a"][..., ~dead]
    assert alive.any() and np.array_equal(got.spikes["a"][..., ~dead], alive)


def test_bits_flip_as_often_as_asked_and_weights_stay_bytes():
    weight = RANDOM.integers(-127, 128, (100, 100))
    graph = Graph((Population("x", (100,), "input"), Population("a", (100,), vth=5)), (Dense("x", "a", weight),), 1)
    flipped = perturbation.flip_bits(graph, 0.01, np.random.default_rng(2)).synapses[0].weight
    differing = (weight.astype(np.int8).view(np.uint8) ^ flipped.astype(np.int8).view(np.uint8))
    flips = int(np.unpackbits(differing[..., None], axis=-1).sum())
    assert abs(flips - 800) < 5 * 800**0.5 and flipped.min() >= -128 and flipped.max() <= 127
    same = perturbation.flip_bits(graph, 0.0, RANDOM).synapses[0].weight
    assert np.array_equal(same, weight)
    with pytest.raises(GraphError, match="wider than a byte"):
        perturbation.flip_bits(Graph(graph.populations, (Dense("x", "a", 300 + weight * 0),), 1), 0.1, RANDOM)


@pytest.mark.parametrize("make", [perturbation.lose_spikes, perturbation.delay_spikes])
def test_probability_beyond_one_is_refused(make):
    with pytest.raises(UsageError, match="between 0 and 1"):
        make(1.5)


def test_study_is_repeatable_and_its_first_point_is_the_clean_model(tmp_path):
    graph, inputs = small()
    inputs = {"x": np.tile(inputs["x"], (10, 1, 1))}
    labels = reference.run(graph, inputs).membrane["out"][:, -1].argmax(1)
    lines: list[str] = []
    runs = [study.study(graph, inputs, labels, noisy={}, repeats=2, tell=lines.append) for _ in range(2)]
    assert runs[0] == runs[1] and runs[0][0] == study.Point("clean", 0.0, 1.0, 0.0, 1)
    worst = {kind: min(p.accuracy for p in runs[0] if p.kind == kind) for kind in study.FAULTS}
    assert min(worst.values()) < 1
    assert "left]" in lines[-1] and f"[{len(lines) // 2} of {len(lines) // 2}" in lines[-1]
    report = RobustnessReport("m", "toy", 40, 2, 3, tuple(runs[0]))
    picture(report, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
