"""What commands print: reports on standard output, progress and hints on standard error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..system.errors import one_line, quoted

if TYPE_CHECKING:
    from ..core.report.report import Report


def tell(line: str) -> None:
    """Progress and hints go to standard error: standard output holds reports only."""
    click.echo(one_line(line), err=True)


@contextmanager
def resumable(command: str, run: Path) -> Iterator[None]:
    """Say, where training is interrupted, how it goes on."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if (run / "checkpoints" / "last.ckpt").is_file():
            tell(
                f"nothing is lost up to the last finished epoch; go on with: scmrl {command}"
                f" --resume --out {quoted(run)}"
            )
        raise


def render(report: Report, json_: bool, *next_commands: str, layers: bool = False) -> None:
    """Show a report, then name what to try next."""
    if json_:
        click.echo(json.dumps(report.to_json(), indent=1))
        return
    report.show(layers=layers)
    if report.has_layers and not layers:
        tell("by population: give --layers")
    for command in next_commands:
        tell(f"next: {command}")
