"""AVE as its publisher gives it: videos, and lists of rows.

    AVE/VideoID.mp4
    trainSet.txt, valSet.txt, testSet.txt       Category&VideoID&Quality&StartTime&EndTime, 4,143

A row is a clip of its own: the sound of its span, and a frame from within. A row without a span
(start = end) is the whole video. 45 videos stand in two rows of different categories: where such
spans overlap, the two labels contradict each other, and both rows are left out; where they do not,
both stay, but for a training row whose video is tested. Videos go from where they are shown, so a
set with gaps is usual: --partial.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ...system.dependencies import require
from ...system.errors import DataError
from ...system.reading import LIST_BYTES, read_text
from ..formats import video
from ..prepared.work import Asked, Made, Plan, Unit, inside
from ..sets.ave import CLASSES, HEADER, LISTS, PUBLISHED, SECONDS
from . import clips

MAKE = "scmrl.data.prepare.ave:row_clip"


@dataclass(frozen=True)
class Entry:
    """A row of a list."""

    place: str  # list and line
    split: str
    category: str
    video: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """Of its clip."""
        category = "".join(c if c.isalnum() else "-" for c in self.category)
        return f"{self.video}-{category}-{self.start}-{self.end}"

    def overlaps(self, other: Entry) -> bool:
        """Whether some second lies in both spans."""
        return self.start < other.end and other.start < self.end


def plan(source: Path, asked: Asked) -> Plan:
    """Raises DataError where the lists or the videos are not there, or a line is no row."""
    require("av", "reading videos")
    folder = inside(source, *PUBLISHED)
    entries, notes = _entries(folder)
    categories = sorted({entry.category for entry in entries})
    if len(categories) > CLASSES:
        value = f"{len(categories)} categories"
        raise DataError("more than are published", where=folder, limit=CLASSES, value=value)
    videos = {path.stem: path for path in sorted(folder.rglob("*.mp4"))}
    kept, left_out = _without_contradictions(entries)
    units, seen, absent = list[Unit](), set[str](), list[str]()
    for entry in kept:
        path = videos.get(entry.video)
        if path is None:
            absent.append(f"{entry.video}.mp4 is not there ({entry.place})")
        elif entry.name in seen:
            left_out.append(f"{entry.place}: {entry.name} is there twice")
        else:
            seen.add(entry.name)
            arguments = (entry.name, str(path), entry.start, entry.end, asked.seed)
            row = {"label": categories.index(entry.category), "video": entry.video}
            units.append(Unit(entry.name, MAKE, arguments, (path,), row | {"split": entry.split}))
    if not units:
        raise DataError("no video of the lists is there", where=folder, fix="put AVE/*.mp4 there")
    expected = {split: sum(e.split == split for e in kept) for split in LISTS}
    published = sum(PUBLISHED.values())
    if len(entries) != published:
        notes.append(f"the lists have {len(entries)} rows; {published} are published")
    settings = {"seed": asked.seed, "categories": categories}
    return Plan(tuple(units), expected, settings, (*left_out, *absent), tuple(notes))


def row_clip(name: str, path: str, start: int, end: int, seed: int) -> Made:
    """The unit of a row: the sound and a frame of its span."""
    notes: list[str] = []
    try:
        samples, rate = video.sound(Path(path))
        part = samples[start * rate : end * rate]
        if not len(part):
            value = f"{len(samples) / rate:.1f} s"
            raise DataError("the video ends before its span", where=path, value=value)
        files = {f"audio/{name}.wav": clips.wav(part, rate)}
        files |= clips.of_picture(name, Path(path), (start, end - 0.5), seed, notes)
    except DataError as error:
        return Made(left_out=(f"{name}: {error}",))
    return Made(files, (clips.row(name, files),), notes=tuple(notes))


def _entries(folder: Path) -> tuple[list[Entry], list[str]]:
    """The rows of all lists, and what is odd among them."""
    entries, notes = list[Entry](), list[str]()
    for split, files in LISTS.items():
        for file in files:
            lines = read_text(folder / file, LIST_BYTES, error=DataError).splitlines()
            for number, line in enumerate(lines, 1):
                if not line.strip() or line.strip() == HEADER:
                    continue
                place = f"{file}: line {number}"
                entries.append(_entry(line.strip(), place, split, folder, notes))
    return entries, notes


def _entry(line: str, place: str, split: str, folder: Path, notes: list[str]) -> Entry:
    words = line.split("&")
    numbers = words[3:] if len(words) == 5 and all(w.isdecimal() for w in words[3:]) else ["1", "0"]
    start, end = map(int, numbers)
    if not 0 <= start <= end <= SECONDS or "/" in words[1]:
        raise DataError(f"not {HEADER}", where=f"{folder}/{place}", value=line[:80])
    if start == end:
        notes.append(f"{place}: {words[1]} has no span; its whole video is taken")
        start, end = 0, SECONDS
    return Entry(place, split, words[0], words[1], start, end)


def _without_contradictions(entries: list[Entry]) -> tuple[list[Entry], list[str]]:
    """The rows to take, and why the others are not."""
    of_video = defaultdict(list)
    for entry in entries:
        of_video[entry.video].append(entry)
    kept, left_out = list[Entry](), list[str]()
    for entry in entries:
        others = [e for e in of_video[entry.video] if e.category != entry.category]
        against = next((e for e in others if e.overlaps(entry)), None)
        tested = next((e for e in others if e.split == "test" != entry.split), None)
        if against is not None:
            why = f"its label contradicts {against.category} of {against.place}"
        elif tested is not None:
            why = f"its video is tested as {tested.category} ({tested.place})"
        else:
            kept.append(entry)
            continue
        left_out.append(f"{entry.place}: {entry.video} {entry.category}: {why}")
    return kept, left_out
