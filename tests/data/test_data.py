"""Datasets, corruption and the front-end: what training and deployment rely on."""

import dataclasses
import gzip
import json
import subprocess
import sys
import wave

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from places import ROOT, SHARED

from scmrl.data import CLEAN, HARD, Corruption, FrontEnd, Pairs, load
from scmrl.data.features.pairs import stream, unit_window
from scmrl.data.formats import idx
from scmrl.data.formats.idx import read_idx
from scmrl.data.formats.picture import grey
from scmrl.data.formats.sound import read_sound, resample
from scmrl.data.sets import av_mnist
from scmrl.data.sets.digits_av import recordings, scans
from scmrl.system.errors import DataError, MissingDependency, UsageError

pytest.importorskip("librosa", reason="spectrograms need librosa")
pytest.importorskip("sklearn", reason="the scans are scikit-learn's")
soundfile = pytest.importorskip("soundfile", reason="sound needs soundfile")
Image = pytest.importorskip("PIL.Image", reason="pictures need pillow")

ASSETS = ROOT / "scmrl" / "data" / "sets" / "assets"
RECORDED = SHARED
SPEAKERS = ("ann", "bob")
TAKES = (0, 4, 5, 6)


def write_wav(path, samples, rate=8000, width=2, channels=1):
    pcm = np.round(np.asarray(samples, float) * (2 ** (8 * width - 1) - 1)).astype("<i4")
    octets = pcm.view(np.uint8).reshape(-1, 4)[:, :width]
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(octets.tobytes() if width > 1 else (octets + np.uint8(128)).tobytes())


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0))


def tone(label, length=2400):
    return 0.5 * np.sin(2 * np.pi * (200 + 150 * label) * np.arange(length) / 8000)


@pytest.fixture
def tree(tmp_path):
    """A data_dir in the published layouts: 2 speakers, 2 takes and 20 images of each digit a split.

    Pixel (0, 0) of an image tells its label, pixel (0, 1) its number, pixel (0, 2) its split.
    """
    recordings, mnist = tmp_path / "fsdd" / "recordings", tmp_path / "mnist"
    recordings.mkdir(parents=True)
    mnist.mkdir()
    for label in range(10):
        for speaker in SPEAKERS:
            for take in TAKES:
                write_wav(recordings / f"{label}_{speaker}_{take}.wav", tone(label, 2000 + take))
    for split, stem in enumerate(("train", "t10k")):
        label = np.tile(np.arange(10), 20)
        image = np.zeros((200, 28, 28), np.uint8)
        image[:, 0, 0], image[:, 0, 1], image[:, 0, 2] = label, np.arange(200), split
        write_idx(mnist / f"{stem}-images-idx3-ubyte.gz", image)
        write_idx(mnist / f"{stem}-labels-idx1-ubyte.gz", label)
    return tmp_path


@pytest.fixture(scope="module")
def train():
    return load("digits-av", split="train")


@pytest.fixture(scope="module")
def test():
    return load("digits-av", split="test")


@pytest.fixture(scope="module")
def front_end(train):
    return FrontEnd.fit(train.take(np.arange(0, len(train), 8)))


def equal(a, b):
    return all(
        np.array_equal(getattr(a, f), getattr(b, f)) for f in ("waveform", "image", "label", "row")
    )


# digits-av


def test_digits_av_sizes_and_ranges(train, test):
    assert (len(train), len(test)) == (1437, 360)
    assert np.array_equal(np.bincount(test.label), [36] * 10)
    for pairs in (train, test):
        assert pairs.waveform.shape == (len(pairs), 8000) and pairs.waveform.dtype == np.float32
        assert pairs.image.shape == (len(pairs), 28, 28) and pairs.image.dtype == np.float32
        assert pairs.label.dtype == np.int64 and pairs.classes == 10
        assert pairs.image.min() >= 0 and pairs.image.max() <= 1
        assert (pairs.image.max(axis=(1, 2)) > 0.5).all()


