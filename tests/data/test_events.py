"""Event recordings, the spiking cochlea, datasets made of them, and the tasks that relate two
digits.
"""

from __future__ import annotations

import dataclasses
import gzip
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import SHARED

from scmrl.core import reference
from scmrl.data import Corruption, FrontEnd, load
from scmrl.data.features import cochlea, tasks
from scmrl.data.features.corruption import corruption
from scmrl.data.features.pairs import WINDOW, Pairs
from scmrl.data.formats import events, nmnist
from scmrl.data.sets import triple_digits
from scmrl.data.sets.nmnist_fsdd import match
from scmrl.system.errors import DataError, ScmrlError, UsageError

RECORDED = SHARED
needs_recordings = pytest.mark.skipif(
    not (RECORDED / "nmnist").is_dir(), reason=f"no recordings in {RECORDED} (set SCMRL_DATA)"
)


def packed(rows) -> bytes:
    """(t, x, y, p) as N-MNIST stores them."""
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for t, x, y, p in rows)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 100_000), st.integers(0, 33), st.integers(0, 33), st.integers(0, 1)
        ),
        min_size=1,
        max_size=50,
    ),
    st.integers(0, 2**23 - 1),
)
def test_events_come_back_as_they_were_written(tmp_path_factory, rows, origin):
    """From wherever the camera's clock began, across its wrap too: times are those from the first
    event.
    """
    path = tmp_path_factory.mktemp("bs2") / "1.bs2"
    times = np.cumsum([t for t, *_ in rows])
    path.write_bytes(packed([((origin + int(t)) % 2**23, *row[1:]) for t, row in zip(times, rows)]))
    expected = [(int(t - times[0]), *row[1:]) for t, row in zip(times, rows)]
    assert [tuple(int(v) for v in e) for e in events.read_bs2(path)] == expected


@given(st.binary(max_size=60))
@settings(max_examples=200)
def test_any_bytes_give_events_or_one_clear_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("bs2") / "1.bs2"
    path.write_bytes(data)
    try:
        read = events.read_bs2(path)
    except ScmrlError as error:
        assert "1.bs2" in str(error)
    else:
        assert len(read) == len(data) / 5 and max(read["x"].max(), read["y"].max()) < 34


