"""What a benchmark writes is held to the rule of every command: `scmrl.system.targets`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scmrl import __version__
from scmrl.system import targets
from scmrl.system.errors import ScmrlError
from scmrl.system.storage import write_json


def add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force", action="store_true", help="replace what a benchmark wrote there before"
    )


def may_write(path: Path | None, kind: str, options: argparse.Namespace) -> None:
    """Leave with one line, before any work, where `path` may not become a `kind` of
    `targets.MARKS`.
    """
    try:
        if path is not None:
            targets.check(path, kind, force=options.force)
    except ScmrlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def write_figures(path: Path, figures: dict) -> None:
    """Write figures as JSON, with the version that measured them."""
    write_json(path, {"scmrl": __version__} | figures, "figures")
