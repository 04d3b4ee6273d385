"""What commands print: reports on standard output, progress and hints on standard error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ..system.errors import one_line

if TYPE_CHECKING:
    from ..core.report.report import Report


def tell(line: str) -> None:
    """Progress and hints go to standard error: standard output holds reports only."""
    click.echo(one_line(line), err=True)


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
