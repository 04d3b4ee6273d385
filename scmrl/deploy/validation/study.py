"""The validation: every published case recomputed, the LSNN run, cores counted; one report."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from ... import __version__
from ...hw_profiles import profile as profiles
from ..backends.backend import Progress
from ..placement.placement import place
from . import cases, lsnn, predictions
from .core_counts import networks
from .left_out import totals
from .report import CoreCount, LeftOut, ValidationReport
from .scores import scores
from .step_time import step_times

NO_DATA = "not run here: data absent (give --data-dir)"


def validate(data_dir: Path | None = None, progress: Progress | None = None) -> ValidationReport:
    """Recompute all cases; `data_dir` holds lsnn/*.npy and mnist/t10k-*.gz (None: no LSNN run).

    Raises `DataError` where the files of a folder that is given are missing, or are others.
    """
    return recomputed(None if data_dir is None else lsnn.run(Path(data_dir), progress=progress))


def recomputed(run: lsnn.Run | None) -> ValidationReport:
    """All cases, with that run of the LSNN."""
    found = predictions.outcomes()
    table = (*(cases.lsnn(run) if run else ()), *cases.published())
    table = tuple(sorted(table, key=lambda case: cases.KINDS.index(case.kind)))
    return ValidationReport(
        version=__version__,
        cases=table,
        not_computable=dict(cases.NOT_COMPUTABLE),
        lsnn=run,
        lsnn_not_run="" if run else NO_DATA,
        readings=cases.lsnn_readings(run) if run else {},
        left_out=_left_out(table) if run else (),
        core_counts=core_counts(),
        step_times=step_times(run),
        predictions=predictions.predictions(),
        outcomes=found,
        scores=scores(run, found),
        totals=totals(found),
    )


def _left_out(table: tuple[cases.Case, ...]) -> tuple[LeftOut, ...]:
    single, network = (cases.leave_one_out(table, by_network=whole) for whole in (False, True))
    measured = {c.name: c.measured for c in table}
    return tuple(LeftOut(name, measured[name], *single[name], *network[name]) for name in single)


@functools.cache
def core_counts() -> tuple[CoreCount, ...]:
    """Cores of each published network by population: placed here, and published."""
    return tuple(_core_counts())


def _core_counts() -> Iterator[CoreCount]:
    for case in networks():
        placement = place(case.graph, profiles.load(case.profile), order=None, **case.options)
        placed = {name: len(placement.of(name)) for name in case.published_cores}
        yield CoreCount(
            case.name,
            case.profile,
            placed,
            dict(case.published_cores),
            case.by_hand,
            case.fitted,
            case.note,
            case.source,
        )
