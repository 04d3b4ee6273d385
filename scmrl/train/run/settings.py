"""The list of all settings, for `scmrl config`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from ...core.report.report import Block, Report
from .. import config

WIDTH = 79


@dataclass(frozen=True)
class Row:
    """One setting; `range` is empty where anything goes."""

    name: str
    default: object
    range: str
    meaning: str


@dataclass(frozen=True)
class ConfigReport(Report):
    """Every setting with its meaning, default and range, as `--set` and config.toml take it."""

    command = "config"
    settings: tuple[Row, ...]

    @staticmethod
    def of_defaults() -> ConfigReport:
        return ConfigReport(
            tuple(
                Row(
                    name,
                    list(default) if isinstance(default, tuple) else default,
                    setting.range,
                    setting.meaning,
                )
                for name, default, setting in config.listed()
            )
        )

    def headline(self) -> dict[str, str]:
        return {
            "settings": f"{len(self.settings)}, each with its default, its range and what it means",
            "change one": "scmrl train --set KEY=VALUE, as in --set train.epochs=10",
            "change more": "scmrl train --config FILE, as RUN/config.toml",
        }

    def details(self) -> Iterator[Block]:
        for row in self.settings:
            bounds = f"   ({row.range})" if row.range else ""
            line = f"{row.name} = {config.literal(row.default)}{bounds}"
            yield textwrap.fill(line, WIDTH, subsequent_indent=8 * " ", break_on_hyphens=False)
            yield textwrap.fill(
                row.meaning, WIDTH, initial_indent=4 * " ", subsequent_indent=4 * " "
            )
