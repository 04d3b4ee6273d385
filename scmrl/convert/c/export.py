"""Bundle -> a directory with a C99 program that needs nothing but a compiler.

c/model.h, model.c, weights.h   the program (`scmrl.convert.c.program`)
c/README.md                     how it is called; flash, RAM and operations by population
c/self_test.c, samples.h        on request: samples, and what every population does on them
"""

from __future__ import annotations

from pathlib import Path

from ...core.bundle import Bundle
from .. import frame
from . import self_test as test
from .program import FILES, Program
from .size import Size, measure


def export(
    bundle: Bundle,
    path: Path,
    *,
    flash: int | None = None,
    ram: int | None = None,
    self_test: int | None = None,
) -> frame.Facts:
    """Write the export to directory `path`, whole; returns its summary (JSON types). `flash` and
    `ram` are the bytes that there are (None: no limit), `self_test` the samples to test with.

    Raises `GraphError` where there is nothing to compute or the program does not fit, `UsageError`
    where the bundle has fewer samples, `MissingDependency` without Jinja2.
    """
    program = Program(bundle.graph)
    size = measure(program, bundle)
    size.require(flash, ram)
    files = program.render(*FILES)
    if self_test is not None:
        words = test.words(program, bundle, self_test)
        files |= program.render(*test.FILES, **words)
    origin = bundle.origin.samples
    files |= program.render("README.md", size=size, self_test=self_test, origin=origin)

    def fill(directory: Path) -> tuple[frame.Facts, frame.Facts]:
        for name, text in files.items():
            (directory / "c" / name).write_text(text, encoding="utf-8")
        return _summary(program, size), {"flash": f"{size.flash:,}", "ram": f"{size.ram:,}"}

    return frame.export(bundle, path, "c", fill)


def _summary(program: Program, size: Size) -> frame.Facts:
    """Bytes; `code_estimate` is part of `flash_bytes`, `buffers` of `ram_bytes`."""
    facts = {
        "flash_bytes": size.flash,
        "code_estimate_bytes": size.code,
        "ram_bytes": size.ram,
        "buffers_bytes": size.buffers,
    }
    each = (
        (
            p.population,
            True,
            {
                "flash_bytes": row.flash,
                "ram_bytes": row.ram,
                "synops_per_inference": row.operations,
                "updates_per_inference": row.updates,
            },
        )
        for p, row in zip(program.everyone, size.rows)
    )
    return frame.summary("c", program.graph, facts, each)
