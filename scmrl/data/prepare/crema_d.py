"""CREMA-D as its publisher gives it: a clone with Git LFS.

    AudioWAV/NAME.wav       16 kHz, mono                NAME = ACTOR_SENTENCE_EMOTION_LEVEL
    VideoFlash/NAME.flv     vp6f, 480x360, 29.97 frames a second

The published split (He et al. 2025) is a list of 744 test clips, one name a line: --test-list, or
published_test_clips.txt in the download. Without it the split by speaker is there alone. Odd by its
publisher's word: 1064_TIE_SAD_XX.flv has no duration, 1076_MTI_NEU_XX.flv is very short,
1064_IEO_DIS_MD.flv lasts a minute and shows all emotions (its frame is drawn from the time of its
sound), 1076_MTI_SAD_XX.wav once was empty.
"""

from __future__ import annotations

import re
from pathlib import Path

from ...system.dependencies import require
from ...system.errors import DataError
from ...system.reading import LIST_BYTES, read_text
from ..prepared.work import Asked, Plan, Unit, inside
from ..sets.crema_d import CLASSES
from .clips import stubs

CLIPS = 7442  # published
SOUND, VIDEO, LIST = "AudioWAV", "VideoFlash", "published_test_clips.txt"
CLIP = re.compile(rf"(\d{{4}})_[A-Z]{{3}}_({'|'.join(CLASSES)})_[A-Z]{{1,2}}")
MAKE = "scmrl.data.prepare.clips:clip"


def plan(source: Path, asked: Asked) -> Plan:
    """Sound and a frame of each clip. Raises DataError where the download is not there."""
    require("av", "reading videos")
    return _plan(source, asked, video=True)


def plan_audio(source: Path, asked: Asked) -> Plan:
    """The sounds alone: no video is needed."""
    return _plan(source, asked, video=False)


def _plan(source: Path, asked: Asked, video: bool) -> Plan:
    folder = inside(source, SOUND, *([VIDEO] if video else []))
    left_out, notes = list[str](), list[str]()
    heard = _files(folder / SOUND, ".wav", left_out)
    seen = _files(folder / VIDEO, ".flv", left_out) if video else dict.fromkeys(heard)
    for have, lack, kind in ((heard, seen, "video"), (seen, heard, "sound")):
        left_out += [f"{name}: no {kind}" for name in sorted(set(have) - set(lack))]
    tests = _tests(folder, asked.test_list)
    names = sorted(set(heard) & set(seen))
    units = []
    for name in names:
        flv = seen[name]
        paths = (heard[name], *([flv] if flv else []))
        arguments = (name, str(heard[name]), str(flv or ""), asked.seed)
        units.append(Unit(name, MAKE, arguments, paths, _row(name, tests)))
    if not units:
        raise DataError("no clip is whole", where=folder, value="; ".join(left_out[:3]))
    if tests is None:
        expected = {"clips": CLIPS}
        notes.append(f"no list of test clips (--test-list, {LIST}): only by speaker")
    else:
        expected = {"train": CLIPS - len(tests), "test": len(tests)}
    return Plan(tuple(units), expected, {"seed": asked.seed}, tuple(left_out), tuple(notes))


def _row(name: str, tests: set[str] | None) -> dict:
    emotion = CLASSES.index(name.split("_")[2])
    split = {} if tests is None else {"split": "test" if name in tests else "train"}
    return {"label": emotion, "speaker": int(name.split("_")[0]), **split}


def _files(folder: Path, suffix: str, left_out: list[str]) -> dict[str, Path]:
    """The clips of a folder by name; what is a stub, or no clip by its name, is left out."""
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() == suffix)
    odd = [p for p in found if not CLIP.fullmatch(p.stem)]
    left_out += [f"{p.name}: not named ACTOR_SENTENCE_EMOTION_LEVEL" for p in odd]
    clips = [p for p in found if p not in odd]
    gone = stubs(clips, left_out)
    return {p.stem: p for p in clips if p not in gone}


def _tests(folder: Path, given: Path | None) -> set[str] | None:
    """The names of the test clips; None where no list is at hand."""
    path = given or folder / LIST
    if given is None and not path.is_file():
        return None
    lines = read_text(path, LIST_BYTES, error=DataError).split()
    odd = [line for line in lines if not CLIP.fullmatch(line)]
    if odd or not lines:
        value = odd[0] if odd else "an empty file"
        what = "not a list of clips, one ACTOR_SENTENCE_EMOTION_LEVEL a line"
        raise DataError(what, where=path, value=value)
    return set(lines)
