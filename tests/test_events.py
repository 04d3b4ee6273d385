"""Event recordings, the spiking cochlea, datasets made of them, and the tasks that relate two digits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scmrl.data import HARD, FrontEnd, cochlea, events, load, tasks
from scmrl.data.corruption import corruption
from scmrl.data.pairs import WINDOW, Pairs
from scmrl.errors import DataError, ScmrlError, UsageError


RECORDED = Path(os.environ.get("SCMRL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
needs_recordings = pytest.mark.skipif(not (RECORDED / "nmnist").is_dir(),
                                      reason=f"no recordings in {RECORDED} (set SCMRL_DATA)")


def packed(rows) -> bytes:
    """(t, x, y, p) as N-MNIST stores them."""
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for t, x, y, p in rows)


@given(st.lists(st.tuples(st.integers(0, 2**23 - 1), st.integers(0, 33), st.integers(0, 33), st.integers(0, 1)),
                min_size=1, max_size=50))
def test_events_come_back_as_they_were_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("bs2") / "1.bs2"
    path.write_bytes(packed(rows))
    assert [tuple(int(v) for v in e) for e in events.read_bs2(path)] == rows


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
    for name, data, said in (("cut", packed([(1, 2, 3, 0)])[:-1], "whole number of events"), ("empty", b"", "0 bytes"),
                             ("far", packed([(1, 34, 3, 0)]), "34x34.*x 34")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"{name}.*{said}"):
            events.read_bs2(tmp_path / name)
    with pytest.raises(DataError, match="nothing.*No such file"):
        events.read_bs2(tmp_path / "nothing")


def test_frames_hold_each_event_in_its_step_pixel_and_polarity():
    rows = np.array([(0, 1, 1, 0), (99, 32, 32, 1), (100, 5, 6, 0), (250, 5, 6, 1), (399, 0, 5, 0), (999, 7, 8, 0)],
                    events.FIELDS)
    got = events.frames(rows, 4, duration_us=400)
    expected = np.zeros((4, 2, 32, 32), np.uint8)
    for step, p, y, x in ((0, 0, 0, 0), (0, 1, 31, 31), (1, 0, 5, 4), (2, 1, 5, 4), (3, 0, 7, 6)):
        expected[step, p, y, x] = 1                         # the event at x = 0 lies in the border that is cut off
    assert np.array_equal(got, expected)


def test_cochlea_hears_a_tone_in_its_band_and_silence_not_at_all():
    t = np.arange(WINDOW) / 8000
    sound = np.stack([np.zeros(WINDOW), np.sin(2 * np.pi * 300 * t) * 1.4, np.sin(2 * np.pi * 2500 * t) * 1.4])
    got = cochlea.spikes(sound.astype(np.float32), 4)
    assert got.shape == (3, 4, 1, 32, 32) and set(np.unique(got)) == {0, 1} and not got[0].any()
    low, high = (got[i].sum((0, 1, 3)).argmax() for i in (1, 2))
    assert low < 8 < 20 < high
    late = np.concatenate([np.zeros(2560), sound[1][:WINDOW - 2560]]).astype(np.float32)        # 0.32 s: half way
    halves = cochlea.spikes(late[None], 4)[0].sum((1, 2, 3))
    assert halves[0] == 0 and halves[2:].min() > 0
    assert np.array_equal(cochlea.spikes(late[None], 8)[0].sum(), cochlea.spikes(late[None], 8).sum())


def test_a_sound_is_the_same_in_every_batch():
    sound = np.random.default_rng(1).normal(size=(5, WINDOW)).astype(np.float32)
    assert np.array_equal(cochlea.spikes(sound, 4)[3], cochlea.spikes(sound[3:4], 4)[0])


# Tasks.

@pytest.mark.parametrize("task, names", [("name", 10), ("correspondence", 2), ("sum", 19)])
def test_task_has_its_classes_and_its_labels_follow_from_the_digits(task, names):
    random = np.random.default_rng(2)
    digit = random.integers(0, 10, 500)
    encoded = {"audio": digit[:, None] + 100, "visual": digit[:, None] + 200}
    got, labels, digits = tasks.pose(task, encoded, digit, random)
    first, second = got["audio"][:, 0] - 100, got["visual"][:, 0] - 200
    assert np.array_equal(digits, np.stack([first, second], 1)) and np.array_equal(first, digit)
    expected = {"name": digit, "correspondence": (first == second).astype(int), "sum": first + second}[task]
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
        tasks.check("summ")


# Corruption.

def some_pairs() -> Pairs:
    random = np.random.default_rng(3)
    n = 40
    return Pairs(np.zeros(n, int), np.arange(n), "test", "mine", 10, random.normal(size=(n, WINDOW)).astype(np.float32),
                 random.random((n, 28, 28)).astype(np.float32),
                 {"event": (random.random((n, 3, 2, 32, 32)) < 0.1).astype(np.uint8)})


def test_hard_events_are_fewer_and_some_come_from_nowhere():
    pairs = some_pairs()
    noisy = HARD.apply(pairs, 0).recorded["event"]
    was = pairs.recorded["event"] > 0
    assert abs(noisy[was].mean() - 0.26) < 0.02 and abs(noisy[~was].mean() - 0.02) < 0.004
    assert np.array_equal(noisy, HARD.apply(pairs, 0).recorded["event"]) and set(np.unique(noisy)) == {0, 1}


def test_one_of_spoils_exactly_one_modality_and_which_one_varies():
    pairs = some_pairs()
    noisy = corruption(True, "one").apply(pairs, 0)
    changed = np.stack([(noisy.waveform != pairs.waveform).any(1), (noisy.image != pairs.image).any((1, 2)),
                        (noisy.recorded["event"] != pairs.recorded["event"]).any((1, 2, 3, 4))])
    assert (changed.sum(0) == 1).all() and (changed.sum(1) > 4).all()


# Datasets: tests run where the recordings are.

@needs_recordings
@pytest.mark.parametrize("name, modalities", [("nmnist-fsdd", {"audio", "visual"}),
                                              ("triple-digits", {"audio", "visual", "event"})])
def test_dataset_of_events(name, modalities):
    train, test = (load(name, split=split, data_dir=RECORDED, steps=4) for split in ("train", "test"))
    encoded = FrontEnd.fit(train.take(np.arange(200))).encode_pairs(test)
    assert set(encoded) == modalities and np.array_equal(np.bincount(test.label), [60] * 10)
    for x in train.recorded.values():
        assert x.shape[1] == 4 and set(np.unique(x)) == {0, 1}
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
