"""A model on a stream: spikes, operations, leading class at each step, a decision a window.

Lava runs beside the simulator, which is what it is held to, step by step and bit by bit.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...core.activity import Activity
from ...core.bundle import load
from ...core.graph import Graph
from ...core.report.report import Block, Report, columns
from ...core.report.text import figure
from ...hw_profiles import profile as profiles
from ...system.errors import DataError, UsageError, nearest
from ..counts.counts import count
from ..counts.sampling import Moments, OverSamples, plus_minus
from ..energy.modes import STREAMED
from ..reports.run import provenance
from .feed import Asked, Feed, open_feed
from .stream import Meter, Stream, Tally, Values

DECISIONS = 1000  # that a report holds
BACKENDS = ("simulator", "lava-inprocess", "lava")
PROFILES = ("loihi1", "loihi2")
ENERGY = (
    "core dynamic energy: estimate, streamed: counted operations of the steps times coefficients of"
    " `scmrl profiles NAME`, without the way of messages over a chip; ± is the standard error over"
    " the windows, which are taken as independent of each other"
)


@dataclass(frozen=True)
class Moment:
    """One step: number `step` of window `window`. Spikes, operations and energy since the window
    began.

    `leading` has the highest membrane, by `margin` membrane units; None without a readout. `ends`:
    the window ends here, and `leading` is the decision.
    """

    window: int
    step: int
    time_s: float | None
    spikes: int
    synops: int
    core_dynamic_uj: dict[str, float]
    leading: str | None
    margin: int | None
    ends: bool
    mismatches: int | None
    membrane: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """One line of JSON: a step, or the decision that ends a window."""
        kind = "decision" if self.ends else "step"
        return {"type": kind} | asdict(self) | {"energy_kind": "estimate", "mode": STREAMED}


@dataclass(frozen=True)
class Decision:
    """What a window was taken for, and its counts."""

    window: int
    time_s: float | None
    leading: str | None
    margin: int | None
    spikes: int
    synops: int

    @staticmethod
    def of(moment: Moment) -> Decision:
        """The decision of the moment that ends a window."""
        return Decision(**{f.name: getattr(moment, f.name) for f in fields(Decision)})


@dataclass(frozen=True, kw_only=True)
class StreamReport(Report):
    """The whole stream. `real_time_factor`: recorded seconds per second of work."""

    command = "stream"
    model: str
    source: str
    backend: str
    version: str
    steps: int
    windows: int
    window_steps: int
    carried: bool  # state was kept from window to window
    lag: int  # steps from an input to the last of its spikes
    spikes: int
    synops: int
    core_dynamic_uj: dict[str, float]
    window_uj: dict[str, float]  # mean of the whole windows
    over_windows: dict[str, OverSamples]  # its standard error, if there are several
    energy_kind: str = "estimate"
    mode: str = STREAMED  # of the energy: each step as it is, back to back
    compared_with: str | None
    mismatches: int | None
    seconds: float
    startup_s: float
    recorded_s: float | None
    real_time_factor: float | None
    steps_per_s: float | None
    interrupted: bool
    bundle: str = ""  # the hash of what ran
    decisions: tuple[Decision, ...] = ()  # the last ones

    def to_json(self) -> dict[str, Any]:
        return {"type": "summary"} | super().to_json()

    def headline(self) -> dict[str, str]:
        lines = {}
        if self.compared_with and self.mismatches:
            lines["result"] = f"{self.mismatches} values DIFFER from the {self.compared_with}"
        elif self.compared_with:
            lines["result"] = f"bit-exact with the {self.compared_with} at every step"
        ended = ", interrupted" if self.interrupted else ""
        lines["stream"] = f"{self.windows} windows, {self.steps} steps of {self.source}{ended}"
        lines["backend"] = f"{self.backend} {self.version}, results {self.lag} steps late"
        time = f"{figure(self.seconds)} s"
        if self.steps_per_s is not None:
            time += f", {figure(self.steps_per_s)} steps/s"
        if self.real_time_factor is not None:
            time += f", {figure(self.real_time_factor)} times real time"
        lines["time"] = f"{time}; {figure(self.startup_s)} s to start"
        synops = f"{figure(self.synops)} synaptic operations"
        lines["operations"] = f"{figure(self.spikes)} spikes, {synops}"
        energy = [f"{figure(uj)} uJ on {chip}" for chip, uj in self.core_dynamic_uj.items()]
        lines["energy"] = f"{', '.join(energy)} (estimate, {self.mode})"
        each = [
            f"{figure(uj)} uJ on {chip}, {plus_minus(self.over_windows.get(chip))}"
            for chip, uj in self.window_uj.items()
        ]
        return lines | ({"a window": "; ".join(each)} if each else {})

    def details(self) -> Iterator[Block]:
        yield ENERGY

    def appendix(self) -> Iterator[Block]:
        yield columns(
            self.decisions,
            {
                "window": lambda d: figure(d.window),
                "seconds": lambda d: figure(d.time_s),
                "class": lambda d: d.leading or "-",
                "ahead by": lambda d: figure(d.margin),
                "spikes": lambda d: figure(d.spikes),
                "synops": lambda d: figure(d.synops),
            },
            words=("class",),
            caption="Decisions, at the end of each window",
        )


class Engine(Protocol):
    """What steps a graph: `run` gives the values of each frame, `lag` frames later."""

    @property
    def backend(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def lag(self) -> int: ...
    def run(self, frames: Iterable[Values]) -> Iterator[Values]: ...


def open_stream(backend: str, graph: Graph, window: int | None) -> Engine:
    """What steps the graph: the simulator's `Stream`, or a `LavaStream`."""
    if backend not in BACKENDS:
        what, fix = "no streaming on this backend", nearest(backend, BACKENDS)
        raise UsageError(what, where="--backend", value=backend, fix=fix)
    if backend == "simulator":
        return Stream(graph, window=window)
    from .lava import LavaStream

    return LavaStream(graph, window=window, own_processes=backend == "lava")


