"""What is charged in each mode is what a chip does in each of its steps: spikes of every hardware
step, fill and drain included, are those of Lava's own models; updates, times and sums by hand.
"""

import dataclasses
import json

import numpy as np
import pytest
from conformance.graphs import GRAPHS, graph, random_inputs, source
from test_energy import INPUT, estimated, network, worked

from scmrl.convert.frame.pipeline import at_once, pipeline
from scmrl.core.graph import OneToOne, Population
from scmrl.deploy.energy.energy import estimate, estimates, on_chip
from scmrl.deploy.energy.latency import FLOOR
from scmrl.deploy.energy.loads import loads
from scmrl.deploy.energy.operations import forms
from scmrl.deploy.placement.fit import fit
from scmrl.deploy.placement.layout import window
from scmrl.hw_profiles.profile import load

STREAMING = ("skips_of_several_depths", "bias_per_channel", "three_modalities", "delay_3_skip")
CARRYING = ("delays_and_loops",)


def biased(delay=0, steps=3):
    """in -> a -> b -> out, and a -> out; every neuron has a bias, and fires without any input."""
    return graph(
        source(2),
        *(Population(n, (2,), vth=1, dv=500, bias_mant=50, bias_exp=0) for n in "ab"),
        Population("out", (2,), "readout", bias_mant=3),
        OneToOne("x", "a", 1),
        OneToOne("a", "b", 1),
        OneToOne("b", "out", 1),
        OneToOne("a", "out", 2),
        OneToOne("b", "a", -1, delay=delay + 1) if delay else OneToOne("a", "out", 1),
        steps=steps,
    )


def late(steps=3):
    """An input that comes two steps late fires a, which fires itself: what would arrive after the
    sample never does.
    """
    return graph(
        source(2),
        Population("a", (2,), vth=1),
        Population("b", (2,), vth=1),
        Population("out", (2,), "readout"),
        OneToOne("x", "a", 4, delay=2),
        OneToOne("a", "b", 2),
        OneToOne("a", "a", 1, delay=1),
        OneToOne("b", "out", 1),
        steps=steps,
    )


def given(name):
    if name == "late":
        return late(), {"x": np.ones((2, 3, 2), int)}
    if name.startswith("biased"):
        network = biased(int(name.partition(" ")[2] or 0))
        return network, random_inputs(network, 4)
    return GRAPHS[name]()


def lava_frames(network, inputs, layout="lava"):
    """Every hardware step of one run on Lava's own models, in the merged layout or the chip's: bool
    [hardware steps, n] by population.
    """
    from scmrl.deploy.backends.lava.lava import LavaInProcess
    from scmrl.deploy.backends.loihi.loihi import LoihiSim

    class Watched(LoihiSim if layout == "chip" else LavaInProcess):
        def _session(self, *given):
            self.processes, session = super()._session(*given)
            return self.processes, session

    backend = Watched(network)
    backend.run(inputs)
    frames, places = backend.processes.spikes, backend._network.places
    return {
        p.population: frames[p.process][:, p.start : p.start + p.count] != 0
        for p in places
        if p.process in frames
    }


def sent(trace, name, mode):
    rows = np.concatenate(trace.rows[name].sent)
    return rows[trace.at(mode, trace.line.depth[name])]


def trace_of(network, inputs):
    return worked(network, inputs).trace(pipeline(network), network.steps)


@pytest.mark.parametrize("name", ["biased", "biased 1", "late", *STREAMING, *CARRYING])
def test_every_hardware_step_of_a_sample_alone_is_lavas(name):
    pytest.importorskip("lava", reason="lava-nc is not installed")
    network, inputs = given(name)
    trace = trace_of(network, inputs)
    steps = trace.steps + trace.depth
    for sample in range(2):
        frames = lava_frames(network, {n: x[sample : sample + 1] for n, x in inputs.items()})
        for p in network.of_kind("lif"):
            assert np.array_equal(sent(trace, p.name, "alone")[sample], frames[p.name][:steps]), p


@pytest.mark.parametrize("name", ["biased", *STREAMING])
def test_every_hardware_step_of_a_full_pipeline_is_lavas(name):
    pytest.importorskip("lava", reason="lava-nc is not installed")
    network, inputs = given(name)
    trace, frames = trace_of(network, inputs), lava_frames(network, inputs)
    full = slice(trace.depth, trace.samples * trace.window)
    assert full.start < full.stop
    for p in network.of_kind("lif"):
        rows = sent(trace, p.name, "streamed").reshape(-1, p.neurons)
        assert np.array_equal(rows[full], frames[p.name][full]), p