def test_damaged_recordings_are_named(tmp_path):
    for name, data, said in (
        ("cut", packed([(1, 2, 3, 0)])[:-1], "whole number of events"),
        ("empty", b"", "0 bytes"),
        ("far", packed([(1, 34, 3, 0)]), "34x34.*x 34"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"{name}.*{said}"):
            events.read_bs2(tmp_path / name)
    with pytest.raises(DataError, match="nothing: cannot read .got No such file"):
        events.read_bs2(tmp_path / "nothing")


def test_events_out_of_order_are_put_in_order_and_a_jump_back_is_refused(tmp_path):
    path = tmp_path / "1.bs2"
    path.write_bytes(
        packed([(500, 1, 1, 0), (20_000, 2, 2, 1), (10_000, 3, 3, 0), (400, 4, 4, 1)][:3])
    )
    assert [tuple(map(int, e)) for e in events.read_bs2(path)] == [
        (0, 1, 1, 0),
        (9_500, 3, 3, 0),
        (19_500, 2, 2, 1),
    ]
    path.write_bytes(
        packed([(500, 1, 1, 0), (20_000, 2, 2, 1), (9_999, 3, 3, 0), (30_000, 3, 3, 0)])
    )
    with pytest.raises(
        DataError, match="1.bs2: time jumps back .limit 10 ms, got 10.001 ms at event 3 of 4"
    ):
        events.read_bs2(path)
    path.write_bytes(
        packed([(0, 1, 1, 0), (2**22, 2, 2, 1)])
    )  # half the counter: on or back, nobody knows
    with pytest.raises(DataError, match="time jumps back"):
        events.read_bs2(path)


def test_a_first_event_that_comes_late_is_where_time_begins(tmp_path):
    path = tmp_path / "1.bs2"
    path.write_bytes(packed([(3_000, 1, 1, 0), (0, 2, 2, 1), (4_000, 3, 3, 0)]))
    assert events.read_bs2(path)["t"].tolist() == [0, 3_000, 4_000]


def test_a_pause_is_told_and_an_hour_is_the_most(tmp_path, capsys, monkeypatch):
    from scmrl.core.report import progress

    monkeypatch.setattr(progress, "_shown", True)
    path = tmp_path / "1.bs2"
    path.write_bytes(packed([(0, 1, 1, 0), (999_999, 2, 2, 1)]))
    assert len(events.read_bs2(path)) == 2 and not capsys.readouterr().err
    path.write_bytes(packed([(7, 1, 1, 0), (100, 1, 1, 0), (1_500_100, 2, 2, 1)]))
    assert len(events.read_bs2(path)) == 3
    assert "1.bs2: no event for 1.5 s, 9.3e-05 s after the first" in capsys.readouterr().err
    path.write_bytes(packed([(i * 4_000_000 % 2**23, 1, 1, 0) for i in range(902)]))
    with pytest.raises(DataError, match="too long.*3600 s, got 3604"):
        events.read_bs2(path)


def test_frames_hold_each_event_in_its_step_pixel_and_polarity():
    rows = np.array(
        [
            (0, 1, 1, 0),
            (99, 32, 32, 1),
            (100, 5, 6, 0),
            (250, 5, 6, 1),
            (399, 0, 5, 0),
            (999, 7, 8, 0),
        ],
        events.FIELDS,
    )
    got = events.frames(rows, 4, duration_us=400)
    expected = np.zeros((4, 2, 32, 32), np.uint8)
    for step, p, y, x in ((0, 0, 0, 0), (0, 1, 31, 31), (1, 0, 5, 4), (2, 1, 5, 4), (3, 0, 7, 6)):
        expected[step, p, y, x] = 1  # the event at x = 0 lies in the border that is cut off
    assert np.array_equal(got, expected)


def test_frames_count_events_up_to_what_their_bits_hold():
    rows = np.array([(t, 9, 9, 1) for t in range(6)], events.FIELDS)
    for bits, count in ((1, 1), (2, 3), (3, 6)):
        got = events.frames(rows, 1, duration_us=10, bits=bits)
        assert got[0, 1, 8, 8] == got.sum() == count
    assert events.frames(np.repeat(rows, 60), 1, duration_us=10, bits=8).max() == 255


def test_cochlea_hears_a_tone_in_its_band_and_silence_not_at_all():
    t = np.arange(WINDOW) / 8000
    sound = np.stack(
        [np.zeros(WINDOW), np.sin(2 * np.pi * 300 * t) * 1.4, np.sin(2 * np.pi * 2500 * t) * 1.4]
    )
    got = cochlea.spikes(sound.astype(np.float32), 4)
    assert got.shape == (3, 4, 1, 32, 32) and set(np.unique(got)) == {0, 1} and not got[0].any()
    low, high = (got[i].sum((0, 1, 3)).argmax() for i in (1, 2))
    assert low < 8 < 20 < high
    late = np.concatenate([np.zeros(2560), sound[1][: WINDOW - 2560]]).astype(
        np.float32
    )  # 0.32 s: half way
    halves = cochlea.spikes(late[None], 4)[0].sum((1, 2, 3))
    assert halves[0] == 0 and halves[2:].min() > 0
    assert np.array_equal(
        cochlea.spikes(late[None], 8)[0].sum(), cochlea.spikes(late[None], 8).sum()
    )


@pytest.mark.parametrize("steps", [3, 4])
def test_cochlea_is_its_equations_neuron_by_neuron(steps):
    """Mel power of 256 samples around each slot of 0.64 s / (32 T), 50 to 4000 Hz; log10 of it from
    -1.5 to 1.5 drives an integrate-and-fire neuron with a gain of a half.
    """
    librosa = pytest.importorskip("librosa")
    sound = np.random.default_rng(7).normal(size=WINDOW) * np.exp(-np.arange(WINDOW) / 1500)
    bank = librosa.filters.mel(
        sr=8000, n_fft=256, n_mels=32, fmin=50.0, fmax=4000.0, dtype=np.float64
    )
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    heard = np.concatenate([np.zeros(128), sound[:5120].astype(np.float32), np.zeros(256)])
    expected, u = np.zeros((steps, 32, 32), int), np.zeros(32)
    for slot in range(32 * steps):
        at = int(slot * 5120 / (32 * steps))
        power = bank @ np.abs(np.fft.rfft(heard[at : at + 256] * hann)) ** 2
        u += 0.5 * np.clip((np.log10(np.maximum(power, 1e-12)) + 1.5) / 3, 0, 1)
        fired = u >= 1
        u -= fired
        expected[slot // 32, :, slot % 32] = fired
    got = cochlea.spikes(sound.astype(np.float32)[None], steps)[0, :, 0]
    assert (
        np.mean(got != expected) < 1e-3 and 0.05 < expected.mean() < 0.4
    )  # to the rounding of a sum


def test_a_sound_is_the_same_in_every_batch():
    sound = np.random.default_rng(1).normal(size=(5, WINDOW)).astype(np.float32)
    assert np.array_equal(cochlea.spikes(sound, 4)[3], cochlea.spikes(sound[3:4], 4)[0])


# Tasks.


@pytest.mark.parametrize("task, names", [("name", 10), ("correspondence", 2), ("sum", 19)])
def test_task_has_its_classes_and_its_labels_follow_from_the_digits(task, names):
    random = np.random.default_rng(2)
    digit = random.integers(0, 10, 500)
    encoded = {"audio": digit[:, None] + 100, "visual": digit[:, None] + 200}
    got, labels, digits = tasks.pose(task, encoded, digit, random, 4)
    first, second = got["audio"][:, 0] - 100, got["visual"][:, 0] - 200
    assert np.array_equal(digits, np.stack([first, second], 1)) and np.array_equal(first, digit)
    expected = {
        "name": digit,
        "correspondence": (first == second).astype(int),
        "sum": first + second,
    }[task]
    assert np.array_equal(labels, expected) and len(tasks.class_names(task, 10)) == names
    if task == "correspondence":
        assert 0.4 < labels.mean() < 0.6
    if task == "sum":
        assert sorted(second) == sorted(digit) and (first != second).mean() > 0.8


def test_fixed_partners_are_the_same_in_every_run():
    digit = np.arange(100) % 10
    a, b = (tasks.relate("correspondence", digit, tasks.fixed()) for _ in range(2))
    assert np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])
    with pytest.raises(UsageError, match="task.*summ.*sum"):
        tasks.check_classes("summ", None, None)


