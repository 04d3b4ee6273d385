"""ave: 28 kinds of audio-visual events in 4,143 ten-second clips (Tian et al. 2018, 1803.08842).

    data_dir/AVE_Dataset/{trainSet,valSet,testSet}.txt   Category&VideoID&Quality&StartTime&EndTime
    data_dir/AVE_Dataset/audio/VideoID.wav               the sound of AVE/VideoID.mp4
    data_dir/AVE_Dataset/visual/VideoID.jpg              one frame of it, from within the event

The published archive holds videos; sound and frame are taken from each beforehand, in any rate and
size, for example, with SECONDS the middle of its event,
    ffmpeg -i AVE/ID.mp4 -vn audio/ID.wav
    ffmpeg -ss SECONDS -i AVE/ID.mp4 -frames:v 1 visual/ID.jpg
audio is a spectrogram [1, 128, 128], visual an RGB frame [3, 128, 128] (see `encoders`). Split:
trainSet and valSet train (the feed holds its own validation out of them), testSet tests. Rows of
one video are one group. The label is the row's category; the published task, to find the event in
time, is another.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...system.errors import DataError
from ...system.reading import LIST_BYTES, read_text
from ..features.pairs import Pairs, stream
from .folders import counted, encoded, files, refuse, root_of, some

NAME = "ave"
CLASSES = 28
LISTS = {"train": ("trainSet.txt", "valSet.txt"), "test": ("testSet.txt",)}
PUBLISHED = {"trainSet.txt": 3339, "valSet.txt": 402, "testSet.txt": 402}
HEADER = "Category&VideoID&Quality&StartTime&EndTime"
SECONDS = 10
HOLDS = (
    "AVE_Dataset/{trainSet,valSet,testSet}.txt, AVE_Dataset/audio/*.wav and"
    " AVE_Dataset/visual/*.jpg"
)


def load(split: str, data_dir: str | Path | None, seed: int = 0, steps: int = 0) -> Pairs:
    """The split of the lists. Raises DataError naming what is missing or damaged."""
    stream(seed, split)
    folder, faults = root_of(data_dir, NAME, "AVE_Dataset", HOLDS), list[str]()
    lists = {file: _rows(folder / file, faults) for file in PUBLISHED}
    categories = sorted({category for rows in lists.values() for category, _ in rows})
    counted(len(categories), CLASSES, "categories", folder, faults)
    rows = [row for file in LISTS[split] for row in lists[file]]
    sounds = files(folder / "audio", ".wav", faults)
    frames = files(folder / "visual", ".jpg", faults)
    videos = list(dict.fromkeys(video for _, video in rows))
    for there, kind in ((sounds, "audio/VideoID.wav"), (frames, "visual/VideoID.jpg")):
        absent = [video for video in videos if video not in there]
        if absent:
            faults.append(
                f"{folder}: {len(absent)} of {len(videos)} {kind} of the {split} list are missing: "
                f"{some(absent)}{_unprepared(folder)}"
            )
    refuse(faults, folder)
    own = [sounds[video] for video in videos], [frames[video] for video in videos]
    framed = encoded(*own, folder, faults)
    at = np.array([videos.index(video) for _, video in rows], np.int64)
    return Pairs(
        label=np.array([categories.index(category) for category, _ in rows], np.int64),
        row=np.arange(len(rows)),
        split=split,
        name=NAME,
        classes=CLASSES,
        group=at,
        framed={name: x[at] for name, x in framed.items()},
    )


def _unprepared(folder: Path) -> str:
    hint = " (AVE/*.mp4 are there: take the sound and a frame from each)"
    return hint if any(folder.glob("AVE/*.mp4")) else ""


def _rows(path: Path, faults: list[str]) -> list[tuple[str, str]]:
    """(category, video) of every line of a list."""
    try:
        lines = read_text(path, LIST_BYTES, error=DataError).splitlines()
    except DataError as error:
        faults.append(str(error))
        return []
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.strip() == HEADER:
            continue
        words = line.strip().split("&")
        if len(words) != 5 or not _is_span(*words[3:]):
            faults.append(f"{path}: line {number} is not {HEADER}")
            return []
        rows.append((words[0], words[1]))
    counted(len(rows), PUBLISHED[path.name], "clips", path, faults)
    return rows


def _is_span(start: str, end: str) -> bool:
    return start.isdecimal() and end.isdecimal() and 0 <= int(start) < int(end) <= SECONDS
