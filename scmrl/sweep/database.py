"""The memory of a sweep: one study in Optuna's tables, in SQLite (a machine) or PostgreSQL (many).

What a database holds is data of whoever could write it: it is read as JSON and numbers (Optuna
unpickles nothing here) and checked against the axes. Whoever decides which trial comes next holds
`deciding`, so that of all workers on all machines one decides at a time; a dead one holds nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import stat
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..system.errors import BackendError, DataError, ScmrlError, UsageError
from . import url as urls
from .sampling import Settings
from .space import Axis
from .trials import Record

if TYPE_CHECKING:
    from sqlalchemy import Engine

STUDY = "scmrl"
LARGEST_FILE = 1 << 30  # bytes of an SQLite database that is opened
MOST_TRIALS = 1_000_000
WAIT_S = 60  # for a lock of the database
POOL = {"pool_size": 32, "max_overflow": -1}
ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
CONNECTION = {"connect_timeout": 10, **ALIVE}
ALONE = (
    f"SET LOCAL lock_timeout = '{WAIT_S}s'",  # of PostgreSQL; what hangs or is cut off lets go
    f"SET LOCAL idle_in_transaction_session_timeout = '{WAIT_S}s'",
    f"SELECT pg_advisory_xact_lock({0x73636D726C})",
)


class Database:
    """The study of one sweep. Raises one-line errors alone; numbers of trials are also its keys."""

    def __init__(
        self, storage: str | None, out: Path, axes: Sequence[Axis], directions: Sequence[str]
    ):
        self.axes, self.directions = axes, list(directions)
        self.url = urls.parse(storage) if storage else None
        self.path: Path | None = (out / "study.db").absolute()
        if self.url:
            path = self.url.database if self.url.drivername == "sqlite" else None
            self.path = Path(path) if path else None
        self.secret = str(self.url.password or "") if self.url else ""
        self.shown = urls.hidden(self.url) if self.url and not self.path else str(self.path)
        self.ids: dict[int, int] = {}
        self.count = 0  # of all trials: the number of the next one
        with self._speaking("cannot open the sweep's database"):
            self.tables, self.study = self._open()

    def _open(self) -> tuple[Any, int]:
        """(Optuna's storage, number of the study in it), both made where they are missing."""
        import optuna
        import sqlalchemy

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        url, options = "sqlite:///study.db", dict[str, Any](POOL)
        if self.path:
            _check_file(self.path)
            options["creator"] = self._sqlite
        elif self.url:
            url = self.url.render_as_string(hide_password=False)
            options["connect_args"] = CONNECTION
        self.engine = sqlalchemy.create_engine(url, **options)
        with self._alone():  # of two that make the tables one would fail
            if not self.path:
                _check_tables(self.engine)
            tables = optuna.storages.RDBStorage(
                url.replace("{", "{{").replace("}", "}}"), engine_kwargs=options
            )
            directions = [optuna.study.StudyDirection[d.upper()] for d in self.directions]
            with contextlib.suppress(optuna.exceptions.DuplicatedStudyError):
                tables.create_new_study(directions, STUDY)
        study = tables.get_study_id_from_name(STUDY)
        found = [direction.name.lower() for direction in tables.get_study_directions(study)]
        if found != self.directions:
            what, wanted = "the database holds a sweep with other objectives", self.directions
            raise UsageError(what, where=self.shown, limit=found, value=wanted)
        return tables, study

    def _sqlite(self) -> sqlite3.Connection:
        connection = sqlite3.connect(str(self.path), timeout=WAIT_S, check_same_thread=False)
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection

    @contextlib.contextmanager
    def _speaking(self, what: str = "the sweep's database failed") -> Iterator[None]:
        """One line for errors of SQLAlchemy, the driver, Optuna and json: no base is common."""
        try:
            yield
        except ScmrlError:
            raise
        except Exception as error:
            kind = DataError if self.path else BackendError
            fix = None if self.path else "what is finished is kept"
            reason = _reason(error)
            if "password" in reason:
                fix = urls.PASSWORD
            if self.secret:
                reason = reason.replace(self.secret, "***")
            raise kind(what, where=self.shown, value=reason, fix=fix) from None

    @contextlib.contextmanager
    def deciding(self) -> Iterator[None]:
        """Of all workers of this database one is in here at a time."""
        alone = self._alone()
        with self._speaking():
            alone.__enter__()
        try:
            yield
        finally:
            with self._speaking():
                alone.__exit__(None, None, None)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """A lock on the folder of SQLite's file (SQLite has its own on that), or the server's."""
        with contextlib.ExitStack() as stack:
            if self.path:
                _lock_folder(self.path.parent, stack)
            else:
                connection = stack.enter_context(self.engine.begin())
                for statement in ALONE:
                    connection.exec_driver_sql(statement)
            yield

    def sweep(self, wanted: dict[str, object]) -> None:
        """Keep what the sweep is asked for; refuse a database that holds another one."""
        with self._speaking():
            found = self.tables.get_study_user_attrs(self.study).get("sweep")
            if found is None:
                self.tables.set_study_user_attr(self.study, "sweep", wanted)
                return
        known = found if isinstance(found, dict) else {}
        other = [key for key, value in wanted.items() if known.get(key, value) != value]
        if other or known is not found:
            raise UsageError(
                "the database holds another sweep",
                where=f"{self.shown}: {', '.join(other[:3])}",
                limit=found[other[0]] if other else None,
                value=wanted[other[0]] if other else found,
                fix="go on with what that one was asked for, or give a database of its own",
            )

    def records(self) -> list[Record]:
        """All trials by number, but for 0.1.0's queued ones and those killed without settings."""
        with self._speaking():
            trials = self.tables.get_all_trials(self.study, deepcopy=False)
            ids = {trial.number: trial._trial_id for trial in trials}
            records = list(map(self._record, sorted(trials, key=lambda trial: trial.number)))
        if len(ids) < len(trials):
            raise DataError("two trials have one number", where=self.shown)
        self.ids, self.count = ids, len(trials)
        return [record for record in records if record]

    def _record(self, trial: Any) -> Record | None:
        where, state = f"{self.shown}: trial {trial.number!r}", trial.state.name.lower()
        if type(trial.number) is not int or not 0 <= trial.number < MOST_TRIALS:
            raise DataError("not a number of a trial", where=where, limit=f"0..{MOST_TRIALS - 1}")
        unset = any(axis.key not in trial.params for axis in self.axes)
        if state not in ("running", "complete", "fail") or (state != "complete" and unset):
            return None
        for axis in self.axes:
            value = trial.params.get(axis.key)
            if axis.key not in trial.params or not axis.holds(value):
                what, at = "a setting lies outside its axis", f"{where}: {axis.key}"
                raise DataError(what, where=at, limit=axis.text(), value=value)
        values = tuple(trial.values or ()) if state == "complete" else ()
        whole = len(values) == len(self.directions) and all(map(math.isfinite, values))
        if state == "complete" and not whole:
            what = "not the values of its objectives"
            raise DataError(what, where=where, limit=self.directions, value=values)
        settings = {axis.key: trial.params[axis.key] for axis in self.axes}
        return Record(trial.number, state, settings, values, dict(trial.user_attrs))

    def begin(self, settings: Settings, notes: dict[str, object]) -> int:
        """A new running trial, whole at once; its number. To be called while `deciding`."""
        import optuna

        with self._speaking():
            trial = optuna.trial.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params=settings,
                user_attrs=notes,
                distributions={axis.key: axis.distribution() for axis in self.axes},
            )
            key = self.tables.create_new_trial(self.study, trial)
            number = int(self.tables.get_trial_number_from_id(key))
            self.ids[number] = key
            return number

    def note(self, number: int, **notes: object) -> None:
        """Write beside a running trial."""
        with self._speaking():
            for name, value in notes.items():
                self.tables.set_trial_user_attr(self.ids[number], name, value)

    def end(self, number: int, state: str, values: Sequence[float] | None = None) -> None:
        """The running trial is complete, with `values`, or a fail."""
        import optuna

        with self._speaking():
            ended = optuna.trial.TrialState[state.upper()]
            self.tables.set_trial_state_values(self.ids[number], ended, values)