# Corruption.


def some_pairs() -> Pairs:
    random = np.random.default_rng(3)
    n = 40
    return Pairs(
        np.zeros(n, int),
        np.arange(n),
        "test",
        "mine",
        10,
        random.normal(size=(n, WINDOW)).astype(np.float32),
        random.random((n, 28, 28)).astype(np.float32),
        {"event": (random.random((n, 3, 2, 32, 32)) < 0.1).astype(np.uint8)},
    )


def test_hard_events_are_fewer_and_some_come_from_nowhere():
    pairs, noise = some_pairs(), Corruption(event_keep=0.25, event_noise=0.06)  # over three steps
    pairs.recorded["event"][:] *= 5
    noisy = noise.apply(pairs, 0).recorded["event"]
    was = pairs.recorded["event"] > 0
    assert (
        abs(noisy[was].mean() - 5 * 0.25 - 0.02) < 0.02 and abs(noisy[~was].mean() - 0.02) < 0.002
    )
    assert np.array_equal(noisy, noise.apply(pairs, 0).recorded["event"])
    assert (Corruption(event_keep=0.0).apply(pairs, 0).recorded["event"] == 0).all()


def test_a_pixel_that_saw_as_many_events_as_it_holds_sees_no_more():
    pairs = dataclasses.replace(
        some_pairs(), recorded={"event": np.full((40, 3, 2, 32, 32), 255, np.uint8)}
    )
    assert (Corruption(event_noise=3.0).apply(pairs, 0).recorded["event"] == 255).all()


