"""Draw docs/rooms.svg, the picture of the rooms, from the imports of scmrl/.

    python scripts/rooms.py

An arrow goes from a room to one that it uses; what follows from two others is left out. A test
fails where the picture is not what the imports say.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import test_rooms  # noqa: E402

PICTURE = ROOT / "docs" / "rooms.svg"
WIDTH, COLUMN, HEIGHT, ROW = 900, 310, 70, 100
# Room: (row from the top, first column, columns, what it is).
PLACES = {
    "": (0, 0, 3, "the public API, and cli: the table of commands"),
    "commands": (1, 0, 3, "what is typed: thin, they parse and print"),
    "sweep": (2, 0, 3, "search over settings, on one machine or several"),
    "deploy": (3, 1, 2, "runs, counts, estimates, reports"),
    "train": (4, 0, 1, "trains and freezes to a bundle"),
    "convert": (4, 2, 1, "a bundle to a format, and back"),
    "network": (5, 0, 1, "layers in torch, trained as integers"),
    "hw_profiles": (6, 0, 1, "chips: numbers, sources, limits"),
    "data": (6, 1, 1, "recordings to spikes; no torch"),
    "core": (7, 0, 3, "the integer graph, its definition, bundles, activity; numpy only"),
    "system": (8, 0, 3, "errors, files, locks, signals, libraries; the standard library only"),
}


def arrows() -> list[tuple[str, str]]:
    """(room, room that it uses), without those that follow from others."""
    uses: dict[str, set[str]] = {room: set() for room in PLACES}
    for module, path in test_rooms.MODULES.items():
        room = test_rooms.folder(module).split("/")[0]
        uses[room] |= {test_rooms.folder(used).split("/")[0] for used in test_rooms.used(path)}

    def below(room: str) -> set[str]:
        return {deep for used in uses[room] - {room} for deep in {used} | below(used)}

    return sorted(
        (room, used)
        for room in uses
        for used in uses[room] - {room}
        if not any(used in below(other) for other in uses[room] - {room, used})
    )


def box(room: str) -> tuple[int, int, int, int]:
    """Left, top, right, bottom."""
    row, column, columns, _ = PLACES[room]
    left, top = column * COLUMN, row * ROW
    return left, top, left + columns * COLUMN - (COLUMN * 3 - WIDTH), top + HEIGHT


def line(upper: str, lower: str) -> str:
    """An arrow: straight down where the boxes lie over each other, else from corner to corner."""
    (left, _, right, bottom), (left2, top2, right2, _) = box(upper), box(lower)
    if (x := max(left, left2)) < (end := min(right, right2)):
        x = x2 = (x + end) // 2
    elif left2 > left:
        x, x2 = right - 8, left2 + 8
    else:
        x, x2 = left + 8, right2 - 8
    return f'<line x1="{x}" y1="{bottom}" x2="{x2}" y2="{top2 - 2}" marker-end="url(#tip)"/>'


def drawn(room: str) -> str:
    """A room's box: its name, what it is, its folders."""
    left, top, right, bottom = box(room)
    folders = sorted(p.parent.name for p in (ROOT / "scmrl" / room).glob("*/__init__.py"))
    folders = [name for name in folders if name not in PLACES]
    name = f'fill="#000" font-weight="bold">{room or "scmrl"}'
    return (
        f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" rx="6"/>'
        f'<text x="{left + 12}" y="{top + 22}" {name}</text>'
        f'<text x="{left + 12}" y="{top + 42}" fill="#000">{escape(PLACES[room][3])}</text>'
        f'<text x="{left + 12}" y="{top + 60}" fill="#555">{", ".join(folders)}</text>'
    )


def picture() -> str:
    lines = [line(*arrow) for arrow in arrows()]
    boxes = [drawn(room) for room in PLACES]
    height = max(box(room)[3] for room in PLACES)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -10 {WIDTH + 20} {height + 20}"'
            ' font-family="sans-serif" font-size="13">',
            '<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4"'
            ' orient="auto"><path d="M0,0 L9,4 L0,8 z"/></marker></defs>',
            f'<rect x="-10" y="-10" width="{WIDTH + 20}" height="{height + 20}" fill="#fff"/>',
            '<g stroke="#000" stroke-width="1.2">',
            *lines,
            '</g><g fill="#eef3f8" stroke="#456">',
            *(text.replace("<text", '<text stroke="none"') for text in boxes),
            "</g></svg>\n",
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
