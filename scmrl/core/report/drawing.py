"""Figures by matplotlib: the only place that sets it up, for pictures in files and on pages.

    LIGHT, DARK     the palette: a name and its colour on white paper, and on a dark page
    KINDS           one name of the palette for each kind of energy, the same in all figures
    shaded, hover   a rectangle that is stronger the larger a share is; words under the pointer
    behind          words behind the end of a bar
    save, svg       the figures of a picture file; one figure for a page

What is drawn takes its colours from LIGHT; on a page each becomes a variable of the style sheet, so
that it turns with the reader's scheme. A share is an opacity, never a second colour.
"""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...system.errors import MissingDependency, visible
from ...system.storage import write_figure
from ...system.targets import check_ending
from .report import Figure

LIGHT = {
    "ink": "#1c2730",
    "paper": "#ffffff",
    "soft": "#f1f4f6",
    "line": "#d5dce1",
    "grey": "#5b6873",
    "faint": "#8fa3b0",
    "blue": "#1f6f8b",
    "orange": "#e08e45",
    "green": "#6a994e",
    "violet": "#8d6a9f",
    "magenta": "#b5179e",
    "red": "#c8553d",
}
DARK = {
    "ink": "#e6ecf0",
    "paper": "#12181d",
    "soft": "#1c252c",
    "line": "#33404a",
    "grey": "#a3b1bb",
    "faint": "#6f838f",
    "blue": "#5fb2cf",
    "orange": "#e9a66b",
    "green": "#93bd78",
    "violet": "#b597c6",
    "magenta": "#df6bce",
    "red": "#f08a70",
}
KINDS = {
    "synops": "blue",
    "updates": "green",
    "messages": "magenta",
    "hops": "red",
    "static": "orange",
    "fixed": "violet",
    "host": "faint",
}
DPI = 150
LONGEST = 48  # letters of a name
TITLE, LETTERS = 10, 12  # of a caption in a file: points, letters an inch
STRONGEST = 0.75  # opacity of the share 1: ink on it stays readable
STYLE: dict[Any, object] = {  # matplotlib has a type of its keys
    "font.size": 8,
    "axes.edgecolor": LIGHT["faint"],
    "axes.facecolor": "none",
    "axes.labelcolor": LIGHT["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
    "legend.frameon": False,
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["ink"],
    "ytick.color": LIGHT["ink"],
    "svg.hashsalt": "scmrl",  # the same picture for the same numbers
    "text.parse_math": False,
}
HOVER = "hover "


@dataclass(frozen=True)
class Svg:
    """A figure as inline SVG: what is inside the element, and its size in points."""

    inside: str
    width: float
    height: float


@contextlib.contextmanager
def _styled(**more: object) -> Iterator[Any]:
    """matplotlib's Figure, in our style."""
    try:
        import matplotlib
        from matplotlib.figure import Figure as Sheet
    except ModuleNotFoundError:
        raise MissingDependency("matplotlib", enables="pictures and pages") from None
    with matplotlib.rc_context(STYLE | more), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a letter that no font has, no room
        yield Sheet


def save(path: Path, *figures: Figure, kind: str | None = "picture") -> Path:
    """Write figures below each other, each under its caption, as a PNG, SVG or PDF file; returns
    its path.

    Raises `UsageError` for another ending or another's file, `MissingDependency` without
    matplotlib. `kind` as in `storage.whole_file`.
    """
    path = Path(path)
    check_ending(path, "picture")
    heights = [figure.size[1] + 0.3 * bool(figure.caption) for figure in figures]
    with _styled() as Sheet:
        size = max(figure.size[0] for figure in figures), sum(heights)
        sheet = Sheet(figsize=size, layout="constrained", facecolor=LIGHT["paper"])
        parts = sheet.subfigures(len(figures), 1, height_ratios=heights, squeeze=False)[:, 0]
        for figure, part in zip(figures, parts):
            figure.draw(part)
            if figure.caption:
                words = textwrap.fill(figure.caption, int(LETTERS * size[0]))
                part.suptitle(words, fontsize=TITLE, fontweight="bold")
        for artist in sheet.findobj():
            artist.set_gid(None)
        write_figure(path, sheet, DPI, kind)
    return path


def svg(figure: Figure) -> Svg:
    """A figure for a page: text stays text, colours are variables, `hover` becomes a title."""
    memory = io.StringIO()
    with _styled(**{"svg.fonttype": "none", "font.family": "sans-serif"}) as Sheet:
        layout = None if figure.name else "constrained"  # seconds, of a hundred small ones
        sheet = Sheet(figsize=figure.size, layout=layout, facecolor="none")
        figure.draw(sheet)
        sheet.savefig(memory, format="svg", metadata={"Date": None}, transparent=True)
    text = memory.getvalue()
    inside = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    inside = re.sub(r".*?<svg[^>]*>(.*)</svg>.*", r"\1", inside, flags=re.DOTALL)
    inside = re.sub(rf'<g id="{HOVER}([^"]*)">', r"<g><title>\1</title>", inside)
    inside = re.sub(r' id="[a-zA-Z0-9]+_\d+"', "", inside)
    for name, colour in LIGHT.items():
        inside = inside.replace(colour, f"var(--{name})")
    return Svg(inside, *(72 * inches for inches in figure.size))


def name(of: str) -> str:
    """A name as a label: of a very long one its two ends."""
    return visible(of, LONGEST)


def hover(artist: Any, words: str) -> None:
    """Show words where a pointer rests on the artist; on a page only."""
    artist.set_gid(HOVER + visible(words))


def shaded(
    axis: Any,
    corner: tuple[float, float],
    size: tuple[float, float],
    share: float,
    words: str,
    *,
    colour: str = "blue",
    edge: str = "line",
) -> None:
    """A rectangle from its corner, filled as strongly as the share 0..1 says."""
    (x, y), (width, height) = corner, size
    fill = (LIGHT[colour], STRONGEST * min(max(share, 0.0), 1.0))
    style = {"color": [fill], "edgecolor": LIGHT[edge], "linewidth": 0.6, "align": "edge"}
    style["clip_on"] = False  # the whole line of an edge at the border
    (drawn,) = axis.barh(y, width, height, left=x, **style)
    drawn.set_in_layout(False)
    hover(drawn, words)


def logarithmic(axis: Any) -> None:
    """A logarithmic axis to the right, its numbers in full."""
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")


def bare(sheet: Any, width: float, height: float) -> Any:
    """An axis without marks, x to the right and y down, in units of its own."""
    axis = sheet.subplots()
    axis.axis("off")
    axis.set(xlim=(0, width), ylim=(height, 0))
    return axis


def behind(axis: Any, x: float, y: float, words: str) -> None:
    """Words behind the end of a bar to the right."""
    axis.annotate(words, (x, y), xytext=(3, 0), textcoords="offset points", va="center")


def stacked(axis: Any, rows: Sequence[tuple[str, dict[str, float]]], unit: str, show: Any) -> None:
    """Horizontal bars, one a row, made of parts {kind of `KINDS`: value}, the sum behind each."""
    for y, (of, parts) in enumerate(rows):
        left = 0.0
        for kind, value in parts.items():
            (bar,) = axis.barh(y, value, 0.7, left=left, color=LIGHT[KINDS[kind]])
            hover(bar, f"{of}, {kind}: {show(value)} {unit}")
            left += value
        behind(axis, left, y, show(left))
    axis.set_yticks(range(len(rows)), [name(of) for of, _ in rows])
    axis.set(ylim=(len(rows) - 0.5, -0.5), xlabel=unit)
    axis.margins(x=0.15)


def legend(sheet: Any, kinds: Sequence[str]) -> None:
    """Names and colours of kinds of energy, below the axes."""
    if not kinds:
        return
    from matplotlib.patches import Patch

    handles = [Patch(color=LIGHT[KINDS[kind]], label=kind) for kind in kinds]
    sheet.legend(handles=handles, loc="outside lower left", ncols=len(kinds))