def test_hard_and_severe_are_what_the_results_say():
    assert corruption(False, "one") == Corruption()
    assert corruption(True, "all") == Corruption(
        audio_snr_db=0.0, pixel_keep=0.25, pixel_noise=0.3, event_keep=0.1, event_noise=0.6
    )
    assert corruption(True, "one") == Corruption(
        audio_snr_db=-12.0,
        pixel_keep=0.05,
        pixel_noise=0.5,
        event_keep=0.02,
        event_noise=1.0,
        spoil="one",
    )


def test_event_noise_out_of_range_is_refused():
    with pytest.raises(UsageError, match="event_noise.*0 to 1000"):
        Corruption(event_noise=-0.1)
    with pytest.raises(UsageError, match="event_keep.*0 to 1"):
        Corruption(event_keep=1.1)


# What enters the network.


def test_events_enter_as_spikes_or_counts():
    counts = np.random.default_rng(4).integers(0, 12, (40, 3, 2, 32, 32)).astype(np.uint8)
    pairs = dataclasses.replace(some_pairs(), recorded={"event": counts})
    for bits in (1, 3):
        front_end = FrontEnd.from_dict(FrontEnd.fit(pairs, event_bits=bits).to_dict())
        got = front_end.encode_pairs(pairs)
        assert np.array_equal(got["event"], np.minimum(counts, 2**bits - 1))
        assert {m: front_end.input_bits(pairs, m) for m in got} == {
            "audio": 6,
            "visual": 6,
            "event": bits,
        }
    heard = dataclasses.replace(pairs, cochlea_steps=3)
    got = front_end.encode_pairs(heard)
    assert (
        got["audio"].shape == (40, 3, 1, 32, 32)
        and got["audio"].max() == front_end.input_bits(heard, "audio") == 1
    )


def test_a_front_end_from_before_event_bits_reads_spikes():
    settings = FrontEnd.fit(some_pairs(), event_bits=3).to_dict()
    del settings["event_bits"]
    assert FrontEnd.from_dict(settings).event_bits == 1
    with pytest.raises(DataError, match="event_bits"):
        FrontEnd.from_dict(settings | {"event_bits": 9})


def test_one_of_spoils_exactly_one_modality_and_which_one_varies():
    pairs = some_pairs()
    noisy = corruption(True, "one").apply(pairs, 0)
    changed = np.stack(
        [
            (noisy.waveform != pairs.waveform).any(1),
            (noisy.image != pairs.image).any((1, 2)),
            (noisy.recorded["event"] != pairs.recorded["event"]).any((1, 2, 3, 4)),
        ]
    )
    assert (changed.sum(0) == 1).all() and (changed.sum(1) > 4).all()


# Datasets: tests run where the recordings are.


@needs_recordings
@pytest.mark.parametrize(
    "name, modalities",
    [("nmnist-fsdd", {"audio", "visual"}), ("triple-digits", {"audio", "visual", "event"})],
)
def test_dataset_of_events(name, modalities):
    train, test = (
        load(name, split=split, data_dir=RECORDED, steps=4) for split in ("train", "test")
    )
    encoded = FrontEnd.fit(train.take(np.arange(200))).encode_pairs(test)
    assert set(encoded) == modalities and np.array_equal(np.bincount(test.label), [60] * 10)
    for m in modalities - ({"audio", "visual"} if name == "triple-digits" else set()):
        assert encoded[m].shape[1] == 4 and set(np.unique(encoded[m])) == {0, 1}
    again = load(name, split="test", data_dir=RECORDED, steps=4)
    assert np.array_equal(again.label, test.label)
    assert all(np.array_equal(again.recorded[m], test.recorded[m]) for m in test.recorded)


@needs_recordings
def test_validation_shares_no_event_recording_with_training():
    pytest.importorskip("torch", reason="training needs torch")
    from scmrl.train.feed import split_groups

    pairs = load("nmnist-fsdd", split="train", data_dir=RECORDED, steps=2)
    train, validation = split_groups(pairs, 0.1, 42)
    assert not set(train.group) & set(validation.group) and not set(train.row) & set(validation.row)
    assert 0.07 < len(validation) / len(pairs) < 0.13


