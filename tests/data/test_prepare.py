"""`scmrl data prepare`: what is made is whole, is gone on with, and is never a stranger's; the
publisher's layouts, with their faults, become what training reads.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from places import ROOT, SHARED

from scmrl.data import FrontEnd, load
from scmrl.data.features import encoders
from scmrl.data.prepare import PREPARED, crema_d
from scmrl.data.prepare.prepare import prepare
from scmrl.data.prepared.index import Index
from scmrl.data.prepared.work import Asked, Made, Plan, Unit
from scmrl.system import targets
from scmrl.system.errors import DataError, UsageError

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 72862\n".format("0" * 64)


# A set of numbers: file n of the download becomes n.txt, which says so twice.


def plan(source: Path, asked: Asked) -> Plan:
    units = tuple(
        Unit(p.stem, "test_prepare:doubled", (str(p),), (p,), {"split": "train"})
        for p in sorted(source.glob("*.in"))
    )
    return Plan(units, {"train": 6}, {"seed": asked.seed}, ("q: odd",), ("a note",))


def doubled(path: str) -> Made:
    if Path(path).with_suffix(".kill").exists():
        os.kill(os.getpid(), 9)
    text = Path(path).read_text()
    if text == "bad":
        return Made(left_out=(f"{Path(path).stem}: bad",))
    name = f"deep/{Path(path).stem}.txt"
    return Made({name: (2 * text).encode()}, ({"file": name},))


@pytest.fixture
def numbers(tmp_path, monkeypatch):
    monkeypatch.setitem(PREPARED, "numbers", "test_prepare:plan")
    source = tmp_path / "download"
    source.mkdir()
    for n in range(6):
        (source / f"{n}.in").write_text(str(n))
    return source


def tree(folder: Path) -> dict[str, bytes]:
    found = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(found)}


@pytest.mark.parametrize("workers", [1, 2])
def test_all_is_made_once_and_hashed(numbers, tmp_path, workers):
    report = prepare("numbers", numbers, tmp_path / "out", workers=workers)
    assert (report.made, report.kept, report.missing) == (6, 0, 0)
    assert report.there == report.published == {"train": 6}
    assert report.unusable == ("q: odd",) and report.notes == ("a note",)
    assert targets.kind_of(tmp_path / "out") == "dataset"
    assert targets.strangers(tmp_path / "out") == []
    assert (tmp_path / "out/deep/3.txt").read_text() == "33"
    before = tree(tmp_path / "out")
    again = prepare("numbers", numbers, tmp_path / "out", workers=workers)
    assert (again.made, again.kept) == (0, 6) and tree(tmp_path / "out") == before
    assert Index.find(tmp_path / "out").changed() == []
    (tmp_path / "out/deep/3.txt").write_text("34")
    assert Index.find(tmp_path / "out").changed() == ["deep/3.txt"]


def test_a_killed_preparation_goes_on(numbers, tmp_path):
    """SIGKILL in the middle: what is there is whole, and the end is as if nothing had been."""
    (numbers / "3.kill").touch()
    code = (
        "import test_prepare; from pathlib import Path; from scmrl.data.prepare import PREPARED;"
        "from scmrl.data.prepare.prepare import prepare; PREPARED['numbers'] = 'test_prepare:plan';"
        f"prepare('numbers', Path({str(numbers)!r}), Path({str(tmp_path / 'out')!r}), workers=1)"
    )
    paths = [str(ROOT), *map(str, (ROOT / "tests", ROOT / "tests" / "data"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert {p.name for p in (tmp_path / "out/deep").iterdir()} == {"0.txt", "1.txt", "2.txt"}
    with pytest.raises(DataError, match="6 of 6 samples are not there"):
        Index.find(tmp_path / "out").check()
    (numbers / "3.kill").unlink()
    prepare("numbers", numbers, tmp_path / "out", workers=1)
    prepare("numbers", numbers, tmp_path / "whole", workers=1)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert not [n for n in os.listdir(tmp_path / "out") if n.startswith(".scmrl-")]


def test_a_worker_that_dies_is_one_line_and_what_is_made_is_kept(numbers, tmp_path):
    (numbers / "5.kill").touch()
    with pytest.raises(Exception, match="--workers 1 goes on") as caught:
        prepare("numbers", numbers, tmp_path / "out", workers=2)
    assert "\n" not in str(caught.value)
    (numbers / "5.kill").unlink()
    assert prepare("numbers", numbers, tmp_path / "out", workers=2).missing == 0


def test_a_strangers_file_stays(numbers, tmp_path):
    out = tmp_path / "out"
    prepare("numbers", numbers, out, workers=1)
    (out / "notes.txt").write_text("a thesis")
    (numbers / "6.in").write_text("6")
    (out / "deep/6.txt").write_text("mine")
    with pytest.raises(UsageError, match="6.txt: a file is there that scmrl did not write"):
        prepare("numbers", numbers, out, workers=1)
    assert (out / "deep/6.txt").read_text() == "mine"
    (out / "deep/6.txt").unlink()
    prepare("numbers", numbers, out, workers=1)
    assert (out / "deep/6.txt").read_text() == "66"
    assert (out / "notes.txt").read_text() == "a thesis"


def test_what_changes_in_the_download_is_made_anew_and_what_goes_stays(numbers, tmp_path):
    out = tmp_path / "out"
    prepare("numbers", numbers, out, workers=1)
    (numbers / "2.in").write_text("two")
    (numbers / "4.in").unlink()
    report = prepare("numbers", numbers, out, workers=1)
    assert (report.made, report.kept, report.missing) == (1, 4, 0)
    assert (out / "deep/2.txt").read_text() == "twotwo" and (out / "deep/4.txt").exists()
    (out / "deep/2.txt").write_text("edited by hand")
    with pytest.raises(UsageError, match="did not write"):
        prepare("numbers", numbers, out, workers=1)


def test_other_settings_and_odd_places_are_refused(numbers, tmp_path):
    out = tmp_path / "out"
    prepare("numbers", numbers, out, workers=1)
    before = tree(out)
    with pytest.raises(UsageError, match="another prepared dataset is there already"):
        prepare("numbers", numbers, out, asked=Asked(seed=1), workers=1)
    assert tree(out) == before
    with pytest.raises(UsageError, match="holds files that scmrl did not write"):
        prepare("numbers", numbers, numbers, workers=1)
    with pytest.raises(UsageError, match="within the download"):
        prepare("numbers", numbers, numbers / "within", workers=1)
    with pytest.raises(UsageError, match="did you mean 'crema-d'"):
        prepare("crema_d", numbers, out)


def test_gaps_are_counted_and_trained_on_with_partial_alone(numbers, tmp_path):
    (numbers / "2.in").write_text("bad")
    report = prepare("numbers", numbers, tmp_path / "out", workers=1)
    assert report.missing == 1 and report.unusable == ("q: odd", "2: bad")
    with pytest.raises(DataError, match="1 of 6 samples are not there.*--partial"):
        Index.find(tmp_path / "out").check()
    report = prepare("numbers", numbers, tmp_path / "out", partial=True, workers=1)
    assert (report.made, report.kept, report.partial) == (0, 6, True)
    Index.find(tmp_path / "out").check()
    (tmp_path / "out/deep/0.txt").unlink()
    with pytest.raises(DataError, match="0.txt: 1 prepared files are missing or cut off"):
        Index.find(tmp_path / "out").check()


# CREMA-D.

EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")


def put_wav(path: Path, rate: int = 16000, seconds: float = 1.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = np.random.default_rng(len(path.stem)).standard_normal(int(rate * seconds))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound * 3000).astype("<i2").tobytes())


def put_video(path: Path, seconds: float = 2.0, sound: bool = False) -> None:
    """A video whose frame at t seconds has the grey 40 + 60 floor(t)."""
    av = pytest.importorskip("av", reason="videos need PyAV")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flv" if path.suffix == ".flv" else "mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        tone = container.add_stream("aac", rate=44100) if sound else None
        for k in range(round(10 * seconds)):
            grey = np.full((72, 96, 3), min(255, 40 + 60 * (k // 10)), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
        if tone is not None:
            x = np.sin(np.arange(int(44100 * seconds)) / 20)[None].astype(np.float32) / 4
            frame = av.AudioFrame.from_ndarray(x, format="fltp", layout="mono")
            frame.sample_rate = 44100
            container.mux(tone.encode(frame))
            container.mux(tone.encode(None))


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Two actors, six emotions; DIS of each is a test clip."""
    monkeypatch.setattr(crema_d, "CLIPS", 12)
    home = tmp_path / "download"
    names = [f"{actor}_DFA_{emotion}_XX" for actor in (1001, 1010) for emotion in EMOTIONS]
    for name in names:
        put_wav(home / "CREMA-D/AudioWAV" / f"{name}.wav")
        put_video(home / "CREMA-D/VideoFlash" / f"{name}.flv")
    tests = [name for name in names if "DIS" in name]
    (home / "CREMA-D/published_test_clips.txt").write_text("\n".join(tests) + "\n")
    return home / "CREMA-D"


