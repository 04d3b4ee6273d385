"""A stream gives, step by step, the very spikes of a batch run, counts them alike, and ends
cleanly.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import types
import wave

import numpy as np
import pytest
from conformance.graphs import GRAPHS, random_graph, random_inputs
from conformance.refusals import REFUSALS
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ROOT, SHARED

from scmrl.core import reference
from scmrl.core.activity import predictions
from scmrl.core.bundle import Bundle
from scmrl.core.graph import Dense, Graph, Population
from scmrl.data.features.cochlea import spikes
from scmrl.data.features.frontend import FrontEnd, Quantiser
from scmrl.data.formats.events import frames as frames_of
from scmrl.data.formats.events import read_bs2
from scmrl.data.formats.picture import grey
from scmrl.deploy.counts.counts import count
from scmrl.deploy.counts.updates import count_updates
from scmrl.deploy.energy import energy
from scmrl.deploy.stream.feed import (
    Asked,
    camera,
    event_windows,
    level,
    microphone,
    open_feed,
    wav_windows,
)
from scmrl.deploy.stream.run import stream
from scmrl.deploy.stream.stream import Meter, Stream
from scmrl.hw_profiles import profile as profiles
from scmrl.system.errors import DataError, MissingDependency, UsageError

DELAYED = (
    "delayed_cross_links",
    "recurrent",
    "recurrent_over_two_layers",
    "delay_beyond_the_sample",
    "delay_3_skip",
)


def frames(inputs):
    """Samples [S, T, ...] back to back, a step at a time."""
    samples, steps = next(iter(inputs.values())).shape[:2]
    return [
        {name: x[s, t] for name, x in inputs.items()} for s in range(samples) for t in range(steps)
    ]


def assert_equals_batch(engine, graph, inputs):
    """Windows are samples of the reference; without a window the whole stream is one sample."""
    if engine.window is None:
        inputs = {name: x.reshape(1, -1, *x.shape[2:]) for name, x in inputs.items()}
    expected = reference.run(graph, inputs)
    got = list(engine.run(frames(inputs)))
    for p in graph.order():
        if p.kind != "input":
            wanted = expected.values(p.name).reshape(-1, *p.shape)
            found = np.stack([values[p.name] for values in got])
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted, err_msg=p.name)


# ---- spikes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("carry", [False, True], ids=["windows", "endless"])
@pytest.mark.parametrize("name", GRAPHS)
def test_a_stream_equals_the_reference(name, carry):
    graph, inputs = GRAPHS[name]()
    window = None if carry else next(iter(inputs.values())).shape[1]
    assert_equals_batch(Stream(graph, window=window), graph, inputs)


@pytest.mark.parametrize("compiled", [False, True])
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    recurrent=st.booleans(),
    steps=st.integers(1, 9),
    samples=st.integers(1, 3),
    carry=st.booleans(),
    joined=st.booleans(),
)
def test_random_graphs_for_any_number_of_steps(
    compiled, seed, recurrent, steps, samples, carry, joined
):
    if compiled:
        pytest.importorskip("numba", reason="numba is not installed")
    graph, _ = random_graph(seed, recurrent, joined)
    inputs = random_inputs(dataclasses.replace(graph, steps=steps), samples, seed=seed)
    assert_equals_batch(
        Stream(graph, window=None if carry else steps, compiled=compiled), graph, inputs
    )


@pytest.mark.parametrize("carry", [False, True], ids=["windows", "endless"])
@pytest.mark.parametrize("name", [name for name in GRAPHS if name not in REFUSALS["lava"]])
def test_lava_step_by_step_equals_the_reference(name, carry):
    pytest.importorskip("lava", reason="lava-nc is not installed")
    from scmrl.deploy.stream.lava import LavaStream

    graph, inputs = GRAPHS[name]()
    window = None if carry else next(iter(inputs.values())).shape[1]
    assert_equals_batch(LavaStream(graph, window=window), graph, inputs)


@pytest.mark.parametrize(
    ("name", "carry"),
    [
        ("skips_of_several_depths", False),
        ("bias_per_neuron_deep", True),
        ("recurrent_over_two_layers", True),
        ("delayed_cross_links", False),
    ],
)
def test_lavas_own_runtime_step_by_step(name, carry):
    pytest.importorskip("lava", reason="lava-nc is not installed")
    from scmrl.deploy.stream.lava import LavaStream

    graph, inputs = GRAPHS[name]()
    engine = LavaStream(graph, window=None if carry else graph.steps, own_processes=True)
    assert_equals_batch(engine, graph, inputs)


def test_a_reset_is_a_new_beginning():
    graph, inputs = GRAPHS["recurrent"]()
    running = Stream(graph)
    first = list(running.run(frames(inputs)))
    running.reset()
    again = list(running.run(frames(inputs)))
    assert all(np.array_equal(a[name], b[name]) for a, b in zip(first, again) for name in a)


def test_wrong_steps_are_refused():
    graph, inputs = GRAPHS["skips_of_several_depths"]()
    with pytest.raises(UsageError, match="at least a step"):
        Stream(graph, window=0)
    running = Stream(graph)
    with pytest.raises(DataError, match="missing"):
        running.step({})
    with pytest.raises(DataError, match="wrong shape"):
        running.step({"x": inputs["x"][0]})


# ---- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["skips_of_several_depths", "bias_per_channel", *DELAYED])
def test_a_windows_counts_are_those_of_the_report(name):
    graph, inputs = GRAPHS[name]()
    chips = [profiles.load(chip) for chip in ("loihi1", "loihi2")]
    running, meter = Stream(graph, window=graph.steps), Meter(graph, chips, window=graph.steps)
    tally = meter.nothing
    for frame in frames(inputs):
        tally += meter.step(frame, running.step(frame))
    samples = len(next(iter(inputs.values())))
    activity = reference.run(graph, inputs)
    counts = count(graph, inputs, activity, count_updates(graph, inputs, activity))
    assert tally.steps == samples * graph.steps
    assert tally.synops == round(samples * sum(c.synops_per_inference for c in counts))
    assert tally.spikes == round(
        samples * sum(c.spikes_per_inference for c in counts if c.kind == "lif")
    )
    for chip in chips:
        per_sample = energy.unplaced_uj(graph, counts, chip)
        assert tally.core_dynamic_uj[chip.name] == pytest.approx(samples * per_sample)


# ---- the command ---------------------------------------------------------------------------------


@pytest.fixture
def scmrl(scmrl):
    return lambda *arguments: scmrl("deploy", *arguments)


def lines_of(out):
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def arrays(small_bundle, tmp_path):
    """The held-out samples of the small model, back to back."""
    np.savez(
        tmp_path / "x.npz",
        **{name: x.reshape(-1, *x.shape[2:]) for name, x in small_bundle.inputs.items()},
    )
    return tmp_path / "x.npz"


@pytest.mark.parametrize("backend", ["simulator", "lava-inprocess"])
def test_decisions_are_those_of_the_batch(scmrl, model, small_bundle, arrays, backend):
    if backend != "simulator":
        pytest.importorskip("lava", reason="lava-nc is not installed")
    code, out, _ = scmrl(model, "--stream", "--input", arrays, "--backend", backend, "--json")
    *moments, summary = lines_of(out)
    assert code == 0 and [m["type"] for m in moments] == ["step", "step", "decision"] * 6
    expected = predictions(
        small_bundle.graph, reference.run(small_bundle.graph, small_bundle.inputs)
    )
    decided = [m["leading"] for m in moments if m["type"] == "decision"]
    assert decided == [small_bundle.graph.classes[i] for i in expected]
    assert summary["windows"] == 6 and summary["energy_kind"] == "estimate"
    assert summary["real_time_factor"] is None
    assert summary["mismatches"] == (None if backend == "simulator" else 0)
    ends = [m for m in moments if m["type"] == "decision"]
    assert summary["synops"] == sum(m["synops"] for m in ends)
    total = sum(m["core_dynamic_uj"]["loihi1"] for m in ends)
    assert summary["core_dynamic_uj"]["loihi1"] == pytest.approx(total)
    windows = [m["core_dynamic_uj"]["loihi1"] for m in ends]
    assert summary["window_uj"]["loihi1"] == pytest.approx(np.mean(windows))
    error = np.std(windows, ddof=1) / np.sqrt(6)
    assert summary["over_windows"]["loihi1"]["error"] == pytest.approx(error) and error > 0


def test_carried_state_is_one_long_sample(scmrl, model, small_bundle, arrays):
    code, out, _ = scmrl(model, "--stream", "--input", arrays, "--carry", "--json")
    long = {name: x.reshape(1, -1, *x.shape[2:]) for name, x in small_bundle.inputs.items()}
    expected = reference.run(small_bundle.graph, long).membrane["readout"][0]
    *moments, summary = lines_of(out)
    assert (
        code == 0 and summary["carried"] and [m["membrane"] for m in moments] == expected.tolist()
    )


def test_a_person_sees_decisions_and_what_is_estimated(scmrl, model, arrays):
    code, out, _ = scmrl(model, "--stream", "--input", arrays)
    assert (
        code == 0
        and out.count("(estimate)") == 6
        and "(estimate, streamed)" in out
        and "18 steps" in out
        and "steps/s" in out
    )


def test_a_lava_that_differs_is_a_mismatch(scmrl, model, arrays, monkeypatch):
    pytest.importorskip("lava", reason="lava-nc is not installed")
    from scmrl.deploy.stream import lava

    run = lava.LavaStream._values

    def wrong(self, seen):
        return {name: 1 - s if name == "both" else s for name, s in run(self, seen).items()}

    monkeypatch.setattr(lava.LavaStream, "_values", wrong)
    code, out, err = scmrl(
        model, "--stream", "--input", arrays, "--backend", "lava-inprocess", "--json"
    )
    assert code == 1 and "lava-inprocess differs from the simulator" in err
    assert lines_of(out)[-1]["mismatches"] == 18 * 48


def test_interrupted_it_sums_up_and_leaves_with_130(model, small_bundle, tmp_path):
    np.savez(
        tmp_path / "long.npz",
        **{
            name: np.tile(x.reshape(-1, *x.shape[2:]), (2000, 1, 1, 1))
            for name, x in small_bundle.inputs.items()
        },
    )
    command = [
        sys.executable,
        "-m",
        "scmrl",
        "deploy",
        str(model),
        "--stream",
        "--input",
        str(tmp_path / "long.npz"),
        "--json",
    ]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ,
    )
    assert json.loads(running.stdout.readline())["type"] == "step"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    summary = json.loads(out.splitlines()[-1])
    assert running.returncode == 130 and "Traceback" not in err
    assert summary["interrupted"] and 0 < summary["steps"] < 36000


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--carry",), 2, "add --stream"),
        (("--wav", "x.wav"), 2, "add --stream"),
        (("--stream", "--input", "no.npz", "--samples", "3"), 2, "--samples"),
        (("--stream", "--input", "no.npz", "--board", "b"), 2, "--board"),
        (("--stream", "--input", "no.npz", "--wav", "x.wav"), 2, "one source"),
        (("--stream", "--input", "no.npz"), 3, "no.npz"),
        (("--stream", "--wav", "x.wav"), 2, "--image or --camera"),
        (("--stream", "--wav", "x.wav", "--microphone", "--image", "i.png"), 2, "two sources"),
        (("--stream", "--wav", "x.wav", "--image", "i.png", "--hop", "0"), 2, "--hop"),
        (("--stream", "--wav", "x.wav", "--image", "i.png", "--hop", "-1"), 2, "--hop"),
        (("--stream", "--wav", "x.wav", "--image", "i.png", "--hop", "nan"), 2, "--hop"),
        (("--stream", "--wav", "x.wav", "--image", "i.png", "--hop", "inf"), 2, "--hop"),
        (("--stream", "--wav", "x.wav", "--image", "i.png", "--hop", "1e-9"), 2, "0.001 to 3600 s"),
        (("--stream", "--wav", "x.wav", "--camera", "-1"), 2, "--camera"),
        (("--stream", "--wav", "x.wav", "--camera", "64"), 2, "limit 0 to 63"),
    ],
)
def test_what_does_not_go_together_is_one_line(scmrl, model, arguments, code, words):
    got, _, err = scmrl(model, *arguments)
    assert got == code and words in err and len(err.strip().splitlines()) == 1


def test_a_backend_that_cannot_stream(scmrl, model, arrays):
    code, _, err = scmrl(model, "--stream", "--input", arrays, "--backend", "onnx")
    assert code == 2 and "simulator" in err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: {"audio": x["audio"]}, "visual"),
        (lambda x: x | {"visual": x["visual"][:-1]}, "differ in steps"),
        (lambda x: x | {"visual": x["visual"][..., :-1]}, "wrong shape"),
        (lambda x: x | {"visual": x["visual"].astype(float)}, "integers"),
        (lambda x: x | {"visual": x["visual"] + np.uint8(64)}, "out of range"),
        (lambda x: x | {"sound": x["visual"]}, "no such input"),
        (lambda x: {name: part[:0] for name, part in x.items()}, "empty"),
    ],
)
def test_wrong_arrays_are_named(scmrl, model, arrays, tmp_path, change, words):
    np.savez(tmp_path / "wrong.npz", **change(dict(np.load(arrays))))
    code, _, err = scmrl(model, "--stream", "--input", tmp_path / "wrong.npz")
    assert code == 3 and words in err


# ---- sound and image -----------------------------------------------------------------------------


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((samples * 20000).astype("<i2").tobytes())
    return path


@pytest.fixture
def tone():
    """Two and a half seconds: a rising tone, then silence."""
    t = np.arange(20000) / 8000
    return np.sin(2 * np.pi * (300 + 200 * t) * t) * (t < 1.4)


@pytest.fixture
def listener():
    """A model of sound and image whose weights are random: three windows' worth of work."""
    pytest.importorskip("librosa", reason="librosa is not installed")
    random = np.random.default_rng(3)
    populations = (
        Population("audio", (1, 32, 32), "input", bits=6),
        Population("visual", (1, 32, 32), "input", bits=6),
        Population("hidden", (20,), vth=3000, dv=500),
        Population("readout", (4,), "readout"),
    )
    synapses = (
        Dense("audio", "hidden", random.integers(-20, 30, (20, 1024))),
        Dense("visual", "hidden", random.integers(-20, 30, (20, 1024))),
        Dense("hidden", "readout", random.integers(-90, 90, (4, 20))),
    )
    graph = Graph(populations, synapses, 3, ("a", "b", "c", "d")).check()
    front_end = FrontEnd(audio=Quantiser(0.0, 1.0, 0.0, 2.5), visual=Quantiser(0.1, 0.3, -0.3, 3.0))
    return Bundle(
        graph,
        {name: np.zeros((1, 3, 1, 32, 32), np.uint8) for name in ("audio", "visual")},
        np.zeros(1, int),
        None,
        frontend=front_end.to_dict(),
    )