def test_digits_av_speech_has_unit_rms(test):
    length = np.max(np.where(test.waveform != 0, np.arange(8000), 0), axis=1) + 1
    rms = np.sqrt((test.waveform.astype(float) ** 2).sum(axis=1) / length)
    assert np.allclose(rms, 1, atol=0.05)  # a clip may end on zeros, which this does not count


def test_digits_av_splits_share_no_voice_and_no_image(train, test):
    index = json.loads((ASSETS / "digits_av.json").read_text())
    voices = {split: {row["voice"] for row in index[split]} for split in ("train", "test")}
    variants = {split: {voice.split("+")[1] for voice in voices[split]} for split in voices}
    assert len(voices["train"]) > 200 and len(voices["test"]) > 50
    assert not variants["train"] & variants["test"]
    seen = {image.tobytes() for image in train.image}
    assert not [image for image in test.image if image.tobytes() in seen]


def test_digits_av_never_uses_a_clip_twice(train, test):
    for pairs in (train, test):
        assert len({waveform.tobytes() for waveform in pairs.waveform}) == len(pairs)


def test_digits_av_pairs_by_digit(test):
    said = {unit_window(clip).tobytes(): label for clip, label in zip(*recordings("test"))}
    assert [said[waveform.tobytes()] for waveform in test.waveform] == test.label.tolist()
    drawn = {scan.tobytes(): label for scan, label in zip(*scans("test"))}
    assert len(drawn) == 360 and list(drawn.values()) == test.label.tolist()


def test_digits_av_images_are_the_scans_between_pixel_centres(test):
    """Bilinear: pixel i of 28 lies at (i + 1/2) 8 / 28 - 1/2 of the scan's eight; 16 of ink is
    white.
    """
    from sklearn.datasets import load_digits

    ink = load_digits().images
    assert {np.rint(x * 255 / 16).astype(np.uint8).tobytes() for x in ink} > {
        scan.tobytes() for scan in scans("test")[0]
    }
    place = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)
    weight = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(8)))
    for scan, image in zip(scans("test")[0], test.image):
        assert np.abs(weight @ (scan / 255.0) @ weight.T - image).max() < 0.01


def test_digits_av_keeps_its_split(test):
    """What was tested on stays what is tested on."""
    import hashlib

    images = hashlib.sha256(scans("test")[0].tobytes()).hexdigest()
    assert images[:16] == "37ba0c5942538370" and test.label.tolist() == sorted(test.label.tolist())


def test_digits_av_assets_are_small_and_whole():
    index = json.loads((ASSETS / "digits_av.json").read_text())
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 6e6
    for split in ("train", "test"):
        info = soundfile.info(ASSETS / f"digits_av_{split}.flac")
        assert (info.samplerate, info.channels) == (index["sample_rate"], 1) == (8000, 1)
        assert index[split][-1]["stop"] == info.frames
        assert all(row["stop"] - row["start"] > 900 for row in index[split])


def test_the_seed_decides_the_pairing_and_nothing_else(test):
    assert equal(test, load("digits-av", split="test"))
    other = load("digits-av", split="test", seed=1)
    assert np.array_equal(test.image, other.image) and not np.array_equal(
        test.waveform, other.waveform
    )


def test_a_library_that_is_not_installed_is_named(monkeypatch, front_end, test):
    packages = {"soundfile": "soundfile", "sklearn.datasets": "scikit-learn", "PIL.Image": "pillow"}
    for module, package in packages.items():
        with monkeypatch.context() as without:
            without.setitem(sys.modules, module, None)
            with pytest.raises(
                MissingDependency, match=f"{package} is not installed.*digits-av.*pip"
            ):
                load("digits-av", split="test")
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(MissingDependency, match="librosa"):
        front_end.encode_audio(test.waveform[:1])


def test_importing_the_package_needs_numpy_alone():
    code = (
        "import sys, scmrl.data; "
        "print(*({'torch', 'librosa', 'soundfile', 'sklearn', 'PIL', 'scipy'} & set(sys.modules)))"
    )
    seen = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    assert not seen.split()


