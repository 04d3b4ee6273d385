"""Sphinx's settings. `make docs` builds the site; nothing here needs the network."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import generated

import scmrl

project = "scmrl"
version = release = scmrl.__version__
author = "the maintainers"
project_copyright = "the maintainers; Apache-2.0"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"scmrl {release}"
myst_heading_anchors = 3
nitpicky = False
add_module_names = False
suppress_warnings = ["toc.empty_glob"]  # pages that come later than this list of them


def setup(_app):
    generated.write(Path(__file__).parent / "reference")
