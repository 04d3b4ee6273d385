"""The pages of the reference that are made from the code: the API, the commands, the settings.

    python docs/generated.py        writes docs/reference/{api,cli,settings}.md

Sphinx writes them anew at every build (`conf.py`); git ignores them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import click

import scmrl
from scmrl.train import config

# What the environment of the documentation does not have: only signatures are read.
HEAVY = ("torch", "lightning", "norse", "numba", "scipy", "matplotlib", "nir", "h5py", "optuna")
MADE = "<!-- made by docs/generated.py from the code: change it there -->"


def write(folder: Path) -> None:
    """Write the three pages into `folder`, each only where it changes: Sphinx reads what is new."""
    for name, page in {"api": api, "cli": cli, "settings": settings}.items():
        text, path = "\n".join(page()) + "\n", folder / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def api() -> Iterator[str]:
    """Every name of `scmrl.__all__`: signature and docstring."""
    yield from (MADE, "# The Python API", "")
    yield from ("```python", "import scmrl", "```", "")
    yield from prose(scmrl)
    with absent(HEAVY):
        for name in getattr(scmrl, "__all__", ()):
            thing = getattr(scmrl, name)
            if isinstance(thing, ModuleType):
                yield from module(name, thing)
            elif callable(thing):
                yield from ("", f"## `scmrl.{name}`", "", *member(f"scmrl.{name}", thing))


def module(name: str, thing: ModuleType) -> Iterator[str]:
    """A module of the API: what it says of itself, and its public functions and classes."""
    yield from ("", f"## `scmrl.{name}`", "", *prose(thing))
    for each in getattr(thing, "__all__", None) or public(thing):
        if callable(found := getattr(thing, each)):
            yield from member(f"scmrl.{name}.{each}", found)


def public(thing: ModuleType) -> list[str]:
    """The names that a module defines itself, without the private ones."""
    return [
        name
        for name, found in vars(thing).items()
        if not name.startswith("_") and getattr(found, "__module__", None) == thing.__name__
    ]


def member(name: str, thing: object) -> Iterator[str]:
    """One function or class, as Sphinx's Python domain has it; its docstring is Markdown."""
    kind = "class" if inspect.isclass(thing) else "function"
    yield from (f"``````{{py:{kind}}} {name}{signature(thing)}", "", *prose(thing), "``````", "")


def signature(thing: object) -> str:
    """As it stands in the code: annotations without quotes, functions without an address."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return "()"
    plain = [
        each.replace(
            annotation=Words(each.annotation)
            if isinstance(each.annotation, str)
            else each.annotation,
            default=Words("...") if inspect.isfunction(each.default) else each.default,
        )
        for each in found.parameters.values()
    ]
    given = found.return_annotation
    back = Words(given) if isinstance(given, str) else given
    return str(found.replace(parameters=plain, return_annotation=back))


class Words(str):
    """Text that is shown as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def prose(thing: object) -> Iterator[str]:
    """A docstring as Markdown: it is one, but for examples, which get a fence."""
    for block in re.split(r"\n\s*\n", inspect.getdoc(thing) or ""):
        yield from (f"```pycon\n{block}\n```" if block.startswith(">>>") else block, "")


def cli() -> Iterator[str]:
    """Every command: usage, meaning, arguments and options with their defaults."""
    from scmrl.cli import commands, main

    yield from (MADE, "# The command line", "", "`scmrl COMMAND --help` shows the same.", "")
    codes = (inspect.getdoc(main) or "").partition("Exit codes:")[2].split()
    yield from (f"Exit codes: {' '.join(codes)}" if codes else "", "")
    for path, command in walked(commands, ("scmrl",)):
        context = click.Context(command, info_name=" ".join(path))
        yield from (f"## {' '.join(path)}", "", "```text", *usage(context, command), "```", "")
        yield from (inspect.cleandoc(command.help or "").replace("\b", ""), "")
        rows = [found for p in command.params if (found := p.get_help_record(context))]
        if rows:
            yield from ("| option | meaning |", "|---|---|")
            yield from (f"| `{cell(option)}` | {cell(text)} |" for option, text in rows)
            yield ""


def walked(
    group: click.Group, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """The commands of a group in its order, those of groups within too."""
    context = click.Context(group, info_name=" ".join(path))
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from walked(command, (*path, name))
        else:
            yield (*path, name), command


def usage(context: click.Context, command: click.Command) -> list[str]:
    return [f"{context.info_name} {' '.join(command.collect_usage_pieces(context))}"]


def settings() -> Iterator[str]:
    """Every setting of training: default, range and meaning."""
    yield from (MADE, "# Settings of training", "")
    yield "`scmrl config` lists the same. Change one with `--set KEY=VALUE`, several with a TOML"
    yield from (
        "file (`--config FILE`); `RUN/config.toml` holds all of them as they were used.",
        "",
    )
    yield from ("| setting | default | range | meaning |", "|---|---|---|---|")
    for name, default, setting in config.listed():
        value = f"`{cell(config.literal(default))}`"
        yield f"| `{name}` | {value} | {cell(setting.range)} | {cell(setting.meaning)} |"


def cell(text: str) -> str:
    """A cell of a table on one line; what looks like a tag of HTML is text."""
    return re.sub(r"<(?=[A-Za-z/])", "&lt;", " ".join(text.split()).replace("|", "\\|"))


@contextlib.contextmanager
def absent(names: tuple[str, ...]) -> Iterator[None]:
    """Libraries that are not installed are stood in for, so that a module can be read."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    finder = StandIn(missing)
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class StandIn:
    """Gives any module of some libraries as one that has every name."""

    def __init__(self, names: list[str]):
        self.names = names

    def find_spec(self, name: str, path: object = None, target: object = None):
        if name.split(".")[0] in self.names:
            return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        made = MagicMock(name=spec.name)
        made.__path__, made.__spec__ = [], spec
        made.Module = made.nn.Module = type("Module", (), {})  # a base of classes to be read
        return made

    def exec_module(self, module: object) -> None:
        """There is nothing to run."""


if __name__ == "__main__":
    write(Path(__file__).parent / "reference")