def test_missing_and_damaged_recordings_are_named(tmp_path):
    with pytest.raises(DataError, match="nmnist-fsdd reads recordings from a folder"):
        load("nmnist-fsdd", split="test")
    (tmp_path / "nmnist").mkdir()
    (tmp_path / "nmnist" / "test100.txt").write_text("#sample class\n60001 7\n60002 x\n")
    with pytest.raises(DataError, match="test100.txt: line 3"):
        load("nmnist-fsdd", split="test", data_dir=tmp_path)
    (tmp_path / "nmnist" / "test100.txt").write_text("60001\t7\n60002\t2\n")
    (tmp_path / "nmnist" / "train1K.txt").write_text("1 5\n")
    (tmp_path / "nmnist" / "60001.bs2").write_bytes(b"12345678")
    with pytest.raises(DataError, match="60001.bs2: not a whole number of events"):
        load("nmnist-fsdd", split="test", data_dir=tmp_path)


# From generated recordings, in the published layouts, to a deployed model.


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """150 train and 50 test takes; 8 train and 5 test event recordings and 5 images of each digit:
    a tone, a column.
    """
    root, random = tmp_path_factory.mktemp("data"), np.random.default_rng(6)
    for folder in ("fsdd/recordings", "nmnist", "mnist"):
        (root / folder).mkdir(parents=True)
    index = {"train1K": [], "test100": []}
    for digit in range(10):
        for take in range(20):
            tone = 8000 * np.sin(
                2 * np.pi * (300 + 150 * digit) * np.arange(1600 + 40 * take) / 8000
            )
            with wave.open(str(root / f"fsdd/recordings/{digit}_ann_{take}.wav"), "wb") as writer:
                writer.setnchannels(1), writer.setsampwidth(2), writer.setframerate(8000)
                writer.writeframes(tone.astype("<i2").tobytes())
        for i in range(13):
            number = (60001 if i < 5 else 1) + 10 * i + digit
            index["test100" if i < 5 else "train1K"].append(f"{number} {digit}")
            rows = [
                (t, 3 + 3 * digit, y, p)
                for t, y, p in zip(
                    np.sort(random.integers(0, 300_000, 400)),
                    *random.integers(0, (34, 2), (400, 2)).T,
                )
            ]
            (root / f"nmnist/{number}.bs2").write_bytes(
                packed([tuple(map(int, row)) for row in rows])
            )
    for name, lines in index.items():
        (root / f"nmnist/{name}.txt").write_text("#sample class\n" + "\n".join(lines))
    for half, extra in (("train", 1000), ("t10k", 100)):
        label = np.arange(extra + 250) % 10
        image = np.zeros((len(label), 28, 28), np.uint8)
        image[np.arange(len(label)), :, 2 * label + 4] = 255
        image[:extra, 0, 0] = 77  # these N-MNIST has filmed
        for kind, array in (("images-idx3", image), ("labels-idx1", label.astype(np.uint8))):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (root / f"mnist/{half}-{kind}-ubyte.gz").write_bytes(
                gzip.compress(header + array.tobytes())
            )
    return root


@pytest.mark.parametrize("split", ["train", "test"])
def test_triples_show_one_digit_and_never_an_image_that_was_filmed(tree, split):
    pairs = load("triple-digits", split=split, data_dir=tree, steps=2)
    columns = pairs.recorded["event"].sum((1, 2, 3)).argmax(1)
    assert np.array_equal(columns, 2 + 3 * pairs.label)
    assert (
        np.array_equal(pairs.image.sum(1).argmax(1), 2 * pairs.label + 4)
        and pairs.image[:, 0, 0].max() == 0
    )
    assert len(pairs) == {"train": 150, "test": 250}[split] and triple_digits.FILMED[split] < 1001


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_row_hears_and_sees_one_digit_and_recordings_are_used_evenly(tree, split):
    pairs = load("nmnist-fsdd", split=split, data_dir=tree, steps=4)
    columns = pairs.recorded["visual"].sum((1, 2, 3)).argmax(1)
    assert np.array_equal(columns, 2 + 3 * pairs.label) and pairs.cochlea_steps == 4
    heard = np.abs(np.fft.rfft(pairs.waveform[:, :1600])).argmax(1) * 5
    assert np.abs(heard - (300 + 150 * pairs.label)).max() <= 5
    assert np.array_equal(np.bincount(pairs.label), [{"train": 15, "test": 25}[split]] * 10)
    used = np.bincount(pairs.group)
    assert len(used) == {"train": 80, "test": 50}[split] and used.max() - used.min() <= 1
    lengths = np.max(np.where(pairs.waveform != 0, np.arange(8000), 0), 1) + 1
    takes = set(np.round((lengths - 1600) / 40).astype(int))
    assert takes == (set(range(5, 20)) if split == "train" else set(range(5)))
    encoded = FrontEnd.fit(pairs).encode_pairs(pairs)
    assert set(encoded) == {"audio", "visual"}
    assert all(x.shape[1] == 4 and set(np.unique(x)) == {0, 1} for x in encoded.values())
    again = load("nmnist-fsdd", split=split, data_dir=tree, steps=4)
    other = load("nmnist-fsdd", split=split, data_dir=tree, steps=4, seed=1)
    assert np.array_equal(again.group, pairs.group) and not np.array_equal(other.group, pairs.group)