def test_crema_d_of_a_whole_clone(clone, tmp_path):
    report = prepare("crema-d", clone.parent, tmp_path / "out", workers=2)
    assert report.there == {"train": 10, "test": 2} and not report.missing
    assert report.unusable == report.notes == ()
    train, test = (load("crema-d", split=s, data_dir=tmp_path / "out") for s in ("train", "test"))
    assert np.bincount(train.label).tolist() == [2, 0, 2, 2, 2, 2] and test.label.tolist() == [1, 1]
    assert train.framed["visual"].shape == (10, 3, 128, 128) and len(np.unique(train.group)) == 10
    wav = "audio/1001_DFA_ANG_XX.wav"
    source = clone / "AudioWAV/1001_DFA_ANG_XX.wav"
    assert (tmp_path / "out" / wav).read_bytes() == source.read_bytes()
    speakers = load("crema-d-speakers", split="test", data_dir=tmp_path / "out")
    assert set(speakers.group) == {1010} and len(speakers) == 6
    heard = load("crema-d-audio", split="train", data_dir=tmp_path / "out")
    assert set(heard.framed) == {"audio"} and len(heard) == 10
    with pytest.raises(DataError, match="crema-d was prepared there, not ave"):
        load("ave", split="train", data_dir=tmp_path / "out")


