"""Recordings of events and spikes in their publishers' layouts, prepared: N-MNIST, MNIST-DVS with
N-TIDIGITS, SHD and SSC.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from places import SHARED
from test_published_data import aedat2

from scmrl.data import load
from scmrl.data.formats.events import frames, read_bs2
from scmrl.data.prepare import n_mnist, spoken_spikes
from scmrl.data.prepare.prepare import prepare
from scmrl.data.prepared import event_rows, recordings
from scmrl.data.prepared.index import Index
from scmrl.data.sets import mnistdvs_ntidigits
from scmrl.system.errors import DataError


def bin_of(seed: int) -> bytes:
    """An N-MNIST recording of 60 events."""
    random = np.random.default_rng(seed)
    t = np.sort(random.integers(0, 300_000, 60))
    raw = np.zeros((60, 5), np.uint8)
    raw[:, 0], raw[:, 1] = random.integers(0, 34, (2, 60))
    raw[:, 2] = random.integers(0, 2, 60) << 7 | t >> 16
    raw[:, 3], raw[:, 4] = t >> 8 & 255, t & 255
    return raw.tobytes()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Six recordings of each digit to train, two to test, numbered through."""
    monkeypatch.setattr(n_mnist, "PUBLISHED", {"train": 60, "test": 20})
    monkeypatch.setattr(n_mnist, "EACH", 4)
    home = tmp_path / "download" / "N-MNIST"
    for half, count in (("Train", 6), ("Test", 2)):
        for digit in range(10):
            (home / half / str(digit)).mkdir(parents=True)
            for k in range(count):
                number = 1 + 10 * k + digit
                path = home / half / str(digit) / f"{number:05d}.bin"
                path.write_bytes(bin_of(number + 1000 * (half == "Test")))
    return home


@pytest.mark.parametrize("workers", [1, 2])
def test_n_mnist_as_published(written, tmp_path, workers):
    out = tmp_path / "out"
    report = prepare("n-mnist", written.parent, out, workers=workers)
    assert report.there == report.published == {"train": 60, "test": 20} and not report.unusable
    train, test = (load("n-mnist", split=s, data_dir=out, steps=5) for s in ("train", "test"))
    assert np.bincount(train.label).tolist() == [6] * 10 and len(np.unique(train.group)) == 60
    assert test.recorded["visual"].shape == (20, 5, 2, 32, 32)
    paths = sorted((written / "Test").glob("*/*.bin"))
    for row, path in enumerate(paths):
        assert test.label[row] == int(path.parent.name)
        wanted = frames(read_bs2(path), 5, duration_us=300_000, bits=8)
        assert np.array_equal(test.recorded["visual"][row], wanted)


def test_a_damaged_recording_and_an_absent_half_are_named(written, tmp_path):
    (written / "Train/3/00004.bin").write_bytes(b"123")
    for path in (written / "Test").glob("7/*.bin"):
        path.unlink()
    report = prepare("n-mnist", written, tmp_path / "out", partial=True, workers=1)
    assert report.there == {"train": 59, "test": 18} and report.missing == 3
    assert report.unusable[0] == "Test/7: no *.bin" and "3/00004.bin: " in report.unusable[1]
    assert "not a whole number of events" in report.unusable[1]
    assert len(load("n-mnist", split="train", data_dir=tmp_path / "out")) == 59
    with pytest.raises(DataError, match="scmrl data prepare"):
        load("n-mnist", split="train", data_dir=written)


def test_the_published_layout_pairs_with_speech_as_the_subset_does(written, tmp_path):
    """The same recordings under both names: the same frames and digits."""
    from scmrl.data.formats import nmnist

    place = tmp_path / "subset" / "nmnist"
    place.mkdir(parents=True)
    for file, half, first in (("train1K.txt", "Train", 0), ("test100.txt", "Test", 60_000)):
        lines = []
        for path in sorted((written / half).glob("*/*.bin"), key=lambda p: p.stem):
            number = first + int(path.stem)
            (place / f"{number}.bs2").write_bytes(path.read_bytes())
            lines.append(f"{number} {path.parent.name}")
        (place / file).write_text("#sample class\n" + "\n".join(lines) + "\n")
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole/nmnist").symlink_to(written)
    for split in ("train", "test"):
        faults: list[str] = []
        one, other = (
            nmnist.recordings(tmp_path / place, split, 4, faults) for place in ("subset", "whole")
        )
        assert not faults and all(np.array_equal(x, y) for x, y in zip(one, other))


REAL = SHARED / "nmnist-published"


