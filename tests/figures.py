"""Figures that stay what they are: all numbers of a report, kept in a file beside its test."""

import json
import math

LEFT_OUT = {"bundle", "model", "version", "origin", "command", "selection", "seconds"}


def numbers(value):
    """The numbers in a JSON value, its names as they are; None where there are none."""
    if isinstance(value, dict):
        parts = {key: numbers(part) for key, part in value.items() if key not in LEFT_OUT}
        return {key: part for key, part in parts.items() if part is not None} or None
    if isinstance(value, list):
        return numbers({str(i): part for i, part in enumerate(value)})
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value:
        return None
    return float(f"{value:.10g}") if isinstance(value, float) else value


def leaves(value, path=""):
    if not isinstance(value, dict):
        return {path: value}
    return {p: x for key, part in value.items() for p, x in leaves(part, f"{path}/{key}").items()}


def check(path, name, figures):
    """Hold figures, as `numbers` has them, to those kept under `name` in a file."""
    kept, found = leaves(json.loads(path.read_text(encoding="utf-8"))[name]), leaves(figures)
    assert found.keys() == kept.keys()
    for where, value in found.items():
        assert math.isclose(value, kept[where], rel_tol=1e-8), where


def keep(path, figures):
    """Write {name: figures} anew, a line each."""
    rows = (f"{json.dumps(name)}: {json.dumps(each)}" for name, each in figures.items())
    path.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
