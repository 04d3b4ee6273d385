"""Exporters: a dict from a target's name to "module:attribute", loaded on use.

An exporter is `export(bundle: Bundle, path: Path) -> dict`: it writes the directory `path` whole
and returns a summary of JSON types; those of c and verilog take options besides. To add one: write
it in a file of its own and list it here.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from ..system.errors import UsageError, nearest

TARGETS = {
    "c": "scmrl.convert.c.export:export",
    "lava": "scmrl.convert.lava.export:export",
    "netx": "scmrl.convert.netx.export:export",
    "nir": "scmrl.convert.nir.export:export",
    "onnx": "scmrl.convert.onnx.export:export",
    "verilog": "scmrl.convert.verilog.export:export",
}


def exporter(target: str) -> Callable[..., dict]:
    """The exporter of a target; raises `UsageError` naming the nearest known one."""
    if target not in TARGETS:
        raise UsageError("unknown export target", value=target, fix=nearest(target, TARGETS))
    module, attribute = TARGETS[target].split(":")
    return getattr(import_module(module), attribute)