def _check_file(path: Path) -> None:
    """Refuse, before it is written to, a file that is no database of Optuna or holds code."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError("cannot read", where=path, value=error.strerror) from None
    if not stat.S_ISREG(found.st_mode):
        raise DataError("not a file of SQLite", where=path, value="a folder, a pipe or a device")
    if found.st_size > LARGEST_FILE:
        raise DataError("file is too large", where=path, limit=LARGEST_FILE, value=found.st_size)
    read_only = f"file:{urllib.parse.quote(str(path))}?mode=ro"
    with contextlib.closing(sqlite3.connect(read_only, uri=True, timeout=WAIT_S)) as connection:
        kinds = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
        if found.st_size:
            first = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if first != "ok":
                raise DataError("the database is damaged", where=path, value=first)
    names = {name for kind, name in kinds if kind == "table"}
    code = any(kind in ("trigger", "view") for kind, _ in kinds)
    if code or (names and "version_info" not in names):
        what, fix = "not the database of a sweep", "move this file away or give another --out"
        raise DataError(what, where=path, value=", ".join(sorted(names)[:5]) or None, fix=fix)


def _check_tables(engine: Engine) -> None:
    """Refuse, before tables are made, a PostgreSQL database with another's of the same names."""
    import sqlalchemy

    names = set(sqlalchemy.inspect(engine).get_table_names())
    ours = names & {"studies", "trials", "trial_params", "study_directions"}
    if ours and "version_info" not in names:
        what, found = "the database has tables of another program", "studies, trials or the like"
        fix = "give a database of its own"
        raise UsageError(what, where="--storage", value=found, fix=fix)


def _lock_folder(folder: Path, stack: contextlib.ExitStack) -> None:
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # not a POSIX system: one worker at a time there
        return
    stack.callback(os.close, descriptor)
    with contextlib.suppress(OSError):  # a file system that cannot
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _reason(error: BaseException) -> str:
    """The first line of the driver's words, without SQL and its parameters."""
    while inner := getattr(error, "orig", None) or error.__cause__:
        error = inner
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
