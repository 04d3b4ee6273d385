"""Robustness: perturbations do exactly what they say, and nothing where their level is zero."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conformance.graphs import GRAPHS, JOINED

from scmrl.core import reference
from scmrl.core.graph import Dense, Graph, OneToOne, Population
from scmrl.deploy.robustness import perturbation, study
from scmrl.deploy.robustness.report import RobustnessReport, picture
from scmrl.system.errors import DataError, GraphError, UsageError

RANDOM = np.random.default_rng(5)


def small(steps: int = 5) -> tuple[Graph, dict[str, np.ndarray]]:
    populations = (
        Population("x", (6,), "input"),
        Population("a", (8,), vth=20, dv=1000),
        Population("b", (8,), vth=1),
        Population("out", (3,), "readout"),
    )
    synapses = (
        Dense("x", "a", RANDOM.integers(-30, 60, (8, 6))),
        OneToOne("a", "b", 2),
        Dense("b", "out", RANDOM.integers(-50, 50, (3, 8))),
    )
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
    expected, got = (
        reference.run(graph, inputs),
        perturbation.run_disturbed(graph, inputs, never, RANDOM),
    )
    for p in graph.populations:
        if p.kind != "input":
            assert np.array_equal(got.values(p.name), expected.values(p.name)), p.name


def within(got: int, cells: int, rate: float) -> bool:
    """Is `got` of `cells` what chance makes of `rate`, give or take five standard deviations?"""
    return abs(got - cells * rate) <= 5 * (cells * rate * (1 - rate)) ** 0.5


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_a_share_of_the_spikes_is_lost_and_no_other_cell_is_touched(rate):
    s = (np.random.default_rng(1).random((20, 5, 60)) < 0.4).astype(np.uint8)
    got = perturbation.lose_spikes(rate)(s, np.random.default_rng(2))
    assert not got[s == 0].any() and set(np.unique(got)) == {0, 1} and got.dtype == s.dtype
    assert within(int((s - got).sum()), int(s.sum()), rate)
    for part in (got[:10], got[:, :2], got[..., :30]):  # anywhere alike
        whole = s[tuple(slice(n) for n in part.shape)]
        assert within(int(whole.sum()) - int(part.sum()), int(whole.sum()), rate)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_a_share_of_the_spikes_is_one_step_late_and_the_others_are_on_time(rate):
    """Every second step is silent, so that a late spike meets no other."""
    s = (np.random.default_rng(1).random((20, 6, 60)) < 0.4).astype(np.uint8)
    s[:, 1::2] = 0
    got = perturbation.delay_spikes(rate)(s, np.random.default_rng(2))
    on_time, late = got[:, ::2], got[:, 1::2]
    assert np.array_equal(on_time + late, s[:, ::2])  # each is there once, now or one step later
    assert within(int(late.sum()), int(s.sum()), rate)
    last = perturbation.delay_spikes(rate)(s[:, :5], np.random.default_rng(2))
    lost = s[:, 4] - last[:, 4]  # after the last step there is none
    assert lost.min() == 0 and within(int(lost.sum()), int(s[:, 4].sum()), rate)


def test_a_late_spike_and_one_on_time_are_one():
    s = np.ones((1, 3, 500), np.uint8)
    got = perturbation.delay_spikes(0.5)(s, np.random.default_rng(2))
    assert set(np.unique(got)) == {0, 1} and within(int(got[:, 0].sum()), 500, 0.5)
    assert within(int(got[:, 1].sum()), 500, 0.75)  # on time, or late from the step before


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_share_of_the_neurons_is_dead_and_the_others_are_as_they_were(share):
    bias = np.arange(2000) % 7
    graph = Graph(
        (
            Population("x", (4,), "input"),
            Population("a", (2000,), vth=30, bias_mant=bias, bias_exp=3),
            Population("out", (2,), "readout", bias_mant=np.array([1, 2])),
        ),
        (
            Dense("x", "a", np.ones((2000, 4), np.int16)),
            Dense("a", "out", np.ones((2, 2000), np.int16)),
        ),
        1,
    )
    killed = perturbation.kill_neurons(graph, share, np.random.default_rng(3))
    dead = killed["a"].bias_mant != bias
    assert (
        within(int(dead.sum()), 2000, share)
        and (killed["a"].bias_mant[dead] << 3 <= -(2**23 - 1) + 7).all()
    )
    assert killed["a"].bias_exp == 3 and np.array_equal(killed["out"].bias_mant, [1, 2])


def test_the_lowest_threshold_says_whether_a_neuron_can_be_held_down():
    def killed(*vth):
        parts = (Population("x", (1,), "input"), Population("y", (2,), vth=np.array(vth)))
        weight = np.full((2, 1), 64)
        graph = Graph(parts, (Dense("x", "y", weight, exponent=11),), 4).check()
        return perturbation.kill_neurons(graph, 1.0, np.random.default_rng(0))

    inputs = {"x": np.ones((1, 4, 1), np.uint8)}
    assert not reference.run(killed(5, 70000), inputs).spikes["y"].any()
    with pytest.raises(GraphError, match="y: inputs can lift this population over any bias"):
        killed(0, 70000)


@pytest.mark.parametrize("rate", [0.02, 0.5])
def test_every_bit_of_every_weight_flips_alike(rate):
    weight = RANDOM.integers(-127, 128, (200, 100))
    graph = Graph(
        (Population("x", (100,), "input"), Population("a", (200,), vth=5)),
        (Dense("x", "a", weight),),
        1,
    )
    flipped = perturbation.flip_bits(graph, rate, np.random.default_rng(2)).synapses[0].weight
    mask = weight.astype(np.int8).view(np.uint8) ^ flipped.astype(np.int8).view(np.uint8)
    bits = np.unpackbits(mask[..., None], axis=-1)
    assert all(within(int(bits[..., k].sum()), weight.size, rate) for k in range(8))
    assert np.array_equal(weight, graph.synapses[0].weight)


@pytest.mark.parametrize("make", [perturbation.flip_bits, perturbation.kill_neurons])
@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
def test_shares_of_a_graph_lie_between_none_and_all(make, share):
    with pytest.raises(UsageError, match="between 0 and 1"):
        make(small()[0], share, RANDOM)


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
    graph = Graph(
        (Population("x", (100,), "input"), Population("a", (100,), vth=5)),
        (Dense("x", "a", weight),),
        1,
    )
    flipped = perturbation.flip_bits(graph, 0.01, np.random.default_rng(2)).synapses[0].weight
    differing = weight.astype(np.int8).view(np.uint8) ^ flipped.astype(np.int8).view(np.uint8)
    flips = int(np.unpackbits(differing[..., None], axis=-1).sum())
    assert abs(flips - 800) < 5 * 800**0.5 and flipped.min() >= -128 and flipped.max() <= 127
    same = perturbation.flip_bits(graph, 0.0, RANDOM).synapses[0].weight
    assert np.array_equal(same, weight)
    with pytest.raises(GraphError, match="wider than a byte"):
        perturbation.flip_bits(
            Graph(graph.populations, (Dense("x", "a", 300 + weight * 0),), 1), 0.1, RANDOM
        )


@pytest.mark.parametrize("make", [perturbation.lose_spikes, perturbation.delay_spikes])
def test_probability_beyond_one_is_refused(make):
    for rate in (1.5, -0.1, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            make(rate)


def test_a_level_is_the_mean_of_its_draws_and_the_deviation_of_a_sample():
    """std^2 = sum (a - mean)^2 / (n - 1): the draws are a few of all that there could be."""
    point = study.summary("spike loss", 0.1, [0.5, 0.7, 0.9])
    assert (
        point.accuracy == pytest.approx(0.7)
        and point.spread == pytest.approx(0.2)
        and point.repeats == 3
    )
    assert study.summary("clean", 0.0, [0.5]) == study.Point("clean", 0.0, 0.5, 0.0, 1)


def test_accuracy_is_the_share_of_right_samples_over_unequal_chunks(monkeypatch):
    graph, inputs = small()
    inputs = {"x": np.tile(inputs["x"], (5, 1, 1))[:17]}
    labels = reference.run(graph, inputs).membrane["out"][:, -1].argmax(1)
    labels[[0, 9, 16]] = (labels[[0, 9, 16]] + 1) % 3
    monkeypatch.setattr(study, "CHUNK", 8)
    assert study.plain(graph, inputs, labels) == pytest.approx(14 / 17)


def test_without_a_modality_its_input_alone_is_silent():
    random = np.random.default_rng(6)
    populations = (
        Population("x", (6,), "input"),
        Population("y", (6,), "input"),
        Population("out", (3,), "readout"),
    )
    synapses = (
        Dense("x", "out", random.integers(-30, 60, (3, 6))),
        Dense("y", "out", random.integers(-30, 60, (3, 6))),
    )
    graph = Graph(populations, synapses, 4, ("0", "1", "2")).check()
    inputs = {name: (random.random((40, 4, 6)) < 0.5).astype(np.uint8) for name in "xy"}
    labels = reference.run(graph, inputs).membrane["out"][:, -1].argmax(1)
    for point, name in zip(study.missing(graph, inputs, labels), "xy", strict=True):
        alone = (
            reference.run(graph, inputs | {name: 0 * inputs[name]}).membrane["out"][:, -1].argmax(1)
        )
        assert (
            point == study.Point("missing", name, float((alone == labels).mean()), 0.0, 1)
            and point.accuracy < 1
        )
    assert study.missing(graph, {"x": inputs["x"]}, labels) == []


def test_faults_of_two_kinds_are_drawn_apart(monkeypatch):
    """Each from its own stream of (seed, kind): at one level they do not hit the same cells."""
    graph, inputs = small()
    labels = reference.run(graph, inputs).membrane["out"][:, -1].argmax(1)
    drawn = {}

    def hit(graph, inputs, disturb, random):
        drawn[len(drawn)] = random.random(50).tobytes()
        return reference.run(graph, inputs)

    monkeypatch.setattr(perturbation, "run_disturbed", hit)
    for kind, seed in (
        ("spike loss", 0),
        ("spike jitter", 0),
        ("spike loss", 1),
        ("spike loss", 0),
    ):
        study.fault(kind, 0.1, graph, inputs, labels, seed)
    assert len({drawn[i] for i in range(3)}) == 3 and drawn[3] == drawn[0]


def test_a_change_is_what_is_gained_over_the_clean_model(capsys):
    points = (
        study.Point("clean", 0.0, 0.8, 0.0, 1),
        study.Point("spike loss", 0.1, 0.55, 0.02, 3),
        study.Point("missing", "audio", 0.85, 0.0, 1),
    )
    RobustnessReport("m", "toy", 40, 3, 4, points).show()
    words = capsys.readouterr().out.split()
    assert {"-25.00", "+5.00", "2.00"} < set(words) and not {"+25.00", "-5.00"} & set(words)


# Noise on what a model hears and sees


@pytest.fixture(scope="module")
def listener():
    """A model that was trained on digits-av, as far as its bundle says."""
    pytest.importorskip("librosa", reason="spectrograms need librosa")
    pytest.importorskip("sklearn", reason="the scans are scikit-learn's")
    from scmrl.core.bundle import Bundle
    from scmrl.data import FrontEnd, load

    pairs = load("digits-av", split="test").take(np.arange(0, 360, 9))
    inputs = tuple(Population(m, (1, 32, 32), "input", bits=6) for m in ("audio", "visual"))
    weights = np.random.default_rng(8).integers(-9, 9, (10, 1024)).astype(np.int16)
    graph = Graph(
        (*inputs, Population("readout", (10,), "readout")),
        tuple(Dense(p.name, "readout", weights) for p in inputs),
        2,
        tuple("0123456789"),
    ).check()
    return Bundle(
        graph,
        {},
        np.zeros(0, int),
        None,
        frontend=FrontEnd.fit(pairs).to_dict(),
        training={"dataset": "digits-av"},
    )


def test_noise_has_the_power_over_that_of_the_signal_that_its_level_says(listener, monkeypatch):
    """SNR = 10 log10(P_signal / P_noise), of speech at unit RMS, of all pixels of the set for
    images.
    """
    applied = []
    from scmrl.deploy.robustness import noise

    class Listening(noise.Corruption):
        def apply(self, pairs, seed):
            noisy = super().apply(pairs, seed)
            applied.append((self, seed, pairs, noisy))
            return noisy

    monkeypatch.setattr(noise, "Corruption", Listening)
    clean, labels, noisy = noise.samples(listener, None, 40, 2, snrs=(20.0, 0.0))
    assert len(labels) == 40 and clean["audio"].shape == (40, 2, 1, 32, 32)
    assert {kind: {db: len(x) for db, x in levels.items()} for kind, levels in noisy.items()} == {
        "audio SNR": {20.0: 2, 0.0: 2},
        "image SNR": {20.0: 2, 0.0: 2},
    }
    (
        _,
        *audio,
    ) = [entry for entry in applied if entry[0].pixel_noise is None]
    assert [(c.audio_snr_db, seed) for c, seed, *_ in audio] == [
        (20.0, 0),
        (20.0, 1),
        (0.0, 0),
        (0.0, 1),
    ]
    for c, _, pairs, got in audio:
        power = np.mean((got.waveform - pairs.waveform).astype(float) ** 2)
        assert (
            -10 * np.log10(power) == pytest.approx(c.audio_snr_db, abs=0.1)
            and got.image is not None
        )
        assert np.array_equal(got.image, pairs.image)
    images = [entry for entry in applied if entry[0].pixel_noise is not None]
    for (c, _, pairs, got), snr in zip(images, (20.0, 20.0, 0.0, 0.0), strict=True):
        signal = np.mean(pairs.image.astype(float) ** 2)
        assert 10 * np.log10(signal / c.pixel_noise**2) == pytest.approx(snr, abs=1e-3)
        grey = (pairs.image > 0.4) & (pairs.image < 0.6)  # far from where pixels are clipped
        if snr == 20.0:
            measured = np.mean((got.image - pairs.image)[grey].astype(float) ** 2)
            assert 10 * np.log10(signal / measured) == pytest.approx(snr, abs=0.3)
        assert np.array_equal(got.waveform, pairs.waveform)
    quiet, loud = (
        np.abs(noisy["audio SNR"][db][0]["audio"].astype(int) - clean["audio"]).mean()
        for db in (20.0, 0.0)
    )
    assert 0 < quiet < loud and np.array_equal(
        noisy["audio SNR"][0.0][0]["visual"], clean["visual"]
    )
    assert (noisy["audio SNR"][0.0][0]["audio"] != noisy["audio SNR"][0.0][1]["audio"]).any()


def test_a_study_of_some_samples_takes_them_from_all_classes(listener):
    from scmrl.deploy.robustness import noise

    _, labels, _ = noise.samples(listener, None, 60, 1, snrs=())
    assert len(labels) == 60 and len(set(labels.tolist())) == 10 and (np.diff(labels) >= 0).all()
    names = dataclasses.replace(
        listener,
        graph=dataclasses.replace(
            listener.graph,
            populations=(*listener.graph.populations[:2], Population("readout", (12,), "readout")),
            synapses=(),
            classes=tuple("0123456789ab"),
        ),
    )
    with pytest.raises(DataError, match="other classes than the model .limit 12 classes, got 10"):
        noise.samples(names, None, 5, 1, snrs=())
    for training, said in (
        ({}, "does not say which dataset"),
        (
            {"dataset": "digits-av", "task": "sum"},
            "other classes than the model .limit 10 classes, got 19",
        ),
    ):
        with pytest.raises((UsageError, DataError), match=said):
            noise.samples(dataclasses.replace(listener, training=training), None, 5, 1, snrs=())


def test_study_is_repeatable_and_its_first_point_is_the_clean_model(tmp_path):
    graph, inputs = small()
    inputs = {"x": np.tile(inputs["x"], (10, 1, 1))}
    labels = reference.run(graph, inputs).membrane["out"][:, -1].argmax(1)
    lines: list[str] = []
    runs = [
        study.study(graph, inputs, labels, noisy={}, repeats=2, tell=lines.append) for _ in range(2)
    ]
    assert runs[0] == runs[1] and runs[0][0] == study.Point("clean", 0.0, 1.0, 0.0, 1)
    worst = {kind: min(p.accuracy for p in runs[0] if p.kind == kind) for kind in study.FAULTS}
    assert min(worst.values()) < 1
    assert "left]" in lines[-1] and f"[{len(lines) // 2} of {len(lines) // 2}" in lines[-1]
    report = RobustnessReport("m", "toy", 40, 2, 3, tuple(runs[0]))
    picture(report, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