def test_load_refuses_what_it_does_not_know():
    with pytest.raises(UsageError, match="did you mean 'av-mnist'.*digits-av"):
        load("av-mnits", split="train")
    with pytest.raises(UsageError, match="train or test.*validation"):
        load("digits-av", split="validation")
    with pytest.raises(UsageError, match="seed"):
        load("digits-av", split="train", seed=-1)
    for steps in (0, -1, 4097):
        with pytest.raises(UsageError, match=f"steps.*1 to 4096, got {steps}"):
            load("digits-av", split="train", steps=steps)
    with pytest.raises(UsageError, match="leave data_dir out"):
        load("digits-av", split="train", data_dir="anywhere")
    with pytest.raises(DataError, match="data_dir.*fsdd/recordings"):
        load("av-mnist", split="train")


# Pairs


def test_take_keeps_rows(test):
    some = test.take(np.array([5, 300, 7]))
    assert len(some) == 3 and some.row.tolist() == [5, 300, 7]
    assert np.array_equal(some.image[1], test.image[300])


def test_pairs_refuse_arrays_that_do_not_fit():
    with pytest.raises(DataError, match="mine.image: wrong shape"):
        Pairs(
            np.zeros(2), np.arange(2), "train", "mine", 10, np.zeros((2, 8000)), np.zeros((2, 8, 8))
        )


@pytest.mark.parametrize("label, refused", [([0, 9], False), ([0, 10], True), ([-1, 3], True)])
def test_pairs_refuse_labels_that_are_no_classes(label, refused):
    def pairs():
        return Pairs(np.array(label), np.arange(2), "train", "mine", 10, np.zeros((2, 8000)))

    if refused:
        with pytest.raises(DataError, match=r"mine.label: labels are no classes .*limit 0..9"):
            pairs()
    else:
        assert len(pairs()) == 2


# av-mnist


def test_av_mnist_pairs_by_digit_and_splits_by_take(tree):
    train, test = (load("av-mnist", split=split, data_dir=tree) for split in ("train", "test"))
    assert (len(train), len(test)) == (40, 200)
    for split, pairs, takes in ((0, train, (5, 6)), (1, test, (0, 4))):
        tag = np.round(pairs.image[:, 0, :3] * 255).astype(int)
        assert np.array_equal(tag[:, 0], pairs.label) and (tag[:, 2] == split).all()
        assert len(set(tag[:, 1])) == len(pairs)
        assert (np.diff(pairs.label) >= 0).all()
        frequency = np.abs(np.fft.rfft(pairs.waveform[:, :2000])).argmax(axis=1) * 4
        assert np.abs(frequency - (200 + 150 * pairs.label)).max() <= 4
        lengths = np.max(np.where(pairs.waveform != 0, np.arange(8000), 0), axis=1) + 1
        assert {int(length) - 2000 for length in lengths} == set(takes)


def test_av_mnist_repeats_and_reseeds(tree):
    first, again, other = (
        load("av-mnist", split="test", data_dir=tree, seed=seed) for seed in (0, 0, 1)
    )
    assert equal(first, again) and not np.array_equal(first.image, other.image)
    assert len(av_mnist.load("test", tree, images_per_recording=1)) == 40
    with pytest.raises(DataError, match="too few MNIST images of 0"):
        av_mnist.load("test", tree, images_per_recording=6)
    with pytest.raises(UsageError, match="images_per_recording"):
        av_mnist.load("test", tree, images_per_recording=0)


def test_av_mnist_names_every_damaged_file(tree):
    recordings, mnist = tree / "fsdd" / "recordings", tree / "mnist"
    (recordings / "3_ann_5.wav").write_bytes(b"this is no recording")
    whole = (recordings / "4_bob_6.wav").read_bytes()
    (recordings / "4_bob_6.wav").write_bytes(whole[:1000])
    (recordings / "5_bob_5.wav").write_bytes(whole[:20])
    (recordings / "seven.wav").write_bytes(whole)
    write_wav(recordings / "6_ann_5.wav", np.zeros(500))
    write_wav(recordings / "7_ann_5.wav", tone(7), rate=16000)
    images, labels = mnist / "train-images-idx3-ubyte.gz", mnist / "train-labels-idx1-ubyte.gz"
    images.write_bytes(images.read_bytes()[:-40])
    labels.unlink()
    with pytest.raises(DataError) as error:
        load("av-mnist", split="train", data_dir=tree)
    message = str(error.value)
    assert "8 missing or damaged" in message
    for name in (
        "3_ann_5",
        "4_bob_6",
        "5_bob_5",
        "seven",
        "6_ann_5",
        "7_ann_5",
        images.name,
        labels.name,
    ):
        assert name in message