def test_a_take_meets_different_recordings_of_its_digit():
    spoken, digit = np.repeat([3, 7], 4), np.array([7, 3, 3, 7, 3, 7, 7])
    take, event = match(spoken, digit, 3, np.random.default_rng(0))
    assert np.array_equal(spoken[take], digit[event]) and np.array_equal(np.bincount(take), [3] * 8)
    assert all(len(set(event[take == t])) == 3 for t in range(8))
    used = np.bincount(event, minlength=7)
    assert used[digit == 3].tolist() == [4, 4, 4] and np.ptp(used[digit == 7]) <= 2
    few, _ = match(np.array([3]), np.array([3, 3]), 5, np.random.default_rng(0))
    assert len(few) == 2  # all there are


def test_a_digit_with_few_test_recordings_takes_the_last_of_its_training_ones(tree, tmp_path):
    """As the part at hand is: training does without those, and no recording is in both."""
    import shutil

    shutil.copytree(tree, tmp_path / "data")
    folder = tmp_path / "data" / "nmnist"
    for number in (60001 + 10 * i + 4 for i in range(3)):  # of digit 4 two test recordings are left
        (folder / f"{number}.bs2").unlink()
    whole = {split: nmnist.recordings(tree, split, 2, []) for split in ("train", "test")}
    got = {split: nmnist.recordings(tmp_path / "data", split, 2, []) for split in ("train", "test")}
    assert np.bincount(got["test"][1]).tolist() == [5] * 10
    assert np.bincount(got["train"][1]).tolist() == [8] * 4 + [5] + [8] * 5
    moved = got["test"][0][-3:]
    assert np.array_equal(moved, whole["train"][0][whole["train"][1] == 4][-3:])
    seen = {x.tobytes() for x in got["train"][0]}
    assert not [x for x in got["test"][0] if x.tobytes() in seen]
    for number in (60001 + 10 * i + 4 for i in range(3, 5)):
        (folder / f"{number}.bs2").unlink()
    for number in (
        1 + 10 * i + 4 for i in range(8, 13)
    ):  # and of training ones too few to give any away
        (folder / f"{number}.bs2").unlink()
    left = {
        split: np.bincount(nmnist.recordings(tmp_path / "data", split, 2, [])[1], minlength=10)[4]
        for split in ("train", "test")
    }
    assert left == {"train": 3, "test": 0}


def test_validation_shares_neither_takes_nor_recordings_with_training(tree):
    pytest.importorskip("torch", reason="training needs torch")
    from scmrl.train.feed import split_groups

    pairs = load("nmnist-fsdd", split="train", data_dir=tree, steps=2)
    for seed in (42, 43):
        train, validation = split_groups(pairs, 0.1, seed)
        assert not set(train.group) & set(validation.group) and not set(train.row) & set(
            validation.row
        )
        assert len(set(validation.group)) == 8 and len(train) + len(validation) == 150


def feed_of(tree, **settings):
    pytest.importorskip("torch", reason="training needs torch")
    from scmrl.train import config, feed

    return feed.Feed(
        config.read(None, {"dataset": "nmnist-fsdd", "model.steps": 2, **settings}), str(tree)
    )


