"""Sphinx's settings. `make docs` builds the site; nothing here needs the network."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import generated  # noqa: E402
from pygments.lexers import BashLexer  # noqa: E402

import scmrl  # noqa: E402

project = "scmrl"
version = release = scmrl.__version__
author = "the maintainers"
project_copyright = "the maintainers; Apache-2.0"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"scmrl {release}"
myst_heading_anchors = 3
smartquotes = False  # two dashes before an option stay two


def setup(app):
    generated.write(Path(__file__).parent / "reference")
    app.add_lexer("no-board", BashLexer)  # what the tests cannot run