def test_av_mnist_caps_a_long_list(tree):
    for path in (tree / "fsdd" / "recordings").glob("*_5.wav"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="20 missing or damaged.* and 10 more") as error:
        load("av-mnist", split="train", data_dir=tree)
    assert str(error.value).count("_5.wav:") == 10


def test_av_mnist_says_what_a_folder_lacks(tree, tmp_path_factory):
    with pytest.raises(DataError, match="no train recording of 0, 1, 2.*images-idx3.*No such file"):
        load("av-mnist", split="train", data_dir=tmp_path_factory.mktemp("empty"))
    for path in (tree / "fsdd" / "recordings").glob("8_*"):
        path.unlink()
    with pytest.raises(DataError, match="no test recording of 8"):
        load("av-mnist", split="test", data_dir=tree)


def test_av_mnist_refuses_a_label_that_is_no_digit(tree):
    for label, said in ((9, ""), (10, "a label of 10")):
        write_idx(
            tree / "mnist" / "t10k-labels-idx1-ubyte.gz",
            np.append(np.tile(np.arange(10), 20)[:-1], label),
        )
        if said:
            with pytest.raises(DataError, match=said):
                load("av-mnist", split="test", data_dir=tree)
        else:
            assert load("av-mnist", split="test", data_dir=tree).label.max() == 9


def test_av_mnist_refuses_images_and_labels_that_do_not_match(tree):
    write_idx(tree / "mnist" / "t10k-labels-idx1-ubyte.gz", np.zeros(7))
    with pytest.raises(DataError, match="7 labels for 200 images"):
        load("av-mnist", split="test", data_dir=tree)


@pytest.mark.skipif(
    not (RECORDED / "fsdd").is_dir(), reason=f"no human recordings in {RECORDED} (set SCMRL_DATA)"
)
def test_av_mnist_on_human_recordings():
    train, test = (load("av-mnist", split=split, data_dir=RECORDED) for split in ("train", "test"))
    assert len(train) == 2700 and len(test) % 50 == 0 and len(test) >= 600
    assert np.array_equal(np.bincount(train.label), [270] * 10)
    assert len({image.tobytes() for image in train.image}) == len(train)


# Files


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_of_any_width_and_channels(tmp_path, width):
    write_wav(tmp_path / "a.wav", np.repeat(tone(1), 2), width=width, channels=2)
    samples, rate = read_sound(tmp_path / "a.wav")
    assert rate == 8000 and samples.dtype == np.float32
    assert np.abs(samples - tone(1)).max() < 2.0 ** (2 - 8 * width) + 1e-6


def test_idx_reads_what_was_written(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "a.gz", array)
    assert np.array_equal(read_idx(tmp_path / "a.gz", axes=3), array)
    with pytest.raises(DataError, match="not an idx file"):
        read_idx(tmp_path / "a.gz", axes=1)
    content = gzip.decompress((tmp_path / "a.gz").read_bytes())
    for wrong in (content[:-1], content + b"\0"):
        (tmp_path / "a.gz").write_bytes(gzip.compress(wrong))
        with pytest.raises(DataError, match="do not fill the shape in the header"):
            read_idx(tmp_path / "a.gz", axes=3)


