"""What reports say and draw stays what it is: words, columns, bars, letter by letter.

    python tests/core/test_screens_kept.py      where a change is meant

writes `screens.txt` and `drawn.json` anew; what it changes there belongs in the changelog. That a
report is right, whole and readable is for the other tests.
"""

import dataclasses
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).parents[part]) for part in (0, 1)]
sys.path.append(str(Path(__file__).parents[1] / "deploy" / "estimates"))
from test_report import REPORTS, RUN
from test_screen import HASH, METRICS, compared, evaluated, imported, imported_netx

from scmrl.core.report import drawing
from scmrl.core.report.report import Report
from scmrl.train.run.report import TrainReport

TEXTS, DRAWN = (Path(__file__).with_name(name) for name in ("screens.txt", "drawn.json"))
WIDTHS = (80, 50)


def reports(folder):
    """Name: report. Nothing in them depends on the machine."""
    made = {name: REPORTS[name]() for name in ("deploy with mismatches", "energy")}
    made |= {"import": imported(), "import, netx": imported_netx(), "evaluate": evaluated()}
    made |= {"train": TrainReport("runs/a", METRICS, HASH), "compare": compared(folder)}
    made["compare"] = dataclasses.replace(made["compare"], first="a.json", second="b.json")
    return made


def screen(report: Report, columns: int) -> str:
    out = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(columns)
    try:
        report.show(out, layers=True)
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return out.getvalue()


def texts(folder) -> str:
    parts = []
    for name, report in reports(folder).items():
        for columns in WIDTHS:
            shown = screen(report, columns)
            shown = shown.replace(f"reference {RUN.version}", "reference VERSION")
            lines = "\n".join(line.rstrip() for line in shown.splitlines())
            parts.append(f"==== {name}, {columns} columns\n{lines}\n")
    return "\n".join(parts)


def rounded(values) -> list:
    return [float(f"{float(x):.4g}") for x in np.ravel(values)]


def artists(figure) -> list:
    """What stands on a drawing: bars, words, lines, limits, and which edges are shown."""
    found = []
    with drawing._styled() as Sheet:
        sheet = Sheet(figsize=figure.size)
        figure.draw(sheet)
        for axis in sheet.axes:
            found.append(["limits", *rounded([axis.get_xlim(), axis.get_ylim()])])
            found.append(["labels", axis.get_title(), axis.get_xlabel(), axis.get_ylabel()])
            found.append(["edges", *(k for k, edge in axis.spines.items() if edge.get_visible())])
            found.append(["scale", axis.get_xscale(), axis.get_yscale()])
            found.append(["ticks", *(tick.get_text() for tick in axis.get_yticklabels())])
            for bar in axis.patches:
                found.append(
                    ["bar", *rounded(bar.get_bbox().bounds), *rounded(bar.get_facecolor())]
                )
            for words in axis.texts:
                found.append(["words", words.get_text(), *rounded(words.get_position())])
            for line in axis.lines:
                found.append(["line", *rounded(line.get_xydata())])
        for legend in sheet.legends:
            found.append(["legend", *(words.get_text() for words in legend.get_texts())])
    return found


def drawn(folder) -> dict[str, list]:
    return {
        f"{name}, {i}": [list(figure.size), figure.caption, *artists(figure)]
        for name, report in reports(folder).items()
        for i, figure in enumerate(report.figures())
        if i < 3
    }


def test_screens_stay_what_they_are(tmp_path):
    kept, found = TEXTS.read_text(encoding="utf-8"), texts(tmp_path)
    assert found.split("\n====") == kept.split("\n====")


def test_drawings_stay_what_they_are(tmp_path):
    pytest.importorskip("matplotlib")
    kept = json.loads(DRAWN.read_text(encoding="utf-8"))
    found = json.loads(json.dumps(drawn(tmp_path)))
    assert found.keys() == kept.keys()
    for name, rows in found.items():
        assert rows == kept[name], name


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        TEXTS.write_text(texts(Path(made)), encoding="utf-8")
        said = drawn(Path(made))
    rows = (f"{json.dumps(name)}: {json.dumps(each)}" for name, each in said.items())
    DRAWN.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