def test_the_frame_is_drawn_by_seed_and_name_alone(clone, tmp_path):
    """A frame of a second; which one does not depend on who else is there, but on the seed."""
    Image = pytest.importorskip("PIL.Image", reason="pictures need pillow")

    def frames(name: str, **asked) -> dict[str, bytes]:
        prepare("crema-d", clone, tmp_path / name, asked=Asked(**asked), workers=1, partial=True)
        return {n: x for n, x in tree(tmp_path / name).items() if n.startswith("visual/")}

    first, other = frames("a"), frames("b", seed=1)
    assert frames("c") == first and other != first
    greys = {np.asarray(Image.open(tmp_path / "a" / name)).mean() for name in first}
    assert {round(grey / 5) * 5 for grey in greys} == {40, 100}  # second 0 or second 1
    (clone / "VideoFlash/1001_DFA_ANG_XX.flv").unlink()
    fewer = frames("d")
    assert fewer.items() < first.items() and len(fewer) == 11


def test_every_odd_clip_is_named_and_none_stops_the_set(clone, tmp_path):
    wavs, flvs = clone / "AudioWAV", clone / "VideoFlash"
    (wavs / "1001_DFA_ANG_XX.wav").write_text(LFS)
    (flvs / "1001_DFA_DIS_XX.flv").write_text(LFS)
    (wavs / "1001_DFA_FEA_XX.wav").write_bytes(b"")
    put_wav(wavs / "1001_DFA_HAP_XX.wav", seconds=0)
    (flvs / "1001_DFA_NEU_XX.flv").write_bytes(b"")
    (flvs / "1001_DFA_SAD_XX.flv").write_bytes(b"FLV" + bytes(500))
    (wavs / "1010_DFA_ANG_XX.wav").unlink()
    put_video(flvs / "1010_DFA_DIS_XX.flv", seconds=0.2)
    whole = (flvs / "1010_DFA_FEA_XX.flv").read_bytes()
    (flvs / "1010_DFA_FEA_XX.flv").write_bytes(whole[: len(whole) * 3 // 4])
    put_wav(wavs / "1010_DFA_HAP_XX.wav", seconds=12)
    put_wav(wavs / "oddly named.wav")
    report = prepare("crema-d", clone, tmp_path / "out", workers=1)
    said = dict(line.split(": ", 1) for line in report.unusable)
    expected = {
        "1001_DFA_ANG_XX": "stub of Git LFS (git lfs pull)|no sound",
        "1001_DFA_DIS_XX": "stub of Git LFS (git lfs pull)|no video",
        "1001_DFA_FEA_XX": "the file is empty",
        "1001_DFA_HAP_XX": "the recording is empty",
        "1001_DFA_NEU_XX": "no frame can be decoded",
        "1001_DFA_SAD_XX": "no frame can be decoded",
        "1010_DFA_ANG_XX": "no sound",
        "oddly named.wav": "not named ACTOR_SENTENCE_EMOTION_LEVEL",
    }
    assert set(said) == set(expected)
    for name, why in expected.items():
        assert any(word in said[name] for word in why.split("|")), (name, said[name])
    assert [note for note in report.notes if note.startswith("1010_DFA_HAP_XX: lasts 12 s")]
    assert report.missing == 7 and report.there == {"train": 4, "test": 1}


def test_a_clone_without_git_lfs_is_told_what_to_do(clone, tmp_path, scmrl):
    for path in clone.glob("*/*.*"):
        path.write_text(LFS)
    code, out, err = scmrl("data", "prepare", "crema-d", "--from", clone, "--out", tmp_path / "out")
    assert code == 3 and out == "" and "git lfs pull" in err and len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_sound_alone_needs_no_video(clone, tmp_path):
    shutil.rmtree(clone / "VideoFlash")
    prepare("crema-d-audio", clone, tmp_path / "out", workers=1)
    assert len(load("crema-d-audio", split="train", data_dir=tmp_path / "out")) == 10
    with pytest.raises(DataError, match="scmrl data prepare crema-d --from"):
        load("crema-d", split="train", data_dir=tmp_path / "out")
    with pytest.raises(DataError, match="VideoFlash"):
        prepare("crema-d", clone, tmp_path / "other")
    with pytest.raises(DataError, match="scmrl data prepare"):
        load("crema-d-audio", split="train", data_dir=clone)


def test_without_the_list_there_is_the_split_by_speaker(clone, tmp_path):
    tests = (clone / "published_test_clips.txt").rename(tmp_path / "list.txt")
    report = prepare("crema-d", clone, tmp_path / "out", workers=1)
    assert report.there == {"clips": 12} and "--test-list" in report.notes[0]
    with pytest.raises(DataError, match="--test-list FILE, or train on crema-d-speakers"):
        load("crema-d", split="train", data_dir=tmp_path / "out")
    assert len(load("crema-d-speakers", split="train", data_dir=tmp_path / "out")) == 6
    report = prepare("crema-d", clone, tmp_path / "out", asked=Asked(test_list=tests), workers=1)
    assert (report.made, report.kept) == (0, 12) and report.there["test"] == 2
    assert len(load("crema-d", split="test", data_dir=tmp_path / "out")) == 2
    (tmp_path / "list.txt").write_text("clip one")
    with pytest.raises(DataError, match="not a list of clips.*clip"):
        prepare("crema-d", clone, tmp_path / "out", asked=Asked(test_list=tests))


def test_the_command_says_what_is_missing_and_what_comes_next(clone, tmp_path, scmrl):
    (clone / "VideoFlash/1001_DFA_ANG_XX.flv").unlink()
    words = ("data", "prepare", "crema-d", "--from", clone, "--out", tmp_path / "o", "--json")
    code, out, err = scmrl(*words)
    assert code == 3 and "1 samples of crema-d are missing" in err and "--partial" in err
    assert json.loads(out)["unusable"] == ["1001_DFA_ANG_XX: no video"]
    code, out, err = scmrl("data", "check", "crema-d", "--data-dir", tmp_path / "o")
    assert code == 3 and "with --partial" in out
    code, out, err = scmrl(*words, "--partial")
    assert code == 0 and json.loads(out)["made"] == 0
    code, out, err = scmrl("data", "check", "crema-d", "--data-dir", tmp_path / "o")
    assert code == 0 and "train 9; test 2" in out
    path = tmp_path / "o/audio/1010_DFA_ANG_XX.wav"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    code, out, err = scmrl("data", "check", "crema-d", "--data-dir", tmp_path / "o")
    assert code == 3 and "audio/1010_DFA_ANG_XX.wav" in out and "not the bytes" in out


def test_nothing_above_the_recordings_own_rate_is_fitted(tmp_path):
    pytest.importorskip("librosa", reason="spectrograms need librosa")
    put_wav(tmp_path / "low.wav", 16000)
    put_wav(tmp_path / "high.wav", 44100)
    low, high = (encoders.band_limited(tmp_path / f"{n}.wav") for n in ("low", "high"))
    above = np.isneginf(low[0])
    assert np.isfinite(high).all() and high.shape == low.shape == (1, 128, 128)
    rows = above.all(1)
    assert np.array_equal(above.any(1), rows) and 90 < np.argmax(rows) < 95  # 8 of 11.025 kHz
    assert rows[np.argmax(rows) :].all()


def test_the_levels_are_those_of_what_is_heard(clone, tmp_path):
    prepare("crema-d", clone, tmp_path / "out", workers=1)
    pairs = load("crema-d", split="train", data_dir=tmp_path / "out")
    audio = pairs.framed["audio"]
    fitted = FrontEnd.fit(pairs)
    heard = audio[np.isfinite(audio)].astype(float)
    assert fitted.framed["audio"].mean == pytest.approx(heard.mean())
    assert fitted.framed["audio"].std == pytest.approx(heard.std())
    q = fitted.encode_framed("audio", audio)
    assert (q[np.isneginf(audio)] == 0).all() and q.max() > 40


def test_training_pictures_are_parts_of_the_whole_frame(clone, tmp_path):
    """As published; the middle alone is shown where it is judged, and where there is noise."""
    prepare("crema-d", clone, tmp_path / "out", workers=1)
    train, test = (load("crema-d", split=s, data_dir=tmp_path / "out") for s in ("train", "test"))
    assert train.whole["visual"].shape == (10, 3, 256, 341) and not test.whole
    middle = encoders.rgb(tmp_path / "out/visual/1001_DFA_ANG_XX.png")
    assert np.array_equal(train.framed["visual"][0], middle)
    assert train.take(np.array([3])).whole["visual"].shape[0] == 1
    marked = np.zeros((40, 3, 256, 341), np.uint8)
    marked[..., :100] = 255  # left of the middle
    parts = encoders.cropped(marked, np.random.default_rng(1), (128, 128))
    assert parts.shape == (40, 3, 128, 128) and 5 < parts.any((1, 2, 3)).sum() < 40
    assert not encoders.middle(marked).any()


REAL = SHARED / "crema-d"


@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips are not here (SCMRL_DATA)")
def test_real_clips(tmp_path):
    """Six videos of one actor and the sounds that others resampled: faces before a green screen."""
    pytest.importorskip("av", reason="videos need PyAV")
    Image = pytest.importorskip("PIL.Image", reason="pictures need pillow")
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone/AudioWAV").symlink_to(REAL / "resampled")
    (tmp_path / "clone/VideoFlash").symlink_to(REAL / "VideoFlash")
    tests = REAL / "published_test_clips.txt"
    asked = Asked(test_list=tests)
    report = prepare("crema-d", tmp_path / "clone", tmp_path / "out", asked=asked, partial=True)
    assert report.there == {"train": 4, "test": 2}
    assert report.published == {"train": 6698, "test": 744} and len(report.unusable) == 6
    for path in (tmp_path / "out/visual").iterdir():
        x = np.asarray(Image.open(path)).astype(int)
        assert x.shape == (360, 480, 3)
        green = (x[..., 1] > x[..., 0] + 30) & (x[..., 1] > x[..., 2] + 30)
        face = green[120:180, 220:260]
        assert 0.4 < green.mean() < 0.9 and face.mean() < 0.02
    report = prepare("crema-d", REAL, tmp_path / "own", workers=1)
    assert sum(report.there.values()) == 1 and len(report.unusable) == 11