def test_an_idx_file_that_unpacks_to_too_much_is_refused_before_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "BYTES", 8 + 100)
    write_idx(tmp_path / "a.gz", np.zeros(100))
    assert len(read_idx(tmp_path / "a.gz", axes=1)) == 100
    write_idx(tmp_path / "a.gz", np.zeros(101))
    with pytest.raises(DataError, match="a.gz: unpacks to too much .limit 108 bytes"):
        read_idx(tmp_path / "a.gz", axes=1)


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=60), packed=st.booleans())
@example(content=bytes([0, 0, 8, 3]) + b"\xff" * 12, packed=True)
@example(content=gzip.compress(bytes(200))[:-3], packed=False)
def test_random_bytes_are_never_an_idx_file(tmp_path_factory, content, packed):
    path = tmp_path_factory.getbasetemp() / "random.gz"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match="random.gz"):
        read_idx(path, axes=3)


@settings(max_examples=300, deadline=None)
@example(cut=36, flip=17, value=2)
@given(cut=st.integers(0, 400), flip=st.integers(0, 43), value=st.integers(0, 255))
def test_a_damaged_wav_gives_samples_or_a_data_error(tmp_path_factory, cut, flip, value):
    path = tmp_path_factory.getbasetemp() / "damaged.wav"
    write_wav(path, tone(1, 178))
    content = bytearray(path.read_bytes()[:cut])
    if flip < len(content):
        content[flip] = value
    path.write_bytes(content)
    try:
        samples, _ = read_sound(path)
        assert np.isfinite(samples).all()
    except DataError as error:
        assert "damaged.wav" in str(error)


# What is taken of a recording


def test_of_a_long_recording_the_first_second_counts():
    """At unit RMS over that second; what is shorter is padded."""
    second = np.sin(np.arange(8000) / 7)
    long = np.concatenate([second, np.full(8000, 9.0), 5 * second])
    got = unit_window(long)
    assert (
        got.dtype == np.float32 and np.abs(got - second / np.sqrt(np.mean(second**2))).max() < 1e-6
    )
    short = unit_window(second[:100])
    assert (
        np.sqrt(np.mean(short[:100].astype(float) ** 2)) == pytest.approx(1, abs=1e-6)
        and not short[100:].any()
    )
    for silent in (
        np.zeros(9000),
        np.concatenate([np.zeros(8000), second]),
        np.zeros(0),
        np.full(9, np.nan),
    ):
        with pytest.raises(DataError, match="silent in its first second, or not finite"):
            unit_window(silent)


@pytest.mark.parametrize(
    "other", [{"split": "train"}, {"seed": 6}, {"path": (8,)}, {"path": (7, 1)}, {"path": ()}]
)
def test_no_two_streams_are_alike(other):
    """Of another split, seed or path, each by itself: train and test share no noise."""
    where = {"seed": 5, "split": "test", "path": (7,)}
    first, again, second = (
        stream(w["seed"], w["split"], *w["path"]).standard_normal(20)
        for w in (where, where, {**where, **other})
    )
    assert np.array_equal(first, again) and not np.isin(first, second).any()


def test_the_splits_share_no_noise(test):
    """Rows of the same number get other noise in training than in the test."""
    some = test.take(np.arange(4))
    as_train = dataclasses.replace(some, split="train")
    ours, theirs = (HARD.apply(pairs, 0) for pairs in (some, as_train))
    for a, b in zip(ours.waveform - some.waveform, theirs.waveform - some.waveform):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.1
    assert (ours.image != theirs.image).any((1, 2)).all()


# Corruption


def test_clean_changes_nothing(test):
    assert CLEAN.apply(test, seed=0) is test


def test_noise_has_the_asked_for_level(test):
    some = test.take(np.arange(100))
    for snr_db in (-6.0, 0.0, 10.0):
        noise = Corruption(audio_snr_db=snr_db).apply(some, seed=0).waveform - some.waveform
        measured = -10 * np.log10(np.mean(noise.astype(float) ** 2, axis=1))
        assert np.abs(measured - snr_db).max() < 0.4
        assert np.allclose(noise[:, 7900:].std(), 10 ** (-snr_db / 20), rtol=0.05)