@pytest.mark.parametrize("delay", [0, 1, 4])
@pytest.mark.parametrize("steps", [3, 5, 8])
def test_every_hardware_step_in_the_chips_layout_and_window_is_lavas(steps, delay):
    """Loihi 2 clears state at powers of two: what goes on between samples is charged as it is."""
    pytest.importorskip("lava", reason="lava-nc is not installed")
    network = biased(delay, steps)
    inputs = random_inputs(network, 3)
    found = fit(network, load("loihi2"))
    trace = worked(network, inputs).trace(found.line, window(steps, load("loihi2")))
    assert (trace.window, trace.line.relays) == ({3: 4, 5: 8, 8: 8}[steps], {})
    frames = {} if delay else lava_frames(network, inputs, "chip")
    full = slice(trace.depth, trace.samples * trace.window)
    for p in () if delay else network.of_kind("lif"):
        rows = sent(trace, p.name, "streamed").reshape(-1, p.neurons)
        assert np.array_equal(rows[full], frames[p.name][full]), p
    alone = lava_frames(network, {n: x[:1] for n, x in inputs.items()}, "chip")
    for p in network.of_kind("lif"):
        assert np.array_equal(sent(trace, p.name, "alone")[0], alone[p.name][: steps + 3]), p


def test_what_biases_do_before_and_after_a_sample_is_charged_alone():
    network = biased()
    inputs = {"x": np.zeros((1, 3, 2), int)}
    trace = trace_of(network, inputs)
    a = sent(trace, "a", "alone")[0]
    assert a.shape == (3 + 3, 2) and a[0].any() | a[:4].any() and trace.depth == 3
    one, two = (estimated("loihi1", network, inputs, mode) for mode in ("alone", "streamed"))
    spikes = {e.mode: {p.name: p.spikes for p in e.populations} for e in (one, two)}
    assert spikes["alone"]["a"] == a.sum() > spikes["streamed"]["a"]
    active = {e.mode: sum(p.active for p in e.populations) for e in (one, two)}
    assert active == {"alone": 6 * 6, "streamed": 6 * 3}  # all are active at every step


def test_streamed_counts_are_those_of_the_samples():
    """A chip that clears state at the samples' own steps does nothing else."""
    for name in STREAMING:
        network, inputs = GRAPHS[name]()
        work = worked(network, inputs)
        e = on_chip(work, load("loihi1"), "streamed")
        alone = on_chip(work, load("loihi1"), "alone")
        updates = work.updates
        for layer in e.populations:
            if layer.name in updates:
                assert layer.active == pytest.approx(updates[layer.name].active / work.samples)
        own = sum(p.neurons for p in network.populations if p.kind != "input")
        assert sum(p.updates for p in e.populations) == pytest.approx(own * network.steps)
        charged = network.steps + alone.depth
        assert sum(p.updates for p in alone.populations) == pytest.approx(own * charged)
        assert alone.barriers == charged and e.barriers == network.steps


def test_a_window_of_a_power_of_two_is_charged_where_the_chip_clears_there():
    """Five steps on Loihi 2 take windows of eight, in which the readout keeps its state."""
    one, two = estimated("loihi1", mode="streamed"), estimated("loihi2", mode="streamed")
    assert (one.barriers, two.barriers) == (5, 8)
    readout = {e.profile: e.populations[2] for e in (one, two)}
    assert (readout["loihi1"].updates, readout["loihi1"].active) == (2 * 5, 2 * 5)
    assert (readout["loihi2"].updates, readout["loihi2"].active) == (2 * 8, 2 * 8)
    assert two.interval_us == pytest.approx(8 * two.us_per_step)
    assert two.latency_us == pytest.approx((5 + 2) * two.us_per_step)


def test_a_time_is_the_mean_of_sums_of_maxima():
    """Two samples, one of which keeps the first layer busy at a single step; the floor elsewhere.

    The maximum of the mean step would be below it.
    """
    graph_ = network(neurons=100, sources=4000)
    inputs = {"in": np.zeros((2, 5, 4000), int)}
    inputs["in"][1, 2] = 1
    work, base = 1e-3 * 100 * 4000 * 3.5, load("loihi1")
    assert work > 1000
    alone, streamed = (estimated(base, graph_, inputs, mode) for mode in ("alone", "streamed"))
    assert alone.latency_us == pytest.approx(7 * 17 + (work - 17) / 2)
    assert streamed.interval_us == pytest.approx(5 * 17 + (work - 17) / 2)
    # of the seven steps from the first to the answer, those of the sample with the work have it
    # once, and so have those of the other, if it comes in the first two steps of the next
    assert streamed.latency_us == pytest.approx(7 * 17 + (work - 17) / 2)
    early = {"in": np.roll(inputs["in"], -1, axis=1)}
    both = estimated(base, graph_, early, "streamed")
    assert both.latency_us == pytest.approx(7 * 17 + (work - 17))
    assert alone.bottleneck.startswith("core") and estimated(base).bottleneck == FLOOR
    assert alone.bound_us_per_step < alone.us_per_step


