"""A sweep: Optuna proposes settings, each trial is a training run in a process of its own, a database remembers.

    maximise validation accuracy;  optionally minimise core dynamic energy per inference on a chip (estimate)

The sampler of a trial is seeded by (seed, finished trials), so a sequential sweep that was killed goes on exactly as it
would have; the trial that was running then is finished first, from its last epoch. Test data choose nothing: the first
objective is that of the held-out part of training; energy is counted on the bundle's samples without their labels.

OUT/sweep.json       what was asked for            OUT/trials.csv     one line per trial
OUT/study.db         Optuna's database             OUT/trial-0007/    the run directory of trial 7
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import DataError, MissingDependency, ScmrlError, UsageError
from ..files import whole_file, write_json
from ..progress import clock
from ..reading import read_json
from . import space

STUDY = "scmrl"
PROFILE = """\
base = "{base}"
title = "{base} with other limits"
[sources]
sweep = "an axis of this sweep"
[limits]
{limits}"""


@dataclass(frozen=True)
class Sweep:
    """What to search: `axes` in the words of `space`, further `settings` KEY=VALUE of every trial, and the objectives.

    `chip` names the profile whose energy is the second objective, or is empty.
    """

    axes: tuple[str, ...]
    settings: tuple[str, ...] = ()
    config: str | None = None
    data_dir: str | None = None
    storage: str | None = None              # an Optuna database URL; default: OUT/study.db
    chip: str = ""
    grid: bool = False
    seed: int = 42

    @property
    def file(self) -> Path | None:
        return Path(self.config) if self.config else None

    @property
    def parsed(self) -> tuple[space.Axis, ...]:
        return tuple(space.parse(axis) for axis in self.axes)

    def save(self, out: Path) -> None:
        write_json(out / "sweep.json", asdict(self))

    @staticmethod
    def load(out: Path) -> Sweep:
        table = read_json(out / "sweep.json")
        try:
            return Sweep(**{key: tuple(v) if isinstance(v, list) else v for key, v in table.items()})
        except TypeError as error:
            raise DataError("not a sweep", where=out / "sweep.json", value=error) from None


@dataclass(frozen=True)
class Trial:
    """A finished or failed trial: its settings, its figures, and whether no other trial is better in both."""

    number: int
    state: str
    parameters: dict[str, object]
    validation_accuracy: float | None
    energy_uj: float | None
    synops_per_inference: float | None
    seconds: float | None
    pareto: bool
    why: str


class Worker:
    """Runs trials of a sweep into the directory `out` until `trials` are finished."""

    def __init__(self, sweep: Sweep, out: Path, trials: int | None, tell: Callable[[str], None]):
        self.sweep, self.out, self.tell = sweep, out, tell
        self.axes = sweep.parsed
        self._check_axes()
        self.optuna = _optuna()
        out.mkdir(parents=True, exist_ok=True)
        self.directions = ["maximize", "minimize"] if sweep.chip else ["maximize"]
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.children: set[subprocess.Popen] = set()
        self.claimed: set[int] = set()
        study = self._study()
        if sweep.grid and not study.trials:
            for parameters in space.grid(self.axes):
                study.enqueue_trial(parameters)
        self.trials = len(space.grid(self.axes)) if sweep.grid else trials or 0
        self.started, self.before = time.monotonic(), len(_complete(study))

    def _check_axes(self) -> None:
        """Refuse, before any trial, an axis none of whose values training takes."""
        from ..train.config import assignments, read
        for axis in self.axes:
            refused, values = None, axis.choices or (axis.low, axis.high)
            for value in () if axis.key.startswith("limits.") else values:
                try:
                    read(self.sweep.file, {**assignments(self.sweep.settings), axis.key: value})
                    break
                except UsageError as error:
                    refused = error
            else:
                if refused:
                    raise refused

    def _study(self):
        """The study, with a sampler that depends only on the seed and on how many trials are finished."""
        samplers, storage = self.optuna.samplers, self.sweep.storage or f"sqlite:///{self.out / 'study.db'}"
        try:
            study = self.optuna.create_study(storage=storage, study_name=STUDY, directions=self.directions,
                                             load_if_exists=True)
        except Exception as error:                   # SQLAlchemy's and the driver's errors have no common base
            raise UsageError("cannot open the sweep's database", where=storage,
                             value=str(error).splitlines()[0]) from None
        if [d.name.lower() for d in study.directions] != self.directions:
            raise UsageError("the database holds a sweep with other objectives", where=storage,
                             limit=[d.name.lower() for d in study.directions], value=self.directions)
        study.sampler = samplers.TPESampler(seed=self.sweep.seed * 100_003 + len(_complete(study)), multivariate=True,
                                            constant_liar=True)
        return study

    def run(self, jobs: int = 1) -> list[Trial]:
        """Finish all trials, `jobs` at a time. KeyboardInterrupt leaves the running ones to be gone on with."""
        try:
            with ThreadPoolExecutor(jobs) as pool:
                workers = [pool.submit(self._work) for _ in range(jobs)]
                try:
                    for worker in workers:
                        while not worker.done():
                            time.sleep(0.1)          # the main thread hears Ctrl-C between sleeps
                        worker.result()
                except BaseException:
                    self._stop()
                    raise
        finally:
            rows = self.table()
            _write_csv(self.out / "trials.csv", self.axes, rows)
        return rows

    def _stop(self) -> None:
        self.stopping.set()
        for child in list(self.children):
            child.send_signal(signal.SIGINT)         # training keeps its last whole epoch

    def _work(self) -> None:
        while not self.stopping.is_set() and (trial := self._claim()) is not None:
            self._run_trial(trial)

    def _claim(self):
        """A trial that nobody finishes any more, or a new one; None where there are enough."""
        with self.lock:
            study = self._study()
            for frozen in study.get_trials(deepcopy=False):
                if frozen.state.name == "RUNNING" and frozen.number not in self.claimed and _abandoned(frozen):
                    trial = self.optuna.trial.Trial(study, frozen._trial_id)
                    break
            else:
                at_work = sum(t.state.name == "RUNNING" for t in study.get_trials(deepcopy=False))
                if len(_ended(study)) + at_work >= self.trials:
                    return None
                trial = study.ask()
            self.claimed.add(trial.number)
            trial.set_user_attr("worker", _here())
            return trial

    def _run_trial(self, trial) -> None:
        run = self.out / f"trial-{trial.number:04d}"
        parameters = {axis.key: axis.suggest(trial) for axis in self.axes}
        code, last_line = self._train(run, parameters)
        if self.stopping.is_set() and code != 0:
            return
        study = self._study()
        if code != 0:
            trial.set_user_attr("why", last_line)
            study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)
            self.tell(f"trial {trial.number} failed: {last_line}")
            return
        figures = _figures(run, self.sweep.chip)
        for key, value in figures.items():
            trial.set_user_attr(key, value)
        values = [figures["validation_accuracy"], figures["energy_uj"]][:len(self.directions)]
        study.tell(trial.number, values)
        self._progress(trial.number, parameters, figures, len(_ended(study)))

    def _train(self, run: Path, parameters: dict[str, object]) -> tuple[int, str]:
        """Train in a child process, from the last whole epoch where there is one: (exit code, its last line)."""
        if (run / "bundle" / "bundle.json").is_file():
            return 0, ""
        command = [sys.executable, "-m", "scmrl", "train", "--out", str(run)]
        if self.sweep.data_dir:
            command += ["--data-dir", self.sweep.data_dir]
        if (run / "checkpoints" / "last.ckpt").is_file():
            command.append("--resume")
        else:
            command += ["--force", *self._options(run, parameters)]
        run.parent.mkdir(parents=True, exist_ok=True)
        log = Path(f"{run}.log")
        with open(log, "a", encoding="utf-8") as file:
            child = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
            self.children.add(child)
            try:
                code = child.wait()
            finally:
                self.children.discard(child)
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return code, (lines[-1] if lines else f"exit code {code}")

    def _options(self, run: Path, parameters: dict[str, object]) -> list[str]:
        options = ["--config", self.sweep.config] if self.sweep.config else []
        options += [f"--set={setting}" for setting in self.sweep.settings]
        limits = {key: value for key, value in parameters.items() if key.startswith("limits.")}
        options += [f"--set={key}={_toml(value)}" for key, value in parameters.items() if key not in limits]
        if limits:
            options += ["--profile", str(self._profile(run, limits))]
        return options

    def _profile(self, run: Path, limits: dict[str, object]) -> Path:
        """A profile file of the trial: the base chip's with other limits, which training then keeps to."""
        from ..hw_profiles import profile
        from ..train.config import assignments, read
        base = read(self.sweep.file, assignments(self.sweep.settings)).profile
        known = profile.load(base).limits
        lines = []
        for key, value in limits.items():
            name = key.removeprefix("limits.")
            if name not in known:
                raise UsageError("the chip has no such limit", where=f"--space {key}", value=base)
            lines.append(f'{name} = {{ value = {value}, unit = "{known[name].unit}", kind = "assumed", '
                         f'source = "sweep" }}\n')
        path = Path(f"{run}.profile.toml")
        with whole_file(path) as temporary:
            temporary.write_text(PROFILE.format(base=base, limits="".join(lines)), encoding="utf-8")
        return path.resolve()

    def _progress(self, number: int, parameters: dict[str, object], figures: dict, done: int) -> None:
        rate = (done - self.before) / max(time.monotonic() - self.started, 1e-9)
        left = (self.trials - done) / rate if rate else 0
        energy = f"  {figures['energy_uj']:.2f} uJ" if figures["energy_uj"] is not None else ""
        settings = "  ".join(f"{key}={_short(value)}" for key, value in parameters.items())
        self.tell(f"trial {number}: validation {100 * figures['validation_accuracy']:.2f} %{energy}  {settings}  "
                  f"[{done} of {self.trials}, {60 * rate:.1f} a minute, {clock(left)} left]")

    def table(self) -> list[Trial]:
        """All trials, best validation accuracy first, failed ones last."""
        study = self._study()
        best = {t.number for t in study.best_trials} if _complete(study) else set()
        rows = []
        for t in study.get_trials(deepcopy=False):
            if t.state.name == "WAITING":
                continue
            get = t.user_attrs.get
            rows.append(Trial(t.number, t.state.name.lower(), dict(t.params), get("validation_accuracy"),
                              get("energy_uj"), get("synops_per_inference"), get("seconds"), t.number in best,
                              get("why") or ""))
        return sorted(rows, key=lambda row: (row.validation_accuracy is None, -(row.validation_accuracy or 0),
                                             row.number))


