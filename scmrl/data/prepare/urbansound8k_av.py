"""UrbanSound8K-AV as its publisher gives it: a sound and a picture a clip, in folders of classes.

    Dataset_v3_sound/CLASS/x.wav      Dataset_v3_vision/CLASS/x.jpg (or .png)

Split as `sets.urbansound8k_av` has it: the first 70 % of a class by name train. It is that of the
names of all clips that either half has, so a gap moves no other clip to the other part.
"""

from __future__ import annotations

from pathlib import Path

from ...system.errors import DataError
from ..prepared.work import Asked, Plan, Unit, inside
from ..sets.urbansound8k_av import CLASSES, SOUND, VISION, part
from .clips import stubs

PICTURES = (".jpg", ".jpeg", ".png")
MAKE = "scmrl.data.prepare.clips:clip"


def plan(source: Path, asked: Asked) -> Plan:
    """Raises DataError where the download is not there, or has another number of classes."""
    folder = inside(source, SOUND, VISION)
    halves = {half: folder / half for half in (SOUND, VISION)}
    kinds = sorted({p.name for half in halves.values() for p in half.iterdir() if p.is_dir()})
    if len(kinds) != CLASSES:
        value = ", ".join(kinds[:12])
        raise DataError("not the published classes", where=folder, limit=CLASSES, value=value)
    units, left_out, expected = list[Unit](), list[str](), {"train": 0, "test": 0}
    for label, kind in enumerate(kinds):
        heard = _files(halves[SOUND] / kind, (".wav",), left_out)
        seen = _files(halves[VISION] / kind, PICTURES, left_out)
        names = sorted(set(heard) | set(seen))
        for split in expected:
            stems = part(names, split)
            expected[split] += len(stems)
            for stem in stems:
                if stem not in heard or stem not in seen:
                    lack = "sound" if stem not in heard else "picture"
                    left_out.append(f"{kind}/{stem}: no {lack}")
                    continue
                paths = heard[stem], seen[stem]
                row = {"label": label, "recording": stem.split("-")[0], "split": split}
                arguments = (f"{kind}/{stem}", *map(str, paths), 0)
                units.append(Unit(f"{kind}/{stem}", MAKE, arguments, paths, row))
    if not units:
        raise DataError("no clip is whole", where=folder, value="; ".join(left_out[:3]))
    return Plan(tuple(units), expected, {}, tuple(left_out))


def _files(folder: Path, suffixes: tuple[str, ...], left_out: list[str]) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes)
    gone = stubs(found, left_out)
    return {p.stem: p for p in found if p not in gone}