@pytest.fixture
def picture(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save(tmp_path / "i.png")
    return tmp_path / "i.png"


def test_windows_slide_by_the_hop(tmp_path, tone):
    path = write_wav(tmp_path / "t.wav", tone)
    windows = list(wav_windows(path, 0.5))
    assert len(windows) == 4 and all(w.shape == (8000,) and w.dtype == np.float32 for w in windows)
    assert len(list(wav_windows(path, 0.25))) == 7 and len(list(wav_windows(path, 10))) == 1
    for w in windows[:3]:
        assert np.sqrt(np.mean(w.astype(float) ** 2)) == pytest.approx(1, rel=1e-4)
    assert not windows[3].any()  # 1.5 s to 2.5 s: silence, no factor makes it loud


def test_a_short_recording_is_one_window(tmp_path, tone):
    (only,) = wav_windows(write_wav(tmp_path / "t.wav", tone[:3000]), 0.1)
    assert only[:3000].any() and not only[3000:].any()


def test_each_window_is_the_sample_that_the_front_end_makes(listener, tmp_path, tone, picture):
    path = write_wav(tmp_path / "t.wav", tone)
    feed = open_feed(listener, Asked(wav=path, image=picture, hop=0.5))
    got = list(feed.frames)
    front_end = FrontEnd.from_dict(listener.frontend)
    sounds = front_end.encode_audio(np.stack(list(wav_windows(path, 0.5))))
    image = front_end.encode_visual(grey(picture, front_end.image_side)[None])[0]
    assert len(got) == 4 * listener.graph.steps and feed.step_s == pytest.approx(0.5 / 3)
    for i, frame in enumerate(got):
        assert np.array_equal(frame["audio"], sounds[i // 3]) and np.array_equal(
            frame["visual"], image
        )
    assert image.any() and sounds.any()


def test_a_stream_of_sound_and_image_keeps_time(listener, tmp_path, tone, picture):
    listener.save(tmp_path / "bundle")
    asked = Asked(wav=write_wav(tmp_path / "t.wav", tone), image=picture, hop=0.5)
    report = stream(tmp_path / "bundle", asked)
    assert report.windows == 4 and report.recorded_s == pytest.approx(2.0)
    assert report.real_time_factor == pytest.approx(report.recorded_s / report.seconds)
    assert report.spikes > 0 and report.lag == 0


@pytest.mark.parametrize(
    "name, shape",
    [
        ("audio", (1, 128, 128)),
        ("visual", (3, 128, 128)),
        ("visual", (1, 28, 28)),
        ("visual", (2, 34, 34)),
    ],
)
def test_a_model_of_other_frames_is_refused(listener, tmp_path, tone, picture, name, shape):
    given = {
        "audio": {"wav": write_wav(tmp_path / "t.wav", tone)},
        "visual": {"events": picture} if shape[0] == 2 else {"image": picture},
    }[name]
    graph = Graph(
        (Population(name, shape, "input", bits=6), Population("readout", (4,), "readout")),
        (),
        3,
        tuple("abcd"),
    )
    with pytest.raises(
        UsageError, match=f"{name}: the model takes other frames.*{shape[1]}.*give --input"
    ):
        open_feed(dataclasses.replace(listener, graph=graph), Asked(**given))


def test_an_image_alone_is_shown_once(listener, picture):
    graph = dataclasses.replace(
        listener.graph,
        populations=listener.graph.populations[1:],
        synapses=listener.graph.synapses[1:],
    )
    feed = open_feed(dataclasses.replace(listener, graph=graph), Asked(image=picture))
    assert len(list(feed.frames)) == graph.steps


def test_recordings_that_cannot_be_used_are_named(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    for path in (tmp_path / "bad.wav", tmp_path / "none.wav"):
        with pytest.raises(DataError, match=path.name):
            wav_windows(path, 1.0)


# ---- events and spikes ---------------------------------------------------------------------------


def write_bs2(path, t, seed=0):
    """Events at times t (us) in N-MNIST's format: x, y, polarity and 23 bits of time,
    big-endian.
    """
    random = np.random.default_rng(seed)
    x, y, p = (random.integers(0, high, len(t)) for high in (34, 34, 2))
    words = (x << 32) | (y << 24) | (p << 23) | np.asarray(t)
    path.write_bytes(b"".join(int(word).to_bytes(5, "big") for word in words))
    return path


@pytest.fixture
def sensor():
    """A network of spikes alone: a cochlea's and an event camera's."""
    random = np.random.default_rng(4)
    populations = (
        Population("audio", (1, 32, 32), "input"),
        Population("visual", (2, 32, 32), "input"),
        Population("hidden", (20,), vth=200, dv=500),
        Population("readout", (10,), "readout"),
    )
    synapses = (
        Dense("audio", "hidden", random.integers(-20, 30, (20, 1024))),
        Dense("visual", "hidden", random.integers(-20, 30, (20, 2048))),
        Dense("hidden", "readout", random.integers(-90, 90, (10, 20))),
    )
    graph = Graph(populations, synapses, 4, tuple("0123456789")).check()
    inputs = {p.name: np.zeros((1, 4, *p.shape), np.uint8) for p in graph.of_kind("input")}
    return Bundle(graph, inputs, np.zeros(1, int), None)


def test_events_and_sound_enter_as_the_dataset_makes_them(sensor, tmp_path, tone):
    pytest.importorskip("librosa", reason="librosa is not installed")
    path = write_bs2(
        tmp_path / "e.bs2", np.sort(np.random.default_rng(1).integers(0, 310_000, 3000))
    )
    sound = write_wav(tmp_path / "t.wav", tone)
    given = list(open_feed(sensor, Asked(wav=sound, events=path, hop=0.5)).frames)
    heard = spikes(np.stack(list(wav_windows(sound, 0.5))), 4)
    seen = frames_of(read_bs2(path), 4, duration_us=300_000)
    assert len(given) == 4 * 4 and heard.any() and seen.any()
    for i, frame in enumerate(given):
        assert np.array_equal(frame["audio"], heard[i // 4, i % 4])
        assert np.array_equal(frame["visual"], seen[i % 4])


def test_a_long_recording_is_several_windows(tmp_path):
    t = np.sort(np.random.default_rng(1).integers(0, 950_000, 4000))
    whole = read_bs2(write_bs2(tmp_path / "e.bs2", t))
    windows = list(event_windows(tmp_path / "e.bs2", 5))
    assert len(windows) == 3 and all(w.shape == (5, 2, 32, 32) and w.any() for w in windows)
    middle = whole[(whole["t"] >= 300_000) & (whole["t"] < 600_000)]
    middle["t"] -= 300_000
    assert np.array_equal(windows[1], frames_of(middle, 5, duration_us=300_000))


@pytest.mark.parametrize("backend", ["simulator", "lava-inprocess"])
def test_an_event_file_streams_to_the_same_decision_as_a_batch(
    scmrl, sensor, tmp_path, tone, backend
):
    pytest.importorskip("librosa", reason="librosa is not installed")
    if backend != "simulator":
        pytest.importorskip("lava", reason="lava-nc is not installed")
    data = SHARED
    if not (data / "nmnist" / "1.bs2").is_file():
        pytest.skip(f"no event-camera recordings in {data}")
    sensor.save(tmp_path / "bundle")
    sound = write_wav(tmp_path / "t.wav", tone[:8000])
    recording = data / "nmnist" / "1.bs2"
    code, out, err = scmrl(
        tmp_path / "bundle",
        "--stream",
        "--wav",
        sound,
        "--events",
        recording,
        "--backend",
        backend,
        "--json",
    )
    assert code == 0, err
    *moments, summary = lines_of(out)
    inputs = {
        "audio": spikes(next(wav_windows(sound, 1.0))[None], 4),
        "visual": frames_of(read_bs2(recording), 4, duration_us=300_000)[None],
    }
    expected = reference.run(sensor.graph, inputs)
    assert [m["membrane"] for m in moments] == expected.membrane["readout"][0].tolist()
    assert moments[-1]["leading"] == str(predictions(sensor.graph, expected)[0])
    assert summary["spikes"] == int(expected.spikes["hidden"].sum()) > 0
    assert summary["mismatches"] == (None if backend == "simulator" else 0)


def test_a_stream_counts_time_from_the_first_event_as_training_does(scmrl, sensor, tmp_path):
    """From 0, from a second on, and across the wrap of the camera's clock: the same spikes."""
    graph = dataclasses.replace(
        sensor.graph, populations=sensor.graph.populations[1:], synapses=sensor.graph.synapses[1:]
    )
    dataclasses.replace(sensor, graph=graph, inputs={"visual": sensor.inputs["visual"]}).save(
        tmp_path / "bundle"
    )
    t = np.sort(np.random.default_rng(1).integers(0, 299_000, 800))
    streamed = []
    for origin in (0, 1_000_000, 2**23 - 150_000):
        path = write_bs2(tmp_path / "e.bs2", (t + origin) % 2**23)
        code, out, err = scmrl(tmp_path / "bundle", "--stream", "--events", path, "--json")
        assert code == 0, err
        streamed.append([m["membrane"] for m in lines_of(out)[:-1]])
        inputs = {"visual": frames_of(read_bs2(path), 4, duration_us=300_000)[None]}
        assert streamed[-1] == reference.run(graph, inputs).membrane["readout"][0].tolist()
    assert streamed[0] == streamed[1] == streamed[2] and np.any(streamed[0])
    write_bs2(path, [5, 200_000, 100_000])
    code, _, err = scmrl(tmp_path / "bundle", "--stream", "--events", path)
    assert code == 3 and "time jumps back" in err and len(err.strip().splitlines()) == 1


def test_a_dvs128_recording_streams_as_its_dataset_makes_it(scmrl, tmp_path):
    """Of MNIST-DVS: a step is a T-th of the recording's own duration."""
    from scmrl.data.formats.aedat import read_aedat
    from scmrl.data.sets.mnistdvs_ntidigits import camera_frames

    random = np.random.default_rng(4)
    graph = Graph(
        (Population("visual", (2, 28, 28), "input"), Population("readout", (10,), "readout")),
        (Dense("visual", "readout", random.integers(-20, 30, (10, 1568))),),
        4,
        tuple("0123456789"),
    ).check()
    Bundle(graph, {"visual": np.zeros((1, 4, 2, 28, 28), np.uint8)}, np.zeros(1, int), None).save(
        tmp_path / "bundle"
    )
    t = np.sort(random.integers(0, 2_000_000, 3000)) + 2**32 - 1_000_000
    x, y, p = (random.integers(0, high, 3000) for high in (128, 128, 2))
    words = np.stack([y << 8 | x << 1 | p, t % 2**32], 1).astype(">u4")
    (tmp_path / "a.aedat").write_bytes(b"#!AER-DAT2.0\r\n" + words.tobytes())
    code, out, err = scmrl(
        tmp_path / "bundle", "--stream", "--events", tmp_path / "a.aedat", "--json"
    )
    assert code == 0, err
    *moments, summary = lines_of(out)
    frames_ = camera_frames(read_aedat(tmp_path / "a.aedat"), 4)
    assert [m["membrane"] for m in moments] == reference.run(
        graph, {"visual": frames_[None]}
    ).membrane["readout"][0].tolist()
    assert frames_.any((1, 2, 3)).all() and summary["recorded_s"] is None
    code, _, err = scmrl(
        tmp_path / "bundle", "--stream", "--events", write_bs2(tmp_path / "e.bs2", [1, 2, 3])
    )
    assert code == 3 and "not an AEDAT file" in err


def test_beside_sound_the_last_window_of_events_stays(sensor, tmp_path, tone):
    pytest.importorskip("librosa", reason="librosa is not installed")
    path = write_bs2(
        tmp_path / "e.bs2", np.sort(np.random.default_rng(1).integers(0, 650_000, 3000))
    )
    feed = open_feed(sensor, Asked(wav=write_wav(tmp_path / "t.wav", tone), events=path, hop=0.5))
    seen = np.stack([frame["visual"] for frame in feed.frames]).reshape(4, 4, 2, 32, 32)
    first, last = event_windows(path, 4)
    assert np.array_equal(seen, [first, last, last, last]) and not np.array_equal(first, last)


def test_events_alone_are_their_own_stream(sensor, tmp_path):
    graph = dataclasses.replace(
        sensor.graph, populations=sensor.graph.populations[1:], synapses=sensor.graph.synapses[1:]
    )
    path = write_bs2(tmp_path / "e.bs2", [10, 20, 299_999])
    feed = open_feed(dataclasses.replace(sensor, graph=graph), Asked(events=path))
    assert feed.step_s == pytest.approx(0.3 / 4) and len(list(feed.frames)) == 4


def test_a_cut_off_event_file_is_named(scmrl, sensor, tmp_path, tone):
    sensor.save(tmp_path / "bundle")
    write_bs2(tmp_path / "cut.bs2", [1, 2, 3]).write_bytes(b"123456")
    sound = write_wav(tmp_path / "t.wav", tone)
    code, _, err = scmrl(
        tmp_path / "bundle", "--stream", "--wav", sound, "--events", tmp_path / "cut.bs2"
    )
    assert code == 3 and "cut.bs2" in err


def test_an_image_is_not_for_an_event_camera(scmrl, sensor, tmp_path, tone):
    sensor.save(tmp_path / "bundle")
    sound = write_wav(tmp_path / "t.wav", tone)
    code, _, err = scmrl(tmp_path / "bundle", "--stream", "--wav", sound, "--image", "i.png")
    assert code == 2 and "does not take images" in err


# ---- live: the device is the one thing that a test cannot have -----------------------------------


def test_without_the_libraries_one_error_says_what_to_install(monkeypatch):
    for module in ("sounddevice", "cv2"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match="pip install sounddevice"):
        microphone(1.0, [])
    with pytest.raises(MissingDependency, match="pip install opencv-python-headless"):
        camera(0, 28, [])


def test_a_camera_gives_the_middle_square_as_a_file_does(monkeypatch, tmp_path):
    """OpenCV's device is stood in for: two pictures, blue first, then none."""
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    from scmrl.data.formats.picture import grey

    shot = np.random.default_rng(2).integers(0, 256, (48, 64, 3), np.uint8)
    shots, released = [shot[..., ::-1], shot[..., ::-1]], []
    device = types.SimpleNamespace(
        read=lambda: (bool(shots), shots.pop() if shots else None),
        release=lambda: released.append(True),
    )
    monkeypatch.setitem(
        sys.modules,
        "cv2",
        types.SimpleNamespace(
            VideoCapture=lambda number: device,
            COLOR_BGR2RGB=4,
            cvtColor=lambda x, code: {4: x[..., ::-1]}[code],
        ),
    )
    waits = []
    images = camera(3, 28, waits)
    first, second = next(images), next(images)
    image.fromarray(shot).save(tmp_path / "a.png")
    assert (
        np.array_equal(first, grey(tmp_path / "a.png", 28))
        and np.array_equal(first, second)
        and len(waits) == 2
    )
    with pytest.raises(DataError, match="--camera: the camera gives no picture .got 3"):
        next(images)
    assert released == [True]


def test_the_microphone_gives_its_last_second(monkeypatch):
    """sounddevice's stream is stood in for: blocks of one, two, three ... as its `read` hands them
    out.
    """

    class InputStream:
        def __init__(self, *, samplerate, channels, dtype):
            assert (samplerate, channels, dtype) == (8000, 1, "float32")
            self.block = 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self, frames):
            self.block += 1
            return np.full((frames, 1), self.block, np.float32), False

    monkeypatch.setitem(
        sys.modules,
        "sounddevice",
        types.SimpleNamespace(InputStream=InputStream, PortAudioError=OSError),
    )
    waits = []
    windows = microphone(0.5, waits)
    first, second, third = (next(windows) for _ in range(3))
    assert not first[:4000].any() and first[4000:].any() and len(waits) == 3
    np.testing.assert_allclose(second, level(np.repeat([1.0, 2.0], 4000)), rtol=1e-6)
    np.testing.assert_allclose(third, level(np.repeat([2.0, 3.0], 4000)), rtol=1e-6)


# Pages and pictures of a stream.


def test_a_stream_has_a_page_and_a_picture_of_its_last_window(
    scmrl, model, arrays, tmp_path, monkeypatch
):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    from scmrl.deploy.reports import figures

    shown = []
    real = figures.run_figures
    monkeypatch.setattr(figures, "run_figures", lambda *run: (shown.append(run), real(*run))[1])
    code, out, err = scmrl(
        model,
        "--stream",
        "--input",
        arrays,
        "--html",
        tmp_path / "p.html",
        "--picture",
        tmp_path / "p.svg",
        "--json",
    )
    assert code == 0, err
    decided = [d for d in map(json.loads, out.splitlines()) if d["type"] == "decision"]
    text = (tmp_path / "p.html").read_text()
    assert (
        text.count('<tr data-name="') == len(decided)
        and "Decisions" in text
        and "Spikes of the first" in text
    )
    assert (tmp_path / "p.svg").read_bytes().startswith(b"<?xml")
    ((graph, _, activity),) = shown
    with np.load(arrays) as file:
        last = {name: x[None, -3:] for name, x in file.items()}
    expected = reference.run(graph, last)
    for name, spikes in expected.spikes.items():
        assert (activity.spikes[name] == spikes).all(), name
    assert (activity.membrane["readout"] == expected.membrane["readout"]).all()


def test_a_stream_without_a_whole_window_has_no_picture(scmrl, model, arrays, tmp_path):
    with np.load(arrays) as file:
        np.savez(tmp_path / "short.npz", **{name: x[:2] for name, x in file.items()})
    code, _, err = scmrl(
        model, "--stream", "--input", tmp_path / "short.npz", "--picture", tmp_path / "p.png"
    )
    assert code == 3 and not (tmp_path / "p.png").exists(), err
