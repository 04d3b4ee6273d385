"""What may be written where: nothing of a user or of a stranger is ever replaced.

    nothing there, or empty             written
    scmrl's own, of the same kind       refused; with --force its files are replaced, what else
                                        lies among them stays
    anything else                       refused, with --force too

What scmrl wrote says so: a directory by its manifest (`storage` seals it with one), a page, a
picture or a table by a mark inside. Directories of scmrl 0.1, which had no manifest, are known by
their files. `check` holds a command to this before any work; `storage` holds itself to it again at
the moment of writing, where only the question after --force is no longer asked.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from .. import __version__
from .errors import ScmrlError, UsageError, quoted

GENERATOR = f"scmrl {__version__}"
MANIFEST = "manifest.json"  # {"scmrl": version, "kind": kind, "files": {name: sha256}}
LOCK, LEFTOVER = "scmrl.lock", ".scmrl-"  # nobody's files: they go when their process does
BUNDLE_FILES = ("bundle.json", "graph.json", "tensors.npz", "samples.npz", "source.nir")
EXPORT_FILES = {  # of scmrl 0.1, by target; the first tells the kind
    "c": ("c/model.c", "c/model.h", "c/weights.h", "c/README.md", "README.txt"),
    "lava": ("lava/network.json", "lava/network.npz", "README.txt"),
    "netx": ("netx/model.net", "README.txt"),
    "nir": ("nir/model.nir", "nir/spikes.nir", "nir/effect.json", "README.txt"),
    "onnx": ("onnx/model.seq.onnx", "onnx/model.step.onnx", "README.txt"),
    "verilog": (
        *("verilog/model.v", "verilog/core.v", "verilog/README.md", "README.txt"),
        *(f"verilog/{name}.hex" for name in ("schedule", "places", "weights", "levels", "decays")),
    ),
}
DIRECTORIES = {
    "bundle": "a bundle",
    "run": "a run",
    "sweep": "a sweep",
    "dataset": "a prepared dataset",
    **{target: f"an export for {target}" for target in EXPORT_FILES},
}
REPORTS = ("deploy", "energy", "evaluate", "export", "import", "place", "robustness", "verify")
# File kinds: by ending, what only scmrl writes into one.
MARKS: dict[str, dict[str, tuple[bytes, ...]]] = {
    "page": dict.fromkeys(
        (".html", ".htm"), (b'<meta name="generator" content="scmrl ', b"<footer>scmrl ")
    ),
    "picture": {
        ".svg": (b"<dc:title>scmrl ",),
        ".png": (b"Software\0scmrl ",),
        ".pdf": (b"/Creator (scmrl ",),
    },
    "table": {
        ".md": (
            b"Written by `scmrl ",
            b"Written by `python benchmarks/",
            b"\n`benchmarks/peers.py`.",
            b"# Kills\n\n`python benchmarks/kills.py ",
        )
    },
    "report": {".json": tuple(f'{{\n "command": "{name}"'.encode() for name in REPORTS)},
    "figures": {".json": (b'{\n "scmrl": "',)},
    "profile": {".toml": ()},  # is filled in by its user, and so never replaced
}
REPLACED_WHOLE = ("bundle", *EXPORT_FILES)  # the others are filled bit by bit
MARKED_BYTES = 1 << 16  # a mark lies that near to the beginning or the end
LARGEST_TABLE = 16 << 20  # bytes of a manifest or a setting
ELSEWHERE = "choose another name, or move it away"


def check(path: Path, kind: str, *, force: bool = False) -> None:
    """Raise `UsageError` where `path` may not become a `kind` (of DIRECTORIES or MARKS)."""
    place = real(path)
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise ScmrlError("cannot write", where=path, value=error.strerror) from None
    if kind in MARKS:
        _check_file(path, place, kind, mode, force)
    else:
        _check_directory(path, place, kind, mode, force)


def real(path: Path) -> Path:
    """Where `path` leads: a link stays, and what it names is written."""
    return Path(os.path.realpath(path))


def check_ending(path: Path, kind: str) -> None:
    """Raise `UsageError` where the name does not end as a file of that kind does."""
    if path.suffix.lower() not in MARKS[kind]:
        raise UsageError(
            f"unknown kind of {kind}",
            where=path,
            limit=" or ".join(MARKS[kind]),
            value=path.suffix or "no ending",
        )


def _check_file(path: Path, place: Path, kind: str, mode: int | None, force: bool) -> None:
    check_ending(path, kind)
    if mode is None:
        return
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise UsageError(f"there is {what}", where=path, fix=f"name a file for the {kind}")
    if place.stat().st_size == 0:
        return
    marks = MARKS[kind][path.suffix.lower()]
    if not marks:
        raise UsageError("a file is there already", where=path, fix="choose another name")
    if not _marked(place, marks):
        what = f"a file is there that scmrl did not write as a {kind}"
        raise UsageError(what, where=path, fix=ELSEWHERE)
    _ask(path, f"a {kind}", force)


def _ask(path: Path, what: str, force: bool) -> None:
    if not force:
        fix = "give --force to replace it, or choose another name"
        raise UsageError(f"{what} is there already", where=path, fix=fix)


def _marked(place: Path, marks: tuple[bytes, ...]) -> bool:
    try:
        with open(place, "rb") as file:
            text = file.read(MARKED_BYTES)
            file.seek(max(len(text), os.fstat(file.fileno()).st_size - MARKED_BYTES))
            text += file.read(MARKED_BYTES)
    except OSError as error:
        raise ScmrlError("cannot write", where=place, value=error.strerror) from None
    return any(mark in text for mark in marks)


def _check_directory(path: Path, place: Path, kind: str, mode: int | None, force: bool) -> None:
    what = DIRECTORIES[kind]
    if mode is not None and not stat.S_ISDIR(mode):
        fix = f"choose another name for {what}"
        raise UsageError("there is no directory but a file", where=path, fix=fix)
    if kind in REPLACED_WHOLE and place in (here := Path.cwd().resolve(), *here.parents):
        fix = f"name a new directory for {what}"
        raise UsageError("the current directory lies there", where=path, fix=fix)
    if not listed(place):
        return
    found = kind_of(place)
    if found != kind:
        holds = f"holds {DIRECTORIES[found]}" if found else "holds files that scmrl did not write"
        raise UsageError(f"{holds}, and is never replaced by {what}", where=path, fix=ELSEWHERE)
    _ask(path, what, force)


def listed(directory: Path) -> list[str]:
    """The names in a directory, without locks and leftovers of scmrl."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ScmrlError("cannot write", where=directory, value=error.strerror) from None
    return sorted(name for name in names if name != LOCK and not name.startswith(LEFTOVER))


