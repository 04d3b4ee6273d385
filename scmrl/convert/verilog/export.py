"""Bundle -> a directory with a design in plain Verilog-2005 for any FPGA.

verilog/core.v, model.v         the core, and the network's parameters: `program`
verilog/*.hex                   the network, memory by memory
verilog/README.md               how it is built; its memories
verilog/bench.v, bench_*.hex    on request: a test bench with samples: `bench`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.bundle import Bundle
from .. import frame
from . import bench, synthesis
from .program import Program, render

ENGINES = 4


def export(
    bundle: Bundle,
    path: Path,
    *,
    engines: int | None = None,
    self_test: int | None = None,
    synth: str | None = None,
) -> frame.Facts:
    """Write the export to directory `path`, whole; returns its summary (JSON types). `engines` is
    1 to 8 (None: 4), `self_test` the samples of the test bench, `synth` the family of FPGAs that
    the design is synthesised for, a key of `synthesis.FAMILIES`.

    Raises `GraphError` where there is nothing to compute or the core does not hold the network,
    `UsageError` where the bundle has fewer samples, `MissingDependency` without Jinja2 or, to
    synthesise, without yosys or nextpnr, `BackendError` where one of these fails.
    """
    program = Program(bundle.graph, ENGINES if engines is None else engines)
    files = program.files()
    if self_test is not None:
        files |= bench.files(program, bundle, self_test)
    made = synthesis.synthesise(files, synth) if synth else {}
    words: dict[str, Any] = {"program": program, "sizes": program.fitted, "made": made}
    files |= render(words | {"self_test": self_test, "origin": bundle.origin.samples}, "README.md")

    def fill(directory: Path) -> tuple[frame.Facts, frame.Facts]:
        for name, text in files.items():
            (directory / "verilog" / name).write_text(text, encoding="utf-8")
        kbit = f"{program.kbit:,.0f}"
        return _summary(program, made), {"engines": program.engines, "kbit": kbit}

    return frame.export(bundle, path, "verilog", fill)


def _summary(program: Program, made: frame.Facts) -> frame.Facts:
    facts = {"engines": program.engines, "memory_kbit": round(program.kbit, 1)} | made
    each = ((p.population, True, {"words": p.words}) for p in program.everyone)
    return frame.summary("verilog", program.graph, facts, each)
