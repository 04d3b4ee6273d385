"""How data are named on the command line and in a run: a built-in set, or data of the user's own.

    digits-av                            a set of `DATASETS`
    mine.npz, recordings/                a file or a folder
    my_data.py:load, my_package:load     a function that makes data

A run remembers where its data lie; the model that it makes says their name alone, and so is the
same on every machine.
"""

from __future__ import annotations

import os

from . import DATASETS


def is_own(name: str) -> bool:
    """Whether data of that name are the user's own: a path or a function, not a built-in set."""
    written = ":" in name or "/" in name or name.endswith(".npz")
    return name not in DATASETS and (written or os.path.exists(name))


def located(name: str) -> str:
    """The path of a file, a folder, or FILE.py:NAME from the root on; a module's name as it is."""
    source, colon, attribute = name.rpartition(":")
    if colon and not source.endswith(".py"):
        return name
    return f"{os.path.abspath(source)}:{attribute}" if colon else os.path.abspath(name)


def portable(name: str) -> str:
    """The name of `located` without the folders above: mine.npz, recordings/, my_data.py:load."""
    source, colon, attribute = name.rpartition(":")
    if colon:
        return f"{os.path.basename(source)}:{attribute}"
    path = name.rstrip("/")
    return os.path.basename(path) + ("" if path.endswith(".npz") else "/")