def stream(
    model: Path,
    asked: Asked,
    *,
    backend: str = "simulator",
    carry: bool = False,
    show: Callable[[Moment], None] | None = None,
    compared: bool = True,
    picture: Path | None = None,
    page: Path | None = None,
) -> StreamReport:
    """Run a frozen model on what was asked for, `show` each moment, and report the whole.

    `carry` keeps the state from window to window. Ctrl-C ends the stream, not the report. `picture`
    and `page` are files to write, with the spikes of the last whole window.
    """
    begun = time.monotonic()
    bundle = load(model)
    graph = bundle.graph
    feed = open_feed(bundle, asked)
    window = None if carry else graph.steps
    engine = open_stream(backend, graph, window)
    twin = Stream(graph, window=window) if compared and backend != "simulator" else None
    meter = Meter(graph, [profiles.load(name) for name in PROFILES], window=window)
    run = Run(graph, feed, meter, twin)
    started = time.monotonic()
    interrupted = False
    moments = run.moments(engine)
    try:
        for moment in moments:
            if show:
                show(moment)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        moments.close()
    seconds = time.monotonic() - started - feed.waited_s
    recorded = None if feed.step_s is None else feed.step_s * run.total.steps
    report = StreamReport(
        model=str(model),
        bundle=bundle.hash,
        source=feed.what,
        backend=engine.backend,
        version=engine.version,
        steps=run.total.steps,
        windows=run.total.steps // graph.steps,
        window_steps=graph.steps,
        carried=carry,
        lag=engine.lag,
        spikes=run.total.spikes,
        synops=run.total.synops,
        core_dynamic_uj=run.total.core_dynamic_uj,
        window_uj={chip: of.mean for chip, of in run.windows.items()},
        over_windows=run.over_windows,
        compared_with=twin.backend if twin else None,
        mismatches=run.mismatches,
        seconds=seconds,
        startup_s=started - begun,
        recorded_s=recorded,
        real_time_factor=recorded / seconds if recorded else None,
        steps_per_s=run.total.steps / seconds if run.total.steps else None,
        interrupted=interrupted,
        decisions=tuple(run.decisions),
    )
    _draw(report, run, picture, page, provenance(bundle, feed.what))
    return report


