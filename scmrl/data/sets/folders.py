"""Where a published dataset lies on disk, and words for what a download lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...system.errors import DataError, quoted
from ..features.encoders import encode_all, rgb, spectrogram

NAMED = 3  # names that a fault lists before it only counts
FAULTS_SHOWN = 10


def folder_of(data_dir: str | Path | None, name: str, holds: str) -> Path:
    """The folder of a dataset's recordings, or DataError where none is given."""
    if data_dir is None:
        what, fix = f"{name} reads recordings from a folder", f"pass the folder that holds {holds}"
        raise DataError(what, where="data_dir", fix=fix)
    return Path(data_dir)


def refuse(faults: list[str], folder: Path) -> None:
    """DataError that names the first ten faults and says how many there are, if there are any."""
    if faults:
        named = "; ".join(faults[:FAULTS_SHOWN])
        more = f" and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
        raise DataError(f"{len(faults)} missing or damaged: {named}{more}", where=folder)


def encoded(
    sounds: list[Path], pictures: list[Path], folder: Path, faults: list[str]
) -> dict[str, np.ndarray]:
    """Spectrograms and RGB of all files; DataError for the `faults` so far, or damaged files."""
    refuse(faults, folder)
    audio, visual = encode_all(spectrogram, sounds, faults), encode_all(rgb, pictures, faults)
    refuse(faults, folder)
    return {"audio": audio, "visual": visual}


def root_of(data_dir: str | Path | None, name: str, inside: str, holds: str) -> Path:
    """The folder `inside` ("DVS/MNIST_DVS") of data_dir, or data_dir itself where it is that.

    Raises DataError where it is not there, naming a packed archive or another spelling.
    """
    folder = folder_of(data_dir, name, holds)
    if not folder.is_dir():
        raise DataError("no such folder", where=folder, fix=f"pass the folder that holds {holds}")
    place = folder / inside
    if place.is_dir():
        return place
    if folder.name == Path(inside).name:
        return folder
    prepared = (
        f"scmrl data prepare {name.removesuffix('-speakers')} --from {quoted(folder)} --out DIR"
    )
    fix = (
        _why_absent(place, folder)
        or f"{prepared}, where it is the download; else put {holds} there"
    )
    raise DataError(f"{name} is not there", where=place, fix=fix)


def _why_absent(place: Path, folder: Path) -> str:
    other = spelt_otherwise(place)
    if other:
        return f"rename '{other.name}' to '{place.name}'"
    packed = (".zip", ".gz", ".tar", ".7z", ".rar")
    archives = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in packed)
    return f"unpack {', '.join(archives)} there" if archives else ""


def spelt_otherwise(place: Path) -> Path | None:
    """What lies beside `place` under its name in other letter case."""
    if not place.parent.is_dir():
        return None
    same = (p for p in sorted(place.parent.iterdir()) if p.name.lower() == place.name.lower())
    return next((p for p in same if p.name != place.name), None)


def files(folder: Path, suffix: str, faults: list[str]) -> dict[str, Path]:
    """{stem: path} of a folder's files, sorted; no such folder, or another case, is a fault."""
    if not folder.is_dir():
        other = spelt_otherwise(folder)
        hint = f" (there is '{other.name}')" if other else ""
        faults.append(f"{folder}: no such folder{hint}")
        return {}
    there = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    wrong = [p.name for p in there if p.suffix != suffix and p.suffix.lower() == suffix]
    if wrong:
        faults.append(f"{folder}: {some(wrong)} must end in {suffix}, in lower case")
    return {p.stem: p for p in there if p.suffix == suffix}


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
