"""AVE and UrbanSound8K-AV in their publishers' layouts, prepared."""

from __future__ import annotations

import numpy as np
import pytest
from test_prepare import put_video, put_wav
from test_published_data import write_jpg

from scmrl.data import load
from scmrl.data.formats.sound import read_sound
from scmrl.data.prepare.prepare import prepare
from scmrl.data.prepared.index import Index
from scmrl.system.errors import DataError

ROWS = {  # Category&VideoID&Quality&StartTime&EndTime
    "trainSet.txt": [
        "Church bell&aaa&good&0&3",
        "Male speech, man speaking&bbb&good&1&4",
        "Church bell&two&good&0&2",  # the same seconds with another label
        "Truck&two&good&1&4",
        "Truck&apart&good&0&2",  # other seconds of a video with another label: both stay
        "Church bell&apart&good&2&4",
        "Truck&tested&good&0&2",  # its video is tested, under another label
        "Truck&none&good&0&0",  # no span
        "Truck&gone&good&0&4",  # no video
    ],
    "valSet.txt": ["Truck&ccc&good&0&4"],
    "testSet.txt": ["Church bell&ddd&good&1&3", "Church bell&tested&good&2&4"],
}


@pytest.fixture
def lists(tmp_path):
    """AVE with videos of four seconds, each second of another grey."""
    home = tmp_path / "download" / "AVE_Dataset"
    home.mkdir(parents=True)
    for file, rows in ROWS.items():
        head = ["Category&VideoID&Quality&StartTime&EndTime"] if file != "valSet.txt" else []
        (home / file).write_text("\n".join([*head, *rows]) + "\n")
    for video in {row.split("&")[1] for rows in ROWS.values() for row in rows} - {"gone"}:
        put_video(home / "AVE" / f"{video}.mp4", 4, sound=True)
    return home


def test_ave_is_keyed_by_row_and_contradictions_are_told(lists, tmp_path):
    Image = pytest.importorskip("PIL.Image", reason="pictures need pillow")
    out = tmp_path / "out"
    report = prepare("ave", lists.parent, out, partial=True, workers=2)
    said = "\n".join(report.unusable)
    assert said.count("its label contradicts") == 2 and said.count("its video is tested as") == 1
    assert "trainSet.txt: line 8: tested Truck" in said and "gone.mp4 is not there" in said
    assert len(report.unusable) == 4 and report.missing == 1
    assert report.there == {"train": 6, "test": 2} and report.published == {"train": 7, "test": 2}
    assert any("none has no span" in note for note in report.notes)
    assert any("4143 are published" in note for note in report.notes)
    train, test = (load("ave", split=s, data_dir=out) for s in ("train", "test"))
    assert np.bincount(train.label).tolist() == [2, 1, 3] and test.label.tolist() == [0, 0]
    assert len(np.unique(train.group)) == 5  # both rows of `apart` are one group
    rows = {row["id"]: row for row in Index.find(out).rows}
    for name, row in rows.items():
        start, end = map(int, name.split("-")[-2:])
        grey = np.asarray(Image.open(out / row["visual"])).mean()
        second = (grey - 40) / 60
        assert start - 0.1 <= second < min(end, 4) - 0.9, (name, grey)
        sound, rate = read_sound(out / row["audio"])
        assert rate == 22050 and len(sound) / rate == pytest.approx(min(end, 4) - start, abs=0.1)


def test_what_is_no_row_is_named(lists, tmp_path):
    for bad in ("Truck&x&good&3&2", "Truck&x&good", "Truck&x&good&0&11", "Truck&../x&good&0&1"):
        (lists / "valSet.txt").write_text(bad + "\n")
        with pytest.raises(DataError, match="valSet.txt: line 1: not Category&VideoID"):
            prepare("ave", lists, tmp_path / "out")
    (lists / "valSet.txt").unlink()
    with pytest.raises(DataError, match="valSet.txt"):
        prepare("ave", lists, tmp_path / "out")


@pytest.fixture
def street(tmp_path):
    home = tmp_path / "download" / "UrbanSound8K-AV"
    for k in range(10):
        for i in range(10):
            name = f"{100 + i // 2}-{k}-0-{i}"
            put_wav(home / f"Dataset_v3_sound/class{k}/{name}.wav", 44100, 0.2)
            write_jpg(home / f"Dataset_v3_vision/class{k}/{name}.jpg", (25 * k, 9, 9))
    return home


def test_urbansound_keeps_its_split_whatever_is_missing(street, tmp_path):
    prepare("urbansound8k-av", street, tmp_path / "out", workers=2)
    old, new = (
        load("urbansound8k-av", split="test", data_dir=place)
        for place in (street.parent, tmp_path / "out")
    )
    assert np.array_equal(old.label, new.label) and np.array_equal(old.group, new.group)
    assert np.array_equal(old.framed["visual"], new.framed["visual"])
    (street / "Dataset_v3_sound/class3/100-3-0-0.wav").unlink()
    (street / "Dataset_v3_vision/class4/104-4-0-9.jpg").write_bytes(b"no picture")
    report = prepare("urbansound8k-av", street, tmp_path / "gap", partial=True, workers=1)
    assert report.there == {"train": 69, "test": 29} and report.missing == 2
    assert report.unusable[0] == "class3/100-3-0-0: no sound"
    assert "104-4-0-9.jpg: not a whole image" in report.unusable[1]
    part = load("urbansound8k-av", split="test", data_dir=tmp_path / "gap")
    assert np.bincount(part.label).tolist() == [3, 3, 3, 3, 2, 3, 3, 3, 3, 3]
