"""Where a published dataset lies on disk, and what of it is missing: precise words for a wrong or
partial download.
"""

from __future__ import annotations

from pathlib import Path

from ...system.errors import DataError
from .av_mnist import folder_of

NAMED = 3  # names that a fault lists before it only counts


def root_of(data_dir: str | Path | None, name: str, inside: str, holds: str) -> Path:
    """The folder `inside` ("DVS/MNIST_DVS") of data_dir, or data_dir itself where it already is
    that folder.

    Raises DataError where it is not there: an archive that is not unpacked and another spelling are
    named.
    """
    folder = folder_of(data_dir, name, holds)
    if not folder.is_dir():
        raise DataError("no such folder", where=folder, fix=f"pass the folder that holds {holds}")
    place = folder / inside
    if place.is_dir():
        return place
    if folder.name == Path(inside).name:
        return folder
    raise DataError(
        f"{name} is not there",
        where=place,
        fix=_why_absent(place, folder) or f"it must hold {holds}",
    )


def _why_absent(place: Path, folder: Path) -> str:
    other = spelt_otherwise(place)
    if other:
        return f"rename '{other.name}' to '{place.name}'"
    archives = sorted(
        p.name
        for p in folder.iterdir()
        if p.suffix.lower() in (".zip", ".gz", ".tar", ".7z", ".rar")
    )
    return f"unpack {', '.join(archives)} there" if archives else ""


def spelt_otherwise(place: Path) -> Path | None:
    """What lies beside `place` under its name in other letter case."""
    if not place.parent.is_dir():
        return None
    return next(
        (
            p
            for p in sorted(place.parent.iterdir())
            if p.name.lower() == place.name.lower() and p.name != place.name
        ),
        None,
    )


def files(folder: Path, suffix: str, faults: list[str]) -> dict[str, Path]:
    """{stem: path} of the files of a folder, sorted; a folder that is not there, or another case,
    is a fault.
    """
    if not folder.is_dir():
        faults.append(
            f"{folder}: no such folder" + (f" ({hint})" if (hint := _hint(folder)) else "")
        )
        return {}
    there = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    wrong = [p.name for p in there if p.suffix != suffix and p.suffix.lower() == suffix]
    if wrong:
        faults.append(f"{folder}: {some(wrong)} must end in {suffix}, in lower case")
    return {p.stem: p for p in there if p.suffix == suffix}


def _hint(folder: Path) -> str:
    other = spelt_otherwise(folder)
    return f"there is '{other.name}'" if other else ""


def partnered(
    sounds: dict[str, Path], pictures: dict[str, Path], where: Path, faults: list[str]
) -> list[str]:
    """Stems that have both files, sorted; a sound without a picture, or the reverse, is a fault."""
    for have, lack, kind in ((sounds, pictures, "picture"), (pictures, sounds, "sound")):
        alone = sorted(set(have) - set(lack))
        if alone:
            faults.append(f"{where}: {len(alone)} without a {kind}: {some(alone)}")
    return sorted(set(sounds) & set(pictures))


def counted(found: int, expected: int, what: str, where: Path, faults: list[str]) -> None:
    """A fault where there are not as many as were published."""
    if found != expected:
        faults.append(f"{where}: {found} {what}, published are {expected}")


def some(names: list[str]) -> str:
    """The first names and how many there are besides."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