def test_pixels_are_kept_at_the_asked_for_rate(test):
    kept = Corruption(pixel_keep=0.25).apply(test, seed=0).image
    lit = test.image > 0
    assert np.array_equal(kept[kept > 0], test.image[kept > 0])
    assert abs((kept[lit] > 0).mean() - 0.25) < 0.01


def test_pixel_noise_has_the_asked_for_deviation(test):
    grey = Pairs(
        test.label, test.row, "test", "grey", 10, test.waveform, np.full_like(test.image, 0.5)
    )
    noisy = Corruption(pixel_noise=0.1).apply(grey, seed=0).image
    assert abs(noisy.std() - 0.1) < 0.002 and noisy.min() >= 0 and noisy.max() <= 1


def test_corruption_is_fixed_per_sample_and_fresh_per_epoch(train):
    some = train.take(np.arange(40, 60))
    fixed = HARD.apply(some, seed=1)
    assert equal(fixed, HARD.apply(some, seed=1))
    assert equal(fixed.take(np.array([3, 9])), HARD.apply(some.take(np.array([3, 9])), seed=1))
    versions = [
        fixed,
        HARD.apply(some, 2),
        HARD.apply(some, 1, epoch=0),
        HARD.apply(some, 1, epoch=1),
    ]
    assert len({version.waveform.tobytes() for version in versions}) == 4
    assert len({version.image.tobytes() for version in versions}) == 4
    assert equal(versions[3], HARD.apply(some, 1, epoch=1))
    assert len({noise.tobytes() for noise in fixed.waveform - some.waveform}) == len(some)


def test_corruption_refuses_impossible_settings(test):
    for wrong in (
        {"pixel_keep": 1.5},
        {"pixel_keep": -0.1},
        {"pixel_keep": np.nan},
        {"pixel_noise": -1.0},
        {"pixel_noise": np.nan},
        {"pixel_noise": np.inf},
        {"event_noise": np.inf},
        {"event_keep": np.nan},
        {"audio_snr_db": np.nan},
        {"audio_snr_db": -np.inf},
        {"audio_snr_db": 301.0},
    ):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            Corruption(**wrong)
    with pytest.raises(UsageError, match="seed"):
        HARD.apply(test, seed=-3)


# Front-end


def test_encode_shapes_types_and_range(front_end, test):
    q = front_end.encode(test.waveform[::6], test.image[::6])
    assert set(q) == {"audio", "visual"}
    for levels in q.values():
        assert levels.shape == (60, 1, 32, 32) and levels.dtype == np.uint8
        assert levels.min() == 0 and levels.max() == 63
    assert front_end.encode(test.waveform[:0], test.image[:0])["audio"].shape == (0, 1, 32, 32)


def test_an_image_is_its_pixels_in_63_levels(front_end, test):
    q = front_end.encode_visual(test.image)
    assert np.array_equal(q[:, 0, 2:30, 2:30], np.rint(test.image.astype(float) * 63))
    assert not q[:, 0, :2].any() and not q[:, 0, :, 30:].any()


