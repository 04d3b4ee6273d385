"""The published datasets: files of their formats are read, split and encoded as described; damage
is named precisely.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import wave

import numpy as np
import pytest

from scmrl.data import HARD, FrontEnd, Pairs, load
from scmrl.data.features import encoders
from scmrl.data.features.corruption import Corruption
from scmrl.data.features.frontend import Quantiser
from scmrl.data.formats.aedat import read_aedat
from scmrl.data.formats.sound import read_sound
from scmrl.data.sets import ave, crema_d, mnistdvs_ntidigits, urbansound8k_av
from scmrl.data.sets.folders import files
from scmrl.system.errors import DataError, UsageError

Image = pytest.importorskip("PIL.Image", reason="pictures need pillow")
pytest.importorskip("librosa", reason="spectrograms need librosa")
COUNTS = {"train": (3, 3, 3, 3, 3, 3), "test": (1, 1, 1, 1, 1, 1)}


def write_wav(path, hertz=440.0, rate=16000, seconds=0.3):
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound * 20000).astype("<i2").tobytes())


def write_jpg(path, colour=(200, 30, 90), size=(96, 72)):
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.full((size[1], size[0], 3), colour, np.uint8)
    x[: size[1] // 2] //= 2
    Image.fromarray(x).save(path, "JPEG", quality=95)


@pytest.fixture
def crema(tmp_path, monkeypatch):
    """Four clips of each emotion, by four actors, three of them in training."""
    monkeypatch.setattr(crema_d, "PUBLISHED", COUNTS)
    for k, emotion in enumerate(crema_d.CLASSES):
        for split, actors in (("train", (1001, 1002, 1003)), ("test", (1010,))):
            for actor in actors:
                place, name = tmp_path / "processed_dataset" / split, f"{actor}_DFA_{emotion}_XX"
                write_wav(place / "audio" / emotion / f"{name}.wav", 300 + 500 * k)
                write_jpg(
                    place / "visual" / emotion / f"{name}.jpg",
                    (40 * k, 255 - 40 * k, 10 * (actor - 1000)),
                )
    return tmp_path


@pytest.fixture
def street(tmp_path):
    for k in range(10):
        for i in range(10):
            folder, name = tmp_path / "UrbanSound8K-AV", f"{100 + i // 2}-{k}-0-{i}"
            write_wav(folder / f"Dataset_v3_sound/class{k}/{name}.wav", 200 * (k + 1), 22050, 0.1)
            write_jpg(folder / f"Dataset_v3_vision/class{k}/{name}.jpg", (25 * k, 9, 9))
    return tmp_path


def aedat2(rows) -> bytes:
    """(t, x, y, p) as jAER writes them: columns and rows from the other end, 0 for an event that
    became brighter.
    """
    head = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
    return head + b"".join(
        struct.pack(">II", 127 - y << 8 | 127 - x << 1 | 1 - p, t) for t, x, y, p in rows
    )


def aedat3(rows) -> bytes:
    """The same as cAER writes them, one packet, the last event marked invalid."""
    head = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"
    packet = struct.pack("<hh6i", 1, 1, 8, 4, 0, len(rows) + 1, len(rows) + 1, len(rows))
    body = b"".join(struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t) for t, x, y, p in rows)
    return head + packet + body + struct.pack("<II", 5 << 17, 0)


ROWS = [(1000, 50, 50, 1), (1500, 64, 70, 0), (9000, 77, 77, 1), (9000, 3, 4, 1)]


@pytest.fixture
def digits(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py", reason="N-TIDIGITS is an HDF5 file")
    monkeypatch.setattr(mnistdvs_ntidigits, "RECORDED", 4)
    monkeypatch.setattr(mnistdvs_ntidigits, "PER_SPLIT", 2)
    for digit in range(10):
        place = tmp_path / f"DVS/MNIST_DVS/grabbed_data{digit}/scale04"
        place.mkdir(parents=True)
        for number in range(1, 5):
            rows = [
                (1000 * number + 100 * i, 50 + digit, 50 + number * i % 28, i % 2)
                for i in range(40)
            ]
            (place / f"mnist_{digit}_scale04_{number:04d}.aedat").write_bytes(aedat2(rows))
    with h5py.File(tmp_path / "DVS/n-tidigits.hdf5", "w") as file:
        for split in ("train", "test"):
            names = [
                f"man-ae-{take}-{word}"
                for word in (*mnistdvs_ntidigits.SPOKEN, "z", "12")
                for take in "ab"
            ]
            file[f"{split}_labels"] = np.array([name.encode() for name in names])
            for i, name in enumerate(names):
                file[f"{split}_addresses/{name}"] = np.arange(20) * (i + 1) % 64
                file[f"{split}_timestamps/{name}"] = np.linspace(0.1, 0.9, 20)
    return tmp_path


def test_crema_d_keeps_the_published_split(crema):
    train, test = (load("crema-d", split=split, data_dir=crema) for split in ("train", "test"))
    assert (len(train), len(test)) == (18, 6) and train.classes == 6
    assert np.bincount(train.label).tolist() == [3] * 6 and test.label.tolist() == list(range(6))
    assert train.framed["audio"].shape == (18, 1, 128, 128) and train.framed["visual"].shape == (
        18,
        3,
        128,
        128,
    )
    assert train.framed["visual"].dtype == np.uint8 and train.framed["audio"].dtype == np.float32
    again = load("crema-d", split="train", data_dir=crema / "processed_dataset")
    assert all(np.array_equal(train.framed[m], again.framed[m]) for m in train.framed)


def test_crema_d_by_speaker_tests_no_one_it_trains_on(crema, monkeypatch):
    monkeypatch.setattr(crema_d, "TEST_EVERY", 2)
    train, test = (
        load("crema-d-speakers", split=split, data_dir=crema) for split in ("train", "test")
    )
    assert set(train.group) == {1001, 1003} and set(test.group) == {1002, 1010}
    assert len(train) + len(test) == 24


def damage(kind, folder):
    clip = folder / "processed_dataset/train/audio/ANG/1001_DFA_ANG_XX.wav"
    picture = folder / "processed_dataset/test/visual/SAD/1010_DFA_SAD_XX.jpg"
    match kind:
        case "missing":
            clip.unlink()
        case "cut wav":
            clip.write_bytes(clip.read_bytes()[:-100])
        case "not wav":
            clip.write_bytes(b"nothing of the kind")
        case "rate":
            write_wav(clip, rate=500)
        case "cut jpg":
            picture.write_bytes(picture.read_bytes()[:200])
        case "case":
            (folder / "processed_dataset/train/audio/ANG").rename(
                folder / "processed_dataset/train/audio/Ang"
            )
        case "suffix":
            clip.rename(clip.with_suffix(".WAV"))
        case "zip":
            (folder / "processed_dataset").rename(folder / "elsewhere")
            (folder / "CREMA-D.zip").write_bytes(b"PK")
        case "name":
            (folder / "processed_dataset").rename(folder / "Processed_Dataset")


@pytest.mark.parametrize(
    "kind, split, said",
    [
        (
            "missing",
            "train",
            "1 without a sound: 1001_DFA_ANG_XX.*2 train clips of ANG, published are 3",
        ),
        ("cut wav", "train", "1001_DFA_ANG_XX.wav: the recording is truncated"),
        ("not wav", "train", "1001_DFA_ANG_XX.wav: not a WAV or FLAC file"),
        ("rate", "train", "1001_DFA_ANG_XX.wav: sample rate out of range"),
        ("cut jpg", "test", "1010_DFA_SAD_XX.jpg: not a whole image"),
        ("case", "train", "audio/ANG: no such folder .there is 'Ang'"),
        ("suffix", "train", "1001_DFA_ANG_XX.WAV must end in .wav"),
        ("zip", "train", "unpack CREMA-D.zip"),
        ("name", "train", "rename 'Processed_Dataset' to 'processed_dataset'"),
    ],
)
def test_damage_is_named(crema, kind, split, said):
    damage(kind, crema)
    with pytest.raises(DataError, match=said) as caught:
        load("crema-d", split=split, data_dir=crema)
    assert caught.value.exit_code == 3 and "\n" not in str(caught.value)


def test_published_counts_are_those_of_the_paper():
    assert sum(crema_d.PUBLISHED["train"]) == 6698 and sum(crema_d.PUBLISHED["test"]) == 744
    assert sum(ave.PUBLISHED.values()) == 4143


def test_urbansound_split_is_by_name_whatever_the_file_system_says(street, monkeypatch):
    train, test = (
        load("urbansound8k-av", split=split, data_dir=street) for split in ("train", "test")
    )
    assert (
        np.bincount(train.label).tolist() == [7] * 10
        and np.bincount(test.label).tolist() == [3] * 10
    )
    assert len(np.unique(train.group)) == 4  # 100 to 103: slices of one recording stay together
    stems = [f"x{i}" for i in range(7)]
    assert (
        urbansound8k_av.part(stems, "train") == stems[:4]
        and urbansound8k_av.part(stems, "test") == stems[4:]
    )


def test_urbansound_class_in_one_half_is_named(street):
    (street / "UrbanSound8K-AV/Dataset_v3_vision/class3").rename(
        street / "UrbanSound8K-AV/Dataset_v3_vision/dogs"
    )
    with pytest.raises(DataError, match="11 classes .*published are 10"):
        load("urbansound8k-av", split="train", data_dir=street)


def test_digits_meet_by_position_and_parts_are_disjoint(digits):
    pairs = {
        split: load("mnistdvs-ntidigits", split=split, data_dir=digits, steps=4)
        for split in ("train", "test")
    }
    for split in pairs.values():
        assert split.recorded["visual"].shape == (20, 4, 2, 28, 28)
        assert split.recorded["audio"].shape == (20, 4, 1, 28, 28)
        assert np.bincount(split.label).tolist() == [2] * 10
    seen = [{x.tobytes() for x in pairs[split].recorded["visual"]} for split in pairs]
    assert not seen[0] & seen[1]
    column = pairs["train"].recorded["visual"][0].any((0, 1, 2))
    assert np.flatnonzero(column).tolist() == [
        0
    ]  # digit 0 was written at x = 50, the left edge of the middle


def test_a_cochlea_of_64_channels_is_eight_by_eight_with_pixels_repeated():
    """Pixel (y, x) of 28 shows channel 8 (8 y // 28) + 8 x // 28."""
    for channel in (0, 7, 27, 56, 63):
        times, channels = (
            np.array([0.0, 0.1, 1.0]),
            np.array([channel, (channel + 1) % 64, channel]),
        )
        got = mnistdvs_ntidigits.cochlea_frames(times, channels, 2)
        y, x = np.divmod(np.arange(784), 28)
        shown = 8 * (8 * y // 28) + 8 * x // 28
        assert np.array_equal(got[1, 0].ravel(), shown == channel)
        assert np.array_equal(got[0, 0].ravel(), (shown == channel) | (shown == (channel + 1) % 64))


def test_rows_of_one_spoken_recording_are_one_group(digits, monkeypatch):
    """Of each word the part has two takes, used for the recordings of the digit in turn."""
    monkeypatch.setattr(mnistdvs_ntidigits, "RECORDED", 4)
    monkeypatch.setattr(mnistdvs_ntidigits, "PER_SPLIT", 4)
    pairs = load("mnistdvs-ntidigits", split="train", data_dir=digits, steps=4)
    assert len(pairs) == 40 and np.array_equal(
        pairs.group, 4 * pairs.label + np.tile([0, 1, 0, 1], 10)
    )
    for group in np.unique(pairs.group):
        assert len({x.tobytes() for x in pairs.recorded["audio"][pairs.group == group]}) == 1
    monkeypatch.setattr(mnistdvs_ntidigits, "PER_SPLIT", 1)
    assert all(
        len(takes) == 1
        for takes in mnistdvs_ntidigits._spoken(
            digits / "DVS/n-tidigits.hdf5", "test", 4, []
        ).values()
    )


@pytest.mark.parametrize("write", [aedat2, aedat3])
def test_events_come_back_as_written(tmp_path, write):
    (tmp_path / "a.aedat").write_bytes(write(ROWS))
    assert [tuple(int(v) for v in e) for e in read_aedat(tmp_path / "a.aedat")] == [
        (t - 1000, *r) for t, *r in ROWS
    ]


def test_both_versions_show_one_scene_upright(tmp_path):
    """A stroke of light that moves right and down: bits of 2.0 are turned by 180 degrees, and 0 is
    brighter.
    """
    scene = [(10 * i, 52 + i, 60 + i // 2, 1) for i in range(20)]
    frames_ = []
    for name, write in (("2.aedat", aedat2), ("3.aedat", aedat3)):
        (tmp_path / name).write_bytes(write(scene))
        frames_.append(mnistdvs_ntidigits.camera_frames(read_aedat(tmp_path / name), 2))
    assert np.array_equal(*frames_) and not frames_[0][:, 0].any() and frames_[0].sum() == 20
    assert (
        frames_[0][0, 1, 10, 2] == frames_[0][1, 1, 19, 21] == 1
    )  # from (52, 60) to (71, 69), less 50
    (tmp_path / "raw").write_bytes(
        b"#!AER-DAT2.0\r\n" + struct.pack(">4I", 127 << 8 | 127 << 1, 5, 1 << 8 | 1, 9)
    )
    assert [tuple(map(int, e)) for e in read_aedat(tmp_path / "raw")] == [
        (0, 0, 0, 1),
        (4, 127, 126, 0),
    ]


def test_time_goes_on_where_the_clock_of_32_bits_wraps(tmp_path):
    times = [0, 700_000, 1_999_999]
    read = []
    for origin in (0, 123_456, 2**32 - 1_000_000):
        (tmp_path / "a").write_bytes(aedat2([((t + origin) % 2**32, 60, 60, 1) for t in times]))
        read.append(read_aedat(tmp_path / "a")["t"].tolist())
    assert read == [times] * 3
    packet = (
        struct.pack("<hh6i", 1, 1, 8, 4, 0, 1, 1, 1),
        struct.pack("<hh6i", 1, 1, 8, 4, 1, 1, 1, 1),
    )
    event = [struct.pack("<II", 60 << 17 | 60 << 2 | 3, t) for t in (2**31 - 5, 7)]
    (tmp_path / "b").write_bytes(
        b"#!AER-DAT3.1\r\n#!END-HEADER\r\n" + packet[0] + event[0] + packet[1] + event[1]
    )
    assert read_aedat(tmp_path / "b")["t"].tolist() == [
        0,
        12,
    ]  # 3.1 counts its wraps in each packet
    (tmp_path / "a").write_bytes(aedat2([(5, 60, 60, 1), (50_000, 60, 60, 1), (6, 60, 60, 1)]))
    with pytest.raises(DataError, match="a: time jumps back .* at event 3 of 3"):
        read_aedat(tmp_path / "a")


def test_events_without_a_pixel_are_left_out(tmp_path):
    head, body = (
        b"#!AER-DAT2.0\r\n",
        struct.pack(">6I", 1 << 15, 1, 60 << 8 | 60 << 1, 100, 1 << 15 | 5, 900),
    )
    (tmp_path / "a").write_bytes(head + body)
    assert [tuple(map(int, e)) for e in read_aedat(tmp_path / "a")] == [(0, 67, 67, 1)]
    (tmp_path / "a").write_bytes(head + body[:8])
    with pytest.raises(DataError, match="a: the recording has no events"):
        read_aedat(tmp_path / "a")


@pytest.mark.parametrize(
    "head, address, said",
    [
        (
            b"",
            1 << 16 | 5,
            (
                "address bits of another camera, such as a DAVIS .limit 16 bits of a DVS128, got"
                " 0x00010005"
            ),
        ),
        (b"", 1 << 31, "address bits of another camera"),
        (
            b"# AEChip: eu.seebetter.ini.chips.davis.Davis346blue\r\n",
            5,
            "recorded by another camera .*got Davis346blue",
        ),
        (b"# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n", 5, ""),
        (b"# AEChip: ch.unizh.ini.jaer.chip.retina.Tmpdiff128\r\n", 5, ""),
    ],
)
def test_other_cameras_are_refused_by_name(tmp_path, head, address, said):
    (tmp_path / "a").write_bytes(b"#!AER-DAT2.0\r\n" + head + struct.pack(">2I", address, 9))
    if not said:
        assert len(read_aedat(tmp_path / "a")) == 1
        return
    with pytest.raises(DataError, match=f"a: {said}"):
        read_aedat(tmp_path / "a")


def test_another_camera_of_version_3_is_refused(tmp_path):
    for source, said in (
        ("DVS128", ""),
        ("DAVIS240C", "another camera .limit DVS128, got DAVIS240C"),
    ):
        data = aedat3(ROWS).replace(
            b"#Format: RAW", b"#Format: RAW\r\n#Source 1: " + source.encode()
        )
        (tmp_path / "a").write_bytes(data)
        if said:
            with pytest.raises(DataError, match=said):
                read_aedat(tmp_path / "a")
        else:
            assert len(read_aedat(tmp_path / "a")) == len(ROWS)


def test_two_recordings_of_one_name_are_refused(digits):
    twin = digits / "DVS/MNIST_DVS/processed_data7/scale04/mnist_7_scale04_0002.aedat"
    twin.parent.mkdir(parents=True)
    twin.write_bytes(aedat2(ROWS))
    with pytest.raises(
        DataError,
        match=(
            "processed_data7/scale04/mnist_7_scale04_0002.aedat: "
            "grabbed_data7/scale04/mnist_7_scale04_0002.aedat is the same recording; keep"
        ),
    ):
        load("mnistdvs-ntidigits", split="train", data_dir=digits)


def test_events_are_where_tonic_sees_them(tmp_path):
    tonic = pytest.importorskip("tonic.io", reason="tonic is not installed")
    (tmp_path / "a.aedat").write_bytes(aedat2(ROWS))
    file, ours = str(tmp_path / "a.aedat"), read_aedat(tmp_path / "a.aedat")
    version, start, _ = tonic.read_aedat_header_from_file(file)
    theirs = tonic.get_aer_events_from_file(file, version, start)
    address = theirs["address"].astype(np.int64)
    assert (127 - (address >> 8)).tolist() == ours["y"].tolist()
    assert (127 - (address >> 1 & 127)).tolist() == ours["x"].tolist()
    assert (theirs["timeStamp"].astype(np.int64) - 1000).tolist() == ours["t"].tolist()


def test_spoken_digits_are_those_that_tonic_reads(digits, monkeypatch):
    datasets = pytest.importorskip("tonic.datasets", reason="tonic is not installed")
    there = digits / "DVS/NTIDIGITS18/n-tidigits.hdf5"
    there.parent.mkdir()
    (digits / "DVS/n-tidigits.hdf5").rename(there)
    monkeypatch.setattr(
        datasets.NTIDIGITS18, "_check_exists", lambda self: there.is_file()
    )  # not its checksum
    theirs = datasets.NTIDIGITS18(str(digits / "DVS"), train=False, single_digits=True)
    ours = mnistdvs_ntidigits._spoken(there, "test", 8, [])
    assert (
        len(load("mnistdvs-ntidigits", split="test", data_dir=digits)) == 20
    )  # found where tonic puts it
    seen = dict.fromkeys(range(10), 0)
    for events, digit in (theirs[i] for i in range(len(theirs))):
        if digit < 10:  # 10 is 'z', left out
            frames = mnistdvs_ntidigits.cochlea_frames(
                events["t"] / 1e6, events["x"].astype(int), 8
            )
            assert np.array_equal(frames, ours[digit][seen[digit]])
            seen[digit] += 1
    assert list(seen.values()) == [len(takes) for takes in ours.values()] == [2] * 10


@pytest.mark.parametrize(
    "data, said",
    [
        (aedat2(ROWS)[:-3], "truncated"),
        (aedat3(ROWS)[:-3], "truncated in a packet"),
        (b"", "not an AEDAT"),
        (aedat2([]), "no events"),
        (b"#!AER-DAT4.0\r\n", "unknown AEDAT version"),
        (b"#!AER-DAT2.0", "header is cut"),
        (aedat3([(1, 300, 4, 1)]), "outside the camera"),
        (aedat3(ROWS)[:60], "truncated in a packet's header"),
    ],
)
def test_damaged_event_files_are_named(tmp_path, data, said):
    (tmp_path / "a.aedat").write_bytes(data)
    with pytest.raises(DataError, match=f"a.aedat.*{said}"):
        read_aedat(tmp_path / "a.aedat")


def test_every_prefix_of_an_event_file_is_read_or_refused(tmp_path):
    for whole in (aedat2(ROWS), aedat3(ROWS)):
        for cut in range(len(whole)):
            (tmp_path / "a.aedat").write_bytes(whole[:cut])
            try:
                assert len(read_aedat(tmp_path / "a.aedat")) < len(ROWS) + 1
            except DataError as error:
                assert "a.aedat" in str(error)


def test_damaged_digits_are_named(digits):
    h5py = pytest.importorskip("h5py")
    whole = (digits / "DVS/n-tidigits.hdf5").read_bytes()
    (digits / "DVS/MNIST_DVS/grabbed_data7/scale04/mnist_7_scale04_0002.aedat").unlink()
    with pytest.raises(DataError, match=r"3 recordings mnist_7_scale04_\*.aedat of 4"):
        load("mnistdvs-ntidigits", split="train", data_dir=digits)
    (digits / "DVS/n-tidigits.hdf5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="n-tidigits.hdf5: damaged or truncated HDF5"):
        load("mnistdvs-ntidigits", split="train", data_dir=digits)
    (digits / "DVS/n-tidigits.hdf5").write_bytes(whole)
    odd = {
        "not finite": ("timestamps", np.array([0.1, np.nan])),
        "past 63": ("addresses", np.array([5, 64])),
        "or a channel": ("addresses", np.array([-1, 5])),
        "1 addresses, 20 timestamps": ("addresses", np.array([5])),
        "0 addresses, 0 timestamps": ("both", np.zeros(0)),
        "not a list of at most": ("timestamps", np.zeros((2, 2))),
    }
    for said, (part, values) in odd.items():
        (digits / "DVS/n-tidigits.hdf5").write_bytes(whole)
        with h5py.File(digits / "DVS/n-tidigits.hdf5", "a") as file:
            for kind in ("addresses", "timestamps"):
                if part in (kind, "both") or (len(values) == 2 and values.ndim == 1):
                    del file[f"test_{kind}/man-ae-a-3"]
                    file[f"test_{kind}/man-ae-a-3"] = (
                        values if part in (kind, "both") else np.arange(2)
                    )
        with pytest.raises(DataError, match=f"man-ae-a-3 .*{said}"):
            load("mnistdvs-ntidigits", split="test", data_dir=digits)
    (digits / "DVS/n-tidigits.hdf5").write_bytes(whole)
    with h5py.File(digits / "DVS/n-tidigits.hdf5", "a") as file:
        del file["test_labels"]
        file["test_labels/a"] = 1
    with pytest.raises(DataError, match="test_labels is not a list of at most"):
        load("mnistdvs-ntidigits", split="test", data_dir=digits)
    (digits / "DVS/n-tidigits.hdf5").write_bytes(whole)
    with h5py.File(digits / "DVS/n-tidigits.hdf5", "a") as file:
        del file["test_timestamps"]
    with pytest.raises(DataError, match="no test_timestamps"):
        load("mnistdvs-ntidigits", split="test", data_dir=digits)


@pytest.fixture
def events(tmp_path, monkeypatch):
    """AVE with one clip of each kind in every list; one video has two kinds."""
    monkeypatch.setattr(ave, "PUBLISHED", {"trainSet.txt": 28, "valSet.txt": 1, "testSet.txt": 28})
    folder = tmp_path / "AVE_Dataset"
    folder.mkdir()
    lists = {
        "trainSet": [(f"Kind {k}", f"-a_{k}") for k in range(28)],
        "valSet": [("Kind 3", "-a_7")],
        "testSet": [(f"Kind {k}", f"b{k}") for k in range(28)],
    }
    for name, rows in lists.items():
        text = "".join(f"{category}&{video}&good&0&10\n" for category, video in rows)
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        for k, (_, video) in enumerate(rows):
            write_wav(folder / f"audio/{video}.wav", 100 * (k + 1), seconds=0.1)
            write_jpg(folder / f"visual/{video}.jpg", (9 * k, 0, 0))
    return tmp_path


def test_ave_reads_its_lists(events):
    train, test = (load("ave", split=split, data_dir=events) for split in ("train", "test"))
    assert len(train) == 29 and len(test) == 28 and train.classes == 28
    assert (
        train.group[-1] == train.group[7] and train.label[-1] == train.label[3]
    )  # one video, two kinds
    rows = [k for k in range(28) if k != 7]  # of row 7 the last list wrote sound and frame again
    red = train.framed["visual"][rows, 0, -1, 64].astype(int)
    pitch = train.framed["audio"][rows, 0, :, 2].argmax(1)
    assert np.abs(red - 9 * np.array(rows)).max() < 12  # each row its own frame and sound
    assert (np.diff(pitch.astype(int)) >= 0).all() and int(pitch[-1]) > int(pitch[0]) + 20
    assert all(np.array_equal(train.framed[m][28], train.framed[m][7]) for m in ("audio", "visual"))


def test_ave_names_what_is_missing(events):
    (events / "AVE_Dataset/visual/b4.jpg").unlink()
    with pytest.raises(
        DataError, match="1 of 28 visual/VideoID.jpg of the test list are missing: b4"
    ):
        load("ave", split="test", data_dir=events)
    for span in ("0&11", "5&5", "7&3", "-1&4", "x&4"):
        (events / "AVE_Dataset/testSet.txt").write_text(
            f"Kind 1&b1&good&{span}\n", encoding="utf-8"
        )
        with pytest.raises(DataError, match="testSet.txt: line 1 is not Category&VideoID"):
            load("ave", split="test", data_dir=events)
    (events / "AVE_Dataset/testSet.txt").write_text("Kind 1&b1&good&0\n", encoding="utf-8")
    with pytest.raises(DataError, match="testSet.txt: line 1 is not Category&VideoID"):
        load("ave", split="test", data_dir=events)


def test_spectrogram_is_that_of_the_equation(tmp_path):
    """A tone at a quarter of the sample rate fills the row half-way up; digital silence is
    log(1e-7).
    """
    write_wav(tmp_path / "tone.wav", encoders.RATE / 4, encoders.RATE, 1.0)
    tone = encoders.spectrogram(tmp_path / "tone.wav")[0]
    assert tone.shape == (128, 128) and abs(int(tone[:, 64].argmax()) - 63.5) <= 1
    with wave.open(str(tmp_path / "silence.wav"), "wb") as file:
        file.setparams((1, 2, encoders.RATE, 0, "NONE", ""))
        file.writeframes(bytes(encoders.RATE))
    assert np.allclose(encoders.spectrogram(tmp_path / "silence.wav"), np.log(1e-7))


def test_spectrogram_is_the_equations_in_plain_numpy(tmp_path):
    """log(|STFT| + 1e-7): 512 samples under a periodic Hann window every 353, zeros around, sound
    clamped to 1.
    """
    soundfile = pytest.importorskip("soundfile")
    x = np.random.default_rng(3).normal(0, 0.7, 9000).astype(np.float32)
    x[2000:5000] = 0
    soundfile.write(tmp_path / "a.wav", x, encoders.RATE, subtype="FLOAT")
    padded = np.pad(np.clip(x.astype(float), -1, 1), 256)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    frames_ = [np.fft.rfft(padded[at : at + 512] * hann) for at in range(0, len(x) + 1, 353)]
    expected = encoders.bilinear(np.log(np.abs(np.array(frames_)).T + 1e-7), 128)
    assert np.allclose(encoders.spectrogram(tmp_path / "a.wav")[0], expected, atol=1e-3)
    assert np.abs(x).max() > 1.5 and expected.min() < -15  # both ends are reached


def test_float_wav_is_read_too(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(
        tmp_path / "f.wav", np.linspace(-0.5, 0.5, 4000, dtype=np.float32), 22050, subtype="FLOAT"
    )
    samples, rate = read_sound(tmp_path / "f.wav")
    assert rate == 22050 and np.allclose(samples, np.linspace(-0.5, 0.5, 4000), atol=1e-6)


def test_bilinear_is_torchs():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(257, 63))
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(x)[None, None], (128, 128), mode="bilinear"
    )[0, 0]
    assert np.allclose(encoders.bilinear(x, 128), wanted.numpy())


def test_training_crops_repeat_with_their_stream_and_are_parts():
    pictures = np.zeros((6, 3, 128, 128), np.uint8)
    pictures[:, 0], pictures[:, 1] = np.arange(128), np.arange(128)[:, None]
    a, b, c = (encoders.cropped(pictures, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    assert a.max() <= 127 and not a[:, 2].any()
    slope = a[:, 0, 64, -1].astype(int) - a[:, 0, 64, 0]
    assert (slope > 0).any() and (slope < 0).any()  # some are mirrored


def test_training_crops_have_the_published_areas_and_proportions():
    """8 to 100 % of the picture, 3:4 to 4:3, anywhere in it, half of them mirrored."""
    pictures = np.zeros((600, 3, 128, 128), np.uint8)
    pictures[:, 0], pictures[:, 1] = 2 * np.arange(128), 2 * np.arange(128)[:, None]
    got = encoders.cropped(pictures, np.random.default_rng(5)).astype(float)
    first, last, up, down = got[:, 0, 64, 0], got[:, 0, 64, -1], got[:, 1, 0, 64], got[:, 1, -1, 64]
    width, height = (np.abs(a - b) / 2 + 1 for a, b in ((last, first), (down, up)))
    area, ratio = width * height / 128**2, width / height
    assert area.min() == pytest.approx(0.08, abs=0.02) and area.max() > 0.95
    assert area.mean() == pytest.approx(
        0.52, abs=0.05
    )  # a little less than uniform: sides are cut at 128
    small = area < 0.4  # none of these meets an edge of the picture
    assert 0.72 < ratio[small].min() < 0.8 and 1.25 < ratio[small].max() < 1.38
    assert np.log(ratio[small]).mean() == pytest.approx(0, abs=0.03)
    mirrored = last < first
    assert abs(mirrored.sum() - 300) < 5 * 600**0.5 / 2
    centre = (np.minimum(first, last)[small] / 2) / (128 - width[small])
    assert (
        centre.min() < 0.1 and centre.max() > 0.9 and centre.mean() == pytest.approx(0.5, abs=0.06)
    )


def frames(**arrays) -> Pairs:
    n = len(next(iter(arrays.values())))
    return Pairs(
        label=np.arange(n) % 2,
        row=np.arange(n),
        split="train",
        name="mine",
        classes=2,
        framed=arrays,
    )


def test_frames_are_quantised_over_the_range_of_the_training_set():
    random = np.random.default_rng(3)
    pairs = frames(
        visual=random.integers(0, 256, (300, 3, 4, 4), np.uint8),
        audio=random.normal(-5, 2, (300, 1, 4, 4)).astype(np.float32),
    )
    front_end = FrontEnd.fit(pairs)
    encoded = front_end.encode_pairs(pairs)
    assert np.array_equal(encoded["visual"], np.rint(pairs.framed["visual"] / 255 * 63))
    x = pairs.framed["audio"].astype(float)
    assert np.array_equal(
        encoded["audio"], np.clip(np.rint((x - x.mean()) / x.std() / 2.5 * 63), 0, 63)
    )
    some = pairs.take(np.array([5, 299]))
    assert all(
        np.array_equal(front_end.encode_pairs(some)[m], encoded[m][[5, 299]]) for m in encoded
    )
    assert FrontEnd.from_dict(json.loads(json.dumps(front_end.to_dict()))) == front_end


def test_front_ends_of_old_bundles_are_read():
    unit = Quantiser(0.0, 1.0, 0.0, 1.0)
    old = FrontEnd(unit, unit).to_dict()
    assert "framed" not in old and FrontEnd.from_dict(old).framed == {}
    with pytest.raises(DataError, match="framed.audio.*unknown key 'avg'"):
        FrontEnd.from_dict(old | {"framed": {"audio": {"avg": 1}}})
    with pytest.raises(DataError, match="not fitted on such frames"):
        FrontEnd(unit, unit).encode_pairs(frames(visual=np.zeros((2, 3, 4, 4), np.uint8)))


def test_frames_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="mine.visual: wrong shape"):
        frames(visual=np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(DataError, match="all samples are alike"):
        FrontEnd.fit(frames(visual=np.zeros((2, 3, 4, 4), np.uint8)))


@pytest.mark.parametrize("snr_db", [-6.0, 0.0, 12.0])
def test_noise_on_a_spectrogram_has_the_power_asked_for(snr_db):
    random = np.random.default_rng(4)
    signal = random.normal(0, 1, (3, 1, 128, 128)) + 1j * random.normal(0, 1, (3, 1, 128, 128))
    signal[:, :, 40:] *= 0.01
    clean = frames(audio=np.log(np.abs(signal)).astype(np.float32))
    noisy, again = (
        Corruption(audio_snr_db=snr_db).apply(clean, 7).framed["audio"] for _ in range(2)
    )
    power, more = (
        np.exp(2 * x.astype(float)).mean((1, 2, 3)) for x in (clean.framed["audio"], noisy)
    )
    assert np.array_equal(noisy, again) and np.isfinite(noisy).all()
    assert 10 * np.log10(power / (more - power)) == pytest.approx([snr_db] * 3, abs=0.4)


def test_noise_on_pictures_keeps_whole_pixels_and_bytes():
    clean = frames(visual=np.full((2, 3, 64, 64), 200, np.uint8))
    kept = Corruption(pixel_keep=0.25).apply(clean, 0).framed["visual"]
    assert set(np.unique(kept)) == {0, 200} and (kept.min(1) == kept.max(1)).all()
    assert (kept > 0).mean() == pytest.approx(0.25, abs=0.02)
    spread = Corruption(pixel_noise=0.1).apply(clean, 0).framed["visual"]
    assert spread.std() == pytest.approx(25.5, rel=0.05) and clean.framed["visual"].std() == 0
    assert np.array_equal(
        HARD.apply(clean, 0).take(np.array([1])).framed["visual"][0],
        HARD.apply(clean, 0).framed["visual"][1],
    )


def test_files_sorts_and_skips_hidden(tmp_path):
    for name in ("b.wav", "a.wav", ".c.wav", "d.txt"):
        (tmp_path / name).touch()
    faults = []
    assert list(files(tmp_path, ".wav", faults)) == ["a", "b"] and not faults


@pytest.mark.parametrize("name", ["crema-d", "mnistdvs-ntidigits"])
def test_trains_and_freezes_end_to_end(name, request, tmp_path):
    pytest.importorskip("lightning", reason="training needs torch and lightning")
    from scmrl.core import bundle, reference
    from scmrl.deploy import evaluation
    from scmrl.train import config
    from scmrl.train.run import loop

    folder = request.getfixturevalue("crema" if name == "crema-d" else "digits")
    chosen = config.read(
        None,
        {
            "dataset": name,
            "train.epochs": 1,
            "train.batch": 4,
            "train.validation": 0.3,
            "train.held_out": 2,
            "train.fold_fraction": 1.0,
            "model.width": 16,
            "model.steps": 2,
            "model.embedding": "strided" if name == "crema-d" else "shallow",
        },
    )
    loop.train(chosen, tmp_path / "run", data_dir=str(folder))
    frozen = bundle.load(tmp_path / "run")
    again = reference.run(frozen.graph, frozen.inputs)
    assert all(np.array_equal(again.spikes[p], s) for p, s in frozen.trained.spikes.items())
    evaluated = evaluation.evaluate(tmp_path / "run", data_dir=str(folder))
    assert evaluated.accuracy == frozen.metrics["test_accuracy"]
    shapes = {p.name: p.shape for p in frozen.graph.populations if p.kind == "input"}
    assert shapes == (
        {"audio": (1, 128, 128), "visual": (3, 128, 128)}
        if name == "crema-d"
        else {"audio": (1, 28, 28), "visual": (2, 28, 28)}
    )


def test_check_says_what_is_there_and_what_is_not(crema, tmp_path, capsys):
    from scmrl.cli import main

    arguments = ["data", "check", "crema-d", "--data-dir", str(crema), "--json"]
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--picture", str(tmp_path / "p.svg")])
    report = json.loads(capsys.readouterr().out)
    assert left.value.code == 0 and (tmp_path / "p.svg").read_text().startswith("<?xml")
    assert [s["samples"] for s in report["splits"]] == [18, 6] and report["splits"][0][
        "classes"
    ] == [3] * 6
    assert report["splits"][1]["modalities"][1]["shape"] == [3, 128, 128]
    damage("cut jpg", crema)
    with pytest.raises(SystemExit) as left:
        main(arguments)
    out = capsys.readouterr()
    report = json.loads(out.out)
    assert left.value.code == 3 and len(out.err.strip().splitlines()) == 1
    assert (
        report["splits"][0]["samples"] == 18
        and "1010_DFA_SAD_XX.jpg" in report["splits"][1]["fault"]
    )


@pytest.mark.parametrize("picture", ["p.svg", "p.png"])
def test_check_of_embedded_data(tmp_path, picture):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    from scmrl.data.check import check

    report = check("digits-av", None, tmp_path / picture)
    assert not report.faults and (tmp_path / picture).stat().st_size > 1000
    assert dataclasses.asdict(report.splits[1])["samples"] == 360


def test_rgb_is_the_middle_of_the_picture(tmp_path):
    x = np.zeros((256, 320, 3), np.uint8)
    x[..., 0], x[..., 1] = np.arange(256)[:, None], np.arange(320) // 2
    Image.fromarray(x).save(tmp_path / "a.png")
    assert np.array_equal(encoders.rgb(tmp_path / "a.png"), x[64:192, 96:224].transpose(2, 0, 1))
    Image.new("L", (30, 90), 7).save(tmp_path / "b.png")  # grey and upright
    assert (encoders.rgb(tmp_path / "b.png") == 7).all()


def test_only_training_pictures_are_cropped_anew_in_every_epoch(crema):
    pytest.importorskip("torch", reason="the feed is training's")
    from scmrl.train import config
    from scmrl.train.feed import Feed

    chosen = config.read(
        None,
        {
            "dataset": "crema-d",
            "train.shift": 0,
            "train.swap_partners": False,
            "train.validation": 0.3,
        },
    )
    feed = Feed(chosen, str(crema))
    first, again, second = (feed.epoch(epoch).encoded for epoch in (0, 0, 1))
    assert np.array_equal(first["visual"], again["visual"]) and not np.array_equal(
        first["visual"], second["visual"]
    )
    assert np.array_equal(first["audio"], second["audio"])
    test = load("crema-d", split="test", data_dir=crema)
    assert np.array_equal(feed.test.encoded["visual"], np.rint(test.framed["visual"] / 255 * 63))
    assert feed.test.batch == 16 and len(feed.validation.labels) == 5


@pytest.mark.parametrize("hard", [False, True])
def test_noise_in_training_alone_has_the_published_power(crema, hard):
    pytest.importorskip("torch", reason="the feed is training's")
    from scmrl.train import config
    from scmrl.train.feed import Feed

    settings = {
        "dataset": "crema-d",
        "hard": hard,
        "train.shift": 0,
        "train.batch": 8,
        "train.validation": 0.3,
    }
    quiet, noisy = (
        Feed(config.read(None, {**settings, "train.image_noise": noise}), str(crema))
        for noise in (0.0, 0.01)
    )
    (clean, labels, _), (frames_, same, _) = (next(iter(feed.epoch(0))) for feed in (quiet, noisy))
    steps = frames_["visual"]
    assert steps.shape == (4, *clean["visual"].shape[1:]) and np.array_equal(labels, same)
    assert np.array_equal(clean["audio"], frames_["audio"]) and not np.array_equal(
        steps[0], steps[1]
    )
    assert steps.min() >= 0 and steps.max() <= 63 and np.array_equal(steps, steps.round())
    middle = (clean["visual"] > 20) & (clean["visual"] < 43)  # far from where the range ends
    added = (steps - clean["visual"])[:, middle[0]]
    asked = 0.01 * float(clean["visual"].square().mean()) + 1 / 12  # and the rounding
    assert float(added.square().mean()) == pytest.approx(asked, rel=0.1)
    assert np.array_equal(quiet.test.encoded["visual"], noisy.test.encoded["visual"])
    assert np.array_equal(next(iter(noisy.epoch(0)))[0]["visual"], steps)
    halves = [
        next(iter(dataclasses.replace(noisy.epoch(0), part=(rank, 2))))[0]["visual"]
        for rank in (0, 1)
    ]
    assert np.array_equal(np.concatenate(halves, 1), steps)  # two processes see what one does


def test_noise_in_training_is_for_images():
    pytest.importorskip("torch", reason="the feed is training's")
    from scmrl.train import config
    from scmrl.train.feed import Feed

    with pytest.raises(UsageError, match="train.image_noise"):
        Feed(config.read(None, {"train.image_noise": 0.1, "model.modalities": ["audio"]}), None)
    with pytest.raises(UsageError, match="image_noise"):
        config.read(None, {"train.image_noise": -0.1})
