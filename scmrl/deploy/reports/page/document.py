"""The frame of a page: document, style, tables, facts. Everything that comes from a model or a file
is escaped here.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from .... import __version__
from ....system.errors import shown
from ....system.storage import whole_file
from ....system.targets import GENERATOR, check_ending

STYLE = """
:root{--ink:#1c2730;--paper:#fff;--soft:#f1f4f6;--line:#d5dce1;--grey:#5b6873;--accent:#1f6f8b;--warm:#c8553d;
--a:#1f6f8b;--b:#e08e45;--c:#6a994e;--d:#8d6a9f;--e:#b5179e;--f:#8fa3b0}
@media (prefers-color-scheme:dark){:root{--ink:#e6ecf0;--paper:#12181d;--soft:#1c252c;--line:#33404a;--grey:#a3b1bb;
--accent:#6cc0dc;--warm:#f08a70;--a:#4fa7c4;--b:#e9a66b;--c:#93bd78;--d:#b597c6;--e:#df6bce;--f:#6f838f}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--paper)}
h1{font-size:1.5rem;line-height:1.2;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
p,li{max-width:48rem}h1,h2,p,li,figcaption,caption{overflow-wrap:anywhere}
.note{background:var(--soft);border-left:4px solid var(--accent);padding:.5rem 1rem}
dl{display:grid;grid-template-columns:minmax(7rem,max-content) 1fr;gap:.15rem 1rem;margin:.5rem 0}
dt{color:var(--grey)}dd{margin:0;overflow-wrap:anywhere}
.wide{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;margin:.5rem 0}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}
th:first-child,td:first-child,td.text,th.text{text-align:left}
td.text{overflow-wrap:anywhere;min-width:8rem}th{color:var(--grey);font-weight:600}
tfoot td{font-weight:600;border-top:2px solid var(--line)}
figure{margin:.5rem 0;overflow-x:auto;max-width:100%}figcaption{color:var(--grey);font-size:.9rem;max-width:48rem}
svg{max-width:100%;height:auto;display:block}svg.full{max-width:none}
svg text{fill:var(--ink);font:11px system-ui,sans-serif}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.75rem}.grid figure{margin:0}
input[type=search]{font:inherit;padding:.25rem .5rem;border:1px solid var(--line);border-radius:4px;
background:var(--paper);color:var(--ink);max-width:100%}
footer{margin-top:3rem;color:var(--grey);font-size:.85rem}
@media (max-width:480px){body{padding:.6rem}dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}}
@media print{:root{--ink:#000;--paper:#fff;--soft:#f4f4f4;--line:#bbb;--grey:#444;--accent:#1f6f8b}
body{max-width:none;padding:0;font-size:10pt}.wide,figure{overflow:visible}table{font-size:7.5pt}
tr,figure,.note{break-inside:avoid}thead{display:table-header-group}
input[type=search]{display:none}h2{break-after:avoid}}
"""

SCRIPT = """
for(const box of document.querySelectorAll('input[type=search]'))box.addEventListener('input',()=>{
const word=box.value.toLowerCase();for(const part of document.querySelectorAll('[data-name]'))
part.hidden=!part.dataset.name.toLowerCase().includes(word)});
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def escape(text: object) -> str:
    return html.escape(shown(str(text)), quote=True)


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """A list of names and values; rows without a value are left out."""
    body = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        for name, value in rows
        if value not in (None, "")
    )
    return f"<dl>{body}</dl>" if body else ""


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    words: Sequence[str] = (),
    caption: str = "",
    footer: Sequence[object] = (),
    named: bool = False,
) -> str:
    """A table; columns in `words` are text, the others numbers. `named`: the filter box hides rows
    by their first cell.
    """
    if not rows:
        return ""
    text = [i == 0 or head in words for i, head in enumerate(heads)]

    def cells(row: Sequence[object], tag: str = "td") -> str:
        return "".join(
            f"<{tag}{' class=text' if is_text else ''}>{escape('-' if cell is None else cell)}</{tag}>"
            for cell, is_text in zip(row, text)
        )

    body = "".join(
        f"<tr{f' data-name={chr(34)}{escape(row[0])}{chr(34)}' if named else ''}>{cells(row)}</tr>"
        for row in rows
    )
    foot = f"<tfoot><tr>{cells(footer)}</tr></tfoot>" if footer else ""
    head = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        "<div class=wide tabindex=0 role=region"
        f' aria-label="{escape(caption or heads[0])}"><table>{head}'
        f"<thead><tr>{cells(heads, 'th')}</tr></thead><tbody>{body}</tbody>{foot}</table></div>"
    )


def figure(svg: str, caption: str, name: str = "") -> str:
    mark = f' data-name="{escape(name)}"' if name else ""
    return f"<figure{mark}>{svg}<figcaption>{escape(caption)}</figcaption></figure>" if svg else ""


def section(title: str, *parts: str) -> str:
    """A section with its heading; nothing where all parts are empty."""
    body = "".join(parts)
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def document(title: str, *sections: str) -> str:
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="generator" content="{escape(GENERATOR)}">'
        '<meta name="viewport"'
        f' content="width=device-width,initial-scale=1"><title>{escape(title)}</title>'
        '<link rel="icon"'
        f' href="data:,"><style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>'
        f"{''.join(sections)}</main><footer>scmrl {escape(__version__)}. One file, nothing is"
        " fetched.</footer>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def write(path: Path, text: str) -> None:
    """Write a page, whole. Raises `UsageError` where its name is that of no page, or of something
    else.
    """
    check_ending(Path(path), "page")
    with whole_file(Path(path), "page") as temporary:
        temporary.write_text(text, encoding="utf-8")
