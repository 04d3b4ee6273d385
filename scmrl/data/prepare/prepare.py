"""`scmrl data prepare`: a published download becomes a directory that training reads.

The files of a unit are made in processes of their own, whole, and never over a stranger's; whoever
stops it, the same command goes on. A download with gaps is prepared as well, and says what is not
there; training takes it only where it was prepared with `partial`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from ...core.report.progress import each, meter
from ...core.report.report import Block, Report
from ...core.report.text import figure
from ...system import children, lock, storage, targets
from ...system.errors import ScmrlError, UsageError, nearest
from ..prepared.index import KIND, Index
from ..prepared.work import Asked, Made, Plan, Unit
from . import PREPARED

SHOWN = 5  # lines of what is left out, on the first page
AHEAD = 4  # units that wait for a process, for each


@dataclass(frozen=True)
class PrepareReport(Report):
    """What was prepared. there, published: samples by part; made: units of this call, kept: of
    former ones; unusable: what of the download is not in it, and why; notes: what is odd and in it.
    """

    command = "data prepare"
    dataset: str
    out: str
    there: dict[str, int]
    published: dict[str, int]
    missing: int
    partial: bool
    made: int
    kept: int
    unusable: tuple[str, ...]
    notes: tuple[str, ...]

    def headline(self) -> dict[str, str]:
        parts = (
            f"{part} {figure(n)} of {figure(self.published[part])}"
            for part, n in self.there.items()
        )
        facts = {
            "prepared": "; ".join(parts),
            "dataset": self.dataset,
            "folder": self.out,
            "made": f"{figure(self.made)} now, {figure(self.kept)} before",
        }
        if self.missing:
            trained = "trained on as it is" if self.partial else "not trained on (--partial)"
            facts["missing"] = f"{figure(self.missing)}; {trained}"
        if self.unusable:
            facts["left out"] = f"{len(self.unusable)}, such as {self.unusable[0]}"
        if self.notes:
            facts["odd"] = f"{len(self.notes)}, such as {self.notes[0]}"
        return facts

    def details(self) -> Iterator[Block]:
        for what, lines in (("left out", self.unusable), ("odd", self.notes)):
            yield from (f"{what}: {line}" for line in lines[:SHOWN])
            if len(lines) > SHOWN:
                yield f"{what}: and {len(lines) - SHOWN} more, in {self.out}/dataset.json"


def prepare(
    name: str,
    source: Path,
    out: Path,
    *,
    asked: Asked | None = None,
    partial: bool = False,
    workers: int | None = None,
) -> PrepareReport:
    """Prepare the download of a data set at `source` into the directory `out`, which may hold what
    a former call made of it. `partial`: training takes it with gaps; `workers`: processes (None:
    one for each core; 1: none but this).

    Raises UsageError for an unknown name and a directory with something else; DataError where the
    download is not there; MissingDependency.
    """
    if name not in PREPARED:
        what, fix = "no data set that is prepared", nearest(name, PREPARED)
        raise UsageError(what, value=name, fix=fix)
    out = Path(out)
    targets.check(out, KIND, force=True)
    _apart(Path(source), out)
    Index.begun(out, name, None)
    module, attribute = PREPARED[name].split(":")
    plan: Plan = getattr(import_module(module), attribute)(Path(source), asked or Asked())
    with lock.hold(out, "preparing"):
        index = Index.begun(out, name, plan.settings)
        waiting = [unit for unit in each(plan.units, "looking at") if not index.has(unit)]
        kept = len(plan.units) - len(waiting)
        index.take(plan, partial)
        index.write()
        try:
            _fill(index, waiting, workers or _cores())
        finally:
            index.take(plan, partial)
            index.write()
    return _report(index, len(waiting), kept)


def _fill(index: Index, units: list[Unit], workers: int) -> None:
    with storage.filling(index.folder) as put, contextlib.closing(_made(units, workers)) as made:
        count = meter(f"preparing {index.dataset}", len(units))
        for unit, result in made:
            index.add(unit, result, put)
            count()


def _apart(source: Path, out: Path) -> None:
    """`UsageError` where the directory to write is the download, or in it."""
    place, download = targets.real(out), targets.real(source)
    if place == download or download in place.parents:
        fix = "choose a directory outside of it"
        raise UsageError("this is within the download, which stays as it is", where=out, fix=fix)


def _made(units: list[Unit], workers: int) -> Generator[tuple[Unit, Made], None, None]:
    """Every unit with what it gave, in the order in which they are done."""
    if workers == 1 or len(units) < 2:
        yield from ((unit, made(unit.make, unit.arguments)) for unit in units)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (os.getpid(),))
    waiting, running = iter(units), dict[Future[Made], Unit]()
    try:
        for unit in units[: AHEAD * workers]:
            running[pool.submit(made, unit.make, unit.arguments)] = next(waiting)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                unit = running.pop(future)
                if (more := next(waiting, None)) is not None:
                    running[pool.submit(made, more.make, more.arguments)] = more
                yield unit, future.result()
    except BrokenProcessPool:
        names = ", ".join(sorted(unit.name for unit in running.values())[:SHOWN])
        fix = "what is made is kept; the same command with --workers 1 goes on"
        what = "a process that reads the download ended: out of memory, or a broken file"
        raise ScmrlError(what, value=names, fix=fix) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def made(make: str, arguments: tuple) -> Made:
    """What the function `make`, "module:function", gives."""
    module, attribute = make.split(":")
    return getattr(import_module(module), attribute)(*arguments)


def _begin(parent: int) -> None:
    """A process of the pool: Ctrl-C is its parent's, and it ends with that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children.bind(parent)


def _cores() -> int:
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known else os.cpu_count() or 1


def _report(index: Index, made: int, kept: int) -> PrepareReport:
    return PrepareReport(
        index.dataset,
        str(index.folder),
        index.counts(),
        index.expected,
        index.missing,
        index.partial,
        made,
        kept,
        tuple(index.gone()),
        tuple(index.odd()),
    )
