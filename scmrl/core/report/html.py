"""Reports as one self-contained HTML page, by Jinja2: the blocks of the terminal, the figures, the
appendix, and what the report was made of. No network, no font, no library; complete without its few
lines of script. What comes from a model or a file is escaped by Jinja2.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from ... import __version__
from ...system.errors import MissingDependency, shown
from ...system.storage import whole_file
from ...system.targets import GENERATOR, check_ending
from .drawing import DARK, LIGHT, Svg, svg
from .report import Facts, Figure, Report

TEMPLATE = "page.html.j2"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def save(
    path: Path,
    report: Report,
    figures: Iterable[Figure] = (),
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Write the page of a report, whole, with `figures` of its run and the `provenance` that it
    does not hold itself.

    Raises `UsageError` where the name is that of no page, or of something else;
    `MissingDependency` without Jinja2 or, where there is a figure, matplotlib.
    """
    check_ending(Path(path), "page")
    text = page(report, figures, provenance)
    write(path, text)


def write(path: Path, text: str) -> None:
    """Write the text of a page, whole."""
    with whole_file(Path(path), "page") as temporary:
        temporary.write_text(text, encoding="utf-8")


def page(
    report: Report, figures: Iterable[Figure] = (), provenance: Mapping[str, str] | None = None
) -> str:
    """The page as text."""
    try:
        import jinja2
    except ModuleNotFoundError:
        raise MissingDependency("jinja2", enables="pages (--html)") from None
    every = [*report.figures(), *figures]
    subject = getattr(report, "model", "") or getattr(report, "run", "")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template(TEMPLATE)
    return template.render(
        title=f"scmrl {report.command}" + (f": {subject}" if subject else ""),
        answer=[report.headline()],
        details=list(filter(None, report.details())),
        figures=[figure for figure in every if not figure.name],
        layers=list(filter(None, report.layers())),
        named=[figure for figure in every if figure.name],
        appendix=list(filter(None, report.appendix())),
        provenance={**_made(), **report.provenance(), **(provenance or {})},
        drawn=_drawn,
        breakable=_breakable,
        light=LIGHT,
        dark=DARK,
        policy=POLICY,
        generator=GENERATOR,
        version=__version__,
    )


def _visible(value: object) -> object:
    """What others wrote, with its control characters written out."""
    return shown(value) if type(value) is str else value


def _breakable(name: str) -> str:
    """A name that may break into lines after its points and low lines."""
    from markupsafe import Markup, escape  # comes with Jinja2

    return Markup(re.sub(r"([._])(?=[A-Za-z])", r"\1<wbr>", str(escape(shown(name)))))


def _drawn(figure: Figure) -> Svg:
    from markupsafe import Markup  # comes with Jinja2

    drawn = svg(figure)
    return Svg(Markup(drawn.inside), drawn.width, drawn.height)


def _made() -> Facts:
    """When, and with what."""
    return {
        "date": f"{datetime.now().astimezone():%Y-%m-%d %H:%M %z}",
        "versions": (
            f"scmrl {__version__}, Python {platform.python_version()}, numpy {np.__version__}"
        ),
    }