def test_the_bound_is_one():
    """A step takes what its longest part takes on its own, never their sum."""
    base, found = load("loihi1-sanafe"), fit(network(), load("loihi1-sanafe"))
    trace = worked(network(), INPUT).trace(found.line, 5)
    formats = forms(found.line.graph, base, found.placement)
    done = loads(trace, found.placement, "streamed", formats)
    parts = {
        ("synop", "synop_dense", "synop_sparse", "synop_conv"): sum(done.synops.values()),
        ("neuron_active", "spike_out"): done.active + done.spikes,
        ("spike",): done.received,
        ("axon_out",): done.sent,
    }
    every = [name for names in parts for name in names]
    for names in [*parts, tuple(every)]:
        times = {
            name: dataclasses.replace(q, value=1e6 * (name in names), range=None)
            for name, q in base.time.items()
        }
        e = estimated(dataclasses.replace(base, time=times), mode="streamed")
        longest = parts.get(names) if names in parts else np.maximum.reduce(list(parts.values()))
        assert e.bound_us_per_step == pytest.approx(1e3 * longest.max(0).mean()), names


@pytest.mark.parametrize("mode", ["alone", "streamed"])
def test_groups_of_samples_have_estimates_of_their_own(mode):
    """Their mean, weighed by their sizes, is that of all; alone, each is what it is alone."""
    network, profile = GRAPHS["skips_of_several_depths"]()[0], load("loihi1")
    inputs = random_inputs(network, 5)
    work, found = worked(network, inputs), fit(network, profile)
    groups = [np.array([0, 3]), np.array([1]), np.array([2, 4])]
    whole, *parts = estimates(work, found, mode, [np.arange(5), *groups])
    assert whole == estimate(work, found, mode)
    for name in ("core_dynamic_uj", "latency_us", "interval_us", "messages", "hops"):
        each = [len(g) * getattr(part, name) for g, part in zip(groups, parts)]
        assert sum(each) / 5 == pytest.approx(getattr(whole, name)), name
    assert len({part.core_dynamic_uj for part in parts}) == 3
    only = {n: x[[0, 3]] for n, x in inputs.items()}
    if mode == "alone":
        assert estimate(worked(network, only), found, mode).core_dynamic_uj == pytest.approx(
            parts[0].core_dynamic_uj
        )


def test_without_depth_both_modes_are_one():
    one, two = (estimated("generic-45nm", mode=mode).to_json() for mode in ("alone", "streamed"))
    assert one.pop("mode") == "alone" and two.pop("mode") == "streamed"
    for e in (one, two):
        del e["assumptions"]
    assert json.dumps(one) == json.dumps(two) and one["barriers"] == 5 and one["depth"] == 0
    assert at_once(network()).latency == 0


def test_every_report_names_its_mode(scmrl, model):
    for mode in ("alone", "streamed"):
        for words in (["energy"], ["place"]):
            code, out, _ = scmrl(*words, model, "--mode", mode, "--samples", "2")
            assert code == 0 and mode in out
            code, out, _ = scmrl(*words, model, "--mode", mode, "--samples", "2", "--json")
            assert code == 0 and json.loads(out)["mode"] == mode
    code, out, _ = scmrl("deploy", model, "--samples", "2", "--json")
    assert {e["mode"] for e in json.loads(out)["profiles"].values()} == {"alone"}
    assert "alone, estimate" in scmrl("deploy", model, "--samples", "2")[1]
    assert scmrl("energy", model, "--mode", "pipelined")[0] == 2


def test_reports_of_different_modes_are_compared_by_name(scmrl, model, tmp_path):
    files = {}
    for mode in ("alone", "streamed"):
        code, out, _ = scmrl("energy", model, "--mode", mode, "--samples", "2", "--json")
        files[mode] = tmp_path / f"{mode}.json"
        files[mode].write_text(out)
        assert code == 0
    code, out, _ = scmrl("compare", files["alone"], files["streamed"])
    said = " ".join(out.split())
    assert code == 0 and "alone and streamed: the estimates are of other steps" in said
    assert "of other steps" not in scmrl("compare", files["alone"], files["alone"])[1]
