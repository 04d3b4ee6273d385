"""Jinja2's templates of a target, beside its code; a name that they are not given is an error."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ...system.dependencies import require


def rendered(
    folder: Path, purpose: str, words: dict[str, Any], names: Sequence[str]
) -> dict[str, str]:
    """The files of those names, each of its template NAME.j2 in a folder, which sees `words`.
    Raises `MissingDependency` without Jinja2, which `purpose` needs.
    """
    templates = _templates(folder, purpose)
    return {name: templates.get_template(f"{name}.j2").render(words) for name in names}


@cache
def _templates(folder: Path, purpose: str) -> Any:
    jinja2 = require("jinja2", purpose)
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