def test_partners_are_drawn_anew_in_every_epoch_and_stay_in_validation_and_test(tree):
    first, second = (
        feed_of(tree, task="correspondence", **{"train.seed": seed}) for seed in (1, 2)
    )
    epochs = [first.epoch(e) for e in (0, 1, 0)]
    assert np.array_equal(epochs[0].digits, epochs[2].digits) and not np.array_equal(
        epochs[0].digits, epochs[1].digits
    )
    assert np.array_equal(epochs[0].order, epochs[2].order)
    assert np.array_equal(first.test.digits, second.test.digits)
    assert np.array_equal(
        first.test.labels, (first.test.digits[:, 0] == first.test.digits[:, 1]).astype(int)
    )
    assert first.classes == ("differ", "agree") and 0.35 < first.test.labels.mean() < 0.65


def test_settings_of_events_and_tasks_are_checked():
    pytest.importorskip("torch", reason="training needs torch")
    from scmrl.train import config

    for settings, said in (
        ({"event_bits": 9}, "event_bits.*1..8"),
        ({"task": "sums"}, "did you mean 'sum'"),
        ({"task": "sum", "model.modalities": ["audio"]}, "relates two modalities"),
        ({"spoil": "on"}, "did you mean 'one'"),
    ):
        with pytest.raises(UsageError, match=said):
            config.read(None, settings)


def test_a_modality_that_the_dataset_lacks_is_named(tree):
    with pytest.raises(DataError, match="nmnist-fsdd: .*no such modality.*event.*audio"):
        feed_of(tree, **{"model.modalities": ["audio", "event"]})


def test_naming_teaches_every_embedding():
    torch = pytest.importorskip("torch", reason="training needs torch")
    from scmrl.train.loss import Naming

    rates = {m: torch.rand(6, 8, 1, requires_grad=True) for m in ("audio", "visual")}
    loss = Naming(8, 10, tuple(rates))(rates, torch.randint(0, 10, (6, 2)))
    loss.backward()
    assert all(r.grad.abs().sum() > 0 for r in rates.values())


RUNS = {
    "events, one spoilt": {
        "dataset": "nmnist-fsdd",
        "hard": True,
        "spoil": "one",
        "model.steps": 4,
    },
    "sum of three": {
        "dataset": "triple-digits",
        "task": "sum",
        "model.modalities": ["audio", "visual", "event"],
        "train.auxiliary": 1.0,
    },
    "counts, agree": {
        "dataset": "triple-digits",
        "task": "correspondence",
        "model.modalities": ["audio", "event"],
        "event_bits": 3,
        "train.auxiliary": 1.0,
    },
    "events alone": {"dataset": "triple-digits", "model.modalities": ["event"]},
}


@pytest.mark.parametrize("settings", RUNS.values(), ids=list(RUNS))
def test_trained_frozen_evaluated_and_deployed_alike(tree, tmp_path, settings):
    pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("lava", reason="lava-nc is not installed")
    from scmrl.core import bundle
    from scmrl.deploy import evaluation, jobs
    from scmrl.train import config
    from scmrl.train.run import loop

    small = {
        "model.steps": 2,
        "model.width": 8,
        "train.epochs": 1,
        "train.held_out": 3,
        "train.fold_fraction": 1.0,
    }
    metrics = loop.train(
        config.read(None, small | settings), tmp_path / "run", data_dir=str(tree)
    ).metrics
    frozen = bundle.load(tmp_path / "run")
    bits = {p.name: p.bits for p in frozen.graph.of_kind("input")}
    assert bits.get("event", 1) == settings.get("event_bits", 1)
    got = reference.run(frozen.graph, frozen.inputs)
    assert all(
        np.array_equal(got.values(n), frozen.trained.values(n))
        for n in [*frozen.trained.spikes, "readout"]
    )
    report = evaluation.evaluate(tmp_path / "run", data_dir=str(tree))
    assert report.correct == metrics["test_correct"] and report.samples == 250
    deployed = jobs.deploy(tmp_path / "run", "lava-inprocess", samples=2)
    assert deployed.bit_exact and deployed.mismatches == 0
