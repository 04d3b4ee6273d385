"""Search: scenes are made of what their labels say, and neither modality alone tells anything."""

import numpy as np
import pytest

from scmrl.core import reference
from scmrl.data.features import scenes, tasks
from scmrl.system.errors import DataError, UsageError


def drawn(samples, seed=3):
    """(digits, rows of the scenes, places)."""
    random = np.random.default_rng(seed)
    digit = random.permutation(np.arange(samples) % 10)
    return digit, *scenes.search(digit, random)


def uneven(counts):
    """How far counts [kinds, places] are from even places: 1 by chance, more where one tells."""
    expected = counts.sum(1, keepdims=True) / counts.shape[1]
    return ((counts - expected) ** 2 / expected).sum() / (len(counts) * (counts.shape[1] - 1))


def test_a_scene_shows_four_different_digits_and_the_sought_one_at_its_place():
    digit, rows, place = drawn(1000)
    shown = digit[rows]
    assert all(len(set(row)) == 4 for row in shown)
    assert np.array_equal(shown[np.arange(1000), place], digit)
    assert len(np.unique(rows)) > 900  # not always the same samples
    again = scenes.search(digit, np.random.default_rng(3))
    assert not np.array_equal(again[0], rows)  # the random numbers decide


def test_neither_modality_alone_says_where():
    """Of the sought digit, of each part of a scene, and of the set that it shows: all even."""
    digit, rows, place = drawn(200_000)
    shown = digit[rows]
    alone = np.zeros((10, 4))
    np.add.at(alone, (digit, place), 1)
    assert uneven(alone) < 1.5
    for part in range(4):
        counts = np.zeros((10, 4))
        np.add.at(counts, (shown[:, part], place), 1)
        assert uneven(counts) < 1.5
    rank = (np.sort(shown, 1) == digit[:, None]).argmax(1)  # of the sought one in its set
    sets = np.unique(np.sort(shown, 1), axis=0, return_inverse=True)[1].ravel()
    counts = np.zeros((sets.max() + 1, 4))
    np.add.at(counts, (sets, rank), 1)
    assert len(counts) == 210 and uneven(counts) < 1.2


def frames(samples=60):
    random = np.random.default_rng(5)
    size = (samples, 1, 8, 6)
    return {m: random.integers(0, 64, size).astype(np.uint8) for m in ("audio", "visual")}


def test_where_is_a_picture_of_four():
    encoded, digit = frames(), np.arange(60) % 10
    got, labels, digits = tasks.pose("where", encoded, digit, np.random.default_rng(1), 4)
    rows, place = scenes.search(digit, np.random.default_rng(1))
    assert np.array_equal(got["audio"], encoded["audio"]) and np.array_equal(labels, place)
    assert np.array_equal(digits, np.concatenate([digit[:, None], digit[rows]], 1))
    picture = got["visual"]
    assert picture.shape == encoded["visual"].shape and picture.dtype == np.uint8
    for part, (top, left) in enumerate([(0, 0), (0, 3), (4, 0), (4, 3)]):
        source = encoded["visual"][rows[:, part]].astype(float)
        mean = source.reshape(60, 1, 4, 2, 3, 2).mean((3, 5))
        assert np.array_equal(picture[:, :, top : top + 4, left : left + 3], np.floor(mean + 0.5))


@pytest.mark.parametrize("steps", [4, 8])
def test_when_is_a_stream_of_four(steps):
    encoded, digit = frames(), np.arange(60) % 10
    got, labels, digits = tasks.pose("when", encoded, digit, np.random.default_rng(1), steps)
    rows, place = scenes.search(digit, np.random.default_rng(1))
    assert np.array_equal(got["visual"], encoded["visual"]) and np.array_equal(labels, place)
    assert np.array_equal(digits, np.concatenate([digit[rows], digit[:, None]], 1))
    assert got["audio"].shape == (60, steps, 1, 8, 6)
    for t in range(steps):
        said = encoded["audio"][rows[:, t * 4 // steps]]
        assert np.array_equal(got["audio"][:, t], said)


def test_what_makes_no_scene_is_said_in_one_line():
    encoded, digit, random = frames(), np.arange(60) % 10, np.random.default_rng(1)
    odd = encoded | {"visual": encoded["visual"][..., 1:]}
    events = encoded | {"visual": np.zeros((60, 4, 1, 8, 6), np.uint8)}
    three = encoded | {"event": encoded["visual"]}
    for task, given, digits, steps, said in (
        ("where", odd, digit, 4, "visual: .*even sides"),
        ("where", events, digit, 4, "visual: .*still frames"),
        ("where", {"audio": encoded["audio"]}, digit, 4, "takes two modalities.*visual"),
        ("where", three, digit, 4, "takes two modalities"),
        ("when", encoded, digit, 6, "model.steps: .*multiple of 4"),
        ("where", encoded, digit % 3, 4, "different digits.*4 or more"),
    ):
        with pytest.raises(DataError, match=said) as refused:
            tasks.pose(task, given, digits, random, steps)
        assert "\n" not in str(refused.value)


def test_settings_of_a_search_are_checked():
    pytest.importorskip("torch", reason="training needs torch")
    from scmrl.train import config

    for settings, said in (
        ({"task": "were"}, "did you mean 'where'"),
        ({"task": "where", "model.modalities": ["audio"]}, "relates two modalities"),
        ({"task": "where", "model.modalities": ["audio", "event"]}, "a sound and an image"),
        ({"task": "when", "model.steps": 6}, "model.steps.*multiple of 4.*6"),
    ):
        with pytest.raises(UsageError, match=said):
            config.read(None, settings)
    config.read(None, {"task": "where", "model.steps": 6})


@pytest.mark.parametrize("attention", ["binary", "joint", "broadcast"])
@pytest.mark.parametrize("task", ["where", "when"])
def test_trained_frozen_evaluated_and_deployed_alike(few, tmp_path, task, attention):
    pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("lava", reason="lava-nc is not installed")
    from scmrl.core import bundle
    from scmrl.deploy import evaluation, jobs
    from scmrl.train import config
    from scmrl.train.run import loop

    small = {"model.width": 8, "train.epochs": 2, "train.held_out": 3, "train.auxiliary": 1.0}
    given = small | {"task": task, "model.attention": attention, "train.batch": 16}
    loop.train(config.read(None, given), tmp_path / "run")
    frozen = bundle.load(tmp_path / "run")
    assert frozen.graph.class_names == scenes.SCENES[task].names
    got = reference.run(frozen.graph, frozen.inputs)
    names = [*frozen.trained.spikes, "readout"]
    assert all(np.array_equal(got.values(n), frozen.trained.values(n)) for n in names)
    assert got.values("visual.stage1").any() and got.values("audio.stage1").any()
    deployed = jobs.deploy(tmp_path / "run", "lava-inprocess", samples=2)
    assert deployed.bit_exact and deployed.mismatches == 0
    report = evaluation.evaluate(tmp_path / "run")
    assert report.samples == 360 and f"task {task}" in report.selection