def _optuna():
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingDependency("optuna", enables="sweeps") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    import warnings
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def _complete(study) -> list:
    return [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]


def _ended(study) -> list:
    return [t for t in study.get_trials(deepcopy=False) if t.state.name in ("COMPLETE", "FAIL")]


def _here() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _abandoned(trial) -> bool:
    """Whether the process that ran the trial has ended; of other machines nothing is known, so theirs are left."""
    host, _, process = trial.user_attrs.get("worker", "").rpartition(":")
    if not host:                            # killed before it could say who it was
        return True
    if host != socket.gethostname() or int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _figures(run: Path, chip: str) -> dict[str, float | None]:
    """Figures of a finished run; without a validation part there is nothing to choose by."""
    from ..bundle import load
    from ..deploy import jobs
    bundle = load(run)
    if "validation_accuracy" not in bundle.metrics:
        raise ScmrlError("the run has no validation accuracy", where=run, fix="set train.validation above 0")
    report = jobs.energy(run, [chip] if chip else [])
    return {"validation_accuracy": bundle.metrics["validation_accuracy"],
            "energy_uj": report.profiles[0].core_dynamic_uj if chip else None,
            "synops_per_inference": report.totals.synops_per_inference, "seconds": bundle.metrics["train_seconds"]}


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write_csv(path: Path, axes: tuple[space.Axis, ...], rows: list[Trial]) -> None:
    import csv
    keys = [axis.key for axis in axes]
    figures = ("validation_accuracy", "energy_uj", "synops_per_inference", "seconds", "pareto", "why")
    with whole_file(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "state", *keys, *figures])
        for row in rows:
            writer.writerow([row.number, row.state, *(row.parameters.get(key) for key in keys),
                             *(getattr(row, name) for name in figures)])
