"""A table of a report for a paper: LaTeX (booktabs) and Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .report import Table

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def latex(table: Table) -> str:
    """The table as a `tabular` with the rules of booktabs; columns of numbers to the right."""
    columns = "".join("l" if head in table.words else "r" for head in table.heads)
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", _latex_row(table.heads), "\\midrule"]
    lines += map(_latex_row, table.rows)
    if table.footer:
        lines += ["\\midrule", _latex_row(table.footer)]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def markdown(table: Table) -> str:
    """The table as GitHub's Markdown has it; columns of numbers to the right."""
    rule = ["---" if head in table.words else "---:" for head in table.heads]
    footer = [[f"**{cell}**" if cell else "" for cell in map(_bar, table.footer)]]
    rows = [[*map(_bar, row)] for row in (table.heads, *table.rows)]
    rows = [rows[0], rule, *rows[1:], *(footer if table.footer else [])]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


MARKUPS = {"latex": latex, "markdown": markdown}


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(re.sub(r"[\\~^&%$#_{}]", lambda m: SPECIAL[m[0]], c) for c in cells) + r" \\"


def _bar(cell: str) -> str:
    return re.sub(r"([\\|*_<`])", r"\\\1", cell)
