"""The demo's energy, time, static power and cores in both modes, computed a second time from its
files alone (`second`): equal to the last digit printed, and no longer so when anything breaks.
"""

import ast
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import second
from conformance.demo import demo_graph, demo_inputs

from scmrl.core import reference
from scmrl.core.bundle import Bundle
from scmrl.core.report.text import figure
from scmrl.deploy import jobs
from scmrl.deploy.energy import energy, latency, trace
from scmrl.deploy.placement import fit, layout, synapse_memory
from scmrl.hw_profiles import profile as profiles

PROFILES = Path(profiles.__file__).parent
FIGURES = (
    *("cores", "core_dynamic_uj", "core_static_uj", "chip_fixed_uj", "host_uj"),
    *("latency_us", "interval_us"),
)
SAMPLES = 3


def lively():
    """The demo with biases that fire without any input, and three steps: windows of four on
    Loihi 2.
    """
    graph = demo_graph(size=16)
    populations = [
        dataclasses.replace(p, bias_mant=8 * p.bias_mant, bias_exp=6) if p.kind == "lif" else p
        for p in graph.populations
    ]
    return dataclasses.replace(graph, populations=tuple(populations), steps=3)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folders = {}
    for name, graph in (("demo", demo_graph(size=16)), ("lively", lively())):
        inputs, labels = demo_inputs(graph.check(), SAMPLES), np.zeros(SAMPLES, np.int64)
        folders[name] = tmp_path_factory.mktemp(name) / "bundle"
        Bundle(graph, inputs, labels, reference.run(graph, inputs)).save(folders[name])
    return folders


@pytest.fixture(scope="module")
def again(bundles):
    """What the second program says, each once."""
    known = {}

    def estimate(name, chip, mode):
        key = name, chip, mode
        if key not in known:
            known[key] = second.estimate(bundles[name], PROFILES / f"{chip}.toml", mode)
        return known[key]

    return estimate


def printed(folder, chip, mode):
    return jobs.energy(folder, [chip], mode=mode).profiles[0]


def differing(one, two):
    """Figures that are not printed alike, or not the same to nine digits."""
    names = [name for name in (*FIGURES, "total_uj") if getattr(two, name) is not None]
    return [
        name
        for name in names
        if figure(one[name]) != figure(getattr(two, name))
        or one[name] != pytest.approx(getattr(two, name), rel=1e-9)
    ]


@pytest.mark.parametrize("mode", ["alone", "streamed"])
@pytest.mark.parametrize("chip", ["loihi1", "loihi1-sanafe", "loihi2"])
@pytest.mark.parametrize("name", ["demo", "lively"])
def test_the_demos_estimates_are_those_of_a_second_program(bundles, again, name, chip, mode):
    one, two = again(name, chip, mode), printed(bundles[name], chip, mode)
    assert differing(one, two) == [] and two.mode == mode
    assert all(getattr(two, name) is not None for name in FIGURES if name != "chip_fixed_uj")
    assert two.core_static_uj / two.interval_us == pytest.approx(1e-3 * one["static_mw"])
    assert (two.total_uj is not None) == (chip == "loihi2")  # Loihi 1 takes no graded input


@pytest.mark.parametrize("name", ["demo", "lively"])
def test_the_second_program_steps_the_same_network(bundles, name):
    """Its spikes of a sample's own steps are those that the bundle holds; biases alone fire in the
    lively one.
    """
    graph = second.Graph(bundles[name])
    fired = [step[0] for step in second.run(graph, "alone", graph.steps)[1]]
    first = sum(int(fired[0][n].sum()) for n in fired[0] if graph.depth[n] > 1)
    assert (first > 0) == (name == "lively")
    for name, packed in graph.trained.items():
        n, late = graph.populations[name]["n"], graph.depth[name]
        held = np.unpackbits(packed)[: SAMPLES * graph.steps * n].reshape(SAMPLES, -1, n)
        own = [fired[late + t][name] for t in range(graph.steps)]
        assert np.array_equal(held[1], own)


def test_the_second_program_imports_nothing_of_scmrl():
    tree = ast.parse(Path(second.__file__).read_text())
    imported = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    imported += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert set(imported) == {
        *("itertools", "json", "math", "sys", "pathlib", "numpy", "tomllib", "tomli")
    }


def without_fill(self, name, at):
    """Fill and drain send nothing."""
    rows = np.where(at >= self.samples * self.span, self.silent, at)
    return SENT(self, name, rows)


def updates_of_the_sample(self, name, at):
    return ACTIVE(self, name, at[:, : self.steps])


def of_the_mean_step(profile, placement, loads, *more):
    mean = {
        name: np.repeat(getattr(loads, name).mean(1, keepdims=True), loads.received.shape[1], 1)
        for name in ("received", "active", "spikes", "sent")
    }
    synops = {
        f: np.repeat(x.mean(1, keepdims=True), x.shape[1], 1) for f, x in loads.synops.items()
    }
    mixed = dataclasses.replace(loads, synops=synops, **mean)
    return TIMES(profile, placement, mixed, *more)


def one_after_the_other(ns, loads):
    """The units of a core, added."""
    timed = [x * ns.get(f"synop_{form}", ns["synop"]) for form, x in loads.synops.items()]
    update = loads.active * ns["neuron_active"] + loads.inactive * ns["neuron_inactive"]
    return 1e-3 * (np.add.reduce(timed) + update)


SENT, ACTIVE, TIMES = trace.Trace.mean_sent, trace.Trace.mean_active, energy.times
BREAKS = {
    "fill and drain send nothing": (trace.Trace, "mean_sent", without_fill, "alone"),
    "updates of T steps": (trace.Trace, "mean_active", updates_of_the_sample, "alone"),
    "a window of its own steps": (energy, "window", lambda steps, _: steps, "streamed"),
    "the mean step": (energy, "times", of_the_mean_step, "alone"),
    "the mean step of a stream": (energy, "times", of_the_mean_step, "streamed"),
    "units one after the other": (latency, "_work_us", one_after_the_other, "streamed"),
    "power over the latency": (
        latency,
        "_sums",
        lambda step, steps, mode, answer, _: (step.mean() * answer,) * 2,
        "streamed",
    ),
    "relays in place of delays": (layout, "delay_steps", lambda _: 0, "alone"),
    "shared convolutions": (fit, "expands", lambda _: False, "alone"),
    "words of 128 bits": (synapse_memory, "_ceil_words", lambda bits: -(-bits // 128), "alone"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_seen(bundles, again, monkeypatch, name):
    where, what, broken, mode = BREAKS[name]
    monkeypatch.setattr(where, what, broken)
    assert differing(again("lively", "loihi2", mode), printed(bundles["lively"], "loihi2", mode))
