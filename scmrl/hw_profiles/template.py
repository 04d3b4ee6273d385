"""A chip file to fill in: every text and quantity of `quantities` with unit, meaning and bounds.

As written it holds no number; it loads as it is, and after any of its lines was filled in.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from ..system.storage import whole_file
from ..system.targets import check
from .limits import RULES
from .quantities import CHOICES, KINDS, LARGEST, LIMITS, NAMED, SECTIONS, TEXTS, Entry

HEAD = """\
# A chip for scmrl. Fill in what is known, delete the rest: what nobody has published is left out, never 0.
# A quantity is uncommented and given its number:   synop = {{ value = 1.5, unit = "pJ", source = "here", kind = "assumed" }}
#   source  a name of [sources] below
#   kind    {kinds}
#   range   optional: [low, high] in which it has been seen;   each   optional: its values core by core
# Use it by its path:   scmrl energy RUN --profile {name}

# base = "loihi2"                  # optional: what is not given here is as there; then every line below is optional
"""


def meaning(key: str, entry: Entry) -> str:
    """What a quantity is, in one line: of a limit that a rule checks, the rule."""
    if entry.meaning:
        return entry.meaning
    text = " ".join((inspect.getdoc(RULES[key]) or key).split("Remedy:")[0].split()).rstrip(".")
    return f"{text}: 1 where it may be broken, 0 where not" if entry.unit == "1" else text


def text(name: str) -> str:
    """The template as TOML, for a file of that name."""
    return "\n".join(_lines(name)) + "\n"


def _lines(name: str) -> Iterator[str]:
    yield HEAD.format(kinds=", ".join(KINDS), name=name)
    for key, words in TEXTS.items():
        if key in CHOICES:
            known = " or ".join(CHOICES[key])
            yield f'# {key} = "{CHOICES[key][0]}"    # {words}: {known}'
        else:
            yield f'{key} = "my {key}"    # {words}'
    yield "\n[sources]"
    yield 'here = "where the numbers are from: a paper with its doi, a data sheet, a measurement"'
    for section, entries in (SECTIONS | NAMED).items():
        yield f'\n# [{section}."a name"]' if section in NAMED else f"\n[{section}]"
        for key, entry in entries.items():
            bounds = _bounds(*entry.bounds) if entries is LIMITS and entry.bounds else ""
            given = f'value = ?, unit = "{entry.unit}", source = "here", kind = "assumed"'
            yield f"# {key} = {{ {given} }}    # {meaning(key, entry)}{bounds}"


def _bounds(low: int, high: int) -> str:
    return f" ({low} or more)" if high == LARGEST else f" ({low} to {high})"


def write(path: Path) -> None:
    """Write the template to a new file. Raises `UsageError` for another ending or a file that is
    there.
    """
    check(path, "profile")
    with whole_file(path, "profile") as file:
        file.write_text(text(path.name), encoding="utf-8")