def kind_of(directory: Path) -> str | None:
    """What scmrl wrote as `directory`, or None where it did not write it."""
    manifest = _table(directory / MANIFEST)
    if "scmrl" in manifest and isinstance(manifest.get("files"), dict):
        kind = manifest.get("kind")
        return kind if isinstance(kind, str) and kind in DIRECTORIES else None
    if {"schema", "scmrl", "sha256"} <= set(_table(directory / "bundle.json")):
        exported = (t for t, files in EXPORT_FILES.items() if (directory / files[0]).is_file())
        return next(exported, "bundle")
    if {"axes", "settings", "chip", "seed"} <= set(_table(directory / "sweep.json")):
        return "sweep"
    settings = _text(directory / "config.toml")
    if all(part in settings for part in ("dataset = ", "[model]", "[train]")):
        return "run"
    frozen = directory / "bundle"
    return "run" if (frozen / "bundle.json").is_file() and kind_of(frozen) == "bundle" else None


def own(directory: Path) -> set[str]:
    """The files that scmrl wrote as `directory`, by their names in it."""
    files = _table(directory / MANIFEST).get("files")
    if isinstance(files, dict):
        return {MANIFEST, *files}
    return {*BUNDLE_FILES, *EXPORT_FILES.get(kind_of(directory) or "", ())}


def strangers(directory: Path) -> list[str]:
    """What in a directory of scmrl is not its own, by name; whole directories by theirs."""
    if not directory.is_dir():
        return []
    names = own(directory)
    folders = {str(parent) for name in names for parent in Path(name).parents}
    found = []

    def walk(folder: Path, prefix: str) -> None:
        for entry in listed(folder):
            name, path = prefix + entry, folder / entry
            is_folder = path.is_dir() and not path.is_symlink()
            if is_folder and name in folders:
                walk(path, f"{name}/")
            elif is_folder or name not in names:
                found.append(name)

    walk(directory, "")
    return found


def apart(path: Path, bundle: Path) -> None:
    """Raise `UsageError` where an export to `path` would lie in the way of its bundle."""
    place, source = real(path), real(bundle)
    if place == source:
        raise UsageError("this is the model itself", where=path, fix="choose another directory")
    if source in place.parents and place.parent != source:
        fix = f"choose a directory outside of {quoted(bundle)}"
        raise UsageError("this is inside the model", where=path, fix=fix)


def metadata(path: Path) -> dict[str, str | None]:
    """What matplotlib's savefig is to write into a picture, to know it again; no date."""
    known: dict[str, dict[str, str | None]] = {
        ".svg": {"Creator": GENERATOR, "Date": None},
        ".png": {"Software": GENERATOR},
        ".pdf": {"Creator": GENERATOR, "CreationDate": None},
    }
    return known[path.suffix.lower()]


def _text(path: Path) -> str:
    """The text of a small regular file, or nothing."""
    try:
        mode = os.lstat(path)
        if not stat.S_ISREG(mode.st_mode) or mode.st_size > LARGEST_TABLE:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _table(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(_text(path))
    except (ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}
