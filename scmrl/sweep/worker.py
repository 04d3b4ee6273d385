"""Runs trials of a sweep, several at a time, beside the workers of other processes and machines.

A trial is claimed under the database's one lock; it is told complete or failed only by who has the
claim. A trial whose child was killed, or whose worker died, is gone on with from its last
checkpoint: it is no failure of its settings. A trial whose child is killed again and again is left
to a later `--resume`.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..core.report.progress import clock
from ..system import lock
from ..system.dependencies import require
from ..system.errors import BackendError, ScmrlError
from . import sampling, trials
from .claim import BEAT_S, GRACE_S, Claim, Watch
from .database import Database
from .run import Run, share, stop
from .study import Sweep
from .trials import LONGEST, Record, Trial

KILLS = 3  # of one trial's child, after which this worker leaves the trial
POLL_S = 0.5  # between two looks at trials that others run
SPEAK_S, SPEAK_LIVE_S = 60.0, 0.5  # between two lines of progress, to a file and to a terminal
KILLED = (130, 137, 143)  # exit codes of a process that was told to end


class Worker:
    """Runs trials of a sweep into the directory `out` until as many as wanted have ended."""

    def __init__(self, sweep: Sweep, out: Path, tell: Callable[[str], None]):
        require("optuna", "sweeps")
        self.sweep, self.out, self.tell = sweep, out, tell
        self.axes, self.me, self.watch = sweep.parsed, Claim.here(), Watch()
        if not sweep.storage:
            sweep.save(out)  # first: a database alone could not be resumed
        self.database = Database(sweep.storage, out, self.axes, sweep.directions)
        with self.database.deciding():
            self.database.sweep(sweep.asked())
        if sweep.storage:
            sweep.save(out)
        self.wanted, self.exhausted = sweep.wanted, False
        self.stopping = threading.Event()
        self.claiming = threading.Lock()  # one thread at the database; may take long
        self.lock = threading.Lock()  # of the next line, never held for long
        # By trial, of those that run here.
        self.children: dict[int, subprocess.Popen[bytes] | None] = {}
        self.left: set[int] = set()  # trials killed too often
        self.error: BaseException | None = None
        self.ended, self.before, self.started = 0, 0.0, time.monotonic()

    def run(self, jobs: int = 1) -> list[Trial]:
        """End all trials, `jobs` at a time. Ctrl-C and SIGTERM leave some to be gone on with."""
        self.ended = sum(record.state != "running" for record in self.database.records())
        self.before, self.started = self._done(), time.monotonic()
        logs = f"log of each: {self.out}/trial-NNNN.log"
        self.tell(f"{self.wanted} trials wanted, {self.ended} ended; {jobs} at a time; {logs}")
        *threads, beating = (
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (*[self._work] * jobs, self._beat)
        )
        try:
            for thread in (*threads, beating):
                thread.start()
            self._watch_over(threads)
        except BaseException:
            self._stop(threads)
            raise
        self.stopping.set()
        if self.error:
            raise self.error
        return self.table()

    def _guarded(self, work: Callable[[], None]) -> None:
        """What fails in one thread ends the sweep, with its error."""
        try:
            work()
        except BaseException as error:
            if not self.stopping.is_set():
                self.error = self.error or error

    def _watch_over(self, threads: Sequence[threading.Thread]) -> None:
        live, spoken = sys.stderr.isatty(), time.monotonic()
        while any(thread.is_alive() for thread in threads):
            if self.error:
                raise self.error
            time.sleep(0.1)  # the main thread hears signals between sleeps
            if time.monotonic() - spoken >= (SPEAK_LIVE_S if live else SPEAK_S):
                spoken = time.monotonic()
                self._speak(live)

    def _stop(self, threads: Sequence[threading.Thread]) -> None:
        with self.lock:  # nothing starts any more
            self.stopping.set()
        stop(child for child in self.children.values() if child)
        # For the claims to be given back; who is killed here leaves them as they are.
        end = time.monotonic() + 2
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while not self.stopping.is_set():
            record, wait = self._claim()
            if record is None and not wait:
                return
            if record is None:
                self.stopping.wait(POLL_S)
                continue
            try:
                self._run_trial(record)
            finally:
                with self.lock:
                    self.children.pop(record.number, None)

    def _claim(self) -> tuple[Record | None, bool]:
        """A trial that nobody runs, or a new one; else whether to wait for those of others."""
        with self.claiming, self.database.deciding():
            records = self.database.records()
            running = [record for record in records if record.state == "running"]
            others = [r for r in running if r.number not in self.children]
            others = [r for r in others if r.number not in self.left]
            for record in others:
                if self._free(record):
                    return self._take(record), False
            if len(records) < self.wanted and not self.exhausted:
                settings = self._next(records)
                if settings is not None:
                    number = self.database.begin(settings, {"owner": self.me.note(), "beat": 0})
                    self._mark(number)
                    return Record(number, "running", settings), False
                self.exhausted = True
            return None, bool(others)

    def _free(self, record: Record) -> bool:
        """Whether nobody runs the trial, here or elsewhere."""
        if not self.watch.abandoned(record):
            return False
        claim, directory = Claim.of(record), self.out / f"trial-{record.number:04d}"
        owner = lock.owner(directory)
        if owner and claim and owner.elsewhere and owner.host == claim.owner.host:
            # of a machine that has been silent for long
            (directory / lock.NAME).unlink(missing_ok=True)
            return True
        return owner is None

    def _take(self, record: Record) -> Record:
        notes = {**record.notes, "owner": self.me.note(), "retries": record.count("retries") + 1}
        self.database.note(record.number, owner=notes["owner"], retries=notes["retries"])
        self._mark(record.number)
        return replace(record, notes=notes)

    def _mark(self, number: int) -> None:
        with self.lock:
            self.children[number] = None

    def _next(self, records: Sequence[Record]) -> sampling.Settings | None:
        past, sweep = [record.past for record in records], self.sweep
        if sweep.grid:
            return sampling.next_of_grid(self.axes, past)
        ways, number = sweep.directions, self.database.count
        return sampling.propose(self.axes, past, directions=ways, seed=sweep.seed, number=number)

    def _run_trial(self, record: Record) -> None:
        trial = Run(self.sweep, self.out, record.number, record.settings)
        try:
            trial.config()  # settings that do not go together need no process to be refused
            code = 0 if trial.finished else self._trained(trial, record)
            if code is None:
                return
            if code:
                raise ScmrlError(trial.why() or f"exit code {code}")
            figures = trial.figures()
        except ScmrlError as error:
            why = str(error).removeprefix("error: ")[:LONGEST]
            if self._end(record, "fail", {"why": why}):
                self.tell(f"trial {record.number} failed: {why}")
            return
        accuracy, uj = figures["validation_accuracy"], figures["energy_uj"]
        values = [accuracy, uj][: len(self.sweep.directions)]
        if self._end(record, "complete", figures, values):
            energy = f"  {uj:.2f} uJ" if uj is not None else ""
            settings = "  ".join(f"{key}={_short(x)}" for key, x in record.settings.items())
            found = f"validation {100 * accuracy:.2f} %{energy}  {settings}"
            self.tell(f"trial {record.number}: {found}  [{self._pace()}]")

    def _trained(self, trial: Run, record: Record) -> int | None:
        """Train in a child process, again where it is killed: its exit code, None if it goes on."""
        kills = 0
        while child := self._start(trial, record.number):
            code = child.wait()
            if self.stopping.is_set():
                break
            if code and not self._mine(record.number):
                self.tell(f"trial {record.number} is run by another worker now")
                return None
            if code < 0 or code in KILLED:
                kills += 1
                self._note(record.number, retries=record.count("retries") + kills)
                if kills == KILLS:
                    self.left.add(record.number)
                    what = f"was killed {KILLS} times and is left to --resume"
                    fix = "with fewer --jobs each has more memory"
                    self.tell(f"trial {record.number} {what}; {fix}")
                    break
                self.tell(f"trial {record.number} was killed ({_signal(code)}) and is gone on with")
            elif code and lock.BUSY in trial.why():
                self.tell(f"trial {record.number} waits: {trial.why()}")
                while trial.busy and not self.stopping.wait(POLL_S):
                    pass
            else:
                return code
        self._note(record.number, owner=None)  # whoever goes on need not wait for signs of life
        return None

    def _start(self, trial: Run, number: int) -> subprocess.Popen[bytes] | None:
        with self.lock:
            if self.stopping.is_set():
                return None
            child = self.children[number] = trial.start()
            return child

    def _note(self, number: int, **notes: object) -> None:
        with self.claiming:
            self.database.note(number, **notes)

    def _mine(self, number: int) -> bool:
        """Whether the trial is still this worker's, which may have been suspended for long."""
        with self.claiming:
            return self._still_mine(number)

    def _still_mine(self, number: int) -> bool:
        running = [record for record in self.database.records() if record.state == "running"]
        return any(r.number == number and Claim.of(r) == self.me for r in running)

    def _end(
        self, record: Record, state: str, notes: Mapping[str, object], values: Sequence[float] = ()
    ) -> bool:
        """Write down how the trial ended; False where it is another worker's by now."""
        number = record.number
        with self.claiming, self.database.deciding():
            if not self._still_mine(number):
                self.tell(f"trial {number} was run by another worker")
                return False
            self.database.note(number, **notes)
            self.database.end(number, state, values)
            with self.lock:
                self.children.pop(number, None)
                self.ended += 1
            keys = [axis.key for axis in self.axes]
            trials.write_csv(self.out / "trials.csv", keys, self.table())
        return True

    def _beat(self) -> None:
        """Show workers elsewhere that the trials here are run; stop what they have taken over."""
        beat, last = 0, time.monotonic()
        while not self.stopping.wait(BEAT_S):
            beat += 1
            try:
                with self.claiming:
                    lost = self._show(beat)
                last = time.monotonic()
            except BackendError:
                if time.monotonic() - last > GRACE_S - 2 * BEAT_S:  # they will take us for dead
                    raise
                continue
            stop(lost)

    def _show(self, beat: int) -> list[subprocess.Popen[bytes]]:
        """Count up beside the trials here: the children whose trials belong to others now."""
        records = {record.number: record for record in self.database.records()}
        lost = []
        for number, child in list(self.children.items()):
            if Claim.of(records[number]) != self.me and child:
                lost.append(child)
            elif records[number].state == "running":
                self.database.note(number, beat=beat)
        return lost

    def _done(self) -> float:
        """How many trials' worth of work has been done, those that run counted by their epochs."""
        with self.lock:
            running = list(self.children)
        return self.ended + sum(share(self.out, number) for number in running)

    def _pace(self) -> str:
        done = self._done()
        rate = (done - self.before) / max(time.monotonic() - self.started, 1e-9)
        left = f", {clock((self.wanted - done) / rate)} left" if rate > 0 else ""
        return f"{self.ended} of {self.wanted}, {60 * rate:.1f} a minute{left}"

    def _speak(self, live: bool) -> None:
        with self.lock:
            running = sorted(self.children)
        at_work = ", ".join(f"trial {n} at {100 * share(self.out, n):.0f} %" for n in running)
        line = f"{self._pace()}" + (f"; {at_work}" if at_work else "")
        if live:
            columns = shutil.get_terminal_size().columns
            print(f"\r\033[K{line[: columns - 1]}\r", end="", file=sys.stderr, flush=True)
        else:
            self.tell(line)

    def table(self) -> list[Trial]:
        """All trials, best validation accuracy first, failed ones last."""
        return trials.table(self.database.records(), self.sweep.directions)


def _signal(code: int) -> str:
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