def _draw(
    report: StreamReport,
    run: Run,
    picture: Path | None,
    page: Path | None,
    made: dict[str, str],
) -> None:
    """The picture and the page, with the spikes of the last whole window."""
    if picture is None and page is None:
        return
    evidence = _window(run, report)
    if page is not None:
        from ...core.report import html
        from ..reports.figures import run_figures

        figures = run_figures(run.graph, *evidence) if evidence else ()
        html.save(page, report, figures, made)
    if picture is not None:
        if evidence is None:
            raise DataError("no window was finished, so there is none to draw", where=report.source)
        from ...core.report import drawing
        from ..reports.figures import run_picture

        counts = count(run.graph, *evidence)
        drawing.save(picture, *run_picture(run.graph, *evidence, 0, counts, ()))


def _window(run: Run, report: StreamReport) -> tuple[dict[str, np.ndarray], Activity] | None:
    """Inputs [1, T, ...] and activity of the last whole window, if there is one."""
    if not run.last:
        return None
    given, spikes = (
        {name: np.stack([step[name] for step in steps])[None] for name in steps[0]}
        for steps in zip(*run.last)
    )
    membrane = {p.name: spikes.pop(p.name) for p in run.graph.of_kind("readout")}
    return given, Activity(spikes, membrane, report.backend, report.version)


class Run:
    """What has happened so far; `last`: frames and values of each step of the last window."""

    def __init__(self, graph: Graph, feed: Feed, meter: Meter, twin: Stream | None):
        self.graph, self.feed, self.meter, self.twin = graph, feed, meter, twin
        self.total = meter.nothing
        self.mismatches: int | None = None if twin is None else 0
        self.last: list[tuple[Values, Values]] = []
        self.decisions: deque[Decision] = deque(maxlen=DECISIONS)
        self.windows: dict[str, Moments] = {}  # core dynamic uJ of a window, by chip
        self._given: deque[Values] = deque()

    @property
    def over_windows(self) -> dict[str, OverSamples]:
        """Standard errors of the windows' energies; {} for fewer than two windows."""
        errors = {chip: of.over_samples for chip, of in self.windows.items()}
        return {chip: error for chip, error in errors.items() if error is not None}

    def moments(self, engine: Engine) -> Generator[Moment, None, None]:
        """A moment for every step that the engine has finished."""
        since, window = self.meter.nothing, list[tuple[Values, Values]]()
        for values in engine.run(self._remembered()):
            step = self.total.steps % self.graph.steps
            since = self.meter.nothing if step == 0 else since
            inputs = self._given.popleft()
            tally = self.meter.step(inputs, values)
            self.total, since = self.total + tally, since + tally
            self._compare(inputs, values)
            window.append((inputs, values))
            moment = self._moment(step, since, values)
            if moment.ends:
                self.last, window = window, []
                self.decisions.append(Decision.of(moment))
                self.windows = {
                    chip: self.windows.get(chip, Moments()) + uj
                    for chip, uj in moment.core_dynamic_uj.items()
                }
            yield moment

    def _remembered(self) -> Iterator[Values]:
        """The frames, kept until their values are there."""
        for frame in self.feed.frames:
            self._given.append(frame)
            yield frame

    def _compare(self, inputs: Values, values: Values) -> None:
        if self.twin is not None:
            pairs = [(x, values[name]) for name, x in self.twin.step(inputs).items()]
            found = sum(int(np.count_nonzero(x != y)) for x, y in pairs)
            self.mismatches = (self.mismatches or 0) + found

    def _moment(self, step: int, since: Tally, values: Values) -> Moment:
        readout = self.graph.readout
        membrane = () if readout is None else tuple(values[readout.name].ravel().tolist())
        leading, margin = _leading(self.graph, membrane)
        recorded = None if self.feed.step_s is None else self.feed.step_s * self.total.steps
        return Moment(
            (self.total.steps - 1) // self.graph.steps,
            step,
            recorded,
            since.spikes,
            since.synops,
            since.core_dynamic_uj,
            leading,
            margin,
            step == self.graph.steps - 1,
            self.mismatches,
            membrane,
        )


def _leading(graph: Graph, membrane: tuple[int, ...]) -> tuple[str | None, int | None]:
    """The class with the highest membrane, the first of equals, and how far it is ahead."""
    if not membrane:
        return None, None
    first = int(np.argmax(membrane))
    others = [v for i, v in enumerate(membrane) if i != first]
    name = graph.class_names[first]
    return name, membrane[first] - max(others) if others else None