@pytest.mark.skipif(not REAL.is_dir(), reason="the real recording is not here (SCMRL_DATA)")
def test_a_real_recording(tmp_path):
    report = prepare("n-mnist", REAL, tmp_path / "out", partial=True, workers=1)
    assert report.there == {"train": 1, "test": 0}
    (index,) = [Index.find(tmp_path / "out")]
    (found,) = recordings.recordings(index, index.rows, "")
    events = read_bs2(REAL / "Train/0/00002.bin")
    assert found.label == 0
    assert all(np.array_equal(found.events[n], events[n]) for n in ("t", "x", "y", "p"))


# MNIST-DVS and N-TIDIGITS.


@pytest.fixture
def digits(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py", reason="N-TIDIGITS is an HDF5 file")
    monkeypatch.setattr(mnistdvs_ntidigits, "RECORDED", 4)
    monkeypatch.setattr(mnistdvs_ntidigits, "PER_SPLIT", 2)
    home = tmp_path / "download"
    for digit in range(10):
        place = home / f"DVS/MNIST_DVS/grabbed_data{digit}/scale04"
        place.mkdir(parents=True)
        for number in range(1, 5):
            rows = [(9000 * number + 100 * i, 50 + digit, 50 + i % 28, i % 2) for i in range(40)]
            (place / f"mnist_{digit}_scale04_{number:04d}.aedat").write_bytes(aedat2(rows))
    with h5py.File(home / "DVS/n-tidigits.hdf5", "w") as file:
        for split in ("train", "test"):
            words = ("o", *"123456789", "z", "12")
            names = [f"man-ae-{take}-{word}" for word in words for take in "abc"]
            file[f"{split}_labels"] = np.array([name.encode() for name in names])
            for i, name in enumerate(names):
                file[f"{split}_addresses/{name}"] = np.arange(20) * (i + 1) % 64
                file[f"{split}_timestamps/{name}"] = np.linspace(0.1, 0.9, 20)
    return home


def test_digits_are_those_of_the_published_folders_but_for_zero(digits, tmp_path):
    """Pictures, split and order as the published folders are read; zero is 'z', not 'o'."""
    report = prepare("mnistdvs-ntidigits", digits, tmp_path / "out", workers=1)
    assert report.there == {"train": 20, "test": 20} and not report.missing
    for split in ("train", "test"):
        old, new = (
            load("mnistdvs-ntidigits", split=split, data_dir=place, steps=4)
            for place in (digits, tmp_path / "out")
        )
        assert np.array_equal(old.label, new.label) and np.array_equal(old.group, new.group)
        assert np.array_equal(old.recorded["visual"], new.recorded["visual"])
        zero = old.label == 0
        one, other = old.recorded["audio"], new.recorded["audio"]
        assert np.array_equal(one[~zero], other[~zero])
        assert not np.array_equal(one[zero], other[zero])


def test_events_stand_upright_and_brighter_is_one(digits, tmp_path):
    """aedat2 writes x from the left, y from the top, p = 1 where it became brighter."""
    prepare("mnistdvs-ntidigits", digits, tmp_path / "out", workers=1)
    pairs = load("mnistdvs-ntidigits", split="train", data_dir=tmp_path / "out", steps=1)
    seen = pairs.recorded["visual"][pairs.label == 3][0, 0]  # column 53, rows 50 to 77
    assert np.flatnonzero(seen.any((0, 1))).tolist() == [3]
    assert seen[1, 1::2, 3].all() and not seen[1, ::2].any() and seen[0, ::2, 3].all()


def test_the_same_name_in_two_folders_is_refused_and_gaps_are_counted(digits, tmp_path):
    place = digits / "DVS/MNIST_DVS/grabbed_data0/scale04"
    (place / "mnist_0_scale04_0002.aedat").unlink()
    (place / "mnist_0_scale04_0009.aedat").write_bytes(b"")
    report = prepare("mnistdvs-ntidigits", digits, tmp_path / "out", partial=True, workers=1)
    assert report.missing == 1 and "0009.aedat: numbers go from 1 to 4" in report.unusable[0]
    twin = digits / "DVS/MNIST_DVS/processed_data0/scale04"
    twin.mkdir(parents=True)
    name = "mnist_0_scale04_0001.aedat"
    (twin / name).write_bytes((place / name).read_bytes())
    with pytest.raises(DataError, match="processed_data0.*grabbed_data0.*keep one"):
        prepare("mnistdvs-ntidigits", digits, tmp_path / "other", workers=1)


# SHD and SSC.


def put_hdf5(path: Path, count: int, classes: int, speakers: bool = True) -> list[tuple]:
    """A file of the published kind: (label, speaker, times, units) of what it holds."""
    h5py = pytest.importorskip("h5py", reason="SHD is an HDF5 file")
    random = np.random.default_rng(count)
    rows = [
        (
            i % classes,
            i % 3,
            np.sort(random.random(5 + i)).astype(np.float16),
            random.integers(0, 700, 5 + i).astype(np.uint16),
        )
        for i in range(count)
    ]
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        kinds = {"times": np.float16, "units": np.uint16}
        for (name, kind), column in zip(kinds.items(), (2, 3)):
            data = file.create_dataset(f"spikes/{name}", (count,), h5py.vlen_dtype(kind))
            for i, row in enumerate(rows):
                data[i] = row[column]
        file["labels"] = np.array([row[0] for row in rows], np.uint16)
        if speakers:
            file["extra/speaker"] = np.array([row[1] for row in rows], np.uint16)
    return rows


@pytest.fixture
def heard(tmp_path, monkeypatch):
    monkeypatch.setattr(spoken_spikes, "EACH", 7)
    files = {"shd_train": ("train", 40), "shd_test": ("test", 20)}
    monkeypatch.setitem(spoken_spikes.FILES, "shd", files)
    home = tmp_path / "download"
    return home, {
        s: put_hdf5(home / f"shd_{s}.h5", n, 20) for s, n in (("train", 40), ("test", 20))
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_shd_as_published(heard, tmp_path, workers):
    home, rows = heard
    report = prepare("shd", home, tmp_path / "out", workers=workers)
    assert report.there == {"train": 40, "test": 20} and not report.missing
    for split in ("train", "test"):
        pairs = load("shd", split=split, data_dir=tmp_path / "out", steps=7)
        assert pairs.label.tolist() == [row[0] for row in rows[split]] and pairs.classes == 20
        assert pairs.group.tolist() == [row[1] for row in rows[split]]
        for x, (_, _, times, units) in zip(pairs.recorded["audio"], rows[split]):
            assert x.shape == (7, 1, 28, 28) and x.sum() == len(times)
            for t, unit in zip(times.astype(float), units.astype(int)):
                assert x[min(int(t * 7 / 1.4), 6), 0, unit // 28, unit % 28] > 0


def test_ssc_trains_on_its_validation_part_too(tmp_path, monkeypatch):
    parts = {"ssc_train": ("train", 30), "ssc_valid": ("train", 10), "ssc_test": ("test", 10)}
    monkeypatch.setitem(spoken_spikes.FILES, "ssc", parts)
    for stem, (_, count) in parts.items():
        put_hdf5(tmp_path / "download" / f"{stem}.h5", count, 35, speakers=False)
    prepare("ssc", tmp_path / "download", tmp_path / "out", workers=1)
    pairs = load("ssc", split="train", data_dir=tmp_path / "out")
    assert len(pairs) == 40 and pairs.classes == 35 and len(np.unique(pairs.group)) == 40


def test_late_spikes_belong_to_the_last_step():
    x = event_rows.spoken_frames(np.array([0.0, 0.3, 1.39, 1.4, 3.0]), np.arange(5), 2, 1.4)
    assert x[0].ravel()[:5].tolist() == [1, 1, 0, 0, 0]
    assert x[1].ravel()[:5].tolist() == [0, 0, 1, 1, 1] and x.sum() == 5


def test_damage_of_a_file_of_spikes_is_named(heard, tmp_path):
    h5py = pytest.importorskip("h5py", reason="SHD is an HDF5 file")
    home, _ = heard
    with h5py.File(home / "shd_train.h5", "r+") as file:
        file["labels"][3] = 20
        file["spikes/units"][4] = np.full(9, 700, np.uint16)
        file["spikes/times"][5] = np.array([np.nan] * 10, np.float16)
        file["spikes/times"][6] = np.zeros(2, np.float16)
    report = prepare("shd", home, tmp_path / "out", partial=True, workers=1)
    said = "; ".join(report.unusable)
    for word in ("3: label 20", "4: a channel outside", "5: a time that is", "6: 2 times of 11"):
        assert f"shd_train.h5: recording {word}" in said
    assert report.there == {"train": 36, "test": 20} and report.missing == 4
    whole = (home / "shd_test.h5").read_bytes()
    (home / "shd_test.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="shd_test.h5: damaged or truncated HDF5 file"):
        prepare("shd", home, tmp_path / "other")
    (home / "shd_test.h5").rename(home / "shd_test.h5.zip")
    with pytest.raises(DataError, match="unpack shd_test.h5.zip there"):
        prepare("shd", home, tmp_path / "other")