def test_silence_is_no_spike(front_end, test):
    q = front_end.encode_audio(test.waveform)
    assert (q == 0).mean() > 0.5
    spoken = np.max(np.where(test.waveform != 0, np.arange(8000), 0), axis=1)
    for levels, end in zip(q[:, 0], spoken):
        assert not levels[:, (end + 256) // 256 + 1 :].any()


def test_a_sound_is_its_log_mel_in_63_levels_in_plain_numpy(front_end, test):
    """512 samples under a periodic Hann window every 256, zeros around; 32 bands from 50 to 4000
    Hz; log10, floor 0.01; from the mean of the training set to 2.5 deviations above it.
    """
    import librosa

    bank = librosa.filters.mel(
        sr=8000, n_fft=512, n_mels=32, fmin=50.0, fmax=4000.0, dtype=np.float64
    )
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    for sound in test.waveform[::60].astype(float):
        padded = np.pad(sound, 256)
        power = [
            bank @ np.abs(np.fft.rfft(padded[at : at + 512] * hann)) ** 2
            for at in range(0, 8001, 256)
        ]
        mel = np.log10(np.maximum(np.array(power).T, 1e-2))
        assert np.allclose(front_end.log_mel(sound[None])[0], mel, atol=1e-6)
        z = (mel - front_end.audio.mean) / front_end.audio.std / 2.5
        expected = np.clip(np.rint(z * 63), 0, 63)
        got = front_end.encode_audio(sound[None].astype(np.float32))[0, 0]
        assert (
            (got != expected).mean() < 1e-3
            and np.abs(got - expected).max() <= 1
            and expected.max() == 63
        )


def test_encoding_does_not_depend_on_the_batch(front_end, test):
    waveform, image = HARD.apply(test.take(np.arange(20)), seed=0).waveform, test.image[:20]
    together = front_end.encode(waveform, image)
    for i in range(20):
        alone = front_end.encode(waveform[i : i + 1], image[i : i + 1])
        assert all(np.array_equal(alone[name][0], together[name][i]) for name in together)


def test_the_mean_and_std_are_the_training_sets(train):
    some = train.take(np.arange(0, len(train), 10))
    front_end = FrontEnd.fit(some)
    spectra = front_end.log_mel(some.waveform)
    assert np.isclose(front_end.audio.mean, spectra.mean()) and np.isclose(
        front_end.audio.std, spectra.std()
    )
    assert np.isclose(front_end.visual.mean, some.image.mean(), rtol=1e-4)
    blank = Pairs(
        np.zeros(2), np.arange(2), "train", "blank", 10, np.zeros((2, 8000)), np.zeros((2, 28, 28))
    )
    with pytest.raises(DataError, match="alike"):
        FrontEnd.fit(blank)


def test_front_end_round_trip(front_end):
    assert FrontEnd.from_dict(json.loads(json.dumps(front_end.to_dict()))) == front_end


@pytest.mark.parametrize(
    "change, message",
    [
        ({"hopp": 1}, "unknown key 'hopp'.*did you mean 'hop'"),
        ({"bits": None}, "'bits' is not a finite int"),
        ({"bits": 9}, "1 <= bits <= 8"),
        ({"hop": 0}, "0 < hop"),
        ({"n_fft": 512.0}, "'n_fft' is not a finite int"),
        ({"fmin": "50"}, "'fmin' is not a finite float"),
        ({"log_floor": float("nan")}, "'log_floor' is not a finite"),
        ({"sample_rate": 16000}, "sample_rate = 8000"),
        ({"audio": 3}, "front-end.audio: not a table"),
        ({"audio": {"mean": 0.0, "std": 1.0, "lo": 0.0}}, "front-end.audio: key 'hi' is missing"),
        ({"audio": {"mean": 0.0, "std": 0.0, "lo": 0.0, "hi": 1.0}}, "std > 0"),
        ({"visual": {"mean": 0.0, "std": 1.0, "lo": 1.0, "hi": 1.0}}, "hi > lo"),
    ],
)
def test_front_end_refuses_wrong_settings(front_end, change, message):
    with pytest.raises(DataError, match=message):
        FrontEnd.from_dict({**front_end.to_dict(), **change})


def test_front_end_refuses_a_missing_key_and_no_dict(front_end):
    whole = front_end.to_dict()
    del whole["fmax"]
    with pytest.raises(DataError, match="'fmax' is missing"):
        FrontEnd.from_dict(whole)
    with pytest.raises(DataError, match="not a table"):
        FrontEnd.from_dict([1, 2])


def test_encode_refuses_wrong_arrays(front_end, test):
    with pytest.raises(DataError, match="waveform: wrong shape.*4000"):
        front_end.encode(test.waveform[:2, :4000], test.image[:2])
    with pytest.raises(DataError, match="image: wrong shape"):
        front_end.encode(test.waveform[:2], test.image[:2, :8, :8])
    with pytest.raises(DataError, match="waveform: not finite"):
        front_end.encode(np.full((1, 8000), np.nan), test.image[:1])


def encode_files(front_end, sound, picture):
    """One recording and one picture as the front-end takes them: the first second counts."""
    samples, rate = read_sound(sound)
    wave = unit_window(resample(samples[:rate], rate, front_end.sample_rate), where=sound)
    return front_end.encode(wave[None], grey(picture, front_end.image_side)[None])


def test_encode_files_equals_encode(front_end, test, tmp_path):
    clip = recordings("test")[0][50]
    write_wav(tmp_path / "a.wav", clip)
    Image.fromarray(np.round(test.image[50] * 255).astype(np.uint8)).save(tmp_path / "a.png")
    ours = encode_files(front_end, tmp_path / "a.wav", tmp_path / "a.png")
    expected = front_end.encode(unit_window(clip)[None], test.image[50:51])
    assert np.array_equal(ours["visual"], expected["visual"])
    assert np.abs(ours["audio"].astype(int) - expected["audio"]).max() <= 1


def test_of_a_longer_file_the_first_second_counts(front_end, tmp_path):
    for rate in (8000, 16000):
        t = np.arange(rate) / rate
        low, high = np.sin(2 * np.pi * 300 * t), 0.9 * np.sin(2 * np.pi * 2500 * t)
        write_wav(tmp_path / "long.wav", np.concatenate([low, high]), rate=rate)
        write_wav(tmp_path / "short.wav", low, rate=rate)
        Image.new("L", (28, 28), 9).save(tmp_path / "a.png")
        long, short = (
            encode_files(front_end, tmp_path / f"{name}.wav", tmp_path / "a.png")["audio"]
            for name in ("long", "short")
        )
        assert (
            np.array_equal(long, short) and long[0, 0, 20:, 4:28].sum() < long[0, 0, :8, 4:28].sum()
        )


def test_encode_files_resamples_and_resizes(front_end, tmp_path):
    write_wav(tmp_path / "fast.wav", np.sin(2 * np.pi * 700 * np.arange(30000) / 22050), rate=22050)
    write_wav(tmp_path / "slow.wav", np.sin(2 * np.pi * 700 * np.arange(8000) / 8000))
    picture = tmp_path / "a.jpg"
    Image.new("RGB", (64, 48), "white").save(picture)
    fast, slow = (
        encode_files(front_end, tmp_path / name, picture) for name in ("fast.wav", "slow.wav")
    )
    middle = np.s_[0, 0, :, 4:28]
    assert np.array_equal(
        fast["audio"][middle].argmax(axis=0), slow["audio"][middle].argmax(axis=0)
    )
    assert (fast["visual"][0, 0, 2:30, 2:30] == 63).all()


def test_encode_files_names_the_file_at_fault(front_end, tmp_path):
    wav, png, text = tmp_path / "a.wav", tmp_path / "a.png", tmp_path / "notes.txt"
    write_wav(wav, tone(1))
    Image.new("L", (28, 28), 9).save(png)
    text.write_text("neither a recording nor an image")
    with pytest.raises(DataError, match="notes.txt: not a WAV or FLAC"):
        encode_files(front_end, text, png)
    with pytest.raises(DataError, match="notes.txt: not a whole image"):
        encode_files(front_end, wav, text)
    with pytest.raises(DataError, match="absent.wav: cannot read .got No such file"):
        encode_files(front_end, tmp_path / "absent.wav", png)
    with pytest.raises(DataError, match="absent.png: cannot read .got No such file"):
        encode_files(front_end, wav, tmp_path / "absent.png")
    png.write_bytes(png.read_bytes()[:50])
    with pytest.raises(DataError, match="a.png: not a whole image"):
        encode_files(front_end, wav, png)
    write_wav(wav, np.zeros(800))
    with pytest.raises(DataError, match="a.wav: the recording is silent"):
        encode_files(front_end, wav, tmp_path / "a.png")


@pytest.mark.parametrize("rate", [1, 999, 2_000_000_000])
def test_encode_files_survives_an_absurd_sample_rate(front_end, tmp_path, rate):
    write_wav(tmp_path / "a.wav", tone(1), rate=rate)
    Image.new("L", (28, 28), 9).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="a.wav: .*sample rate"):
        encode_files(front_end, tmp_path / "a.wav", tmp_path / "a.png")
